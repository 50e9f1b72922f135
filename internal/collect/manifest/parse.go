package manifest

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"weak"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Parse reads the Kubernetes objects of a file: YAML or JSON, one or many documents, lists as their items. file is only
// a name. Documents that are valid but no Kubernetes objects are passed over; a broken one is one Problem and the others
// are still read. It is safe for parallel use.
//
// Positions are not kept: Locate reads the document again when it is first asked, which costs less than keeping the
// positions of all objects that nothing is found in.
func Parse(file string, data []byte, lim Limits) (objs []*inventory.Object, problems []Problem) {
	lim = lim.WithDefaults()
	p := &parse{file: file, lim: lim}
	switch {
	case int64(len(data)) > lim.FileBytes:
		p.problem(syntaxError{}, "file", fmt.Sprintf("larger than %d bytes", lim.FileBytes), finding.Limit)
		return nil, p.problems
	case utf16(data):
		p.problem(syntaxError{line: 1, col: 1}, "file", "it is UTF-16; Kubernetes tools read UTF-8", finding.Broken)
		return nil, p.problems
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if !promising(text) {
		return nil, nil
	}
	p.src = newSource(file, text)
	p.snippet = p.src.line
	isJSON := path.Ext(file) == ".json"
	if first := strings.TrimLeft(text, " \t\r\n"); isJSON || first[0] == '{' || first[0] == '[' {
		if p.json(isJSON) {
			return p.objs, p.problems
		}
	}
	for i, c := range p.src.split() {
		if promising(text[c.start:c.end]) {
			p.document(c, i)
		}
	}
	return p.objs, p.problems
}

// promising is a cheap test that spares reading what cannot hold a Kubernetes object, huge data files above all.
func promising(text string) bool {
	return strings.Contains(text, "apiVersion") && strings.Contains(text, "kind")
}

// utf16 reports whether data is UTF-16, by its byte-order mark or by the zero bytes of ASCII text.
func utf16(data []byte) bool {
	if len(data) < 2 {
		return false
	}
	a, b := data[0], data[1]
	return a == 0xff && b == 0xfe || a == 0xfe && b == 0xff || a == 0 && b != 0 || a != 0 && b == 0
}

// parse is the state of one Parse.
type parse struct {
	file     string
	lim      Limits
	src      *source
	snippet  func(int) string
	template bool // a template has been reported
	objs     []*inventory.Object
	problems []Problem
}

// maxProblems bounds what is told of one file.
const maxProblems = 100

func (p *parse) problem(at syntaxError, what, reason string, code finding.Code) {
	if len(p.problems) > maxProblems {
		return
	}
	if len(p.problems) == maxProblems {
		what, reason, code = "file", fmt.Sprintf("more than %d problems; the others are not listed", maxProblems), finding.Limit
	}
	p.problems = append(p.problems, Problem{File: p.file, Line: at.line, Column: at.col, What: what, Reason: reason, Code: code})
}

// document reads one YAML document.
func (p *parse) document(c chunk, index int) {
	r := newReader(p.src, c, p.lim)
	if p.src.plain && !c.marked {
		if v, ok := r.document(nil); ok {
			p.add(v, &document{src: p.src, chunk: c, lim: p.lim, form: quick}, index)
			return
		}
	}
	if r.limited {
		p.problem(r.failure, documentName(index), r.failure.text, finding.Limit)
		return
	}
	nodes, err := readGeneral(p.src, c)
	if err != nil {
		p.broken(c, index, r, err)
		return
	}
	for i, n := range nodes {
		conv := newConverter(c, p.lim)
		v, err := conv.value(n, nil, 0)
		if err != nil {
			p.broken(c, index, r, err)
			continue
		}
		p.doubled(conv.double)
		p.add(v, &document{src: p.src, chunk: c, lim: p.lim, form: general, part: i, first: n.Line + conv.base}, index)
	}
}

// broken reports a document that cannot be read: where the quick reader saw the fault, which is nearer than what the
// library tells, or else where the library did.
func (p *parse) broken(c chunk, index int, r *reader, err error) {
	code := finding.Broken
	at := r.failure
	var ve *valueError
	if errors.As(err, &ve) {
		at, code = ve.syntaxError, ve.code
	} else if at.line == 0 {
		at = yamlFault(err, p.src, c)
	}
	if t := templateAction(p.src, c); t.line > 0 && code == finding.Broken {
		if !p.template {
			p.template = true
			p.problem(t, documentName(index), "it is a template ({{ ... }}), not plain YAML; scan its chart or the rendered output", finding.Skipped)
		}
		return
	}
	p.problem(at, documentName(index), at.text, code)
}

func documentName(index int) string { return fmt.Sprintf("YAML document %d", index+1) }

// templateAction returns the place of the first template action that is not inside a string; line is 0 when there is none.
func templateAction(src *source, c chunk) syntaxError {
	line := c.line
	for i := c.start; i < c.end; line++ {
		end, next := src.lineEnd(i)
		text := src.text[i:end]
		if at := strings.Index(text, "{{"); at >= 0 && !strings.HasPrefix(strings.TrimLeft(text, " \t"), "#") {
			return syntaxError{line: line, col: src.column(i, i+at)}
		}
		i = next
	}
	return syntaxError{}
}

func (p *parse) doubled(keys []syntaxError) {
	for _, k := range keys {
		p.problem(k, fmt.Sprintf("field %q", k.text), "the field is given twice in the same map; only the last value counts", finding.Skipped)
	}
}

// json reads the text as one JSON value after another. ok is false when it is not JSON and may still be YAML.
func (p *parse) json(must bool) (ok bool) {
	j := &jsonReader{src: p.src, text: p.src.text, line: 1, lim: p.lim}
	for index := 0; j.space(); index++ {
		d := &document{src: p.src, chunk: chunk{start: j.pos, head: j.pos, line: j.line, headLine: j.line, end: j.bol}, lim: p.lim, form: strict}
		j.nodes, j.double = 0, nil
		v, ok := j.value(nil)
		if !ok {
			if !must && !j.limited {
				p.objs, p.problems = nil, nil
				return false
			}
			code := finding.Broken
			if j.limited {
				code = finding.Limit
			}
			p.problem(j.failure, fmt.Sprintf("JSON value %d", index+1), j.failure.text, code)
			return true
		}
		p.doubled(j.double)
		p.add(v, d, index)
	}
	return true
}

// add takes the objects out of a decoded document.
func (p *parse) add(v any, d *document, index int) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	d.index = index
	p.object(m, d, nil, "", "")
}

