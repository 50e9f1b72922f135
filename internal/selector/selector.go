// Package selector is Kubernetes label selectors, and an index that finds what a selector matches without trying every
// pair: RBAC aggregation, NetworkPolicies and Services all select by label.
package selector

import (
	"slices"
	"sort"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// op is an operator of matchExpressions.
type op uint8

const (
	in op = iota
	notIn
	exists
	doesNotExist
)

type requirement struct {
	key    string
	op     op
	values []string
}

// Selector is a parsed label selector. The zero Selector matches everything, as an empty selector does.
type Selector struct {
	reqs    []requirement
	nothing bool
}

// Parse reads a metav1.LabelSelector. A missing or empty one matches everything; one that the API server would refuse
// (an unknown operator, In without values) matches nothing.
func Parse(m map[string]any) Selector {
	var s Selector
	labels := inventory.Map(m, "matchLabels")
	keys := make([]string, 0, len(labels))
	for k := range labels {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		v, ok := labels[k].(string)
		if !ok {
			return Selector{nothing: true}
		}
		s.reqs = append(s.reqs, requirement{k, in, []string{v}})
	}
	for _, v := range inventory.List(m, "matchExpressions") {
		e, ok := v.(map[string]any)
		if !ok {
			return Selector{nothing: true}
		}
		r := requirement{key: inventory.Str(e, "key"), values: inventory.Strs(e, "values")}
		switch inventory.Str(e, "operator") {
		case "In":
			r.op = in
		case "NotIn":
			r.op = notIn
		case "Exists":
			r.op = exists
		case "DoesNotExist":
			r.op = doesNotExist
		default:
			return Selector{nothing: true}
		}
		if r.key == "" || (r.op == in || r.op == notIn) && len(r.values) == 0 {
			return Selector{nothing: true}
		}
		s.reqs = append(s.reqs, r)
	}
	return s
}

// FromMap is the selector of a Service: all pairs must be there. An empty map matches nothing there, so callers ask
// for its length first.
func FromMap(labels map[string]string) Selector {
	var s Selector
	for k, v := range labels {
		s.reqs = append(s.reqs, requirement{k, in, []string{v}})
	}
	slices.SortFunc(s.reqs, func(a, b requirement) int { return strings.Compare(a.key, b.key) })
	return s
}

// Everything reports whether s matches whatever labels there are.
func (s Selector) Everything() bool { return !s.nothing && len(s.reqs) == 0 }

// Nothing reports whether s is malformed, so that it can match nothing.
func (s Selector) Nothing() bool { return s.nothing }

// Matches reports whether labels satisfy s.
func (s Selector) Matches(labels map[string]string) bool {
	if s.nothing {
		return false
	}
	for i := range s.reqs {
		if !s.reqs[i].matches(labels) {
			return false
		}
	}
	return true
}

func (r *requirement) matches(labels map[string]string) bool {
	v, ok := labels[r.key]
	switch r.op {
	case in:
		return ok && slices.Contains(r.values, v)
	case notIn:
		return !ok || !slices.Contains(r.values, v)
	case exists:
		return ok
	}
	return !ok
}

// Keys returns the label keys that s looks at.
func (s Selector) Keys() []string {
	out := make([]string, len(s.reqs))
	for i, r := range s.reqs {
		out[i] = r.key
	}
	return out
}

// String renders s as kubectl does, "<all>" for everything. Equal selectors have equal texts.
func (s Selector) String() string {
	if s.nothing {
		return "<invalid>"
	}
	if len(s.reqs) == 0 {
		return "<all>"
	}
	parts := make([]string, len(s.reqs))
	for i, r := range s.reqs {
		switch {
		case r.op == in && len(r.values) == 1:
			parts[i] = r.key + "=" + r.values[0]
		case r.op == in:
			parts[i] = r.key + " in (" + strings.Join(r.values, ",") + ")"
		case r.op == notIn:
			parts[i] = r.key + " notin (" + strings.Join(r.values, ",") + ")"
		case r.op == exists:
			parts[i] = r.key
		default:
			parts[i] = "!" + r.key
		}
	}
	return strings.Join(parts, ",")
}
