package preview

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/policy/book"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// ErrInvalid is wrapped by errors about what is asked.
var ErrInvalid = errors.New("invalid")

// Options of a Service. Book and Open are needed.
type Options struct {
	Book *book.Book
	// Open gives the objects of a cluster: fleet.Fleet.
	Open func(ctx context.Context, target int64) (Source, error)
	// Bundle makes what would hold in a cluster if these were its policies; nil: with the usual settings and no exceptions.
	Bundle func(ctx context.Context, target int64, list []policy.Policy) (*policy.Bundle, error)
	// Images answers for images by what is known now; nil: nobody knows any.
	Images func(target int64, b *policy.Bundle) policy.Images
	// Recorded gives the admissions of a cluster, oldest first; nil: none are recorded.
	Recorded func(ctx context.Context, target int64, since, until time.Time, each func(protocol.Admission) error) error
	Log      *slog.Logger
	Now      func() time.Time
}

// Service makes previews.
type Service struct {
	o     Options
	slots chan struct{} // previews at a time: each keeps the processors busy
}

const (
	atOnce  = 2
	longest = 3 * time.Minute // for one cluster
)

// New makes a Service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{o: o, slots: make(chan struct{}, atOnce)}
}

// cluster is one that is looked at.
type cluster struct {
	id   int64
	name string
	only map[string]bool // namespaces; nil is all
}

