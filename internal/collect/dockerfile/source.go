package dockerfile

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"stockade.dev/stockade/internal/inventory"
)

// source is the text of a file with the offset of each line.
type source struct {
	file  string
	text  string
	lines []int
}

func newSource(file, text string) *source {
	s := &source{file: file, text: text, lines: make([]int, 1, strings.Count(text, "\n")+1)}
	for i := 0; i < len(text); {
		j := strings.IndexByte(text[i:], '\n')
		if j < 0 {
			break
		}
		i += j + 1
		if i < len(text) {
			s.lines = append(s.lines, i)
		}
	}
	return s
}

// line returns line n, counted from 1, without its line break; "" when there is none.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	end := len(s.text)
	if n < len(s.lines) {
		end = s.lines[n]
	}
	line := strings.TrimRight(s.text[s.lines[n-1]:end], "\r\n")
	if n == 1 {
		line = strings.TrimPrefix(line, "\uFEFF")
	}
	return line
}

// guard refuses what would cost BuildKit's parser more than the file is worth: it has no limits of its own on joined
// lines, and follows nested ${} and ONBUILD by recursion.
func (s *source) guard() error {
	if len(s.lines) > maxLines {
		return fmt.Errorf("%s: %d lines, more than the %d that are read", s.file, len(s.lines), maxLines)
	}
	joined, depth := 0, 0
	for n := 1; n <= len(s.lines); n++ {
		line := s.line(n)
		if len(line) >= maxLine-1 {
			return fmt.Errorf("%s:%d: the line is longer than %d bytes", s.file, n, maxLine)
		}
		joined += len(line)
		if joined > maxJoined {
			return fmt.Errorf("%s:%d: the instruction is longer than %d bytes", s.file, n, maxJoined)
		}
		for i := 0; i < len(line); i++ {
			switch {
			case line[i] == '$' && i+1 < len(line) && line[i+1] == '{':
				depth++
			case line[i] == '}' && depth > 0:
				depth--
			}
			if depth > maxNesting {
				return fmt.Errorf("%s:%d: ${} is nested more than %d deep", s.file, n, maxNesting)
			}
		}
		trimmed := strings.TrimRight(line, " \t")
		comment := strings.HasPrefix(strings.TrimLeftFunc(line, unicode.IsSpace), "#")
		// Which of the two escape characters holds is not known yet; blank lines and comments do not end an instruction.
		if trimmed != "" && !comment && !strings.HasSuffix(trimmed, `\`) && !strings.HasSuffix(trimmed, "`") {
			joined, depth = 0, 0
		}
	}
	return nil
}

// snippet is Origin.Snippet: the line with secrets masked.
func (s *source) snippet(n int) string { return redact(s.line(n)) }

// locator makes Origin.Locate: the line of the nearest map on the way to path that has one. A key with a line of its own
// (user and userLine) has that.
func (s *source) locator(content map[string]any, first int) func(string) (int, int) {
	return func(path string) (int, int) {
		line := first
		var at any = content
		for _, step := range inventory.ParsePath(path) {
			switch v := at.(type) {
			case map[string]any:
				at = nil
				if step.Index < 0 {
					at = v[step.Key]
					if n, ok := v[step.Key+"Line"].(int64); ok {
						line = int(n)
					}
				}
			case []any:
				if step.Index < 0 || step.Index >= len(v) {
					at = nil
				} else {
					at = v[step.Index]
				}
			default:
				at = nil
			}
			if at == nil {
				break
			}
			if m, ok := at.(map[string]any); ok {
				if n, ok := m["line"].(int64); ok {
					line = int(n)
				}
			}
		}
		return line, s.column(line)
	}
}

// column is where the text of a line begins, from 1, in characters.
func (s *source) column(n int) int {
	line := s.line(n)
	text := strings.TrimLeftFunc(line, unicode.IsSpace)
	return utf8.RuneCountInString(line[:len(line)-len(text)]) + 1
}
