package rule

import (
	"fmt"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	"github.com/google/cel-go/interpreter"
	"k8s.io/apiserver/pkg/cel/library"
)

// Variables that expressions may use. All are dynamic: objects come without schemas.
var variables = []string{"object", "pod", "container", "item", "component", "node", "instruction", "stage", "params", "namespace"}

// environment is the CEL dialect of ValidatingAdmissionPolicy: the standard library, strings, sets, optionals and the
// Kubernetes functions, without cost tracking.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	opts := []cel.EnvOption{
		cel.HomogeneousAggregateLiterals(),
		cel.EagerlyValidateDeclarations(true),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.Strings(ext.StringsVersion(2)),
		ext.Sets(),
		ext.TwoVarComprehensions(),
		library.URLs(), library.Regex(), library.Lists(), library.Quantity(), library.IP(), library.CIDR(),
		library.Format(), library.SemverLib(),
	}
	for _, v := range variables {
		opts = append(opts, cel.Variable(v, cel.DynType))
	}
	return cel.NewEnv(opts...)
})

// program is a rule's expressions, compiled at first use: a scan pays only for the kinds it meets.
type program struct {
	once  sync.Once
	good  cel.Program
	found cel.Program
	err   error
}

func compile(expression string) (cel.Program, error) {
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("CEL environment: %w", err)
	}
	ast, iss := env.Compile(expression)
	if iss.Err() != nil {
		return nil, iss.Err()
	}
	return env.Program(ast, cel.EvalOptions(cel.OptOptimize))
}

// Compile makes the rule's programs ready and returns what is wrong with them. Evaluation calls it by itself.
func (r *Rule) Compile() error {
	p := &r.program
	p.once.Do(func() {
		v := r.Validate
		if v == nil {
			return
		}
		if p.good, p.err = compile(v.Expression); p.err != nil {
			p.err = fmt.Errorf("%s: expression: %w", r.Name, p.err)
			return
		}
		if v.Found != "" {
			if p.found, p.err = compile(v.Found); p.err != nil {
				p.err = fmt.Errorf("%s: found: %w", r.Name, p.err)
			}
		}
	})
	return p.err
}

// scope is the activation of one evaluation. It is reused: no allocation for a check that passes.
type scope struct {
	object, pod, container, item, component, node, instruction, stage, params, namespace any
}

func (s *scope) ResolveName(name string) (any, bool) {
	var v any
	switch name {
	case "container":
		v = s.container
	case "pod":
		v = s.pod
	case "item":
		v = s.item
	case "object":
		v = s.object
	case "params":
		v = s.params
	case "component":
		v = s.component
	case "node":
		v = s.node
	case "instruction":
		v = s.instruction
	case "stage":
		v = s.stage
	case "namespace":
		v = s.namespace
	default:
		return nil, false
	}
	return v, true
}

func (s *scope) Parent() interpreter.Activation { return nil }

// holds evaluates a boolean expression. Anything but true or false, a run-time error too, is an error.
func holds(p cel.Program, s *scope) (bool, error) {
	v, _, err := p.Eval(s)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the expression gave %s, not a bool", v.Type().TypeName())
	}
	return bool(b), nil
}

// Rename returns the expression with free variables renamed, the rest of its text as it was. Admission engines know the
// same things by other names.
func Rename(expression string, names map[string]string) (string, error) {
	env, err := environment()
	if err != nil {
		return "", err
	}
	parsed, iss := env.Parse(expression)
	if iss.Err() != nil {
		return "", iss.Err()
	}
	rep := parsed.NativeRep()
	at := map[int32]string{} // offset in code points -> old name
	ast.PostOrderVisit(rep.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.IdentKind {
			return
		}
		if _, ok := names[e.AsIdent()]; !ok {
			return
		}
		if r, ok := rep.SourceInfo().GetOffsetRange(e.ID()); ok {
			at[r.Start] = e.AsIdent()
		}
	}))
	text := []rune(expression)
	var out strings.Builder
	for i := 0; i < len(text); {
		name, ok := at[int32(i)]
		if ok && strings.HasPrefix(string(text[i:min(i+len(name), len(text))]), name) {
			out.WriteString(names[name])
			i += len([]rune(name))
			continue
		}
		out.WriteRune(text[i])
		i++
	}
	return out.String(), nil
}
