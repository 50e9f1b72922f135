package api

import (
	"context"
	"net/http"
	"time"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// watchState is how the watch of a cluster stands, and what the last full scan found that it had not told.
type watchState struct {
	Watching bool       `json:"watching" doc:"changes are judged as they come"`
	Since    store.Time `json:"since,omitzero" format:"date-time" doc:"since when every change was noticed"`
	Kinds    int        `json:"kinds" doc:"kinds of objects that are watched"`
	Objects  int        `json:"objects" doc:"objects that are known"`
	Waiting  int        `json:"waiting" doc:"changed objects that are not judged yet"`
	Judged   int64      `json:"judged" doc:"changed objects that were judged since the watch began"`
	Error    string     `json:"error,omitempty"`
	Check    *watchRun  `json:"check,omitempty" doc:"the last full scan that ran while the cluster was watched"`
}

// watchRun is a full scan as a check of the watch: what it changed is what the watch had missed, or what only a look at the whole
// cluster, a new rule or a new advisory can tell.
type watchRun struct {
	RunID       int64      `json:"runId,string"`
	At          store.Time `json:"at" format:"date-time"`
	Unchanged   int        `json:"unchanged"`
	Differences int        `json:"differences" doc:"findings that the scan added, changed or closed"`
}

// stale is how old the report of a watch may be.
const stale = 3 * time.Minute

// Watches adds the routes of the watches of clusters.
func Watches(a *API, db *store.DB, now func() time.Time) {
	Add(a, Route{Method: http.MethodGet, Path: "/clusters/{id}/watch", ID: "get-cluster-watch", Tag: "Clusters",
		Summary: "How the watch of a cluster stands", Action: identity.Read,
		Description: "Between full scans a cluster is watched: changed objects are judged at once. A full scan checks the watch."},
		func(ctx context.Context, in *ByID) (*One[watchState], error) {
			if !identity.From(ctx).Visible(identity.Read).Sees(in.ID) {
				return nil, store.ErrNotFound
			}
			out := &One[watchState]{}
			var rows []struct {
				ID      int64      `bun:"id"`
				Since   store.Time `bun:"since"`
				Kinds   int        `bun:"kinds"`
				Objects int        `bun:"objects"`
				Waiting int        `bun:"waiting"`
				Judged  int64      `bun:"judged"`
				Error   string     `bun:"error"`
				Updated store.Time `bun:"updated_at"`
			}
			err := db.R.NewRaw(`SELECT t.id, coalesce(w.since, 0) AS since, coalesce(w.kinds, 0) AS kinds, coalesce(w.objects, 0) AS objects,
				coalesce(w.waiting, 0) AS waiting, coalesce(w.judged, 0) AS judged, coalesce(w.error, '') AS error, coalesce(w.updated_at, 0) AS updated_at
				FROM targets t LEFT JOIN watches w ON w.target_id = t.id WHERE t.id = ? AND t.kind = 'cluster' AND t.removed_at = 0`, in.ID).Scan(ctx, &rows)
			if err != nil {
				return nil, err
			}
			if len(rows) == 0 {
				return nil, store.ErrNotFound
			}
			w := rows[0]
			out.Body = watchState{Watching: now().Sub(w.Updated.Time) < stale && !w.Since.IsZero(), Kinds: w.Kinds, Objects: w.Objects,
				Waiting: w.Waiting, Judged: w.Judged, Error: w.Error}
			if !out.Body.Watching {
				return out, nil
			}
			out.Body.Since = w.Since
			var checks []watchRun
			err = db.R.NewRaw(`SELECT id AS run_id, started_at AS at, unchanged, added + changed + reopened + fixed + gone AS differences FROM runs
				WHERE target_id = ? AND kind = 'full' AND finished_at > 0 AND started_at > ? ORDER BY id DESC LIMIT 1`, in.ID, w.Since).Scan(ctx, &checks)
			if len(checks) > 0 {
				out.Body.Check = &checks[0]
			}
			return out, err
		})
}
