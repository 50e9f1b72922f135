package reach

import (
	"slices"
	"strings"
)

// expression is a selector in Calico's language: app == 'web' && !has(debug). One that cannot be read matches nothing.
type expression struct {
	all   bool
	match func(labels map[string]string) bool
}

// maxExpression bounds what is parsed; real selectors have some hundred bytes.
const maxExpression = 16 << 10

func parseExpression(text string) expression {
	text = strings.TrimSpace(text)
	if text == "" || text == "all()" {
		return expression{true, func(map[string]string) bool { return true }}
	}
	p := &expressionParser{text: text}
	if len(text) <= maxExpression {
		if m := p.or(0); m != nil && p.skip() == "" {
			return expression{false, m}
		}
	}
	return expression{false, func(map[string]string) bool { return false }}
}

type matcher = func(labels map[string]string) bool

// expressionParser reads left to right; a nil matcher means that the text is no selector.
type expressionParser struct {
	text string
	at   int
}

// maxDepth bounds nested parentheses and negations.
const maxDepth = 100

func (p *expressionParser) skip() string {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t' || p.text[p.at] == '\n') {
		p.at++
	}
	return p.text[p.at:]
}

func (p *expressionParser) take(token string) bool {
	if strings.HasPrefix(p.skip(), token) {
		p.at += len(token)
		return true
	}
	return false
}

func (p *expressionParser) or(depth int) matcher {
	left := p.and(depth)
	for left != nil && p.take("||") {
		a, b := left, p.and(depth)
		if b == nil {
			return nil
		}
		left = func(l map[string]string) bool { return a(l) || b(l) }
	}
	return left
}

func (p *expressionParser) and(depth int) matcher {
	left := p.unary(depth)
	for left != nil && p.take("&&") {
		a, b := left, p.unary(depth)
		if b == nil {
			return nil
		}
		left = func(l map[string]string) bool { return a(l) && b(l) }
	}
	return left
}

func (p *expressionParser) unary(depth int) matcher {
	if depth > maxDepth {
		return nil
	}
	switch {
	case p.take("!"):
		if m := p.unary(depth + 1); m != nil {
			return func(l map[string]string) bool { return !m(l) }
		}
		return nil
	case p.take("("):
		if m := p.or(depth + 1); m != nil && p.take(")") {
			return m
		}
		return nil
	case p.take("all()"):
		return func(map[string]string) bool { return true }
	case p.take("global()"):
		return func(map[string]string) bool { return false } // endpoints without a namespace, which pods are not
	case p.take("has("):
		key := p.word()
		if key == "" || !p.take(")") {
			return nil
		}
		return func(l map[string]string) bool { _, ok := l[key]; return ok }
	}
	return p.comparison()
}

func (p *expressionParser) comparison() matcher {
	key := p.word()
	if key == "" {
		return nil
	}
	switch {
	case p.take("=="):
		return p.against(func(have string, ok bool, want string) bool { return ok && have == want }, key)
	case p.take("!="):
		return p.against(func(have string, ok bool, want string) bool { return !ok || have != want }, key)
	case p.take("contains"):
		return p.against(func(have string, ok bool, want string) bool { return ok && strings.Contains(have, want) }, key)
	case p.take("starts with"):
		return p.against(func(have string, ok bool, want string) bool { return ok && strings.HasPrefix(have, want) }, key)
	case p.take("ends with"):
		return p.against(func(have string, ok bool, want string) bool { return ok && strings.HasSuffix(have, want) }, key)
	case p.take("not in"):
		if set, ok := p.set(); ok {
			return func(l map[string]string) bool { v, has := l[key]; return !has || !slices.Contains(set, v) }
		}
	case p.take("in"):
		if set, ok := p.set(); ok {
			return func(l map[string]string) bool { v, has := l[key]; return has && slices.Contains(set, v) }
		}
	}
	return nil
}

func (p *expressionParser) against(compare func(have string, ok bool, want string) bool, key string) matcher {
	want, ok := p.quoted()
	if !ok {
		return nil
	}
	return func(l map[string]string) bool { v, has := l[key]; return compare(v, has, want) }
}

func (p *expressionParser) set() ([]string, bool) {
	if !p.take("{") {
		return nil, false
	}
	var out []string
	for !p.take("}") {
		v, ok := p.quoted()
		if !ok {
			return nil, false
		}
		out = append(out, v)
		p.take(",")
	}
	return out, true
}

// word reads a label key.
func (p *expressionParser) word() string {
	rest := p.skip()
	n := 0
	for n < len(rest) && (rest[n] >= 'a' && rest[n] <= 'z' || rest[n] >= 'A' && rest[n] <= 'Z' || rest[n] >= '0' && rest[n] <= '9' || strings.IndexByte("-_./", rest[n]) >= 0) {
		n++
	}
	p.at += n
	return rest[:n]
}

func (p *expressionParser) quoted() (string, bool) {
	rest := p.skip()
	if rest == "" || rest[0] != '\'' && rest[0] != '"' {
		return "", false
	}
	end := strings.IndexByte(rest[1:], rest[0])
	if end < 0 {
		return "", false
	}
	p.at += end + 2
	return rest[1 : end+1], true
}
