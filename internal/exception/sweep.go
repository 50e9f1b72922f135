package exception

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

// Sweep does what is due: ends what expired and what a fix ended, applies what was approved, looks again at what moved, and notes
// what is unused or about to end. The leader calls it every minute. It may be killed at any time and run twice: what is done is
// not done again, and an exception that ended stays so whatever the clock does.
func (b *Book) Sweep(ctx context.Context, now time.Time) error {
	ctx = identity.With(ctx, identity.System)
	var errs []error
	for _, step := range []struct {
		what string
		do   func(context.Context, time.Time) error
	}{{"ending exceptions", b.expire}, {"settling exceptions", b.settleAll}, {"looking for fixes", b.fixes}, {"looking at what moved", b.moved},
		{"counting uses", b.uses}, {"reminding", b.remind}} {
		if err := step.do(ctx, now); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.what, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// records reads the records that where keeps, in pieces, and gives them to f one after the other. An error of one does not stop
// the others.
func (b *Book) records(ctx context.Context, where func(*bun.SelectQuery) *bun.SelectQuery, f func(*Record) error) error {
	var errs []error
	for after := int64(0); ctx.Err() == nil; {
		var list []Record
		if err := where(b.db.R.NewSelect().Model(&list)).Where("id > ?", after).OrderExpr("id").Limit(chunk).Scan(ctx); err != nil {
			return errors.Join(append(errs, err)...)
		}
		for i := range list {
			after = list[i].ID
			err := list[i].read()
			if err == nil {
				err = f(&list[i])
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("exception %d: %w", list[i].ID, err))
			}
		}
		if len(list) < chunk {
			break
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// expire ends what is past its end: the approved, and requests that nobody decided in time.
func (b *Book) expire(ctx context.Context, now time.Time) error {
	return b.records(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("status IN (?)", bun.List([]Status{Pending, Approved})).Where("expires_at > 0 AND expires_at <= ?", store.At(now))
	}, func(r *Record) error { return b.close(ctx, r, Expired, now) })
}

// close ends r by itself, unless it changed since it was read.
func (b *Book) close(ctx context.Context, r *Record, status Status, now time.Time) error {
	return b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		held, err := b.get(ctx, tx, r.ID)
		if err != nil || held.Status != r.Status || held.Revision != r.Revision {
			return err
		}
		before := held.summary()
		held.Revision++
		if err := b.end(ctx, tx, held, status, now); err != nil {
			return err
		}
		if err := bump(ctx, tx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "exception."+string(status), held.object(), held.TargetID, before, held.summary())
	})
}

func (b *Book) settleAll(ctx context.Context, now time.Time) error {
	return b.records(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("settled = ?", false) },
		func(r *Record) error { return b.settle(ctx, r, now) })
}

// fixes reopens what has got a fix meanwhile, and ends exceptions that have nothing left to accept after that.
func (b *Book) fixes(ctx context.Context, now time.Time) error {
	if b.handle == nil {
		return nil
	}
	return b.records(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("status = ? AND until_fix = ?", Approved, true)
	},
		func(r *Record) error {
			err := b.reopen(ctx, r, "a fix is known", func(rows []ledger.Row, _ []*finding.Finding) []bool {
				fixed := make([]bool, len(rows))
				for i := range rows {
					fixed[i] = rows[i].Fixable
				}
				return fixed
			})
			if errors.Is(err, errChanged) {
				return nil
			}
			if err != nil || !r.Settled {
				return err
			}
			return b.fixed(ctx, r, now)
		})
}

// lookedAt keeps exceptions one of whose targets was looked at since they were decided and last checked.
const lookedAt = "EXISTS (SELECT 1 FROM targets t WHERE t.looked_at > e.checked_at AND t.looked_at > e.decided_at AND (e.target_id = 0 OR t.id = e.target_id))"

