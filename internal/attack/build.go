package attack

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/reach"
)

// builder grows a graph forward from what is exposed.
type builder struct {
	g      *Graph
	c      *inventory.Cluster
	e      *Evidence
	access *access.Graph
	reach  *reach.Map
	policy reach.Enforcement

	nodes   map[string]int32
	changes map[string]int32
	edges   map[edgeKey]bool
	cut     map[string]int // what limits cut off, by their code

	accounts    map[string][]strength // by namespace, those that lead on, the strongest first; "" for all
	worths      map[access.Subject]int
	tokens      map[string]*access.Subject // service accounts by their token Secrets
	carried     map[access.Subject]bool    // a pod carries its token
	onNode      map[string][]*inventory.Workload
	byNamespace map[string][]*inventory.Workload
	served      map[*inventory.Workload][][]int64
	masters     []string // nodes of the control plane
	queue       []func() // what is still to be looked into
	running     map[inventory.Ref][]sight
}

type edgeKey struct {
	from, to int32
	kind     string
	what     string
}

// Build computes the graph of a cluster. ev may be nil: then only what needs no findings is in it.
func Build(c *inventory.Cluster, ev *Evidence) *Graph {
	if ev == nil {
		ev = Listen(nil)
	}
	b := &builder{g: &Graph{Version: FormatVersion}, c: c, e: ev, access: access.Build(c), reach: reach.Build(c), nodes: map[string]int32{},
		changes: map[string]int32{}, edges: map[edgeKey]bool{}, cut: map[string]int{}, onNode: map[string][]*inventory.Workload{}, running: sightings(c)}
	b.policy = b.reach.Enforcement()
	b.prepare()
	b.entries()
	for len(b.queue) > 0 {
		next := b.queue[0]
		b.queue = b.queue[1:]
		next()
	}
	b.laterals()
	for len(b.queue) > 0 {
		next := b.queue[0]
		b.queue = b.queue[1:]
		next()
	}
	b.gaps()
	return b.g
}

func (b *builder) prepare() {
	for _, w := range b.c.Workloads {
		for _, n := range w.Nodes {
			b.onNode[n] = append(b.onNode[n], w)
		}
	}
	for _, o := range b.c.Objects["Node"] {
		labels := o.Labels()
		_, old := labels["node-role.kubernetes.io/master"]
		if _, now := labels["node-role.kubernetes.io/control-plane"]; old || now {
			b.masters = append(b.masters, o.Name)
		}
	}
	slices.Sort(b.masters)
	b.rankAccounts()
}

// node returns the number of a state; added tells that it is new. -1 when there is no room.
func (b *builder) node(n Node) (id int32, added bool) {
	if id, ok := b.nodes[n.Key]; ok {
		return id, false
	}
	if len(b.g.Nodes) >= maxNodes {
		b.cut["nodes"]++
		return -1, false
	}
	id = int32(len(b.g.Nodes))
	if n.Namespace == "" {
		n.Namespace = n.Ref.Namespace
	}
	b.g.Nodes = append(b.g.Nodes, n)
	b.nodes[n.Key] = id
	return id, true
}

// edge adds a step once; what tells parallel ones apart.
func (b *builder) edge(e Edge, what string) {
	key := edgeKey{e.From, e.To, e.Kind, what}
	if e.From < 0 || e.To < 0 || e.From == e.To || b.edges[key] {
		return
	}
	if len(b.g.Edges) >= maxEdges {
		b.cut["edges"]++
		return
	}
	b.edges[key] = true
	if len(e.Proof) > maxProofs {
		e.More += len(e.Proof) - maxProofs
		e.Proof = e.Proof[:maxProofs]
	}
	for i, p := range e.Proof {
		if len(p.Value) > 300 {
			e.Proof[i].Value = p.Value[:300]
		}
	}
	b.g.Edges = append(b.g.Edges, e)
}

// change returns the number of a change, made at first use.
func (b *builder) change(key string, make func() Change) int32 {
	if id, ok := b.changes[key]; ok {
		return id
	}
	id := int32(len(b.g.Changes))
	c := make()
	c.Key = key
	b.g.Changes = append(b.g.Changes, c)
	b.changes[key] = id
	return id
}

// entries adds every way from outside to a workload.
func (b *builder) entries() {
	for _, w := range b.c.Workloads {
		open := false
		for _, x := range b.reach.Exposures(w) {
			if b.blocked(w, x) {
				b.cut["blocked"]++
				continue
			}
			b.entry(w, x)
			open = true
		}
		if !open {
			continue
		}
		b.g.Exposed++
		at := b.workload(w)
		if b.holes(w, at) {
			b.g.Holes++
		} else {
			b.assume(w, at)
		}
	}
	b.anonymous()
}

