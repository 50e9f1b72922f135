package browse

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
)

// maxAssets bounds the assets that a condition names.
const maxAssets = 2000

// resolve turns the conditions that other tables answer into lists of assets, rules and fingerprints. found is false when nothing
// can meet them; cut says that a list was cut to what a statement bears.
func (b *Browser) resolve(ctx context.Context, q *question, s scope, f Filter) (found, cut bool, err error) {
	var lists [][]int64
	asset := func(stmt sqlText) error {
		ids, err := column[int64](ctx, b, stmt)
		lists = append(lists, ids)
		cut = cut || len(ids) > maxAssets
		return err
	}
	if f.Asset != 0 {
		ids, err := b.ofAsset(ctx, q, f.Asset)
		if err != nil || ids == nil {
			return false, false, err
		}
		if len(ids) > 0 {
			lists = append(lists, ids)
		}
	}
	if f.Node != "" {
		if err := asset(text("SELECT id FROM assets WHERE kind = ? AND name = ? LIMIT ?", int(ledger.AssetNode), f.Node, maxAssets+1)); err != nil {
			return false, false, err
		}
	}
	if f.Workload != "" {
		if err := asset(text("SELECT id FROM assets WHERE kind = ? AND name = ? UNION SELECT u.image_id FROM assets AS a JOIN asset_uses AS u ON u.workload_id = a.id WHERE a.kind = ? AND a.name = ? LIMIT ?",
			int(ledger.AssetWorkload), f.Workload, int(ledger.AssetWorkload), f.Workload, maxAssets+1)); err != nil {
			return false, false, err
		}
	}
	if f.Digest != "" {
		if err := asset(text("SELECT id FROM assets WHERE digest = ? AND digest <> '' LIMIT ?", f.Digest, maxAssets+1)); err != nil {
			return false, false, err
		}
	}
	for _, ids := range lists {
		if len(ids) == 0 {
			return false, false, nil
		}
		p := in("asset_id", ids)
		if p.rows, err = b.onAssets(ctx, ids); err != nil {
			return false, false, err
		}
		if q.ended {
			p.rows = 2*p.rows + 10*len(ids)
		}
		q.preds = append(q.preds, p)
	}
	if f.Fingerprint != "" {
		q.single(f)
	}
	if f.Framework != "" {
		if found, err := b.failing(ctx, q, s, f); err != nil || !found {
			return false, false, err
		}
	}
	if err := b.within(ctx, q, s); err != nil {
		return false, false, err
	}
	if f.Q != "" {
		found, more, err := b.words(ctx, q, f.Q)
		return found, cut || more, err
	}
	return true, cut, nil
}

// single is the condition of one fingerprint in the targets of the filter.
func (q *question) single(f Filter) {
	print, _ := hex.DecodeString(f.Fingerprint) // checked before
	cond := text("f.target_id IN (?) AND f.fingerprint = ?", bun.List(f.Targets), print)
	q.preds = append(q.preds, pred{wants: "fingerprint", rows: len(f.Targets), sqlText: cond})
	q.sources = append(q.sources, source{name: "fingerprints", rows: len(f.Targets), arms: []arm{{from: q.table("findings_fingerprint"), where: []sqlText{cond}}}})
}

// ofAsset lists the assets whose findings are those of an asset: of a workload also the images that it runs. For a
// namespace it adds the condition itself and lists none; nil is no such asset.
func (b *Browser) ofAsset(ctx context.Context, q *question, id int64) ([]int64, error) {
	list, err := b.assets(ctx, text("SELECT "+assetColumns+" FROM assets WHERE id = ?", id))
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if a := list[0]; a.Kind == ledger.AssetNamespace {
		p := part{target: a.TargetID, namespaces: []string{a.Name}}
		if p.images, err = b.imagesOf(ctx, a.TargetID, p.namespaces); err != nil {
			return nil, err
		}
		s := scope{parts: []part{p}}
		q.preds = append(q.preds, s.preds()...)
		return []int64{}, b.within(ctx, q, s)
	}
	return column[int64](ctx, b, text("SELECT id FROM assets WHERE id = ? UNION SELECT image_id FROM asset_uses WHERE workload_id = ?", id, id))
}

