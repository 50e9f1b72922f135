package browse

import (
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
)

// A page of findings can be had in two ways: walk an index that has the order of the sort until the page is full, or take all
// that the most selective condition lets through and sort it. Which is cheaper follows from how many findings meet the conditions,
// and counters know that. Neither database knows what goes with what (all findings of a rule have one severity), so both are told
// which way to go: SQLite by INDEXED BY, PostgreSQL by a materialised step that it cannot see through.

// index is an index of findings.
type index struct {
	name    string
	columns []string
	halves  bool   // there is one of active findings and one, named name_ended, of the others
	only    string // condition of a partial index: it serves questions that have it
}

var indexes = []index{
	{name: "findings_severity", columns: []string{"severity", "priority", "id"}, halves: true},
	{name: "findings_kind", columns: []string{"kind", "severity", "priority", "id"}, halves: true},
	{name: "findings_kind_rule", columns: []string{"kind", "severity", "rule", "id"}, halves: true},
	{name: "findings_kind_package", columns: []string{"kind", "package", "id"}, halves: true},
	{name: "findings_kind_namespace", columns: []string{"kind", "severity", "namespace", "id"}, halves: true},
	{name: "findings_kind_resource", columns: []string{"kind", "resource", "id"}, halves: true},
	{name: "findings_kind_image", columns: []string{"kind", "image", "id"}, halves: true},
	{name: "findings_kind_first", columns: []string{"kind", "first_seen", "id"}, halves: true},
	{name: "findings_kind_changed", columns: []string{"kind", "changed_at", "id"}, halves: true},
	{name: "findings_target_kind", columns: []string{"target_id", "kind", "severity", "priority", "id"}, halves: true},
	{name: "findings_target_namespace", columns: []string{"target_id", "namespace", "id"}, halves: true},
	{name: "findings_target_rule", columns: []string{"target_id", "rule", "id"}, halves: true},
	{name: "findings_target_package", columns: []string{"target_id", "package", "id"}, halves: true},
	{name: "findings_target_resource", columns: []string{"target_id", "resource", "id"}, halves: true},
	{name: "findings_target_image", columns: []string{"target_id", "image", "id"}, halves: true},
	{name: "findings_target_changed", columns: []string{"target_id", "changed_at", "id"}, halves: true},
	{name: "findings_target_first", columns: []string{"target_id", "first_seen", "id"}, halves: true},
	{name: "findings_status", columns: []string{"status", "changed_at", "id"}},
	{name: "findings_target", columns: []string{"target_id", "namespace", "severity", "id"}},
	{name: "findings_asset", columns: []string{"asset_id", "severity", "id"}},
	{name: "findings_rule", columns: []string{"rule", "severity", "priority", "id"}},
	{name: "findings_assignee", columns: []string{"assignee_id", "id"}, only: "f.assignee_id <> 0"},
	{name: "findings_exception", columns: []string{"exception_id"}, only: "f.exception_id <> 0"},
}

// arm is one range of one index.
type arm struct {
	from  string // table and index
	where []sqlText
	fixed map[string]any
	rows  int
}

// question is what a list asks, with what is known of it.
type question struct {
	sqlite  bool
	order   order
	preds   []pred
	here    matrix // counters of the cells that the filter lets through, of the whole targets in question; nil when unknown
	world   matrix // counters of everything
	present matrix // cells that can have what is asked for, nil for all; status 0 is any
	targets []int64
	active  bool // active findings are asked for
	ended   bool // others are
	after   []any
	limit   int
	sources []source // further sets that hold all that is asked for
	matches int      // estimate of how many findings meet everything
	shares  int      // targets among which everything is
	weight  int      // what the lists in the conditions cost for every range
	terms   []term   // words of the search
	dear    int      // from which cost on they are looked for meaning by meaning
}

// source is a set of ranges that holds every finding that is asked for.
type source struct {
	name string
	arms []arm
	rows int
}

// plan is the way that was chosen.
type plan struct {
	source
	walk bool
	cost int
}

// What things cost, in units of an entry of an index that is read.
const (
	lookup  = 3  // a row of the table
	opening = 30 // a range
	most    = 80 // ranges in one statement
	astray  = 4  // how much longer a walk may be than it seems: what is asked for may stand together at the far end
)

