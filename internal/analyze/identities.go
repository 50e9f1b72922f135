package analyze

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// danger is a capability that an intruder looks for, and how it is said.
type danger struct {
	cap  access.Capability
	name finding.Text
}

// dangers lists them, the worst first.
var dangers = []danger{
	{access.Admin, say("do everything", "执行任何操作")},
	{access.BindClusterRoles, say("bind roles", "绑定角色")},
	{access.EscalateClusterRoles, say("escalate roles", "提升角色权限")},
	{access.EscalateRoles, say("escalate roles of a namespace", "提升命名空间角色的权限")},
	{access.ImpersonateUsers, say("impersonate users", "冒充用户")},
	{access.ImpersonateGroups, say("impersonate groups", "冒充用户组")},
	{access.ImpersonateAccounts, say("impersonate service accounts", "冒充 ServiceAccount")},
	{access.MintTokens, say("mint tokens", "签发 token")},
	{access.ChangeWebhooks, say("change admission webhooks", "修改准入 webhook")},
	{access.ApproveRequests, say("approve certificate requests", "批准证书签名请求")},
	{access.NodesProxy, say("use nodes/proxy", "使用 nodes/proxy")},
	{access.ReadSecrets, say("read Secrets", "读取 Secret")},
	{access.RunPods, say("create pods", "创建 Pod")},
	{access.ExecPods, say("run commands in pods", "在 Pod 中执行命令")},
	{access.CreateVolumes, say("create PersistentVolumes", "创建 PersistentVolume")},
	{access.ChangeNodes, say("change nodes", "修改节点")},
	{access.LabelNamespaces, say("change namespaces", "修改命名空间")},
}

// dangersOf names what a subject can do, built-in grants left out; keep narrows it down.
func dangersOf(g *access.Graph, s access.Subject, keep func(danger, access.Grant) bool) []finding.Text {
	var out []finding.Text
	held := g.Held(s)
	for _, d := range dangers {
		if !slices.Contains(held, d.cap) {
			continue
		}
		for _, grant := range g.Has(s, d.cap) {
			if len(grant.Names) == 0 && !builtin(grant) && (keep == nil || keep(d, grant)) {
				out = append(out, d.name)
				break
			}
		}
		if d.cap == access.Admin && len(out) > 0 && keep == nil {
			return out
		}
	}
	return out
}

// stepTexts says each kind of step of a way to cluster-admin.
var stepTexts = map[access.StepKind]finding.Text{
	access.MemberOf:          say("is a member of", "属于"),
	access.RunPodAs:          say("runs a pod as", "以其身份运行 Pod："),
	access.ExecInPod:         say("runs commands in a pod of", "进入使用该身份的 Pod："),
	access.ReadToken:         say("reads the token Secret of", "读取 token Secret："),
	access.CreateTokenSecret: say("makes and reads a token Secret of", "创建并读取 token Secret："),
	access.MintToken:         say("mints a token of", "签发 token："),
	access.Impersonate:       say("impersonates", "冒充"),
	access.BindRole:          say("binds a stronger role and becomes", "绑定更高权限的角色，成为"),
	access.EscalateRole:      say("adds rights to a role it has and becomes", "提升自身角色的权限，成为"),
	access.SignCertificate:   say("approves a client certificate for", "为其批准客户端证书："),
	access.RewriteRequests:   say("rewrites others' requests by a mutating webhook and becomes", "通过变更型 webhook 改写他人请求，成为"),
	access.ThroughKubelet:    say("runs commands through the kubelet in a pod of", "经 kubelet 进入使用该身份的 Pod："),
	access.MapCloudUser:      say("maps itself to system:masters in aws-auth and becomes", "在 aws-auth 中映射到 system:masters，成为"),
}

// wayText tells a way: "runs a pod as ServiceAccount a/b -> ... -> cluster-admin".
func wayText(steps []access.Step) finding.Text {
	var parts []finding.Text
	for i, s := range steps {
		if s.Kind == access.IsAdmin {
			break
		}
		if i > 0 {
			parts = append(parts, say(" -> ", " -> "))
		}
		to := "cluster-admin"
		if s.To.Kind != "" {
			to = access.SubjectString(s.To)
		}
		zh := " " + to
		if strings.HasSuffix(stepTexts[s.Kind].ZH, "：") {
			zh = to
		}
		parts = append(parts, stepTexts[s.Kind], finding.Text{EN: " " + to, ZH: zh})
	}
	return join(parts...)
}

