// Package inventory holds the nouns of what there is: objects, workloads, components, node facts and the cluster they
// form. It knows how Kubernetes lays objects out (where a pod lies in each kind) and nothing about rules.
package inventory

import "strings"

// Object is one Kubernetes object, Dockerfile model or node-facts document as it was read.
//
// Content holds JSON values only: map[string]any, []any, string, bool, int64, float64 and nil (never int or
// map[any]any), which is what both the CEL evaluator and encoding/json expect.
type Object struct {
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
	UID        string
	Content    map[string]any
	Origin     Origin
}

// Origin says where an object was read. The zero Origin is a live object.
type Origin struct {
	File     string // path as the user would name it; for charts "CHART/templates/x.yaml"
	Document int    // index of the YAML document in File, from 0
	Line     int    // first line of the object, from 1; 0 when unknown
	Rendered bool   // made by a chart or a kustomization: positions are those of the template or resource it came from
	// Locate returns the line and column (from 1) of the value at path, or of its nearest existing ancestor.
	// It is nil for live objects.
	Locate func(path string) (line, column int)
	// Snippet returns the text of the given line, or "" when the file is not kept.
	Snippet func(line int) string
	// Suppressions are the in-place comments that name a rule and a reason.
	Suppressions []Suppression
}

// Suppression is a comment such as `# stockade:ignore workload/host-pid reason="needed by the node exporter"`.
type Suppression struct {
	Rule   string // rule name, rule id or alias; never empty
	Reason string // never empty; a comment without a reason is reported and has no effect
	Line   int    // line of the comment
	First  int    // first and last line it covers
	Last   int
}

// Ref names an object.
type Ref struct {
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
}

// Ref returns the name of o.
func (o *Object) Ref() Ref { return Ref{o.APIVersion, o.Kind, o.Namespace, o.Name} }

// Group returns the API group of r: "" for the core group.
func (r Ref) Group() string {
	if g, _, ok := strings.Cut(r.APIVersion, "/"); ok {
		return g
	}
	return ""
}

// GroupKind returns "Kind" for the core group and "Kind.group" otherwise, the form rules match on.
func (r Ref) GroupKind() string {
	if g := r.Group(); g != "" {
		return r.Kind + "." + g
	}
	return r.Kind
}

func (r Ref) String() string {
	if r.Namespace != "" {
		return r.Kind + " " + r.Namespace + "/" + r.Name
	}
	return r.Kind + " " + r.Name
}

// NewObject wraps decoded JSON. ok is false when content has no apiVersion or kind.
func NewObject(content map[string]any) (o *Object, ok bool) {
	o = &Object{Content: content, APIVersion: Str(content, "apiVersion"), Kind: Str(content, "kind")}
	if meta := Map(content, "metadata"); meta != nil {
		o.Name, o.Namespace, o.UID = Str(meta, "name"), Str(meta, "namespace"), Str(meta, "uid")
		if o.Name == "" {
			o.Name = Str(meta, "generateName")
		}
	}
	return o, o.APIVersion != "" && o.Kind != ""
}

// Labels returns metadata.labels; nil when absent or of another type.
func (o *Object) Labels() map[string]string { return StrMap(Map(o.Content, "metadata"), "labels") }

// Annotations returns metadata.annotations.
func (o *Object) Annotations() map[string]string {
	return StrMap(Map(o.Content, "metadata"), "annotations")
}

// Get walks nested maps; nil when any step is missing or of another type.
func Get(m map[string]any, keys ...string) any {
	var v any = m
	for _, k := range keys {
		mm, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = mm[k]
	}
	return v
}

// Map returns the map at keys, or nil.
func Map(m map[string]any, keys ...string) map[string]any {
	v, _ := Get(m, keys...).(map[string]any)
	return v
}

// List returns the list at keys, or nil.
func List(m map[string]any, keys ...string) []any {
	v, _ := Get(m, keys...).([]any)
	return v
}

// Str returns the string at keys, or "".
func Str(m map[string]any, keys ...string) string {
	v, _ := Get(m, keys...).(string)
	return v
}

// Bool returns the bool at keys; def when it is missing or of another type.
func Bool(m map[string]any, def bool, keys ...string) bool {
	if v, ok := Get(m, keys...).(bool); ok {
		return v
	}
	return def
}

// Int returns the integer at keys; ok is false when it is missing or of another type.
func Int(m map[string]any, keys ...string) (n int64, ok bool) {
	switch v := Get(m, keys...).(type) {
	case int64:
		return v, true
	case float64:
		return int64(v), v == float64(int64(v))
	}
	return 0, false
}

// Strs returns the strings of the list at keys; other values are left out.
func Strs(m map[string]any, keys ...string) []string {
	list := List(m, keys...)
	if len(list) == 0 {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// StrMap returns the string values of the map at keys; other values are left out.
func StrMap(m map[string]any, keys ...string) map[string]string {
	mm := Map(m, keys...)
	if len(mm) == 0 {
		return nil
	}
	out := make(map[string]string, len(mm))
	for k, v := range mm {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

// DropNulls removes map entries whose value is null, in place and at every depth: to the API server they are fields that
// are not set. Nulls in lists stay.
func DropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
			} else {
				DropNulls(e)
			}
		}
	case []any:
		for _, e := range v {
			DropNulls(e)
		}
	}
}