// choose picks the cheapest plan; ok is false when no index has the order of the sort and nothing is selective.
func (q *question) choose() (best plan, ok bool) {
	consider := func(p plan) {
		if !ok || p.cost < best.cost {
			best, ok = p, true
		}
	}
	for _, s := range q.sources {
		consider(plan{source: s, cost: len(s.arms)*(opening+q.weight) + s.rows*lookup})
	}
	for _, ix := range indexes {
		for n := range ix.columns {
			if s, found := q.gathered(ix, n); found {
				consider(plan{source: s, cost: len(s.arms)*opening*n + s.rows*lookup})
			}
			if !q.ordered(ix, n) {
				continue
			}
			if s, found := q.source(ix, n); found {
				consider(plan{source: s, walk: true, cost: q.walking(ix, n, s)})
			}
		}
	}
	return best, ok
}

// walking is what a walk costs until the page is full.
func (q *question) walking(ix index, n int, s source) int {
	matches := max(1, min(q.matches, s.rows))
	entry, doubt := 1, 1.0
	for _, p := range q.preds {
		if p.wants == "" || slices.Contains(ix.columns[:n], p.wants) {
			continue
		}
		if !slices.Contains(ix.columns, p.wants) {
			entry = lookup
		}
		if p.wants != "target_id" && p.wants != "fixable" && p.wants != "assignee_id" && !slices.Contains(counted, p.wants) {
			doubt = astray
		}
	}
	read := float64(q.limit+len(s.arms)) * float64(s.rows) / float64(matches) * doubt
	return len(s.arms)*(opening+q.weight) + int(min(read, float64(s.rows)))*entry + q.limit*lookup
}

// gathered is the range of an index that the question's own values in its first n columns select, for being sorted. Columns before
// the last that the question says nothing of may have any value that there is, where the counters know those.
func (q *question) gathered(ix index, n int) (source, bool) {
	s := source{name: ix.name}
	if n == 0 || q.pred(ix.columns[n-1]) == nil || !q.has(ix.only) {
		return s, false
	}
	rows := -1
	for _, c := range ix.columns[:n] {
		switch p := q.pred(c); {
		case p == nil && !slices.Contains(counted, c):
			return s, false
		case p != nil && p.rows >= 0 && (rows < 0 || p.rows < rows):
			rows = p.rows
		}
	}
	for _, half := range q.halvesOf(ix) {
		cells := q.world
		if slices.Contains(ix.columns[:n], "target_id") && q.here != nil {
			cells = q.here
		}
		cells = q.asked(cells, half, ix.columns[:n])
		a := arm{from: q.table(ix.name + suffix(half))}
		if half != "" {
			a.where = append(a.where, text(half))
		}
		for _, c := range ix.columns[:n] {
			if q.pred(c) == nil {
				a.where = append(a.where, text("f."+c+" IN (?)", bun.List(cells.values(c))))
			}
		}
		if ix.only != "" {
			a.where = append(a.where, text(ix.only))
		}
		s.arms = append(s.arms, a)
		s.rows += cells.sum()
	}
	if rows >= 0 {
		s.rows = min(s.rows, rows)
	}
	return s, true
}

