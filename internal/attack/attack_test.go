package attack

import (
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/finding"
)

const web = "shop/web"

var exposed = service("shop", "web", "LoadBalancer")

// TestPaths: what is dangerous has the path that it should have, and what was done right has none.
func TestPaths(t *testing.T) {
	boss := account("shop", "boss") + grant("shop", "boss", "", "boss", all)
	deny := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: NS}\nspec: {podSelector: {}, policyTypes: [Ingress]}\n---\n"
	calico := "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: calico-node, namespace: kube-system}\nspec: {template: {spec: {automountServiceAccountToken: false, containers: [{name: c, image: 'docker.io/calico/node:v3.28'}]}}}\n---\n"
	flannel := strings.ReplaceAll(calico, "calico/node:v3.28", "flannel/flannel:v0.25")
	node := func(name, more string) string {
		return "apiVersion: v1\nkind: Node\nmetadata: {name: " + name + ", labels: {" + more + "}}\n---\n"
	}
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true}]}\nspec: {nodeName: n1, automountServiceAccountToken: false, containers: [{name: app, image: img-web}]}\nstatus: {phase: Running}\n---\n"
	sealed := namespace("shop", "restricted") + namespace("bank", "restricted")
	redis := deployment("bank", "redis", token("boss"), "") + account("bank", "boss") + grant("bank", "boss", "", "boss", all)
	entry := "expose route exploit "
	tests := []struct {
		name, text string
		found      []*finding.Finding
		want       []string // with a hole
	}{
		{"nothing to gain", exposed + deployment("shop", "web", "", ""), []*finding.Finding{rce("img-web", web)}, nil},
		{"not exposed", service("shop", "web", "ClusterIP") + deployment("shop", "web", token("boss"), "") + boss, []*finding.Finding{rce("img-web", web)}, nil},
		{"no hole", exposed + deployment("shop", "web", token("boss"), "") + boss, nil, nil},
		{"a local hole", exposed + deployment("shop", "web", token("boss"), "") + boss,
			[]*finding.Finding{vulnerable("img-web", "CVE-1", "CVSS:3.1/AV:L/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", finding.Critical, web)}, nil},
		{"a hole that only stops the program", exposed + deployment("shop", "web", token("boss"), "") + boss,
			[]*finding.Finding{vulnerable("img-web", "CVE-1", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", finding.Critical, web)}, nil},
		{"a hole that takes a click", exposed + deployment("shop", "web", token("boss"), "") + boss,
			[]*finding.Finding{vulnerable("img-web", "CVE-1", "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", finding.Critical, web)}, nil},
		{"a medium hole", exposed + deployment("shop", "web", token("boss"), "") + boss, []*finding.Finding{vulnerable("img-web", "CVE-1", remoteCode, finding.Medium, web)}, nil},
		{"token of cluster-admin", exposed + deployment("shop", "web", token("boss"), "") + boss, []*finding.Finding{rce("img-web", web)}, []string{entry + "token right: admin"}},
		{"token that is not mounted", exposed + deployment("shop", "web", ", serviceAccountName: boss", "") + boss, []*finding.Finding{rce("img-web", web)}, nil},
		{"token without rights", exposed + deployment("shop", "web", token("weak"), "") + account("shop", "weak") + grant("shop", "weak", "", "weak", harmless), []*finding.Finding{rce("img-web", web)}, nil},
		{"reads all Secrets", exposed + deployment("shop", "web", token("r"), "") + account("shop", "r") + grant("shop", "r", "", "r", readSecrets), []*finding.Finding{rce("img-web", web)}, []string{entry + "token right: secrets/"}},
		{"reads the Secrets of another namespace", exposed + deployment("shop", "web", token("r"), "") + account("shop", "r") + grant("shop", "r", "bank", "r", readSecrets), []*finding.Finding{rce("img-web", web)}, []string{entry + "token right: secrets/bank"}},
		{"creates pods as a stronger account", sealed + exposed + deployment("shop", "web", token("r"), "") + account("shop", "r") + grant("shop", "r", "bank", "r", runPods) + redis, []*finding.Finding{rce("img-web", web)}, []string{entry + "token right right: admin"}},
		{"creates pods where only plain ones are let in", sealed + exposed + deployment("shop", "web", token("r"), "") + account("shop", "r") + grant("shop", "r", "bank", "r", runPods), []*finding.Finding{rce("img-web", web)}, nil},
		{"creates pods where privileged ones are let in", namespace("bank", "privileged") + exposed + deployment("shop", "web", token("r"), "") + account("shop", "r") + grant("shop", "r", "bank", "r", runPods), []*finding.Finding{rce("img-web", web)}, []string{entry + "token right: nodes/any"}},
		{"runs commands in a privileged pod", exposed + deployment("shop", "web", token("r"), "") + account("shop", "r") + grant("shop", "r", "bank", "r", execPods) + deployment("bank", "agent", "", ", securityContext: {privileged: true}"), []*finding.Finding{rce("img-web", web)}, []string{entry + "token right escape: nodes/any"}},
		{"privileged", exposed + deployment("shop", "web", "", ", securityContext: {privileged: true}"), []*finding.Finding{rce("img-web", web)}, []string{entry + "escape: nodes/any"}},
		{"docker socket", exposed + deployment("shop", "web", ", volumes: [{name: s, hostPath: {path: /var/run/docker.sock}}]", ", volumeMounts: [{name: s, mountPath: /s}]"), []*finding.Finding{rce("img-web", web)}, []string{entry + "escape: nodes/any"}},
		{"in a user namespace", exposed + deployment("shop", "web", ", hostUsers: false", ", securityContext: {privileged: true}"), []*finding.Finding{rce("img-web", web)}, nil},
		{"on the control plane", node("n1", "node-role.kubernetes.io/control-plane: ''") + exposed + deployment("shop", "web", "", ", securityContext: {privileged: true}") + pod, []*finding.Finding{rce("img-web", web)}, []string{entry + "escape pivot: admin"}},
		{"beside a strong token", node("n1", "") + exposed + deployment("shop", "web", "", ", securityContext: {privileged: true}") + pod + redis +
			strings.NewReplacer("web-1, namespace: shop", "redis-1, namespace: bank", "name: web,", "name: redis,", "img-web", "img-redis").Replace(pod), []*finding.Finding{rce("img-web", web)}, []string{entry + "escape pivot right: admin"}},
		{"a Secret in its variables", exposed + deployment("shop", "web", "", ", envFrom: [{secretRef: {name: db}}]"), []*finding.Finding{rce("img-web", web)}, []string{entry + "hold: credentials/Deployment shop/web/apps"}},
		{"behind an Ingress", service("shop", "web", "ClusterIP") + "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: shop}\nspec: {defaultBackend: {service: {name: web}}}\n---\n" + deployment("shop", "web", token("boss"), "") + boss, []*finding.Finding{rce("img-web", web)}, []string{entry + "token right: admin"}},
		{"shut by a policy", calico + strings.ReplaceAll(deny, "NS", "shop") + exposed + deployment("shop", "web", token("boss"), "") + boss, []*finding.Finding{rce("img-web", web)}, nil},
		{"a policy that nobody carries out", flannel + strings.ReplaceAll(deny, "NS", "shop") + exposed + deployment("shop", "web", token("boss"), "") + boss, []*finding.Finding{rce("img-web", web)}, []string{entry + "token right: admin"}},
		{"over the network", exposed + deployment("shop", "web", "", "") + redis, []*finding.Finding{rce("img-web", web), rce("img-redis", "bank/redis")}, []string{entry + "lateral exploit token right: admin"}},
		{"over a network that is shut", calico + strings.ReplaceAll(deny, "NS", "bank") + exposed + deployment("shop", "web", "", "") + redis, []*finding.Finding{rce("img-web", web), rce("img-redis", "bank/redis")}, nil},
		{"over the network to what leads nowhere", exposed + deployment("shop", "web", "", "") + deployment("bank", "redis", "", ""), []*finding.Finding{rce("img-web", web), rce("img-redis", "bank/redis")}, nil},
		{"a door without a lock", exposed + deployment("shop", "web", token("boss"), "") + boss,
			[]*finding.Finding{{Kind: finding.Configuration, Rule: "image/default-credentials", Severity: finding.High, Status: finding.Open, Fingerprint: "ab", Resource: finding.Resource{Image: "img-web", Workloads: rce("", web).Resource.Workloads}}}, []string{"expose route open token right: admin"}},
		{"an account without a password that nobody can use", exposed + deployment("shop", "web", token("boss"), "") + boss,
			[]*finding.Finding{{Kind: finding.Configuration, Rule: "image/open-account", Severity: finding.Critical, Status: finding.Open, Fingerprint: "ab", Resource: finding.Resource{Image: "img-web", Workloads: rce("", web).Resource.Workloads}}}, nil},
		{"a finding that is suppressed", exposed + deployment("shop", "web", token("boss"), "") + boss, []*finding.Finding{func() *finding.Finding { f := rce("img-web", web); f.Status = finding.Suppressed; return f }()}, nil},
		{"a cloud identity", exposed + deployment("shop", "web", token("r"), "") + "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: r, namespace: shop, annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::1:role/r'}}\n---\n", []*finding.Finding{rce("img-web", web)}, []string{entry + "token right: cloud/arn:aws:iam::1:role/r"}},
		{"anonymous requests", rbac + "kind: ClusterRoleBinding\nmetadata: {name: open}\nroleRef: {kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: User, name: 'system:anonymous'}]\n---\n" + rbac + "kind: ClusterRole\nmetadata: {name: cluster-admin}\nrules: " + all + "\n---\n", nil, []string{"expose open right: admin"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := build(t, tt.text, tt.found...)
			a := g.Rank(Question{})
			if got := chains(g, a); !slices.Equal(got, tt.want) {
				t.Errorf("paths\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
			checkGraph(t, g, a)
		})
	}
}

// TestAssume: what has no known way in counts when it is asked for, and only then.
func TestAssume(t *testing.T) {
	g := build(t, exposed+deployment("shop", "web", token("boss"), "")+account("shop", "boss")+grant("shop", "boss", "", "boss", all))
	if a := g.Rank(Question{}); len(a.Paths) != 0 {
		t.Errorf("%v", chains(g, a))
	}
	a := g.Rank(Question{Assume: true})
	if got := chains(g, a); !slices.Equal(got, []string{"expose route assumed token right: admin"}) {
		t.Errorf("%v", got)
	}
}

// TestHandled: a hole whose findings are all handled is none; one that is open is enough.
func TestHandled(t *testing.T) {
	one, two := rce("img-web", web), vulnerable("img-web", "CVE-2022-22965", remoteCode, finding.Critical, web)
	g := build(t, exposed+deployment("shop", "web", token("boss"), "")+account("shop", "boss")+grant("shop", "boss", "", "boss", all), one, two)
	for _, tt := range []struct {
		handled []string
		paths   int
	}{{nil, 1}, {[]string{one.Fingerprint}, 1}, {[]string{one.Fingerprint, two.Fingerprint}, 0}} {
		a := g.Rank(Question{Handled: func(f string) bool { return slices.Contains(tt.handled, f) }})
		if len(a.Paths) != tt.paths || (a.Handled > 0) != (tt.paths == 0) {
			t.Errorf("%d handled: %d paths, want %d; %d edges left out", len(tt.handled), len(a.Paths), tt.paths, a.Handled)
		}
	}
}

// TestGroups: the same image with the same rights ten times is one path, that only the image ends at once.
func TestGroups(t *testing.T) {
	text := account("shop", "boss") + grant("shop", "boss", "", "boss", all)
	f := rce("img-x")
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		text += service("shop", name, "LoadBalancer") + strings.ReplaceAll(deployment("shop", name, token("boss"), ""), "img-"+name, "img-x")
		f.Resource.Workloads = append(f.Resource.Workloads, finding.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: name, Container: "app"})
	}
	g := build(t, text, f)
	a := g.Rank(Question{})
	if len(a.Paths) != 1 || a.Paths[0].Alike != 9 {
		t.Fatalf("%v, %d alike", chains(g, a), a.Paths[0].Alike)
	}
	if len(a.Cuts) != 1 || a.Cuts[0].Removes != 1 {
		t.Fatalf("cuts %+v", a.Cuts)
	}
	if k := g.Changes[a.Cuts[0].Changes[0]].Key; !strings.HasPrefix(k, "image/") && !strings.HasPrefix(k, "unbind/") {
		t.Errorf("cut %s does not end all ten", k)
	}
}

// TestSees: who sees one namespace gets the paths that lie wholly in it, proof included.
func TestSees(t *testing.T) {
	text := exposed + deployment("shop", "web", token("r"), ", envFrom: [{secretRef: {name: db}}]") + account("shop", "r") + grant("shop", "r", "", "r", readSecrets)
	g := build(t, text, rce("img-web", web))
	if a := g.Rank(Question{}); len(a.Paths) != 2 {
		t.Fatalf("%v", chains(g, a))
	}
	a := g.Rank(Question{Sees: func(ns string) bool { return ns == "shop" }})
	if got := chains(g, a); !slices.Equal(got, []string{"expose route exploit hold: credentials/Deployment shop/web/apps"}) || a.Hidden == 0 {
		t.Errorf("%v, %d hidden", got, a.Hidden)
	}
	if a := g.Rank(Question{Sees: func(ns string) bool { return ns == "bank" }}); len(a.Paths) != 0 || len(a.Cuts) != 0 {
		t.Errorf("bank sees %v", chains(g, a))
	}
	if a := g.Rank(Question{Namespace: []string{"bank"}}); len(a.Paths) != 0 {
		t.Errorf("of bank: %v", chains(g, a))
	}
}

// TestTwoBindings: a right that two bindings give is ended by both, and the cut says so.
func TestTwoBindings(t *testing.T) {
	text := exposed + deployment("shop", "web", token("r"), "") + account("shop", "r") + grant("shop", "r", "", "one", readSecrets) + grant("shop", "r", "", "two", readSecrets)
	g := build(t, text, rce("img-web", web))
	for _, c := range g.Edges {
		if c.Kind != Right {
			continue
		}
		if len(c.Cuts) != 1 || len(c.Cuts[0]) != 2 {
			t.Errorf("%s: cuts %v", c.Title.EN, c.Cuts)
		}
	}
}

// TestGaps: what could not be looked at is told.
func TestGaps(t *testing.T) {
	c := cluster(t, exposed+deployment("shop", "web", "", ""))
	c.Unread["Secret"] = "forbidden"
	c.Managed = true
	ev := Listen(nobody{})
	_ = ev.Asset(finding.Asset{Kind: "image", Name: "img-web", Unread: "no route"})
	_ = ev.NotScanned(finding.NotScanned{What: "vulnerabilities", Reason: "no database"})
	ev.Cluster(c)
	var got []string
	for _, g := range ev.Graph().Gaps {
		got = append(got, g.Code)
		if g.Title.EN == "" || g.Title.ZH == "" || g.Detail.EN == "" || g.Detail.ZH == "" || strings.Contains(g.Title.EN+g.Title.ZH+g.Detail.EN+g.Detail.ZH, "%!") {
			t.Errorf("%+v", g)
		}
	}
	if want := []string{"network", "vulnerabilities", "images", "unread", "control-plane"}; !slices.Equal(got, want) {
		t.Errorf("gaps %v, want %v", got, want)
	}
}
