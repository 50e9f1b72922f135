// Package reach computes who may talk to whom: what NetworkPolicies and the policies of administrators leave open for
// each workload, and what is published to the outside.
//
// Policies are found for workloads by an index of labels, and reduced to what they leave open before they are joined, so
// that the cost grows with policies plus workloads plus the pairs that really meet.
package reach

import (
	"net/netip"
	"slices"
	"sort"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/selector"
)

const networkPolicies = "NetworkPolicy.networking.k8s.io"

// Map is the network reach of a cluster. It does not change once built.
type Map struct {
	Policies []*Policy

	cluster   *inventory.Cluster
	workloads []*inventory.Workload
	index     map[*inventory.Workload]int32
	states    []state
	spaces    []*space
	spaceAt   map[string]int32
	byLabel   *selector.Index // of namespaces
	chosen    map[string][]int32
	admin     []*adminPolicy
	foreign   []foreignPolicy
	probes    []probe
	services  map[inventory.Ref]*Service
	published [][]Exposure
}

// space is a namespace with its workloads.
type space struct {
	name    string
	labels  map[string]string
	members []int32 // workloads
	labelIx *selector.Index
	polices []int32
}

// state is what is known of one workload.
type state struct {
	dir    [2]direction
	probes uint32 // that NetworkPolicies allow, when they isolate egress
	admin  [2]verdicts
	base   [2]verdicts
	// foreign: a policy of Calico or Cilium isolates it.
	foreign [2]bool
}

type direction struct {
	policies int32
	first    [3]int32 // policies, as evidence
	open     Peers
}

// Side is one direction of a workload.
type Side struct {
	Isolated bool      // a policy selects the workload for this direction
	Open     Peers     // whom it is left open to, admin policies considered
	Count    int       // NetworkPolicies that select it
	Policies []*Policy // the first three of them
	Admin    bool      // an admin policy decides for the whole cluster
}

// Reach is what the network lets one workload do.
type Reach struct {
	Ingress, Egress Side
	// HostNetwork: the pods share the node's network, where NetworkPolicies do not apply to them.
	HostNetwork bool
	Metadata    []netip.Addr // cloud metadata addresses it can talk to
	APIServer   bool         // it can talk to the API server
}

// Build reads the network objects of a cluster.
func Build(c *inventory.Cluster) *Map {
	m := &Map{cluster: c, workloads: c.Workloads, index: make(map[*inventory.Workload]int32, len(c.Workloads)),
		states: make([]state, len(c.Workloads)), spaceAt: map[string]int32{}, chosen: map[string][]int32{},
		services: map[inventory.Ref]*Service{}, published: make([][]Exposure, len(c.Workloads))}
	m.addSpaces()
	m.probes = findProbes(c)
	m.admin = parseAdmin(c)
	for _, o := range c.Objects[networkPolicies] {
		p := parsePolicy(o)
		if at, ok := m.spaceAt[o.Namespace]; ok {
			m.spaces[at].polices = append(m.spaces[at].polices, int32(len(m.Policies)))
		}
		m.Policies = append(m.Policies, p)
	}
	for _, s := range m.spaces {
		m.applyPolicies(s)
	}
	m.foreign = parseForeign(c)
	m.applyForeign()
	m.applyAdmin()
	m.publish()
	return m
}

func (m *Map) addSpaces() {
	add := func(name string, labels map[string]string) *space {
		at, ok := m.spaceAt[name]
		if !ok {
			at = int32(len(m.spaces))
			m.spaceAt[name] = at
			m.spaces = append(m.spaces, &space{name: name})
		}
		s := m.spaces[at]
		if s.labels == nil || labels != nil {
			s.labels = map[string]string{}
			for k, v := range labels {
				s.labels[k] = v
			}
			s.labels["kubernetes.io/metadata.name"] = name // the API server sets it on every namespace
		}
		return s
	}
	names := make([]string, 0, len(m.cluster.Namespaces))
	for name := range m.cluster.Namespaces {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		add(name, m.cluster.Namespaces[name].Labels)
	}
	for i, w := range m.workloads {
		s := add(w.Ref.Namespace, nil)
		s.members = append(s.members, int32(i))
		m.index[w] = int32(i)
	}
	labels := make([]map[string]string, len(m.spaces))
	for i, s := range m.spaces {
		labels[i] = s.labels
	}
	m.byLabel = selector.NewIndex(labels)
}

// podIndex returns the index of the workloads of a namespace by their pods' labels.
func (m *Map) podIndex(s *space) *selector.Index {
	if s.labelIx == nil {
		labels := make([]map[string]string, len(s.members))
		for i, w := range s.members {
			labels[i] = m.workloads[w].Labels
		}
		s.labelIx = selector.NewIndex(labels)
	}
	return s.labelIx
}

// namespacesOf returns the namespaces that a selector matches.
func (m *Map) namespacesOf(s selector.Selector) []int32 {
	key := s.String()
	got, ok := m.chosen[key]
	if !ok {
		got = m.byLabel.Select(s)
		m.chosen[key] = got
	}
	return got
}

// bundle is all policies of a namespace with one podSelector.
type bundle struct {
	selector selector.Selector
	members  []int32
	effect   state
}

