package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
	"unicode/utf8"

	"stockade.dev/stockade/internal/notify/message"
)

// Bounds of templates: of their text, of what they write, of one value in them, of the steps of loops and of their time.
const (
	maxTemplate = 64 << 10
	maxBody     = 256 << 10
	maxValue    = 64 << 10
	maxSteps    = 50_000
	maxTime     = time.Second
)

// Template is a checked template of a request's body.
type Template struct {
	contentType string
	tree        *parse.Tree
}

// Parse checks the text of a template. In JSON bodies every value is escaped for the inside of a JSON string by itself; json writes a
// value as JSON, with its quotes.
func Parse(text, contentType string) (*Template, error) {
	switch contentType {
	case "":
		contentType = "application/json"
	case "application/json", "text/plain":
	default:
		return nil, fmt.Errorf("content type %q: want application/json or text/plain", contentType)
	}
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the template is empty")
	}
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("the template has more than %d bytes", maxTemplate)
	}
	trees, err := parse.Parse("template", text, "", "", functions(&run{}), map[string]any{"and": 0, "or": 0, "not": 0, "eq": 0, "ne": 0, "lt": 0, "le": 0, "gt": 0, "ge": 0, "len": 0, "index": 0})
	if err != nil {
		return nil, plainError(err)
	}
	tree := trees["template"]
	if len(trees) > 1 || tree == nil || tree.Root == nil {
		return nil, errors.New("define and block are not offered in templates")
	}
	// what runs in every turn of a loop, and on every value that is written
	steps, err := parse.Parse("steps", "{{step}}", "", "", functions(&run{}))
	if err != nil {
		return nil, err
	}
	w := weaver{step: steps["steps"].Root.Nodes[0], json: contentType == "application/json"}
	if err := w.list(tree.Root, 0); err != nil {
		return nil, err
	}
	t := &Template{contentType, tree}
	// shown at once what would fail later
	for _, e := range samples() {
		if _, err := t.Execute(e.In("en")); err != nil {
			return nil, fmt.Errorf("with an example of the topic %s: %w", e.Topic, err)
		}
	}
	return t, nil
}

// samples are an event with everything in it and one with nothing, so that a template that fails on either is told at once.
func samples() []*message.Event {
	full := message.Sample("00000000000000000000000000000000", time.UnixMilli(1_700_000_000_000), "https://stockade.example.com/")
	full.Findings[0].Resource = "a \"quoted\"\\ name\n<b>"
	return []*message.Event{full, {ID: "00000000000000000000000000000000", Topic: "cluster.state", Severity: "info"}}
}

// weaver goes through a template, refuses what is not offered, counts the turns of loops and escapes what is written.
type weaver struct {
	step parse.Node
	json bool
}

const maxDepth = 50

func (w weaver) list(l *parse.ListNode, depth int) error {
	if l == nil {
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("the template is nested deeper than %d", maxDepth)
	}
	for _, n := range l.Nodes {
		var err error
		switch n := n.(type) {
		case *parse.TextNode, *parse.CommentNode, *parse.BreakNode, *parse.ContinueNode:
		case *parse.ActionNode:
			if w.json && len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{parse.NewIdentifier("escape").SetPos(n.Pos)}})
			}
		case *parse.IfNode:
			err = errors.Join(w.list(n.List, depth+1), w.list(n.ElseList, depth+1))
		case *parse.WithNode:
			err = errors.Join(w.list(n.List, depth+1), w.list(n.ElseList, depth+1))
		case *parse.RangeNode:
			err = errors.Join(w.list(n.List, depth+1), w.list(n.ElseList, depth+1))
			n.List.Nodes = append([]parse.Node{w.step}, n.List.Nodes...)
		case *parse.TemplateNode:
			err = fmt.Errorf("line %d: %s is not offered in templates", n.Line, n)
		default:
			err = fmt.Errorf("%s is not offered in templates", n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Execute writes the body for an event. An error says what in the template is at fault.
func (t *Template) Execute(d message.Document) ([]byte, error) {
	data, err := plainValues(d)
	if err != nil {
		return nil, err
	}
	r := &run{end: time.Now().Add(maxTime)}
	tmpl, err := template.New("template").Funcs(functions(r)).Option("missingkey=error").AddParseTree("template", t.tree)
	if err != nil {
		return nil, plainError(err)
	}
	if err := tmpl.Execute(r, data); err != nil {
		return nil, plainError(err)
	}
	body := r.out.Bytes()
	if t.contentType == "application/json" {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			return nil, fmt.Errorf("what the template writes is no JSON: %s%w", near(body, err), err)
		}
	}
	return body, nil
}

