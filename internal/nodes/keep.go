package nodes

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/leader"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
	"stockade.dev/stockade/internal/triage"
)

// keeper is what the leader remembers between its rounds.
type keeper struct {
	mu    sync.Mutex
	later map[int64]time.Time // nodes and clusters that could not be judged: not before
	stamp string
}

// Bounds of one round.
const (
	roundTime   = 20 * time.Second
	judgeTime   = 30 * time.Second // for one node, with waiting until the scan of its cluster ends
	mostAtOnce  = 200              // nodes of a round
	pauseFailed = time.Minute
	settleTime  = 2 * time.Second // facts and packages that come together are judged together
)

// Duties are what one of all replicas does.
func (s *Service) Duties() []leader.Duty {
	return []leader.Duty{
		{Name: "nodes", Every: 2 * time.Second, Do: s.Keep},
		{Name: "protected nodes", Every: 15 * time.Second, Do: s.Count},
		{Name: "what to tell of nodes", Every: tellEvery, Do: s.Tell},
		{Name: "agents' work", Every: time.Minute, Do: s.sweepWork},
	}
}

// Keep judges nodes of which something is new, and those that were judged by other rules and advisories than there are now: as much as
// fits into some seconds, the rest in the next round.
func (s *Service) Keep(ctx context.Context) error {
	if s.o.Judge == nil {
		return nil
	}
	stamp, err := s.o.Judge.Stamp()
	if err != nil {
		return err
	}
	ends := time.Now().Add(roundTime)
	var errs []error
	for time.Now().Before(ends) && ctx.Err() == nil {
		rows, err := s.due(ctx, stamp)
		if err != nil || len(rows) == 0 {
			return errors.Join(append(errs, err)...)
		}
		by := map[int64][]Row{}
		for _, r := range rows {
			by[r.TargetID] = append(by[r.TargetID], r)
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		gate := make(chan struct{}, 2)
		for target, list := range by {
			gate <- struct{}{}
			all.Go(func() {
				defer func() { <-gate }()
				err := s.judgeSafely(ctx, target, list, stamp, ends)
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			})
		}
		all.Wait()
	}
	return errors.Join(errs...)
}

// judgeSafely is judgeCluster where a panic, of rules over what a hostile node says, is an error of that cluster.
func (s *Service) judgeSafely(ctx context.Context, target int64, rows []Row, stamp string, ends time.Time) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "panic while nodes were judged", "cluster", target, "panic", p, "stack", string(debug.Stack()))
			for i := range rows {
				s.postpone(rows[i].ID)
			}
			err = fmt.Errorf("judging nodes of cluster %d: internal error", target)
		}
	}()
	return s.judgeCluster(ctx, target, rows, stamp, ends)
}

// due finds nodes to judge.
func (s *Service) due(ctx context.Context, stamp string) ([]Row, error) {
	now := s.now()
	s.keep.mu.Lock()
	var skip []int64
	for id, at := range s.keep.later {
		if now.Before(at) && at.Sub(now) <= 2*pauseFailed {
			skip = append(skip, id)
		} else {
			delete(s.keep.later, id)
		}
	}
	s.keep.mu.Unlock()
	if len(skip) == 0 {
		skip = []int64{0} // IN () is no SQL
	}
	var rows []Row
	q := func() *bun.SelectQuery {
		return s.db.R.NewSelect().Model(&rows).Join("JOIN targets AS t ON t.id = n.target_id AND t.removed_at = 0").Where("n.enrolled_at > 0").
			Where("n.id NOT IN (?)", bun.List(skip)).Where("(n.facts_digest <> '' OR n.software_digest <> '')")
	}
	err := q().Where("n.dirty_at > 0 AND (n.dirty_at <= ? OR n.dirty_at > ?)", store.At(now.Add(-settleTime)), store.At(now)).Order("n.dirty_at").Limit(mostAtOnce).Scan(ctx)
	if err != nil || len(rows) > 0 {
		return rows, err
	}
	err = q().Where("n.judged <> ?", stamp).Where("n.dirty_at = 0").Order("n.judged_at").Limit(mostAtOnce).Scan(ctx)
	return rows, err
}

func (s *Service) postpone(ids ...int64) {
	s.keep.mu.Lock()
	defer s.keep.mu.Unlock()
	if s.keep.later == nil {
		s.keep.later = map[int64]time.Time{}
	}
	for _, id := range ids {
		s.keep.later[id] = s.now().Add(pauseFailed)
	}
}

