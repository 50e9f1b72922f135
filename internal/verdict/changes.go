package verdict

import (
	"context"
	"errors"
	"time"

	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// maxChanges bounds one answer; the next question brings the rest.
const maxChanges = 1000

// tooMany is how many changes are not listed any more: to forget everything costs less.
const tooMany = 20_000

// Changes are verdicts that changed since a serial, on images that the cluster asked about. Without any it waits for some, and then
// answers with none.
func (s *Service) Changes(ctx context.Context, target int64, after int64) (*protocol.Changes, error) {
	wait := s.o.Wait
	if wait <= 0 {
		wait = protocol.Wait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	news := s.o.Hub.Subscribe(ctx, func(e live.Event) bool { return e.Topic == Topic && e.Target == target })
	for {
		c, err := s.changes(ctx, target, after)
		switch {
		case err != nil && ctx.Err() != nil:
			return &protocol.Changes{Serial: after}, nil
		case err != nil || c.Reset || len(c.Verdicts) > 0:
			return c, err
		}
		select {
		case <-ctx.Done():
			return c, nil
		case _, ok := <-news:
			if !ok {
				return c, nil
			}
		case <-time.After(5 * time.Second): // news may get lost
		}
	}
}

func (s *Service) changes(ctx context.Context, target, after int64) (*protocol.Changes, error) {
	now, err := s.serial(ctx)
	if err != nil {
		return nil, err
	}
	var floor int64
	if err := store.NotFound(s.db.R.NewRaw("SELECT floor FROM verdict_clusters WHERE target_id = ?", target).Scan(ctx, &floor)); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if after > now || after < floor { // of a database before this one, or rows were dropped
		return &protocol.Changes{Serial: now, Reset: true}, nil
	}
	if now-after > tooMany {
		var n int
		if err := s.db.R.NewRaw("SELECT count(*) FROM (SELECT 1 AS x FROM verdicts WHERE target_id = ? AND serial > ? LIMIT ?) q", target, after, tooMany+1).Scan(ctx, &n); err != nil {
			return nil, err
		}
		if n > tooMany {
			return &protocol.Changes{Serial: now, Reset: true}, nil
		}
	}
	var rows []row
	if err := s.db.R.NewSelect().Model(&rows).Where("target_id = ? AND serial > ? AND serial <= ?", target, after, now).Order("serial").Limit(maxChanges).Scan(ctx); err != nil {
		return nil, err
	}
	out := &protocol.Changes{Verdicts: make([]policy.ImageVerdict, 0, len(rows)), Serial: max(now, after)}
	for i := range rows {
		v, err := rows[i].verdict()
		if err != nil {
			return nil, err
		}
		out.Verdicts = append(out.Verdicts, v)
	}
	if len(rows) == maxChanges {
		out.Serial = rows[len(rows)-1].Serial
	}
	return out, nil
}

// Serial is the newest change of verdicts on images of a cluster.
func (s *Service) Serial(ctx context.Context, target int64) (int64, error) {
	var n int64
	err := s.db.R.NewRaw("SELECT coalesce(max(serial), 0) FROM verdicts WHERE target_id = ?", target).Scan(ctx, &n)
	return n, err
}
