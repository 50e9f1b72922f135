package exception

import (
	"path"
	"strings"
)

// pattern is a compiled pattern: most are plain names, and most others differ from a text in their first letters.
type pattern struct {
	text   string
	prefix string // of every text that matches
	exact  bool
	over   bool // * reads over slashes
}

func compile(text string, over bool) pattern {
	i := strings.IndexAny(text, `*?[\`)
	if i < 0 {
		return pattern{text: text, prefix: text, exact: text != "", over: over}
	}
	return pattern{text: text, prefix: text[:i], over: over}
}

func (p *pattern) matches(s string) bool {
	switch {
	case p.text == "":
		return true
	case p.exact:
		return p.text == s
	case !strings.HasPrefix(s, p.prefix):
		return false
	case p.over: // the halves of path.Match hold for texts without slashes, so slashes become what no reference has
		p, s := strings.ReplaceAll(p.text, "/", "\x00"), strings.ReplaceAll(s, "/", "\x00")
		ok, _ := path.Match(p, s)
		return ok
	}
	ok, _ := path.Match(p.text, s)
	return ok
}
