package verdict

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
)

var clock = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func reference(t testing.TB, s string) policy.Reference {
	t.Helper()
	r, err := policy.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sum(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// till is an image with one of everything.
func till(t testing.TB) *Image {
	date := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
	return &Image{Reference: reference(t, "registry.example.com/shop/till:1.0"), Digest: sum("a"), Facts: &Facts{Digest: sum("a"), Scanned: clock.AddDate(0, 0, -10), Matched: clock,
		Vulnerabilities: []Vulnerability{
			{ID: "CVE-2021-44228", Aliases: []string{"GHSA-jfh8-c2jp-5v3q"}, Package: "org.apache.logging.log4j:log4j-core", Version: "2.14.1", Fixed: "2.15.0", Severity: finding.Critical, EPSS: 0.97, KEV: true, Published: date("2021-12-10"), Item: "maven/x"},
			{ID: "CVE-2026-0001", Package: "openssl", Version: "3.0.1", Severity: finding.Critical, EPSS: 0.02, Published: date("2026-10-25")},
			{ID: "CVE-2026-0002", Package: "zlib", Version: "1.2.11", Fixed: "1.2.13", Severity: finding.High, EPSS: 0.5, Published: date("2026-10-31")},
			{ID: "CVE-2020-1967", Package: "libssl", Version: "1.1.1d", Fixed: "1.1.1g", Severity: finding.Medium, KEV: true},
			{ID: "CVE-2019-0001", Package: "bash", Version: "5", Severity: finding.Low},
		},
		Hits: []Hit{
			{Kind: finding.Malware, Rule: "image/malicious-file", RuleID: "STK-I-0105", Severity: finding.Critical, Title: finding.Text{EN: "Malicious file in the image", ZH: "镜像中存在恶意文件"}, File: "usr/bin/xmrig", Found: "XMRig"},
			{Kind: finding.Secret, Rule: "image/secret-in-file", RuleID: "STK-I-0101", Severity: finding.High, Title: finding.Text{EN: "Secret in a file", ZH: "文件中的密钥"}, File: "app/.env", Line: 3, Found: "AKIA…"},
			{Kind: finding.Configuration, Rule: "image/open-account", RuleID: "STK-I-0109", Severity: finding.Critical, Title: finding.Text{EN: "Account without a password", ZH: "账号无口令"}, File: "etc/shadow", Line: 1},
			{Kind: finding.Configuration, Rule: "image/image-user-root", RuleID: "STK-I-0112", Severity: finding.Medium, Title: finding.Text{EN: "Image runs as root by default", ZH: "镜像默认以 root 运行"}},
		}}}
}

// TestJudge: each check with what it lets pass and what not, its message in both languages and the fix.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		check  policy.ImageCheck
		items  []string // words that the items begin with; nil: it holds
		en, zh string   // parts of the message
		fix    string
	}{
		"high by default":  {policy.ImageCheck{Check: policy.Vulnerabilities}, []string{"CVE-2021-44228 ", "CVE-2026-0001 ", "CVE-2026-0002 "}, "3 vulnerabilities of severity high or worse: CVE-2021-44228", "3 个高危及以上的漏洞：CVE-2021-44228", "log4j-core 2.15.0"},
		"critical":         {policy.ImageCheck{Check: policy.Vulnerabilities, Severity: finding.Critical}, []string{"CVE-2021-44228 ", "CVE-2026-0001 "}, "of severity critical: ", "2 个严重漏洞", ""},
		"fixable":          {policy.ImageCheck{Check: policy.Vulnerabilities, Fixable: true}, []string{"CVE-2021-44228 ", "CVE-2026-0002 "}, "high or worse, with a fix: ", "可修复的高危及以上的漏洞", "or later"},
		"exploited":        {policy.ImageCheck{Check: policy.Vulnerabilities, Exploited: true}, []string{"CVE-2021-44228 "}, "1 vulnerability of severity high or worse, known to be exploited: CVE-2021-44228", "已知被利用的", ""},
		"exploited medium": {policy.ImageCheck{Check: policy.Vulnerabilities, Exploited: true, Severity: finding.Medium}, []string{"CVE-2021-44228 ", "CVE-2020-1967 "}, "medium or worse", "中危", ""},
		"epss":             {policy.ImageCheck{Check: policy.Vulnerabilities, EPSS: 0.5}, []string{"CVE-2021-44228 ", "CVE-2026-0002 "}, "EPSS 0.5 or more", "EPSS 不低于 0.5", ""},
		"older":            {policy.ImageCheck{Check: policy.Vulnerabilities, OlderThan: 7}, []string{"CVE-2021-44228 ", "CVE-2026-0001 "}, "published over 7 days ago", "公布超过 7 天", ""},
		"no date is old":   {policy.ImageCheck{Check: policy.Vulnerabilities, OlderThan: 3000, Severity: finding.Low}, []string{"CVE-2020-1967 ", "CVE-2019-0001 "}, "", "", ""},
		"listed alone":     {policy.ImageCheck{Check: policy.Vulnerabilities, CVEs: []string{"CVE-2019-0001", "CVE-1999-0001"}}, []string{"CVE-2019-0001 "}, "1 vulnerability that the policy lists: CVE-2019-0001", "策略所列的漏洞", "No fixed version"},
		"listed by alias":  {policy.ImageCheck{Check: policy.Vulnerabilities, CVEs: []string{"GHSA-jfh8-c2jp-5v3q"}}, []string{"CVE-2021-44228 "}, "", "", ""},
		"listed beside":    {policy.ImageCheck{Check: policy.Vulnerabilities, Severity: finding.Critical, CVEs: []string{"CVE-2019-0001"}}, []string{"CVE-2021-44228 ", "CVE-2026-0001 ", "CVE-2019-0001 "}, ", or listed", "或策略所列的", ""},
		"none":             {policy.ImageCheck{Check: policy.Vulnerabilities, EPSS: 0.99}, nil, "", "", ""},
		"malware":          {policy.ImageCheck{Check: policy.Malware}, []string{"Malicious file in the image (XMRig): usr/bin/xmrig"}, "1 malicious file: ", "1 个恶意文件：镜像中存在恶意文件", "Do not run"},
		"secrets":          {policy.ImageCheck{Check: policy.Secrets}, []string{"Secret in a file: app/.env:3"}, "1 secret: ", "1 个敏感信息", "Revoke"},
		"secrets critical": {policy.ImageCheck{Check: policy.Secrets, Severity: finding.Critical}, nil, "", "", ""},
		"baseline":         {policy.ImageCheck{Check: policy.Baseline}, []string{"Account without a password: etc/shadow:1"}, "1 unsafe setting: ", "1 项不安全的镜像配置", "Dockerfile"},
		"baseline medium":  {policy.ImageCheck{Check: policy.Baseline, Severity: finding.Medium}, []string{"Account without a password", "Image runs as root"}, "2 unsafe settings", "", ""},
		"baseline rule":    {policy.ImageCheck{Check: policy.Baseline, Rules: []string{"STK-I-0112"}}, []string{"Image runs as root"}, "", "", ""},
		"baseline other":   {policy.ImageCheck{Check: policy.Baseline, Rules: []string{"image/old-image"}}, nil, "", "", ""},
		"scanned":          {policy.ImageCheck{Check: policy.Unscanned}, nil, "", "", ""},
		"scanned lately":   {policy.ImageCheck{Check: policy.Unscanned, MaxAge: 10}, nil, "", "", ""},
		"scanned long ago": {policy.ImageCheck{Check: policy.Unscanned, MaxAge: 9}, []string{}, "the scan result is of 2026-10-22, allowed: 9 days", "日期为 2026-10-22", "again"},
		"registry":         {policy.ImageCheck{Check: policy.Registry, Allow: []string{"docker.io/*", "registry.example.com/shop/*"}}, nil, "", "", ""},
		"another registry": {policy.ImageCheck{Check: policy.Registry, Allow: []string{"registry.example.com/bank/*"}}, []string{"registry.example.com/shop/till"}, "from registry.example.com/shop/till, allowed: ", "来自", "registry.example.com/bank/*"},
		"tag":              {policy.ImageCheck{Check: policy.Tag}, []string{"registry.example.com/shop/till:1.0"}, "by the tag 1.0", "标签 1.0", "registry.example.com/shop/till@sha256:aa"},
		"unknown check":    {policy.ImageCheck{Check: "later"}, nil, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			j := Judge([]policy.ImageCheck{{Check: policy.Malware, Action: policy.Audit}, c.check}, nil, till(t), clock)
			i := slices.IndexFunc(j.Failed, func(f policy.Failure) bool { return f.Check == 1 })
			if i < 0 != (c.items == nil) || len(j.Open) > 0 || j.Allowed {
				t.Fatalf("%+v", j)
			}
			if i < 0 {
				return
			}
			f := j.Failed[i]
			if f.Kind != c.check.Check || len(f.Items) != len(c.items) {
				t.Fatalf("%+v", f)
			}
			for k, begin := range c.items {
				if !strings.HasPrefix(f.Items[k], begin) {
					t.Errorf("item %d is %q, want %q", k, f.Items[k], begin)
				}
			}
			says := f.Text()
			if !strings.Contains(says.EN, c.en) || !strings.Contains(says.ZH, c.zh) || !strings.Contains(f.Fix.EN, c.fix) || f.Fix.EN == "" || f.Fix.ZH == "" {
				t.Errorf("%q %q %q", says.EN, says.ZH, f.Fix.EN)
			}
			for _, s := range []string{says.EN, says.ZH, f.Fix.EN, f.Fix.ZH} {
				if strings.ContainsAny(s, "\n\r") || len(s) > 400 {
					t.Errorf("%d bytes: %q", len(s), s)
				}
			}
		})
	}
}

