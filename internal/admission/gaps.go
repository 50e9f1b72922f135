package admission

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
)

// partName names a part to callers, who compare only.
func partName(id int64) string { return fmt.Sprint("part-", id) }

// beatEvery is how often a beat is written down, of all that come.
const beatEvery = 15 * time.Second

// Beat notes that a provider of a cluster was heard of. When none was for some time, the time between is kept as a gap, and what lives is
// held against the log soon: what the provider recorded meanwhile is on its way.
func (s *Service) Beat(ctx context.Context, target int64) error {
	now := s.now()
	s.mu.Lock()
	last, ok := s.heard[target]
	fresh := ok && now.Sub(last) < min(beatEvery, s.o.Silence/3) && !now.Before(last)
	if !fresh {
		s.heard[target] = now
	}
	s.mu.Unlock()
	if fresh {
		return nil
	}
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.lock(ctx, tx, target); err != nil {
			return err
		}
		var before store.Time
		err := tx.NewSelect().Table("admission_logs").Column("heard_at").Where("target_id = ?", target).Scan(ctx, &before)
		if err = store.NotFound(err); err != nil && err != store.ErrNotFound {
			return err
		}
		if _, err := tx.NewRaw(`INSERT INTO admission_logs (target_id, heard_at) VALUES (?, ?) ON CONFLICT (target_id) DO UPDATE SET heard_at = excluded.heard_at`,
			target, store.At(now)).Exec(ctx); err != nil {
			return err
		}
		if before.IsZero() || now.Sub(before.Time) < s.o.Silence {
			return nil
		}
		if _, err := tx.NewRaw("INSERT INTO admission_gaps (target_id, from_at, until_at) VALUES (?, ?, ?)", target, before, store.At(now)).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewRaw("UPDATE admission_logs SET sweep_at = ? WHERE target_id = ?", store.At(now.Add(s.o.Settle)), target).Exec(ctx)
		return err
	})
	if err != nil {
		s.mu.Lock()
		delete(s.heard, target)
		s.mu.Unlock()
	}
	return err
}

// window is a time in which no provider was heard of.
type window struct{ from, until time.Time }

// windows are the gaps of a cluster that ended after a time, and the one that goes on.
func (s *Service) windows(ctx context.Context, target int64, after time.Time) ([]window, error) {
	var rows []struct {
		From  store.Time `bun:"from_at"`
		Until store.Time `bun:"until_at"`
	}
	err := s.db.R.NewSelect().Table("admission_gaps").Column("from_at", "until_at").Where("target_id = ? AND until_at >= ?", target, store.At(after)).
		OrderExpr("until_at").Limit(10_000).Scan(ctx, &rows)
	if err != nil {
		return nil, err
	}
	var out []window
	for _, r := range rows {
		out = append(out, window{r.From.Time, r.Until.Time})
	}
	var heard store.Time
	err = s.db.R.NewSelect().Table("admission_logs").Column("heard_at").Where("target_id = ?", target).Scan(ctx, &heard)
	if err = store.NotFound(err); err != nil && err != store.ErrNotFound {
		return nil, err
	}
	if now := s.now(); !heard.IsZero() && now.Sub(heard.Time) >= s.o.Silence {
		out = append(out, window{heard.Time, now})
	}
	return out, nil
}

// gapAt is the gap in which something was written, with the tolerance of the clocks.
func gapAt(list []window, at time.Time) (window, bool) {
	for _, w := range list {
		if at.After(w.from.Add(-skew/2)) && at.Before(w.until.Add(skew/2)) {
			return w, true
		}
	}
	return window{}, false
}
