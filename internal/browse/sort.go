package browse

import (
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// sorts are the orders of findings lists: columns, the last of which tells any two findings apart. "cluster" and "seen" are of
// the target: its name, and when it was last looked at where the finding has no time of its own.
var sorts = map[string][]string{
	"priority":  {"priority", "id"},
	"severity":  {"severity", "priority", "id"},
	"kind":      {"kind", "severity", "priority", "id"},
	"status":    {"status", "changed_at", "id"},
	"rule":      {"rule", "id"},
	"package":   {"package", "id"},
	"cluster":   {"cluster", "target_id", "namespace", "severity", "id"},
	"namespace": {"namespace", "id"},
	"resource":  {"resource", "id"},
	"image":     {"image", "id"},
	"firstSeen": {"first_seen", "id"},
	"lastSeen":  {"seen", "target_id", "first_seen", "id"},
	"changedAt": {"changed_at", "id"},
}

// Sorts lists the orders that findings lists offer, each also with "-" before it for descending.
var Sorts = []string{"priority", "severity", "kind", "status", "rule", "package", "cluster", "namespace", "resource", "image",
	"firstSeen", "lastSeen", "changedAt"}

// DefaultSort shows what to do first.
const DefaultSort = "-priority"

// order is a sort with its direction.
type order struct {
	name string
	keys []string
	desc bool
}

func parseSort(s string) (order, error) {
	if s == "" {
		s = DefaultSort
	}
	name, desc := strings.CutPrefix(s, "-")
	keys, ok := sorts[name]
	if !ok {
		return order{}, fmt.Errorf("%w: sort %q: want one of %s, with - before it for descending", ErrFilter, s, strings.Join(Sorts, ", "))
	}
	return order{name: s, keys: keys, desc: desc}, nil
}

// texts are the columns of sorts that are no numbers.
var texts = []string{"rule", "package", "cluster", "namespace", "resource", "image"}

// read unpacks a cursor; nil for the first page. A cursor of another sort is refused.
func (o order) read(after string) ([]any, error) {
	if after == "" {
		return nil, nil
	}
	name, values := "", make([]any, len(o.keys))
	into := []any{&name}
	for i, k := range o.keys {
		if slices.Contains(texts, k) {
			values[i] = new(string)
		} else {
			values[i] = new(int64)
		}
		into = append(into, values[i])
	}
	if err := store.ReadCursor(after, into...); err != nil {
		return nil, err
	}
	if name != o.name {
		return nil, fmt.Errorf("%w: it is of the sort %.20q", store.ErrCursor, name)
	}
	for i := range values {
		switch v := values[i].(type) {
		case *string:
			if strings.ContainsRune(*v, 0) {
				return nil, store.ErrCursor
			}
			values[i] = *v
		case *int64:
			values[i] = *v
		}
	}
	return values, nil
}

// cursor is where the page ends with a row.
func (o order) cursor(r *ledger.Row, t ledger.Target) string {
	return store.Cursor(append([]any{o.name}, o.values(r, t)...)...)
}

// values are the sort key of a row whose LastSeen is as the table has it.
func (o order) values(r *ledger.Row, t ledger.Target) []any {
	out := make([]any, len(o.keys))
	for i, k := range o.keys {
		out[i] = value(k, r, t)
	}
	return out
}

func value(column string, r *ledger.Row, t ledger.Target) any {
	switch column {
	case "id":
		return r.ID
	case "priority":
		return int64(r.Priority)
	case "severity":
		return int64(r.Severity)
	case "kind":
		return int64(r.Kind)
	case "status":
		return int64(r.Status)
	case "rule":
		return r.Rule
	case "package":
		return r.Package
	case "namespace":
		return r.Namespace
	case "resource":
		return r.Resource
	case "image":
		return r.Image
	case "target_id":
		return r.TargetID
	case "cluster":
		return t.Name
	case "first_seen":
		return millis(r.FirstSeen)
	case "changed_at":
		return millis(r.ChangedAt)
	}
	return millis(seen(r, t)) // "seen"
}

// seen is when a finding was last there: its own time, or that of its target.
func seen(r *ledger.Row, t ledger.Target) store.Time {
	if r.LastSeen.IsZero() {
		return t.LookedAt
	}
	return r.LastSeen
}

func millis(t store.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// expression is the SQL of a column of a sort, in a statement that joins targets as t when it is of the target.
func expression(column string) string {
	switch column {
	case "cluster":
		return "t.name"
	case "seen":
		return "CASE WHEN f.last_seen = 0 THEN t.looked_at ELSE f.last_seen END"
	}
	return "f." + column
}

func (o order) direction() string {
	if o.desc {
		return " DESC"
	}
	return ""
}

// by is the ORDER BY of columns by their names in the result: k0, k1, ...
func (o order) by(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "k%d%s", i, o.direction())
	}
	return b.String()
}

// behind is the condition that a row stands behind a key, of expressions and their values.
func (o order) behind(columns []string, values []any) sqlText {
	sign := ">"
	if o.desc {
		sign = "<"
	}
	if len(columns) == 1 {
		return text(columns[0]+" "+sign+" ?", values[0])
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")
	return text("("+strings.Join(columns, ", ")+") "+sign+" ("+marks+")", values...)
}
