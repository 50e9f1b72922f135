package access

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// StepKind is what an identity does to become another one.
type StepKind uint8

// The steps of a way to cluster-admin.
const (
	IsAdmin           StepKind = iota // it is allowed everything already
	MemberOf                          // it is in a group that holds the right
	RunPodAs                          // runs a pod under a service account of the namespace
	ExecInPod                         // runs commands in a pod that has the account's token
	ReadToken                         // reads a Secret with the token of a service account
	CreateTokenSecret                 // makes a token Secret for a service account and reads it
	MintToken                         // asks the API server for a token of a service account
	Impersonate                       // acts in the name of a user, group or service account
	BindRole                          // binds itself a stronger role
	EscalateRole                      // adds rights to a role it has
	SignCertificate                   // approves its own client certificate for another name
	RewriteRequests                   // adds rights to the objects that others create, by a mutating webhook
	ThroughKubelet                    // runs commands in any pod by way of the kubelet
	MapCloudUser                      // maps a cloud identity to system:masters in the aws-auth ConfigMap
)

// Step is one step of a way: From becomes To. The last step's To has Kind "" when what is reached is cluster-admin.
type Step struct {
	Kind      StepKind
	From      Subject
	To        Subject
	Namespace string  // in which the step is made; "" when the right is cluster-wide
	Grants    []Grant // the rights that make it possible
}

// node is a vertex of the ways: a subject, or a set of subjects that a right opens at once.
type node = int32

// way is the next step from a vertex to cluster-admin.
type way struct {
	to        node
	kind      StepKind
	namespace int32 // index of namespaces; -1 for the whole cluster
	steps     int32 // to cluster-admin; -1 when there is no way
}

// edge says that from becomes to. Set vertices lead to their members at no cost.
type edge struct {
	from, to  node
	namespace int32
	kind      StepKind
	free      bool
}

// ways is the shortest way of every subject.
type ways struct {
	g          *Graph
	namespaces []string
	nsIndex    map[string]int32
	next       []way
	own        []way // without the rights of everyone; next itself when everyone has no way
	first      node  // of the set vertices
	edges      []edge

	tokens      map[string][]node  // service accounts by the names of their token Secrets
	controllers map[string][]int32 // namespaces by the names of the controllers of pods in them
	awsAuth     bool               // EKS: identities of AWS are mapped to groups by the aws-auth ConfigMap
}

// The set vertices: cluster-wide ones first, then two for every namespace.
const (
	everything  = iota // cluster-admin
	allAccounts        // every service account
	podAccounts        // every service account that a pod runs under
	allUsers
	allTokens // every service account with a token Secret
	certified // every name a client certificate may carry
	sets
)

const perNamespace = 3 // service accounts, those of running pods, those with a token Secret

func (w *ways) set(kind int) node { return w.first + node(kind) }

func (w *ways) in(ns int32, kind int) node {
	return w.first + sets + perNamespace*ns + node(kind-allAccounts)
}

// kindIn maps the cluster-wide sets of accounts to their offset in a namespace.
const (
	nsAccounts    = allAccounts
	nsPodAccounts = allAccounts + 1
	nsTokens      = allAccounts + 2
)

func (g *Graph) paths() *ways {
	g.ways.once.Do(func() { g.ways.ways = g.findWays() })
	return g.ways.ways
}

func (g *Graph) findWays() *ways {
	w := &ways{g: g, nsIndex: map[string]int32{}, first: node(len(g.subjects)), tokens: map[string][]node{},
		controllers: map[string][]int32{}}
	for _, s := range g.subjects {
		if s.Kind == "ServiceAccount" {
			w.namespace(s.Namespace)
		}
	}
	for _, b := range g.bindings {
		if b.src.Ref.Namespace != "" {
			w.namespace(b.src.Ref.Namespace)
		}
	}
	w.addSets()
	w.addRights()
	w.next = w.search()
	w.own = w.next
	if w.everyoneHasWay() {
		w.edges = slices.DeleteFunc(w.edges, func(e edge) bool { return w.isEveryone(e.to) })
		w.own = w.search()
	}
	w.edges = nil
	return w
}

