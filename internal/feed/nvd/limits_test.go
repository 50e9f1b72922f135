package nvd

import (
	"fmt"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/feed/feedtest"
)

func TestManyNodes(t *testing.T) {
	var nodes []string
	for i := range 5000 {
		nodes = append(nodes, fmt.Sprintf(`{"operator":"OR","cpeMatch":[{"vulnerable":true,"criteria":"cpe:2.3:a:a:b%d:*:*:*:*:*:*:*:*"}]}`, i))
	}
	s, err := feedtest.Read(Reader, "nvd/x.json", `{"format":"NVD_CVE","vulnerabilities":[{"cve":{"id":"CVE-2024-1234","configurations":[{"operator":"AND","nodes":[`+strings.Join(nodes, ",")+`]}]}}]}`)
	if err != nil || len(s.Rows) > 0 || s.Refusals[cves]["more nodes than a configuration can have"] != 1 {
		t.Error(err, len(s.Rows), s.Refusals)
	}
}

// TestShape holds that an entry of another shape costs that entry only, and text that is no JSON the rest.
func TestShape(t *testing.T) {
	s, err := feedtest.Read(Reader, "nvd/x.json", `{"vulnerabilities":[{"cve":{"id":5}},{"cve":{"id":"CVE-2024-1234"}},{"cve":{"id":"CVE-2024-12`)
	if err == nil || !strings.HasPrefix(err.Error(), "nvd/x.json: byte ") || s.Records[cves] != 2 || len(s.Vulnerabilities) != 1 || s.Refusals[cves]["entry of another shape"] != 1 {
		t.Error(err, s.Records, s.Refusals)
	}
}
