package report

import (
	"bufio"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// markdown writes a summary for a merge request or a wiki: counts, the rules broken with their first places, compliance,
// what was not scanned.
type markdown struct {
	*tableReport
	out *bufio.Writer
}

func newMarkdown(w io.Writer, o Options) finding.Handler {
	t, _ := newTable(io.Discard, o).(*tableReport)
	return &markdown{t, bufio.NewWriter(w)}
}

// escape keeps foreign text from becoming markup or breaking a table's row.
var escape = strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "`", "'", "#", `\#`)

func (m *markdown) End(_ time.Time, target finding.Target, s finding.Stats) error {
	w, lang := m.words, m.opt.Lang
	sort.SliceStable(m.order, func(i, j int) bool { return m.order[i].severity.Rank() > m.order[j].severity.Rank() })
	p := func(format string, args ...any) { fmt.Fprintf(m.out, format+"\n", args...) }
	p("# Stockade: %s\n", escape.Replace(plain(target.Name)))
	counts, total := map[finding.Severity]int{}, 0
	for _, g := range m.order {
		for _, f := range g.findings {
			counts[f.Severity]++
			total++
		}
	}
	var head, rule, row []string
	for _, sev := range finding.Severities {
		head, rule, row = append(head, w.severity[sev]), append(rule, "---:"), append(row, fmt.Sprint(counts[sev]))
	}
	p("| %s |\n| %s |\n| %s |\n", strings.Join(head, " | "), strings.Join(rule, " | "), strings.Join(row, " | "))
	for _, g := range m.order {
		f := g.first
		p("## %s: %s\n\n`%s` %s\n", w.severity[g.severity], escape.Replace(plain(f.Title.In(lang))), f.Rule, f.RuleID)
		for i, v := range g.findings {
			if i == shown {
				p("- "+w.more, len(g.findings)-shown, f.Rule)
				break
			}
			p("- `%s` %s", strings.ReplaceAll(place(v.Resource), "`", "'"), escape.Replace(plain(v.Message.In(lang))))
		}
		p("\n%s %s\n", w.fix, escape.Replace(plain(f.Remediation.In(lang))))
	}
	m.frameworkTable(p)
	if len(m.notScanned) > 0 {
		p("## %s\n", w.notScanned)
		for _, n := range m.notScanned {
			p("- %s", escape.Replace(plain(fmt.Sprintf("%s: %s: %s (%s)", n.Target, n.What, n.Reason, n.Code))))
		}
		p("")
	}
	if s.Suppressed > 0 {
		p(w.suppressed+"\n", s.Suppressed)
	}
	p(w.stats, total, s.Objects, s.Rules, s.Checks, float64(s.DurationMs)/1000)
	return m.out.Flush()
}

func (m *markdown) frameworkTable(p func(string, ...any)) {
	if len(m.frameworks) == 0 {
		return
	}
	w := m.words
	p("## %s\n\n| %s | %s | %s | %s | %s | %s |\n|---|---:|---:|---:|---:|---:|", w.compliance, w.framework, w.score, w.clause[finding.Pass],
		w.clause[finding.Fail], w.clause[finding.Manual], w.clause[finding.NotApplicable])
	for _, id := range m.frameworks {
		n := map[finding.ClauseStatus]int{}
		for _, c := range m.clauses[id] {
			n[c.Status]++
		}
		score := "-"
		if v := finding.Score(m.clauses[id]); v >= 0 {
			score = fmt.Sprintf("%d%%", v)
		}
		p("| %s | %s | %d | %d | %d | %d |", id, score, n[finding.Pass], n[finding.Fail], n[finding.Manual], n[finding.NotApplicable])
	}
	p("")
}
