package policy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
)

const digestOfTest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// imageViolation is what the engine has against an image with so many vulnerabilities.
func imageViolation(t *testing.T, b *policy.Bundle, image string, f policy.Failure) *policy.Violation {
	t.Helper()
	f.Policy, f.Check = 7, 0
	b.Policies = []policy.Policy{{ID: 7, Name: "shop images", Action: policy.Block, Checks: []policy.ImageCheck{{Check: f.Kind, Allow: []string{"registry.example.com/*"}}}}}
	j, _, err := policy.NewJudge(t.Context(), lib(t), b, answers{policy.ImageVerdict{State: policy.Known, Failed: []policy.Failure{f}}})
	if err != nil {
		t.Fatal(err)
	}
	violations, doubts := j.Image(t.Context(), policy.ImageKey{Policy: 7, Action: policy.Block, Image: image}, time.Now())
	if len(violations) != 1 || len(doubts) > 0 {
		t.Fatalf("%s: %+v %+v", image, violations, doubts)
	}
	return &violations[0]
}

// answers says the same of every image.
type answers struct{ v policy.ImageVerdict }

func (a answers) Verdict(context.Context, string, string, []string) (*policy.ImageVerdict, error) {
	return &a.v, nil
}

// TestImageRefusals: of long names something gives way, and never what identifies: the CVE, the version that fixes it, the policy, the link.
func TestImageRefusals(t *testing.T) {
	many := policy.Failure{Kind: policy.Vulnerabilities, Count: 50, Worst: "critical", Message: finding.Text{EN: "50 vulnerabilities of severity critical, with a fix, known to be exploited", ZH: "50 个可修复、已知被利用的严重漏洞"},
		Fix: finding.Text{EN: "Build the image again with org.apache.logging.log4j:log4j-core 2.17.1 or later.", ZH: "请使用以下或更高版本重新构建镜像：org.apache.logging.log4j:log4j-core 2.17.1。"}}
	for i := range 5 {
		many.Items = append(many.Items, fmt.Sprintf("CVE-2021-4422%d org.apache.logging.log4j:log4j-core 2.14.1+security-update.2021.12.%d (fixed in 2.15.%d)", i, i, i))
	}
	one := policy.Failure{Kind: policy.Vulnerabilities, Count: 1, Items: []string{"CVE-2014-6271 bash 4.3-7 (fixed in 4.3-7ubuntu1.1)"},
		Message: finding.Text{EN: "1 vulnerability of severity critical", ZH: "1 个严重漏洞"}, Fix: finding.Text{EN: "Build the image again with bash 4.3-7ubuntu1.1 or later.", ZH: "请重新构建镜像。"}}
	long := "registry.internal.platform.eu-central-1.example.com:5000/team-payments/services/backend/checkout-gateway-service"
	const link = "https://stockade.example.com/protection/why?policy=7&rule=image/vulnerability"
	for _, c := range []struct {
		name, image string
		failure     policy.Failure
		want        []string // in both languages
		en, zh      string
	}{
		{"short", "till:2", one, []string{"till:2", "CVE-2014-6271 bash 4.3-7"}, "till:2: 1 vulnerability of severity critical: CVE-2014-6271 bash 4.3-7 (fixed in 4.3-7ubuntu1.1). ", "镜像存在漏洞：till:2：1 个严重漏洞：CVE-2014-6271 bash 4.3-7（修复版本 4.3-7ubuntu1.1）。"},
		{"digest", "registry.example.com/shop/till:2@" + digestOfTest, one, []string{"till:2@sha256:0123456789ab…", "CVE-2014-6271 bash 4.3-7"}, "(fixed in 4.3-7ubuntu1.1)", "（修复版本 4.3-7ubuntu1.1）"},
		{"long name with a digest, 50 CVEs", long + ":release-2026.11.21-rc1@" + digestOfTest, many, []string{"CVE-2021-44220"}, "(fixed in 2.15.0)", "（修复版本 2.15.0）"},
		{"50 CVEs", "registry.example.com/shop/till:2", many, []string{"till:2", "CVE-2021-44220"}, " and 4", "等（另有 4"},
		{"long name", long, one, []string{"service", "CVE-2014-6271"}, "(fixed in 4.3-7ubuntu1.1)", "（修复版本 4.3-7ubuntu1.1）"},
		{"no slash", strings.Repeat("a", 240) + ":1", one, []string{"a:1", "CVE-2014-6271"}, "(fixed in 4.3-7ubuntu1.1)", "（修复版本 4.3-7ubuntu1.1）"},
	} {
		for _, lang := range []string{"en", "zh"} {
			b := &policy.Bundle{Lang: lang, Console: "https://stockade.example.com/"}
			v := imageViolation(t, b, c.image, c.failure)
			got := b.ImageRefusal(v)
			want := append([]string{"[image/vulnerability] ", "shop images", link}, c.want...)
			if lang == "en" {
				want = append(want, c.en)
			} else {
				want = append(want, c.zh)
			}
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("%s, %s: %q is not in %q", c.name, lang, w, got)
				}
			}
			if n := utf8.RuneCountInString(got); n > 264 {
				t.Errorf("%s, %s: %d characters: %s", c.name, lang, n, got)
			}
			v.Container = "web"
			if got := b.Refusal(v); utf8.RuneCountInString(got) > 300 || !strings.Contains(got, link) || !strings.Contains(got, c.want[len(c.want)-1]) {
				t.Errorf("%s, %s: %d characters: %s", c.name, lang, utf8.RuneCountInString(got), got)
			}
		}
	}
}