// blocked reports whether network policies keep a way from outside shut.
func (b *builder) blocked(w *inventory.Workload, x reach.Exposure) bool {
	if b.policy.Known && !b.policy.Enforced || w.HostNetwork {
		return false
	}
	in := b.reach.Of(w).Ingress
	if !in.Isolated {
		return false
	}
	if x.Kind == reach.ViaIngress || x.Kind == reach.ViaGateway {
		return in.Open == 0
	}
	return in.Open&(reach.World|reach.SomeAddresses) == 0
}

// ways are how easily each kind of exposure is reached from outside.
var ways = map[string]float64{reach.ViaLoadBalancer: 1, reach.ViaIngress: 0.95, reach.ViaGateway: 0.95, reach.ViaExternalIP: 0.9, reach.ViaNodePort: 0.75,
	reach.ViaHostPort: 0.7, reach.ViaHostNetwork: 0.5}

func (b *builder) entry(w *inventory.Workload, x reach.Exposure) {
	from, ease := b.internet(), ways[x.Kind]
	if x.Private {
		from, _ = b.node(Node{Key: "network", Kind: Inside, Label: say("Private network", "内部网络")})
		ease *= 0.5
	}
	door, ref, path, value := Node{Kind: Door}, objectOf(w.Ref), x.Path, portList(x.Ports)
	if x.Object != nil {
		ref = objectOf(x.Object.Ref())
		door.Key = "door/" + ref.String() + "/" + ref.APIVersion
		door.Label = say("%s %s", "%s %s", ref.Kind, ref.Name)
	} else {
		door.Key = "door/" + w.Ref.String() + "/" + x.Kind
		door.Label = say("%s %s of %s", "%[3]s 的 %[1]s %[2]s", x.Kind, portList(x.Ports), w.Ref.Name)
	}
	door.Ref = ref
	at, _ := b.node(door)
	fp := b.e.link("network/exposed-outside", objectOf(w.Ref), "")
	b.edge(Edge{From: from, To: at, Kind: Expose, Ease: ease, Title: exposeText(x, from == b.internet()),
		Proof: []Proof{{Object: ref, Path: exposePath(x), Value: cmp.Or(exposeValue(x), value)}},
		Cuts:  [][]int32{{b.closing(w, x, ref)}}, Reasons: []finding.Text{say("exposed by %s", "通过 %s 暴露", x.Kind)}}, "")
	var proof []Proof
	switch {
	case x.Service == nil:
		proof = []Proof{{Object: objectOf(w.Ref), Path: path, Value: value}}
	case x.Object != x.Service.Object:
		proof = []Proof{{Object: ref, Path: path, Value: "Service " + x.Service.Object.Name}}
	}
	if x.Service != nil {
		proof = append(proof, Proof{Object: objectOf(x.Service.Object.Ref()), Path: "spec.selector", Value: pairs(x.Service.Selector)})
	}
	proof[0].Rule, proof[0].Fingerprint = ruleOf(fp, "network/exposed-outside"), fp
	b.edge(Edge{From: at, To: b.workload(w), Kind: Route, Ease: 1, Title: say("leads to %s", "指向 %s", w.Ref), Proof: proof}, "")
}

func ruleOf(fp, rule string) string {
	if fp == "" {
		return ""
	}
	return rule
}

func exposePath(x reach.Exposure) string {
	if x.Kind == reach.ViaIngress || x.Kind == reach.ViaGateway {
		return "spec"
	}
	return x.Path
}

func exposeValue(x reach.Exposure) string {
	switch x.Kind {
	case reach.ViaLoadBalancer, reach.ViaNodePort:
		return x.Kind
	}
	return ""
}

func exposeText(x reach.Exposure, outside bool) finding.Text {
	switch {
	case !outside:
		return say("is open to private addresses or some source ranges (%s)", "对内网地址或部分来源网段开放（%s）", x.Kind)
	case x.Kind == reach.ViaNodePort, x.Kind == reach.ViaHostPort, x.Kind == reach.ViaHostNetwork:
		return say("is open on the addresses of nodes (%s)", "在节点地址上开放（%s）", x.Kind)
	}
	return say("is open to the outside (%s)", "对集群外开放（%s）", x.Kind)
}