// TestJudgeNothing: without facts what needs them says nothing, and what does not is judged.
func TestJudgeNothing(t *testing.T) {
	img := till(t)
	img.Facts = nil
	var checks []policy.ImageCheck
	for _, c := range policy.Checks {
		checks = append(checks, policy.ImageCheck{Check: c})
	}
	j := Judge(checks, nil, img, clock)
	var kinds []policy.Check
	for _, f := range j.Failed {
		kinds = append(kinds, f.Kind)
	}
	if want := []policy.Check{policy.Unscanned, policy.Registry, policy.Signature, policy.Tag}; !slices.Equal(kinds, want) {
		t.Errorf("%v, want %v", kinds, want)
	}
	img = till(t)
	img.Facts.NoAdvisories, img.Facts.Vulnerabilities = "there is no advisory database", nil
	if j := Judge([]policy.ImageCheck{{Check: policy.Vulnerabilities}}, nil, img, clock); len(j.Open) != 1 || j.Open[0].Reason != "there is no advisory database" || len(j.Failed) > 0 {
		t.Errorf("%+v", j)
	}
}

// TestWhitelist: a digest, a tag with what it named, or a key lets an image in; a repository alone, another digest and a moved tag do not.
func TestWhitelist(t *testing.T) {
	index, manifest := sum("1"), sum("a")
	signed := map[string]Signed{"GOOD": {Good: true}, "BAD": {Reason: "its signatures were made by other keys"}}
	byTag := &Image{Reference: reference(t, "registry.example.com/shop/till:1.0"), Digest: index, Signatures: signed, Facts: &Facts{Digest: manifest, Index: index}}
	byDigest := &Image{Reference: reference(t, "registry.example.com/shop/till@"+manifest), Digest: manifest, Facts: &Facts{Digest: manifest, Index: index}}
	for name, c := range map[string]struct {
		img  *Image
		a    policy.AllowedImage
		want bool
	}{
		"digest":                       {byTag, policy.AllowedImage{Digest: index}, true},
		"digest of an index":           {byDigest, policy.AllowedImage{Digest: index}, true},
		"one platform is not all":      {byTag, policy.AllowedImage{Digest: manifest}, false},
		"another digest":               {byTag, policy.AllowedImage{Digest: sum("b")}, false},
		"digest and repository":        {byTag, policy.AllowedImage{Digest: index, Repository: "registry.example.com/shop/*"}, true},
		"digest, another repository":   {byTag, policy.AllowedImage{Digest: index, Repository: "registry.example.com/bank/*"}, false},
		"tag":                          {byTag, policy.AllowedImage{Repository: "registry.example.com/shop/till", Tag: "1.0", Resolved: index}, true},
		"moved tag":                    {byTag, policy.AllowedImage{Repository: "registry.example.com/shop/till", Tag: "1.0", Resolved: sum("b")}, false},
		"tag that was never resolved":  {byTag, policy.AllowedImage{Repository: "registry.example.com/shop/till", Tag: "1.0"}, false},
		"another tag":                  {byTag, policy.AllowedImage{Repository: "registry.example.com/shop/till", Tag: "2.0", Resolved: index}, false},
		"tag without a repository":     {byTag, policy.AllowedImage{Tag: "1.0", Resolved: index}, false},
		"key":                          {byTag, policy.AllowedImage{Keys: []policy.Key{{PEM: "BAD"}, {PEM: "GOOD"}}}, true},
		"key of others":                {byTag, policy.AllowedImage{Keys: []policy.Key{{PEM: "BAD"}}}, false},
		"key that was not asked about": {byTag, policy.AllowedImage{Keys: []policy.Key{{PEM: "OTHER"}}}, false},
		"repository alone":             {byTag, policy.AllowedImage{Repository: "registry.example.com/shop/till"}, false},
		"nothing":                      {byTag, policy.AllowedImage{}, false},
		"over":                         {byTag, policy.AllowedImage{Digest: index, Expires: clock}, false},
		"not over":                     {byTag, policy.AllowedImage{Digest: index, Expires: clock.Add(time.Second)}, true},
	} {
		if j := Judge([]policy.ImageCheck{{Check: policy.Tag}, {Check: policy.Registry}}, []policy.AllowedImage{c.a}, c.img, clock); j.Allowed != c.want {
			t.Errorf("%s: %+v", name, j)
		}
	}
}