// TestOtherRefusals: checks without items say what is needed and how to come there.
func TestOtherRefusals(t *testing.T) {
	for _, c := range []struct {
		failure policy.Failure
		en, zh  string
	}{
		{policy.Failure{Kind: policy.Secrets, Count: 3, Message: finding.Text{EN: "3 secrets", ZH: "3 个敏感信息"}, Items: []string{"Private key: /etc/tls/key.pem:1", "Password: /app/.env:3", "Token: /root/.npmrc:2"},
			ItemsZH: []string{"私钥：/etc/tls/key.pem:1", "密码：/app/.env:3", "令牌：/root/.npmrc:2"}, Fix: finding.Text{EN: "Revoke the secret.", ZH: "请吊销该凭据。"}},
			"3 secrets: Private key: /etc/tls/key.pem:1, Password: /app/.env:3 and 1 more. Revoke the secret. ", "3 个敏感信息：私钥：/etc/tls/key.pem:1、密码：/app/.env:3等（另有 1 项）。请吊销该凭据。"},
		{policy.Failure{Kind: policy.Signature, Items: []string{"it has no signature"}, Message: finding.Text{EN: "not signed by release (it has no signature)", ZH: "没有 release 的签名（无签名）"}, Fix: finding.Text{EN: "Sign it.", ZH: "请签名。"}},
			": not signed by release (it has no signature). Sign it. ", "：没有 release 的签名（无签名）。请签名。"},
	} {
		for lang, want := range map[string]string{"en": c.en, "zh": c.zh} {
			b := &policy.Bundle{Lang: lang, Console: "https://stockade.example.com"}
			if got := b.ImageRefusal(imageViolation(t, b, "registry.example.com/x:1", c.failure)); !strings.Contains(got, want) {
				t.Errorf("%q is not in %q", want, got)
			}
		}
	}
	u := policy.Undecided{Policy: 7, Image: "registry.example.com/shop/till@" + digestOfTest, Reason: "nobody could be asked about the image: " + strings.Repeat("dial tcp ", 100)}
	for _, lang := range []string{"en", "zh"} {
		got := (&policy.Bundle{Lang: lang, Console: "https://stockade.example.com"}).NoVerdict("shop", &u)
		if !strings.HasPrefix(got, "[image/unanswered] ") || utf8.RuneCountInString(got) > 264 || !strings.Contains(got, "/till@sha256:0123456789ab…") || strings.Contains(got, "暂时无法查询该镜像") != (lang == "zh") {
			t.Errorf("%d characters: %s", utf8.RuneCountInString(got), got)
		}
	}
}

