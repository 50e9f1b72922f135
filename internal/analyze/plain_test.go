package analyze_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/inventory"
)

// plainCluster is what kubeadm leaves behind: the default roles and bindings of Kubernetes 1.36 and kubeadm's own, the
// control plane, DNS and the proxy. testdata/kubeadm.jsonl holds one object a line.
func plainCluster(t testing.TB) []*inventory.Object {
	t.Helper()
	data, err := os.ReadFile("testdata/kubeadm.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var out []*inventory.Object
	for line := range bytes.Lines(data) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		o, ok := inventory.NewObject(m)
		if !ok {
			t.Fatalf("not an object: %s", line)
		}
		out = append(out, o)
	}
	if len(out) < 200 {
		t.Fatalf("only %d objects", len(out))
	}
	return out
}

// objects reads YAML documents.
func objects(t testing.TB, text string) []*inventory.Object {
	t.Helper()
	list, unread := manifest.Parse("test.yaml", []byte(text), manifest.Limits{})
	if len(unread) > 0 {
		t.Fatal(unread)
	}
	return list
}

// run runs every analyzer over objects and returns what they say, "analyzer: message", in order.
func run(list []*inventory.Object, unread map[string]string, undecided func(what, reason string)) []string {
	c := inventory.NewCluster("test")
	for k, v := range unread {
		c.Unread[k] = v
	}
	for _, o := range list {
		c.Add(o)
	}
	c.Sort()
	ctx := analyze.NewContext(c)
	var out []string
	for _, a := range analyze.All {
		report := func(p analyze.Problem) { out = append(out, a.Name+": "+p.Message.EN) }
		rule := ctx.For(nil, undecided)
		if a.Cluster != nil {
			a.Cluster(rule, report)
			continue
		}
		for _, o := range list {
			kind := o.Ref().GroupKind()
			if slices.Contains(a.Kinds, kind) || inventory.CarriesPod(kind) && slices.Contains(a.Kinds, "Workload") {
				a.Object(rule, o, report)
			}
		}
	}
	slices.Sort(out)
	return out
}

// TestPlainCluster: what Kubernetes and kubeadm set up themselves is no finding.
func TestPlainCluster(t *testing.T) {
	for _, s := range run(plainCluster(t), nil, nil) {
		t.Errorf("a plain cluster gives: %s", s)
	}
}

// TestPlainClusterWithOneApplication holds what a first, careless application adds.
func TestPlainClusterWithOneApplication(t *testing.T) {
	list := append(plainCluster(t), objects(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: registry.example.com/web:1.0.0, ports: [{containerPort: 8080}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: devs, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: devs}]
`)...)
	want := []string{
		"api-server-reachable: 1 workloads of namespace default can reach the API server and have no rights there: Deployment web",
		"create-pods: can create pods in namespace default",
		"escalate-rights: can give itself more rights in namespace default",
		"exec-pods: can run commands in pods in namespace default",
		"image-verification-absent: no admission check verifies where images come from",
		"mint-tokens: can mint tokens of service accounts in namespace default",
		"namespace-without-default-deny: namespace default has no default deny",
		"namespace-without-limit-range: namespace default has 1 workloads",
		"namespace-without-quota: namespace default has 1 workloads",
		"pod-security-not-enforced: namespace default takes any pod",
		"pod-without-network-policy: no NetworkPolicy selects the pods of Deployment default/web",
		"policy-engine-absent: nothing judges pods at admission",
		"read-secrets: can read Secrets in namespace default: RoleBinding default/devs -> ClusterRole edit <- aggregated ClusterRole system:aggregate-to-edit",
	}
	got := run(list, nil, nil)
	for i, s := range got {
		if i >= len(want) || !strings.HasPrefix(s, want[i]) {
			t.Fatalf("finding %d: %s\nwant %s", i, s, strings.Join(want[min(i, len(want)-1):], "\n"))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d findings, want %d", len(got), len(want))
	}
}

// TestUnreadIsNotAbsent: what could not be listed is not missing, and the rule says so.
func TestUnreadIsNotAbsent(t *testing.T) {
	list := append(plainCluster(t), objects(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      imagePullSecrets: [{name: pull}]
      containers: [{name: web, image: registry.example.com/web:1.0.0}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
`)...)
	for _, tt := range []struct {
		kind     string
		silenced []string // analyzers that must say nothing without the kind, and did with it
	}{
		{"NetworkPolicy.networking.k8s.io", []string{"pod-without-network-policy", "namespace-without-default-deny", "api-server-reachable"}},
		{"ServiceAccount", []string{"missing-service-account"}},
		{"Secret", []string{"absent-secret-reference"}},
		{"Service", []string{"route-without-service"}},
		{"ResourceQuota", []string{"namespace-without-quota"}},
		{"LimitRange", []string{"namespace-without-limit-range"}},
		{"PodDisruptionBudget.policy", []string{"missing-disruption-budget"}},
		{"Namespace", []string{"pod-security-not-enforced", "policy-engine-absent"}},
	} {
		told := map[string]string{}
		before := run(list, nil, nil)
		after := run(list, map[string]string{tt.kind: "forbidden"}, func(what, reason string) { told[what] = reason })
		for _, name := range tt.silenced {
			of := func(s string) bool { return strings.HasPrefix(s, name+": ") }
			if !slices.ContainsFunc(before, of) {
				t.Errorf("%s finds nothing although %s was listed", name, tt.kind)
			}
			if slices.ContainsFunc(after, of) {
				t.Errorf("%s concludes from a list of %s that could not be read", name, tt.kind)
			}
		}
		if told[tt.kind] != "forbidden" {
			t.Errorf("nobody was told that %s could not be read", tt.kind)
		}
	}
}
