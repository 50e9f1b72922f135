package repair

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// plainJSON gives values the types that the YAML reader gives.
func plainJSON(t *testing.T, v any) any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, content map[string]any) {
	t.Helper()
	text := Render(content, nil)
	var got any
	if err := yaml.Unmarshal([]byte(text.YAML), &got); err != nil {
		t.Fatalf("%v\n%s", err, text.YAML)
	}
	if got == nil {
		got = map[string]any{}
	}
	if !reflect.DeepEqual(plainJSON(t, got), plainJSON(t, content)) {
		t.Fatalf("written and read again it is another one:\n%s\n%v\n%v", text.YAML, plainJSON(t, got), plainJSON(t, content))
	}
}

func TestRenderReadsBack(t *testing.T) {
	for _, s := range []string{"", " ", "a", "true", "No", "null", "~", "1", "1.5", "0x1f", "1e3", "2026-01-01", "a: b", "a:b", "a #b", "a#b", "- a", "-", "*x", "&x", "!x", "%x", "@x", "`x",
		"a\nb", "a\nb\n", "a\n\nb\n", "a\n b", " a\nb", "a\n", "\n", "a \nb", "a\tb\nc", "tab\t", "\ttab", "\x00", "\u202eevil", "\u2028", "日本語", "a\r\nb", "x\ny\n\n", "{}", "[]", "{a", "a,b", "a]", "---", "...", "--- x\ny", "=", "<<", "y", "n", ".inf", "nginx:1.25", "k8s.io/a", "/bin/sh -c", "a:", "a: ", "\"q\"", "'q'", "\\", "é", "\ufeffa", "a\u0085b", "10:20:30", "x: y\nz: #w\n", "# c\nd"} {
		same(t, map[string]any{"k": s, "l": []any{s, []any{s}, map[string]any{"k": s, "z": s}}, "m": map[string]any{s: s}})
	}
	same(t, map[string]any{"a": []any{}, "b": map[string]any{}, "c": nil, "d": 1.5, "e": int64(7), "f": true, "g": []any{[]any{[]any{}}, map[string]any{}, nil}, "h": 1e300})
	same(t, map[string]any{})
}

func FuzzRender(f *testing.F) {
	f.Add(`{"a":["b",{"c":"d\ne"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var v map[string]any
		if json.Unmarshal([]byte(text), &v) == nil && v != nil {
			same(t, v)
		}
	})
}

func TestRenderLines(t *testing.T) {
	content := map[string]any{"kind": "Pod", "apiVersion": "v1", "status": map[string]any{"x": "y"}, "metadata": map[string]any{"labels": map[string]any{"a.b/c": "d"}, "name": "n"},
		"spec": map[string]any{"hostPID": true, "containers": []any{
			map[string]any{"image": "i", "name": "c", "args": []any{"-x", "a\nb\n"}, "securityContext": map[string]any{"privileged": true}},
			map[string]any{"name": "d"}}}}
	paths := []string{"kind", "metadata.labels['a.b/c']", "spec.containers[0].securityContext.privileged", "spec.containers[0].args[1]", "spec.containers[1]", "spec.containers[0]", "spec.hostPID", "spec", ""}
	text := Render(content, paths)
	lines := strings.Split(text.YAML, "\n")
	for path, want := range map[string]string{"kind": "kind: Pod", "metadata.labels['a.b/c']": "    a.b/c: d", "spec.containers[0].securityContext.privileged": "      privileged: true",
		"spec.containers[1]": "  - name: d", "spec.hostPID": "  hostPID: true"} {
		if at := text.Lines[path]; at.First != at.Last || at.First == 0 || lines[at.First-1] != want {
			t.Errorf("%s: lines %v: %q", path, at, lines[max(0, at.First-1)])
		}
	}
	if at := text.Lines["spec.containers[0].args[1]"]; at.Last-at.First != 2 || lines[at.First-1] != "    - |" {
		t.Errorf("a text of several lines: %v\n%s", at, text.YAML)
	}
	if at := text.Lines["spec.containers[0]"]; lines[at.First-1] != "  - name: c" || at.Last-at.First != 8 {
		t.Errorf("a container: %v\n%s", at, text.YAML)
	}
	if at := text.Lines[""]; at.First != 1 || at.Last != len(lines)-1 {
		t.Errorf("everything: %v of %d", at, len(lines))
	}
	if lines[0] != "apiVersion: v1" || lines[2] != "metadata:" || lines[len(lines)-3] != "status:" {
		t.Errorf("the order:\n%s", text.YAML)
	}
}

func TestNearest(t *testing.T) {
	content := map[string]any{"spec": map[string]any{"l": []any{map[string]any{"a": int64(1)}}}}
	for path, want := range map[string]string{"spec.l[0].a": "spec.l[0].a", "spec.l[0].b.c": "spec.l[0]", "spec.l[7].a": "spec.l", "x.y": "", "spec.l.a": "spec.l", "spec.l[0].a.b": "spec.l[0].a"} {
		if got, exact := Nearest(content, path); got != want || exact != (path == want) {
			t.Errorf("%s: %q, exact %v", path, got, exact)
		}
	}
}

func TestRenderIsBounded(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	var list []any
	for range 20 {
		list = append(list, big)
	}
	text := Render(map[string]any{"a": list}, nil)
	if !text.Cut || len(text.YAML) > MostText+2<<20 {
		t.Errorf("%d bytes, cut %v", len(text.YAML), text.Cut)
	}
	var deep any = "end"
	for range 10_000 {
		deep = map[string]any{"a": deep}
	}
	if text := Render(map[string]any{"a": deep}, nil); len(text.YAML) > 1<<20 {
		t.Errorf("%d bytes of deep nesting", len(text.YAML))
	}
	for range 10_000 {
		deep = []any{deep}
	}
	Render(map[string]any{"a": deep}, nil)
}