// pathToClusterAdmin tells, for everyone who is not cluster-admin yet, the shortest way to become it.
func pathToClusterAdmin(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	g := ctx.Access()
	for _, s := range g.Subjects() {
		if s == access.Group(access.Masters) || absent(ctx.Cluster, s) {
			continue
		}
		steps := g.OwnPathToAdmin(s)
		if len(steps) == 0 || len(steps[0].Grants) == 0 {
			continue // a member of a group has the group's way, and the group is told
		}
		if steps[0].Kind == access.IsAdmin || !slices.ContainsFunc(steps[0].Grants, func(x access.Grant) bool { return !builtin(x) && x.Through == "" }) {
			continue
		}
		p := Problem{Ref: subjectRef(s), Origin: steps[0].Grants[0].Binding.Origin}
		for _, st := range steps {
			for _, grant := range st.Grants {
				if grant.Binding != nil && len(p.Evidence) < 2*listed {
					p.Evidence = append(p.Evidence, grantEvidence(grant))
				}
			}
		}
		if s.Kind == "ServiceAccount" && inventory.SystemNamespace(s.Namespace) {
			p.Severity = finding.Medium
		}
		n := 0
		for _, st := range steps {
			if st.Kind != access.MemberOf && st.Kind != access.IsAdmin {
				n++
			}
		}
		unit := "steps"
		if n == 1 {
			unit = "step"
		}
		p.Message = join(say("can become cluster-admin in %d %s: ", "可在 %[1]d 步内成为 cluster-admin：", n, unit), wayText(steps))
		report(p)
	}
}

// aggregatedRoleGrowth finds ClusterRoles that add dangerous rights to a role by its aggregation, and roles that anyone's
// label can add to.
func aggregatedRoleGrowth(ctx *Context, report func(Problem)) {
	ctx.Known("ClusterRole." + rbacGroup)
	for _, a := range ctx.Access().Aggregations() {
		if strings.HasPrefix(a.Part.Ref.Name, "system:") || inShippedRole(a.Part.Ref.Name) {
			continue
		}
		var added []finding.Text
		for _, d := range dangers {
			if slices.Contains(a.Caps, d.cap) && !slices.Contains(shipped[a.Into.Ref.Name], d.cap) {
				added = append(added, d.name)
			}
		}
		if len(added) == 0 {
			continue
		}
		p := Problem{Ref: a.Part.Ref, Origin: a.Part.Origin, Item: a.Into.Ref.Name}
		p.Evidence = []finding.Evidence{{Path: "metadata.labels", Found: a.Part.Labels, Want: "labels that no aggregationRule selects"}}
		p.Message = join(say("%s lets everyone with %s ", "%s 让所有拥有 %s 的主体可以", a.Part.Ref, a.Into.Ref), listTexts(added))
		if a.Part.Labels["rbac.authorization.k8s.io/aggregate-to-view"] == "true" {
			p.Severity = finding.Critical // meant to be given away
		}
		report(p)
	}
}

func inShippedRole(name string) bool { return name == "admin" || name == "edit" || name == "view" }

// shipped are the dangerous capabilities that the aggregating roles of Kubernetes have from the start.
var shipped = map[string][]access.Capability{
	"admin": {access.ReadSecrets, access.RunPods, access.ExecPods, access.ImpersonateAccounts, access.MintTokens},
	"edit":  {access.ReadSecrets, access.RunPods, access.ExecPods, access.ImpersonateAccounts, access.MintTokens},
}

// staleSubject finds bindings to accounts and roles that do not exist: whoever creates one of the name gets the right.
func staleSubject(ctx *Context, report func(Problem)) {
	c := ctx.Cluster
	accounts, namespaces := ctx.Known("ServiceAccount"), ctx.Known("Namespace")
	roles := ctx.Known("Role."+rbacGroup, "ClusterRole."+rbacGroup)
	known := map[inventory.Ref]bool{}
	for _, r := range c.Roles {
		known[inventory.Ref{Kind: r.Ref.Kind, Namespace: r.Ref.Namespace, Name: r.Ref.Name}] = true
	}
	for _, b := range c.Bindings {
		if strings.HasPrefix(b.Ref.Name, "system:") || strings.HasPrefix(b.Ref.Name, "kubeadm:") {
			continue
		}
		role := inventory.Ref{Kind: b.RoleKind, Name: b.RoleName}
		if b.RoleKind == "Role" {
			role.Namespace = b.Ref.Namespace
		}
		if roles && b.RoleName != "" && !known[role] {
			p := Problem{Ref: b.Ref, Origin: b.Origin, Item: "role", Severity: finding.Low}
			p.Evidence = []finding.Evidence{{Path: "roleRef.name", Found: b.RoleName, Want: "a role that exists"}}
			p.Message = say("%s refers to %s, which does not exist", "%s 引用了不存在的 %s", b.Ref, role)
			report(p)
		}
		if accounts {
			staleAccounts(c, b, namespaces, report)
		}
	}
}

