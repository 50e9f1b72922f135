package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// of is a blocked request of an owner.
func of(at time.Time, namespace, kind, name, rule string) protocol.Admission {
	v := privileged(policy.Block)
	v.Rule = rule
	a := seen(at, name, "blocked", v)
	a.Namespace, a.OwnerKind, a.OwnerName = namespace, kind, name
	return a
}

// TestLists: filters, searches, pages and counts agree.
func TestLists(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, _, target := room(t, db)
		other := cluster(t, db, "other")
		var list []protocol.Admission
		for i := range 60 {
			list = append(list, of(start.Add(-time.Duration(i)*time.Minute), []string{"shop", "bank"}[i%2], "StatefulSet", fmt.Sprint("till-", i), []string{"workload/host-network", "workload/privileged-container"}[i%2]))
		}
		take(t, s, target, list...)
		take(t, s, other, of(start, "shop", "DaemonSet", "logs", "workload/host-network"), seen(start, "x", "warned", vulnerable(policy.Warn)))
		sound(t, s)

		all := events(t, s, Filter{})
		if len(all) != 62 {
			t.Fatal(len(all))
		}
		for name, f := range map[string]struct {
			f    Filter
			want int
		}{
			"all":       {Filter{}, 62},
			"target":    {Filter{Targets: []int64{other}}, 2},
			"namespace": {Filter{Namespaces: []string{"bank"}}, 30},
			"rule":      {Filter{Rules: []string{"workload/host-network"}}, 31},
			"place":     {Filter{Targets: []int64{target}, Namespaces: []string{"shop"}}, 30},
			"policy":    {Filter{Policies: []int64{8}}, 1},
			"action":    {Filter{Actions: []string{"warn"}}, 1},
			"kind":      {Filter{Kinds: []Kind{Blocked}}, 61},
			"state":     {Filter{States: []State{Handled}}, 0},
			"owner":     {Filter{OwnerKind: "StatefulSet", Owner: "till-7"}, 1},
			"digest":    {Filter{Digest: digest}, 1},
			"since":     {Filter{Since: start.Add(-time.Minute)}, 4},
			"word":      {Filter{Q: "host-net"}, 31},
			"owner q":   {Filter{Q: "till-1"}, 12},
			"two":       {Filter{Q: "bank priv till-1"}, 6},
			"none":      {Filter{Q: "nothing-like-it"}, 0},
			"chinese":   {Filter{Q: "镜像存在"}, 1},
			"strange":   {Filter{Q: `"' OR 1=1 --`}, 0},
		} {
			if got := events(t, s, f.f); len(got) != f.want {
				t.Errorf("%s: %d, want %d", name, len(got), f.want)
			}
		}
		for _, sort := range []string{"-lastSeen", "lastSeen", "-firstSeen", "firstSeen", "-count", "count"} {
			seen := map[int64]bool{}
			page := store.Page{Limit: 7}
			for {
				l, err := s.Events(context.Background(), everything, Filter{Kinds: []Kind{Blocked}}, sort, page)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range l.Items {
					if seen[e.ID] {
						t.Errorf("%s: %d is there twice", sort, e.ID)
					}
					seen[e.ID] = true
				}
				if page.After = l.Next; page.After == "" {
					break
				}
			}
			if len(seen) != 61 {
				t.Errorf("%s: %d in pages", sort, len(seen))
			}
		}
		for _, bad := range []Filter{{Actions: []string{"nonsense"}}, {Q: strings.Repeat("a b ", 20)}} {
			if _, err := s.Events(context.Background(), everything, bad, "-lastSeen", store.Page{}); !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		if _, err := s.Events(context.Background(), everything, Filter{}, "-lastSeen", store.Page{After: "nonsense"}); !errors.Is(err, store.ErrCursor) {
			t.Error(err)
		}
		// Who sees one namespace sees no other, in lists, counts and pages of events.
		v := identity.Visible{Namespaces: map[int64][]string{target: {"bank"}}}
		l, err := s.Events(context.Background(), v, Filter{}, "-lastSeen", store.Page{Limit: 500})
		if err != nil || l.Total != 30 || len(l.Items) != 30 || slices.ContainsFunc(l.Items, func(e Listed) bool { return e.Namespace != "bank" }) {
			t.Errorf("%v %+v", err, l)
		}
		sum, err := s.Summary(context.Background(), v, Filter{})
		if err != nil || sum.Total != 30 || len(sum.Namespaces) != 1 || len(sum.Logs) != 0 || sum.Day[23].Requests[BlockedRequest]+sum.Day[22].Requests[BlockedRequest] != 30 {
			t.Errorf("%v %+v", err, sum)
		}
		if _, err := s.Event(context.Background(), v, all[0].ID, ""); all[0].Namespace != "bank" && !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		whole, err := s.Summary(context.Background(), everything, Filter{})
		if err != nil || whole.Total != 62 || whole.ByKind["blocked"] != 61 || whole.ByAction["warn"] != 1 || whole.ByState["unhandled"] != 62 || len(whole.Rules) != 3 ||
			whole.Rules[0].Title.ZH == "" || whole.Clusters[0].Name != "shop-cluster" || len(whole.Logs) != 2 {
			t.Errorf("%v %+v", err, whole)
		}
	})
}

