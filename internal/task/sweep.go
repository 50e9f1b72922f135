package task

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/store"
)

// beat is what the sweeper saw of a running item, and when that changed. Beats are counted by workers and time is this process's
// own, so that neither clocks that differ nor one that jumps take an item from a worker that is alive.
type beat struct {
	attempt int
	beat    int64
	since   time.Time
}

// Sweep returns items to the queue whose workers are gone or that the queue has lost, and ends tasks that have nothing left. The
// leader calls it often.
func (s *Service) Sweep(ctx context.Context) error {
	return errors.Join(s.expire(ctx), s.resume(ctx))
}

// expire takes items from workers that are silent for longer than the lease.
func (s *Service) expire(ctx context.Context) error {
	var items []Item
	if err := s.db.R.NewRaw("SELECT id, task_id, kind, name, attempt, beat, failures FROM task_items WHERE status = 'running'").Scan(ctx, &items); err != nil {
		return err
	}
	now, seen := time.Now(), map[int64]beat{}
	var errs []error
	for i := range items {
		it := &items[i]
		b, known := s.seen[it.ID]
		if !known || b.attempt != it.Attempt || b.beat != it.Beat {
			b = beat{it.Attempt, it.Beat, now}
		}
		if seen[it.ID] = b; now.Sub(b.since) <= s.o.Lease {
			continue
		}
		s.log.Warn("a worker is gone, its item is begun again", "item", it.ID, "kind", it.Kind, "name", it.Name, "failures", it.Failures+1)
		errs = append(errs, s.take(ctx, it, 1))
		delete(seen, it.ID)
	}
	s.seen = seen
	return errors.Join(errs...)
}

// take makes a running item ready again, or failed when it was lost too often. failures is 1 when that counts.
func (s *Service) take(ctx context.Context, it *Item, failures int) error {
	var ended *Task
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		ended = nil
		t, err := s.lock(ctx, tx, it.TaskID)
		if err != nil {
			return err
		}
		status, code, why := Ready, "", ""
		switch {
		case t.Cancel:
			status = Canceled
		case it.Failures+failures >= maxFailures:
			status, code = Failed, string(finding.Broken)
			why = fmt.Sprintf("the process that worked on it ended, %d times in a row: out of memory? See the logs of the workers", maxFailures)
		}
		_, err = tx.NewRaw(`UPDATE task_items SET status = ?, code = ?, error = ?, worker = '', queued_at = 0, failures = failures + ?, finished_at = ?
			WHERE id = ? AND status = 'running' AND attempt = ? AND beat = ?`, status, code, why, failures, finishedAt(status, s.now()), it.ID, it.Attempt, it.Beat).Exec(ctx)
		if err != nil || it.Kind == kindImage {
			return err
		}
		ended, err = s.settle(ctx, tx, it.TaskID)
		return err
	})
	s.ended(ctx, ended)
	return err
}

func finishedAt(st Status, now time.Time) store.Time {
	if st == Ready {
		return store.Time{}
	}
	return store.At(now)
}

// reclaim returns every running item: called at the start of the only process there is.
func (s *Service) reclaim(ctx context.Context) error {
	var items []Item
	if err := s.db.R.NewRaw("SELECT id, task_id, kind, attempt, beat, failures FROM task_items WHERE status = 'running'").Scan(ctx, &items); err != nil {
		return err
	}
	for i := range items {
		if err := s.take(ctx, &items[i], 1); err != nil {
			return err
		}
	}
	// The queue's file may be older or newer than the database: all that is ready is queued anew.
	return s.requeue(ctx, poolTargets, poolImages)
}