// values lists what a column has in cells.
func (m matrix) values(column string) []int {
	out := []int{-1} // a list is never empty
	for _, c := range m {
		if v := c.value(column); !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// has reports whether the question has the condition of a partial index.
func (q *question) has(only string) bool {
	return only == "" || slices.ContainsFunc(q.preds, func(p pred) bool { return strings.Contains(p.text, only) })
}

// halvesOf are the conditions of the halves of an index that the question needs; "" is the whole.
func (q *question) halvesOf(ix index) []string {
	if !ix.halves {
		return []string{""}
	}
	return q.halves()
}

func suffix(half string) string {
	if half == endedHalf {
		return "_ended"
	}
	return ""
}

func (q *question) pred(column string) *pred {
	for i := range q.preds {
		if q.preds[i].column == column {
			return &q.preds[i]
		}
	}
	return nil
}

// ordered reports whether the index without its first n columns has the order of the sort, when those have one value each.
func (q *question) ordered(ix index, n int) bool {
	want := slices.DeleteFunc(slices.Clone(q.order.keys), func(k string) bool { return slices.Contains(ix.columns[:n], k) })
	return slices.Equal(want, ix.columns[n:])
}

// source lists the ranges of an index with single values in its first n columns that hold all that is asked for.
func (q *question) source(ix index, n int) (source, bool) {
	s := source{name: fmt.Sprintf("%s %d", ix.name, n)}
	if !q.has(ix.only) {
		return s, false
	}
	for _, half := range q.halvesOf(ix) {
		arms := q.split(ix.columns[:n], half)
		if arms == nil {
			return s, false
		}
		for _, a := range arms {
			a.from = q.table(ix.name + suffix(half))
			if half != "" {
				a.where = append(a.where, text(half))
			}
			if ix.only != "" {
				a.where = append(a.where, text(ix.only))
			}
			s.arms = append(s.arms, a)
			s.rows += a.rows
		}
	}
	return s, len(s.arms) > 0 && len(s.arms) <= most
}

const (
	activeHalf = "f.status <= 3"
	endedHalf  = "f.status > 3"
)

func (q *question) halves() []string {
	var out []string
	if q.active {
		out = append(out, activeHalf)
	}
	if q.ended {
		out = append(out, endedHalf)
	}
	return out
}

// counted are the columns whose values the counters know.
var counted = []string{"kind", "severity", "status"}

// split makes an arm for every combination of values of columns. nil when the values of a column are not known.
func (q *question) split(columns []string, half string) []arm {
	cells := q.world
	if slices.Contains(columns, "target_id") && q.here != nil {
		cells = q.here
	}
	cells = q.asked(cells, half, columns)
	arms := []arm{{fixed: map[string]any{}, rows: cells.sum()}}
	var names []string // counted ones among the columns
	for _, c := range columns {
		if slices.Contains(counted, c) {
			names = append(names, c)
			continue
		}
		p := q.pred(c)
		if p == nil {
			return nil
		}
		var next []arm
		for _, a := range arms {
			for _, v := range p.values {
				b := arm{fixed: with(a.fixed, c, v), rows: a.rows/len(p.values) + 1}
				if p.rows >= 0 {
					b.rows = min(b.rows, p.rows/len(p.values)+1)
				}
				next = append(next, b)
			}
			if len(next) > most {
				return nil
			}
		}
		arms = next
	}
	if len(names) == 0 {
		return arms
	}
	return product(arms, cells, names)
}

// product splits arms by the combinations of counted columns that cells have.
func product(arms []arm, cells matrix, names []string) []arm {
	type combination [3]int
	rows, total := map[combination]int{}, max(1, cells.sum())
	var list []combination
	for _, c := range cells {
		key := combination{-1, -1, -1}
		for _, n := range names {
			key[slices.Index(counted, n)] = c.value(n)
		}
		if rows[key] == 0 {
			list = append(list, key)
		}
		rows[key] += c.n
	}
	out := []arm{} // not nil: there is nothing to look for
	for _, a := range arms {
		for _, key := range list {
			b := arm{fixed: a.fixed, rows: int(float64(a.rows)*float64(rows[key])/float64(total)) + 1}
			for _, n := range names {
				b.fixed = with(b.fixed, n, key[slices.Index(counted, n)])
			}
			out = append(out, b)
		}
	}
	return out
}

// asked keeps the cells of a half, and of what the filter lets through for the columns that are split by.
func (q *question) asked(m matrix, half string, columns []string) matrix {
	var out matrix
	for _, c := range m {
		if c.n <= 0 || half == activeHalf && !c.status.Active() || half == endedHalf && c.status.Active() {
			continue
		}
		ok := true
		for _, name := range counted {
			if p := q.pred(name); p != nil && slices.Contains(columns, name) {
				ok = ok && slices.ContainsFunc(p.values, func(v any) bool { return number(v) == c.value(name) })
			}
		}
		if ok && q.present.has(c, columns) {
			out = append(out, c)
		}
	}
	return out
}

// has reports whether ranges with the values of a cell in some columns may have findings; nil is any.
func (m matrix) has(c cell, columns []string) bool {
	if m == nil {
		return true
	}
	return slices.ContainsFunc(m, func(x cell) bool {
		return x.n > 0 && !slices.ContainsFunc(columns, func(name string) bool {
			return slices.Contains(counted, name) && x.value(name) != c.value(name) && (name != "status" || x.status != 0)
		})
	})
}

func (c cell) value(column string) int {
	switch column {
	case "kind":
		return int(c.kind)
	case "severity":
		return int(c.severity)
	}
	return int(c.status)
}

func number(v any) int {
	switch v := v.(type) {
	case ledger.Kind:
		return int(v)
	case ledger.Severity:
		return int(v)
	case ledger.Status:
		return int(v)
	}
	return -1
}

func with(m map[string]any, k string, v any) map[string]any {
	out := make(map[string]any, len(m)+1)
	for a, b := range m {
		out[a] = b
	}
	out[k] = v
	return out
}

// statement is the SQL of a plan. Its rows begin with the id and go on with the columns of the sort.
func (q *question) statement(p plan) sqlText {
	if p.walk {
		return q.walkStatement(p)
	}
	join := slices.ContainsFunc(q.order.keys, func(k string) bool { return strings.HasPrefix(expression(k), "t.") || k == "seen" })
	out := text("WITH c AS MATERIALIZED (")
	for i, a := range p.arms {
		if i > 0 {
			out.add(" UNION ") // not ALL: ranges of different conditions overlap
		}
		out.append(q.arm(a, nil, join))
	}
	out.add(") SELECT id")
	keys := make([]string, len(q.order.keys))
	for i := range q.order.keys {
		keys[i] = fmt.Sprintf("k%d", i)
		out.add(", " + keys[i])
	}
	out.add(" FROM c")
	if q.after != nil {
		out.add(" WHERE ")
		out.append(q.order.behind(keys, q.after))
	}
	out.add(" ORDER BY "+q.order.by(len(keys))+" LIMIT ?", q.limit)
	return out
}

func (q *question) walkStatement(p plan) sqlText {
	var arms []sqlText
	for _, a := range p.arms {
		if after, some := q.remaining(a); some {
			arms = append(arms, q.arm(a, after, false))
		}
	}
	return q.joined(arms)
}

// joined is the first rows of ranges that each have the order.
func (q *question) joined(arms []sqlText) sqlText {
	var out sqlText
	end := text(" ORDER BY "+q.order.by(len(q.order.keys))+" LIMIT ?", q.limit)
	for i, one := range arms {
		if i > 0 {
			out.add(" UNION ALL ")
		}
		if !q.sqlite && len(arms) > 1 { // PostgreSQL would not see that each range has the order, and sort them all
			one.append(end)
			one.text = "(" + one.text + ")"
		}
		out.append(one)
	}
	if len(arms) > 0 {
		out.append(end)
	}
	return out
}

// remaining is the condition that rows of an arm stand behind the page before; some is false when none do. Columns that have one
// value in the arm decide for the whole arm.
func (q *question) remaining(a arm) (cond *sqlText, some bool) {
	if q.after == nil {
		return nil, true
	}
	var columns []string
	var values []any
	for i, k := range q.order.keys {
		v, fixed := a.fixed[k]
		if !fixed || len(columns) > 0 {
			columns, values = append(columns, expression(k)), append(values, q.after[i])
			continue
		}
		if c := compare(v, q.after[i]); c != 0 {
			return nil, (c < 0) == q.order.desc
		}
	}
	after := q.order.behind(columns, values)
	return &after, true
}

// compare orders a fixed value and one of a cursor, both numbers or both texts.
func compare(a, b any) int {
	if s, ok := a.(string); ok {
		return strings.Compare(s, b.(string))
	}
	n, ok := a.(int)
	if !ok {
		if id, is := a.(int64); is {
			n = int(id)
		} else {
			n = number(a)
		}
	}
	return n - int(b.(int64))
}

// arm is the SELECT of one range.
func (q *question) arm(a arm, after *sqlText, join bool) sqlText {
	out := text("SELECT f.id AS id")
	for i, k := range q.order.keys {
		out.add(fmt.Sprintf(", %s AS k%d", expression(k), i))
	}
	out.add(" FROM " + a.from)
	if join {
		out.add(" JOIN targets AS t ON t.id = f.target_id")
	}
	sep := " WHERE "
	put := func(c sqlText) {
		out.add(sep)
		out.append(c)
		sep = " AND "
	}
	for _, c := range sortedKeys(a.fixed) {
		put(text("f."+c+" = ?", a.fixed[c]))
	}
	for _, c := range a.where {
		put(c)
	}
	for _, p := range q.preds {
		if _, fixed := a.fixed[p.column]; !fixed || p.column == "" {
			put(p.sqlText)
		}
	}
	if after != nil {
		put(*after)
	}
	return out
}

func sortedKeys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
