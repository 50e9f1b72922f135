package repair

import (
	"strings"
	"testing"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

func vulnerable(purl, fixed string) *finding.Finding {
	return &finding.Finding{Kind: finding.Vulnerability, Rule: "CVE-2021-1", Remediation: finding.Text{EN: "Upgrade.", ZH: "升级。"}, Resource: finding.Resource{Image: "x"},
		Vulnerability: &finding.Vulnerable{ID: "CVE-2021-1", PURL: purl, FixedVersion: fixed, State: "fixed"}}
}

func TestUpdate(t *testing.T) {
	for purl, want := range map[string][]string{
		"pkg:deb/debian/openssl@3.0.9-1?arch=amd64&distro=debian-12": {"Dockerfile", "RUN apt-get update && apt-get install -y --only-upgrade openssl", "rm -rf /var/lib/apt/lists/*"},
		"pkg:apk/alpine/openssl@3.1.0-r0?distro=alpine-3.18":         {"Dockerfile", "RUN apk add --no-cache --upgrade 'openssl>=9.9'"},
		"pkg:rpm/redhat/openssl@1.1.1?distro=rhel-9":                 {"Dockerfile", "RUN dnf upgrade -y openssl && dnf clean all"},
		"pkg:rpm/centos/openssl@1.1.1?distro=centos-7":               {"Dockerfile", "RUN yum update -y openssl && yum clean all"},
		"pkg:rpm/amzn/openssl@1.1.1?distro=amzn-2":                   {"Dockerfile", "RUN yum update -y openssl"},
		"pkg:rpm/amzn/openssl@1.1.1?distro=amzn-2023":                {"Dockerfile", "RUN dnf upgrade -y openssl"},
		"pkg:rpm/suse/openssl@1.1.1?distro=sles-15.5":                {"Dockerfile", "RUN zypper --non-interactive update openssl"},
		"pkg:rpm/azurelinux/openssl@1.1.1?distro=azurelinux-3.0":     {"Dockerfile", "RUN tdnf update -y openssl"},
		"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1":       {"pom.xml", "<groupId>org.apache.logging.log4j</groupId>", "<artifactId>log4j-core</artifactId>", "<version>9.9</version>"},
		"pkg:npm/%40angular/core@1.0.0":                              {"package.json", `"@angular/core": ">=9.9"`, "npm install '@angular/core@9.9'"},
		"pkg:pypi/django@3.0":                                        {"requirements.txt", "django>=9.9"},
		"pkg:golang/golang.org/x/net@v0.1.0":                         {"go.mod", "require golang.org/x/net v9.9", "go get golang.org/x/net@v9.9"},
		"pkg:golang/stdlib@1.20":                                     {"go.mod", "toolchain go9.9"},
		"pkg:gem/rack@1.0":                                           {"Gemfile", "gem 'rack', '>= 9.9'"},
		"pkg:cargo/tokio@1.0":                                        {"Cargo.toml", "cargo update -p tokio --precise 9.9"},
		"pkg:nuget/Newtonsoft.Json@1.0":                              {"Directory.Packages.props", `Include="Newtonsoft.Json" Version="9.9"`},
		"pkg:composer/guzzlehttp/guzzle@1.0":                         {"composer.json", `"guzzlehttp/guzzle": "^9.9"`},
	} {
		fix := Update(vulnerable(purl, "9.9"))
		if fix.Patch == nil || !fix.Available || fix.Verified || fix.Patch.Kind != "update" {
			t.Errorf("%s: %+v", purl, fix)
			continue
		}
		all := fix.Patch.Filename + "\n" + fix.Patch.Body + "\n" + fix.Patch.Command
		for _, w := range want {
			if !strings.Contains(all, w) {
				t.Errorf("%s lacks %q:\n%s", purl, w, all)
			}
		}
	}
}

func TestUpdateWithoutCommand(t *testing.T) {
	none := vulnerable("pkg:deb/debian/openssl@1", "")
	none.Vulnerability.State = "will-not-fix"
	if fix := Update(none); fix.Available || !strings.Contains(fix.Reason.EN, "no fixed version yet") || len(fix.Steps) < 3 {
		t.Errorf("without a fixed version: %+v", fix)
	}
	for _, f := range []*finding.Finding{vulnerable("pkg:generic/openssl@1", "2"), vulnerable("nonsense", "2"), vulnerable("pkg:npm/a@1", "2; rm -rf /"), vulnerable("pkg:npm/a%24(id)@1", "2"), vulnerable("pkg:pypi/a'b@1", "2"), {Rule: "x"}} {
		if fix := Update(f); fix.Available || fix.Patch != nil || fix.Reason.EN == "" || fix.Reason.ZH == "" {
			t.Errorf("%+v: %+v", f.Vulnerability, fix)
		}
	}
	owned := vulnerable("pkg:pypi/requests@1", "2")
	owned.Vulnerability.Owner = "python3-requests"
	if fix := Update(owned); fix.Patch != nil || !strings.Contains(fix.Steps[1].EN, "python3-requests") {
		t.Errorf("owned by a system package: %+v", fix)
	}
}

func pod(kind, api string, more map[string]any) *inventory.Object {
	content := map[string]any{"apiVersion": api, "kind": kind, "metadata": map[string]any{"name": "it's $(id)", "namespace": "shop"}, "spec": map[string]any{"template": map[string]any{"spec": map[string]any{
		"containers": []any{map[string]any{"name": "web", "image": "x:1", "env": []any{map[string]any{"name": "PASSWORD", "value": Redacted}}, "securityContext": map[string]any{"privileged": true}}}}}}}
	for k, v := range more {
		content["metadata"].(map[string]any)[k] = v
	}
	o, _ := inventory.NewObject(content)
	return o
}

func privileged(o *inventory.Object, lib *rule.Library) *finding.Finding {
	return lib.Find("workload/privileged-container").Finding(rule.Subject{Ref: o.Ref()}, rule.Hit{Container: "web", Path: "spec.template.spec.containers[0].securityContext.privileged", Found: true})
}

// TestPatchHidesNothing makes patches for kinds whose lists API servers do not merge: what is not shown must not be written back.
func TestPatchHidesNothing(t *testing.T) {
	s, lib := shop(t)
	for _, o := range []*inventory.Object{pod("Deployment", "apps/v1", nil), pod("Rollout", "argoproj.io/v1alpha1", nil)} {
		fix := s.Object(o, privileged(o, lib))
		if !fix.Verified || fix.Patch == nil || strings.Contains(fix.Patch.Body, "redacted") {
			t.Fatalf("%s: %+v", o.Kind, fix)
		}
		if !strings.Contains(fix.Patch.Command, `'it'\''s $(id)'`) {
			t.Errorf("a name that a shell would run: %s", fix.Patch.Command)
		}
		if o.Kind == "Rollout" && (fix.Patch.Kind != "json" || !strings.Contains(fix.Patch.Body, `"op": "test"`)) {
			t.Errorf("%+v", fix.Patch)
		}
	}
	o := pod("Deployment", "apps/v1", nil)
	p, notes := patch(o, map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "x": Redacted}, lib.Find("workload/privileged-container"))
	if p != nil || len(notes) != 1 {
		t.Errorf("a patch that would write %s: %+v", Redacted, p)
	}
}

