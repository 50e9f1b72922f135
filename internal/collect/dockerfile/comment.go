package dockerfile

import (
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

var (
	ignoreComment   = regexp.MustCompile(`^#\s*stockade:ignore(-file)?(?:\s+(.*))?$`)
	ignoreReason    = regexp.MustCompile(`\breason\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|“([^”]*)”)`)
	ruleName        = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)
	hadolintComment = regexp.MustCompile(`(?i)^#\s*hadolint\s+(global\s+)?ignore\s*=`)
)

// suppressions reads the comments that name a rule and a reason. One before or inside an instruction covers that
// instruction; stockade:ignore-file before the first FROM covers the file. Text inside heredocs is content, not comment.
func (s *source) suppressions(nodes []*parser.Node, warn func(line int, code finding.Code, text string)) []inventory.Suppression {
	if !strings.Contains(s.text, "stockade:ignore") && !strings.Contains(strings.ToLower(s.text), "hadolint") {
		return nil
	}
	var out []inventory.Suppression
	next, from := 0, 0
	for i, n := range nodes {
		if strings.EqualFold(n.Value, "FROM") {
			from = i
			break
		}
	}
	for line := 1; line <= len(s.lines); line++ {
		for next < len(nodes) && nodes[next].EndLine < line {
			next++
		}
		if next < len(nodes) && line > heredocStart(nodes[next]) {
			line = nodes[next].EndLine
			continue
		}
		comment := strings.TrimSpace(s.line(line))
		if !strings.HasPrefix(comment, "#") {
			continue
		}
		if hadolintComment.MatchString(comment) {
			warn(line, finding.Skipped, `hadolint's ignore comment has no effect here, because it gives no reason; write # stockade:ignore RULE reason="..."`)
			continue
		}
		m := ignoreComment.FindStringSubmatch(comment)
		if m == nil {
			continue
		}
		rules, reason, problem := parseIgnore(m[2])
		first, last := 1, len(s.lines)
		switch {
		case problem != "":
		case m[1] != "" && next > from:
			problem = "stockade:ignore-file has no effect after the first FROM"
		case m[1] == "" && next >= len(nodes):
			problem = "stockade:ignore has no effect: no instruction follows"
		case m[1] == "":
			first, last = min(line, nodes[next].StartLine), nodes[next].EndLine
		}
		if problem != "" {
			warn(line, finding.Skipped, problem)
			continue
		}
		for _, r := range rules {
			out = append(out, inventory.Suppression{Rule: r, Reason: reason, Line: line, First: first, Last: last})
		}
	}
	return out
}

// parseIgnore reads `RULE[,RULE] reason="..."`. problem says what is wrong with it.
func parseIgnore(text string) (rules []string, reason, problem string) {
	names := text
	if at := ignoreReason.FindStringSubmatchIndex(text); at != nil {
		names = text[:at[0]]
		m := ignoreReason.FindStringSubmatch(text)
		reason = strings.TrimSpace(strings.ReplaceAll(m[1], `\"`, `"`) + m[2] + m[3])
	}
	rules = strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	switch {
	case len(rules) == 0:
		return nil, "", `stockade:ignore names no rule and has no effect; write # stockade:ignore RULE reason="..."`
	case slices.ContainsFunc(rules, func(r string) bool { return !ruleName.MatchString(r) }):
		return nil, "", "stockade:ignore has no effect: " + shown(strings.Join(rules, " ")) + " is no list of rule names"
	case reason == "":
		return nil, "", `stockade:ignore gives no reason and has no effect; write # stockade:ignore ` + strings.Join(rules, ",") + ` reason="..."`
	}
	return rules, reason, ""
}

// heredocStart returns the last line of an instruction before its heredocs begin.
func heredocStart(n *parser.Node) int {
	line := n.EndLine
	for _, h := range n.Heredocs {
		line -= strings.Count(h.Content, "\n") + 1
	}
	return max(line, n.StartLine)
}
