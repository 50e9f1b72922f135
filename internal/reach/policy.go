package reach

import (
	"net/netip"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/selector"
)

// Peers is a set of those that a direction is left open to.
type Peers uint8

// The peers. A wider one brings the narrower ones that it certainly contains: AllNamespaces brings OwnNamespace.
const (
	World          Peers = 1 << iota // any address outside the cluster
	AllNamespaces                    // every pod of every namespace
	SomeNamespaces                   // pods of some other namespaces
	OwnNamespace                     // every pod of the own namespace
	SomePods                         // some pods of the own namespace
	SomeAddresses                    // some address ranges
)

const everyone = World | AllNamespaces | SomeNamespaces | OwnNamespace | SomePods | SomeAddresses

// Has reports whether p holds every peer of q.
func (p Peers) Has(q Peers) bool { return p&q == q }

// Direction of traffic, as a pod sees it.
type Direction uint8

// The directions.
const (
	Ingress Direction = iota
	Egress
)

func (d Direction) String() string {
	if d == Egress {
		return "egress"
	}
	return "ingress"
}

// Policy is one NetworkPolicy.
type Policy struct {
	Object   *inventory.Object
	Selector selector.Selector
	Covers   [2]bool // the directions it isolates, by policyTypes or their default
	// Selected is the number of workloads that its podSelector matches.
	Selected int

	rules [2][]rule
}

// rule is one entry of ingress or egress. Without peers it is about everyone, without ports about all of them.
type rule struct {
	peers []peer
	ports []port
}

// peer is one entry of from or to: pods by selectors, or an address block.
type peer struct {
	namespaces *selector.Selector // nil: the policy's own namespace
	pods       selector.Selector
	block      netip.Prefix // valid for an ipBlock only
	except     []netip.Prefix
}

type port struct {
	protocol string
	first    int64 // 0: every port of the protocol
	last     int64
	name     string // of a container port
}

// parsePolicy reads a NetworkPolicy. Values of wrong types count as missing; an address block that cannot be read
// matches nothing.
func parsePolicy(o *inventory.Object) *Policy {
	spec := inventory.Map(o.Content, "spec")
	p := &Policy{Object: o, Selector: selector.Parse(inventory.Map(spec, "podSelector"))}
	for d, keys := range [2][2]string{{"ingress", "from"}, {"egress", "to"}} {
		for _, v := range inventory.List(spec, keys[0]) {
			if m, ok := v.(map[string]any); ok {
				p.rules[d] = append(p.rules[d], parseRule(m, keys[1]))
			} else if v == nil {
				p.rules[d] = append(p.rules[d], rule{})
			}
		}
	}
	if types := inventory.Strs(spec, "policyTypes"); len(types) > 0 {
		p.Covers = [2]bool{slices.Contains(types, "Ingress"), slices.Contains(types, "Egress")}
	} else {
		// The API server's default: always ingress, and egress only when there is an egress rule.
		p.Covers = [2]bool{true, len(p.rules[Egress]) > 0}
	}
	return p
}

func parseRule(m map[string]any, key string) rule {
	var r rule
	for _, v := range inventory.List(m, key) {
		entry, ok := v.(map[string]any)
		if !ok {
			continue
		}
		var p peer
		if block := inventory.Map(entry, "ipBlock"); block != nil {
			p.block = parsePrefix(inventory.Str(block, "cidr"))
			for _, e := range inventory.Strs(block, "except") {
				p.except = append(p.except, parsePrefix(e))
			}
			if !p.block.IsValid() {
				p.pods = nothing
			}
		} else {
			p.pods = selector.Parse(inventory.Map(entry, "podSelector"))
			if _, ok := entry["namespaceSelector"]; ok {
				s := selector.Parse(inventory.Map(entry, "namespaceSelector"))
				p.namespaces = &s
			}
		}
		r.peers = append(r.peers, p)
	}
	for _, v := range inventory.List(m, "ports") {
		if entry, ok := v.(map[string]any); ok {
			r.ports = append(r.ports, parsePort(entry))
		}
	}
	return r
}

// nothing matches no pod.
var nothing = selector.Parse(map[string]any{"matchExpressions": []any{nil}})

func parsePrefix(s string) netip.Prefix {
	p, err := netip.ParsePrefix(strings.TrimSpace(s))
	if err != nil {
		return netip.Prefix{}
	}
	return p.Masked()
}

func parsePort(m map[string]any) port {
	p := port{protocol: inventory.Str(m, "protocol"), name: inventory.Str(m, "port")}
	if p.protocol == "" {
		p.protocol = "TCP"
	}
	if n, ok := inventory.Int(m, "port"); ok {
		p.first, p.last = n, n
		if end, ok := inventory.Int(m, "endPort"); ok && end >= n {
			p.last = end
		}
	}
	return p
}

// covers reports whether the ports of a rule include one. names are the container ports of the receiving pod.
func covers(ports []port, number int64, protocol string, names []inventory.Port) bool {
	if len(ports) == 0 {
		return true
	}
	for _, p := range ports {
		if p.protocol != protocol {
			continue
		}
		switch {
		case p.name != "":
			for _, n := range names {
				if n.Name == p.name && n.Container == number && n.Protocol == protocol {
					return true
				}
			}
		case p.first == 0 || p.first <= number && number <= p.last:
			return true
		}
	}
	return false
}

// holdsAddr reports whether an address block includes an address.
func (p *peer) holdsAddr(a netip.Addr) bool {
	if !p.block.IsValid() || !p.block.Contains(a) {
		return false
	}
	for _, e := range p.except {
		if e.IsValid() && e.Contains(a) {
			return false
		}
	}
	return true
}

// wide reports whether a block stands for the whole Internet. Exceptions for private ranges change nothing about that.
func wide(p netip.Prefix) bool { return p.IsValid() && p.Bits() <= 1 }

// opens returns whom the rules of a policy leave a direction open to.
func (m *Map) opens(p *Policy, d Direction) Peers {
	var out Peers
	for _, r := range p.rules[d] {
		if len(r.peers) == 0 {
			return everyone
		}
		for i := range r.peers {
			out |= m.opensTo(&r.peers[i], p.Object.Namespace)
		}
	}
	return out
}

func (m *Map) opensTo(p *peer, own string) Peers {
	switch {
	case p.block.IsValid() && wide(p.block):
		return World | SomeAddresses
	case p.block.IsValid():
		return SomeAddresses
	case p.pods.Nothing():
		return 0
	case p.namespaces == nil && p.pods.Everything():
		return OwnNamespace | SomePods
	case p.namespaces == nil:
		return SomePods
	}
	chosen := m.namespacesOf(*p.namespaces)
	var out Peers
	for _, i := range chosen {
		if m.spaces[i].name == own {
			out |= SomePods
		} else {
			out |= SomeNamespaces
		}
	}
	if p.pods.Everything() {
		if out&SomePods != 0 {
			out |= OwnNamespace
		}
		if p.namespaces.Everything() || len(chosen) == len(m.spaces) && len(chosen) > 1 {
			out |= AllNamespaces | SomeNamespaces | OwnNamespace | SomePods
		}
	}
	return out
}

// allowsAddr reports whether the rules let traffic through to an address outside the pod network.
func allowsAddr(rules []rule, a netip.Addr, number int64) bool {
	for i := range rules {
		r := &rules[i]
		if !covers(r.ports, number, "TCP", nil) {
			continue
		}
		if len(r.peers) == 0 || slices.ContainsFunc(r.peers, func(p peer) bool { return p.holdsAddr(a) }) {
			return true
		}
	}
	return false
}
