package browse

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
)

// Summary is what a list of clusters tells of one beside how it is reached.
type Summary struct {
	Whole      bool // false: only of the namespaces that may be seen
	Active     int
	Kinds      map[ledger.Kind]map[ledger.Severity]int
	Severities map[ledger.Severity]int
	KEV        int
	Gaps       map[string]int
	Assets     map[ledger.AssetKind]int // namespaces, workloads, images and nodes that are there; nil when only parts may be seen
	Score      int
}

// maxSummaries bounds how many targets are summed up at once.
const maxSummaries = 500

// Summaries sums targets up.
func (b *Browser) Summaries(ctx context.Context, v identity.Visible, targets []int64) (map[int64]*Summary, error) {
	out := map[int64]*Summary{}
	var whole []int64
	for _, t := range targets[:min(len(targets), maxSummaries)] {
		switch {
		case v.Whole(t):
			whole = append(whole, t)
		case v.Sees(t):
			o, err := b.Overview(ctx, identity.Visible{Namespaces: map[int64][]string{t: v.Namespaces[t]}}, OverviewFilter{Targets: []int64{t}, Brief: true})
			if err != nil {
				return nil, err
			}
			out[t] = &Summary{Active: o.Active, Kinds: o.Kinds, Severities: o.Severities, KEV: o.KEV, Gaps: o.Coverage.Gaps, Score: o.Score.Value}
		}
	}
	if len(whole) == 0 {
		return out, nil
	}
	known, err := b.targetsOf(ctx, whole)
	if err != nil {
		return nil, err
	}
	overviews, err := b.countWhole(ctx, whole)
	if err != nil {
		return nil, err
	}
	assets, err := b.assetsOf(ctx, whole)
	if err != nil {
		return nil, err
	}
	for _, t := range whole {
		o := overviews[t]
		o.Coverage.Targets = 1
		o.Coverage.look(known[t], b.now())
		out[t] = &Summary{Whole: true, Active: o.Active, Kinds: o.Kinds, Severities: o.Severities, KEV: o.KEV, Gaps: o.Coverage.Gaps, Assets: assets[t], Score: standingOf(o).score().Value}
	}
	return out, nil
}

// countWhole reads the counters of whole targets, each for itself.
func (b *Browser) countWhole(ctx context.Context, targets []int64) (map[int64]*Overview, error) {
	out := map[int64]*Overview{}
	for _, t := range targets {
		out[t] = &Overview{Kinds: map[ledger.Kind]map[ledger.Severity]int{}, Severities: map[ledger.Severity]int{}, Statuses: map[ledger.Status]int{}, Coverage: Coverage{Gaps: map[string]int{}}}
	}
	err := b.query(ctx, text("SELECT target_id, kind, severity, status, n FROM counts WHERE target_id IN (?) AND namespace = '*'", bun.List(targets)), func(scan func(...any) error) error {
		var t int64
		var c cell
		err := scan(&t, &c.kind, &c.severity, &c.status, &c.n)
		if err == nil {
			out[t].count(matrix{c})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = b.query(ctx, text("SELECT target_id, sum(active) FROM risk_counts WHERE target_id IN (?) AND active > 0 AND risk_id IN (SELECT id FROM risks WHERE kev) GROUP BY target_id", bun.List(targets)),
		func(scan func(...any) error) error {
			var t int64
			var n int
			err := scan(&t, &n)
			if err == nil {
				out[t].KEV = n
			}
			return err
		})
	if err != nil {
		return nil, err
	}
	return out, b.query(ctx, text("SELECT target_id, code, count(*) FROM gaps WHERE target_id IN (?) GROUP BY target_id, code", bun.List(targets)), func(scan func(...any) error) error {
		var t int64
		var code string
		var n int
		err := scan(&t, &code, &n)
		if err == nil {
			out[t].Coverage.Gaps[code] = n
		}
		return err
	})
}

// assetsOf counts what there is of each kind.
func (b *Browser) assetsOf(ctx context.Context, targets []int64) (map[int64]map[ledger.AssetKind]int, error) {
	kinds := []ledger.AssetKind{ledger.AssetNamespace, ledger.AssetWorkload, ledger.AssetImage, ledger.AssetNode}
	out := map[int64]map[ledger.AssetKind]int{}
	err := b.query(ctx, text("SELECT target_id, kind, count(*) FROM assets WHERE kind IN (?) AND target_id IN (?) AND gone_at = 0 GROUP BY target_id, kind", bun.List(kinds), bun.List(targets)),
		func(scan func(...any) error) error {
			var t int64
			var k ledger.AssetKind
			var n int
			if err := scan(&t, &k, &n); err != nil {
				return err
			}
			if out[t] == nil {
				out[t] = map[ledger.AssetKind]int{}
			}
			if slices.Contains(kinds, k) {
				out[t][k] = n
			}
			return nil
		})
	return out, err
}
