package rule

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"stockade.dev/stockade/internal/inventory"
)

const ruleText = `id: STK-W-9%03d
title: {en: T, zh: 题}
why: {en: w, zh: w}
fix: {en: f, zh: f}
severity: high
risk: workload
references: [https://kubernetes.io/docs/]
missing: pass
%s
`

func load(t testing.TB, validates ...string) *Library {
	t.Helper()
	fsys := fstest.MapFS{}
	for i, v := range validates {
		fsys[fmt.Sprintf("workload/r%d/rule.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, ruleText, i, v)}
	}
	lib, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func deployment(container map[string]any) *inventory.Object {
	o, _ := inventory.NewObject(map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
			"containers":     []any{map[string]any{"name": "a"}, container},
			"initContainers": []any{map[string]any{"name": "i", "securityContext": map[string]any{"privileged": true}}}}}}})
	return o
}

func TestObject(t *testing.T) {
	privileged := `validate: {over: container, expression: "!container.?securityContext.?privileged.orValue(false)", path: securityContext.privileged, want: false}`
	ports := `validate: {over: container, each: ports, expression: "!has(item.hostPort)", path: hostPort}`
	paths := "match: {kinds: [Ingress.networking.k8s.io]}\nvalidate: {over: object, each: \"spec.rules[].http.paths\", expression: \"item.path != '/'\", path: path}"
	broken := `validate: {over: container, types: [container], expression: "container.securityContext.privileged == false", path: x}`
	initOnly := `validate: {over: container, types: [init], expression: "false", path: name}`
	container := map[string]any{"name": "b", "securityContext": map[string]any{"privileged": true},
		"ports": []any{map[string]any{"containerPort": int64(1)}, map[string]any{"name": "h", "hostPort": int64(80)}}}
	ingress, _ := inventory.NewObject(map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": map[string]any{"name": "i"},
		"spec": map[string]any{"rules": []any{map[string]any{"host": "x"}, map[string]any{"http": map[string]any{
			"paths": []any{map[string]any{"path": "/a"}, map[string]any{"path": "/"}}}}}}})
	for _, tt := range []struct {
		name, rule string
		object     *inventory.Object
		only       []string
		want       []string
	}{
		{"every container type", privileged, deployment(container), nil, []string{
			"b spec.template.spec.containers[1].securityContext.privileged=true", "i spec.template.spec.initContainers[0].securityContext.privileged=true"}},
		{"only the named containers", privileged, deployment(container), []string{"i"}, []string{
			"i spec.template.spec.initContainers[0].securityContext.privileged=true"}},
		{"list element", ports, deployment(container), nil, []string{"b spec.template.spec.containers[1].ports[1].hostPort=80"}},
		{"list in a list", paths, ingress, nil, []string{" spec.rules[1].http.paths[1].path=/"}},
		{"run-time error is neither", broken, deployment(container), nil, []string{
			"undecided: no such key: securityContext", "b spec.template.spec.containers[1].x=<nil>"}},
		{"container type", initOnly, deployment(container), nil, []string{"i spec.template.spec.initContainers[0].name=i"}},
		{"null spec", privileged, must(map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": nil}), nil, nil},
		{"other kind", privileged, ingress, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			NewEngine(load(t, tt.rule)).Session().Object(tt.object, tt.only, Sink{
				Hit: func(_ *Rule, h Hit) {
					got = append(got, fmt.Sprintf("%s %s=%v", h.Container, h.Path, h.Found))
				},
				Undecided: func(_ *Rule, err error) { got = append(got, "undecided: "+err.Error()) },
			})
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func must(m map[string]any) *inventory.Object { o, _ := inventory.NewObject(m); return o }

func TestLoadRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"unknown field":   {"validat: {}", "validat"},
		"no scope":        {"validate: {expression: 'true'}", "over"},
		"no expression":   {"validate: {over: pod}", "expression"},
		"neither":         {"", "exactly one"},
		"object, no kind": {"validate: {over: object, expression: 'true'}", "match.kinds"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(fstest.MapFS{"a/b/rule.yaml": {Data: fmt.Appendf(nil, ruleText, 1, tt.text)}})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "a/b/rule.yaml") {
				t.Errorf("got %v, want one that names the file and %q", err, tt.want)
			}
		})
	}
	_, err := Load(fstest.MapFS{
		"a/b/rule.yaml": {Data: fmt.Appendf(nil, ruleText, 1, "analyzer: x")},
		"a/c/rule.yaml": {Data: fmt.Appendf(nil, ruleText, 1, "analyzer: x")}})
	if err == nil || !strings.Contains(err.Error(), "both a/b and a/c") {
		t.Errorf("two rules of one id: got %v", err)
	}
}

func TestSelect(t *testing.T) {
	lib := load(t, `validate: {over: pod, expression: "true"}`, `validate: {over: pod, expression: "true"}`)
	for _, tt := range []struct {
		only, skip []string
		want       int
	}{{nil, nil, 2}, {[]string{"workload"}, nil, 2}, {[]string{"r1"}, nil, 1}, {nil, []string{"STK-W-9000"}, 1}, {[]string{"workload"}, []string{"workload/r0"}, 1}} {
		got, err := lib.Select(tt.only, tt.skip)
		if err != nil || len(got.Rules) != tt.want {
			t.Errorf("Select(%v, %v): %d rules, %v; want %d", tt.only, tt.skip, len(got.Rules), err, tt.want)
		}
	}
	if _, err := lib.Select([]string{"workload/no-such"}, nil); err == nil {
		t.Error("an unknown name must be refused")
	}
}

func TestRename(t *testing.T) {
	got, err := Rename(`has(pod.spec) && object.kind != "pod" && [1].all(x, x < 2) && params.pod == pod.metadata.name // pod`,
		map[string]string{"pod": "variables.pod", "object": "variables.anyObject", "params": "variables.p"})
	want := `has(variables.pod.spec) && variables.anyObject.kind != "pod" && [1].all(x, x < 2) && variables.p.pod == variables.pod.metadata.name // pod`
	if err != nil || got != want {
		t.Errorf("got  %s\nwant %s (%v)", got, want, err)
	}
}

func BenchmarkContainerRule(b *testing.B) {
	lib := load(b, `validate: {over: container, expression: "!has(container.securityContext) || !has(container.securityContext.privileged) || !container.securityContext.privileged", path: p}`)
	s := NewEngine(lib).Session()
	o := deployment(map[string]any{"name": "b"})
	b.ReportAllocs()
	for b.Loop() {
		s.Object(o, nil, Sink{Hit: func(*Rule, Hit) {}, Undecided: func(*Rule, error) {}})
	}
}