// imagesOf lists the images that run in namespaces of a target.
func (b *Browser) imagesOf(ctx context.Context, target int64, namespaces []string) ([]int64, error) {
	return column[int64](ctx, b, text("SELECT DISTINCT image_id FROM asset_uses WHERE target_id = ? AND namespace IN (?) ORDER BY 1 LIMIT ?",
		target, bun.List(namespaces), maxImages))
}

// cluster turns the asset that stands for a cluster into its target; ok is false when the filter asks for others only.
func (b *Browser) cluster(ctx context.Context, f Filter) (_ Filter, ok bool, err error) {
	ids, err := column[int64](ctx, b, text("SELECT target_id FROM assets WHERE id = ? AND kind = ?", f.Asset, int(ledger.AssetCluster)))
	if err != nil || len(ids) == 0 {
		return f, true, err
	}
	ok = has(f.Targets, ids[0])
	f.Asset, f.Targets = 0, ids
	return f, ok, nil
}

// onAssets is how many active findings assets have.
func (b *Browser) onAssets(ctx context.Context, ids []int64) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	n, err := column[int](ctx, b, text("SELECT coalesce(sum(critical + high + medium + low + info), 0) FROM assets WHERE id IN (?)", bun.List(ids)))
	if err != nil || len(n) == 0 {
		return 0, err
	}
	return n[0], nil
}

// failing is the condition that a clause of a framework fails by the finding: it is of a rule of the clause, in a target where the
// framework was judged.
func (b *Browser) failing(ctx context.Context, q *question, s scope, f Filter) (bool, error) {
	rules := b.catalog.Entry(f.Framework, f.Clause).RuleNames()
	if len(rules) == 0 {
		return false, nil
	}
	stmt := text("SELECT target_id FROM judged WHERE framework = ?", f.Framework)
	if !s.all {
		stmt.add(" AND target_id IN (?)", bun.List(s.ids()))
	}
	targets, err := column[int64](ctx, b, stmt)
	if err != nil || len(targets) == 0 {
		return false, err
	}
	p := in("rule", set(rules))
	n, err := column[int](ctx, b, text("SELECT coalesce(sum(active), 0) FROM risk_counts WHERE rule IN (?) AND target_id IN (?)", bun.List(rules), bun.List(targets)))
	if err != nil {
		return false, err
	}
	if !q.ended {
		p.rows = n[0]
	}
	q.preds = append(q.preds, p)
	if q.pred("target_id") == nil {
		q.preds = append(q.preds, in("target_id", targets))
	} else {
		q.preds = append(q.preds, pred{wants: "target_id", rows: -1, sqlText: text("f.target_id IN (?)", bun.List(targets))})
	}
	return true, nil
}

// table is the table of findings, read by an index.
func (q *question) table(index string) string {
	if q.sqlite {
		return "findings AS f INDEXED BY " + index
	}
	return "findings AS f"
}

// within offers the ranges of a scope that has parts of targets, and estimates what they hold.
func (b *Browser) within(ctx context.Context, q *question, s scope) error {
	if s.whole() {
		return nil
	}
	src := source{name: "parts"}
	for _, cond := range s.ranges() {
		from := "findings_target"
		if strings.Contains(cond.text, "asset_id") {
			from = "findings_asset"
		}
		src.arms = append(src.arms, arm{from: q.table(from), where: []sqlText{cond}})
	}
	for _, p := range s.parts {
		n, err := column[int](ctx, b, text("SELECT coalesce(sum(n), 0) FROM counts WHERE target_id = ? AND namespace IN (?)", p.target, bun.List(p.namespaces)))
		if err != nil {
			return err
		}
		on, err := b.onAssets(ctx, p.images)
		if err != nil {
			return err
		}
		src.rows += n[0] + on
	}
	if len(s.targets) > 0 {
		m, err := b.matrix(ctx, scope{targets: s.targets}, nil)
		if err != nil {
			return err
		}
		src.rows += m.sum()
	}
	for i := range q.preds {
		if q.preds[i].parts {
			q.preds[i].rows = src.rows
		}
	}
	if len(src.arms) <= most {
		q.sources = append(q.sources, src)
	}
	return nil
}