// Ask makes a preview of what v reaches.
func (s *Service) Ask(ctx context.Context, v identity.Visible, q Question) (*Result, error) {
	base, err := s.prepare(ctx, v, &q)
	if err != nil {
		return nil, err
	}
	clusters, err := s.clusters(ctx, v, &q)
	if err != nil {
		return nil, err
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out := &Result{}
	var live, replay *pair
	for _, c := range clusters {
		if err := s.one(ctx, c, &q, base, out, &live, &replay); err != nil {
			return nil, err
		}
	}
	most := q.Owners
	if out.Live != nil && live != nil {
		out.Live.fill(live.after, most)
	}
	if out.Replay != nil && replay != nil {
		out.Replay.fill(replay.after, most)
	}
	switch {
	case base == nil:
	case live != nil:
		out.Diff = compare(live.after, live.before)
	case replay != nil:
		out.Diff = compare(replay.after, replay.before)
	default:
		out.Diff = &Diff{Added: []Change{}, Removed: []Change{}}
	}
	return out, nil
}

// prepare checks what is asked, and reads the base.
func (s *Service) prepare(ctx context.Context, v identity.Visible, q *Question) (*policy.Policy, error) {
	if q.Owners <= 0 {
		q.Owners = DefaultOwners
	}
	q.Owners = min(q.Owners, MaxOwners)
	if q.ReplayDays < 0 || q.ReplayDays > MaxReplayDays {
		return nil, fmt.Errorf("%w: replayDays: want at most %d", ErrInvalid, MaxReplayDays)
	}
	if q.NoLive && q.ReplayDays == 0 {
		return nil, fmt.Errorf("%w: live: with neither live objects nor recorded admissions there is nothing to look at", ErrInvalid)
	}
	q.Policy.Settle()
	if strings.TrimSpace(q.Policy.Name) == "" {
		q.Policy.Name = "preview"
	}
	for i := range q.Templates {
		known, err := policy.TestTemplate(ctx, q.Templates[i])
		if err != nil {
			return nil, fmt.Errorf("%w: templates[%d]: %w", ErrInvalid, i, err)
		}
		q.Templates[i].Name = known.Name
	}
	kept, err := s.o.Book.TemplatesOf(ctx, []policy.Policy{q.Policy})
	if err != nil {
		return nil, err
	}
	q.Templates = slices.Concat(q.Templates, kept)
	if err := policy.Validate(&q.Policy, s.o.Book.Library(), q.Templates); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := policy.TryTemplates(ctx, &q.Policy, q.Templates); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if q.BaseID == 0 {
		return nil, nil
	}
	r, err := s.o.Book.Get(ctx, v, q.BaseID)
	if err != nil {
		return nil, err
	}
	base := r.Policy
	if q.BaseVersion != 0 && q.BaseVersion != r.Version {
		old, err := s.o.Book.Version(ctx, v, q.BaseID, q.BaseVersion)
		if err != nil {
			return nil, err
		}
		base = old.Policy
	}
	more, err := s.o.Book.TemplatesOf(ctx, []policy.Policy{base})
	if err != nil {
		return nil, err
	}
	q.Templates = append(q.Templates, more...)
	return &base, nil
}

// clusters are those that are looked at: what is asked for, else the policy's, else all that v reaches.
func (s *Service) clusters(ctx context.Context, v identity.Visible, q *Question) ([]cluster, error) {
	all, err := s.o.Book.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	wanted, asked := q.Targets, len(q.Targets) > 0
	if !asked {
		wanted = q.Policy.Scope.Clusters
	}
	var out []cluster
	for _, t := range all {
		if len(wanted) > 0 && !slices.Contains(wanted, t.ID) || !v.Sees(t.ID) {
			continue
		}
		c := cluster{id: t.ID, name: t.Name}
		if !v.Whole(t.ID) {
			c.only = map[string]bool{}
			for _, n := range v.Namespaces[t.ID] {
				c.only[n] = true
			}
		}
		out = append(out, c)
	}
	if asked {
		for _, id := range wanted {
			if !slices.ContainsFunc(out, func(c cluster) bool { return c.id == id }) {
				return nil, store.ErrNotFound
			}
		}
	}
	if len(out) > maxClusters {
		return nil, fmt.Errorf("%w: targets: %d clusters; at most %d are looked at together", ErrInvalid, len(out), maxClusters)
	}
	return out, nil
}

// one looks at one cluster. What fails there is told in the result; the others are looked at all the same.
func (s *Service) one(ctx context.Context, c cluster, q *Question, base *policy.Policy, out *Result, live, replay **pair) error {
	if out.Live == nil && !q.NoLive {
		out.Live = &Live{Clusters: []Cluster{}, Groups: []Group{}, Undecided: []Undecided{}, ByAction: map[string]int{"audit": 0, "warn": 0, "block": 0}}
	}
	now := s.o.Now()
	if out.Replay == nil && q.ReplayDays > 0 {
		out.Replay = &Replay{From: now.AddDate(0, 0, -q.ReplayDays).UTC(), To: now.UTC(), Groups: []Group{}, Undecided: []Undecided{}}
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	j, sum, err := s.judges(ctx, c, q, base)
	if err != nil {
		return err
	}
	if !q.NoLive {
		if *live == nil {
			p := sum.empty()
			*live = &p
		}
		began := time.Now()
		row := Cluster{Target: c.id, Name: c.name}
		mine := sum.empty()
		src, err := s.o.Open(ctx, c.id)
		if err == nil {
			row.Objects, row.Partial, err = look(ctx, src, j, mine, c.id, c.name, c.only, now)
		}
		if err != nil {
			row.Error = "the cluster could not be read"
			if c.only == nil { // the reason names its address
				row.Error += ": " + cut(err.Error(), 500)
			}
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			row.Partial = append(row.Partial, fmt.Sprintf("the cluster was looked at for %s only", longest))
		}
		row.Millis = time.Since(began).Milliseconds()
		out.Live.Clusters = append(out.Live.Clusters, row)
		(*live).merge(mine)
	}
	if q.ReplayDays > 0 {
		if *replay == nil {
			p := sum.empty()
			*replay = &p
		}
		mine := sum.empty()
		s.replay(ctx, c, j, mine, out.Replay)
		(*replay).merge(mine)
	}
	return nil
}

// judges makes the judges of a cluster: the policy, and the base, as they would hold there when their roll-out is over.
func (s *Service) judges(ctx context.Context, c cluster, q *Question, base *policy.Policy) (*judges, pair, error) {
	j := &judges{}
	var sum pair
	make1 := func(p policy.Policy) (*policy.Judge, *tally, error) {
		p.Disabled, p.Scope.Clusters, p.Rollout = false, nil, policy.Rollout{}
		b, err := s.bundle(ctx, c, []policy.Policy{p})
		if err != nil {
			return nil, nil, err
		}
		for _, t := range q.Templates {
			if !slices.ContainsFunc(b.Templates, func(x policy.Template) bool { return x.Name == t.Name }) {
				b.Templates = append(b.Templates, t)
			}
		}
		var images policy.Images
		if s.o.Images != nil {
			images = policy.Memo(s.o.Images(c.id, b))
		}
		judge, notes, err := policy.NewJudge(ctx, s.o.Book.Library(), b, images)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		t := newTally(b)
		for _, n := range notes {
			t.undecided(&subject{}, &policy.Outcome{Undecided: []policy.Undecided{n}})
		}
		return judge, t, nil
	}
	var err error
	if j.after, sum.after, err = make1(q.Policy); err != nil {
		return nil, sum, err
	}
	if base != nil {
		if j.before, sum.before, err = make1(*base); err != nil {
			return nil, sum, err
		}
	}
	return j, sum, nil
}

func (s *Service) bundle(ctx context.Context, c cluster, list []policy.Policy) (*policy.Bundle, error) {
	if s.o.Bundle == nil {
		return &policy.Bundle{Target: c.id, Cluster: c.name, Lang: "en", Policies: list, System: policy.SystemNamespaces}, nil
	}
	b, err := s.o.Bundle(ctx, c.id, list)
	if err != nil {
		return nil, fmt.Errorf("what holds in cluster %s: %w", c.name, err)
	}
	own := *b // the service may keep its own
	own.Templates = slices.Clone(b.Templates)
	return &own, nil
}

func (l *Live) fill(t *tally, most int) {
	l.Objects, l.Violating, l.Excepted, l.ByAction, l.Groups, l.Undecided, l.Cut = t.objects, t.violating, t.excepted, t.actions(), t.list(most), t.doubtful(), t.cut
}

func (r *Replay) fill(t *tally, most int) {
	a := t.actions()
	r.Admissions, r.Blocked, r.Warned, r.Audited, r.Groups, r.Undecided, r.Cut = t.objects, a["block"], a["warn"], a["audit"], t.list(most), t.doubtful(), t.cut
	r.Users = top(t.users, maxUsers)
}

// top are the largest entries.
func top(m map[string]int, most int) map[string]int {
	if len(m) <= most {
		return m
	}
	counts := make([]int, 0, len(m))
	for _, n := range m {
		counts = append(counts, n)
	}
	slices.SortFunc(counts, func(a, b int) int { return b - a })
	out := map[string]int{}
	for u, n := range m {
		if n >= counts[most-1] && len(out) < most {
			out[u] = n
		}
	}
	return out
}

func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
