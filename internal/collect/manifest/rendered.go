package manifest

import (
	"math"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Rendered is a text that was made from a template.
type Rendered struct {
	File     string // of the template, as the user would name it
	Data     []byte
	Template string // text of the template, for snippets
	// Position returns the line and column in the template of an offset in Data.
	Position func(at int) (line, column int)
}

// ParseRendered is Parse for rendered text: positions, snippets and suppressions are those of the template.
func ParseRendered(r Rendered, lim Limits) ([]*inventory.Object, []Problem) {
	objs, problems := Parse(r.File, r.Data, lim)
	if len(objs) == 0 && len(problems) == 0 {
		return nil, nil
	}
	out := &rendered{
		Rendered: r,
		made:     newSource(r.File, strings.TrimPrefix(string(r.Data), "\ufeff")),
		from:     newSource(r.File, r.Template),
	}
	snippet := out.from.line
	for _, o := range objs {
		locate := o.Origin.Locate
		o.Origin.Rendered = true
		o.Origin.Snippet = snippet
		o.Origin.Line, _ = out.place(o.Origin.Line, 1)
		o.Origin.Locate = func(path string) (line, column int) { return out.place(locate(path)) }
		for i := range o.Origin.Suppressions {
			out.suppression(&o.Origin.Suppressions[i])
		}
	}
	for i := range problems {
		if p := &problems[i]; p.Line > 0 {
			p.Line, p.Column = out.place(p.Line, max(p.Column, 1))
			p.What = "rendered " + p.What
		}
	}
	return objs, problems
}

// rendered translates positions from the text that was made to its template.
type rendered struct {
	Rendered
	made, from *source
}

func (r *rendered) place(line, column int) (int, int) {
	start := r.made.offset(line)
	if start < 0 {
		return line, column
	}
	at := start
	for range column - 1 { // columns count characters
		if at < len(r.made.text) {
			at++
			for at < len(r.made.text) && r.made.text[at]&0xc0 == 0x80 {
				at++
			}
		}
	}
	return r.Position(at)
}

// suppression moves what s covers into the template.
func (r *rendered) suppression(s *inventory.Suppression) {
	first, last := s.First, s.Last
	s.Line, _ = r.place(s.Line, 1)
	if last == math.MaxInt {
		return
	}
	s.First, s.Last = s.Line, s.Line
	for n := first; n <= last; n++ {
		start := r.made.offset(n)
		if start < 0 {
			break
		}
		end, _ := r.made.lineEnd(start)
		text := r.made.text[start:end]
		if strings.TrimSpace(text) == "" {
			continue
		}
		line, _ := r.place(n, len(text)-len(strings.TrimLeft(text, " "))+1)
		s.First, s.Last = min(s.First, line), max(s.Last, line)
	}
}
