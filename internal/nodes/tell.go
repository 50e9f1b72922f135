package nodes

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

// teller is what the leader remembers of what is to be told, and how many nodes are in each state.
type teller struct {
	mu     sync.Mutex
	since  map[int64]time.Time // clusters with something to tell, and since when
	count  map[int64]int       // how much it was at the last look
	states map[State]int
	at     time.Time // of states
}

// Times of what is told.
const (
	tellEvery = 30 * time.Second
	tellMost  = 5 * time.Minute // no longer is waited until nothing more comes
	shown     = 20              // nodes that a message names
)

// news is what is new of one node.
type news struct {
	ID       int64
	TargetID int64
	Name     string
	Told     string
	Now      string
	Claimed  bool // by a machine of which nobody was told
}

// Tell tells people of agents that went away or cannot do their work, of machines that want to be a node that has an agent, and that
// they are back: one message for a cluster, when no more of it comes.
func (s *Service) Tell(ctx context.Context) error {
	if err := s.measure(ctx); err != nil {
		return err
	}
	now := s.now()
	if d := now.Sub(s.began); d < s.Away() && d >= 0 {
		return nil // agents could not reach a server that was not there
	}
	from := store.At(now.Add(-s.Away()))
	const claimed = "(n.claim_at > 0 AND n.told_claim <> '!' || n.claim_machine)" // a machine that comes again and again is told once
	const state = `CASE WHEN n.enrolled_at = 0 THEN '' WHEN n.seen_at < ? THEN 'away' WHEN n.agent_state = 'degraded' THEN 'degraded' ELSE '' END`
	var rows []news
	err := s.db.R.NewRaw(`SELECT n.id, n.target_id, n.name, n.told, `+state+` AS now, `+claimed+` AS claimed FROM nodes AS n JOIN targets AS t ON t.id = n.target_id AND t.removed_at = 0
		WHERE n.told <> `+state+` OR `+claimed+` ORDER BY n.target_id, n.name`, from, from).Scan(ctx, &rows)
	if err != nil {
		return err
	}
	by := map[int64][]news{}
	for _, r := range rows {
		by[r.TargetID] = append(by[r.TargetID], r)
	}
	var errs []error
	for _, target := range s.ripe(by, now) {
		errs = append(errs, s.tellOf(ctx, target, by[target], now))
	}
	return errors.Join(errs...)
}

// ripe lists the clusters of which nothing more came since the last look.
func (s *Service) ripe(by map[int64][]news, now time.Time) []int64 {
	t := &s.told
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since == nil {
		t.since, t.count = map[int64]time.Time{}, map[int64]int{}
	}
	var out []int64
	for target := range t.since {
		if len(by[target]) == 0 {
			delete(t.since, target)
			delete(t.count, target)
		}
	}
	for target, list := range by {
		since, waits := t.since[target]
		if waits && (t.count[target] == len(list) || now.Sub(since).Abs() >= tellMost) {
			out = append(out, target)
			delete(t.since, target)
			delete(t.count, target)
			continue
		}
		if !waits {
			t.since[target] = now
		}
		t.count[target] = len(list)
	}
	slices.Sort(out)
	return out
}

func (s *Service) tellOf(ctx context.Context, target int64, list []news, now time.Time) error {
	m := outbox.Nodes{At: store.At(now)}
	name := func(names *[]string, n string) {
		if len(*names) < shown {
			*names = append(*names, n)
		}
	}
	by := map[string][]int64{}
	var claimed []int64
	for _, n := range list {
		if n.Claimed {
			claimed = append(claimed, n.ID)
			m.Claimed++
			name(&m.ClaimedNames, n.Name)
		}
		if n.Now == n.Told {
			continue
		}
		by[n.Now] = append(by[n.Now], n.ID)
		switch n.Now {
		case "away":
			m.Away++
			name(&m.AwayNames, n.Name)
		case "degraded":
			m.Degraded++
			name(&m.DegradedNames, n.Name)
		default:
			m.Back++
			name(&m.BackNames, n.Name)
		}
	}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		for state, ids := range by {
			for chunk := range slices.Chunk(ids, 500) {
				if _, err := tx.NewRaw("UPDATE nodes SET told = ? WHERE id IN (?)", state, bun.List(chunk)).Exec(ctx); err != nil {
					return err
				}
			}
		}
		for chunk := range slices.Chunk(claimed, 500) {
			if _, err := tx.NewRaw("UPDATE nodes SET told_claim = '!' || claim_machine WHERE id IN (?)", bun.List(chunk)).Exec(ctx); err != nil {
				return err
			}
		}
		return outbox.Put(ctx, tx, outbox.NodesState, target, m)
	})
}

// measure counts nodes by state, for the metrics of the process that leads.
func (s *Service) measure(ctx context.Context) error {
	now := s.now()
	var rows []struct {
		State string
		N     int
	}
	err := s.db.R.NewRaw(`SELECT CASE WHEN n.enrolled_at = 0 AND n.object_os = 'windows' THEN 'unsupported' WHEN n.enrolled_at = 0 THEN 'never' WHEN n.seen_at < ? THEN 'away'
		WHEN n.agent_state IN ('paused', 'degraded') THEN n.agent_state ELSE 'protected' END AS state, count(*) AS n
		FROM nodes AS n JOIN targets AS t ON t.id = n.target_id AND t.removed_at = 0 GROUP BY 1`, store.At(now.Add(-s.Away()))).Scan(ctx, &rows)
	if err != nil {
		return err
	}
	states := make(map[State]int, len(States))
	for _, st := range States {
		states[st] = 0
	}
	for _, r := range rows {
		states[State(r.State)] += r.N
	}
	s.told.mu.Lock()
	s.told.states, s.told.at = states, now
	s.told.mu.Unlock()
	return nil
}

// Measured is how many nodes were in which state when this process last counted as the leader; nil when it does not lead.
func (s *Service) Measured() map[State]int {
	s.told.mu.Lock()
	defer s.told.mu.Unlock()
	if s.now().Sub(s.told.at).Abs() > 4*tellEvery {
		return nil
	}
	return s.told.states
}
