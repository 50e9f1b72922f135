package browse

import (
	"context"
	"encoding/json"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
)

// AssetDetail is one asset with what is known of it.
type AssetDetail struct {
	Asset
	Facts  *finding.Facts    // nil when nothing is known
	Labels map[string]string // of the pods of a workload
	Kinds  map[ledger.Kind]map[ledger.Severity]int
	More   bool // not all findings were counted by kind
	Gaps   []Gap
}

// Bounds of what is told of one asset.
const (
	kindsTo   = 50_000 // findings that are counted by kind
	assetGaps = 20
)

// Detail reads one asset that v sees.
func (b *Browser) Detail(ctx context.Context, v identity.Visible, id int64) (*AssetDetail, error) {
	a, err := b.Asset(ctx, v, id)
	if err != nil {
		return nil, err
	}
	out := &AssetDetail{Asset: *a, Kinds: map[ledger.Kind]map[ledger.Severity]int{}}
	if out.Facts, out.Labels, err = b.facts(ctx, id); err != nil {
		return nil, err
	}
	if err := b.kindsOf(ctx, out); err != nil {
		return nil, err
	}
	if v.Whole(a.TargetID) {
		out.Gaps, err = b.gapsOf(ctx, a)
	}
	return out, err
}

// facts reads what is shown of an asset beside what is wrong with it.
func (b *Browser) facts(ctx context.Context, id int64) (facts *finding.Facts, labels map[string]string, err error) {
	err = b.query(ctx, text("SELECT facts, labels FROM assets WHERE id = ?", id), func(scan func(...any) error) error {
		var f, l string
		if err := scan(&f, &l); err != nil {
			return err
		}
		if f != "" {
			facts = new(finding.Facts)
			if err := json.Unmarshal([]byte(f), facts); err != nil {
				facts = nil // of another version: the next scan writes them anew
			}
		}
		if l != "" {
			_ = json.Unmarshal([]byte(l), &labels) // we wrote it
		}
		return nil
	})
	return facts, labels, err
}

// kindsOf counts the active findings of an asset by kind: as its counters do, with those of a workload's images, of what is and runs
// in a namespace, of all of a cluster.
func (b *Browser) kindsOf(ctx context.Context, a *AssetDetail) error {
	var m matrix
	var err error
	s := scope{targets: []int64{a.TargetID}}
	switch a.Kind {
	case ledger.AssetCluster:
		m, err = b.matrix(ctx, s, nil)
	case ledger.AssetNamespace:
		s = scope{parts: []part{{target: a.TargetID, namespaces: []string{a.Name}}}}
		if s.parts[0].images, err = b.imagesOf(ctx, a.TargetID, s.parts[0].namespaces); err == nil {
			m, err = b.cellsOf(ctx, s)
		}
	default:
		m, err = b.cells(ctx, text(`SELECT kind, severity, 1, count(*) FROM (SELECT f.kind, f.severity FROM findings AS f
			WHERE f.asset_id IN (SELECT image_id FROM asset_uses WHERE workload_id = ? UNION SELECT ?) AND f.status <= 3 LIMIT ?) AS n GROUP BY kind, severity`, a.ID, a.ID, kindsTo))
	}
	if err != nil {
		return err
	}
	o := Overview{Kinds: a.Kinds, Severities: map[ledger.Severity]int{}, Statuses: map[ledger.Status]int{}}
	o.count(m)
	a.More = a.Kind != ledger.AssetCluster && a.Kind != ledger.AssetNamespace && m.sum() >= kindsTo
	return nil
}

// gapsOf lists what could not be scanned of an asset: of a workload also of its images.
func (b *Browser) gapsOf(ctx context.Context, a *Asset) ([]Gap, error) {
	names := []string{a.Name}
	switch a.Kind {
	case ledger.AssetWorkload, ledger.AssetImage, ledger.AssetNode:
	default:
		return nil, nil
	}
	if a.Kind == ledger.AssetWorkload {
		names = []string{kindOf(a.GroupKind) + " " + a.Namespace + "/" + a.Name}
		images, err := column[string](ctx, b, text("SELECT name FROM assets WHERE id IN (SELECT image_id FROM asset_uses WHERE workload_id = ?) LIMIT 100", a.ID))
		if err != nil {
			return nil, err
		}
		names = append(names, images...)
	}
	var out []Gap
	err := b.query(ctx, text("SELECT id, target_id, part, what, subject, reason, code, since FROM gaps WHERE target_id = ? AND subject IN (?) ORDER BY id LIMIT ?",
		a.TargetID, bun.List(names), assetGaps), func(scan func(...any) error) error {
		g := Gap{Target: a.Target}
		err := scan(&g.ID, &g.TargetID, &g.Part, &g.What, &g.Subject, &g.Reason, &g.Code, &g.Since)
		out = append(out, g)
		return err
	})
	return out, err
}
