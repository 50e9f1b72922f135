package preview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/collect/snapshot"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/policy/book"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/rules"
)

var library = sync.OnceValues(func() (*rule.Library, error) { return rule.Load(rules.FS) })

const privileged = "workload/privileged-container"

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// rig is a service over a database with clusters alpha (1) and beta (2).
type rig struct {
	*Service
	db      *store.DB
	objects map[int64][]*inventory.Object
	unread  []finding.NotScanned
	broken  error
	log     []protocol.Admission
	excepts []exception.Exception
}

func newRig(t *testing.T, db *store.DB) *rig {
	t.Helper()
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{db: db, objects: map[int64][]*inventory.Object{}}
	for _, name := range []string{"alpha", "beta"} {
		err := db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("INSERT INTO targets (kind, name, created_at) VALUES ('cluster', ?, 1)", name).Exec(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	clock := func() time.Time { return now }
	r.Service = New(Options{Book: book.New(book.Options{DB: db, Library: lib, Now: clock}), Now: clock,
		Open: func(_ context.Context, target int64) (Source, error) { return source{r, target}, nil },
		Bundle: func(_ context.Context, target int64, list []policy.Policy) (*policy.Bundle, error) {
			return &policy.Bundle{Target: target, Cluster: map[int64]string{1: "alpha", 2: "beta"}[target], Lang: "en", Console: "https://stockade.example.com", Policies: list,
				System: policy.SystemNamespaces, Exceptions: r.excepts}, nil
		},
		Recorded: func(_ context.Context, _ int64, since, until time.Time, each func(protocol.Admission) error) error {
			for _, a := range r.log {
				if !a.At.Before(since) && a.At.Before(until) {
					if err := each(a); err != nil {
						return err
					}
				}
			}
			return nil
		}})
	return r
}

type source struct {
	r      *rig
	target int64
}

func (s source) Stream(_ context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	for _, o := range s.r.objects[s.target] {
		if err := emit(o); err != nil {
			return err
		}
	}
	for _, n := range s.r.unread {
		notScanned(n)
	}
	return s.r.broken
}

func object(t testing.TB, text string) *inventory.Object {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	o, ok := inventory.NewObject(whole(m).(map[string]any))
	if !ok {
		t.Fatal(text)
	}
	return o
}

// whole makes integers of numbers, as API servers' objects have them.
func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = whole(v[k])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case float64:
		return int64(v)
	}
	return v
}

const podSpec = `{"containers":[{"name":"web","image":"nginx:1.25","securityContext":{"privileged":%v}}]}`

