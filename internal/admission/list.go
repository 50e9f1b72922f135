package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// Filter says which events are meant: those that meet every field that is set.
type Filter struct {
	Targets    []int64   `json:"targets,omitempty" maxItems:"1000"`
	Namespaces []string  `json:"namespaces,omitempty" maxItems:"1000"`
	Policies   []int64   `json:"policies,omitempty" maxItems:"1000"`
	Rules      []string  `json:"rules,omitempty" maxItems:"100"`
	Actions    []string  `json:"actions,omitempty" enum:"audit,warn,block"`
	States     []State   `json:"states,omitempty" enum:"unhandled,ignored,handled"`
	Kinds      []Kind    `json:"kinds,omitempty" enum:"blocked,warned,audited,turned,existing,unchecked"`
	OwnerKind  string    `json:"ownerKind,omitempty" maxLength:"100"`
	Owner      string    `json:"owner,omitempty" maxLength:"300"`
	Digest     string    `json:"digest,omitempty" maxLength:"200"`
	Since      time.Time `json:"since,omitzero"`
	Q          string    `json:"q,omitempty" maxLength:"1000"`
}

// cellsOnly reports whether the counters tell how many events are meant.
func (f *Filter) cellsOnly() bool {
	return f.OwnerKind == "" && f.Owner == "" && f.Digest == "" && f.Since.IsZero() && f.Q == ""
}

// Listed is an event of a list.
type Listed struct {
	Event
	Cluster string `bun:"cluster" json:"-"`
}

// EventList is a page of events.
type EventList struct {
	Items   []Listed
	Next    string
	Total   int
	AtLeast bool
	Cut     bool // a search meant more than were looked at
}

// Limits of lists.
const (
	mostCounted = 10_000
	mostFound   = 20_000 // events that a search means
	mostWords   = 16
)

// where are conditions.
type where struct {
	parts []string
	args  []any
	none  bool // nothing can meet them
}

func (w *where) add(text string, args ...any) {
	w.parts = append(w.parts, text)
	w.args = append(w.args, args...)
}

func (w *where) text() string {
	if len(w.parts) == 0 {
		return "1 = 1"
	}
	return strings.Join(w.parts, " AND ")
}

// among adds the condition that a column is one of a list; none for all.
func among[T any](w *where, column string, list []T) {
	if len(list) > 0 {
		w.add(column+" IN (?)", bun.List(list))
	}
}

// scope adds what v shows, and that the cluster is still there.
func (w *where) scope(v identity.Visible, targets []int64) {
	if !v.All {
		var or []string
		var args []any
		if len(v.Targets) > 0 {
			or, args = append(or, "target_id IN (?)"), append(args, bun.List(v.Targets))
		}
		for _, t := range sortedKeys(v.Namespaces) {
			if len(v.Namespaces[t]) > 0 {
				or, args = append(or, "(target_id = ? AND namespace IN (?))"), append(args, t, bun.List(v.Namespaces[t]))
			}
		}
		if len(or) == 0 {
			w.none = true
			return
		}
		w.add("("+strings.Join(or, " OR ")+")", args...)
	}
	among(w, "target_id", targets)
	w.add("target_id NOT IN (SELECT id FROM targets WHERE removed_at <> 0)")
}

