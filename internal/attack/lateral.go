package attack

import (
	"cmp"
	"slices"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// laterals adds moves over the pod network: to workloads that are not exposed themselves, have a known way in, and lead on.
func (b *builder) laterals() {
	type victim struct {
		w    *inventory.Workload
		ease float64
	}
	var victims []victim
	for _, w := range b.c.Workloads {
		if _, exposed := b.nodes["workload/"+w.Ref.String()+"/"+w.Ref.Group()]; exposed || w.Static {
			continue
		}
		if ease := b.bestHole(w); ease > 0 && b.leadsOn(w) {
			victims = append(victims, victim{w, ease})
		}
	}
	slices.SortStableFunc(victims, func(x, y victim) int { return cmp.Compare(y.ease, x.ease) })
	if len(victims) > maxLateral {
		b.cut["lateral"] += len(victims) - maxLateral
		victims = victims[:maxLateral]
	}
	sources := b.sources()
	talks := 0
	for _, v := range victims {
		ports := b.portsOf(v.w)
		kept := 0
		for i, s := range sources {
			if talks >= maxTalks {
				b.cut["talks"] += len(sources) - i
				break
			}
			talks++
			port, ok := b.talks(s, v.w, ports)
			if !ok {
				continue
			}
			if kept++; kept > maxSources {
				b.cut["sources"]++
				continue
			}
			b.move(s, v.w, port)
		}
		if kept > 0 {
			b.holes(v.w, b.workload(v.w))
		}
	}
}

// sources are the workloads in which commands may run already, those with the easiest holes first.
func (b *builder) sources() []*inventory.Workload {
	known := map[int32]bool{}
	for i := range b.g.Edges {
		if k := b.g.Edges[i].Kind; k == Exploit || k == Open {
			known[b.g.Edges[i].To] = true
		}
	}
	var out, assumed []*inventory.Workload
	for _, w := range b.c.Workloads {
		if id, ok := b.nodes["foothold/"+w.Ref.String()+"/"+w.Ref.Group()]; ok && known[id] {
			out = append(out, w)
		} else if ok {
			assumed = append(assumed, w)
		}
	}
	slices.SortStableFunc(out, func(x, y *inventory.Workload) int { return cmp.Compare(b.bestHole(y), b.bestHole(x)) })
	return append(out, assumed...)
}

func (b *builder) bestHole(w *inventory.Workload) float64 {
	best := 0.0
	for _, h := range b.e.holes[workloadKey(w.Ref.Kind, w.Ref.Namespace, w.Ref.Name)] {
		best = max(best, h.ease)
	}
	for _, c := range running(w) {
		for _, k := range b.e.uses[containerKey(w.Ref.Kind, w.Ref.Namespace, w.Ref.Name, c.Name)] {
			for _, h := range b.e.holes[k] {
				if !h.login || b.e.ssh[k] || listens(c, 22) {
					best = max(best, h.ease)
				}
			}
		}
	}
	return best
}

// portsOf are where a workload answers: its containers' ports, else those of its Services.
func (b *builder) portsOf(w *inventory.Workload) []inventory.Port {
	var out []inventory.Port
	for _, c := range running(w) {
		for _, p := range c.Ports {
			if len(out) < 8 {
				out = append(out, p)
			}
		}
	}
	if len(out) == 0 {
		for _, s := range b.servicesOf(w) {
			for _, n := range s {
				out = append(out, inventory.Port{Container: n, Protocol: "TCP"})
			}
		}
	}
	return out
}

func (b *builder) servicesOf(w *inventory.Workload) [][]int64 {
	if b.served == nil {
		b.served = map[*inventory.Workload][][]int64{}
		for _, s := range b.reach.Services() {
			for _, t := range s.Targets {
				b.served[t] = append(b.served[t], s.Ports)
			}
		}
	}
	return b.served[w]
}

func (b *builder) talks(from, to *inventory.Workload, ports []inventory.Port) (int64, bool) {
	if from == to {
		return 0, false
	}
	for _, p := range ports {
		if !b.enforced() || b.reach.Talks(from, to, p.Container, p.Protocol) {
			return p.Container, true
		}
	}
	return 0, false
}

func (b *builder) move(from, to *inventory.Workload, port int64) {
	in := b.reach.Of(to).Ingress
	proof := []Proof{{Object: objectOf(to.Ref), Path: "ports", Value: portList([]int64{port})}}
	title := say("reaches %s on port %d: no network policy keeps it away", "可访问 %s 的 %d 端口：没有网络策略阻止", to.Ref, port)
	switch {
	case !b.enforced():
		title = say("reaches %s on port %d: the network carries out no policies", "可访问 %s 的 %d 端口：集群网络不执行网络策略", to.Ref, port)
	case in.Isolated && len(in.Policies) > 0:
		title = say("reaches %s on port %d: its network policies admit it", "可访问 %s 的 %d 端口：其网络策略允许", to.Ref, port)
		for _, p := range in.Policies {
			proof = append(proof, Proof{Object: objectOf(p.Object.Ref()), Path: "spec.ingress"})
		}
	}
	e := Edge{From: b.foothold(from), To: b.workload(to), Kind: Lateral, Ease: 0.85, Title: title, Proof: proof, Reasons: []finding.Text{say("moves over the pod network", "通过 Pod 网络横向移动")}}
	if b.enforced() {
		e.Cuts = [][]int32{{b.change("admit/"+to.Ref.String()+"/"+to.Ref.Group(), func() Change {
			return Change{Ref: objectOf(to.Ref), Title: say("Let only its clients reach %s", "仅允许必要的客户端访问 %s", to.Ref),
				Fix: say("Add a NetworkPolicy that denies ingress to %s by default and admits the pods that need it.", "添加 NetworkPolicy：默认拒绝访问 %s，仅放行确有需要的 Pod。", to.Ref)}
		})}}
	}
	b.edge(e, "")
}
