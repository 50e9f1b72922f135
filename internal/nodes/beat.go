package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/store"
)

// peer is what is remembered of a node whose agent speaks to this process.
type peer struct {
	subject         Subject
	facts, software string    // digests that the database has
	said            said      // that the database has
	next            said      // as the agent said last
	seen            time.Time // last contact; zero: none that is not written yet
	read            time.Time // when the agent last read the same facts again
	stale           bool      // something of it changed elsewhere: read the row again
}

// said is what an agent says of itself.
type said struct {
	state, reason, needs, classes, version string
	spool                                  int
	skew, memory, cpu                      int64
}

// Limits of what agents say.
const (
	maxVersion = 64
	maxReason  = 500
	maxNeeds   = 200
	flushEvery = time.Minute     // contacts are written together
	flushFirst = 2 * time.Second // after the first word of a new agent: somebody may be waiting for it
	flushChunk = 500
	memoryStep = 8 << 20 // bytes, and milliseconds of the processor: smaller changes are worth no write
	cpuStep    = 10_000
)

// AllClasses are the classes of checks.
var AllClasses = []emergency.Class{emergency.Reads, emergency.Process, emergency.Request, emergency.Private}

// clip makes a foreign text fit: one line that both databases take.
func clip(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	s = strings.ToValidUTF8(s, "")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// known has what is known of an agent be in s.peers, and names its node. ErrGone: it was forgotten, or its cluster removed.
func (s *Service) known(ctx context.Context, id int64) (Subject, error) {
	s.mu.Lock()
	p := s.peers[id]
	if p != nil && !p.stale {
		defer s.mu.Unlock()
		return p.subject, nil
	}
	s.mu.Unlock()
	var row Row
	err := s.db.R.NewSelect().Model(&row).ColumnExpr("n.*, t.name AS cluster").Join("JOIN targets AS t ON t.id = n.target_id AND t.removed_at = 0").
		Where("n.id = ? AND n.enrolled_at > 0", id).Scan(ctx)
	if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) {
		s.mu.Lock()
		delete(s.peers, id)
		s.mu.Unlock()
		return Subject{}, ErrGone
	}
	if err != nil {
		return Subject{}, err
	}
	was := said{row.AgentState, row.Reason, row.Needs, row.Classes, row.Version, row.Spool, row.Skew, row.Memory, row.CPU}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p = s.peers[id]; p == nil {
		p = &peer{next: was}
		s.peers[id] = p
	} else if p.next == p.said { // nothing that waits to be written
		p.next = was
	}
	p.subject = Subject{ID: id, Target: row.TargetID, Name: row.Name, Cluster: row.Cluster}
	p.facts, p.software, p.said, p.stale = row.FactsDigest, row.SoftwareDigest, was, false
	return p.subject, nil
}

// Beat takes an agent's word of itself and says what it should do. until is when its certificate ends.
func (s *Service) Beat(ctx context.Context, id int64, b *protocol.Beat, until time.Time) (*protocol.BeatAnswer, error) {
	switch b.State {
	case protocol.Running, protocol.Paused, protocol.Degraded:
	default:
		return nil, invalid("the state %q: want running, paused or degraded", clip(string(b.State), 20))
	}
	who, err := s.known(ctx, id)
	if err != nil {
		return nil, err
	}
	now := s.now()
	next := said{state: string(b.State), reason: clip(b.Reason, maxReason), needs: packNeeds(b.Needs), classes: packClasses(b.Classes), version: clip(b.Version, maxVersion),
		spool: min(max(b.Spool, 0), 1_000_000), memory: max(b.Memory, 0), cpu: max(b.CPU, 0)}
	if d := b.At.Sub(now); d > protocol.SkewAllowed || d < -protocol.SkewAllowed {
		next.skew = d.Round(time.Minute).Milliseconds() // to the minute: a clock that is wrong changes nothing from beat to beat
	}
	a := &protocol.BeatAnswer{At: now, Interval: s.o.Interval, Classes: AllClasses, Renew: now.After(until.Add(-enrol.Lifetime / 2))}
	s.mu.Lock()
	p := s.peers[id]
	if p == nil { // forgotten this moment
		s.mu.Unlock()
		return nil, ErrGone
	}
	if next.spool != 0 && p.next.spool != 0 && next.spool/16 == p.next.spool/16 {
		next.spool = p.next.spool // how many wait exactly is worth no write
	}
	if d := next.memory - p.next.memory; d > -memoryStep && d < memoryStep {
		next.memory = p.next.memory
	}
	if d := next.cpu - p.next.cpu; d >= 0 && d < cpuStep {
		next.cpu = p.next.cpu
	}
	if p.said.version == "" && next.version != "" || p.said.classes == "" && next.classes != "" {
		select {
		case s.first <- struct{}{}:
		default:
		}
	}
	p.next, p.seen = next, now
	if b.Facts == "" || b.Facts != p.facts {
		a.Want = append(a.Want, "facts")
	}
	if b.Software == "" || b.Software != p.software {
		a.Want = append(a.Want, "software")
	}
	for _, w := range s.work[id] {
		if w.Until.After(now) {
			a.Work = append(a.Work, w)
		}
	}
	s.mu.Unlock()
	if s.o.Classes != nil {
		if a.Classes, err = s.o.Classes(ctx, who.Target); err != nil {
			return nil, err
		}
	}
	if a.Emergencies, err = digestOf(ctx, s.o.Emergencies); err != nil {
		return nil, err
	}
	a.Signatures, err = digestOf(ctx, s.o.Signatures)
	return a, err
}

func digestOf(ctx context.Context, l List) (string, error) {
	if l == nil {
		return "", nil
	}
	digest, _, err := l(ctx)
	return digest, err
}

