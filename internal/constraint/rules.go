package constraint

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
)

// use is the rules of a policy that go into one constraint.
type use struct {
	family   string
	action   policy.Action
	rules    []*rule.Rule
	settings map[string]any
	kinds    kinds
}

// uses sorts the rules of a policy by action and family.
func (c *compiler) uses(p *policy.Policy) []*use {
	byKey := map[string]*use{}
	seen := map[string]bool{}
	for i := range p.Rules {
		u := &p.Rules[i]
		r := c.lib.Find(u.Rule)
		name := oneLine(u.Rule, 100)
		switch {
		case r == nil:
			c.note(p, "rule "+name, "the library has no such rule")
			continue
		case !export.Enforceable(r):
			c.note(p, "rule "+name, "it needs more than one object to decide, so it cannot be enforced at admission")
			continue
		case seen[r.ID]:
			c.note(p, "rule "+name, "it stands in the policy twice; the first entry counts")
			continue
		}
		seen[r.ID] = true
		judged := slices.DeleteFunc(slices.Clone(export.Resources(r)), func(k export.Resource) bool { return !inScope(p, k) })
		if len(judged) == 0 {
			c.note(p, "rule "+name, "it looks at none of the kinds of the policy's scope")
			continue
		}
		a := c.action(p, u.Action)
		key := export.Family(r) + " " + string(a)
		if byKey[key] == nil {
			byKey[key] = &use{family: export.Family(r), action: a, settings: map[string]any{}, kinds: kinds{}}
		}
		k := byKey[key]
		k.rules = append(k.rules, r)
		for _, j := range judged {
			k.kinds.add(j.Group, j.Kind)
			c.seen.add(j.Group, j.Kind)
		}
		if s := c.settings(p, r, u.Params); len(s) > 0 {
			k.settings[export.SettingsKey(r)] = s
		}
	}
	var out []*use
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		u := byKey[key]
		slices.SortFunc(u.rules, func(a, b *rule.Rule) int { return strings.Compare(a.ID, b.ID) })
		out = append(out, u)
	}
	return out
}

// settings are the parameters of a rule that differ from its own, in the types of those.
func (c *compiler) settings(p *policy.Policy, r *rule.Rule, given map[string]any) map[string]any {
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		own, ok := r.Params[name]
		if !ok {
			c.note(p, "rule "+r.Name, "it has no parameter %q", oneLine(name, 60))
			continue
		}
		v, ok := like(own, given[name])
		if !ok {
			c.note(p, "rule "+r.Name, "the parameter %s is of another type; the rule's own value counts", name)
			continue
		}
		if !reflect.DeepEqual(v, own) {
			out[name] = v
		}
	}
	return out
}

// like gives v the type of own.
func like(own, v any) (any, bool) {
	switch own.(type) {
	case int64:
		switch n := v.(type) {
		case int:
			return int64(n), true
		case int64:
			return n, true
		case float64:
			return int64(n), n == float64(int64(n))
		}
		return nil, false
	case float64:
		switch n := v.(type) {
		case int:
			return float64(n), true
		case int64:
			return float64(n), true
		case float64:
			return n, true
		}
		return nil, false
	case []any:
		var list []any
		switch l := v.(type) {
		case []any:
			list = l
		case []string:
			list = texts(l)
		default:
			return nil, false
		}
		var first any = ""
		if o := own.([]any); len(o) > 0 {
			first = o[0]
		}
		out := make([]any, len(list))
		for i := range list {
			var ok bool
			if out[i], ok = like(first, list[i]); !ok {
				return nil, false
			}
		}
		return out, true
	}
	return v, reflect.TypeOf(own) == reflect.TypeOf(v)
}

// rules compiles the library's rules of a policy.
func (c *compiler) rules(p *policy.Policy) error {
	uses := c.uses(p)
	if len(uses) == 0 {
		return nil
	}
	a := c.area(p)
	if a.none {
		c.note(p, "scope", "there is nothing that it holds for; its rules are not enforced")
		return nil
	}
	native := p.Engine == policy.VAP
	if native && (!c.o.VAP || c.o.Kubernetes > 0 && c.o.Kubernetes < 30) {
		c.note(p, "engine", "the cluster has no ValidatingAdmissionPolicies (Kubernetes 1.30): Gatekeeper enforces the rules")
		native = false
	}
	for _, u := range uses {
		params := c.parameters(p, u)
		if native {
			if err := c.native1(p, u, &a, params); err != nil {
				return err
			}
			continue
		}
		if c.families[u.family] == nil {
			c.families[u.family] = map[string]*rule.Rule{}
		}
		for _, r := range u.rules {
			c.families[u.family][r.ID] = r
		}
		c.constraints = append(c.constraints, c.object(constraintAPI, templateKind(u.family), constraintName(p, u.action), p,
			map[string]any{"enforcementAction": enforcement(u.action), "match": a.match(u.kinds), "parameters": params}))
	}
	return nil
}

// parameters of a constraint over rules; export.Admission says what they mean.
func (c *compiler) parameters(p *policy.Policy, u *use) map[string]any {
	var ids []string
	for _, r := range u.rules {
		ids = append(ids, r.ID)
	}
	params := c.judged(p)
	params["rules"] = texts(ids)
	if len(u.settings) > 0 {
		params["settings"] = u.settings
	}
	if list := c.accepting(p, u.rules); len(list) > 0 {
		params["exceptions"], params["chains"] = list, chained(p)
	}
	name, link := c.ends(p)
	params["policy"] = name
	if link != "" {
		params["link"] = link
	}
	return params
}

func templateKind(family string) string { return "Stockade" + family }

// ruleTemplates makes the templates of the rules that constraints are over.
func (c *compiler) ruleTemplates() error {
	for _, family := range slices.Sorted(maps.Keys(c.families)) {
		var rules []*rule.Rule
		for _, id := range slices.Sorted(maps.Keys(c.families[family])) {
			rules = append(rules, c.families[family][id])
		}
		checks, err := export.Admission(rules, c.bundle.Lang, "variables.params == null ? {} : variables.params")
		if err != nil {
			return fmt.Errorf("template %s: %w", family, err)
		}
		c.templates = append(c.templates, c.template(templateKind(family), checks.Schema, map[string]any{"engine": "K8sNativeValidation",
			// generateVAP is said, since Gatekeeper's default is to make a ValidatingAdmissionPolicy too, and to enforce twice.
			"source": map[string]any{"failurePolicy": "Fail", "generateVAP": false, "variables": checks.Variables, "validations": checks.Validations}}))
	}
	return nil
}

func (c *compiler) template(kind string, schema, code map[string]any) *unstructured.Unstructured {
	return c.object(templateGroup, "ConstraintTemplate", strings.ToLower(kind), nil, map[string]any{
		"crd": map[string]any{"spec": map[string]any{"names": map[string]any{"kind": kind},
			"validation": map[string]any{"legacySchema": false, "openAPIV3Schema": schema}}},
		"targets": []any{map[string]any{"target": "admission.k8s.gatekeeper.sh", "code": []any{code}}}})
}
