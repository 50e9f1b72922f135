package watch

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/inventory"
)

func object(name, version string, generation int64, labels map[string]string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), ResourceVersion: version,
		Generation: generation, Labels: labels}}
}

func owned(m *metav1.PartialObjectMetadata, apiVersion, kind, name string) *metav1.PartialObjectMetadata {
	yes := true
	m.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: name, Controller: &yes}}
	return m
}

// TestKnown holds which writes count as a change, and of what.
func TestKnown(t *testing.T) {
	w := New(Options{Quiet: time.Millisecond})
	kind := func(groupKind, apiVersion string) *known {
		k := &known{watcher: w, kind: collect.Find(groupKind), apiVersion: apiVersion, objects: map[string]entry{}}
		w.kinds[groupKind] = k
		return k
	}
	deployments, sets, pods := kind("Deployment.apps", "apps/v1"), kind("ReplicaSet.apps", "apps/v1"), kind("Pod", "v1")
	nodes, maps := kind("Node", "v1"), kind("ConfigMap", "v1")
	for _, k := range []*known{deployments, sets, pods, nodes, maps} {
		if !w.state.Since.IsZero() {
			t.Error("in step before every kind was listed")
		}
		var list []any
		switch k {
		case deployments:
			list = []any{object("till", "1", 1, nil)}
		case sets:
			list = []any{owned(object("till-1", "1", 1, nil), "apps/v1", "Deployment", "till")}
		case nodes:
			list = []any{object("n", "1", 0, nil)}
		case maps:
			list = []any{object("a", "1", 0, nil), object("b", "1", 0, nil)}
		}
		if err := k.Replace(list, ""); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.dirty) > 0 || w.state.Since.IsZero() {
		t.Fatalf("after the first lists: dirty %v, since %v", w.dirty, w.state.Since)
	}
	for i, c := range []struct {
		what string
		do   func() error
		want string
	}{
		{"a status of a Deployment", func() error { return deployments.Update(object("till", "2", 1, nil)) }, ""},
		{"a revision", func() error {
			m := object("till", "3", 1, nil)
			m.Annotations = map[string]string{"deployment.kubernetes.io/revision": "2"}
			return deployments.Update(m)
		}, ""},
		{"a label", func() error { return deployments.Update(object("till", "4", 1, map[string]string{"a": "b"})) }, "Deployment shop/till"},
		{"a spec", func() error { return deployments.Update(object("till", "5", 2, map[string]string{"a": "b"})) }, "Deployment shop/till"},
		{"a node's heartbeat", func() error { return nodes.Update(object("n", "9", 0, nil)) }, ""},
		{"a pod of the Deployment", func() error { return pods.Add(owned(object("p", "1", 1, nil), "apps/v1", "ReplicaSet", "till-1")) }, "Deployment shop/till"},
		{"its status", func() error { return pods.Update(owned(object("p", "2", 1, nil), "apps/v1", "ReplicaSet", "till-1")) }, "Deployment shop/till"},
		{"a pod of an operator's", func() error { return pods.Add(owned(object("q", "1", 1, nil), "example.com/v1", "Widget", "w")) }, "Pod shop/q"},
		{"a write of a ConfigMap", func() error { return maps.Update(object("a", "2", 0, nil)) }, "ConfigMap shop/a"},
		{"a list after a break", func() error { return maps.Replace([]any{object("a", "2", 0, nil), object("c", "1", 0, nil)}, "") }, "ConfigMap shop/b ConfigMap shop/c"},
		{"the same list", func() error { return maps.Replace([]any{object("a", "2", 0, nil), object("c", "1", 0, nil)}, "") }, ""},
		{"a deleted object", func() error { return maps.Delete(object("c", "1", 0, nil)) }, "ConfigMap shop/c"},
		{"what was never known", func() error { return maps.Delete(object("zz", "1", 0, nil)) }, ""},
	} {
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		got := ""
		for _, r := range w.due(time.Now().Add(time.Duration(i+1) * time.Hour)) {
			if got != "" {
				got += " "
			}
			got += r.String()
		}
		if got != c.want {
			t.Errorf("%s: %q changed, want %q", c.what, got, c.want)
		}
	}
}

// TestPodsAreGathered judges a workload whose pods come one by one once in a while, and at once when it changes itself.
func TestPodsAreGathered(t *testing.T) {
	w := New(Options{Quiet: time.Second, PodQuiet: time.Minute})
	deployments := &known{watcher: w, kind: collect.Find("Deployment.apps"), apiVersion: "apps/v1", objects: map[string]entry{}}
	pods := &known{watcher: w, kind: collect.Find("Pod"), apiVersion: "v1", objects: map[string]entry{}}
	w.kinds["Deployment.apps"], w.kinds["Pod"] = deployments, pods
	add := func(name string) {
		if err := pods.Add(owned(object(name, "1", 1, nil), "apps/v1", "Deployment", "till")); err != nil {
			t.Fatal(err)
		}
	}
	if err := deployments.Add(object("till", "1", 1, nil)); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if n := len(w.due(now)); n != 0 {
		t.Errorf("%d judged before it was quiet", n)
	}
	if n := len(w.due(now.Add(2 * time.Second))); n != 1 {
		t.Fatalf("%d judged", n)
	}
	add("a")
	add("b")
	if n := len(w.due(now.Add(10 * time.Second))); n != 0 {
		t.Errorf("pods had the workload judged again at once")
	}
	if err := deployments.Update(object("till", "2", 2, nil)); err != nil {
		t.Fatal(err)
	}
	if refs := w.due(now.Add(10 * time.Second)); len(refs) != 1 || refs[0] != (inventory.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "till"}) {
		t.Errorf("its own change waits for its pods: %v", refs)
	}
}
