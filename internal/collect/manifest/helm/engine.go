package helm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
)

// source is one template file.
type source struct {
	name  string // as templates name it: CHART/templates/x.yaml
	base  string // CHART/templates
	file  string // as the user would name it
	text  string
	scope map[string]any

	broken bool
}

// produces reports whether the file itself is rendered: partials only define templates, and notes are for people.
func (s *source) produces() bool {
	base := path.Base(s.name)
	return !strings.HasPrefix(base, "_") && base != "NOTES.txt"
}

// failure is a template that cannot be parsed or executed.
type failure struct {
	file   string
	line   int
	reason string
	code   finding.Code
}

// Limits on templates: actions of one file (they may be nested, and parsing and executing recurse), and includes in
// includes.
const (
	maxActions  = 50_000
	maxIncludes = 200
)

// engine executes the templates of one chart under one budget.
type engine struct {
	budget
	set     *template.Template
	sources map[string]*source
	order   []*source
	woven   map[*parse.Tree]bool
	frames  []*frame
}

func newEngine(ctx context.Context, lim manifest.Limits, steps int) *engine {
	e := &engine{budget: newBudget(ctx, lim, steps), sources: map[string]*source{}, woven: map[*parse.Tree]bool{}}
	e.set = template.New("chart").Option("missingkey=zero").Funcs(e.functions())
	e.bind(e.set)
	return e
}

func (e *engine) add(s *source) {
	e.sources[s.name] = s
	e.order = append(e.order, s)
}

// parse parses all templates, deep ones first: where two define the same name, the chart wins over its dependencies.
func (e *engine) parse() []failure {
	sort.SliceStable(e.order, func(i, j int) bool {
		a, b := e.order[i].name, e.order[j].name
		if na, nb := strings.Count(a, "/"), strings.Count(b, "/"); na != nb {
			return na > nb
		}
		return a > b
	})
	var out []failure
	for _, s := range e.order {
		if strings.Count(s.text, "{{") > maxActions {
			s.broken = true
			out = append(out, failure{s.file, 0, fmt.Sprintf("it has more than %d template actions", maxActions), finding.Limit})
			continue
		}
		if _, err := e.set.New(s.name).Parse(s.text); err != nil {
			s.broken = true
			out = append(out, e.explain(s, err))
		}
	}
	e.weave(e.set)
	return out
}

// output is what a template made, and where each part came from.
type output struct {
	text     []byte
	marks    []origin
	template string
}

// origin says that the output from an offset on was made by the node at an offset of the template.
type origin struct {
	at, source int
	text       bool // a copy of the template's text, so that the offsets grow together
}

// position returns the line and column in the template of an offset in the output.
func (o *output) position(at int) (line, column int) {
	i := sort.Search(len(o.marks), func(i int) bool { return o.marks[i].at > at })
	if i == 0 {
		return 1, 1
	}
	m := o.marks[i-1]
	pos := m.source
	if m.text {
		pos += at - m.at
	}
	before := o.template[:min(max(pos, 0), len(o.template))]
	return strings.Count(before, "\n") + 1, len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
}

// frame is one running execution. Only that of the file itself notes origins.
type frame struct {
	e     *engine
	buf   strings.Builder
	name  string // of the template, when it notes origins
	marks []origin
}

// noValue is what text/template prints for what is missing. Helm takes it out of the output, and out of that of tpl.
const noValue = "<no value>"

func (f *frame) Write(p []byte) (int, error) {
	if err := f.e.write(len(p)); err != nil {
		return 0, err
	}
	if f.name != "" && bytes.Contains(p, []byte(noValue)) {
		f.buf.Write(bytes.ReplaceAll(p, []byte(noValue), nil))
		return len(p), nil
	}
	return f.buf.Write(p)
}

// render executes one template file.
func (e *engine) render(s *source) (out *output, fail *failure) {
	defer func() {
		if p := recover(); p != nil {
			e.frames = nil
			out, fail = nil, &failure{s.file, 0, fmt.Sprintf("rendering failed: %v", p), finding.Broken}
		}
	}()
	e.renew()
	s.scope["Template"] = map[string]any{"Name": s.name, "BasePath": s.base}
	f := &frame{e: e, name: s.name}
	left := e.output
	err := e.execute(e.set, f, s.name, s.scope)
	out = &output{text: []byte(f.buf.String()), marks: f.marks, template: s.text}
	if err == nil {
		return out, nil
	}
	e.output = left // what a template that fails has written is not kept
	x := e.explain(s, err)
	if x.line == 0 && len(f.marks) > 0 {
		x.line, _ = out.position(len(out.text))
	}
	return nil, &x
}