func (w *ways) namespace(name string) int32 {
	i, ok := w.nsIndex[name]
	if !ok {
		i = int32(len(w.namespaces))
		w.nsIndex[name] = i
		w.namespaces = append(w.namespaces, name)
	}
	return i
}

func (w *ways) add(from, to node, kind StepKind, ns int32, free bool) {
	w.edges = append(w.edges, edge{from, to, ns, kind, free})
}

// exists reports whether a service account is there to be used: a binding may name one that is not.
func (w *ways) exists(s Subject) bool {
	if w.g.cluster.ServiceAccounts[s.Namespace+"/"+s.Name] != nil || s.Name == "default" {
		return true
	}
	_, unread := w.g.cluster.Unread["ServiceAccount"]
	return unread || len(w.g.cluster.ServiceAccounts) == 0
}

// addSets connects the sets with their members, and the members with their groups.
func (w *ways) addSets() {
	g := w.g
	for ns := range w.namespaces {
		n := int32(ns)
		w.add(w.set(allAccounts), w.in(n, nsAccounts), 0, -1, true)
		w.add(w.set(podAccounts), w.in(n, nsPodAccounts), 0, -1, true)
		w.add(w.set(allTokens), w.in(n, nsTokens), 0, -1, true)
	}
	w.add(w.set(certified), w.set(allAccounts), 0, -1, true)
	w.add(w.set(certified), w.set(allUsers), 0, -1, true)
	for i, s := range g.subjects {
		id := node(i)
		switch s.Kind {
		case "ServiceAccount":
			if w.exists(s.Subject) {
				w.add(w.in(w.namespace(s.Namespace), nsAccounts), id, 0, -1, true)
			}
		case "User":
			w.add(w.set(allUsers), id, 0, -1, true)
		case "Group":
			// The API server refuses to sign system:masters.
			if s.Name != Masters && s.Name != Unauthenticated {
				w.add(w.set(certified), id, 0, -1, true)
			}
			if s.Name == Masters {
				w.add(id, w.set(everything), IsAdmin, -1, false)
			}
		}
		for _, name := range GroupsOf(s.Subject) {
			if group, ok := g.index[Group(name)]; ok {
				w.add(id, group, MemberOf, -1, true)
			}
		}
	}
	w.awsAuth = slices.ContainsFunc(g.cluster.ConfigMaps, func(m *inventory.ConfigMapMeta) bool {
		return m.Ref.Namespace == "kube-system" && m.Ref.Name == "aws-auth"
	})
	w.addPods()
	for _, s := range g.cluster.Secrets {
		if id, ok := w.tokenOf(s); ok {
			w.tokens[s.Ref.Name] = append(w.tokens[s.Ref.Name], id)
			w.add(w.in(w.namespace(s.Ref.Namespace), nsTokens), id, 0, -1, true)
		}
	}
}

// addPods connects each namespace with the service accounts that its pods carry tokens of.
func (w *ways) addPods() {
	g, running := w.g, map[node]bool{}
	for _, wl := range g.cluster.Workloads {
		if wl.Ref.Kind != "Pod" {
			w.controllers[wl.Ref.Name] = append(w.controllers[wl.Ref.Name], w.namespace(wl.Ref.Namespace))
		}
		if wl.Automount != nil && !*wl.Automount && !mountsToken(wl) {
			continue
		}
		if id, ok := g.index[Account(wl.Ref.Namespace, wl.ServiceAccount)]; ok && !running[id] {
			running[id] = true
			w.add(w.in(w.namespace(wl.Ref.Namespace), nsPodAccounts), id, 0, -1, true)
		}
	}
}

// mountsToken reports whether a workload mounts a token for the API server by a projected volume of its own.
func mountsToken(wl *inventory.Workload) bool {
	return slices.ContainsFunc(wl.Volumes, func(v inventory.Volume) bool { return slices.Contains(v.TokenAud, "") })
}

// tokenOf returns the service account whose token a Secret holds.
func (w *ways) tokenOf(s *inventory.SecretMeta) (node, bool) {
	if s.Type != "kubernetes.io/service-account-token" {
		return 0, false
	}
	id, ok := w.g.index[Account(s.Ref.Namespace, s.Annotations["kubernetes.io/service-account.name"])]
	return id, ok
}

