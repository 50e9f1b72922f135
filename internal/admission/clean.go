package admission

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
)

// How long what is beside the log is kept.
const (
	keepBatches   = 2 * 24 * time.Hour
	keepHours     = 15 * 24 * time.Hour
	keepEvents    = 180 * 24 * time.Hour // since the last occurrence
	keepUnchecked = 90 * 24 * time.Hour
	keepImages    = 30 * 24 * time.Hour
	mostUnchecked = 50_000 // of a cluster

	cleanChunk = 5000
)

// Clean deletes what is too old and what is too much, chunk by chunk: a duty of the leader.
func (s *Service) Clean(ctx context.Context) error {
	now := s.now()
	var targets []struct {
		ID      int64      `bun:"target_id"`
		Removed store.Time `bun:"removed_at"`
	}
	err := s.db.R.NewRaw("SELECT l.target_id, t.removed_at FROM admission_logs l JOIN targets t ON t.id = l.target_id ORDER BY 1").Scan(ctx, &targets)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range targets {
		l := limit{}
		if t.Removed.IsZero() {
			if l, err = s.limitOf(ctx, t.ID); err != nil {
				errs = append(errs, fmt.Errorf("cluster %d: %w", t.ID, err))
				continue
			}
		}
		errs = append(errs, s.cleanLog(ctx, t.ID, l, now))
		errs = append(errs, s.sweepRows(ctx, t.ID, now))
	}
	hour := hourOf(now.Add(-keepHours))
	for _, q := range []struct {
		text string
		arg  any
	}{
		{"DELETE FROM admission_batches WHERE at < ?", store.At(now.Add(-keepBatches))},
		{"DELETE FROM admission_event_hours WHERE hour < ?", hour},
		{"DELETE FROM admission_hours WHERE hour < ?", hour},
		{"DELETE FROM admission_images WHERE last_at < ?", store.At(now.Add(-keepImages))},
		{"DELETE FROM admission_gaps WHERE until_at < ?", store.At(now.Add(-keepUnchecked))},
		{"DELETE FROM admission_doubts WHERE at < ?", store.At(now.Add(-doubtAge))},
		{"DELETE FROM admission_unchecked WHERE found_at < ?", store.At(now.Add(-keepUnchecked))},
	} {
		errs = append(errs, s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw(q.text, q.arg).Exec(ctx)
			return err
		}))
	}
	s.mu.Lock()
	clear(s.limits)
	s.mu.Unlock()
	return errors.Join(errs...)
}

// cleanLog brings the log of a cluster within its limits; the zero limit is nothing at all.
func (s *Service) cleanLog(ctx context.Context, target int64, l limit, now time.Time) error {
	oldest := now.AddDate(0, 0, -l.days)
	for {
		var size struct {
			Entries int64 `bun:"entries"`
			Bytes   int64 `bun:"bytes"`
		}
		if err := s.db.R.NewRaw("SELECT entries, entry_bytes + part_bytes AS bytes FROM admission_logs WHERE target_id = ?", target).Scan(ctx, &size); err != nil {
			return err
		}
		until := oldest
		if young := now.Add(-2 * touch); size.Bytes > l.bytes && young.After(oldest) { // of younger rows the parts could not go yet
			until = young
		}
		n := int64(0)
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
			n, err = s.cut(ctx, tx, target, until)
			return err
		})
		if err != nil {
			return err
		}
		if err := s.dropParts(ctx, target, now); err != nil {
			return err
		}
		if n < cleanChunk && size.Bytes <= l.bytes || n == 0 {
			return nil
		}
	}
}

