package watch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/inventory"
)

// Clusters gives what is to be watched.
type Clusters interface {
	// Watched lists the clusters that can be reached and were looked at as a whole before: target id -> the time of that look.
	Watched(ctx context.Context) (map[int64]time.Time, error)
	REST(ctx context.Context, target int64) (*rest.Config, error)
	// Report is told how the watch of a cluster stands, when that changed.
	Report(ctx context.Context, target int64, s State) error
}

// Judge looks at what changed.
type Judge interface {
	// Look judges just these objects of a cluster.
	Look(ctx context.Context, target int64, refs []inventory.Ref) error
	// Scan asks for a look at the whole cluster, soon.
	Scan(ctx context.Context, target int64, why string) error
}

// Service keeps a watcher for each cluster. One process of several runs it.
type Service struct {
	clusters Clusters
	judge    Judge
	log      *slog.Logger
	options  Options // Quiet and the like

	mu       sync.Mutex
	watchers map[int64]*running
	left     map[int64]time.Time // when the watch of a cluster ended
}

type running struct {
	watcher  *Watcher
	cancel   context.CancelFunc
	done     chan struct{}
	reported State
	at       time.Time
}

// away is how long a cluster may go unwatched before it is looked at as a whole again.
const away = 10 * time.Minute

// report is how often a watch is reported though nothing changed: so that an old report tells of a watch that ended.
const report = time.Minute

// NewService makes a service; Keep does its work. Of o only the durations count.
func NewService(clusters Clusters, judge Judge, o Options, log *slog.Logger) *Service {
	return &Service{clusters: clusters, judge: judge, options: o, log: log, watchers: map[int64]*running{}, left: map[int64]time.Time{}}
}

// Keep starts watchers for clusters that have none and ends those of clusters that are gone. It is called every few seconds with
// the context of the leadership, with which all watchers end.
func (s *Service) Keep(ctx context.Context) error {
	watched, err := s.clusters.Watched(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for target, r := range s.watchers {
		if _, stays := watched[target]; !stays {
			r.cancel()
		}
		select {
		case <-r.done:
			r.cancel()
			delete(s.watchers, target)
			s.left[target] = time.Now()
		default:
		}
	}
	for target, looked := range watched {
		if r := s.watchers[target]; r != nil {
			if state := r.watcher.State(); state != r.reported || time.Since(r.at) > report {
				if err := s.clusters.Report(ctx, target, state); err != nil {
					return err
				}
				r.reported, r.at = state, time.Now()
			}
			continue
		}
		config, err := s.clusters.REST(ctx, target)
		if err != nil {
			s.log.Warn("cluster cannot be watched", "target", target, "error", err)
			continue
		}
		s.start(ctx, target, config)
		last := looked
		if s.left[target].After(last) {
			last = s.left[target]
		}
		if time.Since(last) > away {
			if err := s.judge.Scan(ctx, target, "it was not watched for a while"); err != nil {
				s.log.Warn("cluster cannot be scanned", "target", target, "error", err)
			}
		}
	}
	return nil
}

func (s *Service) start(ctx context.Context, target int64, config *rest.Config) {
	ctx, cancel := context.WithCancel(ctx)
	o := s.options
	o.REST, o.Log = config, s.log.With("target", target)
	o.Changed = func(ctx context.Context, refs []inventory.Ref) error { return s.judge.Look(ctx, target, refs) }
	o.Whole = func(ctx context.Context) error {
		return s.judge.Scan(ctx, target, "roles, policies or services changed")
	}
	r := &running{watcher: New(o), cancel: cancel, done: make(chan struct{})}
	s.watchers[target] = r
	go func() {
		defer close(r.done)
		if err := r.watcher.Run(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("watch ended", "target", target, "error", err)
		}
	}()
}