func staleAccounts(c *inventory.Cluster, b *inventory.Binding, namespaces bool, report func(Problem)) {
	for i, s := range b.Subjects {
		ns := s.Namespace
		if ns == "" {
			ns = b.Ref.Namespace
		}
		if s.Kind != "ServiceAccount" || c.ServiceAccounts[ns+"/"+s.Name] != nil {
			continue
		}
		gone := namespaces && c.Namespaces[ns] == nil
		if s.Name == "default" && !gone {
			continue // made in every namespace
		}
		p := Problem{Ref: b.Ref, Origin: b.Origin, Item: "ServiceAccount " + ns + "/" + s.Name}
		p.Evidence = []finding.Evidence{{Path: inventory.JoinIndex("subjects", i), Found: ns + "/" + s.Name, Want: "a service account that exists"}}
		p.Message = say("%s is bound to ServiceAccount %s/%s, which does not exist", "%s 绑定到不存在的 ServiceAccount %s/%s", b.Ref, ns, s.Name)
		if gone {
			p.Message = join(p.Message, say("; nor does its namespace", "，其命名空间也不存在"))
		}
		report(p)
	}
}

// crossNamespaceAccount finds accounts that can change or read things in namespaces other than their own.
func crossNamespaceAccount(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	for _, h := range holdings(ctx.Access(), access.ReadSecrets, access.RunPods, access.ExecPods, access.MintTokens, access.ImpersonateAccounts,
		access.EscalateRoles, access.BindRoles) {
		if h.subject.Kind != "ServiceAccount" || inventory.SystemNamespace(h.subject.Namespace) || h.cluster || absent(ctx.Cluster, h.subject) {
			continue
		}
		other := slices.DeleteFunc(slices.Clone(h.scopes), func(ns string) bool { return ns == h.subject.Namespace })
		if len(other) == 0 {
			continue
		}
		slices.Sort(other)
		h.grants = slices.DeleteFunc(h.grants, func(g access.Grant) bool { return g.Namespace == h.subject.Namespace })
		p := h.problem()
		p.Message = join(say("acts in other namespaces: ", "可在其他命名空间中操作："), list(other), say(" (%s)", "（%s）", h.grants[0].String()))
		if slices.ContainsFunc(other, inventory.SystemNamespace) {
			p.Severity = finding.High
		}
		report(p)
	}
}

// missingServiceAccount finds workloads whose account does not exist: their pods are not created, until somebody makes it.
func missingServiceAccount(ctx *Context, report func(Problem)) {
	if !ctx.Known("ServiceAccount") {
		return
	}
	c := ctx.Cluster
	for _, w := range c.Workloads {
		if w.Static || w.ServiceAccount == "default" || c.ServiceAccounts[w.Ref.Namespace+"/"+w.ServiceAccount] != nil {
			continue
		}
		p := atWorkload(w)
		p.Evidence = []finding.Evidence{{Path: podPath(w, "spec.serviceAccountName"), Found: w.ServiceAccount, Want: "a service account of the namespace"}}
		p.Message = say("%s uses ServiceAccount %s, which does not exist", "%s 使用了不存在的 ServiceAccount %s", w.Ref, w.ServiceAccount)
		report(p)
	}
}

// tokenMounted reports whether the pods of a workload carry a token for the API server.
func tokenMounted(c *inventory.Cluster, w *inventory.Workload) bool {
	for _, v := range w.Volumes {
		if slices.Contains(v.TokenAud, "") {
			return true
		}
	}
	if w.Automount != nil {
		return *w.Automount
	}
	if sa := c.ServiceAccounts[w.Ref.Namespace+"/"+w.ServiceAccount]; sa != nil && sa.Automount != nil {
		return *sa.Automount
	}
	return !w.Static // mirror pods get no token
}

// TokenMounted reports whether the pods of a workload carry a token for the API server.
func TokenMounted(c *inventory.Cluster, w *inventory.Workload) bool { return tokenMounted(c, w) }

// carriers calls visit for every workload that carries the token of a subject that keep accepts.
func carriers(ctx *Context, visit func(w *inventory.Workload, s access.Subject)) {
	for _, w := range ctx.Cluster.Workloads {
		if tokenMounted(ctx.Cluster, w) {
			visit(w, access.Account(w.Ref.Namespace, w.ServiceAccount))
		}
	}
}

// rightsProblem is a finding about a workload by way of its account.
func rightsProblem(w *inventory.Workload, grants []access.Grant) Problem {
	p := atWorkload(w)
	found := "ServiceAccount " + w.ServiceAccount
	if len(grants) > 0 {
		found += " -> " + grants[0].String()
	}
	p.Evidence = []finding.Evidence{{Path: podPath(w, "spec.serviceAccountName"), Found: found}}
	return p
}

// own keeps the grants that nobody has by default and that are not limited to names.
func own(grants []access.Grant) []access.Grant {
	return slices.DeleteFunc(grants, func(g access.Grant) bool { return builtin(g) || len(g.Names) > 0 })
}