func (e *engine) execute(set *template.Template, f *frame, name string, data any) error {
	if len(e.frames) >= maxIncludes {
		return limited("templates include each other more than %d deep", maxIncludes)
	}
	if err := e.step(); err != nil {
		return err
	}
	e.frames = append(e.frames, f)
	err := set.ExecuteTemplate(f, name, data)
	e.frames = e.frames[:len(e.frames)-1]
	return err
}

// include is the function of that name. {{template}} is turned into it as well.
func (e *engine) include(set *template.Template, name string, data any) (string, error) {
	f := &frame{e: e}
	err := e.execute(set, f, name, data)
	return f.buf.String(), err
}

// tpl is the function of that name: it executes a text as a template that sees all others.
func (e *engine) tpl(set *template.Template, text string, data any) (string, error) {
	if strings.Count(text, "{{") > maxActions {
		return "", limited("a text for tpl has more than %d template actions", maxActions)
	}
	if err := e.charge(len(text) + 1000*len(e.sources)); err != nil { // every use copies the set
		return "", err
	}
	clone, err := set.Clone()
	if err != nil {
		return "", err
	}
	clone.Option("missingkey=zero")
	e.bind(clone)
	t, err := clone.New(set.Name()).Parse(text)
	if err != nil {
		return "", fmt.Errorf("cannot parse the text given to tpl: %w", err)
	}
	e.weave(clone)
	f := &frame{e: e}
	err = e.execute(clone, f, t.Name(), data)
	return strings.ReplaceAll(f.buf.String(), noValue, ""), err
}

// bind gives a set of templates the functions that need the set itself.
func (e *engine) bind(set *template.Template) {
	set.Funcs(template.FuncMap{
		"include":        func(name string, data any) (string, error) { return e.include(set, name, data) },
		"tpl":            func(text string, data any) (string, error) { return e.tpl(set, text, data) },
		weaveInclude:     func(name string, data ...any) (string, error) { return e.include(set, name, first(data)) },
		weaveStep:        func() (string, error) { return "", e.step() },
		weaveValue:       e.value,
		weaveOriginText:  func(at int) (string, error) { return e.mark(at, true) },
		weaveOriginValue: func(at int) (string, error) { return e.mark(at, false) },
	})
}

