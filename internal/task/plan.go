package task

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Prospect is what a task would do, were it made now.
type Prospect struct {
	Parts   []Part           `json:"items"`
	Targets []TargetProspect `json:"-"`
	Nodes   []Node           `json:"nodes" doc:"single nodes: unsupported until the node agent is there"`
	Data    bool             `json:"advisoryData" doc:"there is an advisory database; without one no vulnerability is found"`
	BuiltAt string           `json:"advisoryDataBuiltAt,omitempty" doc:"of the advisory database"`
}

// TargetProspect is what a task would do with one cluster.
type TargetProspect struct {
	ID     int64
	Name   string
	Whole  bool  // false: only single nodes of it
	Took   int64 // milliseconds that the last scan took; 0 when unknown
	Images int   // in use there at the last look
	Task   int64 // that scans it now, or waits to; 0 for none
}

// maxProspect bounds the clusters that a prospect tells one by one.
const maxProspect = 200

// Prospect says what a task would do. more are the clusters beyond those that are told one by one.
func (s *Service) Prospect(ctx context.Context, r Request) (p *Prospect, more int, err error) {
	p = &Prospect{Nodes: r.Scope.Nodes}
	if p.Nodes == nil {
		p.Nodes = []Node{}
	}
	if p.Parts, err = checkParts(r.Parts); err != nil {
		return nil, 0, err
	}
	targets, err := s.targets(ctx, s.db.R, r.Scope)
	if err != nil {
		return nil, 0, err
	}
	if len(targets) > maxProspect {
		more = len(targets) - maxProspect
		targets = targets[:maxProspect]
	}
	ids := make([]int64, len(targets))
	for i, t := range targets {
		ids[i] = t.ID
		p.Targets = append(p.Targets, TargetProspect{ID: t.ID, Name: t.Name, Whole: r.Scope.All || slices.Contains(r.Scope.Targets, t.ID), Took: s.took(ctx, t.ID).Milliseconds()})
	}
	images, err := s.pairs(ctx, "SELECT target_id, count(*) AS n FROM assets WHERE kind = ? AND gone_at = 0 AND target_id IN (?) GROUP BY target_id", ledger.AssetImage, in(ids))
	if err != nil {
		return nil, 0, err
	}
	going, err := s.pairs(ctx, "SELECT target_id, min(task_id) AS n FROM task_items WHERE status IN ('ready', 'running') AND kind = 'cluster' AND target_id IN (?) GROUP BY target_id", in(ids))
	if err != nil {
		return nil, 0, err
	}
	for i := range p.Targets {
		t := &p.Targets[i]
		t.Images, t.Task = int(images[t.ID]), going[t.ID]
	}
	db, err := s.advisories.use()
	if err != nil {
		s.log.Warn("the advisory database cannot be opened", "error", err)
		return p, more, nil
	}
	if db != nil {
		p.Data, p.BuiltAt = true, db.builtAt
		db.release()
	}
	return p, more, nil
}

func (s *Service) pairs(ctx context.Context, query string, args ...any) (map[int64]int64, error) {
	var rows []struct{ TargetID, N int64 }
	out := map[int64]int64{}
	err := s.db.R.NewRaw(query, args...).Scan(ctx, &rows)
	for _, r := range rows {
		out[r.TargetID] = r.N
	}
	return out, err
}

// maxTimes bounds how many runs of a schedule are told ahead.
const maxTimes = 20

// Times are the next n moments at which a schedule would run.
func (s *Service) Times(cron, zone string, n int) ([]store.Time, error) {
	if zone == "" {
		zone = "UTC"
	}
	if err := checkCron(cron, zone); err != nil {
		return nil, err
	}
	out := []store.Time{}
	at := s.now()
	for range min(n, maxTimes) {
		next, err := nextRun(cron, zone, at)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if !next.After(at) {
			break
		}
		at = next
		out = append(out, store.At(next.Truncate(time.Second)))
	}
	return out, nil
}
