package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
)

const goodKey = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEGBgE5Gmy2OZ7VODhqdBSg2Y0a3vm
V4dcg5cGUrxpeldsMHLvd7jDCMDVQOqTDMpJVXsfBjTS5VdO9xnx/PJfAg==
-----END PUBLIC KEY-----
`

func valid() policy.Policy {
	return policy.Policy{Name: "shop", Action: policy.Block, Rules: []policy.RuleUse{{Rule: privileged, Action: policy.Warn}}, Unanswered: policy.Audit, Engine: policy.VAP,
		Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities, Severity: finding.High, Fixable: true, EPSS: 0.5, CVEs: []string{"CVE-2021-44228", "GHSA-jfh8-c2jp-5v3q"}},
			{Check: policy.Registry, Allow: []string{"registry.example.com/*"}}},
		Scope:   policy.Scope{Namespaces: []string{"shop-*", "*-web", "*x*", "*"}, Kinds: []string{"Pod", "Deployment.apps"}, NamespaceSelector: "team in (a,b),!x", Images: []string{"[a-z]*"}},
		Rollout: policy.Rollout{Warn: now, Block: now.Add(time.Hour)}}
}

// TestValidate: every mistake is told with the field's name, and all of them at once.
func TestValidate(t *testing.T) {
	p := valid()
	if err := policy.Validate(&p, lib(t), nil); err != nil {
		t.Fatal(err)
	}
	multi := ""
	for _, r := range lib(t).Rules {
		if !r.SingleObject() && multi == "" {
			multi = r.Name
		}
	}
	for name, c := range map[string]struct {
		change func(*policy.Policy)
		want   string
	}{
		"no name":                {func(p *policy.Policy) { p.Name = " " }, "name: a name on one line"},
		"two lines":              {func(p *policy.Policy) { p.Name = "a\nb" }, "name: "},
		"turned text":            {func(p *policy.Policy) { p.Name = "a\u202eb" }, "name: holds a character"},
		"long":                   {func(p *policy.Policy) { p.Name = strings.Repeat("a", 101) }, "name: longer than 100"},
		"no action":              {func(p *policy.Policy) { p.Action = "" }, `action: "": want audit, warn or block`},
		"another action":         {func(p *policy.Policy) { p.Action = "deny" }, `action: "deny"`},
		"unanswered":             {func(p *policy.Policy) { p.Unanswered = "x" }, "unanswered: "},
		"engine":                 {func(p *policy.Policy) { p.Engine = "opa" }, "engine: "},
		"vap without rules":      {func(p *policy.Policy) { p.Rules = nil }, "engine: vap is for rules"},
		"nothing in it":          {func(p *policy.Policy) { p.Rules, p.Checks, p.Engine = nil, nil, "" }, "rules: the policy has neither"},
		"roll-out":               {func(p *policy.Policy) { p.Rollout.Block = now.Add(-time.Hour) }, "rollout.blockFrom: it is before"},
		"unknown rule":           {func(p *policy.Policy) { p.Rules[0].Rule = "workload/nothing" }, `rules[0].rule: there is no rule "workload/nothing"`},
		"rule by its id":         {func(p *policy.Policy) { p.Rules[0].Rule = "STK-W-0001" }, `rules[0].rule: name it as "workload/privileged-container"`},
		"rule of many objects":   {func(p *policy.Policy) { p.Rules[0].Rule = multi }, "rules[0].rule: " + multi},
		"rule twice":             {func(p *policy.Policy) { p.Rules = append(p.Rules, p.Rules[0]) }, "rules[1].rule: workload/privileged-container stands in rules[0]"},
		"rule's action":          {func(p *policy.Policy) { p.Rules[0].Action = "x" }, "rules[0].action: "},
		"unknown parameter":      {func(p *policy.Policy) { p.Rules[0].Params = map[string]any{"x": 1} }, "rules[0].params.x: "},
		"check":                  {func(p *policy.Policy) { p.Checks[0].Check = "virus" }, `checks[0].check: "virus"`},
		"severity":               {func(p *policy.Policy) { p.Checks[0].Severity = "bad" }, "checks[0].severity: "},
		"epss":                   {func(p *policy.Policy) { p.Checks[0].EPSS = 2 }, "checks[0].epss: "},
		"cve":                    {func(p *policy.Policy) { p.Checks[0].CVEs[1] = "no id" }, "checks[0].cves[1]: "},
		"field of another check": {func(p *policy.Policy) { p.Checks[1].Fixable = true }, "checks[1].fixable: the check registry does not look at it"},
		"no registry":            {func(p *policy.Policy) { p.Checks[1].Allow = nil }, "checks[1].allow: "},
		"pattern of a registry":  {func(p *policy.Policy) { p.Checks[1].Allow = []string{"[a"} }, "checks[1].allow[0]: the pattern"},
		"no key":                 {func(p *policy.Policy) { p.Checks[1] = policy.ImageCheck{Check: policy.Signature} }, "checks[1].keys: "},
		"bad key": {func(p *policy.Policy) {
			p.Checks[1] = policy.ImageCheck{Check: policy.Signature, Keys: []policy.Key{{PEM: "x"}}}
		}, "checks[1].keys[0].pem: "},
		"private key": {func(p *policy.Policy) {
			p.Checks[1] = policy.ImageCheck{Check: policy.Signature, Keys: []policy.Key{{PEM: strings.ReplaceAll(goodKey, "PUBLIC", "PRIVATE")}}}
		}, "checks[1].keys[0].pem: "},
		"unknown template":    {func(p *policy.Policy) { p.Templates = []policy.TemplateUse{{Template: "x"}} }, `templates[0].template: there is no template "x"`},
		"no identity":         {func(p *policy.Policy) { p.Allowed = []policy.AllowedImage{{Repository: "nginx"}} }, "allowedImages[0]: names a repository and no identity"},
		"digest":              {func(p *policy.Policy) { p.Allowed = []policy.AllowedImage{{Digest: "sha256:1"}} }, "allowedImages[0].digest: "},
		"tag of a pattern":    {func(p *policy.Policy) { p.Allowed = []policy.AllowedImage{{Repository: "x/*", Tag: "1"}} }, "allowedImages[0].repository: "},
		"key for nothing":     {func(p *policy.Policy) { p.Allowed = []policy.AllowedImage{{Keys: []policy.Key{{PEM: goodKey}}}} }, "allowedImages[0].repository: "},
		"namespace pattern":   {func(p *policy.Policy) { p.Scope.Namespaces[1] = "a*b" }, `scope.namespaces[1]: "a*b"`},
		"excluded namespace":  {func(p *policy.Policy) { p.Scope.ExcludedNamespaces = []string{"Shop"} }, "scope.excludedNamespaces[0]: "},
		"selector":            {func(p *policy.Policy) { p.Scope.ObjectSelector = "a in" }, "scope.objectSelector: "},
		"selector of numbers": {func(p *policy.Policy) { p.Scope.NamespaceSelector = "a>1" }, "scope.namespaceSelector: "},
		"kind":                {func(p *policy.Policy) { p.Scope.Kinds[0] = "pods" }, "scope.kinds[0]: "},
		"images":              {func(p *policy.Policy) { p.Scope.Images[0] = `a\` }, "scope.images[0]: the pattern"},
		"operation":           {func(p *policy.Policy) { p.Scope.Operations = []string{"DELETE"} }, "scope.operations[0]: "},
		"everybody":           {func(p *policy.Policy) { p.Scope.Groups = []string{"system:authenticated"} }, "scope.exceptGroups: "},
		"cluster":             {func(p *policy.Policy) { p.Scope.Clusters = []int64{-1} }, "scope.clusters[0]: "},
	} {
		p := valid()
		c.change(&p)
		if err := policy.Validate(&p, lib(t), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	p = policy.Policy{Rules: []policy.RuleUse{{Rule: "x"}}, Scope: policy.Scope{Kinds: []string{"x"}}}
	if n := strings.Count(fmt.Sprint(policy.Validate(&p, lib(t), nil)), "\n") + 1; n != 4 {
		t.Errorf("%d mistakes, want name, action, rule and kind", n)
	}
}

// TestParameters: a policy's parameters count in the type that the rule works with, whatever JSON made of them.
func TestParameters(t *testing.T) {
	tried := 0
	for _, r := range policy.Enforceable(lib(t)) {
		for _, p := range policy.ParamsOf(r) {
			tried++
			value := p.Default
			if n, ok := value.(int64); ok {
				value = float64(n)
			}
			good := policy.Policy{Name: "x", Action: policy.Warn, Rules: []policy.RuleUse{{Rule: r.Name, Params: map[string]any{p.Name: value}}}}
			if err := policy.Validate(&good, lib(t), nil); err != nil {
				t.Errorf("%s.%s: %v", r.Name, p.Name, err)
			}
			var wrong any = "text"
			if p.Type == "string" {
				wrong = true
			}
			good.Rules[0].Params[p.Name] = wrong
			if err := policy.Validate(&good, lib(t), nil); err == nil || !strings.Contains(err.Error(), "rules[0].params."+p.Name) {
				t.Errorf("%s.%s: %T passed: %v", r.Name, p.Name, wrong, err)
			}
		}
	}
	if tried == 0 {
		t.Fatal("no rule has parameters")
	}
}

// TestRefusal: a line is about 300 characters at most, on one line, and says all that it has room for.
func TestRefusal(t *testing.T) {
	b := &policy.Bundle{Lang: "en", Console: "https://stockade.example.com/"}
	v := policy.Violation{Policy: 7, Name: "shop", Rule: privileged, RuleID: "STK-W-0001", Title: finding.Text{EN: "Privileged container", ZH: "特权容器"}, Fix: finding.Text{EN: "Set it to false.", ZH: "设为 false。"},
		Container: "web", Path: "spec.containers[0].securityContext.privileged", Found: true, Want: false}
	if got, want := b.Refusal(&v), `[STK-W-0001] Privileged container: container web (spec.containers[0].securityContext.privileged: found true, needed false). Set it to false. Policy "shop"; more or an exception: https://stockade.example.com/protection/why?policy=7&rule=STK-W-0001`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	b.Lang = "zh"
	if got := b.Refusal(&v); !strings.HasPrefix(got, "[STK-W-0001] 特权容器：容器 web (") || !strings.Contains(got, "设为 false。") {
		t.Error(got)
	}
	hostile := v
	hostile.Container, hostile.Found, hostile.Name = "a\nb\u202e", strings.Repeat("x", 10_000), strings.Repeat("n", 100)
	hostile.Fix.EN = strings.Repeat("long ", 200)
	for _, lang := range []string{"en", "zh"} {
		b.Lang = lang
		if got := b.Refusal(&hostile); len([]rune(got)) > 320 || strings.ContainsAny(got, "\n\u202e") {
			t.Errorf("%d characters: %s", len([]rune(got)), got)
		}
	}
}

func FuzzReadFile(f *testing.F) {
	f.Add([]byte("apiVersion: stockade.dev/v1\nkind: Policy\nname: x\naction: warn\nrules: [{rule: a}]\nscope: {clusters: [1, a]}\n---\n# more\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := policy.ReadFile(data)
		if err != nil {
			return
		}
		var out strings.Builder
		var list []policy.Policy
		for _, p := range file.Policies {
			list = append(list, p.Policy)
		}
		if err := policy.WriteFile(&out, list, nil, nil); err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return
		}
		again, err := policy.ReadFile([]byte(out.String()))
		if err != nil || len(again.Policies) != len(list) {
			t.Fatalf("%v\n%s", err, out.String())
		}
	})
}
