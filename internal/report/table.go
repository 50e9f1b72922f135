package report

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// tableReport is the form for people: findings by rule, worst first, each with its places and its fix.
type tableReport struct {
	overview
	w     *bufio.Writer
	color bool
	width int
}

// The table lists so many places of a rule, targets of one reason and reasons of what was not scanned or was suppressed; the
// other forms hold all of them.
const (
	shown        = 8
	shownTargets = 3
	shownReasons = 40
)

// longest is how many columns of one foreign text the table shows.
const longest = 600

func newTable(w io.Writer, o Options) finding.Handler {
	if o.Width <= 0 {
		o.Width = 100
	}
	return &tableReport{newOverview(o.Lang), bufio.NewWriter(w), o.Color, max(o.Width, 40)}
}

func (t *tableReport) End(_ time.Time, target finding.Target, s finding.Stats) error {
	t.sort()
	for _, g := range t.order {
		t.group(g)
	}
	t.vulnerable(target)
	t.components(target)
	if rows := t.riskRows(target); len(rows) > 0 {
		t.columns([]string{t.words.risks, t.words.rulesPassed, t.words.findings}, rows)
	}
	t.compliance()
	t.told()
	t.totals(target, s)
	return t.w.Flush()
}

// Colours that are readable on dark and light terminals.
const (
	bold  = "1"
	faint = "2"
	green = "32"
)

var severityColors = map[finding.Severity]string{finding.Critical: "91;1", finding.High: "31", finding.Medium: "33", finding.Low: "34", finding.Info: faint}

func (t *tableReport) paint(s span) string {
	if !t.color || s.color == "" {
		return s.text
	}
	return "\x1b[" + s.color + "m" + s.text + "\x1b[0m"
}

// put writes spans behind a lead, folded to the width of the terminal and hanging under the lead's end.
func (t *tableReport) put(indent int, lead span, spans ...span) {
	hang := indent + width(lead.text)
	if hang > t.width/2 {
		spans, lead, hang = append([]span{lead}, spans...), span{}, indent
	}
	room := t.width - hang
	for i, line := range fold(spans, room, room) {
		t.w.WriteString(strings.Repeat(" ", indent)) // bufio keeps the first error for Flush
		if i == 0 {
			t.w.WriteString(t.paint(lead))
		} else {
			t.w.WriteString(strings.Repeat(" ", hang-indent))
		}
		for _, s := range line {
			s.text = strings.ReplaceAll(s.text, "\u00a0", " ") // kept a word together until here
			t.w.WriteString(t.paint(s))
		}
		t.w.WriteByte('\n')
	}
}

func (t *tableReport) head(s string) { t.put(0, span{}, span{s, bold}) }

func (t *tableReport) blank() { t.w.WriteByte('\n') }

func (t *tableReport) group(g *ruleGroup) {
	f := g.first[0]
	t.put(0, span{pad(t.words.severity[g.severity], t.words.severityWidth) + "  ", severityColors[g.severity]},
		span{plain(f.Title.In(t.lang)), bold}, span{plain(f.Rule), faint}, span{plain(f.RuleID), faint})
	indent := t.words.severityWidth + 2
	for _, v := range g.first {
		t.put(indent, span{text: "- "}, span{text: clip(place(v.Resource), longest)}, span{text: clip(t.detail(v), longest)})
		for _, m := range v.Mitigations {
			t.put(indent+2, span{text: "! "}, span{text: plain(m.In(t.lang))})
		}
		for i, line := range verifiedLines(v, t.lang) {
			s := span{text: clip(line, longest)}
			if i == 0 {
				s.color = bold
			}
			t.put(indent+2, span{text: "- "}, s)
		}
	}
	if n := g.total - len(g.first); n > 0 {
		t.put(indent, span{}, span{text: fmt.Sprintf(t.words.more, n, plain(f.Rule))})
	}
	if fix := f.Remediation.In(t.lang); fix != "" {
		lead := t.words.fix
		if !strings.HasSuffix(lead, "：") {
			lead += " "
		}
		t.put(indent, span{lead, green}, span{text: clip(plain(fix), 2*longest)})
	}
	t.blank()
}

// detail is the message without the title, which stands above it.
func (t *tableReport) detail(f *finding.Finding) string {
	message := plain(f.Message.In(t.lang))
	rest, ok := strings.CutPrefix(message, plain(f.Title.In(t.lang)))
	if !ok {
		return message
	}
	for _, colon := range []string{": ", "："} {
		if s, ok := strings.CutPrefix(rest, colon); ok {
			return s
		}
	}
	if rest == "" {
		return ""
	}
	return message
}

