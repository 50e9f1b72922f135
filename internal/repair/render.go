package repair

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"stockade.dev/stockade/internal/inventory"
)

// Text is an object as YAML, with the lines of what was asked for.
type Text struct {
	YAML  string
	Lines map[string]Span // by path
	Cut   bool            // it was too large: the rest is left out
}

// Span is lines from 1, the last one included.
type Span struct{ First, Last int }

// MostText bounds the YAML of one object. The API server takes objects of 1.5 MiB.
const MostText = 2 << 20

// maxDepth bounds how deep an object is written.
const maxDepth = 200

// Render writes an object the way people write it: what it is first, then its metadata and spec; containers begin with their names;
// everything else by the alphabet. paths are those whose lines are wanted, as evidence has them.
func Render(content map[string]any, paths []string) Text {
	w := &writer{wanted: map[string]bool{}, lines: map[string]Span{}}
	for _, p := range paths {
		w.wanted[p] = true
	}
	w.mapping(content, "", 0, 0, false)
	return Text{YAML: w.b.String(), Lines: w.lines, Cut: w.cut}
}

// Nearest is the path of the value at path, or of its nearest parent that is there, in the form in which Render knows it.
func Nearest(content map[string]any, path string) (at string, exact bool) {
	var v any = content
	for _, s := range inventory.ParsePath(path) {
		switch c := v.(type) {
		case map[string]any:
			next, ok := c[s.Key]
			if s.Index >= 0 || !ok {
				return at, false
			}
			v, at = next, inventory.JoinKey(at, s.Key)
		case []any:
			if s.Index < 0 || s.Index >= len(c) {
				return at, false
			}
			v, at = c[s.Index], inventory.JoinIndex(at, s.Index)
		default:
			return at, false
		}
	}
	return at, true
}

type writer struct {
	b      strings.Builder
	line   int // lines that are ended
	wanted map[string]bool
	lines  map[string]Span
	cut    bool
}

func (w *writer) end(text string) {
	w.b.WriteString(text)
	w.b.WriteByte('\n')
	w.line++
}

// begins are the keys that come first, in their order.
var begins = []string{"apiVersion", "kind", "metadata", "name", "namespace", "image", "type"}

// ends are the keys that come last.
var ends = []string{"status"}

func order(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	rank := func(k string) int {
		if i := slices.Index(begins, k); i >= 0 {
			return i
		}
		if slices.Contains(ends, k) {
			return 200
		}
		return 100
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return keys
}

// mapping writes the keys of a map. With begun the first one goes behind "- ", which is on the line already.
func (w *writer) mapping(m map[string]any, path string, indent, depth int, begun bool) {
	first := w.line + 1
	for i, k := range order(m) {
		if w.full() {
			break
		}
		if i > 0 || !begun {
			w.b.WriteString(strings.Repeat(" ", indent))
		}
		p := inventory.JoinKey(path, k)
		at := w.line + 1
		w.b.WriteString(scalarString(k))
		w.b.WriteByte(':')
		w.value(m[k], p, indent, depth+1)
		w.note(p, at)
	}
	w.note(path, first)
}

func (w *writer) full() bool {
	w.cut = w.cut || w.b.Len() > MostText
	return w.cut
}

// note keeps the lines of a path that is wanted.
func (w *writer) note(path string, first int) {
	if w.wanted[path] {
		if _, ok := w.lines[path]; !ok || path != "" {
			w.lines[path] = Span{first, max(first, w.line)}
		}
	}
}

// value writes what stands behind "key:" and ends the line.
func (w *writer) value(v any, path string, indent, depth int) {
	switch v := v.(type) {
	case map[string]any:
		switch {
		case len(v) == 0:
			w.end(" {}")
		case depth > maxDepth:
			w.end(` "..."`)
		default:
			w.end("")
			w.mapping(v, path, indent+2, depth, false)
		}
	case []any:
		if len(v) == 0 {
			w.end(" []")
			return
		}
		w.end("")
		w.list(v, path, indent, depth)
	case string:
		w.text(v, indent)
	default:
		w.end(" " + scalar(v))
	}
}

// list writes the elements of a list, their dashes below its key.
func (w *writer) list(list []any, path string, indent, depth int) {
	for i, e := range list {
		if w.full() {
			return
		}
		p := inventory.JoinIndex(path, i)
		first := w.line + 1
		w.b.WriteString(strings.Repeat(" ", indent) + "-")
		switch e := e.(type) {
		case map[string]any:
			if len(e) == 0 || depth > maxDepth {
				w.value(e, p, indent, depth+1)
				break
			}
			w.b.WriteByte(' ')
			w.mapping(e, p, indent+2, depth+1, true)
		case []any:
			if len(e) == 0 || depth > maxDepth {
				w.end(" []")
				break
			}
			w.end("")
			w.list(e, p, indent+2, depth+1)
		case string:
			w.text(e, indent)
		default:
			w.end(" " + scalar(e))
		}
		w.note(p, first)
	}
}

// text writes a string behind "key:" or "-": several lines as a block.
func (w *writer) text(s string, indent int) {
	if !block(s) {
		w.end(" " + scalarString(s))
		return
	}
	sign := "|"
	body := strings.TrimSuffix(s, "\n")
	if body == s {
		sign = "|-"
	}
	w.end(" " + sign)
	pad := strings.Repeat(" ", indent+2)
	for line := range strings.SplitSeq(body, "\n") {
		if w.full() {
			return
		}
		if line == "" {
			w.end("")
		} else {
			w.end(pad + line)
		}
	}
}

// block reports whether a text may be written line by line: no reader may see anything else in it.
func block(s string) bool {
	if !strings.Contains(strings.TrimSuffix(s, "\n"), "\n") || s[0] == ' ' || s[0] == '\t' || s[0] == '\n' || strings.HasSuffix(s, "\n\n") || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r != '\n' && r != '\t' && !plainRune(r) {
			return false
		}
	}
	for line := range strings.SplitSeq(s, "\n") {
		if strings.HasSuffix(line, " ") || strings.HasSuffix(line, "\t") {
			return false
		}
	}
	return true
}

func plainRune(r rune) bool {
	return r >= 0x20 && r != 0x7f && r != 0xfeff && !(r >= 0x80 && r < 0xa0) && r != 0x2028 && r != 0x2029 && r != utf8.RuneError && !bidi(r)
}

// bidi are the characters that make text look like another one.
func bidi(r rune) bool {
	return r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

var (
	plain    = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@+=,%()<>;*^!?$~-]*(?:(?: |:)[A-Za-z0-9_./@+=,%()<>;*^!?$~-]+)*$`)
	reserved = regexp.MustCompile(`^(?i:true|false|null|yes|no|on|off|y|n|nan|inf)$`)
)

func scalarString(s string) string {
	if len(s) > 0 && len(s) < 4096 && plain.MatchString(s) && !reserved.MatchString(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == 0xFFFD || plainRune(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case int:
		return strconv.Itoa(v)
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return `"` + strconv.FormatFloat(v, 'g', -1, 64) + `"`
		}
		text, _ := json.Marshal(v) // a finite number always has a form
		return string(text)
	}
	return scalarString(fmt.Sprint(v))
}
