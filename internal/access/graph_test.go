package access

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/inventory"
)

// cluster reads one cluster from YAML documents.
func cluster(t testing.TB, text string) *inventory.Cluster {
	t.Helper()
	c := inventory.NewCluster("test")
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var m map[string]any
		if err := dec.Decode(&m); err != nil {
			if err.Error() == "EOF" {
				return c
			}
			t.Fatal(err)
		}
		if m == nil {
			continue
		}
		o, ok := inventory.NewObject(m)
		if !ok {
			t.Fatalf("not an object: %v", m)
		}
		c.Add(o)
	}
}

const rbacHead = "apiVersion: rbac.authorization.k8s.io/v1\n"

func clusterRole(name, rules string) string {
	return rbacHead + "kind: ClusterRole\nmetadata: {name: " + name + "}\nrules: " + rules + "\n---\n"
}

func nsRole(ns, name, rules string) string {
	return rbacHead + "kind: Role\nmetadata: {name: " + name + ", namespace: " + ns + "}\nrules: " + rules + "\n---\n"
}

func crb(name, role, subjects string) string {
	return rbacHead + "kind: ClusterRoleBinding\nmetadata: {name: " + name + "}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: " +
		role + "}\nsubjects: " + subjects + "\n---\n"
}

func rb(ns, name, kind, role, subjects string) string {
	return rbacHead + "kind: RoleBinding\nmetadata: {name: " + name + ", namespace: " + ns + "}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: " +
		kind + ", name: " + role + "}\nsubjects: " + subjects + "\n---\n"
}

func account(ns, name string) string {
	return "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: " + name + ", namespace: " + ns + "}\n---\n"
}

const (
	alice = "[{kind: User, name: alice}]"
	ops   = "[{kind: Group, name: ops}]"
)

func sa(ns, name string) string {
	return "[{kind: ServiceAccount, name: " + name + ", namespace: " + ns + "}]"
}