// TestEvent shows the object with the faulty line, without credentials, and what an update changed.
func TestEvent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, _, target := room(t, db)
		good := seen(start.Add(-time.Hour), "a", "allowed")
		good.Object = podJSON("a", "registry.example.com/till:0", nil)
		bad := seen(start, "a", "blocked", privileged(policy.Block), vulnerable(policy.Block))
		bad.Operation, bad.Generation = "UPDATE", 2
		take(t, s, target, good)
		take(t, s, target, bad)
		for _, e := range events(t, s, Filter{}) {
			p, err := s.Event(context.Background(), everything, e.ID, "")
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(p.Object.YAML, "\n")
			want := map[string]string{"workload/privileged-container": "privileged: true", "image/vulnerability": "image: registry.example.com/till:1"}[e.Rule]
			if p.Object.State != "recorded" || len(p.Object.Marks) != 1 || !strings.Contains(lines[p.Object.Marks[0].Line-1], want) {
				t.Errorf("%s: %+v\n%s", e.Rule, p.Object.Marks, p.Object.YAML)
			}
			if strings.Contains(p.Object.YAML+p.Diff, "Sw0rdf1sh") || !strings.Contains(p.Object.YAML, "name: a") {
				t.Error(p.Object.YAML)
			}
			if !strings.Contains(p.Diff, "till:0") || !strings.Contains(p.Diff, "till:1") || strings.Count(p.Diff, "\n-") != 1 {
				t.Errorf("diff:\n%s", p.Diff)
			}
			if len(p.Occurrences) != 1 || p.Occurrences[0].Operation != "UPDATE" || p.Occurrences[0].Name != "a" || len(p.Hours) != 1 {
				t.Errorf("%+v", p.Occurrences)
			}
			if v := p.Violation(); v.Fix.ZH == "" && e.Rule != "image/vulnerability" {
				t.Errorf("%+v", v)
			}
		}
		// The latest occurrences stay, however many there are.
		for i := range 10 {
			var more []protocol.Admission
			for j := range 8 {
				more = append(more, seen(start.Add(time.Duration(i*10+j)*time.Second-2*time.Minute), fmt.Sprintf("p%d-%d", i, j), "blocked", privileged(policy.Block)))
			}
			take(t, s, target, more...)
		}
		e := events(t, s, Filter{Rules: []string{"workload/privileged-container"}})
		p, err := s.Event(context.Background(), everything, e[0].ID, "")
		if err != nil || len(p.Occurrences) > ring || len(p.Occurrences) < 10 || e[0].Hits != 81 {
			t.Fatal(err, len(p.Occurrences), e[0].Hits)
		}
		one := p.Occurrences[3]
		q, err := s.Event(context.Background(), everything, e[0].ID, one.ID)
		if err != nil || !strings.Contains(q.Object.YAML, "name: "+one.Name) {
			t.Error(err, q.Object.YAML)
		}
		if _, err := s.Event(context.Background(), everything, e[0].ID, "x-1"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestHandle: states, what happens again, and who may.
func TestHandle(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, st, target := room(t, db)
		take(t, s, target, of(start, "shop", "Deployment", "a", "r"), of(start, "shop", "Deployment", "b", "r"), of(start, "bank", "Deployment", "c", "r"))
		list := events(t, s, Filter{})
		ids := []int64{list[0].ID, list[1].ID, list[2].ID}
		effect := func(ctx context.Context, h Handling, want string) {
			t.Helper()
			got, err := s.Handle(ctx, h)
			if err != nil {
				t.Fatal(err)
			}
			if text := fmt.Sprint(got.Selected, got.NotAllowed, got.Changed, len(got.Fresh)); text != want {
				t.Errorf("%s: %s, want %s", h.Action, text, want)
			}
			sound(t, s)
		}
		st.pass(time.Second)
		effect(root(), Handling{IDs: ids, Action: Handle, DryRun: true}, "3 0 3 0")
		if n := len(events(t, s, Filter{States: []State{Unhandled}})); n != 3 {
			t.Errorf("a dry run left %d", n)
		}
		shop := identity.With(context.Background(), &identity.Principal{UserID: 2, Name: "ann", Grants: []identity.Grant{{Role: identity.Operator, Target: target, Namespace: "shop"}}})
		effect(shop, Handling{IDs: ids, Action: Handle, Note: "done"}, "2 0 2 2")
		viewer := identity.With(context.Background(), &identity.Principal{UserID: 3, Name: "vic", Grants: []identity.Grant{{Role: identity.Viewer}}})
		effect(viewer, Handling{IDs: ids, Action: Ignore}, "3 3 0 0")
		effect(root(), Handling{Filter: &Filter{Namespaces: []string{"bank"}}, Action: Ignore}, "1 0 1 1") // nobody had handled it: that can be taken back
		effect(root(), Handling{IDs: ids, Action: Handle}, "3 0 1 0")
		effect(root(), Handling{Filter: &Filter{Namespaces: []string{"bank"}}, Action: Ignore}, "1 0 1 0")
		if n := number(t, db, "SELECT count(*) FROM audit WHERE action LIKE 'admission.%'"); n != 4 {
			t.Errorf("%d audit entries", n)
		}
		// What was handled and happens again is unhandled; what is ignored stays so; the count goes on.
		take(t, s, target, of(start, "shop", "Deployment", "a", "r")) // a late one, from before it was handled
		st.pass(time.Minute)
		take(t, s, target, of(start.Add(time.Minute), "shop", "Deployment", "b", "r"), of(start.Add(time.Minute), "bank", "Deployment", "c", "r"))
		sound(t, s)
		got := map[string]string{}
		for _, e := range events(t, s, Filter{}) {
			got[e.OwnerName] = fmt.Sprint(e.State, e.Hits, e.Reopened, e.Handler)
		}
		if got["a"] != "handled 2 0ann" && got["a"] != "handled 2 0 ann" || !strings.HasPrefix(got["b"], "unhandled 2 1") || !strings.HasPrefix(got["c"], "ignored 2 0") {
			t.Errorf("%q", got)
		}
		for _, bad := range []Handling{{}, {IDs: ids, Action: "delete"}, {IDs: ids, Filter: &Filter{}, Action: Ignore}, {IDs: ids, Action: Except, Note: "x"}} {
			if _, err := s.Handle(root(), bad); !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

// TestAmend changes policies: images by digest, namespaces; and only for those who may.
func TestAmend(t *testing.T) {
	s, st, target := room(t, storetest.Open(t, "sqlite"))
	st.policies[7] = policy.Policy{ID: 7, Version: 1, Name: "baseline", Scope: policy.Scope{Clusters: []int64{target}}}
	st.policies[8] = policy.Policy{ID: 8, Version: 1, Name: "images"}
	tagged := vulnerable(policy.Block)
	tagged.Digest, tagged.Image = "", "registry.example.com/other:1"
	take(t, s, target, seen(start, "a", "blocked", privileged(policy.Block), vulnerable(policy.Block), tagged))
	filter := &Filter{Targets: []int64{target}}
	got, err := s.Handle(root(), Handling{Filter: filter, Action: AllowImage, Note: "driver", Until: "2027-03-31", DryRun: true})
	if err != nil || got.Selected != 3 || got.Skipped != 2 || got.Changed != 1 || len(got.Policies) != 2 || len(st.policies[8].Allowed) != 0 {
		if len(got.Policies) != 1 { // a policy without anything to add is not told
			t.Fatalf("%v %+v", err, got)
		}
	}
	if got, err = s.Handle(root(), Handling{Filter: filter, Action: AllowImage, Note: "driver", Until: "2027-03-31"}); err != nil {
		t.Fatal(err)
	}
	if a := st.policies[8].Allowed; len(a) != 1 || a[0].Digest != digest || a[0].Tag != "" || a[0].Repository != "registry.example.com/till" || a[0].Expires.Year() != 2027 || a[0].Reason != "driver" {
		t.Errorf("%+v", a)
	}
	sound(t, s)
	if n := len(events(t, s, Filter{States: []State{Handled}})); n != 1 {
		t.Errorf("%d are handled", n)
	}
	op := identity.With(context.Background(), &identity.Principal{UserID: 2, Name: "ann", Grants: []identity.Grant{{Role: identity.Operator, Target: target}}})
	if _, err := s.Handle(op, Handling{Filter: &Filter{Policies: []int64{8}}, Action: Exclude}); !errors.Is(err, ErrForbidden) {
		t.Errorf("an operator of one cluster changed a policy of all: %v", err)
	}
	if got, err = s.Handle(op, Handling{Filter: &Filter{Policies: []int64{7}}, Action: Exclude, Note: "x"}); err != nil || got.Changed != 1 {
		t.Fatalf("%v %+v", err, got)
	}
	st.policies[9] = policy.Policy{ID: 9, Version: 1, Name: "secret plans", Scope: policy.Scope{Clusters: []int64{target + 1}}}
	if got, err := s.Handle(op, Handling{Filter: &Filter{}, Action: Exclude, Policy: 9, DryRun: true}); err != nil || got.Skipped != got.Selected || len(got.Policies) > 0 {
		t.Errorf("a policy of a cluster that is not seen is told of: %v %+v", err, got)
	}
	if x := st.policies[7].Scope.ExcludedNamespaces; !slices.Equal(x, []string{"shop"}) {
		t.Errorf("%v", x)
	}
}

// TestTurned: an image that was let in and turned out to be bad is told where it was asked for, once.
func TestTurned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, st, target := room(t, db)
		st.bundle = policy.Bundle{Policies: []policy.Policy{{ID: 8, Version: 3, Name: "images", Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities}}}}}
		take(t, s, target, seen(start, "a", "allowed"))
		is := policy.ImageVerdict{Reference: "registry.example.com/till:1", Digest: digest, Failed: []policy.Failure{{Policy: 8, Kind: policy.Vulnerabilities, Worst: "critical",
			Message: finding.Text{EN: "CVE-2021-44228"}}, {Policy: 99, Kind: policy.Malware}}}
		for range 2 {
			if err := s.TurnedFrom(context.Background(), target, &policy.ImageVerdict{}, &is); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.TurnedFrom(context.Background(), target, &is, &is); err != nil { // it was so before
			t.Fatal(err)
		}
		if err := s.TurnedFrom(context.Background(), target, nil, &policy.ImageVerdict{Reference: "registry.example.com/unused:1", Failed: is.Failed}); err != nil {
			t.Fatal(err)
		}
		sound(t, s)
		e := events(t, s, Filter{Kinds: []Kind{Turned}})
		if len(e) != 1 || e[0].OwnerKind != "Deployment" || e[0].OwnerName != "till" || e[0].Rule != "image/vulnerability" || e[0].Severity.Word() != finding.Critical || e[0].Hits != 2 || e[0].Action() != policy.Block {
			t.Errorf("%+v", e)
		}
		if n := number(t, db, "SELECT count(*) FROM outbox WHERE topic = 'protection.turned'"); n != 1 {
			t.Errorf("%d messages", n)
		}
		p, err := s.Event(context.Background(), everything, e[0].ID, "")
		if err != nil || p.Object.State != "recorded" {
			t.Errorf("%v %+v", err, p)
		}
	})
}