// applyPolicies joins the policies of a namespace with its workloads.
func (m *Map) applyPolicies(s *space) {
	if len(s.polices) == 0 {
		return
	}
	bundles := map[string]*bundle{}
	var order []string
	for _, at := range s.polices {
		p := m.Policies[at]
		key := p.Selector.String()
		b := bundles[key]
		if b == nil {
			b = &bundle{selector: p.Selector}
			bundles[key] = b
			order = append(order, key)
		}
		b.members = append(b.members, at)
		for d := range p.Covers {
			if p.Covers[d] {
				b.effect.dir[d].join(direction{1, [3]int32{at}, m.opens(p, Direction(d))})
			}
		}
		if p.Covers[Egress] {
			b.effect.probes |= m.allowedProbes(p.rules[Egress])
		}
	}
	x := m.podIndex(s)
	for _, key := range order {
		b := bundles[key]
		hits := x.Select(b.selector)
		for _, at := range b.members {
			m.Policies[at].Selected = len(hits)
		}
		for _, i := range hits {
			st := &m.states[s.members[i]]
			for d := range st.dir {
				st.dir[d].join(b.effect.dir[d])
			}
			st.probes |= b.effect.probes
		}
	}
}

func (d *direction) join(o direction) {
	for i := int32(0); i < min(o.policies, 3); i++ {
		if n := d.policies + i; n < 3 {
			d.first[n] = o.first[i]
		}
	}
	d.policies += o.policies
	d.open |= o.open
}

// applyAdmin joins the admin policies with the workloads, in the order in which they are asked.
func (m *Map) applyAdmin() {
	for _, p := range m.admin {
		effects := [2][]effect{m.effects(p, Ingress), m.effects(p, Egress)}
		for _, ns := range m.namespacesOf(p.namespaces) {
			s := m.spaces[ns]
			if len(s.members) == 0 {
				continue
			}
			for _, i := range m.podIndex(s).Select(p.pods) {
				st := &m.states[s.members[i]]
				for d := range effects {
					if p.baseline {
						st.base[d].apply(effects[d])
					} else {
						st.admin[d].apply(effects[d])
					}
				}
			}
		}
	}
}

// Of returns the reach of a workload of the cluster.
func (m *Map) Of(w *inventory.Workload) Reach {
	at, ok := m.index[w]
	if !ok {
		return Reach{Ingress: Side{Open: everyone}, Egress: Side{Open: everyone}, HostNetwork: w.HostNetwork}
	}
	st := &m.states[at]
	r := Reach{Ingress: m.side(st, Ingress), Egress: m.side(st, Egress), HostNetwork: w.HostNetwork}
	for i, p := range m.probes {
		if !w.HostNetwork && !st.reaches(i) {
			continue
		}
		if p.metadata {
			r.Metadata = append(r.Metadata, p.addr)
		} else {
			r.APIServer = true
		}
	}
	return r
}

// inCluster is every peer within the cluster.
const inCluster = AllNamespaces | SomeNamespaces | OwnNamespace | SomePods

func (m *Map) side(st *state, d Direction) Side {
	n := &st.dir[d]
	s := Side{Isolated: n.policies > 0 || st.foreign[d], Count: int(n.policies), Open: n.open}
	for i := range min(n.policies, 3) {
		s.Policies = append(s.Policies, m.Policies[n.first[i]])
	}
	admin, base := &st.admin[d], &st.base[d]
	if !s.Isolated {
		s.Open = everyone
		s.Open = restrict(s.Open, inCluster, base.cluster, base.some)
		s.Open = restrict(s.Open, World|SomeAddresses, base.world, false)
		s.Admin = base.cluster == deny
	}
	s.Open = restrict(s.Open, inCluster, admin.cluster, admin.some)
	s.Open = restrict(s.Open, World|SomeAddresses, admin.world, false)
	s.Admin = s.Admin || admin.cluster == deny || admin.cluster == allow
	return s
}

// restrict takes the verdict of an admin policy on some peers into account.
func restrict(open, peers Peers, a action, some bool) Peers {
	switch a {
	case allow:
		return open | peers
	case deny:
		open &^= peers
		if some {
			open |= peers & (SomePods | SomeNamespaces)
		}
	}
	return open
}

// reaches reports whether egress to a probe is allowed.
func (st *state) reaches(i int) bool {
	bit := uint32(1) << i
	if v := &st.admin[Egress]; v.decided&bit != 0 && v.passed&bit == 0 {
		return v.allowed&bit != 0
	}
	if st.dir[Egress].policies > 0 || st.foreign[Egress] {
		return st.probes&bit != 0
	}
	if v := &st.base[Egress]; v.decided&bit != 0 {
		return v.allowed&bit != 0
	}
	return true
}

// DefaultDeny returns the policies of a namespace that isolate every pod of it in a direction, present and to come;
// none when no such policy exists.
func (m *Map) DefaultDeny(namespace string, d Direction) []*Policy {
	at, ok := m.spaceAt[namespace]
	if !ok {
		return nil
	}
	var out []*Policy
	for _, i := range m.spaces[at].polices {
		if p := m.Policies[i]; p.Covers[d] && p.Selector.Everything() {
			out = append(out, p)
		}
	}
	return out
}

// BaselineDeny reports whether a baseline or admin policy, or one of Calico or Cilium, denies a direction to all pods of a
// namespace that nothing else allows.
func (m *Map) BaselineDeny(namespace string, d Direction) bool {
	at, ok := m.spaceAt[namespace]
	if !ok {
		return false
	}
	if m.foreignDeny(m.spaces[at], d) {
		return true
	}
	for _, p := range m.admin {
		if !p.pods.Everything() || !p.namespaces.Matches(m.spaces[at].labels) {
			continue
		}
		if slices.ContainsFunc(m.effects(p, d), func(e effect) bool { return e.cluster && e.action == deny }) {
			return true
		}
	}
	return false
}