func TestWhoUndoesIt(t *testing.T) {
	s, lib := shop(t)
	for name, meta := range map[string]map[string]any{
		"Helm release shop": {"annotations": map[string]any{"meta.helm.sh/release-name": "shop"}},
		"Argo CD":           {"annotations": map[string]any{"argocd.argoproj.io/tracking-id": "x"}},
		"Flux":              {"labels": map[string]any{"kustomize.toolkit.fluxcd.io/name": "x"}},
		"Operator till":     {"ownerReferences": []any{map[string]any{"kind": "Operator", "name": "till", "controller": true}}},
	} {
		o := pod("Deployment", "apps/v1", meta)
		fix := s.Object(o, privileged(o, lib))
		if !strings.Contains(fix.Steps[0].EN, name) {
			t.Errorf("%s: %v", name, fix.Steps)
		}
	}
}

func TestObjectWithoutTheProblem(t *testing.T) {
	s, lib := shop(t)
	o := pod("Deployment", "apps/v1", nil)
	f := privileged(o, lib)
	for name, g := range map[string]*finding.Finding{
		"another container": {Rule: f.Rule, Fingerprint: "x", Resource: finding.Resource{Container: "other"}},
		"no rule":           {Rule: "none/none"},
		"an analyzer's":     {Rule: "network/exposed-and-privileged"},
	} {
		if fix := s.Object(o, g); fix.Available || fix.Reason.EN == "" || fix.Reason.ZH == "" {
			t.Errorf("%s: %+v", name, fix)
		}
	}
	f.Fingerprint = "of a run under another name of the cluster"
	f.Resource.Container, f.Evidence = "web", []finding.Evidence{{Path: "spec.template.spec.containers[0].securityContext.privileged"}}
	if fix := s.Object(o, f); !fix.Verified {
		t.Errorf("by its place: %+v", fix)
	}
}

func TestDiff(t *testing.T) {
	long := strings.Repeat("x\n", 50)
	for _, c := range [][3]string{
		{"a\nb\nc\n", "a\nB\nc\n", "--- n\n+++ n\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{"a\n", "a\n", ""},
		{long + "a\n" + long + "b\n", long + "A\n" + long + "B\n", "@@ -48,7 +48,7 @@\n x\n x\n x\n-a\n+A\n x\n x\n x\n@@ -99,4 +99,4 @@\n x\n x\n x\n-b\n+B\n"},
		{"a\nb\n", "b\n", "@@ -1,2 +1 @@\n-a\n b\n"},
		{"b\n", "a\nb\n", "@@ -1 +1,2 @@\n+a\n b\n"},
	} {
		if got := Diff(c[0], c[1], "n"); !strings.HasSuffix(got, c[2]) || (c[2] == "") != (got == "") {
			t.Errorf("want\n%s\ngot\n%s", c[2], got)
		}
	}
	many := strings.Repeat("a\nb\n", 5000)
	if got := Diff(many, strings.Repeat("c\nd\n", 5000), "n"); strings.Count(got, "\n") != 20_003 {
		t.Errorf("%d lines of a difference that is too much work", strings.Count(got, "\n"))
	}
	if got := Diff("a", "b", "x\n+++ y"); strings.Count(got, "\n") != 5 {
		t.Errorf("a name of several lines:\n%s", got)
	}
}
