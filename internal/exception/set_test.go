package exception

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const digestA = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// samples are one finding of each sort.
func samples() map[string]*finding.Finding {
	return map[string]*finding.Finding{
		"deployment": {Fingerprint: "00112233445566778899aabbccddeeff", Rule: "workload/privileged-container", RuleID: "STK-W-0001",
			Resource: finding.Resource{Cluster: "prod-eu", Kind: "Deployment", Namespace: "shop", Name: "till", Container: "web",
				Labels: []map[string]string{{"team": "shop", "tier": "web"}}}},
		"file": {Rule: "workload/privileged-container", RuleID: "STK-W-0001", Resource: finding.Resource{Kind: "Pod", Namespace: "shop", Name: "till", File: "deploy/till.yaml",
			Labels: []map[string]string{nil}}},
		"node": {Rule: "node/kubelet-anonymous", RuleID: "STK-N-0004", Resource: finding.Resource{Cluster: "prod-eu", Kind: "Node", Name: "node-7", Node: "node-7"}},
		"image": {Rule: "CVE-2021-44228", Aliases: []string{"GHSA-jfh8-c2jp-5v3q"},
			Vulnerability: &finding.Vulnerable{ID: "CVE-2021-44228", Package: "log4j-core", Version: "2.14.1", PURL: "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"},
			Resource: finding.Resource{Cluster: "prod-eu", Image: "registry.example.com/shop/api/till:1.0", Digest: digestA,
				Workloads: []finding.WorkloadRef{{Kind: "Deployment", Namespace: "shop", Name: "till", Container: "web"}, {Kind: "CronJob", Namespace: "shop", Name: "nightly", Container: "job"}},
				Labels:    []map[string]string{{"team": "shop", "tier": "web"}, {"team": "shop", "tier": "batch"}}}},
		"fixable": {Rule: "CVE-2022-0778", Vulnerability: &finding.Vulnerable{ID: "CVE-2022-0778", Package: "openssl", Version: "1.1.1k", FixedVersion: "1.1.1n"},
			Resource: finding.Resource{Image: "nginx:1.21"}},
	}
}

