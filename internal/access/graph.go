package access

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"stockade.dev/stockade/internal/inventory"
)

// Subject is whom rights are given to: a User, a Group or a ServiceAccount with its namespace.
type Subject = inventory.Subject

// The groups that Kubernetes puts identities into by itself.
const (
	Authenticated   = "system:authenticated"
	Unauthenticated = "system:unauthenticated"
	Accounts        = "system:serviceaccounts" // and system:serviceaccounts:NAMESPACE
	Masters         = "system:masters"         // may do everything, whatever RBAC says
	Anonymous       = "system:anonymous"       // the user behind a request without credentials
)

// Graph is who may do what. It is safe for concurrent use.
type Graph struct {
	cluster  *inventory.Cluster
	words    *vocabulary
	roles    []role
	roleAt   map[roleKey]int32
	bindings []binding
	subjects []subject
	index    map[Subject]int32

	ways waysOnce
}

type waysOnce struct {
	once sync.Once
	ways *ways
}

type roleKey struct{ namespace, name string } // namespace "" for a ClusterRole

// role is a role with everything aggregated into it.
type role struct {
	src      *inventory.Role
	rules    []rule
	caps     bits // not limited by resourceNames
	named    bits // limited
	bindings []int32
	parts    []int32 // roles aggregated into it directly
}

type rule struct {
	policy *inventory.PolicyRule
	source *inventory.Role // where it is written; another role when it came by aggregation
	index  int
}

type binding struct {
	src  *inventory.Binding
	role int32 // -1 when there is no such role
	who  []int32
}

type subject struct {
	Subject
	bindings []int32
}

// Build reads the RBAC of a cluster.
func Build(c *inventory.Cluster) *Graph {
	g := &Graph{cluster: c, words: newVocabulary(c.Version), roleAt: make(map[roleKey]int32, len(c.Roles)),
		index: map[Subject]int32{}}
	g.roles = make([]role, 0, len(c.Roles))
	for _, r := range c.Roles {
		g.addRole(r)
	}
	g.aggregate()
	for i := range g.roles {
		r := &g.roles[i]
		for _, p := range r.rules {
			if b, limited := g.words.grants(p.policy); limited {
				r.named |= b
			} else {
				r.caps |= b
			}
		}
		r.named &^= r.caps
	}
	g.bindings = make([]binding, 0, len(c.Bindings))
	for _, b := range c.Bindings {
		g.addBinding(b)
	}
	for _, sa := range c.ServiceAccounts {
		g.subject(Account(sa.Namespace, sa.Name))
	}
	for _, w := range c.Workloads {
		g.subject(Account(w.Ref.Namespace, w.ServiceAccount))
	}
	g.sortSubjects()
	return g
}

// Account is the subject of a service account.
func Account(namespace, name string) Subject {
	return Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
}

// Group is the subject of a group.
func Group(name string) Subject { return Subject{Kind: "Group", Name: name} }

// addRole adds a role. Roles of one name, which only files can hold, count as one with the rules of all.
func (g *Graph) addRole(r *inventory.Role) {
	key := roleKey{r.Ref.Namespace, r.Ref.Name}
	if r.Ref.Kind == "ClusterRole" {
		key.namespace = ""
	}
	at, known := g.roleAt[key]
	if !known {
		at = int32(len(g.roles))
		g.roleAt[key] = at
		g.roles = append(g.roles, role{src: r})
	}
	for i := range r.Rules {
		g.roles[at].rules = append(g.roles[at].rules, rule{&r.Rules[i], r, i})
	}
}

func (g *Graph) addBinding(b *inventory.Binding) {
	at := int32(len(g.bindings))
	key := roleKey{b.Ref.Namespace, b.RoleName}
	if b.RoleKind == "ClusterRole" {
		key.namespace = ""
	}
	n := binding{src: b, role: -1}
	// A ClusterRoleBinding can name a ClusterRole only.
	if r, ok := g.roleAt[key]; ok && (b.RoleKind == "ClusterRole" || b.RoleKind == "Role" && b.Ref.Namespace != "") {
		n.role = r
		g.roles[r].bindings = append(g.roles[r].bindings, at)
	}
	for _, s := range b.Subjects {
		s, ok := normal(s, b.Ref.Namespace)
		if !ok {
			continue
		}
		id := g.subject(s)
		if slices.Contains(n.who, id) {
			continue
		}
		n.who = append(n.who, id)
		g.subjects[id].bindings = append(g.subjects[id].bindings, at)
	}
	g.bindings = append(g.bindings, n)
}

