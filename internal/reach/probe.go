package reach

import (
	"net/netip"
	"slices"
	"strconv"

	"stockade.dev/stockade/internal/inventory"
)

// probe is an address outside the pod network that a pod should not reach without need.
type probe struct {
	addr     netip.Addr // invalid when the API server's address is not known
	port     int64
	metadata bool
}

// MetadataAddresses are where clouds serve instance metadata, credentials among it: AWS, Google, Azure, Tencent, Huawei
// and most others share the link-local one; fd00:ec2::254 is its twin on AWS, 100.100.100.200 serves Alibaba Cloud.
var MetadataAddresses = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200"),
}

// maxProbes bounds the addresses of API servers that are looked at; the masks of probes have 32 bits.
const maxProbes = 24

func findProbes(c *inventory.Cluster) []probe {
	var out []probe
	for _, a := range MetadataAddresses {
		out = append(out, probe{a, 80, true})
	}
	api := apiServers(c)
	if len(api) == 0 {
		api = []probe{{port: 443}, {port: 6443}}
	}
	return append(out, api[:min(len(api), maxProbes-len(out))]...)
}

// apiServers returns where the API server answers: what stands behind the Service default/kubernetes, since policies are
// applied after the Service address has been translated, else that address, else where its flags say.
func apiServers(c *inventory.Cluster) []probe {
	var out []probe
	add := func(ip string, port int64) {
		if a, err := netip.ParseAddr(ip); err == nil && !slices.Contains(out, probe{addr: a, port: port}) {
			out = append(out, probe{addr: a, port: port})
		}
	}
	for _, o := range c.Objects["EndpointSlice.discovery.k8s.io"] {
		if o.Namespace != "default" || o.Labels()["kubernetes.io/service-name"] != "kubernetes" && o.Name != "kubernetes" {
			continue
		}
		for _, e := range inventory.List(o.Content, "endpoints") {
			m, _ := e.(map[string]any)
			for _, ip := range inventory.Strs(m, "addresses") {
				eachPort(o.Content, func(port int64) { add(ip, port) })
			}
		}
	}
	for _, o := range c.Objects["Endpoints"] {
		if o.Namespace != "default" || o.Name != "kubernetes" {
			continue
		}
		for _, v := range inventory.List(o.Content, "subsets") {
			subset, _ := v.(map[string]any)
			for _, e := range inventory.List(subset, "addresses") {
				m, _ := e.(map[string]any)
				eachPort(subset, func(port int64) { add(inventory.Str(m, "ip"), port) })
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, p := range c.Components {
		if p.Name == "kube-apiserver" && p.Flags["advertise-address"] != "" {
			port, err := strconv.ParseInt(p.Flags["secure-port"], 10, 64)
			if err != nil {
				port = 6443 // the flag's default
			}
			add(p.Flags["advertise-address"], port)
		}
	}
	for _, o := range c.Objects["Service"] {
		if o.Namespace == "default" && o.Name == "kubernetes" {
			add(inventory.Str(o.Content, "spec", "clusterIP"), 443)
		}
	}
	return out
}

func eachPort(m map[string]any, do func(int64)) {
	for _, v := range inventory.List(m, "ports") {
		p, _ := v.(map[string]any)
		if n, ok := inventory.Int(p, "port"); ok {
			do(n)
		}
	}
}

// allowedProbes returns the probes that egress rules let through. Where the address of the API server is not known, only
// a rule for the whole Internet counts.
func (m *Map) allowedProbes(rules []rule) uint32 {
	var out uint32
	for i, p := range m.probes {
		if p.addr.IsValid() {
			if allowsAddr(rules, p.addr, p.port) {
				out |= 1 << i
			}
			continue
		}
		for j := range rules {
			r := &rules[j]
			open := len(r.peers) == 0 || slices.ContainsFunc(r.peers, func(q peer) bool { return wide(q.block) })
			if open && covers(r.ports, p.port, "TCP", nil) {
				out |= 1 << i
			}
		}
	}
	return out
}

// nodeAddrs returns the addresses of a Node.
func nodeAddrs(o *inventory.Object) []netip.Addr {
	var out []netip.Addr
	for _, v := range inventory.List(o.Content, "status", "addresses") {
		m, _ := v.(map[string]any)
		if a, err := netip.ParseAddr(inventory.Str(m, "address")); err == nil {
			out = append(out, a)
		}
	}
	return out
}
