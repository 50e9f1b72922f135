package report

import (
	"bufio"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"stockade.dev/stockade/internal/finding"
)

// tableReport is the form for people: findings by rule, worst first, each with its places and its fix.
type tableReport struct {
	w          *bufio.Writer
	opt        Options
	words      words
	header     finding.Header
	groups     map[string]*ruleGroup
	order      []*ruleGroup
	suppressed map[string]int // "by: reason" -> count
	clauses    map[string][]finding.Clause
	frameworks []string
	notScanned []finding.NotScanned
}

// ruleGroup is the open findings of one rule.
type ruleGroup struct {
	first    *finding.Finding // for the texts
	severity finding.Severity // worst of the group
	findings []*finding.Finding
}

// shown is how many places of one rule the table lists; the other forms hold all of them.
const shown = 8

func newTable(w io.Writer, o Options) finding.Handler {
	if o.Width <= 0 {
		o.Width = 100
	}
	o.Width = max(o.Width, 40)
	return &tableReport{w: bufio.NewWriter(w), opt: o, words: wordsIn(o.Lang), groups: map[string]*ruleGroup{},
		suppressed: map[string]int{}, clauses: map[string][]finding.Clause{}}
}

func (t *tableReport) Begin(h finding.Header) error { t.header = h; return nil }

func (t *tableReport) Finding(f *finding.Finding) error {
	if f.Status == finding.Suppressed {
		t.suppressed[f.Suppression.By+": "+f.Suppression.Reason]++
		return nil
	}
	g := t.groups[f.Rule]
	if g == nil {
		g = &ruleGroup{first: f, severity: f.Severity}
		t.groups[f.Rule] = g
		t.order = append(t.order, g)
	}
	if f.Severity.Rank() > g.severity.Rank() {
		g.severity = f.Severity
	}
	g.findings = append(g.findings, f)
	return nil
}

func (t *tableReport) Clause(c finding.Clause) error {
	if t.clauses[c.Framework] == nil {
		t.frameworks = append(t.frameworks, c.Framework)
	}
	t.clauses[c.Framework] = append(t.clauses[c.Framework], c)
	return nil
}

func (t *tableReport) NotScanned(n finding.NotScanned) error {
	t.notScanned = append(t.notScanned, n)
	return nil
}

func (t *tableReport) End(_ time.Time, target finding.Target, s finding.Stats) error {
	sort.SliceStable(t.order, func(i, j int) bool {
		a, b := t.order[i], t.order[j]
		if a.severity != b.severity {
			return a.severity.Rank() > b.severity.Rank()
		}
		return len(a.findings) > len(b.findings)
	})
	for _, g := range t.order {
		t.group(g)
	}
	t.components(target)
	t.compliance()
	t.told()
	t.totals(target, s)
	return t.w.Flush()
}

// severityColors are readable on dark and light terminals.
var severityColors = map[finding.Severity]text.Colors{
	finding.Critical: {text.FgHiRed, text.Bold}, finding.High: {text.FgRed}, finding.Medium: {text.FgYellow},
	finding.Low: {text.FgBlue}, finding.Info: {text.Faint},
}

func (t *tableReport) paint(c text.Colors, s string) string {
	if !t.opt.Color {
		return s
	}
	return c.Sprint(s)
}

func (t *tableReport) group(g *ruleGroup) {
	f, lang := g.first, t.opt.Lang
	label := t.words.severity[g.severity]
	fmt.Fprintf(t.w, "%s  %s  %s  %s\n", t.paint(severityColors[g.severity], pad(label, t.words.severityWidth)),
		t.paint(text.Colors{text.Bold}, plain(f.Title.In(lang))), t.paint(text.Colors{text.Faint}, f.Rule), t.paint(text.Colors{text.Faint}, f.RuleID))
	indent := strings.Repeat(" ", t.words.severityWidth+2)
	for i, v := range g.findings {
		if i == shown {
			fmt.Fprintf(t.w, "%s%s\n", indent, fmt.Sprintf(t.words.more, len(g.findings)-shown, f.Rule))
			break
		}
		detail := strings.TrimPrefix(strings.TrimPrefix(plain(v.Message.In(lang)), plain(v.Title.In(lang))), ": ")
		detail = strings.TrimPrefix(detail, "：")
		t.wrap(indent, "- ", place(v.Resource)+"  "+detail)
		for _, m := range v.Mitigations {
			t.wrap(indent+"  ", "! ", plain(m.In(lang)))
		}
	}
	if fix := f.Remediation.In(lang); fix != "" {
		t.wrap(indent, t.paint(text.Colors{text.FgGreen}, t.words.fix)+" ", plain(fix))
	}
	fmt.Fprintln(t.w)
}

// wrap writes s behind lead, folded to the width of the terminal; Chinese characters count two columns.
func (t *tableReport) wrap(indent, lead, s string) {
	hang := strings.Repeat(" ", text.StringWidthWithoutEscSequences(lead))
	width := max(20, t.opt.Width-len(indent)-len(hang))
	for i, line := range strings.Split(text.WrapSoft(s, width), "\n") {
		if i > 0 {
			lead = hang
		}
		fmt.Fprintf(t.w, "%s%s%s\n", indent, lead, strings.TrimRight(line, " "))
	}
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-text.StringWidthWithoutEscSequences(s)))
}