// normal gives a subject the one form it is known by: a service account named as a user is that account, and one
// without a namespace is of the binding's.
func normal(s Subject, namespace string) (Subject, bool) {
	switch s.Kind {
	case "User":
		if rest, ok := strings.CutPrefix(s.Name, "system:serviceaccount:"); ok {
			if ns, name, ok := strings.Cut(rest, ":"); ok {
				return Account(ns, name), true
			}
		}
		return Subject{Kind: "User", Name: s.Name}, s.Name != ""
	case "Group":
		return Group(s.Name), s.Name != ""
	case "ServiceAccount":
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return Account(namespace, s.Name), namespace != "" && s.Name != ""
	}
	return s, false
}

func (g *Graph) subject(s Subject) int32 {
	id, ok := g.index[s]
	if !ok {
		id = int32(len(g.subjects))
		g.index[s] = id
		g.subjects = append(g.subjects, subject{Subject: s})
	}
	return id
}

// sortSubjects puts the subjects in an order that does not hang on the order of maps.
func (g *Graph) sortSubjects() {
	order := make([]int32, len(g.subjects))
	for i := range order {
		order[i] = int32(i)
	}
	sort.Slice(order, func(i, j int) bool { return less(g.subjects[order[i]].Subject, g.subjects[order[j]].Subject) })
	moved := make([]subject, len(order))
	to := make([]int32, len(order))
	for i, old := range order {
		moved[i], to[old] = g.subjects[old], int32(i)
		g.index[moved[i].Subject] = int32(i)
	}
	g.subjects = moved
	for i := range g.bindings {
		for j, id := range g.bindings[i].who {
			g.bindings[i].who[j] = to[id]
		}
	}
}

func less(a, b Subject) bool {
	if a.Kind != b.Kind {
		return a.Kind < b.Kind
	}
	if a.Namespace != b.Namespace {
		return a.Namespace < b.Namespace
	}
	return a.Name < b.Name
}

// Subjects returns every subject that is named by a binding or exists as a service account, in a stable order.
func (g *Graph) Subjects() []Subject {
	out := make([]Subject, len(g.subjects))
	for i, s := range g.subjects {
		out[i] = s.Subject
	}
	return out
}

// GroupsOf returns the groups that a subject, or every member of it, is certain to be in.
func GroupsOf(s Subject) []string {
	switch {
	case s.Kind == "ServiceAccount":
		return []string{Accounts, Accounts + ":" + s.Namespace, Authenticated}
	case s.Kind == "User" && s.Name == Anonymous:
		return []string{Unauthenticated}
	case s.Kind == "User":
		return []string{Authenticated}
	case s.Kind == "Group" && strings.HasPrefix(s.Name, Accounts+":"):
		return []string{Accounts, Authenticated}
	case s.Kind == "Group" && s.Name != Authenticated && s.Name != Unauthenticated:
		return []string{Authenticated} // only the anonymous user is without, and that is in no other group
	}
	return nil
}

// Grant is one reason why a subject has a right.
type Grant struct {
	Subject   Subject
	Through   string             // the group that holds it; "" when the subject does itself
	Binding   *inventory.Binding // nil for what Kubernetes itself grants to system:masters
	Role      *inventory.Role
	Source    *inventory.Role // the role the rule is written in: Role, or one aggregated into it
	Rule      int             // index in Source.Rules
	Namespace string          // where it holds; "" everywhere
	Names     []string        // resourceNames it is limited to
}

// String tells the way of the right: from the binding over the role to the rule.
func (g Grant) String() string {
	var b strings.Builder
	if g.Through != "" {
		fmt.Fprintf(&b, "Group %s -> ", g.Through)
	}
	if g.Binding == nil {
		return b.String() + "built in"
	}
	fmt.Fprintf(&b, "%s -> %s", g.Binding.Ref, g.Role.Ref)
	if g.Source != g.Role {
		fmt.Fprintf(&b, " <- aggregated %s", g.Source.Ref)
	}
	fmt.Fprintf(&b, " rules[%d]", g.Rule)
	if len(g.Names) > 0 {
		fmt.Fprintf(&b, " (only %s)", strings.Join(g.Names, ", "))
	}
	return b.String()
}

// SubjectString names a subject: "ServiceAccount shop/web", "Group ops".
func SubjectString(s Subject) string {
	if s.Namespace != "" {
		return s.Kind + " " + s.Namespace + "/" + s.Name
	}
	return s.Kind + " " + s.Name
}

// Can returns every reason why a subject has a right, its groups' included; none when it has not.
func (g *Graph) Can(s Subject, r Right) []Grant {
	var out []Grant
	s, ok := normal(s, "")
	if !ok {
		return nil
	}
	if s.Kind == "Group" && s.Name == Masters {
		out = append(out, Grant{Subject: s})
	}
	if id, known := g.index[s]; known {
		out = g.reasons(out, s, "", id, r)
	}
	for _, name := range GroupsOf(s) {
		if id, known := g.index[Group(name)]; known {
			out = g.reasons(out, s, name, id, r)
		}
	}
	return out
}

