package exhibit

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/collect/cluster"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/repair"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
)

// stage is a cluster with objects in hand.
type stage struct {
	objects []*inventory.Object
	err     error
	wait    time.Duration
	reads   int
	opened  error
}

func (s *stage) Open(context.Context, int64) (fleet.Source, error) {
	if s.opened != nil {
		return nil, s.opened
	}
	return s, nil
}

func (s *stage) Stream(_ context.Context, emit func(*inventory.Object) error, _ func(finding.NotScanned)) error {
	for _, o := range s.objects {
		if err := emit(o); err != nil {
			return err
		}
	}
	return s.err
}
func (s *stage) Info() inventory.ClusterInfo { return inventory.ClusterInfo{} }
func (s *stage) PullSecret(context.Context, string, string) ([]byte, error) {
	return nil, errors.New("none")
}

// live is one that is asked for single objects.
type live struct{ *stage }

func (l live) Open(context.Context, int64) (fleet.Source, error) {
	if l.opened != nil {
		return nil, l.opened
	}
	return l, nil
}

func (l live) Get(ctx context.Context, ref inventory.Ref) (*inventory.Object, error) {
	l.reads++
	if l.wait > 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if l.err != nil {
		return nil, l.err
	}
	for _, o := range l.objects {
		if o.Ref() == ref {
			return o, nil
		}
	}
	return nil, nil
}

var library = sync.OnceValues(func() (*rule.Library, error) { return rule.Load(os.DirFS("../../rules")) })

func room(t *testing.T, c Clusters, files Files) *Room {
	t.Helper()
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	return New(c, files, repair.New(lib, analyze.All), nil)
}

func object(t *testing.T, content map[string]any) *inventory.Object {
	t.Helper()
	o, ok := inventory.NewObject(content)
	if !ok {
		t.Fatal("no object")
	}
	return o
}

type m = map[string]any

func deployment(t *testing.T, containers ...any) *inventory.Object {
	return object(t, m{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": m{"name": "till", "namespace": "shop",
		"annotations":   m{"kubectl.kubernetes.io/last-applied-configuration": "password: hunter2-hunter2"},
		"managedFields": []any{m{"manager": "x"}}},
		"spec": m{"template": m{"metadata": m{"labels": m{"app": "till"}}, "spec": m{"containers": containers}}}})
}

func container(name string, privileged bool) m {
	return m{"name": name, "image": "registry.example.com/" + name + ":1", "securityContext": m{"privileged": privileged},
		"env":  []any{m{"name": "DB_PASSWORD", "value": "Sw0rdf1sh-77"}, m{"name": "MODE", "value": "fast"}},
		"args": []any{"--db-password=Sw0rdf1sh-77", "--token", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "-v"}}
}

// privileged is a finding of the second container, as it was found when it was the first.
func privileged(t *testing.T) *finding.Finding {
	t.Helper()
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	ref := inventory.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "till"}
	return lib.Find("workload/privileged-container").Finding(rule.Subject{Cluster: "c", Ref: ref},
		rule.Hit{Container: "web", Path: "spec.template.spec.containers[0].securityContext.privileged", Found: true})
}

func ask(f *finding.Finding, namespaces ...string) Question {
	return Question{Target: 1, Finding: f, Sees: func(n string) bool {
		for _, s := range namespaces {
			if s == n || s == "*" {
				return true
			}
		}
		return false
	}}
}

func TestShow(t *testing.T) {
	o := deployment(t, container("side", false), container("web", true))
	for _, c := range []Clusters{&stage{objects: []*inventory.Object{o}}, live{&stage{objects: []*inventory.Object{deployment(t, container("side", false), container("web", true))}}}} {
		r := room(t, c, nil)
		got, err := r.Show(context.Background(), ask(privileged(t), "shop"))
		if err != nil {
			t.Fatal(err)
		}
		if want := Snapshot; got.State != want && got.State != Live || got.Name != "Deployment shop/till" || len(got.Marks) != 1 {
			t.Fatalf("%+v", got)
		}
		// The list has another order than when it was found: the mark is where the container is now.
		mark, lines := got.Marks[0], strings.Split(got.YAML, "\n")
		if mark.Path != "spec.template.spec.containers[1].securityContext.privileged" || strings.TrimSpace(lines[mark.Line-1]) != "privileged: true" || mark.Found != true || mark.Want != false {
			t.Errorf("%+v", mark)
		}
		for _, secret := range []string{"Sw0rdf1sh", "hunter2", "ghp_abc", "managedFields", "last-applied"} {
			if strings.Contains(got.YAML, secret) {
				t.Errorf("%s is shown:\n%s", secret, got.YAML)
			}
		}
		for _, shown := range []string{"value: fast", "- -v", "--db-password=<redacted>"} {
			if !strings.Contains(strings.ReplaceAll(got.YAML, `"`, ""), shown) {
				t.Errorf("%s is not shown:\n%s", shown, got.YAML)
			}
		}
		fix, err := r.Fix(context.Background(), ask(privileged(t), "shop"))
		if err != nil || !fix.Verified || !strings.Contains(fix.Diff, "+          privileged: false") || strings.Contains(fix.Diff+fix.Patch.Body, "Sw0rdf1sh") {
			t.Errorf("%v: %+v", err, fix)
		}
	}
}

