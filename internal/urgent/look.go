package urgent

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// scanning judges what one scan of a cluster reads. It implements task.UrgentRun.
type scanning struct {
	s       *Service
	ctx     context.Context //nolint:containedctx // of the scan
	o       task.UrgentScan
	list    *List
	allowed []emergency.Class

	mu     sync.Mutex
	looks  []*look
	failed error
}

// Begin implements task.Urgent.
func (s *Service) Begin(ctx context.Context, o task.UrgentScan) (task.UrgentRun, error) {
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	allowed, err := s.Allowed(ctx, o.Target)
	if err != nil {
		return nil, err
	}
	return &scanning{s: s, ctx: ctx, o: o, list: list, allowed: allowed}, nil
}

// idsFor are the emergencies that concern a kind of subject, by id.
func (l *List) idsFor(k Kind) []string {
	out := []string{}
	for _, e := range l.All {
		if slices.Contains(e.Where, Kinds[k]) {
			out = append(out, e.ID)
		}
	}
	return out
}

// Image implements task.UrgentRun. Nodes are judged by their agents.
func (n *scanning) Image(sw *inventory.Software, use scan.Use, cluster string, objects *inventory.Cluster) []*finding.Finding {
	if sw.Kind != "image" {
		return nil
	}
	digest := use.Digest
	if sw.Image != nil && sw.Image.Digest != "" {
		digest = sw.Image.Digest
	}
	var results []emergency.Result
	if n.o.Partial && digest != "" { // what the cluster's objects say is not at hand: what was seen with them counts
		kept, ids, err := n.s.kept(n.ctx, n.o.Target, Image, digest)
		n.fail(err)
		if slices.Equal(ids, n.list.idsFor(Image)) {
			return n.findings(kept, sw, use, cluster)
		}
	}
	subject := emergency.Subject{Name: digest, Software: sw, Cluster: objects}
	if n.o.Vendor != nil {
		subject.Vendor = n.o.Vendor(sw)
	}
	results = emergency.Judge(n.ctx, n.list.All, subject, n.allowed)
	if digest != "" && n.ctx.Err() == nil { // a broken off look has not seen everything
		n.keep(&look{kind: Image, name: digest, shown: use.Reference, ids: n.list.idsFor(Image), results: results})
	}
	return n.findings(results, sw, use, cluster)
}

// Notes implements task.UrgentRun.
func (n *scanning) Notes() []string {
	if n.list.Problem == "" {
		return nil
	}
	return []string{n.list.Problem}
}

func (n *scanning) findings(results []emergency.Result, sw *inventory.Software, use scan.Use, cluster string) []*finding.Finding {
	list := emergency.Findings(n.list.All, results, examine.PlaceOf(sw, use, cluster))
	for _, f := range list {
		if use.Variant != "" {
			f.Fingerprint = finding.Identity{RuleID: f.Fingerprint, Item: use.Variant}.Fingerprint()
		}
	}
	return list
}

// Cluster implements task.UrgentRun: what objects alone say.
func (n *scanning) Cluster(c *inventory.Cluster) []*finding.Finding {
	ids := n.list.idsFor(Cluster)
	if len(ids) == 0 {
		return nil
	}
	results := emergency.Judge(n.ctx, n.list.All, emergency.Subject{Name: c.Name, Cluster: c}, n.allowed)
	if n.ctx.Err() == nil {
		n.keep(&look{kind: Cluster, shown: c.Name, ids: ids, results: results})
	}
	return emergency.Findings(n.list.All, results, emergency.Place{Resource: finding.Resource{Cluster: c.Name}, Identity: finding.Identity{Cluster: c.Name}})
}

func (n *scanning) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failed = errors.Join(n.failed, err)
}

// keep writes looks, many at once.
func (n *scanning) keep(l *look) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.looks = append(n.looks, l); len(n.looks) >= batch {
		n.flush()
	}
}

// flush writes what was seen so far. The caller holds the lock.
func (n *scanning) flush() {
	if n.failed == nil {
		n.failed = n.s.save(n.ctx, n.o.Target, n.looks)
	}
	n.looks = nil
}

// End implements task.UrgentRun.
func (n *scanning) End(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.flush()
	if n.failed != nil || !n.o.Whole {
		return n.failed
	}
	if err := n.s.leave(n.ctx, n.o.Target); err != nil {
		return err
	}
	return n.s.db.Write(n.ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO emergency_scans (target_id, at, task_id) VALUES (?, ?, ?)
			ON CONFLICT (target_id) DO UPDATE SET at = EXCLUDED.at, task_id = EXCLUDED.task_id`, n.o.Target, store.At(n.s.now()), n.o.Task).Exec(ctx)
		return err
	})
}

// leave forgets the images that a cluster does not run any more.
func (s *Service) leave(ctx context.Context, target int64) error {
	var digests []string
	err := s.db.R.NewRaw("SELECT digest FROM assets WHERE target_id = ? AND kind = ? AND gone_at = 0 AND digest <> ''", target, int(ledger.AssetImage)).Scan(ctx, &digests)
	if err != nil {
		return err
	}
	runs := make(map[string]bool, len(digests))
	for _, d := range digests {
		runs[d] = true
	}
	var rows []subject
	if err := s.db.R.NewSelect().Model(&rows).Column("id", "name").Where("target_id = ? AND kind = ?", target, int(Image)).Scan(ctx); err != nil {
		return err
	}
	var gone []int64
	for i := range rows {
		if !runs[rows[i].Name] {
			gone = append(gone, rows[i].ID)
		}
	}
	return s.forget(ctx, target, gone)
}
