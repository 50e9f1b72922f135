package repair

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/inventory"
)

func unmarshalYAML(t *testing.T, text string, v any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
}

// object reads JSON as the decoder of clusters does: whole numbers are integers.
func object(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return numbers(m).(map[string]any)
}

// mergePatch is RFC 7386.
func mergePatch(to map[string]any, patch map[string]any) map[string]any {
	for k, v := range patch {
		if v == nil {
			delete(to, k)
			continue
		}
		if m, ok := v.(map[string]any); ok {
			old, _ := to[k].(map[string]any)
			if old == nil {
				old = map[string]any{}
			}
			to[k] = mergePatch(old, m)
			continue
		}
		to[k] = v
	}
	return to
}

// jsonPatch is the part of RFC 6902 that we write.
func jsonPatch(t *testing.T, doc any, ops []operation) any {
	t.Helper()
	for _, op := range ops {
		var steps []string
		for _, s := range strings.Split(strings.TrimPrefix(op.Path, "/"), "/") {
			steps = append(steps, strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~"))
		}
		doc = operate(t, doc, steps, op)
	}
	return doc
}

func operate(t *testing.T, at any, steps []string, op operation) any {
	t.Helper()
	last := len(steps) == 1
	switch c := at.(type) {
	case map[string]any:
		switch {
		case !last:
			c[steps[0]] = operate(t, c[steps[0]], steps[1:], op)
		case op.Op == "remove":
			if _, ok := c[steps[0]]; !ok {
				t.Fatalf("%s is not there to be removed", op.Path)
			}
			delete(c, steps[0])
		case op.Op == "test":
			if !reflect.DeepEqual(c[steps[0]], op.Value) {
				t.Fatalf("test of %s fails", op.Path)
			}
		default:
			c[steps[0]] = op.Value
		}
		return c
	case []any:
		i, err := strconv.Atoi(steps[0])
		if err != nil || i >= len(c) {
			t.Fatalf("%s leads nowhere", op.Path)
		}
		switch {
		case !last:
			c[i] = operate(t, c[i], steps[1:], op)
		case op.Op == "remove":
			return append(c[:i:i], c[i+1:]...)
		case op.Op == "test":
			if !reflect.DeepEqual(c[i], op.Value) {
				t.Fatalf("test of %s fails", op.Path)
			}
		default:
			c[i] = op.Value
		}
		return c
	}
	t.Fatalf("%s leads nowhere", op.Path)
	return nil
}

// undiff applies the difference to the object as it is shown, and reads what comes of it.
func undiff(t *testing.T, o *inventory.Object, fix Fix) map[string]any {
	t.Helper()
	lines := linesOf(Render(o.Content, nil).YAML)
	var out []string
	at := 0
	for _, l := range strings.Split(strings.TrimSuffix(fix.Diff, "\n"), "\n")[2:] {
		switch l[0] {
		case '@':
			first := strings.Fields(l)[1][1:]
			n, _ := strconv.Atoi(strings.Split(first, ",")[0])
			if strings.HasSuffix(first, ",0") {
				n++
			}
			for at < n-1 {
				out = append(out, lines[at])
				at++
			}
		case ' ', '-':
			if lines[at] != l[1:] {
				t.Fatalf("the difference does not fit at line %d: %q, %q", at+1, lines[at], l)
			}
			if l[0] == ' ' {
				out = append(out, lines[at])
			}
			at++
		case '+':
			out = append(out, l[1:])
		}
	}
	out = append(out, lines[at:]...)
	var m map[string]any
	unmarshalYAML(t, strings.Join(out, "\n")+"\n", &m)
	return m
}
