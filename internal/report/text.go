package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"
)

// plain makes foreign text safe to show on one line: line ends become spaces, and what a terminal would obey or a reader
// could not see (control characters, so escape sequences; marks that turn the writing direction; invisible characters) is
// written out as an escape.
func plain(s string) string {
	return clean(s, false)
}

// clean is plain that may keep line ends.
func clean(s string, keepLines bool) string {
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' && keepLines:
			b.WriteByte('\n')
		case r == '\n' || r == '\t' || r == '\u2028' || r == '\u2029':
			b.WriteByte(' ')
		case r == '\r' && keepLines:
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// hidden says which characters are not shown as they are. The joiners U+200C and U+200D are part of words and emoji.
func hidden(r rune) bool {
	switch {
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		return true
	case r < 0x300:
		return r == 0xad
	case r >= 0x2070 && r < 0xfe00: // most writing of East Asia, without a look at the tables
		return false
	case r == '\u200c' || r == '\u200d':
		return false
	}
	return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// width is the number of terminal columns of s; Chinese characters take two.
func width(s string) int { return text.StringWidthWithoutEscSequences(s) }

func pad(s string, to int) string { return s + strings.Repeat(" ", max(0, to-width(s))) }

// clip shortens s to a number of columns.
func clip(s string, to int) string {
	if len(s) <= to || width(s) <= to {
		return s
	}
	return strings.TrimRight(text.Trim(s, to-1), " ") + "…"
}

// span is text of one colour, given as the numbers of the terminal's escape sequence ("" for none).
type span struct{ text, color string }

// word is what stays together at the end of a line: what stands between spaces, and each Chinese character by itself.
type word struct {
	span
	width int
	space int  // spaces that stand before it, unless it begins a line
	glue  bool // it may not begin a line
}

// Marks that do not begin or end a line in Chinese.
const (
	closing = "，。、；：？！）】》」』〉〕”’…)]"
	opening = "（【《「『〈〔“‘(["
)

// split cuts spans, which two spaces part, into words.
func split(spans []span) []word {
	var out []word
	for _, s := range spans {
		space, start := 2, -1
		end := func(i int) {
			if start < 0 {
				return
			}
			w := word{span: span{s.text[start:i], s.color}, width: width(s.text[start:i]), space: space}
			if space == 0 && len(out) > 0 {
				first, _ := utf8.DecodeRuneInString(w.text)
				last, _ := utf8.DecodeLastRuneInString(out[len(out)-1].text)
				w.glue = strings.ContainsRune(closing, first) || strings.ContainsRune(opening, last)
			}
			out = append(out, w)
			space, start = 0, -1
		}
		for i, r := range s.text {
			switch {
			case r == ' ':
				end(i)
				space = max(space, 1)
			case text.RuneWidth(r) == 2:
				end(i)
				start = i
				end(i + utf8.RuneLen(r))
			case start < 0:
				start = i
			}
		}
		end(len(s.text))
	}
	return out
}

// fold sets spans into lines of so many columns, the first line with a width of its own. A word that is longer than a line
// (a path, an address) gets a line to itself and stays whole, so that it can be copied.
func fold(spans []span, first, rest int) [][]span {
	words := split(spans)
	var lines [][]span
	var line []span
	room, used := first, 0
	for i := 0; i < len(words); {
		n, total := 1, words[i].width // with what must not be parted from it
		for i+n < len(words) && words[i+n].glue {
			total += words[i+n].width
			n++
		}
		gap := words[i].space
		if used == 0 {
			gap = 0
		}
		if used > 0 && used+gap+total > room {
			lines, line, room, used, gap = append(lines, line), nil, rest, 0, 0
		}
		for j, w := range words[i : i+n] {
			if j == 0 {
				w.text = strings.Repeat(" ", gap) + w.text
			}
			if k := len(line) - 1; k >= 0 && line[k].color == w.color {
				line[k].text += w.text
			} else {
				line = append(line, w.span)
			}
		}
		used += gap + total
		i += n
	}
	return append(lines, line)
}
