package browse

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
)

// scope is where a question may look: all targets, some, and of others some namespaces.
type scope struct {
	all     bool
	targets []int64 // whole ones; with all unset
	parts   []part
	removed []int64 // targets that are not there any more
}

// part is some namespaces of a target, with the images that run in them.
type part struct {
	target     int64
	namespaces []string
	images     []int64 // assets
}

// maxImages bounds the images of namespaces that one statement names.
const maxImages = 20_000

// scope joins what is visible with the targets that are asked for; targets nil asks for all.
func (b *Browser) scope(ctx context.Context, v identity.Visible, targets []int64) (scope, error) {
	var s scope
	removed, err := column[int64](ctx, b, text("SELECT id FROM targets WHERE removed_at <> 0"))
	if err != nil {
		return s, err
	}
	asked := func(t int64) bool {
		return (len(targets) == 0 || slices.Contains(targets, t)) && !slices.Contains(removed, t)
	}
	if v.All && len(targets) == 0 {
		return scope{all: true, removed: removed}, nil
	}
	if v.All {
		v.Targets = targets
	}
	for _, t := range v.Targets {
		if asked(t) && !slices.Contains(s.targets, t) {
			s.targets = append(s.targets, t)
		}
	}
	for t, namespaces := range v.Namespaces {
		if v.All || !asked(t) || len(namespaces) == 0 || slices.Contains(s.targets, t) {
			continue
		}
		p := part{target: t, namespaces: set(namespaces)}
		if p.images, err = b.imagesOf(ctx, t, p.namespaces); err != nil {
			return s, err
		}
		s.parts = append(s.parts, p)
	}
	slices.Sort(s.targets)
	slices.SortFunc(s.parts, func(a, b part) int { return int(a.target - b.target) })
	return s, nil
}

// nothing reports whether nothing at all is in the scope.
func (s scope) nothing() bool { return !s.all && len(s.targets) == 0 && len(s.parts) == 0 }

// whole reports whether the scope consists of whole targets, so that their counters hold for it.
func (s scope) whole() bool { return len(s.parts) == 0 }

// ids lists the targets of which anything is in the scope; nil for all.
func (s scope) ids() []int64 {
	if s.all {
		return nil
	}
	out := slices.Clone(s.targets)
	for _, p := range s.parts {
		out = append(out, p.target)
	}
	slices.Sort(out)
	return out
}

// sees reports whether a row is in the scope.
func (s scope) sees(r *ledger.Row) bool {
	if s.all {
		return !slices.Contains(s.removed, r.TargetID)
	}
	return slices.Contains(s.targets, r.TargetID) || slices.ContainsFunc(s.parts, func(p part) bool {
		return p.target == r.TargetID && (slices.Contains(p.namespaces, r.Namespace) || slices.Contains(p.images, r.AssetID))
	})
}

// preds are the conditions of the scope on findings.
func (s scope) preds() []pred {
	switch {
	case s.all && len(s.removed) == 0:
		return nil
	case s.all:
		return []pred{{wants: "target_id", rows: -1, sqlText: text("f.target_id NOT IN (?)", bun.List(s.removed))}}
	case s.whole():
		return []pred{in("target_id", s.targets)}
	}
	p := pred{wants: "asset_id", rows: -1, parts: true, sqlText: text("(")}
	if len(s.targets) > 0 {
		p.add("f.target_id IN (?) OR ", bun.List(s.targets))
	}
	for i, a := range s.parts {
		if i > 0 {
			p.add(" OR ")
		}
		p.add("f.target_id = ? AND (f.namespace IN (?)", a.target, bun.List(a.namespaces))
		if len(a.images) > 0 {
			p.add(" OR f.asset_id IN (?)", bun.List(a.images))
		}
		p.add(")")
	}
	p.add(")")
	return []pred{p}
}

// targetsOf reads targets; ids nil reads all that are there.
func (b *Browser) targetsOf(ctx context.Context, ids []int64) (map[int64]ledger.Target, error) {
	var list []ledger.Target
	q := b.db.R.NewSelect().Model(&list)
	if ids == nil {
		q = q.Where("removed_at = 0")
	} else if len(ids) == 0 {
		return nil, nil
	} else {
		q = q.Where("id IN (?)", bun.List(ids))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, err
	}
	out := make(map[int64]ledger.Target, len(list))
	for _, t := range list {
		out[t.ID] = t
	}
	return out, nil
}
