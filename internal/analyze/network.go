package analyze

import (
	"net/netip"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/reach"
)

const networkPolicies = "NetworkPolicy.networking.k8s.io"

// policyKinds are what decides who may talk to whom. The custom ones count as unread only where a cluster serves them.
var policyKinds = []string{networkPolicies, "AdminNetworkPolicy.policy.networking.k8s.io", "BaselineAdminNetworkPolicy.policy.networking.k8s.io",
	"ClusterNetworkPolicy.policy.networking.k8s.io", "GlobalNetworkPolicy.crd.projectcalico.org", "NetworkPolicy.crd.projectcalico.org",
	"CiliumNetworkPolicy.cilium.io", "CiliumClusterwideNetworkPolicy.cilium.io"}

// networkAnalyzers are the checks of what the network leaves open.
var networkAnalyzers = []Analyzer{
	{Name: "pod-without-network-policy", Cluster: podWithoutNetworkPolicy},
	{Name: "network-direction-open", Cluster: networkDirectionOpen},
	{Name: "namespace-without-default-deny", Cluster: namespaceWithoutDefaultDeny},
	{Name: "namespace-open-to-others", Cluster: namespaceOpenToOthers},
	{Name: "network-policy-selects-nothing", Cluster: policySelectsNothing},
	{Name: "host-network-voids-policy", Cluster: hostNetworkVoidsPolicy},
	{Name: "network-policy-not-enforced", Cluster: policyNotEnforced},
	{Name: "metadata-reachable", Cluster: metadataReachable},
	{Name: "api-server-reachable", Cluster: apiServerReachable},
	{Name: "exposed-outside", Cluster: exposedOutside},
	{Name: "exposed-and-privileged", Cluster: exposedAndPrivileged},
	{Name: "sensitive-interface-exposed", Cluster: sensitiveInterfaceExposed},
	{Name: "ingress-host-claimed-twice", Cluster: ingressHostClaimedTwice},
	{Name: "service-selector-claimed-twice", Cluster: serviceSelectorClaimedTwice},
	{Name: "service-without-workload", Cluster: serviceWithoutWorkload},
	{Name: "route-without-service", Cluster: routeWithoutService},
	{Name: "mesh-mtls-not-strict", Cluster: meshNotStrict},
}

// policed returns the workloads that NetworkPolicies can be asked of.
func policed(c *inventory.Cluster) []*inventory.Workload {
	return slices.DeleteFunc(tenants(c), func(w *inventory.Workload) bool { return w.HostNetwork })
}

func podWithoutNetworkPolicy(ctx *Context, report func(Problem)) {
	if !ctx.Known(policyKinds...) {
		return
	}
	for _, w := range policed(ctx.Cluster) {
		r := ctx.Reach().Of(w)
		if r.Ingress.Isolated || r.Egress.Isolated || r.Ingress.Admin || r.Egress.Admin {
			continue
		}
		p := atWorkload(w)
		p.Evidence = []finding.Evidence{{Path: podPath(w, "metadata.labels"), Found: w.Labels, Want: "labels that a NetworkPolicy of the namespace selects"}}
		p.Message = say("no NetworkPolicy selects the pods of %s", "没有任何 NetworkPolicy 选中 %s 的 Pod", w.Ref)
		report(p)
	}
}

func networkDirectionOpen(ctx *Context, report func(Problem)) {
	if !ctx.Known(policyKinds...) {
		return
	}
	for _, w := range policed(ctx.Cluster) {
		r := ctx.Reach().Of(w)
		if r.Ingress.Isolated == r.Egress.Isolated {
			continue
		}
		closed, open := r.Ingress, reach.Egress
		if r.Egress.Isolated {
			closed, open = r.Egress, reach.Ingress
		}
		if side := r.Egress; open == reach.Egress && side.Admin || open == reach.Ingress && r.Ingress.Admin {
			continue
		}
		p := atWorkload(w)
		p.Item = open.String()
		p.Evidence = []finding.Evidence{{Path: podPath(w, "metadata.labels"), Found: policyNames(closed.Policies), Want: "a NetworkPolicy for " + open.String() + " too"}}
		p.Message = say("%[1]s of %[2]s is left open: its NetworkPolicies cover the other direction only", "%[2]s 的 %[1]s 方向未受限制：其 NetworkPolicy 只覆盖另一方向", open, w.Ref)
		report(p)
	}
}

func policyNames(list []*reach.Policy) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = shortRef(p.Object.Ref())
	}
	return out
}

