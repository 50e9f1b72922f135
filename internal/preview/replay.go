package preview

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"sync"
	"time"

	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// maxKnown bounds the objects that are kept decoded, and those of which the last state is remembered.
const maxKnown = 4096

// replay judges the recorded admissions of a cluster.
func (s *Service) replay(ctx context.Context, c cluster, j *judges, sum pair, out *Replay) {
	began := time.Now()
	defer func() { out.Millis += time.Since(began).Milliseconds() }()
	if s.o.Recorded == nil {
		out.Partial = append(out.Partial, c.name+": admissions are not recorded")
		return
	}
	r := &replayer{judges: j, cluster: c, last: map[string]string{}}
	unread, err := r.run(ctx, sum, func(each func(protocol.Admission) error) error {
		return s.o.Recorded(ctx, c.id, out.From, out.To, each)
	})
	out.Unread += unread
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		out.Partial = append(out.Partial, c.name+": there was no time to judge all recorded admissions")
	case err != nil:
		s.o.Log.ErrorContext(ctx, "replay", "cluster", c.name, "err", err)
		out.Partial = append(out.Partial, c.name+": the recorded admissions could not be read to their end")
	}
}

// replayer judges admissions in the order in which they came, many at a time.
type replayer struct {
	judges  *judges
	cluster cluster
	last    map[string]string // uid -> hash of the object as it was admitted last
}

// run reads admissions with from and judges them with as many goroutines as there are processors.
func (r *replayer) run(ctx context.Context, sum pair, from func(each func(protocol.Admission) error) error) (unread int, err error) {
	work := make(chan []protocol.Admission, 2*runtime.GOMAXPROCS(0))
	var workers sync.WaitGroup
	var mu sync.Mutex
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			w := &replayWorker{replayer: r, decoder: decode.NewDecoder(), known: map[string]*inventory.Object{}, sum: sum.empty(), after: r.judges.after.Session()}
			if r.judges.before != nil {
				w.before = r.judges.before.Session()
			}
			for list := range work {
				for i := range list {
					w.judge(ctx, &list[i])
				}
			}
			mu.Lock()
			defer mu.Unlock()
			sum.merge(w.sum)
			unread += w.unread
		})
	}
	var list []protocol.Admission
	skipped := 0
	err = from(func(a protocol.Admission) error {
		if r.cluster.only != nil && !r.cluster.only[a.Namespace] || a.SelfTest {
			return nil
		}
		if r.repeats(&a) {
			skipped++
			return nil
		}
		if list = append(list, a); len(list) >= batch {
			work <- list
			list = nil
		}
		return ctx.Err()
	})
	if len(list) > 0 {
		work <- list
	}
	close(work)
	workers.Wait()
	sum.after.objects += skipped // they were judged: nothing that rules look at had changed
	return unread, err
}

// repeats reports whether an update leaves the object as the admission before did: see policy.Standing.
func (r *replayer) repeats(a *protocol.Admission) bool {
	if a.UID == "" || a.ObjectHash == "" {
		return false
	}
	same := r.last[a.UID] == a.ObjectHash
	if !same && len(r.last) >= 64*maxKnown {
		clear(r.last)
	}
	r.last[a.UID] = a.ObjectHash
	return same && a.Operation == "UPDATE"
}

type replayWorker struct {
	*replayer
	decoder       *decode.Decoder
	known         map[string]*inventory.Object // decoded, by hash
	sum           pair
	after, before *policy.Session
	unread        int
}

func (w *replayWorker) judge(ctx context.Context, a *protocol.Admission) {
	o := w.object(a)
	if o == nil {
		w.unread++
		return
	}
	r := policy.Request{Operation: a.Operation, SubResource: a.SubResource, User: a.User, Groups: a.Groups, Object: o, At: a.At}
	s := subject{place: place{target: w.cluster.id, cluster: w.cluster.name, ref: inventory.Ref{Kind: a.OwnerKind, Namespace: a.Namespace, Name: a.OwnerName}}, ref: o.Ref(), user: a.User}
	if a.OwnerName == "" {
		s.place.ref = policy.Owner(o)
		s.place.ref.APIVersion = ""
	}
	out := w.after.Judge(ctx, &r)
	w.sum.after.take(&s, &out)
	if w.before != nil {
		out := w.before.Judge(ctx, &r)
		w.sum.before.take(&s, &out)
	}
}

// object is the object of an admission. Objects that differ by their names only are decoded once.
func (w *replayWorker) object(a *protocol.Admission) *inventory.Object {
	if len(a.Object) == 0 {
		return nil
	}
	known := w.known[a.ObjectHash]
	if known == nil || a.ObjectHash == "" {
		content, err := w.decoder.Object(a.Object)
		if err != nil {
			return nil
		}
		o, ok := inventory.NewObject(content)
		if !ok {
			return nil
		}
		if a.ObjectHash == "" {
			return o
		}
		if len(w.known) >= maxKnown {
			clear(w.known)
		}
		w.known[a.ObjectHash] = o
		known = o
	}
	return renamed(known, a)
}

// renamed is an object under the names of another that is otherwise the same. What both have in common is shared: nobody changes it.
func renamed(o *inventory.Object, a *protocol.Admission) *inventory.Object {
	out := *o
	out.Name, out.Namespace, out.UID = a.Name, a.Namespace, a.UID
	out.Content = maps.Clone(o.Content)
	meta := maps.Clone(inventory.Map(o.Content, "metadata"))
	if meta == nil {
		meta = map[string]any{}
	}
	for k, v := range map[string]string{"name": a.Name, "namespace": a.Namespace, "uid": a.UID} {
		if v == "" {
			delete(meta, k)
		} else {
			meta[k] = v
		}
	}
	out.Content["metadata"] = meta
	return &out
}
