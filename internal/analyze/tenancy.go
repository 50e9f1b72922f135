package analyze

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// tenancyAnalyzers are checks of what tenants share.
var tenancyAnalyzers = []Analyzer{
	{Name: "namespace-shared", Cluster: namespaceShared},
	{Name: "operator-deputy", Cluster: operatorDeputy},
	{Name: "agent-sandbox-open", Cluster: agentSandboxOpen},
}

// ownerLabels tell which application or team a workload belongs to, the more telling first.
var ownerLabels = []string{"team", "owner", "tenant", "app.kubernetes.io/part-of", "app.kubernetes.io/instance", "release"}

// namespaceShared counts the applications of a namespace by the labels of their workloads.
func namespaceShared(ctx *Context, report func(Problem)) {
	limit := int(ctx.number("applications", 3))
	names, members := namespacesOf(tenants(ctx.Cluster))
	for _, ns := range names {
		owners := map[string]bool{}
		for _, w := range members[ns] {
			i := slices.IndexFunc(ownerLabels, func(k string) bool { return w.Labels[k] != "" })
			if i >= 0 {
				owners[w.Labels[ownerLabels[i]]] = true
			}
		}
		if len(owners) <= limit {
			continue
		}
		p := atNamespace(ctx.Cluster, ns)
		p.Evidence = []finding.Evidence{{Path: "metadata.name", Found: sortedKeys(owners)[:min(len(owners), 20)], Want: "a namespace for each application or team"}}
		p.Message = join(say("namespace %s is shared by %d applications: ", "命名空间 %s 由 %d 个应用共用：", ns, len(owners)), list(sortedKeys(owners)))
		report(p)
	}
}

// strong are the rights that make an operator worth misusing.
var strong = []access.Capability{access.Admin, access.BindClusterRoles, access.EscalateClusterRoles, access.ImpersonateUsers, access.ReadSecrets, access.RunPods, access.MintTokens}

// operatorDeputy finds operators with strong rights in the whole cluster that act on custom resources which others may
// create: what they ask for is done with the operator's rights. Who writes the status or finalizers of a custom resource
// is taken to be its operator.
func operatorDeputy(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	g := ctx.Access()
	all := admins(g)
	seen := map[access.Subject]bool{}
	carriers(ctx, func(w *inventory.Workload, s access.Subject) {
		if seen[s] || inventory.SystemNamespace(s.Namespace) {
			return
		}
		seen[s] = true
		held := g.Held(s)
		if !slices.ContainsFunc(strong, func(c access.Capability) bool {
			return slices.Contains(held, c) && slices.ContainsFunc(g.Has(s, c), func(x access.Grant) bool { return x.Namespace == "" && len(x.Names) == 0 })
		}) {
			return
		}
		kinds, others := customResources(g, s, all)
		if len(kinds) == 0 {
			return
		}
		p := rightsProblem(w, g.Rules(s)[:1])
		p.Message = join(say("%s acts with strong rights on custom resources (", "%s 以高权限处理自定义资源（", w.Ref), list(kinds), say(") that others may create: ", "），而这些资源可由其他主体创建："), list(others))
		report(p)
	})
}

// customResources returns the custom resources that s is the operator of and somebody else may create, and who.
func customResources(g *access.Graph, s access.Subject, all map[access.Subject]bool) (kinds, others []string) {
	for _, grant := range g.Rules(s) {
		policy := grant.Source.Rules[grant.Rule]
		if !slices.Contains(policy.Verbs, "update") && !slices.Contains(policy.Verbs, "patch") && !slices.Contains(policy.Verbs, "*") {
			continue
		}
		for _, group := range policy.APIGroups {
			if !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io") {
				continue // not a custom group, or one of Kubernetes' own
			}
			for _, res := range policy.Resources {
				name, sub, _ := strings.Cut(res, "/")
				if sub != "status" && sub != "finalizers" || name == "*" || slices.Contains(kinds, name+"."+group) {
					continue
				}
				found := false
				for _, x := range g.Who(access.Right{Verb: "create", Group: group, Resource: name, Namespace: access.AnyNamespace}) {
					if x.Subject != s && !all[x.Subject] && !builtin(x) && x.Subject.Namespace != s.Namespace {
						found = true
						if who := access.SubjectString(x.Subject); !slices.Contains(others, who) {
							others = append(others, who)
						}
					}
				}
				if found {
					kinds = append(kinds, name+"."+group)
				}
			}
		}
	}
	return kinds, others
}

// agentSandboxOpen looks at the pods of agent sandboxes, which run code that nobody wrote: they should reach only what
// they are given.
func agentSandboxOpen(ctx *Context, report func(Problem)) {
	if !ctx.Known(policyKinds...) {
		return
	}
	for _, w := range ctx.Cluster.Workloads {
		if !strings.HasSuffix(w.Ref.Group(), "agents.x-k8s.io") {
			continue
		}
		r := ctx.Reach().Of(w)
		var why []finding.Text
		if !r.Egress.Isolated && !r.Egress.Admin || r.HostNetwork {
			why = append(why, say("its egress is not limited", "出站流量不受限制"))
		}
		if tokenMounted(ctx.Cluster, w) {
			why = append(why, say("it carries a token for the API server", "携带可访问 API server 的 token"))
		}
		if len(why) == 0 {
			continue
		}
		p := atWorkload(w)
		p.Evidence = []finding.Evidence{{Path: podPath(w, "spec"), Found: nil, Want: "an egress policy and automountServiceAccountToken: false"}}
		p.Message = join(say("agent sandbox %s is open: ", "智能体沙箱 %s 未收紧：", w.Ref), listTexts(why))
		report(p)
	}
}
