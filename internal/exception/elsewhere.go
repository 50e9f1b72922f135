package exception

import (
	"context"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
)

// A scan of some objects knows some of the workloads that run an image. What else runs it must match too before a finding on it
// is accepted: it is looked up here.

// runs is the workloads that run an image beside those that a scan saw.
type runs struct {
	at     time.Time
	seen   *finding.WorkloadRef // first of those that the scan saw: it has one list for all findings on an image
	count  int
	refs   []finding.WorkloadRef
	labels []map[string]string
}

type imageKey struct {
	target       int64
	name, digest string
}

// Bounds of what is kept of images.
const (
	runsKept = 30 * time.Second
	runsMost = 10_000
)

// everywhere gives f with all workloads that run its image; f itself when it has them.
func (b *Book) everywhere(f *finding.Finding, target int64) *finding.Finding {
	r := &f.Resource
	if r.Image == "" || r.Name != "" || len(r.Workloads) == 0 {
		return f
	}
	x := b.runsOf(r, target)
	if len(x.refs) == 0 {
		return f
	}
	all := *f
	all.Resource.Workloads = append(r.Workloads[:len(r.Workloads):len(r.Workloads)], x.refs...)
	all.Resource.Labels = append(r.Labels[:len(r.Labels):len(r.Labels)], x.labels...)
	return &all
}

func (b *Book) runsOf(r *finding.Resource, target int64) *runs {
	b.running.Lock()
	defer b.running.Unlock()
	key := imageKey{target, r.Image, r.Digest}
	x := b.runs[key]
	if x != nil && x.seen == &r.Workloads[0] && x.count == len(r.Workloads) && time.Since(x.at) < runsKept {
		return x
	}
	x = &runs{at: time.Now(), seen: &r.Workloads[0], count: len(r.Workloads)}
	if err := b.readRuns(r, target, x); err != nil {
		b.log.Error("reading what runs an image: the scan's own word is taken", "image", r.Image, "error", err)
	}
	if b.runs == nil || len(b.runs) >= runsMost {
		b.runs = map[imageKey]*runs{}
	}
	b.runs[key] = x
	return x
}

func (b *Book) readRuns(r *finding.Resource, target int64, x *runs) error {
	ctx, cancel := context.WithTimeout(b.life, 10*time.Second)
	defer cancel()
	var uses []struct {
		GroupKind string `bun:"group_kind"`
		Namespace string `bun:"namespace"`
		Name      string `bun:"name"`
		Labels    string `bun:"labels"`
	}
	err := b.db.R.NewSelect().TableExpr("assets AS i").Join("JOIN asset_uses AS u ON u.image_id = i.id").Join("JOIN assets AS a ON a.id = u.workload_id").
		ColumnExpr("a.group_kind, a.namespace, a.name, a.labels").
		Where("i.target_id = ? AND i.kind = ? AND i.group_kind = '' AND i.namespace = '' AND i.name = ? AND i.digest = ?", target, ledger.AssetImage, r.Image, r.Digest).
		Where("a.gone_at = 0").OrderExpr("u.workload_id").Scan(ctx, &uses)
	if err != nil || len(uses) == 0 {
		return err
	}
	seen := make(map[finding.WorkloadRef]bool, len(r.Workloads))
	for _, w := range r.Workloads {
		w.Container = ""
		seen[w] = true
	}
	for _, u := range uses {
		kind, _, _ := strings.Cut(u.GroupKind, ".")
		if w := (finding.WorkloadRef{Kind: kind, Namespace: u.Namespace, Name: u.Name}); !seen[w] {
			x.refs, x.labels = append(x.refs, w), append(x.labels, readLabels(u.Labels))
		}
	}
	return nil
}
