package constraint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/gatekeeper"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
)

const ownHead = `apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: k8sowner}
spec:
  crd: {spec: {names: {kind: K8sOwner}%s}}
  targets:
    - target: admission.k8s.gatekeeper.sh
`

const (
	ownSchema = `, validation: {openAPIV3Schema: {type: object, properties: {label: {type: string}}}}`
	ownRego   = `
          # asks for a label; package of.another.name stands in a comment
          package k8s["of users"].owner
          violation[{"msg": msg}] {
            wanted := object.get(input.parameters, "label", "owner")
            not object.get(input.review.object.metadata, "labels", {})[wanted]
            msg := sprintf("no label %v", [wanted])
          }
`
)

var ownTemplates = map[string]string{
	"older form":       fmt.Sprintf(ownHead, ownSchema) + "      rego: |\n" + ownRego,
	"without a schema": fmt.Sprintf(ownHead, "") + "      code: [{engine: Rego, source: {rego: \"package a\\nviolation[{\\\"msg\\\": \\\"no label owner\\\"}] { not input.review.object.metadata.labels.owner }\"}}]\n",
	"Rego of version 1 with a library": fmt.Sprintf(ownHead, ownSchema) + `      code:
        - engine: Rego
          source:
            version: v1
            libs: ["package lib.labels\nmissing(o, l) if not o.metadata.labels[l]"]
            rego: |
              package owner
              import data.lib.labels
              violation contains {"msg": sprintf("no label %v", [l])} if {
                l := object.get(input.parameters, "label", "owner")
                labels.missing(input.review.object, l)
              }
`,
	"CEL": fmt.Sprintf(ownHead, ownSchema) + `      code:
        - engine: K8sNativeValidation
          source:
            variables: [{name: labels, expression: "has(variables.anyObject.metadata.labels) ? variables.anyObject.metadata.labels : {}"}]
            validations:
              - {expression: "false || 'owner' in variables.labels // a comment", message: no label owner}
`,
}

// ownBundle is three policies over one template: of some requests, of all, and of none but updates.
func ownBundle(template string) *policy.Bundle {
	uses := []policy.TemplateUse{{Template: "k8sowner", Kinds: []string{"ConfigMap"}}}
	b := &policy.Bundle{Target: 1, Cluster: "prod", Lang: "en", Templates: []policy.Template{{Name: "k8sowner", YAML: template}}}
	for i, s := range []policy.Scope{{Operations: []string{"CREATE"}, Users: []string{"alice"}, Groups: []string{"devs", "ops"}}, {}, {Operations: []string{"UPDATE"}}} {
		b.Policies = append(b.Policies, policy.Policy{ID: int64(i + 1), Name: fmt.Sprint(i), Action: policy.Block, Scope: s, Templates: uses})
	}
	return b
}

