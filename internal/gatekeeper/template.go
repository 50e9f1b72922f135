package gatekeeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis"
	"github.com/open-policy-agent/frameworks/constraint/pkg/core/templates"
	celschema "github.com/open-policy-agent/gatekeeper/v3/pkg/drivers/k8scel/schema"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/drivers/k8scel/transform"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/inventory"
)

// Template is a user's ConstraintTemplate, read.
type Template struct {
	Name    string // metadata.name
	Kind    string // of its constraints
	Title   string
	Engines []string // Rego, K8sNativeValidation
	Params  []Param

	object     *inventory.Object
	structured *templates.ConstraintTemplate
}

// Param is a parameter that the schema of a template declares.
type Param struct {
	Name        string
	Type        string // string, integer, number, boolean, array, object; "" when the schema does not say
	Items       string // type of the elements of an array
	Description string
	Default     any
}

// maxTemplate bounds a template's text.
const maxTemplate = 1 << 20

// ReadTemplate reads the text of one ConstraintTemplate. Nothing is compiled.
func ReadTemplate(text string) (*Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("it is larger than %d bytes", maxTemplate)
	}
	objects, problems := manifest.Parse("template", []byte(text), manifest.Limits{})
	for _, p := range problems {
		if p.Code.Blocking() {
			return nil, fmt.Errorf("line %d: %s", p.Line, p.Reason)
		}
	}
	if len(objects) != 1 {
		return nil, fmt.Errorf("want one document, a ConstraintTemplate; these are %d", len(objects))
	}
	o := objects[0]
	if o.Ref().Group() != "templates.gatekeeper.sh" || o.Kind != "ConstraintTemplate" {
		return nil, fmt.Errorf("line %d: it is a %s of %s; want a ConstraintTemplate of templates.gatekeeper.sh", o.Origin.Line, o.Kind, o.APIVersion)
	}
	sch := runtime.NewScheme()
	if err := apis.AddToScheme(sch); err != nil {
		return nil, fmt.Errorf("ConstraintTemplate scheme: %w", err)
	}
	t := &Template{Name: o.Name, Title: o.Annotations()["metadata.gatekeeper.sh/title"], object: o}
	var err error
	if t.structured, err = structured(sch, o); err != nil {
		return nil, fmt.Errorf("line %d: %w", o.Origin.Line, err)
	}
	t.Kind = t.structured.Spec.CRD.Spec.Names.Kind
	if t.Name == "" || t.Name != strings.ToLower(t.Kind) {
		return nil, fmt.Errorf("%s: it is %q, but must be the kind of spec.crd.spec.names.kind in small letters: %q", t.at("metadata.name"), t.Name, strings.ToLower(t.Kind))
	}
	for _, target := range t.structured.Spec.Targets {
		if target.Rego != "" {
			t.Engines = append(t.Engines, "Rego")
		}
		for _, code := range target.Code {
			t.Engines = append(t.Engines, code.Engine)
		}
	}
	slices.Sort(t.Engines)
	t.Engines = slices.Compact(t.Engines)
	if v := t.structured.Spec.CRD.Spec.Validation; v != nil && v.OpenAPIV3Schema != nil {
		t.Params = params(v.OpenAPIV3Schema)
	}
	return t, nil
}

func params(s *apiextensions.JSONSchemaProps) []Param {
	var out []Param
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		one := Param{Name: name, Type: p.Type, Description: p.Description}
		if p.Items != nil && p.Items.Schema != nil {
			one.Items = p.Items.Schema.Type
		}
		if p.Default != nil {
			one.Default = *p.Default
		}
		out = append(out, one)
	}
	return out
}

// at is a field with its line.
func (t *Template) at(path string) string {
	if t.object.Origin.Locate == nil {
		return path
	}
	line, _ := t.object.Origin.Locate(path)
	return fmt.Sprintf("line %d: %s", line, path)
}

// Test compiles the template as Gatekeeper would, and has it look at a pod. What is wrong names field and line.
func (t *Template) Test(ctx context.Context) error {
	if err := t.compileCEL(); err != nil {
		return err
	}
	client, err := newClient()
	if err != nil {
		return err
	}
	if _, err := client.AddTemplate(ctx, t.structured); err != nil {
		return t.placed(err)
	}
	return nil
}