func TestSigned(t *testing.T) {
	a, b := policy.Key{Name: "release", PEM: "A"}, policy.Key{Name: "test", PEM: "B"}
	for name, c := range map[string]struct {
		known     map[string]Signed
		bad, open bool
	}{
		"one of them":            {map[string]Signed{"A": {Reason: "no"}, "B": {Good: true}}, false, false},
		"none":                   {map[string]Signed{"A": {Reason: "it has no signature"}, "B": {Reason: "it has no signature"}}, true, false},
		"one is not known":       {map[string]Signed{"A": {Reason: "no"}, "B": {Unknown: true, Reason: "away"}}, false, true},
		"not known but another":  {map[string]Signed{"A": {Unknown: true}, "B": {Good: true}}, false, false},
		"nobody was asked about": {nil, false, true},
	} {
		img := till(t)
		img.Signatures = c.known
		j := Judge([]policy.ImageCheck{{Check: policy.Signature, Keys: []policy.Key{a, b}}}, nil, img, clock)
		if len(j.Failed) > 0 != c.bad || len(j.Open) > 0 != c.open {
			t.Errorf("%s: %+v", name, j)
		}
		if c.bad && j.Failed[0].Message.EN != "not signed by release or test (it has no signature)" {
			t.Error(j.Failed[0].Message.EN)
		}
	}
}

