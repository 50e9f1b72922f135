package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// markdown writes a summary for a merge request or a wiki: counts, compliance, the rules broken with their first places, what
// was not scanned. Code hosts refuse comments of more than 65,536 characters, so the later rules are told in a line each,
// and then only counted.
type markdown struct {
	overview
	w   io.Writer
	buf bytes.Buffer
}

// Sizes, in bytes, from which rules are told in a line, are only counted, and what was not scanned is cut.
const (
	markdownFull  = 36_000
	markdownRules = 52_000
	markdownMost  = 60_000
)

// longestMarkdown is how many columns of one foreign text the summary shows.
const longestMarkdown = 400

func newMarkdown(w io.Writer, o Options) finding.Handler {
	return &markdown{overview: newOverview(o.Lang), w: w}
}

// marks keeps foreign text from becoming markup, breaking a table's row, or calling people by @name.
var marks = strings.NewReplacer(`\`, `\\`, "&", "&amp;", "<", "&lt;", ">", "&gt;", "|", `\|`, "*", `\*`, "_", `\_`, "~", `\~`, "$", `\$`,
	"[", `\[`, "]", `\]`, "`", "\\`", "#", `\#`, "@", "@<!-- -->")

func markdownText(s string) string { return marks.Replace(clip(plain(s), longestMarkdown)) }

// markdownCode sets s as code: the fence is longer than any run of backticks in s, and a bar is safe outside of tables only.
func markdownCode(s string) string {
	s = clip(plain(s), longestMarkdown)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 || s == "" {
		s = " " + s + " "
	}
	return fence + s + fence
}

func (m *markdown) put(format string, args ...any) { fmt.Fprintf(&m.buf, format+"\n", args...) }

func (m *markdown) End(_ time.Time, target finding.Target, s finding.Stats) error {
	m.sort()
	w := m.words
	m.put("# Stockade: %s\n", markdownText(targetName(target)))
	var head, rule, row []string
	for _, sev := range finding.Severities {
		head, rule, row = append(head, w.severity[sev]), append(rule, "---:"), append(row, fmt.Sprint(m.counts[sev]))
	}
	m.put("| %s |\n| %s |\n| %s |\n", strings.Join(head, " | "), strings.Join(rule, " | "), strings.Join(row, " | "))
	if rows := m.riskRows(target); len(rows) > 0 {
		m.table([]string{w.risks, w.rulesPassed, w.findings}, rows)
	}
	if len(m.frameworks) > 0 {
		m.put("## %s\n", w.compliance)
		m.table(w.complianceHeader(), m.complianceRows())
	}
	m.rules()
	m.vulnerable(target)
	if len(m.notScanned) > 0 {
		m.put("## %s\n", w.notScanned)
		for i, g := range m.notScanned {
			if i == shownReasons || m.buf.Len() > markdownMost {
				m.put("- "+w.cut, len(m.notScanned)-i)
				break
			}
			m.put("- %s", markdownText(g.line(w)))
		}
		m.put("")
	}
	if grounds, sum := m.accepted(); sum > 0 {
		m.put("## "+w.suppressed+"\n", sum)
		for i, g := range grounds {
			if i == shownReasons || m.buf.Len() > markdownMost {
				m.put("- "+w.cut, len(grounds)-i)
				break
			}
			m.put("- %d: %s", m.suppressed[g], markdownText(g))
		}
		m.put("")
	}
	m.put("%s", w.stats(m.total, s))
	_, err := m.w.Write(m.buf.Bytes())
	return err
}

func (m *markdown) rules() {
	brief := false
	for i, g := range m.order {
		f := g.first[0]
		if m.buf.Len() > markdownRules {
			m.put("- "+m.words.moreRules, len(m.order)-i)
			break
		}
		if m.buf.Len() > markdownFull {
			m.put("- %s: %s %s (%d)", m.words.severity[g.severity], markdownText(f.Title.In(m.lang)), markdownCode(f.Rule), g.total)
			brief = true
			continue
		}
		m.rule(g)
	}
	if brief {
		m.put("")
	}
}

func (m *markdown) rule(g *ruleGroup) {
	f := g.first[0]
	m.put("## %s: %s\n\n%s\n", m.words.severity[g.severity], markdownText(f.Title.In(m.lang)), strings.TrimSpace(markdownCode(f.Rule)+" "+markdownText(f.RuleID)))
	for _, v := range g.first {
		m.put("- %s %s", markdownCode(place(v.Resource)), markdownText(v.Message.In(m.lang)))
		for _, note := range v.Mitigations {
			m.put("  - %s", markdownText(note.In(m.lang)))
		}
		for _, line := range verifiedLines(v, m.lang) {
			m.put("  - %s", markdownText(line))
		}
	}
	if n := g.total - len(g.first); n > 0 {
		m.put("- "+m.words.more, n, markdownCode(f.Rule))
	}
	if fix := f.Remediation.In(m.lang); fix != "" {
		m.put("\n**%s** %s", m.words.fix, markdownText(fix))
	}
	m.put("")
}

// table writes rows of a name and numbers.
func (m *markdown) table(header []string, rows [][]string) {
	m.put("| %s |\n|---%s|", strings.Join(header, " | "), strings.Repeat("|---:", len(header)-1))
	for _, row := range rows {
		row[0] = markdownText(row[0])
		m.put("| %s |", strings.Join(row, " | "))
	}
	m.put("")
}
