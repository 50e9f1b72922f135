package reach

import (
	"slices"

	"stockade.dev/stockade/internal/inventory"
)

// Talks reports whether the pods of one workload may open a connection to a port of another's. Policies of both sides
// must let it through; on a node's network none applies.
func (m *Map) Talks(from, to *inventory.Workload, port int64, protocol string) bool {
	return m.lets(from, to, Egress, port, protocol) && m.lets(to, from, Ingress, port, protocol)
}

// lets reports whether the policies of w in a direction admit the other side.
func (m *Map) lets(w, other *inventory.Workload, d Direction, number int64, protocol string) bool {
	at, known := m.spaceAt[w.Ref.Namespace]
	if !known || w.HostNetwork || other.HostNetwork {
		return true // traffic of the node itself is not policed by pod selectors
	}
	s := m.spaces[at]
	receiver := w
	if d == Egress {
		receiver = other
	}
	ports := receiverPorts(receiver)
	switch m.adminVerdict(w, other, d, number, protocol, ports, false) {
	case allow:
		return true
	case deny:
		return false
	}
	isolated := false
	for _, i := range s.polices {
		p := m.Policies[i]
		if !p.Covers[d] || !p.Selector.Matches(w.Labels) {
			continue
		}
		isolated = true
		for j := range p.rules[d] {
			r := &p.rules[d][j]
			if covers(r.ports, number, protocol, ports) && (len(r.peers) == 0 ||
				slices.ContainsFunc(r.peers, func(q peer) bool { return m.isPeer(&q, p.Object.Namespace, other) })) {
				return true
			}
		}
	}
	return !isolated && m.adminVerdict(w, other, d, number, protocol, ports, true) != deny
}

func receiverPorts(w *inventory.Workload) []inventory.Port {
	var out []inventory.Port
	for i := range w.Containers {
		out = append(out, w.Containers[i].Ports...)
	}
	return out
}

// isPeer reports whether a workload is among the pods of a peer. Address blocks do not name pods.
func (m *Map) isPeer(q *peer, own string, w *inventory.Workload) bool {
	if q.block.IsValid() || !q.pods.Matches(w.Labels) {
		return false
	}
	if q.namespaces == nil {
		return w.Ref.Namespace == own
	}
	return q.namespaces.Matches(m.spaces[m.spaceAt[w.Ref.Namespace]].labels)
}

// adminVerdict returns what the admin policies of one tier decide for a pair; undecided also when they pass it on.
func (m *Map) adminVerdict(w, other *inventory.Workload, d Direction, number int64, protocol string, ports []inventory.Port, baseline bool) action {
	mine, theirs := m.spaces[m.spaceAt[w.Ref.Namespace]].labels, map[string]string(nil)
	if at, ok := m.spaceAt[other.Ref.Namespace]; ok {
		theirs = m.spaces[at].labels
	}
	for _, p := range m.admin {
		if p.baseline != baseline || !p.namespaces.Matches(mine) || !p.pods.Matches(w.Labels) {
			continue
		}
		for i := range p.rules[d] {
			r := &p.rules[d][i]
			hit := slices.ContainsFunc(r.peers, func(q adminPeer) bool {
				return q.namespaces != nil && q.namespaces.Matches(theirs) && q.pods.Matches(other.Labels)
			})
			if hit && covers(r.ports, number, protocol, ports) && r.action != undecided {
				if r.action == pass {
					return undecided
				}
				return r.action
			}
		}
	}
	return undecided
}
