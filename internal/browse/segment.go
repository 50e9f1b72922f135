package browse

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/ledger"
)

// Two sorts are by what only the target knows: its name, and when it was last looked at. They go from target to target in that
// order, and walk the findings of each until the page is full.

// segmentCost is what going from target to target costs.
func (q *question) segmentCost() int {
	all := max(1, q.world.sum())
	read := float64(q.limit) * float64(all) / float64(max(1, q.matches))
	return 10*opening + int(min(read, float64(all)))*lookup
}

// segments finds the rows of a page target by target.
func (b *Browser) segments(ctx context.Context, q *question) ([]hit, error) {
	targets, err := b.targetsOf(ctx, q.targets)
	if err != nil {
		return nil, err
	}
	var hits []hit
	if q.order.keys[0] == "seen" {
		if hits, err = b.explicit(ctx, q); err != nil {
			return nil, err
		}
	}
	if q.order.keys[0] == "seen" && q.stamped() {
		return hits, nil
	}
	found := 0
	q.shares = len(targets)
	for _, t := range q.arrange(targets) {
		sub := q.of(t)
		if sub == nil {
			continue
		}
		sub.limit = q.limit - found
		p, _ := sub.choose()
		list, err := b.run(ctx, sub, p)
		if err != nil {
			return nil, err
		}
		for _, h := range list {
			h.key = append([]any{q.head(t), t.ID}, h.key...)
			hits = append(hits, h)
		}
		if found += len(list); found >= q.limit {
			break
		}
	}
	slices.SortFunc(hits, func(x, y hit) int { return q.order.compare(x.key, y.key) })
	return hits[:min(len(hits), q.limit)], nil
}

// stamped reports whether all that is asked for has a time of its own: what is fixed, gone or could not be looked at has.
func (q *question) stamped() bool {
	p := q.pred("status")
	return p != nil && !slices.ContainsFunc(p.values, func(v any) bool {
		return v != ledger.StatusFixed && v != ledger.StatusGone && v != ledger.StatusUnseen
	})
}

// arrange puts targets into the order of the sort.
func (q *question) arrange(targets map[int64]ledger.Target) []ledger.Target {
	list := make([]ledger.Target, 0, len(targets))
	for _, t := range targets {
		if t.RemovedAt.IsZero() {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(x, y ledger.Target) int {
		return q.order.compare([]any{q.head(x), x.ID}, []any{q.head(y), y.ID})
	})
	return list
}

// head is what the sort goes by first.
func (q *question) head(t ledger.Target) any {
	if q.order.keys[0] == "cluster" {
		return t.Name
	}
	return millis(t.LookedAt)
}

// of is the question within a target; nil when the page before ended behind it.
func (q *question) of(t ledger.Target) *question {
	sub := *q
	// What a target has is taken for an even share of everything.
	share := max(1, q.shares)
	sub.targets, sub.here, sub.matches = nil, slices.Clone(q.world), q.matches/share
	for i := range sub.here {
		if sub.here[i].n > 0 {
			sub.here[i].n = sub.here[i].n/share + 1
		}
	}
	sub.order.keys = q.order.keys[2:]
	sub.after = nil
	if q.after != nil {
		c := q.order.compare([]any{q.head(t), t.ID}, q.after[:2])
		if c < 0 {
			return nil
		}
		if c == 0 {
			sub.after = q.after[2:]
		}
	}
	sub.preds = slices.DeleteFunc(slices.Clone(q.preds), func(p pred) bool { return p.wants == "target_id" })
	sub.preds = append(sub.preds, in("target_id", []int64{t.ID}))
	if q.order.keys[0] == "seen" {
		sub.preds = append(sub.preds, pred{wants: "", rows: -1, sqlText: text("f.last_seen = 0")})
	}
	sub.sources = nil
	return &sub
}

// explicit finds rows that have a time of their own.
func (b *Browser) explicit(ctx context.Context, q *question) ([]hit, error) {
	var arms []sqlText
	for _, status := range ledger.Statuses { // an arm each: most have none
		if p := q.pred("status"); p != nil && !slices.Contains(p.values, any(status)) {
			continue
		}
		stmt := text("SELECT f.id AS id, f.last_seen AS k0, f.target_id AS k1, f.first_seen AS k2, f.id AS k3 FROM "+q.table("findings_seen")+" WHERE f.last_seen <> 0 AND f.status = ?", int(status))
		for _, p := range q.preds {
			if p.column != "status" {
				stmt.add(" AND ")
				stmt.append(p.sqlText)
			}
		}
		if q.after != nil {
			stmt.add(" AND ")
			stmt.append(q.order.behind([]string{"f.last_seen", "f.target_id", "f.first_seen", "f.id"}, q.after))
		}
		arms = append(arms, stmt)
	}
	var out []hit
	err := b.told(ctx, true, q.joined(arms), func(scan func(...any) error) error {
		var id, at, target, first, last int64
		if err := scan(&id, &at, &target, &first, &last); err != nil {
			return err
		}
		out = append(out, hit{id: id, key: []any{at, target, first, last}})
		return nil
	})
	return out, err
}

// compare orders keys of the sort, each part a number or a text.
func (o order) compare(a, b []any) int {
	for i := range min(len(a), len(b)) {
		c := 0
		if s, ok := a[i].(string); ok {
			c = strings.Compare(s, b[i].(string))
		} else {
			c = cmp.Compare(a[i].(int64), b[i].(int64))
		}
		if c != 0 {
			if o.desc {
				return -c
			}
			return c
		}
	}
	return 0
}
