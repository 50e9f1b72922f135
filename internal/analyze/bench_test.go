package analyze_test

import (
	"fmt"
	"testing"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/inventory"
)

// sized makes a cluster of n workloads, 2n RBAC objects, n/5 NetworkPolicies and n/5 Services in namespaces of 50
// workloads, as the big clusters have that the product is measured on.
func sized(n int) *inventory.Cluster {
	c := inventory.NewCluster("big")
	c.Version = "v1.34.2"
	add := func(m map[string]any) {
		o, _ := inventory.NewObject(m)
		c.Add(o)
	}
	meta := func(ns, name string) map[string]any { return map[string]any{"namespace": ns, "name": name} }
	add(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta("", "cluster-admin"),
		"rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"*"}}}})
	for i := range n / 100 {
		add(map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": fmt.Sprint("node-", i), "labels": map[string]any{"pool": "a"}},
			"status": map[string]any{"nodeInfo": map[string]any{"kubeletVersion": "v1.34.2"}}})
	}
	for i := range n {
		ns, app := fmt.Sprint("team-", i/50), fmt.Sprint("app-", i)
		if i%50 == 0 {
			add(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns, "labels": map[string]any{"team": ns}}})
		}
		labels := map[string]any{"app": app, "tier": fmt.Sprint("t", i%3)}
		add(map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(ns, app), "spec": map[string]any{"replicas": int64(2),
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"serviceAccountName": app,
				"volumes":    []any{map[string]any{"name": "s", "secret": map[string]any{"secretName": "tls-" + app}}},
				"containers": []any{map[string]any{"name": "c", "image": "registry.example.com/" + app + ":1", "ports": []any{map[string]any{"containerPort": int64(8080)}}}}}}}})
		c.Workloads[len(c.Workloads)-1].Nodes = []string{fmt.Sprint("node-", i%(n/100)), fmt.Sprint("node-", (i+7)%(n/100))}
		add(map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(ns, app)})
		add(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": meta(ns, "tls-"+app), "type": "Opaque"})
		rules := []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"pods", "services"}, "verbs": []any{"get", "list", "watch"}}}
		if i%4 == 0 {
			rules = append(rules, map[string]any{"apiGroups": []any{""}, "resources": []any{"secrets"}, "verbs": []any{"get"}},
				map[string]any{"apiGroups": []any{"apps"}, "resources": []any{"deployments"}, "verbs": []any{"create", "patch"}})
		}
		kind, bind, where := "Role", "RoleBinding", ns
		if i%20 == 0 {
			kind, bind, where = "ClusterRole", "ClusterRoleBinding", ""
		}
		name := app
		if i == n-1 {
			name = "cluster-admin" // one account to reach
		}
		add(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": meta(where, app), "rules": rules})
		b := map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": bind, "metadata": meta(where, app),
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": ns, "name": app}}}
		if i == n-1 {
			b["kind"], b["roleRef"].(map[string]any)["kind"] = "ClusterRoleBinding", "ClusterRole"
		}
		add(b)
		if i%5 > 0 {
			continue
		}
		add(map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta(ns, app),
			"spec": map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app": app}}, "policyTypes": []any{"Ingress"}}})
		add(map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": meta(ns, app), "spec": map[string]any{"type": "NodePort",
			"selector": map[string]any{"app": app}, "ports": []any{map[string]any{"port": int64(80)}}}})
	}
	c.Sort()
	return c
}

// BenchmarkAnalyzers runs every analyzer that needs the whole cluster, graphs included.
func BenchmarkAnalyzers(b *testing.B) {
	for _, n := range []int{1000, 2000, 5000, 10000, 20000} {
		c := sized(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ctx, found := analyze.NewContext(c), 0
				for _, a := range analyze.All {
					if a.Cluster != nil {
						a.Cluster(ctx.For(nil, nil), func(analyze.Problem) { found++ })
					}
				}
				b.ReportMetric(float64(found), "findings")
			}
		})
	}
}

// BenchmarkEach shows what each of them costs on 10,000 workloads, the graphs built before.
func BenchmarkEach(b *testing.B) {
	c := sized(10000)
	ctx := analyze.NewContext(c)
	ctx.Access().PathToAdmin(ctx.Access().Subjects()[0])
	ctx.Reach()
	for _, a := range analyze.All {
		if a.Cluster == nil {
			continue
		}
		b.Run(a.Name, func(b *testing.B) {
			for b.Loop() {
				a.Cluster(ctx.For(nil, nil), func(analyze.Problem) {})
			}
		})
	}
}
