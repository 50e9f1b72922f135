package exhibit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/collect/cluster"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/repair"
	"stockade.dev/stockade/internal/store"
)

// Clusters opens clusters: the fleet.
type Clusters interface {
	Open(ctx context.Context, target int64) (fleet.Source, error)
}

// Files gives the text of a file of the last upload of a project; "" or store.ErrNotFound when it is not kept.
type Files func(ctx context.Context, target int64, path string) (string, error)

// Question asks for what a finding is about.
type Question struct {
	Target  int64
	Project bool // the target is a project of files
	Finding *finding.Finding
	// Sees reports whether the caller may read a namespace of the target; "" is the whole target.
	Sees func(namespace string) bool
}

// Limits of reading.
const (
	patience = 8 * time.Second  // for one object
	atOnce   = 8                // objects that are read at the same time
	fresh    = 10 * time.Second // the page of a finding asks for the object and for its fix
	kept     = 64
)

// Room reads objects and makes fixes for them.
type Room struct {
	clusters Clusters
	files    Files
	shop     *repair.Shop
	now      func() time.Time

	slots chan struct{}
	mu    sync.Mutex
	last  map[spot]*reading
}

// spot is an object of a cluster.
type spot struct {
	target int64
	ref    inventory.Ref
}

// reading is what was read of an object a short while ago. Its object is shared: nobody changes it.
type reading struct {
	object *inventory.Object // credentials are taken out
	state  string
	reason finding.Text
	at     time.Time
}

// New makes a Room. files may be nil: then of uploaded files only the snippets in findings are known.
func New(c Clusters, files Files, shop *repair.Shop, now func() time.Time) *Room {
	if now == nil {
		now = time.Now
	}
	return &Room{clusters: c, files: files, shop: shop, now: now, slots: make(chan struct{}, atOnce), last: map[spot]*reading{}}
}

// read gives an object as it is now. What keeps it from being read is told in the reading.
func (r *Room) read(ctx context.Context, q Question, ref inventory.Ref) (*reading, error) {
	if !q.Sees(ref.Namespace) {
		return nil, store.ErrNotFound
	}
	if collect.Find(ref.GroupKind()) == nil {
		return r.unavailable(finding.Text{EN: ref.Kind + " is not an object that is read from the cluster", ZH: ref.Kind + " 不是从集群读取的对象"}), nil
	}
	at := spot{q.Target, ref}
	r.mu.Lock()
	known := r.last[at]
	r.mu.Unlock()
	if known != nil && r.now().Sub(known.at) < fresh {
		return known, nil
	}
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return r.failed(outer, q, ctx.Err())
	}
	got, err := r.fetch(ctx, q.Target, ref)
	if err != nil {
		return r.failed(outer, q, err)
	}
	if got.object != nil {
		if n := repair.Size(got.object.Content); n > repair.MostObject {
			return r.unavailable(finding.Text{EN: fmt.Sprintf("the object is larger than %d MiB", repair.MostObject>>20), ZH: fmt.Sprintf("对象大于 %d MiB", repair.MostObject>>20)}), nil
		}
		conceal(got.object)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range r.last {
		if len(r.last) >= kept || got.at.Sub(v.at) >= fresh {
			delete(r.last, k)
		}
	}
	r.last[at] = got
	return got, nil
}

// fetch reads an object from a live cluster or a saved one.
func (r *Room) fetch(ctx context.Context, target int64, ref inventory.Ref) (*reading, error) {
	src, err := r.clusters.Open(ctx, target)
	if err != nil {
		return nil, err
	}
	out := &reading{state: Live, at: r.now()}
	if live, ok := src.(interface {
		Get(ctx context.Context, ref inventory.Ref) (*inventory.Object, error)
	}); ok {
		out.object, err = live.Get(ctx, ref)
	} else {
		out.state = Snapshot
		out.object, err = look(ctx, src, ref)
	}
	if err == nil && out.object == nil {
		out = r.unavailable(finding.Text{EN: "the object is not there any more", ZH: "对象已不存在"})
	}
	return out, err
}

var errFound = errors.New("found")

// look goes through a saved cluster until the object comes.
func look(ctx context.Context, src collect.Source, ref inventory.Ref) (*inventory.Object, error) {
	var found *inventory.Object
	err := src.Stream(ctx, func(o *inventory.Object) error {
		if o.Name == ref.Name && o.Namespace == ref.Namespace && o.Kind == ref.Kind && o.Ref().Group() == ref.Group() {
			found = o
			return errFound
		}
		return ctx.Err()
	}, func(finding.NotScanned) {})
	if found != nil {
		return found, nil
	}
	return nil, err
}

func (r *Room) unavailable(why finding.Text) *reading {
	return &reading{state: Unavailable, reason: why, at: r.now()}
}

// failed says why a cluster cannot be asked. What the machine says goes only to those who see the whole cluster.
func (r *Room) failed(outer context.Context, q Question, err error) (*reading, error) {
	switch {
	case outer.Err() != nil:
		return nil, outer.Err()
	case errors.Is(err, store.ErrNotFound):
		return nil, err
	case errors.Is(err, cluster.ErrForbidden):
		return r.unavailable(finding.Text{EN: "the cluster's credentials may not read this object", ZH: "集群凭据无权读取该对象"}), nil
	case errors.Is(err, context.DeadlineExceeded):
		return r.unavailable(finding.Text{EN: fmt.Sprintf("the cluster did not answer within %v", patience), ZH: fmt.Sprintf("集群在 %d 秒内没有响应", int(patience.Seconds()))}), nil
	}
	why := finding.Text{EN: "the cluster cannot be reached", ZH: "无法连接集群"}
	if q.Sees("") {
		said := repair.Short(err.Error(), 300)
		why.EN += ": " + said
		why.ZH += "：" + said
	}
	return r.unavailable(why), nil
}
