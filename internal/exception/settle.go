package exception

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
)

// overlap is how long after a change a replica may still write findings by the exceptions that it read before: what is settled
// earlier than this is settled once more.
const overlap = 10 * time.Second

// errChanged ends a pass over findings whose exception is not what it was when the pass began.
var errChanged = errors.New("the exception changed meanwhile")

// settle brings the findings in line with the status of r: accepts what an approved exception matches, reopens what one that is
// over accepted. It works in pieces; when it breaks off, the next time goes on with what is left.
func (b *Book) settle(ctx context.Context, r *Record, now time.Time) error {
	if r.Settled || b.handle == nil {
		return nil
	}
	ctx = identity.With(ctx, identity.System)
	var err error
	if r.Status == Approved {
		err = b.apply(ctx, r)
	} else {
		err = b.reopenAll(ctx, r)
	}
	if errors.Is(err, errChanged) {
		return nil
	}
	if err != nil {
		return err
	}
	late := now.Sub(r.ChangedAt.Time)
	return b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		held, err := b.get(ctx, tx, r.ID)
		if err != nil || held.Status != r.Status || !held.ChangedAt.Equal(r.ChangedAt.Time) {
			return err
		}
		if held.Ended() && !held.Told {
			if err := outbox.Put(ctx, tx, outbox.ExceptionEnded, held.TargetID, map[string]any{"exception": held.ID, "why": held.Status, "reopened": held.Reopened}); err != nil {
				return err
			}
		}
		// A clock that went back is taken for one that went on: the pass must end some time.
		held.Told, held.Settled = held.Ended(), late.Abs() >= overlap
		return update(ctx, tx, held, "told", "settled")
	})
}

// apply accepts the active findings that r matches.
func (b *Book) apply(ctx context.Context, r *Record) error {
	return b.matching(ctx, r.Exception(), func(rows []ledger.Row) error {
		ids := make([]int64, len(rows))
		for i := range rows {
			ids[i] = rows[i].ID
		}
		return b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			held, err := b.get(ctx, tx, r.ID)
			if err != nil {
				return err
			}
			if held.Status != Approved || held.Text != r.Text {
				return errChanged
			}
			left, err := still(ctx, tx, ids, active)
			if err != nil || len(left) == 0 {
				return err
			}
			_, err = b.handle(ctx, tx, Handling{IDs: left, Action: ledger.Accept, Note: r.Reason, Exception: r.ID, Cause: ledger.ByException})
			return err
		})
	})
}

// matching walks over the active findings that e matches now.
func (b *Book) matching(ctx context.Context, e Exception, yield func([]ledger.Row) error) error {
	set, err := New([]Exception{e})
	if err != nil {
		return err
	}
	w, err := b.way(ctx, &set.list[0])
	if err != nil {
		return err
	}
	if !e.Expires.IsZero() && !b.Now().Before(e.Expires) {
		return nil
	}
	if w.exact {
		return b.walk(ctx, &w, active, yield)
	}
	return b.walk(ctx, &w, active, func(rows []ledger.Row) error {
		found, err := b.findings(ctx, rows, w.full)
		if err != nil {
			return err
		}
		now, kept := b.Now(), rows[:0]
		for i, f := range found {
			if _, ok := set.Match(f, rows[i].TargetID, now); ok {
				kept = append(kept, rows[i])
			}
		}
		if len(kept) == 0 {
			return nil
		}
		return yield(kept)
	})
}

// still returns which of the findings meet keep now. They are not locked: the handler locks their targets first, as scans do.
func still(ctx context.Context, tx bun.Tx, ids []int64, keep func(*bun.SelectQuery) *bun.SelectQuery) (left []int64, err error) {
	q := keep(tx.NewSelect().Model((*ledger.Row)(nil)).Column("f.id").Where("f.id IN (?)", bun.List(ids)).OrderExpr("f.id"))
	return left, q.Scan(ctx, &left)
}

// acceptedBy keeps the findings that an exception accepts, also those that are fixed or gone meanwhile: they must not come back
// as accepted.
func acceptedBy(id int64) func(*bun.SelectQuery) *bun.SelectQuery {
	return func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("f.exception_id = ? AND f.exception_id <> 0", id).Where("f.handling = ?", ledger.Accepted)
	}
}

// reopenAll reopens everything that r accepts.
func (b *Book) reopenAll(ctx context.Context, r *Record) error {
	if err := b.load(ctx); err != nil { // r must not be among those that match
		return err
	}
	return b.reopen(ctx, r, string(r.Status), func([]ledger.Row, []*finding.Finding) []bool { return nil })
}

// reopen reopens the findings of r that choose names, nil for all: another exception that matches takes them over.
func (b *Book) reopen(ctx context.Context, r *Record, why string, choose func([]ledger.Row, []*finding.Finding) []bool) error {
	w := way{full: true, column: "f.exception_id", keys: []any{r.ID}}
	return b.walk(ctx, &w, acceptedBy(r.ID), func(rows []ledger.Row) error {
		found, err := b.findings(ctx, rows, true)
		if err != nil {
			return err
		}
		chosen := choose(rows, found)
		set, now := b.snapshot.Load().set, b.Now()
		to := map[int64][]int64{} // exception that takes over, 0 for none -> findings
		for i, f := range found {
			if chosen != nil && !chosen[i] {
				continue
			}
			other := int64(0)
			if e, ok := set.Match(f, rows[i].TargetID, now); ok && e.ID != r.ID {
				other = e.ID
			}
			to[other] = append(to[other], rows[i].ID)
		}
		if len(to) == 0 {
			return nil
		}
		return b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error { return b.release(ctx, tx, r, why, to) })
	})
}

// release is one piece of reopen.
func (b *Book) release(ctx context.Context, tx bun.Tx, r *Record, why string, to map[int64][]int64) error {
	held, err := b.get(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	if held.Status != r.Status {
		return errChanged
	}
	others := make([]int64, 0, len(to))
	for other := range to {
		others = append(others, other)
	}
	slices.Sort(others)
	for _, other := range others {
		ids, err := still(ctx, tx, to[other], acceptedBy(r.ID))
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			continue
		}
		h := Handling{IDs: ids, Action: ledger.Unaccept, Note: why, Exception: r.ID, Cause: ledger.ExceptionEnded}
		if other != 0 {
			h = Handling{IDs: ids, Action: ledger.Accept, Exception: other, Cause: ledger.ByException}
		}
		n, err := b.handle(ctx, tx, h)
		if err != nil {
			return err
		}
		if other == 0 {
			held.Reopened += n
		}
	}
	return update(ctx, tx, held, "reopened")
}
