package access

import "slices"

// named is a capability limited to some names, where it holds.
type named struct {
	cap       Capability
	namespace int32
	names     []string
}

// hand is what one subject holds, by scope.
type hand struct {
	cluster bits
	in      map[int32]bits // by namespace
	named   []named
}

// held collects what the bindings of a subject give, its groups left aside.
func (w *ways) held(id int32) hand {
	g, h := w.g, hand{}
	for _, at := range g.subjects[id].bindings {
		b := &g.bindings[at]
		if b.role < 0 {
			continue
		}
		o := &g.roles[b.role]
		ns := int32(-1)
		if b.src.Ref.Namespace == "" {
			h.cluster |= o.caps
		} else if caps := o.caps &^ clusterOnly &^ (1 << Admin); caps != 0 {
			ns = w.namespace(b.src.Ref.Namespace)
			if h.in == nil {
				h.in = map[int32]bits{}
			}
			h.in[ns] |= caps
		}
		if o.named != 0 {
			h.named = append(h.named, w.limits(o, b.src.Ref.Namespace)...)
		}
	}
	return h
}

// limits lists the name-limited capabilities of a role bound in a namespace.
func (w *ways) limits(o *role, namespace string) []named {
	var out []named
	ns := int32(-1)
	if namespace != "" {
		ns = w.namespace(namespace)
	}
	for _, p := range o.rules {
		b, limited := w.g.words.grants(p.policy)
		if !limited {
			continue
		}
		for c := range capabilities {
			if b.has(c) && (ns < 0 || clusterOnly&(1<<c) == 0) {
				out = append(out, named{c, ns, p.policy.ResourceNames})
			}
		}
	}
	return out
}

// addRights adds what every subject can do by its rights. A step that takes two rights counts when the subject has one
// and a group of it the other.
func (w *ways) addRights() {
	g := w.g
	hands := make([]hand, len(g.subjects))
	for i := range g.subjects {
		hands[i] = w.held(int32(i))
	}
	for i, s := range g.subjects {
		own, full := &hands[i], hands[i]
		if own.cluster == 0 && own.in == nil && own.named == nil {
			continue
		}
		for _, name := range GroupsOf(s.Subject) {
			if id, ok := g.index[Group(name)]; ok {
				full = merge(full, hands[id])
			}
		}
		id := node(i)
		w.clusterSteps(id, own, &full)
		for _, ns := range sortedScopes(own.in) {
			w.scopeSteps(id, ns, own.in[ns], full.in[ns]|full.cluster)
		}
		w.namedSteps(id, own, &full)
	}
}