func TestShowWhatIsNotThere(t *testing.T) {
	ctx := context.Background()
	f := privileged(t)
	gone := live{&stage{}}
	if got, err := room(t, gone, nil).Show(ctx, ask(f, "shop")); err != nil || got.State != Unavailable || got.Reason.EN == "" || got.Reason.ZH == "" {
		t.Errorf("gone: %+v, %v", got, err)
	}
	if _, err := room(t, gone, nil).Show(ctx, ask(f, "bank")); !errors.Is(err, store.ErrNotFound) || gone.reads > 1 {
		t.Errorf("a namespace that may not be seen: %v", err)
	}
	if _, err := room(t, gone, nil).Fix(ctx, ask(f, "bank")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its fix: %v", err)
	}
	mended := live{&stage{objects: []*inventory.Object{deployment(t, container("web", false))}}}
	got, err := room(t, mended, nil).Show(ctx, ask(f, "shop"))
	if err != nil || got.State != Live || len(got.Marks) != 0 || !strings.Contains(got.Reason.EN, "any more") {
		t.Errorf("mended: %+v, %v", got, err)
	}
	injected := live{&stage{objects: []*inventory.Object{deployment(t, container("other", false))}}}
	if got, err := room(t, injected, nil).Show(ctx, ask(f, "shop")); err != nil || !strings.Contains(got.Reason.EN, "put into its pods") {
		t.Errorf("injected: %+v, %v", got, err)
	}
	for name, c := range map[string]Clusters{
		"forbidden":   live{&stage{err: cluster.ErrForbidden}},
		"broken":      live{&stage{err: errors.New("dial tcp 10.1.2.3:6443: refused")}},
		"not opened":  live{&stage{opened: errors.New("tls: 10.1.2.3 is unknown")}},
		"broken file": &stage{err: errors.New("gzip: 10.1.2.3")},
	} {
		got, err := room(t, c, nil).Show(ctx, ask(f, "shop"))
		if err != nil || got.State != Unavailable || got.Reason.EN == "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if strings.Contains(got.Reason.EN+got.Reason.ZH, "10.1.2.3") {
			t.Errorf("%s: who sees one namespace learns the address: %s", name, got.Reason.EN)
		}
	}
	if got, err := room(t, live{&stage{err: errors.New("dial tcp 10.1.2.3:6443: refused")}}, nil).Show(ctx, ask(f, "*")); err != nil || !strings.Contains(got.Reason.EN, "10.1.2.3") {
		t.Errorf("who sees the cluster learns why: %+v, %v", got, err)
	}
	if _, err := room(t, live{&stage{opened: store.ErrNotFound}}, nil).Show(ctx, ask(f, "shop")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a cluster that was removed: %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := room(t, live{&stage{wait: 1}}, nil).Show(canceled, ask(f, "shop")); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that was given up: %v", err)
	}
}

func TestReadsOnceForAPage(t *testing.T) {
	s := &stage{objects: []*inventory.Object{deployment(t, container("web", true))}}
	r := room(t, live{s}, nil)
	now := time.Unix(1000, 0)
	r.now = func() time.Time { return now }
	for range 3 {
		if _, err := r.Show(context.Background(), ask(privileged(t), "shop")); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Fix(context.Background(), ask(privileged(t), "shop")); err != nil {
			t.Fatal(err)
		}
	}
	if s.reads != 1 {
		t.Errorf("read %d times", s.reads)
	}
	now = now.Add(fresh)
	if _, err := r.Show(context.Background(), ask(privileged(t), "shop")); err != nil || s.reads != 2 {
		t.Errorf("%d reads after a while, %v", s.reads, err)
	}
	if _, err := r.Show(context.Background(), ask(privileged(t), "bank")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was read for another is shown to who may not see it: %v", err)
	}
}

