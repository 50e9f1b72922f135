// Package parity holds the three doors to one verdict: every case of every rule that judges one object is put to our
// engine, to Gatekeeper's engine and to ValidatingAdmissionPolicies in a real API server.
package parity

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis"
	constraints "github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/frameworks/constraint/pkg/core/templates"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/drivers/k8scel"
	mutation "github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/rules"
)

// enforcementPoint is where Gatekeeper's library evaluates outside a cluster.
const enforcementPoint = "gator.gatekeeper.sh"

// caseObject is one object of a case file.
type caseObject struct {
	name   string // file and document, for messages
	object *inventory.Object
}

func library(t testing.TB) *rule.Library {
	t.Helper()
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// cases reads the objects of every case of the rules that admission engines can run.
func cases(t testing.TB, lib *rule.Library) []caseObject {
	t.Helper()
	fsys := os.DirFS("../../rules")
	var out []caseObject
	for _, r := range lib.Rules {
		if !export.Enforceable(r) {
			continue
		}
		files, err := fs.Glob(fsys, path.Join(r.Name, "cases", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := fs.ReadFile(fsys, file)
			if err != nil {
				t.Fatal(err)
			}
			objects, problems := scan.ParseCase(file, data)
			if len(problems) > 0 {
				t.Errorf("%s: %v", file, problems)
			}
			for i, o := range objects {
				out = append(out, caseObject{fmt.Sprintf("%s #%d", file, i), o})
			}
		}
	}
	if len(out) < 200 {
		t.Fatalf("%d case objects: the library cannot have been read", len(out))
	}
	return out
}

// ours is the ids of the rules that our engine says the object breaks. An undecided rule counts: admission refuses there.
func ours(e *rule.Engine, o *inventory.Object) []string {
	found := map[string]bool{}
	e.Session().Object(o, nil, rule.Sink{
		Hit:       func(r *rule.Rule, _ rule.Hit) { found[r.ID] = export.Enforceable(r) },
		Undecided: func(r *rule.Rule, _ error) { found[r.ID] = export.Enforceable(r) },
	})
	maps.DeleteFunc(found, func(_ string, enforceable bool) bool { return !enforceable })
	return slices.Sorted(maps.Keys(found))
}

var idInMessage = regexp.MustCompile(`\[(STK-[A-Z]-\d{4})\]`)

func idsIn(messages []string) []string {
	found := map[string]bool{}
	for _, m := range messages {
		for _, id := range idInMessage.FindAllStringSubmatch(m, -1) {
			found[id[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// TestGatekeeper holds our engine to Gatekeeper's, with the exported templates bundled and split.
func TestGatekeeper(t *testing.T) {
	lib := library(t)
	objects := cases(t, lib)
	engine := rule.NewEngine(lib)
	for _, split := range []bool{false, true} {
		t.Run(fmt.Sprintf("split=%v", split), func(t *testing.T) {
			policies, err := export.ConstraintTemplates(lib.Rules, export.Options{Split: split, Action: "deny"})
			if err != nil {
				t.Fatal(err)
			}
			client := gatekeeper(t, policies)
			for _, c := range objects {
				res, err := client.Review(context.Background(), target.AugmentedUnstructured{
					Object: unstructured.Unstructured{Object: runtime.DeepCopyJSON(c.object.Content)}, Source: mutation.SourceTypeOriginal},
					reviews.EnforcementPoint(enforcementPoint))
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
					continue
				}
				var messages []string
				for _, r := range res.Results() {
					messages = append(messages, r.Msg)
				}
				if got, want := idsIn(messages), ours(engine, c.object); !slices.Equal(got, want) {
					t.Errorf("%s: Gatekeeper says %v, we say %v\n%s", c.name, got, want, strings.Join(messages, "\n"))
				}
			}
			t.Logf("%d templates, %d objects", len(policies), len(objects))
		})
	}
}

// gatekeeper makes a client of Gatekeeper's own engine that holds the policies.
func gatekeeper(t *testing.T, policies []export.Policy) *constraints.Client {
	t.Helper()
	driver, err := k8scel.New()
	if err != nil {
		t.Fatal(err)
	}
	client, err := constraints.NewClient(constraints.Targets(&target.K8sValidationTarget{}), constraints.Driver(driver),
		constraints.EnforcementPoints(enforcementPoint))
	if err != nil {
		t.Fatal(err)
	}
	sch := runtime.NewScheme()
	if err := apis.AddToScheme(sch); err != nil {
		t.Fatal(err)
	}
	for _, p := range policies {
		versioned, err := sch.New(schema.GroupVersionKind{Group: "templates.gatekeeper.sh", Version: "v1", Kind: "ConstraintTemplate"})
		if err != nil {
			t.Fatal(err)
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(p.Objects[0], versioned); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		sch.Default(versioned)
		template := &templates.ConstraintTemplate{}
		if err := sch.Convert(versioned, template, nil); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		if _, err := client.AddTemplate(context.Background(), template); err != nil {
			t.Errorf("template %s: %v", p.Name, err)
			continue
		}
		if _, err := client.AddConstraint(context.Background(), &unstructured.Unstructured{Object: p.Objects[1]}); err != nil {
			t.Errorf("constraint %s: %v", p.Name, err)
		}
	}
	return client
}
