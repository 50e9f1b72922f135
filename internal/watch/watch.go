// Package watch notices what changes in a cluster between full scans. It keeps no objects: for each a few bytes that tell whether
// it changed, and who owns it, so that a pod's change is its workload's.
package watch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubewatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/inventory"
)

// Options say what to watch and what to do.
type Options struct {
	REST *rest.Config
	// Changed is called with the objects that came, changed or went, workloads in the place of their pods; never twice at a time.
	// What it could not do it gives back as an error: the objects are tried again.
	Changed func(ctx context.Context, refs []inventory.Ref) error
	// Whole is called when something changed that only a look at the whole cluster can judge, such as a role; at most once in
	// WholeEvery. May be nil.
	Whole      func(ctx context.Context) error
	Quiet      time.Duration // how long changes are gathered before they are judged; default 2 s
	PodQuiet   time.Duration // how often at most a workload is judged because of its pods; default 30 s
	WholeEvery time.Duration // default 15 min
	Most       int           // objects of one call of Changed; default 200
	Log        *slog.Logger
}

func (o *Options) withDefaults() {
	if o.Quiet <= 0 {
		o.Quiet = 2 * time.Second
	}
	if o.PodQuiet <= 0 {
		o.PodQuiet = 30 * time.Second
	}
	if o.WholeEvery <= 0 {
		o.WholeEvery = 15 * time.Minute
	}
	if o.Most <= 0 {
		o.Most = 200
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// State is how a watch stands.
type State struct {
	Since   time.Time `json:"since"`           // since when it has noticed everything; zero while it is not in step
	Kinds   int       `json:"kinds"`           // kinds that are watched
	Objects int       `json:"objects"`         // objects that are known
	Waiting int       `json:"waiting"`         // changed ones that are not judged yet
	Judged  int64     `json:"judged"`          // objects that were judged since it began
	Error   string    `json:"error,omitempty"` // why something cannot be watched
}

// Watcher watches one cluster.
type Watcher struct {
	o Options

	mu      sync.Mutex
	kinds   map[string]*known // by "Kind.group"
	dirty   map[inventory.Ref]time.Time
	judged  map[inventory.Ref]time.Time // last time, of those that were dirty because of pods
	whole   bool
	lastAll time.Time
	state   State
}

// New makes a watcher; Run begins.
func New(o Options) *Watcher {
	o.withDefaults()
	return &Watcher{o: o, kinds: map[string]*known{}, dirty: map[inventory.Ref]time.Time{}, judged: map[inventory.Ref]time.Time{}}
}

// State says how the watch stands now.
func (w *Watcher) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.state
	s.Kinds, s.Waiting = len(w.kinds), len(w.dirty)
	s.Objects = 0
	for _, k := range w.kinds {
		s.Objects += len(k.objects)
	}
	return s
}

// Run watches until ctx ends. It returns an error when the cluster cannot be asked what kinds it has.
func (w *Watcher) Run(ctx context.Context) error {
	served, err := w.discover()
	if err != nil {
		return err
	}
	client, err := metadata.NewForConfig(w.o.REST)
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	defer group.Wait()
	w.mu.Lock()
	for _, s := range served {
		w.kinds[s.kind.GroupKind()] = &known{watcher: w, kind: s.kind, apiVersion: s.version.GroupVersion().String(), objects: map[string]entry{}}
	}
	w.mu.Unlock()
	for _, s := range served {
		k := w.kinds[s.kind.GroupKind()]
		r := cache.NewReflectorWithOptions(lister(client, s), &metav1.PartialObjectMetadata{}, k, cache.ReflectorOptions{Name: "stockade " + s.kind.GroupKind()})
		group.Go(func() { r.RunWithContext(ctx) })
	}
	w.loop(ctx)
	return ctx.Err()
}

type serving struct {
	kind    *collect.Kind
	version schema.GroupVersionResource
}

// discover finds which of the kinds that are read the server lets watch, and in which version.
func (w *Watcher) discover() ([]serving, error) {
	client, err := discovery.NewDiscoveryClientForConfig(w.o.REST)
	if err != nil {
		return nil, err
	}
	_, lists, err := client.ServerGroupsAndResources()
	if err != nil && len(lists) == 0 {
		return nil, err
	}
	has := map[schema.GroupVersionResource]bool{}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range l.APIResources {
			has[gv.WithResource(r.Name)] = slices.Contains(r.Verbs, "watch")
		}
	}
	var out []serving
	for i := range collect.Kinds {
		k := &collect.Kinds[i]
		for _, v := range k.Versions {
			gvr := schema.GroupVersionResource{Group: k.Group, Version: v, Resource: k.Resource}
			if has[gvr] {
				out = append(out, serving{k, gvr})
				break
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the server lets none of the kinds be watched")
	}
	return out, nil
}

func lister(client metadata.Interface, s serving) cache.ListerWatcher {
	resource := client.Resource(s.version)
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = s.kind.Selector
			return resource.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (kubewatch.Interface, error) {
			o.LabelSelector = s.kind.Selector
			return resource.Watch(ctx, o)
		},
	}
}

// loop judges what changed, when it has been quiet for a while.
func (w *Watcher) loop(ctx context.Context) {
	tick := time.NewTicker(max(w.o.Quiet/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.flush(ctx, time.Now())
	}
}

// flush judges what is due.
func (w *Watcher) flush(ctx context.Context, now time.Time) {
	refs := w.due(now)
	if len(refs) > 0 {
		if err := w.o.Changed(ctx, refs); err != nil && ctx.Err() == nil {
			w.o.Log.Warn("changed objects could not be judged", "objects", len(refs), "error", err)
			w.mu.Lock()
			w.state.Error = err.Error()
			for _, r := range refs {
				if _, again := w.dirty[r]; !again {
					w.dirty[r] = now.Add(10 * w.o.Quiet) // not at once: it may be down
				}
			}
			w.mu.Unlock()
		} else if err == nil {
			w.mu.Lock()
			w.state.Error = ""
			w.state.Judged += int64(len(refs))
			w.mu.Unlock()
		}
	}
	w.mu.Lock()
	all := w.whole && w.o.Whole != nil && now.Sub(w.lastAll) >= w.o.WholeEvery
	if all {
		w.whole, w.lastAll = false, now
	}
	w.mu.Unlock()
	if all {
		if err := w.o.Whole(ctx); err != nil && ctx.Err() == nil {
			w.o.Log.Warn("the whole cluster could not be judged", "error", err)
			w.mu.Lock()
			w.whole = true
			w.mu.Unlock()
		}
	}
}

// due takes what has been quiet long enough, in a stable order.
func (w *Watcher) due(now time.Time) []inventory.Ref {
	w.mu.Lock()
	defer w.mu.Unlock()
	var refs []inventory.Ref
	for r, at := range w.dirty {
		if !now.Before(at) {
			refs = append(refs, r)
		}
	}
	slices.SortFunc(refs, func(a, b inventory.Ref) int {
		if n := collect.Rank(a.GroupKind()) - collect.Rank(b.GroupKind()); n != 0 {
			return n
		}
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	refs = refs[:min(len(refs), w.o.Most)]
	for _, r := range refs {
		delete(w.dirty, r)
		if inventory.CarriesPod(r.GroupKind()) {
			w.judged[r] = now
		}
	}
	for r, at := range w.judged {
		if now.Sub(at) > 2*w.o.PodQuiet {
			delete(w.judged, r)
		}
	}
	return refs
}