// namespaceWithoutDefaultDeny looks at each direction: whether a pod that is created now would be isolated, and how many
// of those present are.
func namespaceWithoutDefaultDeny(ctx *Context, report func(Problem)) {
	if !ctx.Known(policyKinds...) {
		return
	}
	m := ctx.Reach()
	names, members := namespacesOf(policed(ctx.Cluster))
	for _, ns := range names {
		var missing []string
		open := 0
		for _, d := range []reach.Direction{reach.Ingress, reach.Egress} {
			if len(m.DefaultDeny(ns, d)) == 0 && !m.BaselineDeny(ns, d) {
				missing = append(missing, d.String())
			}
		}
		if len(missing) == 0 {
			continue
		}
		for _, w := range members[ns] {
			r := m.Of(w)
			if slices.Contains(missing, "ingress") && !r.Ingress.Isolated || slices.Contains(missing, "egress") && !r.Egress.Isolated {
				open++
			}
		}
		p := atNamespace(ctx.Cluster, ns)
		p.Evidence = []finding.Evidence{{Path: "metadata.name", Found: strings.Join(missing, ", ") + " not denied by default",
			Want: "a NetworkPolicy with an empty podSelector and policyTypes Ingress and Egress"}}
		p.Message = join(say("namespace %s has no default deny for ", "命名空间 %s 缺少默认拒绝策略：", ns), list(missing),
			say("; %d of %d workloads are open", "；%[2]d 个工作负载中有 %[1]d 个处于开放状态", open, len(members[ns])))
		if open == 0 {
			p.Severity = finding.Low // only pods to come
		}
		report(p)
	}
}

// namespaceOpenToOthers finds namespaces whose policies look like a wall and let every namespace in.
func namespaceOpenToOthers(ctx *Context, report func(Problem)) {
	if !ctx.Known(policyKinds...) {
		return
	}
	m := ctx.Reach()
	names, members := namespacesOf(policed(ctx.Cluster))
	if len(names) < 2 {
		return
	}
	for _, ns := range names {
		var open []*inventory.Workload
		var policy *reach.Policy
		inner := false
		for _, w := range members[ns] {
			if r := m.Of(w); r.Ingress.Isolated && r.Ingress.Open.Has(reach.AllNamespaces) {
				open = append(open, w)
				if inner = inner || len(m.Exposures(w)) == 0; policy == nil && len(r.Ingress.Policies) > 0 {
					policy = r.Ingress.Policies[0]
				}
			}
		}
		if !inner {
			continue // what is published to the outside is meant to be reached
		}
		p := atNamespace(ctx.Cluster, ns)
		p.Evidence = []finding.Evidence{{Path: "metadata.name", Found: refs(open), Want: "ingress.from that names the namespaces meant"}}
		p.Message = join(say("NetworkPolicies of namespace %s let pods of every namespace reach ", "命名空间 %s 的 NetworkPolicy 允许所有命名空间的 Pod 访问 ", ns), list(refs(open)))
		if policy != nil {
			p.Message = join(p.Message, say(" (%s)", "（%s）", policy.Object.Name))
		}
		report(p)
	}
}

func policySelectsNothing(ctx *Context, report func(Problem)) {
	if !ctx.Known(workloadKinds...) {
		return
	}
	for _, np := range ctx.Reach().Policies {
		if np.Selected > 0 || np.Selector.Everything() {
			continue // a default deny may wait for pods to come
		}
		p := atObject(np.Object)
		p.Evidence = []finding.Evidence{{Path: "spec.podSelector", Found: np.Selector.String(), Want: "labels that pods of the namespace carry"}}
		p.Message = say("%s selects no pod (%s)", "%s 未选中任何 Pod（%s）", np.Object.Ref(), np.Selector)
		report(p)
	}
}

func hostNetworkVoidsPolicy(ctx *Context, report func(Problem)) {
	if !ctx.Known(policyKinds...) {
		return
	}
	for _, w := range tenants(ctx.Cluster) {
		if !w.HostNetwork {
			continue
		}
		r := ctx.Reach().Of(w)
		policies := append(slices.Clone(r.Ingress.Policies), r.Egress.Policies...)
		if len(policies) == 0 {
			continue
		}
		p := atWorkload(w)
		p.Evidence = []finding.Evidence{{Path: podPath(w, "spec.hostNetwork"), Found: true, Want: false}}
		p.Message = say("%s uses the host network, so %s has no effect on it", "%s 使用主机网络，%s 对其不生效", w.Ref, shortRef(policies[0].Object.Ref()))
		report(p)
	}
}

