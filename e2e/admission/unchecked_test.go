package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/admission"
	"stockade.dev/stockade/internal/collect/cluster"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

type m = map[string]any

// guarded is a protected cluster without a provider: the test says what was recorded.
type guarded struct {
	rest   *rest.Config
	target int64
	since  time.Time
	bundle policy.Bundle
}

func (g *guarded) REST(context.Context, int64) (*rest.Config, error)     { return g.rest, nil }
func (g *guarded) Protected(context.Context) ([]int64, error)            { return []int64{g.target}, nil }
func (g *guarded) Limits(context.Context, int64) (int, int64, error)     { return 0, 0, nil }
func (g *guarded) Bundle(context.Context, int64) (*policy.Bundle, error) { return &g.bundle, nil }
func (g *guarded) Coverage(context.Context, int64) (*admission.Coverage, error) {
	return &admission.Coverage{Epoch: g.since, Since: g.since, Kinds: []string{"Service", "Widget.example.com"}, Webhook: "stockade-recorder"}, nil
}

// door is a test with an API server, a log of admissions and nobody else.
type door struct {
	t      *testing.T
	client dynamic.Interface
	s      *admission.Service
	target int64
	count  int
	killed bool // nobody beats
}

const settle = 2 * time.Second

func newDoor(t *testing.T) *door {
	t.Helper()
	cp := lab.ForTest(t, lab.Config{Version: lab.Newest})
	config, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	d := &door{t: t}
	if d.client, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	library, err := rule.Load(os.DirFS("../../rules"))
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.Open(t, "sqlite")
	err = db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw("INSERT INTO targets (kind, name, created_at) VALUES ('cluster', 'real', 0) RETURNING id").Scan(ctx, &d.target)
	})
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{rest: config, target: d.target, since: time.Now(), bundle: policy.Bundle{Generation: "1", Target: d.target, System: policy.SystemNamespaces,
		Policies: []policy.Policy{{ID: 7, Version: 1, Name: "baseline", Action: policy.Block, Rules: []policy.RuleUse{{Rule: "workload/privileged-container"}}}}}}
	engine := &admission.Engine{Library: library, Bundle: g.Bundle, Now: time.Now, Open: func(ctx context.Context, _ int64) (admission.Source, error) {
		return cluster.OpenREST(ctx, cluster.Config{Name: "real"}, config)
	}}
	d.s = admission.New(admission.Options{DB: db, Clusters: g, Protection: g, Judger: engine, Settle: settle, Silence: 3 * time.Second, Doubt: time.Second})
	d.create("v1", "namespaces", "", m{"apiVersion": "v1", "kind": "Namespace", "metadata": m{"name": "shop"}})
	d.create("v1", "namespaces", "", m{"apiVersion": "v1", "kind": "Namespace", "metadata": m{"name": "left-alone"}})
	for _, ns := range []string{"shop", "left-alone"} {
		d.create("v1", "serviceaccounts", ns, m{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": m{"name": "default", "namespace": ns}})
	}
	time.Sleep(1100 * time.Millisecond) // times of objects are whole seconds
	return d
}

func (d *door) resource(apiVersion, resource, namespace string) dynamic.ResourceInterface {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		d.t.Fatal(err)
	}
	if namespace == "" {
		return d.client.Resource(gv.WithResource(resource))
	}
	return d.client.Resource(gv.WithResource(resource)).Namespace(namespace)
}

func (d *door) create(apiVersion, resource, namespace string, o m) *unstructured.Unstructured {
	d.t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		d.t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(text); err != nil {
		d.t.Fatal(err)
	}
	got, err := d.resource(apiVersion, resource, namespace).Create(context.Background(), u, metav1.CreateOptions{FieldManager: "somebody"})
	if err != nil {
		d.t.Fatal(err)
	}
	return got
}

func pod(name string, privileged bool, more m) m {
	meta := m{"name": name, "namespace": "shop"}
	maps.Copy(meta, more)
	return m{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": m{"automountServiceAccountToken": false,
		"containers": []any{m{"name": "web", "image": "registry.example.com/till:1", "securityContext": m{"privileged": privileged}}}}}
}

func deployment(name string) m {
	template := m{"metadata": m{"labels": m{"app": name}}, "spec": pod("", false, nil)["spec"]}
	return m{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": m{"name": name, "namespace": "shop"},
		"spec": m{"replicas": 0, "selector": m{"matchLabels": m{"app": name}}, "template": template}}
}