// TestHostileTexts: what images bring stays on its line, and is bounded.
func TestHostileTexts(t *testing.T) {
	img := till(t)
	f := &Facts{}
	f.Gather(&finding.Finding{Status: finding.Open, Severity: finding.Critical, Vulnerability: &finding.Vulnerable{ID: "CVE-2026-0001",
		Package: "a\nb\x1b[31m\u202e" + strings.Repeat("x", 5000), Version: strings.Repeat("9", 5000), FixedVersion: "1\u2028"}}, "", "not a date")
	f.Gather(&finding.Finding{Status: finding.Open, Kind: finding.Malware, Severity: finding.Critical, Title: finding.Text{EN: "x"}, Resource: finding.Resource{File: "a\r\nb" + strings.Repeat("/x", 5000)},
		Evidence: []finding.Evidence{{Found: "\x00" + strings.Repeat("y", 5000)}}}, "", "")
	f.Gather(&finding.Finding{Status: finding.Suppressed, Kind: finding.Malware}, "", "")
	img.Facts = f
	j := Judge([]policy.ImageCheck{{Check: policy.Vulnerabilities}, {Check: policy.Malware}}, nil, img, clock)
	if len(j.Failed) != 2 || len(f.Hits) != 1 {
		t.Fatalf("%+v", j)
	}
	for _, x := range j.Failed {
		for _, s := range append(x.Items, x.Says("en"), x.Says("zh"), x.Fix.EN, x.Fix.ZH) {
			if strings.ContainsAny(s, "\n\r\x1b\x00\u202e\u2028") || len(s) > 500 {
				t.Errorf("%d bytes: %q", len(s), s)
			}
		}
	}
}