// Emergencies is the list of emergencies as JSON, with its digest.
func (s *Service) Emergencies(ctx context.Context) (string, []byte, error) {
	return listed(ctx, s.o.Emergencies)
}

// Signatures is the list of hashes of malicious files, with its digest.
func (s *Service) Signatures(ctx context.Context) (string, []byte, error) {
	return listed(ctx, s.o.Signatures)
}

func listed(ctx context.Context, l List) (string, []byte, error) {
	if l == nil {
		return "", nil, store.ErrNotFound
	}
	return l(ctx)
}

func packNeeds(list []inventory.SkipFact) string {
	if len(list) == 0 {
		return ""
	}
	list = slices.Clone(list[:min(len(list), maxNeeds)])
	for i := range list {
		n := &list[i]
		n.Check, n.Needs, n.Reason = clip(n.Check, 200), clip(n.Needs, 300), clip(n.Reason, 300)
		protocolWords(n)
	}
	slices.SortFunc(list, func(a, b inventory.SkipFact) int { return strings.Compare(a.Check+a.Needs, b.Check+b.Needs) })
	data, err := json.Marshal(list)
	if err != nil {
		return ""
	}
	return string(data)
}

func packClasses(list []emergency.Class) string {
	var out []string
	for _, c := range AllClasses {
		if slices.Contains(list, c) {
			out = append(out, string(c))
		}
	}
	return strings.Join(out, " ")
}

// Flush writes what agents said since the last time: contacts in one statement for many nodes, the rest where it changed.
func (s *Service) Flush(ctx context.Context) error {
	type news struct {
		seen, read time.Time
		next       *said
	}
	s.mu.Lock()
	pending := map[int64]news{}
	for id, p := range s.peers {
		n := news{seen: p.seen, read: p.read}
		if p.next != p.said {
			next := p.next
			n.next = &next
		}
		if !n.seen.IsZero() || n.next != nil {
			pending[id] = n
		} else if p.stale {
			delete(s.peers, id) // it speaks to another process now
		}
	}
	s.mu.Unlock()
	ids := slices.Sorted(maps.Keys(pending))
	now := store.At(s.now())
	for chunk := range slices.Chunk(ids, flushChunk) {
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			var read []int64
			for _, id := range chunk {
				if !pending[id].read.IsZero() {
					read = append(read, id)
				}
			}
			if _, err := tx.NewRaw("UPDATE nodes SET seen_at = ? WHERE id IN (?)", now, bun.List(chunk)).Exec(ctx); err != nil {
				return err
			}
			if len(read) > 0 {
				if _, err := tx.NewRaw("UPDATE nodes SET facts_at = ? WHERE id IN (?) AND facts_digest <> ''", now, bun.List(read)).Exec(ctx); err != nil {
					return err
				}
			}
			for _, id := range chunk {
				if n := pending[id].next; n != nil {
					_, err := tx.NewRaw("UPDATE nodes SET agent_state = ?, reason = ?, needs = ?, classes = ?, version = ?, spool = ?, skew = ?, memory = ?, cpu = ? WHERE id = ?",
						n.state, n.reason, n.needs, n.classes, n.version, n.spool, n.skew, n.memory, n.cpu, id).Exec(ctx)
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.mu.Lock()
		for _, id := range chunk {
			p := s.peers[id]
			if p == nil {
				continue
			}
			n := pending[id]
			if p.seen.Equal(n.seen) {
				p.seen = time.Time{}
			}
			if p.read.Equal(n.read) {
				p.read = time.Time{}
			}
			if n.next != nil {
				p.said = *n.next
			}
		}
		s.mu.Unlock()
		for _, id := range chunk {
			if n := pending[id].next; n != nil {
				s.mu.Lock()
				var target int64
				if p := s.peers[id]; p != nil {
					target = p.subject.Target
				}
				s.mu.Unlock()
				if target != 0 {
					s.o.Hub.Publish(ctx, live.Event{Topic: Topic, Target: target, ID: id, Body: map[string]string{"state": n.state}})
				}
			}
		}
	}
	return s.loadWork(ctx)
}

// Run keeps what this process remembers in step with the database and the other replicas, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	news := s.o.Hub.Subscribe(ctx, func(e live.Event) bool { return e.Topic == Topic || e.Topic == topicWork })
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	s.tell(ctx, "work of agents", s.loadWork(ctx))
	var soon <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			s.tell(end, "last contacts of agents", s.Flush(end))
			return
		case e, open := <-news:
			if !open {
				news = nil
				continue
			}
			s.heed(ctx, e)
		case <-s.first:
			if soon == nil {
				soon = time.After(flushFirst)
			}
		case <-soon:
			soon = nil
			s.tell(ctx, "first words of agents", s.Flush(ctx))
		case <-tick.C:
			s.tell(ctx, "contacts of agents", s.Flush(ctx))
		}
	}
}

func (s *Service) tell(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, what, "err", err)
	}
}

// heed takes in that something changed, here or elsewhere.
func (s *Service) heed(ctx context.Context, e live.Event) {
	switch e.Topic {
	case Topic:
		if e.Body != nil { // of a beat: digests are as they were
			return
		}
		s.mu.Lock()
		if p := s.peers[e.ID]; p != nil {
			p.stale = true
		}
		s.mu.Unlock()
	case topicWork, live.Lost:
		if e.Topic == live.Lost {
			s.mu.Lock()
			for _, p := range s.peers {
				p.stale = true
			}
			s.mu.Unlock()
		}
		s.tell(ctx, "work of agents", s.loadWork(ctx))
	}
}
