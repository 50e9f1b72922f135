// Package admission keeps what was seen at the door of clusters: the log of admissions, for replay; events, grouped, for people; and
// the requests that nobody judged, which it finds by holding what lives in a cluster against the log.
package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// Errors that callers tell apart.
var (
	ErrInvalid   = errors.New("invalid")
	ErrForbidden = errors.New("not allowed")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Clusters says how live clusters are reached: the fleet.
type Clusters interface {
	REST(ctx context.Context, target int64) (*rest.Config, error)
}

// Coverage is since when requests of a cluster are recorded, and of what.
type Coverage struct {
	Epoch time.Time // when somebody asked for the protection that holds now
	Since time.Time // when the recorder was first there; zero: it is not yet
	Kinds []string  // "Kind" or "Kind.group", beside workloads; what the recorder's webhook in the cluster says wins
	// Webhook is the name of that webhook's configuration.
	Webhook string
}

// Protection knows which clusters are protected, and by what.
type Protection interface {
	// Protected lists the clusters whose admissions are recorded.
	Protected(ctx context.Context) ([]int64, error)
	Coverage(ctx context.Context, target int64) (*Coverage, error)
	// Limits says how much of a cluster's log is kept; zero values are the defaults.
	Limits(ctx context.Context, target int64) (days int, bytes int64, err error)
	// Bundle is what holds in a cluster.
	Bundle(ctx context.Context, target int64) (*policy.Bundle, error)
}

// Judger judges an object that is there by the policies in force: the engine.
type Judger interface {
	Judge(ctx context.Context, target int64, o *inventory.Object, namespaceLabels map[string]string) (*policy.Outcome, error)
	// Sweep judges everything that lives in a cluster; it tells whether it could look at everything.
	Sweep(ctx context.Context, target int64, each func(Violating) error) (complete bool, err error)
}

// Violating is an object that is there and violates a policy.
type Violating struct {
	Object    inventory.Ref
	Owner     inventory.Ref // as far as it is known, else the object
	Violation policy.Violation
}

// Policies changes policies for actions on events: the book.
type Policies interface {
	// Policy gives a policy as it is; store.ErrNotFound when it is not there any more.
	Policy(ctx context.Context, id int64) (*policy.Policy, error)
	// Change keeps a changed policy in the name of the principal of ctx. Its Version must be the present one.
	Change(ctx context.Context, p policy.Policy, note string) error
}

// Options of a Service. What is nil is left out: without Clusters nothing is compared, without Judger nothing is judged afterwards.
type Options struct {
	DB         *store.DB
	Hub        *live.Hub
	Clusters   Clusters
	Protection Protection
	Judger     Judger
	// Seek has images that nobody knows looked up and scanned: without it those wait for the next scan of their cluster.
	Seek       func(ctx context.Context, target int64, images []protocol.Image) error
	Policies   Policies
	Exceptions *exception.Book
	Log        *slog.Logger
	Now        func() time.Time
	// Settle is how long a request may be on its way into the log; default 90 s. Silence is after how long without a beat nobody is there;
	// default 1 minute.
	Settle, Silence time.Duration
	// Doubt is after how long a request that was to be blocked is certainly answered; default 35 s, since API servers wait 30 s for
	// webhooks at most.
	Doubt time.Duration
}

// Service is the room. Its methods are safe for use by several goroutines.
type Service struct {
	db      *store.DB
	o       Options
	log     *slog.Logger
	now     func() time.Time
	parts   *parts
	shaper  shaper
	metrics *metrics

	work sync.WaitGroup // duties that go on behind

	mu     sync.Mutex
	heard  map[int64]time.Time // last time that a beat was written, by cluster
	told   map[int64]time.Time // last news on the hub, by cluster
	images *recent[imageUse]
	limits map[int64]limit
}

type limit struct {
	at    time.Time
	days  int
	bytes int64
	full  bool
}

// Defaults and bounds.
const (
	DefaultDays  = 7
	DefaultBytes = 1 << 30
	MaxObject    = 256 << 10 // bytes of an object; larger ones are kept by their hash only

	maxBatch      = 20_000      // admissions
	maxViolations = 200         // of an admission
	skew          = time.Minute // between the clocks of API servers, providers and here
)

// New makes a Service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Settle <= 0 {
		o.Settle = 90 * time.Second
	}
	if o.Silence <= 0 {
		o.Silence = time.Minute
	}
	if o.Doubt <= 0 {
		o.Doubt = 35 * time.Second
	}
	return &Service{db: o.DB, o: o, log: o.Log, now: o.Now, parts: newParts(), metrics: newMetrics(), heard: map[int64]time.Time{}, told: map[int64]time.Time{},
		images: newRecent[imageUse](100_000), limits: map[int64]limit{}}
}

// lock holds the events of a cluster until the end of the transaction, so that counters and rings change one by one.
func (s *Service) lock(ctx context.Context, tx bun.Tx, targets ...int64) error {
	if !s.db.Postgres() { // there is one writer
		return nil
	}
	for _, t := range targets { // in the order of the caller, who sorts
		if _, err := tx.NewRaw("SELECT pg_advisory_xact_lock(?, ?)", lockClass, int32(t)).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lockClass tells these locks from others: "adms" as a number.
const lockClass = 0x61646d73

// news tells listeners that events of a cluster changed, at most once a second.
func (s *Service) news(ctx context.Context, target int64) {
	if s.o.Hub == nil {
		return
	}
	s.mu.Lock()
	now := s.now()
	quiet := now.Sub(s.told[target]) < time.Second
	if !quiet {
		s.told[target] = now
	}
	s.mu.Unlock()
	if !quiet {
		s.o.Hub.Publish(ctx, live.Event{Topic: "admission", Target: target})
	}
}

// limitOf is how much is kept of a cluster's log, asked for once a minute.
func (s *Service) limitOf(ctx context.Context, target int64) (limit, error) {
	now := s.now()
	s.mu.Lock()
	l, ok := s.limits[target]
	s.mu.Unlock()
	if ok && now.Sub(l.at) < time.Minute && now.Sub(l.at) >= 0 {
		return l, nil
	}
	l = limit{at: now, days: DefaultDays, bytes: DefaultBytes}
	if s.o.Protection != nil {
		days, bytes, err := s.o.Protection.Limits(ctx, target)
		if err != nil {
			return l, err
		}
		if days > 0 {
			l.days = days
		}
		if bytes > 0 {
			l.bytes = bytes
		}
	}
	var kept int64
	err := s.db.R.NewSelect().Table("admission_logs").ColumnExpr("entry_bytes + part_bytes").Where("target_id = ?", target).Scan(ctx, &kept)
	if err = store.NotFound(err); err != nil && !errors.Is(err, store.ErrNotFound) {
		return l, err
	}
	l.full = kept > l.bytes+l.bytes/4 // the sweeper is behind: objects are kept by their hash until it has made room
	s.mu.Lock()
	s.limits[target] = l
	s.mu.Unlock()
	return l, nil
}
