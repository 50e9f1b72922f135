package export

import (
	"fmt"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/rule"
)

// Policy is one exported object set: a template with its constraint, or a policy with its binding.
type Policy struct {
	Name    string           // lower case, for file names
	Rules   []*rule.Rule     // in it
	Objects []map[string]any // in the order in which they are applied
}

// Options of an export.
type Options struct {
	Split  bool   // one policy a rule instead of one a risk type
	Lang   string // of messages
	Action string // enforcementAction of constraints, or validationActions of bindings; "" is dryrun or Audit
}

// group is the rules that go into one policy.
type group struct {
	name  string // StockadeWorkload
	title finding.Text
	rules []*rule.Rule
}

// groups sorts the single-object rules into policies. Bundles per risk type cost the API server several times less than a
// policy a rule.
func groups(rules []*rule.Rule, split bool) []*group {
	var out []*group
	byName := map[string]*group{}
	for _, r := range rules {
		if !Enforceable(r) {
			continue
		}
		name, title := "Stockade"+camel(r.Risk), finding.Text{EN: "Stockade rules: " + r.Risk, ZH: "Stockade 规则：" + r.Risk}
		if split {
			name, title = "Stockade"+camel(r.Name), r.Title
		}
		if byName[name] == nil {
			byName[name] = &group{name: name, title: title}
			out = append(out, byName[name])
		}
		byName[name].rules = append(byName[name].rules, r)
	}
	return out
}

// checks are the variables and validations of a group. paramsOf says where a rule's parameters may be set; "" nowhere.
func (g *group) checks(o Options, enabled string, paramsOf func(*rule.Rule) string) ([]variable, []validation, error) {
	vars := append([]variable{}, podVariables...)
	var out []validation
	for _, r := range g.rules {
		if len(r.Params) > 0 {
			vars = append(vars, variable{paramsName(r), parameters(r, paramsOf(r))})
		}
		expression, culprits, err := good(r)
		if err != nil {
			return nil, nil, err
		}
		condition := "!(" + guard(r) + ") || " + expression
		if enabled != "" {
			condition = fmt.Sprintf("(%s.size() > 0 && !(%s in %s)) || %s", enabled, literal(r.ID), enabled, condition)
		}
		fixed, dynamic := message(r, o.Lang, culprits)
		out = append(out, validation{condition, fixed, dynamic})
	}
	return vars, out, nil
}

// ConstraintTemplates exports the single-object rules for Gatekeeper's K8sNativeValidation engine: templates and, for each,
// a default constraint.
func ConstraintTemplates(rules []*rule.Rule, o Options) ([]Policy, error) {
	action := o.Action
	if action == "" {
		action = "dryrun"
	}
	var out []Policy
	for _, g := range groups(rules, o.Split) {
		enabled, paramsOf := "variables.enabled", func(r *rule.Rule) string { return "variables.settings." + settingsKey(r) }
		if o.Split {
			enabled, paramsOf = "", func(*rule.Rule) string { return "variables.given" }
		}
		vars, validations, err := g.checks(o, enabled, paramsOf)
		if err != nil {
			return nil, err
		}
		vars = append(g.given(o.Split), vars...)
		template := map[string]any{
			"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
			"metadata": map[string]any{"name": strings.ToLower(g.name), "annotations": map[string]any{
				"metadata.gatekeeper.sh/title": g.title.In(o.Lang), "stockade.dev/rules": strings.Join(ids(g.rules), ",")}},
			"spec": map[string]any{
				"crd": map[string]any{"spec": map[string]any{"names": map[string]any{"kind": g.name},
					"validation": map[string]any{"openAPIV3Schema": g.schema(o.Split)}}},
				"targets": []any{map[string]any{"target": "admission.k8s.gatekeeper.sh", "code": []any{map[string]any{
					"engine": "K8sNativeValidation",
					"source": map[string]any{"failurePolicy": "Fail", "variables": anyList(vars), "validations": anyList(validations)},
				}}}},
			},
		}
		constraint := map[string]any{
			"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": g.name,
			"metadata": map[string]any{"name": strings.ToLower(g.name)},
			"spec":     map[string]any{"enforcementAction": action, "match": map[string]any{"kinds": constraintKinds(g.rules)}},
		}
		if !o.Split {
			constraint["spec"].(map[string]any)["parameters"] = map[string]any{"rules": anyStrings(ids(g.rules))}
		}
		out = append(out, Policy{strings.ToLower(g.name), g.rules, []map[string]any{template, constraint}})
	}
	return out, nil
}