// closing is the change that ends an exposure.
func (b *builder) closing(w *inventory.Workload, x reach.Exposure, ref Object) int32 {
	return b.change("close/"+ref.String()+"/"+ref.APIVersion+"/"+x.Kind, func() Change {
		c := Change{Ref: ref, Title: say("Close %s to the outside", "关闭 %s 的对外暴露", ref)}
		switch x.Kind {
		case reach.ViaHostPort:
			c.Fix = say("Remove hostPort from the container's ports and use a Service.", "从容器端口中移除 hostPort，改用 Service。")
		case reach.ViaHostNetwork:
			c.Fix = say("Set hostNetwork to false, or filter the port on the nodes.", "将 hostNetwork 设为 false，或在节点上过滤该端口。")
		case reach.ViaIngress, reach.ViaGateway:
			c.Fix = say("Remove the route, or put authentication or a source range in front of it.", "删除该路由，或在其前面加上认证或来源网段限制。")
		case reach.ViaLoadBalancer:
			c.Fix = say("Make the Service internal: type ClusterIP, your provider's internal load balancer, or loadBalancerSourceRanges.",
				"将该 Service 改为内部访问：使用 ClusterIP、云服务商的内网负载均衡，或设置 loadBalancerSourceRanges。")
		case reach.ViaExternalIP:
			c.Fix = say("Remove externalIPs from the Service.", "从该 Service 中移除 externalIPs。")
		default:
			c.Fix = say("Set the Service's type to ClusterIP.", "将该 Service 的类型改为 ClusterIP。")
		}
		return c
	})
}

func (b *builder) internet() int32 {
	id, _ := b.node(Node{Key: "internet", Kind: Internet, Label: say("Internet", "互联网")})
	return id
}

func (b *builder) workload(w *inventory.Workload) int32 {
	id, _ := b.node(Node{Key: "workload/" + w.Ref.String() + "/" + w.Ref.Group(), Kind: Workload, Ref: objectOf(w.Ref), Label: say("%s %s", "%s %s", w.Ref.Kind, w.Ref.Name)})
	return id
}

// foothold is the state in which the attacker's commands run in a workload. What that gives is looked into once.
func (b *builder) foothold(w *inventory.Workload) int32 {
	id, added := b.node(Node{Key: "foothold/" + w.Ref.String() + "/" + w.Ref.Group(), Kind: Foothold, Ref: objectOf(w.Ref),
		Label: say("Commands in %s", "在 %s 中执行命令", w.Ref.Name)})
	if added {
		b.queue = append(b.queue, func() { b.taken(w, id) })
	}
	return id
}

// running visits the containers that answer requests.
func running(w *inventory.Workload) []*inventory.Container {
	var out []*inventory.Container
	for i := range w.Containers {
		if t := w.Containers[i].Type; t != inventory.TypeInit && t != inventory.TypeEphemeral {
			out = append(out, &w.Containers[i])
		}
	}
	return out
}

// holes adds the known ways into a workload, one edge for each image and one for each door of its own.
func (b *builder) holes(w *inventory.Workload, at int32) bool {
	found := false
	byImage, order := map[string][]hole{}, []string{}
	partial := map[string]bool{}
	for _, c := range running(w) {
		for _, key := range b.e.uses[containerKey(w.Ref.Kind, w.Ref.Namespace, w.Ref.Name, c.Name)] {
			if _, seen := byImage[c.Image]; !seen {
				order = append(order, c.Image)
			}
			partial[c.Image] = partial[c.Image] || b.e.more[key]
			for _, h := range b.e.holes[key] {
				if !h.login || b.e.ssh[key] || listens(c, 22) {
					byImage[c.Image] = append(byImage[c.Image], h)
				}
			}
		}
	}
	for _, image := range order {
		found = b.enter(w, at, image, sortHoles(byImage[image]), partial[image]) || found
	}
	for _, h := range b.e.holesOf(workloadKey(w.Ref.Kind, w.Ref.Namespace, w.Ref.Name)) {
		found = b.enter(w, at, "", []hole{h}, false) || found
	}
	return found
}

func listens(c *inventory.Container, port int64) bool {
	return slices.ContainsFunc(c.Ports, func(p inventory.Port) bool { return p.Container == port })
}

