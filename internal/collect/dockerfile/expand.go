package dockerfile

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

var (
	errTooLong      = errors.New("the expanded text is too long")
	errSubstitution = errors.New("bad substitution")
	errQuote        = errors.New("a quote is not closed")
)

// expander replaces ARG and ENV references as BuildKit's shell.Lex does, with two differences: a variable that nobody
// gave a value stays as it is written (a build argument may set it), and the result is bounded. The pattern forms
// ${A#p}, ${A%p} and ${A/p/r} are handed to shell.Lex with small inputs.
type expander struct {
	lookup func(name string) (value string, known bool)
	escape rune
}

// word expands one word and removes its quotes and escapes.
func (x *expander) word(text string) (string, error) {
	if !strings.ContainsAny(text, `$'"`) && !strings.ContainsRune(text, x.escape) {
		return text, nil
	}
	e := expansion{expander: x, text: text}
	return e.run()
}

// raw expands text and keeps quotes and escapes, so that a shell reads it as it would read the original. quotes is false
// for heredocs, where quotes are plain characters.
func (x *expander) raw(text string, quotes bool) (string, error) {
	if strings.IndexByte(text, '$') < 0 {
		return text, nil
	}
	e := expansion{expander: x, text: text, keep: true, plain: !quotes}
	return e.run()
}

// expansion is one walk over a text.
type expansion struct {
	*expander
	text  string
	pos   int
	size  int // of what was written so far, at any depth
	depth int
	keep  bool // keep quotes and escapes
	plain bool // quotes are characters like others
	bad   int  // references that could not be read and were left as they are
}

func (e *expansion) run() (string, error) {
	if len(e.text) > maxExpanded {
		return e.text, errTooLong
	}
	out, err := e.until(0)
	if err != nil {
		return e.text, err
	}
	return out, nil
}

// next returns the character at pos without moving; 0 at the end.
func (e *expansion) next() (rune, int) {
	if e.pos >= len(e.text) {
		return 0, 0
	}
	return utf8.DecodeRuneInString(e.text[e.pos:])
}

// grow accounts for n more bytes of output.
func (e *expansion) grow(n int) error {
	if e.size += n; e.size > maxExpanded {
		return errTooLong
	}
	return nil
}

// until expands up to the stop character, which it passes over; 0 stops at the end.
func (e *expansion) until(stop rune) (string, error) {
	if e.depth++; e.depth > maxNesting {
		return "", errSubstitution
	}
	defer func() { e.depth-- }()
	var out strings.Builder
	for {
		c, n := e.next()
		switch {
		case n == 0:
			if stop != 0 {
				return "", errSubstitution
			}
			return out.String(), nil
		case stop != 0 && c == stop:
			e.pos += n
			return out.String(), nil
		}
		var piece string
		var err error
		switch {
		case c == '$':
			piece, err = e.reference()
		case c == '\'' && !e.plain:
			piece, err = e.single()
		case c == '"' && !e.plain:
			piece, err = e.double()
		case c == e.escape:
			piece = e.escaped()
		default:
			piece = e.text[e.pos : e.pos+n]
			e.pos += n
		}
		if err == nil {
			err = e.grow(len(piece))
		}
		if err != nil {
			return "", err
		}
		out.WriteString(piece)
	}
}

// escaped reads an escape character outside quotes with what follows it.
func (e *expansion) escaped() string {
	start := e.pos
	_, n := e.next()
	e.pos += n
	_, m := e.next()
	e.pos += m
	if e.keep {
		return e.text[start:e.pos]
	}
	return e.text[start+n : e.pos]
}

func (e *expansion) single() (string, error) {
	end := strings.IndexByte(e.text[e.pos+1:], '\'')
	if end < 0 {
		return "", errQuote
	}
	start := e.pos
	e.pos += end + 2
	if e.keep {
		return e.text[start:e.pos], nil
	}
	return e.text[start+1 : e.pos-1], nil
}

