package server

import (
	"fmt"
	"strings"

	"stockade.dev/stockade/internal/policy"
)

// policyNoun has policies of alpha and of beta, and templates.
var policyNoun = noun{
	fill: func(w *world) {
		policyOf(w, w.alpha, markAlpha)
		policyOf(w, w.beta, markBeta)
	},
	rows: map[string]row{
		"list-policies":        {want: forSignedIn, shows: markAlpha},
		"get-policy":           {want: "401 200 200 404 200 200 200 404 200", path: policyInAlpha, shows: markAlpha},
		"list-policy-versions": {want: "401 200 200 404 200 200 200 404 200", path: policyInAlpha},
		"get-policy-version": {want: "401 200 200 404 200 200 200 404 200", shows: markAlpha,
			path: func(w *world) string { return policyInAlpha(w) + " version=1" }},
		"get-policy-yaml":     {want: "401 200 200 404 200 200 200 404 200", path: policyInAlpha},
		"add-policy":          {want: "401 403 201 404 403 403 201 404 201", body: policyForAlpha},
		"add-policy/for all":  {want: "401 403 403 403 403 403 403 403 201", body: policyForAll},
		"change-policy":       {want: "401 403 200 404 403 403 200 404 200", path: policyInAlpha, body: policyForAlpha},
		"change-policy/taken": {want: "401 403 403 404 403 403 403 404 200", path: policyInAlpha, body: policyForAll}, // to hold everywhere
		"delete-policy":       {want: "401 403 204 404 403 403 204 404 204", path: policyInAlpha},
		"get-policy-file":     {want: forSignedIn, shows: markAlpha},
		"import-policies": {want: "401 403 200 404 403 403 200 404 200", body: func(w *world, _ string) string {
			return fmt.Sprintf(`{"yaml":"apiVersion: stockade.dev/v1\nkind: Policy\nname: imported %d\naction: warn\nchecks: [{check: tag}]\nscope: {clusters: [%d]}\n"}`, w.next(), w.alpha)
		}},
		"list-policy-presets":    {want: forSignedIn},
		"list-policy-rules":      {want: forSignedIn, shows: "image/vulnerability"},
		"list-policy-templates":  {want: forSignedIn},
		"add-policy-template":    {want: "401 403 403 403 403 403 403 403 201", body: templateText},
		"get-policy-template":    {want: forSignedIn, path: templateKept},
		"change-policy-template": {want: "401 403 403 403 403 403 403 403 200", path: templateKept, body: func(w *world, _ string) string { return templateBody(lastTemplate, "changed") }},
		"delete-policy-template": {want: "401 403 403 403 403 403 403 403 204", path: templateKept},
		"preview-policy": {want: "401 403 200 404 200 403 200 404 200", quiet: "it only looks", body: func(w *world, _ string) string {
			return fmt.Sprintf(`{"policy":{"name":"x","action":"block","checks":[{"check":"tag"}]},"targets":[%d]}`, w.alpha)
		}},
	},
}

func policyOf(w *world, target int64, mark string) int64 {
	w.t.Helper()
	r, err := w.rooms.policies.Save(w.asRoot(), policy.Policy{Name: fmt.Sprint(mark, " ", w.next()), Action: policy.Warn, Checks: []policy.ImageCheck{{Check: policy.Tag}},
		Scope: policy.Scope{Clusters: []int64{target}}}, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return r.ID
}

func policyInAlpha(w *world) string { return fmt.Sprint("id=", policyOf(w, w.alpha, markAlpha)) }

func policyForAlpha(w *world, _ string) string {
	return fmt.Sprintf(`{"name":"policy %d","action":"warn","checks":[{"check":"tag"}],"scope":{"clusters":[%d]},"note":"why"}`, w.next(), w.alpha)
}

func policyForAll(w *world, _ string) string {
	return fmt.Sprintf(`{"name":"policy %d","action":"warn","checks":[{"check":"tag"}]}`, w.next())
}

// lastTemplate is the name of the template that was kept last: a body must name the one of its path.
var lastTemplate string

func templateBody(name, message string) string {
	return fmt.Sprintf(`{"name":%q,"yaml":"apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\nmetadata: {name: %s}\nspec:\n  crd: {spec: {names: {kind: %s}}}\n  targets:\n  - target: admission.k8s.gatekeeper.sh\n    code:\n    - engine: K8sNativeValidation\n      source: {validations: [{expression: \"has(object.metadata)\", message: %s}]}\n"}`,
		name, name, strings.ToUpper(name[:1])+name[1:], message)
}

func templateText(w *world, _ string) string {
	return templateBody(fmt.Sprint("shop", w.next()), "why")
}

func templateKept(w *world) string {
	w.t.Helper()
	lastTemplate = fmt.Sprint("kept", w.next())
	text := strings.NewReplacer(`\n`, "\n", `\"`, `"`).Replace(strings.TrimSuffix(strings.SplitN(templateBody(lastTemplate, "why"), `"yaml":"`, 2)[1], `"}`))
	if _, err := w.rooms.policies.SaveTemplate(w.asRoot(), policy.Template{YAML: text}, true); err != nil {
		w.t.Fatal(err)
	}
	return "name=" + lastTemplate
}