// TestExisting: what runs already and violates is an event until it violates nothing any more.
func TestExisting(t *testing.T) {
	s, st, target := room(t, storetest.Open(t, "sqlite"))
	st.targets = []int64{target}
	st.bundle.Generation = "1"
	v := Violating{Violation: privileged(policy.Block)}
	v.Object.Kind, v.Object.Name, v.Object.Namespace = "Pod", "p1", "shop"
	v.Owner.Kind, v.Owner.Name, v.Owner.Namespace = "Deployment", "till", "shop"
	w := v
	w.Object.Name = "p2"
	st.existing = []Violating{v, w}
	sweep := func(want string) {
		t.Helper()
		if err := s.JudgeExisting(context.Background()); err != nil {
			t.Fatal(err)
		}
		sound(t, s)
		e := events(t, s, Filter{Kinds: []Kind{Existing}})
		if len(e) != 1 || fmt.Sprint(e[0].State, " ", e[0].Hits) != want {
			t.Errorf("%+v, want %s", e, want)
		}
	}
	sweep("unhandled 2")
	st.pass(time.Hour)
	st.existing = []Violating{v}
	sweep("unhandled 2") // nothing changed: it is not time
	st.bundle.Generation = "2"
	sweep("unhandled 1")
	st.pass(7 * time.Hour)
	st.existing, st.complete = nil, false
	sweep("unhandled 1") // it did not see everything
	st.pass(7 * time.Hour)
	st.complete = true
	sweep("handled 1")
	st.pass(7 * time.Hour)
	st.existing = []Violating{v}
	sweep("unhandled 1")

	st.bundle.Generation, st.away = "3", errors.New("the cluster does not answer")
	st.existing = []Violating{v, w}
	if err := s.JudgeExisting(context.Background()); err == nil {
		t.Error("nobody is told that the cluster could not be looked at")
	}
	st.away = nil
	sweep("unhandled 1") // not all the time
	st.pass(existingAgain)
	sweep("unhandled 2") // and not hours later
}

