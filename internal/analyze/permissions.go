package analyze

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

const rbacGroup = "rbac.authorization.k8s.io"

// rbacKinds are what effective permissions are made of. What was found stands even if one of them could not be read.
var rbacKinds = []string{"Role." + rbacGroup, "ClusterRole." + rbacGroup, "RoleBinding." + rbacGroup, "ClusterRoleBinding." + rbacGroup}

// permissionAnalyzers are the checks of effective permissions.
var permissionAnalyzers = []Analyzer{
	{Name: "cluster-admin-bound", Cluster: clusterAdminBound},
	rightHolders("read-secrets", say("read Secrets", "读取 Secret"), access.ReadSecrets),
	rightHolders("create-pods", say("create pods", "创建 Pod"), access.RunPods),
	rightHolders("exec-pods", say("run commands in pods", "在 Pod 中执行命令"), access.ExecPods, access.PortForward),
	rightHolders("escalate-rights", say("give itself more rights", "为自己增加权限"), access.EscalateClusterRoles, access.EscalateRoles,
		access.BindClusterRoles, access.BindRoles, access.ImpersonateUsers, access.ImpersonateGroups, access.ImpersonateAccounts),
	rightHolders("mint-tokens", say("mint tokens of service accounts", "签发 ServiceAccount 的 token"), access.MintTokens),
	rightHolders("change-webhooks", say("change admission webhooks or policies", "修改准入 webhook 或准入策略"), access.ChangeWebhooks),
	{Name: "approve-requests", Cluster: approveRequests},
	rightHolders("nodes-proxy", say("reach the kubelet API through nodes/proxy", "通过 nodes/proxy 访问 kubelet API"), access.NodesProxy),
	rightHolders("create-volumes", say("create PersistentVolumes", "创建 PersistentVolume"), access.CreateVolumes),
	{Name: "steal-pods", Cluster: stealPods},
	{Name: "namespace-label-tampering", Cluster: namespaceLabelTampering},
	{Name: "public-group-rights", Cluster: publicGroupRights},
	{Name: "path-to-cluster-admin", Cluster: pathToClusterAdmin},
	{Name: "aggregated-role-growth", Cluster: aggregatedRoleGrowth},
	{Name: "stale-subject", Cluster: staleSubject},
	{Name: "cross-namespace-account", Cluster: crossNamespaceAccount},
	{Name: "missing-service-account", Cluster: missingServiceAccount},
	{Name: "workload-admin-rights", Cluster: workloadAdminRights},
	{Name: "workload-reads-secrets", Cluster: workloadReadsSecrets},
	{Name: "workload-dangerous-rights", Cluster: workloadDangerousRights},
	{Name: "shared-cloud-identity", Cluster: sharedCloudIdentity},
}

// publicGroups are the groups and the user that stand for everybody, or for every pod.
var publicGroups = map[string]bool{access.Authenticated: true, access.Unauthenticated: true, access.Anonymous: true, access.Accounts: true}

// everyone reports whether a subject stands for everybody, or for every pod of the cluster or of a namespace.
func everyone(s access.Subject) bool {
	return s.Kind != "ServiceAccount" && (publicGroups[s.Name] || strings.HasPrefix(s.Name, access.Accounts+":"))
}

// absent reports whether a subject is a service account that a whole cluster lacks: the rule for stale subjects names it.
// Files rarely hold all accounts; what has the namespace kube-system is a whole cluster.
func absent(c *inventory.Cluster, s access.Subject) bool {
	system := c.Namespaces["kube-system"]
	if _, unread := c.Unread["ServiceAccount"]; unread || s.Kind != "ServiceAccount" || system == nil || system.Object == nil {
		return false
	}
	_, unread := c.Unread["Namespace"]
	return c.ServiceAccounts[s.Namespace+"/"+s.Name] == nil && (s.Name != "default" || !unread && c.Namespaces[s.Namespace] == nil)
}

// builtin reports whether a grant is one that Kubernetes, kubeadm or a provider makes for its own components. It must
// match in every part: an own binding of a system group to cluster-admin is not built in.
func builtin(g access.Grant) bool {
	if g.Binding == nil {
		return true // system:masters
	}
	name, role, s := g.Binding.Ref.Name, g.Binding.RoleName, g.Subject
	if g.Binding.RoleName == "cluster-admin" {
		return name == "cluster-admin" && s == access.Group(access.Masters) ||
			name == "kubeadm:cluster-admins" && s == access.Group("kubeadm:cluster-admins")
	}
	if s.Kind == "ServiceAccount" {
		// Each controller has an account, a role and a binding of its own name.
		return s.Namespace == "kube-system" && name == role &&
			(name == "system:controller:"+s.Name || name == "system:"+s.Name)
	}
	return !publicGroups[s.Name] && slices.ContainsFunc(builtinPrefixes, func(p string) bool {
		return strings.HasPrefix(s.Name, p) && strings.HasPrefix(name, p) && (strings.HasPrefix(role, p) || strings.HasPrefix(role, "system:"))
	})
}