func TestCan(t *testing.T) {
	user := Subject{Kind: "User", Name: "alice"}
	web := Account("shop", "web")
	get := func(resource, ns, name string) Right {
		return Right{Verb: "get", Resource: resource, Namespace: ns, Name: name}
	}
	tests := []struct {
		name, text string
		subject    Subject
		right      Right
		want       []string
	}{
		{"cluster role bound in the cluster", clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + crb("b", "r", alice),
			user, get("secrets", "", ""), []string{"ClusterRoleBinding b -> ClusterRole r rules[0]"}},
		{"cluster role bound in a namespace", clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + rb("shop", "b", "ClusterRole", "r", alice),
			user, get("secrets", "shop", ""), []string{"RoleBinding shop/b -> ClusterRole r rules[0]"}},
		{"and not elsewhere", clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + rb("shop", "b", "ClusterRole", "r", alice),
			user, get("secrets", "bank", ""), nil},
		{"nor cluster-wide", clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + rb("shop", "b", "ClusterRole", "r", alice),
			user, get("secrets", "", ""), nil},
		{"but somewhere", clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + rb("shop", "b", "ClusterRole", "r", alice),
			user, get("secrets", AnyNamespace, ""), []string{"RoleBinding shop/b -> ClusterRole r rules[0]"}},
		{"role of another namespace", nsRole("bank", "r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + rb("shop", "b", "Role", "r", alice),
			user, get("secrets", "shop", ""), nil},
		{"role in a cluster binding", nsRole("shop", "r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + strings.Replace(crb("b", "r", alice), "kind: ClusterRole,", "kind: Role,", 1),
			user, get("secrets", "shop", ""), nil},
		{"named, asked for the name", nsRole("shop", "r", "[{apiGroups: [''], resources: [secrets], verbs: [get], resourceNames: [tls]}]") + rb("shop", "b", "Role", "r", alice),
			user, get("secrets", "shop", "tls"), []string{"RoleBinding shop/b -> Role shop/r rules[0] (only tls)"}},
		{"named, asked for any", nsRole("shop", "r", "[{apiGroups: [''], resources: [secrets], verbs: [get], resourceNames: [tls]}]") + rb("shop", "b", "Role", "r", alice),
			user, get("secrets", "shop", ""), nil},
		{"star resource covers subresources", clusterRole("r", "[{apiGroups: [''], resources: ['*'], verbs: ['*']}]") + crb("b", "r", alice),
			user, Right{Verb: "create", Resource: "pods/exec"}, []string{"ClusterRoleBinding b -> ClusterRole r rules[0]"}},
		{"subresource of all", clusterRole("r", "[{apiGroups: [apps], resources: ['*/scale'], verbs: [update]}]") + crb("b", "r", alice),
			user, Right{Verb: "update", Group: "apps", Resource: "deployments/scale"}, []string{"ClusterRoleBinding b -> ClusterRole r rules[0]"}},
		{"is not the resource", clusterRole("r", "[{apiGroups: [apps], resources: ['*/scale'], verbs: [update]}]") + crb("b", "r", alice),
			user, Right{Verb: "update", Group: "apps", Resource: "deployments"}, nil},
		{"pods/* is no wildcard", clusterRole("r", "[{apiGroups: [''], resources: ['pods/*'], verbs: ['*']}]") + crb("b", "r", alice),
			user, Right{Verb: "create", Resource: "pods/exec"}, nil},
		{"other group", clusterRole("r", "[{apiGroups: [apps], resources: [secrets], verbs: [get]}]") + crb("b", "r", alice),
			user, get("secrets", "", ""), nil},
		{"by system:authenticated", clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + crb("b", "r", "[{kind: Group, name: 'system:authenticated'}]"),
			web, get("secrets", "", ""), []string{"Group system:authenticated -> ClusterRoleBinding b -> ClusterRole r rules[0]"}},
		{"by the accounts of the namespace", clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + crb("b", "r", "[{kind: Group, name: 'system:serviceaccounts:shop'}]"),
			web, get("secrets", "", ""), []string{"Group system:serviceaccounts:shop -> ClusterRoleBinding b -> ClusterRole r rules[0]"}},
		{"of another namespace", clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + crb("b", "r", "[{kind: Group, name: 'system:serviceaccounts:bank'}]"),
			web, get("secrets", "", ""), nil},
		{"anonymous is not authenticated", clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + crb("b", "r", "[{kind: Group, name: 'system:authenticated'}]"),
			Subject{Kind: "User", Name: Anonymous}, get("secrets", "", ""), nil},
		{"account named as a user", clusterRole("r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + crb("b", "r", "[{kind: User, name: 'system:serviceaccount:shop:web'}]"),
			web, get("secrets", "", ""), []string{"ClusterRoleBinding b -> ClusterRole r rules[0]"}},
		{"account without a namespace", nsRole("shop", "r", "[{apiGroups: [''], resources: [secrets], verbs: [get]}]") + rb("shop", "b", "Role", "r", "[{kind: ServiceAccount, name: web}]"),
			web, get("secrets", "shop", ""), []string{"RoleBinding shop/b -> Role shop/r rules[0]"}},
		{"URL by prefix", clusterRole("r", "[{nonResourceURLs: ['/metrics/*'], verbs: [get]}]") + crb("b", "r", alice),
			user, Right{Verb: "get", URL: "/metrics/cadvisor"}, []string{"ClusterRoleBinding b -> ClusterRole r rules[0]"}},
		{"URL in a namespace is nothing", clusterRole("r", "[{nonResourceURLs: ['*'], verbs: [get]}]") + rb("shop", "b", "ClusterRole", "r", alice),
			user, Right{Verb: "get", URL: "/metrics", Namespace: "shop"}, nil},
		{"masters need no binding", "", Group(Masters), get("secrets", "", ""), []string{"built in"}},
		{"no such role", crb("b", "gone", alice), user, get("secrets", "", ""), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, g := range Build(cluster(t, tt.text)).Can(tt.subject, tt.right) {
				got = append(got, g.String())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("Can = %q, want %q", got, tt.want)
			}
		})
	}
}

const aggregated = rbacHead + `kind: ClusterRole
metadata: {name: top}
aggregationRule:
  clusterRoleSelectors:
  - matchLabels: {to-top: "true"}
  - matchExpressions: [{key: tier, operator: In, values: [a, b]}]
---
` + rbacHead + `kind: ClusterRole
metadata: {name: middle, labels: {to-top: "true"}}
aggregationRule:
  clusterRoleSelectors: [{matchLabels: {to-middle: "true"}}]
---
` + rbacHead + `kind: ClusterRole
metadata: {name: leaf, labels: {to-middle: "true"}}
rules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]
---
` + rbacHead + `kind: ClusterRole
metadata: {name: side, labels: {tier: b}}
rules: [{apiGroups: [''], resources: [pods], verbs: [create]}]
---
` + rbacHead + `kind: ClusterRole
metadata: {name: loop, labels: {to-top: "true", to-loop: "true"}}
aggregationRule:
  clusterRoleSelectors: [{matchLabels: {to-loop: "true"}}, {matchLabels: {to-top: "true"}}]
rules: [{apiGroups: [''], resources: [nodes], verbs: [get]}]
---
`

func TestAggregation(t *testing.T) {
	g := Build(cluster(t, aggregated+crb("b", "top", alice)))
	user := Subject{Kind: "User", Name: "alice"}
	for _, tt := range []struct{ verb, resource, want string }{
		{"list", "secrets", "ClusterRoleBinding b -> ClusterRole top <- aggregated ClusterRole leaf rules[0]"},
		{"create", "pods", "ClusterRoleBinding b -> ClusterRole top <- aggregated ClusterRole side rules[0]"},
		{"get", "nodes", "ClusterRoleBinding b -> ClusterRole top <- aggregated ClusterRole loop rules[0]"},
	} {
		got := g.Can(user, Right{Verb: tt.verb, Resource: tt.resource})
		if len(got) != 1 || got[0].String() != tt.want {
			t.Errorf("%s %s: %v, want %s", tt.verb, tt.resource, got, tt.want)
		}
	}
}

// naive answers Can by the definition: try every binding, find its role by name, try every rule.
func naive(c *inventory.Cluster, s Subject, r Right) bool {
	if s.Kind == "Group" && s.Name == Masters {
		return true
	}
	names := map[Subject]bool{s: true}
	for _, g := range GroupsOf(s) {
		names[Group(g)] = true
	}
	for _, b := range c.Bindings {
		hit := false
		for _, sub := range b.Subjects {
			if n, ok := normal(sub, b.Ref.Namespace); ok && names[n] {
				hit = true
			}
		}
		if !hit || b.Ref.Namespace != "" && (r.URL != "" || r.Namespace != AnyNamespace && r.Namespace != b.Ref.Namespace) {
			continue
		}
		for _, o := range c.Roles {
			if o.Ref.Name != b.RoleName || o.Ref.Kind != b.RoleKind || o.Ref.Kind == "Role" && (b.Ref.Namespace == "" || o.Ref.Namespace != b.Ref.Namespace) {
				continue
			}
			if naiveRole(c, o, r, map[*inventory.Role]bool{}) {
				return true
			}
		}
	}
	return false
}

func naiveRole(c *inventory.Cluster, o *inventory.Role, r Right, seen map[*inventory.Role]bool) bool {
	if seen[o] {
		return false
	}
	seen[o] = true
	for i := range o.Rules {
		if naiveRule(o.Rules[i], r) {
			return true
		}
	}
	for _, m := range o.Aggregation {
		for _, p := range c.Roles {
			all := p.Ref.Kind == "ClusterRole"
			for k, v := range inventory.StrMap(m, "matchLabels") {
				all = all && p.Labels[k] == v
			}
			if all && naiveRole(c, p, r, seen) {
				return true
			}
		}
	}
	return false
}

func naiveRule(p inventory.PolicyRule, r Right) bool {
	any := func(list []string, ok func(string) bool) bool { return slices.ContainsFunc(list, ok) }
	if !any(p.Verbs, func(v string) bool { return v == "*" || v == r.Verb }) {
		return false
	}
	if r.URL != "" {
		return any(p.NonResourceURLs, func(v string) bool {
			return v == r.URL || strings.HasSuffix(v, "*") && strings.HasPrefix(r.URL, v[:len(v)-1])
		})
	}
	return any(p.APIGroups, func(v string) bool { return v == "*" || v == r.Group }) &&
		any(p.Resources, func(v string) bool {
			i := strings.Index(r.Resource, "/")
			return v == "*" || v == r.Resource || i >= 0 && v == "*"+r.Resource[i:]
		}) &&
		(len(p.ResourceNames) == 0 || any(p.ResourceNames, func(v string) bool { return v == r.Name && v != "" }))
}

var (
	someVerbs     = []string{"get", "list", "create", "update", "*", "bind", "impersonate", "escalate"}
	someGroups    = []string{"", "apps", rbacGroup, "*"}
	someResources = []string{"secrets", "pods", "pods/exec", "deployments", "deployments/scale", "*", "*/scale", "*/exec", "pods/*",
		"clusterroles", "clusterrolebindings", "roles", "rolebindings", "serviceaccounts/token", "users", "groups"}
	someSubjects = []Subject{{Kind: "User", Name: "u0"}, {Kind: "User", Name: "u1"}, {Kind: "User", Name: "system:serviceaccount:n0:a"},
		{Kind: "Group", Name: "g0"}, {Kind: "Group", Name: Authenticated}, {Kind: "Group", Name: Accounts},
		{Kind: "Group", Name: Accounts + ":n1"}, {Kind: "ServiceAccount", Namespace: "n0", Name: "a"},
		{Kind: "ServiceAccount", Namespace: "n1", Name: "a"}, {Kind: "ServiceAccount", Name: "a"}, {Kind: "User", Name: Anonymous}}
)

// randomCluster makes RBAC of a few roles and bindings that often meet.
func randomCluster(rnd *rand.Rand) *inventory.Cluster {
	c := inventory.NewCluster("random")
	pick := func(list []string) []string {
		out := []string{list[rnd.Intn(len(list))]}
		for range rnd.Intn(4) {
			out = append(out, list[rnd.Intn(len(list))])
		}
		return out
	}
	ns := func() string { return fmt.Sprint("n", rnd.Intn(2)) }
	for i := range 6 {
		r := &inventory.Role{Ref: inventory.Ref{Kind: "ClusterRole", Name: fmt.Sprint("r", i%4)}, Labels: map[string]string{"l": fmt.Sprint(rnd.Intn(3))}}
		if rnd.Intn(2) == 0 {
			r.Ref.Kind, r.Ref.Namespace = "Role", ns()
		} else if i >= 4 {
			r.Ref.Name = fmt.Sprint("r", i)
		}
		if r.Ref.Kind == "ClusterRole" && rnd.Intn(3) == 0 {
			r.Aggregation = append(r.Aggregation, map[string]any{"matchLabels": map[string]any{"l": fmt.Sprint(rnd.Intn(3))}})
		}
		for range 1 + rnd.Intn(3) {
			p := inventory.PolicyRule{Verbs: pick(someVerbs), APIGroups: pick(someGroups), Resources: pick(someResources)}
			switch rnd.Intn(5) {
			case 0:
				p.ResourceNames = pick([]string{"x", "y", "r0", "a"})
			case 1:
				p = inventory.PolicyRule{Verbs: pick(someVerbs), NonResourceURLs: pick([]string{"/metrics", "/metrics/*", "*", "/api*"})}
			}
			r.Rules = append(r.Rules, p)
		}
		c.Roles = append(c.Roles, r)
	}
	for i := range 10 {
		b := &inventory.Binding{Ref: inventory.Ref{Kind: "ClusterRoleBinding", Name: fmt.Sprint("b", i)}, RoleName: fmt.Sprint("r", rnd.Intn(6)),
			RoleKind: []string{"Role", "ClusterRole"}[rnd.Intn(2)]}
		if rnd.Intn(2) == 0 {
			b.Ref.Kind, b.Ref.Namespace = "RoleBinding", ns()
		}
		for range 1 + rnd.Intn(2) {
			b.Subjects = append(b.Subjects, someSubjects[rnd.Intn(len(someSubjects))])
		}
		c.Bindings = append(c.Bindings, b)
	}
	return c
}

func randomRight(rnd *rand.Rand) Right {
	r := Right{Verb: someVerbs[rnd.Intn(4)], Group: someGroups[rnd.Intn(3)], Resource: someResources[rnd.Intn(5)],
		Namespace: []string{"", "n0", "n1", AnyNamespace}[rnd.Intn(4)], Name: []string{"", "", "x", "a"}[rnd.Intn(4)]}
	if rnd.Intn(6) == 0 {
		r = Right{Verb: "get", URL: []string{"/metrics", "/metrics/a", "/api", "/"}[rnd.Intn(4)]}
	}
	return r
}

// TestCanIsNaive compares Can and Who with the definition on random clusters.
func TestCanIsNaive(t *testing.T) {
	yes := 0
	for seed := range int64(4000) {
		rnd := rand.New(rand.NewSource(seed))
		c := randomCluster(rnd)
		g := Build(c)
		for range 12 {
			s, ok := normal(someSubjects[rnd.Intn(len(someSubjects))], "n0")
			if !ok {
				t.Fatal("subject without a form")
			}
			r := randomRight(rnd)
			grants := g.Can(s, r)
			if want := naive(c, s, r); want != (len(grants) > 0) {
				t.Fatalf("seed %d: Can(%v, %+v) = %v, want %v", seed, s, r, grants, want)
			}
			direct := slices.ContainsFunc(grants, func(x Grant) bool { return x.Through == "" && x.Binding != nil })
			who := slices.ContainsFunc(g.Who(r), func(x Grant) bool { return x.Subject == s })
			if direct != who {
				t.Fatalf("seed %d: Who(%+v) names %v: %v, Can says %v", seed, r, s, who, direct)
			}
			if len(grants) > 0 {
				yes++
			}
		}
	}
	if yes < 4000 {
		t.Errorf("only %d rights were granted: the clusters are too thin to prove anything", yes)
	}
}

// TestHoldersIsWho: the capability table must agree with asking for each right it is spelled by.
func TestHoldersIsWho(t *testing.T) {
	for seed := range int64(1500) {
		c := randomCluster(rand.New(rand.NewSource(seed)))
		g := Build(c)
		for cap := range Admin {
			want := map[string]bool{}
			for _, w := range g.words.all {
				if w.cap != cap {
					continue
				}
				for verb := range strings.SplitSeq(w.verbs, " ") {
					r := Right{Verb: verb, Group: w.group, Resource: w.resource, Namespace: AnyNamespace}
					if clusterOnly&(1<<cap) != 0 {
						r.Namespace = ""
					}
					for _, x := range g.Who(r) {
						want[SubjectString(x.Subject)+" "+x.Namespace] = true
					}
				}
			}
			got := map[string]bool{}
			for _, x := range g.Holders(cap, false) {
				got[SubjectString(x.Subject)+" "+x.Namespace] = true
			}
			if len(got) != len(want) {
				t.Fatalf("seed %d capability %d: holders %v, want %v", seed, cap, got, want)
			}
			for k := range want {
				if !got[k] {
					t.Fatalf("seed %d capability %d: %s is missing", seed, cap, k)
				}
			}
		}
	}
}

// TestHeldIsHas: the set of capabilities must agree with the grants behind each of them.
func TestHeldIsHas(t *testing.T) {
	held := 0
	for seed := range int64(1500) {
		g := Build(randomCluster(rand.New(rand.NewSource(seed))))
		for _, s := range g.Subjects() {
			caps := g.Held(s)
			held += len(caps)
			for c := range capabilities {
				unlimited := slices.ContainsFunc(g.Has(s, c), func(x Grant) bool { return len(x.Names) == 0 })
				if unlimited != slices.Contains(caps, c) {
					t.Fatalf("seed %d: %v holds %v, grants of %d: %v", seed, s, caps, c, g.Has(s, c))
				}
			}
		}
	}
	if held < 1000 {
		t.Errorf("only %d capabilities held", held)
	}
}

func TestRulesAndAggregations(t *testing.T) {
	g := Build(cluster(t, aggregated+crb("b", "top", alice)+nsRole("shop", "r", createPod)+rb("shop", "c", "Role", "r", alice)))
	user := Subject{Kind: "User", Name: "alice"}
	if rules := g.Rules(user); len(rules) != 3 { // of leaf, side and loop; the binding in a namespace is left out
		t.Errorf("%d rules: %v", len(rules), rules)
	}
	if !g.Bound(user) || g.Bound(Subject{Kind: "User", Name: "bob"}) {
		t.Error("alice is bound and bob is not")
	}
	var got []string
	for _, a := range g.Aggregations() {
		got = append(got, fmt.Sprint(a.Part.Ref.Name, ">", a.Into.Ref.Name, a.Caps))
	}
	want := []string{fmt.Sprint("middle>top", []Capability{ReadSecrets}), fmt.Sprint("side>top", []Capability{RunPods}), fmt.Sprint("loop>top", []Capability{ReadSecrets}),
		fmt.Sprint("leaf>middle", []Capability{ReadSecrets}), fmt.Sprint("middle>loop", []Capability{ReadSecrets})}
	if !slices.Equal(got, want) {
		t.Errorf("aggregations %q, want %q", got, want)
	}
}