func (s *Service) requeue(ctx context.Context, pools ...string) error {
	for _, pool := range pools {
		kinds := []string{kindCluster, kindUpload, kindNode}
		if pool == poolImages {
			kinds = []string{kindImage}
		}
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("UPDATE task_items SET queued_at = 0 WHERE status = 'ready' AND queued_at > 0 AND kind IN (?)", in(kinds)).Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// resume queues what is ready and not queued, and what was queued and is not in the queue any more; it ends tasks whose last item
// ended without that being noticed.
func (s *Service) resume(ctx context.Context) error {
	var errs []error
	for _, pool := range []string{poolTargets, poolImages} {
		kind := "kind IN ('cluster', 'node', 'upload')"
		if pool == poolImages {
			kind = "kind = 'image'"
		}
		var n int
		err := s.db.R.NewRaw("SELECT count(*) FROM (SELECT 1 AS x FROM task_items WHERE status = 'ready' AND queued_at > 0 AND queued_at < ? AND not_before < ? AND "+kind+" LIMIT 1) q",
			store.At(s.now().Add(-10*time.Second)), store.At(s.now())).Scan(ctx, &n)
		if err != nil || n == 0 {
			errs = append(errs, err)
			continue
		}
		waiting, err := s.queue.Waiting(ctx, pool)
		if err == nil && !waiting {
			err = s.requeue(ctx, pool)
		}
		errs = append(errs, err)
	}
	var tasks []struct {
		ID   int64
		Open bool
		Idle bool
	}
	err := s.db.R.NewRaw(`SELECT t.id, EXISTS (SELECT 1 FROM task_items i WHERE i.task_id = t.id AND i.status IN ('ready', 'running') AND (i.kind IN ('cluster', 'node', 'upload')
			OR NOT EXISTS (SELECT 1 FROM task_items o WHERE o.task_id = t.id AND o.kind IN ('cluster', 'node', 'upload')))) AS open,
		EXISTS (SELECT 1 FROM task_items i WHERE i.task_id = t.id AND i.status = 'ready' AND i.queued_at = 0) AS idle
		FROM tasks t WHERE t.status IN ('ready', 'running')`).Scan(ctx, &tasks)
	errs = append(errs, err)
	for _, t := range tasks {
		switch {
		case !t.Open:
			var ended *Task
			err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
				if _, err := s.lock(ctx, tx, t.ID); err != nil {
					return err
				}
				var err error
				ended, err = s.settle(ctx, tx, t.ID)
				return err
			})
			s.ended(ctx, ended)
			errs = append(errs, err)
		case t.Idle:
			errs = append(errs, s.dispatch(ctx, t.ID))
		}
	}
	// Images that are wanted by others than their task, which has ended.
	var others []int64
	err = s.db.R.NewRaw(`SELECT DISTINCT i.task_id FROM task_items i JOIN tasks t ON t.id = i.task_id
		WHERE i.status = 'ready' AND i.kind = 'image' AND i.queued_at = 0 AND NOT t.cancel AND t.status NOT IN ('ready', 'running')`).Scan(ctx, &others)
	errs = append(errs, err)
	for _, id := range others {
		errs = append(errs, s.dispatch(ctx, id))
	}
	return errors.Join(errs...)
}

// Clean removes tasks that ended long ago, and inventories that no scan asked for since.
func (s *Service) Clean(ctx context.Context) error {
	before := store.At(s.now().Add(-s.o.Keep))
	var old []int64
	err := s.db.R.NewRaw("SELECT id FROM tasks WHERE finished_at > 0 AND finished_at < ? ORDER BY id LIMIT 1000", before).Scan(ctx, &old)
	if err != nil {
		return err
	}
	for _, id := range old {
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			for _, q := range []string{
				"DELETE FROM task_item_uses WHERE image_item IN (SELECT id FROM task_items WHERE task_id = ?)",
				"DELETE FROM task_item_uses WHERE user_item IN (SELECT id FROM task_items WHERE task_id = ?)",
				"DELETE FROM upload_parts WHERE item_id IN (SELECT id FROM task_items WHERE task_id = ?)",
				"DELETE FROM task_items WHERE task_id = ?", "DELETE FROM task_targets WHERE task_id = ?", "DELETE FROM tasks WHERE id = ?",
			} {
				if _, err := tx.NewRaw(q, id).Exec(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("DELETE FROM inventories WHERE used_at < ?", before).Exec(ctx)
		return err
	})
}
