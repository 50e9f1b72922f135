package attack

import (
	"cmp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// strength is a service account that leads on, and how far: 100 is cluster-admin.
type strength struct {
	who   access.Subject
	worth int
}

func sortAccounts(list []strength) {
	slices.SortStableFunc(list, func(x, y strength) int {
		return cmp.Or(cmp.Compare(y.worth, x.worth), strings.Compare(x.who.Namespace, y.who.Namespace), strings.Compare(x.who.Name, y.who.Name))
	})
}

// dangerous are the capabilities that lead on.
var dangerous = []access.Capability{access.Admin, access.ReadSecrets, access.RunPods, access.ExecPods, access.MintTokens, access.ImpersonateUsers,
	access.ImpersonateGroups, access.ImpersonateAccounts, access.BindClusterRoles, access.EscalateClusterRoles, access.EscalateRoles, access.MutateRequests, access.NodesProxy}

// rankAccounts finds the service accounts that lead on, and what pods and Secrets carry their tokens.
func (b *builder) rankAccounts() {
	b.worths, b.tokens, b.byNamespace, b.carried = map[access.Subject]int{}, map[string]*access.Subject{}, map[string][]*inventory.Workload{}, map[access.Subject]bool{}
	b.accounts = map[string][]strength{}
	for _, w := range b.c.Workloads {
		b.byNamespace[w.Ref.Namespace] = append(b.byNamespace[w.Ref.Namespace], w)
		if analyze.TokenMounted(b.c, w) && !w.Static {
			b.carried[access.Account(w.Ref.Namespace, w.ServiceAccount)] = true
		}
	}
	for _, s := range b.access.Subjects() {
		if s.Kind != "ServiceAccount" || !b.exists(s) {
			continue
		}
		if n := b.worth(s); n > 0 {
			b.accounts[s.Namespace] = append(b.accounts[s.Namespace], strength{s, n})
			b.accounts[""] = append(b.accounts[""], strength{s, n})
		}
	}
	for _, list := range b.accounts {
		sortAccounts(list)
	}
	for _, s := range b.c.Secrets {
		if name := s.Annotations["kubernetes.io/service-account.name"]; s.Type == "kubernetes.io/service-account-token" && name != "" {
			who := access.Account(s.Ref.Namespace, name)
			if b.worth(who) > 0 {
				b.tokens[s.Ref.Namespace+"/"+s.Ref.Name] = &who
			}
		}
	}
}

func (b *builder) exists(s access.Subject) bool {
	_, unread := b.c.Unread["ServiceAccount"]
	return unread || s.Name == "default" || len(b.c.ServiceAccounts) == 0 || b.c.ServiceAccounts[s.Namespace+"/"+s.Name] != nil
}

// worth says how far an identity leads: 0 nowhere.
func (b *builder) worth(s access.Subject) int {
	n, known := b.worths[s]
	if known {
		return n
	}
	if steps := b.access.PathToAdmin(s); len(steps) > 0 {
		n = max(60, 101-len(steps))
	} else {
		for _, c := range b.access.Held(s) {
			switch {
			case c == access.ReadSecrets:
				n = max(n, 40)
			case slices.Contains(dangerous, c):
				n = max(n, 20)
			}
		}
		if n == 0 && len(b.access.Has(s, access.ReadSecrets)) > 0 {
			n = 10 // some by name
		}
		if sa := b.c.ServiceAccounts[s.Namespace+"/"+s.Name]; s.Kind == "ServiceAccount" && n < 30 && sa != nil && cloudRole(sa) != "" {
			n = 30
		}
	}
	b.worths[s] = n
	return n
}

// leadsOn reports whether commands in a workload are worth having.
func (b *builder) leadsOn(w *inventory.Workload) bool {
	if len(analyze.Escapes(w)) > 0 || analyze.TokenMounted(b.c, w) && b.worth(access.Account(w.Ref.Namespace, w.ServiceAccount)) > 0 {
		return true
	}
	for _, c := range running(w) {
		if len(c.EnvSecrets) > 0 {
			return true
		}
	}
	return slices.ContainsFunc(w.Volumes, func(v inventory.Volume) bool { return len(v.Secrets) > 0 })
}

func (b *builder) admin() int32 {
	id, _ := b.node(Node{Key: "admin", Kind: Admin, Value: 100, Label: say("cluster-admin", "cluster-admin（集群管理员）"),
		Ref: Object{"rbac.authorization.k8s.io/v1", "ClusterRole", "", "cluster-admin"}})
	return id
}

// identity is the state of acting as a subject. What its rights give is looked into once.
func (b *builder) identity(s access.Subject) int32 {
	ref := Object{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}
	if s.Kind == "ServiceAccount" {
		ref.APIVersion = "v1"
	}
	id, added := b.node(Node{Key: "identity/" + access.SubjectString(s), Kind: Identity, Ref: ref, Label: say("%s %s", "%s %s", s.Kind, s.Name)})
	if added {
		b.queue = append(b.queue, func() { b.rights(s, id) })
	}
	return id
}

// leap is a right that opens more, and what it takes.
type leap struct {
	kind  access.StepKind
	needs []access.Capability // all of them
	to    int
	local bool // counts within a namespace too
	title finding.Text
	ease  float64
}

// What a leap opens.
const (
	toAdmin    = iota
	toAccounts // every service account in scope
	toPods     // every service account that a pod in scope carries, and what such a pod can leave
	toTokens   // every service account with a token Secret in scope, and the Secrets
)

var leaps = []leap{
	{access.BindRole, []access.Capability{access.BindClusterRoles, access.WriteClusterBindings}, toAdmin, false, say("binds itself cluster-admin", "为自己绑定 cluster-admin"), 0.95},
	{access.EscalateRole, []access.Capability{access.EscalateClusterRoles, access.ChangeClusterRoles}, toAdmin, false, say("adds rights to a role that it has", "为自己拥有的角色增加权限"), 0.95},
	{access.RewriteRequests, []access.Capability{access.MutateRequests}, toAdmin, false, say("adds rights to what others create, by a mutating webhook", "通过变更型 webhook 在他人创建的对象中加入权限"), 0.7},
	{access.Impersonate, []access.Capability{access.ImpersonateUsers, access.ImpersonateGroups}, toAdmin, false, say("acts as system:masters", "冒充 system:masters"), 0.95},
	{access.RunPodAs, []access.Capability{access.RunPods}, toAccounts, true, say("starts a pod as", "创建 Pod 并使用身份 "), 0.9},
	{access.MintToken, []access.Capability{access.MintTokens}, toAccounts, true, say("asks for a token of", "签发 token："), 0.95},
	{access.Impersonate, []access.Capability{access.ImpersonateAccounts}, toAccounts, true, say("acts as", "冒充 "), 0.95},
	{access.CreateTokenSecret, []access.Capability{access.CreateSecrets, access.ReadSecrets}, toAccounts, true, say("makes and reads a token Secret of", "创建并读取 token Secret："), 0.9},
	{access.BindRole, []access.Capability{access.BindClusterRoles, access.WriteBindings}, toAccounts, true, say("gives itself all rights in the namespace and becomes", "在命名空间内绑定全部权限，成为 "), 0.9},
	{access.EscalateRole, []access.Capability{access.EscalateRoles, access.ChangeRoles}, toAccounts, true, say("gives itself all rights in the namespace and becomes", "在命名空间内提升自身权限，成为 "), 0.85},
	{access.ExecInPod, []access.Capability{access.ExecPods}, toPods, true, say("runs commands in a pod of", "进入使用该身份的 Pod："), 0.95},
	{access.ThroughKubelet, []access.Capability{access.NodesProxy}, toPods, false, say("runs commands through the kubelet in a pod of", "通过 kubelet 进入使用该身份的 Pod："), 0.9},
	{access.ReadToken, []access.Capability{access.ReadSecrets}, toTokens, true, say("reads the token Secret of", "读取 token Secret："), 0.95},
}

// rights adds everything that an identity's rights open.
func (b *builder) rights(s access.Subject, at int32) {
	first := len(b.g.Edges)
	if sa := b.c.ServiceAccounts[s.Namespace+"/"+s.Name]; s.Kind == "ServiceAccount" && sa != nil {
		b.cloudIdentity(sa, at)
	}
	if h := b.held(s, access.Admin); len(h.everywhere) > 0 {
		b.right(at, b.admin(), 1, say("may do everything", "可执行任何操作"), h.everywhere, "admin")
		return
	}
	known := map[access.Capability]*holding{}
	for i := range leaps {
		l := &leaps[i]
		var has []*holding
		for _, c := range l.needs {
			if known[c] == nil {
				known[c] = b.held(s, c)
			}
			has = append(has, known[c])
		}
		for _, scope := range b.scopes(l, has) {
			var grants []access.Grant
			var cuts [][]int32
			for _, h := range has {
				list := h.at(scope)
				grants = append(grants, list...)
				if cut := b.unbind(list); cut != nil {
					cuts = append(cuts, cut)
				}
			}
			b.leap(at, l, scope, grants, cuts)
		}
	}
	b.namedSecrets(known[access.ReadSecrets], at)
	b.shortest(s, at, first)
}

// holding is the grants of one capability that a subject has: without names, by where they hold, and those limited to names.
type holding struct {
	everywhere []access.Grant
	in         map[string][]access.Grant
	spaces     []string // of in, in order
	named      []access.Grant
}

// held sorts the grants of a capability: identities may have a hundred thousand.
func (b *builder) held(s access.Subject, c access.Capability) *holding {
	h := &holding{in: map[string][]access.Grant{}}
	for _, g := range b.access.Has(s, c) {
		switch {
		case len(g.Names) > 0:
			h.named = append(h.named, g)
		case g.Namespace == "":
			h.everywhere = append(h.everywhere, g)
		default:
			if h.in[g.Namespace] == nil {
				h.spaces = append(h.spaces, g.Namespace)
			}
			h.in[g.Namespace] = append(h.in[g.Namespace], g)
		}
	}
	slices.Sort(h.spaces)
	return h
}

// at lists the grants that count in a scope.
func (h *holding) at(scope string) []access.Grant {
	return slices.Concat(h.everywhere, h.in[scope])
}

// scopes lists where a subject holds all that a leap needs: "" for everywhere.
func (b *builder) scopes(l *leap, has []*holding) []string {
	if !slices.ContainsFunc(has, func(h *holding) bool { return len(h.everywhere) == 0 }) {
		return []string{""}
	}
	if !l.local {
		return nil
	}
	var out []string
	seen := map[string]bool{}
	for _, h := range has {
		for _, ns := range h.spaces {
			if !seen[ns] && !slices.ContainsFunc(has, func(o *holding) bool { return len(o.everywhere) == 0 && len(o.in[ns]) == 0 }) {
				out = append(out, ns)
			}
			seen[ns] = true
		}
	}
	slices.Sort(out)
	if len(out) > maxScopes {
		b.cut["scopes"] += len(out) - maxScopes
		out = out[:maxScopes]
	}
	return out
}

// unbind is the removal of every binding of some grants; nil when one cannot be removed.
func (b *builder) unbind(list []access.Grant) []int32 {
	var out []int32
	for _, g := range list {
		if g.Binding == nil {
			return nil
		}
		ref := objectOf(g.Binding.Ref)
		id := b.change("unbind/"+ref.String(), func() Change {
			return Change{Ref: ref, Title: say("Remove %s", "删除 %s", ref),
				Fix: say("Delete the binding, or bind a role without this right in place of %s %s.", "删除该绑定，或改为绑定不含此权限的角色以替换 %s %s。", g.Binding.RoleKind, g.Binding.RoleName)}
		})
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	if len(out) > 8 {
		return nil
	}
	return out
}

// right adds an edge that rests on one right.
func (b *builder) right(from, to int32, ease float64, title finding.Text, grants []access.Grant, what string) {
	var cuts [][]int32
	if cut := b.unbind(grants); cut != nil {
		cuts = [][]int32{cut}
	}
	b.edge(Edge{From: from, To: to, Kind: Right, Ease: ease, Title: title, Proof: b.grantProof(grants), Cuts: cuts}, what)
}

func (b *builder) grantProof(list []access.Grant) []Proof {
	var out []Proof
	for _, g := range list {
		if g.Binding == nil {
			out = append(out, Proof{Object: Object{Kind: "Group", Name: g.Subject.Name}, Value: "built in"})
			continue
		}
		p := Proof{Object: objectOf(g.Binding.Ref), Path: "roleRef", Value: g.Binding.RoleKind + " " + g.Binding.RoleName}
		if g.Through != "" {
			p.Path, p.Value = "subjects", "Group "+g.Through+" → "+p.Value
		}
		out = append(out, p)
		if g.Source != nil {
			out = append(out, Proof{Object: objectOf(g.Source.Ref), Path: inventory.JoinIndex("rules", g.Rule), Value: ruleText(g.Source, g.Rule)})
		}
	}
	return out
}

func ruleText(r *inventory.Role, i int) string {
	if i >= len(r.Rules) {
		return ""
	}
	p := r.Rules[i]
	return strings.Join(p.Verbs, ",") + " " + strings.Join(p.Resources, ",") + suffix(p.APIGroups)
}

func suffix(groups []string) string {
	if g := strings.Trim(strings.Join(groups, ","), ","); g != "" {
		return " (" + g + ")"
	}
	return ""
}

// leap adds the edges of one right in one scope.
func (b *builder) leap(at int32, l *leap, scope string, grants []access.Grant, cuts [][]int32) {
	edge := func(to int32, ease float64, title finding.Text, what string) {
		b.edge(Edge{From: at, To: to, Kind: Right, Ease: ease, Title: title, Proof: b.grantProof(grants), Cuts: cuts}, what)
	}
	name := key(l.kind, "/", scope, "/", len(l.needs))
	if l.to == toAdmin {
		edge(b.admin(), l.ease, l.title, name)
		return
	}
	members := b.accounts[scope]
	switch l.to {
	case toPods:
		members = slices.DeleteFunc(slices.Clone(members), func(a strength) bool { return !b.carried[a.who] })
		b.intoPods(scope, l, edge)
	case toTokens:
		members = b.withTokens(scope)
		edge(b.secretsIn(scope), 1, secretsText(scope), name)
	case toAccounts:
		if l.kind == access.RunPodAs && b.mayBePrivileged(scope) {
			edge(b.anyNode(), 0.75, say("starts a privileged pod%[1]s and leaves it for its node, unless an admission policy refuses it", "创建特权 Pod%[2]s 并逃逸到节点（除非准入策略拒绝）", in(scope).EN, in(scope).ZH), name)
		}
	}
	if len(members) > maxMembers {
		b.cut["members"] += len(members) - maxMembers
		members = members[:maxMembers]
	}
	for _, m := range members {
		edge(b.identity(m.who), l.ease, join(l.title, say(" %s", "%s", access.SubjectString(m.who))), name)
	}
}

func in(scope string) finding.Text {
	if scope == "" {
		return finding.Text{}
	}
	return say(" in namespace %s", "（命名空间 %s）", scope)
}

// intoPods: commands in running pods open what those pods can leave.
func (b *builder) intoPods(scope string, l *leap, edge func(int32, float64, finding.Text, string)) {
	spaces := []string{scope}
	if scope == "" {
		spaces = sortedKeys(b.byNamespace)
	}
	n := 0
	for _, ns := range spaces {
		for _, w := range b.escapable(ns) {
			if n++; n > maxMembers {
				b.cut["members"]++
				continue
			}
			edge(b.foothold(w), l.ease, say("runs commands in %s", "在 %s 中执行命令", w.Ref), "exec")
		}
	}
}

func (b *builder) withTokens(scope string) []strength {
	var out []strength
	seen := map[access.Subject]bool{}
	for _, k := range sortedKeys(b.tokens) {
		who := *b.tokens[k]
		if (scope == "" || who.Namespace == scope) && !seen[who] {
			seen[who] = true
			out = append(out, strength{who, b.worth(who)})
		}
	}
	sortAccounts(out)
	return out
}

// mayBePrivileged reports whether Pod Security admission lets a privileged pod into a scope.
func (b *builder) mayBePrivileged(scope string) bool {
	if scope == "" {
		return true // kube-system has no level
	}
	ns := b.c.Namespaces[scope]
	if ns == nil {
		return false
	}
	level := ns.Labels["pod-security.kubernetes.io/enforce"]
	return level != "baseline" && level != "restricted"
}

func secretsText(scope string) finding.Text {
	if scope == "" {
		return say("reads every Secret of the cluster", "读取整个集群的 Secret")
	}
	return say("reads the Secrets of namespace %s", "读取命名空间 %s 的 Secret", scope)
}

func (b *builder) secretsIn(scope string) int32 {
	if scope == "" {
		id, _ := b.node(Node{Key: "secrets/", Kind: Secrets, Value: 90, Label: say("Every Secret of the cluster", "集群全部 Secret")})
		return id
	}
	value := 55
	if inventory.SystemNamespace(scope) {
		value = 75
	}
	id, _ := b.node(Node{Key: "secrets/" + scope, Kind: Secrets, Value: value, Namespace: scope, Ref: Object{"v1", "Namespace", "", scope}, Label: say("Secrets of %s", "%s 的 Secret", scope)})
	return id
}

// namedSecrets adds single Secrets that rights name.
func (b *builder) namedSecrets(h *holding, at int32) {
	type secret struct{ namespace, name string }
	by, order := map[secret][]access.Grant{}, []secret{}
	for _, g := range h.named {
		if g.Namespace == "" || len(h.everywhere) > 0 || len(h.in[g.Namespace]) > 0 {
			continue
		}
		for _, name := range g.Names {
			k := secret{g.Namespace, name}
			if by[k] == nil {
				order = append(order, k)
			}
			by[k] = append(by[k], g)
		}
	}
	if len(order) > maxNamed {
		b.cut["named"] += len(order) - maxNamed
		order = order[:maxNamed]
	}
	for _, k := range order {
		if who := b.tokens[k.namespace+"/"+k.name]; who != nil {
			b.right(at, b.identity(*who), 0.95, say("reads token Secret %s", "读取 token Secret %s", k.name), by[k], "named/"+k.name)
		}
		to, _ := b.node(Node{Key: "secret/" + k.namespace + "/" + k.name, Kind: Secrets, Value: 35, Namespace: k.namespace, Ref: Object{"v1", "Secret", k.namespace, k.name}, Label: say("Secret %s", "Secret %s", k.name)})
		b.right(at, to, 1, say("reads Secret %s", "读取 Secret %s", k.name), by[k], "named/"+k.name)
	}
}

// stepWords say the steps that only the shortest way knows.
var stepWords = map[access.StepKind]finding.Text{
	access.IsAdmin: say("may do everything", "可执行任何操作"), access.MapCloudUser: say("maps a cloud identity to system:masters in aws-auth", "在 aws-auth 中将云身份映射为 system:masters"),
	access.SignCertificate: say("signs itself a certificate of", "为自己签发证书："), access.Impersonate: say("acts as", "冒充 "), access.MintToken: say("asks for a token of", "签发 token："),
	access.ReadToken: say("reads the token Secret of", "读取 token Secret："), access.RunPodAs: say("starts a pod as", "创建 Pod 并使用身份 "), access.ExecInPod: say("runs commands in a pod of", "进入使用该身份的 Pod："),
	access.BindRole: say("binds a stronger role and becomes", "绑定更高权限的角色，成为 "), access.EscalateRole: say("raises a role that it has and becomes", "提升自身角色的权限，成为 "),
}

// shortest adds the shortest way to cluster-admin, where none of the edges from first on says its first step yet:
// rights limited to names, certificates and the like.
func (b *builder) shortest(s access.Subject, at int32, first int) {
	steps := b.access.PathToAdmin(s)
	if len(steps) > 0 && steps[0].Kind == access.MemberOf {
		steps = steps[1:]
	}
	if len(steps) == 0 {
		return
	}
	st := steps[0]
	to := b.admin
	if st.To.Kind != "" {
		to = func() int32 { return b.identity(st.To) }
	}
	id := to()
	if slices.ContainsFunc(b.g.Edges[first:], func(e Edge) bool { return e.From == at && e.To == id }) {
		return
	}
	title, ok := stepWords[st.Kind]
	if !ok {
		title = say("becomes", "成为 ")
	}
	if st.To.Kind != "" {
		title = join(title, say(" %s", "%s", access.SubjectString(st.To)))
	}
	b.right(at, id, 0.8, title, st.Grants, "way")
}

// roleAnnotations bind a service account to an identity at a cloud provider.
var roleAnnotations = []string{"eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id", "pod-identity.alibabacloud.com/role-name", "tke.cloud.tencent.com/role-arn"}

func cloudRole(sa *inventory.ServiceAccount) string {
	for _, a := range roleAnnotations {
		if sa.Annotations[a] != "" {
			return a
		}
	}
	return ""
}

func (b *builder) cloudIdentity(sa *inventory.ServiceAccount, at int32) {
	a := cloudRole(sa)
	if a == "" {
		return
	}
	role := sa.Annotations[a]
	to, _ := b.node(Node{Key: "cloud/" + role, Kind: Cloud, Value: 65, Namespace: sa.Namespace, Label: say("Cloud identity %s", "云身份 %s", role)})
	b.edge(Edge{From: at, To: to, Kind: Right, Ease: 0.9, Title: say("gets credentials of cloud identity %s", "获取云身份 %s 的凭据", role),
		Proof: []Proof{{Object: Object{"v1", "ServiceAccount", sa.Namespace, sa.Name}, Path: inventory.JoinKey("metadata.annotations", a), Value: role}}}, "")
}

// anonymous adds what whoever reaches the API server may do without credentials.
func (b *builder) anonymous() {
	s := access.Subject{Kind: "User", Name: access.Anonymous}
	if b.worth(s) == 0 {
		return
	}
	for _, c := range b.c.Components {
		if c.Name == inventory.APIServer && c.Flags["anonymous-auth"] == "false" {
			return
		}
	}
	server, _ := b.node(Node{Key: "apiserver", Kind: APIServer, Label: say("API server", "API Server"), Ref: Object{Kind: "Component", Name: inventory.APIServer}})
	ref := Object{"v1", "Service", "default", "kubernetes"}
	b.edge(Edge{From: b.internet(), To: server, Kind: Expose, Ease: 0.5, Title: say("may be reached from outside, which is not known", "可能可从外部访问（尚不确定）"), Proof: []Proof{{Object: ref}}}, "")
	b.edge(Edge{From: server, To: b.identity(s), Kind: Open, Ease: 1, Title: say("takes requests without credentials", "接受无凭据的请求"),
		Proof: []Proof{{Object: Object{Kind: "Component", Name: inventory.APIServer}, Path: "anonymous-auth", Value: "true"}}, Reasons: []finding.Text{say("needs no credentials", "无需凭据")}}, "")
}
