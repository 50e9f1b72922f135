package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestTake keeps a batch once, as log and as events, and counts what happens again.
func TestTake(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, st, target := room(t, db)
		excepted := privileged(policy.Block)
		excepted.Exception = 5
		b := batch(
			seen(start.Add(-3*time.Minute), "a", "blocked", privileged(policy.Block), privileged(policy.Block)),
			seen(start.Add(-time.Minute), "b", "blocked", privileged(policy.Block), vulnerable(policy.Warn)),
			seen(start.Add(-2*time.Minute), "c", "audited", privileged(policy.Audit)),
			seen(start, "d", "allowed", excepted))
		dry := seen(start, "dry", "blocked", privileged(policy.Block))
		dry.DryRun = true
		test := dry
		test.DryRun, test.SelfTest = false, true
		b.Admissions = append(b.Admissions, dry, test)
		for range 2 { // the answer did not come: it is sent again
			if err := s.Take(context.Background(), target, b); err != nil {
				t.Fatal(err)
			}
		}
		sound(t, s)
		if n := number(t, db, "SELECT count(*) FROM admissions"); n != 4 {
			t.Errorf("%d rows", n)
		}
		got := ""
		for _, e := range events(t, s, Filter{}) {
			got += fmt.Sprintln(e.Kind, e.Action(), e.State, e.Rule, e.Namespace, e.OwnerKind, e.OwnerName, e.Digest != "", e.Hits, e.FirstAt.Format("04:05"), e.LastAt.Format("04:05"), e.Cluster)
		}
		want := `blocked block unhandled workload/privileged-container shop Deployment till false 2 17:00 19:00 shop-cluster
warned warn unhandled image/vulnerability shop Deployment till true 1 19:00 19:00 shop-cluster
audited audit unhandled workload/privileged-container shop Deployment till false 1 18:00 18:00 shop-cluster
`
		if got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		// Pods of one template share one object, and no credential is kept.
		if n := number(t, db, "SELECT count(DISTINCT object_id) FROM admissions WHERE object_id <> 0"); n != 1 {
			t.Errorf("%d objects of one template", n)
		}
		st.pass(time.Minute)
		take(t, s, target, seen(start.Add(time.Minute), "e", "blocked", privileged(policy.Block)))
		if e := events(t, s, Filter{Kinds: []Kind{Blocked}}); len(e) != 1 || e[0].Hits != 3 || !e[0].LastAt.Equal(start.Add(time.Minute)) {
			t.Errorf("%+v", e)
		}
		sound(t, s)
	})
}

// TestRecorded gives back what was taken, oldest first, whatever the order it came in.
func TestRecorded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, _, target := room(t, db)
		big := seen(start.Add(-time.Hour), "big", "allowed")
		big.Object = podJSON("big", strings.Repeat("x", MaxObject), nil)
		var list []protocol.Admission
		for i := range 2500 {
			list = append(list, seen(start.Add(-time.Duration(i)*time.Second), fmt.Sprint("pod-", i), "allowed"))
		}
		update := seen(start.Add(-2*time.Hour), "up", "blocked", vulnerable(policy.Block))
		update.Operation, update.Generation, update.SubResource = "UPDATE", 3, "ephemeralcontainers"
		take(t, s, target, append(list, big, update)...)
		other := cluster(t, db, "other")
		take(t, s, other, seen(start, "not-mine", "allowed"))

		var names []string
		last := time.Time{}
		err := s.Recorded(context.Background(), target, start.Add(-3*time.Hour), start.Add(time.Second), func(a protocol.Admission) error {
			if a.At.Before(last) {
				t.Fatalf("%s at %v comes after %v", a.Name, a.At, last)
			}
			last = a.At
			names = append(names, a.Name)
			switch a.Name {
			case "big":
				if a.Object != nil || a.Bytes <= MaxObject {
					t.Errorf("%+v", a)
				}
			case "up":
				if a.Operation != "UPDATE" || a.Generation != 3 || a.SubResource != "ephemeralcontainers" || len(a.Violations) != 1 || a.Violations[0].Digest != digest || a.Outcome != "blocked" {
					t.Errorf("%+v", a)
				}
			case "pod-7":
				var o struct {
					Metadata struct{ Name, Namespace, UID, CreationTimestamp string }
					Spec     struct {
						Containers []struct{ Env []struct{ Value string } }
					}
				}
				if err := json.Unmarshal(a.Object, &o); err != nil || o.Metadata.Name != "pod-7" || o.Metadata.Namespace != "shop" || o.Metadata.UID != "uid-pod-7" || strings.Contains(string(a.Object), "Sw0rdf1sh") ||
					o.Spec.Containers[0].Env[0].Value == "" {
					t.Errorf("%v %s", err, a.Object)
				}
				if a.User == "" || len(a.Groups) != 1 || a.OwnerKind != "Deployment" || a.Operation != "CREATE" || a.UID != "uid-pod-7" {
					t.Errorf("%+v", a)
				}
			}
			return nil
		})
		if err != nil || len(names) != 2502 || names[0] != "up" || names[2501] != "pod-0" {
			t.Fatal(err, len(names))
		}
		n := 0
		err = s.Recorded(context.Background(), target, start.Add(-10*time.Second), start, func(protocol.Admission) error { n++; return nil })
		if err != nil || n != 10 {
			t.Errorf("%d of ten seconds: %v", n, err)
		}
		boom := fmt.Errorf("boom")
		if err := s.Recorded(context.Background(), target, start.Add(-time.Hour), start, func(protocol.Admission) error { return boom }); err != boom {
			t.Error(err)
		}
		sound(t, s)
	})
}

