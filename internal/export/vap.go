package export

import (
	"strings"

	"stockade.dev/stockade/internal/rule"
)

// anyObject is Gatekeeper's name for the object under review; a policy of its own defines it.
var anyObject = variable{"anyObject", `object == null ? oldObject : object`}

// AdmissionPolicies exports the single-object rules as ValidatingAdmissionPolicies (Kubernetes 1.30+) with bindings.
// Parameters are the rules' own, since a policy has no place for defaults.
func AdmissionPolicies(rules []*rule.Rule, o Options) ([]Policy, error) {
	action := o.Action
	if action == "" {
		action = "Audit"
	}
	var out []Policy
	for _, g := range groups(rules, o.Split) {
		vars, validations, err := g.checks(o, "", func(*rule.Rule) string { return "" })
		if err != nil {
			return nil, err
		}
		name := "stockade-" + strings.TrimPrefix(strings.ToLower(g.name), "stockade")
		policy := map[string]any{
			"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
			"metadata": map[string]any{"name": name, "annotations": map[string]any{"stockade.dev/rules": strings.Join(ids(g.rules), ",")}},
			"spec": map[string]any{"failurePolicy": "Fail", "matchConstraints": map[string]any{"resourceRules": resourceRules(g.rules)},
				"variables": anyList(append([]variable{anyObject}, vars...)), "validations": anyList(validations)},
		}
		binding := map[string]any{
			"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
			"metadata": map[string]any{"name": name},
			"spec":     map[string]any{"policyName": name, "validationActions": []any{action}},
		}
		out = append(out, Policy{name, g.rules, []map[string]any{policy, binding}})
	}
	return out, nil
}

func resourceRules(rules []*rule.Rule) []any {
	type gv struct{ group, version string }
	byGroup := map[gv][]any{}
	var order []gv
	for _, k := range union(rules) {
		key := gv{k.Group, k.Version}
		if byGroup[key] == nil {
			order = append(order, key)
		}
		byGroup[key] = append(byGroup[key], k.Plural)
		if k.Kind == "Pod" {
			byGroup[key] = append(byGroup[key], "pods/ephemeralcontainers")
		}
	}
	var out []any
	for _, key := range order {
		out = append(out, map[string]any{"apiGroups": []any{key.group}, "apiVersions": []any{key.version},
			"operations": []any{"CREATE", "UPDATE"}, "resources": byGroup[key]})
	}
	return out
}
