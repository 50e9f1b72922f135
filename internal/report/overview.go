package report

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"stockade.dev/stockade/internal/finding"
)

// overview gathers a stream into what the forms for people show: rules with their first places, counts, verdicts. It keeps a
// few findings of each rule, not all.
type overview struct {
	lang       string
	words      words
	groups     map[string]*ruleGroup
	order      []*ruleGroup
	counts     map[finding.Severity]int
	risks      map[string]int // open findings by risk type
	total      int
	suppressed map[string]int // "by: reason" -> count
	clauses    map[string][]finding.Clause
	frameworks []string
	notScanned []*gap
	gapOf      map[gapKey]*gap
	packages   vulnerabilities
}

// ruleGroup is the open findings of one rule.
type ruleGroup struct {
	severity finding.Severity // worst of the group
	total    int
	first    []*finding.Finding
}

// gap is one reason why targets were not scanned.
type gap struct {
	gapKey
	total   int
	targets []string
}

type gapKey struct {
	what, reason string
	code         finding.Code
}

var clauseStatuses = []finding.ClauseStatus{finding.Pass, finding.Fail, finding.Manual, finding.NotApplicable}

func newOverview(lang string) overview {
	return overview{lang: lang, words: wordsIn(lang), groups: map[string]*ruleGroup{}, counts: map[finding.Severity]int{}, risks: map[string]int{},
		suppressed: map[string]int{}, clauses: map[string][]finding.Clause{}, gapOf: map[gapKey]*gap{}}
}

func (o *overview) Begin(finding.Header) error { return nil }

func (o *overview) Finding(f *finding.Finding) error {
	if s := f.Suppression; s != nil {
		o.suppressed[strings.TrimSuffix(s.By+": "+s.Reason, ": ")]++
		return nil
	}
	o.counts[f.Severity]++
	o.risks[f.Risk]++
	o.total++
	if f.Vulnerability != nil && f.Kind == finding.Vulnerability {
		o.packages.add(f)
		return nil
	}
	g := o.groups[f.Rule]
	if g == nil {
		g = &ruleGroup{severity: f.Severity}
		o.groups[f.Rule] = g
		o.order = append(o.order, g)
	}
	if f.Severity.Rank() > g.severity.Rank() {
		g.severity = f.Severity
	}
	if len(g.first) < shown {
		g.first = append(g.first, f)
	}
	g.total++
	return nil
}

func (o *overview) Clause(c finding.Clause) error {
	if o.clauses[c.Framework] == nil {
		o.frameworks = append(o.frameworks, c.Framework)
	}
	o.clauses[c.Framework] = append(o.clauses[c.Framework], c)
	return nil
}

func (o *overview) NotScanned(n finding.NotScanned) error {
	key := gapKey{n.What, n.Reason, n.Code}
	g := o.gapOf[key]
	if g == nil {
		g = &gap{gapKey: key}
		o.gapOf[key] = g
		o.notScanned = append(o.notScanned, g)
	}
	g.total++
	if len(g.targets) < shownTargets {
		g.targets = append(g.targets, n.Target)
	}
	return nil
}

// sort puts the worst rules first, among those the ones with most findings.
func (o *overview) sort() {
	sort.SliceStable(o.order, func(i, j int) bool {
		a, b := o.order[i], o.order[j]
		if a.severity != b.severity {
			return a.severity.Rank() > b.severity.Rank()
		}
		return a.total > b.total
	})
}

// gaps are the reasons to be shown.
func (o *overview) gaps() []*gap { return o.notScanned[:min(len(o.notScanned), shownReasons)] }

// line is the gap in one line.
func (g *gap) line(w words) string {
	targets := strings.Join(g.targets, ", ")
	if n := g.total - len(g.targets); n > 0 {
		targets += fmt.Sprintf(w.others, n)
	}
	return plain(fmt.Sprintf("%s: %s: %s (%s)", targets, g.what, g.reason, g.code))
}

// accepted lists the grounds of suppression and the number of findings suppressed.
func (o *overview) accepted() (grounds []string, total int) {
	for _, n := range o.suppressed {
		total += n
	}
	return slices.Sorted(maps.Keys(o.suppressed)), total
}

// score is the framework's score in percent, "-" when nothing was decided.
func (o *overview) score(framework string) string {
	if v := finding.Score(o.clauses[framework]); v >= 0 {
		return fmt.Sprintf("%d%%", v)
	}
	return "-"
}

// verdicts counts the clauses of a framework by status, in the order of clauseStatuses.
func (o *overview) verdicts(framework string) []int {
	out := make([]int, len(clauseStatuses))
	for _, c := range o.clauses[framework] {
		if i := slices.Index(clauseStatuses, c.Status); i >= 0 {
			out[i]++
		}
	}
	return out
}

// riskRows are the scores of the target by risk type, with the findings of each.
func (o *overview) riskRows(target finding.Target) [][]string {
	var rows [][]string
	for _, risk := range slices.Sorted(maps.Keys(target.Scores)) {
		name := o.words.risk[risk]
		if name == "" {
			name = plain(risk)
		}
		rows = append(rows, []string{orDash(name), fmt.Sprintf("%d%%", target.Scores[risk]), fmt.Sprint(o.risks[risk])})
	}
	return rows
}

// complianceRows are the frameworks with score and verdicts, below complianceHeader.
func (o *overview) complianceRows() [][]string {
	var rows [][]string
	for _, id := range o.frameworks {
		row := []string{plain(id), o.score(id)}
		for _, n := range o.verdicts(id) {
			row = append(row, fmt.Sprint(n))
		}
		rows = append(rows, row)
	}
	return rows
}

func (w words) complianceHeader() []string {
	out := []string{w.framework, w.score}
	for _, s := range clauseStatuses {
		out = append(out, w.clause[s])
	}
	return out
}

// place names a resource on one line: file:line:column, or the object.
func place(r finding.Resource) string {
	if r.File == "" {
		return plain(object(r))
	}
	if r.Image != "" && r.Kind == "" {
		return plain(r.Image + ": " + r.File)
	}
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

// onNode reports whether a finding's file is one of a node's file system: its path is no path here.
func onNode(r finding.Resource) bool { return r.Node != "" && strings.HasPrefix(r.File, "/") }

// object names a resource: kind, namespace and name, and the node where that says more.
func object(r finding.Resource) string {
	name := r.Name
	if r.Namespace != "" {
		name = r.Namespace + "/" + name
	}
	s := strings.TrimSpace(r.Kind + " " + name)
	if r.Node != "" && r.Node != r.Name {
		s = strings.TrimSpace(s + " node " + r.Node)
	}
	if s == "" {
		return r.Image
	}
	return s
}

func targetName(t finding.Target) string {
	name := t.Name
	if t.Version != "" {
		name += " " + t.Version
	}
	if t.Distribution != "" {
		name += " (" + t.Distribution + ")"
	}
	return name
}
