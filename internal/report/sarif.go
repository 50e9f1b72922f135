package report

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"stockade.dev/stockade/internal/finding"
)

// sarifReport writes SARIF 2.1.0 (OASIS), in the shape that code-scanning viewers want: a location for every result, a
// fingerprint to follow it by, a security-severity for its order.
type sarifReport struct {
	w    io.Writer
	lang string
	run  *sarif.Run
	seen map[string]int // rule -> index
	told []*sarif.Notification
	bad  bool // something asked for could not be scanned
}

func newSARIF(w io.Writer, o Options) finding.Handler {
	return &sarifReport{w: w, lang: o.Lang, seen: map[string]int{}}
}

// level and security-severity of each severity; the numbers fall into the bands that viewers make of CVSS scores.
var (
	sarifLevels = map[finding.Severity]string{finding.Critical: "error", finding.High: "error", finding.Medium: "warning",
		finding.Low: "note", finding.Info: "note"}
	sarifScores = map[finding.Severity]string{finding.Critical: "9.5", finding.High: "8.0", finding.Medium: "5.5", finding.Low: "2.5", finding.Info: "0.5"}
)

func (s *sarifReport) Begin(h finding.Header) error {
	driver := sarif.NewToolComponent().WithName(h.Tool.Name).WithVersion(h.Tool.Version).WithInformationURI("https://stockade.dev")
	s.run = sarif.NewRun().WithTool(sarif.NewTool().WithDriver(driver)).WithColumnKind("unicodeCodePoints").
		WithAutomationDetails(sarif.NewRunAutomationDetails().WithID("stockade/" + h.Target.Kind + "/"))
	if s.lang == "zh" {
		s.run.Language = "zh-CN"
	}
	return nil
}

func (s *sarifReport) rule(f *finding.Finding) int {
	if i, ok := s.seen[f.Rule]; ok {
		return i
	}
	properties := sarif.NewPropertyBag()
	properties.Add("security-severity", sarifScores[f.Severity])
	properties.Add("tags", append([]string{"security", f.Risk}, f.Aliases...))
	d := sarif.NewRule(f.Rule).WithName(sarifName(f.Rule)).WithShortDescription(multiformat(f.Title.In(s.lang), "")).
		WithFullDescription(multiformat(f.Title.In(s.lang), "")).
		WithHelp(multiformat(f.Remediation.In(s.lang), markdownHelp(f, s.lang))).
		WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(sarifLevels[f.Severity])).WithProperties(properties)
	if len(f.References) > 0 {
		d.WithHelpURI(f.References[0])
	}
	s.seen[f.Rule] = len(s.seen)
	s.run.Tool.Driver.AddRule(d)
	return s.seen[f.Rule]
}

// sarifName is the rule as a readable identifier: WorkloadRunAsNonRoot.
func sarifName(rule string) string {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(rule, func(r rune) bool { return r == '/' || r == '-' }) {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func multiformat(text, markdown string) *sarif.MultiformatMessageString {
	if text == "" {
		text = "-"
	}
	m := sarif.NewMultiformatMessageString().WithText(text)
	if markdown != "" {
		m.WithMarkdown(markdown)
	}
	return m
}

func markdownHelp(f *finding.Finding, lang string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\n%s\n", f.Title.In(lang), f.Remediation.In(lang))
	for _, r := range f.References {
		fmt.Fprintf(&b, "\n- <%s>", r)
	}
	return b.String()
}

func (s *sarifReport) Finding(f *finding.Finding) error {
	properties := sarif.NewPropertyBag()
	properties.Add("ruleId", f.RuleID)
	properties.Add("severity", string(f.Severity))
	properties.Add("evidence", f.Evidence)
	r := sarif.NewRuleResult(f.Rule).WithRuleIndex(s.rule(f)).WithLevel(sarifLevels[f.Severity]).
		WithMessage(sarif.NewTextMessage(f.Message.In(s.lang))).WithProperties(properties).
		WithPartialFingerprints(map[string]string{"stockade/v1": f.Fingerprint})
	r.AddLocation(s.location(f))
	if f.Suppression != nil {
		kind := "external"
		if f.Suppression.By == "inline" {
			kind = "inSource"
		}
		r.AddSuppression(sarif.NewSuppression().WithKind(kind).WithStatus("accepted").WithJustification(f.Suppression.Reason))
	}
	s.run.AddResult(r)
	return nil
}

// location is the place in the file, or for a live object a path made of its names: viewers drop results without one.
func (s *sarifReport) location(f *finding.Finding) *sarif.Location {
	r := f.Resource
	uri, line, column := r.File, r.Line, r.Column
	if uri == "" {
		uri = strings.Join([]string{"cluster", orDash(r.Cluster), orDash(r.Namespace), orDash(r.Kind), orDash(r.Name)}, "/")
		line = 1
	}
	region := sarif.NewRegion().WithStartLine(max(line, 1))
	if column > 0 {
		region.WithStartColumn(column)
	}
	if f.Snippet != nil {
		region.WithSnippet(sarif.NewArtifactContent().WithText(f.Snippet.Text))
	}
	u := url.URL{Path: filepath.ToSlash(uri)}
	full := object(r)
	if r.Container != "" {
		full += " container " + r.Container
	}
	return sarif.NewLocation().WithPhysicalLocation(sarif.NewPhysicalLocation().
		WithArtifactLocation(sarif.NewSimpleArtifactLocation(strings.TrimPrefix(u.String(), "./"))).WithRegion(region)).
		WithLogicalLocations([]*sarif.LogicalLocation{sarif.NewLogicalLocation().WithName(orDash(r.Name)).WithFullyQualifiedName(full).WithKind("resource")})
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (s *sarifReport) Clause(finding.Clause) error { return nil }

func (s *sarifReport) NotScanned(n finding.NotScanned) error {
	level := "note"
	if n.Code.Blocking() {
		level, s.bad = "error", true
	}
	s.told = append(s.told, sarif.NewNotification().WithLevel(level).
		WithMessage(sarif.NewTextMessage(fmt.Sprintf("not scanned: %s: %s: %s (%s)", n.Target, n.What, n.Reason, n.Code))))
	return nil
}

func (s *sarifReport) End(at time.Time, _ finding.Target, _ finding.Stats) error {
	s.run.AddInvocation(sarif.NewInvocation().WithExecutionSuccessful(!s.bad).WithToolExecutionNotifications(s.told).
		WithEndTimeUtc(at.UTC().Format(time.RFC3339)))
	doc := sarif.NewReport()
	doc.AddRun(s.run)
	enc := json.NewEncoder(s.w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(doc)
}
