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
	kinds  []ledger.Kind           // that it has; nil for all
	risks  map[ledger.Kind]meaning // of risks: what it means in which kind
	rules  []string                // all that have what is meant, when they are known
	packs  []string                // likewise packages
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
		for _, part := range q.cheaper(least, m) {
			if err := b.severities(ctx, part); err != nil {
				return nil, err
			}
			list, err := b.ranged(ctx, part)
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

// aspect is the question for one meaning of a word, or for what that means in one kind.
type aspect struct {
	question
	meaning meaning
}

// cheaper takes a meaning kind by kind where that is cheaper, or where more is known of the kinds.
func (q *question) cheaper(t term, m meaning) []*aspect {
	parts := q.apart(t, m)
	if m.risks != nil {
		return parts
	}
	whole, cost := q.about(t, m), 0
	for _, a := range parts {
		p, _ := a.choose()
		cost += p.cost
	}
	if p, ok := whole.choose(); ok && p.cost <= cost {
		return []*aspect{whole}
	}
	return parts
}

// about is the question for one meaning of a term.
func (q *question) about(t term, m meaning) *aspect {
	a := &aspect{*q, m}
	a.terms, a.weight = nil, m.weight
	a.sources = slices.DeleteFunc(slices.Clone(q.sources), func(s source) bool { return s.name == t.source })
	a.sources = append(a.sources, m.source)
	a.preds = slices.Delete(slices.Clone(q.preds), t.at, t.at+1)
	if m.pred.column != "" && a.pred(m.pred.column) != nil {
		m.pred.column = "" // the filter has a condition on it
	}
	a.preds = append(a.preds, m.pred)
	a.matches = int(float64(q.matches)*min(1, float64(m.pred.rows)/float64(max(1, q.preds[t.at].rows)))) + 1
	return a
}

// apart makes the questions for one meaning of a term, one for each kind.
func (q *question) apart(t term, m meaning) []*aspect {
	kinds, all := map[ledger.Kind]int{}, 0
	for _, c := range q.present {
		if m.kinds == nil || slices.Contains(m.kinds, c.kind) {
			kinds[c.kind] += max(0, c.n)
			all += max(0, c.n)
		}
	}
	var out []*aspect
	for _, k := range ledger.Kinds {
		n, ok := kinds[k]
		if !ok {
			continue
		}
		of := m
		if m.risks != nil {
			of = m.risks[k]
		} else {
			of.pred.rows = int(float64(m.pred.rows)*float64(n)/float64(max(1, all))) + 1
		}
		a := q.about(t, of)
		a.preds = append(slices.DeleteFunc(a.preds, func(p pred) bool { return p.column == "kind" }), in("kind", []ledger.Kind{k}))
		a.present = slices.DeleteFunc(slices.Clone(q.present), func(c cell) bool { return c.kind != k })
		out = append(out, a)
	}
	return out
}

// severities leaves out those that the risks of a meaning have no findings of.
func (b *Browser) severities(ctx context.Context, q *aspect) error {
	rules := q.meaning.rules
	if q.meaning.pred.wants != "risk_id" {
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
func (b *Browser) ranged(ctx context.Context, q *aspect) ([]hit, error) {
	p, ok := q.choose()
	m := q.meaning
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
		return b.run(ctx, &q.question, p)
	}
	slices.Sort(values)
	if head == "rule" && m.pred.wants == "risk_id" { // the rule of a kind is the risk
		rest = slices.DeleteFunc(slices.Clone(rest), func(p pred) bool { return p.wants == "risk_id" && p.text == m.pred.text })
	}
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
		sub := q.question
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
