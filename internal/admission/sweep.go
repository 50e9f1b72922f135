package admission

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/store"
)

// Limits of sweeps.
const (
	sweepEvery  = 2 * time.Minute // or twenty times what a sweep takes, of clusters where it takes long
	sweepTime   = 8 * time.Minute // of one cluster
	sweepPage   = 500
	mostEntries = 50_000 // of one sweep of one kind; the next goes on
)

// Compare holds what lives in protected clusters against the log, where it is time for it: a duty of the leader.
func (s *Service) Compare(ctx context.Context) error {
	if s.o.Clusters == nil || s.o.Protection == nil {
		return nil
	}
	targets, err := s.o.Protection.Protected(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range targets {
		if ctx.Err() != nil {
			break
		}
		var due store.Time
		err := s.db.R.NewSelect().Table("admission_logs").Column("sweep_at").Where("target_id = ?", t).Scan(ctx, &due)
		if err = store.NotFound(err); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if s.now().Before(due.Time) {
			continue
		}
		began := s.now()
		if err := s.CompareNow(ctx, t); err != nil && ctx.Err() == nil {
			errs = append(errs, fmt.Errorf("cluster %d: %w", t, err))
		}
		next := s.now().Add(max(sweepEvery, 20*s.now().Sub(began))) // large clusters are not listed all the time
		err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("INSERT INTO admission_logs (target_id, sweep_at) VALUES (?, ?) ON CONFLICT (target_id) DO UPDATE SET sweep_at = excluded.sweep_at", t, store.At(next)).Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// comparison is one look at a cluster.
type comparison struct {
	s       *Service
	target  int64
	since   time.Time       // by our clock
	skip    labels.Selector // of namespaces that are looked at; nil: all
	client  metadata.Interface
	labels  map[string]map[string]string // of namespaces
	clock   atomic.Int64                 // of the API server, from ours, as its answers tell
	offset  time.Duration                // the same, when the comparison began
	gaps    []window
	trimmed time.Time // the log does not reach back further
	began   time.Time // by the API server's clock
}

// clock notes what time it is at the other end.
type clock struct {
	next   http.RoundTripper
	now    func() time.Time
	offset *atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c clock) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := c.now()
	resp, err := c.next.RoundTrip(r)
	if err == nil {
		if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			c.offset.Store(int64(at.Sub(sent.Truncate(time.Second))))
		}
	}
	return resp, err
}

// CompareNow holds what lives in a cluster against the log.
func (s *Service) CompareNow(ctx context.Context, target int64) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	cover, err := s.o.Protection.Coverage(ctx, target)
	if err != nil {
		return err
	}
	c := &comparison{s: s, target: target}
	if c.since, err = s.since(ctx, target, cover); err != nil || c.since.IsZero() {
		return err
	}
	rc, err := s.rest(ctx, target)
	if err != nil {
		return err
	}
	c.tell(rc)
	kinds, found := s.resources(rc, cover.Kinds)
	if found != nil && len(kinds) == 0 {
		return found
	}
	if cover.Webhook != "" {
		if kinds, err = c.hook(ctx, rc, cover.Webhook, kinds); err != nil {
			return err
		}
	}
	if c.client, err = metadata.NewForConfig(rc); err != nil {
		return err
	}
	if err := c.namespaces(ctx); err != nil {
		return err
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	errs := []error{found}
	for _, k := range kinds {
		n, err := c.kind(ctx, k)
		why := ""
		if err != nil {
			why = clean(err.Error(), shortText)
			errs = append(errs, fmt.Errorf("%s: %w", k.gvr.Resource, err))
		}
		if err := c.swept(ctx, k, n, why); err != nil {
			return err
		}
	}
	s.news(ctx, target)
	return errors.Join(errs...)
}

// tell has the requests of a client tell the other clock.
func (c *comparison) tell(rc *rest.Config) {
	rc.Wrap(func(next http.RoundTripper) http.RoundTripper { return clock{next, c.s.now, &c.clock} })
}

// begin notes the time, by the clock that the requests so far told of, and reads what objects are judged by.
func (c *comparison) begin(ctx context.Context) error {
	s := c.s
	c.offset = time.Duration(c.clock.Load())
	c.began = s.now().Add(c.offset)
	var err error
	if c.gaps, err = s.windows(ctx, c.target, c.began.Add(-30*24*time.Hour)); err != nil {
		return err
	}
	for i := range c.gaps {
		c.gaps[i].from, c.gaps[i].until = c.gaps[i].from.Add(c.offset), c.gaps[i].until.Add(c.offset)
	}
	var trimmed store.Time
	err = s.db.R.NewSelect().Table("admission_logs").Column("trimmed_at").Where("target_id = ?", c.target).Scan(ctx, &trimmed)
	if err = store.NotFound(err); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	c.trimmed = trimmed.Time
	return nil
}

// rest is how a cluster is reached for lists: with a limit for each answer.
func (s *Service) rest(ctx context.Context, target int64) (*rest.Config, error) {
	rc, err := s.o.Clusters.REST(ctx, target)
	if err != nil {
		return nil, err
	}
	rc = rest.CopyConfig(rc)
	rc.Timeout = time.Minute
	if rc.QPS == 0 {
		rc.QPS, rc.Burst = 20, 40
	}
	return rc, nil
}

// resource is a kind as it is listed.
type resource struct {
	gvr  schema.GroupVersionResource
	kind string
}

func (r resource) name() string { return r.gvr.Resource + "." + r.gvr.Version + "." + r.gvr.Group }

// resources finds how the kinds are called in a cluster. What is served and cannot be found is told, beside what was.
func (s *Service) resources(rc *rest.Config, more []string) ([]resource, error) {
	client, err := discovery.NewDiscoveryClientForConfig(rc)
	if err != nil {
		return nil, err
	}
	want := map[string]bool{}
	for _, w := range inventory.WorkloadKinds {
		if w.Kind != "PodTemplate" {
			want[strings.TrimSuffix(w.Kind+"."+w.Group, ".")] = true
		}
	}
	for _, k := range more {
		want[k] = true
	}
	lists, err := client.ServerPreferredResources()
	if len(lists) == 0 {
		return nil, err
	}
	var out []resource
	for _, l := range lists {
		gv, parseErr := schema.ParseGroupVersion(l.GroupVersion)
		if parseErr != nil {
			continue
		}
		for _, r := range l.APIResources {
			kind := strings.TrimSuffix(r.Kind+"."+gv.Group, ".")
			if want[kind] && !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "list") {
				out = append(out, resource{gv.WithResource(r.Name), r.Kind})
			}
		}
	}
	return out, err
}

