// Package gatekeeper runs users' own ConstraintTemplates, in Rego or CEL, with their constraints by the framework that
// Gatekeeper itself uses. It is apart from package rule because that framework is heavy and is needed for these only.
package gatekeeper

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis"
	constraints "github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers/rego"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/frameworks/constraint/pkg/core/templates"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/drivers/k8scel"
	mutation "github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// Judge evaluates a set of constraints. It is safe for parallel use.
type Judge struct {
	client *constraints.Client
	rules  map[string]*rule.Rule // by "Kind/name" of the constraint
	names  []string
}

// enforcementPoint is Gatekeeper's name for evaluation outside a cluster; constraints may be scoped to it.
const enforcementPoint = "gator.gatekeeper.sh"

// Load reads the ConstraintTemplates and constraints below dir. It returns nil when there are none.
func Load(ctx context.Context, dir string) (*Judge, error) {
	files, err := read(dir)
	if err != nil {
		return nil, err
	}
	var templates, rest []*inventory.Object
	for _, o := range files {
		switch group := o.Ref().Group(); {
		case group == "templates.gatekeeper.sh" && o.Kind == "ConstraintTemplate":
			templates = append(templates, o)
		case group == "constraints.gatekeeper.sh":
			rest = append(rest, o)
		}
	}
	if len(templates)+len(rest) == 0 {
		return nil, nil
	}
	j := &Judge{rules: map[string]*rule.Rule{}}
	if j.client, err = newClient(); err != nil {
		return nil, err
	}
	sch := runtime.NewScheme()
	if err := apis.AddToScheme(sch); err != nil {
		return nil, fmt.Errorf("ConstraintTemplate scheme: %w", err)
	}
	titles := map[string]string{}
	for _, o := range templates {
		t, err := structured(sch, o)
		if err == nil {
			_, err = j.client.AddTemplate(ctx, t)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: ConstraintTemplate %s: %w", o.Origin.File, o.Origin.Line, o.Name, err)
		}
		titles[t.Spec.CRD.Spec.Names.Kind] = o.Annotations()["metadata.gatekeeper.sh/title"]
	}
	for _, o := range rest {
		if _, err := j.client.AddConstraint(ctx, &unstructured.Unstructured{Object: o.Content}); err != nil {
			return nil, fmt.Errorf("%s:%d: constraint %s %s: %w", o.Origin.File, o.Origin.Line, o.Kind, o.Name, err)
		}
		r := constraintRule(o, titles[o.Kind])
		j.rules[o.Kind+"/"+o.Name] = r
		j.names = append(j.names, r.Name)
	}
	return j, nil
}

// closed are Rego's functions that reach out of the evaluation: the network, and the environment of this process. Templates come from
// people who may not have either.
var closed = []string{"http.send", "net.lookup_ip_addr", "opa.runtime", "rego.parse_module", "trace"}

func newClient() (*constraints.Client, error) {
	regoDriver, err := rego.New(rego.DisableBuiltins(closed...))
	if err != nil {
		return nil, fmt.Errorf("Rego driver: %w", err)
	}
	celDriver, err := k8scel.New()
	if err != nil {
		return nil, fmt.Errorf("CEL driver: %w", err)
	}
	// The CEL driver comes first: a template with both forms is evaluated as Gatekeeper does it.
	return constraints.NewClient(constraints.Targets(&target.K8sValidationTarget{}), constraints.Driver(celDriver),
		constraints.Driver(regoDriver), constraints.EnforcementPoints(enforcementPoint))
}

func read(dir string) ([]*inventory.Object, error) {
	var out []*inventory.Object
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		ext := filepath.Ext(file)
		if d.IsDir() && d.Name() == "cases" {
			return fs.SkipDir
		}
		if d.IsDir() || ext != ".yaml" && ext != ".yml" || d.Name() == "rule.yaml" || d.Name() == "params.yaml" {
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		objects, problems := manifest.Parse(file, data, manifest.Limits{})
		for _, p := range problems {
			if p.Code.Blocking() {
				return fmt.Errorf("%s", p)
			}
		}
		out = append(out, objects...)
		return nil
	})
	return out, err
}

// structured converts a template of any served version to the framework's own form.
func structured(sch *runtime.Scheme, o *inventory.Object) (*templates.ConstraintTemplate, error) {
	gv, err := schema.ParseGroupVersion(o.APIVersion)
	if err != nil {
		return nil, err
	}
	versioned, err := sch.New(gv.WithKind(o.Kind))
	if err != nil {
		return nil, err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Content, versioned); err != nil {
		return nil, err
	}
	sch.Default(versioned)
	out := &templates.ConstraintTemplate{}
	return out, sch.Convert(versioned, out, nil)
}

// constraintRule is the constraint as a rule, so that its findings look like all others. Its severity follows the
// enforcement action unless the annotation stockade.dev/severity says otherwise.
func constraintRule(o *inventory.Object, title string) *rule.Rule {
	if title == "" {
		title = o.Kind
	}
	severity := map[string]finding.Severity{"": finding.High, "deny": finding.High, "warn": finding.Medium, "dryrun": finding.Low}[inventory.Str(o.Content, "spec", "enforcementAction")]
	if s := finding.Severity(o.Annotations()["stockade.dev/severity"]); s.Rank() >= 0 {
		severity = s
	}
	if severity == "" {
		severity = finding.Medium
	}
	text := fmt.Sprintf("%s (%s)", title, o.Name)
	return &rule.Rule{Name: "constraint/" + strings.ToLower(o.Kind) + "/" + o.Name, ID: "constraint/" + o.Kind + "/" + o.Name,
		Title: finding.Text{EN: text}, Fix: finding.Text{EN: "Change the object so that it meets the constraint " + o.Kind + " " + o.Name + ".",
			ZH: "修改对象，使其满足约束 " + o.Kind + " " + o.Name + "。"},
		Severity: severity, Risk: "workload", Kind: finding.Configuration}
}

// Names lists the constraints as rule names.
func (j *Judge) Names() []string { return j.names }

// Object reviews one object. Findings stand at the object: a template names no field.
func (j *Judge) Object(ctx context.Context, o *inventory.Object, s rule.Subject, report func(*finding.Finding), undecided func(string, error)) {
	if o.Ref().Group() == "stockade.dev" { // Dockerfiles and node facts are no Kubernetes objects
		return
	}
	// The review reads the object only, but its libraries may add defaults: they get a copy.
	u := unstructured.Unstructured{Object: runtime.DeepCopyJSON(o.Content)}
	res, err := j.client.Review(ctx, target.AugmentedUnstructured{Object: u, Source: mutation.SourceTypeOriginal}, reviews.EnforcementPoint(enforcementPoint))
	if err != nil {
		undecided("constraints", err)
		return
	}
	for _, v := range res.Results() {
		r := j.rules[v.Constraint.GetKind()+"/"+v.Constraint.GetName()]
		if r == nil {
			continue
		}
		report(r.Problem(s, analyze.Problem{Ref: s.Ref, Origin: s.Origin, Item: v.Msg, Message: finding.Text{EN: v.Msg, ZH: v.Msg},
			Evidence: []finding.Evidence{{Path: "", Found: v.Msg}}}))
	}
}