// reasons appends the grants of r that the subject id has by its own bindings, as grants to s.
func (g *Graph) reasons(out []Grant, s Subject, through string, id int32, r Right) []Grant {
	for _, at := range g.subjects[id].bindings {
		b := &g.bindings[at]
		if b.role < 0 || !inScope(b.src.Ref.Namespace, r) {
			continue
		}
		if p := g.roles[b.role].first(r); p != nil {
			out = append(out, g.grant(s, through, b, p))
		}
	}
	return out
}

func inScope(namespace string, r Right) bool {
	if namespace == "" {
		return true
	}
	return r.URL == "" && (r.Namespace == namespace || r.Namespace == AnyNamespace)
}

// first returns the first rule that gives r, preferring one without resourceNames; nil when none does.
func (o *role) first(r Right) *rule {
	var limited *rule
	for i := range o.rules {
		p := &o.rules[i]
		if !allows(p.policy, r) {
			continue
		}
		if len(p.policy.ResourceNames) == 0 || r.URL != "" {
			return p
		}
		if limited == nil {
			limited = p
		}
	}
	return limited
}

func (g *Graph) grant(s Subject, through string, b *binding, p *rule) Grant {
	return Grant{Subject: s, Through: through, Binding: b.src, Role: g.roles[b.role].src, Source: p.source, Rule: p.index,
		Namespace: b.src.Ref.Namespace, Names: p.policy.ResourceNames}
}

// Who returns every grant of a right to a subject that a binding names, by subject. Members of a group are not spelled
// out: the group is the subject.
func (g *Graph) Who(r Right) []Grant {
	var out []Grant
	for i := range g.roles {
		p := g.roles[i].first(r)
		if p == nil {
			continue
		}
		for _, at := range g.roles[i].bindings {
			b := &g.bindings[at]
			if !inScope(b.src.Ref.Namespace, r) {
				continue
			}
			for _, id := range b.who {
				out = append(out, g.grant(g.subjects[id].Subject, "", b, p))
			}
		}
	}
	sortGrants(out)
	return out
}

// Holders returns every grant of a capability to a subject that a binding names, by subject, the widest first. Rights
// limited by resourceNames are left out, unless limited asks for them alone.
func (g *Graph) Holders(c Capability, limited bool) []Grant {
	var out []Grant
	for i := range g.roles {
		o := &g.roles[i]
		if !limited && !o.caps.has(c) || limited && !o.named.has(c) {
			continue
		}
		p := g.ruleFor(o, c)
		for _, at := range o.bindings {
			b := &g.bindings[at]
			if p == nil || clusterOnly&(1<<c) != 0 && b.src.Ref.Namespace != "" {
				continue
			}
			for _, id := range b.who {
				out = append(out, g.grant(g.subjects[id].Subject, "", b, p))
			}
		}
	}
	sortGrants(out)
	return out
}

// ruleFor returns the rule of o that gives c, one without resourceNames if there is one.
func (g *Graph) ruleFor(o *role, c Capability) *rule {
	var found *rule
	for i := range o.rules {
		b, limited := g.words.grants(o.rules[i].policy)
		if b.has(c) && !limited {
			return &o.rules[i]
		}
		if b.has(c) && found == nil {
			found = &o.rules[i]
		}
	}
	return found
}

func sortGrants(list []Grant) {
	sort.SliceStable(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		if a.Subject != b.Subject {
			return less(a.Subject, b.Subject)
		}
		if a.Namespace != b.Namespace {
			return a.Namespace < b.Namespace
		}
		return a.Binding.Ref.Name < b.Binding.Ref.Name
	})
}

// Bound reports whether a binding names the subject itself.
func (g *Graph) Bound(s Subject) bool {
	id, ok := g.index[s]
	return ok && len(g.subjects[id].bindings) > 0
}

// Rules returns every rule that the subject itself is given in the whole cluster, each as the grant that gives it.
func (g *Graph) Rules(s Subject) []Grant {
	id, ok := g.index[s]
	if !ok {
		return nil
	}
	var out []Grant
	for _, at := range g.subjects[id].bindings {
		b := &g.bindings[at]
		if b.role < 0 || b.src.Ref.Namespace != "" {
			continue
		}
		for i := range g.roles[b.role].rules {
			out = append(out, g.grant(s, "", b, &g.roles[b.role].rules[i]))
		}
	}
	return out
}
