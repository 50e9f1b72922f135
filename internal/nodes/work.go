package nodes

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/store"
)

// Limits of work.
const (
	maxOpenWork = 50 // of a node
	maxNames    = 1000
	workTime    = 10 * time.Minute // to do it, when nothing else is said
	keepWork    = 24 * time.Hour
)

// The statuses of work.
const (
	Open   = "open"
	Done   = "done"
	Failed = "failed"
)

// Work is a row of node_work.
type Work struct {
	bun.BaseModel `bun:"table:node_work,alias:w"`

	ID        int64             `bun:"id,pk,autoincrement"`
	NodeID    int64             `bun:"node_id"`
	Kind      protocol.WorkKind `bun:"kind"`
	Names     string            `bun:"names"`
	Status    string            `bun:"status"`
	Error     string            `bun:"error"`
	CreatedAt store.Time        `bun:"created_at"`
	UntilAt   store.Time        `bun:"until_at"`
	EndedAt   store.Time        `bun:"ended_at"`
}

func (w *Work) asked() protocol.Work {
	out := protocol.Work{ID: w.ID, Kind: w.Kind, Until: w.UntilAt.Time}
	if w.Names != "" {
		_ = json.Unmarshal([]byte(w.Names), &out.Names) // we wrote it
	}
	return out
}

// Ask has the agents of nodes do something at their next beat. It returns the id of the work by node; nodes whose agent is away are left
// out. What was asked for already and is not done is not asked for twice.
func (s *Service) Ask(ctx context.Context, ids []int64, w protocol.Work) (map[int64]int64, error) {
	switch w.Kind {
	case protocol.ReadFacts, protocol.ReadPackages, protocol.ReadImages, protocol.FindMalware, protocol.Verify:
	default:
		return nil, invalid("work of kind %q", w.Kind)
	}
	if len(w.Names) > maxNames {
		return nil, invalid("more than %d names in one work", maxNames)
	}
	now := s.now()
	if w.Until.IsZero() {
		w.Until = now.Add(workTime)
	}
	names := ""
	if len(w.Names) > 0 {
		data, err := json.Marshal(w.Names)
		if err != nil {
			return nil, err
		}
		names = string(data)
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	out := make(map[int64]int64, len(ids))
	for chunk := range slices.Chunk(slices.Compact(ids), 500) {
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			var alive []int64
			err := tx.NewSelect().Model((*Row)(nil)).Column("id").Where("id IN (?) AND enrolled_at > 0 AND seen_at >= ?", bun.List(chunk), store.At(now.Add(-s.Away()))).Order("id").Scan(ctx, &alive)
			if err != nil || len(alive) == 0 {
				return err
			}
			var open []Work
			if err := tx.NewSelect().Model(&open).Where("node_id IN (?) AND status = ? AND until_at > ?", bun.List(alive), Open, store.At(now)).Scan(ctx); err != nil {
				return err
			}
			count := map[int64]int{}
			for i := range open {
				o := &open[i]
				count[o.NodeID]++
				if o.Kind == w.Kind && o.Names == names {
					out[o.NodeID] = o.ID
				}
			}
			var rows []*Work
			for _, id := range alive {
				if out[id] == 0 && count[id] < maxOpenWork {
					rows = append(rows, &Work{NodeID: id, Kind: w.Kind, Names: names, Status: Open, CreatedAt: store.At(now), UntilAt: store.At(w.Until)})
				}
			}
			if len(rows) == 0 {
				return nil
			}
			if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
				return err
			}
			for _, r := range rows {
				out[r.NodeID] = r.ID
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	err := s.loadWork(ctx)
	s.o.Hub.Publish(ctx, live.Event{Topic: topicWork})
	return out, err
}

// Works reads work by id: what became of it.
func (s *Service) Works(ctx context.Context, ids []int64) ([]Work, error) {
	var out []Work
	for chunk := range slices.Chunk(ids, 500) {
		var rows []Work
		if err := s.db.R.NewSelect().Model(&rows).Where("id IN (?)", bun.List(chunk)).Order("id").Scan(ctx); err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// loadWork reads what agents are to be told at their next beat.
func (s *Service) loadWork(ctx context.Context) error {
	var rows []Work
	err := s.db.R.NewSelect().Model(&rows).Where("status = ? AND until_at > ?", Open, store.At(s.now())).Order("node_id", "id").Scan(ctx)
	if err != nil {
		return err
	}
	work := make(map[int64][]protocol.Work, len(rows))
	for i := range rows {
		work[rows[i].NodeID] = append(work[rows[i].NodeID], rows[i].asked())
	}
	s.mu.Lock()
	s.work = work
	s.mu.Unlock()
	return nil
}

// sweepWork ends work that nobody did in time, and forgets what ended long ago.
func (s *Service) sweepWork(ctx context.Context) error {
	now := s.now()
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("UPDATE node_work SET status = ?, error = ?, ended_at = ? WHERE status = ? AND until_at <= ?",
			Failed, "the agent did not do it in time", store.At(now), Open, store.At(now)).Exec(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.NewRaw("DELETE FROM node_work WHERE status <> ? AND until_at < ?", Open, store.At(now.Add(-keepWork))).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewRaw("DELETE FROM node_reports WHERE at < ?", store.At(now.Add(-keepWork))).Exec(ctx)
		return err
	})
}
