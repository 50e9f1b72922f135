package attack

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// taken adds what commands in a workload give.
func (b *builder) taken(w *inventory.Workload, at int32) {
	b.token(w, at)
	b.escape(w, at)
	b.outbreak(w, at)
	b.credentials(w, at)
	b.metadata(w, at)
}

// token: a service account's token lies in the container.
func (b *builder) token(w *inventory.Workload, at int32) {
	if !analyze.TokenMounted(b.c, w) || w.Static {
		return
	}
	s := access.Account(w.Ref.Namespace, w.ServiceAccount)
	if b.worth(s) == 0 {
		return
	}
	ease, title := 1.0, say("finds the token of ServiceAccount %s", "取得 ServiceAccount %s 的 token", w.ServiceAccount)
	if b.enforced() && !b.reach.Of(w).APIServer && !w.HostNetwork {
		ease, title = 0.4, say("finds the token of ServiceAccount %s, to be used from elsewhere: network policies keep it from the API server", "取得 ServiceAccount %s 的 token；网络策略阻止其访问 API Server，需在别处使用", w.ServiceAccount)
	}
	cut := b.change("token/"+w.Ref.String()+"/"+w.Ref.Group(), func() Change {
		return Change{Ref: objectOf(w.Ref), Title: say("Take the token away from %s", "不向 %s 挂载 token", w.Ref),
			Fix: say("Set automountServiceAccountToken: false in the pod, if it does not call the API server.", "若该工作负载无需访问 API Server，在 Pod 中设置 automountServiceAccountToken: false。")}
	})
	proof := []Proof{{Object: objectOf(w.Ref), Path: inventory.JoinPath(w.Path, "spec.serviceAccountName"), Value: w.ServiceAccount}}
	switch sa := b.c.ServiceAccounts[w.Ref.Namespace+"/"+w.ServiceAccount]; {
	case w.Automount != nil:
		proof = append(proof, Proof{Object: objectOf(w.Ref), Path: inventory.JoinPath(w.Path, "spec.automountServiceAccountToken"), Value: "true"})
	case sa != nil && sa.Automount == nil:
		proof = append(proof, Proof{Object: Object{"v1", "ServiceAccount", sa.Namespace, sa.Name}, Path: "automountServiceAccountToken", Value: "(unset)"})
	}
	b.edge(Edge{From: at, To: b.identity(s), Kind: Token, Ease: ease, Title: title, Proof: proof, Cuts: [][]int32{{cut}}}, "")
}

// escape: the container is no border to its node.
func (b *builder) escape(w *inventory.Workload, at int32) {
	list := analyze.Escapes(w)
	if len(list) == 0 {
		return
	}
	e := Edge{From: at, To: b.nodesOf(w), Kind: Leave, Ease: 0.95}
	var why []finding.Text
	for _, x := range list {
		p := Proof{Object: objectOf(w.Ref), Path: x.Path, Value: x.Value}
		if strings.HasSuffix(x.Path, "privileged") {
			p.Fingerprint = b.e.link("workload/privileged-container", objectOf(w.Ref), x.Container)
			p.Rule = ruleOf(p.Fingerprint, "workload/privileged-container")
		}
		e.Proof = append(e.Proof, p)
		why = append(why, x.Text)
	}
	e.Title = join(say("leaves the container for its node: ", "从容器逃逸到节点："), why[0])
	if len(why) > 1 {
		e.Title = join(e.Title, say(" and %[1]d more", " 等共 %[2]d 项", len(why)-1, len(why)))
	}
	e.Reasons = []finding.Text{why[0]}
	if seen := b.running[w.Ref]; len(seen) > 0 {
		e.Verified, e.Ease = true, 0.99
		for _, s := range seen {
			e.Proof = append(e.Proof, s.proof)
		}
		e.Reasons = append(e.Reasons, join(say("seen on the node %s: ", "已在节点 %s 上确认：", seen[0].proof.Name), seen[0].text))
	}
	e.Cuts = [][]int32{{b.change("harden/"+w.Ref.String()+"/"+w.Ref.Group(), func() Change {
		c := Change{Ref: objectOf(w.Ref), Title: say("Shut %s in its containers", "限制 %s 的容器权限", w.Ref)}
		c.Fix = say("Remove what opens the node:", "移除以下可访问节点的设置：")
		for i, t := range why {
			sep := say(", ", "、")
			if i == 0 {
				sep = say(" ", "")
			}
			c.Fix = join(c.Fix, sep, t)
		}
		c.Fix = join(c.Fix, say(".", "。"))
		return c
	})}}
	b.edge(e, "")
}

