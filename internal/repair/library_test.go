package repair

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

var update = flag.Bool("update", false, "write the list of rules with tried repairs anew")

var library = sync.OnceValues(func() (*rule.Library, error) { return rule.Load(os.DirFS("../../rules")) })

func shop(t *testing.T) (*Shop, *rule.Library) {
	t.Helper()
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	return New(lib, analyze.All), lib
}

// badCases are the objects of a rule's bad cases.
func badCases(t *testing.T, r *rule.Rule) []*inventory.Object {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../../rules", r.Name, "cases", "bad-*"))
	if err != nil {
		t.Fatal(err)
	}
	var out []*inventory.Object
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		objects, _ := manifest.Parse(f, data, manifest.Limits{})
		for _, o := range objects {
			inventory.DropNulls(o.Content)
			o.Origin = inventory.Origin{}
			if slices.Equal(r.Targets, []string{"iac"}) {
				o.Origin.File = path.Base(f)
			}
			if inventory.Map(o.Content, "metadata") != nil {
				out = append(out, o)
			}
		}
	}
	return out
}

// problems are the findings of a rule on an object.
func problems(s *Shop, r *rule.Rule, o *inventory.Object) []*finding.Finding {
	b := s.bench(o)
	subject := rule.Subject{Cluster: "c", Ref: o.Ref(), Origin: inventory.Origin{File: o.Origin.File}}
	var out []*finding.Finding
	seen := map[string]bool{}
	for _, h := range b.judge(o, r).hits {
		if f := r.Finding(subject, h.Hit); !seen[f.Fingerprint] {
			seen[f.Fingerprint] = true
			out = append(out, f)
		}
	}
	return out
}

// single are the rules that judge one Kubernetes object.
func single(lib *rule.Library) []*rule.Rule {
	var out []*rule.Rule
	for _, r := range lib.Rules {
		if r.SingleObject() || r.Validate != nil && slices.Equal(r.Targets, []string{"iac"}) && (r.Validate.Over == "pod" || r.Validate.Over == "container") {
			out = append(out, r)
		}
	}
	return out
}

// TestLibrary tries the repair of every finding in every bad case. The list in testdata holds the rules of which all, or some,
// findings get one: it must not shrink unseen. go test -run TestLibrary -update writes it.
func TestLibrary(t *testing.T) {
	s, lib := shop(t)
	var lines []string
	workloads, repaired := 0, 0
	for _, r := range single(lib) {
		tried, mended := 0, 0
		reasons := map[string]int{}
		for _, o := range badCases(t, r) {
			for _, f := range problems(s, r, o) {
				tried++
				before := string(mustJSON(o.Content))
				fix := s.Object(o, f)
				if string(mustJSON(o.Content)) != before {
					t.Fatalf("%s: the object itself was changed", r.Name)
				}
				if fix.Available {
					mended++
					applied(t, s, r, o, f, fix)
				} else {
					reasons[fix.Reason.EN]++
				}
			}
		}
		workload := r.Validate.Over == "container" || r.Validate.Over == "pod"
		if workload {
			workloads++
			if mended > 0 {
				repaired++
			}
		}
		if mended > 0 {
			lines = append(lines, fmt.Sprintf("%s %d/%d", r.Name, mended, tried))
		}
		if mended < tried && len(r.Repairs()) > 0 {
			t.Logf("%s: %d of %d: %v", r.Name, mended, tried, reasons)
		}
		if tried == 0 {
			t.Errorf("%s: no finding in its bad cases", r.Name)
		}
	}
	sort.Strings(lines)
	got := strings.Join(lines, "\n") + "\n"
	t.Logf("%d of %d rules on workloads get a tried repair, %d rules in all", repaired, workloads, len(lines))
	if repaired*100 < workloads*60 {
		t.Errorf("only %d of %d rules on workloads get a tried repair", repaired, workloads)
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("testdata/repaired.txt", []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/repaired.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("testdata/repaired.txt differs (-update writes it):\n%s", Diff(string(want), got, "repaired.txt"))
	}
}

// applied applies the patch to the object, as the API server would, and judges what comes of it.
func applied(t *testing.T, s *Shop, r *rule.Rule, o *inventory.Object, f *finding.Finding, fix Fix) {
	t.Helper()
	if fix.Diff == "" || fix.Patch == nil || !fix.Verified {
		t.Errorf("%s on %s: a change without a difference or a patch", r.Name, o.Ref())
		return
	}
	changed := *o
	switch p := fix.Patch; p.Kind {
	case "strategic":
		var m any
		unmarshalYAML(t, p.Body, &m)
		got, err := strategicpatch.StrategicMergePatch(mustJSON(o.Content), mustJSON(m), typed[o.APIVersion+" "+o.Kind])
		if err != nil {
			t.Fatal(err)
		}
		changed.Content = object(t, got)
	case "merge":
		var m map[string]any
		unmarshalYAML(t, p.Body, &m)
		changed.Content = object(t, mustJSON(mergePatch(clone(o.Content).(map[string]any), m)))
	case "json":
		var ops []operation
		if err := json.Unmarshal([]byte(p.Body), &ops); err != nil {
			t.Fatal(err)
		}
		changed.Content = object(t, mustJSON(jsonPatch(t, clone(o.Content), ops)))
	default:
		t.Fatalf("a patch of kind %q", p.Kind)
	}
	if left := match(s.bench(&changed).judge(&changed, r).hits, f); len(left) > 0 && slices.ContainsFunc(problems(s, r, &changed), func(g *finding.Finding) bool { return g.Fingerprint == f.Fingerprint }) {
		t.Errorf("%s on %s: the finding is there after the patch:\n%s\n%s", r.Name, o.Ref(), fix.Patch.Body, fix.Diff)
	}
	if want := object(t, mustJSON(undiff(t, o, fix))); !reflect.DeepEqual(plainJSON(t, changed.Content), plainJSON(t, want)) {
		t.Errorf("%s on %s: the patch and the difference make different objects:\n%s\n%s", r.Name, o.Ref(), fix.Patch.Body, fix.Diff)
	}
}
