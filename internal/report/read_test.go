package report

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/finding"
)

const lineHead = `{"type":"header","schema":"stockade.findings/v1","tool":{"name":"stockade","version":"1","rules":"","database":null},"target":{"kind":"iac","name":"x"},"startedAt":"2026-01-01T00:00:00Z"}` + "\n"

const lineLast = `{"type":"end","finishedAt":"2026-01-01T00:00:01Z","target":{"kind":"iac","name":"x"},"stats":{"objects":0,"images":0,"packages":0,"rules":0,"checks":0,"durationMs":0}}` + "\n"

// with puts findings into the empty document.
func with(findings string) string {
	return strings.Replace(empty, `"findings":[]`, `"findings":[`+findings+`]`, 1)
}

const one = `{"fingerprint":"00","kind":"iac","rule":"a/b","severity":"low","resource":{},"status":"open","title":"T","message":"M"}`

// TestReadErrors: what is no document is refused with its place.
func TestReadErrors(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"empty":                {"", "is empty"},
		"blank":                {" \n\t", "is empty"},
		"yaml":                 {"apiVersion: v1\n", "not a findings document: the document, at byte 1"},
		"array":                {"[1]", `not a findings document: the document: want "{", not [`},
		"number":               {"12", "not a findings document"},
		"other schema":         {`{"schema":"x","findings":[{}]}`, `schema "x": want "stockade.findings/v1"`},
		"no schema":            {`{"version":"2.1.0","runs":[]}`, `schema "": want`},
		"schema is no text":    {`{"schema":1}`, "schema: json: cannot unmarshal number"},
		"findings is no list":  {`{"schema":"stockade.findings/v1","findings":{}}`, `findings: want "[", not {`},
		"cut in finding":       {empty[:strings.Index(empty, `"findings":[`)] + `"findings":[` + one + `,{"rule":"a`, "cut off after"},
		"cut before the end":   {strings.TrimSuffix(empty, "}"), "cut off after"},
		"twice":                {empty + empty, "more text follows its end"},
		"null finding":         {with("null"), "finding 1: it is empty"},
		"empty finding":        {with(one + ",{}"), "finding 2: it is empty"},
		"no rule":              {with(strings.Replace(one, `"a/b"`, `""`, 1)), "finding 1: it has no rule"},
		"severity":             {with(strings.Replace(one, "low", "urgent", 1)), `finding 1: rule a/b: severity "urgent": want critical`},
		"status":               {with(strings.Replace(one, "open", "closed", 1)), `status "closed": want open or suppressed`},
		"suppressed by nobody": {with(strings.Replace(one, "open", "suppressed", 1)), "status \"suppressed\" and suppression do not agree"},
		"wrong type":           {with(strings.Replace(one, `{}`, `[]`, 1)), "finding 1: json: cannot unmarshal array"},
		"clause":               {strings.Replace(empty, `"compliance":[]`, `"compliance":[{"framework":"f","clause":"1","status":"maybe"}]`, 1), `compliance: clause f 1: status "maybe"`},
		"bad time":             {strings.Replace(empty, "2026-01-01T00:00:00Z", "yesterday", 1), "startedAt: parsing time"},
		"UTF-16":               {"\xff\xfe{\x00", "UTF-16"},
		"line is cut":          {lineHead, "cut off after line 1: its end record is missing"},
		"line is no JSON":      {lineHead + `{"type":"finding",` + "\n", "line 2: unexpected end of JSON input"},
		"no header":            {`{"type":"end"}` + "\n", `line 1: record type "end" before the header`},
		"two headers":          {lineHead + lineHead, "line 2: a second header"},
		"after the end":        {lineHead + lineLast + `{"type":"notScanned"}`, `line 3: record type "notScanned" after the end`},
		"unknown record":       {lineHead + `{"type":"surprise"}` + "\n", `line 2: unknown record type "surprise"`},
		"line schema":          {`{"type":"header","schema":"y"}`, `line 1: schema "y"`},
		"line finding":         {lineHead + "\n" + `{"type":"finding","rule":"a/b","severity":""}` + "\n", `line 3: rule a/b: severity ""`},
		"line clause":          {lineHead + `{"type":"compliance","status":"no"}` + "\n", `line 2: clause  : status "no"`},
	} {
		for _, form := range []string{"json", "table"} {
			h, err := New(form, io.Discard, Options{Lang: "en"})
			if err != nil {
				t.Fatal(err)
			}
			if err := Read(strings.NewReader(c.in), h); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, want %q", name, err, c.want)
			}
		}
	}
}

