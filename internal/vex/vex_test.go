package vex_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/vex"
)

const digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func log4j() *finding.Finding {
	return &finding.Finding{Kind: finding.Vulnerability, Remediation: finding.Text{EN: "Update to 2.15.0."},
		Resource: finding.Resource{Image: "registry.example.com/shop/till:1.0", Digest: digest},
		Vulnerability: &finding.Vulnerable{ID: "CVE-2021-44228", Aliases: []string{"GHSA-jfh8-c2jp-5v3q"},
			PURL: "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"}}
}

func openVEX(statement string) string {
	return `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"Shop","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[` + statement + `]}`
}

func TestSuppress(t *testing.T) {
	const not = `"status":"not_affected","justification":"vulnerable_code_not_in_execute_path"`
	cyclone := func(analysis, affects string) string {
		return `{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,
			"metadata":{"component":{"type":"container","name":"registry.example.com/shop/till"}},
			"components":[{"bom-ref":"log4j","type":"library","name":"log4j-core","purl":"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"}],
			"vulnerabilities":[{"id":"CVE-2021-44228","analysis":{"state":"` + analysis + `","detail":"class removed"},"affects":[` + affects + `]}]}`
	}
	csaf := func(status string) string {
		return `{"document":{"category":"csaf_vex","publisher":{"name":"Shop"}},"product_tree":{"branches":[{"branches":[
			{"product":{"product_id":"P","name":"log4j","product_identification_helper":{"purl":"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"}}}]}]},
			"vulnerabilities":[{"cve":"CVE-2021-44228","product_status":{"` + status + `":["P"]},"flags":[{"label":"vulnerable_code_not_present","product_ids":["P"]}]}]}`
	}
	for _, tt := range []struct{ name, doc, reason string }{
		{"package", openVEX(`{"vulnerability":{"name":"CVE-2021-44228"},"products":[{"@id":"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"}],` + not + `}`),
			"not_affected: vulnerable_code_not_in_execute_path (Shop)"},
		{"any version of the package", openVEX(`{"vulnerability":{"name":"CVE-2021-44228"},"products":[{"@id":"pkg:maven/org.apache.logging.log4j/log4j-core"}],` + not + `}`), "not_affected"},
		{"by alias", openVEX(`{"vulnerability":{"name":"GHSA-jfh8-c2jp-5v3q"},"products":[{"@id":"pkg:maven/org.apache.logging.log4j/log4j-core"}],` + not + `}`), "not_affected"},
		{"image and part", openVEX(`{"vulnerability":{"name":"CVE-2021-44228"},"products":[{"@id":"pkg:oci/till@` + strings.Replace(digest, ":", "%3A", 1) +
			`?repository_url=registry.example.com/shop/till","subcomponents":[{"@id":"pkg:maven/org.apache.logging.log4j/log4j-core"}]}],"status":"fixed"}`), "fixed"},
		{"image by name", openVEX(`{"vulnerability":{"name":"CVE-2021-44228"},"products":[{"@id":"registry.example.com/shop/till"}],` + not + `}`), "not_affected"},
		{"other version", openVEX(`{"vulnerability":{"name":"CVE-2021-44228"},"products":[{"@id":"pkg:maven/org.apache.logging.log4j/log4j-core@2.13.0"}],` + not + `}`), ""},
		{"other image", openVEX(`{"vulnerability":{"name":"CVE-2021-44228"},"products":[{"@id":"pkg:oci/shop"}],` + not + `}`), ""},
		{"other part", openVEX(`{"vulnerability":{"name":"CVE-2021-44228"},"products":[{"@id":"pkg:oci/till","subcomponents":[{"@id":"pkg:npm/ws"}]}],` + not + `}`), ""},
		{"other id", openVEX(`{"vulnerability":{"name":"CVE-2021-45046"},"products":[{"@id":"pkg:oci/till"}],` + not + `}`), ""},
		{"affected", openVEX(`{"vulnerability":{"name":"CVE-2021-44228"},"products":[{"@id":"pkg:oci/till"}],"status":"affected","action_statement":"update"}`), ""},
		{"taken back", openVEX(`{"vulnerability":{"name":"CVE-2021-44228"},"products":[{"@id":"pkg:oci/till"}],` + not + `,"timestamp":"2026-01-02T00:00:00Z"},
			{"vulnerability":{"name":"CVE-2021-44228"},"products":[{"@id":"pkg:oci/till"}],"status":"affected","action_statement":"update","timestamp":"2026-01-03T00:00:00Z"}`), ""},
		{"CycloneDX", cyclone("not_affected", `{"ref":"log4j"}`), "not_affected: class removed"},
		{"CycloneDX, whole", cyclone("false_positive", ``), "false_positive"},
		{"CycloneDX, exploitable", cyclone("exploitable", `{"ref":"log4j"}`), ""},
		{"CycloneDX, unknown ref", cyclone("not_affected", `{"ref":"other"}`), ""},
		{"CSAF", csaf("known_not_affected"), "not_affected: vulnerable_code_not_present (Shop)"},
		{"CSAF, affected", csaf("known_affected"), ""},
	} {
		var s vex.Set
		if err := s.Add([]byte(tt.doc)); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := s.Suppress(log4j())
		if (got == nil) != (tt.reason == "") || got != nil && (got.By != "vex" || !strings.HasPrefix(got.Reason, tt.reason)) {
			t.Errorf("%s: %+v, want %q", tt.name, got, tt.reason)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := vex.Load(dir); err == nil {
		t.Error("an empty folder is no set of statements")
	}
	write("a.json", openVEX(`{"vulnerability":{"name":"CVE-1"},"products":[{"@id":"pkg:oci/till"}],"status":"fixed"}`))
	write("note.txt", "not read")
	s, err := vex.Load(dir)
	if err != nil || s.Documents != 1 || s.Statements != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for name, text := range map[string]string{"not JSON": "<x/>", "another document": `{"a":1}`, "wrong types": `{"document":{},"vulnerabilities":7}`} {
		write("b.json", text)
		if _, err := vex.Load(dir); err == nil || !strings.Contains(err.Error(), "b.json") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWrite reads back what was written.
func TestWrite(t *testing.T) {
	open, accepted := log4j(), log4j()
	accepted.Vulnerability.ID = "CVE-2021-45046"
	accepted.Vulnerability.Aliases = nil
	accepted.Suppression = &finding.Suppression{By: "exception", Reason: "class removed"}
	var b bytes.Buffer
	if err := vex.Write(&b, "Shop", time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), []*finding.Finding{open, accepted}); err != nil {
		t.Fatal(err)
	}
	var s vex.Set
	if err := s.Add(b.Bytes()); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if s.Suppress(open) != nil {
		t.Error("an open finding was written as not affected")
	}
	if got := s.Suppress(accepted); got == nil || !strings.Contains(got.Reason, "class removed") {
		t.Errorf("%+v\n%s", got, b.String())
	}
}

func FuzzAdd(f *testing.F) {
	f.Add([]byte(openVEX(`{"vulnerability":{"name":"CVE-1"},"products":[{"@id":"pkg:oci/till"}],"status":"fixed"}`)))
	f.Add([]byte(`{"bomFormat":"CycloneDX","vulnerabilities":[{"analysis":{"state":"resolved"},"affects":[{"ref":"pkg:"}]}]}`))
	f.Add([]byte(`{"document":{},"product_tree":{"branches":[{"branches":[]}]},"vulnerabilities":[{"product_status":{"fixed":["x"]}}]}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		var s vex.Set
		if s.Add(data) == nil {
			s.Suppress(log4j())
		}
	})
}
