package preview

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
)

// Source brings the objects of a cluster, or those of files.
type Source interface {
	Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error
}

// batch is how many objects travel together to a worker.
const batch = 64

// judges are the two that look at every object: of the policy, and of the base when there is one.
type judges struct {
	after, before *policy.Judge
}

// pair of tallies, of a worker or of all.
type pair struct{ after, before *tally }

// empty is a pair for another worker.
func (p pair) empty() pair {
	out := pair{after: newTally(p.after.bundle)}
	if p.before != nil {
		out.before = newTally(p.before.bundle)
	}
	return out
}

func (p pair) merge(x pair) {
	p.after.merge(x.after)
	if p.before != nil {
		p.before.merge(x.before)
	}
}

// look judges the objects of one source with as many goroutines as there are processors. only, when it is not nil, bounds it to some
// namespaces. Objects that will not come again are left out: pods that have ended, and ReplicaSets of the past.
func look(ctx context.Context, src Source, j *judges, sum pair, target int64, cluster string, only map[string]bool, at time.Time) (objects int, partial []string, err error) {
	work := make(chan []item, 2*runtime.GOMAXPROCS(0))
	var workers sync.WaitGroup
	var mu sync.Mutex
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			mine := sum.empty()
			after := j.after.Session()
			var before *policy.Session
			if j.before != nil {
				before = j.before.Session()
			}
			for list := range work {
				for i := range list {
					list[i].judge(ctx, after, before, mine, at)
				}
			}
			mu.Lock()
			sum.merge(mine)
			mu.Unlock()
		})
	}
	f := &feeder{target: target, cluster: cluster, only: only, spaces: map[string]map[string]string{}, tops: map[inventory.Ref]inventory.Ref{}}
	var told []string
	err = src.Stream(ctx, func(o *inventory.Object) error {
		if it, ok := f.item(o); ok {
			objects++
			f.list = append(f.list, it)
			if len(f.list) >= batch {
				work <- f.list
				f.list = nil
			}
		}
		return ctx.Err()
	}, func(n finding.NotScanned) {
		if n.Code.Blocking() {
			if len(told) < maxPartial {
				told = append(told, n.What+": "+n.Reason)
			}
		}
	})
	if len(f.list) > 0 {
		work <- f.list
	}
	close(work)
	workers.Wait()
	if err != nil && objects > 0 && !errors.Is(err, context.Canceled) {
		told = append(told, "the rest of the objects: "+err.Error())
		err = nil
	}
	return objects, told, err
}

// item is an object on its way to a worker.
type item struct {
	request policy.Request
	subject subject
}

// feeder knows what objects need to be judged: labels of namespaces, and owners, which come first.
type feeder struct {
	target  int64
	cluster string
	only    map[string]bool
	spaces  map[string]map[string]string
	tops    map[inventory.Ref]inventory.Ref // of ReplicaSets and Jobs
	list    []item
}

func (f *feeder) item(o *inventory.Object) (item, bool) {
	ref := o.Ref()
	kind := ref.GroupKind()
	if kind == "Namespace" {
		f.spaces[o.Name] = o.Labels()
	}
	space := o.Namespace
	if kind == "Namespace" {
		space = o.Name
	}
	top := f.top(o, kind)
	if f.only != nil && !f.only[space] || past(o, kind) || ref.Group() == "stockade.dev" || o.Kind == "Dockerfile" {
		return item{}, false
	}
	it := item{request: policy.Request{Object: o, NamespaceLabels: f.labelsOf(o.Namespace)}, subject: subject{place: place{f.target, f.cluster, top}, ref: ref, file: o.Origin.File}}
	it.subject.place.ref.APIVersion = "" // versions of a kind are one
	if o.Origin.Locate != nil {
		it.subject.line = func(path string) int { line, _ := o.Origin.Locate(path); return line }
	}
	return it, true
}

func (f *feeder) labelsOf(namespace string) map[string]string {
	if namespace == "" {
		return nil
	}
	if l := f.spaces[namespace]; l != nil {
		return l
	}
	return map[string]string{"kubernetes.io/metadata.name": namespace}
}

// top is the workload that an object belongs to. Owners come before what they own, so chains are followed as far as they were seen.
func (f *feeder) top(o *inventory.Object, kind string) inventory.Ref {
	owner, _, ok := o.Controller()
	if !ok {
		return o.Ref()
	}
	if t, known := f.tops[owner]; known {
		owner = t
	} else if kind == "Pod" {
		owner = policy.Owner(o)
	}
	if kind == "ReplicaSet.apps" || kind == "Job.batch" {
		f.tops[o.Ref()] = owner
	}
	if !inventory.CarriesPod(kind) {
		return o.Ref()
	}
	return owner
}

// past reports whether an object is history: it will not be made again as it is.
func past(o *inventory.Object, kind string) bool {
	switch kind {
	case "Pod":
		phase := inventory.Str(o.Content, "status", "phase")
		_, _, owned := o.Controller()
		return owned && (phase == "Succeeded" || phase == "Failed")
	case "ReplicaSet.apps":
		n, ok := inventory.Int(o.Content, "spec", "replicas")
		_, _, owned := o.Controller()
		return owned && ok && n == 0
	}
	return false
}

func (it *item) judge(ctx context.Context, after, before *policy.Session, sum pair, at time.Time) {
	it.request.At = at
	out := after.Judge(ctx, &it.request)
	sum.after.take(&it.subject, &out)
	if before != nil {
		out := before.Judge(ctx, &it.request)
		sum.before.take(&it.subject, &out)
	}
}
