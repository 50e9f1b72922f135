package attack

import (
	"fmt"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// told reports whether a graph says that its limits left something out.
func told(g *Graph) bool {
	for _, x := range g.Gaps {
		if x.Code == "limits" && x.Count > 0 {
			return true
		}
	}
	return false
}

// TestCycle: accounts that mint each other's tokens in a ring end somewhere.
func TestCycle(t *testing.T) {
	text := exposed + deployment("shop", "web", token("a0"), "")
	for i := range 30 {
		text += account("shop", fmt.Sprint("a", i)) + grant("shop", fmt.Sprint("a", i), "", fmt.Sprint("g", i),
			fmt.Sprintf("[{apiGroups: [''], resources: [serviceaccounts/token], verbs: [create], resourceNames: [a%d]}]", (i+1)%30))
	}
	g := build(t, text, rce("img-web", web))
	if a := g.Rank(Question{}); len(a.Paths) != 0 {
		t.Errorf("%v", chains(g, a))
	}
	g = build(t, text+grant("shop", "a29", "", "boss", all), rce("img-web", web))
	a := g.Rank(Question{})
	checkGraph(t, g, a)
	for _, p := range a.Paths {
		if len(p.Steps) > maxPathSteps+1 {
			t.Errorf("%d steps", len(p.Steps))
		}
	}
}

// TestManyBindings: a hundred thousand bindings of one account, in as many namespaces, stay within the limits and that is told.
func TestManyBindings(t *testing.T) {
	c := cluster(t, exposed+deployment("shop", "web", token("a"), "")+account("shop", "a"))
	rules := []inventory.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets", "pods", "pods/exec", "serviceaccounts/token"}, Verbs: []string{"get", "create"}}}
	for i := range 100_000 {
		name := fmt.Sprint("n", i)
		c.Roles = append(c.Roles, &inventory.Role{Ref: inventory.Ref{Kind: "Role", Namespace: name, Name: "r"}, Rules: rules})
		c.Bindings = append(c.Bindings, &inventory.Binding{Ref: inventory.Ref{Kind: "RoleBinding", Namespace: name, Name: "r"}, RoleKind: "Role", RoleName: "r",
			Subjects: []inventory.Subject{access.Account("shop", "a")}})
	}
	ev := Listen(nobody{})
	ev.note(rce("img-web", web))
	ev.Cluster(c)
	g := ev.Graph()
	if len(g.Nodes) > maxNodes || len(g.Edges) > maxEdges || !told(g) {
		t.Errorf("%d nodes, %d edges, told %v", len(g.Nodes), len(g.Edges), told(g))
	}
	if a := g.Rank(Question{}); len(a.Paths) == 0 {
		t.Error("no path to Secrets")
	}
}

// TestManyHoles: a thousand vulnerabilities of one image keep the easiest, and one that is handled does not close the others.
func TestManyHoles(t *testing.T) {
	var found []*finding.Finding
	for i := range 1000 {
		f := vulnerable("img-web", fmt.Sprintf("CVE-2026-%04d", i), remoteCode, finding.High, web)
		f.Vulnerability.KEV = i == 777
		found = append(found, f)
	}
	g := build(t, exposed+deployment("shop", "web", token("a"), "")+account("shop", "a")+grant("shop", "a", "", "a", all), found...)
	for _, e := range g.Edges {
		if e.Kind == Exploit && (e.Proof[0].CVE != "CVE-2026-0777" || len(e.Findings) > maxFindings || !e.Partial || e.More == 0) {
			t.Errorf("%+v", e)
		}
	}
	if a := g.Rank(Question{Handled: func(string) bool { return true }}); len(a.Paths) != 1 {
		t.Errorf("%d paths: what is not kept may be open", len(a.Paths))
	}
}

// TestHostileNames: names and values of any length and kind stay text of bounded length.
func TestHostileNames(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	c := cluster(t, exposed+deployment("shop", "web", token("a"), "")+account("shop", "a"))
	c.Roles = append(c.Roles, &inventory.Role{Ref: inventory.Ref{Kind: "ClusterRole", Name: "%s%d"}, Rules: []inventory.PolicyRule{{APIGroups: []string{"", long}, Resources: []string{"secrets", long}, Verbs: []string{"get"}}}})
	c.Bindings = append(c.Bindings, &inventory.Binding{Ref: inventory.Ref{Kind: "ClusterRoleBinding", Name: "<b>%!s"}, RoleKind: "ClusterRole", RoleName: "%s%d", Subjects: []inventory.Subject{access.Account("shop", "a")}})
	ev := Listen(nobody{})
	ev.note(rce("img-web", web))
	ev.Cluster(c)
	for _, e := range ev.Graph().Edges {
		for _, p := range e.Proof {
			if len(p.Value) > 400 {
				t.Errorf("a value of %d bytes", len(p.Value))
			}
		}
	}
	if a := ev.Graph().Rank(Question{}); len(a.Paths) != 1 {
		t.Errorf("%d paths", len(a.Paths))
	}
	if g := Build(inventory.NewCluster("empty"), nil); len(g.Rank(Question{}).Paths) != 0 {
		t.Error("an empty cluster has paths")
	}
}
