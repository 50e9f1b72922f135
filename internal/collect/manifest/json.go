package manifest

import (
	"encoding/json"
	"strconv"
	"strings"
)

// jsonReader reads JSON values one after another, with the number rules of the API server: integers are int64 when they
// fit and floats otherwise.
type jsonReader struct {
	src   *source
	text  string
	pos   int
	line  int
	bol   int
	lim   Limits
	nodes int
	depth int

	record  bool
	limited bool // a limit was hit
	failure syntaxError
	double  []syntaxError
}

func (j *jsonReader) fault(text string) (any, bool) {
	j.failure = syntaxError{j.line, j.src.column(j.bol, min(j.pos, len(j.text))), text}
	return nil, false
}

// space skips white space; false at the end of the text.
func (j *jsonReader) space() bool {
	for ; j.pos < len(j.text); j.pos++ {
		switch j.text[j.pos] {
		case '\n':
			j.line++
			j.bol = j.pos + 1
		case ' ', '\t', '\r':
		default:
			return true
		}
	}
	return false
}

// value reads the value at pos.
func (j *jsonReader) value(at *place) (any, bool) {
	if j.nodes++; j.nodes > j.lim.Nodes {
		j.limited = true
		return j.fault(j.lim.tooMany())
	}
	if j.pos >= len(j.text) {
		return j.fault("the text ends in the middle of a value")
	}
	switch c := j.text[j.pos]; {
	case c == '{' || c == '[':
		if j.depth++; j.depth > j.lim.Depth {
			j.limited = true
			return j.fault(j.lim.tooDeep())
		}
		var v any
		var ok bool
		if c == '{' {
			v, ok = j.object(at)
		} else {
			v, ok = j.list(at)
		}
		j.depth--
		return v, ok
	case c == '"':
		return j.string()
	case c == '-' || c >= '0' && c <= '9':
		return j.number()
	}
	for word, v := range map[string]any{"true": true, "false": false, "null": nil} {
		if strings.HasPrefix(j.text[j.pos:], word) {
			j.pos += len(word)
			return v, true
		}
	}
	return j.fault("expected a value")
}

func (j *jsonReader) object(at *place) (any, bool) {
	m := make(map[string]any)
	j.pos++
	for first := true; ; first = false {
		if !j.space() {
			return j.fault("a brace is never closed")
		}
		if c := j.text[j.pos]; c == '}' && first {
			j.pos++
			return m, true
		} else if c != '"' {
			return j.fault("expected a key in quotes")
		}
		start := syntaxError{line: j.line}
		start.col = j.src.column(j.bol, j.pos)
		k, ok := j.string()
		if !ok {
			return nil, false
		}
		key, _ := k.(string)
		if !j.space() || j.text[j.pos] != ':' {
			return j.fault("expected a colon after the key")
		}
		if j.pos++; !j.space() {
			return j.fault("a brace is never closed")
		}
		kid := at.add(key, start.line, start.col)
		v, ok := j.value(kid)
		if !ok {
			return nil, false
		}
		if kid != nil {
			kid.last = j.line
		}
		n := len(m)
		if m[key] = v; len(m) == n {
			j.double = append(j.double, syntaxError{start.line, start.col, key})
		}
		if more, ok := j.more('}'); !ok || !more {
			return m, ok
		}
	}
}

func (j *jsonReader) list(at *place) (any, bool) {
	list := []any{}
	if at != nil {
		at.list = true
	}
	j.pos++
	for first := true; ; first = false {
		if !j.space() {
			return j.fault("a bracket is never closed")
		}
		if j.text[j.pos] == ']' && first {
			j.pos++
			return list, true
		}
		var kid *place
		if at != nil {
			kid = at.add("", j.line, j.src.column(j.bol, j.pos))
		}
		v, ok := j.value(kid)
		if !ok {
			return nil, false
		}
		if kid != nil {
			kid.last = j.line
		}
		list = append(list, v)
		if more, ok := j.more(']'); !ok || !more {
			return list, ok
		}
	}
}

// more goes behind the comma or the closing bracket after a value.
func (j *jsonReader) more(closing byte) (more, ok bool) {
	if !j.space() {
		j.fault("a bracket is never closed")
		return false, false
	}
	c := j.text[j.pos]
	if c != ',' && c != closing {
		j.fault("expected a comma or " + strconv.Quote(string(closing)))
		return false, false
	}
	j.pos++
	return c == ',', true
}

func (j *jsonReader) string() (any, bool) {
	from := j.pos + 1
	for i := from; i < len(j.text); i++ {
		switch c := j.text[i]; {
		case c == '"':
			s := j.text[from:i]
			if strings.IndexByte(s, '\\') >= 0 || !j.src.plain {
				if err := json.Unmarshal([]byte(j.text[from-1:i+1]), &s); err != nil {
					return j.fault("a string with a wrong escape")
				}
			}
			j.pos = i + 1
			return s, true
		case c == '\\':
			i++
		case c < 0x20:
			return j.fault("a string that is not closed on its line")
		}
	}
	return j.fault("a string is never closed")
}

func (j *jsonReader) number() (any, bool) {
	i := j.pos
	for i < len(j.text) && strings.IndexByte("+-.eE0123456789", j.text[i]) >= 0 {
		i++
	}
	s := j.text[j.pos:i]
	if n, ok := smallInt(s); ok {
		j.pos = i
		return n, true
	}
	if !json.Valid([]byte(s)) {
		return j.fault("a malformed number")
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		j.pos = i
		return n, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return j.fault("a number out of range")
	}
	j.pos = i
	return f, true
}