// TestScopes: the table of scopes by findings.
func TestScopes(t *testing.T) {
	for _, tt := range []struct{ scope, want string }{
		{`fingerprint: 00112233445566778899aabbccddeeff`, "deployment"},
		{`fingerprint: 00112233445566778899aabbccddeef0`, ""},
		{`rule: workload/privileged-container`, "deployment file"},
		{`rule: STK-W-0001`, "deployment file"},
		{`rule: "*/*"`, "deployment file node"},
		{`rule: "*"`, "image fixable deployment file node"}, // ids have no slash
		{`rule: "STK-W-*"`, "deployment file"},
		{`rule: CVE-2021-44228`, "image"},
		{`cve: CVE-2021-44228`, "image"},
		{`cve: cve-2021-44228`, "image"},
		{`cve: GHSA-jfh8-c2jp-5v3q`, "image"},
		{`cve: CVE-2021-4422`, ""},
		{`package: log4j-core`, "image"},
		{`package: log4j-core, version: "2.14.*"`, "image"},
		{`package: log4j-core, version: "2.13.*"`, ""},
		{`purl: pkg:maven/org.apache.logging.log4j/log4j-core`, "image"},
		{`purl: pkg:maven/org.apache.logging.log4j/log4j-core@2.13.0`, ""},
		{`image: registry.example.com/shop/api/till`, "image"},
		{`image: "registry.example.com/shop/api/till:1.0"`, "image"},
		{`image: "registry.example.com/shop/api/till:1.1"`, ""},
		{`image: "registry.example.com/*"`, "image"},
		{`image: "*/till"`, "image"},
		{`image: till`, ""},
		{`image: nginx`, "fixable"},
		{`image: docker.io/library/nginx`, "fixable"},
		{`image: "docker.io/*"`, "fixable"},
		{`digest: ` + digestA, "image"},
		{`digest: sha256:00`, ""},
		{`rule: "*", cluster: "prod-*"`, "deployment node image"},
		{`rule: "*", namespace: shop`, "deployment file image"},
		{`rule: "*", namespace: "sh*"`, "deployment file image"},
		{`rule: "*", namespace: bank`, ""},
		{`rule: "*", kind: Deployment`, "deployment"}, // the image runs in a CronJob too
		{`rule: "*", name: till`, "deployment file"},
		{`rule: "*", container: web`, "deployment"},
		{`rule: "*", file: "deploy/*.yaml"`, "file"},
		{`rule: "*", node: "node-*"`, "node"},
		{`rule: "*", labels: team=shop`, "deployment image"},
		{`rule: "*", labels: "team=shop,tier=web"`, "deployment"}, // the CronJob is of another tier
		{`rule: "*", labels: "tier in (web,batch)"`, "deployment image"},
		{`rule: "*", labels: "!team"`, "file"}, // the others have the label, or nothing that has labels
		{`cve: CVE-2022-0778, untilFix: true`, ""},
		{`cve: CVE-2021-44228, untilFix: true`, "image"},
		{`cve: CVE-2021-44228, expires: 2026-11-21`, "image"},
		{`cve: CVE-2021-44228, expires: 2026-11-20`, ""},
		{`cve: CVE-2021-44228, expires: "2026-11-21T12:00:01Z"`, "image"},
		{`cve: CVE-2021-44228, expires: "2026-11-21T12:00:00Z"`, ""},
		{`cve: CVE-2021-44228, package: openssl`, ""},
		{`cve: CVE-2021-44228, package: log4j-core, image: "*/till", namespace: shop, digest: "` + digestA + `"`, "image"},
	} {
		list, err := Read([]byte("exceptions: [{reason: why, " + tt.scope + "}]"))
		if err != nil {
			t.Errorf("%s: %v", tt.scope, err)
			continue
		}
		set, err := New(list)
		if err != nil {
			t.Fatal(err)
		}
		for name, f := range samples() {
			_, got := set.Match(f, 7, noon)
			if want := strings.Contains(" "+tt.want+" ", " "+name+" "); got != want {
				t.Errorf("%s: %s: %v, want %v", tt.scope, name, got, want)
			}
		}
	}
}

// TestTargets: a scope of one target holds there only.
func TestTargets(t *testing.T) {
	set, err := New([]Exception{{ID: 1, Target: 7, Scope: Scope{Rule: "*"}}, {ID: 2, Target: 8, Scope: Scope{Rule: "*/*", Namespace: "shop"}}})
	if err != nil {
		t.Fatal(err)
	}
	f := samples()["deployment"]
	for target, want := range map[int64]int64{0: 0, 7: 1, 8: 2, 9: 0} {
		e, ok := set.Match(f, target, noon)
		if ok != (want != 0) || ok && e.ID != want {
			t.Errorf("target %d: %v %v", target, e, ok)
		}
	}
}

// TestOrder: the first of the list counts, whatever group it is in; one that is over is passed by.
func TestOrder(t *testing.T) {
	f := samples()["deployment"]
	set, err := New([]Exception{
		{ID: 1, Scope: Scope{Rule: "*/*"}, Expires: noon}, {ID: 2, Scope: Scope{Rule: "workload/*"}},
		{ID: 3, Scope: Scope{Fingerprint: f.Fingerprint}}, {ID: 4, Scope: Scope{Rule: f.Rule}}})
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := set.Match(f, 0, noon); !ok || e.ID != 2 {
		t.Errorf("%+v", e)
	}
	if e, ok := set.Match(f, 0, noon.Add(-1)); !ok || e.ID != 1 {
		t.Errorf("%+v", e)
	}
	if _, ok := (*Set)(nil).Match(f, 0, noon); ok {
		t.Error("no exceptions accept nothing")
	}
}

