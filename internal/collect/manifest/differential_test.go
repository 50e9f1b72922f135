package manifest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/json"
	kyaml "sigs.k8s.io/yaml"
)

// apiServer decodes a document the way kubectl and the API server do: YAML to JSON, JSON to a map.
func apiServer(text []byte) (v any, err error) {
	j, err := kyaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(bytes.TrimSpace(j), []byte("null")) {
		return nil, nil
	}
	if j[0] == '{' {
		var m map[string]any
		err = json.Unmarshal(j, &m)
		return m, err
	}
	if j[0] == '[' {
		var l []any
		err = json.Unmarshal(j, &l)
		return l, err
	}
	err = json.Unmarshal(j, &v)
	return v, err
}

// nodePlaces are the positions of the general library, in the form of place, without last lines.
func nodePlaces(n *yaml.Node, at *place, base int) {
	switch n.Kind {
	case yaml.SequenceNode:
		at.list = true
		for _, e := range n.Content {
			kid := at.add("", e.Line+base, e.Column)
			if e.Kind == yaml.ScalarNode && e.Value == "" && e.Style == 0 {
				kid.line, kid.col = 0, 0 // we name the dash instead
			}
			nodePlaces(e, kid, base)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			key, _ := scalarKey(k)
			nodePlaces(n.Content[i+1], at.add(key, k.Line+base, k.Column), base)
		}
	}
}

func samePlaces(t *testing.T, path string, quick, lib *place) {
	t.Helper()
	if quick.key != lib.key || quick.list != lib.list && len(lib.kids) > 0 || len(quick.kids) != len(lib.kids) {
		t.Fatalf("%s: %q list %v with %d kids, want %q list %v with %d", path, quick.key, quick.list, len(quick.kids), lib.key, lib.list, len(lib.kids))
	}
	if lib.line > 0 && (quick.line != lib.line || quick.col != lib.col) {
		t.Fatalf("%s/%s: %d:%d, want %d:%d", path, quick.key, quick.line, quick.col, lib.line, lib.col)
	}
	for i := range quick.kids {
		samePlaces(t, path+"/"+quick.key, &quick.kids[i], &lib.kids[i])
	}
}

// sameAsLibrary holds the quick reader against the general library (syntax, positions) and the API server's decoder
// (values) on one document. It reports whether the quick reader took it.
func sameAsLibrary(t *testing.T, text string) bool {
	t.Helper()
	src := newSource("x.yaml", text)
	c := chunk{end: len(text), line: 1, headLine: 1}
	if !src.plain {
		return false
	}
	got, ok := newReader(src, c, Limits{}.WithDefaults()).document(nil)
	if !ok {
		return false
	}
	nodes, err := readGeneral(src, c)
	if err != nil {
		t.Fatalf("the library refuses what the quick reader takes: %v\n%q", err, text)
	}
	if len(nodes) == 0 {
		if got != nil {
			t.Fatalf("nothing there, got %#v", got)
		}
		return true
	}
	if len(nodes) > 1 {
		t.Fatalf("%d documents: %q", len(nodes), text)
	}
	want, err := newConverter(c, Limits{}.WithDefaults()).value(nodes[0], nil, 0)
	if err != nil {
		t.Fatalf("converter: %v\n%q", err, text)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("general path:\n got %#v\nwant %#v\n%q", got, want, text)
	}
	if want, err = apiServer([]byte(text)); err != nil {
		t.Fatalf("API server: %v\n%q", err, text)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("API server:\n got %#v\nwant %#v\n%q", got, want, text)
	}
	n := nodes[0]
	if n.Kind == yaml.ScalarNode {
		return true
	}
	a, b := &place{}, &place{line: n.Line, col: n.Column}
	if _, ok := newReader(src, c, Limits{}.WithDefaults()).document(a); !ok {
		t.Fatal("recording refuses")
	}
	nodePlaces(n, b, 0)
	samePlaces(t, "", a, b)
	return true
}

