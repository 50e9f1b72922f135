package constraint

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
)

// own compiles the users' templates of a policy.
func (c *compiler) own(p *policy.Policy) error {
	if len(p.Templates) == 0 {
		return nil
	}
	a := c.area(p)
	s := &p.Scope
	for i := range p.Templates {
		u := &p.Templates[i]
		what := "template " + oneLine(u.Template, 100)
		t, kind, unguarded := c.ownTemplate(p, u.Template, what)
		if t == nil || a.none {
			continue
		}
		guards := c.asking(p)
		if len(guards) > 0 && unguarded != "" {
			c.note(p, what, "it is asked for every operation and user, whatever the scope says of these: %s", unguarded)
			guards = nil
		}
		if len(s.Images)+len(s.ExcludedImages) > 0 {
			c.note(p, what, "a template of your own is asked for every image: what the scope says of images does not hold for it")
		}
		k := c.ownKinds(p, u)
		if len(k) == 0 {
			c.note(p, what, "none of its kinds is in the policy's scope")
			continue
		}
		action := c.action(p, u.Action)
		spec := map[string]any{"enforcementAction": enforcement(action), "match": a.match(k)}
		params := map[string]any{}
		for k, v := range u.Params {
			params[k] = plainJSON(v)
		}
		if len(guards) > 0 {
			params[guardKey] = guards
		}
		if len(params) > 0 {
			spec["parameters"] = params
		}
		name := constraintName(p, action)
		for n := 2; slices.ContainsFunc(c.constraints, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name }); n++ {
			name = fmt.Sprintf("%s-%d", constraintName(p, action), n) // the same template with other parameters
		}
		c.constraints = append(c.constraints, c.object(constraintAPI, kind, name, p, spec))
		if !slices.ContainsFunc(c.templates, func(o *unstructured.Unstructured) bool { return o.GetName() == t.GetName() }) {
			c.templates = append(c.templates, t)
		}
	}
	return nil
}

// ownTemplate reads a kept template, guards it where a policy needs that, and says which kind its constraints have. unguarded is why it
// cannot be guarded.
func (c *compiler) ownTemplate(p *policy.Policy, name, what string) (t *unstructured.Unstructured, kind, unguarded string) {
	i := slices.IndexFunc(c.bundle.Templates, func(t policy.Template) bool { return t.Name == name })
	if i < 0 {
		c.note(p, what, "there is no such template")
		return nil, "", ""
	}
	objects, problems := manifest.Parse("template.yaml", []byte(c.bundle.Templates[i].YAML), manifest.Limits{})
	if len(objects) != 1 || slices.ContainsFunc(problems, func(p manifest.Problem) bool { return p.Code.Blocking() }) {
		c.note(p, what, "it is not one readable object")
		return nil, "", ""
	}
	o := objects[0]
	kind = inventory.Str(o.Content, "spec", "crd", "spec", "names", "kind")
	switch {
	case o.Kind != "ConstraintTemplate" || o.Ref().Group() != "templates.gatekeeper.sh" || kind == "" || o.Name != strings.ToLower(kind):
		c.note(p, what, "it is no ConstraintTemplate whose name is its kind in small letters")
		return nil, "", ""
	case strings.HasPrefix(o.Name, "stockade"):
		c.note(p, what, "names that begin with stockade are our own templates'")
		return nil, "", ""
	}
	content := runtime.DeepCopyJSON(o.Content)
	delete(content, "status")
	u := &unstructured.Unstructured{Object: content}
	annotations := u.GetAnnotations()
	u.Object["metadata"] = map[string]any{"name": o.Name}
	delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
	u.SetAnnotations(annotations)
	u.SetLabels(map[string]string{labelManaged: managed})
	for _, t := range inventory.List(content, "spec", "targets") {
		m, _ := t.(map[string]any)
		for _, code := range inventory.List(m, "code") {
			m, _ := code.(map[string]any)
			source := inventory.Map(m, "source")
			if m["engine"] != "K8sNativeValidation" || source == nil {
				continue
			}
			if source["generateVAP"] == true {
				c.note(p, what, "it asks for a ValidatingAdmissionPolicy of its own, so it is enforced twice")
			} else {
				source["generateVAP"] = false
			}
		}
	}
	if c.guarded(name) {
		unguarded = guard(content)
	}
	return u, kind, unguarded
}

// ownKinds are the kinds that a users' template is asked about.
func (c *compiler) ownKinds(p *policy.Policy, u *policy.TemplateUse) kinds {
	entries := u.Kinds
	if len(entries) == 0 {
		entries = p.Scope.Kinds
	}
	k := kinds{}
	if len(entries) == 0 {
		for _, w := range export.Workloads() {
			k.add(w.Group, w.Kind)
		}
	}
	for _, entry := range entries {
		kind, group, ok := strings.Cut(entry, ".")
		if ok {
			if inScope(p, export.Resource{Group: group, Kind: kind}) {
				k.add(group, kind)
			}
			continue
		}
		found := export.Known(entry)
		if len(found) == 0 {
			c.note(p, "template "+oneLine(u.Template, 100), "the group of the kind %s is not known: name it Kind.group", oneLine(entry, 60))
		}
		for _, r := range found {
			if inScope(p, r) {
				k.add(r.Group, r.Kind)
			}
		}
	}
	for group, set := range k {
		for kind := range set {
			c.seen.add(group, kind)
		}
	}
	return k
}

// plainJSON gives values the types that objects of the API have.
func plainJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = plainJSON(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plainJSON(v[i])
		}
		return out
	case []string:
		return texts(v)
	case int:
		return int64(v)
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	case string, bool, int64, nil:
	default:
		return fmt.Sprint(v)
	}
	return v
}
