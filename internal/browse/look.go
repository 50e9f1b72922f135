package browse

import (
	"cmp"
	"slices"

	"stockade.dev/stockade/internal/ledger"
)

// Counts and groups of any filter cannot be had from counters. They are made of a bounded look: at most lookTo findings of the
// narrowest range that the filter selects, the worst first where the range is wider. Who asks is told when there was more.
const lookTo = 10_000

// look is a range of findings to count in.
type look struct {
	arms    []arm
	preds   []pred // that the ranges of the index hold
	rows    int
	ordered bool // walks the order of priority
}

// narrowest finds the ranges with the fewest findings that hold all that is asked for. The question's order is the default one.
func (q *question) narrowest() look {
	var gather, walk look
	take := func(into *look, l look) {
		if into.arms == nil || l.rows < into.rows {
			*into = l
		}
	}
	for _, s := range q.sources {
		l := look{arms: s.arms, rows: s.rows}
		for _, p := range q.preds {
			if p.wants == s.name && p.column == "" {
				l.preds = append(l.preds, p)
			}
		}
		take(&gather, l)
	}
	for _, ix := range indexes {
		for n := range len(ix.columns) {
			if s, ok := q.gathered(ix, n); ok {
				l := look{arms: s.arms, rows: s.rows}
				for _, c := range ix.columns[:n] {
					if p := q.pred(c); p != nil {
						l.preds = append(l.preds, *p)
					}
				}
				take(&gather, l)
			}
			if !q.ordered(ix, n) {
				continue
			}
			if s, ok := q.source(ix, n); ok {
				take(&walk, look{arms: s.arms, rows: s.rows, ordered: true})
			}
		}
	}
	if walk.arms == nil || gather.arms != nil && (gather.rows <= lookTo || 4*gather.rows < walk.rows) {
		return gather
	}
	slices.SortStableFunc(walk.arms, func(x, y arm) int { return cmp.Compare(severityIn(y), severityIn(x)) })
	return walk
}

func severityIn(a arm) int {
	switch v := a.fixed["severity"].(type) {
	case int:
		return v
	case ledger.Severity:
		return int(v)
	}
	return -1
}

// looking is the beginning of a statement: the tables s, ids of the findings that are looked at, and r, those of them that meet the
// whole question, with some columns of f.
func (q *question) looking(columns string) (stmt sqlText, walk bool) {
	l := q.narrowest()
	stmt = text("WITH s AS MATERIALIZED (SELECT id FROM (")
	for i, a := range l.arms {
		switch {
		case i > 0 && l.ordered:
			stmt.add(" UNION ALL ")
		case i > 0:
			stmt.add(" UNION ") // ranges of different conditions overlap
		}
		stmt.append(l.arm(a))
	}
	if len(l.arms) == 0 {
		stmt.add("SELECT 0 AS id WHERE 1 = 0")
	}
	stmt.add(") AS a LIMIT ?), r AS MATERIALIZED (SELECT "+columns+" FROM s CROSS JOIN findings AS f WHERE f.id = s.id", lookTo+1)
	for _, p := range q.preds {
		stmt.add(" AND ")
		stmt.append(p.sqlText)
	}
	stmt.add(") ")
	return stmt, l.ordered
}

func (l look) arm(a arm) sqlText {
	out := text("SELECT id FROM (SELECT f.id FROM " + a.from)
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
	for _, p := range l.preds {
		if _, fixed := a.fixed[p.column]; !fixed || p.column == "" {
			put(p.sqlText)
		}
	}
	if l.ordered {
		out.add(" ORDER BY f.priority DESC, f.id DESC")
	}
	out.add(" LIMIT ?) AS b", lookTo+1)
	return out
}