// TestReaderAgainstLibrary holds both against each other on what people write and on what programs print.
func TestReaderAgainstLibrary(t *testing.T) {
	texts := append([]string{string(benchFile(40))}, readerSeeds...)
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, strings.TrimPrefix(string(data), "\ufeff"))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 600 {
		v := randomValue(random, 4)
		var b bytes.Buffer
		enc := yaml.NewEncoder(&b)
		enc.SetIndent(2 + random.IntN(3))
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		printed, err := kyaml.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, b.String(), string(printed), strings.ReplaceAll(b.String(), "\n", "\r\n"))
	}
	taken, all := 0, 0
	for _, text := range texts {
		src := newSource("x.yaml", text)
		for _, c := range src.split() {
			part := text[c.start:c.end]
			if _, err := readGeneral(newSource("", part), chunk{end: len(part), line: 1}); err != nil || c.marked {
				continue
			}
			all++
			if sameAsLibrary(t, part) {
				taken++
			}
		}
	}
	if taken < all*9/10 { // what it leaves to the library costs five times as much
		t.Errorf("the quick reader takes %d of %d documents", taken, all)
	}
}

// randomValue makes maps, lists and the texts that are awkward in YAML.
func randomValue(r *rand.Rand, depth int) any {
	words := []string{"", "a", "yes", "null", "~", "1", "0x1f", "1.5", "1e3", "-", "- a", "a: b", "a #b", "#a", "'", "\"", "a'b\"c", "{a}", "[b]",
		"a\nb", "a\n", "\na", "a\n\n  b\n\n", " a", "a ", "\t", "中文", "2024-01-01", "&a", "*a", "!a", "|", ">", "%", "@", "a\\b", "0644", "a: ",
		"key with spaces", "long " + strings.Repeat("text that is folded ", 8), "x\ty", "a:b", "?", ":", ",", "😀", "...", "---", "=", "<<"}
	word := func() string { return words[r.IntN(len(words))] }
	if depth == 0 || r.IntN(3) == 0 {
		switch r.IntN(6) {
		case 0:
			return r.IntN(1 << 30)
		case 1:
			return r.IntN(2) == 0
		case 2:
			return r.NormFloat64() * 1e4
		case 3:
			return nil
		}
		return word()
	}
	if r.IntN(2) == 0 {
		l := make([]any, r.IntN(4))
		for i := range l {
			l[i] = randomValue(r, depth-1)
		}
		return l
	}
	m := map[string]any{}
	for range r.IntN(5) {
		key := word()
		if len(key) > 100 || strings.Contains(key, "\n") { // printed as a complex key, which is the library's business
			key = "k"
		}
		m[key] = randomValue(r, depth-1)
	}
	return m
}

func FuzzReader(f *testing.F) {
	for _, s := range readerSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "-0") || strings.Contains(text, "-.0") {
			return // as keys, 0.0 and -0.0 are one to the API server's decoder, which nobody will miss
		}
		src := newSource("x.yaml", text)
		for _, c := range src.split() {
			if !c.marked {
				sameAsLibrary(t, text[c.start:c.end])
			}
		}
	})
}

var readerSeeds = []string{
	"a" + strings.Repeat(" ", 1100) + ": b\n", "'a'" + strings.Repeat(" ", 1100) + ": b\n", "{a" + strings.Repeat(" ", 1100) + ": b}\n",
	"{\"a\"" + strings.Repeat(" ", 1100) + ": b}\n", strings.Repeat("a", 1022) + ": b\n", strings.Repeat("a", 1030) + ": b\n",
	"a: 1\nb: [x, 'y', \"z\"]\nc:\n- d: e\n  f: |\n    g\n    h\n- - i\n",
	"a: {b: c, \"d\":1}\n",
	"a: b\n  c\n\n  d\ne: >-\n  f\n  g\n\n   h\n",
	"a: 'x\n  y\n\n  z'\nb: \"x\\n\n  y\"\n",
	"a:\nb: ~\nc: yes\nd: 0644\ne: 1e3\nf: 1.5\ng: .5\n",
	"- a\n-\n- \n  b: c\n",
	"a: |+\n  x\n\n\nb: |2-\n    y\n",
	"\"k\": v # c\n'l' : w\n",
	"a: [\n b, # c\n c: d\n]\n",
	"a: [00080000040000000030, 9e18, 9.3e18, 1e20, 1e21, -1e19, -0.0, 1e-7, 9223372036854775807.0]\n",
	"-0.: a\n1.50: b\n.inf: c\n16777217.0: d\n0x10: e\n{1e3: f}: g\n", "{-0.0: a, 1_0: b, 07: c}\n",
	"0: |+\n  0\n\n ", "0: |+\n  0\n\n\n", "0: |\n  0", "0: >+\n  0\n ",
	"---\n%\n0\n---\nO", "%YAML 1.1\n---\na: b\n---\nc: d\n",
	"9e100: a\n-9e100: b\n",
	"{7: :0}", "[a:b, :c, ::]\n", "a: :b\n:c: d\n",
}
