package attack

import (
	"fmt"
	"maps"
	"slices"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// sight is what a node's agent sees of a container that is no border to its node.
type sight struct {
	text  finding.Text
	proof Proof
}

// maxSights bounds what is told of one workload: the others look the same.
const maxSights = 3

// nodeCaps are capabilities that are worth the node.
var nodeCaps = []string{"ALL", "CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_DAC_READ_SEARCH", "CAP_BPF"}

// sightings finds, by workload, the containers that node facts show to run without a border to their node.
func sightings(c *inventory.Cluster) map[inventory.Ref][]sight {
	out := map[inventory.Ref][]sight{}
	for _, name := range slices.Sorted(maps.Keys(c.Nodes)) {
		n := c.Nodes[name]
		for i := range n.Containers {
			ct := &n.Containers[i]
			text, found := opened(ct)
			if found == "" || ct.Pod == "" {
				continue
			}
			ref := inventory.PodOwner(ct.Namespace, ct.Pod, n.Name, ct.Static, func(r inventory.Ref) bool { w := c.Workload(r); return w != nil && w.Ref == r })
			if len(out[ref]) >= maxSights {
				continue
			}
			out[ref] = append(out[ref], sight{text, Proof{Object: Object{"v1", "Node", "", n.Name}, Path: "containers/" + ct.Namespace + "/" + ct.Pod + "/" + ct.Container, Value: found}})
		}
	}
	return out
}

// opened says what of a running container opens its node; "" when nothing does.
func opened(ct *inventory.ContainerFact) (finding.Text, string) {
	if !ct.UserNS {
		for i := range ct.Processes {
			p := &ct.Processes[i]
			for _, cap := range p.Caps {
				if p.UID == 0 && slices.Contains(nodeCaps, cap) && (ct.HostPID || cap != "CAP_SYS_PTRACE") {
					return say("%s runs there with the capability %s", "%s 正在以 %s 能力运行", p.Name, cap), fmt.Sprintf("%s: uid 0, %s", p.Name, cap)
				}
			}
		}
	}
	for i := range ct.Mounts {
		if m := &ct.Mounts[i]; m.OpensNode() {
			return say("%s of the node is mounted there and can be used", "节点的 %s 已挂载且可用", m.Source), m.Source + " on " + m.Path
		}
	}
	return finding.Text{}, ""
}

// outbreaks are the emergencies by which commands in a container get to its node: in the kernel, and in the runtime that enters
// containers. Others need the right to create pods, or an image of the attacker's.
var outbreaks = []string{"CVE-2019-5736", "CVE-2020-15257", "CVE-2021-22555", "CVE-2022-0185", "CVE-2022-0492", "CVE-2022-0847", "CVE-2024-1086", "CVE-2024-21626"}

// onHostNetwork are those of them that need the node's network.
var onHostNetwork = []string{"CVE-2020-15257"}

// Outbreaks are the ids that Exposed is asked for.
func Outbreaks() []string { return slices.Clone(outbreaks) }

// Exposed gives the emergencies that nodes' agents verified as exposed, by node. Call it before the scan ends.
func (e *Evidence) Exposed(nodes map[string][]string) { e.exposed = nodes }

// outbreak adds the way from a workload to its nodes by emergencies that their agents verified.
func (b *builder) outbreak(w *inventory.Workload, at int32) {
	var proof []Proof
	var ids, on []string
	for _, node := range w.Nodes {
		took := false
		for _, id := range b.e.exposed[node] {
			if !slices.Contains(outbreaks, id) || slices.Contains(onHostNetwork, id) && !w.HostNetwork {
				continue
			}
			proof = append(proof, Proof{Object: Object{"v1", "Node", "", node}, CVE: id, Value: "exposed"})
			if took = true; !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		if took {
			on = append(on, node)
		}
	}
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	var cuts []int32 // every node of the way must be mended
	for _, node := range on {
		cuts = append(cuts, b.change("mend/"+node, func() Change {
			return Change{Ref: Object{"v1", "Node", "", node}, Title: say("Update the runtime and the kernel of node %s", "升级节点 %s 的运行时和内核", node),
				Fix: join(say("Fix on the node: ", "在节点上修复："), names(ids), say(".", "。"))}
		}))
	}
	b.edge(Edge{From: at, To: b.nodeGroup(on), Kind: Leave, Ease: 0.6, Verified: true, Title: join(say("leaves the container for its node by ", "借助以下漏洞从容器逃逸到节点："), names(ids)), Proof: proof, Cuts: [][]int32{cuts},
		Reasons: []finding.Text{say("verified on the node %s: every precondition was seen", "已在节点 %s 上核实：全部前提条件均已确认", on[0])}}, "emergency")
}