// TestReadTruncated cuts the documents at every place: each time it is told, and no form panics.
func TestReadTruncated(t *testing.T) {
	small := render(t, "json", []byte(with(one+","+one)), Options{})
	lines := render(t, "jsonl", small, Options{})
	for name, data := range map[string][]byte{"json": bytes.TrimSpace(small), "jsonl": bytes.TrimSpace(lines)} {
		for n := range len(data) {
			err := Read(bytes.NewReader(data[:n]), newTable(io.Discard, Options{}))
			if err == nil {
				t.Fatalf("%s cut at %d of %d passes", name, n, len(data))
			}
		}
	}
}

// TestReadForms: what other programs do to a document is no fault: formatting, a byte order mark, other line ends, members of
// a later version.
func TestReadForms(t *testing.T) {
	want := render(t, "json", document(t), Options{Lang: "en"})
	lines := render(t, "jsonl", document(t), Options{Lang: "en"})
	var indented bytes.Buffer
	if err := json.Indent(&indented, want, "", "    "); err != nil {
		t.Fatal(err)
	}
	later := strings.Replace(string(want), `"tool":`, `"later":{"a":[1,2]},"tool":`, 1)
	for name, in := range map[string]string{
		"as it is":   string(want),
		"indented":   indented.String(),
		"mark":       "\ufeff" + string(want),
		"later":      later,
		"lines":      string(lines),
		"mark lines": "\ufeff" + string(lines),
		"crlf":       strings.ReplaceAll(string(lines), "\n", "\r\n"),
		"spaced":     strings.ReplaceAll(string(lines), `{"type":"`, ` { "type" : "`),
		"blank line": string(lines) + "\n\n",
	} {
		if got := render(t, "json", []byte(in), Options{Lang: "en"}); !bytes.Equal(got, want) {
			t.Errorf("%s: comes out different", name)
		}
	}
}

func TestReadBounded(t *testing.T) {
	err := read(strings.NewReader(with(strings.Repeat(one+",", 2000)+one)), newTable(io.Discard, Options{}), 100_000)
	if err == nil || !strings.Contains(err.Error(), "larger than 100000 bytes") {
		t.Errorf("error %v", err)
	}
}

// TestReadWithoutTranslation: a document of another hand has texts in one language; they stand for both.
func TestReadWithoutTranslation(t *testing.T) {
	var c collector
	if err := Read(strings.NewReader(with(one)), &c); err != nil {
		t.Fatal(err)
	}
	if f := c.Findings[0]; f.Title.In("zh") != "T" || f.Message.In("en") != "M" || f.Status != finding.Open {
		t.Errorf("%+v", f)
	}
}

// FuzzRead: no document makes a form panic, and what can be read comes back the same after it was written.
func FuzzRead(f *testing.F) {
	for _, s := range []string{empty, with(one), lineHead + lineLast, lineHead + `{"type":"finding",` + one[1:] + "\n" + lineLast,
		with(strings.Replace(one, `"status":"open"`, `"status":"suppressed","suppression":{"by":"vex"},"evidence":[{"path":"a","found":{"x":[1e400,-0,null]}}],"mitigations":["m"]`, 1))} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, form := range Forms {
			if form.Name == "json" {
				continue
			}
			err := Read(bytes.NewReader(data), form.Make(io.Discard, Options{Lang: "zh", Color: true, Width: 20, Dir: "/ci"}))
			if err != nil && err.Error() == "" {
				t.Error("an error without a text")
			}
		}
		var first, second, lines bytes.Buffer
		if Read(bytes.NewReader(data), newJSON(&first, Options{Lang: "en"})) != nil {
			return
		}
		if err := Read(bytes.NewReader(first.Bytes()), newJSON(&second, Options{Lang: "en"})); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("it does not come back (%v):\n%s\n%s", err, first.Bytes(), second.Bytes())
		}
		if err := Read(bytes.NewReader(first.Bytes()), newJSONL(&lines, Options{Lang: "en"})); err != nil {
			t.Fatal(err)
		}
		second.Reset()
		if err := Read(&lines, newJSON(&second, Options{Lang: "en"})); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("it does not come back from jsonl (%v):\n%s\n%s", err, first.Bytes(), second.Bytes())
		}
	})
}
