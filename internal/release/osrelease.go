package release

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

const (
	maxFile  = 64 << 10 // bytes read of a text file; real ones have a few hundred
	maxValue = 1024     // bytes kept of a value
)

// assignments reads os-release(5): lines NAME=value, quoted and escaped as in the shell; the later of two holds. Lines that
// are no assignment are passed over, as the specification wants.
func assignments(data []byte) map[string]string {
	values := map[string]string{}
	data = bytes.TrimPrefix(data[:min(len(data), maxFile)], []byte("\xef\xbb\xbf"))
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" || name[0] == '#' || strings.ContainsAny(name, " \t\"'") {
			continue
		}
		values[name] = unquote(value)
	}
	return values
}

// unquote undoes the quoting of a value: nothing is special between single quotes; elsewhere a backslash takes the meaning
// off the next character, between double quotes only where the shell gives that character one.
func unquote(s string) string {
	var out strings.Builder
	quote := byte(0)
	for i := 0; i < len(s) && out.Len() < maxValue; i++ {
		c := s[i]
		switch {
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(s) && (quote == 0 || strings.IndexByte("\"$\\`", s[i+1]) >= 0):
			i++
			out.WriteByte(s[i])
		default:
			out.WriteByte(c)
		}
	}
	return tidy(out.String())
}

// tidy makes a value fit to be shown: one line of valid text.
func tidy(s string) string {
	s = s[:min(len(s), maxValue)]
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "")
	}
	if strings.ContainsFunc(s, control) {
		s = strings.Map(func(r rune) rune {
			if control(r) {
				return -1
			}
			return r
		}, s)
	}
	return strings.TrimSpace(s)
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// firstLine returns the first line of a file that is not empty.
func firstLine(data []byte) string {
	for line := range strings.Lines(string(data[:min(len(data), maxFile)])) {
		if s := tidy(line); s != "" {
			return s
		}
	}
	return ""
}
