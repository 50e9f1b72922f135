package protect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/store"
)

// Times of passes.
const (
	soon     = 2 * time.Second // to the next pass of an installation or removal
	passTime = 4 * time.Minute // of one pass at most
	lease    = passTime + time.Minute
	patience = 10 * time.Minute // of an installation or removal, until it counts as failed; it goes on all the same
	pause    = time.Minute      // between tries of what failed
	parallel = 16               // clusters at the same time
)

// Keep starts a pass over each cluster that is due. The leader calls it every few seconds with the context of its leadership, with
// which all passes end.
func (s *Service) Keep(ctx context.Context) error {
	s.listen(ctx)
	var due []int64
	err := s.db.R.NewSelect().Model((*row)(nil)).Column("target_id").Where("next_at <> 0 AND next_at <= ?", store.At(s.o.Now())).
		Join("JOIN targets AS t ON t.id = p.target_id").Where("t.removed_at = 0").Order("next_at").Limit(200).Scan(ctx, &due)
	if err != nil {
		return err
	}
	for _, target := range due {
		s.mu.Lock()
		if s.running[target] || len(s.running) >= parallel {
			s.mu.Unlock()
			continue
		}
		s.running[target] = true
		s.mu.Unlock()
		go func() {
			defer func() {
				s.mu.Lock()
				delete(s.running, target)
				s.mu.Unlock()
			}()
			if err := s.Pass(ctx, target); err != nil && ctx.Err() == nil {
				s.log.Warn("protection", "target", target, "error", err)
			}
		}()
	}
	return nil
}

// listen hears of changed policies for as long as ctx lasts, and has the clusters looked at that they are for.
func (s *Service) listen(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.o.Hub == nil || s.heard != nil && s.heard.Err() == nil {
		return
	}
	s.heard = ctx
	events := s.o.Hub.Subscribe(ctx, func(e live.Event) bool { return e.Topic == Policies })
	go func() {
		for e := range events {
			s.forget(e.Target)
			if err := s.wake(ctx, e.Target); err != nil && ctx.Err() == nil {
				s.log.Warn("protection", "error", err)
			}
		}
	}()
}

// wake has a cluster looked at now; 0 all that are protected.
func (s *Service) wake(ctx context.Context, target int64) error {
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		now := store.At(s.o.Now())
		q := tx.NewUpdate().Model((*row)(nil)).Set("next_at = ?", now).Where("next_at > ?", now)
		if target != 0 {
			q = q.Where("target_id = ?", target)
		}
		_, err := q.Exec(ctx)
		return err
	})
}

// Pass takes one cluster a step on: towards being protected, kept so, or unprotected. It does nothing when another replica is at it.
func (s *Service) Pass(ctx context.Context, target int64) error {
	taken, err := s.claim(ctx, target)
	if err != nil || !taken {
		return err
	}
	r, err := s.row(ctx, target)
	if err != nil {
		return errors.Join(err, s.release(context.WithoutCancel(ctx), target))
	}
	work, cancel := context.WithTimeout(ctx, passTime)
	defer cancel()
	w := &pass{s: s, r: r, ctx: work, before: r.State, settings: r.Settings.filled(&s.o)}
	problem := w.run()
	if ctx.Err() != nil { // the leadership ended: the next leader goes on when the lease is over, or at once
		return errors.Join(ctx.Err(), s.release(context.WithoutCancel(ctx), target))
	}
	if problem != nil {
		s.log.Info("protection", "target", target, "state", r.State, "reason", r.Reason)
	}
	if err := w.save(ctx); err != nil {
		return errors.Join(err, s.release(ctx, target))
	}
	s.told(ctx, target)
	return nil
}

// claim takes a cluster for this process.
func (s *Service) claim(ctx context.Context, target int64) (taken bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		now := s.o.Now()
		result, err := tx.NewUpdate().Model((*row)(nil)).Set("holder = ?", s.o.Replica).Set("lease_until = ?", store.At(now.Add(lease))).
			Where("target_id = ? AND next_at <> 0 AND (holder = '' OR lease_until < ?)", target, store.At(now)).Exec(ctx)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		taken = n > 0
		return err
	})
	return taken, err
}

// release lets others have a cluster.
func (s *Service) release(ctx context.Context, target int64) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*row)(nil)).Set("holder = ''").Set("lease_until = 0").Where("target_id = ? AND holder = ?", target, s.o.Replica).Exec(ctx)
		return err
	})
}

