package manifest

import "strings"

// reader is a quick reader of the plain part of YAML that nearly all manifests are written in: block mappings and
// sequences, all scalar styles, comments, flow collections. Reading costs about a tenth of the general library. What it
// does not know for certain (anchors, tags, complex keys, tabs, documents on the line of their mark, odd characters) it
// leaves to the library, so it may refuse a good document but must never read one differently: tests hold both against
// each other.
//
// It works line by line: after step, bol, eol and next bound the current line, and pos is at its first character.
type reader struct {
	src  *source
	text string
	end  int // of the document in text

	line           int
	bol, eol, next int
	pos            int
	ind            int  // column of pos from 0; -1 at the end of the document
	blanks         int  // blank lines that step passed over
	commented      bool // step passed over a comment

	lim   Limits
	nodes int
	depth int

	record   bool // build places and collect comments
	last     int  // line of the last content read, when recording
	comments []comment

	failed  bool
	limited bool // failure is a limit, not a fault
	failure syntaxError
}

// comment is a comment that may be a suppression.
type comment struct {
	line  int
	text  string
	alone bool // nothing else is on its line
}

// syntaxError is a fault with its place. A zero line means that the reader gave up without seeing a fault.
type syntaxError struct {
	line, col int
	text      string
}

func newReader(src *source, c chunk, lim Limits) *reader {
	return &reader{src: src, text: src.text, end: c.end, next: c.start, line: c.line - 1, lim: lim}
}

// refuse leaves the document to the general library.
func (r *reader) refuse() (any, bool) {
	r.failed = true
	return nil, false
}

// fault refuses the document and notes what looks wrong, for the message in case the library finds it broken too.
func (r *reader) fault(at int, text string) (any, bool) {
	if !r.failed {
		r.failed = true
		r.failure = syntaxError{r.line, r.src.column(r.bol, min(at, len(r.text))), text}
	}
	return nil, false
}

// advance makes the following line the current one; false at the end.
func (r *reader) advance() bool {
	if r.next >= r.end {
		r.bol, r.eol, r.pos = r.end, r.end, r.end
		return false
	}
	r.bol = r.next
	r.line++
	if i := strings.IndexByte(r.text[r.bol:r.end], '\n'); i < 0 {
		r.eol, r.next = r.end, r.end
	} else {
		r.eol, r.next = r.bol+i, r.bol+i+1
	}
	if r.eol > r.bol && r.text[r.eol-1] == '\r' {
		r.eol--
	}
	return true
}

// step goes to the next line with content.
func (r *reader) step() bool {
	r.blanks, r.commented = 0, false
	for {
		if !r.advance() {
			r.ind = -1
			return true
		}
		p := r.bol
		for p < r.eol && r.text[p] == ' ' {
			p++
		}
		if p == r.eol {
			r.blanks++
			continue
		}
		switch r.text[p] {
		case '#':
			r.comment(p, true)
			r.commented = true
			continue
		case '\t':
			r.fault(p, "a tab is used for indentation")
			return false
		}
		r.pos, r.ind = p, p-r.bol
		return true
	}
}

func (r *reader) comment(at int, alone bool) {
	if r.record && strings.Contains(r.text[at:r.eol], ignoreMark) {
		r.comments = append(r.comments, comment{r.line, r.text[at:r.eol], alone})
	}
}

// document reads the whole document. ok is false when the reader gave up.
func (r *reader) document(at *place) (v any, ok bool) {
	r.record = at != nil
	if !r.step() {
		return nil, false
	}
	if r.ind < 0 {
		return nil, true
	}
	if at != nil {
		at.line, at.col = r.line, r.src.column(r.bol, r.pos)
	}
	if v, ok = r.block(-1, at); !ok {
		return nil, false
	}
	if r.ind >= 0 {
		return r.fault(r.pos, "this line does not belong to what is above it: wrong indentation or a missing key")
	}
	return v, true
}

// enter begins a collection; false when it is nested too deep.
func (r *reader) enter() bool {
	if r.depth++; r.depth > r.lim.Depth {
		r.fault(r.pos, r.lim.tooDeep())
		r.limited = true
		return false
	}
	return true
}

// count begins a value; false when there are too many.
func (r *reader) count() bool {
	if r.nodes++; r.nodes > r.lim.Nodes {
		r.fault(r.pos, r.lim.tooMany())
		r.limited = true
		return false
	}
	return true
}

// dash reports whether a sequence entry starts at i.
func (r *reader) dash(i int) bool {
	return r.text[i] == '-' && (i+1 == r.eol || r.text[i+1] == ' ' || r.text[i+1] == '\t')
}

// block reads the node that starts at the current line; parent is the indentation of what holds it.
func (r *reader) block(parent int, at *place) (any, bool) {
	if r.dash(r.pos) {
		return r.sequence(r.ind, at)
	}
	from := r.pos
	if key, ok := r.key(); ok {
		return r.mapping(r.ind, key, from, at)
	}
	if r.failed {
		return nil, false
	}
	r.pos = from
	return r.inline(parent, at)
}

// mapping reads a block mapping at column ind. The first key has been read already, from offset from.
func (r *reader) mapping(ind int, key string, from int, at *place) (any, bool) {
	if !r.enter() {
		return nil, false
	}
	var m map[string]any
	if at == nil { // the places alone are wanted otherwise
		m = make(map[string]any)
	}
	for {
		var kid *place
		if at != nil {
			kid = at.add(key, r.line, r.src.column(r.bol, from))
		}
		v, ok := r.fieldValue(ind, kid)
		if !ok {
			return nil, false
		}
		if kid != nil {
			kid.last = r.last
		} else if !put(m, key, v) {
			return r.refuse() // a doubled key: the general path says where
		}
		if r.ind != ind {
			break
		}
		if from = r.pos; r.dash(from) {
			return r.fault(from, "a list entry stands where a key is expected")
		}
		if key, ok = r.key(); !ok {
			return r.fault(from, `expected "key: value"`)
		}
	}
	if r.ind > ind {
		return r.fault(r.pos, "this line is indented deeper than the keys it stands beside")
	}
	r.depth--
	return m, true
}