// nodesOf is the nodes that a workload's pods run on, as one state.
func (b *builder) nodesOf(w *inventory.Workload) int32 {
	list := w.Nodes
	if len(list) == 0 && w.Ref.Kind == "DaemonSet" {
		for _, o := range b.c.Objects["Node"] {
			list = append(list, o.Name)
		}
	}
	if len(list) == 0 {
		return b.anyNode()
	}
	return b.nodeGroup(list)
}

func (b *builder) nodeGroup(list []string) int32 {
	list = slices.Clone(list)
	slices.Sort(list)
	sum := sha256.Sum256([]byte(strings.Join(list, "\x00")))
	n := Node{Key: "nodes/" + hex.EncodeToString(sum[:8]), Kind: NodeGroup, Value: 75, Ref: Object{"v1", "Node", "", list[0]}, Label: say("Node %s", "节点 %s", list[0])}
	if len(list) > 1 {
		n.Label = say("%d nodes: %s …", "%d 个节点：%s 等", len(list), list[0])
	}
	id, added := b.node(n)
	if added {
		b.queue = append(b.queue, func() { b.onNodes(id, list) })
	}
	return id
}

// anyNode is the node that a pod of the attacker lands on, or one that is not known.
func (b *builder) anyNode() int32 {
	id, added := b.node(Node{Key: "nodes/any", Kind: NodeGroup, Value: 75, Label: say("A node of the cluster", "集群中的某个节点")})
	if added && len(b.masters) > 0 && !b.c.Managed {
		b.queue = append(b.queue, func() { b.controlPlane(id, b.masters[0], 0.6) })
	}
	return id
}

// onNodes adds what whoever owns the nodes gets: the tokens of the pods there, and the keys of the control plane.
func (b *builder) onNodes(at int32, list []string) {
	best := map[access.Subject]*inventory.Workload{}
	var order []strength
	for _, n := range list {
		if _, master := slices.BinarySearch(b.masters, n); master && !b.c.Managed {
			b.controlPlane(at, n, 0.95)
		}
		for _, w := range b.onNode[n] {
			s := access.Account(w.Ref.Namespace, w.ServiceAccount)
			if best[s] != nil || w.Static || !analyze.TokenMounted(b.c, w) {
				continue
			}
			if worth := b.worth(s); worth > 0 {
				best[s] = w
				order = append(order, strength{s, worth})
			}
		}
	}
	sortAccounts(order)
	if len(order) > maxMembers {
		b.cut["members"] += len(order) - maxMembers
		order = order[:maxMembers]
	}
	for _, a := range order {
		w := best[a.who]
		b.edge(Edge{From: at, To: b.identity(a.who), Kind: Pivot, Ease: 0.9, Title: say("takes the token of %s, which runs there", "取得节点上 %s 的 token", w.Ref),
			Proof: []Proof{{Object: objectOf(w.Ref), Path: inventory.JoinPath(w.Path, "spec.serviceAccountName"), Value: w.ServiceAccount}}}, "")
	}
}

func (b *builder) controlPlane(at int32, node string, ease float64) {
	title := say("reads the keys of the control plane on %s", "读取控制面节点 %s 上的密钥", node)
	if ease < 0.9 {
		title = say("has a pod run on the control plane (%s) and reads its keys", "让 Pod 运行在控制面节点（%s）上并读取其密钥", node)
	}
	b.edge(Edge{From: at, To: b.admin(), Kind: Pivot, Ease: ease, Title: title,
		Proof: []Proof{{Object: Object{"v1", "Node", "", node}, Path: "metadata.labels['node-role.kubernetes.io/control-plane']", Value: "(set)"}}}, "")
}

