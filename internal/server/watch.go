package server

import (
	"context"
	"time"

	"github.com/uptrace/bun"
	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/store"
	sentry "stockade.dev/stockade/internal/watch"
)

// watched are the clusters that are watched between scans.
type watched struct {
	db    *store.DB
	fleet *fleet.Fleet
	now   func() time.Time
}

// Watched lists the live clusters that answered the last time and that a scan has looked at.
func (w watched) Watched(ctx context.Context) (map[int64]time.Time, error) {
	var rows []struct {
		ID       int64      `bun:"id"`
		LookedAt store.Time `bun:"looked_at"`
	}
	err := w.db.R.NewRaw(`SELECT t.id, t.looked_at FROM targets t JOIN clusters c ON c.target_id = t.id
		WHERE t.removed_at = 0 AND t.looked_at > 0 AND c.kind <> ? AND c.state = ?`, fleet.Snapshot, fleet.Connected).Scan(ctx, &rows)
	out := make(map[int64]time.Time, len(rows))
	for _, r := range rows {
		out[r.ID] = r.LookedAt.Time
	}
	return out, err
}

// REST is how a cluster is reached.
func (w watched) REST(ctx context.Context, target int64) (*rest.Config, error) {
	return w.fleet.REST(ctx, target)
}

// Report writes how a watch stands, where every replica can read it.
func (w watched) Report(ctx context.Context, target int64, s sentry.State) error {
	return w.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO watches (target_id, since, kinds, objects, waiting, judged, error, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (target_id) DO UPDATE SET since = excluded.since, kinds = excluded.kinds, objects = excluded.objects, waiting = excluded.waiting,
			judged = excluded.judged, error = excluded.error, updated_at = excluded.updated_at`,
			target, store.At(s.Since), s.Kinds, s.Objects, s.Waiting, s.Judged, s.Error, store.At(w.now())).Exec(ctx)
		return err
	})
}

// watches keeps clusters watched: only the leader does.
func (s *Server) watches() *sentry.Service {
	return sentry.NewService(watched{s.db, s.rooms.fleet, s.o.Now}, s.rooms.tasks, s.o.Watch, s.log)
}
