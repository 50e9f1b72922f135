package constraint

import (
	"encoding/json"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/rules"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func library(t testing.TB) *rule.Library {
	t.Helper()
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

const userTemplate = `apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: k8srequired, annotations: {a: b}}
spec:
  crd: {spec: {names: {kind: K8sRequired}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      code: [{engine: K8sNativeValidation, source: {validations: [{expression: "true", message: x}]}}]
`

// bundle is one of everything.
func bundle() *policy.Bundle {
	return &policy.Bundle{Generation: "g1", Target: 1, Cluster: "prod", Lang: "en", Console: "https://stockade.example.com/", System: policy.SystemNamespaces,
		Templates: []policy.Template{{Name: "k8srequired", YAML: userTemplate}},
		Policies: []policy.Policy{
			{ID: 7, Version: 3, Name: "pods", Action: policy.Block, Rules: []policy.RuleUse{{Rule: "workload/privileged-container"}, {Rule: "escape/host-path", Action: policy.Audit},
				{Rule: "STK-A-0001"}, {Rule: "workload/none"}, {Rule: "workload/privileged-container"}}, Mutate: true,
				Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities}, {Check: policy.Secrets, Action: policy.Warn}}, Templates: []policy.TemplateUse{{Template: "k8srequired", Params: map[string]any{"n": 1.0}}}},
			{ID: 8, Version: 1, Name: "native", Action: policy.Warn, Engine: policy.VAP, Rules: []policy.RuleUse{{Rule: "workload/privileged-container"}}},
			{ID: 9, Version: 1, Name: "off", Disabled: true, Action: policy.Block, Rules: []policy.RuleUse{{Rule: "workload/privileged-container"}}},
			{ID: 10, Version: 1, Name: "elsewhere", Scope: policy.Scope{Clusters: []int64{2}}, Rules: []policy.RuleUse{{Rule: "workload/privileged-container"}}},
		}}
}

func options() Options {
	return Options{Now: now, Kubernetes: 34, VAP: true, ProviderURL: "https://stockade-provider.stockade-protect.svc:8443/", CABundle: []byte("PEM")}
}