// near quotes the place where JSON breaks off.
func near(body []byte, err error) string {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return ""
	}
	at := int(min(syntax.Offset, int64(len(body))))
	return fmt.Sprintf("after %q: ", message.Line(strings.ToValidUTF8(string(body[max(0, at-40):at]), "")))
}

// Form makes the template a form of messages.
func (t *Template) Form(e *message.Event, lang string) ([]byte, string, error) {
	body, err := t.Execute(e.In(lang))
	return body, t.contentType, err
}

// plainValues turns the document into maps and lists: there is nothing to call in them.
func plainValues(d message.Document) (any, error) {
	data, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return numbers(v), nil
}

// numbers makes whole numbers ints, so that templates can compare them.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return int(n)
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	}
	return v
}

var (
	templateName = regexp.MustCompile(`^template: template:`)
	internals    = strings.NewReplacer("<escape>", "", "executing \"template\" at ", "at ")
)

// plainError says where in the template, without our names for it.
func plainError(err error) error {
	return errors.New(internals.Replace(templateName.ReplaceAllString(err.Error(), "line ")))
}

// run is one execution: what was written, and how much of its time and steps are used.
type run struct {
	out   bytes.Buffer
	steps int
	end   time.Time
}

var errTooLong = fmt.Errorf("the template takes too long: at most %d turns of loops and %s", maxSteps, maxTime)

// Write implements io.Writer with a bound.
func (r *run) Write(p []byte) (int, error) {
	if r.out.Len()+len(p) > maxBody {
		return 0, fmt.Errorf("the template writes more than %d bytes", maxBody)
	}
	return r.out.Write(p)
}

func (r *run) step() (rawJSON, error) {
	r.steps++
	if r.steps > maxSteps || time.Now().After(r.end) {
		return "", errTooLong
	}
	return "", nil
}

// rawJSON is JSON already and is written as it stands.
type rawJSON string

// functions are all that templates can call, beside comparisons, and, or, not, len and index. Those of text/template that make
// text are replaced: every value has a bound.
func functions(r *run) template.FuncMap {
	bounded := func(s string) (string, error) {
		if len(s) > maxValue {
			return "", fmt.Errorf("a value of more than %d bytes", maxValue)
		}
		return s, r.spend()
	}
	refuse := func(name string) func(...any) (string, error) {
		return func(...any) (string, error) { return "", fmt.Errorf("%s is not offered in templates", name) }
	}
	list := template.FuncMap{
		"step":  r.step,
		"print": func(v ...any) (string, error) { return bounded(joined("", v)) },
		"upper": func(v any) (string, error) { return bounded(strings.ToUpper(fmt.Sprint(v))) },
		"lower": func(v any) (string, error) { return bounded(strings.ToLower(fmt.Sprint(v))) },
		"trim":  func(v any) (string, error) { return bounded(strings.TrimSpace(fmt.Sprint(v))) },
		"cut": func(n int, v any) (string, error) {
			if n < 1 {
				return "", errors.New("cut: want a length of at least 1 character")
			}
			s := []rune(fmt.Sprint(v))
			return bounded(string(s[:min(n, len(s))]))
		},
		"default": func(d, v any) any {
			if v == nil || v == "" || v == 0 || v == false {
				return d
			}
			return v
		},
		"join": func(sep string, v []any) (string, error) { return bounded(joined(sep, v)) },
		"json": func(v any) (rawJSON, error) {
			data, err := json.Marshal(v)
			if err == nil {
				_, err = bounded(string(data))
			}
			return rawJSON(data), err
		},
		"escape": func(v any) (rawJSON, error) {
			if raw, ok := v.(rawJSON); ok {
				return raw, nil
			}
			if v == nil {
				v = ""
			}
			s := fmt.Sprint(v)
			if !utf8.ValidString(s) {
				s = strings.ToValidUTF8(s, "\uFFFD")
			}
			data, err := json.Marshal(s)
			if err != nil {
				return "", err
			}
			return rawJSON(data[1 : len(data)-1]), nil
		},
	}
	for _, name := range []string{"call", "html", "js", "printf", "println", "slice", "urlquery"} {
		list[name] = refuse(name)
	}
	return list
}

// joined stops soon after it has become too long.
func joined(sep string, values []any) string {
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(fmt.Sprint(v))
		if b.Len() > maxValue {
			break
		}
	}
	return b.String()
}

// spend counts a call as a step: values grow by calls.
func (r *run) spend() error {
	if r.end.IsZero() {
		return nil
	}
	_, err := r.step()
	return err
}
