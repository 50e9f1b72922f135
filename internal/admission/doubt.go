package admission

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"

	"stockade.dev/stockade/internal/store"
)

// The recorder says "blocked" by its own judgement; whether somebody refused, it does not see. So each such object is looked for a
// little later. What this looks at grows with what is refused, and is bounded; what is beyond the bounds the comparison finds.
const (
	mostDoubts   = 5_000 // of a cluster
	doubtsAtOnce = 1_000
	doubtCalls   = 200 // requests to a cluster at once
	singly       = 10  // objects of one kind and namespace that are read one by one; of more, all are listed
	mostListed   = 10  // pages of such a list
	doubtTime    = time.Minute
	doubtAge     = 30 * time.Minute // by then the comparison has looked
)

// doubt is an object that was to be kept out.
type doubt struct {
	UIDKey     int64      `bun:"uid_key"`
	UID        string     `bun:"uid"`
	Operation  int8       `bun:"operation"`
	APIVersion string     `bun:"api_version"`
	Kind       string     `bun:"object_kind"`
	Namespace  string     `bun:"namespace"`
	Name       string     `bun:"name"`
	At         store.Time `bun:"at"`
}

// doubts notes the objects of requests that were to be blocked.
func (s *Service) doubts(ctx context.Context, tx bun.Tx, target int64, list []draft, now time.Time) error {
	refused := map[int64]*draft{}
	for i := range list {
		if d := &list[i]; d.outcome == BlockedRequest && d.uidKey != 0 && d.seen.Name != "" && !d.mirror && d.operation != opOther {
			refused[d.uidKey] = d
		}
	}
	if len(refused) == 0 || s.o.Clusters == nil {
		return nil
	}
	n, err := tx.NewSelect().Table("admission_doubts").Where("target_id = ?", target).Count(ctx)
	if err != nil {
		return err
	}
	b := bulk{head: "INSERT INTO admission_doubts (target_id, uid_key, uid, operation, api_version, object_kind, namespace, name, at, due_at) VALUES ", columns: 10,
		tail: " ON CONFLICT (target_id, uid_key) DO UPDATE SET operation = excluded.operation, at = excluded.at"}
	for i, key := range slices.Sorted(maps.Keys(refused)) {
		if int(n)+i >= mostDoubts {
			break
		}
		d := refused[key]
		b.row(target, key, d.seen.UID, int64(d.operation), d.seen.APIVersion, d.seen.Kind, d.seen.Namespace, d.seen.Name, now.UnixMilli(), now.Add(s.o.Doubt).UnixMilli())
	}
	return s.exec(ctx, tx, &b, nil)
}

// Doubts looks whether what was to be blocked is there all the same: a duty of the leader.
func (s *Service) Doubts(ctx context.Context) error {
	if s.o.Clusters == nil || s.o.Protection == nil {
		return nil
	}
	var targets []int64
	err := s.db.R.NewRaw("SELECT DISTINCT d.target_id FROM admission_doubts d JOIN targets t ON t.id = d.target_id WHERE d.due_at <= ? AND t.removed_at = 0 ORDER BY 1", store.At(s.now())).Scan(ctx, &targets)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range targets {
		within, cancel := context.WithTimeout(ctx, doubtTime)
		if err := s.settleDoubts(within, t); err != nil && ctx.Err() == nil {
			errs = append(errs, fmt.Errorf("cluster %d: %w", t, err))
		}
		cancel()
	}
	return errors.Join(errs...)
}

// place is where objects are that are looked for together.
type place struct{ apiVersion, kind, namespace string }

// settleDoubts looks for the objects of one cluster whose time has come, those first that wait longest.
func (s *Service) settleDoubts(ctx context.Context, target int64) error {
	began := s.now()
	var list []doubt
	err := s.db.R.NewSelect().Table("admission_doubts").ColumnExpr("uid_key, uid, operation, api_version, object_kind, namespace, name, at").
		Where("target_id = ? AND due_at <= ?", target, store.At(began)).OrderExpr("due_at, uid_key").Limit(doubtsAtOnce).Scan(ctx, &list)
	if err != nil || len(list) == 0 {
		return err
	}
	groups := map[place][]doubt{}
	var order []place
	for _, d := range list {
		p := place{d.APIVersion, d.Kind, d.Namespace}
		if groups[p] == nil {
			order = append(order, p)
		}
		groups[p] = append(groups[p], d)
	}
	l, err := s.look(ctx, target)
	if err != nil {
		return err
	}
	var failed error
	var sure, early []int64 // looked for; to be looked for once more
	for _, p := range order {
		found, err := l.find(ctx, p, groups[p])
		if errors.Is(err, errCalls) || ctx.Err() != nil {
			failed = err
			break // the rest is due still
		}
		if err != nil {
			failed = fmt.Errorf("%s in %q: %w", p.kind, p.namespace, err)
			for _, d := range groups[p] { // others are not to wait for it
				early = append(early, d.UIDKey)
			}
			continue
		}
		if err := l.prepare(ctx); err != nil {
			return err
		}
		kept, err := l.enter(ctx, p, groups[p], found)
		if err != nil {
			return err
		}
		for _, d := range groups[p] {
			if kept[d.UIDKey] {
				early = append(early, d.UIDKey)
			} else {
				sure = append(sure, d.UIDKey)
			}
		}
	}
	return errors.Join(failed, s.forgetDoubts(ctx, target, began, sure, early))
}