// enter adds the edges into a workload through holes of one image: vulnerabilities, and doors without a lock.
func (b *builder) enter(w *inventory.Workload, at int32, image string, list []hole, partial bool) bool {
	for _, open := range []bool{false, true} {
		var some []hole
		for _, h := range list {
			if h.open == open {
				some = append(some, h)
			}
		}
		if len(some) == 0 {
			continue
		}
		e := Edge{From: at, To: b.foothold(w), Kind: Exploit, Ease: some[0].ease, Partial: partial && !open || len(some) > maxFindings}
		e.Title, e.Reasons = exploitText(some, image)
		cut := b.change("image/"+image, func() Change { return updateImage(some, image) })
		if open {
			e.Kind = Open
			cut = b.change("door/"+image+"/"+w.Ref.String()+"/"+some[0].rule, func() Change {
				return Change{Ref: objectOf(w.Ref), Title: say("Put a lock on %s", "为 %s 启用认证", w.Ref), Fix: doorFix[some[0].rule]}
			})
		}
		e.Cuts = [][]int32{{cut}}
		for _, h := range some {
			e.Proof = append(e.Proof, Proof{Object: objectOf(w.Ref), Rule: h.rule, CVE: h.cve, Image: image, Value: holeValue(h), Fingerprint: h.fingerprint})
			if len(e.Findings) < maxFindings {
				e.Findings = append(e.Findings, h.fingerprint)
			}
		}
		b.edge(e, image+"\x00"+some[0].rule[:min(len(some[0].rule), 40*boolInt(open))])
	}
	return len(list) > 0
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

var doorFix = map[string]finding.Text{
	"image/default-credentials":           say("Set credentials of your own at run time from a Secret, and switch authentication on.", "在运行时通过 Secret 设置自己的口令，并启用认证。"),
	"image/open-account":                  say("Lock the account in the image, and remove the SSH server.", "在镜像中锁定该账号，并移除 SSH 服务。"),
	"workload/helm-tiller":                say("Migrate to Helm 3 and delete Tiller.", "迁移到 Helm 3 并删除 Tiller。"),
	"network/sensitive-interface-exposed": say("Reach the interface by port-forward or behind single sign-on.", "通过 port-forward 或单点登录网关访问该界面。"),
}

func holeValue(h hole) string {
	switch {
	case h.open:
		return h.pack
	case h.fixed != "":
		return h.pack + " < " + h.fixed
	}
	return h.pack
}

func exploitText(list []hole, image string) (finding.Text, []finding.Text) {
	first := list[0]
	if first.open {
		if first.pack == "" {
			return say("is open without a lock (%s)", "无需认证即可进入（%s）", first.rule), []finding.Text{say("a door without a lock", "存在无需认证的入口")}
		}
		return say("is open without a lock: %s", "无需认证即可进入：%s", first.pack), []finding.Text{say("a door without a lock", "存在无需认证的入口")}
	}
	reasons := []finding.Text{say("%s in %s", "%[2]s 存在 %[1]s", first.cve, first.pack)}
	for _, h := range list {
		if h.kev {
			reasons[0] = say("%s is known to be exploited", "%s 已知被利用", h.cve)
			break
		}
	}
	if first.epss >= likely {
		reasons = append(reasons, say("EPSS %.0f %%", "EPSS %.0f%%", 100*first.epss))
	}
	title := say("is taken over by %s in %s", "可通过 %[2]s 中的 %[1]s 攻陷", first.cve, first.pack)
	if len(list) > 1 {
		title = say("is taken over by %s in %s, or %d more of its image", "可通过 %[2]s 中的 %[1]s（镜像中另有 %[3]d 个）攻陷", first.cve, first.pack, len(list)-1)
	}
	return title, reasons
}

func updateImage(list []hole, image string) Change {
	var packs []string
	fixable := true
	for _, h := range list {
		fixable = fixable && (h.open || h.fixed != "")
		if !slices.Contains(packs, h.pack) && !h.open {
			packs = append(packs, h.pack)
		}
	}
	c := Change{Ref: Object{Kind: "Image", Name: image}, Title: say("Update image %s", "更新镜像 %s", image)}
	c.Fix = join(say("Rebuild it with fixed versions of ", "使用以下软件包的修复版本重新构建："), names(packs), say(".", "。"))
	if !fixable {
		c.Fix = join(c.Fix, say(" Some have no fixed version yet: remove them or limit who reaches the workload.", "部分漏洞尚无修复版本：请移除相关软件包或限制可访问该工作负载的范围。"))
	}
	return c
}

func sortHoles(list []hole) []hole {
	slices.SortStableFunc(list, func(a, b hole) int {
		return cmp.Or(cmp.Compare(b.ease, a.ease), strings.Compare(a.cve, b.cve), strings.Compare(a.fingerprint, b.fingerprint))
	})
	return slices.CompactFunc(list, func(a, b hole) bool { return a.fingerprint == b.fingerprint })
}

// assume adds the way in that nobody knows yet.
func (b *builder) assume(w *inventory.Workload, at int32) {
	b.edge(Edge{From: at, To: b.foothold(w), Kind: Assumed, Ease: 0.2, Title: say("would be taken over by a hole that nobody knows yet", "假设存在尚未公开的漏洞而被攻陷"),
		Proof: []Proof{{Object: objectOf(w.Ref)}}, Reasons: []finding.Text{say("no known way in: a hole is assumed", "没有已知入口：假设存在漏洞")}}, "")
}

func portList(list []int64) string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(out, ",")
}

func pairs(m map[string]string) string {
	var out []string
	for _, k := range sortedKeys(m) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

func key(parts ...any) string { return fmt.Sprint(parts...) }
