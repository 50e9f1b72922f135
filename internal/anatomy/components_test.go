package anatomy_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/anatomy"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

func (w *world) survey(target int64, s inventory.CoreSurvey) {
	w.Helper()
	w.must(w.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO cluster_components (target_id, at, body) VALUES (?, ?, ?)", target, store.At(w.now), ledger.JSON(s)).Exec(ctx)
		return err
	}))
}

func TestComponents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		id := w.cluster("shop")
		ctx := context.Background()
		none, err := w.s.Components(ctx, everything, id, "en")
		if err != nil || none.At != nil || len(none.Items) != 0 || none.Target != "shop" {
			t.Errorf("before the first scan: %+v, %v", none, err)
		}
		if _, err := w.s.Components(ctx, everything, id+1, "en"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of no cluster: %v", err)
		}
		w.read(digestOf(1), till())
		w.scan(id, "shop", use{"registry.k8s.io/coredns:v1.11.3", digestOf(1), "kube-system", "coredns", tillFindings(), ""},
			use{"docker.io/calico/node:v3", digestOf(2), "kube-system", "calico", nil, "the registry cannot be reached"},
			use{"registry.k8s.io/kube-proxy:v1", digestOf(3), "kube-system", "proxy", nil, ""})
		w.survey(id, inventory.CoreSurvey{Components: []inventory.CoreSighting{
			{Name: "kube-apiserver", Group: "kube-system", NotScanned: inventory.CoreByProvider},
			{Name: "etcd", Group: "kube-system", NotScanned: inventory.CoreNotContainer},
			{Name: "coredns", Group: "kube-system", Namespace: "kube-system", Workload: "Deployment kube-system/coredns", Workloads: 1, Image: "registry.k8s.io/coredns:v1.11.3", Version: "v1.11.3"},
			{Name: "calico/node", Group: "kube-system", Namespace: "kube-system", Workload: "Deployment kube-system/calico", Image: "docker.io/calico/node:v3", Static: true,
				NotScanned: "its image could not be read: the registry cannot be reached"},
		}, Nodes: []inventory.NodePrograms{{Kubelet: "v1.34.2", Runtime: "containerd://1.7.27", Nodes: []string{"n1", "n2"}, Count: 2}, {Kubelet: "v1.33.0", Runtime: "containerd://1.7.27", Nodes: []string{"n3"}, Count: 1},
			{Runtime: "nonsense"}}})
		list, err := w.s.Components(ctx, everything, id, "en")
		w.must(err)
		by := map[string]anatomy.Component{}
		for _, c := range list.Items {
			by[strings.TrimSpace(c.Name+" "+map[bool]string{true: c.Version}[c.Family == "node"])] = c
		}
		for name, want := range map[string]struct {
			found, scanned bool
			how, code      string
		}{
			"kube-apiserver": {false, false, "not-found", "managed"}, "etcd": {false, false, "not-found", "not-container"}, "coredns": {true, true, "pod", ""},
			"calico/node": {true, false, "static-pod", "image-unread"}, "metrics-server": {false, false, "not-found", "absent"}, "harbor-core": {false, false, "not-found", "absent"},
			"kubelet v1.34.2": {true, false, "node-info", "node-program"}, "kubelet v1.33.0": {true, false, "node-info", "node-program"}, "containerd 1.7.27": {true, false, "node-info", "node-program"},
		} {
			c, ok := by[name]
			if !ok || c.Found != want.found || c.Scanned != want.scanned || c.How != want.how || c.ReasonCode != want.code || (c.Reason == "") != (want.code == "") {
				t.Errorf("%s: %+v", name, c)
			}
		}
		if c := by["coredns"]; c.Findings["critical"] != 1 || c.Digest != digestOf(1) || c.AssetID == 0 || c.WorkloadID == 0 || c.VersionSource != "tag" {
			t.Errorf("coredns: %+v", c)
		}
		if c := by["kube-apiserver"]; c.Version != "v1.34.2" || c.VersionSource != "api" {
			t.Errorf("the version that the API tells: %+v", c)
		}
		if c := by["containerd 1.7.27"]; c.NodeCount != 3 || len(c.Nodes) != 3 {
			t.Errorf("containerd: %+v", c)
		}
		if c := by["calico/node"]; !strings.Contains(c.Detail, "cannot be reached") {
			t.Errorf("calico: %+v", c)
		}
		chinese, err := w.s.Components(ctx, everything, id, "zh")
		if err != nil || chinese.Items[0].Reason == list.Items[0].Reason || chinese.Items[0].Reason == "" {
			t.Errorf("in Chinese: %v", err)
		}
	})
}

// TestSurvey joins what is alike and stops at its limits.
func TestSurvey(t *testing.T) {
	var s inventory.CoreSurvey
	for i := range 3 {
		s.AddComponent(inventory.CoreSighting{Name: "etcd", Group: "kube-system", Image: "etcd:1", Workload: "Pod kube-system/etcd", Workloads: 1, Static: true, Nodes: []string{string(rune('a' + i))}, NodeCount: 1})
	}
	if len(s.Components) != 1 || s.Components[0].Workloads != 3 || s.Components[0].NodeCount != 3 || len(s.Components[0].Nodes) != 3 {
		t.Errorf("%+v", s.Components)
	}
	for i := range 3000 {
		s.AddComponent(inventory.CoreSighting{Name: "etcd", Image: strings.Repeat("x", i)})
		content := map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n"},
			"status": map[string]any{"nodeInfo": map[string]any{"kubeletVersion": strings.Repeat("v", i), "containerRuntimeVersion": 7}}}
		o, _ := inventory.NewObject(content)
		s.AddNode(o)
	}
	text := ledger.JSON(s)
	if !s.Cut || len(s.Components) > 500 || len(s.Nodes) > 200 || len(text) > 1<<20 {
		t.Errorf("cut %v, %d components, %d kinds of nodes, %d bytes", s.Cut, len(s.Components), len(s.Nodes), len(text))
	}
}
