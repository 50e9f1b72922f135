package constraint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/policy"
)

const admissionAPI = "admissionregistration.k8s.io/v1"

// native1 compiles one use to a ValidatingAdmissionPolicy with its binding: the API server enforces it by itself.
func (c *compiler) native1(p *policy.Policy, u *use, a *area, params map[string]any) error {
	for field, list := range map[string][]string{"namespaces": a.namespaces, "excludedNamespaces": a.excluded} {
		if len(list) > 0 {
			var out []any
			for _, s := range list {
				r, ok := spaceExpression(s)
				if ok {
					out = append(out, r)
				}
			}
			params[field] = out
		}
	}
	checks, err := export.Admission(u.rules, c.bundle.Lang, inline(params))
	if err != nil {
		return err
	}
	any1 := map[string]any{"name": "anyObject", "expression": "object == null ? oldObject : object"}
	spaces := map[string]any{}
	if a.namespaced != nil {
		spaces = maps.Clone(a.namespaced)
	}
	// Beside the expressions, so that one that fails cannot keep system namespaces from working.
	if names := slices.DeleteFunc(slices.Clone(a.excluded), func(s string) bool { return strings.Contains(s, "*") }); len(names) > 0 {
		list, _ := spaces["matchExpressions"].([]any)
		spaces["matchExpressions"] = append(slices.Clone(list), map[string]any{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": texts(names)})
	}
	match := map[string]any{"matchPolicy": "Equivalent", "namespaceSelector": spaces, "resourceRules": resourceRules(u.kinds, p.Scope.Operations)}
	if a.labelled != nil {
		match["objectSelector"] = a.labelled
	}
	name := "stockade-" + constraintName(p, u.action) + "-" + strings.ToLower(u.family)
	action := map[policy.Action]string{policy.Audit: "Audit", policy.Warn: "Warn", policy.Block: "Deny"}[u.action]
	c.native = append(c.native,
		c.object(admissionAPI, "ValidatingAdmissionPolicy", name, p, map[string]any{"failurePolicy": "Fail", "matchConstraints": match,
			"variables": append([]any{any1}, checks.Variables...), "validations": checks.Validations}),
		c.object(admissionAPI, "ValidatingAdmissionPolicyBinding", name, p, map[string]any{"policyName": name, "validationActions": []any{action}}))
	return nil
}

// spaceExpression is a pattern of namespaces, which has its wildcards at the ends, as a regular expression.
func spaceExpression(s string) (string, bool) {
	front, back := strings.HasPrefix(s, "*"), strings.HasSuffix(s, "*")
	if !space.MatchString(s) {
		return "", false
	}
	s = strings.TrimSuffix(strings.TrimPrefix(s, "*"), "*") // the rest are letters that stand for themselves
	if !front {
		s = "^" + s
	}
	if !back {
		s += "$"
	}
	return s, true
}

func resourceRules(k kinds, operations []string) []any {
	if len(operations) == 0 {
		operations = []string{"CREATE", "UPDATE"}
	}
	var out []any
	for _, group := range slices.Sorted(maps.Keys(k)) {
		byVersion := map[string][]string{}
		for _, kind := range slices.Sorted(maps.Keys(k[group])) {
			for _, r := range export.Known(kind) {
				if r.Group != group {
					continue
				}
				byVersion[r.Version] = append(byVersion[r.Version], r.Plural)
				if r.GroupKind() == "Pod" {
					byVersion[r.Version] = append(byVersion[r.Version], "pods/ephemeralcontainers", "pods/resize")
				}
			}
		}
		for _, version := range slices.Sorted(maps.Keys(byVersion)) {
			out = append(out, map[string]any{"apiGroups": []any{group}, "apiVersions": []any{version}, "operations": texts(operations),
				"resources": texts(byVersion[version]), "scope": "*"})
		}
	}
	return out
}

// inline writes a JSON value as CEL. JSON's texts are CEL's; whatever stands in them stays in them.
func inline(v any) string {
	switch v := v.(type) {
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, inline(k)+": dyn("+inline(v[k])+")") // dyn: values differ in type
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		parts := make([]string, len(v))
		same := !slices.ContainsFunc(v, func(e any) bool { _, text := e.(string); return !text })
		for i := range v {
			if parts[i] = inline(v[i]); !same {
				parts[i] = "dyn(" + parts[i] + ")"
			}
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case float64:
		text := fmt.Sprintf("%v", v)
		if !strings.ContainsAny(text, ".eE") {
			text += ".0"
		}
		return text
	}
	data, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(data)
}