// builtinPrefixes begin the names that components and providers keep for themselves.
var builtinPrefixes = []string{"system:", "kubeadm:", "eks:", "gcp:", "gce:", "aks-", "cce:", "tke:", "ack:"}

// holding is what one subject holds of some capabilities, built-in grants left out.
type holding struct {
	subject access.Subject
	cluster bool     // in all namespaces, or over objects without one
	scopes  []string // namespaces, when not in all
	grants  []access.Grant
}

// holdings collects the holders of any of the capabilities, by subject in order.
func holdings(g *access.Graph, caps ...access.Capability) []*holding {
	var out []*holding
	at := map[access.Subject]*holding{}
	for _, c := range caps {
		for _, grant := range g.Holders(c, false) {
			if builtin(grant) {
				continue
			}
			h := at[grant.Subject]
			if h == nil {
				h = &holding{subject: grant.Subject}
				at[grant.Subject] = h
				out = append(out, h)
			}
			h.add(grant)
		}
	}
	slices.SortStableFunc(out, func(a, b *holding) int { return compareSubjects(a.subject, b.subject) })
	return out
}

func (h *holding) add(g access.Grant) {
	h.cluster = h.cluster || g.Namespace == ""
	if g.Namespace != "" && !slices.Contains(h.scopes, g.Namespace) {
		h.scopes = append(h.scopes, g.Namespace)
	}
	for i := range h.grants {
		if h.grants[i].Binding == g.Binding && h.grants[i].Source == g.Source && h.grants[i].Rule == g.Rule {
			return
		}
	}
	h.grants = append(h.grants, g)
}

