package scan

import (
	"context"
	"testing"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// TestLabels: exceptions with a label selector see the labels of the pods, whichever object was judged; those for findings on
// an image hold when all workloads that run it match.
func TestLabels(t *testing.T) {
	const text = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: till, namespace: shop, labels: {team: other}}
spec:
  template:
    metadata: {labels: {team: shop, tier: web}}
    spec: {containers: [{name: web, image: "registry.example.com/till:1", securityContext: {privileged: true}}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec:
  jobTemplate: {spec: {template: {metadata: {labels: {team: shop, tier: batch}}, spec: {containers: [{name: job, image: "registry.example.com/till:1"}]}}}}
`
	software := &Software{
		Load: func(_ context.Context, u Use) (*inventory.Software, error) {
			return &inventory.Software{Kind: "image", Name: u.Reference}, nil
		},
		Match: func(*inventory.Software, Use, string) ([]*finding.Finding, []inventory.Gap, string) {
			return []*finding.Finding{{Fingerprint: "v", Rule: "CVE-1", Kind: finding.Vulnerability, Severity: finding.High, Status: finding.Open, Vulnerability: &finding.Vulnerable{ID: "CVE-1"}}}, nil, ""
		},
	}
	for selector, want := range map[string]struct{ object, image bool }{
		"team=shop": {true, true}, "team=other": {}, "tier=web": {object: true}, "tier in (web,batch)": {true, true}, "!team": {},
	} {
		list, err := exception.Read([]byte(`exceptions: [{rule: "*", reason: r, labels: "` + selector + `"}, {rule: "*/*", reason: r, labels: "` + selector + `"}]`))
		if err != nil {
			t.Fatal(err)
		}
		set, err := exception.New(list)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := scanText(t, "cluster", text, Config{Library: library(t, privileged), Software: software, Filter: Filter{Exceptions: set}})
		if len(got.findings) != 2 {
			t.Fatalf("%+v", got.findings)
		}
		for _, f := range got.findings {
			accepted := want.object
			if f.Rule == "CVE-1" {
				accepted = want.image
			}
			if (f.Status == finding.Suppressed) != accepted {
				t.Errorf("%s: %s is %s", selector, f.Rule, f.Status)
			}
		}
	}
}
