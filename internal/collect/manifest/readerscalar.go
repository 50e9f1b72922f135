package manifest

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// inline reads a scalar or a flow collection at pos; parent is the indentation of what holds it. Afterwards the reader is
// at the next line with content.
func (r *reader) inline(parent int, at *place) (any, bool) {
	switch r.text[r.pos] {
	case '|', '>':
		return r.blockScalar(parent)
	case '"', '\'':
		s, ok := r.quoted()
		if !ok {
			return nil, false
		}
		return s, r.endOfValue(parent)
	case '[', '{':
		v, ok := r.flow(at)
		if !ok {
			return nil, false
		}
		return v, r.endOfValue(parent)
	case '&', '*', '!', '%', '@', '`', ']', '}', ',':
		return r.refuse()
	case '?', ':', '-':
		if r.pos+1 == r.eol || r.text[r.pos+1] == ' ' || r.text[r.pos+1] == '\t' {
			return r.refuse()
		}
	}
	return r.plain(parent)
}

// endOfValue checks that nothing but a comment follows a value on its line and goes to the next line with content.
func (r *reader) endOfValue(parent int) bool {
	more, ok := r.restOfLine()
	if !ok {
		return false
	}
	if more {
		_, ok = r.fault(r.pos, "unexpected text after the value")
		return ok
	}
	if r.ind > parent {
		// Deeper than what holds the value; the callers of keys and entries report it, a root has none.
		_, ok = r.fault(r.pos, "this line is indented deeper than the value above it allows")
		return ok
	}
	return true
}

// plain reads a plain scalar, which may go on over lines that are indented deeper than parent.
func (r *reader) plain(parent int) (any, bool) {
	s, commented, ok := r.plainLine()
	if !ok {
		return nil, false
	}
	if r.record {
		r.last = r.line
	}
	if !r.step() {
		return nil, false
	}
	if r.ind > parent {
		if commented || r.commented {
			return r.fault(r.pos, "text goes on after a comment")
		}
		if s, ok = r.plainLines(s, parent); !ok {
			return nil, false
		}
	}
	v, err := resolve(s)
	if err != nil {
		return r.refuse()
	}
	return v, true
}

// plainLine reads the part of a plain scalar that is on the current line.
func (r *reader) plainLine() (s string, commented, ok bool) {
	t, end := r.text, r.eol
scan:
	for i := r.pos; i < r.eol; i++ {
		switch t[i] {
		case ':':
			if i+1 == r.eol || t[i+1] == ' ' || t[i+1] == '\t' {
				r.fault(i, `": " inside a value: put the value in quotes, or the key on a line of its own`)
				return "", false, false
			}
		case '#':
			if i > r.pos && (t[i-1] == ' ' || t[i-1] == '\t') {
				r.comment(i, false)
				end, commented = i, true
				break scan
			}
		}
	}
	return trimRight(t[r.pos:end]), commented, true
}

// trimRight drops spaces and tabs at the end.
func trimRight(s string) string {
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// plainLines joins the following lines of a plain scalar: a line break is a space, an empty line a line break.
func (r *reader) plainLines(first string, parent int) (string, bool) {
	var b strings.Builder
	b.WriteString(first)
	for r.ind > parent {
		if r.commented {
			_, ok := r.fault(r.pos, "text goes on after a comment")
			return "", ok
		}
		fold(&b, r.blanks)
		s, commented, ok := r.plainLine()
		if !ok {
			r.failure = syntaxError{r.line, r.src.column(r.bol, r.pos), "this line is indented deeper than the value above it allows"}
			return "", false
		}
		b.WriteString(s)
		if r.record {
			r.last = r.line
		}
		if !r.step() {
			return "", false
		}
		if commented && r.ind > parent {
			_, ok := r.fault(r.pos, "text goes on after a comment")
			return "", ok
		}
	}
	return b.String(), true
}

// fold writes what a line break followed by blank lines means in a folded scalar.
func fold(b *strings.Builder, blanks int) {
	if blanks == 0 {
		b.WriteByte(' ')
	}
	for range blanks {
		b.WriteByte('\n')
	}
}

// quotedLine reads a quoted scalar at i that ends on the same line; after is behind its closing quote.
func (r *reader) quotedLine(i int) (s string, after int, ok bool) {
	quote, from := r.text[i], i+1
	escaped := false
	for i = from; i < r.eol; i++ {
		switch c := r.text[i]; {
		case c == '\\' && quote == '"':
			escaped = true
			i++
		case c == '\'' && quote == c && i+1 < r.eol && r.text[i+1] == c:
			escaped = true
			i++
		case c == quote:
			s = r.text[from:i]
			if !escaped {
				return s, i + 1, true
			}
			s, ok = unquote(s, quote)
			return s, i + 1, ok
		}
	}
	return "", i, false
}

// quoted reads a quoted scalar at pos that may go over several lines, and goes behind it.
func (r *reader) quoted() (string, bool) {
	if s, after, ok := r.quotedLine(r.pos); ok {
		r.pos = after
		return s, true
	}
	quote := r.text[r.pos]
	first := syntaxError{r.line, r.src.column(r.bol, r.pos), "this quotation mark is never closed"}
	var b strings.Builder
	r.pos++
	for {
		part, closed, ok := r.quotedPart(quote)
		if !ok {
			_, ok := r.refuse()
			return "", ok
		}
		b.WriteString(part)
		if closed {
			return b.String(), true
		}
		blanks := -1
		for r.pos == r.eol {
			if !r.advance() {
				r.failed, r.failure = true, first
				return "", false
			}
			blanks++
			r.pos = r.bol
			for r.pos < r.eol && r.text[r.pos] == ' ' {
				r.pos++
			}
		}
		if r.text[r.pos] == '\t' {
			_, ok := r.refuse()
			return "", ok
		}
		fold(&b, blanks)
	}
}

// quotedPart reads the rest of the line inside a quoted scalar. closed says that the scalar ended there; otherwise the
// trailing spaces are dropped and pos is at the end of the line.
func (r *reader) quotedPart(quote byte) (s string, closed, ok bool) {
	from, escaped := r.pos, false
	for i := from; i < r.eol; i++ {
		switch c := r.text[i]; {
		case c == '\\' && quote == '"':
			if escaped = true; i+1 == r.eol || r.text[i+1] == ' ' {
				return "", false, false // an escaped line break or a kept space
			}
			i++
		case c == '\'' && quote == c && i+1 < r.eol && r.text[i+1] == c:
			escaped = true
			i++
		case c == quote:
			s, closed, r.pos = r.text[from:i], true, i+1
			if escaped {
				s, ok = unquote(s, quote)
				return s, true, ok
			}
			return s, true, true
		}
	}
	s = trimRight(r.text[from:r.eol])
	r.pos = r.eol
	if escaped {
		s, ok = unquote(s, quote)
		return s, false, ok
	}
	return s, false, true
}

// unquote resolves the escapes of a quoted scalar; ok is false for those that are left to the library.
func unquote(s string, quote byte) (string, bool) {
	if quote == '\'' {
		return strings.ReplaceAll(s, "''", "'"), true
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return "", false
		}
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case '"', '\\':
			b.WriteByte(s[i])
		case 'u':
			c, ok := hex(s[i+1:], 4)
			if !ok {
				return "", false
			}
			b.WriteRune(c)
			i += 4
		case 'U':
			c, ok := hex(s[i+1:], 8)
			if !ok {
				return "", false
			}
			b.WriteRune(c)
			i += 8
		default:
			return "", false
		}
	}
	return b.String(), true
}

