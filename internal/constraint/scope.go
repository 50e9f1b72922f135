package constraint

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/policy"
)

// kinds are kinds by API group.
type kinds map[string]map[string]bool

func (k kinds) add(group, kind string) {
	if k[group] == nil {
		k[group] = map[string]bool{}
	}
	k[group][kind] = true
}

// list is the kinds as constraints and mutators have them.
func (k kinds) list() []any {
	var out []any
	for _, group := range slices.Sorted(maps.Keys(k)) {
		out = append(out, map[string]any{"apiGroups": []any{group}, "kinds": texts(slices.Sorted(maps.Keys(k[group])))})
	}
	return out
}

// space is a pattern of namespaces that Gatekeeper takes; no other matches any namespace there can be.
var space = regexp.MustCompile(`^\*?[-:a-z0-9]*\*?$`)

// spaces keeps the patterns that can match.
func (c *compiler) spaces(p *policy.Policy, what string, list []string) []string {
	var out []string
	for _, s := range list {
		if s == "" || !space.MatchString(s) {
			c.note(p, what, "%q can be the name of no namespace", oneLine(s, 60))
			continue
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

// area is the scope of a policy as far as objects themselves decide it.
type area struct {
	namespaces, excluded []string
	namespaced, labelled map[string]any // selectors
	none                 bool           // there is nothing that it holds for
}

func (c *compiler) area(p *policy.Policy) area {
	s := &p.Scope
	a := area{namespaces: c.spaces(p, "namespaces", s.Namespaces), excluded: c.spaces(p, "excluded namespaces", s.ExcludedNamespaces)}
	if len(s.Namespaces) > 0 && len(a.namespaces) == 0 {
		a.none = true
	}
	if !s.SystemNamespaces {
		system := c.bundle.System
		if system == nil {
			system = policy.SystemNamespaces
		}
		a.excluded = append(a.excluded, c.spaces(nil, "system namespaces", system)...)
		slices.Sort(a.excluded)
		a.excluded = slices.Compact(a.excluded)
	}
	var ok bool
	if a.namespaced, ok = selector(s.NamespaceSelector); !ok {
		c.note(p, "namespace selector", "%q cannot be expressed; the policy is not enforced", oneLine(s.NamespaceSelector, 60))
		a.none = true
	}
	if a.labelled, ok = selector(s.ObjectSelector); !ok {
		c.note(p, "object selector", "%q cannot be expressed; the policy is not enforced", oneLine(s.ObjectSelector, 60))
		a.none = true
	}
	return a
}

// match is what a constraint matches.
func (a *area) match(k kinds) map[string]any {
	m := map[string]any{"kinds": k.list()}
	if len(a.namespaces) > 0 {
		m["namespaces"] = texts(a.namespaces)
	}
	if len(a.excluded) > 0 {
		m["excludedNamespaces"] = texts(a.excluded)
	}
	if a.namespaced != nil {
		m["namespaceSelector"] = a.namespaced
	}
	if a.labelled != nil {
		m["labelSelector"] = a.labelled
	}
	return m
}

// requirements reads a selector as kubectl writes it; ok is false for one that Kubernetes' own objects cannot express.
func requirements(text string) (list []any, ok bool) {
	parsed, err := labels.Parse(text)
	if err != nil {
		return nil, false
	}
	reqs, selectable := parsed.Requirements()
	if !selectable {
		return nil, false
	}
	for _, r := range reqs {
		e := map[string]any{"key": r.Key()}
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
			e["operator"], e["values"] = "In", texts(slices.Sorted(maps.Keys(r.Values())))
		case selection.NotEquals, selection.NotIn:
			e["operator"], e["values"] = "NotIn", texts(slices.Sorted(maps.Keys(r.Values())))
		case selection.Exists:
			e["operator"] = "Exists"
		case selection.DoesNotExist:
			e["operator"] = "DoesNotExist"
		default: // gt, lt
			return nil, false
		}
		list = append(list, e)
	}
	return list, true
}

// selector is a LabelSelector; nil for "".
func selector(text string) (map[string]any, bool) {
	if strings.TrimSpace(text) == "" {
		return nil, true
	}
	list, ok := requirements(text)
	if !ok {
		return nil, false
	}
	return map[string]any{"matchExpressions": list}, true
}

// inScope reports whether a policy's scope lets a kind be judged.
func inScope(p *policy.Policy, r export.Resource) bool {
	return len(p.Scope.Kinds) == 0 || slices.ContainsFunc(p.Scope.Kinds, func(entry string) bool {
		kind, group, ok := strings.Cut(entry, ".")
		return kind == r.Kind && (!ok || group == r.Group)
	})
}

// chained reports whether the policy judges everything that controllers make pods of: only then does the name of a ReplicaSet or a
// Job tell whose pod it is, since nobody can have made one past the policy.
func chained(p *policy.Policy) bool {
	all := func(list []string) bool {
		return len(list) == 0 || slices.Contains(list, "CREATE") && slices.Contains(list, "UPDATE")
	}
	for _, w := range export.Workloads() {
		if (w.Kind == "ReplicaSet" || w.Kind == "Job") && !inScope(p, w) {
			return false
		}
	}
	return all(p.Scope.Operations) && p.Scope.ObjectSelector == ""
}

// asking are the parameters that say whose requests are judged.
func (c *compiler) asking(p *policy.Policy) map[string]any {
	s, out := &p.Scope, map[string]any{}
	put(out, "operations", s.Operations)
	put(out, "users", s.Users, c.bundle.Users)
	put(out, "groups", s.Groups, c.bundle.Groups)
	return out
}

// put sets a parameter to lists of texts, unless they are empty.
func put(out map[string]any, name string, lists ...[]string) {
	list := slices.Concat(lists...)
	slices.Sort(list)
	if list = slices.Compact(list); len(list) > 0 {
		out[name] = texts(list)
	}
}

// judged are the parameters that say whose requests and which containers are judged.
func (c *compiler) judged(p *policy.Policy) map[string]any {
	s := &p.Scope
	out := c.asking(p)
	put(out, "images", c.globs(p, "images", s.Images))
	if len(s.Images) > 0 && out["images"] == nil {
		out["images"] = []any{`^[^\x00-\x{10FFFF}]$`} // of patterns that match nothing nothing is judged
	}
	put(out, "excludedImages", c.globs(p, "excluded images", s.ExcludedImages))
	return out
}

// globs are patterns of images as regular expressions.
func (c *compiler) globs(p *policy.Policy, what string, list []string) []string {
	var out []string
	for _, s := range list {
		r, ok := expression(s, true)
		if !ok {
			c.note(p, what, "the pattern %q is malformed and matches nothing", oneLine(s, 60))
			continue
		}
		out = append(out, r)
	}
	return out
}

// recorder is the rules of the recorder's webhook.
func (c *compiler) recorder(policies []*policy.Policy) []map[string]any {
	if len(policies) == 0 {
		return nil
	}
	for _, w := range export.Workloads() {
		c.seen.add(w.Group, w.Kind)
	}
	byGroup := map[string][]string{}
	for group, set := range c.seen {
		for kind := range set {
			name := kind
			if group != "" {
				name += "." + group
			}
			found := export.Known(name)
			found = slices.DeleteFunc(found, func(r export.Resource) bool { return r.Group != group })
			if len(found) == 0 {
				c.note(nil, "recorder", "it does not see %s: how the cluster calls its resource is not known", oneLine(name, 100))
				continue
			}
			byGroup[group] = append(byGroup[group], found[0].Plural)
			if name == "Pod" {
				byGroup[group] = append(byGroup[group], "pods/ephemeralcontainers", "pods/resize")
			}
		}
	}
	slices.SortFunc(c.set.Notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Exception, b.Exception), cmp.Compare(a.What, b.What), cmp.Compare(a.Reason, b.Reason))
	})
	c.set.Notes = slices.Compact(c.set.Notes)
	var out []map[string]any
	for _, group := range slices.Sorted(maps.Keys(byGroup)) {
		slices.Sort(byGroup[group])
		out = append(out, map[string]any{"apiGroups": []any{group}, "apiVersions": []any{"*"}, "operations": []any{"CREATE", "UPDATE"},
			"resources": texts(byGroup[group]), "scope": "*"})
	}
	return out
}
