package repair

import (
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// Redacted stands where a value was taken out. No patch may hold it: it would destroy the value.
const Redacted = "<redacted>"

// typed are the kinds whose lists API servers merge by key.
var typed = map[string]any{
	"apps/v1 Deployment": appsv1.Deployment{}, "apps/v1 StatefulSet": appsv1.StatefulSet{}, "apps/v1 DaemonSet": appsv1.DaemonSet{},
	"apps/v1 ReplicaSet": appsv1.ReplicaSet{}, "batch/v1 Job": batchv1.Job{}, "batch/v1 CronJob": batchv1.CronJob{}, "v1 Pod": corev1.Pod{},
	"v1 ReplicationController": corev1.ReplicationController{}, "v1 PodTemplate": corev1.PodTemplate{}, "v1 Service": corev1.Service{},
	"v1 ServiceAccount": corev1.ServiceAccount{}, "v1 Namespace": corev1.Namespace{},
}

// patch is the difference as a patch, and what to know before it is applied: strategic where the API server merges lists by their
// keys, else a merge patch, and by single operations where that would repeat lists.
func patch(o *inventory.Object, changed map[string]any, r *rule.Rule) (*Patch, []finding.Text) {
	p := &Patch{}
	var body any
	if form, ok := typed[o.APIVersion+" "+o.Kind]; ok {
		if m := strategic(o.Content, changed, form); m != nil {
			p.Kind, body = "strategic", m
		}
	}
	if body == nil {
		m, lists := merged(o.Content, changed)
		if p.Kind, body = "merge", m; lists {
			ops := operations(o.Content, changed, "", nil)
			p.Kind, body = "json", ops
		}
	}
	text, err := json.Marshal(body)
	if err != nil || strings.Contains(string(text), strings.Trim(string(mustJSON(Redacted)), `"`)) {
		return nil, []finding.Text{{EN: "The change cannot be written as a patch without repeating values that are not shown: edit the object by hand.",
			ZH: "该修改若写成补丁会包含被隐藏的值，请手动编辑对象。"}}
	}
	if p.Kind == "json" {
		p.Body = string(indented(body))
		p.Filename = fileName(r, o, "json")
	} else {
		p.Body = Render(body.(map[string]any), nil).YAML
		p.Filename = fileName(r, o, "yaml")
	}
	var steps []finding.Text
	p.Command, steps = command(o, p)
	return p, steps
}

func mustJSON(v any) []byte {
	b, _ := json.Marshal(v) // of strings and of what JSON was read from
	return b
}

func indented(v any) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // of what was encoded before
	return []byte(b.String())
}

// strategic is the strategic merge patch between two objects; nil when there is none that gives the second.
func strategic(before, after map[string]any, form any) map[string]any {
	a, b := mustJSON(before), mustJSON(after)
	text, err := strategicpatch.CreateTwoWayMergePatch(a, b, form)
	if err != nil {
		return nil
	}
	var m map[string]any
	if json.Unmarshal(text, &m) != nil {
		return nil
	}
	unordered(m)
	got, err := strategicpatch.StrategicMergePatch(a, mustJSON(m), form)
	var result map[string]any
	if err != nil || json.Unmarshal(got, &result) != nil || !reflect.DeepEqual(result, again(after)) {
		return nil
	}
	out, _ := numbers(m).(map[string]any)
	return out
}

// again gives values the types that JSON has when it is read.
func again(v map[string]any) map[string]any {
	var out map[string]any
	_ = json.Unmarshal(mustJSON(v), &out) // it was written the line before
	return out
}

// numbers turns whole numbers of JSON back into integers.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	}
	return v
}

// unordered drops the directives that keep the order of lists: nothing is added to any.
func unordered(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if strings.HasPrefix(k, "$setElementOrder/") {
				delete(v, k)
			} else {
				unordered(e)
			}
		}
	case []any:
		for _, e := range v {
			unordered(e)
		}
	}
}

// merged is the JSON merge patch between two objects, and whether it repeats lists of more than plain values.
func merged(before, after map[string]any) (patch map[string]any, lists bool) {
	patch = map[string]any{}
	for k := range before {
		if _, ok := after[k]; !ok {
			patch[k] = nil
		}
	}
	for k, v := range after {
		old, had := before[k]
		if had && reflect.DeepEqual(old, v) {
			continue
		}
		a, isMap := old.(map[string]any)
		b, toMap := v.(map[string]any)
		if isMap && toMap {
			inner, more := merged(a, b)
			patch[k], lists = inner, lists || more
			continue
		}
		patch[k] = v
		if list, ok := v.([]any); ok && len(list) > 0 {
			_, deep := list[0].(map[string]any)
			lists = lists || deep
		}
	}
	return patch, lists
}

