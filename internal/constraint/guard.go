package constraint

import (
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
)

// guardKey is the parameter of constraints by which guarded templates know whose requests are judged.
const guardKey = "stockade"

// guarded reports whether a policy that is in force uses the template and has a scope that needs a guard.
func (c *compiler) guarded(template string) bool {
	return slices.ContainsFunc(c.inForce(), func(p *policy.Policy) bool {
		return len(c.asking(p)) > 0 && slices.ContainsFunc(p.Templates, func(u policy.TemplateUse) bool { return u.Template == template })
	})
}

// guard makes a user's template ask first whether the policy is about the request. Gatekeeper's constraints match by neither operation
// nor user. why is why it cannot be done; the template is as it was then.
func guard(content map[string]any) (why string) {
	spec := inventory.Map(content, "spec")
	crd := inventory.Map(spec, "crd", "spec")
	validation := inventory.Map(crd, "validation")
	schema := inventory.Map(validation, "openAPIV3Schema")
	properties := inventory.Map(schema, "properties")
	switch {
	case crd == nil:
		return "it has no spec.crd.spec"
	case properties[guardKey] != nil:
		return "it has a parameter of its own that is called " + guardKey
	case schema != nil && properties == nil && len(schema) > 0 && (schema["additionalProperties"] != nil || schema["x-kubernetes-preserve-unknown-fields"] != nil):
		return "its parameters are a map, so that none can be added"
	}
	var apply []func()
	for _, t := range inventory.List(spec, "targets") {
		target, _ := t.(map[string]any)
		if _, ok := target["rego"].(string); ok { // the older form
			f, why := guardRego(target, "v0")
			if why != "" {
				return why
			}
			apply = append(apply, f)
		}
		for _, x := range inventory.List(target, "code") {
			code, _ := x.(map[string]any)
			source := inventory.Map(code, "source")
			var f func()
			switch code["engine"] {
			case "Rego":
				version, _ := source["version"].(string)
				f, why = guardRego(source, version)
			case "K8sNativeValidation":
				f, why = guardCEL(source)
			default:
				why = "its engine is not known here"
			}
			if why != "" {
				return why
			}
			apply = append(apply, f)
		}
	}
	for _, f := range apply {
		f()
	}
	if validation == nil {
		validation = map[string]any{"legacySchema": false}
		crd["validation"] = validation
	}
	if schema == nil {
		schema = map[string]any{"type": "object"}
		validation["openAPIV3Schema"] = schema
	}
	if properties == nil {
		properties = map[string]any{}
		schema["properties"] = properties
	}
	list := map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
	properties[guardKey] = map[string]any{"type": "object", "properties": map[string]any{"operations": list, "users": list, "groups": list}}
	return ""
}

// regoPackage is how a module begins: with what is no code, then its package.
var regoPackage = regexp.MustCompile(`\A(?:\s|#[^\n]*(?:\n|\z))*package[ \t]+([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*|\["[^"\n]*"\])*)[ \t\r]*(?:[#\n;]|\z)`)

// guardRego makes a library of the user's module, and a module that asks it when it is to be asked.
func guardRego(source map[string]any, version string) (apply func(), why string) {
	code, _ := source["rego"].(string)
	at := regoPackage.FindStringSubmatchIndex(code)
	if at == nil {
		return nil, "the package of its Rego cannot be told"
	}
	own := code[:at[2]] + "lib.stockade_own" + code[at[3]:]
	libs, _ := source["libs"].([]any)
	if slices.ContainsFunc(libs, func(l any) bool { s, _ := l.(string); return strings.Contains(s, "stockade_own") }) {
		return nil, "a library of it is called stockade_own"
	}
	module := guardModule
	if version == "v1" {
		module = strings.NewReplacer("violation[v] {", "violation contains v if {", "heed {", "heed if {", "apart {", "apart if {").Replace(module)
	}
	return func() { source["rego"], source["libs"] = module, append(slices.Clone(libs), own) }, ""
}

// guardModule asks the user's module. What is there already has no operation, and nobody asks for it. Gatekeeper finds references to
// libraries where they stand alone, and not behind "some v in".
const guardModule = `package stockade_guard

violation[v] {
	heed
	data.lib.stockade_own.violation[v]
}

heed {
	object.get(input.review, "operation", "") == ""
}

heed {
	not apart
}

apart {
	list := input.parameters.stockade.operations
	count({o | o := list[_]; o == input.review.operation}) == 0
}

apart {
	input.parameters.stockade.users[_] == input.review.userInfo.username
}

apart {
	input.parameters.stockade.groups[_] == input.review.userInfo.groups[_]
}
`

// guardCEL lets every validation hold where the policy is not about the request.
func guardCEL(source map[string]any) (apply func(), why string) {
	validations, _ := source["validations"].([]any)
	variables, _ := source["variables"].([]any)
	for _, v := range variables {
		if m, _ := v.(map[string]any); m["name"] == guardVariable {
			return nil, "a variable of it is called " + guardVariable
		}
	}
	for _, v := range validations {
		m, _ := v.(map[string]any)
		if s, _ := m["expression"].(string); strings.TrimSpace(s) == "" {
			return nil, "a validation of it has no expression"
		}
	}
	return func() {
		source["variables"] = append([]any{map[string]any{"name": guardVariable, "expression": guardExpression}}, variables...)
		for _, v := range validations {
			m, _ := v.(map[string]any)
			m["expression"] = "!variables." + guardVariable + " || (" + m["expression"].(string) + "\n)" // a comment may end it
		}
	}, ""
}

const (
	guardVariable   = "stockade_heed"
	guardExpression = `!has(request.operation) || request.operation == "" || variables.params == null || !has(variables.params.stockade) || ` +
		`(!has(variables.params.stockade.operations) || request.operation in variables.params.stockade.operations) && ` +
		`!(has(variables.params.stockade.users) && has(request.userInfo) && has(request.userInfo.username) && request.userInfo.username in variables.params.stockade.users) && ` +
		`!(has(variables.params.stockade.groups) && has(request.userInfo) && has(request.userInfo.groups) && request.userInfo.groups.exists(g, g in variables.params.stockade.groups))`
)