func deployment(t testing.TB, namespace, name string, bad bool) []*inventory.Object {
	spec := fmt.Sprintf(podSpec, bad)
	meta := func(n, owner string) string {
		text := fmt.Sprintf(`{"name":%q,"namespace":%q,"labels":{"app":%q,"pod-template-hash":"abc"}`, n, namespace, name)
		if kind, of, ok := strings.Cut(owner, "/"); ok {
			text += fmt.Sprintf(`,"ownerReferences":[{"apiVersion":"apps/v1","kind":%q,"name":%q,"controller":true}]`, kind, of)
		}
		return text + "}"
	}
	out := []*inventory.Object{
		object(t, fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":%s,"spec":{"template":{"metadata":{"labels":{"app":%q}},"spec":%s}}}`, meta(name, ""), name, spec)),
		object(t, fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":%s,"spec":{"replicas":2,"template":{"spec":%s}}}`, meta(name+"-abc", "Deployment/"+name), spec)),
		object(t, fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":%s,"spec":{"replicas":0,"template":{"spec":%s}}}`, meta(name+"-old", "Deployment/"+name), spec)),
	}
	for i := range 2 {
		out = append(out, object(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":%s,"spec":%s,"status":{"phase":"Running"}}`, meta(fmt.Sprint(name, "-abc-", i), "ReplicaSet/"+name+"-abc"), spec)))
	}
	return append(out, object(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":%s,"spec":%s,"status":{"phase":"Failed"}}`, meta(name+"-abc-x", "ReplicaSet/"+name+"-abc"), spec)))
}

func root(t *testing.T) (context.Context, identity.Visible) {
	p := &identity.Principal{UserID: 1, Name: "root", Grants: []identity.Grant{{Role: identity.Administrator}}}
	return identity.With(t.Context(), p), p.Visible(identity.Protect)
}

func blocking() policy.Policy {
	return policy.Policy{Name: "shop", Action: policy.Block, Rules: []policy.RuleUse{{Rule: privileged}}, Checks: []policy.ImageCheck{{Check: policy.Tag, Action: policy.Warn}}}
}

func TestLive(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		r.objects[1] = append(append(deployment(t, "shop", "till", true), deployment(t, "shop", "web", false)...), deployment(t, "kube-system", "dns", true)...)
		r.objects[2] = deployment(t, "bank", "vault", true)
		r.unread = []finding.NotScanned{{What: "secrets", Reason: "forbidden", Code: finding.Forbidden}, {What: "x", Reason: "known", Code: finding.Skipped}}
		r.excepts = []exception.Exception{{ID: 9, Scope: exception.Scope{Rule: privileged, Name: "vault"}, Reason: "why"}}
		ctx, v := root(t)
		p := blocking()
		p.Rollout.Block = now.AddDate(1, 0, 0) // shown as it will be
		got, err := r.Ask(ctx, v, Question{Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		l := got.Live
		if len(l.Clusters) != 2 || l.Clusters[0].Objects != 12 || l.Clusters[1].Objects != 4 || strings.Join(l.Clusters[0].Partial, ",") != "secrets: forbidden" {
			t.Errorf("%+v", l.Clusters)
		}
		if l.Objects != 16 || l.Violating != 12 || l.ByAction["block"] != 4 || l.ByAction["warn"] != 8 || len(l.Groups) != 2 {
			t.Fatalf("%+v", l)
		}
		g := l.Groups[0]
		if g.Rule != privileged || g.Action != policy.Block || g.Count != 4 || g.Excepted != 4 || len(g.Owners) != 1 || g.Spaces[0] != (Space{"alpha", "shop", 4}) {
			t.Errorf("%+v", g)
		}
		o := g.Owners[0]
		if o.Kind != "Deployment" || o.Name != "till" || o.Count != 4 || o.Cluster != "alpha" || o.Container != "web" ||
			!strings.HasPrefix(o.Refusal, "[STK-W-0001] ") || !strings.Contains(o.Refusal, "container web") || !strings.Contains(o.Refusal, `Policy "shop"; more or an exception: https://stockade.example.com/protection/why?policy=0&rule=STK-W-0001`) {
			t.Errorf("%+v", o)
		}
		if n := len([]rune(o.Refusal)); n > 300 {
			t.Errorf("%d characters: %s", n, o.Refusal)
		}
		if tags := l.Groups[1]; tags.Rule != "image/tag" || tags.Count != 12 || len(tags.Owners) != 3 {
			t.Errorf("%+v", tags)
		}
		// One who operates a namespace sees that only.
		shop := &identity.Principal{UserID: 2, Name: "shop", Grants: []identity.Grant{{Role: identity.Operator, Target: 2, Namespace: "bank"}}}
		got, err = r.Ask(identity.With(t.Context(), shop), shop.Visible(identity.Protect), Question{Policy: p})
		if err != nil || len(got.Live.Clusters) != 1 || got.Live.Objects != 4 {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := r.Ask(ctx, shop.Visible(identity.Protect), Question{Policy: p, Targets: []int64{1}}); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		// What cannot be read is told, and hides nothing of the rest.
		r.broken = errors.New("gone")
		if got, err = r.Ask(ctx, v, Question{Policy: p}); err != nil || len(got.Live.Clusters[0].Partial) != 2 || got.Live.Objects != 16 {
			t.Errorf("%+v, %v", got.Live, err)
		}
		r.objects[1] = nil
		if got, err = r.Ask(ctx, v, Question{Policy: p}); err != nil || got.Live.Clusters[0].Error == "" || got.Live.Objects != 4 {
			t.Errorf("%+v, %v", got.Live, err)
		}
		for _, q := range []Question{{Policy: policy.Policy{Name: "x", Action: policy.Block}}, {Policy: p, NoLive: true}, {Policy: p, ReplayDays: 1000}, {Policy: p, Templates: []policy.Template{{YAML: "no"}}}} {
			if _, err := r.Ask(ctx, v, q); !errors.Is(err, ErrInvalid) {
				t.Error(err)
			}
		}
	})
}

func TestDiff(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		r.objects[1] = append(deployment(t, "shop", "till", true), deployment(t, "bank", "vault", true)...)
		ctx, v := root(t)
		base := blocking()
		base.Checks, base.Action, base.Scope.Namespaces = nil, policy.Warn, []string{"shop"}
		kept, err := r.o.Book.Save(ctx, base, "")
		if err != nil {
			t.Fatal(err)
		}
		next := kept.Policy
		next.Action, next.Scope.Namespaces = policy.Block, nil
		got, err := r.Ask(ctx, v, Question{Policy: next, BaseID: kept.ID, Targets: []int64{1}})
		if err != nil {
			t.Fatal(err)
		}
		text := func(list []Change) (out []string) {
			for _, c := range list {
				out = append(out, fmt.Sprintf("%s %s/%s %s->%s", c.Rule, c.Namespace, c.Name, c.Was, c.Action))
			}
			return out
		}
		if a := text(got.Diff.Added); len(a) != 2 || a[0] != privileged+" bank/vault ->block" || a[1] != privileged+" shop/till warn->block" || len(got.Diff.Removed) != 0 {
			t.Error(a, text(got.Diff.Removed))
		}
		if _, err := r.o.Book.Save(ctx, next, ""); err != nil {
			t.Fatal(err)
		}
		got, err = r.Ask(ctx, v, Question{Policy: base, BaseID: kept.ID, BaseVersion: 2, Targets: []int64{1}})
		if err != nil || len(got.Diff.Added) != 0 || len(got.Diff.Removed) != 2 {
			t.Error(got.Diff, err)
		}
		got, err = r.Ask(ctx, v, Question{Policy: base, BaseID: kept.ID, BaseVersion: 1, Targets: []int64{1}})
		if err != nil || len(got.Diff.Added)+len(got.Diff.Removed) != 0 {
			t.Error("the same", got.Diff, err)
		}
	})
}

func admission(t testing.TB, o *inventory.Object, hash, user, operation string, at time.Time) protocol.Admission {
	data, err := json.Marshal(o.Content)
	if err != nil {
		t.Fatal(err)
	}
	owner := policy.Owner(o)
	return protocol.Admission{At: at, UID: o.Name, APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, OwnerKind: owner.Kind, OwnerName: owner.Name, Operation: operation, User: user,
		Object: data, ObjectHash: hash}
}

func TestReplay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		till, web := deployment(t, "shop", "till", true), deployment(t, "shop", "web", false)
		old := now.AddDate(0, 0, -10)
		r.log = []protocol.Admission{
			admission(t, till[3], "p", "controller", "CREATE", old),                               // too old
			admission(t, till[0], "d", "eve", "CREATE", now.Add(-50*time.Hour)),                   // blocked
			admission(t, till[3], "p", "controller", "CREATE", now.Add(-49*time.Hour)),            // blocked
			admission(t, till[4], "p", "controller", "CREATE", now.Add(-49*time.Hour)),            // blocked, the same but for its name
			admission(t, till[3], "p", "job", "UPDATE", now.Add(-48*time.Hour)),                   // nothing that rules look at has changed
			admission(t, web[0], "w", "eve", "CREATE", now.Add(-time.Hour)),                       // warned: by tag
			{At: now.Add(-time.Hour), Kind: "Pod", Name: "large", Namespace: "shop", User: "eve"}, // not kept
			{At: now.Add(-time.Hour), SelfTest: true, Object: r2(till[0])},
			{At: now.Add(-time.Hour), Kind: "Pod", Object: json.RawMessage(`{"a":`)},
			admission(t, till[0], "d", "eve", "CREATE", now.Add(time.Hour)), // later
		}
		ctx, v := root(t)
		got, err := r.Ask(ctx, v, Question{Policy: blocking(), Targets: []int64{1}, NoLive: true, ReplayDays: 5})
		if err != nil || got.Live != nil {
			t.Fatal(got, err)
		}
		p := got.Replay
		if p.Admissions != 5 || p.Blocked != 3 || p.Warned != 1 || p.Unread != 2 || p.Users["controller"] != 2 || p.Users["eve"] != 1 {
			t.Errorf("%+v", p)
		}
		if g := p.Groups[0]; g.Rule != privileged || g.Count != 3 || len(g.Owners) != 1 || g.Owners[0].Name != "till" || g.Owners[0].Kind != "Deployment" {
			t.Errorf("%+v", g)
		}
		users := blocking()
		users.Scope.Users = []string{"eve"}
		if got, err = r.Ask(ctx, v, Question{Policy: users, Targets: []int64{1}, NoLive: true, ReplayDays: 5}); err != nil || got.Replay.Blocked != 2 || got.Replay.Warned != 0 {
			t.Errorf("%+v, %v", got.Replay, err)
		}
	})
}

func r2(o *inventory.Object) json.RawMessage { data, _ := json.Marshal(o.Content); return data }

// TestDemo: the bundled cluster can be previewed as a live one.
func TestDemo(t *testing.T) {
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	src, err := snapshot.Open("../../demo/shop")
	if err != nil {
		t.Fatal(err)
	}
	presets, err := book.New(book.Options{Library: lib}).Presets()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range presets[:2] {
		l, err := Files(t.Context(), lib, src, Local{Bundle: &policy.Bundle{Lang: "en", Policies: []policy.Policy{p.Policy}, System: policy.SystemNamespaces}, At: now})
		if err != nil || l.Objects == 0 || l.Violating == 0 || len(l.Undecided) > 0 {
			t.Errorf("%s: %+v, %v", p.ID, l, err)
		}
	}
}
