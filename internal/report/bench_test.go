package report

import (
	"fmt"
	"io"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// many makes n findings of the size and shape of a real scan: 150 rules whose texts and lists the findings share, places in
// files, evidence with a missing, a plain and a nested value.
func many(n int) []*finding.Finding {
	rules := make([]finding.Finding, 150)
	for i := range rules {
		rules[i] = finding.Finding{Kind: finding.IaC, Rule: fmt.Sprintf("workload/rule-number-%d", i), RuleID: fmt.Sprintf("STK-W-%04d", i),
			Aliases:  []string{fmt.Sprintf("trivy:KSV-%04d", i), fmt.Sprintf("checkov:CKV_K8S_%d", i), fmt.Sprintf("kubescape:C-%04d", i)},
			Severity: finding.Severities[i%5], Risk: []string{"workload", "node-escape", "network", "access-control"}[i%4],
			Title: finding.Text{EN: fmt.Sprintf("Privilege escalation of kind %d is allowed", i), ZH: fmt.Sprintf("允许第 %d 类权限提升", i)},
			Remediation: finding.Text{EN: "Set securityContext.allowPrivilegeEscalation to false in every container, init containers included. Windows pods do not have the field.",
				ZH: "在每个容器（包括 init 容器）中将 securityContext.allowPrivilegeEscalation 设为 false。Windows Pod 没有该字段。"},
			References: []string{"https://kubernetes.io/docs/tasks/configure-pod-container/security-context/", "https://kubernetes.io/docs/concepts/security/pod-security-standards/"},
			Compliance: []finding.ClauseRef{{Framework: "cis-1.12", Clause: "5.2.6"}, {Framework: "pss-restricted", Clause: "privilege-escalation"}}, Status: finding.Open}
	}
	values := []any{nil, true, "0.0.0.0/0", map[string]any{"capabilities": map[string]any{"add": []any{"SYS_ADMIN"}}}}
	out := make([]*finding.Finding, n)
	for i := range out {
		f := rules[i%len(rules)]
		path := fmt.Sprintf("spec.template.spec.containers[%d].securityContext.allowPrivilegeEscalation", i%3)
		f.Fingerprint = finding.Identity{RuleID: f.RuleID, Name: fmt.Sprint(i)}.Fingerprint()
		f.Message = finding.Text{EN: f.Title.EN + ": container app: " + path + " is not set, want false", ZH: f.Title.ZH + "：容器 app：" + path + " 未设置，应为 false"}
		f.Resource = finding.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: fmt.Sprintf("team-%d", i%20), Name: fmt.Sprintf("service-%d", i/150),
			Container: "app", File: fmt.Sprintf("deploy/team-%d/service-%d.yaml", i%20, i/150), Line: i%90 + 1, Column: 9}
		f.Evidence = []finding.Evidence{{Path: path, Found: values[i%len(values)], Want: false}}
		f.Snippet = &finding.Snippet{Line: f.Resource.Line, Text: "        securityContext: {allowPrivilegeEscalation: true}"}
		out[i] = &f
	}
	return out
}

func benchmarkForm(b *testing.B, form string) {
	findings := many(2000)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		h, err := New(form, io.Discard, Options{Lang: "en"})
		if err != nil {
			b.Fatal(err)
		}
		if err := h.Begin(finding.Header{Tool: finding.Tool{Name: "stockade"}, Target: finding.Target{Kind: "iac", Name: "bench"}, StartedAt: at}); err != nil {
			b.Fatal(err)
		}
		for _, f := range findings {
			if err := h.Finding(f); err != nil {
				b.Fatal(err)
			}
		}
		if err := h.End(at, finding.Target{Kind: "iac", Name: "bench"}, finding.Stats{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(findings)), "ns/finding")
}

// BenchmarkForm writes 2,000 findings in every form.
func BenchmarkForm(b *testing.B) {
	for _, f := range Forms {
		b.Run(f.Name, func(b *testing.B) { benchmarkForm(b, f.Name) })
	}
}