// TestHostileBatch takes what a broken or hostile provider sends: nothing of it is an error, and nothing of it is too large.
func TestHostileBatch(t *testing.T) {
	s, _, target := room(t, storetest.Open(t, "sqlite"))
	odd := func(change func(*protocol.Admission)) protocol.Admission {
		a := seen(start, "odd", "blocked", privileged(policy.Block))
		change(&a)
		return a
	}
	long := strings.Repeat("长", 100_000)
	take(t, s, target,
		odd(func(a *protocol.Admission) { a.Object = json.RawMessage(`{"kind":`) }),
		odd(func(a *protocol.Admission) { a.Object = json.RawMessage(`[]`) }),
		odd(func(a *protocol.Admission) { a.Object = json.RawMessage(`{"metadata":"x","spec":[1]}`) }),
		odd(func(a *protocol.Admission) { a.Object = json.RawMessage(strings.Repeat(`{"a":`, 90_000)) }),
		odd(func(a *protocol.Admission) {
			a.Name, a.Namespace, a.Kind, a.User = long, long+"\x00", "\x1b[2J", "\xff"
		}),
		odd(func(a *protocol.Admission) { a.At = time.Unix(1<<40, 0) }),
		odd(func(a *protocol.Admission) { a.At = time.Time{} }),
		odd(func(a *protocol.Admission) { a.Outcome, a.Operation, a.Generation = "nonsense", "CONNECT", -5 }),
		odd(func(a *protocol.Admission) {
			a.Violations[0].Message.EN, a.Violations[0].Found, a.Violations[0].Items = long, long, []string{long}
			a.Violations[0].Action = "nonsense"
		}),
		odd(func(a *protocol.Admission) {
			for range 5000 {
				a.Violations, a.Groups = append(a.Violations, privileged(policy.Block)), append(a.Groups, long)
			}
		}))
	sound(t, s)
	for _, e := range events(t, s, Filter{}) {
		if e.LastAt.After(start) || len(e.MessageEN) > messageText || len(e.Namespace) > nameText || strings.ContainsAny(e.OwnerKind+e.Namespace, "\x00\x1b") {
			t.Errorf("%+v", e.Event)
		}
	}
	if n := number(t, s.db, "SELECT max(length(body)) FROM admissions"); n > 200_000 {
		t.Errorf("a row of %d bytes", n)
	}
	if err := s.Take(context.Background(), target, protocol.Batch{}); err == nil {
		t.Error("a batch without an id was taken")
	}
	if err := s.Take(context.Background(), target, protocol.Batch{ID: "x", Admissions: make([]protocol.Admission, maxBatch+1)}); err == nil {
		t.Error("a batch of too many was taken")
	}
}