func compareSubjects(a, b access.Subject) int {
	if c := strings.Compare(a.Kind, b.Kind); c != 0 {
		return c
	}
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// scope says where a holding counts.
func (h *holding) scope() finding.Text {
	if h.cluster {
		return say(" in the whole cluster", "（整个集群范围）")
	}
	slices.Sort(h.scopes)
	names := list(h.scopes)
	return join(say(" in namespace ", "（命名空间："), names, say("", "）"))
}

// severity of a holding: the rule's own ("") when it counts in the whole cluster. A namespace is less, and what the roles
// that Kubernetes ships give people within one is what those roles are for.
func (h *holding) severity() finding.Severity {
	switch {
	case h.subject.Kind == "ServiceAccount" && inventory.SystemNamespace(h.subject.Namespace):
		return finding.Medium
	case h.cluster:
		return ""
	case h.subject.Kind == "ServiceAccount":
		return finding.Medium
	case !slices.ContainsFunc(h.grants, func(g access.Grant) bool {
		return g.Binding.RoleKind != "ClusterRole" || g.Binding.RoleName != "admin" && g.Binding.RoleName != "edit"
	}):
		return finding.Info
	}
	return finding.Low
}

// problem makes a finding about the subject, told where a binding names it.
func (h *holding) problem() Problem {
	p := Problem{Ref: subjectRef(h.subject), Origin: h.grants[0].Binding.Origin}
	for i, g := range h.grants {
		if i == listed {
			break
		}
		p.Evidence = append(p.Evidence, grantEvidence(g))
	}
	return p
}

// grantEvidence tells a grant at the place where its binding names the subject.
func grantEvidence(g access.Grant) finding.Evidence {
	path := "subjects"
	for i, s := range g.Binding.Subjects {
		if s.Name == g.Subject.Name || strings.HasSuffix(s.Name, ":"+g.Subject.Name) {
			path = inventory.JoinIndex("subjects", i)
			break
		}
	}
	return finding.Evidence{Path: path, Found: g.String()}
}

func subjectRef(s access.Subject) inventory.Ref {
	if s.Kind == "ServiceAccount" {
		return inventory.Ref{APIVersion: "v1", Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}
	}
	return inventory.Ref{APIVersion: rbacGroup + "/v1", Kind: s.Kind, Name: s.Name}
}

// admins returns the subjects that may do everything: naming each of their rights would say nothing new.
func admins(g *access.Graph) map[access.Subject]bool {
	out := map[access.Subject]bool{}
	for _, grant := range g.Holders(access.Admin, false) {
		if grant.Namespace == "" {
			out[grant.Subject] = true
		}
	}
	return out
}

// rightHolders makes the analyzer that names everyone who can do something.
func rightHolders(name string, can finding.Text, caps ...access.Capability) Analyzer {
	return Analyzer{Name: name, Cluster: func(ctx *Context, report func(Problem)) {
		ctx.Known(rbacKinds...)
		g := ctx.Access()
		all := admins(g)
		for _, h := range holdings(g, caps...) {
			if all[h.subject] || everyone(h.subject) || absent(ctx.Cluster, h.subject) {
				continue
			}
			tell(h, can, report)
		}
	}}
}

func tell(h *holding, can finding.Text, report func(Problem)) {
	p := h.problem()
	p.Severity = h.severity()
	p.Message = join(say("can ", "可以"), can, h.scope(), by(h))
	report(p)
}

// by tells the first grant of a holding.
func by(h *holding) finding.Text { return say(": %s", "：%s", h.grants[0].String()) }

func clusterAdminBound(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	for _, h := range holdings(ctx.Access(), access.Admin) {
		p := h.problem()
		p.Message = join(say("may do everything", "可以执行任何操作"), h.scope(), by(h))
		if !h.cluster {
			p.Severity = finding.High
		}
		report(p)
	}
}

// approveRequests: approving takes the right on the request and on its signer. One half alone is nothing.
func approveRequests(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	g := ctx.Access()
	all := admins(g)
	for _, h := range holdings(g, access.ApproveRequests) {
		signers := g.Has(h.subject, access.ApproveSigner)
		if all[h.subject] || everyone(h.subject) || absent(ctx.Cluster, h.subject) || len(signers) == 0 {
			continue
		}
		p := h.problem()
		p.Evidence = append(p.Evidence, grantEvidence(signers[0]))
		names := say("of every signer", "（任意 signer）")
		if n := signers[0].Names; len(n) > 0 {
			names = join(say("of signer ", "（signer："), list(n), say("", "）"))
		}
		p.Severity = h.severity()
		p.Message = join(say("can approve certificate requests ", "可以批准证书签名请求"), names, by(h))
		if len(g.Has(h.subject, access.CreateRequests)) > 0 {
			p.Message = join(p.Message, say("; it can create the requests too", "；并且可以自行创建请求"))
		}
		report(p)
	}
}

// stealPods: who can both drive pods off nodes and close other nodes to them decides where they run.
func stealPods(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	g := ctx.Access()
	all := admins(g)
	for _, h := range holdings(g, access.ChangeNodes) {
		deletes := g.Has(h.subject, access.DeletePods)
		if len(deletes) == 0 || deletes[0].Namespace != "" || all[h.subject] || everyone(h.subject) || absent(ctx.Cluster, h.subject) {
			continue
		}
		h.add(deletes[0])
		tell(h, say("change nodes and evict or delete pods", "修改节点并驱逐或删除 Pod"), report)
	}
}

// namespaceLabelTampering matters where labels of namespaces decide what is enforced.
func namespaceLabelTampering(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	labels := labelsThatEnforce(ctx.Cluster)
	if len(labels) == 0 {
		return
	}
	g := ctx.Access()
	all := admins(g)
	for _, h := range holdings(g, access.LabelNamespaces) {
		if !all[h.subject] && !everyone(h.subject) && !absent(ctx.Cluster, h.subject) {
			tell(h, join(say("change the labels of namespaces that decide what is enforced (", "修改决定安全策略的命名空间标签（"), list(labels), say(")", "）")), report)
		}
	}
}

// publicGroupRights names what everybody, or every pod, may do beyond the defaults.
func publicGroupRights(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	g := ctx.Access()
	seen := map[access.Subject]bool{}
	for _, d := range dangers {
		for _, h := range holdings(g, d.cap) {
			name := h.subject.Name
			if seen[h.subject] || !everyone(h.subject) {
				continue
			}
			seen[h.subject] = true
			what := dangersOf(g, h.subject, nil)
			p := h.problem()
			p.Message = join(say("can ", "可以"), listTexts(what), h.scope(), by(h))
			if name != access.Authenticated && name != access.Unauthenticated && name != access.Anonymous {
				p.Severity = finding.High
			}
			report(p)
		}
	}
}