func sortedKeys(m map[int64][]string) []int64 {
	out := make([]int64, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// cells are the conditions that counters can answer.
func (f *Filter) cells(v identity.Visible) (where, error) {
	var w where
	w.scope(v, f.Targets)
	among(&w, "namespace", f.Namespaces)
	among(&w, "policy_id", f.Policies)
	among(&w, "rule", f.Rules)
	among(&w, "state", numbers(f.States))
	among(&w, "kind", numbers(f.Kinds))
	var ranks []int64
	for _, a := range f.Actions {
		rank := policy.Action(a).Rank()
		if rank == 0 {
			return w, invalid("action %.20q: want audit, warn or block", a)
		}
		ranks = append(ranks, int64(rank))
	}
	among(&w, "action", ranks)
	return w, nil
}

func numbers[T ~int8](list []T) []int64 {
	out := make([]int64, len(list))
	for i, x := range list {
		out[i] = int64(x)
	}
	return out
}

// events are all conditions.
func (s *Service) events(ctx context.Context, v identity.Visible, f *Filter) (w where, cut bool, err error) {
	if w, err = f.cells(v); err != nil || w.none {
		return w, false, err
	}
	if f.OwnerKind != "" {
		w.add("owner_kind = ?", f.OwnerKind)
	}
	if f.Owner != "" {
		w.add("owner_name = ?", f.Owner)
	}
	if f.Digest != "" {
		w.add("digest = ?", f.Digest)
	}
	if !f.Since.IsZero() {
		w.add("last_at >= ?", store.At(f.Since))
	}
	if f.Q != "" {
		cut, err = s.words(ctx, &w, f.Q)
	}
	return w, cut, err
}

// words turns a search into a condition.
func (s *Service) words(ctx context.Context, w *where, q string) (cut bool, err error) {
	latin, other := split(q)
	if len(latin)+len(other) > mostWords {
		return false, invalid("a search for %d words: at most %d", len(latin)+len(other), mostWords)
	}
	for _, word := range other { // scripts without spaces: anywhere in the titles of rules
		w.add("rule IN (SELECT rule FROM admission_rules WHERE title_zh LIKE ?)", "%"+word+"%")
	}
	if len(latin) == 0 {
		if len(other) == 0 {
			w.none = true
		}
		return false, nil
	}
	var ids []int64
	if s.db.Postgres() {
		err = s.db.R.NewRaw(`SELECT id FROM admission_events WHERE stockade_words(rule || ' ' || rule_id || ' ' || title || ' ' || namespace || ' ' || owner_kind || ' ' || owner_name || ' ' || image)
			@@ ?::tsquery LIMIT ?`, "'"+strings.Join(latin, "':* & '")+"':*", mostFound+1).Scan(ctx, &ids)
	} else {
		err = s.db.R.NewRaw("SELECT rowid FROM admission_words WHERE admission_words MATCH ? ORDER BY rowid DESC LIMIT ?", `"`+strings.Join(latin, `"* AND "`)+`"*`, mostFound+1).Scan(ctx, &ids)
	}
	if err != nil {
		return false, err
	}
	if len(ids) > mostFound {
		ids, cut = ids[:mostFound], true
	}
	if len(ids) == 0 {
		w.none = true
		return false, nil
	}
	w.add("id IN (?)", bun.List(ids))
	return cut, nil
}

// split cuts what people type into words: those of Latin letters and digits, and runs of other scripts.
func split(q string) (latin, other []string) {
	last, word := 0, strings.Builder{}
	end := func() {
		switch {
		case word.Len() == 0:
		case last == 1:
			latin = append(latin, word.String())
		case last == 2:
			other = append(other, word.String())
		}
		word.Reset()
	}
	for _, r := range strings.ToLower(strings.ToValidUTF8(q, " ")) {
		kind := 0
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			kind = 1
		case r > unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			kind = 2
		}
		if kind != last {
			end()
		}
		if last = kind; kind != 0 {
			word.WriteRune(r)
		}
	}
	end()
	return latin, other
}

var sorts = map[string]string{"lastSeen": "last_at", "firstSeen": "first_at", "count": "hits"}

// Events lists events.
func (s *Service) Events(ctx context.Context, v identity.Visible, f Filter, sort string, page store.Page) (*EventList, error) {
	column, down := sorts[strings.TrimPrefix(sort, "-")], strings.HasPrefix(sort, "-")
	if column == "" {
		return nil, invalid("sort %.30q: want lastSeen, firstSeen or count", sort)
	}
	w, cut, err := s.events(ctx, v, &f)
	out := &EventList{Cut: cut}
	if err != nil || w.none {
		return out, err
	}
	if out.Total, out.AtLeast, err = s.total(ctx, v, &f, &w); err != nil || out.Total == 0 && !out.AtLeast {
		return out, err
	}
	direction, compare := "", ">"
	if down {
		direction, compare = " DESC", "<"
	}
	list := where{parts: slices.Clone(w.parts), args: slices.Clone(w.args)}
	if page.After != "" {
		var at, id int64
		if err := store.ReadCursor(page.After, &at, &id); err != nil {
			return nil, err
		}
		list.add(fmt.Sprintf("(%s, id) %s (?, ?)", column, compare), at, id)
	}
	from := "admission_events AS e"
	if index := s.index(ctx, v, &f, column); index != "" {
		from += " INDEXED BY " + index
	}
	size := page.Size()
	err = s.db.R.NewRaw(fmt.Sprintf("SELECT e.*, (SELECT name FROM targets WHERE id = e.target_id) AS cluster FROM %s WHERE %s ORDER BY %s%s, id%s LIMIT ?", from, list.text(), column, direction, direction),
		append(list.args, size+1)...).Scan(ctx, &out.Items)
	if err != nil {
		return nil, err
	}
	if len(out.Items) > size {
		out.Items = out.Items[:size]
		last := &out.Items[size-1]
		key := last.LastAt.UnixMilli()
		switch column {
		case "first_at":
			key = last.FirstAt.UnixMilli()
		case "hits":
			key = last.Hits
		}
		out.Next = store.Cursor(key, last.ID)
	}
	return out, nil
}

// total counts by the counters where they can tell, else up to a limit.
func (s *Service) total(ctx context.Context, v identity.Visible, f *Filter, w *where) (n int, atLeast bool, err error) {
	if f.cellsOnly() {
		n, err = s.cellCount(ctx, v, f)
		return n, false, err
	}
	err = s.db.R.NewRaw("SELECT count(*) FROM (SELECT 1 FROM admission_events WHERE "+w.text()+" LIMIT ?) x", append(slices.Clone(w.args), mostCounted+1)...).Scan(ctx, &n)
	if n > mostCounted {
		return mostCounted, true, err
	}
	return n, false, err
}

func (s *Service) cellCount(ctx context.Context, v identity.Visible, f *Filter) (n int, err error) {
	w, err := f.cells(v)
	if err != nil || w.none {
		return 0, err
	}
	err = s.db.R.NewRaw("SELECT coalesce(sum(events), 0) FROM admission_cells WHERE "+w.text(), w.args...).Scan(ctx, &n)
	return n, err
}

// index chooses the index of SQLite for a list by time: that of the field that selects fewest, by the counters. PostgreSQL knows its
// columns itself.
func (s *Service) index(ctx context.Context, v identity.Visible, f *Filter, column string) string {
	if s.db.Postgres() || column != "last_at" || f.Q != "" || f.Owner != "" || f.Digest != "" {
		return ""
	}
	options := []struct {
		index string
		f     Filter
		use   bool
	}{
		{"admission_events_rule", Filter{Rules: f.Rules}, len(f.Rules) == 1},
		{"admission_events_policy", Filter{Policies: f.Policies}, len(f.Policies) == 1},
		{"admission_events_place", Filter{Targets: f.Targets, Namespaces: f.Namespaces}, len(f.Targets) == 1 && len(f.Namespaces) == 1},
		{"admission_events_target", Filter{Targets: f.Targets}, len(f.Targets) == 1},
		{"admission_events_kind", Filter{Kinds: f.Kinds}, len(f.Kinds) == 1},
		{"admission_events_state", Filter{States: f.States}, len(f.States) == 1},
	}
	best, fewest := "admission_events_last", -1
	for _, o := range options {
		if !o.use {
			continue
		}
		n, err := s.cellCount(ctx, identity.Visible{All: true}, &o.f)
		if err != nil {
			return ""
		}
		if fewest < 0 || n < fewest {
			best, fewest = o.index, n
		}
	}
	return best
}

// UncheckedFilter says which unchecked admissions are meant.
type UncheckedFilter struct {
	Targets    []int64
	Namespaces []string
	States     []Checked
	Reasons    []Reason
	Since      time.Time
}

// ListedEntry is an unchecked admission of a list.
type ListedEntry struct {
	Entry
	Cluster string `bun:"cluster"`
}

// UncheckedList is a page of unchecked admissions, the latest first.
type UncheckedList struct {
	Items   []ListedEntry
	Next    string
	Total   int
	AtLeast bool
}

// Unchecked lists unchecked admissions.
func (s *Service) Unchecked(ctx context.Context, v identity.Visible, f UncheckedFilter, page store.Page) (*UncheckedList, error) {
	var w where
	w.scope(v, f.Targets)
	out := &UncheckedList{}
	if w.none {
		return out, nil
	}
	among(&w, "namespace", f.Namespaces)
	among(&w, "state", numbers(f.States))
	among(&w, "reason", numbers(f.Reasons))
	if !f.Since.IsZero() {
		w.add("found_at >= ?", store.At(f.Since))
	}
	err := s.db.R.NewRaw("SELECT count(*) FROM (SELECT 1 FROM admission_unchecked WHERE "+w.text()+" LIMIT ?) x", append(slices.Clone(w.args), mostCounted+1)...).Scan(ctx, &out.Total)
	if err != nil {
		return nil, err
	}
	if out.Total > mostCounted {
		out.Total, out.AtLeast = mostCounted, true
	}
	if page.After != "" {
		var at, id int64
		if err := store.ReadCursor(page.After, &at, &id); err != nil {
			return nil, err
		}
		w.add("(found_at, id) < (?, ?)", at, id)
	}
	size := page.Size()
	err = s.db.R.NewRaw("SELECT u.*, (SELECT name FROM targets WHERE id = u.target_id) AS cluster FROM admission_unchecked AS u WHERE "+w.text()+" ORDER BY found_at DESC, id DESC LIMIT ?",
		append(w.args, size+1)...).Scan(ctx, &out.Items)
	if err == nil && len(out.Items) > size {
		out.Items = out.Items[:size]
		out.Next = store.Cursor(out.Items[size-1].FoundAt.UnixMilli(), out.Items[size-1].ID)
	}
	return out, err
}
