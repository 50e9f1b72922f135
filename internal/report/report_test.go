package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"
	eastasian "golang.org/x/text/width"

	"stockade.dev/stockade/internal/finding"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	text.OverrideRuneWidthEastAsianWidth(false) // golden files do not depend on the locale
	os.Exit(m.Run())
}

// document is the hand-written document that the golden files show.
func document(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/findings.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// render makes a form of a saved document.
func render(t testing.TB, form string, data []byte, o Options) []byte {
	t.Helper()
	var out bytes.Buffer
	if o.Dir == "" {
		o.Dir = "/ci/build"
	}
	h, err := New(form, &out, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := Read(bytes.NewReader(data), h); err != nil {
		t.Fatalf("%s: %v", form, err)
	}
	return out.Bytes()
}

// stored is what the golden file of a form holds: of the page only what is not its own style and script.
func stored(form string, out []byte) string {
	s := string(out)
	if form == "html" {
		script := htmlScript()
		for _, part := range [][2]string{{htmlStyle, "(page.css)"}, {script, "(script)"}, {allow(htmlStyle), "(hash)"}, {allow(script), "(hash)"}} {
			s = strings.ReplaceAll(s, part[0], part[1])
		}
	}
	return s
}

// TestGolden shows every form in both languages from one document with every field and hostile text in it. After a wanted
// change: go test ./internal/report -run Golden -update, and read the difference.
func TestGolden(t *testing.T) {
	names := map[string]string{"table": "txt", "junit": "xml", "markdown": "md"}
	for _, f := range Forms {
		for _, lang := range []string{"en", "zh"} {
			ext := f.Name
			if names[f.Name] != "" {
				ext = names[f.Name]
			}
			golden := filepath.Join("testdata", lang, "report."+ext)
			got := stored(f.Name, render(t, f.Name, document(t), Options{Lang: lang}))
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("%s: wrong (-want +got):\n%s", golden, d)
			}
		}
	}
}

// TestDocumentHasEveryField makes sure that the golden files can show every field that the nouns have.
func TestDocumentHasEveryField(t *testing.T) {
	var c collector
	if err := Read(bytes.NewReader(document(t)), &c); err != nil {
		t.Fatal(err)
	}
	var missing []string
	var look func(name string, typ reflect.Type, values []reflect.Value)
	look = func(name string, typ reflect.Type, values []reflect.Value) {
		var full []reflect.Value
		for _, v := range values {
			for v.Kind() == reflect.Pointer && !v.IsNil() {
				v = v.Elem()
			}
			if v.Kind() == reflect.Slice {
				for i := range v.Len() {
					full = append(full, v.Index(i))
				}
			} else if !v.IsZero() {
				full = append(full, v)
			}
		}
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if len(full) == 0 {
			missing = append(missing, name)
			return
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range typ.NumField() {
			if typ == reflect.TypeFor[finding.Resource]() && typ.Field(i).Name == "Labels" {
				continue // for exceptions, no part of the document
			}
			if typ == reflect.TypeFor[finding.Component]() && typ.Field(i).Tag.Get("json") == "-" {
				continue // for the server
			}
			var fields []reflect.Value
			for _, v := range full {
				for v.Kind() == reflect.Pointer {
					v = v.Elem()
				}
				fields = append(fields, v.Field(i))
			}
			look(name+"."+typ.Field(i).Name, typ.Field(i).Type, fields)
		}
	}
	look("collector", reflect.TypeFor[collector](), []reflect.Value{reflect.ValueOf(c)})
	if len(missing) > 0 {
		t.Errorf("testdata/findings.json shows no value of %s", strings.Join(missing, ", "))
	}
}

// collector keeps a stream.
type collector struct {
	Header     finding.Header
	Findings   []*finding.Finding
	Clauses    []finding.Clause
	Gaps       []finding.NotScanned
	FinishedAt time.Time
	Target     finding.Target
	Stats      finding.Stats
}

func (c *collector) Begin(h finding.Header) error { c.Header = h; return nil }
func (c *collector) Finding(f *finding.Finding) error {
	c.Findings = append(c.Findings, f)
	return nil
}
func (c *collector) Clause(v finding.Clause) error { c.Clauses = append(c.Clauses, v); return nil }
func (c *collector) NotScanned(v finding.NotScanned) error {
	c.Gaps = append(c.Gaps, v)
	return nil
}
func (c *collector) End(at time.Time, t finding.Target, s finding.Stats) error {
	c.FinishedAt, c.Target, c.Stats = at, t, s
	return nil
}

// TestRoundTrip goes from json to jsonl and back, in both languages and between them, without a byte of difference.
func TestRoundTrip(t *testing.T) {
	for _, lang := range []string{"en", "zh"} {
		o := Options{Lang: lang}
		first := render(t, "json", document(t), o)
		lines := render(t, "jsonl", first, o)
		if back := render(t, "json", lines, o); !bytes.Equal(first, back) {
			t.Errorf("%s: json -> jsonl -> json differs:\n%s", lang, cmp.Diff(string(first), string(back)))
		}
		other := Options{Lang: otherLang(lang)}
		if back := render(t, "json", render(t, "jsonl", first, other), o); !bytes.Equal(first, back) {
			t.Errorf("%s: json -> jsonl in the other language -> json differs:\n%s", lang, cmp.Diff(string(first), string(back)))
		}
		for _, f := range Forms {
			if a, b := render(t, f.Name, first, o), render(t, f.Name, lines, o); f.Name != "jsonl" && !bytes.Equal(a, b) {
				t.Errorf("%s: %s from json and from jsonl differ", lang, f.Name)
			}
		}
	}
}

// TestDocumentIsJSON holds the streamed document to the contract: one object with the members of the schema.
func TestDocumentIsJSON(t *testing.T) {
	for _, data := range [][]byte{document(t), []byte(empty)} {
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(render(t, "json", data, Options{}), &doc); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"schema", "tool", "target", "startedAt", "finishedAt", "findings", "compliance", "notScanned", "stats"} {
			if len(doc[key]) == 0 || string(doc[key]) == "null" {
				t.Errorf("%s is %q", key, doc[key])
			}
			delete(doc, key)
		}
		if len(doc) > 0 {
			t.Errorf("unknown members: %v", doc)
		}
	}
}

// empty is the document of a scan that found nothing.
const empty = `{"schema":"stockade.findings/v1","tool":{"name":"stockade","version":"1","rules":"sha256:0","database":null},"startedAt":"2026-01-01T00:00:00Z",
"target":{"kind":"iac","name":"shop"},"finishedAt":"2026-01-01T00:00:01Z","findings":[],"compliance":[],"notScanned":[],"stats":{"objects":3,"images":0,"packages":0,"rules":200,"checks":500,"durationMs":10}}`

// TestEmpty: a scan that found nothing says so in every form.
func TestEmpty(t *testing.T) {
	for _, lang := range []string{"en", "zh"} {
		for _, f := range Forms {
			out := render(t, f.Name, []byte(empty), Options{Lang: lang})
			if len(out) == 0 || !bytes.Contains(out, []byte("shop")) && f.Name != "csv" && f.Name != "sarif" {
				t.Errorf("%s: %q", f.Name, out)
			}
		}
	}
	if out := string(render(t, "table", []byte(empty), Options{})); !strings.Contains(out, "0 findings; 3 objects, 200 rules, 500 checks in 0.0 s") {
		t.Errorf("table: %q", out)
	}
}

// failing is a writer that is full after some bytes.
type failing struct{ left int }

var errFull = errors.New("no space left")

func (f *failing) Write(p []byte) (int, error) {
	if len(p) > f.left {
		return 0, errFull
	}
	f.left -= len(p)
	return len(p), nil
}

// TestWriteErrors: a disk that is full ends every form with its error, wherever it happens.
func TestWriteErrors(t *testing.T) {
	for _, f := range Forms {
		size := len(render(t, f.Name, document(t), Options{Lang: "en"}))
		for _, room := range []int{0, 10, size / 2, size - 1} {
			h, err := New(f.Name, &failing{room}, Options{Lang: "en", Dir: "/ci/build"})
			if err != nil {
				t.Fatal(err)
			}
			if err := Read(bytes.NewReader(document(t)), h); !errors.Is(err, errFull) {
				t.Errorf("%s with room for %d of %d bytes: error %v", f.Name, room, size, err)
			}
		}
	}
}

// TestNothingBesides: a form writes to its writer and nowhere else.
func TestNothingBesides(t *testing.T) {
	stray, err := os.Create(filepath.Join(t.TempDir(), "stray"))
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = stray, stray
	for _, f := range Forms {
		render(t, f.Name, document(t), Options{Lang: "zh", Color: true})
	}
	os.Stdout, os.Stderr = stdout, stderr
	if info, err := stray.Stat(); err != nil || info.Size() > 0 {
		t.Errorf("%d bytes went to standard output or error (%v)", info.Size(), err)
	}
}

func TestNew(t *testing.T) {
	if _, err := New("pdf", io.Discard, Options{}); err == nil || !strings.Contains(err.Error(), "csv, cyclonedx, html, json, jsonl, junit, markdown, openvex, sarif, table") {
		t.Errorf("error %v", err)
	}
	if got := strings.Join(Names(), " "); got != "table json jsonl sarif junit html csv markdown cyclonedx openvex" {
		t.Errorf("names %s", got)
	}
}

// columnsOf measures by the Unicode tables, not by the library that the table uses.
func columnsOf(s string) int {
	n := 0
	for _, r := range s {
		switch eastasian.LookupRune(r).Kind() {
		case eastasian.EastAsianWide, eastasian.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// TestTableWidth: no line is wider than the terminal, but for a word that cannot be broken, which has a line to itself; and
// without colours there is nothing that a terminal would obey.
func TestTableWidth(t *testing.T) {
	generated := make([]byte, 0, 1<<20)
	{
		var b bytes.Buffer
		h, _ := New("json", &b, Options{Lang: "en"})
		play(t, h, many(700), finding.Target{Kind: "iac", Name: "bench"})
		generated = append(generated, b.Bytes()...)
	}
	for _, data := range [][]byte{document(t), generated, []byte(empty)} {
		for _, lang := range []string{"en", "zh"} {
			for _, columns := range []int{40, 80, 120, 200} {
				out := string(render(t, "table", data, Options{Lang: lang, Width: columns}))
				for i, line := range strings.Split(out, "\n") {
					if n := columnsOf(line); n > columns && len(strings.Fields(strings.TrimLeft(line, " -!"))) > 1 {
						t.Errorf("%s at %d: line %d has %d columns: %s", lang, columns, i+1, n, line)
					}
					if j := strings.IndexFunc(line, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u202e' }); j >= 0 {
						t.Errorf("%s at %d: line %d has a control character: %q", lang, columns, i+1, line[j:])
					}
				}
				colored := string(render(t, "table", data, Options{Lang: lang, Width: columns, Color: true}))
				if text.StripEscape(colored) != out {
					t.Errorf("%s at %d: colours change the text:\n%s", lang, columns, cmp.Diff(out, text.StripEscape(colored)))
				}
				if !strings.Contains(colored, "\x1b[") {
					t.Errorf("%s at %d: no colours", lang, columns)
				}
			}
		}
	}
}

// play sends findings to h.
func play(t testing.TB, h finding.Handler, findings []*finding.Finding, target finding.Target) {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	err := h.Begin(finding.Header{Tool: finding.Tool{Name: "stockade", Version: "1"}, Target: target, StartedAt: at})
	for i := 0; i < len(findings) && err == nil; i++ {
		err = h.Finding(findings[i])
	}
	if err == nil {
		err = h.End(at.Add(time.Second), target, finding.Stats{Objects: len(findings), Rules: 150})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestFold(t *testing.T) {
	for _, c := range []struct {
		text string
		room int
		want []string
	}{
		{"", 10, []string{""}},
		{"one two three", 7, []string{"one two", "three"}},
		{"one  two", 20, []string{"one two"}},
		{"a /a/path/that/is/long b", 8, []string{"a", "/a/path/that/is/long", "b"}},
		{"容器可能以root运行", 8, []string{"容器可能", "以root运", "行"}},
		{"容器可能，以", 8, []string{"容器可", "能，以"}},
		{"容器（特权）", 6, []string{"容器", "（特", "权）"}},
		{"为 [\"*\"]，应", 8, []string{"为", "[\"*\"]，", "应"}},
	} {
		var got []string
		for _, line := range fold([]span{{text: c.text}}, c.room, c.room) {
			s := ""
			for _, v := range line {
				s += v.text
			}
			got = append(got, s)
		}
		if !cmp.Equal(got, c.want) {
			t.Errorf("%q at %d: got %q, want %q", c.text, c.room, got, c.want)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"a\tb\nc":                "a b c",
		"\x1b[31mred":            `\x1b[31mred`,
		"\u202egpj.exe":          `\u202egpj.exe`,
		"a\u200bb\u00adc\u009bd": `a\u200bb\u00adc\u009bd`,
		"\U000e0041":             `\U000e0041`,
		"中文 é 👩\u200d💻":          "中文 é 👩\u200d💻",
		"bad \xff":               "bad \xff",
	} {
		if got := plain(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := clip(strings.Repeat("中", 20), 11); got != "中中中中中…" {
		t.Errorf("clip: %q", got)
	}
	if got := fmt.Sprint(clean("a\r\nb\x00", true)); got != "a\nb\\x00" {
		t.Errorf("clean: %q", got)
	}
}
