package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

func parseFile(t *testing.T, name string) ([]*inventory.Object, []Problem) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return Parse(name, data, Limits{})
}

// list is objects as "Kind name document:line" and problems as "line:column code reason".
func list(objs []*inventory.Object, problems []Problem) []string {
	var out []string
	for _, o := range objs {
		out = append(out, fmt.Sprintf("%s %s %d:%d", o.Kind, o.Name, o.Origin.Document, o.Origin.Line))
	}
	for _, p := range problems {
		out = append(out, fmt.Sprintf("%d:%d %s %s: %s", p.Line, p.Column, p.Code, p.What, p.Reason))
	}
	return out
}

func TestParseFiles(t *testing.T) {
	const template = "it is a template ({{ ... }}), not plain YAML; scan its chart or the rendered output"
	for name, want := range map[string][]string{
		"broken-middle.yaml": {"ConfigMap first 0:1", "ConfigMap last 2:16",
			"14:4 broken YAML document 2: this line is indented deeper than the value above it allows"},
		"list.yaml": {"Service web 0:5", "Deployment web 0:9", "Pod nested 0:24",
			"19:3 broken item 2 of the List: it is not an object"},
		"list.json":    {"Role a 0:6", "Role c 0:15"},
		"anchors.yaml": {"Pod anchors 0:1"},
		"types.yaml": {"Pod  0:1", "Deployment  1:6", "Pod  2:11",
			"16:17 skipped suppression: it gives no reason; its value must say why",
			"27:3 broken item 0 of the PodList: it is not an object", "28:3 broken item 1 of the PodList: it is not an object",
			"30:1 broken object: apiVersion is not a string", "33:1 broken object: kind is not a string"},
		"others.yaml": {"20:1 skipped object: it has no kind"},
		"template.yaml": {"ConfigMap fine 1:9",
			"4:9 skipped YAML document 1: " + template},
		"crlf.yaml":       {"Pod crlf 0:1", "Pod second 1:10"},
		"bom.yaml":        {"Pod bom 0:1"},
		"directives.yaml": {"Pod 7 0:4", "Pod two 1:10", "Pod three 2:14"},
		"scalars.yaml":    {"Scalars  0:1"},
		"duplicate.yaml": {"Pod two 0:1",
			`5:3 skipped field "name": the field is given twice in the same map; only the last value counts`,
			`6:14 skipped field "a": the field is given twice in the same map; only the last value counts`},
	} {
		t.Run(name, func(t *testing.T) {
			same(t, list(parseFile(t, name)), want...)
		})
	}
}