func first(list []any) any {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// mark notes where the output that follows comes from.
func (e *engine) mark(at int, text bool) (string, error) {
	if f := e.frames[len(e.frames)-1]; f.name != "" {
		f.marks = append(f.marks, origin{f.buf.Len(), at, text})
		return "", e.charge(48)
	}
	return "", nil
}

// value looks at what an action is about to print.
func (e *engine) value(v ...any) (any, error) {
	if len(v) == 0 || v[0] == nil {
		return nil, nil
	}
	if _, err := e.size(v[0]); err != nil {
		return nil, err
	}
	// A struct that prints itself by pointer, such as the version of Kubernetes, was addressable before it came here.
	if r := reflect.ValueOf(v[0]); r.Kind() == reflect.Struct && reflect.PointerTo(r.Type()).Implements(reflect.TypeFor[fmt.Stringer]()) {
		p := reflect.New(r.Type())
		p.Elem().Set(r)
		return p.Interface(), nil
	}
	return v[0], nil
}

// The functions that weave puts into templates. A chart that calls them itself does no harm.
const (
	weaveInclude     = "stockade_include"
	weaveStep        = "stockade_step"
	weaveValue       = "stockade_value"
	weaveOriginText  = "stockade_origin_text"
	weaveOriginValue = "stockade_origin_value"
)

// weave puts our bookkeeping into the trees of a set that do not have it: steps into loops and definitions, so that none
// runs for ever; a look at every value before it is printed; and, in files, where text comes from.
func (e *engine) weave(set *template.Template) {
	for _, t := range set.Templates() {
		if t.Tree == nil || t.Root == nil || e.woven[t.Tree] {
			continue
		}
		e.woven[t.Tree] = true
		w := weaver{origins: e.sources[t.Name()] != nil}
		w.list(t.Root, true)
	}
}

type weaver struct{ origins bool }

func (w weaver) list(l *parse.ListNode, stepped bool) {
	if l == nil {
		return
	}
	out := make([]parse.Node, 0, 2*len(l.Nodes)+1)
	if stepped {
		out = append(out, call(l.Pos, weaveStep))
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			if w.origins {
				out = append(out, call(n.Pos, weaveOriginText, number(int(n.Pos))))
			}
			out = append(out, n)
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				if w.origins {
					out = append(out, call(n.Pos, weaveOriginValue, number(int(n.Pos))))
				}
				n.Pipe.Cmds = append(n.Pipe.Cmds, command(n.Pos, weaveValue))
			}
			out = append(out, n)
		case *parse.TemplateNode:
			if w.origins {
				out = append(out, call(n.Pos, weaveOriginValue, number(int(n.Pos))))
			}
			args := []parse.Node{&parse.StringNode{NodeType: parse.NodeString, Pos: n.Pos, Quoted: strconv.Quote(n.Name), Text: n.Name}}
			if n.Pipe != nil {
				args = append(args, n.Pipe)
			}
			out = append(out, call(n.Pos, weaveInclude, args...))
		default:
			w.control(n)
			out = append(out, n)
		}
	}
	l.Nodes = out
}

// control weaves the lists inside a control structure.
func (w weaver) control(n parse.Node) {
	switch n := n.(type) {
	case *parse.IfNode:
		w.list(n.List, false)
		w.list(n.ElseList, false)
	case *parse.WithNode:
		w.list(n.List, false)
		w.list(n.ElseList, false)
	case *parse.RangeNode:
		w.list(n.List, true)
		w.list(n.ElseList, false)
	}
}

func call(at parse.Pos, name string, args ...parse.Node) *parse.ActionNode {
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: at, Pipe: &parse.PipeNode{NodeType: parse.NodePipe, Pos: at,
		Cmds: []*parse.CommandNode{command(at, name, args...)}}}
}

func command(at parse.Pos, name string, args ...parse.Node) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: append([]parse.Node{parse.NewIdentifier(name).SetPos(at)}, args...)}
}

func number(n int) *parse.NumberNode {
	return &parse.NumberNode{NodeType: parse.NodeNumber, IsInt: true, Int64: int64(n), IsUint: true, Uint64: uint64(n), Text: strconv.Itoa(n)}
}

var (
	place = regexp.MustCompile(`^template: ([^\n]*?):(\d+)(?::\d+)?: `)
	calls = regexp.MustCompile(`executing "[^"]*" at <[^>]*>: `)
)

// explain turns an error of text/template into a place and a reason. The innermost place is the best one: the line of the
// partial that failed, and not that of its use.
func (e *engine) explain(s *source, err error) failure {
	out := failure{file: s.file, reason: err.Error(), code: finding.Broken}
	var le *limitError
	if errors.As(err, &le) {
		out.code, out.reason = finding.Limit, le.text
	}
	if errors.Is(err, context.Canceled) {
		out.code, out.reason = finding.Limit, "it was stopped"
	}
	msg := err.Error()
	for {
		i := strings.LastIndex(msg, "template: ")
		if i < 0 {
			break
		}
		m := place.FindStringSubmatch(msg[i:])
		if m == nil {
			msg = msg[:i]
			continue
		}
		if at := e.sources[m[1]]; at != nil {
			out.file = at.file
			out.line, _ = strconv.Atoi(m[2])
			if out.code == finding.Broken {
				out.reason = calls.ReplaceAllString(err.Error()[i+len(m[0]):], "")
			}
			break
		}
		msg = msg[:i]
	}
	out.reason = strings.TrimPrefix(strings.TrimPrefix(clip(out.reason), "error calling fail: "), "error calling required: ")
	if out.file != s.file {
		out.reason += " (while rendering " + s.file + ")"
	}
	return out
}

// clip makes one line of reasonable length.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "..."
	}
	return s
}