// record is what the recorder tells of objects as they came in.
func (d *door) record(outcome, operation string, list ...*unstructured.Unstructured) {
	d.t.Helper()
	d.count++
	b := protocol.Batch{ID: fmt.Sprint("b", d.count), Replica: "provider-0"}
	for _, o := range list {
		text, err := o.MarshalJSON()
		if err != nil {
			d.t.Fatal(err)
		}
		b.Admissions = append(b.Admissions, protocol.Admission{At: time.Now(), UID: string(o.GetUID()), Generation: o.GetGeneration(), APIVersion: o.GetAPIVersion(), Kind: o.GetKind(),
			Namespace: o.GetNamespace(), Name: o.GetName(), Operation: operation, User: "ann", Outcome: outcome, Object: text})
	}
	if err := d.s.Take(context.Background(), d.target, b); err != nil {
		d.t.Fatal(err)
	}
}

func (d *door) beat() {
	d.t.Helper()
	if err := d.s.Beat(context.Background(), d.target); err != nil {
		d.t.Fatal(err)
	}
}

// compare waits until what was written is looked at, and looks.
func (d *door) compare() map[string]string {
	d.t.Helper()
	for range 8 {
		time.Sleep((settle + 2*time.Second) / 8)
		if !d.killed {
			d.beat()
		}
	}
	if err := d.s.CompareNow(context.Background(), d.target); err != nil {
		d.t.Fatal(err)
	}
	return d.entries()
}