func policyNotEnforced(ctx *Context, report func(Problem)) {
	if !ctx.Known("DaemonSet.apps", networkPolicies) {
		return
	}
	m := ctx.Reach()
	e := m.Enforcement()
	if !e.Known || e.Enforced || len(m.Policies) == 0 || e.Workload == nil {
		return
	}
	p := atWorkload(e.Workload)
	p.Evidence = []finding.Evidence{{Path: podPath(e.Workload, "spec.containers"), Found: e.Plugin, Want: "a network that carries out NetworkPolicies"}}
	p.Message = say("%d NetworkPolicies exist, but the network (%s) does not carry them out", "集群中有 %d 个 NetworkPolicy，但网络插件（%s）不会执行它们", len(m.Policies), e.Plugin)
	report(p)
}

// reachable reports one problem for each namespace with the workloads that keep accepts.
func reachable(ctx *Context, report func(Problem), want string, keep func(*inventory.Workload, reach.Reach) bool, en, zh string) {
	m := ctx.Reach()
	names, members := namespacesOf(policed(ctx.Cluster))
	for _, ns := range names {
		var open []*inventory.Workload
		for _, w := range members[ns] {
			if keep(w, m.Of(w)) {
				open = append(open, w)
			}
		}
		if len(open) == 0 {
			continue
		}
		p := atNamespace(ctx.Cluster, ns)
		p.Evidence = []finding.Evidence{{Path: "metadata.name", Found: refs(open)[:min(len(open), 20)], Want: want}}
		p.Message = join(say(en, zh, len(open), ns), list(refs(open)))
		report(p)
	}
}

func metadataReachable(ctx *Context, report func(Problem)) {
	if !ctx.Known(policyKinds...) || !onCloud(ctx.Cluster) {
		return
	}
	reachable(ctx, report, "egress that leaves out 169.254.169.254, fd00:ec2::254 and 100.100.100.200",
		func(_ *inventory.Workload, r reach.Reach) bool {
			return slices.ContainsFunc(r.Metadata, servedBy(ctx.Cluster))
		},
		"%d workloads of namespace %s can reach the cloud metadata address: ", "命名空间 %[2]s 中有 %[1]d 个工作负载可访问云元数据地址：")
}

// servedBy keeps the addresses that the cluster's cloud uses, or all when the cloud is not known.
func servedBy(c *inventory.Cluster) func(netip.Addr) bool {
	alibaba := netip.MustParseAddr("100.100.100.200")
	return func(a netip.Addr) bool { return a != alibaba || c.Distribution == "ack" || provider(c) == "alicloud" }
}

// onCloud reports whether the nodes are machines of a cloud, which alone have a metadata address.
func onCloud(c *inventory.Cluster) bool {
	return slices.Contains([]string{"eks", "gke", "aks", "ack", "cce", "tke"}, c.Distribution) || provider(c) != ""
}

// provider returns the scheme of the nodes' providerID: aws, gce, azure, alicloud, qcloud; "" outside of clouds.
func provider(c *inventory.Cluster) string {
	for _, n := range c.Objects["Node"] {
		id := inventory.Str(n.Content, "spec", "providerID")
		scheme, _, ok := strings.Cut(id, "://")
		switch {
		case ok && scheme != "kind" && scheme != "k3s" && scheme != "minikube" && scheme != "baremetal" && scheme != "metal3":
			return scheme
		case !ok && strings.Count(id, ".i-") == 1: // Alibaba Cloud: "cn-beijing.i-abc"
			return "alicloud"
		}
	}
	return ""
}

// apiServerReachable looks at pods that have no use for the API server: no token, or one without rights of its own.
func apiServerReachable(ctx *Context, report func(Problem)) {
	if !ctx.Known(policyKinds...) || !ctx.Known(rbacKinds...) {
		return
	}
	g := ctx.Access()
	reachable(ctx, report, "egress that leaves out the API server",
		func(w *inventory.Workload, r reach.Reach) bool {
			return r.APIServer && (!tokenMounted(ctx.Cluster, w) || !g.Bound(access.Account(w.Ref.Namespace, w.ServiceAccount)))
		},
		"%d workloads of namespace %s can reach the API server and have no rights there: ", "命名空间 %[2]s 中有 %[1]d 个工作负载可访问 API server，却没有任何使用它的权限：")
}
