package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// stage is what stands around the room in tests.
type stage struct {
	mu        sync.Mutex
	clock     time.Time
	targets   []int64
	cover     Coverage
	days      int
	bytes     int64
	bundle    policy.Bundle
	rest      *rest.Config
	policies  map[int64]policy.Policy
	existing  []Violating
	complete  bool
	away      error // of sweeps
	judgement func(o *inventory.Object) policy.Outcome
}

func (s *stage) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

func (s *stage) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(d)
}

func (s *stage) Protected(context.Context) ([]int64, error) { return s.targets, nil }

func (s *stage) Coverage(context.Context, int64) (*Coverage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cover
	return &c, nil
}
func (s *stage) Limits(context.Context, int64) (int, int64, error) { return s.days, s.bytes, nil }
func (s *stage) Bundle(context.Context, int64) (*policy.Bundle, error) {
	b := s.bundle
	return &b, nil
}
func (s *stage) REST(context.Context, int64) (*rest.Config, error) { return s.rest, nil }
func (s *stage) Judge(_ context.Context, _ int64, o *inventory.Object, _ map[string]string) (*policy.Outcome, error) {
	out := s.judgement(o)
	return &out, nil
}
func (s *stage) Sweep(_ context.Context, _ int64, each func(Violating) error) (bool, error) {
	if s.away != nil {
		return false, s.away
	}
	for _, v := range s.existing {
		if err := each(v); err != nil {
			return false, err
		}
	}
	return s.complete, nil
}
func (s *stage) Policy(_ context.Context, id int64) (*policy.Policy, error) {
	p, ok := s.policies[id]
	if !ok {
		return nil, store.ErrNotFound
	}
	return &p, nil
}
func (s *stage) Change(_ context.Context, p policy.Policy, _ string) error {
	p.Version++
	s.policies[p.ID] = p
	return nil
}

var start = time.Date(2026, 11, 20, 10, 20, 0, 0, time.UTC)

// room makes a room with one cluster.
func room(t testing.TB, db *store.DB) (*Service, *stage, int64) {
	t.Helper()
	st := &stage{clock: start, policies: map[int64]policy.Policy{}, complete: true}
	s := New(Options{DB: db, Protection: st, Clusters: st, Judger: st, Policies: st, Now: st.now})
	return s, st, cluster(t, db, "shop-cluster")
}

