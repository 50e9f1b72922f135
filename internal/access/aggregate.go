package access

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/selector"
)

// aggregate gives each ClusterRole with an aggregationRule the rules of all that its selectors match, and of what those
// aggregate in turn. In a live cluster the controller has copied them already; from files they come from nowhere else,
// and the copies are told by their origin.
func (g *Graph) aggregate() {
	var clusterRoles []int32
	var labels []map[string]string
	aggregating := false
	for i := range g.roles {
		if src := g.roles[i].src; src.Ref.Kind == "ClusterRole" {
			clusterRoles = append(clusterRoles, int32(i))
			labels = append(labels, src.Labels)
			aggregating = aggregating || src.Aggregation != nil
		}
	}
	if !aggregating {
		return
	}
	x := selector.NewIndex(labels)
	parts := map[int32][]int32{}
	for _, at := range clusterRoles {
		for _, m := range g.roles[at].src.Aggregation {
			for _, i := range x.Select(selector.Parse(m)) {
				if part := clusterRoles[i]; part != at {
					parts[at] = append(parts[at], part)
				}
			}
		}
	}
	own := make(map[int32][]rule, len(parts))
	for at, list := range parts {
		slices.Sort(list)
		parts[at] = slices.Compact(list) // several selectors may match one role
		own[at] = g.roles[at].rules
	}
	for at := range parts {
		g.roles[at].parts = parts[at]
		g.roles[at].rules = g.closure(at, parts, own)
	}
}

// closure returns the rules of a role and of everything below it in the aggregation, each rule once. Cycles end where
// they began.
func (g *Graph) closure(at int32, parts map[int32][]int32, own map[int32][]rule) []rule {
	var out []rule
	seen := map[int32]bool{at: true}
	order := []int32{at}
	for i := 0; i < len(order); i++ {
		for _, n := range parts[order[i]] {
			if !seen[n] {
				seen[n] = true
				order = append(order, n)
			}
		}
	}
	told := map[string]bool{}
	for _, n := range order {
		if parts[n] == nil {
			for _, p := range g.roles[n].rules {
				told[policyKey(p.policy)] = true
				out = append(out, p)
			}
		}
	}
	for _, n := range order { // what an aggregating role holds beyond copies of its parts
		for _, p := range own[n] {
			if k := policyKey(p.policy); !told[k] {
				told[k] = true
				out = append(out, p)
			}
		}
	}
	return out
}

func policyKey(p *inventory.PolicyRule) string {
	var b strings.Builder
	for _, list := range [][]string{p.APIGroups, p.Resources, p.ResourceNames, p.Verbs, p.NonResourceURLs} {
		for _, s := range list {
			b.WriteString(s)
			b.WriteByte(0)
		}
		b.WriteByte(1)
	}
	return b.String()
}

// Aggregation is a ClusterRole that became part of another by the labels it carries.
type Aggregation struct {
	Into *inventory.Role
	Part *inventory.Role
	Caps []Capability // that the part gives, resourceNames left aside
}

// Aggregations returns which ClusterRole was added to which, in a stable order. Parts of parts are told where they join.
func (g *Graph) Aggregations() []Aggregation {
	var out []Aggregation
	for i := range g.roles {
		for _, part := range g.roles[i].parts {
			a := Aggregation{Into: g.roles[i].src, Part: g.roles[part].src}
			for c := range capabilities {
				if g.roles[part].caps.has(c) {
					a.Caps = append(a.Caps, c)
				}
			}
			out = append(out, a)
		}
	}
	return out
}
