package parity

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/policy"
)

// TestLengths: a refusal is short enough for kubectl whatever the name of the policy, and names it alike whichever engine wrote it: CEL,
// Rego, and Go for the preview. All of them count characters, not bytes.
func TestLengths(t *testing.T) {
	lib := library(t)
	var containers []any
	for i := range 5 {
		containers = append(containers, container(fmt.Sprint(strings.Repeat("container-", 5), i), "registry.example.com/"+strings.Repeat("deep/", 20)+"unknown:1", m{"env": []any{m{"name": "A", "value": "1"}, m{"name": "A", "value": "2"}}}))
	}
	object := pod("shop", "web", containers...)
	for _, lang := range []string{"en", "zh"} {
		for _, name := range []string{"x", strings.Repeat("Block the images of shop ", 4), strings.Repeat("支付平台", 25), strings.Repeat("🔥", 100)} {
			p := policy.Policy{Rules: []policy.RuleUse{{Rule: "workload/seccomp-profile-missing"}, {Rule: "workload/no-kernel-hardening"}, {Rule: "workload/duplicate-env"}}}
			if lang == "en" && len(name) == 100 {
				p = everything(lib)
			}
			p.Name, p.Checks, p.Unanswered = name, []policy.ImageCheck{{Check: policy.Vulnerabilities}}, policy.Block
			b := bundleOf(p)
			b.Lang, b.Console = lang, "https://stockade.security.example.com:8443"
			b.Policies[0].ID = 123456
			want := map[string]string{"en": `Policy "` + policy.ShortName(name) + `"; more`, "zh": "策略“" + policy.ShortName(name) + "”；"}[lang]
			judge, _, err := policy.NewJudge(t.Context(), lib, b, nil)
			if err != nil {
				t.Fatal(err)
			}
			a := &ask{operation: "CREATE", user: "alice", object: object}
			var said []string
			for _, v := range judge.Judge(t.Context(), a.request()).Violations {
				said = append(said, "deny "+b.Refusal(&v))
			}
			preview := len(said)
			said = append(said, newGate(t, lib, b, constraint.Options{}, nil).review(t, a)...)
			if preview == 0 || len(said) <= preview {
				t.Fatalf("%d refusals, %d of them of the preview", len(said), preview)
			}
			silent := 0
			for _, s := range said {
				if n := utf8.RuneCountInString(s); n > len("deny ")+export.MaxRefusal || !utf8.ValidString(s) || !strings.Contains(s, want) {
					t.Errorf("%s, %d characters: %s", lang, n, s)
				}
				if strings.Contains(s, "[image/unanswered]") && strings.Contains(s, "container-") {
					silent++
				}
			}
			if silent != 1 {
				t.Errorf("%s: %d refusals for want of an answer", lang, silent)
			}
		}
	}
}