// compileCEL compiles each expression of a template in CEL: the driver keeps errors to itself until it evaluates.
func (t *Template) compileCEL() error {
	for i, target := range t.structured.Spec.Targets {
		for k, code := range target.Code {
			if code.Engine != celschema.Name {
				continue
			}
			path := fmt.Sprintf("spec.targets[%d].code[%d].source", i, k)
			source, err := celschema.GetSource(code)
			if err != nil {
				return fmt.Errorf("%s: %w", t.at(path), err)
			}
			if err := t.compileSource(path, source); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Template) compileSource(path string, source *celschema.Source) error {
	c, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		return err
	}
	c.CompileAndStoreVariables(transform.AllVariablesCEL(), cel.OptionalVariableDeclarations{HasParams: true}, environment.StoredExpressions)
	var errs []error
	check := func(field string, e cel.ExpressionAccessor) {
		if r := c.CompileCELExpression(e, cel.OptionalVariableDeclarations{}, environment.StoredExpressions); r.Error != nil {
			errs = append(errs, fmt.Errorf("%s: %s", t.at(path+"."+field), r.Error.Detail))
		}
	}
	vars, err := source.GetVariables()
	if err != nil {
		return fmt.Errorf("%s: %w", t.at(path+".variables"), err)
	}
	for i, v := range vars {
		if r := c.CompileAndStoreVariable(v, cel.OptionalVariableDeclarations{}, environment.StoredExpressions); r.Error != nil {
			errs = append(errs, fmt.Errorf("%s: %s", t.at(fmt.Sprintf("%s.variables[%d].expression", path, i)), r.Error.Detail))
		}
	}
	validations, err := source.GetValidations()
	if err != nil {
		return fmt.Errorf("%s: %w", t.at(path+".validations"), err)
	}
	for i, v := range validations {
		check(fmt.Sprintf("validations[%d].expression", i), v)
	}
	messages, err := source.GetMessageExpressions()
	if err != nil {
		return fmt.Errorf("%s: %w", t.at(path+".validations"), err)
	}
	for i, m := range messages {
		if m != nil && m.GetExpression() != "" {
			check(fmt.Sprintf("validations[%d].messageExpression", i), m)
		}
	}
	conditions, err := source.GetMatchConditions()
	if err != nil {
		return fmt.Errorf("%s: %w", t.at(path+".matchCondition"), err)
	}
	for i, m := range conditions {
		check(fmt.Sprintf("matchCondition[%d].expression", i), m)
	}
	return errors.Join(errs...)
}

// regoLine is how the Rego compiler names a line of the module.
var regoLine = regexp.MustCompile(`:(\d+): rego_`)

// placed names the field of an error of the Rego compiler, and turns lines of the module into lines of the document.
func (t *Template) placed(err error) error {
	path, base := t.regoPath()
	text := err.Error()
	if base == 0 || !regoLine.MatchString(text) {
		return err
	}
	text = regoLine.ReplaceAllStringFunc(text, func(m string) string {
		n, _ := strconv.Atoi(regoLine.FindStringSubmatch(m)[1])
		return fmt.Sprintf(":%d: rego_", base+n)
	})
	if i := strings.Index(text, "rego_"); i >= 0 { // what stands before names the target and our file
		lines := strings.Split(text, "\n")
		for k, l := range lines {
			if j := regoLine.FindStringIndex(l); j != nil {
				colon := strings.Index(l[j[0]+1:], ":")
				lines[k] = "line " + l[j[0]+1:j[0]+1+colon] + ":" + l[j[0]+1+colon+1:]
			}
		}
		text = strings.Join(lines, "\n")
	}
	return fmt.Errorf("%s: %s", path, text)
}

// regoPath is where the Rego stands, and the line before its first.
func (t *Template) regoPath() (path string, line int) {
	for i, target := range t.structured.Spec.Targets {
		path := fmt.Sprintf("spec.targets[%d].rego", i)
		if target.Rego == "" {
			path = ""
			for k, code := range target.Code {
				if code.Engine == "Rego" {
					path = fmt.Sprintf("spec.targets[%d].code[%d].source.rego", i, k)
				}
			}
		}
		if path == "" || t.object.Origin.Locate == nil {
			continue
		}
		line, _ := t.object.Origin.Locate(path)
		return path, line
	}
	return "", 0
}