func cluster(t testing.TB, db *store.DB, name string) (id int64) {
	t.Helper()
	err := db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw("INSERT INTO targets (kind, name, created_at) VALUES ('cluster', ?, 0) RETURNING id", name).Scan(ctx, &id)
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

type m = map[string]any

// podJSON is a pod of a ReplicaSet as the API server gives it.
func podJSON(name, image string, more m) json.RawMessage {
	o := m{"apiVersion": "v1", "kind": "Pod", "metadata": m{"name": name, "namespace": "shop", "uid": "uid-" + name, "generateName": "till-6d4f5b7c9-", "creationTimestamp": "2026-11-20T10:00:00Z",
		"labels":          m{"app": "till", "pod-template-hash": "6d4f5b7c9"},
		"managedFields":   []any{m{"manager": "x"}},
		"ownerReferences": []any{m{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "till-6d4f5b7c9", "uid": "rs", "controller": true}}},
		"spec": m{"volumes": []any{m{"name": "kube-api-access-" + (name + "xxxxx")[len(name):][:5], "projected": m{}}},
			"containers": []any{m{"name": "web", "image": image, "securityContext": m{"privileged": true}, "env": []any{m{"name": "DB_PASSWORD", "value": "Sw0rdf1sh-77"}}}}}}
	for k, v := range more {
		o[k] = v
	}
	text, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return text
}

// privileged is a violation.
func privileged(a policy.Action) policy.Violation {
	return policy.Violation{Policy: 7, Version: 2, Name: "baseline", Rule: "workload/privileged-container", RuleID: "STK-W-0001", Action: a, Severity: finding.High,
		Title: finding.Text{EN: "Privileged container", ZH: "特权容器"}, Message: finding.Text{EN: "container web is privileged", ZH: "容器 web 为特权容器"},
		Fix: finding.Text{EN: "Set privileged to false.", ZH: "将 privileged 设为 false。"}, Container: "web", Path: "spec.containers[0].securityContext.privileged", Found: true, Want: false}
}

const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func vulnerable(a policy.Action) policy.Violation {
	return policy.Violation{Policy: 8, Version: 1, Name: "images", Rule: "image/vulnerability", RuleID: "STK-IMG-0001", Action: a, Severity: finding.Critical,
		Title: finding.Text{EN: "Image with vulnerabilities", ZH: "镜像存在漏洞"}, Message: finding.Text{EN: "1 critical", ZH: "1 个致命漏洞"}, Container: "web",
		Image: "registry.example.com/till:1", Digest: digest, Items: []string{"CVE-2021-44228 log4j-core 2.14.1"}}
}

// seen is a request.
func seen(at time.Time, name string, outcome string, v ...policy.Violation) protocol.Admission {
	return protocol.Admission{At: at, UID: "uid-" + name, Generation: 1, APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: name, OwnerKind: "ReplicaSet", OwnerName: "till-6d4f5b7c9",
		Operation: "CREATE", User: "system:serviceaccount:kube-system:replicaset-controller", Groups: []string{"system:authenticated"}, Outcome: outcome, Violations: v,
		Object: podJSON(name, "registry.example.com/till:1", nil)}
}

var batches int

func batch(list ...protocol.Admission) protocol.Batch {
	batches++
	return protocol.Batch{ID: fmt.Sprint("batch-", batches), Replica: "provider-0", Admissions: list}
}

func take(t testing.TB, s *Service, target int64, list ...protocol.Admission) {
	t.Helper()
	if err := s.Take(context.Background(), target, batch(list...)); err != nil {
		t.Fatal(err)
	}
}

var everything = identity.Visible{All: true}

// root is a context of an administrator.
func root() context.Context {
	return identity.With(context.Background(), &identity.Principal{UserID: 1, Name: "root", Grants: []identity.Grant{{Role: identity.Administrator}}})
}

func events(t testing.TB, s *Service, f Filter) []Listed {
	t.Helper()
	l, err := s.Events(context.Background(), everything, f, "-lastSeen", store.Page{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	if l.Total != len(l.Items) && len(l.Items) < 500 {
		t.Errorf("%d events are counted, and %d listed", l.Total, len(l.Items))
	}
	return l.Items
}

func number(t testing.TB, db *store.DB, query string, args ...any) (n int64) {
	t.Helper()
	if err := db.R.NewRaw(query, args...).Scan(context.Background(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// sound holds the counters to the rows.
func sound(t testing.TB, s *Service) {
	t.Helper()
	type row struct {
		Target    int64  `bun:"target_id"`
		Namespace string `bun:"namespace"`
		Kind      Kind   `bun:"kind"`
		Action    int8   `bun:"action"`
		State     State  `bun:"state"`
		Policy    int64  `bun:"policy_id"`
		Rule      string `bun:"rule"`
		Events    int64  `bun:"events"`
		Hits      int64  `bun:"hits"`
	}
	var want, got []row
	const columns = "target_id, namespace, kind, action, state, policy_id, rule"
	if err := s.db.R.NewRaw("SELECT "+columns+", count(*) AS events, sum(hits) AS hits FROM admission_events GROUP BY "+columns+" ORDER BY "+columns).Scan(context.Background(), &want); err != nil {
		t.Fatal(err)
	}
	if err := s.db.R.NewRaw("SELECT "+columns+", events, hits FROM admission_cells WHERE events <> 0 OR hits <> 0 ORDER BY "+columns).Scan(context.Background(), &got); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(want) != fmt.Sprint(got) {
		t.Errorf("counters:\n%v\nrows:\n%v", got, want)
	}
	var size struct{ Entries, Entry, Parts, RowsThere, RowBytes, PartsThere int64 }
	err := s.db.R.NewRaw(`SELECT coalesce(sum(entries), 0), coalesce(sum(entry_bytes), 0), coalesce(sum(part_bytes), 0), (SELECT count(*) FROM admissions),
		(SELECT coalesce(sum(length(body) + ?), 0) FROM admissions), (SELECT coalesce(sum(length(body)), 0) FROM admission_parts) FROM admission_logs`, rowBytes).
		Scan(context.Background(), &size.Entries, &size.Entry, &size.Parts, &size.RowsThere, &size.RowBytes, &size.PartsThere)
	if err != nil {
		t.Fatal(err)
	}
	if size.Entries != size.RowsThere || size.Entry != size.RowBytes || size.Parts != size.PartsThere {
		t.Errorf("sizes: %+v", size)
	}
}