func sortedScopes(m map[int32]bits) []int32 {
	keys := make([]int32, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func merge(a, b hand) hand {
	out := hand{cluster: a.cluster | b.cluster, in: a.in, named: a.named}
	if len(b.in) > 0 {
		out.in = make(map[int32]bits, len(a.in)+len(b.in))
		for _, m := range []map[int32]bits{a.in, b.in} {
			for k, v := range m {
				out.in[k] |= v
			}
		}
	}
	if len(b.named) > 0 {
		out.named = append(slices.Clip(a.named), b.named...)
	}
	return out
}

// anyNamed reports whether one of the name-limited capabilities in the whole cluster is c.
func (h *hand) anyNamed(c Capability, accept func(names []string) bool) bool {
	return slices.ContainsFunc(h.named, func(n named) bool {
		return n.cap == c && n.namespace < 0 && (accept == nil || accept(n.names))
	})
}

// clusterSteps adds the steps that rights in the whole cluster allow.
func (w *ways) clusterSteps(id node, own, full *hand) {
	o, f := own.cluster, full.cluster
	if o.has(Admin) {
		w.add(id, w.set(everything), IsAdmin, -1, false)
		return
	}
	both := func(c, d Capability) bool { return f.has(c) && f.has(d) && (o.has(c) || o.has(d)) }
	if both(BindClusterRoles, WriteClusterBindings) {
		w.add(id, w.set(everything), BindRole, -1, false)
	}
	if both(EscalateClusterRoles, ChangeClusterRoles) {
		// Every identity is bound some ClusterRole, be it by system:authenticated.
		w.add(id, w.set(everything), EscalateRole, -1, false)
	}
	if o.has(MutateRequests) {
		w.add(id, w.set(everything), RewriteRequests, -1, false)
	}
	someone := f.has(ImpersonateUsers) || f.has(ImpersonateAccounts) || full.anyNamed(ImpersonateUsers, nil) || full.anyNamed(ImpersonateAccounts, nil)
	masters := func(names []string) bool { return slices.Contains(names, Masters) }
	if someone && (f.has(ImpersonateGroups) || full.anyNamed(ImpersonateGroups, masters)) &&
		(o.has(ImpersonateGroups) || own.anyNamed(ImpersonateGroups, masters) || o.has(ImpersonateUsers) || o.has(ImpersonateAccounts)) {
		w.add(id, w.set(everything), Impersonate, -1, false)
	}
	if o.has(ImpersonateUsers) {
		w.add(id, w.set(allUsers), Impersonate, -1, false)
	}
	signer := f.has(ApproveSigner) || full.anyNamed(ApproveSigner, signs)
	if signer && f.has(ApproveRequests) && f.has(CreateRequests) &&
		(o&(1<<ApproveSigner|1<<ApproveRequests|1<<CreateRequests) != 0 || own.anyNamed(ApproveSigner, signs)) {
		w.add(id, w.set(certified), SignCertificate, -1, false)
	}
	if o.has(NodesProxy) {
		w.add(id, w.set(podAccounts), ThroughKubelet, -1, false)
	}
	if o.has(ChangeConfigMaps) && w.awsAuth {
		w.add(id, w.set(everything), MapCloudUser, -1, false)
	}
	if o.has(RunPods) {
		w.add(id, w.set(allAccounts), RunPodAs, -1, false)
	}
	if both(CreateSecrets, ReadSecrets) {
		w.add(id, w.set(allAccounts), CreateTokenSecret, -1, false)
	}
	if o.has(MintTokens) {
		w.add(id, w.set(allAccounts), MintToken, -1, false)
	}
	if o.has(ImpersonateAccounts) {
		w.add(id, w.set(allAccounts), Impersonate, -1, false)
	}
	if o.has(ExecPods) {
		w.add(id, w.set(podAccounts), ExecInPod, -1, false)
	}
	if o.has(ReadSecrets) {
		w.add(id, w.set(allTokens), ReadToken, -1, false)
	}
}

// scopeSteps adds the steps that rights in one namespace allow: o are the subject's own there, f all it has there.
func (w *ways) scopeSteps(id node, ns int32, o, f bits) {
	both := func(c, d Capability) bool { return f.has(c) && f.has(d) && (o.has(c) || o.has(d)) }
	accounts := w.in(ns, nsAccounts)
	switch {
	case o.has(RunPods):
		w.add(id, accounts, RunPodAs, ns, false)
	case o.has(MintTokens):
		w.add(id, accounts, MintToken, ns, false)
	case o.has(ImpersonateAccounts):
		w.add(id, accounts, Impersonate, ns, false)
	case both(CreateSecrets, ReadSecrets):
		w.add(id, accounts, CreateTokenSecret, ns, false)
	case both(BindClusterRoles, WriteBindings): // cluster-admin within the namespace
		w.add(id, accounts, BindRole, ns, false)
	case both(EscalateRoles, ChangeRoles):
		w.add(id, accounts, EscalateRole, ns, false)
	}
	if o.has(ExecPods) {
		w.add(id, w.in(ns, nsPodAccounts), ExecInPod, ns, false)
	}
	if o.has(ReadSecrets) {
		w.add(id, w.in(ns, nsTokens), ReadToken, ns, false)
	}
	if o.has(ChangeConfigMaps) && w.namespaces[ns] == "kube-system" && w.awsAuth {
		w.add(id, w.set(everything), MapCloudUser, ns, false)
	}
}

// namedSteps adds the steps that rights on single named objects allow.
func (w *ways) namedSteps(id node, own, full *hand) {
	for _, n := range own.named {
		switch n.cap {
		case MintTokens:
			w.namedAccounts(id, n, MintToken)
		case ImpersonateAccounts:
			w.namedAccounts(id, n, Impersonate)
		case ImpersonateUsers:
			for _, name := range n.names {
				if to, ok := w.g.index[Subject{Kind: "User", Name: name}]; ok {
					w.add(id, to, Impersonate, -1, false)
				}
			}
		case ImpersonateGroups:
			for _, name := range n.names {
				if to, ok := w.g.index[Group(name)]; ok && name != Masters && full.cluster.has(ImpersonateUsers) {
					w.add(id, to, Impersonate, -1, false)
				}
			}
		case ReadSecrets:
			w.namedTokens(id, n)
		case BindClusterRoles:
			w.namedBind(id, n, full)
		case EscalateClusterRoles:
			if n.namespace < 0 && full.cluster.has(ChangeClusterRoles) && w.bound(id, n.names) {
				w.add(id, w.set(everything), EscalateRole, -1, false)
			}
		case ChangeClusterRoles:
			if n.namespace < 0 && full.cluster.has(EscalateClusterRoles) && w.bound(id, n.names) {
				w.add(id, w.set(everything), EscalateRole, -1, false)
			}
		case MutateRequests: // an existing webhook can be pointed elsewhere
			w.add(id, w.set(everything), RewriteRequests, -1, false)
		case RunPods:
			w.namedRun(id, n)
		case ChangeConfigMaps:
			if w.awsAuth && slices.Contains(n.names, "aws-auth") && (n.namespace < 0 || w.namespaces[n.namespace] == "kube-system") {
				w.add(id, w.set(everything), MapCloudUser, n.namespace, false)
			}
		}
	}
}

// namedAccounts adds a step to each of the named service accounts of the namespace, or of all namespaces.
func (w *ways) namedAccounts(id node, n named, kind StepKind) {
	scope := w.namespaces
	if n.namespace >= 0 {
		scope = scope[n.namespace : n.namespace+1]
	}
	for _, name := range n.names {
		for _, namespace := range scope {
			if to, ok := w.g.index[Account(namespace, name)]; ok && w.exists(w.g.subjects[to].Subject) {
				w.add(id, to, kind, n.namespace, false)
			}
		}
	}
}

func (w *ways) namedTokens(id node, n named) {
	for _, name := range n.names {
		for _, to := range w.tokens[name] {
			if n.namespace < 0 || w.namespaces[n.namespace] == w.g.subjects[to].Namespace {
				w.add(id, to, ReadToken, n.namespace, false)
			}
		}
	}
}

// namedBind: who may bind a role that gives everything needs no other right.
func (w *ways) namedBind(id node, n named, full *hand) {
	if !slices.ContainsFunc(n.names, w.g.roleIsAdmin) {
		return
	}
	if n.namespace < 0 && full.cluster.has(WriteClusterBindings) {
		w.add(id, w.set(everything), BindRole, -1, false)
		return
	}
	for ns := range w.namespaces {
		ns := int32(ns)
		if (n.namespace < 0 || n.namespace == ns) && (full.cluster | full.in[ns]).has(WriteBindings) {
			w.add(id, w.in(ns, nsAccounts), BindRole, ns, false)
		}
	}
}

// namedRun: a named controller that exists can be given another pod.
func (w *ways) namedRun(id node, n named) {
	for _, name := range n.names {
		for _, ns := range w.controllers[name] {
			if n.namespace < 0 || n.namespace == ns {
				w.add(id, w.in(ns, nsAccounts), RunPodAs, ns, false)
			}
		}
	}
}

// bound reports whether one of the named ClusterRoles is bound to the subject, or to a group of it, in the whole
// cluster.
func (w *ways) bound(id node, names []string) bool {
	ids := []int32{id}
	for _, name := range GroupsOf(w.g.subjects[id].Subject) {
		if group, ok := w.g.index[Group(name)]; ok {
			ids = append(ids, group)
		}
	}
	for _, i := range ids {
		for _, at := range w.g.subjects[i].bindings {
			if b := w.g.bindings[at].src; b.Ref.Namespace == "" && slices.Contains(names, b.RoleName) {
				return true
			}
		}
	}
	return false
}