// forAll reports whether a grant comes from a group that every pod is in: the rule for everyone names it once.
func forAll(g access.Grant) bool {
	return g.Through == access.Authenticated || g.Through == access.Accounts
}

func workloadAdminRights(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	carriers(ctx, func(w *inventory.Workload, s access.Subject) {
		grants := own(ctx.Access().Has(s, access.Admin))
		if len(grants) == 0 {
			return
		}
		p := rightsProblem(w, grants)
		p.Message = say("%s carries a token that may do everything", "%s 携带可执行任何操作的 token", w.Ref)
		if everywhere := slices.ContainsFunc(grants, func(g access.Grant) bool { return g.Namespace == "" }); everywhere {
			p.Severity = finding.Critical
		} else {
			p.Message = join(p.Message, say(" in namespace %s", "（命名空间：%s）", grants[0].Namespace))
		}
		report(p)
	})
}

func workloadReadsSecrets(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	g := ctx.Access()
	counts := map[string]int{}
	for _, s := range ctx.Cluster.Secrets {
		counts[s.Ref.Namespace]++
	}
	carriers(ctx, func(w *inventory.Workload, s access.Subject) {
		grants := slices.DeleteFunc(own(g.Has(s, access.ReadSecrets)), forAll)
		if len(grants) == 0 || len(own(g.Has(s, access.Admin))) > 0 {
			return
		}
		h := holding{subject: s}
		for _, grant := range grants {
			h.add(grant)
		}
		p := rightsProblem(w, grants)
		p.Severity = h.severity()
		p.Message = join(say("%s carries a token that reads Secrets", "%s 携带可读取 Secret 的 token", w.Ref), h.scope(), readable(ctx.Cluster, counts, &h))
		report(p)
	})
}

// readable counts the Secrets that a holding opens, when they could be listed.
func readable(c *inventory.Cluster, counts map[string]int, h *holding) finding.Text {
	if _, unread := c.Unread["Secret"]; unread {
		return finding.Text{}
	}
	n := 0
	for _, ns := range h.scopes {
		n += counts[ns]
	}
	if h.cluster {
		n = len(c.Secrets)
	}
	return say(": %d at present", "：目前共 %d 个", n)
}

// workloadDangerousRights tells pods by what else their account can do. Reading Secrets and doing everything have rules of
// their own.
func workloadDangerousRights(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	g := ctx.Access()
	carriers(ctx, func(w *inventory.Workload, s access.Subject) {
		if len(own(g.Has(s, access.Admin))) > 0 {
			return
		}
		var first []access.Grant
		wide := false
		what := dangersOf(g, s, func(d danger, grant access.Grant) bool {
			if d.cap == access.ReadSecrets || forAll(grant) {
				return false
			}
			first = append(first, grant)
			wide = wide || grant.Namespace == "" || inventory.SystemNamespace(grant.Namespace)
			return true
		})
		if len(what) == 0 {
			return
		}
		p := rightsProblem(w, first)
		p.Message = join(say("%s carries a token that can ", "%s 携带的 token 可以", w.Ref), listTexts(what))
		if !wide || inventory.SystemNamespace(w.Ref.Namespace) {
			p.Severity = finding.Medium
		}
		report(p)
	})
}

// cloudAnnotations give a service account an identity of a cloud.
var cloudAnnotations = []string{"eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id",
	"pod-identity.alibabacloud.com/role-name", "tke.cloud.tencent.com/role-arn"}

// sharedCloudIdentity finds cloud identities that more pods than meant can use: on the account that every pod of the
// namespace gets by default, or on one that several workloads share.
func sharedCloudIdentity(ctx *Context, report func(Problem)) {
	c := ctx.Cluster
	users := map[string][]*inventory.Workload{}
	for _, w := range c.Workloads {
		key := w.Ref.Namespace + "/" + w.ServiceAccount
		users[key] = append(users[key], w)
	}
	for _, key := range sortedKeys(c.ServiceAccounts) {
		sa := c.ServiceAccounts[key]
		for _, a := range cloudAnnotations {
			value := sa.Annotations[a]
			if value == "" || sa.Name != "default" && len(users[key]) < 2 {
				continue
			}
			p := Problem{Ref: subjectRef(access.Account(sa.Namespace, sa.Name)), Origin: sa.Origin, Item: a}
			p.Evidence = []finding.Evidence{{Path: inventory.JoinKey("metadata.annotations", a), Found: value}}
			p.Message = say("has a cloud identity that %d workloads share", "其云身份由 %d 个工作负载共用", len(users[key]))
			if sa.Name == "default" {
				p.Message = say("gives every pod of the namespace a cloud identity", "使命名空间内所有 Pod 获得云身份")
			}
			report(p)
		}
	}
}
