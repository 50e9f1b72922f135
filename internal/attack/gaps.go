package attack

import (
	"maps"
	"slices"

	"stockade.dev/stockade/internal/finding"
)

// gaps says what the graph does not know, and what its limits left out.
func (b *builder) gaps() {
	g := b.g
	add := func(code string, count int, title, detail finding.Text) {
		g.Gaps = append(g.Gaps, Gap{Code: code, Title: title, Detail: detail, Count: count})
	}
	if !b.policy.Known {
		add("network", 0, say("Whether network policies are carried out is not known", "无法确定网络策略是否生效"),
			say("No network plugin was recognised. Policies are taken as carried out, so moves that they forbid are not shown.", "未能识别集群的网络插件。此处按网络策略已生效处理，被策略禁止的横向移动不会显示。"))
	}
	if !b.e.matched {
		add("vulnerabilities", 0, say("Vulnerabilities were not looked for", "未检查漏洞"), say("%s. Ways over vulnerabilities are missing.", "%s。因此缺少经由漏洞的路径。", b.e.noData))
	}
	if n := b.unreadExposed(); n > 0 {
		add("images", n, say("Exposed workloads whose images could not be read: %d", "镜像无法读取的对外暴露工作负载：%d 个", n),
			say("Whether they have vulnerabilities is not known: ways through them may be missing.", "无法确定其中是否存在漏洞，可能缺少经由它们的路径。"))
	}
	for _, kind := range slices.Sorted(maps.Keys(b.c.Unread)) {
		if what, ok := needed[kind]; ok {
			add("unread", 0, say("%s could not be read", "无法读取 %s", kind), join(what, say(" (%s)", "（%s）", b.c.Unread[kind])))
		}
	}
	if b.c.Managed {
		add("control-plane", 0, say("The control plane is run by the provider", "控制面由云服务商托管"), say("Ways through it are not looked at.", "不检查经由控制面的路径。"))
	}
	if n := b.cut["blocked"]; n > 0 {
		add("blocked", n, say("Exposures that network policies shut: %d", "被网络策略阻断的对外暴露：%d 处", n),
			say("They are open by their Service or route, yet the policies of the workload admit nobody. They count as closed.", "Service 或路由本身是开放的，但工作负载的网络策略不允许任何来源访问，因此按未暴露处理。"))
	}
	total, parts := 0, finding.Text{}
	for _, l := range limits {
		if n := b.cut[l.code]; n > 0 {
			total += n
			parts = join(parts, say(" ", ""), l.text, say(": %d.", "：%d。", n))
		}
	}
	if total > 0 {
		add("limits", total, say("Steps that were left out: %d", "未纳入的步骤：%d 个", total),
			join(say("The graph is bounded; what is weaker, or leads to the same, is left out first.", "攻击图有规模上限，优先省略较弱或通往相同目标的步骤。"), parts))
	}
}

// limits say what each bound leaves out.
var limits = []struct {
	code string
	text finding.Text
}{
	{"nodes", say("States of the attack", "攻击状态")},
	{"edges", say("Steps of any kind", "各类步骤")},
	{"members", say("Identities that one right opens, beyond the strongest", "同一权限可获得的较弱身份")},
	{"scopes", say("Namespaces in which one right holds", "同一权限适用的其他命名空间")},
	{"named", say("Single Secrets that a role names", "角色中按名称授权的 Secret")},
	{"lateral", say("Workloads that moves over the pod network lead to", "可横向移动到的工作负载")},
	{"sources", say("Neighbours from which the same workload is reached, beyond the easiest", "可访问同一工作负载的其他来源")},
	{"talks", say("Pairs of workloads whose network was not asked about", "未判断网络可达性的工作负载组合")},
}

// needed are the kinds without which ways are missing, and which.
var needed = map[string]finding.Text{
	"Service":                               say("Ways from outside over Services are missing.", "缺少经由 Service 的外部入口。"),
	"Ingress.networking.k8s.io":             say("Ways from outside over Ingresses are missing.", "缺少经由 Ingress 的外部入口。"),
	"Pod":                                   say("On which nodes workloads run is not known.", "无法确定工作负载运行在哪些节点上。"),
	"Node":                                  say("Which nodes are of the control plane, and their cloud, is not known.", "无法确定控制面节点及其所属云平台。"),
	"Secret":                                say("Which Secrets hold tokens is not known.", "无法确定哪些 Secret 含有 token。"),
	"ServiceAccount":                        say("Which service accounts exist is not known.", "无法确定存在哪些 ServiceAccount。"),
	"NetworkPolicy.networking.k8s.io":       say("Which moves network policies forbid is not known.", "无法确定网络策略禁止了哪些访问。"),
	"Role.rbac.authorization.k8s.io":        say("Ways over rights are missing.", "缺少经由权限的路径。"),
	"ClusterRole.rbac.authorization.k8s.io": say("Ways over rights are missing.", "缺少经由权限的路径。"),
	"RoleBinding.rbac.authorization.k8s.io": say("Ways over rights are missing.", "缺少经由权限的路径。"),
	"ClusterRoleBinding.rbac.authorization.k8s.io": say("Ways over rights are missing.", "缺少经由权限的路径。"),
}

// unreadExposed counts the exposed workloads with an image that could not be read.
func (b *builder) unreadExposed() int {
	if len(b.e.unread) == 0 {
		return 0
	}
	n := 0
	for _, w := range b.c.Workloads {
		if _, exposed := b.nodes["workload/"+w.Ref.String()+"/"+w.Ref.Group()]; !exposed || len(b.reach.Exposures(w)) == 0 {
			continue
		}
		for _, c := range running(w) {
			unread := b.e.unread[c.Image] != ""
			for _, d := range c.Digests {
				unread = unread || b.e.unread[d] != ""
			}
			if unread {
				n++
				break
			}
		}
	}
	return n
}
