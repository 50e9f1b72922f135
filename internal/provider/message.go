package provider

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes a text of somebody else's safe to show: one line, no characters that change how the rest is read, of bounded length.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(s) > most && len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
