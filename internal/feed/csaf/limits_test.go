package csaf

import (
	"strings"
	"testing"

	"stockade.dev/stockade/internal/feed/feedtest"
)

const head = `{"document":{"category":"csaf_vex","publisher":{"name":"openEuler"},"tracking":{"id":"CVE-2024-1234"}},`

func TestDeep(t *testing.T) {
	open, end := strings.Repeat(`{"category":"x","branches":[`, 200), strings.Repeat(`]}`, 200)
	_, err := feedtest.Read(Reader, "a/b.json", head+`"product_tree":{"branches":[`+open+end+`]}}`)
	if err == nil || !strings.Contains(err.Error(), "nested") {
		t.Error(err)
	}
}

// TestCircle holds that relationships that name each other end.
func TestCircle(t *testing.T) {
	s, err := feedtest.Read(Reader, "a/b.json", head+`"product_tree":{"relationships":[
		{"full_product_name":{"product_id":"a"},"product_reference":"x","relates_to_product_reference":"b"},
		{"full_product_name":{"product_id":"b"},"product_reference":"y","relates_to_product_reference":"a"}]},
		"vulnerabilities":[{"cve":"CVE-2024-1234","product_status":{"fixed":["a"]}}]}`)
	if err != nil || len(s.Rows) > 0 || s.Refusals["openeuler-vex"]["product not in the tree"] != 1 {
		t.Error(err, s.Rows, s.Refusals)
	}
}

func TestAdvisoryID(t *testing.T) {
	for url, want := range map[string]string{
		"https://access.redhat.com/errata/RHSA-2023:7625": "RHSA-2023:7625", "https://www.openeuler.org/detail/?id=openEuler-SA-2025-1351": "openEuler-SA-2025-1351",
		"https://www.suse.com/support/": "", "": "", "https://vendor.example.com/page-1.html": "",
	} {
		if got := advisoryID(url); got != want {
			t.Errorf("%s: %q", url, got)
		}
	}
}