// operation is one of RFC 6902.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// operations are the changes from before to after. What stands in a list is guarded by a test of its name: the list may be another
// one when the patch is applied.
func operations(before, after any, at string, out []operation) []operation {
	if reflect.DeepEqual(before, after) {
		return out
	}
	a, isMap := before.(map[string]any)
	b, toMap := after.(map[string]any)
	if isMap && toMap {
		for _, k := range sorted(a) {
			if _, ok := b[k]; !ok {
				out = append(out, operation{Op: "remove", Path: at + "/" + pointer.Replace(k)})
			}
		}
		for _, k := range sorted(b) {
			p := at + "/" + pointer.Replace(k)
			if old, ok := a[k]; ok {
				out = operations(old, b[k], p, out)
			} else {
				out = append(out, operation{Op: "add", Path: p, Value: b[k]})
			}
		}
		return out
	}
	x, isList := before.([]any)
	y, toList := after.([]any)
	switch {
	case isList && toList && len(x) == len(y):
		for i := range x {
			if !reflect.DeepEqual(x[i], y[i]) {
				out = guard(x[i], fmt.Sprint(at, "/", i), out)
				out = operations(x[i], y[i], fmt.Sprint(at, "/", i), out)
			}
		}
		return out
	case isList && toList && len(y) < len(x):
		if gone := removed(x, y); gone != nil {
			for i := len(gone) - 1; i >= 0; i-- { // the last first, so that indexes stay good
				p := fmt.Sprint(at, "/", gone[i])
				out = guard(x[gone[i]], p, out)
				out = append(out, operation{Op: "remove", Path: p})
			}
			return out
		}
	}
	return append(out, operation{Op: "replace", Path: at, Value: after})
}

// guard tests that an element of a list is the one that is meant.
func guard(v any, at string, out []operation) []operation {
	switch v := v.(type) {
	case string:
		return append(out, operation{Op: "test", Path: at, Value: v})
	case map[string]any:
		if name := inventory.Str(v, "name"); name != "" {
			return append(out, operation{Op: "test", Path: at + "/name", Value: name})
		}
	}
	return out
}

// removed are the indexes that were taken out of x to get y; nil when more was done.
func removed(x, y []any) []int {
	var out []int
	j := 0
	for i := range x {
		if j < len(y) && reflect.DeepEqual(x[i], y[j]) {
			j++
		} else {
			out = append(out, i)
		}
	}
	if j < len(y) {
		return nil
	}
	return out
}

var unsafeName = regexp.MustCompile(`[^a-z0-9.-]+`)

// fileName is "privileged-container-till.yaml".
func fileName(r *rule.Rule, o *inventory.Object, end string) string {
	name := unsafeName.ReplaceAllString(strings.ToLower(path.Base(r.Name)+"-"+o.Name), "-")
	return strings.Trim(name[:min(len(name), 100)], "-.") + "." + end
}

func diffName(o *inventory.Object) string {
	if o.Origin.File != "" {
		return short(o.Origin.File, 200)
	}
	name := strings.ToLower(o.Kind) + "/" + o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	return short(name, 200)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@=+-]*$`)

// quote makes a word safe for a shell.
func quote(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(short(s, 300), "'", `'\''`) + "'"
}

// command applies a patch; "" where the object must be made anew.
func command(o *inventory.Object, p *Patch) (string, []finding.Text) {
	resource := strings.ToLower(o.Kind)
	if g := o.Ref().Group(); g != "" {
		resource += "." + g
	}
	switch {
	case o.Origin.File != "":
		return "kubectl patch --local --type " + p.Kind + " --patch-file " + p.Filename + " -o yaml -f " + quote(o.Origin.File), []finding.Text{{
			EN: "Change the file as the difference shows; the command prints the changed object. What is written by a chart or a kustomization is changed in its values or patches.",
			ZH: "按差异修改文件；该命令会输出修改后的对象。由 Chart 或 kustomization 生成的内容应在其 values 或补丁中修改。"}}
	case o.Kind == "Pod" && o.APIVersion == "v1" || o.Kind == "Job" && o.Ref().Group() == "batch" && !strings.Contains(p.Body, "ttlSecondsAfterFinished"):
		return "", []finding.Text{{EN: "A " + o.Kind + " cannot be changed while it runs: change the manifest that it was made from, delete it and apply the manifest again.",
			ZH: o.Kind + " 运行期间不能修改：请修改其清单，删除后重新创建。"}}
	}
	text := "kubectl patch " + quote(resource) + " " + quote(o.Name)
	if o.Namespace != "" {
		text += " -n " + quote(o.Namespace)
	}
	return text + " --type " + p.Kind + " --patch-file " + p.Filename, nil
}