// given are the variables that read what a constraint sets. Gatekeeper's params are null when a constraint has none.
func (g *group) given(split bool) []variable {
	if split {
		return []variable{{"given", paramsOrNone}}
	}
	return g.givenAs(paramsOrNone)
}

// paramsOrNone is the parameters of a constraint.
const paramsOrNone = "variables.params == null ? {} : variables.params"

// givenAs are the variables that read the parameters of a bundle.
func (g *group) givenAs(base string) []variable {
	out := []variable{{"given", base}, {"enabled", "has(variables.given.rules) ? variables.given.rules : []"}}
	// Each rule's settings are an object of their own, absent unless set.
	var parts []string
	for _, r := range g.rules {
		if len(r.Params) > 0 {
			at := "variables.given.settings." + settingsKey(r)
			parts = append(parts, fmt.Sprintf("%s: has(variables.given.settings) && has(%s) ? %s : {}", literal(settingsKey(r)), at, at))
		}
	}
	if len(parts) > 0 {
		out = append(out, variable{"settings", "{" + strings.Join(parts, ", ") + "}"})
	}
	return out
}

// settingsKey is the name of a rule's parameters in a bundle's constraint.
func settingsKey(r *rule.Rule) string {
	s := camel(r.Name)
	return strings.ToLower(s[:1]) + s[1:]
}

// schema is the OpenAPI schema of a template's parameters.
func (g *group) schema(split bool) map[string]any {
	if split {
		return paramsSchema(g.rules[0])
	}
	settings := map[string]any{}
	for _, r := range g.rules {
		if len(r.Params) > 0 {
			settings[settingsKey(r)] = paramsSchema(r)
		}
	}
	return map[string]any{"type": "object", "properties": map[string]any{
		"rules": map[string]any{"type": "array", "items": map[string]any{"type": "string"},
			"description": "ids of the rules in force; none means all"},
		"settings": map[string]any{"type": "object", "properties": settings, "description": "parameters by rule"},
	}}
}

func paramsSchema(r *rule.Rule) map[string]any {
	props := map[string]any{}
	for name, v := range r.Params {
		props[name] = typeOf(v)
	}
	return map[string]any{"type": "object", "properties": props}
}

func typeOf(v any) map[string]any {
	switch v := v.(type) {
	case string:
		return map[string]any{"type": "string"}
	case bool:
		return map[string]any{"type": "boolean"}
	case int64:
		return map[string]any{"type": "integer"}
	case float64:
		return map[string]any{"type": "number"}
	case []any:
		items := map[string]any{"type": "string"}
		if len(v) > 0 {
			items = typeOf(v[0])
		}
		return map[string]any{"type": "array", "items": items}
	}
	return map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
}

func constraintKinds(rules []*rule.Rule) []any {
	byGroup := map[string][]any{}
	for _, k := range union(rules) {
		byGroup[k.Group] = append(byGroup[k.Group], k.Kind)
	}
	var out []any
	for _, g := range sortedKeys(byGroup) {
		out = append(out, map[string]any{"apiGroups": []any{g}, "kinds": byGroup[g]})
	}
	return out
}

func ids(rules []*rule.Rule) []string {
	out := make([]string, len(rules))
	for i, r := range rules {
		out[i] = r.ID
	}
	return out
}

func anyStrings(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func anyList[T variable | validation](list []T) []any {
	out := make([]any, 0, len(list))
	for _, v := range list {
		switch v := any(v).(type) {
		case variable:
			out = append(out, map[string]any{"name": v.Name, "expression": v.Expression})
		case validation:
			m := map[string]any{"expression": v.Expression, "message": v.Message}
			if v.MessageExpression != "" {
				m["messageExpression"] = v.MessageExpression
			}
			out = append(out, m)
		}
	}
	return out
}