// isEveryone reports whether a vertex is a group that every identity is in, or that is open to everybody.
func (w *ways) isEveryone(at node) bool {
	return at < w.first && everyone(w.g.subjects[at].Subject)
}

func everyone(s Subject) bool {
	return s.Kind == "Group" && (s.Name == Authenticated || s.Name == Unauthenticated)
}

func (w *ways) everyoneHasWay() bool {
	for _, name := range []string{Authenticated, Unauthenticated} {
		if id, ok := w.g.index[Group(name)]; ok && w.next[id].steps >= 0 {
			return true
		}
	}
	return false
}

// search finds the fewest steps from every vertex to cluster-admin, backwards.
func (w *ways) search() []way {
	n := int(w.first) + sets + perNamespace*len(w.namespaces)
	start := make([]int32, n+1)
	for _, e := range w.edges {
		start[e.to+1]++
	}
	for i := range n {
		start[i+1] += start[i]
	}
	in := make([]int32, len(w.edges))
	fill := slices.Clone(start[:n])
	for i, e := range w.edges {
		in[fill[e.to]] = int32(i)
		fill[e.to]++
	}
	next := make([]way, n)
	for i := range next {
		next[i].steps = -1
	}
	// Rounds of equal length: free edges stay within a round.
	next[w.set(everything)].steps = 0
	round := []node{w.set(everything)}
	for steps := int32(0); len(round) > 0; steps++ {
		var later []int32
		for i := 0; i < len(round); i++ {
			for _, at := range in[start[round[i]]:start[round[i]+1]] {
				e := &w.edges[at]
				if next[e.from].steps >= 0 {
					continue
				}
				if !e.free {
					later = append(later, at)
					continue
				}
				next[e.from] = way{e.to, e.kind, e.namespace, steps}
				round = append(round, e.from)
			}
		}
		round = round[:0]
		for _, at := range later {
			if e := &w.edges[at]; next[e.from].steps < 0 {
				next[e.from] = way{e.to, e.kind, e.namespace, steps + 1}
				round = append(round, e.from)
			}
		}
	}
	return next
}

// PathToAdmin returns the shortest way by which a subject can become cluster-admin; nil when there is none. One step of
// kind IsAdmin means that it is so already. Ways over a node's file system or over the network are not among them.
func (g *Graph) PathToAdmin(s Subject) []Step {
	w := g.paths()
	return w.path(w.next, s, true)
}

// OwnPathToAdmin is PathToAdmin over rights that not everyone has: ways of system:authenticated count for that group alone.
func (g *Graph) OwnPathToAdmin(s Subject) []Step {
	w := g.paths()
	if everyone(s) {
		return w.path(w.next, s, true)
	}
	return w.path(w.own, s, false)
}

// path reads a way off what a search found; all counts the groups of everyone for subjects that no binding names.
func (w *ways) path(next []way, s Subject, all bool) []Step {
	g := w.g
	s, ok := normal(s, "")
	if !ok {
		return nil
	}
	var out []Step
	at, known := g.index[s]
	if !known { // no binding names it: it has what its groups have
		at = -1
		for _, name := range GroupsOf(s) {
			if id, ok := g.index[Group(name)]; ok && (all || !w.isEveryone(id)) && next[id].steps >= 0 && (at < 0 || next[id].steps < next[at].steps) {
				at = id
			}
		}
	}
	if at < 0 || next[at].steps < 0 {
		return nil
	}
	if !known {
		out = append(out, Step{Kind: MemberOf, From: s, To: g.subjects[at].Subject})
	}
	for at < w.first {
		from, n := at, next[at]
		step := Step{Kind: n.kind, From: g.subjects[from].Subject}
		if n.namespace >= 0 {
			step.Namespace = w.namespaces[n.namespace]
		}
		for at = n.to; at >= w.first && at != w.set(everything); {
			at = next[at].to
		}
		if at < w.first {
			step.To = g.subjects[at].Subject
		}
		step.Grants = w.proof(step)
		out = append(out, step)
		if at == w.set(everything) {
			break
		}
	}
	return out
}