// hex reads a character of n hexadecimal digits.
func hex(s string, n int) (c rune, ok bool) {
	if len(s) < n {
		return 0, false
	}
	v, err := strconv.ParseUint(s[:n], 16, 32)
	return rune(v), err == nil && v <= utf8.MaxRune && utf8.ValidRune(rune(v))
}

// blockScalar reads a literal (|) or folded (>) scalar from its indicator.
func (r *reader) blockScalar(parent int) (any, bool) {
	folded := r.text[r.pos] == '>'
	chomp, explicit, ok := r.blockHeader()
	if !ok {
		return nil, false
	}
	indent := 0
	if explicit > 0 {
		indent = max(parent, 0) + explicit
	}
	var b strings.Builder
	breaks, brk, wasBlank := 0, false, false // pending empty lines, the pending break of the line before, it was indented
	for r.advance() {
		p := r.bol
		for p < r.eol && r.text[p] == ' ' && (indent == 0 || p-r.bol < indent) {
			p++
		}
		col := p - r.bol
		if p == r.eol {
			if indent == 0 && r.eol > r.bol {
				return r.refuse() // leading lines of spaces take part in finding the indentation
			}
			if r.next > r.eol {
				breaks++
			}
			continue
		}
		if indent == 0 {
			if r.text[p] == '\t' {
				return r.refuse()
			}
			if col <= max(parent, 0) {
				return r.blockEnd(&b, chomp, brk, breaks)
			}
			indent = col
		}
		if col < indent {
			if r.text[p] == '\t' {
				return r.refuse()
			}
			return r.blockEnd(&b, chomp, brk, breaks)
		}
		isBlank := r.text[p] == ' ' || r.text[p] == '\t'
		if folded && brk && !wasBlank && !isBlank {
			if breaks == 0 {
				b.WriteByte(' ')
			}
		} else if brk {
			b.WriteByte('\n')
		}
		for range breaks {
			b.WriteByte('\n')
		}
		b.WriteString(r.text[p:r.eol])
		breaks, brk, wasBlank = 0, r.next > r.eol, isBlank
		if r.record {
			r.last = r.line
		}
	}
	r.ind = -1
	return chomped(&b, chomp, brk, breaks), true
}

// blockHeader reads the indicators after | or >, which end the line.
func (r *reader) blockHeader() (chomp byte, indent int, ok bool) {
	for r.pos++; r.pos < r.eol; r.pos++ {
		switch c := r.text[r.pos]; {
		case (c == '+' || c == '-') && chomp == 0:
			chomp = c
		case c >= '1' && c <= '9' && indent == 0:
			indent = int(c - '0')
		case c == ' ':
			rest := strings.TrimLeft(r.text[r.pos:r.eol], " ")
			if rest != "" && rest[0] == '#' {
				r.comment(r.eol-len(rest), false)
				rest = ""
			}
			if rest == "" {
				if r.record {
					r.last = r.line
				}
				return chomp, indent, true
			}
			r.refuse()
			return 0, 0, false
		default:
			r.refuse()
			return 0, 0, false
		}
	}
	if r.record {
		r.last = r.line
	}
	return chomp, indent, true
}

// blockEnd ends a block scalar at the current line, which is the first that is not part of it.
func (r *reader) blockEnd(b *strings.Builder, chomp byte, brk bool, breaks int) (any, bool) {
	r.next, r.line = r.bol, r.line-1
	if !r.step() {
		return nil, false
	}
	return chomped(b, chomp, brk, breaks), true
}

// chomped is the scalar with its end as the chomping indicator wants it: clipped, stripped (-) or kept (+).
func chomped(b *strings.Builder, chomp byte, brk bool, breaks int) string {
	if chomp != '-' && brk {
		b.WriteByte('\n')
	}
	if chomp == '+' {
		for range breaks {
			b.WriteByte('\n')
		}
	}
	return b.String()
}