// plain makes foreign text safe for a terminal: no control characters, so no escape sequences, and one line.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, s)
}

// place names a resource on one line: file:line:column, or the object.
func place(r finding.Resource) string {
	if r.File != "" {
		s := r.File
		if r.Line > 0 {
			s += fmt.Sprintf(":%d", r.Line)
			if r.Column > 0 {
				s += fmt.Sprintf(":%d", r.Column)
			}
		}
		if r.Kind != "" && r.Kind != "Dockerfile" {
			s += " " + object(r)
		}
		return plain(s)
	}
	return plain(object(r))
}

func object(r finding.Resource) string {
	s := r.Kind + " "
	if r.Namespace != "" {
		s += r.Namespace + "/"
	}
	return s + r.Name
}

func (t *tableReport) components(target finding.Target) {
	if len(target.Components) == 0 {
		return
	}
	fmt.Fprintln(t.w, t.paint(text.Colors{text.Bold}, t.words.components))
	tw := t.table()
	for _, c := range target.Components {
		state := c.Workload
		if c.NotScanned != "" {
			state = t.words.because + c.NotScanned
		}
		tw.AppendRow(table.Row{plain(c.Group), plain(c.Name), plain(c.Version), plain(state)})
	}
	t.render(tw)
}

func (t *tableReport) table() table.Writer {
	tw := table.NewWriter()
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Size.WidthMax = t.opt.Width
	tw.SetStyle(style)
	return tw
}

func (t *tableReport) render(tw table.Writer) { fmt.Fprintf(t.w, "%s\n\n", tw.Render()) }

func (t *tableReport) compliance() {
	if len(t.frameworks) == 0 {
		return
	}
	fmt.Fprintln(t.w, t.paint(text.Colors{text.Bold}, t.words.compliance))
	tw := t.table()
	tw.AppendHeader(table.Row{t.words.framework, t.words.score, t.words.clause[finding.Pass], t.words.clause[finding.Fail],
		t.words.clause[finding.Manual], t.words.clause[finding.NotApplicable]})
	for _, id := range t.frameworks {
		n := map[finding.ClauseStatus]int{}
		for _, c := range t.clauses[id] {
			n[c.Status]++
		}
		score := "-"
		if v := finding.Score(t.clauses[id]); v >= 0 {
			score = fmt.Sprintf("%d%%", v)
		}
		tw.AppendRow(table.Row{id, score, n[finding.Pass], n[finding.Fail], n[finding.Manual], n[finding.NotApplicable]})
	}
	t.render(tw)
	for _, id := range t.frameworks {
		for _, c := range t.clauses[id] {
			if c.Status == finding.Fail {
				t.wrap("  ", fmt.Sprintf("%s %s ", id, pad(c.Clause, 8)), fmt.Sprintf("%s (%d)", plain(c.Title.In(t.opt.Lang)), len(c.Findings)))
			}
		}
		fmt.Fprintln(t.w)
	}
}

// told lists what was not looked at, so that a short report is not taken for a clean one.
func (t *tableReport) told() {
	if len(t.notScanned) == 0 {
		return
	}
	fmt.Fprintln(t.w, t.paint(text.Colors{text.Bold}, t.words.notScanned))
	for _, n := range t.notScanned {
		t.wrap("  ", "- ", plain(fmt.Sprintf("%s: %s: %s (%s)", n.Target, n.What, n.Reason, n.Code)))
	}
	fmt.Fprintln(t.w)
}

func (t *tableReport) totals(target finding.Target, s finding.Stats) {
	n := map[finding.Severity]int{}
	total := 0
	for _, g := range t.order {
		for _, f := range g.findings {
			n[f.Severity]++
			total++
		}
	}
	name := target.Name
	if target.Version != "" {
		name += " " + target.Version
	}
	if target.Distribution != "" {
		name += " (" + target.Distribution + ")"
	}
	var parts []string
	for _, sev := range finding.Severities {
		parts = append(parts, t.paint(severityColors[sev], fmt.Sprintf("%s %d", t.words.severity[sev], n[sev])))
	}
	fmt.Fprintf(t.w, "%s: %s\n", plain(name), strings.Join(parts, "  "))
	if len(t.suppressed) > 0 {
		keys := make([]string, 0, len(t.suppressed))
		sum := 0
		for k, c := range t.suppressed {
			keys = append(keys, k)
			sum += c
		}
		sort.Strings(keys)
		fmt.Fprintf(t.w, t.words.suppressed+"\n", sum)
		for _, k := range keys {
			fmt.Fprintf(t.w, "  %d  %s\n", t.suppressed[k], plain(k))
		}
	}
	fmt.Fprintf(t.w, t.words.stats+"\n", total, s.Objects, s.Rules, s.Checks, float64(s.DurationMs)/1000)
}
