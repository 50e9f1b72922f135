package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// shelf is an API server with nothing but pods' metadata.
type shelf struct {
	mu     sync.Mutex
	clock  func() time.Time
	pods   map[string]m
	asked  []string
	broken bool
}

func newShelf(t *testing.T, st *stage) *shelf {
	t.Helper()
	f := &shelf{clock: st.now, pods: map[string]m{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	st.rest = &rest.Config{Host: server.URL, QPS: -1}
	return f
}

// put has a pod live, written at a time.
func (f *shelf) put(name, uid string, generation int64, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pods[name] = m{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": m{"name": name, "namespace": "shop", "uid": uid, "generation": generation,
		"creationTimestamp": start.Add(-time.Hour).Format(time.RFC3339), "managedFields": []any{m{"manager": "x", "operation": "Update", "apiVersion": "v1", "time": at.Format(time.RFC3339)}}}}
}

func (f *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Date", f.clock().UTC().Format(http.TimeFormat))
	write := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	const pods = "/api/v1/namespaces/shop/pods"
	name, one := strings.CutPrefix(r.URL.Path, pods+"/")
	switch {
	case f.broken && r.URL.Path != "/api/v1":
		http.Error(w, "{}", http.StatusInternalServerError)
	case r.URL.Path == "/api/v1":
		write(m{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{m{"name": "pods", "kind": "Pod", "namespaced": true, "verbs": []string{"get", "list"}},
			m{"name": "pods/status", "kind": "Pod", "namespaced": true, "verbs": []string{"get"}}}})
	case r.URL.Path == pods:
		var items []any
		for _, p := range f.pods {
			items = append(items, p)
		}
		write(m{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": m{}, "items": items})
	case one && f.pods[name] != nil:
		write(f.pods[name])
	default:
		w.WriteHeader(http.StatusNotFound)
		write(m{"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})
	}
}

func unchecked(t *testing.T, s *Service) string {
	t.Helper()
	l, err := s.Unchecked(context.Background(), everything, UncheckedFilter{}, store.Page{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range l.Items {
		out = append(out, fmt.Sprint(e.Name, " ", e.Reason, " ", e.State, " ", e.Hits))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// TestBlockedAndThere: what was to be blocked and lives all the same is found within a minute, without a look at everything.
func TestBlockedAndThere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, st, target := room(t, db)
		f := newShelf(t, st)
		look := func(after time.Duration) string {
			t.Helper()
			st.pass(after)
			if err := s.Doubts(context.Background()); err != nil {
				t.Fatal(err)
			}
			return unchecked(t, s)
		}
		update := func(name string, generation int64, outcome string, at time.Time) protocol.Admission {
			a := seen(at, name, outcome, privileged(policy.Block))
			a.Operation, a.Generation = "UPDATE", generation
			return a
		}
		st.targets = []int64{target}
		// Let in; refused; another object of the name; changed against the policy; not changed, for it was refused; changed, and then well.
		take(t, s, target, seen(start, "in", "blocked", privileged(policy.Block)), seen(start, "out", "blocked", privileged(policy.Block)), seen(start, "other", "blocked", privileged(policy.Block)),
			update("worse", 2, "blocked", start), update("same", 2, "blocked", start), update("well", 2, "blocked", start), update("well", 2, "allowed", start.Add(time.Second)))
		f.put("in", "uid-in", 1, start)
		f.put("other", "uid-of-another", 1, start)
		f.put("worse", "uid-worse", 2, start)
		f.put("same", "uid-same", 1, start.Add(-time.Hour))
		f.put("well", "uid-well", 2, start.Add(time.Second))
		take(t, s, target, update("same", 1, "allowed", start.Add(-time.Hour)))
		if got := look(20 * time.Second); got != "" || len(f.asked) != 0 {
			t.Fatalf("the API server may be waiting for Gatekeeper still: %s, %v", got, f.asked)
		}
		if got := look(20 * time.Second); got != "in not-enforced found 1" {
			t.Fatal(got)
		}
		if got := look(time.Minute); got != "in not-enforced found 1, worse not-enforced found 1" { // now no record is on its way
			t.Fatal(got)
		}
		if n := number(t, db, "SELECT count(*) FROM admission_doubts"); n != 0 {
			t.Errorf("%d doubts are left", n)
		}
		f.asked = nil
		if look(time.Hour); len(f.asked) != 0 {
			t.Errorf("asked without doubts: %v", f.asked)
		}

		// Refused again while it is looked for: it is looked for again.
		take(t, s, target, seen(st.now(), "late", "blocked", privileged(policy.Block)))
		st.pass(30 * time.Second)
		take(t, s, target, seen(st.now(), "late", "blocked", privileged(policy.Block)))
		look(10 * time.Second)
		f.put("late", "uid-late", 1, st.now())
		if got := look(30 * time.Second); !strings.Contains(got, "late not-enforced") {
			t.Error(got)
		}

		// The API server is away: doubts stay, and are given up when the comparison has looked.
		take(t, s, target, seen(st.now(), "lost", "blocked", privileged(policy.Block)))
		f.broken = true
		st.pass(time.Minute)
		if err := s.Doubts(context.Background()); err == nil {
			t.Error("no error")
		}
		if n := number(t, db, "SELECT count(*) FROM admission_doubts"); n != 1 {
			t.Errorf("%d doubts", n)
		}
		st.pass(time.Hour)
		if err := s.Clean(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n := number(t, db, "SELECT count(*) FROM admission_doubts"); n != 0 {
			t.Errorf("%d doubts", n)
		}
		sound(t, s)
	})
}

// TestManyBlocked: a storm of refused requests costs the cluster no more than its bounds, and the database neither.
func TestManyBlocked(t *testing.T) {
	s, st, target := room(t, storetest.Open(t, "sqlite"))
	f := newShelf(t, st)
	st.targets = []int64{target}
	var list []protocol.Admission
	for i := range mostDoubts + 500 {
		list = append(list, seen(start, fmt.Sprint("pod-", i), "blocked", privileged(policy.Block)))
	}
	odd := seen(start, "odd", "blocked", privileged(policy.Block))
	odd.APIVersion = "a/b/c"
	take(t, s, target, append([]protocol.Admission{odd}, list...)...)
	if n := number(t, s.db, "SELECT count(*) FROM admission_doubts"); n != mostDoubts {
		t.Errorf("%d doubts", n)
	}
	for i := range 200 {
		f.put(fmt.Sprint("pod-", i), fmt.Sprint("uid-pod-", i), 1, start)
	}
	st.pass(time.Minute)
	for range mostDoubts / doubtsAtOnce {
		if err := s.Doubts(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if n := number(t, s.db, "SELECT count(*) FROM admission_doubts"); n != 0 {
		t.Errorf("%d doubts are left", n)
	}
	if n := number(t, s.db, "SELECT count(*) FROM admission_unchecked"); n < 150 || n > 200 { // those beyond the bounds are not looked for
		t.Errorf("%d are found", n)
	}
	if len(f.asked) > 4*mostDoubts/doubtsAtOnce {
		t.Errorf("%d requests to the cluster", len(f.asked))
	}
	// In namespaces of their own they are read one by one, and not all at once.
	list = nil
	for i := range 3 * doubtCalls {
		a := seen(st.now(), fmt.Sprint("alone-", i), "blocked", privileged(policy.Block))
		a.Namespace = fmt.Sprint("ns-", i)
		list = append(list, a)
	}
	take(t, s, target, list...)
	st.pass(time.Minute)
	f.asked = nil
	if err := s.Doubts(context.Background()); err == nil || len(f.asked) > doubtCalls {
		t.Errorf("%v after %d requests", err, len(f.asked))
	}
	before := number(t, s.db, "SELECT count(*) FROM admission_doubts")
	if err := s.Doubts(context.Background()); err == nil || number(t, s.db, "SELECT count(*) FROM admission_doubts") >= before {
		t.Errorf("%v, and no progress", err)
	}
}

// TestStaticPod: a mirror that was refused is no pod that was: the kubelet runs it. It is told as what it is, once, however often the
// kubelet asks.
func TestStaticPod(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, st, target := room(t, db)
		st.targets = []int64{target}
		mirror := func(uid string) protocol.Admission {
			a := seen(st.now(), "till-node1", "blocked", privileged(policy.Block), vulnerable(policy.Audit))
			a.UID, a.OwnerKind, a.OwnerName, a.User = uid, "Node", "node1", "system:node:node1"
			a.Object = podJSON("till-node1", "registry.example.com/till:1", m{"metadata": m{"name": "till-node1", "namespace": "shop", "annotations": m{mirrorAnnotation: "x"},
				"ownerReferences": []any{m{"apiVersion": "v1", "kind": "Node", "name": "node1", "uid": "n", "controller": true}}}})
			return a
		}
		take(t, s, target, mirror("one"))
		st.pass(time.Minute)
		take(t, s, target, mirror("two"))
		if got := unchecked(t, s); got != "till-node1 static-pod bad 2" {
			t.Error(got)
		}
		var got []string
		for _, e := range events(t, s, Filter{}) {
			got = append(got, fmt.Sprint(e.Kind, " ", e.Rule, " ", e.OwnerKind, " ", e.OwnerName, " ", e.Hits))
		}
		slices.Sort(got)
		if want := "audited image/vulnerability Pod till-node1 2, unchecked workload/privileged-container Pod till-node1 2"; strings.Join(got, ", ") != want {
			t.Errorf("%s, want %s", strings.Join(got, ", "), want)
		}
		if n := number(t, db, "SELECT count(*) FROM admission_doubts"); n != 0 {
			t.Errorf("%d doubts: it would be looked for under a name that the API server does not have", n)
		}
		if err := s.JudgeOpen(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := unchecked(t, s); got != "till-node1 static-pod bad 2" {
			t.Errorf("judged afterwards: %s", got)
		}
		sound(t, s)
	})
}