// proof returns the grants behind a step, one for each capability it needs.
func (w *ways) proof(s Step) []Grant {
	var out []Grant
	for _, c := range needs[s.Kind] {
		best, found := Grant{}, false
		for _, r := range w.g.grantsOf(s.From, c) {
			if r.Namespace != "" && r.Namespace != s.Namespace {
				continue
			}
			if !found || r.Through == "" && best.Through != "" {
				best, found = r, true
			}
		}
		if found {
			out = append(out, best)
		}
	}
	return out
}

// needs lists the capabilities that may stand behind a step; those the subject lacks are left out of the proof.
var needs = map[StepKind][]Capability{
	IsAdmin: {Admin}, RunPodAs: {RunPods}, ExecInPod: {ExecPods}, ReadToken: {ReadSecrets},
	CreateTokenSecret: {CreateSecrets, ReadSecrets}, MintToken: {MintTokens},
	Impersonate: {ImpersonateUsers, ImpersonateGroups, ImpersonateAccounts},
	BindRole:    {BindClusterRoles, WriteClusterBindings, WriteBindings}, EscalateRole: {EscalateClusterRoles, ChangeClusterRoles, EscalateRoles, ChangeRoles},
	SignCertificate: {CreateRequests, ApproveRequests, ApproveSigner}, RewriteRequests: {MutateRequests},
	ThroughKubelet: {NodesProxy}, MapCloudUser: {ChangeConfigMaps},
}

// grantsOf returns the grants of a capability that a subject has by itself or its groups, unlimited ones first.
func (g *Graph) grantsOf(s Subject, c Capability) []Grant {
	var out, limited []Grant
	visit := func(id int32, through string) {
		for _, at := range g.subjects[id].bindings {
			b := &g.bindings[at]
			if b.role < 0 || clusterOnly&(1<<c) != 0 && b.src.Ref.Namespace != "" {
				continue
			}
			o := &g.roles[b.role]
			switch {
			case o.caps.has(c):
				out = append(out, g.grant(s, through, b, g.ruleFor(o, c)))
			case o.named.has(c):
				limited = append(limited, g.grant(s, through, b, g.ruleFor(o, c)))
			}
		}
	}
	if id, ok := g.index[s]; ok {
		visit(id, "")
	}
	for _, name := range GroupsOf(s) {
		if id, ok := g.index[Group(name)]; ok {
			visit(id, name)
		}
	}
	return append(out, limited...)
}

// Held returns the capabilities that a subject has somewhere, by itself or its groups, resourceNames left aside.
func (g *Graph) Held(s Subject) []Capability {
	s, ok := normal(s, "")
	if !ok {
		return nil
	}
	var all bits
	collect := func(s Subject) {
		if id, known := g.index[s]; known {
			for _, at := range g.subjects[id].bindings {
				b := &g.bindings[at]
				switch {
				case b.role < 0:
				case b.src.Ref.Namespace != "":
					all |= g.roles[b.role].caps &^ clusterOnly
				default:
					all |= g.roles[b.role].caps
				}
			}
		}
	}
	collect(s)
	for _, name := range GroupsOf(s) {
		collect(Group(name))
	}
	var out []Capability
	for c := range capabilities {
		if all.has(c) {
			out = append(out, c)
		}
	}
	return out
}

// Has returns the grants of a capability that a subject has by itself or its groups, those without resourceNames first.
func (g *Graph) Has(s Subject, c Capability) []Grant {
	if s, ok := normal(s, ""); ok {
		return g.grantsOf(s, c)
	}
	return nil
}

// roleIsAdmin reports whether a ClusterRole of this name gives everything.
func (g *Graph) roleIsAdmin(name string) bool {
	at, ok := g.roleAt[roleKey{"", name}]
	return ok && g.roles[at].caps.has(Admin) || !ok && name == "cluster-admin"
}

// signs reports whether one of the signer names lets its holder sign API client certificates.
func signs(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		domain, ok := strings.CutSuffix(n, "/*")
		return n == "kubernetes.io/kube-apiserver-client" || ok && domain == "kubernetes.io"
	})
}
