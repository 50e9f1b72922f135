package attack

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// cluster reads one cluster from YAML documents.
func cluster(t testing.TB, text string) *inventory.Cluster {
	t.Helper()
	c := inventory.NewCluster("test")
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var m map[string]any
		err := dec.Decode(&m)
		if errors.Is(err, io.EOF) {
			c.Sort()
			return c
		}
		if err != nil {
			t.Fatal(err, text)
		}
		if m == nil {
			continue
		}
		o, ok := inventory.NewObject(plain(m).(map[string]any))
		if !ok {
			t.Fatalf("not an object: %v", m)
		}
		c.Add(o)
	}
}

// plain makes JSON values of YAML's.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case int:
		return int64(v)
	}
	return v
}

// nobody takes what a scan says.
type nobody struct{}

func (nobody) Begin(finding.Header) error                         { return nil }
func (nobody) Finding(*finding.Finding) error                     { return nil }
func (nobody) Clause(finding.Clause) error                        { return nil }
func (nobody) NotScanned(finding.NotScanned) error                { return nil }
func (nobody) Asset(finding.Asset) error                          { return nil }
func (nobody) End(time.Time, finding.Target, finding.Stats) error { return nil }

const remoteCode = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"

// vulnerable is a finding of a vulnerability in the image of containers "NAMESPACE/WORKLOAD", all of them Deployments with a
// container app.
func vulnerable(image, cve, vector string, severity finding.Severity, workloads ...string) *finding.Finding {
	f := &finding.Finding{Kind: finding.Vulnerability, Rule: cve, Severity: severity, Status: finding.Open,
		Fingerprint: finding.Identity{RuleID: cve, Name: image}.Fingerprint(), Resource: finding.Resource{Image: image},
		Vulnerability: &finding.Vulnerable{ID: cve, Package: "lib", Version: "1", FixedVersion: "2", Type: "application", Vector: vector, EvidenceClass: finding.EvidenceVendor}}
	for _, w := range workloads {
		ns, name, _ := strings.Cut(w, "/")
		f.Resource.Workloads = append(f.Resource.Workloads, finding.WorkloadRef{Kind: "Deployment", Namespace: ns, Name: name, Container: "app"})
	}
	return f
}

func rce(image string, workloads ...string) *finding.Finding {
	return vulnerable(image, "CVE-2021-44228", remoteCode, finding.Critical, workloads...)
}

// build makes the graph of a cluster with findings.
func build(t testing.TB, text string, found ...*finding.Finding) *Graph {
	t.Helper()
	ev := Listen(nobody{})
	for _, f := range found {
		if err := ev.Finding(f); err != nil {
			t.Fatal(err)
		}
	}
	ev.Cluster(cluster(t, text))
	return ev.Graph()
}

// chains writes the paths of an answer as "open>leads>...: goal".
func chains(g *Graph, a *Answer) []string {
	var out []string
	for _, p := range a.Paths {
		var kinds []string
		for _, s := range p.Steps {
			kinds = append(kinds, g.Edges[s].Kind)
		}
		out = append(out, strings.Join(kinds, " ")+": "+g.Nodes[g.Edges[p.Steps[len(p.Steps)-1]].To].Key)
	}
	return out
}

// deployment is one with a container app; pod and container are further fields in YAML's flow style, beginning with a comma.
func deployment(ns, name, pod, container string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec: {template: {metadata: {labels: {app: %[2]s}}, spec: {automountServiceAccountToken: false, containers: [{name: app, image: img-%[2]s, ports: [{containerPort: 8080}] %[4]s}] %[3]s}}}
---
`, ns, name, pod, container)
}

// token is the field that mounts an account's token.
func token(account string) string {
	return ", serviceAccountName: " + account + ", volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: t}}]}}]"
}

func service(ns, name, kind string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %[2]s, namespace: %[1]s}\nspec: {type: %[3]s, selector: {app: %[2]s}, ports: [{port: 80}]}\n---\n", ns, name, kind)
}

func account(ns, name string) string {
	return "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " + name + ", namespace: " + ns + "}\n---\n"
}

const rbac = "apiVersion: rbac.authorization.k8s.io/v1\n"

// grant gives an account a ClusterRole of its own, in one namespace or ("") everywhere.
func grant(ns, account, where, name, rules string) string {
	kind, meta := "ClusterRoleBinding", "{name: "+name+"}"
	if where != "" {
		kind, meta = "RoleBinding", "{name: "+name+", namespace: "+where+"}"
	}
	return rbac + "kind: ClusterRole\nmetadata: {name: " + name + "}\nrules: " + rules + "\n---\n" +
		rbac + "kind: " + kind + "\nmetadata: " + meta + "\nroleRef: {kind: ClusterRole, name: " + name + "}\nsubjects: [{kind: ServiceAccount, namespace: " + ns + ", name: " + account + "}]\n---\n"
}

const (
	all         = "[{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]"
	readSecrets = "[{apiGroups: [''], resources: [secrets], verbs: [get, list]}]"
	runPods     = "[{apiGroups: [''], resources: [pods], verbs: [create]}]"
	execPods    = "[{apiGroups: [''], resources: [pods/exec], verbs: [create]}]"
	harmless    = "[{apiGroups: [''], resources: [configmaps], verbs: [get]}]"
)

func namespace(name, level string) string {
	return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {pod-security.kubernetes.io/enforce: " + level + "}}\n---\n"
}