// judgeCluster judges nodes of one cluster until time is over.
func (s *Service) judgeCluster(ctx context.Context, target int64, rows []Row, stamp string, ends time.Time) error {
	name, err := clusterName(ctx, s.db.R, target)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(rows, 10) {
		if time.Now().After(ends) {
			return nil
		}
		list, err := s.states(ctx, name, chunk)
		if err != nil { // one of them cannot be read: the others shall not wait for it
			return errors.Join(err, s.judgeEach(ctx, name, chunk, stamp))
		}
		if err := s.judgeList(ctx, target, chunk, list, stamp); err != nil {
			for i := range rows {
				s.postpone(rows[i].ID) // its cluster is being scanned as a whole, or gone
			}
			if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, triage.ErrRemoved) {
				return nil
			}
			return err
		}
	}
	return nil
}

func (s *Service) judgeEach(ctx context.Context, cluster string, rows []Row, stamp string) error {
	var errs []error
	for i := range rows {
		list, err := s.states(ctx, cluster, rows[i:i+1])
		if err == nil {
			err = s.judgeList(ctx, rows[i].TargetID, rows[i:i+1], list, stamp)
		}
		if err != nil {
			s.postpone(rows[i].ID)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Service) judgeList(ctx context.Context, target int64, rows []Row, list []task.NodeState, stamp string) error {
	limited, cancel := context.WithTimeout(ctx, judgeTime)
	defer cancel()
	judged, err := s.o.Judge.JudgeNodes(limited, target, 0, list, nil)
	return errors.Join(err, s.judged(ctx, rows, judged, stamp))
}

// judged notes what was judged. What came in meanwhile stays to be judged: dirty_at says since when.
func (s *Service) judged(ctx context.Context, rows []Row, list []task.NodeJudged, stamp string) error {
	var errs []error
	now := store.At(s.now())
	for _, j := range list {
		i := slices.IndexFunc(rows, func(r Row) bool { return r.ID == j.ID })
		if j.Err != nil || i < 0 {
			errs = append(errs, j.Err)
			s.postpone(j.ID)
			continue
		}
		r := &rows[i]
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			if err := s.keepPrints(ctx, tx, j.ID, j.Prints, j.Undecided); err != nil {
				return err
			}
			_, err := tx.NewRaw(`UPDATE nodes SET judged = ?, judged_at = ?,
				dirty_at = CASE WHEN facts_digest = ? AND software_digest = ? AND dirty_at = ? THEN 0 ELSE dirty_at END WHERE id = ?`,
				stamp, now, r.FactsDigest, r.SoftwareDigest, r.DirtyAt, j.ID).Exec(ctx)
			return err
		})
		errs = append(errs, err)
		s.o.Hub.Publish(ctx, live.Event{Topic: Topic, Target: r.TargetID, ID: j.ID, Body: map[string]string{"judged": stamp}})
	}
	return errors.Join(errs...)
}

// JudgeNode implements task.Nodes.
func (s *Service) JudgeNode(ctx context.Context, target int64, name string, run int64, parts []task.Part) (int, error) {
	if s.o.Judge == nil {
		return 0, errors.New("this server has no rules to judge nodes by")
	}
	row, err := s.byName(ctx, target, name)
	if err != nil {
		return 0, err
	}
	cluster, err := clusterName(ctx, s.db.R, target)
	if err != nil {
		return 0, err
	}
	stamp, err := s.o.Judge.Stamp()
	if err != nil {
		return 0, err
	}
	rows := []Row{*row}
	list, err := s.states(ctx, cluster, rows)
	if err != nil {
		return 0, err
	}
	judged, err := s.o.Judge.JudgeNodes(ctx, target, run, list, parts)
	if err != nil || len(judged) == 0 {
		return 0, err
	}
	if judged[0].Err != nil {
		return 0, judged[0].Err
	}
	if len(parts) > 0 && len(parts) < len(task.Parts) { // the rest is still to be judged, and will settle this too
		return judged[0].Findings, s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			before, err := s.prints(ctx, tx, []int64{row.ID})
			if err != nil {
				return err
			}
			return s.keepPrints(ctx, tx, row.ID, append(before[row.ID], judged[0].Prints...), nil)
		})
	}
	return judged[0].Findings, s.judged(ctx, rows, judged, stamp)
}

// Count brings up to date how many nodes of clusters are protected.
func (s *Service) Count(ctx context.Context) error {
	from := store.At(s.now().Add(-s.Away()))
	const count = "(SELECT count(*) FROM nodes n WHERE n.target_id = clusters.target_id AND n.enrolled_at > 0 AND n.seen_at >= ?)"
	var changed []int64
	err := s.db.R.NewRaw("SELECT target_id FROM clusters WHERE protected_nodes <> "+count, from).Scan(ctx, &changed)
	if err != nil || len(changed) == 0 {
		return err
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("UPDATE clusters SET protected_nodes = "+count+" WHERE target_id IN (?)", from, bun.List(changed)).Exec(ctx)
		return err
	})
	for _, id := range changed {
		s.o.Hub.Publish(ctx, live.Event{Topic: "cluster", Target: id, ID: id})
	}
	return err
}
