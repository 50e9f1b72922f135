package policy_test

import (
	"strings"
	"testing"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
)

// TestBypassAttempts: ways around a policy that engines were fooled by. Every one is judged.
func TestBypassAttempts(t *testing.T) {
	const spec = `{containers: [{name: c, image: "nginx:1", securityContext: {privileged: true}}]}`
	b := all(policy.Policy{Rules: []policy.RuleUse{{Rule: privileged}}, Checks: []policy.ImageCheck{{Check: policy.Tag}}})
	b.Exceptions = []exception.Exception{{ID: 1, Reason: "why", Scope: exception.Scope{Rule: "*", Kind: "Deployment", Name: "trusted"}}, {ID: 2, Reason: "why", Scope: exception.Scope{Rule: "image/*", Kind: "Deployment", Name: "trusted"}}}
	j := judge(t, b, nil)
	for name, c := range map[string]struct{ text, sub string }{
		"generateName":             {text: "apiVersion: v1\nkind: Pod\nmetadata: {generateName: x-, namespace: shop}\nspec: " + spec},
		"ownerless pod":            {text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nspec: " + spec},
		"static pod's mirror":      {text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x-node, namespace: shop, annotations: {kubernetes.io/config.mirror: a}, ownerReferences: [{apiVersion: v1, kind: Node, name: n, controller: true}]}\nspec: " + spec},
		"init container":           {text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nspec: {initContainers: [{name: c, image: \"nginx:1\", securityContext: {privileged: true}}], containers: []}"},
		"sidecar":                  {text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nspec: {initContainers: [{name: c, image: \"nginx:1\", restartPolicy: Always, securityContext: {privileged: true}}]}"},
		"ephemeral container":      {sub: "ephemeralcontainers", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nspec: {ephemeralContainers: [{name: c, image: \"nginx:1\", securityContext: {privileged: true}}]}"},
		"direct ReplicaSet":        {text: "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: x, namespace: shop}\nspec: {template: {spec: " + spec + "}}"},
		"ReplicationController":    {text: "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: x, namespace: shop}\nspec: {template: {spec: " + spec + "}}"},
		"CronJob":                  {text: "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x, namespace: shop}\nspec: {jobTemplate: {spec: {template: {spec: " + spec + "}}}}"},
		"pod of a custom resource": {text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop, ownerReferences: [{apiVersion: example.com/v1, kind: Thing, name: trusted, controller: true}]}\nspec: " + spec},
		"edited exemption label":   {text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop, labels: {admission.gatekeeper.sh/ignore: \"true\"}}\nspec: " + spec},
		"owner that was made up":   {text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop, labels: {pod-template-hash: abc}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: trusted-abc, controller: true}]}\nspec: " + spec},
		"name of a trusted one":    {text: "apiVersion: v1\nkind: Pod\nmetadata: {name: trusted, namespace: shop}\nspec: " + spec},
	} {
		operation := "CREATE"
		if c.sub != "" {
			operation = "UPDATE"
		}
		out := j.Judge(t.Context(), &policy.Request{Operation: operation, SubResource: c.sub, User: "eve", Object: parse(t, c.text)[0], At: now})
		if out.Action() != policy.Block || names(out) != "image/tag c block; "+privileged+" c block" {
			t.Errorf("%s: %s", name, names(out))
		}
	}
	volume := parse(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nspec: {containers: [], volumes: [{name: v, image: {reference: \"nginx:1\"}}]}")[0]
	if out := j.Judge(t.Context(), &policy.Request{Operation: "CREATE", Object: volume, At: now}); names(out) != "image/tag  block" {
		t.Errorf("image volume: %s", names(out))
	}
}

// TestMalformedObjects: whatever an object looks like, a judge says something and does not fall.
func TestMalformedObjects(t *testing.T) {
	var p policy.Policy
	for _, r := range policy.Enforceable(lib(t)) {
		p.Rules = append(p.Rules, policy.RuleUse{Rule: r.Name})
	}
	p.Checks = []policy.ImageCheck{{Check: policy.Tag}, {Check: policy.Vulnerabilities}}
	j := judge(t, all(p), nil)
	for _, content := range []map[string]any{
		{}, {"apiVersion": "v1", "kind": "Pod"}, {"apiVersion": "v1", "kind": "Pod", "spec": "x"}, {"apiVersion": "v1", "kind": "Pod", "metadata": []any{}, "spec": map[string]any{"containers": "x"}},
		{"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{"containers": []any{nil, "x", map[string]any{"image": int64(7)}, map[string]any{"image": strings.Repeat("a", 100_000)}}, "volumes": []any{nil}}},
		{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"ownerReferences": []any{"x", map[string]any{"controller": true}}}, "spec": map[string]any{"template": nil}},
		{"apiVersion": "v1", "kind": "Service", "spec": nil}, {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": map[string]any{}},
	} {
		o, _ := inventory.NewObject(content)
		for _, operation := range []string{"", "CREATE", "UPDATE"} {
			j.Judge(t.Context(), &policy.Request{Operation: operation, Object: o, Old: o, At: now})
		}
	}
	j.Judge(t.Context(), &policy.Request{})
}

// TestUsersTemplates: users' templates see the request as Gatekeeper gives it to them, and a broken one says so.
func TestUsersTemplates(t *testing.T) {
	const rego = `apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: whoasks}
spec:
  crd: {spec: {names: {kind: WhoAsks}, validation: {openAPIV3Schema: {type: object, properties: {word: {type: string}}}}}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    rego: |
      package whoasks
      violation[{"msg": msg}] {
        msg := sprintf("%v by %v of %v with %v", [input.review.operation, input.review.userInfo.username, input.review.oldObject.metadata.name, input.parameters.word])
      }
`
	const native = `apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: tworeplicas, annotations: {metadata.gatekeeper.sh/title: Two replicas}}
spec:
  crd: {spec: {names: {kind: TwoReplicas}}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    code:
    - engine: K8sNativeValidation
      source: {validations: [{expression: "variables.anyObject.spec.replicas > 1", message: "want two replicas"}]}
`
	b := all(policy.Policy{Templates: []policy.TemplateUse{{Template: "whoasks", Params: map[string]any{"word": "x"}}, {Template: "tworeplicas", Action: policy.Warn, Kinds: []string{"Deployment.apps"}}},
		Scope: policy.Scope{Namespaces: []string{"shop"}}})
	b.Templates = []policy.Template{{Name: "whoasks", YAML: rego}, {Name: "tworeplicas", YAML: native}}
	j := judge(t, b, nil)
	o := parse(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: till, namespace: shop}\nspec: {replicas: 1, template: {spec: {containers: []}}}")[0]
	out := j.Judge(t.Context(), &policy.Request{Operation: "UPDATE", User: "eve", Object: o, Old: o, At: now})
	if got := names(out); got != "template/tworeplicas  warn; template/whoasks  block" {
		t.Fatal(got, out.Undecided)
	}
	for _, v := range out.Violations {
		want := map[string]string{"template/whoasks": "UPDATE by eve of till with x", "template/tworeplicas": "want two replicas"}[v.Rule]
		if v.Message.EN != want || v.Message.ZH != want {
			t.Errorf("%+v", v)
		}
	}
	bank := *o
	bank.Namespace = "bank"
	if out := j.Judge(t.Context(), &policy.Request{Operation: "UPDATE", User: "eve", Object: &bank, Old: o, At: now}); len(out.Violations) > 0 {
		t.Error("outside of the scope", names(out))
	}
	b.Templates = b.Templates[:1]
	p := policy.Policy{Templates: []policy.TemplateUse{{Template: "tworeplicas", Params: map[string]any{"word": "x"}}}}
	if err := policy.TryTemplates(t.Context(), &p, []policy.Template{{Name: "tworeplicas", YAML: native}}); err == nil || !strings.Contains(err.Error(), "templates[0]: ") {
		t.Error("parameters that the template does not take:", err)
	}
	_, notes, err := policy.NewJudge(t.Context(), lib(t), b, nil)
	if err != nil || len(notes) != 1 || notes[0].Rule != "template/tworeplicas" {
		t.Error(notes, err)
	}
}
