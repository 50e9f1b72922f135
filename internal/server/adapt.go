package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/people"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
	"stockade.dev/stockade/internal/triage"
)

// owners tells what users may do now.
type owners struct{ people *people.Service }

// Principal implements notify.Owners.
func (o owners) Principal(ctx context.Context, user int64) (*identity.Principal, error) {
	u, err := o.people.Get(ctx, user)
	if err != nil {
		return nil, err
	}
	if u.Disabled || !u.RemovedAt.IsZero() {
		return nil, store.ErrNotFound
	}
	return &identity.Principal{UserID: u.ID, Name: u.Name, Via: "system", Grants: slices.Concat(u.Grants, u.Mapped)}, nil
}

// register adds the cluster that the command line names, when it is not there, and has it scanned when it never was.
func (s *Server) register(ctx context.Context) error {
	r := s.o.Register
	a := fleet.Added{Name: r.Name, Kind: fleet.Kubeconfig, Kubeconfig: r.Kubeconfig, Context: r.Context}
	switch {
	case r.Snapshot != "":
		a = fleet.Added{Name: r.Name, Kind: fleet.Snapshot, Path: r.Snapshot}
	case len(r.Kubeconfig) == 0:
		return nil
	}
	ctx = identity.With(ctx, identity.System)
	id, err := s.rooms.fleet.Ensure(ctx, a)
	if err != nil {
		return fmt.Errorf("adding the cluster %s: %w", r.Name, err)
	}
	scanned, err := s.db.R.NewSelect().Table("task_targets").Where("target_id = ?", id).Count(ctx)
	if err != nil || scanned > 0 {
		return err
	}
	t, err := s.rooms.tasks.Create(ctx, task.Request{Name: "First scan of " + r.Name, Origin: task.Manual, Scope: task.Scope{Targets: []int64{id}}})
	if err != nil {
		return errors.Join(fmt.Errorf("scanning the cluster %s", r.Name), err)
	}
	s.log.InfoContext(ctx, "scanning the registered cluster", "cluster", r.Name, "task", t.ID)
	return nil
}

// verifier looks at findings again by tasks, one for each cluster.
type verifier struct {
	db    *store.DB
	tasks *task.Service
}

// Verify implements api.Verifier. It returns the first task.
func (v verifier) Verify(ctx context.Context, rows []ledger.Row) (int64, error) {
	byTarget := map[int64][]int64{}
	for i := range rows {
		byTarget[rows[i].TargetID] = append(byTarget[rows[i].TargetID], rows[i].AssetID)
	}
	var first int64
	for _, target := range slices.Sorted(maps.Keys(byTarget)) {
		var assets []struct {
			Kind                       ledger.AssetKind
			GroupKind, Namespace, Name string
		}
		ids := byTarget[target]
		slices.Sort(ids)
		err := v.db.R.NewSelect().Table("assets").Column("kind", "group_kind", "namespace", "name").Where("id IN (?)", bun.List(slices.Compact(ids))).Scan(ctx, &assets)
		if err != nil {
			return 0, err
		}
		var refs []inventory.Ref
		for _, a := range assets {
			kind, group, _ := strings.Cut(a.GroupKind, ".")
			ref := inventory.Ref{APIVersion: "v1", Kind: kind, Namespace: a.Namespace, Name: a.Name}
			switch {
			case a.Kind == ledger.AssetImage:
				ref = triage.ImageRef(a.Name)
			case a.Kind == ledger.AssetFile:
				return 0, fmt.Errorf("%w: files of a project are verified by the next upload", api.ErrInvalid)
			case group != "":
				ref.APIVersion = group + "/v1"
			}
			refs = append(refs, ref)
		}
		t, err := v.tasks.Verify(ctx, target, refs)
		if err != nil {
			return 0, err
		}
		if first == 0 {
			first = t.ID
		}
	}
	return first, nil
}

// uploaded is the text of a file of a project's last upload, "" when it is not kept.
func (r *rooms) uploaded(ctx context.Context, target int64, path string) (string, error) {
	f, err := r.tasks.File(ctx, target, path)
	if err != nil {
		return "", err
	}
	return f.Text, nil
}
