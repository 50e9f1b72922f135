package task

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Look has objects of a cluster judged again because they changed: by a task of their own, or by the one before when that has not
// begun. Objects that are not there any more have their findings closed.
func (s *Service) Look(ctx context.Context, target int64, refs []inventory.Ref) error {
	var t *Task
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		t = nil
		joined, err := s.join(ctx, tx, target, refs)
		if err != nil || joined {
			return err
		}
		targets, err := s.targets(ctx, tx, Scope{Targets: []int64{target}})
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%d changed objects of %s", len(refs), targets[0].Name)
		if len(refs) == 1 {
			name = "changed: " + refs[0].String()
		}
		if t, err = s.insert(ctx, tx, Request{Name: name, Origin: Watch}, Parts, targets); err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&Item{TaskID: t.ID, TargetID: target, Kind: kindCluster, Name: targets[0].Name, Status: Ready,
			Spec: ledger.JSON(clusterSpec{Refs: refs, Watch: true}), CreatedAt: t.CreatedAt}).Exec(ctx)
		return err
	})
	if err != nil || t == nil {
		return err
	}
	return s.begin(ctx, t)
}

// join adds refs to a look that waits for its turn.
func (s *Service) join(ctx context.Context, tx bun.Tx, target int64, refs []inventory.Ref) (bool, error) {
	var it Item
	err := tx.NewSelect().Model(&it).Where("target_id = ? AND kind = ? AND status = ?", target, kindCluster, Ready).
		Where("task_id IN (SELECT id FROM tasks WHERE origin = ? AND status IN (?, ?))", Watch, Ready, Running).Order("id DESC").Limit(1).Scan(ctx)
	if err := store.NotFound(err); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return false, err
	}
	spec, err := decode[clusterSpec](it.Spec)
	if err != nil || !spec.Watch {
		return false, err
	}
	for _, r := range refs {
		if !slices.Contains(spec.Refs, r) {
			spec.Refs = append(spec.Refs, r)
		}
	}
	res, err := tx.NewRaw("UPDATE task_items SET spec = ? WHERE id = ? AND status = ?", ledger.JSON(spec), it.ID, Ready).Exec(ctx)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected() // none when a worker has just begun with it
	return n == 1, err
}

// Scan asks for a look at the whole cluster because of what its watch saw, unless one waits for its turn.
func (s *Service) Scan(ctx context.Context, target int64, why string) error {
	var waiting int
	err := s.db.R.NewRaw(`SELECT count(*) FROM task_items WHERE target_id = ? AND kind = ? AND status = ? AND spec IN ('', '{}')`, target, kindCluster, Ready).Scan(ctx, &waiting)
	if err != nil || waiting > 0 {
		return err
	}
	_, err = s.Create(ctx, Request{Name: why, Origin: Watch, Scope: Scope{Targets: []int64{target}}})
	return err
}

// picker is what a source may offer beside: single objects with what belongs to them.
type picker interface {
	Pick(ctx context.Context, refs []inventory.Ref, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error
}

// picked is a source of just some objects. Where the cluster cannot give them, as a snapshot cannot, it is the whole.
type picked struct {
	fleet.Source
	refs []inventory.Ref
}

func (p *picked) Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	if from, ok := p.Source.(picker); ok {
		return from.Pick(ctx, p.refs, emit, notScanned)
	}
	return p.Source.Stream(ctx, emit, notScanned)
}