// cut deletes the oldest rows of a log.
func (s *Service) cut(ctx context.Context, tx bun.Tx, target int64, until time.Time) (int64, error) {
	var gone struct {
		N     int64      `bun:"n"`
		Bytes int64      `bun:"bytes"`
		Last  store.Time `bun:"last"`
	}
	err := tx.NewRaw(`SELECT count(*) AS n, coalesce(sum(length(body)), 0) AS bytes, coalesce(max(at), 0) AS last FROM
		(SELECT at, body FROM admissions WHERE target_id = ? AND at < ? ORDER BY at, id LIMIT ?) x`, target, store.At(until), cleanChunk).Scan(ctx, &gone.N, &gone.Bytes, &gone.Last)
	if err != nil || gone.N == 0 {
		return 0, err
	}
	var deleted struct{ n, bytes int64 }
	if gone.N == cleanChunk { // all of the last moment go along
		err = tx.NewRaw("SELECT count(*), coalesce(sum(length(body)), 0) FROM admissions WHERE target_id = ? AND at <= ?", target, gone.Last).Scan(ctx, &deleted.n, &deleted.bytes)
		if err != nil {
			return 0, err
		}
	} else {
		deleted.n, deleted.bytes = gone.N, gone.Bytes
	}
	if _, err := tx.NewRaw("DELETE FROM admissions WHERE target_id = ? AND at <= ?", target, gone.Last).Exec(ctx); err != nil {
		return 0, err
	}
	if _, err := tx.NewRaw("DELETE FROM admission_occurrences WHERE target_id = ? AND at <= ?", target, gone.Last).Exec(ctx); err != nil {
		return 0, err
	}
	_, err = tx.NewRaw("UPDATE admission_logs SET entries = entries - ?, entry_bytes = entry_bytes - ?, trimmed_at = ? WHERE target_id = ?",
		deleted.n, deleted.bytes+deleted.n*rowBytes, gone.Last, target).Exec(ctx)
	return deleted.n, err
}

// dropParts deletes parts that no row of the log points to any more, and no event.
func (s *Service) dropParts(ctx context.Context, target int64, now time.Time) error {
	var oldest store.Time
	err := s.db.R.NewRaw("SELECT coalesce(min(at), 0) FROM admissions WHERE target_id = ?", target).Scan(ctx, &oldest)
	if err != nil {
		return err
	}
	// Rows are never younger than the use of their parts, give or take the time for which a use is not written again.
	before := now.Add(-2 * touch)
	if !oldest.IsZero() && oldest.Add(-2*touch).Before(before) {
		before = oldest.Add(-2 * touch)
	}
	for {
		n := 0
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			if err := s.lock(ctx, tx, target); err != nil {
				return err
			}
			var rows []struct {
				ID   int64 `bun:"id"`
				Size int64 `bun:"size"`
			}
			err := tx.NewRaw(`SELECT p.id, p.size FROM admission_parts p WHERE p.target_id = ? AND p.used_at < ?
				AND NOT EXISTS (SELECT 1 FROM admission_events e WHERE e.object_id = p.id) LIMIT 1000`, target, store.At(before)).Scan(ctx, &rows)
			if n = len(rows); err != nil || n == 0 {
				return err
			}
			ids, size := make([]int64, n), int64(0)
			for i, r := range rows {
				ids[i] = r.ID
				size += r.Size
			}
			if _, err := tx.NewRaw("DELETE FROM admission_parts WHERE id IN (?)", bun.List(ids)).Exec(ctx); err != nil {
				return err
			}
			_, err = tx.NewRaw("UPDATE admission_logs SET part_bytes = part_bytes - ? WHERE target_id = ?", size, target).Exec(ctx)
			return err
		})
		if n > 0 {
			s.parts.forget()
		}
		if err != nil || n < 1000 {
			return err
		}
	}
}

// sweepRows deletes events that did not happen for long, and what there is too much of.
func (s *Service) sweepRows(ctx context.Context, target int64, now time.Time) error {
	for {
		n := 0
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			if err := s.lock(ctx, tx, target); err != nil {
				return err
			}
			var list []Event
			err := tx.NewSelect().Model(&list).ExcludeColumn("detail").Where("target_id = ? AND last_at < ? AND state <> ?", target, store.At(now.Add(-keepEvents)), int64(Unhandled)).Limit(1000).Scan(ctx)
			if n = len(list); err != nil || n == 0 {
				return err
			}
			cells, ids := map[cell]tally{}, make([]int64, n)
			for i := range list {
				ids[i] = list[i].ID
				c := cells[list[i].cell()]
				cells[list[i].cell()] = tally{c.events - 1, c.hits - list[i].Hits}
			}
			for _, table := range []string{"DELETE FROM admission_occurrences WHERE event_id IN (?)", "DELETE FROM admission_event_hours WHERE event_id IN (?)", "DELETE FROM admission_events WHERE id IN (?)"} {
				if _, err := tx.NewRaw(table, bun.List(ids)).Exec(ctx); err != nil {
					return err
				}
			}
			return s.count(ctx, tx, cells)
		})
		if err != nil {
			return err
		}
		if n < 1000 {
			break
		}
	}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("DELETE FROM admission_unchecked WHERE target_id = ? AND id <= (SELECT id FROM admission_unchecked WHERE target_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
			target, target, mostUnchecked).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("DELETE FROM admission_cells WHERE target_id = ? AND events = 0 AND hits = 0", target).Exec(ctx)
		return err
	})
}