// put sets a field; false when it was there before.
func put(m map[string]any, key string, v any) bool {
	n := len(m)
	m[key] = v
	return len(m) > n
}

// fieldValue reads what follows "key:".
func (r *reader) fieldValue(ind int, at *place) (any, bool) {
	if !r.count() {
		return nil, false
	}
	if more, ok := r.restOfLine(); !ok {
		return nil, false
	} else if more {
		if r.dash(r.pos) {
			return r.fault(r.pos, "a list entry may not stand on the line of its key")
		}
		return r.inline(ind, at)
	}
	switch {
	case r.ind > ind:
		return r.block(ind, at)
	case r.ind == ind && r.dash(r.pos):
		return r.sequence(ind, at)
	}
	return nil, true
}

// restOfLine goes to what follows on the line, or else to the next line with content (more is false).
func (r *reader) restOfLine() (more, ok bool) {
	if r.record {
		r.last = r.line
	}
	for r.pos < r.eol && r.text[r.pos] == ' ' {
		r.pos++
	}
	if r.pos < r.eol {
		switch r.text[r.pos] {
		case '#':
			if c := r.text[r.pos-1]; c != ' ' && c != '\t' {
				r.refuse()
				return false, false
			}
			r.comment(r.pos, false)
		case '\t':
			r.refuse()
			return false, false
		default:
			return true, true
		}
	}
	return false, r.step()
}

// sequence reads a block sequence whose dashes stand at column ind.
func (r *reader) sequence(ind int, at *place) (any, bool) {
	if !r.enter() {
		return nil, false
	}
	var list []any
	if at != nil {
		at.list = true
	} else {
		list = make([]any, 0, 4)
	}
	for {
		v, ok := r.entry(ind, at)
		if !ok {
			return nil, false
		}
		if at == nil {
			list = append(list, v)
		}
		if r.ind != ind || !r.dash(r.pos) {
			break
		}
	}
	if r.ind > ind {
		return r.fault(r.pos, "this line is indented deeper than the list it stands in")
	}
	r.depth--
	return list, true
}

// entry reads one entry of a block sequence, from its dash.
func (r *reader) entry(ind int, at *place) (v any, ok bool) {
	if !r.count() {
		return nil, false
	}
	line, bol, dash := r.line, r.bol, r.pos
	r.pos++
	more, ok := r.restOfLine()
	if !ok {
		return nil, false
	}
	var kid *place
	if at != nil {
		kid = at.add("", r.line, r.src.column(r.bol, r.pos))
		if !more && r.ind <= ind {
			kid.line, kid.col, kid.last = line, r.src.column(bol, dash), line
		}
	}
	switch {
	case !more && r.ind <= ind: // an entry without content
		return nil, true
	case !more:
		v, ok = r.block(ind, kid)
	case r.dash(r.pos):
		r.ind = r.pos - r.bol
		v, ok = r.sequence(r.ind, kid)
	default:
		from := r.pos
		col := from - r.bol
		if key, isKey := r.key(); isKey {
			v, ok = r.mapping(col, key, from, kid)
		} else if r.failed {
			return nil, false
		} else {
			r.pos = from
			v, ok = r.inline(ind, kid)
		}
	}
	if kid != nil {
		kid.last = r.last
	}
	return v, ok
}

// key reads a key at pos and goes behind its colon. ok is false when there is none on the line.
func (r *reader) key() (key string, ok bool) {
	t, i := r.text, r.pos
	switch c := t[i]; c {
	case '"', '\'':
		s, after, ok := r.quotedLine(i)
		if !ok {
			return "", false // not closed on this line, so no key
		}
		for after < r.eol && t[after] == ' ' {
			after++
		}
		if after < r.eol && t[after] == ':' && (after+1 == r.eol || t[after+1] == ' ') {
			if after-i > maxKey {
				r.refuse()
				return "", false
			}
			r.pos = after + 1
			return s, true
		}
		return "", false
	case '[', '{', '|', '>', '#':
		return "", false
	case '&', '*', '!', '%', '@', '`', '?', ']', '}', ',':
		r.refuse()
		return "", false
	}
	for ; i < r.eol; i++ {
		switch t[i] {
		case ':':
			if i+1 < r.eol && t[i+1] != ' ' {
				if t[i+1] == '\t' {
					r.refuse()
					return "", false
				}
				continue
			}
			return r.plainKey(i)
		case '#':
			if i > r.pos && (t[i-1] == ' ' || t[i-1] == '\t') {
				return "", false
			}
		}
	}
	return "", false
}

// maxKey is a length that every YAML reader accepts for a key on one line; they stop at 1024 characters.
const maxKey = 1000

func (r *reader) plainKey(colon int) (string, bool) {
	key := trimRight(r.text[r.pos:colon])
	if key == "" || key == "<<" || colon-r.pos > maxKey {
		r.refuse()
		return "", false
	}
	if hint(key[0]) != hintText {
		text, err := resolveKey(key)
		if err != nil {
			r.refuse()
			return "", false
		}
		key = text
	}
	r.pos = colon + 1
	return key, true
}