// TestTakeAtOnce: replicas send at the same time, also the same batch.
func TestTakeAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, _, target := room(t, db)
		other := New(Options{DB: db, Now: s.now})
		var all sync.WaitGroup
		for i := range 8 {
			b := batch(seen(start, fmt.Sprint("a", i), "blocked", privileged(policy.Block)), seen(start, fmt.Sprint("b", i), "warned", vulnerable(policy.Warn)))
			for _, r := range []*Service{s, other} {
				all.Go(func() {
					if err := r.Take(context.Background(), target, b); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		sound(t, s)
		for _, e := range events(t, s, Filter{}) {
			if e.Hits != 8 {
				t.Errorf("%s: %d of 8", e.Rule, e.Hits)
			}
		}
	})
}

// TestLate: an older batch that comes later changes counts, and not what is the last.
func TestLate(t *testing.T) {
	s, _, target := room(t, storetest.Open(t, "sqlite"))
	v := privileged(policy.Block)
	take(t, s, target, seen(start, "new", "blocked", v))
	v.Message.EN = "older"
	take(t, s, target, seen(start.Add(-time.Hour), "old", "blocked", v))
	e := events(t, s, Filter{})
	if len(e) != 1 || e[0].MessageEN == "older" || e[0].Hits != 2 || !e[0].FirstAt.Equal(start.Add(-time.Hour)) || !e[0].LastAt.Equal(start) {
		t.Errorf("%+v", e)
	}
}

// TestOwners: requests count for workloads, whatever their objects are called.
func TestOwners(t *testing.T) {
	s, _, _ := room(t, storetest.Open(t, "sqlite"))
	owner := func(change func(a *protocol.Admission, o m)) string {
		o := m{"apiVersion": "v1", "kind": "Pod", "metadata": m{"labels": m{"pod-template-hash": "6d4f5"}}}
		a := protocol.Admission{Kind: "Pod", Namespace: "shop", Name: "p-abc"}
		change(&a, o)
		a.Object, _ = json.Marshal(o)
		d := s.drafts(&protocol.Batch{Admissions: []protocol.Admission{a}}, start, true)
		return d.list[0].owner.Kind + "/" + d.list[0].owner.Name
	}
	for want, change := range map[string]func(a *protocol.Admission, o m){
		"Pod/p-abc":       func(*protocol.Admission, m) {},
		"Pod/p-*":         func(_ *protocol.Admission, o m) { o["metadata"] = m{"generateName": "p-"} },
		"Deployment/till": func(a *protocol.Admission, _ m) { a.OwnerKind, a.OwnerName = "ReplicaSet", "till-6d4f5" },
		"ReplicaSet/own":  func(a *protocol.Admission, _ m) { a.OwnerKind, a.OwnerName = "ReplicaSet", "own" },
		"CronJob/nightly": func(a *protocol.Admission, _ m) { a.OwnerKind, a.OwnerName = "Job", "nightly-29012345" },
		"Job/once-2901":   func(a *protocol.Admission, _ m) { a.OwnerKind, a.OwnerName = "Job", "once-2901" },
		"DaemonSet/logs": func(_ *protocol.Admission, o m) {
			o["metadata"] = m{"ownerReferences": []any{m{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "logs", "uid": "u", "controller": true}}}
		},
	} {
		if got := owner(change); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// FuzzShape: objects are foreign bytes. What is kept can be read back, and holds no credential.
func FuzzShape(f *testing.F) {
	f.Add([]byte(podJSON("a", "nginx", nil)))
	f.Add([]byte(`{"metadata":{}}`))
	f.Add([]byte(`{"apiVersion":"v1","kind":"Secret","data":{"a":"c2VjcmV0"},"metadata":{"a\"{":{"metadata":{"x":1}}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var sh shaper
		got, err := sh.shape(raw)
		if err != nil {
			return
		}
		plain := unpack(got.body)
		if !json.Valid(plain) {
			t.Fatalf("%q", plain)
		}
		back := restore(plain, "ns", "na\"me", "uid", 3, start)
		var o struct {
			Metadata struct {
				Name       string
				Generation int64
			}
		}
		if err := json.Unmarshal(back, &o); err != nil && !bytes.Contains(plain, []byte(`"METADATA`)) && json.Valid(back) == false {
			t.Fatalf("%v: %q", err, back)
		}
	})
}

// TestUnansweredHasItsPolicy: a refusal for want of a verdict names its policy, which the provider does not.
func TestUnansweredHasItsPolicy(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, st, target := room(t, db)
		st.policies[8] = policy.Policy{ID: 8, Version: 3, Name: "images"}
		a := seen(start, "a", "blocked")
		a.Undecided = []policy.Undecided{{Policy: 8, Rule: "image", Image: "registry.example.com/till:1", Action: policy.Block, Reason: "the image is being scanned"},
			{Policy: 9, Rule: "image", Image: "registry.example.com/till:1", Action: policy.Block, Reason: "the image is being scanned"}}
		take(t, s, target, a)
		got := map[int64]string{}
		for _, e := range events(t, s, Filter{}) {
			got[e.PolicyID] = fmt.Sprint(e.PolicyName, e.PolicyVersion)
		}
		if len(got) != 2 || got[8] != "images3" && got[8] != "images 3" || got[9] != "0" && got[9] != " 0" {
			t.Errorf("%v", got)
		}
	})
}
