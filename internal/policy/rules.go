package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// Param is something that can be set of a rule or template.
type Param struct {
	Name        string `json:"name"`
	Type        string `json:"type" enum:"string,integer,number,boolean,array,object," doc:"empty: anything"`
	Items       string `json:"items,omitempty" doc:"type of the elements of an array"`
	Default     any    `json:"default,omitempty"`
	Description string `json:"description,omitempty"`
}

// Enforceable are the rules that policies may use: those that judge one object alone, of kinds that admission is asked about.
func Enforceable(lib *rule.Library) []*rule.Rule {
	var out []*rule.Rule
	if lib == nil {
		return nil
	}
	for _, r := range lib.Rules {
		if export.Enforceable(r) {
			out = append(out, r)
		}
	}
	return out
}

// podKinds are the kinds that carry pods and that every API server has, "Kind.group".
var podKinds = []string{"Pod", "Deployment.apps", "ReplicaSet.apps", "StatefulSet.apps", "DaemonSet.apps", "Job.batch", "CronJob.batch", "ReplicationController", "PodTemplate"}

// PodKinds are pods and what makes them, as Scope.Kinds names them.
func PodKinds() []string { return slices.Clone(podKinds) }

// KindsOf are the kinds that a rule looks at, "Kind.group".
func KindsOf(r *rule.Rule) []string {
	var out []string
	for _, k := range r.Match.Kinds {
		if k == "Workload" {
			out = append(out, podKinds...)
		} else {
			out = append(out, k)
		}
	}
	return slices.Compact(out)
}

// ParamsOf are the parameters of a rule with their defaults.
func ParamsOf(r *rule.Rule) []Param {
	var out []Param
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		v := r.Params[name]
		p := Param{Name: name, Type: jsonType(v), Default: v}
		if list, ok := v.([]any); ok {
			p.Items = "string"
			if len(list) > 0 {
				p.Items = jsonType(list[0])
			}
		}
		out = append(out, p)
	}
	return out
}

func jsonType(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int64, int:
		return "integer"
	case float64:
		return "number"
	case []any, []string:
		return "array"
	}
	return "object"
}

// TypeOf sorts rules as rule pickers do: security is what an attacker makes use of, compliance what good practice asks for beside.
func TypeOf(r *rule.Rule) string {
	if r.Severity == finding.Low || r.Severity == finding.Info {
		return "compliance"
	}
	return "security"
}

// fits reports whether a value can stand for a parameter whose default is def, and gives it the form that rules work with.
func fits(v, def any) (any, bool) {
	switch d := def.(type) {
	case []any:
		list, ok := v.([]any)
		if words, is := v.([]string); is {
			list, ok = make([]any, len(words)), true
			for i, s := range words {
				list[i] = s
			}
		}
		if !ok {
			return nil, false
		}
		var element any = ""
		if len(d) > 0 {
			element = d[0]
		}
		out := make([]any, len(list))
		for i, e := range list {
			if out[i], ok = fits(e, element); !ok {
				return nil, false
			}
		}
		return out, true
	case int64:
		switch n := v.(type) {
		case int64:
			return n, true
		case int:
			return int64(n), true
		case float64:
			return int64(n), n == float64(int64(n))
		}
		return nil, false
	case float64:
		switch n := v.(type) {
		case int64:
			return float64(n), true
		case int:
			return float64(n), true
		case float64:
			return n, true
		}
		return nil, false
	case map[string]any:
		m, ok := v.(map[string]any)
		return m, ok
	}
	return v, jsonType(v) == jsonType(def)
}

// settled are the parameters of a use that the rule knows, in the form that it works with.
func settled(r *rule.Rule, params map[string]any) map[string]any {
	var out map[string]any
	for name, v := range params {
		def, ok := r.Params[name]
		if !ok {
			continue
		}
		if v, ok = fits(v, def); ok {
			if out == nil {
				out = map[string]any{}
			}
			out[name] = v
		}
	}
	return out
}

// variantKey tells a rule with parameters from the same with others.
func variantKey(r *rule.Rule, params map[string]any) string {
	data, err := json.Marshal(params) // keys are sorted
	if err != nil {
		return r.Name
	}
	return r.Name + " " + string(data)
}

// Uses reports whether the policy uses a rule, by the name that violations have: "workload/host-pid", "image/tag", "template/NAME".
func (p *Policy) Uses(rule string) bool {
	if name, ok := strings.CutPrefix(rule, "template/"); ok {
		return slices.ContainsFunc(p.Templates, func(u TemplateUse) bool { return u.Template == name })
	}
	if name, ok := strings.CutPrefix(rule, "image/"); ok && slices.ContainsFunc(p.Checks, func(c ImageCheck) bool { return string(c.Check) == name }) {
		return true
	}
	return slices.ContainsFunc(p.Rules, func(u RuleUse) bool { return u.Rule == rule })
}

// Settle brings a policy into the form in which it is kept: blanks around words are gone, ids of rules are names.
func (p *Policy) Settle() {
	p.Name = strings.TrimSpace(p.Name)
	trim := func(list []string) {
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
	}
	for _, list := range [][]string{p.Scope.Namespaces, p.Scope.ExcludedNamespaces, p.Scope.Kinds, p.Scope.Images, p.Scope.ExcludedImages, p.Scope.Users, p.Scope.Groups} {
		trim(list)
	}
	for i := range p.Checks {
		trim(p.Checks[i].CVEs)
		trim(p.Checks[i].Allow)
		for k, c := range p.Checks[i].CVEs {
			p.Checks[i].CVEs[k] = strings.ToUpper(c)
			if strings.HasPrefix(strings.ToUpper(c), "GHSA-") {
				p.Checks[i].CVEs[k] = "GHSA-" + strings.ToLower(c[5:])
			}
		}
	}
	slices.Sort(p.Scope.Clusters)
	p.Scope.Clusters = slices.Compact(p.Scope.Clusters)
	p.Rollout.Warn, p.Rollout.Block = p.Rollout.Warn.UTC(), p.Rollout.Block.UTC()
}

// carriesPod reports whether an object of a kind has images.
func carriesPod(ref inventory.Ref) bool { return inventory.CarriesPod(ref.GroupKind()) }

// sortedNames are the names of parameters in order.
func sortedNames(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