func compile(t testing.TB, lib *rule.Library, b *policy.Bundle, o Options) *Set {
	t.Helper()
	set, err := Compile(lib, b, o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func names(list []*unstructured.Unstructured) []string {
	var out []string
	for _, o := range list {
		out = append(out, o.GetKind()+" "+o.GetName())
	}
	return out
}

// TestCompile: what comes of a bundle, in the order in which it is applied, and the same each time.
func TestCompile(t *testing.T) {
	lib := library(t)
	set := compile(t, lib, bundle(), options())
	want := []string{"ConstraintTemplate stockadeimage", "ConstraintTemplate k8srequired", "ConstraintTemplate stockadeaccesscontrol", "ConstraintTemplate stockadenodeescape",
		"Provider stockade", "Provider stockade-digest",
		"StockadeAccessControl p7-block", "StockadeNodeEscape p7-block", "StockadeImage p7-warn", "StockadeImage p7-block", "K8sRequired p7-block",
		"Assign stockade-p7-digest-containers", "Assign stockade-p7-digest-init", "Assign stockade-p7-digest-volumes",
		"ValidatingAdmissionPolicy stockade-p8-warn-nodeescape", "ValidatingAdmissionPolicyBinding stockade-p8-warn-nodeescape"}
	got := names(set.Objects)
	got = slices.DeleteFunc(got, func(s string) bool { return s == "StockadeNodeEscape p7-audit" }) // where the rule's risk is that
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	text, err := set.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again, _ := compile(t, lib, bundle(), options()).YAML(); again != text {
			t.Fatal("the same bundle compiles to other bytes")
		}
	}
	for _, o := range set.Objects {
		if o.GetLabels()[labelManaged] != "stockade" {
			t.Errorf("%s %s has the labels %v", o.GetKind(), o.GetName(), o.GetLabels())
		}
		if strings.HasPrefix(o.GetName(), "p7-") && (o.GetLabels()[LabelPolicy] != "7" || o.GetLabels()[LabelVersion] != "3" || o.GetAnnotations()[LabelBundle] != "g1") {
			t.Errorf("%s %s: %v %v", o.GetKind(), o.GetName(), o.GetLabels(), o.GetAnnotations())
		}
	}
	var notes []string
	for _, n := range set.Notes {
		notes = append(notes, n.What)
	}
	if !slices.Equal(notes, []string{"rule workload/none", "rule workload/privileged-container"}) {
		t.Errorf("notes: %+v", set.Notes)
	}
	if strings.Count(text, "generateVAP: false") != 3 {
		t.Error("a CEL template does not say that Gatekeeper must not enforce it twice")
	}
	if recorder := string(must(json.Marshal(set.Recorder))); !strings.Contains(recorder, "pods/ephemeralcontainers") || !strings.Contains(recorder, "clusterroles") || !strings.Contains(recorder, "cronjobs") {
		t.Errorf("the recorder sees %s", recorder)
	}
	if !set.Next.IsZero() {
		t.Errorf("nothing changes by itself, but %v", set.Next)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestWithout: what a cluster cannot do is said, and something else is done or nothing.
func TestWithout(t *testing.T) {
	lib := library(t)
	o := options()
	o.VAP = false
	o.Gatekeeper = "v3.17.1"
	set := compile(t, lib, bundle(), o)
	got := strings.Join(names(set.Objects), "\n")
	if strings.Contains(got, "Admission") || !strings.Contains(got, "StockadeNodeEscape p8-warn") || strings.Contains(got, "Assign") || strings.Contains(got, "stockade-digest") {
		t.Error(got)
	}
	var notes []string
	for _, n := range set.Notes {
		notes = append(notes, n.What)
	}
	if !slices.Equal(notes, []string{"rule workload/none", "rule workload/privileged-container", "tags to digests", "engine"}) {
		t.Errorf("notes: %+v", set.Notes)
	}
	if set := compile(t, lib, &policy.Bundle{}, o); len(set.Objects)+len(set.Recorder)+len(set.Notes) > 0 {
		t.Errorf("of no policies comes %v", names(set.Objects))
	}
}

// TestFingerprints: an exception for one finding holds at admission when somebody knows what the finding is of.
func TestFingerprints(t *testing.T) {
	lib := library(t)
	b := bundle()
	b.Exceptions = []exception.Exception{{ID: 1, Scope: exception.Scope{Fingerprint: "f1"}, Reason: "r", Expires: now.Add(time.Hour)}, {ID: 2, Scope: exception.Scope{Fingerprint: "f2"}, Reason: "r"},
		{ID: 3, Scope: exception.Scope{Fingerprint: "f3"}, Reason: "r"}, {ID: 4, Scope: exception.Scope{CVE: "CVE-2021-44228"}, Reason: "r"},
		{ID: 5, Scope: exception.Scope{Rule: "workload/*", Labels: "size>3"}, Reason: "r"}, {ID: 6, Target: 2, Scope: exception.Scope{Rule: "*/*"}, Reason: "r"}}
	o := options()
	o.Fingerprint = func(f string) (Place, bool) {
		return map[string]Place{"f1": {Rule: "STK-W-0001", Namespace: "shop", Kind: "Deployment", Name: "w*b", Container: "web"}, "f2": {Rule: "STK-W-0001", Item: "x"}}[f], f != "f3"
	}
	set := compile(t, lib, b, o)
	i := slices.IndexFunc(set.Objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == "StockadeNodeEscape" && o.GetName() == "p7-block"
	})
	got, _, _ := unstructured.NestedSlice(set.Objects[i].Object, "spec", "parameters", "exceptions")
	want := []any{map[string]any{"id": int64(1), "rules": []any{"STK-W-0001"}, "namespace": "shop", "kind": "Deployment", "nameLike": `^w\*b$`, "container": "web"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	var left []int64
	for _, n := range set.Notes {
		if n.Exception != 0 {
			left = append(left, n.Exception)
		}
	}
	if !slices.Equal(left, []int64{2, 3, 5}) || !set.Next.Equal(now.Add(time.Hour)) {
		t.Errorf("notes: %+v; next %v", set.Notes, set.Next)
	}
}

// TestDiff: what is added by the API server is no drift; everything else is.
func TestDiff(t *testing.T) {
	lib := library(t)
	want := compile(t, lib, bundle(), options()).Objects
	there := func() []*unstructured.Unstructured {
		var out []*unstructured.Unstructured
		for _, o := range want {
			c := &unstructured.Unstructured{}
			if err := c.UnmarshalJSON(must(o.MarshalJSON())); err != nil {
				t.Fatal(err)
			}
			c.SetManagedFields(nil)
			c.SetResourceVersion("5")
			c.SetUID("u")
			c.Object["status"] = map[string]any{"created": true}
			if c.GetKind() == "ValidatingAdmissionPolicy" {
				_ = unstructured.SetNestedMap(c.Object, map[string]any{}, "spec", "matchConstraints", "objectSelector")
			}
			annotations := c.GetAnnotations()
			if annotations != nil {
				annotations[LabelBundle] = "older"
				c.SetAnnotations(annotations)
			}
			out = append(out, c)
		}
		return out
	}
	if d := Diff(want, there()); len(d) > 0 {
		t.Errorf("drift: %+v", d)
	}
	find := func(list []*unstructured.Unstructured, kind string) *unstructured.Unstructured {
		return list[slices.IndexFunc(list, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind })]
	}
	for name, tt := range map[string]struct {
		change func([]*unstructured.Unstructured)
		want   Drift
	}{
		"milder action": {func(l []*unstructured.Unstructured) {
			_ = unstructured.SetNestedField(find(l, "StockadeImage").Object, "dryrun", "spec", "enforcementAction")
		}, Drift{constraintAPI, "StockadeImage", "p7-warn", "changed", []string{"spec.enforcementAction"}}},
		"another namespace let out": {func(l []*unstructured.Unstructured) {
			_ = unstructured.SetNestedField(find(l, "K8sRequired").Object, []any{"shop"}, "spec", "match", "namespaces")
		}, Drift{constraintAPI, "K8sRequired", "p7-block", "changed", []string{"spec.match.namespaces"}}},
		"another user let in": {func(l []*unstructured.Unstructured) {
			_ = unstructured.SetNestedField(find(l, "StockadeImage").Object, []any{"mallory"}, "spec", "parameters", "users")
		}, Drift{constraintAPI, "StockadeImage", "p7-warn", "changed", []string{"spec.parameters.users"}}},
		"label": {func(l []*unstructured.Unstructured) {
			find(l, "Provider").SetLabels(nil)
		}, Drift{"externaldata.gatekeeper.sh/v1beta1", "Provider", "stockade", "changed", []string{"metadata.labels.app.kubernetes.io/managed-by"}}},
	} {
		have := there()
		tt.change(have)
		if d := Diff(want, have); !reflect.DeepEqual(d, []Drift{tt.want}) {
			t.Errorf("%s: %+v, want %+v", name, d, tt.want)
		}
	}
	have := there()
	foreign := &unstructured.Unstructured{Object: map[string]any{"apiVersion": constraintAPI, "kind": "K8sOther", "metadata": map[string]any{"name": "x"}}}
	ours := foreign.DeepCopy()
	ours.SetName("p3-warn")
	ours.SetLabels(map[string]string{labelManaged: managed})
	if d := Diff(want, append(have[1:], foreign, ours)); len(d) != 2 || d[0].What != "missing" || d[1].What != "surplus" || d[1].Name != "p3-warn" {
		t.Errorf("drift: %+v", d)
	}
}

// FuzzHostile: whatever people write in policies stays data. Templates do not depend on it, and expressions that have it inlined say it
// back.
func FuzzHostile(f *testing.F) {
	for _, s := range []string{"a", `"`, "\\", "'", "%s%d", "\n", "]) || true || ([", "{{.}}", "${x}", "\u2028\u0000", "a\xffb", `\"`, "`", "*", "[a", "input.review", `"} deny[x] {`, "<script>&"} {
		f.Add(s)
	}
	lib := library(f)
	env, err := cel.NewEnv(cel.HomogeneousAggregateLiterals(), cel.OptionalTypes())
	if err != nil {
		f.Fatal(err)
	}
	templates := func(set *Set) string {
		var out strings.Builder
		for _, o := range set.Objects {
			if o.GetKind() == "ConstraintTemplate" {
				out.Write(must(o.MarshalJSON()))
			}
		}
		return out.String()
	}
	plainBundle := func(s string) *policy.Bundle {
		b := &policy.Bundle{Generation: s, Cluster: s, Console: s, System: []string{s}, Users: []string{s}, Groups: []string{s}}
		p := policy.Policy{ID: 1, Name: s, Action: policy.Block, Rules: []policy.RuleUse{{Rule: "workload/privileged-container"}, {Rule: "access/binding-masters", Params: map[string]any{s: s}}, {Rule: s}},
			Checks: []policy.ImageCheck{{Check: policy.Registry, Allow: []string{s}}}, Allowed: []policy.AllowedImage{{Repository: s, Digest: s}}, Templates: []policy.TemplateUse{{Template: s}}, Mutate: true,
			Scope: policy.Scope{Namespaces: []string{s, "shop"}, ExcludedNamespaces: []string{s}, Images: []string{s}, ExcludedImages: []string{s}, Users: []string{s}, Groups: []string{s}, Operations: []string{"CREATE"}, SystemNamespaces: true}}
		v := p
		v.ID, v.Engine = 2, policy.VAP
		b.Policies = []policy.Policy{p, v}
		b.Exceptions = []exception.Exception{{Scope: exception.Scope{Rule: "*/*", Namespace: s, Kind: s, Name: s, Container: s, Image: s, Labels: "a=b"}, Reason: s}}
		return b
	}
	o := options()
	o.Adopted = true
	want := templates(compile(f, lib, plainBundle("x"), o))
	f.Fuzz(func(t *testing.T, s string) {
		set := compile(t, lib, plainBundle(s), o)
		if templates(set) != want {
			t.Errorf("%q changes a template", s)
		}
		text, err := set.YAML()
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range strings.Split(text, "---\n") {
			var v any
			if err := yaml.Unmarshal([]byte(doc), &v); err != nil {
				t.Errorf("%q: %v\n%s", s, err, doc)
			}
		}
		for _, o := range set.Objects {
			if o.GetKind() == "ValidatingAdmissionPolicy" {
				vars, _, _ := unstructured.NestedSlice(o.Object, "spec", "variables")
				ast, iss := env.Compile(vars[1].(map[string]any)["expression"].(string))
				if iss.Err() != nil {
					t.Fatalf("%q: %v", s, iss.Err())
				}
				program, err := env.Program(ast)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := program.Eval(map[string]any{}); err != nil {
					t.Fatalf("%q: %v", s, err)
				}
			}
		}
		data := must(json.Marshal(s))
		var back string
		_ = json.Unmarshal(data, &back) // what is not UTF-8 is replaced
		ast, iss := env.Compile(inline(map[string]any{"a": []any{s, int64(1), 1.5, true, nil, map[string]any{s: s}}}) + `.a[0]`)
		if iss.Err() != nil {
			t.Fatalf("%q: %v", s, iss.Err())
		}
		program, err := env.Program(ast)
		if err != nil {
			t.Fatal(err)
		}
		if v, _, err := program.Eval(map[string]any{}); err != nil || v.Value() != back {
			t.Errorf("%q comes back as %v, %v", s, v, err)
		}
	})
}

// FuzzPattern: regular expressions of patterns match what the patterns match.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{"a*", "*b", "[a-c]x", `\*`, "a?c", "[^a]", "", "[", `a\`, "[]a]", "[a", "a/b*", "[-]", "[a-]", "[z-a]", "日本*", "[日-本]", "a\nb"} {
		f.Add(p, "abc")
		f.Add(p, "a/b/c")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if !json.Valid(must(json.Marshal(pattern))) || strings.ToValidUTF8(pattern, "") != pattern || strings.ToValidUTF8(text, "") != text || strings.ContainsRune(pattern+text, 0) {
			return
		}
		for _, over := range []bool{false, true} {
			p, s := pattern, text
			if over {
				p, s = strings.ReplaceAll(p, "/", "\x00"), strings.ReplaceAll(s, "/", "\x00")
			}
			want, err := path.Match(p, s)
			expr, ok := expression(pattern, over)
			if !ok {
				if err == nil && want {
					t.Errorf("%q matches %q, but has no expression", pattern, text)
				}
				continue
			}
			if got := regexp.MustCompile(expr).MatchString(text); err == nil && got != want {
				t.Errorf("%q as %q on %q (over %v): %v, want %v", pattern, expr, text, over, got, want)
			}
		}
	})
}
