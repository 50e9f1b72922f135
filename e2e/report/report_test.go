package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/report"
)

// page writes the HTML report of a scan and returns its path.
func page(t *testing.T, lang string, play func(h finding.Handler) error) string {
	t.Helper()
	var out bytes.Buffer
	h, err := report.New("html", &out, report.Options{Lang: lang})
	if err != nil {
		t.Fatal(err)
	}
	if err := play(h); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// hostile plays the hand-written document that also makes the golden files.
func hostile(t *testing.T) func(h finding.Handler) error {
	data, err := os.ReadFile("../../internal/report/testdata/findings.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(h finding.Handler) error { return report.Read(bytes.NewReader(data), h) }
}

var risks = []string{"workload", "node-escape", "network", "access-control", "key-management", "control-plane", "image", "supply-chain"}

// made plays a scan of n findings of up to 120 rules, every eleventh suppressed, with a framework of 60 clauses.
func made(n int, kind string) func(h finding.Handler) error {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	target := finding.Target{Kind: kind, Name: "shop", Version: "v1.34.2", Scores: map[string]int{"workload": 71, "node-escape": 88, "network": 40, "access-control": 100}}
	return func(h finding.Handler) error {
		if err := h.Begin(finding.Header{Tool: finding.Tool{Name: "stockade", Version: "1.0.0", Rules: "sha256:0123456789abcdef"}, Target: target, StartedAt: at}); err != nil {
			return err
		}
		hits := map[int][]string{}
		for i := range n {
			f := madeFinding(i, kind)
			if f.Suppression == nil {
				hits[i%120%60] = append(hits[i%120%60], f.Fingerprint)
			}
			if err := h.Finding(f); err != nil {
				return err
			}
		}
		for i := range 60 {
			c := finding.Clause{Framework: "cis-1.12", Clause: fmt.Sprintf("5.%d.%d", i/10+1, i%10+1), Status: finding.Pass, Title: finding.Text{EN: fmt.Sprintf("Requirement %d is met by every workload", i), ZH: fmt.Sprintf("所有工作负载满足要求 %d", i)}}
			if c.Findings = hits[i]; len(c.Findings) > 0 {
				c.Status = finding.Fail
			} else if i%7 == 0 {
				c.Status, c.Reason = finding.Manual, finding.Text{EN: "needs a look at the provider's console", ZH: "需在云服务商控制台确认"}
			}
			if err := h.Clause(c); err != nil {
				return err
			}
		}
		for i := range min(n, 250) {
			if err := h.NotScanned(finding.NotScanned{Target: fmt.Sprintf("charts/app/templates/part-%d.yaml", i), What: "template", Reason: "Go template, not a manifest", Code: finding.Skipped}); err != nil {
				return err
			}
		}
		return h.End(at.Add(4*time.Second), target, finding.Stats{Objects: n / 3, Rules: 230, Checks: int64(n) * 40, DurationMs: 4000})
	}
}

func madeFinding(i int, kind string) *finding.Finding {
	r := i % 120
	title := finding.Text{EN: fmt.Sprintf("Privilege escalation of kind %d is allowed in a container", r), ZH: fmt.Sprintf("容器允许第 %d 类权限提升", r)}
	path := "spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation"
	f := &finding.Finding{Fingerprint: finding.Identity{Name: fmt.Sprint(i)}.Fingerprint(), Kind: finding.Configuration, Rule: fmt.Sprintf("workload/rule-%d", r), RuleID: fmt.Sprintf("STK-W-%04d", r),
		Severity: finding.Severities[r%5], Risk: risks[r%len(risks)], Title: title, Status: finding.Open,
		Message:     finding.Text{EN: title.EN + ": container app: " + path + " is not set, want false", ZH: title.ZH + "：容器 app：" + path + " 未设置，应为 false"},
		Remediation: finding.Text{EN: "Set securityContext.allowPrivilegeEscalation to false in every container, init containers included.", ZH: "在每个容器（包括 init 容器）中将 securityContext.allowPrivilegeEscalation 设为 false。"},
		References:  []string{"https://kubernetes.io/docs/tasks/configure-pod-container/security-context/"}, Aliases: []string{"trivy:KSV-0001", "checkov:CKV_K8S_20"},
		Resource:   finding.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: fmt.Sprintf("team-%d", i%9), Name: fmt.Sprintf("service-%d", i/120), Container: "app"},
		Evidence:   []finding.Evidence{{Path: path, Found: nil, Want: false}},
		Compliance: []finding.ClauseRef{{Framework: "cis-1.12", Clause: fmt.Sprintf("5.%d.%d", r%60/10+1, r%60%10+1)}}}
	if kind == "iac" {
		f.Resource.File, f.Resource.Line, f.Resource.Column = fmt.Sprintf("deploy/overlays/production/team-%d/service-%d/deployment.yaml", i%9, i/120), i%80+1, 9
		f.Snippet = &finding.Snippet{Line: f.Resource.Line, Text: "        securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL]}}"}
	} else {
		f.Resource.Cluster = "shop"
	}
	if i%11 == 10 {
		f.Status, f.Suppression = finding.Suppressed, &finding.Suppression{By: "exception", Reason: "accepted by the platform team", Expires: "2027-01-01"}
	}
	return f
}

var views = map[string]view{
	"1440": {width: 1440, height: 900},
	"390":  {width: 390, height: 844},
}

// TestViews opens reports of every size in both languages, both widths and both colour schemes.
func TestViews(t *testing.T) {
	b := startBrowser(t)
	for _, c := range []struct {
		name string
		play func(h finding.Handler) error
		want numbers
	}{
		{"hostile", hostile(t), numbers{open: 19, hidden: 3, rules: 9, critical: 4}},
		{"none", made(0, "iac"), numbers{}},
		{"ten", made(10, "cluster"), numbers{open: 10, rules: 10, critical: 2}},
		{"thousands", made(5000, "iac"), numbers{open: 4546, hidden: 454, rules: 120, critical: 909}},
	} {
		for _, lang := range []string{"en", "zh"} {
			file := page(t, lang, c.play)
			for size, v := range views {
				for _, dark := range []bool{false, true} {
					if dark && c.name == "thousands" {
						continue // as ten, only slower
					}
					v.dark = dark
					name := fmt.Sprintf("%s-%s-%s-%v", c.name, lang, size, map[bool]string{false: "light", true: "dark"}[dark])
					t.Run(name, func(t *testing.T) {
						look(t, b, file, name, lang, v, c.want)
					})
				}
			}
		}
	}
}

// numbers are what a page must say.
type numbers struct{ open, hidden, rules, critical int }

// look opens a report in one view, first as it comes, then with everything open, then as it is printed.
func look(t *testing.T, b *browser, file, name, lang string, v view, want numbers) {
	p := b.open(t, file, "", v)
	defer p.close(t)
	check := func(what, expression, want string) {
		t.Helper()
		if got := p.text(t, "String("+expression+")"); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	check("width", "innerWidth", fmt.Sprint(v.width))
	check("total", `document.getElementById("total").textContent`, grouped(want.open))
	check("critical", `document.querySelector("[data-severity=critical] b").textContent`, grouped(want.critical))
	check("rules", `document.querySelectorAll("#list details").length`, fmt.Sprint(min(want.rules, 40)))
	check("language", "document.documentElement.lang", map[string]string{"en": "en", "zh": "zh-CN"}[lang])
	check("scheme", `document.documentElement.classList.contains("dark")`, fmt.Sprint(v.dark))
	if shown := p.text(t, `document.getElementById("shown").textContent`); !strings.Contains(shown, grouped(want.open)) || !strings.Contains(shown, fmt.Sprint(want.rules)) {
		t.Errorf("shown: %q", shown)
	}
	if got := p.text(t, `(document.getElementById("suppressed") || {textContent: ""}).textContent`); want.hidden > 0 && !strings.Contains(got, grouped(want.hidden)) {
		t.Errorf("suppressed: %q, want %d", got, want.hidden)
	}
	p.checkWidth(t, "first view")
	p.picture(t, name, false)
	p.eval(t, `document.getElementById("openall").click(); document.querySelectorAll("details").forEach((d) => { d.open = true; })`, nil)
	p.settle(t)
	p.checkWidth(t, "all open")
	if strings.HasPrefix(name, "hostile") { // how an emergency was verified: the verdict, each check, and what was not read
		block := `document.querySelector("[data-rule=CVE-2024-21626] .verified")`
		check("verdict", block+`.querySelector("b").textContent`, map[string]string{"en": "Verdict: affected by version; a precondition could not be looked at", "zh": "核实结论：版本受影响，但部分利用条件无法核实"}[lang])
		check("checks", block+`.querySelectorAll("li").length`, "4")
		check("a check not looked at", block+`.querySelectorAll("li")[2].textContent.includes("`+map[string]string{"en": "checks of the class request are not allowed here", "zh": "此处不允许 request 类检查"}[lang]+`")`, "true")
		check("what was not read", block+`.textContent.includes("`+map[string]string{"en": "<i>lies</i>", "zh": "<i>位于</i>"}[lang]+`")`, "true")
		check("markup of others", block+`.querySelectorAll("script, i").length`, "0")
	}
	if want.open <= 20 {
		p.picture(t, name+"-open", true)
	}
	p.call(t, "Emulation.setEmulatedMedia", map[string]any{"media": "print"}, nil)
	p.checkWidth(t, "print")
	if want.open <= 20 {
		p.picture(t, name+"-print", true)
	}
	check("tools on paper", `getComputedStyle(document.querySelector(".tools")).display`, "none")
}

// grouped is a number as both languages of the page write it.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
