package manifest

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/finding"
)

// readGeneral reads a document with the general YAML library: all of YAML, at several times the cost of reader. A chunk
// holds more than one document only when it is cut by something that split does not see.
func readGeneral(src *source, c chunk) (docs []*yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil { // the library panics on a few malformed inputs
			docs, err = nil, fmt.Errorf("yaml: the document cannot be read: %v", p)
		}
	}()
	dec := yaml.NewDecoder(strings.NewReader(src.text[c.start:c.end]))
	for {
		var n yaml.Node
		switch err := dec.Decode(&n); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return docs, err
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
			root := n.Content[0]
			root.HeadComment += "\n" + n.HeadComment
			root.FootComment += "\n" + n.FootComment
			docs = append(docs, root)
		}
	}
}

// yamlFault finds the place of an error of the library: most of them name a line, counted from the start of the chunk.
func yamlFault(err error, src *source, c chunk) syntaxError {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	e := syntaxError{line: c.line, text: text}
	from := 0 // offset in the line
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if num, msg, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(num); err == nil {
				e.line, e.text = c.line+n-1, msg
			}
		}
	} else if name, ok := strings.CutPrefix(text, "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		e.text = fmt.Sprintf("alias *%s has no anchor in this document", name)
		e.line, from = src.position(c, strings.Index(src.text[c.start:c.end], "*"+name))
	} else if at := strings.IndexFunc(src.text[c.start:c.end], odd); at >= 0 {
		e.text = "it holds a control character or is not UTF-8"
		e.line, from = src.position(c, at)
	}
	line := src.line(e.line)
	if from == 0 {
		from = len(line) - len(strings.TrimLeft(line, " \t"))
	}
	e.col = utf8.RuneCountInString(line[:min(from, len(line))]) + 1
	return e
}

// odd reports whether c is a character that YAML does not allow.
func odd(c rune) bool {
	return c < ' ' && c != '\n' && c != '\t' && c != '\r' || c >= 0x7f && c < 0xa0 && c != 0x85 || c >= 0xfffd && c <= 0xffff
}

// position is the line of the byte at an offset of a chunk and the byte's offset in the line.
func (s *source) position(c chunk, at int) (line, from int) {
	line = c.line
	for i := c.start; ; line++ {
		_, next := s.lineEnd(i)
		if next > c.start+at || next >= c.end {
			return line, max(c.start+at-i, 0)
		}
		i = next
	}
}

// valueError is a document that is YAML but has no JSON form, or one beyond the limits.
type valueError struct {
	syntaxError
	code   finding.Code
	cyclic bool // an anchor contains itself
}

func (e *valueError) Error() string { return e.text }

// converter turns the nodes of a document into JSON values.
type converter struct {
	lim    Limits
	base   int // added to the lines of nodes
	nodes  int
	depth  int
	open   map[*yaml.Node]bool // aliases being expanded
	use    *yaml.Node          // the outermost of them
	double []syntaxError       // doubled keys, once each
	seen   map[*yaml.Node]bool // keys in double
}

func newConverter(c chunk, lim Limits) *converter {
	return &converter{lim: lim, base: c.line - 1, open: map[*yaml.Node]bool{}, seen: map[*yaml.Node]bool{}}
}

func (c *converter) err(n *yaml.Node, code finding.Code, format string, args ...any) error {
	if code == finding.Limit && len(c.open) > 0 {
		n = c.use
	}
	return &valueError{syntaxError{n.Line + c.base, n.Column, fmt.Sprintf(format, args...)}, code, false}
}

func (c *converter) cycle(n *yaml.Node) error {
	return &valueError{syntaxError{n.Line + c.base, n.Column, fmt.Sprintf("anchor %q contains itself", n.Value)}, finding.Broken, true}
}

// expand notes that alias n is being expanded until the function that it returns is called.
func (c *converter) expand(n *yaml.Node) func() {
	if len(c.open) == 0 {
		c.use = n
	}
	c.open[n.Alias] = true
	return func() { delete(c.open, n.Alias) }
}

