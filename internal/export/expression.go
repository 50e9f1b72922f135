// Package export writes rules as what admission engines run: Gatekeeper ConstraintTemplates with default constraints, and
// ValidatingAdmissionPolicies. The rule's CEL text goes in unchanged but for the names of its variables.
package export

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// variable is a named CEL expression of a policy; later ones may use earlier ones as variables.NAME.
type variable struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

// validation is one check of a policy.
type validation struct {
	Expression        string `json:"expression"`
	Message           string `json:"message"`
	MessageExpression string `json:"messageExpression,omitempty"`
}

// podVariables find the pod and its containers in any kind. They are lazy: a policy over Services never evaluates them.
var podVariables = []variable{
	{"groupKind", `variables.anyObject.apiVersion.contains("/") ? variables.anyObject.kind + "." + variables.anyObject.apiVersion.split("/")[0] : variables.anyObject.kind`},
	{"pod", `variables.groupKind == "Pod" ? variables.anyObject : variables.groupKind == "CronJob.batch" ? variables.anyObject.spec.jobTemplate.spec.template : variables.groupKind == "PodTemplate" ? variables.anyObject.template : variables.anyObject.spec.template`},
	{"regular", `has(variables.pod.spec.containers) ? variables.pod.spec.containers : []`},
	{"early", `has(variables.pod.spec.initContainers) ? variables.pod.spec.initContainers : []`},
	{"ephemeral", `has(variables.pod.spec.ephemeralContainers) ? variables.pod.spec.ephemeralContainers : []`},
}

// containerLists gives the containers of a type.
var containerLists = []struct{ kind, expression string }{
	{inventory.TypeContainer, `variables.regular`},
	{inventory.TypeInit, `variables.early.filter(c, !has(c.restartPolicy) || c.restartPolicy != "Always")`},
	{inventory.TypeSidecar, `variables.early.filter(c, has(c.restartPolicy) && c.restartPolicy == "Always")`},
	{inventory.TypeEphemeral, `variables.ephemeral`},
}

func containers(types []string) string {
	if len(types) == 0 || len(types) == len(containerLists) {
		return "(variables.regular + variables.early + variables.ephemeral)"
	}
	var parts []string
	for _, l := range containerLists {
		if slices.Contains(types, l.kind) {
			parts = append(parts, l.expression)
		}
	}
	return "(" + strings.Join(parts, " + ") + ")"
}

// paramsName is the variable that holds the parameters of a rule.
func paramsName(r *rule.Rule) string { return "params_" + strings.ReplaceAll(r.ID, "-", "_") }

// good is the expression that is true for an object the rule has nothing against, and the one for the names of the
// containers at fault ("" for rules over pods and objects).
func good(r *rule.Rule) (expression, culprits string, err error) {
	v := r.Validate
	body, err := rule.Rename(strings.TrimSpace(v.Expression), map[string]string{"object": "variables.anyObject", "pod": "variables.pod",
		"params": "variables." + paramsName(r)})
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", r.Name, err)
	}
	scope := map[string]string{"container": "container", "pod": "variables.pod", "object": "variables.anyObject"}[v.Over]
	body = each(v.Each, scope, body)
	if v.Over != "container" {
		return body, "", nil
	}
	list := containers(v.Types)
	return list + ".all(container, " + body + ")",
		list + ".filter(container, !(" + body + `)).map(container, has(container.name) ? container.name : "?").join(", ")`, nil
}

// each wraps body in the walk over the lists of the rule.
func each(path, scope, body string) string {
	if path == "" {
		return "(" + body + ")"
	}
	parts := strings.Split(path, "[]")
	for i := len(parts) - 1; i >= 0; i-- {
		from, item := scope, "item"
		if i > 0 {
			from = fmt.Sprintf("e%d", i-1)
		}
		if i < len(parts)-1 {
			item = fmt.Sprintf("e%d", i)
		}
		at := from
		var guards []string
		for k := range strings.SplitSeq(strings.TrimPrefix(parts[i], "."), ".") {
			at += "." + k
			guards = append(guards, "!has("+at+")")
		}
		body = "(" + strings.Join(guards, " || ") + " || " + at + ".all(" + item + ", " + body + "))"
	}
	return body
}

// guard is true for objects of the rule's kinds.
func guard(r *rule.Rule) string {
	var kinds []string
	for _, k := range resources(r) {
		kinds = append(kinds, literal(k.GroupKind()))
	}
	return "variables.groupKind in [" + strings.Join(kinds, ", ") + "]"
}

// literal is a JSON value as CEL text: CEL reads JSON's strings, numbers, lists and maps.
func literal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(data)
}

// parameters is a map of the rule's parameters, each from the given place when it is set there, else its default.
func parameters(r *rule.Rule, from string) string {
	if len(r.Params) == 0 {
		return "{}"
	}
	var parts []string
	for _, name := range sortedKeys(r.Params) {
		value := literal(r.Params[name])
		if from != "" {
			value = "has(" + from + "." + name + ") ? " + from + "." + name + " : " + value
		}
		parts = append(parts, literal(name)+": dyn("+value+")") // dyn: parameters of one rule differ in type
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// message says what is wrong and what to do; the rule's id leads to the full text.
func message(r *rule.Rule, lang, culprits string) (fixed, expression string) {
	fixed = fmt.Sprintf("[%s] %s. %s", r.ID, strings.TrimSuffix(r.Title.In(lang), "."), r.Fix.In(lang))
	if culprits == "" {
		return fixed, ""
	}
	return fixed, literal(fmt.Sprintf("[%s] %s: ", r.ID, r.Title.In(lang))) + " + " + culprits + " + " + literal(". "+r.Fix.In(lang))
}
