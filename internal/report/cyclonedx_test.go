package report

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"stockade.dev/stockade/internal/finding"
)

// TestCycloneDX holds the form to the standard's schema, which lies in the module that writes it.
func TestCycloneDX(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	c := jsonschema.NewCompiler()
	for file, name := range map[string]string{"spdx.schema.json": "spdx.schema.json", "jsf-0.82.schemax.json": "jsf-0.82.schema.json"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("http://cyclonedx.org/schema/"+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile(filepath.Join(dir, "bom-1.6.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	const empty = `{"schema":"stockade.findings/v1","target":{"kind":"image","name":"a"},"findings":[]}`
	for _, data := range [][]byte{document(t), []byte(empty)} {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(render(t, "cyclonedx", data, Options{Lang: "en"})))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Error(err)
		}
	}
}

// TestVerdicts: what was verified stands in the standard's analysis, one entry for each result, and no verdict that is still a finding
// says "not affected".
func TestVerdicts(t *testing.T) {
	var b bytes.Buffer
	h := newCycloneDX(&b, Options{Lang: "zh"})
	if err := h.Begin(finding.Header{}); err != nil {
		t.Fatal(err)
	}
	for i, verdict := range []string{"exposed", "version-only", "unknown", "exposed", "of-tomorrow"} {
		f := &finding.Finding{Fingerprint: string(rune('a' + i)), Kind: finding.Emergency, Vulnerability: &finding.Vulnerable{ID: "CVE-1", Package: "runc", Version: "1"},
			Resource: finding.Resource{Node: "node-" + string(rune('a'+i))}, Emergency: &finding.Verification{ID: "CVE-1", Verdict: verdict,
				Checks: []finding.Verified{{Check: "containers", Class: "process", Says: finding.Text{EN: "root", ZH: "以 root 运行"}, Holds: "yes", Evidence: "seen", SaidZH: "已发现"}}}}
		if err := h.Finding(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.End(time.Unix(0, 0), finding.Target{Name: "c"}, finding.Stats{}); err != nil {
		t.Fatal(err)
	}
	var doc cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(&b, cyclonedx.BOMFileFormatJSON).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range *doc.Vulnerabilities {
		got = append(got, fmt.Sprintf("%s %s %d", v.Analysis.State, (*v.Properties)[0].Value, len(*v.Affects)))
		if !strings.Contains(v.Analysis.Detail, "已发现") {
			t.Errorf("%q does not say what was seen", v.Analysis.Detail)
		}
	}
	if want := "exploitable exposed 2, in_triage version-only 1, in_triage unknown 1,  of-tomorrow 1"; strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
	if len(*doc.Components) != 5 {
		t.Errorf("%d components: nodes are not told apart", len(*doc.Components))
	}
}
