package manifest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// ignoreMark opens a suppression comment: # stockade:ignore RULE[,RULE] reason="..."
const ignoreMark = "stockade:ignore"

// ignoreAnnotation is the prefix of annotations that suppress a rule on the whole object. A slash of the rule is written
// as a dot, because a key may hold only one.
const ignoreAnnotation = "stockade.dev/ignore."

// ParseIgnore reads a suppression out of a comment, which starts with its # sign. ok is false when the comment is none.
// fault says why it has no effect; it is empty for a good one.
func ParseIgnore(comment string) (rules []string, reason, fault string, ok bool) {
	before, rest, found := strings.Cut(comment, ignoreMark)
	if !found || !strings.HasSuffix(strings.TrimRight(before, " \t"), "#") || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return nil, "", "", false
	}
	names, given, hasReason := strings.Cut(rest, "reason=")
	for _, f := range strings.FieldsFunc(names, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
		if strings.ContainsFunc(f, func(c rune) bool { return !ruleChar(c) }) {
			return nil, "", fmt.Sprintf("%q is no rule name", f), true
		}
		rules = append(rules, f)
	}
	if len(rules) == 0 {
		return nil, "", "it names no rule", true
	}
	if hasReason {
		reason = quotedText(strings.TrimSpace(given))
	}
	if strings.TrimSpace(reason) == "" {
		return nil, "", `it gives no reason; add reason="..."`, true
	}
	return rules, reason, "", true
}

func ruleChar(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '/'
}

// quotedText is the text between quotation marks, also the Chinese ones; "" when they are missing.
func quotedText(s string) string {
	for _, q := range [...][2]string{{`"`, `"`}, {"'", "'"}, {"“", "”"}} {
		if rest, ok := strings.CutPrefix(s, q[0]); ok {
			text, _, closed := strings.Cut(rest, q[1])
			if closed {
				return text
			}
		}
	}
	return ""
}

// suppressions puts the annotations and comments that suppress rules into the origin of o.
func (p *parse) suppressions(o *inventory.Object, d *document, base []inventory.Step) {
	out := &o.Origin.Suppressions
	var keys []string
	for key := range inventory.Map(o.Content, "metadata", "annotations") {
		if strings.HasPrefix(key, ignoreAnnotation) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		line, col := o.Origin.Locate(inventory.JoinKey("metadata.annotations", key))
		reason := inventory.Str(o.Content, "metadata", "annotations", key)
		rule := strings.ReplaceAll(key[len(ignoreAnnotation):], ".", "/")
		switch {
		case rule == "":
			p.deaf(line, col, "it names no rule")
		case strings.TrimSpace(reason) == "":
			p.deaf(line, col, "it gives no reason; its value must say why")
		default:
			*out = append(*out, inventory.Suppression{Rule: rule, Reason: reason, Line: line, Last: math.MaxInt})
		}
	}
	if d.form != strict && strings.Contains(p.src.text[d.chunk.head:d.chunk.end], ignoreMark) {
		*out = append(*out, p.comments(d, base)...)
	}
}

// deaf reports a suppression without effect.
func (p *parse) deaf(line, col int, reason string) {
	p.problem(syntaxError{line: line, col: col}, "suppression", reason, finding.Skipped)
}

// maxIgnores bounds the suppression comments of one document.
const maxIgnores = 1000

// comments returns the suppressions of a document's comments that touch the object at base.
func (p *parse) comments(d *document, base []inventory.Step) []inventory.Suppression {
	root := d.root()
	if !d.resolved {
		d.resolved = true
		d.ignores = p.resolveComments(d, root)
	}
	object := root.find(base)
	var out []inventory.Suppression
	for _, s := range d.ignores {
		if s.First <= object.last && s.Last >= object.line {
			out = append(out, s)
		}
	}
	return out
}

