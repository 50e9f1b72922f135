package manifest

import "strings"

// flow reads a flow collection at pos, over as many lines as it takes, and goes behind it.
func (r *reader) flow(at *place) (any, bool) {
	if !r.enter() {
		return nil, false
	}
	open := syntaxError{r.line, r.src.column(r.bol, r.pos), "this bracket is never closed"}
	var v any
	var ok bool
	if r.text[r.pos] == '[' {
		v, ok = r.flowList(at)
	} else {
		v, ok = r.flowMap(at)
	}
	if !ok {
		if !r.failed {
			r.failed, r.failure = true, open
		}
		return nil, false
	}
	r.depth--
	if r.record {
		r.last = r.line
	}
	return v, true
}

// flowSpace skips spaces, line breaks and comments. false at the end of the document or at what the library must read.
func (r *reader) flowSpace() bool {
	for {
		for r.pos < r.eol && r.text[r.pos] == ' ' {
			r.pos++
		}
		if r.pos < r.eol {
			switch c := r.text[r.pos]; {
			case c == '\t', c == '#' && r.pos > r.bol && r.text[r.pos-1] != ' ':
				r.refuse()
				return false
			case c != '#':
				return true
			}
			r.comment(r.pos, strings.TrimLeft(r.text[r.bol:r.pos], " ") == "")
		}
		if !r.advance() {
			return false
		}
		r.pos = r.bol
	}
}

func (r *reader) flowList(at *place) (any, bool) {
	if at != nil {
		at.list = true
	}
	list := []any{}
	r.pos++
	for {
		if !r.flowSpace() {
			return nil, false
		}
		if r.text[r.pos] == ']' {
			r.pos++
			return list, true
		}
		var kid *place
		if at != nil {
			kid = at.add("", r.line, r.src.column(r.bol, r.pos))
		}
		v, ok := r.flowValue(kid)
		if !ok {
			return nil, false
		}
		list = append(list, v)
		if more, ok := r.flowNext(']'); !ok || !more {
			return list, ok
		}
	}
}

// flowNext goes behind the comma (more) or the closing bracket after a value.
func (r *reader) flowNext(closing byte) (more, ok bool) {
	if !r.flowSpace() {
		return false, false
	}
	switch r.text[r.pos] {
	case ',':
		r.pos++
		return true, true
	case closing:
		r.pos++
		return false, true
	}
	r.fault(r.pos, "expected a comma or the closing bracket")
	return false, false
}

func (r *reader) flowMap(at *place) (any, bool) {
	m := make(map[string]any)
	r.pos++
	for {
		if !r.flowSpace() {
			return nil, false
		}
		if r.text[r.pos] == '}' {
			r.pos++
			return m, true
		}
		line, col := r.line, 0
		if at != nil {
			col = r.src.column(r.bol, r.pos)
		}
		key, ok := r.flowKey()
		if !ok {
			return nil, false
		}
		if !r.flowSpace() {
			return nil, false
		}
		if c := r.text[r.pos]; c == ',' || c == '}' {
			return r.refuse() // a key without a value
		}
		kid := at.add(key, line, col)
		v, ok := r.flowValue(kid)
		if !ok {
			return nil, false
		}
		n := len(m)
		if m[key] = v; len(m) == n {
			return r.refuse()
		}
		if more, ok := r.flowNext('}'); !ok || !more {
			return m, ok
		}
	}
}

// flowKey reads a key of a flow mapping with its colon.
func (r *reader) flowKey() (string, bool) {
	var key string
	quoted := false
	line, from := r.line, r.pos
	switch r.text[r.pos] {
	case '"', '\'':
		s, after, ok := r.quotedLine(r.pos)
		if !ok {
			r.refuse()
			return "", false
		}
		key, r.pos, quoted = s, after, true
	default:
		s, ok := r.flowPlain()
		if !ok || s == "" || s == "<<" {
			r.refuse()
			return "", false
		}
		text, err := resolveKey(s)
		if err != nil {
			r.refuse()
			return "", false
		}
		key = text
	}
	if !r.flowSpace() {
		return "", false
	}
	if r.line != line || r.text[r.pos] != ':' || r.pos-from > maxKey {
		r.refuse()
		return "", false
	}
	r.pos++
	if !quoted && r.pos < r.eol && r.text[r.pos] != ' ' {
		r.refuse()
		return "", false
	}
	return key, true
}

func (r *reader) flowValue(at *place) (v any, ok bool) {
	if !r.count() {
		return nil, false
	}
	switch r.text[r.pos] {
	case '[', '{':
		v, ok = r.flow(at)
	case '"', '\'':
		v, ok = r.quoted()
	default:
		var s string
		if s, ok = r.flowPlain(); !ok || s == "" {
			return r.refuse()
		}
		var err error
		if v, err = resolve(s); err != nil {
			return r.refuse()
		}
	}
	if at != nil {
		at.last = r.line
	}
	return v, ok
}

// flowPlain reads a plain scalar of simple characters on one line; anything else is left to the library.
func (r *reader) flowPlain() (string, bool) {
	t := r.text
	i := r.pos
scan:
	for ; i < r.eol; i++ {
		switch c := t[i]; c {
		case ',', ']', '}':
			break scan
		case ':':
			if i == r.pos {
				return "", false
			}
			if i+1 == r.eol || t[i+1] == ' ' {
				break scan
			}
			if strings.IndexByte("\t,[]{}?", t[i+1]) >= 0 {
				return "", false
			}
		case '#':
			if i > r.pos && t[i-1] == ' ' {
				break scan
			}
			return "", false
		case '[', '{', '"', '\'', '&', '*', '!', '|', '>', '%', '@', '`', '?', '\t':
			return "", false
		case '-':
			if i == r.pos && (i+1 == r.eol || strings.IndexByte(" ,[]{}", t[i+1]) >= 0) {
				return "", false
			}
		}
	}
	s := strings.TrimRight(t[r.pos:i], " ")
	r.pos = i
	if s == "" {
		return "", false
	}
	return s, true
}