// fixed ends r when it accepts nothing and what it would accept has a fix. Scans take findings from it too, so what sweeps
// reopened does not tell.
func (b *Book) fixed(ctx context.Context, r *Record, now time.Time) error {
	left, err := b.db.R.NewSelect().Model((*ledger.Row)(nil)).Where("f.exception_id = ? AND f.exception_id <> 0 AND f.status = ?", r.ID, ledger.StatusAccepted).Count(ctx)
	if err != nil || left > 0 {
		return err
	}
	due, err := b.db.R.NewSelect().Model((*Record)(nil)).Where("e.id = ?", r.ID).
		WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("e.reopened > 0").WhereOr(lookedAt) }).Count(ctx)
	if err != nil || due == 0 {
		return err
	}
	e, found := r.Exception(), errors.New("found")
	e.UntilFix = false
	err = b.matching(ctx, e, func([]ledger.Row) error { return found })
	switch {
	case errors.Is(err, found):
		return b.close(ctx, r, EndedByFix, now)
	case err != nil || r.Scope.moving(): // the step after this one checks what moves
		return err
	}
	return b.checked(ctx, r, now)
}

// checked notes that r's findings were looked at again.
func (b *Book) checked(ctx context.Context, r *Record, now time.Time) error {
	return b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r.CheckedAt = store.At(now)
		return update(ctx, tx, r, "checked_at")
	})
}

// moved looks again at exceptions whose findings depend on which workloads run an image, or on labels, when a target of theirs
// was looked at since: what does not match any more reopens, and what matches now is accepted.
func (b *Book) moved(ctx context.Context, now time.Time) error {
	if b.handle == nil {
		return nil
	}
	return b.records(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("status = ? AND settled = ?", Approved, true).Where(lookedAt)
	}, func(r *Record) error {
		if !r.Scope.moving() {
			return nil
		}
		set, err := New([]Exception{r.Exception()})
		if err != nil {
			return err
		}
		err = b.reopen(ctx, r, "it does not hold here any more", func(rows []ledger.Row, found []*finding.Finding) []bool {
			out := make([]bool, len(rows))
			for i, f := range found {
				_, ok := set.Match(f, rows[i].TargetID, now)
				known := f.Resource.Labels != nil || r.Scope.Labels == "" && f.Resource.Image == "" // else the scan knew more than is kept
				out[i] = !ok && known && !(r.UntilFix && rows[i].Fixable)                           // what has a fix is left to fixes
			}
			return out
		})
		if err == nil {
			err = b.apply(ctx, r)
		}
		if errors.Is(err, errChanged) {
			return nil
		}
		if err != nil {
			return err
		}
		return b.checked(ctx, r, now)
	})
}

// uses notes which exceptions accept something, and which have nothing to accept: for so many days, or at the last look at all
// of their targets.
func (b *Book) uses(ctx context.Context, now time.Time) error {
	settings, err := b.Settings(ctx)
	if err != nil {
		return err
	}
	const accepts = "EXISTS (SELECT 1 FROM findings f WHERE f.exception_id = exceptions.id AND f.exception_id <> 0 AND f.status = ?)"
	old := store.At(now.AddDate(0, 0, -settings.UnusedDays))
	return b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("UPDATE exceptions SET used_at = ? WHERE status = ? AND used_at < ? AND "+accepts,
			store.At(now), Approved, store.At(now.Add(-time.Hour)), ledger.StatusAccepted).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw(`UPDATE exceptions SET unused = NOT unused WHERE status = ? AND settled AND unused <> (NOT `+accepts+`
			AND (used_at < ? AND decided_at < ? OR decided_at < COALESCE((SELECT MIN(t.looked_at) FROM targets t
				WHERE t.removed_at = 0 AND (exceptions.target_id = 0 OR t.id = exceptions.target_id)), 0)))`,
			Approved, ledger.StatusAccepted, old, old).Exec(ctx)
		return err
	})
}

// remind writes a message for what ends soon, once.
func (b *Book) remind(ctx context.Context, now time.Time) error {
	settings, err := b.Settings(ctx)
	if err != nil || settings.RemindDays == 0 {
		return err
	}
	return b.records(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("status = ? AND reminded = ?", Approved, false).
			Where("expires_at > ? AND expires_at <= ?", store.At(now), store.At(now.AddDate(0, 0, settings.RemindDays)))
	}, func(r *Record) error {
		return b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			held, err := b.get(ctx, tx, r.ID)
			if err != nil || held.Reminded || held.Status != Approved {
				return err
			}
			held.Reminded = true
			if err := update(ctx, tx, held, "reminded"); err != nil {
				return err
			}
			return outbox.Put(ctx, tx, outbox.ExceptionExpiring, held.TargetID, map[string]any{"exception": held.ID, "expires": held.Expires,
				"reason": held.Reason, "requester": held.Requester})
		})
	})
}
