package reach

import (
	"net/netip"
	"slices"
	"sort"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/selector"
)

// action of an admin rule.
type action uint8

const (
	undecided action = iota
	allow
	deny
	pass
)

// adminPolicy is an AdminNetworkPolicy, a BaselineAdminNetworkPolicy, or their successor ClusterNetworkPolicy.
type adminPolicy struct {
	object     *inventory.Object
	baseline   bool
	priority   int64
	namespaces selector.Selector
	pods       selector.Selector
	rules      [2][]adminRule
}

type adminRule struct {
	action action
	peers  []adminPeer
	ports  []port
}

type adminPeer struct {
	namespaces *selector.Selector
	pods       selector.Selector
	nodes      *selector.Selector
	networks   []netip.Prefix
}

const policyGroup = "policy.networking.k8s.io"

// parseAdmin reads the admin policies of a cluster in the order in which they are asked. Of two of one priority the order
// is undefined; the name decides here.
func parseAdmin(c *inventory.Cluster) []*adminPolicy {
	var out []*adminPolicy
	for _, kind := range []string{"AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"} {
		for _, o := range c.Objects[kind+"."+policyGroup] {
			out = append(out, parseAdminPolicy(o))
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.baseline != b.baseline {
			return b.baseline
		}
		if a.priority != b.priority {
			return a.priority < b.priority
		}
		return a.object.Name < b.object.Name
	})
	return out
}

func parseAdminPolicy(o *inventory.Object) *adminPolicy {
	spec := inventory.Map(o.Content, "spec")
	p := &adminPolicy{object: o, baseline: o.Kind == "BaselineAdminNetworkPolicy" || inventory.Str(spec, "tier") == "Baseline"}
	p.priority, _ = inventory.Int(spec, "priority")
	p.namespaces, p.pods = nothing, nothing
	if m, ok := inventory.Get(spec, "subject", "namespaces").(map[string]any); ok {
		p.namespaces, p.pods = selector.Parse(m), selector.Selector{}
	} else if m := inventory.Map(spec, "subject", "pods"); m != nil {
		p.namespaces, p.pods = selector.Parse(inventory.Map(m, "namespaceSelector")), selector.Parse(inventory.Map(m, "podSelector"))
	}
	for d, keys := range [2][2]string{{"ingress", "from"}, {"egress", "to"}} {
		for _, v := range inventory.List(spec, keys[0]) {
			if m, ok := v.(map[string]any); ok {
				p.rules[d] = append(p.rules[d], parseAdminRule(m, keys[1]))
			}
		}
	}
	return p
}

func parseAdminRule(m map[string]any, key string) adminRule {
	var r adminRule
	switch inventory.Str(m, "action") {
	case "Allow", "Accept":
		r.action = allow
	case "Deny":
		r.action = deny
	case "Pass":
		r.action = pass
	}
	for _, v := range inventory.List(m, key) {
		entry, ok := v.(map[string]any)
		if !ok {
			continue
		}
		var p adminPeer
		if s, ok := entry["namespaces"].(map[string]any); ok {
			sel := selector.Parse(s)
			p.namespaces = &sel
		} else if s := inventory.Map(entry, "pods"); s != nil {
			sel := selector.Parse(inventory.Map(s, "namespaceSelector"))
			p.namespaces, p.pods = &sel, selector.Parse(inventory.Map(s, "podSelector"))
		} else if s, ok := entry["nodes"].(map[string]any); ok {
			sel := selector.Parse(s)
			p.nodes = &sel
		}
		for _, n := range inventory.Strs(entry, "networks") {
			p.networks = append(p.networks, parsePrefix(n))
		}
		r.peers = append(r.peers, p)
	}
	for _, v := range inventory.List(m, "ports") {
		if entry, ok := v.(map[string]any); ok {
			r.ports = append(r.ports, parseAdminPort(entry)...)
		}
	}
	for _, v := range inventory.List(m, "protocols") { // ClusterNetworkPolicy v1alpha2
		entry, _ := v.(map[string]any)
		for _, protocol := range []string{"tcp", "udp", "sctp"} {
			if sub := inventory.Map(entry, protocol); sub != nil {
				r.ports = append(r.ports, parseProtocol(protocol, inventory.Map(sub, "destinationPort")))
			}
		}
		if name := inventory.Str(entry, "destinationNamedPort"); name != "" {
			r.ports = append(r.ports, port{protocol: "TCP", name: name})
		}
	}
	return r
}