func TestShowImage(t *testing.T) {
	o := deployment(t, container("web", false))
	f := &finding.Finding{Kind: finding.Vulnerability, Rule: "CVE-2021-44228", Message: finding.Text{EN: "log4j is vulnerable"},
		Resource: finding.Resource{Image: "registry.example.com/web:1", File: "app/log4j.jar", Workloads: []finding.WorkloadRef{
			{Kind: "Deployment", Namespace: "bank", Name: "vault"}, {Kind: "Deployment", Namespace: "shop", Name: "till"}}},
		Vulnerability: &finding.Vulnerable{ID: "CVE-2021-44228", Package: "org.apache.logging.log4j:log4j-core", FixedVersion: "2.17.1", PURL: "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", State: "fixed"}}
	r := room(t, &stage{objects: []*inventory.Object{o}}, nil)
	got, err := r.Show(context.Background(), ask(f, "shop"))
	if err != nil || len(got.Marks) != 1 || !strings.Contains(strings.Split(got.YAML, "\n")[got.Marks[0].Line-1], "image: registry.example.com/web:1") {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := r.Show(context.Background(), ask(f, "other")); err != nil || got.State != Unavailable || strings.Contains(got.Reason.EN+got.Name, "vault") {
		t.Errorf("without a workload to show: %+v, %v", got, err)
	}
	if fix, err := r.Fix(context.Background(), ask(f, "shop")); err != nil || fix.Patch == nil || !strings.Contains(fix.Patch.Body, "<version>2.17.1</version>") || fix.Verified {
		t.Errorf("%+v, %v", fix, err)
	}
}

const file = `apiVersion: v1
kind: ConfigMap
metadata: {name: first}
data: {password: Sw0rdf1sh-77}
---
apiVersion: v1
kind: Pod
metadata: {name: tool}
spec:
  hostPID: true
  containers:
    - name: tool
      image: registry.example.com/tool:1
      env: [{name: DB_PASSWORD, value: Sw0rdf1sh-77}]
`

func TestShowFile(t *testing.T) {
	f := &finding.Finding{Rule: "escape/host-pid", Message: finding.Text{EN: "hostPID"}, Evidence: []finding.Evidence{{Path: "spec.hostPID", Found: true, Want: false}},
		Resource: finding.Resource{File: "deploy/tool.yaml", Line: 10, APIVersion: "v1", Kind: "Pod", Name: "tool"}}
	q := ask(f, "*")
	q.Project = true
	r := room(t, nil, func(_ context.Context, _ int64, path string) (string, error) {
		if path != "deploy/tool.yaml" {
			return "", store.ErrNotFound
		}
		return file, nil
	})
	got, err := r.Show(context.Background(), q)
	if err != nil || got.State != File || got.FirstLine != 6 || len(got.Marks) != 1 || got.Marks[0].Line != 10 || strings.Contains(got.YAML, "Sw0rdf1sh") || strings.Contains(got.YAML, "ConfigMap") {
		t.Fatalf("%+v, %v", got, err)
	}
	fix, err := r.Fix(context.Background(), q)
	if err != nil || !fix.Verified || !strings.Contains(fix.Diff, "-  hostPID: true") || !strings.Contains(fix.Patch.Command, "--local") {
		t.Errorf("%+v, %v", fix, err)
	}
	f.Resource.File = "other.yaml"
	f.Snippet = &finding.Snippet{Line: 10, Text: "  hostPID: true"}
	if got, err := r.Show(context.Background(), q); err != nil || got.FirstLine != 10 || got.YAML != "  hostPID: true" || got.Marks[0].Line != 10 {
		t.Errorf("%+v, %v", got, err)
	}
	f.Snippet = nil
	if got, err := r.Show(context.Background(), q); err != nil || got.State != Unavailable {
		t.Errorf("%+v, %v", got, err)
	}
	if fix, err := r.Fix(context.Background(), q); err != nil || fix.Available {
		t.Errorf("%+v, %v", fix, err)
	}
}