// TestGuards: the operations and users of a policy's scope hold for users' own templates too, in Gatekeeper's engine as in the preview.
func TestGuards(t *testing.T) {
	lib := library(t)
	for what, template := range ownTemplates {
		b := ownBundle(template)
		set := compile(t, lib, b, options())
		if len(set.Notes) > 0 && slices.ContainsFunc(set.Notes, func(n Note) bool { return n.Policy > 0 }) {
			t.Errorf("%s: %+v", what, set.Notes)
		}
		var uses []gatekeeper.Use
		var read *gatekeeper.Template
		for _, o := range set.Objects {
			switch o.GetKind() {
			case "ConstraintTemplate":
				var err error
				if read, err = gatekeeper.ReadTemplate(string(must(yaml.Marshal(o.Object)))); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if err := read.Test(t.Context()); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			case "K8sOwner":
				params, _, _ := unstructured.NestedMap(o.Object, "spec", "parameters")
				uses = append(uses, gatekeeper.Use{Template: read, Params: params, Kinds: []string{"ConfigMap"}})
			}
		}
		engine, errs, err := gatekeeper.NewSet(t.Context(), uses)
		if err != nil || len(uses) != 3 || slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
			t.Fatalf("%s: %d constraints, %v, %v", what, len(uses), err, errs)
		}
		judge, _, err := policy.NewJudge(t.Context(), lib, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		object, _ := inventory.NewObject(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a", "namespace": "shop"}})
		good, _ := inventory.NewObject(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a", "namespace": "shop", "labels": map[string]any{"owner": "me"}}})
		for _, c := range []struct {
			operation, user string
			groups          []string
			object          *inventory.Object
			want            string
		}{
			{"CREATE", "bob", nil, object, "1 2"},
			{"CREATE", "bob", []string{"testers"}, object, "1 2"},
			{"CREATE", "alice", nil, object, "2"},
			{"CREATE", "bob", []string{"testers", "ops"}, object, "2"},
			{"UPDATE", "alice", nil, object, "2 3"},
			{"UPDATE", "bob", nil, object, "2 3"},
			{"", "", nil, object, "1 2 3"}, // an audit
			{"CREATE", "bob", nil, good, ""},
		} {
			results, err := engine.Review(t.Context(), gatekeeper.Review{Object: c.object, Old: c.object, Operation: c.operation, User: c.user, Groups: c.groups})
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			var got, preview []string
			for _, r := range results {
				got = append(got, fmt.Sprint(r.Use+1))
				if !strings.Contains(r.Message, "no label owner") {
					t.Errorf("%s: %q", what, r.Message)
				}
			}
			for _, v := range judge.Judge(t.Context(), &policy.Request{Operation: c.operation, User: c.user, Groups: c.groups, Object: c.object, Old: c.object, At: now}).Violations {
				preview = append(preview, fmt.Sprint(v.Policy))
			}
			slices.Sort(got)
			slices.Sort(preview)
			if g, p := strings.Join(got, " "), strings.Join(preview, " "); g != c.want || p != c.want {
				t.Errorf("%s, %s by %s of %v: Gatekeeper refuses by %q, the preview by %q, want %q", what, c.operation, c.user, c.groups, g, p, c.want)
			}
		}
	}
}

// TestUnguarded: a template that has no need of a guard stays as its users wrote it; of one that can have none it is said.
func TestUnguarded(t *testing.T) {
	lib := library(t)
	b := ownBundle(ownTemplates["older form"])
	b.Policies = b.Policies[1:2]
	if set := compile(t, lib, b, options()); strings.Contains(must(set.YAML()), "stockade_") {
		t.Error("a template is guarded that no scope needs it for")
	}
	for what, template := range map[string]string{
		"its engine":    fmt.Sprintf(ownHead, "") + "      code: [{engine: Other, source: {}}]\n",
		"the package":   fmt.Sprintf(ownHead, "") + "      rego: \"violation[x] { x := 1 }\"\n",
		"a parameter":   fmt.Sprintf(ownHead, ", validation: {openAPIV3Schema: {type: object, properties: {stockade: {type: string}}}}") + "      rego: \"package a\"\n",
		"are a map":     fmt.Sprintf(ownHead, ", validation: {openAPIV3Schema: {type: object, additionalProperties: {type: string}}}") + "      rego: \"package a\"\n",
		"no expression": fmt.Sprintf(ownHead, "") + "      code: [{engine: K8sNativeValidation, source: {validations: [{message: x}]}}]\n",
		"a variable of": fmt.Sprintf(ownHead, "") + "      code: [{engine: K8sNativeValidation, source: {variables: [{name: stockade_heed, expression: 'true'}]}}]\n",
		"a library of":  fmt.Sprintf(ownHead, "") + "      rego: \"package a\"\n      libs: [\"package lib.stockade_own\"]\n",
	} {
		set := compile(t, lib, ownBundle(template), options())
		if n := slices.IndexFunc(set.Notes, func(n Note) bool { return n.Policy == 1 }); n < 0 || !strings.Contains(set.Notes[n].Reason, what) {
			t.Errorf("%s: %+v", what, set.Notes)
		}
		for _, o := range set.Objects {
			if params, found, _ := unstructured.NestedMap(o.Object, "spec", "parameters"); o.GetKind() == "K8sOwner" && found {
				t.Errorf("%s: the constraint has the parameters %v", what, params)
			}
		}
	}
}