func TestRead(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{`exceptions: [{rule: "a/*"}]`, "entry 1 has no reason"},
		{`exceptions: [{rule: a/b, reason: x}, {namespace: shop, reason: x}]`, "entry 2 names neither a rule nor a fingerprint"},
		{`exceptions: [{rule: "[", reason: x}]`, `entry 1 pattern "["`},
		{`exceptions: [{rule: a/b, labels: "a==(", reason: x}]`, "entry 1 labels"},
		{`exceptions: [{rule: a/b, reason: x, expires: soon}]`, `entry 1: expires "soon": want a date`},
		{`exceptions: [{rule: a/b, reason: x, untilFix: true}]`, "holds until a fix is known"},
		{`exceptions: [{rule: a/b, reason: x, category: nice}]`, `category "nice"`},
		{`exceptions: [{purl: x, reason: x}]`, `purl "x"`},
		{`exceptions: [{rule: a/b, reason: x, targetId: "7"}]`, "targetId"},
		{`exceptions: [{rule: a/b, reasn: x}]`, "reasn"},
		{`exceptions: 7`, "cannot unmarshal"},
		{`{`, "yaml"},
	} {
		file := filepath.Join(t.TempDir(), "accepted.yaml")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadFile(file)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "accepted.yaml") {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
		}
	}
	if _, err := ReadFile("missing.yaml"); err == nil {
		t.Error("a missing file is an error")
	}
}

