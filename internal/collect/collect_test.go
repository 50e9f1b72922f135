package collect

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/inventory"
)

func TestDistribution(t *testing.T) {
	node := func(labels, provider, more string) string {
		return fmt.Sprintf(`{"metadata":{"labels":{%s}%s},"spec":{"providerID":%q}}`, labels, more, provider)
	}
	tests := []struct {
		version, node, group, want string
		managed                    bool
	}{
		{"v1.31.2-eks-7f9249a", "", "", "eks", true},
		{"v1.30.5-gke.1443001", "", "", "gke", true},
		{"v1.30.5", node(`"kubernetes.azure.com/cluster":"x"`, "azure:///x", ""), "", "aks", true},
		{"v1.30.5", node(`"kubernetes.azure.com/cluster":"x","node-role.kubernetes.io/master":""`, "azure:///x", ""), "", "aks", false},
		{"v1.31.1-aliyun.1", "", "", "ack", true},
		{"v1.30.4-r10-30.0.26", "", "", "cce", true},
		{"v1.19.16-r4-CCE22.11.1", "", "", "cce", true},
		{"v1.30.0-tke.3", "", "", "tke", true},
		{"v1.31.5+k3s1", "", "", "k3s", false},
		{"v1.31.5+rke2r1", "", "", "rke2", false},
		{"v1.29.8", "", "config.openshift.io", "openshift", false},
		{"v1.34.0", node(`"minikube.k8s.io/name":"m"`, "", `,"annotations":{"kubeadm.alpha.kubernetes.io/cri-socket":"x"}`), "", "minikube", false},
		{"v1.34.0", node("", "kind://docker/kind/kind-control-plane", ""), "", "kind", false},
		{"v1.34.0", node("", "aws:///eu-west-1/i-1", `,"annotations":{"kubeadm.alpha.kubernetes.io/cri-socket":"x"}`), "", "kubeadm", false},
		{"v1.34.0-rc.1", "", "", "", false},
		{"v1.34.4", node("", "", ""), "apps", "", false},
	}
	for _, tt := range tests {
		s := Signs{Version: tt.version, Groups: []string{"apps", tt.group}}
		if tt.node != "" {
			content, err := decode.NewDecoder().Object([]byte(tt.node))
			if err != nil {
				t.Fatal(err)
			}
			s.Node(&inventory.Object{Kind: "Node", Content: content})
		}
		if got, managed := s.Judge(); got != tt.want || managed != tt.managed {
			t.Errorf("%+v: got %q, %v", tt, got, managed)
		}
	}
}

func TestRedact(t *testing.T) {
	o := &inventory.Object{APIVersion: "v1", Kind: "Secret", Content: map[string]any{"data": map[string]any{"k": "v"}, "stringData": "odd",
		"metadata": map[string]any{"annotations": map[string]any{lastApplied: "v", "a": "b"}}}}
	Redact(o)
	want := map[string]any{"data": map[string]any{"k": ""},
		"metadata": map[string]any{"annotations": map[string]any{lastApplied: "", "a": "b"}}}
	if !reflect.DeepEqual(o.Content, want) {
		t.Errorf("%v", o.Content)
	}
	for _, other := range []*inventory.Object{{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "x.io/v1", Kind: "Secret"}} {
		other.Content = map[string]any{"data": map[string]any{"k": "v"}}
		if Redact(other); other.Content["data"].(map[string]any)["k"] != "v" {
			t.Errorf("%s of %s was changed", other.Kind, other.APIVersion)
		}
	}
}

// TestKinds holds the table to what the rest relies on.
func TestKinds(t *testing.T) {
	if Kinds[0].Kind != "Namespace" {
		t.Error("Namespaces must come first: they say which Pod Security level holds")
	}
	seen := map[string]bool{}
	for _, k := range Kinds {
		if seen[k.GroupKind()] || seen[k.GroupResource()] {
			t.Errorf("%s is there twice", k.GroupKind())
		}
		seen[k.GroupKind()], seen[k.GroupResource()] = true, true
		if len(k.Versions) == 0 || k.Why == "" || k.NeededBy == "" || k.Resource != strings.ToLower(k.Resource) {
			t.Errorf("%+v", k)
		}
	}
	last := -1
	for _, w := range inventory.WorkloadKinds {
		gk := inventory.Ref{APIVersion: w.Group + "/v1", Kind: w.Kind}.GroupKind()
		if w.Group == "" {
			gk = w.Kind
		}
		if Find(gk) == nil || Rank(gk) < last {
			t.Errorf("%s is missing or out of order: owners come first", gk)
		}
		last = Rank(gk)
	}
	for gk, want := range map[string]string{"Pod": "pods", "Ingress.networking.k8s.io": "ingresses", "Policy.x.io": "policies",
		"Gateway.x.io": "gateways", "Switch.x.io": "switches", "Box.x.io": "boxes"} {
		if got := ResourceOf(gk); got != want {
			t.Errorf("%s: %s", gk, got)
		}
	}
}