// resolveComments finds out what each suppression comment of a document covers.
func (p *parse) resolveComments(d *document, root *place) []inventory.Suppression {
	var out []inventory.Suppression
	byLine := root.byLine()
	for i, c := range append(d.headComments(), d.comments...) {
		rules, reason, fault, ok := ParseIgnore(c.text)
		col := strings.Index(p.src.line(c.line), c.text) + 1
		switch {
		case i == maxIgnores:
			p.problem(syntaxError{c.line, col, ""}, "suppression", fmt.Sprintf("more than %d in one document", maxIgnores), finding.Limit)
			return out
		case !ok:
			continue
		case fault != "":
			p.deaf(c.line, col, fault)
			continue
		}
		first, last := 0, math.MaxInt // at the head of the document, before its first key
		if !c.alone || c.line >= root.line {
			target := root.covered(c, byLine)
			if target == nil {
				p.deaf(c.line, col, "nothing follows it that it could apply to")
				continue
			}
			first, last = min(target.line, c.line), max(target.last, target.line)
		}
		for _, rule := range rules {
			out = append(out, inventory.Suppression{Rule: rule, Reason: reason, Line: c.line, First: first, Last: last})
		}
	}
	return out
}

// headComments returns the comments before the "---" line of the document and on it.
func (d *document) headComments() []comment {
	var out []comment
	line := d.chunk.headLine
	for i := d.chunk.head; i < d.chunk.start; line++ {
		end, next := d.src.lineEnd(i)
		if at := strings.IndexByte(d.src.text[i:end], '#'); at >= 0 && strings.Contains(d.src.text[i+at:end], ignoreMark) {
			out = append(out, comment{line, d.src.text[i+at : end], true})
		}
		i = next
	}
	return out
}

// byLine returns all places below p by line, the outer ones before the inner ones.
func (p *place) byLine() []*place {
	var out []*place
	var visit func(p *place)
	visit = func(p *place) {
		for i := range p.kids {
			out = append(out, &p.kids[i])
			visit(&p.kids[i])
		}
	}
	visit(p)
	slices.SortStableFunc(out, func(a, b *place) int { return a.line - b.line })
	return out
}

// covered returns what a comment suppresses below p: the node that follows when it stands alone, or else the outermost
// node that starts on its line (for "- name: web" the whole entry), or else the innermost that spans it.
func (p *place) covered(c comment, byLine []*place) *place {
	from := c.line
	if c.alone {
		from++
	}
	i, _ := slices.BinarySearchFunc(byLine, from, func(p *place, line int) int { return p.line - line })
	if i < len(byLine) && (c.alone || byLine[i].line == c.line) {
		return byLine[i]
	}
	if c.alone {
		return nil
	}
	var best *place
	for p != nil {
		i, _ := slices.BinarySearchFunc(p.kids, c.line, func(p place, line int) int { return p.last - line })
		if i == len(p.kids) || p.kids[i].line > c.line {
			break
		}
		p = &p.kids[i]
		best = p
	}
	return best
}

// nodeComments finds the suppression comments of a document that the general library has read. It keeps the texts of
// comments but not their lines; a line of the file that holds such a text, preceded by space, is where it stands.
func nodeComments(src *source, c chunk, root *yaml.Node) []comment {
	texts := map[string]bool{}
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		for _, group := range [...]string{n.HeadComment, n.LineComment, n.FootComment} {
			for text := range strings.SplitSeq(group, "\n") {
				texts[strings.TrimSpace(text)] = true
			}
		}
		for _, kid := range n.Content {
			visit(kid)
		}
	}
	visit(root)
	var out []comment
	line := c.line
	for i := c.start; i < c.end; line++ {
		end, next := src.lineEnd(i)
		text := src.text[i:end]
		if strings.Contains(text, ignoreMark) {
			for at := range text {
				if text[at] == '#' && (at == 0 || text[at-1] == ' ' || text[at-1] == '\t') && texts[strings.TrimSpace(text[at:])] {
					out = append(out, comment{line, text[at:], strings.TrimSpace(text[:at]) == ""})
					break
				}
			}
		}
		i = next
	}
	return out
}