// TestUntil: dates that change a verdict by themselves are known before.
func TestUntil(t *testing.T) {
	img := till(t)
	if at := Until([]policy.ImageCheck{{Check: policy.Vulnerabilities, OlderThan: 7}}, nil, img, clock); !at.After(time.Date(2026, 11, 7, 0, 0, 0, 0, time.UTC)) || at.Day() != 7 {
		t.Error(at)
	}
	if at := Until([]policy.ImageCheck{{Check: policy.Unscanned, MaxAge: 20}, {Check: policy.Vulnerabilities}}, []policy.AllowedImage{{Expires: clock.Add(time.Hour)}}, img, clock); !at.Equal(clock.Add(time.Hour)) {
		t.Error(at)
	}
	if at := Until([]policy.ImageCheck{{Check: policy.Vulnerabilities}}, nil, img, clock); !at.IsZero() {
		t.Error(at)
	}
}

// TestAccepted: exceptions that findings have lower what is judged: by id, alias, package, digest, image in every spelling, rule and the
// fingerprint that a scan gave; other targets', ended ones and those for single namespaces do not.
func TestAccepted(t *testing.T) {
	img := till(t)
	place := Place{Target: 7, Cluster: "prod", Reference: img.Reference, Digest: img.Digest}
	print := finding.Identity{RuleID: "CVE-2021-44228", Cluster: "prod", Kind: "Image", Name: "registry.example.com/shop/till", Item: "maven/x"}.Fingerprint()
	variant := finding.Identity{RuleID: print, Item: "1.0"}.Fingerprint()
	hit := finding.Identity{RuleID: "STK-I-0105", Cluster: "prod", Kind: "ImageFacts", Group: "stockade.dev", Name: "registry.example.com/shop/till"}.Fingerprint()
	x := func(s exception.Scope) exception.Exception { return exception.Exception{Scope: s, Reason: "r"} }
	for name, c := range map[string]struct {
		e       exception.Exception
		v, hits int
	}{
		"cve":            {x(exception.Scope{CVE: "CVE-2021-44228"}), 4, 4},
		"alias":          {x(exception.Scope{CVE: "GHSA-jfh8-c2jp-5v3q"}), 4, 4},
		"package":        {x(exception.Scope{Package: "openssl"}), 4, 4},
		"digest":         {x(exception.Scope{Digest: sum("a")}), 0, 0},
		"image":          {x(exception.Scope{Image: "registry.example.com/shop/*"}), 0, 0},
		"image and tag":  {x(exception.Scope{Image: "registry.example.com/shop/till:2*"}), 5, 4},
		"rule":           {x(exception.Scope{Rule: "image/malicious-file"}), 5, 3},
		"rule id":        {x(exception.Scope{Rule: "STK-I-01*"}), 5, 0},
		"fingerprint":    {x(exception.Scope{Fingerprint: print}), 4, 4},
		"of a variant":   {x(exception.Scope{Fingerprint: variant}), 4, 4},
		"of a hit":       {x(exception.Scope{Fingerprint: hit}), 5, 3},
		"cluster":        {x(exception.Scope{CVE: "CVE-2021-44228", Cluster: "prod"}), 4, 4},
		"other cluster":  {x(exception.Scope{CVE: "CVE-2021-44228", Cluster: "test"}), 5, 4},
		"target":         {exception.Exception{Target: 7, Scope: exception.Scope{CVE: "CVE-2021-44228"}, Reason: "r"}, 4, 4},
		"other target":   {exception.Exception{Target: 8, Scope: exception.Scope{CVE: "CVE-2021-44228"}, Reason: "r"}, 5, 4},
		"until fix":      {exception.Exception{Scope: exception.Scope{Digest: sum("a"), CVE: "CVE-2026-0001"}, UntilFix: true, Reason: "r"}, 4, 4},
		"fixed":          {exception.Exception{Scope: exception.Scope{CVE: "CVE-2021-44228"}, UntilFix: true, Reason: "r"}, 5, 4},
		"ended":          {exception.Exception{Scope: exception.Scope{CVE: "CVE-2021-44228"}, Expires: clock, Reason: "r"}, 5, 4},
		"namespace only": {x(exception.Scope{CVE: "CVE-2021-44228", Namespace: "shop"}), 5, 4},
		"file":           {x(exception.Scope{Image: "*", File: "app/.env"}), 5, 3},
	} {
		a, err := Accept([]exception.Exception{c.e})
		if err != nil {
			t.Fatal(name, err)
		}
		less, _ := a.Without(img.Facts, place, clock)
		if len(less.Vulnerabilities) != c.v || len(less.Hits) != c.hits {
			t.Errorf("%s: %d vulnerabilities and %d hits are left", name, len(less.Vulnerabilities), len(less.Hits))
		}
		if len(img.Facts.Vulnerabilities) != 5 || len(img.Facts.Hits) != 4 {
			t.Fatal("the facts themselves were changed")
		}
	}
	hub := &Image{Reference: reference(t, "nginx"), Digest: sum("a"), Facts: img.Facts}
	for _, pattern := range []string{"nginx", "docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx:*", "library/nginx"} {
		a, err := Accept([]exception.Exception{x(exception.Scope{Image: pattern})})
		if err != nil {
			t.Fatal(err)
		}
		if less, _ := a.Without(img.Facts, Place{Reference: hub.Reference}, clock); len(less.Vulnerabilities) > 0 {
			t.Errorf("%s accepts nothing", pattern)
		}
	}
	a, err := Accept([]exception.Exception{{Scope: exception.Scope{CVE: "CVE-2021-44228"}, Reason: "r", Expires: clock.Add(time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, ends := a.Without(img.Facts, place, clock); !ends.Equal(clock.Add(time.Hour)) {
		t.Error("it is not known when an exception ends that counts:", ends)
	}
}

// TestPack: facts are read as they were written; anything else is an error.
func TestPack(t *testing.T) {
	f := till(t).Facts
	f.Index, f.Reference, f.Gaps, f.NoAdvisories = sum("1"), "registry.example.com/shop/till", []string{"a: b"}, "none"
	data := f.pack()
	got, err := unpack(data)
	if err != nil {
		t.Fatal(err)
	}
	got.Scanned, got.Matched = f.Scanned, f.Matched
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", f) {
		t.Errorf("\n%+v\n%+v", got, f)
	}
	for _, bad := range [][]byte{nil, {1}, []byte("x"), data[:len(data)/2], zipper().EncodeAll([]byte{2}, nil), zipper().EncodeAll([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x7f}, nil), zipper().EncodeAll([]byte{1, 1, 0, 9, 9}, nil)} {
		if f, err := unpack(bad); err == nil {
			t.Errorf("%v is read as %+v", bad, f)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	plain, err := unzipper().DecodeAll(till(f).Facts.pack(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := unpack(zipper().EncodeAll(data, nil))
		if err == nil && len(got.Vulnerabilities)+len(got.Hits) > len(data) {
			t.Error("more than there is")
		}
	})
}

// many is an image with n vulnerabilities.
func many(t testing.TB, n int) *Image {
	img := till(t)
	v := img.Facts.Vulnerabilities
	for i := len(v); i < n; i++ {
		x := v[i%5]
		x.ID, x.Package = fmt.Sprintf("CVE-2025-%04d", i), fmt.Sprintf("package-%d", i/3)
		img.Facts.Vulnerabilities = append(img.Facts.Vulnerabilities, x)
	}
	return img
}

func policies(n int) []policy.Policy {
	var out []policy.Policy
	for i := range n {
		out = append(out, policy.Policy{ID: int64(i + 1), Name: fmt.Sprint("policy ", i), Action: policy.Block, Checks: []policy.ImageCheck{
			{Check: policy.Vulnerabilities, Severity: finding.High, Fixable: i%2 == 0, EPSS: float64(i) / 100}, {Check: policy.Malware}, {Check: policy.Secrets}, {Check: policy.Baseline}}})
	}
	return out
}

// BenchmarkJudge: one image with 300 vulnerabilities in the light of 10 policies.
func BenchmarkJudge(b *testing.B) {
	img := many(b, 300)
	l, err := newLens(&policy.Bundle{Policies: policies(10)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var v policy.ImageVerdict
		l.judge(&v, img, clock)
	}
}

func BenchmarkUnpack(b *testing.B) {
	data := many(b, 300).Facts.pack()
	b.ReportMetric(float64(len(data)), "bytes")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unpack(data); err != nil {
			b.Fatal(err)
		}
	}
}
