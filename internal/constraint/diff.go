package constraint

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Drift is an object that is not in the cluster as it should be.
type Drift struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Name       string   `json:"name"`
	What       string   `json:"what" enum:"missing,changed,surplus"`
	Paths      []string `json:"paths,omitempty" doc:"what was changed, at most twenty"`
}

// maxPaths bounds the paths of a Drift.
const maxPaths = 20

// Diff compares what should be with what is: objects that are missing, changed, or ours and not wanted. What the API server and
// Gatekeeper add by themselves is no change: status, managed fields, defaults. Whatever else was added is one.
func Diff(want, have []*unstructured.Unstructured) []Drift {
	key := func(o *unstructured.Unstructured) string {
		gv := o.GroupVersionKind()
		return gv.Group + "/" + gv.Kind + "/" + o.GetName()
	}
	there := make(map[string]*unstructured.Unstructured, len(have))
	for _, o := range have {
		there[key(o)] = o
	}
	var out []Drift
	wanted := map[string]bool{}
	drift := func(o *unstructured.Unstructured, what string, paths []string) {
		out = append(out, Drift{o.GetAPIVersion(), o.GetKind(), o.GetName(), what, paths})
	}
	for _, w := range want {
		wanted[key(w)] = true
		h := there[key(w)]
		if h == nil {
			drift(w, "missing", nil)
			continue
		}
		d := &differ{kind: w.GetKind()}
		for name, v := range w.GetLabels() {
			if h.GetLabels()[name] != v {
				d.add("metadata.labels." + name)
			}
		}
		for name, v := range w.GetAnnotations() {
			if name != LabelBundle && h.GetAnnotations()[name] != v {
				d.add("metadata.annotations." + name)
			}
		}
		if h.GetDeletionTimestamp() != nil {
			d.add("metadata.deletionTimestamp")
		}
		d.compare("spec", w.Object["spec"], h.Object["spec"])
		if len(d.paths) > 0 {
			slices.Sort(d.paths)
			drift(w, "changed", d.paths[:min(len(d.paths), maxPaths)])
		}
	}
	for _, h := range have {
		if !wanted[key(h)] && h.GetLabels()[labelManaged] == managed {
			drift(h, "surplus", nil)
		}
	}
	return out
}

type differ struct {
	kind  string
	paths []string
}

func (d *differ) add(path string) { d.paths = append(d.paths, path) }

// defaults are what the API server and Gatekeeper fill in, by kind and field.
var defaults = map[string]map[string]any{
	"ConstraintTemplate":               {"legacySchema": false, "x-kubernetes-preserve-unknown-fields": nil, "operations": nil},
	"ValidatingAdmissionPolicy":        {"matchPolicy": "Equivalent", "namespaceSelector": map[string]any{}, "objectSelector": map[string]any{}, "scope": "*", "failurePolicy": "Fail"},
	"ValidatingAdmissionPolicyBinding": {"matchPolicy": "Equivalent", "namespaceSelector": map[string]any{}, "objectSelector": map[string]any{}},
}

func (d *differ) compare(path string, want, have any) {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			if len(w) > 0 || have != nil {
				d.add(path)
			}
			return
		}
		for _, k := range slices.Sorted(maps.Keys(w)) {
			d.compare(path+"."+k, w[k], h[k])
		}
		for _, k := range slices.Sorted(maps.Keys(h)) {
			if _, asked := w[k]; asked || empty(h[k]) {
				continue
			}
			if v, filled := defaults[d.kind][k]; filled && (v == nil || reflect.DeepEqual(v, h[k])) {
				continue
			}
			d.add(path + "." + k)
		}
	case []any:
		h, ok := have.([]any)
		if !ok || len(h) != len(w) {
			if len(w) > 0 || !empty(have) {
				d.add(path)
			}
			return
		}
		for i := range w {
			d.compare(fmt.Sprintf("%s[%d]", path, i), w[i], h[i])
		}
	default:
		if !equal(want, have) {
			d.add(path)
		}
	}
}

// empty reports whether a value says no more than none does.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func equal(a, b any) bool {
	number := func(v any) (float64, bool) {
		switch n := v.(type) {
		case int:
			return float64(n), true
		case int64:
			return float64(n), true
		case float64:
			return n, true
		}
		return 0, false
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	return a == b || a == "" && b == nil
}

// YAML is the set as people read it: every object that is in force, and what is not enforced.
func (s *Set) YAML() (string, error) {
	var out strings.Builder
	for _, n := range s.Notes {
		where := ""
		if n.Policy != 0 {
			where = fmt.Sprintf("policy %d, ", n.Policy)
		}
		if n.Exception != 0 {
			where += fmt.Sprintf("exception %d, ", n.Exception)
		}
		fmt.Fprintf(&out, "# Not enforced: %s%s: %s\n", where, oneLine(n.What, 200), oneLine(n.Reason, 500))
	}
	for i, o := range s.Objects {
		data, err := yaml.Marshal(o.Object)
		if err != nil {
			return "", fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
		}
		if i > 0 || out.Len() > 0 {
			out.WriteString("---\n")
		}
		out.Write(data)
	}
	return out.String(), nil
}