func parseAdminPort(m map[string]any) []port {
	var out []port
	if n := inventory.Map(m, "portNumber"); n != nil {
		out = append(out, parsePort(n))
	}
	if n := inventory.Map(m, "portRange"); n != nil {
		p := parsePort(map[string]any{"protocol": inventory.Get(n, "protocol"), "port": inventory.Get(n, "start"), "endPort": inventory.Get(n, "end")})
		out = append(out, p)
	}
	if n := inventory.Str(m, "namedPort"); n != "" {
		out = append(out, port{protocol: "TCP", name: n}, port{protocol: "UDP", name: n})
	}
	return out
}

func parseProtocol(protocol string, m map[string]any) port {
	p := port{protocol: map[string]string{"tcp": "TCP", "udp": "UDP", "sctp": "SCTP"}[protocol]}
	if n, ok := inventory.Int(m, "number"); ok {
		p.first, p.last = n, n
	} else if r := inventory.Map(m, "range"); r != nil {
		p.first, _ = inventory.Int(r, "start")
		p.last, _ = inventory.Int(r, "end")
	}
	return p
}

// effect is what a rule decides: for all pods of the cluster, for the world outside, and for each probe.
type effect struct {
	action  action
	cluster bool
	world   bool
	some    bool // it decides for a part of the cluster or of the ports
	probes  uint32
}

// effects reduces the rules of a direction.
func (m *Map) effects(p *adminPolicy, d Direction) []effect {
	var out []effect
	for i := range p.rules[d] {
		r := &p.rules[d][i]
		e := effect{action: r.action, some: len(r.peers) > 0}
		for j := range r.peers {
			q := &r.peers[j]
			all := len(r.ports) == 0
			e.cluster = e.cluster || all && q.namespaces != nil && q.namespaces.Everything() && q.pods.Everything()
			e.world = e.world || all && slices.ContainsFunc(q.networks, wide)
			if d == Egress {
				e.probes |= m.probesOf(r, q)
			}
		}
		out = append(out, e)
	}
	return out
}

func (m *Map) probesOf(r *adminRule, q *adminPeer) uint32 {
	var out uint32
	for i, pr := range m.probes {
		if !covers(r.ports, pr.port, "TCP", nil) {
			continue
		}
		hit := slices.ContainsFunc(q.networks, func(n netip.Prefix) bool {
			return n.IsValid() && (n.Contains(pr.addr) || !pr.addr.IsValid() && wide(n))
		})
		if q.nodes != nil {
			for _, n := range m.cluster.Objects["Node"] {
				hit = hit || q.nodes.Matches(n.Labels()) && slices.Contains(nodeAddrs(n), pr.addr)
			}
		}
		if hit {
			out |= 1 << i
		}
	}
	return out
}

// verdicts is what one tier of admin policies decided for a workload and direction.
type verdicts struct {
	cluster, world action
	some           bool // something narrower was allowed or passed before a denial
	decided        uint32
	allowed        uint32 // probes, among the decided
	passed         uint32
}

func (v *verdicts) apply(list []effect) {
	for _, e := range list {
		if e.some && e.action != deny {
			v.some = true
		}
		if e.cluster && v.cluster == undecided {
			v.cluster = e.action
		}
		if e.world && v.world == undecided {
			v.world = e.action
		}
		fresh := e.probes &^ v.decided
		v.decided |= fresh
		switch e.action {
		case allow:
			v.allowed |= fresh
		case pass:
			v.passed |= fresh
		}
	}
}