// maxLists is how deep lists in lists are followed.
const maxLists = 3

// object adds m, or its items when it is a list. apiVersion and kind are those that items of a typed list may leave out.
func (p *parse) object(m map[string]any, d *document, base []inventory.Step, apiVersion, kind string) {
	o, ok := inventory.NewObject(m)
	if !ok && apiVersion != "" {
		if o.APIVersion == "" {
			o.APIVersion = apiVersion
		}
		if o.Kind == "" {
			o.Kind = kind
		}
		ok = o.Kind != "" && m["apiVersion"] == nil && m["kind"] == nil
		if ok {
			m["apiVersion"], m["kind"] = o.APIVersion, o.Kind
		}
	}
	if !ok {
		p.notAnObject(m, d, base)
		return
	}
	if items, isList := listItems(o); isList && len(base) < 2*maxLists {
		d.keep = true
		for i, item := range items {
			steps := append(base[:len(base):len(base)], inventory.Step{Key: "items", Index: -1}, inventory.Step{Index: i})
			if im, ok := item.(map[string]any); ok {
				p.object(im, d, steps, o.APIVersion, strings.TrimSuffix(o.Kind, "List"))
			} else {
				at := d.find(steps)
				p.problem(syntaxError{line: at.line, col: at.col}, fmt.Sprintf("item %d of the %s", i, o.Kind), "it is not an object", finding.Broken)
			}
		}
		return
	}
	p.origin(o, d, base)
	p.objs = append(p.objs, o)
}

// listItems returns the items of a list object. A custom resource may be called SomethingList and be none.
func listItems(o *inventory.Object) (items []any, ok bool) {
	if !strings.HasSuffix(o.Kind, "List") {
		return nil, false
	}
	items, ok = o.Content["items"].([]any)
	if o.Kind == "List" && o.APIVersion == "v1" {
		return items, true
	}
	return items, ok && o.Name == ""
}