func TestLocate(t *testing.T) {
	for _, tc := range []struct {
		file, object, path string
		line, col          int
	}{
		{"list.yaml", "web", "", 5, 3},
		{"list.yaml", "web", "metadata.name", 8, 5},
		{"list.yaml", "Deployment", "spec.template.spec.containers[0]", 17, 11},
		{"list.yaml", "Deployment", "spec.template.spec.containers[0].image", 18, 11},
		{"list.yaml", "Deployment", "spec.template.spec.containers[0].securityContext.privileged", 17, 11},
		{"list.yaml", "Deployment", "spec.template.spec.containers[7]", 16, 9},
		{"list.yaml", "Deployment", "spec.replicas", 13, 3},
		{"list.yaml", "Deployment", "status", 9, 3},
		{"list.yaml", "nested", "metadata.name", 24, 44},
		{"list.json", "a", "rules[0].verbs[0]", 12, 20},
		{"list.json", "a", "metadata.namespace", 9, 9},
		{"list.json", "c", "rules", 15, 5},
		{"anchors.yaml", "anchors", "spec.nodeSelector", 8, 3},
		{"anchors.yaml", "anchors", "spec.nodeSelector.app", 6, 5},
		{"anchors.yaml", "anchors", "spec.containers[1].securityContext.privileged", 14, 7},
		{"anchors.yaml", "anchors", "spec.containers[1].name", 16, 5},
		{"anchors.yaml", "anchors", "spec.containers[2].securityContext.privileged", 20, 7},
		{"anchors.yaml", "anchors", "spec.containers[2].securityContext.runAsUser", 19, 18},
		{"crlf.yaml", "crlf", "spec.script", 6, 3},
		{"bom.yaml", "bom", "spec.x", 4, 15},
		{"bom.yaml", "bom", "spec.中文", 4, 8},
		{"suppressions.yaml", "a", "metadata.annotations['stockade.dev/ignore.workload.host-ipc']", 7, 5},
		{"duplicate.yaml", "two", "metadata.name", 5, 3},
		{"directives.yaml", "three", "metadata", 14, 33},
		{"types.yaml", "Pod", "metadata.name", 3, 1},
		{"types.yaml", "Pod", "metadata[1]", 3, 17},
		{"types.yaml", "Pod", "spec.containers[0].image", 4, 1},
	} {
		objs, _ := parseFile(t, tc.file)
		i := slices.IndexFunc(objs, func(o *inventory.Object) bool { return o.Name == tc.object || o.Kind == tc.object })
		if i < 0 {
			t.Errorf("%s: no object %s", tc.file, tc.object)
			continue
		}
		if line, col := objs[i].Origin.Locate(tc.path); line != tc.line || col != tc.col {
			t.Errorf("%s %s %q: %d:%d, want %d:%d", tc.file, tc.object, tc.path, line, col, tc.line, tc.col)
		}
	}
}

func TestSnippet(t *testing.T) {
	for file, want := range map[string]string{"crlf.yaml": "  name: crlf", "bom.yaml": "spec: {中文: 1, x: 2}", "list.json": `  "metadata": {},`} {
		objs, _ := parseFile(t, file)
		if got := objs[0].Origin.Snippet(4); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
		for _, n := range []int{0, -1, 1 << 30} {
			if got := objs[0].Origin.Snippet(n); got != "" {
				t.Errorf("line %d: %q", n, got)
			}
		}
	}
}

// TestSplit gives parts as start-end@line, with an m when the mark belongs to the part.
func TestSplit(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"a":                                 "0-1@1",
		"a\n---\nb\n":                       "0-2@1 6-8@3",
		"---\n---\n# c\n---\na\n":           "16-18@5",
		"--- a\n--- b":                      "0-6@1m 6-11@2m",
		"a\n...\nb":                         "0-2@1 6-7@3",
		"%YAML 1.1\n---\na\n---\nb":         "0-16@1m 20-21@5",
		"---\n%\n0\n---\nO":                 "4-8@2m 12-13@5",
		"a: |\n  ---\n  x\n---x: y\n":       "0-23@1",
		"a\r\n---\r\nb":                     "0-3@1 8-9@3",
		"a\r---\rb":                         "0-2@1 6-7@3",
		"a\u2028---\u2028b\u0085--- # c\nd": "0-4@1 10-13@3 21-22@5",
	} {
		src := newSource("x.yaml", text)
		var got []string
		for _, c := range src.split() {
			s := fmt.Sprintf("%d-%d@%d", c.start, c.end, c.line)
			if c.marked {
				s += "m"
			}
			got = append(got, s)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", text, got, want)
		}
	}
}