// value converts n. last is the last line that n can reach; at may be nil.
func (c *converter) value(n *yaml.Node, at *place, last int) (any, error) {
	if c.nodes++; c.nodes > c.lim.Nodes {
		return nil, c.err(n, finding.Limit, "%s", c.lim.tooMany())
	}
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		if c.depth++; c.depth > c.lim.Depth {
			return nil, c.err(n, finding.Limit, "%s", c.lim.tooDeep())
		}
		defer func() { c.depth-- }()
	}
	switch n.Kind {
	case yaml.AliasNode:
		if c.open[n.Alias] {
			return nil, c.cycle(n)
		}
		defer c.expand(n)()
		return c.value(n.Alias, at, 0)
	case yaml.ScalarNode:
		v, err := scalar(n)
		if err != nil {
			return nil, c.err(n, finding.Broken, "%v", err)
		}
		return v, nil
	case yaml.SequenceNode:
		if at != nil {
			at.list = true
		}
		list := make([]any, len(n.Content))
		for i, e := range n.Content {
			end := c.before(n.Content, i+1, last)
			kid := at.add("", e.Line+c.base, e.Column)
			if kid != nil {
				kid.last = max(kid.line, end)
			}
			v, err := c.value(e, kid, end)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		return m, c.fields(m, n, at, last)
	}
	return nil, nil
}

// before is the line above element i, or last when there is no such element.
func (c *converter) before(list []*yaml.Node, i, last int) int {
	if i < len(list) && last > 0 {
		return list[i].Line + c.base - 1
	}
	return last
}

// fields adds the fields of n to m, in their order: like the API server's decoder, a merge key (<<) wins over what
// stands above it and loses to what stands below it.
func (c *converter) fields(m map[string]any, n *yaml.Node, at *place, last int) error {
	own := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.Value == "<<" && (k.Style == 0 || k.Tag == "!!merge") {
			if err := c.merge(m, v, at); err != nil {
				return err
			}
			continue
		}
		key, err := c.key(k)
		if err != nil {
			return err
		}
		if own[key] && !c.seen[k] {
			c.seen[k] = true
			c.double = append(c.double, syntaxError{k.Line + c.base, k.Column, key})
		}
		own[key] = true
		end := c.before(n.Content, i+2, last)
		kid := at.add(key, k.Line+c.base, k.Column)
		if kid != nil {
			kid.last = max(kid.line, end)
		}
		if m[key], err = c.value(v, kid, end); err != nil {
			return err
		}
	}
	return nil
}

func (c *converter) key(k *yaml.Node) (string, error) {
	n := k
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return "", c.err(k, finding.Broken, "a map or a list cannot be a key")
	}
	key, err := scalarKey(n)
	if err != nil {
		return "", c.err(k, finding.Broken, "%v", err)
	}
	return key, nil
}

// merge adds the fields of a merge key's value: a map, or a list of maps of which the earlier win.
func (c *converter) merge(m map[string]any, n *yaml.Node, at *place) error {
	if c.nodes++; c.nodes > c.lim.Nodes {
		return c.err(n, finding.Limit, "%s", c.lim.tooMany())
	}
	if c.depth++; c.depth > c.lim.Depth {
		return c.err(n, finding.Limit, "%s", c.lim.tooDeep())
	}
	defer func() { c.depth-- }()
	target := n
	if n.Kind == yaml.AliasNode {
		target = n.Alias
		if c.open[target] {
			return c.cycle(n)
		}
		defer c.expand(n)()
	}
	switch {
	case target.Kind == yaml.MappingNode:
		return c.fields(m, target, at, 0)
	case n.Kind == yaml.SequenceNode:
		for i := len(n.Content) - 1; i >= 0; i-- {
			if e := n.Content[i]; e.Kind == yaml.SequenceNode {
				break
			}
			if err := c.merge(m, n.Content[i], at); err != nil {
				return err
			}
		}
		return nil
	}
	return c.err(n, finding.Broken, "a merge key (<<) needs a map or a list of maps")
}

func scalarKey(n *yaml.Node) (string, error) {
	if n.Style == 0 {
		return resolveKey(n.Value)
	}
	v, err := scalar(n)
	if err != nil {
		return "", err
	}
	return keyText(v)
}

func scalar(n *yaml.Node) (any, error) {
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		return resolveTagged(n.Tag, n.Value)
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return n.Value, nil
	}
	return resolve(n.Value)
}