func (e *expansion) double() (string, error) {
	var out strings.Builder
	e.pos++
	if e.keep {
		out.WriteByte('"')
	}
	for {
		c, n := e.next()
		switch {
		case n == 0:
			return "", errQuote
		case c == '"':
			e.pos++
			if e.keep {
				out.WriteByte('"')
			}
			return out.String(), nil
		case c == '$':
			piece, err := e.reference()
			if err == nil {
				err = e.grow(len(piece))
			}
			if err != nil {
				return "", err
			}
			out.WriteString(piece)
		case c == e.escape:
			e.pos += n
			after, m := e.next()
			if e.keep || after != '"' && after != '$' && after != e.escape && m > 0 {
				out.WriteRune(c)
			}
			if m > 0 {
				out.WriteString(e.text[e.pos : e.pos+m])
				e.pos += m
			}
		default:
			out.WriteString(e.text[e.pos : e.pos+n])
			e.pos += n
		}
	}
}

// reference reads a reference. A shell knows forms that a Dockerfile does not (${A:0:3}): in a text for a shell they stay
// as they are. How often is bounded, because each may have been read to the end of the text.
func (e *expansion) reference() (string, error) {
	start := e.pos
	out, err := e.dollar()
	if err == nil || errors.Is(err, errTooLong) || !e.keep || e.depth > 1 || e.bad > 100 {
		return out, err
	}
	e.bad++
	e.pos = start + 1
	return "$", nil
}

// dollar reads a reference. What is unknown is returned as it is written.
func (e *expansion) dollar() (string, error) {
	start := e.pos
	e.pos++
	if c, _ := e.next(); c != '{' {
		name := e.name()
		if value, known := e.lookup(name); known && name != "" {
			return value, nil
		}
		return e.text[start:e.pos], nil
	}
	e.pos++
	name := e.name()
	op, n := e.next()
	if name == "" || n == 0 {
		return "", errSubstitution
	}
	value, known := e.lookup(name)
	e.pos += n
	if op == '}' {
		if !known {
			return e.text[start:e.pos], nil
		}
		return value, nil
	}
	empty := !known
	if op == ':' {
		empty = value == ""
		op, n = e.next()
		e.pos += n
		if n == 0 || !strings.ContainsRune("-+?", op) {
			return "", errSubstitution
		}
	}
	switch op {
	case '-', '+', '?':
		word, err := e.until('}')
		switch {
		case err != nil:
			return "", err
		case op == '-' && empty, op == '+' && !empty:
			return word, nil
		case op == '+':
			return "", nil
		case op == '?' && empty:
			return e.text[start:e.pos], nil
		}
		return value, nil
	case '#', '%', '/':
		return e.pattern(start, op, value, known)
	}
	return "", errSubstitution
}

// pattern reads ${A#p}, ${A%p} and ${A/p/r}, whose name and operator have been read.
func (e *expansion) pattern(start int, op rune, value string, known bool) (string, error) {
	const small = 4 << 10 // a value times a replacement stays within 1 MiB
	if op == '/' {
		if c, _ := e.next(); c == '/' {
			e.pos++
		}
		if _, err := e.until('/'); err != nil {
			return "", err
		}
	}
	if _, err := e.until('}'); err != nil {
		return "", err
	}
	written := e.text[start:e.pos]
	if !known || len(written) > small/16 || len(value) > small {
		return written, nil
	}
	lex := shell.NewLex(e.escape)
	lex.SkipUnsetEnv = true
	out, _, err := lex.ProcessWord(written, bounded{e.lookup})
	if err != nil {
		return "", errSubstitution
	}
	return out, nil
}

// bounded hands shell.Lex small values only.
type bounded struct {
	lookup func(string) (string, bool)
}

func (b bounded) Get(name string) (string, bool) {
	v, ok := b.lookup(name)
	if len(v) > 4<<10 {
		return "", false
	}
	return v, ok
}

func (b bounded) Keys() []string { return nil }

// name reads the name of a variable: letters, digits and _, or digits alone, or one of the shell's special characters.
func (e *expansion) name() string {
	start := e.pos
	c, n := e.next()
	switch {
	case n == 0:
		return ""
	case strings.ContainsRune("@*#?-$!", c):
		e.pos += n
		return e.text[start:e.pos]
	case unicode.IsDigit(c):
		for n > 0 && unicode.IsDigit(c) {
			e.pos += n
			c, n = e.next()
		}
		return e.text[start:e.pos]
	}
	for n > 0 && (c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c)) {
		e.pos += n
		c, n = e.next()
	}
	return e.text[start:e.pos]
}