// TestScalars holds the meaning of scalars against the API server's decoder.
func TestScalars(t *testing.T) {
	data, err := os.ReadFile("testdata/scalars.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objs, problems := Parse("scalars.yaml", data, Limits{})
	if len(objs) != 1 || len(problems) != 0 {
		t.Fatal(objs, problems)
	}
	want, err := apiServer(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(any(objs[0].Content), want) {
		t.Errorf("got  %v\nwant %v", objs[0].Content, want)
	}
	if n, ok := inventory.List(objs[0].Content, "int")[0].(int64); !ok || n != 420 {
		t.Errorf("0644 is %v", inventory.List(objs[0].Content, "int")[0])
	}
}

func TestParseHostile(t *testing.T) {
	head := "apiVersion: v1\nkind: Pod\n"
	bomb := head + "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'l'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 10))
	}
	merges := head + "a: &a {x: 1}\n"
	for c := 'b'; c < 'z'; c++ {
		merges += fmt.Sprintf("%c: &%c\n  <<: [*%c, *%c, *%c]\n", c, c, c-1, c-1, c-1)
	}
	for name, tc := range map[string]struct {
		text string
		want string // "line:column code reason"
	}{
		"alias bomb":       {bomb, "limit YAML document 1: it has more than 1000000 values, each use of an alias counted"},
		"merge bomb":       {merges, "limit YAML document 1: it has more than 1000000 values, each use of an alias counted"},
		"own anchor":       {head + "a: &a [*a]\n", `3:8 broken YAML document 1: anchor "a" contains itself`},
		"own merge":        {head + "a: &a\n  <<: *a\n", `4:7 broken YAML document 1: anchor "a" contains itself`},
		"no anchor":        {head + "a:\n  b: *nope\n", "4:6 broken YAML document 1: alias *nope has no anchor in this document"},
		"merge of text":    {head + "a: &a x\nb: {<<: *a}\n", "4:9 broken YAML document 1: a merge key (<<) needs a map or a list of maps"},
		"infinity":         {head + "a:\n- .inf\n", "4:3 broken YAML document 1: infinity and not-a-number have no JSON form"},
		"not a number":     {head + "a: .NaN\n", "3:4 broken YAML document 1: infinity and not-a-number have no JSON form"},
		"map as key":       {head + "{a: b}: c\n", "3:1 broken YAML document 1: a map or a list cannot be a key"},
		"null as key":      {head + "~: c\n", "3:1 broken YAML document 1: a key must be text, a number or a boolean"},
		"tab":              {head + "spec:\n\ta: b\n", "4:1 broken YAML document 1: a tab is used for indentation"},
		"open quote":       {head + "a: \"b\n", "3:4 broken YAML document 1: this quotation mark is never closed"},
		"open bracket":     {head + "a:\n  b: [c,\n  d\n", "4:6 broken YAML document 1: this bracket is never closed"},
		"colon":            {head + "a: b: c\n", `3:5 broken YAML document 1: ": " inside a value: put the value in quotes, or the key on a line of its own`},
		"dash":             {head + "a: - b\n", "3:4 broken YAML document 1: a list entry may not stand on the line of its key"},
		"list among keys":  {head + "- b\n", "3:1 broken YAML document 1: a list entry stands where a key is expected"},
		"key among list":   {head + "a:\n- b\n- c\nd\n", `6:1 broken YAML document 1: expected "key: value"`},
		"deeper":           {head + "a:\n  b: c\n    d: e\n", "5:5 broken YAML document 1: this line is indented deeper than the value above it allows"},
		"between":          {head + "a:\n    b: c\n  d: e\n", "5:3 broken YAML document 1: this line is indented deeper than the keys it stands beside"},
		"control":          {head + "a: x\n#\x01\n", "4:2 broken YAML document 1: it holds a control character or is not UTF-8"},
		"not UTF-8":        {head + "b: 1\na: 中\xff\n", "4:5 broken YAML document 1: it holds a control character or is not UTF-8"},
		"UTF-16":           {"\xff\xfea\x00", "1:1 broken file: it is UTF-16; Kubernetes tools read UTF-8"},
		"UTF-16 no mark":   {"a\x00p\x00", "1:1 broken file: it is UTF-16; Kubernetes tools read UTF-8"},
		"deep block":       {head + nested(300), "limit YAML document 1: it is nested deeper than 200 levels"},
		"deep flow":        {head + "a: " + strings.Repeat("[", 5000), "limit YAML document 1: it is nested deeper than 200 levels"},
		"deep general":     {head + "a: !x " + strings.Repeat("[", 300) + strings.Repeat("]", 300), "limit YAML document 1: it is nested deeper than 200 levels"},
		"JSON":             {`{"apiVersion":"v1","kind":"Pod","a":tru}`, "1:37 broken JSON value 1: expected a value"},
		"JSON comma":       {"{\"apiVersion\":\"v1\",\n \"kind\":\"Pod\"\n \"a\": 1}", "3:2 broken JSON value 1: expected a comma or \"}\""},
		"JSON end":         {`{"apiVersion":"v1","kind":"Pod"`, "1:32 broken JSON value 1: a bracket is never closed"},
		"JSON key":         {`{"apiVersion":"v1","kind":"Pod",}`, "1:33 broken JSON value 1: expected a key in quotes"},
		"JSON string":      {"{\"apiVersion\":\"v1\",\"kind\":\"Po\nd\"}", "1:27 broken JSON value 1: a string that is not closed on its line"},
		"JSON number":      {`{"apiVersion":"v1","kind":"Pod","a":01}`, "1:37 broken JSON value 1: a malformed number"},
		"JSON range":       {`{"apiVersion":"v1","kind":"Pod","a":1e999}`, "1:37 broken JSON value 1: a number out of range"},
		"JSON deep":        {`{"apiVersion":"v1","kind":` + strings.Repeat("[", 300), "limit JSON value 1: it is nested deeper than 200 levels"},
		"JSON twice":       {`{"apiVersion":"v1","kind":"Pod","a":1,"a":2}`, `1:39 skipped field "a": the field is given twice in the same map; only the last value counts`},
		"JSON no colon":    {`{"apiVersion":"v1","kind" "Pod"}`, "1:27 broken JSON value 1: expected a colon after the key"},
		"JSON wrong words": {`{"apiVersion":"v1","kind":"\q"}`, "1:27 broken JSON value 1: a string with a wrong escape"},
	} {
		t.Run(name, func(t *testing.T) {
			file := "x.yaml"
			if strings.HasPrefix(name, "JSON") {
				file = "x.json"
			}
			_, problems := Parse(file, []byte(tc.text), Limits{})
			if len(problems) != 1 {
				t.Fatalf("%v", problems)
			}
			if got := list(nil, problems)[0]; !strings.HasSuffix(got, tc.want) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func nested(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestParseLimits(t *testing.T) {
	data := []byte("apiVersion: v1\nkind: Pod\na: [1, 2, 3]\n")
	for name, lim := range map[string]Limits{"bytes": {FileBytes: 10}, "nodes": {Nodes: 4}, "depth": {Depth: 1}} {
		objs, problems := Parse("x.yaml", data, lim)
		if len(objs) != 0 || len(problems) != 1 || problems[0].Code != finding.Limit {
			t.Errorf("%s: %v %v", name, objs, problems)
		}
	}
	// A file may be wrong everywhere.
	objs, problems := Parse("x.yaml", bytes.Repeat([]byte("---\napiVersion: v1\nkind: [\n"), 1000), Limits{})
	if len(objs) != 0 || len(problems) != maxProblems+1 || problems[maxProblems].Code != finding.Limit {
		t.Errorf("%d problems, last %v", len(problems), problems[len(problems)-1])
	}
	var many strings.Builder
	many.WriteString("apiVersion: v1\nkind: Pod\nl:\n")
	for range 2 * maxIgnores {
		many.WriteString("- a # stockade:ignore x/y reason=\"z\"\n")
	}
	objs, problems = Parse("x.yaml", []byte(many.String()), Limits{})
	if len(objs) != 1 || len(objs[0].Origin.Suppressions) != maxIgnores || len(problems) != 1 || problems[0].Code != finding.Limit {
		t.Errorf("%v", problems)
	}
}

// TestParseSparesWork feeds 50 MB that cannot hold an object of ours; reading it as YAML would take seconds.
func TestParseSparesWork(t *testing.T) {
	data := bytes.Repeat([]byte("- {a: [b, c]}\n"), 50<<20/14)
	allocs := testing.AllocsPerRun(1, func() {
		if objs, problems := Parse("x.yaml", data, Limits{FileBytes: 100 << 20}); objs != nil || problems != nil {
			t.Error(objs, problems)
		}
	})
	if allocs > 100 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestSuppressions(t *testing.T) {
	objs, problems := parseFile(t, "suppressions.yaml")
	same(t, list(objs, problems), "Pod a 0:2",
		"8:5 skipped suppression: it gives no reason; its value must say why",
		`16:3 skipped suppression: it gives no reason; add reason="..."`)
	var got []string
	for _, s := range objs[0].Origin.Suppressions {
		last := fmt.Sprint(s.Last)
		if s.Last > 1000 {
			last = "end"
		}
		got = append(got, fmt.Sprintf("%s %d: %d-%s %s", s.Rule, s.Line, s.First, last, s.Reason))
	}
	same(t, got,
		"workload/host-ipc 7: 0-end by annotation",
		"workload/host-pid 1: 0-end whole object",
		"STK-W-0002 1: 0-end whole object",
		"image/latest-tag 11: 11-14 the whole entry",
		"workload/privileged-container 15: 15-23 the entry that follows",
		`escape/a 19: 19-19 a \ b`,
		`escape/b 19: 19-19 a \ b`,
		"x/y 20: 20-21 the list below",
		"x/flow 23: 23-23 two lines",
	)
	// The general reader finds the same ones.
	data, err := os.ReadFile("testdata/suppressions.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objs, _ = Parse("x.yaml", append(data, "anchor: &a 1\n"...), Limits{})
	var other []string
	for _, s := range objs[0].Origin.Suppressions {
		other = append(other, s.Rule)
	}
	want := []string{"workload/host-ipc", "workload/host-pid", "STK-W-0002", "image/latest-tag", "workload/privileged-container",
		"escape/a", "escape/b", "x/y", "x/flow"}
	same(t, other, want...)
	// The mark of a document counts as its head.
	objs, _ = parseFile(t, "directives.yaml")
	if s := objs[1].Origin.Suppressions; len(s) != 1 || s[0].Rule != "x/y" || s[0].First != 0 {
		t.Errorf("%+v", s)
	}
	if s := objs[0].Origin.Suppressions; len(s) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestSuppressionsInLists(t *testing.T) {
	objs, _ := Parse("x.yaml", []byte(`apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  hostPID: true # stockade:ignore a/b reason="here"
# stockade:ignore c/d reason="the next"
- apiVersion: v1
  kind: Pod
`), Limits{})
	if len(objs) != 2 {
		t.Fatal(objs)
	}
	a, b := objs[0].Origin.Suppressions, objs[1].Origin.Suppressions
	if len(a) != 1 || a[0].Rule != "a/b" || a[0].First != 6 || a[0].Last != 6 {
		t.Errorf("%+v", a)
	}
	if len(b) != 1 || b[0].Rule != "c/d" || b[0].First != 7 || b[0].Last != 9 {
		t.Errorf("%+v", b)
	}
}

func TestParseIgnore(t *testing.T) {
	for _, tc := range []struct {
		comment, rules, reason, fault string
		ok                            bool
	}{
		{`# stockade:ignore a/b reason="c d"`, "a/b", "c d", "", true},
		{`#stockade:ignore a/b,c/d e/f reason='x'`, "a/b c/d e/f", "x", "", true},
		{`# stockade:ignore a/b reason=“因为需要”`, "a/b", "因为需要", "", true},
		{`# note # stockade:ignore a/b reason="x"`, "a/b", "x", "", true},
		{`# stockade:ignore reason="x"`, "", "", "it names no rule", true},
		{`# stockade:ignore`, "", "", "it names no rule", true},
		{`# stockade:ignore a/b reason=""`, "a/b", "", `it gives no reason; add reason="..."`, true},
		{`# stockade:ignore a/b reason=x`, "a/b", "", `it gives no reason; add reason="..."`, true},
		{`# stockade:ignore a/b reason="x`, "a/b", "", `it gives no reason; add reason="..."`, true},
		{`# stockade:ignore a*b reason="x"`, "", "", `"a*b" is no rule name`, true},
		{`# stockade:ignored a/b reason="x"`, "", "", "", false},
		{`# write stockade:ignore a/b`, "", "", "", false},
		{`# nothing`, "", "", "", false},
	} {
		rules, reason, fault, ok := ParseIgnore(tc.comment)
		if ok != tc.ok || fault != tc.fault || fault == "" && (strings.Join(rules, " ") != tc.rules || reason != tc.reason) {
			t.Errorf("%s: %v %q %q %v", tc.comment, rules, reason, fault, ok)
		}
	}
}

// TestParseParallel reads and locates from many goroutines; the race detector looks on.
func TestParseParallel(t *testing.T) {
	data := benchFile(40)
	objs, _ := Parse("x.yaml", data, Limits{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, o := range objs {
				if line, _ := o.Origin.Locate("metadata.name"); line <= o.Origin.Line || o.Origin.Snippet(line) == "" {
					t.Error(o.Name, line)
				}
			}
			if again, _ := Parse("x.yaml", data, Limits{}); len(again) != len(objs) {
				t.Error(len(again))
			}
		})
	}
	wg.Wait()
}

func TestProblem(t *testing.T) {
	p := Problem{File: "a.yaml", Line: 3, Column: 4, What: "document", Reason: "bad", Code: finding.Broken}
	want := finding.NotScanned{Target: "a.yaml:3:4", What: "document", Reason: "bad", Code: finding.Broken}
	if got := p.NotScanned(); got != want || p.String() != "a.yaml:3:4: document: bad" {
		t.Errorf("%+v %s", got, p)
	}
	if got := (Problem{File: "a", Line: 3}).Place() + (Problem{File: "b"}).Place(); got != "a:3b" {
		t.Error(got)
	}
}

// onlyJSON reports the first value that JSON does not know.
func onlyJSON(v any) error {
	switch v := v.(type) {
	case nil, string, bool, int64, float64:
	case []any:
		for _, e := range v {
			if err := onlyJSON(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, e := range v {
			if err := onlyJSON(e); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%T", v)
	}
	return nil
}

func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/*.*")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, strings.HasSuffix(name, ".json"))
	}
	f.Fuzz(func(t *testing.T, data []byte, isJSON bool) {
		file := "x.yaml"
		if isJSON {
			file = "x.json"
		}
		objs, problems := Parse(file, data, Limits{Nodes: 10_000})
		for _, p := range problems {
			if p.File != file || p.What == "" || p.Reason == "" || p.Code == "" || p.Line < 0 || p.Column < 0 {
				t.Errorf("%+v", p)
			}
		}
		for _, o := range objs {
			if o.Kind == "" || o.APIVersion == "" || o.Origin.File != file || o.Origin.Line < 1 {
				t.Errorf("%+v", o)
			}
			if err := onlyJSON(o.Content); err != nil {
				t.Error(err)
			}
			if _, err := json.Marshal(o.Content); err != nil {
				t.Error(err)
			}
			walkPaths(o.Content, "", func(path string) {
				if line, col := o.Origin.Locate(path); line < 1 || col < 1 {
					t.Errorf("%q at %d:%d", path, line, col)
				}
			})
			for _, s := range o.Origin.Suppressions {
				if s.Rule == "" || s.Reason == "" || s.Line < 1 || s.First > s.Last {
					t.Errorf("%+v", s)
				}
			}
		}
	})
}

// walkPaths calls f for the paths of all values.
func walkPaths(v any, path string, f func(string)) {
	f(path)
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			walkPaths(e, inventory.JoinKey(path, k), f)
		}
	case []any:
		for i, e := range v {
			walkPaths(e, inventory.JoinIndex(path, i), f)
		}
	}
}
