package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

const ruleForm = `id: %s
title: {en: Privileged, zh: 特权}
why: {en: w, zh: w}
fix: {en: f, zh: f}
severity: high
risk: workload
references: [https://kubernetes.io/docs/]
compliance: {pss-baseline: [privileged-containers]}
missing: pass
validate: {over: container, expression: "%s", path: securityContext.privileged, want: false}
`

// library makes rules of container expressions: STK-W-9000, 9001, ...
func library(t testing.TB, expressions ...string) *rule.Library {
	t.Helper()
	dir := t.TempDir()
	for i, e := range expressions {
		folder := filepath.Join(dir, "workload", fmt.Sprintf("r%d", i))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "rule.yaml"), fmt.Appendf(nil, ruleForm, fmt.Sprintf("STK-W-9%03d", i), e), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lib, err := rule.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

const privileged = `!container.?securityContext.?privileged.orValue(false)`

func scanText(t testing.TB, kind, text string, cfg Config) (*collected, *Summary) {
	t.Helper()
	objects, problems := manifest.Parse("shop.yaml", []byte(text), manifest.Limits{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if kind == "cluster" {
		for _, o := range objects {
			o.Origin = inventory.Origin{}
		}
	}
	cfg.Header.Target = finding.Target{Kind: kind, Name: "shop"}
	var got collected
	sum, err := Run(context.Background(), cfg, Objects(objects), &got)
	if err != nil {
		t.Fatal(err)
	}
	return &got, sum
}

func names(c *collected) []string {
	var out []string
	for _, f := range c.findings {
		out = append(out, fmt.Sprintf("%s %s/%s %s", f.Resource.Kind, f.Resource.Namespace, f.Resource.Name, f.Resource.Container))
	}
	return out
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: d}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: web, image: i, securityContext: {privileged: true}}]}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-5d4f, namespace: shop, uid: r, labels: {pod-template-hash: 5d4f}, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}]}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: web, image: i, securityContext: {privileged: true}}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-5d4f-x1, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4f, uid: r, controller: true}]}
spec:
  containers: [{name: web, image: i, securityContext: {privileged: true}}, {name: injected, image: i, securityContext: {privileged: true}}]
  ephemeralContainers: [{name: debug, image: i, securityContext: {privileged: true}}]
