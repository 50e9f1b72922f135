package verdict

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/leader"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// Topic is that of news on the hub: verdicts on images of the event's target changed.
const Topic = "verdicts"

// Tasks are the scans that verdicts stand on: task.Service.
type Tasks interface {
	Findings(ctx context.Context, digest string, found task.Found) (task.Looked, error)
	Stamp() (string, error)
	InUse(ctx context.Context, digests []string) error
	Readings(ctx context.Context, keys []string) (map[string]task.Reading, error)
	Create(ctx context.Context, r task.Request) (*task.Task, error)
	Reader(target int64) task.ImageReader
}

// Registries is what a reader of images offers beside: what a reference stands for, and a look into its repository. Readers of saved
// images do not.
type Registries interface {
	Resolve(ctx context.Context, use scan.Use) (digest string, err error)
	Visit(ctx context.Context, use scan.Use, f func(ctx context.Context, r *registry.Repository) error) error
}

// Bundles say what holds in a cluster: protect.Service.
type Bundles interface {
	Bundle(ctx context.Context, target int64) (*policy.Bundle, error)
}

// Turned is told of verdicts that became worse although nobody changed a policy, for images that had been let in. It is told again
// when it fails.
type Turned func(ctx context.Context, target int64, old, new *policy.ImageVerdict) error

// Options of a Service. DB, Hub, Tasks and Bundles are needed.
type Options struct {
	DB      *store.DB
	Hub     *live.Hub
	Tasks   Tasks
	Bundles Bundles
	Turned  Turned // nil: nobody is told
	Log     *slog.Logger
	Now     func() time.Time

	Patience time.Duration // that a question waits for registries and for images to be matched; default 1.5 s
	Wait     time.Duration // that Changes waits; default protocol.Wait
	Most     int           // images that are remembered of one cluster; default 200,000
}

// Service answers for images.
type Service struct {
	o   Options
	db  *store.DB
	log *slog.Logger

	mu     sync.Mutex
	lenses map[int64]*lens // the last one of each cluster
	names  map[nameKey]*resolving
	making map[string]*making // facts, by digest of the manifest
	cache  map[string]*cached // facts, by digest of the manifest
	size   int                // of cache: vulnerabilities and hits
	wanted []task.Image       // to be scanned
	retry  map[string]bool    // digests of which signatures are being looked for

	led     atomic.Int64 // when this process was last told that it leads: nanoseconds since start
	start   time.Time
	kick    chan struct{} // something is wanted, or has changed
	resolve chan struct{} // bounds questions to registries
	match   chan struct{} // bounds matching
	trimmed time.Time
	scale   scale
}

// scale are the sizes of pieces of work; tests make them small.
type scale struct {
	page    int           // rows judged anew in one step
	budget  time.Duration // of one round of background work
	recheck time.Duration // first pause before an image that was not read is looked at again
}

// New makes a Service. Run does what it does in the background.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Patience <= 0 {
		o.Patience = 1500 * time.Millisecond
	}
	if o.Most <= 0 {
		o.Most = 200_000
	}
	return &Service{o: o, db: o.DB, log: o.Log, lenses: map[int64]*lens{}, names: map[nameKey]*resolving{}, making: map[string]*making{}, cache: map[string]*cached{},
		retry: map[string]bool{}, start: time.Now(), kick: make(chan struct{}, 1), resolve: make(chan struct{}, 16), match: make(chan struct{}, 2),
		scale: scale{page: 500, budget: 5 * time.Second, recheck: 2 * time.Second}}
}

// in is a list of values for "IN (?)".
func in[T any](list []T) any { return bun.List(list) }

// lensOf is the bundle of a cluster, made ready.
func (s *Service) lensOf(ctx context.Context, target int64) (*lens, error) {
	b, err := s.o.Bundles.Bundle(ctx, target)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	l := s.lenses[target]
	s.mu.Unlock()
	if l != nil && l.bundle.Generation == b.Generation && b.Generation != "" {
		return l, nil
	}
	if l, err = newLens(b); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.lenses[target] = l
	s.mu.Unlock()
	return l, nil
}

// Duty has this process do what one of several does; the leader calls it.
func (s *Service) Duty() leader.Duty {
	return leader.Duty{Name: "verdicts", Every: time.Second, Do: func(context.Context) error {
		s.led.Store(int64(time.Since(s.start)) + 1)
		s.wake()
		return nil
	}}
}

// leads reports whether this process was told lately that it leads.
func (s *Service) leads() bool {
	at := s.led.Load()
	return at > 0 && int64(time.Since(s.start))-at < int64(10*time.Second)
}

func (s *Service) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Run has unknown images scanned and, where this process leads, verdicts made anew, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	news := s.o.Hub.Subscribe(ctx, func(e live.Event) bool { return e.Topic == "policies" || task.Internal(e.Topic) })
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-news:
			if !ok {
				return
			}
			// What comes together is done together.
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		case <-s.kick:
		}
		if err := s.scanWanted(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("images that nobody knows are not scanned yet", "error", err)
		}
		if !s.leads() {
			continue
		}
		if err := s.Keep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("verdicts on images are not made anew", "error", err)
		}
	}
}

// gone reports whether an error says that a cluster is not there any more.
func gone(err error) bool { return errors.Is(err, store.ErrNotFound) }