// TestOneUnreadable: an object that the API server fails on does not keep those after it from being judged.
func TestOneUnreadable(t *testing.T) {
	s, _, target := room(t, storetest.Open(t, "sqlite"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		code, reason := http.StatusNotFound, "NotFound"
		if strings.HasPrefix(path.Base(r.URL.Path), "bad") {
			code, reason = http.StatusInternalServerError, "InternalError"
		}
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(m{"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": code})
	}))
	t.Cleanup(server.Close)
	client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{s: s, target: target, client: client, kinds: map[string]schema.GroupVersionResource{"Pod": {Version: "v1", Resource: "pods"}}}
	for i, name := range []string{"bad1", "good", "bad2", "bad3", "bad4"} {
		state, err := b.one(context.Background(), &Entry{ID: int64(i + 1), APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: name})
		if want := name == "bad4"; (err != nil) != want || name == "good" && state != Gone {
			t.Errorf("%s: %v, %v", name, state, err)
		}
	}
}

// TestJudgedAgain: what has no verdict is judged again soon, a few times, and then more rarely.
func TestJudgedAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		s, st, target := room(t, db)
		var list []Entry
		for _, tries := range []int{1, soonTimes} {
			list = append(list, Entry{TargetID: target, Key: []byte{byte(tries)}, Reason: NotRecorded, State: Found, Name: fmt.Sprint(tries), Hits: 1, FoundAt: store.At(st.now()), JudgedAt: store.At(st.now()), Tries: tries})
		}
		err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewInsert().Model(&list).Exec(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for after, want := range map[time.Duration]string{judgeSoon - time.Second: "", judgeSoon + time.Second: "1", judgeAgain + time.Second: "1 6"} {
			due, err := s.open(ctx, target, st.now().Add(after-judgeAgain))
			var names []string
			for _, e := range due {
				names = append(names, e.Name)
			}
			if got := strings.Join(names, " "); err != nil || got != want {
				t.Errorf("after %s: %q, %v, want %q", after, got, err, want)
			}
		}
	})
}