// TestRuleRefusals: lines of rules keep what identifies.
func TestRuleRefusals(t *testing.T) {
	v := policy.Violation{Policy: 7, Name: "Workloads of the shop", Rule: privileged, RuleID: "STK-W-0001", Severity: finding.High, Container: strings.Repeat("very-long-container-", 3) + "web",
		Title: finding.Text{EN: strings.Repeat("A title that is long ", 8), ZH: strings.Repeat("很长的标题", 30)}, Path: "spec.jobTemplate.spec.template.spec.containers[12].securityContext.capabilities.add",
		Found: strings.Repeat("SYS_ADMIN,", 40), Want: strings.Repeat("drop ALL ", 20), Fix: finding.Text{EN: "Drop every capability. Then add those that are needed.", ZH: "移除所有能力。再添加所需能力。"}}
	for _, lang := range []string{"en", "zh"} {
		b := &policy.Bundle{Lang: lang, Console: "https://stockade.example.com"}
		got := b.Refusal(&v)
		for _, want := range []string{"[STK-W-0001] ", "Workloads of the shop", "https://stockade.example.com/protection/why?policy=7&rule=STK-W-0001", "er-web", "SYS_ADMIN"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in %q", want, got)
			}
		}
		if n := utf8.RuneCountInString(got); n > 300 {
			t.Errorf("%d characters: %s", n, got)
		}
	}
}

// TestLongNames: the name of a policy is shortened in the same way everywhere, and a refusal stays within its room whatever it is.
func TestLongNames(t *testing.T) {
	for name, want := range map[string]string{
		"x": "x", " 50% \"off\"\t": `50% "off"`, strings.Repeat("b", 40): strings.Repeat("b", 40),
		"Images of payments " + strings.Repeat("n", 77) + " end": "Images of pay…" + strings.Repeat("n", 22) + " end",
		strings.Repeat("支付", 50):                                 strings.Repeat("支付", 6) + "支…" + strings.Repeat("支付", 13),
		strings.Repeat("🔥", 100):                                 strings.Repeat("🔥", 13) + "…" + strings.Repeat("🔥", 26),
		"a\u202eb\xff":                                           "a b",
	} {
		if got := policy.ShortName(name); got != want {
			t.Errorf("%q is shortened to %q, not %q", name, got, want)
		}
		for _, lang := range []string{"en", "zh"} {
			b := &policy.Bundle{Lang: lang, Console: "https://stockade.security.example.com:8443"}
			rule := policy.Violation{Policy: 123456, Name: name, RuleID: "STK-W-0001", Container: strings.Repeat("container-", 6), Title: finding.Text{EN: strings.Repeat("title ", 20), ZH: strings.Repeat("标题", 40)},
				Path: strings.Repeat("spec.", 40), Found: strings.Repeat("f", 60), Want: strings.Repeat("w", 60), Fix: finding.Text{EN: strings.Repeat("fix ", 40), ZH: strings.Repeat("修", 90)}}
			image := imageViolation(t, b, strings.Repeat("a", 100)+"/"+strings.Repeat("b", 100)+"@"+digestOfTest, policy.Failure{Kind: policy.Vulnerabilities, Count: 500,
				Message: finding.Text{EN: strings.Repeat("many ", 30), ZH: strings.Repeat("许多", 40)}, Items: []string{"GHSA-jfh8-c2jp-5v3q " + strings.Repeat("p", 100) + " 1 (fixed in 4.3-7ubuntu1.1+esm3)", "x", "y"}})
			image.Policy, image.Name = 123456, name
			u := policy.Undecided{Policy: 123456, Image: image.Image, Reason: strings.Repeat("why ", 50)}
			for most, said := range map[string]int{b.Refusal(&rule): 300, b.ImageRefusal(image): 264, b.NoVerdict(name, &u): 264} {
				if n := utf8.RuneCountInString(most); n > said || !strings.Contains(most, want) || !utf8.ValidString(most) || !strings.Contains(most, ":8443/protection/why?policy=123456&rule=") {
					t.Errorf("%s: %d characters: %s", lang, n, most)
				}
			}
			image.Container = strings.Repeat("container-", 6)
			if said := b.Refusal(image); utf8.RuneCountInString(said) > 300 || !strings.Contains(said, "GHSA-jfh8-c2jp-5v3q") || !strings.Contains(said, "4.3-7ubuntu1.1+esm3") {
				t.Errorf("%s: %d characters: %s", lang, utf8.RuneCountInString(said), said)
			}
		}
	}
}
