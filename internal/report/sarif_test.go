package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"stockade.dev/stockade/internal/finding"
)

// sarifStandard compiles the schema of SARIF 2.1.0. Its text comes with the source of go-sarif, whose own check looks at what it
// made of a document, not at the document.
func sarifStandard(t *testing.T) *jsonschema.Schema {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif")
	dir, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && len(lit.Value) > len(text) {
			text = lit.Value
		}
		return true
	})
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Trim(text, "`")))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(sarifSchema, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(sarifSchema)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validSARIF checks out against the schema and parses it.
func validSARIF(t *testing.T, schema *jsonschema.Schema, out []byte) *sarif.Run {
	t.Helper()
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(plain); err != nil {
		t.Fatalf("not valid SARIF 2.1.0: %v", err)
	}
	doc, err := sarif.FromBytes(out)
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Runs) != 1 {
		t.Fatalf("%d runs", len(doc.Runs))
	}
	return doc.Runs[0]
}

// TestSARIFSchema: the check of these tests does find faults.
func TestSARIFSchema(t *testing.T) {
	schema := sarifStandard(t)
	for _, bad := range []string{`{}`, `{"version":"2.1.0","runs":[{}]}`, `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":[{}]}]}`,
		`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":[{"message":{"text":"x"},"locations":[{"physicalLocation":{"region":{"startLine":0}}}]}]}]}`,
		`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x","informationUri":"not a uri"}}}]}`} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(doc) == nil {
			t.Errorf("%s passes", bad)
		}
	}
}

// TestSARIF holds the output to the standard's schema and to what code-scanning viewers ask for beyond it.
func TestSARIF(t *testing.T) {
	schema := sarifStandard(t)
	for _, lang := range []string{"en", "zh"} {
		out := render(t, "sarif", document(t), Options{Lang: lang})
		run := validSARIF(t, schema, out)
		if len(run.Results) != 22 {
			t.Errorf("%d results", len(run.Results))
		}
		suppressed := map[string]int{}
		for i, r := range run.Results {
			checkResult(t, i, run, r)
			for _, s := range r.Suppressions {
				suppressed[*s.Kind]++
			}
		}
		if suppressed["inSource"] != 1 || suppressed["external"] != 2 {
			t.Errorf("suppressions: %v", suppressed)
		}
		checkRules(t, out)
		if len(run.Invocations) != 1 || *run.Invocations[0].ExecutionSuccessful || len(run.Invocations[0].ToolExecutionNotifications) != 8 {
			t.Errorf("invocations: %+v", run.Invocations)
		}
	}
	run := validSARIF(t, schema, render(t, "sarif", []byte(empty), Options{Lang: "en"}))
	if run.Results == nil || len(run.Results) != 0 || !*run.Invocations[0].ExecutionSuccessful {
		t.Error("an empty scan has no empty list of results, or failed")
	}
}

func checkResult(t *testing.T, i int, run *sarif.Run, r *sarif.Result) {
	t.Helper()
	if r.RuleIndex < 0 || r.RuleIndex >= len(run.Tool.Driver.Rules) || *run.Tool.Driver.Rules[r.RuleIndex].ID != *r.RuleID {
		t.Errorf("result %d: ruleIndex %d is not %s", i, r.RuleIndex, *r.RuleID)
	}
	if r.Message.Text == nil || *r.Message.Text == "" {
		t.Errorf("result %d has no message", i)
	}
	switch r.Level {
	case "error", "warning", "note":
	default:
		t.Errorf("result %d: level %q", i, r.Level)
	}
	if len(r.PartialFingerprints["stockade/v1"]) != 32 {
		t.Errorf("result %d: fingerprints %v", i, r.PartialFingerprints)
	}
	if len(r.Locations) != 1 || r.Locations[0].PhysicalLocation == nil {
		t.Fatalf("result %d has %d locations", i, len(r.Locations))
	}
	p := r.Locations[0].PhysicalLocation
	if *p.Region.StartLine < 1 {
		t.Errorf("result %d: startLine %d", i, *p.Region.StartLine)
	}
	u, err := url.Parse(*p.ArtifactLocation.URI)
	if err != nil || u.IsAbs() || u.Host != "" || strings.HasPrefix(u.Path, "/") || u.RawQuery != "" || u.Fragment != "" {
		t.Errorf("result %d: URI %q is not a relative path (%v)", i, *p.ArtifactLocation.URI, err)
	}
	if strings.ContainsAny(*p.ArtifactLocation.URI, " #?中\\:") {
		t.Errorf("result %d: URI %q is not encoded", i, *p.ArtifactLocation.URI)
	}
}