// pass is one look at one cluster.
type pass struct {
	s        *Service
	r        *row
	ctx      context.Context //nolint:containedctx // of this pass alone
	c        *client
	settings Settings
	before   State
	minor    int

	lock   sync.Mutex // over what follows, where several requests are under way
	made   map[string]*madeRow
	live   map[string]map[string]*object // what we made, by collection and name, as the cluster has it
	wanted map[string]bool               // refs that are to be there
	drift  []Drift

	gatekeeperCA []byte // whom Gatekeeper's certificate is signed by
	roots        []byte // whom the provider's is
	compiled     *Compiled
	bundleGen    string
	namespaces   *string // labels as JSON, when they were read
	after        State   // that save puts the row into; "" is the one it is in
}

// waiting is an error that time mends.
type waiting struct{ what string }

func (w *waiting) Error() string { return w.what }

func wait(format string, args ...any) error { return &waiting{fmt.Sprintf(format, args...)} }

// stopped is an error that people must mend.
type stopped struct{ what string }

func (s *stopped) Error() string { return s.what }

func stop(format string, args ...any) error { return &stopped{fmt.Sprintf(format, args...)} }

// run does the pass and leaves state, reason and the time of the next look in the row.
func (w *pass) run() error {
	s, r := w.s, w.r
	now := s.o.Now()
	err := w.open()
	if err == nil {
		if r.State.On() {
			err = w.converge()
		} else {
			err = w.dissolve()
		}
	}
	if err != nil && away(err) && !isOurs(err) {
		return w.unreachable(err)
	}
	r.UnreachableAt = store.Time{}
	switch {
	case w.after == Unprotected:
		r.NextAt = store.Time{}
		return nil
	case err == nil && r.State.On():
		r.SeenAt, r.NextAt = store.At(now), store.At(now.Add(s.o.Every))
		if next := r.RecompileAt; !next.IsZero() && next.After(now) && next.Before(r.NextAt.Time) {
			r.NextAt = next
		}
		return nil
	}
	w.fault(err)
	return err
}

// isOurs reports whether an error is of a pass and not of the way to the cluster.
func isOurs(err error) bool {
	var w *waiting
	var s *stopped
	var r *refusal
	return errors.As(err, &w) || errors.As(err, &s) || errors.As(err, &r) && !away(err)
}

// unreachable notes that the API server does not answer: what stands there stands.
func (w *pass) unreachable(err error) error {
	now := w.s.o.Now()
	if w.r.UnreachableAt.IsZero() {
		w.r.UnreachableAt = store.At(now)
	}
	w.r.Reason = oneLine("the cluster's API server does not answer: " + err.Error())
	since := now.Sub(w.r.UnreachableAt.Time)
	w.r.NextAt = store.At(now.Add(min(max(soon, since/4), pause)))
	return err
}

// fault settles a pass that could not end well.
func (w *pass) fault(err error) {
	r, now := w.r, w.s.o.Now()
	var waits *waiting
	state, next := r.State, soon
	late := now.Sub(r.StateAt.Time) > patience
	switch {
	case errors.As(err, &waits) && r.State.standing(): // a plug-in restarts: its health tells
		r.Seen.Problems = append(r.Seen.Problems, Problem{Reason: oneLine(waits.what)})
		r.Reason, next = oneLine(waits.what), 5*time.Second
		r.NextAt = store.At(now.Add(next))
		return
	case errors.As(err, &waits) && (r.State == Installing || r.State == Removing) && !late:
		r.Reason = oneLine(waits.what)
		r.NextAt = store.At(now.Add(next))
		return
	case r.State.On():
		state, next = Failed, pause
	default:
		state, next = RemoveFailed, pause
	}
	if waits != nil {
		next = 5 * time.Second
	}
	w.enterLater(state, err.Error())
	r.NextAt = store.At(now.Add(next))
}

// enterLater notes the state that save puts the row into.
func (w *pass) enterLater(state State, reason string) {
	w.r.Reason = oneLine(reason)
	w.after = state
}

// save writes what the pass found, unless somebody asked for something else in the meantime.
func (w *pass) save(ctx context.Context) error {
	s, r := w.s, w.r
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		state, reason := r.State, r.Reason
		if w.after != "" {
			state = w.after
		}
		r.State = w.before
		if err := s.enter(ctx, tx, r, state, reason); err != nil {
			return err
		}
		r.Reason = oneLine(reason)
		r.write()
		q := tx.NewUpdate().Model(r).Column("state", "reason", "state_at", "steps", "gatekeeper", "health", "authority", "authority_key", "generation", "recompile_at",
			"seen_at", "unreachable_at", "next_at", "holder", "lease_until").Where("target_id = ? AND revision = ? AND holder = ?", r.TargetID, r.Revision, s.o.Replica)
		r.Holder, r.LeaseUntil = "", store.Time{}
		result, err := q.Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			_, again := tx.NewUpdate().Model((*row)(nil)).Set("holder = ''").Set("lease_until = 0").Where("target_id = ? AND holder = ?", r.TargetID, s.o.Replica).Exec(ctx)
			return errors.Join(err, again)
		}
		return w.tell(ctx, tx)
	})
}