// TestOldFile: a file as it was written before there were CVEs, images and labels.
func TestOldFile(t *testing.T) {
	list, err := Read([]byte(`
exceptions:
- rule: workload/writable-root-filesystem
  namespace: legacy-*
  reason: vendor image writes to /opt
  expires: 2027-06-30
- {fingerprint: f, cluster: prod-*, kind: Pod, name: a*, container: c, file: d/*, reason: r, expires: "2999-12-31", by: me}
`))
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	if e := list[0]; e.Namespace != "legacy-*" || !e.Expires.Equal(time.Date(2027, 7, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", e)
	}
	if e := list[1]; e.Fingerprint != "f" || e.By != "me" || e.File != "d/*" {
		t.Errorf("%+v", e)
	}
}

// TestFull writes a file and reads the same back.
func TestFull(t *testing.T) {
	list, err := Read([]byte(`exceptions:
- {cve: CVE-2021-44228, package: p, version: "1.*", purl: "pkg:deb/debian/p", image: "a/*", digest: d, namespace: "n", kind: k, name: x, container: c,
   file: f, node: m, labels: "a=b,c in (d)", reason: "say \"why\": #1", category: mitigated, expires: "2027-01-02T03:04:05Z", untilFix: true, by: Ada}
- {rule: "*/*", reason: r}
`))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Write(&b, list); err != nil {
		t.Fatal(err)
	}
	again, err := Read([]byte(b.String()))
	if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", list) {
		t.Errorf("%v\n%s\n%+v\n%+v", err, b.String(), list, again)
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{`exceptions: [{rule: "a/*", reason: x, expires: 2027-01-01}]`, `{"exceptions":[{"cve":"CVE-1","reason":"r","untilFix":true}]}`,
		"exceptions:\n- {image: \"*/a:1\", labels: \"a in (b,c),!d\", reason: r}", "exceptions: [{purl: pkg:deb/debian/p@1, reason: r}]", "a: &a [*a, *a]", `exceptions: [{fingerprint: 1, reason: 2}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := Read(data)
		if err != nil {
			return
		}
		set, err := New(list)
		if err != nil {
			t.Fatalf("what was read cannot be used: %v", err)
		}
		for _, s := range samples() {
			set.Match(s, 0, noon)
		}
		var b strings.Builder
		if err := Write(&b, list); err != nil {
			t.Fatal(err)
		}
		again, err := Read([]byte(b.String()))
		if err != nil || len(again) != len(list) {
			t.Fatalf("%v\n%s", err, b.String())
		}
	})
}

// many makes exceptions of the sorts that people write: of single findings, CVEs in images, rules in namespaces, and patterns.
func many(n int) []Exception {
	out := make([]Exception, n)
	for i := range out {
		e := &out[i]
		e.ID = int64(i + 1)
		switch i % 10 {
		case 0, 1:
			e.Fingerprint = fmt.Sprintf("%032x", i)
		case 2, 3:
			e.CVE = fmt.Sprintf("CVE-2026-%05d", i)
		case 4:
			e.CVE, e.Image = fmt.Sprintf("CVE-2026-%05d", i), fmt.Sprintf("registry.example.com/team-%d/*", i%100)
		case 5, 6:
			e.Rule, e.Namespace, e.Name = "workload/privileged-container", fmt.Sprintf("team-%d", i%200), fmt.Sprintf("app-%d", i)
		case 7:
			e.Rule, e.Namespace = "workload/*", fmt.Sprintf("team-%d-*", i)
		case 8:
			e.Package, e.Target = fmt.Sprintf("lib%d", i), int64(i%100)
		case 9:
			e.Rule, e.Labels = "network/no-policy", fmt.Sprintf("app=a%d", i)
		}
	}
	return out
}

// stream makes findings of a scan, mostly vulnerabilities.
func stream(n int) []*finding.Finding {
	out := make([]*finding.Finding, n)
	for i := range out {
		f := &finding.Finding{Fingerprint: fmt.Sprintf("%032x", i*3)}
		if i%3 == 0 {
			f.Rule, f.RuleID = "workload/privileged-container", "STK-W-0001"
			f.Resource = finding.Resource{Kind: "Deployment", Namespace: fmt.Sprintf("team-%d", i%300), Name: fmt.Sprintf("app-%d", i), Labels: []map[string]string{{"app": "x"}}}
		} else {
			f.Rule = fmt.Sprintf("CVE-2026-%05d", i%30000)
			f.Vulnerability = &finding.Vulnerable{ID: f.Rule, Aliases: []string{"GHSA-xxxx-yyyy-zzzz"}, Package: fmt.Sprintf("lib%d", i%5000), Version: "1.0"}
			f.Resource = finding.Resource{Image: fmt.Sprintf("registry.example.com/team-%d/app:1", i%300), Digest: digestA,
				Workloads: []finding.WorkloadRef{{Kind: "Deployment", Namespace: "team-1", Name: "a"}}, Labels: []map[string]string{{"app": "x"}}}
		}
		out[i] = f
	}
	return out
}

// TestIndex holds the index to comparing one by one.
func TestIndex(t *testing.T) {
	list := many(2000)
	set, err := New(list)
	if err != nil {
		t.Fatal(err)
	}
	matched := 0
	for i, f := range stream(3000) {
		target := int64(i % 50)
		var v view
		set.view(&v, f, target)
		want := int64(0)
		for j := range set.list {
			if set.list[j].holds(&v) {
				want = set.list[j].ID
				matched++
				break
			}
		}
		got := int64(0)
		if e, ok := set.Match(f, target, noon); ok {
			got = e.ID
		}
		if got != want {
			t.Fatalf("finding %d: %d, want %d", i, got, want)
		}
	}
	if matched < 100 {
		t.Errorf("only %d matched: the test says nothing", matched)
	}
}

func BenchmarkMatch(b *testing.B) {
	found := stream(100_000)
	patterns := make([]Exception, 10_000)
	for i := range patterns {
		patterns[i] = Exception{ID: int64(i + 1), Scope: Scope{Rule: "workload/*", Namespace: fmt.Sprintf("team-%d-*", i), Name: "app-*"}}
	}
	for _, bb := range []struct {
		name string
		list []Exception
	}{{"mixed", many(10_000)}, {"patterns", patterns}} {
		set, err := New(bb.list)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				set.Match(found[i%len(found)], 7, noon)
			}
		})
	}
}
