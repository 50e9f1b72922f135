package browse

import (
	"context"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Line is a row of a findings list.
type Line struct {
	ledger.Row
	Target     string `json:"target" doc:"name of the cluster or project"`
	TargetKind string `json:"targetKind" enum:"cluster,project,node"`
	Title      struct {
		EN, ZH string
	} `json:"-"`
}

// Total is how many rows a list has.
type Total struct {
	N       int
	AtLeast bool // there may be more
	Cut     bool // the words of the search were in too many names: some of them were not looked for
}

// Lines is a page of findings.
type Lines struct {
	Items []Line
	Next  string // "" on the last page
	Total Total
}

// hit is a finding as the first step of a list knows it.
type hit struct {
	id  int64
	key []any
}

// Findings lists the findings that a filter selects and v lets see. sort is one of Sorts, "-" before it for descending.
func (b *Browser) Findings(ctx context.Context, v identity.Visible, f Filter, sort string, page store.Page) (Lines, error) {
	out := Lines{Items: []Line{}}
	q, total, err := b.ask(ctx, v, f, sort, page.After)
	out.Total = total
	if err != nil || q == nil {
		return out, err
	}
	size := page.Size()
	q.limit = size + 1
	hits, count, err := b.hits(ctx, q)
	if err != nil {
		return out, err
	}
	if len(hits) > size {
		hits = hits[:size]
		out.Next = store.Cursor(append([]any{q.order.name}, hits[size-1].key...)...)
	}
	if !out.Total.known() {
		out.Total.N, out.Total.AtLeast = count.N, count.AtLeast
		if page.After == "" && out.Next == "" {
			out.Total.N, out.Total.AtLeast = len(hits), false
		}
	}
	ids := make([]int64, len(hits))
	for i, h := range hits {
		ids[i] = h.id
	}
	out.Items, err = b.lines(ctx, ids)
	return out, err
}

// unknown is a Total that is not known yet.
var unknown = Total{N: -1}

func (t Total) known() bool { return t.N >= 0 }

// hits finds the rows of a page. count is the total, as far as it came along.
func (b *Browser) hits(ctx context.Context, q *question) ([]hit, Total, error) {
	hits, p, err := b.page(ctx, q)
	if err != nil || q.after != nil {
		return hits, q.seen(len(hits)), err
	}
	if len(hits) < q.limit {
		return hits, Total{N: len(hits)}, nil
	}
	if p == nil {
		return hits, q.seen(len(hits)), nil
	}
	count, err := b.count(ctx, q, *p)
	return hits, count, err
}

// page finds the rows of a page and counts nothing. The plan is nil when there was more than one.
func (b *Browser) page(ctx context.Context, q *question) ([]hit, *plan, error) {
	p, ok := q.choose()
	var hits []hit
	var err error
	head := q.order.keys[0]
	switch ofTarget := head == "cluster" || head == "seen"; {
	case ofTarget && (!ok || p.cost > q.segmentCost()):
		hits, err = b.segments(ctx, q)
	case !ofTarget && q.mergeable(p):
		hits, err = b.merged(ctx, q)
	default:
		hits, err = b.run(ctx, q, p)
		return hits, &p, err
	}
	return hits, nil, err
}

// seen is the total when nothing but the rows of a page is known.
func (q *question) seen(n int) Total {
	if q.after != nil {
		return Total{N: max(n, min(q.matches, q.limit)), AtLeast: true}
	}
	return Total{N: n, AtLeast: n >= q.limit}
}

// Bounds of counting: rows that are counted, and entries that may be read for it.
const (
	countTo  = 1000
	countFor = 20_000
)

// count counts what the filter selects, up to a bound.
func (b *Browser) count(ctx context.Context, q *question, p plan) (Total, error) {
	bound := countTo
	if !p.walk {
		bound = 10_000
		if p.rows > 5*countFor {
			return Total{N: q.limit, AtLeast: true}, nil
		}
	} else if reads := float64(countTo) * float64(p.rows) / float64(max(1, q.matches)); reads > countFor {
		return Total{N: q.limit, AtLeast: true}, nil
	}
	sub := *q
	sub.order = order{name: "id", keys: []string{"id"}}
	stmt := text("SELECT count(*) FROM (")
	for i, a := range p.arms {
		if i > 0 {
			if p.walk {
				stmt.add(" UNION ALL ")
			} else {
				stmt.add(" UNION ")
			}
		}
		stmt.append(sub.arm(a, nil, false))
	}
	stmt.add(" LIMIT ?) AS c", bound+1)
	n := 0
	err := b.told(ctx, p.walk, stmt, func(scan func(...any) error) error { return scan(&n) })
	return Total{N: min(n, bound), AtLeast: n > bound}, err
}

// run asks for the rows of a plan.
func (b *Browser) run(ctx context.Context, q *question, p plan) ([]hit, error) {
	stmt := q.statement(p)
	if stmt.text == "" {
		return nil, nil
	}
	var out []hit
	err := b.told(ctx, p.walk, stmt, func(scan func(...any) error) error {
		h := hit{key: make([]any, len(q.order.keys))}
		into := []any{&h.id}
		for i, k := range q.order.keys {
			if slices.Contains(texts, k) {
				into = append(into, new(string))
			} else {
				into = append(into, new(int64))
			}
			h.key[i] = into[i+1]
		}
		if err := scan(into...); err != nil {
			return err
		}
		for i := range h.key {
			switch v := h.key[i].(type) {
			case *string:
				h.key[i] = *v
			case *int64:
				h.key[i] = *v
			}
		}
		out = append(out, h)
		return nil
	})
	return out, err
}

// Lines reads rows in the order of ids. It asks nobody whether they may be seen: the caller has.
func (b *Browser) Lines(ctx context.Context, ids []int64) ([]Line, error) { return b.lines(ctx, ids) }

// lines reads rows in the order of ids, with the names of their targets and their titles.
func (b *Browser) lines(ctx context.Context, ids []int64) ([]Line, error) {
	if len(ids) == 0 {
		return []Line{}, nil
	}
	var rows []ledger.Row
	if err := b.db.R.NewSelect().Model(&rows).Where("f.id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return nil, err
	}
	at := make(map[int64]*ledger.Row, len(rows))
	targets, risks := map[int64]bool{}, map[int64]bool{}
	for i := range rows {
		at[rows[i].ID] = &rows[i]
		targets[rows[i].TargetID], risks[rows[i].RiskID] = true, true
	}
	names, err := b.targetsOf(ctx, keysOf(targets))
	if err != nil {
		return nil, err
	}
	titles, err := b.titles(ctx, keysOf(risks))
	if err != nil {
		return nil, err
	}
	out := make([]Line, 0, len(ids))
	for _, id := range ids {
		r := at[id]
		if r == nil {
			continue
		}
		t := names[r.TargetID]
		l := Line{Row: *r, Target: t.Name, TargetKind: t.Kind, Title: titles[r.RiskID]}
		l.LastSeen = seen(r, t)
		out = append(out, l)
	}
	return out, nil
}

func keysOf(m map[int64]bool) []int64 {
	out := make([]int64, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (b *Browser) titles(ctx context.Context, risks []int64) (map[int64]struct{ EN, ZH string }, error) {
	out := map[int64]struct{ EN, ZH string }{}
	err := b.query(ctx, text("SELECT id, title, title_zh FROM risks WHERE id IN (?)", bun.List(risks)), func(scan func(...any) error) error {
		var id int64
		var t struct{ EN, ZH string }
		if err := scan(&id, &t.EN, &t.ZH); err != nil {
			return err
		}
		out[id] = t
		return nil
	})
	return out, err
}

// ask turns a filter into a question. It is nil when nothing can meet it; the total is unknown unless counters tell it.
func (b *Browser) ask(ctx context.Context, v identity.Visible, f Filter, sort, after string) (*question, Total, error) {
	o, err := parseSort(sort)
	if err != nil {
		return nil, Total{}, err
	}
	key, err := o.read(after)
	if err != nil {
		return nil, Total{}, err
	}
	if f, err = f.check(); err != nil {
		return nil, Total{}, err
	}
	if f.Asset != 0 {
		var ok bool
		if f, ok, err = b.cluster(ctx, f); err != nil || !ok {
			return nil, Total{}, err
		}
	}
	if f.WithImages {
		v, f.Namespaces = narrow(v, OverviewFilter{Targets: f.Targets, Namespaces: f.Namespaces}), nil
	}
	s, err := b.scope(ctx, v, f.Targets)
	if err != nil || s.nothing() {
		return nil, Total{}, err
	}
	q := &question{sqlite: !b.db.Postgres(), dear: b.dear, order: o, after: key, preds: append(s.preds(), f.preds()...), targets: s.ids()}
	q.active = slices.ContainsFunc(f.Statuses, ledger.Status.Active)
	q.ended = slices.ContainsFunc(f.Statuses, func(s ledger.Status) bool { return !s.Active() })
	q.preds = append(q.preds, statusPred(f.Statuses)...)
	if q.world, err = b.matrix(ctx, scope{all: true}, nil); err != nil {
		return nil, Total{}, err
	}
	if err := b.specialise(ctx, q, s, f); err != nil {
		return nil, Total{}, err
	}
	found, cut, err := b.resolve(ctx, q, s, f)
	if err != nil || !found {
		return nil, Total{}, err
	}
	total, err := b.estimate(ctx, q, s, f)
	total.Cut = cut
	return q, total, err
}

// statusPred is the condition on the status. Where all active ones are asked for, it is in the words of the indexes.
func statusPred(list []ledger.Status) []pred {
	if len(list) == len(ledger.Statuses) {
		return nil
	}
	p := in("status", list)
	if slices.Equal(list, ledger.Active) {
		p.sqlText, p.wants = text(activeHalf), ""
	}
	return []pred{p}
}

// estimate reads the counters, sets how many findings meet each condition and all of them, and tells the total when they know it.
func (b *Browser) estimate(ctx context.Context, q *question, s scope, f Filter) (Total, error) {
	var err error
	q.matches = q.world.matching(f).sum()
	if s.whole() {
		here := q.here
		if s.all && len(s.removed) > 0 {
			if here, err = b.matrix(ctx, s, nil); err != nil {
				return unknown, err
			}
		} else if s.all {
			here = q.world
		}
		q.matches = here.matching(f).sum()
	}
	exact, err := b.exact(ctx, q, s, f)
	if err != nil || exact.known() {
		if exact.known() {
			q.matches = exact.N
		}
		return exact, err
	}
	all := max(1, q.world.sum())
	for i := range q.preds {
		p := &q.preds[i]
		if p.rows < 0 && p.wants != "target_id" && !slices.Contains(counted, p.column) {
			if p.rows, err = b.probe(ctx, q, p); err != nil {
				return unknown, err
			}
		}
		if p.rows >= 0 {
			q.matches = int(float64(q.matches) * min(1, float64(p.rows)/float64(all)))
		}
	}
	q.offer()
	return unknown, nil
}

// exact tells the total from the counters, when the filter asks for nothing that they do not know.
func (b *Browser) exact(ctx context.Context, q *question, s scope, f Filter) (Total, error) {
	plain := f
	plain.Targets, plain.Kinds, plain.Severities, plain.Statuses, plain.Namespaces, plain.Rule = nil, nil, nil, nil, nil, ""
	if !s.whole() || len(plain.preds()) > 0 || plain.Asset != 0 || plain.Digest+plain.Node+plain.Workload+plain.Framework+plain.Fingerprint+plain.Q != "" {
		return unknown, nil
	}
	switch {
	case f.Rule == "" && len(f.Namespaces) == 0:
		return Total{N: q.matches}, nil
	case f.Rule == "" && len(s.removed) == 0:
		m, err := b.matrix(ctx, s, f.Namespaces)
		n := m.matching(f).sum()
		q.pred("namespace").rows = n
		return Total{N: n}, err
	case f.Rule != "" && len(f.Namespaces)+len(f.Severities) == 0 && q.active && !q.ended && len(f.Statuses) == len(ledger.Active):
		t := text("SELECT coalesce(sum(active), 0) FROM risk_counts WHERE rule = ? AND target_id ", f.Rule)
		if s.all {
			t.add("= 0")
		} else {
			t.add("IN (?)", bun.List(s.targets))
		}
		if len(f.Kinds) > 0 {
			t.add(" AND kind IN (?)", bun.List(f.Kinds))
		}
		if len(s.removed) > 0 {
			return unknown, nil
		}
		n, err := column[int](ctx, b, t)
		if err != nil || len(n) == 0 {
			return unknown, err
		}
		q.pred("rule").rows = n[0]
		return Total{N: n[0]}, nil
	}
	return unknown, nil
}

// probes name the index that tells how many findings meet a condition on a column, and the columns before that one.
var probes = map[string]struct {
	index, only string
	kinds       bool
	severities  bool
	ranges      bool
	halves      bool
}{
	"rule":         {index: "findings_rule"},
	"package":      {index: "findings_kind_package", kinds: true, halves: true},
	"image":        {index: "findings_kind_image", kinds: true, halves: true},
	"namespace":    {index: "findings_kind_namespace", kinds: true, severities: true, halves: true},
	"first_seen":   {index: "findings_kind_first", kinds: true, halves: true, ranges: true},
	"changed_at":   {index: "findings_kind_changed", kinds: true, halves: true, ranges: true},
	"priority":     {index: "findings_severity", severities: true, halves: true, ranges: true},
	"assignee_id":  {index: "findings_assignee"},
	"exception_id": {index: "findings_exception"},
}

// probeTo bounds how many entries are counted for a condition.
const (
	probeTo = 2000
	rangeTo = 20_000 // of times and priorities: the next best way may be much worse
)

// probe counts, up to a bound, how many findings meet a condition; what is beyond the bound is taken for one in twenty.
func (b *Browser) probe(ctx context.Context, q *question, p *pred) (int, error) {
	how, ok := probes[p.wants]
	all := q.world.sum()
	switch {
	case p.wants == "kev" && !strings.HasPrefix(p.text, "NOT"):
		return all / 50, nil
	case p.wants == "fixable":
		return all / 3, nil
	case !ok:
		return -1, nil
	}
	to := probeTo
	if how.ranges {
		to = rangeTo
	}
	stmt, sep := text("SELECT "), ""
	halves := []string{""}
	if how.halves {
		halves = q.halves()
	}
	for _, half := range halves {
		arms := []arm{{}}
		var by []string
		if how.kinds {
			by = append(by, "kind")
		}
		if how.severities {
			by = append(by, "severity")
		}
		if len(by) > 0 {
			arms = q.split(by, half)
		}
		for _, a := range arms {
			stmt.add(sep + "(SELECT count(*) FROM (SELECT 1 FROM findings AS f ")
			if q.sqlite {
				stmt.add("INDEXED BY " + how.index + suffix(half))
			}
			stmt.add(" WHERE ")
			if half != "" {
				stmt.add(half + " AND ")
			}
			for c, k := range a.fixed {
				stmt.add("f."+c+" = ? AND ", k)
			}
			stmt.append(p.sqlText)
			stmt.add(" LIMIT ?) AS c)", to/max(1, len(arms))+1)
			sep = " + "
		}
	}
	if sep == "" {
		return 0, nil
	}
	n, err := column[int](ctx, b, stmt)
	if err != nil || len(n) == 0 {
		return -1, err
	}
	if n[0] > to/2 {
		return max(n[0], all/20), nil
	}
	return n[0], nil
}

// offer adds the sources that are more than the first columns of one index: ranges, and what is known to be exploited.
func (q *question) offer() {
	for column, by := range map[string]string{"first_seen": "kind", "changed_at": "kind", "priority": "severity"} {
		i := slices.IndexFunc(q.preds, func(p pred) bool { return p.wants == column && p.rows >= 0 })
		if i < 0 {
			continue
		}
		src := source{name: column, rows: q.preds[i].rows}
		for _, half := range q.halves() {
			for _, a := range q.split([]string{by}, half) {
				a.from, a.where = q.table(probes[column].index+suffix(half)), []sqlText{text(half)}
				src.arms = append(src.arms, a)
			}
		}
		if len(src.arms) > 0 {
			q.sources = append(q.sources, src)
		}
	}
	if i := slices.IndexFunc(q.preds, func(p pred) bool { return p.text == "f.kev" }); i >= 0 {
		// A third: the index has all that a sort needs, the table is not read.
		q.sources = append(q.sources, source{name: "kev", arms: []arm{{from: q.table("findings_kev"), where: []sqlText{text("f.kev")}}}, rows: q.preds[i].rows / 3})
	}
}

// specialise finds out which kinds, severities and statuses can have what is asked for at all: a walk need not look into the
// others, where it would not find anything before their end.
func (b *Browser) specialise(ctx context.Context, q *question, s scope, f Filter) error {
	q.present = append(matrix{}, q.world.matching(f)...)
	if s.whole() && !s.all {
		m, err := b.matrix(ctx, s, nil)
		if err != nil {
			return err
		}
		q.here = m
		q.present = append(matrix{}, m.matching(f)...)
	}
	switch {
	case f.Rule != "":
		stmt, sep := text(""), ""
		kinds, err := column[ledger.Kind](ctx, b, text("SELECT kind FROM risks WHERE rule = ?", f.Rule))
		if err != nil {
			return err
		}
		for severity := range ledger.Severity(5) {
			stmt.add(sep+"SELECT ? AS severity WHERE EXISTS (SELECT 1 FROM "+q.table("findings_rule")+" WHERE f.rule = ? AND f.severity = ?)", int(severity), f.Rule, int(severity))
			sep = " UNION ALL "
		}
		severities, err := column[ledger.Severity](ctx, b, stmt)
		if err != nil {
			return err
		}
		q.present = slices.DeleteFunc(q.present, func(c cell) bool {
			return !slices.Contains(kinds, c.kind) || !slices.Contains(severities, c.severity)
		})
	case len(f.Namespaces) > 0 && s.whole() && len(s.removed) == 0:
		m, err := b.matrix(ctx, s, f.Namespaces)
		if err != nil {
			return err
		}
		q.present = append(matrix{}, m.matching(f)...)
	}
	return nil
}
