package policy

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/match"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/wildcard"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"stockade.dev/stockade/internal/inventory"
)

// TestGatekeeperAgrees: scopes look at what Gatekeeper's match looks at, over thousands of objects and patterns.
func TestGatekeeperAgrees(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	pick := func(list ...string) string { return list[r.Intn(len(list))] }
	some := func(list ...string) (out []string) {
		for _, s := range list {
			if r.Intn(4) == 0 {
				out = append(out, s)
			}
		}
		return out
	}
	patterns := []string{"shop", "shop-*", "*-web", "*op*", "kube-system", "*", "bank", "**"}
	looked := 0
	for range 5000 {
		space := pick("", "shop", "shop-web", "kube-system", "bank", "kube-public")
		kind := pick("Pod", "Deployment", "Namespace", "ClusterRole")
		api := map[string]string{"Pod": "v1", "Deployment": "apps/v1", "Namespace": "v1", "ClusterRole": "rbac.authorization.k8s.io/v1"}[kind]
		meta := map[string]any{"name": pick("shop", "bank", "kube-system"), "labels": map[string]any{"app": pick("a", "b")}}
		if kind == "Namespace" || kind == "ClusterRole" {
			space = ""
		} else if space == "" {
			space = "shop"
		}
		if space != "" {
			meta["namespace"] = space
		}
		content := map[string]any{"apiVersion": api, "kind": kind, "metadata": meta}
		o, _ := inventory.NewObject(content)
		spaceLabels := map[string]string{"team": pick("x", "y")}

		s := Scope{Namespaces: some(patterns...), ExcludedNamespaces: some("shop", "*-web", "bank"), SystemNamespaces: r.Intn(2) == 0, Kinds: some("Pod", "Deployment.apps", "Namespace", "ClusterRole", "Deployment.batch")}
		m := &match.Match{}
		for _, p := range s.Namespaces {
			m.Namespaces = append(m.Namespaces, wildcard.Wildcard(p))
		}
		for _, p := range s.ExcludedNamespaces {
			m.ExcludedNamespaces = append(m.ExcludedNamespaces, wildcard.Wildcard(p))
		}
		if !s.SystemNamespaces {
			for _, p := range SystemNamespaces {
				m.ExcludedNamespaces = append(m.ExcludedNamespaces, wildcard.Wildcard(p))
			}
		}
		for _, k := range s.Kinds {
			group := "*"
			if i := len("Deployment"); len(k) > i && k[i] == '.' {
				k, group = k[:i], k[i+1:]
			}
			m.Kinds = append(m.Kinds, match.Kinds{Kinds: []string{k}, APIGroups: []string{group}})
		}
		if r.Intn(2) == 0 {
			s.ObjectSelector = "app=a"
			m.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}
		}
		if r.Intn(2) == 0 {
			s.NamespaceSelector = "team in (x)"
			m.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "x"}}
		}
		var ns *corev1.Namespace
		if space != "" {
			ns = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space, Labels: spaceLabels}}
		}
		want, err := match.Matches(m, &match.Matchable{Object: &unstructured.Unstructured{Object: content}, Namespace: ns, Source: "Original"})
		if err != nil {
			t.Fatal(err)
		}
		b := &Bundle{System: SystemNamespaces}
		c, err := compileScope(s, b)
		if err != nil {
			t.Fatal(err)
		}
		q := &Request{Object: o, NamespaceLabels: spaceLabels}
		a := (&Judge{bundle: b}).about(q)
		if got := c.holds(q, &a); got != want {
			t.Fatalf("%v, Gatekeeper says %v: %+v on %s", got, want, s, fmt.Sprint(content))
		}
		if want {
			looked++
		}
	}
	if looked < 300 {
		t.Fatalf("%d matched only", looked)
	}
}