// entries are the unchecked admissions by name: reason and state.
func (d *door) entries() map[string]string {
	d.t.Helper()
	l, err := d.s.Unchecked(context.Background(), identity.Visible{All: true}, admission.UncheckedFilter{}, store.Page{Limit: 500})
	if err != nil {
		d.t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range l.Items {
		if out[e.Name] != "" || e.Hits != 1 {
			d.t.Errorf("%s is there twice, or counts %d", e.Name, e.Hits)
		}
		out[e.Name] = e.Reason.String() + " " + e.State.String()
		if e.Reason == admission.ProviderAway && (e.FromAt.IsZero() || !e.UntilAt.After(e.FromAt.Time)) {
			d.t.Errorf("%s: from %v until %v", e.Name, e.FromAt, e.UntilAt)
		}
	}
	return out
}

func (d *door) want(got map[string]string, want ...string) {
	d.t.Helper()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(got)) {
		list = append(list, name+" "+got[name])
	}
	if !slices.Equal(list, want) {
		d.t.Errorf("got\n  %s\nwant\n  %s", strings.Join(list, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestRecorderKilled: what comes in while nobody records is found when the provider is back, once, with the reason and the time; what was
// recorded is not. It is judged afterwards by the policies in force.
func TestRecorderKilled(t *testing.T) {
	d := newDoor(t)
	ctx := context.Background()
	d.beat()
	seenPod := d.create("v1", "pods", "shop", pod("seen", false, nil))
	till := d.create("apps/v1", "deployments", "shop", deployment("till"))
	scaled := d.create("apps/v1", "deployments", "shop", deployment("scaled"))
	shelf := d.create("v1", "services", "shop", m{"apiVersion": "v1", "kind": "Service", "metadata": m{"name": "shelf", "namespace": "shop"}, "spec": m{"ports": []any{m{"port": 80}}}})
	counter := d.create("v1", "services", "shop", m{"apiVersion": "v1", "kind": "Service", "metadata": m{"name": "counter", "namespace": "shop"}, "spec": m{"type": "LoadBalancer", "ports": []any{m{"port": 80}}}})
	d.record("allowed", "CREATE", seenPod, till, scaled, shelf, counter)
	time.Sleep(time.Second)
	d.beat()
	d.want(d.compare())

	d.killed = true // no batches, no beats
	d.create("v1", "pods", "shop", pod("bad", true, nil))
	d.create("v1", "pods", "shop", pod("good", false, nil))
	d.create("v1", "pods", "shop", pod("short-lived", true, nil))
	d.create("v1", "pods", "shop", withNode(pod("etcd-node1", false, m{"annotations": m{"kubernetes.io/config.mirror": "x", "kubernetes.io/config.hash": "x"}})))
	// A patch turns a good object bad.
	patch := `{"spec":{"template":{"spec":{"containers":[{"name":"web","securityContext":{"privileged":true}}]}}}}`
	if _, err := d.resource("apps/v1", "deployments", "shop").Patch(ctx, "till", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	// A scale is no request that the recorder would see: it is not told.
	if _, err := d.resource("apps/v1", "deployments", "shop").Patch(ctx, "scaled", types.MergePatchType, []byte(`{"spec":{"replicas":3}}`), metav1.PatchOptions{}, "scale"); err != nil {
		t.Fatal(err)
	}
	// Services have no generation: the time of the write tells.
	if _, err := d.resource("v1", "services", "shop").Patch(ctx, "shelf", types.MergePatchType, []byte(`{"spec":{"externalIPs":["192.0.2.1"]}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	// So is a status.
	if _, err := d.resource("v1", "services", "shop").Patch(ctx, "counter", types.MergePatchType, []byte(`{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.2"}]}}}`), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3500 * time.Millisecond)
	d.killed = false
	d.beat()
	time.Sleep(settle)

	want := []string{"bad provider-away found", "etcd-node1 static-pod found", "good provider-away found", "shelf provider-away found", "short-lived provider-away found", "till provider-away found"}
	d.want(d.compare(), want...)
	d.want(d.compare(), want...) // nothing is found twice
	d.beat()
	if err := d.s.Compare(ctx); err != nil { // as the duty does it
		t.Fatal(err)
	}
	d.want(d.entries(), want...)

	zero := int64(0)
	if err := d.resource("v1", "pods", "shop").Delete(ctx, "short-lived", metav1.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
		t.Fatal(err)
	}
	if err := d.s.JudgeOpen(ctx); err != nil {
		t.Fatal(err)
	}
	d.want(d.entries(), "bad provider-away bad", "etcd-node1 static-pod good", "good provider-away good", "shelf provider-away good", "short-lived provider-away gone", "till provider-away bad")
	l, err := d.s.Events(ctx, identity.Visible{All: true}, admission.Filter{}, "lastSeen", store.Page{Limit: 50})
	if err != nil || len(l.Items) != 2 || l.Items[0].Kind != admission.Unchecked || l.Items[0].Rule != "workload/privileged-container" || l.Items[0].Action() != policy.Block {
		t.Fatalf("%v %+v", err, l)
	}
	for _, e := range l.Items {
		p, err := d.s.Event(ctx, identity.Visible{All: true}, e.ID, "")
		if err != nil || len(p.Object.Marks) != 1 || !strings.Contains(p.Object.YAML, "privileged: true") {
			t.Errorf("%v %+v", err, p.Object)
		}
	}

	// A batch that comes late takes back what it tells of.
	late := d.create("v1", "pods", "shop", pod("late", false, nil))
	if got := d.compare(); !strings.HasSuffix(got["late"], " found") {
		t.Errorf("%q", got["late"])
	}
	d.record("allowed", "CREATE", late)
	if got := d.compare(); got["late"] != "" {
		t.Errorf("%q", got["late"])
	}
}

func withNode(o m) m {
	o["spec"].(m)["nodeName"] = "node1"
	return o
}

// TestNotEnforced: what the policies refuse and lives all the same is told: Gatekeeper did not answer.
func TestNotEnforced(t *testing.T) {
	d := newDoor(t)
	d.beat()
	through := d.create("v1", "pods", "shop", pod("through", true, nil))
	d.record("blocked", "CREATE", through)
	refused := through.DeepCopy()
	refused.SetName("refused") // it never came to live
	refused.SetUID("11111111-2222-3333-4444-555555555555")
	d.record("blocked", "CREATE", refused)
	// An update that was refused, and then one that was not.
	till := d.create("apps/v1", "deployments", "shop", deployment("till"))
	d.record("allowed", "CREATE", till)
	bad := till.DeepCopy()
	bad.SetGeneration(2)
	d.record("blocked", "UPDATE", bad)
	d.beat()
	d.want(d.entries())
	time.Sleep(time.Second) // by then the API server has certainly answered
	if err := d.s.Doubts(context.Background()); err != nil {
		t.Fatal(err)
	}
	d.want(d.entries(), "through not-enforced found") // before all is compared
	d.want(d.compare(), "through not-enforced found")
	if err := d.s.JudgeOpen(context.Background()); err != nil {
		t.Fatal(err)
	}
	d.want(d.entries(), "through not-enforced bad")
}

// TestWebhookGone: what the recorder's webhook leaves out is no unchecked admission but a bypass; when the webhook is taken away,
// everything is looked at.
func TestWebhookGone(t *testing.T) {
	d := newDoor(t)
	ctx := context.Background()
	d.beat()
	hooks := d.resource("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", "")
	d.create("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", "", m{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": m{"name": "stockade-recorder"},
		"webhooks": []any{m{"name": "recorder.stockade.dev", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "failurePolicy": "Ignore", "timeoutSeconds": 1,
			"namespaceSelector": m{"matchExpressions": []any{m{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": []any{"left-alone"}}}},
			"clientConfig":      m{"url": "https://127.0.0.1:1/record"}, // nobody listens
			"rules":             []any{m{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "resources": []any{"pods"}, "operations": []any{"CREATE", "UPDATE"}}}}}})
	elsewhere := pod("elsewhere", true, m{"namespace": "left-alone"})
	d.create("v1", "pods", "left-alone", elsewhere)
	d.create("apps/v1", "deployments", "shop", deployment("not-asked"))
	d.create("v1", "pods", "shop", pod("timed-out", true, nil))
	d.beat()
	d.want(d.compare(), "timed-out not-recorded found")
	if err := hooks.Delete(ctx, "stockade-recorder", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	d.create("apps/v1", "deployments", "shop", deployment("unseen"))
	d.beat()
	got := d.compare()
	if got["unseen"] != "not-recorded found" || got["timed-out"] == "" {
		t.Errorf("%v", got)
	}
}