func (t *tableReport) components(target finding.Target) {
	if len(target.Components) == 0 {
		return
	}
	t.head(t.words.components)
	var rows [][]string
	for _, c := range target.Components {
		state := c.Workload
		if c.NotScanned != "" {
			state = t.words.because + c.NotScanned
		} else if found := countsOf(t.words, map[string]map[finding.Severity]int{"system": c.System, "application": c.Application}); found != "" {
			state += "; " + found
		}
		rows = append(rows, []string{plain(c.Group), plain(c.Name), plain(c.Version), clip(plain(state), longest)})
	}
	t.columns(nil, rows)
}

func (t *tableReport) compliance() {
	if len(t.frameworks) == 0 {
		return
	}
	t.head(t.words.compliance)
	t.columns(t.words.complianceHeader(), t.complianceRows())
	for _, id := range t.frameworks {
		failed := false
		for _, c := range t.clauses[id] {
			if c.Status == finding.Fail {
				failed = true
				t.put(2, span{text: fmt.Sprintf("%s %s  ", plain(id), pad(plain(c.Clause), 8))},
					span{text: clip(plain(c.Title.In(t.lang)), longest)}, span{"(" + t.words.failed(len(c.Findings)) + ")", faint})
			}
		}
		if failed {
			t.blank()
		}
	}
}

// columns writes rows under each other. With a header they are numbers, set to the right; without one they are text, whose
// last column is folded. Rows that do not fit are folded like text, each number with its name.
func (t *tableReport) columns(header []string, rows [][]string) {
	all := rows
	if header != nil {
		all = append([][]string{header}, rows...)
	}
	last := len(all[0]) - 1
	widths := make([]int, last+1)
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], width(cell))
		}
	}
	used := 2
	for _, w := range widths[:last] {
		used += w + 2
	}
	room := t.width - used
	switch {
	case header != nil && room >= widths[last]:
		t.numbers(all, widths)
	case header == nil && room >= min(widths[last], 24):
		for _, row := range all {
			var lead strings.Builder
			for i, cell := range row[:last] {
				lead.WriteString(pad(cell, widths[i]) + "  ")
			}
			for i, line := range fold([]span{{text: row[last]}}, room, room) {
				s := lead.String()
				if i > 0 {
					s = strings.Repeat(" ", used-2)
				}
				for _, v := range line {
					s += v.text
				}
				t.w.WriteString("  " + strings.TrimRight(s, " ") + "\n")
			}
		}
	default:
		for _, row := range rows {
			t.stacked(header, row)
		}
	}
	t.blank()
}

// numbers writes a header and rows: a name at the left, the rest set to the right.
func (t *tableReport) numbers(rows [][]string, widths []int) {
	for n, row := range rows {
		s := span{text: pad(row[0], widths[0])}
		for i, cell := range row[1:] {
			s.text += "  " + strings.Repeat(" ", widths[i+1]-width(cell)) + cell
		}
		if n == 0 {
			s.color = faint
		}
		t.w.WriteString("  " + t.paint(s) + "\n")
	}
}

func (t *tableReport) stacked(header, row []string) {
	var spans []span
	for i, cell := range row {
		if header != nil && i > 0 {
			cell = header[i] + " " + cell
		}
		if cell != "" {
			spans = append(spans, span{text: cell})
		}
	}
	t.put(2, span{text: "- "}, spans...)
}

// told lists what was not looked at, so that a short report is not taken for a clean one.
func (t *tableReport) told() {
	if len(t.notScanned) == 0 {
		return
	}
	t.head(t.words.notScanned)
	for _, g := range t.gaps() {
		t.put(2, span{text: "- "}, span{text: clip(g.line(t.words), longest)})
	}
	if n := len(t.notScanned) - shownReasons; n > 0 {
		t.put(2, span{}, span{text: fmt.Sprintf(t.words.cut, n)})
	}
	t.blank()
}

func (t *tableReport) totals(target finding.Target, s finding.Stats) {
	spans := []span{{text: plain(targetName(target)) + ":"}}
	for _, sev := range finding.Severities {
		spans = append(spans, span{fmt.Sprintf("%s\u00a0%d", t.words.severity[sev], t.counts[sev]), severityColors[sev]})
	}
	t.put(0, span{}, spans...)
	if keys, sum := t.accepted(); sum > 0 {
		t.put(0, span{}, span{text: fmt.Sprintf(t.words.suppressed, sum)})
		for i, k := range keys {
			if i == shownReasons {
				t.put(2, span{}, span{text: fmt.Sprintf(t.words.cut, len(keys)-i)})
				break
			}
			t.put(2, span{text: strconv.Itoa(t.suppressed[k]) + "  "}, span{text: clip(plain(k), longest)})
		}
	}
	t.put(0, span{}, span{text: t.words.stats(t.total, s)})
}