// forgetDoubts lets go of what was looked for, but for what was refused again since.
func (s *Service) forgetDoubts(ctx context.Context, target int64, began time.Time, sure, early []int64) error {
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		for chunk := range chunks(sure, 500) {
			if _, err := tx.NewRaw("DELETE FROM admission_doubts WHERE target_id = ? AND uid_key IN (?) AND at <= ?", target, bun.List(chunk), store.At(began.Add(-s.o.Doubt))).Exec(ctx); err != nil {
				return err
			}
			if _, err := tx.NewRaw("UPDATE admission_doubts SET due_at = at + ? WHERE target_id = ? AND uid_key IN (?)", s.o.Doubt.Milliseconds(), target, bun.List(chunk)).Exec(ctx); err != nil {
				return err
			}
		}
		for chunk := range chunks(early, 500) {
			if _, err := tx.NewRaw("UPDATE admission_doubts SET due_at = ? WHERE target_id = ? AND uid_key IN (?)", store.At(began.Add(s.o.Doubt)), target, bun.List(chunk)).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// looker looks for objects of a cluster.
type looker struct {
	*comparison
	discovery *discovery.DiscoveryClient
	served    map[string][]metav1.APIResource // by group and version
	calls     int
	ready     bool
}

var errCalls = errors.New("many requests were refused: the rest is looked at the next time")

// look opens a cluster.
func (s *Service) look(ctx context.Context, target int64) (*looker, error) {
	l := &looker{comparison: &comparison{s: s, target: target}, served: map[string][]metav1.APIResource{}}
	rc, err := s.rest(ctx, target)
	if err != nil {
		return nil, err
	}
	l.tell(rc)
	if l.discovery, err = discovery.NewDiscoveryClientForConfig(rc); err != nil {
		return nil, err
	}
	l.client, err = metadata.NewForConfig(rc)
	return l, err
}

// prepare reads what an object is judged by, when the other clock is known.
func (l *looker) prepare(ctx context.Context) error {
	if l.ready {
		return nil
	}
	l.ready = true
	return l.begin(ctx)
}

// resource is how a kind is called; false when the cluster does not serve it.
func (l *looker) resource(apiVersion, kind string) (resource, bool, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return resource{}, false, nil //nolint:nilerr // a provider said it: there is no such thing
	}
	list, ok := l.served[apiVersion]
	if !ok {
		if l.calls++; l.calls > doubtCalls {
			return resource{}, false, errCalls
		}
		got, err := l.discovery.ServerResourcesForGroupVersion(apiVersion)
		if err != nil && !apierrors.IsNotFound(err) {
			return resource{}, false, err
		}
		if got != nil {
			list = got.APIResources
		}
		l.served[apiVersion] = list
	}
	for _, r := range list {
		if r.Kind == kind && slices.Contains(r.Verbs, "list") {
			return resource{gv.WithResource(r.Name), kind}, true, nil
		}
	}
	return resource{}, false, nil
}

// find reads the metadata of those of some objects of one place that are there.
func (l *looker) find(ctx context.Context, p place, list []doubt) (map[int64]*metav1.PartialObjectMetadata, error) {
	out := map[int64]*metav1.PartialObjectMetadata{}
	k, ok, err := l.resource(p.apiVersion, p.kind)
	if err != nil || !ok {
		return out, err
	}
	in := l.client.Resource(k.gvr).Namespace(p.namespace)
	if len(list) > singly {
		want := map[string]bool{}
		for _, d := range list {
			want[d.UID] = true
		}
		o := metav1.ListOptions{Limit: sweepPage}
		for range mostListed {
			if l.calls++; l.calls > doubtCalls {
				return nil, errCalls
			}
			page, err := in.List(ctx, o)
			if err != nil {
				return nil, err
			}
			for i := range page.Items {
				if m := &page.Items[i]; want[string(m.UID)] {
					out[uidKey(string(m.UID))] = m
				}
			}
			if o.Continue = page.Continue; o.Continue == "" {
				return out, nil
			}
		}
		return out, nil // a namespace of thousands: the comparison looks through the rest
	}
	for _, d := range list {
		if l.calls++; l.calls > doubtCalls {
			return nil, errCalls
		}
		m, err := in.Get(ctx, d.Name, metav1.GetOptions{})
		switch {
		case err == nil && string(m.UID) == d.UID:
			out[d.UIDKey] = m
		case err != nil && !apierrors.IsNotFound(err):
			return nil, err
		}
	}
	return out, nil
}

// enter holds what is there against the log. Those whose last write is so young that the log may lack it are looked at again; for an
// object that was not to be made, its being there says enough.
func (l *looker) enter(ctx context.Context, p place, list []doubt, found map[int64]*metav1.PartialObjectMetadata) (early map[int64]bool, err error) {
	early = map[int64]bool{}
	var there []*candidate
	for _, d := range list {
		m := found[d.UIDKey]
		if m == nil || m.DeletionTimestamp != nil {
			continue
		}
		w := written(m)
		if d.Operation != opCreate && w.After(l.began.Add(-l.s.o.Settle)) {
			early[d.UIDKey] = true
			continue
		}
		there = append(there, &candidate{m: m, written: w, key: d.UIDKey})
	}
	k, _, err := l.resource(p.apiVersion, p.kind)
	if err != nil {
		return nil, err
	}
	n, err := l.page(ctx, k, there)
	if n > 0 {
		l.s.news(ctx, l.target)
	}
	return early, err
}
