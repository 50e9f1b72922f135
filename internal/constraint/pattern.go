package constraint

import (
	"path"
	"regexp"
	"strings"
)

// plain reports whether a pattern has no wildcards and so is one name.
func plain(pattern string) bool { return !strings.ContainsAny(pattern, `*?[\`) }

// expression is a pattern of path.Match as a regular expression; over says that wildcards read over slashes. ok is false for patterns
// that path.Match refuses, which match nothing.
func expression(pattern string, over bool) (text string, ok bool) {
	if over { // as those who match so do: slashes are replaced, so that they are characters like any other
		pattern = strings.ReplaceAll(pattern, "/", "\x00")
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return "", false
	}
	one := `[^/]`
	if over {
		one = `(?s:.)`
	}
	var out strings.Builder
	out.WriteString(`^`)
	p := []rune(pattern)
	literal := func(r rune) {
		if r == 0 {
			r = '/'
		}
		out.WriteString(regexp.QuoteMeta(string(r)))
	}
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '*':
			out.WriteString(one + `*`)
		case '?':
			out.WriteString(one)
		case '\\':
			i++
			literal(p[i])
		case '[':
			var class string
			class, i = set(p, i+1)
			out.WriteString(class)
		default:
			literal(p[i])
		}
	}
	out.WriteString(`$`)
	if _, err := regexp.Compile(out.String()); err != nil { // a range that is empty
		return "", false
	}
	return out.String(), true
}

// set writes a class such as [^a-z\]] as a regular expression and returns where it ends.
func set(p []rune, i int) (string, int) {
	var out strings.Builder
	out.WriteByte('[')
	if p[i] == '^' {
		out.WriteByte('^')
		i++
	}
	char := func() string {
		if p[i] == '\\' {
			i++
		}
		r := p[i]
		i++
		if r == 0 {
			r = '/'
		}
		if strings.ContainsRune(`\]^-[&~`, r) {
			return `\` + string(r)
		}
		return string(r)
	}
	for first := true; first || p[i] != ']'; first = false {
		out.WriteString(char())
		if p[i] == '-' {
			i++
			out.WriteString("-" + char())
		}
	}
	out.WriteByte(']')
	return out.String(), i
}

// compiled is the regular expression of an exception's pattern.
func compiled(pattern string) (*regexp.Regexp, bool) {
	text, ok := expression(pattern, false)
	if !ok {
		return nil, false
	}
	return regexp.MustCompile(text), true
}