// namespaces reads the labels of namespaces, and the API server's clock on the way.
func (c *comparison) namespaces(ctx context.Context) error {
	c.labels = map[string]map[string]string{}
	return c.list(ctx, resource{gvr: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}}, func(page []metav1.PartialObjectMetadata) error {
		for i := range page {
			c.labels[page[i].Name] = page[i].Labels
		}
		return nil
	})
}

// skipped reports whether requests in a namespace do not go to the recorder, which is told as a bypass and not here.
func (c *comparison) skipped(namespace string) bool {
	if c.skip == nil || namespace == "" {
		return false
	}
	l := c.labels[namespace]
	if l == nil {
		l = map[string]string{"kubernetes.io/metadata.name": namespace}
	}
	return !c.skip.Matches(labels.Set(l))
}

// since is from when on requests were recorded, under the protection that holds now.
func (s *Service) since(ctx context.Context, target int64, cover *Coverage) (time.Time, error) {
	if cover.Since.IsZero() {
		return time.Time{}, nil
	}
	var kept struct {
		Epoch store.Time `bun:"epoch_at"`
		Since store.Time `bun:"since_at"`
	}
	err := s.db.R.NewSelect().Table("admission_logs").Column("epoch_at", "since_at").Where("target_id = ?", target).Scan(ctx, &kept)
	if err = store.NotFound(err); err != nil && !errors.Is(err, store.ErrNotFound) {
		return time.Time{}, err
	}
	if !kept.Since.IsZero() && kept.Epoch.Equal(store.At(cover.Epoch).Time) {
		return kept.Since.Time, nil
	}
	return cover.Since, s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO admission_logs (target_id, epoch_at, since_at) VALUES (?, ?, ?) ON CONFLICT (target_id) DO UPDATE SET epoch_at = excluded.epoch_at, since_at = excluded.since_at",
			target, store.At(cover.Epoch), store.At(cover.Since)).Exec(ctx)
		return err
	})
}