`

// TestFolding: a Deployment, its ReplicaSet and its Pods are judged once; what a Pod carries beyond them is judged too,
// under the Deployment's name.
func TestFolding(t *testing.T) {
	got, _ := scanText(t, "cluster", deployment, Config{Library: library(t, privileged)})
	want := []string{"Deployment shop/web web", "Deployment shop/web injected", "Deployment shop/web debug"}
	if !slices.Equal(names(got), want) {
		t.Errorf("got %q, want %q", names(got), want)
	}
	again, _ := scanText(t, "cluster", strings.ReplaceAll(strings.ReplaceAll(deployment, "5d4f", "77aa"), "-x1", "-y2"), Config{Library: library(t, privileged)})
	for i := range got.findings {
		if got.findings[i].Fingerprint != again.findings[i].Fingerprint {
			t.Errorf("%s: the fingerprint changed with a re-deploy", names(got)[i])
		}
	}
}

// TestOrder: findings come in the order of the objects, however many workers there are.
func TestOrder(t *testing.T) {
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%03d}\nspec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}\n", i)
	}
	one, _ := scanText(t, "iac", text.String(), Config{Library: library(t, privileged), Workers: 1})
	many, _ := scanText(t, "iac", text.String(), Config{Library: library(t, privileged), Workers: 7})
	if len(one.findings) != 500 || !slices.Equal(names(one), names(many)) {
		t.Errorf("%d and %d findings, or another order", len(one.findings), len(many.findings))
	}
}

// TestVariants: two objects of one name in one file, or in two, are two findings.
func TestVariants(t *testing.T) {
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}\n"
	got, _ := scanText(t, "iac", pod+"---\n"+pod, Config{Library: library(t, privileged)})
	if len(got.findings) != 2 || got.findings[0].Fingerprint == got.findings[1].Fingerprint {
		t.Errorf("%d findings, want 2 of their own", len(got.findings))
	}
}

// TestUndecided: an expression that fails is told with the object, and is neither a finding nor a pass.
func TestUndecided(t *testing.T) {
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: i}]}\n"
	got, sum := scanText(t, "iac", pod, Config{Library: library(t, "!container.securityContext.privileged")})
	if len(got.findings) != 0 || sum.Partial != 1 || len(got.notScanned) != 1 || !strings.Contains(got.notScanned[0].Reason, "shop.yaml:1") {
		t.Errorf("findings %v, partial %d, not scanned %v", got.findings, sum.Partial, got.notScanned)
	}
}

// TestPatch: a workload without a pod is told and not judged.
func TestPatch(t *testing.T) {
	got, sum := scanText(t, "iac", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: p}\nspec: {replicas: 3}\n", Config{Library: library(t, privileged)})
	if len(got.notScanned) != 1 || got.notScanned[0].Code != finding.Skipped || sum.Partial != 0 {
		t.Errorf("not scanned %v, partial %d", got.notScanned, sum.Partial)
	}
}

// TestMitigation: what Pod Security would refuse today says so.
func TestMitigation(t *testing.T) {
	ns := func(level string) string {
		return "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: " + level + "}}\n---\n"
	}
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}\n"
	for level, want := range map[string]int{"restricted": 1, "baseline": 1, "privileged": 0} {
		got, _ := scanText(t, "cluster", ns(level)+pod, Config{Library: library(t, privileged)})
		if len(got.findings) != 1 || len(got.findings[0].Mitigations) != want {
			t.Errorf("%s: %+v", level, got.findings)
		}
	}
}

// TestRefused: a policy of ours that denies says so on the findings of its rules; one that audits does not.
func TestRefused(t *testing.T) {
	policy := func(action string) string {
		return "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: ours, annotations: {stockade.dev/rules: \"STK-W-9000,STK-W-9001\"}}\nspec: {}\n---\n" +
			"apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: ours}\nspec: {policyName: ours, validationActions: [" + action + "]}\n---\n"
	}
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}\n"
	for action, want := range map[string]int{"Deny": 1, "Audit": 0} {
		got, _ := scanText(t, "cluster", policy(action)+pod, Config{Library: library(t, privileged)})
		if len(got.findings) != 1 || len(got.findings[0].Mitigations) != want {
			t.Errorf("%s: %+v", action, got.findings)
		}
	}
}

// TestSuppression: a comment with a reason suppresses its rule on its line, and only that.
func TestSuppression(t *testing.T) {
	text := "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: a\n    image: i\n    securityContext:\n      privileged: true # stockade:ignore STK-W-9000 reason=\"a driver\"\n" +
		"  - name: b\n    image: i\n    securityContext:\n      privileged: true\n"
	got, sum := scanText(t, "iac", text, Config{Library: library(t, privileged)})
	if len(got.findings) != 2 || got.findings[0].Status != finding.Suppressed || got.findings[0].Suppression.Reason != "a driver" ||
		got.findings[1].Status != finding.Open || sum.Worst[finding.High] != 1 {
		t.Errorf("%+v", got.findings)
	}
}

// TestSecretLine: a finding on a line that holds a secret quotes nothing of it.
func TestSecretLine(t *testing.T) {
	line := func(kind finding.Kind, n int) outcome {
		f := &finding.Finding{Kind: kind, Resource: finding.Resource{Line: n}}
		if kind != finding.Secret {
			f.Snippet = &finding.Snippet{Line: n, Text: "password: hunter2"}
		}
		return outcome{finding: f}
	}
	out := []outcome{line(finding.Configuration, 3), line(finding.Configuration, 4), {undecided: "x"}, line(finding.Secret, 3)}
	hideSecrets(out)
	if out[0].finding.Snippet != nil || out[1].finding.Snippet == nil {
		t.Errorf("line 3: %v, line 4: %v", out[0].finding.Snippet, out[1].finding.Snippet)
	}
}

func TestFilter(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	accept := func(text string) Filter {
		list, err := exception.Read([]byte("exceptions: [{reason: why, " + text + "}]"))
		if err != nil {
			t.Fatal(err)
		}
		set, err := exception.New(list)
		if err != nil {
			t.Fatal(err)
		}
		return Filter{Exceptions: set}
	}
	for _, tt := range []struct {
		name   string
		filter Filter
		keep   bool
		by     string
	}{
		{"none", Filter{}, true, ""},
		{"too low", Filter{Severity: finding.Critical}, false, ""},
		{"severe enough", Filter{Severity: finding.High}, true, ""},
		{"other kind", Filter{Kinds: []finding.Kind{finding.Secret}}, false, ""},
		{"baseline", Filter{Baseline: map[string]bool{"f": true}}, true, "baseline"},
		{"by pattern", accept(`rule: "workload/*", namespace: "sh*"`), true, "exception"},
		{"by id", accept(`rule: STK-W-0001`), true, "exception"},
		{"by fingerprint", accept(`fingerprint: f`), true, "exception"},
		{"other namespace", accept(`rule: "*/*", namespace: bank`), true, ""},
		{"last day", accept(`rule: "*/*", expires: 2026-11-21`), true, "exception"},
		{"over", accept(`rule: "*/*", expires: 2026-11-20`), true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &finding.Finding{Fingerprint: "f", Rule: "workload/x", RuleID: "STK-W-0001", Severity: finding.High, Kind: finding.Configuration,
				Status: finding.Open, Resource: finding.Resource{Namespace: "shop"}}
			keep := tt.filter.Apply(f, now)
			by := ""
			if f.Suppression != nil {
				by = f.Suppression.By
			}
			if keep != tt.keep || by != tt.by {
				t.Errorf("kept %v, suppressed by %q", keep, by)
			}
		})
	}
}

// failing is a source that breaks off, and a handler that cannot write.
type failing struct{ after int }

func (f failing) Stream(_ context.Context, emit func(*inventory.Object) error, _ func(finding.NotScanned)) error {
	for i := range f.after {
		o, _ := inventory.NewObject(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": fmt.Sprint(i)},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "securityContext": map[string]any{"privileged": true}}}}})
		if err := emit(o); err != nil {
			return err
		}
	}
	return errors.New("the connection was cut")
}

type fullDisk struct{ collected }

func (*fullDisk) Finding(*finding.Finding) error { return errors.New("no space left on device") }

func TestFailures(t *testing.T) {
	cfg := Config{Library: library(t, privileged), Header: finding.Header{Target: finding.Target{Kind: "cluster", Name: "shop"}}}
	var got collected
	if _, err := Run(context.Background(), cfg, failing{0}, &got); err == nil || !strings.Contains(err.Error(), "cut") {
		t.Errorf("nothing was read: got %v", err)
	}
	got = collected{}
	sum, err := Run(context.Background(), cfg, failing{100}, &got)
	if err != nil || len(got.findings) != 100 || sum.Partial != 1 {
		t.Errorf("cut after a hundred: %v, %d findings, partial %d", err, len(got.findings), sum.Partial)
	}
	if _, err := Run(context.Background(), cfg, failing{100}, &fullDisk{}); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("full disk: got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, cfg, failing{100}, &got); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestWants(t *testing.T) {
	got := parseWants([]byte("a: 1 # want \"x\" \"y\"\n# want \"next\"\n# a comment\nRUN x\nb: 2\n"))
	if len(got) != 2 || !slices.Equal(got[1], []string{"x", "y"}) || !slices.Equal(got[4], []string{"next"}) {
		t.Errorf("got %v", got)
	}
}
