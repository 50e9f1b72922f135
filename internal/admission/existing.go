package admission

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
)

// existingEvery is how often what lives is judged when the policies stay the same.
const existingEvery = 6 * time.Hour

// existingAgain is how soon a cluster is tried again that could not be looked at.
const existingAgain = 10 * time.Minute

// mostExisting bounds the events of one sweep.
const mostExisting = 100_000

// JudgeExisting judges what runs already, after policies changed and every few hours: a duty of the leader.
func (s *Service) JudgeExisting(ctx context.Context) error {
	if s.o.Judger == nil || s.o.Protection == nil {
		return nil
	}
	targets, err := s.o.Protection.Protected(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range targets {
		if ctx.Err() != nil {
			break
		}
		b, err := s.o.Protection.Bundle(ctx, t)
		if err != nil {
			errs = append(errs, fmt.Errorf("cluster %d: %w", t, err))
			continue
		}
		var last struct {
			At     store.Time `bun:"existing_at"`
			Bundle string     `bun:"existing_bundle"`
		}
		err = s.db.R.NewSelect().Table("admission_logs").Column("existing_at", "existing_bundle").Where("target_id = ?", t).Scan(ctx, &last)
		if err = store.NotFound(err); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if last.Bundle == b.Generation && s.now().Sub(last.At.Time) < existingEvery {
			continue
		}
		at := s.now()
		if err := s.ExistingNow(ctx, t); err != nil {
			if ctx.Err() != nil {
				break
			}
			errs = append(errs, fmt.Errorf("cluster %d: %w", t, err))
			at = at.Add(existingAgain - existingEvery)
		} else {
			at = s.now()
		}
		err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw(`INSERT INTO admission_logs (target_id, existing_at, existing_bundle) VALUES (?, ?, ?)
				ON CONFLICT (target_id) DO UPDATE SET existing_at = excluded.existing_at, existing_bundle = excluded.existing_bundle`, t, store.At(at), b.Generation).Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// ExistingNow judges what lives in a cluster. Events of what violates nothing any more are handled by it, when it saw everything.
func (s *Service) ExistingNow(ctx context.Context, target int64) error {
	began := s.now()
	groups := map[hash]*group{}
	cut := false
	complete, err := s.o.Judger.Sweep(ctx, target, func(x Violating) error {
		v := x.Violation
		if v.Exception != 0 || v.Action.Rank() == 0 {
			return nil
		}
		tidyViolation(&v)
		owner := x.Owner
		if owner.Kind == "" || owner.Name == "" {
			owner = x.Object
		}
		e := eventOf(target, Existing, &v, owner)
		g := groups[hash(e.Key)]
		if g == nil {
			if len(groups) == mostExisting {
				cut = true
				return nil
			}
			e.FirstAt, e.LastAt, e.SweptAt = store.At(began), store.At(began), store.At(began)
			g = &group{event: e, hours: map[int64]int64{}, set: true}
			groups[hash(e.Key)] = g
		}
		g.hits++
		return nil
	})
	if err != nil {
		return err
	}
	keys := slices.Collect(maps.Keys(groups))
	for chunk := range chunks(keys, 1000) {
		some := map[hash]*group{}
		for _, k := range chunk {
			some[k] = groups[k]
		}
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			if err := s.lock(ctx, tx, target); err != nil {
				return err
			}
			return s.happened(ctx, tx, target, some, nil, s.now())
		})
		if err != nil {
			return err
		}
	}
	if complete && !cut {
		err = s.mended(ctx, target, began)
	}
	s.news(ctx, target)
	return err
}

// mended handles events of what a whole sweep did not see any more.
func (s *Service) mended(ctx context.Context, target int64, began time.Time) error {
	for {
		n := 0
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			if err := s.lock(ctx, tx, target); err != nil {
				return err
			}
			var list []Event
			err := tx.NewSelect().Model(&list).ExcludeColumn("detail").Where("target_id = ? AND kind = ? AND swept_at < ? AND state = ?", target, int64(Existing), store.At(began), int64(Unhandled)).
				Limit(1000).Scan(ctx)
			if err != nil {
				return err
			}
			n = len(list)
			return s.setState(ctx, tx, list, Handled, "system", "nothing violates it any more")
		})
		if err != nil || n < 1000 {
			return err
		}
	}
}