// hook reads what the recorder sees from its webhook in the cluster. Where it cannot be read the kinds stay as they are: somebody may
// have taken it away, and then most of all there is something to be found.
func (c *comparison) hook(ctx context.Context, rc *rest.Config, name string, kinds []resource) ([]resource, error) {
	client, err := dynamic.NewForConfig(rc)
	if err != nil {
		return nil, err
	}
	got, err := client.Resource(schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return kinds, nil
	}
	if err != nil {
		return nil, err
	}
	var hooks struct {
		Webhooks []struct {
			NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector"`
			Rules             []struct {
				APIGroups []string `json:"apiGroups"`
				Resources []string `json:"resources"`
			} `json:"rules"`
		} `json:"webhooks"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(got.Object, &hooks); err != nil || len(hooks.Webhooks) != 1 {
		return kinds, nil //nolint:nilerr // it is not ours any more
	}
	w := hooks.Webhooks[0]
	if w.NamespaceSelector != nil {
		if selector, err := metav1.LabelSelectorAsSelector(w.NamespaceSelector); err == nil {
			c.skip = selector
		}
	}
	seen := func(r resource) bool {
		for _, rule := range w.Rules {
			if (slices.Contains(rule.APIGroups, r.gvr.Group) || slices.Contains(rule.APIGroups, "*")) && (slices.Contains(rule.Resources, r.gvr.Resource) || slices.Contains(rule.Resources, "*") || slices.Contains(rule.Resources, "*/*")) {
				return true
			}
		}
		return false
	}
	return slices.DeleteFunc(slices.Clone(kinds), func(r resource) bool { return !seen(r) }), nil
}

// list gives the metadata of all objects of a kind, in pages. One that takes too long to be read from one state of the cluster begins
// anew, once.
func (c *comparison) list(ctx context.Context, k resource, each func([]metav1.PartialObjectMetadata) error) error {
	o := metav1.ListOptions{Limit: sweepPage}
	for anew := 0; ; {
		page, err := c.client.Resource(k.gvr).List(ctx, o)
		if err != nil {
			if o.Continue != "" && anew == 0 && apierrors.IsResourceExpired(err) {
				o.Continue, anew = "", 1
				continue
			}
			return err
		}
		if err := each(page.Items); err != nil {
			return err
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return nil
		}
	}
}

// through is until when objects of a kind were looked at.
func (c *comparison) through(ctx context.Context, k resource) (time.Time, error) {
	var at store.Time
	err := c.s.db.R.NewSelect().Table("admission_sweeps").Column("through_at").Where("target_id = ? AND resource = ?", c.target, k.name()).Scan(ctx, &at)
	if err = store.NotFound(err); err != nil && !errors.Is(err, store.ErrNotFound) {
		return time.Time{}, err
	}
	since := c.since.Add(c.offset)
	if last := at.Time.Add(-skew); last.After(since) { // once more: the clock may have been set
		return last, nil
	}
	return since, nil
}

// kind compares the objects of one kind.
func (c *comparison) kind(ctx context.Context, k resource) (objects int, err error) {
	after, err := c.through(ctx, k)
	if err != nil {
		return 0, err
	}
	until := c.began.Add(-c.s.o.Settle)
	found := 0
	err = c.list(ctx, k, func(page []metav1.PartialObjectMetadata) error {
		objects += len(page)
		var doubtful []*candidate
		for i := range page {
			m := &page[i]
			w := written(m)
			if w.Before(after) || w.After(until) || m.DeletionTimestamp != nil || c.skipped(m.Namespace) {
				continue
			}
			doubtful = append(doubtful, &candidate{m: m, written: w, key: uidKey(string(m.UID))})
		}
		n, err := c.page(ctx, k, doubtful)
		if found += n; err == nil && found > mostEntries {
			return fmt.Errorf("more than %d objects that were not recorded: the rest is looked at the next time", mostEntries)
		}
		return err
	})
	return objects, err
}

// candidate is an object that was written in the time that is looked at.
type candidate struct {
	m       *metav1.PartialObjectMetadata
	written time.Time
	key     int64
	rows    []seenRow
}

// seenRow is what the log has of an object.
type seenRow struct {
	at         int64
	generation int64
	outcome    Outcome
	operation  int8
}

// written is when an object itself was last written: not its status, and not by a resize or a scale.
func written(m *metav1.PartialObjectMetadata) time.Time {
	at := m.CreationTimestamp.Time
	for _, f := range m.ManagedFields {
		if f.Time != nil && f.Time.After(at) && (f.Subresource == "" || f.Subresource == "ephemeralcontainers") {
			at = f.Time.Time
		}
	}
	return at
}

// page enters those of some objects that the log does not know.
func (c *comparison) page(ctx context.Context, k resource, list []*candidate) (int, error) {
	if len(list) == 0 {
		return 0, nil
	}
	byKey := map[int64]*candidate{}
	var keys []int64
	for _, d := range list {
		byKey[d.key] = d
		keys = append(keys, d.key)
	}
	rows, err := c.s.db.R.QueryContext(ctx, "SELECT uid_key, at, generation, outcome, operation FROM admissions WHERE target_id = ? AND uid_key <> 0 AND uid_key IN (?)", c.target, bun.List(keys))
	if err != nil {
		return 0, err
	}
	err = each(rows, func(r *sql.Rows) error {
		var key int64
		var s seenRow
		err := r.Scan(&key, &s.at, &s.generation, &s.outcome, &s.operation)
		if d := byKey[key]; d != nil {
			d.rows = append(d.rows, s)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	var entries []Entry
	for _, d := range list {
		if e, unchecked := c.judge(k, d); unchecked {
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 {
		return 0, nil
	}
	added := 0
	err = c.s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := c.s.lock(ctx, tx, c.target); err != nil {
			return err
		}
		fresh, err := c.fresh(ctx, tx, entries)
		if err != nil {
			return err
		}
		added, err = c.s.enter(ctx, tx, c.target, fresh, c.s.now())
		return err
	})
	return added, err
}

// fresh leaves out what was found before.
func (c *comparison) fresh(ctx context.Context, tx bun.Tx, list []Entry) ([]Entry, error) {
	keys := make([][]byte, len(list))
	for i := range list {
		keys[i] = list[i].Key
	}
	rows, err := tx.QueryContext(ctx, "SELECT unchecked_key FROM admission_unchecked WHERE target_id = ? AND unchecked_key IN (?)", c.target, bun.List(keys))
	if err != nil {
		return nil, err
	}
	there := map[hash]bool{}
	err = each(rows, func(r *sql.Rows) error {
		var key []byte
		err := r.Scan(&key)
		if err == nil {
			there[hash(key)] = true
		}
		return err
	})
	return slices.DeleteFunc(slices.Clone(list), func(e Entry) bool { return there[hash(e.Key)] }), err
}

// judge says whether an object came in unchecked, and why.
func (c *comparison) judge(k resource, d *candidate) (Entry, bool) {
	m := d.m
	if d.written.Add(-c.offset).Before(c.trimmed) { // the log does not reach back so far: nothing can be said
		return Entry{}, false
	}
	refused, known := false, false
	shift, tolerance := -c.offset, skew
	for _, r := range d.rows { // the object's own creation, when it was recorded, tells how far the clocks are apart
		if r.operation == opCreate && r.outcome != BlockedRequest {
			shift, tolerance = time.UnixMilli(r.at).Sub(m.CreationTimestamp.Time), 2*time.Second
		}
	}
	at := d.written.Add(shift - tolerance).UnixMilli()
	for _, r := range d.rows {
		switch {
		case r.outcome == BlockedRequest:
			refused = refused || m.Generation > 0 && r.generation == m.Generation || m.Generation == 0 && r.operation == opCreate
		case m.Generation > 0 && r.generation >= m.Generation, r.at >= at: // a scale counts the generation up, and writes nothing else
			known = true
		}
	}
	if known {
		return Entry{}, false
	}
	e := Entry{UIDKey: d.key, UID: clean(string(m.UID), nameText), Generation: m.Generation, Reason: NotRecorded, APIVersion: k.gvr.GroupVersion().String(), Kind: k.kind,
		Namespace: m.Namespace, Name: m.Name, OwnerKind: k.kind, OwnerName: m.Name, Hits: 1, WrittenAt: store.At(d.written.Add(-c.offset))}
	generation := strconv.FormatInt(m.Generation, 10)
	if m.Generation == 0 { // nothing counts its changes but the time of the write
		generation = "at " + strconv.FormatInt(d.written.Unix(), 10)
	}
	e.Key = entryKey("object", string(m.UID), generation)
	_, mirror := m.Annotations[mirrorAnnotation]
	if owner := metav1.GetControllerOf(m); owner != nil && !mirror {
		e.OwnerKind, e.OwnerName = owner.Kind, owner.Name
	}
	gap, away := gapAt(c.gaps, d.written)
	switch {
	case mirror:
		e.Reason = StaticPod
	case refused:
		e.Reason = NotEnforced
	case away:
		e.Reason = ProviderAway
	}
	if away {
		e.FromAt, e.UntilAt = store.At(gap.from.Add(-c.offset)), store.At(gap.until.Add(-c.offset))
	}
	return e, true
}

// swept notes how far a kind was looked at.
func (c *comparison) swept(ctx context.Context, k resource, objects int, why string) error {
	return c.s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if why != "" {
			_, err := tx.NewRaw(`INSERT INTO admission_sweeps (target_id, resource, through_at, at, objects, error) VALUES (?, ?, 0, ?, ?, ?)
				ON CONFLICT (target_id, resource) DO UPDATE SET at = excluded.at, error = excluded.error`, c.target, k.name(), store.At(c.s.now()), objects, why).Exec(ctx)
			return err
		}
		_, err := tx.NewRaw(`INSERT INTO admission_sweeps (target_id, resource, through_at, at, objects, error) VALUES (?, ?, ?, ?, ?, '')
			ON CONFLICT (target_id, resource) DO UPDATE SET through_at = excluded.through_at, at = excluded.at, objects = excluded.objects, error = ''`,
			c.target, k.name(), store.At(c.began.Add(-c.s.o.Settle)), store.At(c.s.now()), objects).Exec(ctx)
		return err
	})
}
