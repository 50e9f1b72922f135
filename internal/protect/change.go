package protect

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// Removal says how a protection ends.
type Removal struct {
	KeepPlugins bool // Gatekeeper stays
	ForeignToo  bool // what others made in our Gatekeeper goes too
	GiveUp      bool // the cluster is gone for good: nothing is removed in it
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrState, fmt.Sprintf(format, args...))
}

// asked changes what is wanted of a cluster, in a transaction that also has the audit log's entry.
func (s *Service) asked(ctx context.Context, target int64, action string, change func(ctx context.Context, tx bun.Tx, r *row) (before, after any, err error)) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var name string
		if err := tx.NewSelect().Table("targets").Column("name").Where("id = ? AND kind = 'cluster' AND removed_at = 0", target).Scan(ctx, &name); err != nil {
			return store.NotFound(err)
		}
		r := &row{}
		err := store.NotFound(tx.NewSelect().Model(r).Where("target_id = ?", target).Scan(ctx))
		fresh := errors.Is(err, store.ErrNotFound)
		if err != nil && !fresh {
			return err
		}
		if fresh {
			r = &row{TargetID: target, State: Unprotected, StateAt: store.At(s.o.Now())}
		}
		if err := r.read(); err != nil {
			return err
		}
		before, after, err := change(ctx, tx, r)
		if err != nil {
			return err
		}
		r.Revision++
		r.write()
		if fresh {
			_, err = tx.NewInsert().Model(r).Exec(ctx)
		} else {
			// What a pass that is under way finds does not count any more. It keeps its lease: the next begins when it has ended.
			_, err = tx.NewUpdate().Model(r).ExcludeColumn("namespaces", "holder", "lease_until").WherePK().Exec(ctx)
		}
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, action, fmt.Sprintf("cluster %d (%s)", target, name), target, before, after)
	})
	if err != nil {
		return err
	}
	s.policiesChanged(ctx, target)
	s.told(ctx, target)
	return nil
}

// Enable has a cluster protected. The installation itself is the leader's.
func (s *Service) Enable(ctx context.Context, target int64, consent bool, settings *Settings) error {
	if !consent {
		return ErrConsent
	}
	plan, err := s.Plan(ctx, target, settings)
	if err != nil {
		return err
	}
	if len(plan.Stops) > 0 {
		return refuse("%s", plan.Stops[0])
	}
	return s.asked(ctx, target, "protection.enable", func(ctx context.Context, tx bun.Tx, r *row) (any, any, error) {
		switch {
		case r.State.On():
			return nil, nil, refuse("the cluster is protected already, or about to be")
		case r.State != Unprotected:
			return nil, nil, refuse("the protection is being removed: wait until that is done")
		}
		if settings != nil {
			r.Settings = *settings
		}
		r.Steps, r.Gatekeeper, r.Seen, r.Generation = newSteps(installSteps), nil, Seen{}, ""
		r.KeepPlugins, r.ForeignToo = false, false
		r.EnabledAt, r.EnabledBy, r.NextAt = store.At(s.o.Now()), who(ctx), store.At(s.o.Now())
		return nil, map[string]any{"settings": r.Settings, "objects": len(plan.Objects)}, s.enter(ctx, tx, r, Installing, "")
	})
}

func who(ctx context.Context) string {
	if p := identity.From(ctx); p != nil {
		return oneLine(p.Name)
	}
	return "system"
}

// Disable ends a protection. The removal itself is the leader's.
func (s *Service) Disable(ctx context.Context, target int64, o Removal) error {
	if o.GiveUp {
		return s.giveUp(ctx, target)
	}
	return s.asked(ctx, target, "protection.disable", func(ctx context.Context, tx bun.Tx, r *row) (any, any, error) {
		if r.State == Unprotected {
			return nil, nil, refuse("the cluster is not protected")
		}
		before := map[string]any{"state": r.State}
		r.KeepPlugins, r.ForeignToo = o.KeepPlugins, o.ForeignToo
		if r.State != Removing && r.State != RemoveFailed {
			r.Steps = newSteps(removeSteps)
		}
		r.NextAt = store.At(s.o.Now())
		return before, map[string]any{"keepPlugins": o.KeepPlugins, "foreignToo": o.ForeignToo}, s.enter(ctx, tx, r, Removing, "")
	})
}

// giveUp forgets the protection of a cluster that cannot be reached.
func (s *Service) giveUp(ctx context.Context, target int64) error {
	if c, err := s.client(ctx, target); err == nil {
		if _, err := c.version(ctx); err == nil {
			return refuse("the cluster answers: end its protection without giving up, so that nothing is left in it")
		}
	}
	return s.asked(ctx, target, "protection.give-up", func(ctx context.Context, tx bun.Tx, r *row) (any, any, error) {
		if r.State == Unprotected {
			return nil, nil, refuse("the cluster is not protected")
		}
		before := map[string]any{"state": r.State}
		r.Steps, r.Gatekeeper, r.Seen, r.Generation, r.NextAt = nil, nil, Seen{}, "", store.Time{}
		r.Authority, r.AuthorityKey, r.UnreachableAt = nil, nil, store.Time{}
		if err := s.forgetCluster(ctx, tx, target, "the protection was given up"); err != nil {
			return nil, nil, err
		}
		return before, nil, s.enter(ctx, tx, r, Unprotected, "")
	})
}

// Repair has a cluster looked at now.
func (s *Service) Repair(ctx context.Context, target int64) error {
	return s.asked(ctx, target, "protection.repair", func(_ context.Context, _ bun.Tx, r *row) (any, any, error) {
		if r.State == Unprotected {
			return nil, nil, refuse("the cluster is not protected")
		}
		r.NextAt = store.At(s.o.Now())
		return nil, map[string]any{"state": r.State}, nil
	})
}

// Change gives a cluster other settings.
func (s *Service) Change(ctx context.Context, target int64, settings Settings) error {
	if err := settings.check(); err != nil {
		return err
	}
	return s.asked(ctx, target, "protection.settings", func(_ context.Context, _ bun.Tx, r *row) (any, any, error) {
		before := r.Settings
		r.Settings = settings
		if r.State.On() {
			r.NextAt = store.At(s.o.Now())
		}
		return before, settings, nil
	})
}

// Reseal seals the keys of all clusters' authorities with the newest key.
func (s *Service) Reseal(ctx context.Context, reseal func(place string, sealed []byte) ([]byte, error)) error {
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var rows []row
		if err := tx.NewSelect().Model(&rows).Column("target_id", "authority_key").Where("authority_key IS NOT NULL").Scan(ctx); err != nil {
			return err
		}
		for i := range rows {
			if len(rows[i].AuthorityKey) == 0 {
				continue
			}
			sealed, err := reseal(place(rows[i].TargetID), rows[i].AuthorityKey)
			if err != nil {
				return err
			}
			if _, err := tx.NewUpdate().Model((*row)(nil)).Set("authority_key = ?", sealed).Where("target_id = ?", rows[i].TargetID).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