// checkRules reads the rules as plain JSON: the library drops what it does not know.
func checkRules(t *testing.T, out []byte) {
	t.Helper()
	var doc struct {
		Runs []struct {
			Tool struct{ Driver struct{ Rules []sarifRule } }
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	rules := doc.Runs[0].Tool.Driver.Rules
	if len(rules) != 11 {
		t.Errorf("%d rules", len(rules))
	}
	for _, r := range rules {
		if r.ShortDescription.Text == "" || r.FullDescription.Text == "" || r.Help.Text == "" || r.Help.Markdown == "" || r.Name == "" {
			t.Errorf("%s lacks a text: %+v", r.ID, r)
		}
		if r.Properties.Score == "" || r.Default.Level == "" || len(r.Properties.Tags) == 0 || r.Properties.Tags[0] != "security" {
			t.Errorf("%s: %+v", r.ID, r.Properties)
		}
		if r.HelpURI != "" && !strings.HasPrefix(r.HelpURI, "https://") {
			t.Errorf("%s: helpUri %q", r.ID, r.HelpURI)
		}
		if strings.Contains(r.Help.Markdown, "javascript:") || strings.Contains(r.Help.Markdown, "<b>") {
			t.Errorf("%s: help %q", r.ID, r.Help.Markdown)
		}
	}
}

// TestSARIFTags: viewers refuse a file with a rule of more than 20 tags, and the schema wants them different.
func TestSARIFTags(t *testing.T) {
	f := many(1)[0]
	f.Aliases = nil
	for i := range 30 {
		f.Aliases = append(f.Aliases, "security", "same", fmt.Sprint("alias", i))
	}
	worse := *f
	worse.Severity = finding.Critical
	var out bytes.Buffer
	play(t, newSARIF(&out, Options{Dir: "/ci"}), []*finding.Finding{f, &worse}, finding.Target{Kind: "iac"})
	run := validSARIF(t, sarifStandard(t), out.Bytes())
	var doc struct {
		Runs []struct {
			Tool struct{ Driver struct{ Rules []sarifRule } }
		}
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	r := doc.Runs[0].Tool.Driver.Rules[0]
	if len(r.Properties.Tags) != sarifTags || len(run.Tool.Driver.Rules) != 1 {
		t.Errorf("%d tags: %v", len(r.Properties.Tags), r.Properties.Tags)
	}
	if r.Properties.Score != "9.5" {
		t.Errorf("the rule's score %s is not that of its worst finding", r.Properties.Score)
	}
}

// TestSARIFBare: a finding that has nothing but a rule still has what viewers demand.
func TestSARIFBare(t *testing.T) {
	var out bytes.Buffer
	play(t, newSARIF(&out, Options{Dir: "/ci"}), []*finding.Finding{{Rule: "//-", Severity: finding.Info, Status: finding.Open}}, finding.Target{Kind: "cluster", Name: "a/b c"})
	run := validSARIF(t, sarifStandard(t), out.Bytes())
	if got := *run.Results[0].Message.Text; got != "//-" {
		t.Errorf("message %q", got)
	}
	if got := *run.AutomationDetails.ID; got != "stockade/cluster/a%2Fb%20c/" {
		t.Errorf("category %q", got)
	}
	if got := *run.Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI; got != "cluster/-/-/-/-" {
		t.Errorf("URI %q", got)
	}
}

func TestFileURI(t *testing.T) {
	for _, c := range []struct{ file, dir, want string }{
		{"deploy/pod.yaml", "/ci/build", "deploy/pod.yaml"},
		{"./deploy//pod.yaml", "/ci/build", "deploy/pod.yaml"},
		{"/ci/build/deploy/pod.yaml", "/ci/build", "deploy/pod.yaml"},
		{"/ci/build/deploy/../pod.yaml", "/ci/build/", "pod.yaml"},
		{"/ci/builder/pod.yaml", "/ci/build", "file:///ci/builder/pod.yaml"},
		{"/etc/pod.yaml", "/", "etc/pod.yaml"},
		{"/etc/pod.yaml", "", "file:///etc/pod.yaml"},
		{"../pod.yaml", "/ci/build", "../pod.yaml"},
		{"a b/100%/#1/中.yaml", "/ci", "a%20b/100%25/%231/%E4%B8%AD.yaml"},
		{"c:d.yaml", "/ci", "c%3Ad.yaml"},
		{"what?x=[1]&y", "/ci", "what%3Fx%3D%5B1%5D%26y"},
		{`odd\name.yaml`, "/ci", "odd%5Cname.yaml"},
		{`C:\ci\build\deploy\pod.yaml`, `C:\ci\build`, "deploy/pod.yaml"},
		{`D:\other\pod one.yaml`, `C:\ci\build`, "file:///D:/other/pod%20one.yaml"},
		{`\\server\share\pod.yaml`, `C:\ci`, "file://server/share/pod.yaml"},
		{"bad\xff.yaml", "/ci", "bad%FF.yaml"},
		{"-", "/ci", "-"},
	} {
		got := fileURI(c.file, c.dir)
		if got != c.want {
			t.Errorf("%q in %q: got %q, want %q", c.file, c.dir, got, c.want)
		}
		if _, err := url.Parse(got); err != nil {
			t.Errorf("%q: %v", got, err)
		}
	}
}

func TestWebLink(t *testing.T) {
	for link, want := range map[string]bool{
		"https://kubernetes.io/docs/#a": true, "http://example.org": true, "javascript:alert(1)": false, "data:text/html,x": false,
		"//example.org": false, "https:///x": false, "ftp://example.org": false, "": false, "https://a b": false, "https://a/<b>": false, "HTTPS://a/": true,
	} {
		if got := webLink(link); got != want {
			t.Errorf("%q: %v", link, got)
		}
	}
}
