package browse

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
)

// A word may mean risks, assets, packages or namespaces, and neither walking nor gathering is good for all of them at once: packages
// may be common and the assets rare. A page of what has one or the other is the merge of a page of the one and a page of the other,
// each found in its own best way, and kind by kind, since what is common in one kind is not there in another.

// term is a word of the search with all that it may mean.
type term struct {
	at       int // of its condition in the question's
	source   string
	meanings []meaning
}

// meaning is one of the things that a word may mean.
type meaning struct {
	pred   pred
	source source
	kinds  map[ledger.Kind]int      // how many active findings it has of which kinds, 0 for unknown; nil for all kinds
	byKind map[ledger.Kind][]string // rules, of risks
	rules  []string                 // all that have what is meant, when they are known
	packs  []string                 // likewise packages
	weight int
}

// dear is the cost from which on the meanings of a word are looked for one by one.
const dear = 3000

// mergeable reports whether the question is better taken apart than asked by the plan.
func (q *question) mergeable(p plan) bool {
	return len(q.terms) > 0 && p.cost > q.dear
}

// merged finds the rows of a page meaning by meaning.
func (b *Browser) merged(ctx context.Context, q *question) ([]hit, error) {
	least := q.terms[0]
	for _, t := range q.terms {
		if q.preds[t.at].rows < q.preds[least.at].rows {
			least = t
		}
	}
	var hits []hit
	for _, m := range least.meanings {
		for _, sub := range q.apart(least, m) {
			if err := b.severities(ctx, sub, m); err != nil {
				return nil, err
			}
			list, err := b.ranged(ctx, sub, m)
			if err != nil {
				return nil, err
			}
			hits = append(hits, list...)
		}
	}
	slices.SortFunc(hits, func(x, y hit) int { return q.order.compare(x.key, y.key) })
	hits = slices.CompactFunc(hits, func(x, y hit) bool { return x.id == y.id })
	return hits[:min(len(hits), q.limit)], nil
}

// apart makes the questions for one meaning of a term, one for each kind.
func (q *question) apart(t term, m meaning) []*question {
	sub := *q
	sub.terms, sub.weight = nil, m.weight
	sub.sources = slices.DeleteFunc(slices.Clone(q.sources), func(s source) bool { return s.name == t.source })
	sub.sources = append(sub.sources, m.source)
	sub.preds = slices.Delete(slices.Clone(q.preds), t.at, t.at+1)
	sub.preds = slices.DeleteFunc(sub.preds, func(p pred) bool { return p.column == "kind" })
	if m.pred.column != "" && sub.pred(m.pred.column) != nil {
		m.pred.column = "" // the filter has a condition on it
	}
	sub.preds = append(sub.preds, m.pred)
	sub.matches = int(float64(q.matches) * min(1, float64(m.pred.rows)/float64(max(1, q.preds[t.at].rows))))
	kinds := map[ledger.Kind]int{}
	for _, c := range q.present {
		kinds[c.kind] += max(0, c.n)
	}
	total, all := 0, max(1, q.present.sum())
	for _, n := range m.kinds {
		total += n
	}
	var out []*question
	for k, n := range kinds {
		share := float64(n) / float64(all)
		if m.kinds != nil {
			if _, ok := m.kinds[k]; !ok {
				continue
			}
			if total > 0 {
				share = float64(m.kinds[k]) / float64(total)
			}
		}
		of := sub
		of.preds = append(slices.Clone(sub.preds), in("kind", []ledger.Kind{k}))
		last := &of.preds[len(of.preds)-2] // the meaning
		last.rows = int(float64(last.rows)*share) + 1
		of.sources = slices.Clone(sub.sources)
		if !q.ended {
			of.sources[len(of.sources)-1].rows = min(m.source.rows, 3*last.rows+m.source.rows/10)
		}
		of.matches = int(float64(sub.matches)*share) + 1
		of.present = slices.DeleteFunc(slices.Clone(q.present), func(c cell) bool { return c.kind != k })
		of.kind = k
		out = append(out, &of)
	}
	return out
}

// severities leaves out those that the risks of a meaning have no findings of.
func (b *Browser) severities(ctx context.Context, q *question, m meaning) error {
	rules := m.byKind[q.kind]
	if len(rules) == 0 {
		return nil
	}
	var seen []ledger.Severity
	for _, c := range q.present {
		if !slices.Contains(seen, c.severity) {
			seen = append(seen, c.severity)
		}
	}
	stmt, sep := text(""), ""
	for _, s := range seen {
		stmt.add(sep+"SELECT ? AS severity WHERE EXISTS (SELECT 1 FROM "+q.table("findings_rule")+" WHERE f.rule IN (?) AND f.severity = ?)", int(s), bun.List(rules), int(s))
		sep = " UNION ALL "
	}
	list, err := column[ledger.Severity](ctx, b, stmt)
	q.present = slices.DeleteFunc(q.present, func(c cell) bool { return !slices.Contains(list, c.severity) })
	return err
}

// ranged finds the rows of a page of one meaning. Where the sort is by a column of which all values are known that can have it,
// it goes from value to value.
func (b *Browser) ranged(ctx context.Context, q *question, m meaning) ([]hit, error) {
	p, ok := q.choose()
	head := q.order.keys[0]
	values := slices.Clone(map[string][]string{"rule": m.rules, "package": m.packs}[head])
	rest := q.preds
	if i := slices.IndexFunc(rest, func(p pred) bool { return p.column == head }); i >= 0 {
		if rest[i].text != m.pred.text { // the filter's: there is one value only
			values = nil
		} else {
			rest = slices.Delete(slices.Clone(rest), i, i+1)
		}
	}
	if len(values) == 0 || ok && p.cost <= q.dear {
		return b.run(ctx, q, p)
	}
	slices.Sort(values)
	if q.order.desc {
		slices.Reverse(values)
	}
	if q.after != nil {
		values = slices.DeleteFunc(values, func(v string) bool { return q.order.compare([]any{v}, q.after[:1]) < 0 })
	}
	var hits []hit
	for n, all := 4, len(values); len(values) > 0; n *= 2 {
		chunk := values[:min(n, len(values))]
		values = values[len(chunk):]
		sub := *q
		sub.limit = q.limit - len(hits)
		share := float64(len(chunk)) / float64(max(1, all))
		some := in(head, chunk)
		some.rows = int(float64(max(q.matches, 1))*share) + len(chunk)
		sub.preds, sub.matches = append(slices.Clone(rest), some), some.rows
		p, _ := sub.choose()
		list, err := b.run(ctx, &sub, p)
		if err != nil {
			return nil, err
		}
		if hits = append(hits, list...); len(hits) >= q.limit {
			break
		}
	}
	return hits, nil
}