// credentials are what a workload gets handed: Secrets, and what findings say lies in its image or variables.
func (b *builder) credentials(w *inventory.Workload, at int32) {
	var proof []Proof
	seen := map[string]bool{}
	secret := func(name, path string) {
		if name != "" && !seen[name] {
			seen[name] = true
			proof = append(proof, Proof{Object: objectOf(w.Ref), Path: path, Value: "Secret " + name})
		}
	}
	mounted := map[string]bool{}
	for _, c := range running(w) {
		for _, m := range c.Mounts {
			mounted[m.Volume] = true
		}
		for _, u := range c.EnvSecrets {
			secret(u.Name, u.Path)
		}
	}
	for _, v := range w.Volumes {
		for _, name := range v.Secrets {
			if mounted[v.Name] {
				secret(name, v.Path)
			}
		}
	}
	for _, s := range sortedKeys(seen) {
		if b.tokens[w.Ref.Namespace+"/"+s] != nil {
			to := *b.tokens[w.Ref.Namespace+"/"+s]
			b.edge(Edge{From: at, To: b.identity(to), Kind: Hold, Ease: 1, Title: say("finds a token of ServiceAccount %s in Secret %s", "在 Secret %[2]s 中取得 ServiceAccount %[1]s 的 token", to.Name, s),
				Proof: []Proof{{Object: Object{"v1", "Secret", w.Ref.Namespace, s}, Path: "type", Value: "kubernetes.io/service-account-token"}}}, s)
		}
	}
	proof = append(proof, b.e.secrets[workloadKey(w.Ref.Kind, w.Ref.Namespace, w.Ref.Name)]...)
	for _, c := range running(w) {
		for _, k := range b.e.uses[containerKey(w.Ref.Kind, w.Ref.Namespace, w.Ref.Name, c.Name)] {
			proof = append(proof, b.e.secrets[k]...)
		}
	}
	if len(proof) == 0 {
		return
	}
	to, _ := b.node(Node{Key: "credentials/" + w.Ref.String() + "/" + w.Ref.Group(), Kind: Credentials, Ref: objectOf(w.Ref), Value: 40,
		Label: say("Credentials in %s", "%s 中的凭据", w.Ref.Name)})
	title := say("reads the credentials that it holds: %s", "读取其中的凭据：%s", cmp.Or(proof[0].Value, proof[0].Path))
	if len(proof) > 1 {
		title = say("reads the credentials that it holds: %[1]s and %[2]d more", "读取其中的凭据：%[1]s 等共 %[3]d 项", cmp.Or(proof[0].Value, proof[0].Path), len(proof)-1, len(proof))
	}
	b.edge(Edge{From: at, To: to, Kind: Hold, Ease: 1, Title: title, Proof: proof}, "")
}

// clouds are distributions whose nodes have an identity at the provider.
var clouds = []string{"eks", "gke", "aks", "ack", "cce", "tke"}

// metadata: the pod reaches the address where the cloud hands out the node's credentials.
func (b *builder) metadata(w *inventory.Workload, at int32) {
	provider, node := b.provider()
	r := b.reach.Of(w)
	if provider == "" || b.enforced() && len(r.Metadata) == 0 && !w.HostNetwork {
		return
	}
	ease := 0.5 // whether the provider's own guard is on is not known
	if w.HostNetwork {
		ease = 0.8
	}
	to, _ := b.node(Node{Key: "cloud/node", Kind: Cloud, Value: 65, Label: say("Cloud identity of the nodes", "节点的云身份")})
	proof := []Proof{{Object: Object{"v1", "Node", "", node}, Path: "spec.providerID", Value: provider}}
	fp := b.e.link("network/metadata-reachable", objectOf(w.Ref), "")
	proof = append(proof, Proof{Object: objectOf(w.Ref), Value: "169.254.169.254", Rule: ruleOf(fp, "network/metadata-reachable"), Fingerprint: fp})
	cut := b.change("metadata/"+w.Ref.String()+"/"+w.Ref.Group(), func() Change {
		return Change{Ref: objectOf(w.Ref), Title: say("Keep %s from the metadata address", "禁止 %s 访问元数据地址", w.Ref),
			Fix: say("Deny egress to 169.254.169.254 by a NetworkPolicy, and require the provider's session tokens with a hop limit of 1.", "通过 NetworkPolicy 禁止访问 169.254.169.254，并在云上强制使用会话令牌且跳数限制为 1。")}
	})
	e := Edge{From: at, To: to, Kind: Meta, Ease: ease, Title: say("asks the cloud's metadata service for the node's credentials", "向云元数据服务索取节点凭据"), Proof: proof}
	if b.enforced() {
		e.Cuts = [][]int32{{cut}}
	}
	b.edge(e, "")
}

// provider says which cloud the nodes are of; "" when none is known.
func (b *builder) provider() (id, node string) {
	for _, o := range b.c.Objects["Node"] {
		p := inventory.Str(o.Content, "spec", "providerID")
		scheme, _, _ := strings.Cut(p, ":")
		if p != "" && !slices.Contains([]string{"kind", "k3s", "k3d", "rke2", "minikube", "metal3", "vsphere"}, scheme) {
			return p, o.Name
		}
	}
	if slices.Contains(clouds, b.c.Distribution) {
		return b.c.Distribution, ""
	}
	return "", ""
}

// enforced reports whether network policies are taken as carried out: also where that is not known, which is told.
func (b *builder) enforced() bool { return !b.policy.Known || b.policy.Enforced }

// escapable lists some workloads of a namespace whose pods can be left for their node.
func (b *builder) escapable(namespace string) []*inventory.Workload {
	var out []*inventory.Workload
	for _, w := range b.byNamespace[namespace] {
		if len(out) < 3 && !w.Static && len(analyze.Escapes(w)) > 0 {
			out = append(out, w)
		}
	}
	return out
}
