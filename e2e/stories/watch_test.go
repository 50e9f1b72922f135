package stories

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/collect/cluster"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/watch"
)

// changes records what a watcher says.
type changes struct {
	mu    sync.Mutex
	refs  []string
	whole int
}

func (c *changes) take() (refs []string, whole int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	refs, whole = c.refs, c.whole
	c.refs, c.whole = nil, 0
	return refs, whole
}

// TestWatch notices what changes in a real cluster: objects themselves, workloads for their pods, and not the writes that say
// nothing. What it names can be picked with what belongs to it.
func TestWatch(t *testing.T) {
	cp := lab.ForTest(t, lab.Config{Version: lab.Newest})
	create := creator(t, cp)
	config, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	namespaced := func(apiVersion, kind, name string, rest map[string]any) map[string]any {
		o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name, "namespace": "shop"}}
		for k, v := range rest {
			o[k] = v
		}
		return o
	}
	pod := map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "till"}},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "a", "image": "registry.example.com/till:1"}}}}
	deployment := namespaced("apps/v1", "Deployment", "till", map[string]any{"spec": map[string]any{
		"selector": map[string]any{"matchLabels": map[string]any{"app": "till"}}, "template": pod}})
	create(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "shop"}})
	create(map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n1"}})
	create(namespaced("v1", "ConfigMap", "old", nil))

	var seen changes
	w := watch.New(watch.Options{REST: config, Quiet: 300 * time.Millisecond, PodQuiet: time.Millisecond, WholeEvery: time.Millisecond,
		Changed: func(_ context.Context, refs []inventory.Ref) error {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			for _, r := range refs {
				seen.refs = append(seen.refs, r.String())
			}
			return nil
		},
		Whole: func(context.Context) error {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			seen.whole++
			return nil
		}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	until(t, "the watch is in step", func() bool { return !w.State().Since.IsZero() })
	if refs, _ := seen.take(); len(refs) > 0 {
		t.Errorf("what was there before counts as changed: %v", refs)
	}
	expect := func(what string, want ...string) {
		t.Helper()
		var got []string
		until(t, what, func() bool {
			refs, _ := seen.take()
			got = append(got, refs...)
			return w.State().Waiting == 0 && !slices.ContainsFunc(want, func(s string) bool { return !slices.Contains(got, s) })
		})
		for _, g := range got {
			if !slices.Contains(want, g) && strings.Contains(g, " shop/") { // the server itself writes elsewhere
				t.Errorf("%s: %s was judged too", what, g)
			}
		}
	}

	create(deployment)
	expect("a new Deployment", "Deployment shop/till")

	uid := func(gvr schema.GroupVersionResource, name string) string {
		o, err := client.Resource(gvr).Namespace("shop").Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return string(o.GetUID())
	}
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	sets := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	owned := func(o map[string]any, apiVersion, kind, name, uid string) map[string]any {
		o["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{"apiVersion": apiVersion, "kind": kind, "name": name, "uid": uid, "controller": true}}
		o["metadata"].(map[string]any)["labels"] = map[string]any{"app": "till"}
		return o
	}
	set := owned(namespaced("apps/v1", "ReplicaSet", "till-1", map[string]any{"spec": deployment["spec"]}), "apps/v1", "Deployment", "till", uid(deployments, "till"))
	create(set)
	expect("its ReplicaSet", "Deployment shop/till")
	create(owned(namespaced("v1", "Pod", "till-1-x", map[string]any{"spec": pod["spec"]}), "apps/v1", "ReplicaSet", "till-1", uid(sets, "till-1")))
	expect("its pod", "Deployment shop/till")

	status := `{"status":{"phase":"Running","containerStatuses":[{"name":"a","image":"registry.example.com/till:1","imageID":"registry.example.com/till@sha256:1111111111111111111111111111111111111111111111111111111111111111","ready":true,"restartCount":0}]}}`
	if _, err := client.Resource(pods).Namespace("shop").Patch(ctx, "till-1-x", types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	expect("the digest that the pod runs", "Deployment shop/till")

	heartbeat := `{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2026-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
	nodes := schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	if _, err := client.Resource(nodes).Patch(ctx, "n1", types.MergePatchType, []byte(heartbeat), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("shop").Patch(ctx, "old",
		types.MergePatchType, []byte(`{"data":{"a":"b"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("a ConfigMap, and not the heartbeat of a node", "ConfigMap shop/old")

	create(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": "new"},
		"rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"*"}}}})
	looks := 0
	until(t, "a role asks for a look at everything", func() bool {
		_, whole := seen.take()
		looks += whole
		return looks > 0 && w.State().Waiting == 0
	})
	seen.take()

	source, err := cluster.Open(cluster.Config{Kubeconfig: cp.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	var picked []string
	err = source.Pick(ctx, []inventory.Ref{{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "till"}, {APIVersion: "v1", Kind: "Service", Namespace: "shop", Name: "absent"}},
		func(o *inventory.Object) error { picked = append(picked, o.Ref().String()); return nil },
		func(n finding.NotScanned) { t.Errorf("not scanned: %v", n) })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Namespace shop", "Deployment shop/till", "ReplicaSet shop/till-1", "Pod shop/till-1-x"}
	if !slices.Equal(picked, want) {
		t.Errorf("picked %v, want %v", picked, want)
	}

	if err := client.Resource(deployments).Namespace("shop").Delete(ctx, "till", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("a deleted Deployment", "Deployment shop/till")

	// The server goes and comes back: what changed meanwhile is noticed by the new list.
	cp.Kill()
	if err := cp.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: namespaced("v1", "ConfigMap", "late", nil)}
	until(t, "the API server is back", func() bool {
		_, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("shop").Create(ctx, u, metav1.CreateOptions{})
		return err == nil
	})
	expect("a ConfigMap after the break", "ConfigMap shop/late")
}

// until waits for something to come true, for as long as a busy machine may need.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 90 s", what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
