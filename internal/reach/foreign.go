package reach

import (
	"strings"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/selector"
)

// The policies of Calico and Cilium isolate pods as NetworkPolicies do. Whom they select is evaluated; what they let
// through is not, so that what they isolate counts as closed.
const (
	calicoGlobal    = "GlobalNetworkPolicy.crd.projectcalico.org"
	calicoPolicies  = "NetworkPolicy.crd.projectcalico.org"
	ciliumPolicies  = "CiliumNetworkPolicy.cilium.io"
	ciliumWide      = "CiliumClusterwideNetworkPolicy.cilium.io"
	calicoGlobalAPI = "GlobalNetworkPolicy.projectcalico.org"
	calicoAPI       = "NetworkPolicy.projectcalico.org"
)

// foreignPolicy is one policy of Calico or Cilium.
type foreignPolicy struct {
	namespace string // "" for the whole cluster
	covers    [2]bool
	everyPod  bool
	matches   func(space, pod map[string]string) bool
}

func parseForeign(c *inventory.Cluster) []foreignPolicy {
	var out []foreignPolicy
	for _, kind := range []string{calicoGlobal, calicoGlobalAPI, calicoPolicies, calicoAPI} {
		for _, o := range c.Objects[kind] {
			out = append(out, parseCalico(o))
		}
	}
	for _, kind := range []string{ciliumPolicies, ciliumWide} {
		for _, o := range c.Objects[kind] {
			specs := inventory.List(o.Content, "specs")
			if m := inventory.Map(o.Content, "spec"); m != nil {
				specs = append([]any{m}, specs...)
			}
			for _, v := range specs {
				if m, ok := v.(map[string]any); ok && m["endpointSelector"] != nil {
					out = append(out, parseCilium(o, m))
				}
			}
		}
	}
	return out
}

// parseCalico reads a policy of Calico. Without types it covers the directions it has rules for, ingress when it has none.
func parseCalico(o *inventory.Object) foreignPolicy {
	spec := inventory.Map(o.Content, "spec")
	p := foreignPolicy{namespace: o.Namespace}
	in, out := len(inventory.List(spec, "ingress")) > 0, len(inventory.List(spec, "egress")) > 0
	p.covers = [2]bool{in || !out, out}
	if types := inventory.Strs(spec, "types"); len(types) > 0 {
		p.covers = [2]bool{}
		for _, t := range types {
			p.covers[Ingress] = p.covers[Ingress] || t == "Ingress"
			p.covers[Egress] = p.covers[Egress] || t == "Egress"
		}
	}
	pods := parseExpression(inventory.Str(spec, "selector"))
	spaces := parseExpression(inventory.Str(spec, "namespaceSelector"))
	p.everyPod = pods.all && spaces.all
	p.matches = func(space, pod map[string]string) bool { return spaces.match(space) && pods.match(pod) }
	return p
}

// parseCilium reads one rule of a policy of Cilium. A direction is isolated when it is mentioned, unless
// enableDefaultDeny says no.
func parseCilium(o *inventory.Object, spec map[string]any) foreignPolicy {
	p := foreignPolicy{namespace: o.Namespace}
	for d, key := range [2]string{"ingress", "egress"} {
		mentioned := len(inventory.List(spec, key)) > 0 || len(inventory.List(spec, key+"Deny")) > 0
		p.covers[d] = inventory.Bool(spec, mentioned, "enableDefaultDeny", key)
	}
	s := selector.Parse(withoutSource(inventory.Map(spec, "endpointSelector")))
	p.everyPod = s.Everything()
	p.matches = func(space, pod map[string]string) bool {
		if s.Everything() {
			return true
		}
		return s.Matches(ciliumLabels(space, pod))
	}
	return p
}

// withoutSource takes the source off the keys of a Cilium selector: "k8s:app" and "any:app" mean the label app.
func withoutSource(m map[string]any) map[string]any {
	plain := func(k string) string { return strings.TrimPrefix(strings.TrimPrefix(k, "k8s:"), "any:") }
	labels := map[string]any{}
	for k, v := range inventory.Map(m, "matchLabels") {
		labels[plain(k)] = v
	}
	var exprs []any
	for _, v := range inventory.List(m, "matchExpressions") {
		if e, ok := v.(map[string]any); ok {
			exprs = append(exprs, map[string]any{"key": plain(inventory.Str(e, "key")), "operator": e["operator"], "values": e["values"]})
		}
	}
	return map[string]any{"matchLabels": labels, "matchExpressions": exprs}
}

// ciliumLabels adds to a pod's labels those by which Cilium tells its namespace.
func ciliumLabels(space, pod map[string]string) map[string]string {
	out := make(map[string]string, len(space)+len(pod)+1)
	for k, v := range pod {
		out[k] = v
	}
	for k, v := range space {
		out["io.cilium.k8s.namespace.labels."+k] = v
	}
	out["io.kubernetes.pod.namespace"] = space["kubernetes.io/metadata.name"]
	return out
}

// applyForeign marks the workloads that policies of Calico and Cilium isolate.
func (m *Map) applyForeign() {
	for _, p := range m.foreign {
		for _, s := range m.spaces {
			if p.namespace != "" && p.namespace != s.name {
				continue
			}
			for _, i := range s.members {
				if p.everyPod || p.matches(s.labels, m.workloads[i].Labels) {
					for d := range p.covers {
						m.states[i].foreign[d] = m.states[i].foreign[d] || p.covers[d]
					}
				}
			}
		}
	}
}

// foreignDeny reports whether a policy of Calico or Cilium isolates every pod of a namespace.
func (m *Map) foreignDeny(s *space, d Direction) bool {
	for _, p := range m.foreign {
		if p.covers[d] && (p.namespace == "" || p.namespace == s.name) && p.everyPod {
			return true
		}
	}
	return false
}