// notAnObject reports what looks like an object of ours but cannot be one. Other YAML is nobody's fault.
func (p *parse) notAnObject(m map[string]any, d *document, base []inventory.Step) {
	version, hasVersion := m["apiVersion"]
	kind, hasKind := m["kind"]
	_, versionOK := version.(string)
	_, kindOK := kind.(string)
	_, hasMeta := m["metadata"]
	at := d.find(base)
	place := syntaxError{line: at.line, col: at.col}
	switch {
	case hasVersion && hasKind && !versionOK:
		p.problem(place, "object", "apiVersion is not a string", finding.Broken)
	case hasVersion && hasKind && !kindOK:
		p.problem(place, "object", "kind is not a string", finding.Broken)
	case hasVersion && hasMeta && !hasKind:
		p.problem(place, "object", "it has no kind", finding.Skipped)
	case hasKind && hasMeta && !hasVersion && len(base) > 0:
		p.problem(place, "object", "it has no apiVersion", finding.Skipped)
	}
}

func (p *parse) origin(o *inventory.Object, d *document, base []inventory.Step) {
	o.Origin = inventory.Origin{File: p.file, Document: d.index, Snippet: p.snippet}
	if len(base) == 0 {
		o.Origin.Line = d.firstLine()
	} else {
		o.Origin.Line = d.find(base).line
	}
	o.Origin.Locate = func(path string) (line, column int) {
		at := d.find(append(base[:len(base):len(base)], inventory.ParsePath(path)...))
		return at.line, at.col
	}
	p.suppressions(o, d, base)
}

// form is how a document is read.
type form byte

const (
	quick form = iota
	general
	strict // JSON
)

// document is where objects come from: what is needed to read its positions when they are asked for.
type document struct {
	src   *source
	chunk chunk
	lim   Limits
	form  form
	part  int // of the documents in chunk, when there are several
	index int
	first int  // first line; 0 when it has not been looked for
	keep  bool // many objects share the positions: do not read them again

	resolved bool // ignores is set
	ignores  []inventory.Suppression

	mu       sync.Mutex
	tree     weak.Pointer[place]
	kept     *place
	comments []comment
}

// firstLine is the line of the first content.
func (d *document) firstLine() int {
	if d.first > 0 {
		return d.first
	}
	line := d.chunk.line
	for i := d.chunk.start; i < len(d.src.text); line++ {
		end, next := d.src.lineEnd(i)
		if d.form == strict || content(d.src.text[i:end]) {
			return line
		}
		i = next
	}
	return line
}

// find returns the place of the deepest step that exists.
func (d *document) find(steps []inventory.Step) *place { return d.root().find(steps) }

// root returns the positions of the document, read again when they are not in memory.
func (d *document) root() *place {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept != nil {
		return d.kept
	}
	if at := d.tree.Value(); at != nil {
		return at
	}
	at := d.read()
	d.tree = weak.Make(at)
	if d.keep {
		d.kept = at
	}
	return at
}

func (d *document) read() *place {
	at := &place{line: d.chunk.line, col: 1}
	switch d.form {
	case quick:
		r := newReader(d.src, d.chunk, d.lim)
		r.document(at)
		at.last, d.comments = r.last, r.comments
	case strict:
		j := &jsonReader{src: d.src, text: d.src.text, pos: d.chunk.start, line: d.chunk.line, bol: d.chunk.end, lim: d.lim, record: true}
		at.col = d.src.column(j.bol, j.pos)
		j.value(at)
		at.last = j.line
	case general:
		nodes, _ := readGeneral(d.src, d.chunk)
		if d.part < len(nodes) {
			n := nodes[d.part]
			c := newConverter(d.chunk, d.lim)
			at.line, at.col = n.Line+c.base, n.Column
			at.last = d.lastLine()
			c.value(n, at, at.last)
			d.comments = nodeComments(d.src, d.chunk, n)
		}
	}
	return at
}

// lastLine is the last line of the chunk.
func (d *document) lastLine() int {
	line := d.chunk.line - 1
	for i := d.chunk.start; i < d.chunk.end; line++ {
		_, i = d.src.lineEnd(i)
	}
	return line
}

// Bounded reports whether the YAML in data stays within the limits when its aliases are expanded, for readers that have
// no limit of their own. It looks only at text that has anchors; syntax errors are left to those readers.
func Bounded(data []byte, lim Limits) error {
	lim = lim.WithDefaults()
	text := string(data)
	if !strings.Contains(text, "&") || !strings.Contains(text, "*") {
		return nil
	}
	src := newSource("", text)
	for _, c := range src.split() {
		nodes, _ := readGeneral(src, c)
		for _, n := range nodes {
			var ve *valueError
			if _, err := newConverter(c, lim).value(n, nil, 0); errors.As(err, &ve) && (ve.code == finding.Limit || ve.cyclic) {
				return ve
			}
		}
	}
	return nil
}
