package manifest

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// source is the text of one file with what its documents need of it.
type source struct {
	file string
	text string
	// plain says that the text is valid UTF-8 whose only line breaks are \n and \r\n and that holds no control characters:
	// what the quick reader may assume. ascii says that a byte is a character.
	plain, ascii bool

	once  sync.Once
	lines []int // offset of each line
}

func newSource(file, text string) *source {
	s := &source{file: file, text: text, plain: true, ascii: true}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c >= 0x20 && c < 0x7f || c == '\n' || c == '\t':
		case c == '\r':
			if i+1 == len(text) || text[i+1] != '\n' {
				s.plain = false
			}
		case c >= 0x80:
			s.ascii = false
		default:
			s.plain = false
		}
	}
	if !s.ascii && s.plain {
		s.plain = plainUnicode(text)
	}
	return s
}

// plainUnicode reports whether text is UTF-8 that YAML allows, without the three Unicode line breaks and without
// byte-order marks.
func plainUnicode(text string) bool {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i++
			continue
		}
		c, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case c == utf8.RuneError && n == 1, c >= 0x80 && c < 0xa0, c == 0x2028, c == 0x2029, c == 0xfeff,
			c >= 0xfffe && c <= 0xffff:
			return false
		}
		i += n
	}
	return true
}

// lineBreak returns the length of the YAML line break at i, 0 when there is none.
func lineBreak(text string, i int) int {
	switch text[i] {
	case '\n':
		return 1
	case '\r':
		if i+1 < len(text) && text[i+1] == '\n' {
			return 2
		}
		return 1
	case 0xc2:
		if strings.HasPrefix(text[i:], "\u0085") {
			return 2
		}
	case 0xe2:
		if strings.HasPrefix(text[i:], "\u2028") || strings.HasPrefix(text[i:], "\u2029") {
			return 3
		}
	}
	return 0
}

// lineEnd returns where the line that holds offset i ends and where the next one starts; next is len(text) at the end of
// the text.
func (s *source) lineEnd(i int) (end, next int) {
	if s.plain {
		j := strings.IndexByte(s.text[i:], '\n')
		if j < 0 {
			return len(s.text), len(s.text)
		}
		end, next = i+j, i+j+1
		if end > i && s.text[end-1] == '\r' {
			end--
		}
		return end, next
	}
	for ; i < len(s.text); i++ {
		if n := lineBreak(s.text, i); n > 0 {
			return i, i + n
		}
	}
	return i, i
}

// line returns the text of a line, counted from 1; "" when there is no such line.
func (s *source) line(n int) string {
	start := s.offset(n)
	if start < 0 {
		return ""
	}
	end, _ := s.lineEnd(start)
	return s.text[start:end]
}

// offset returns where a line starts, -1 when there is no such line.
func (s *source) offset(n int) int {
	s.once.Do(func() {
		for i := 0; i < len(s.text); {
			s.lines = append(s.lines, i)
			_, i = s.lineEnd(i)
		}
	})
	if n < 1 || n > len(s.lines) {
		return -1
	}
	return s.lines[n-1]
}

// column returns the column of offset i in the line that starts at bol, from 1, in characters.
func (s *source) column(bol, i int) int {
	if s.ascii {
		return i - bol + 1
	}
	return utf8.RuneCountInString(s.text[bol:i]) + 1
}

// chunk is the part of a file that holds one document.
type chunk struct {
	start, end int // of the text to read
	line       int // of the text at start, from 1
	// head is the offset of the document with the comments before its "---" line, headLine its line.
	head, headLine int
	// marked says that start is at the "---" line itself or at directives before it, because they mean something; the
	// quick reader does not know them.
	marked bool
}

// split cuts a YAML text into documents. A line that starts with "---" or "..." is a document mark wherever it stands:
// inside a block scalar the same text is indented. Parts that hold nothing but comments are left out.
func (s *source) split() []chunk {
	var out []chunk
	cur := chunk{line: 1, headLine: 1}
	var body, comment, directive bool // what cur holds so far
	flush := func(end int) {
		if body {
			cur.end = end
			out = append(out, cur)
		}
	}
	line := 0
	for i := 0; i < len(s.text); {
		line++
		end, next := s.lineEnd(i)
		text := s.text[i:end]
		switch {
		case mark(text, "---"):
			flush(i)
			directive = directive && !body
			if body || !comment && !directive { // comments before the mark belong to the document after it
				cur = chunk{head: i, headLine: line}
				comment = false
			}
			body = content(text[3:])
			comment = comment || strings.IndexByte(text, '#') > 0
			if !directive {
				cur.start, cur.line = next, line+1
				if body {
					cur.start, cur.line, cur.marked = i, line, true
				}
			}
			directive = false
		case mark(text, "..."):
			flush(i)
			cur = chunk{start: next, line: line + 1, head: next, headLine: line + 1}
			body, comment, directive = false, false, false
		case body:
		case text != "" && text[0] == '%':
			if !directive {
				directive, cur.start, cur.line, cur.marked = true, i, line, true
			}
		case content(text):
			body = true
		default:
			comment = comment || strings.IndexByte(text, '#') >= 0
		}
		i = next
	}
	flush(len(s.text))
	return out
}

// mark reports whether a line is a document mark.
func mark(line, m string) bool {
	return strings.HasPrefix(line, m) && (len(line) == 3 || line[3] == ' ' || line[3] == '\t')
}

// content reports whether a line holds more than a comment.
func content(line string) bool {
	line = strings.TrimLeft(line, " \t")
	return line != "" && line[0] != '#'
}
