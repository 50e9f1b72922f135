package report

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// sarifReport writes SARIF 2.1.0 (OASIS), in the shape that code-scanning viewers want: a location for every result, a
// fingerprint to follow it by, help and a security-severity for every rule. Results go out as they come; the rules, known at
// the end, follow them, which the format allows.
type sarifReport struct {
	w       *bufio.Writer
	lang    string
	dir     string
	buf     []byte // of one result, used again
	n       int
	started time.Time
	tool    finding.Tool
	rules   []*sarifRule
	index   map[string]int
	told    []sarifNotification
	bad     bool // something asked for could not be scanned
	err     error
}

type sarifRule struct {
	ID               string          `json:"id"`
	Name             string          `json:"name"`
	ShortDescription sarifMessage    `json:"shortDescription"`
	FullDescription  sarifMessage    `json:"fullDescription"`
	Help             sarifMessage    `json:"help"`
	HelpURI          string          `json:"helpUri,omitempty"`
	Default          sarifLevel      `json:"defaultConfiguration"`
	Properties       sarifProperties `json:"properties"`

	worst finding.Severity
}

type sarifMessage struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown,omitempty"`
}

type sarifLevel struct {
	Level string `json:"level"`
}

type sarifProperties struct {
	RuleID    string   `json:"ruleId,omitempty"`
	Score     string   `json:"security-severity"`
	Precision string   `json:"precision"`
	Tags      []string `json:"tags"`
}

type sarifNotification struct {
	Level   string       `json:"level"`
	Message sarifMessage `json:"message"`
}

type sarifDriver struct {
	Name           string       `json:"name"`
	Version        string       `json:"version,omitempty"`
	InformationURI string       `json:"informationUri"`
	Rules          []*sarifRule `json:"rules"`
}

type sarifInvocation struct {
	Successful bool                `json:"executionSuccessful"`
	Start      string              `json:"startTimeUtc,omitempty"`
	End        string              `json:"endTimeUtc,omitempty"`
	Told       []sarifNotification `json:"toolExecutionNotifications,omitempty"`
}

// level and security-severity of each severity; the numbers fall into the bands that viewers make of CVSS scores.
var (
	sarifLevels = map[finding.Severity]string{finding.Critical: "error", finding.High: "error", finding.Medium: "warning",
		finding.Low: "note", finding.Info: "note"}
	sarifScores = map[finding.Severity]string{finding.Critical: "9.5", finding.High: "8.0", finding.Medium: "5.5", finding.Low: "2.5", finding.Info: "0.5"}
)

// sarifTags is how many tags a rule may have: GitHub refuses a file with more.
const sarifTags = 20

const sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

func newSARIF(w io.Writer, o Options) finding.Handler {
	return &sarifReport{w: bufio.NewWriterSize(w, 1<<16), lang: o.Lang, dir: o.dir(), rules: []*sarifRule{}, index: map[string]int{}}
}

func (s *sarifReport) raw(text string) {
	if s.err == nil {
		_, s.err = s.w.WriteString(text)
	}
}

func (s *sarifReport) value(key string, v any) {
	data, err := marshal(v)
	if s.err == nil {
		s.err = err
	}
	s.raw(key + string(data))
}

func (s *sarifReport) Begin(h finding.Header) error {
	s.started, s.tool = h.StartedAt, h.Tool
	// The category that viewers keep apart: scans of two clusters do not replace each other's alerts.
	category := "stockade/" + escapePath(h.Target.Kind) + "/"
	if h.Target.Kind == "cluster" {
		category += strings.ReplaceAll(escapePath(h.Target.Name), "/", "%2F") + "/"
	}
	lang := "en-US"
	if s.lang == "zh" {
		lang = "zh-CN"
	}
	s.raw(`{"$schema":"` + sarifSchema + `","version":"2.1.0","runs":[{"automationDetails":{"id":"` + category +
		`"},"columnKind":"unicodeCodePoints","language":"` + lang + `","results":[`)
	return s.err
}

// rule returns the index of f's rule.
func (s *sarifReport) rule(f *finding.Finding) int {
	i, ok := s.index[f.Rule]
	if ok {
		r := s.rules[i]
		if f.Severity.Rank() > r.worst.Rank() {
			r.worst = f.Severity
		}
		return i
	}
	title := plain(f.Title.In(s.lang))
	if title == "" {
		title = f.Rule
	}
	r := &sarifRule{ID: f.Rule, Name: sarifName(f.Rule), ShortDescription: sarifMessage{Text: title}, FullDescription: sarifMessage{Text: title},
		Help: help(f, title, s.lang), worst: f.Severity, Properties: sarifProperties{RuleID: f.RuleID, Precision: "high", Tags: []string{"security"}}}
	for _, tag := range slices.Concat([]string{f.Risk, string(f.Kind)}, f.Aliases) {
		if tag != "" && len(r.Properties.Tags) < sarifTags && !slices.Contains(r.Properties.Tags, tag) {
			r.Properties.Tags = append(r.Properties.Tags, tag)
		}
	}
	for _, ref := range f.References {
		if webLink(ref) {
			r.HelpURI = ref
			break
		}
	}
	s.index[f.Rule] = len(s.rules)
	s.rules = append(s.rules, r)
	return len(s.rules) - 1
}

// sarifName is the rule as a readable identifier: WorkloadRunAsNonRoot.
func sarifName(rule string) string {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(rule, func(r rune) bool { return r == '/' || r == '-' || r <= ' ' }) {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	if b.Len() == 0 {
		return "Rule"
	}
	return b.String()
}

// webLink reports whether s is an address that a reader may open: references of foreign rules can be anything.
func webLink(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && !strings.ContainsAny(s, " <>\"'`{}|\\^")
}

func help(f *finding.Finding, title, lang string) sarifMessage {
	fix := plain(f.Remediation.In(lang))
	if f.Vulnerability != nil {
		fix = "" // each package has a fixed version of its own: it stands in the result
	}
	text := fix
	if text == "" {
		text = title
	}
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\n%s\n", marks.Replace(title), marks.Replace(fix))
	for _, r := range f.References {
		if webLink(r) {
			fmt.Fprintf(&b, "\n- <%s>", r)
		}
	}
	if len(f.Compliance) > 0 {
		b.WriteString("\n")
	}
	for _, c := range f.Compliance {
		fmt.Fprintf(&b, "\n- %s %s", marks.Replace(plain(c.Framework)), marks.Replace(plain(c.Clause)))
	}
	return sarifMessage{text, strings.TrimSpace(b.String())}
}

func (s *sarifReport) Finding(f *finding.Finding) error {
	if s.err != nil {
		return s.err
	}
	message := plain(f.Message.In(s.lang))
	if message == "" {
		message = plain(f.Title.In(s.lang))
	}
	if message == "" {
		message = f.Rule
	}
	if fix := plain(f.Remediation.In(s.lang)); f.Vulnerability != nil && fix != "" {
		message += ". " + fix
	}
	if lines := verifiedLines(f, s.lang); lines != nil {
		message += "\n" + strings.Join(lines, "\n")
	}
	b := s.buf[:0]
	if s.n > 0 {
		b = append(b, ',')
	}
	s.n++
	b = appendString(append(b, "\n{\"ruleId\":"...), f.Rule)
	b = strconv.AppendInt(append(b, `,"ruleIndex":`...), int64(s.rule(f)), 10)
	b = appendString(append(b, `,"level":`...), sarifLevels[f.Severity])
	b = append(appendString(append(b, `,"message":{"text":`...), message), '}')
	b = s.appendLocation(append(b, `,"locations":[`...), f)
	b = appendString(append(b, `],"partialFingerprints":{"stockade/v1":`...), f.Fingerprint)
	if f.Resource.File == "" {
		// GitHub follows alerts by this one and computes it from the file; a live object has none.
		b = appendString(append(b, `,"primaryLocationLineHash":`...), f.Fingerprint+":1")
	}
	b = append(b, '}')
	if v := f.Suppression; v != nil {
		kind := "external"
		if v.By == "inline" {
			kind = "inSource"
		}
		b = append(b, `,"suppressions":[{"kind":"`+kind+`","status":"accepted"`...)
		b = append(appendMember(b, `,"justification":`, plain(v.Reason)), "}]"...)
	}
	if f.Priority != nil {
		b = strconv.AppendInt(append(b, `,"rank":`...), int64(min(max(f.Priority.Score, 0), 100)), 10)
	}
	b = appendString(append(b, `,"properties":{"severity":`...), string(f.Severity))
	if b, s.err = appendEvidence(b, f.Evidence); s.err != nil {
		return s.err
	}
	if f.Emergency != nil {
		v, err := marshal(f.Emergency)
		if err != nil {
			s.err = err
			return err
		}
		b = append(append(b, `,"emergency":`...), v...)
	}
	s.buf = append(b, "}}"...)
	_, s.err = s.w.Write(s.buf)
	return s.err
}

// appendLocation appends the place in the file, or for a live object a path made of its names: viewers drop results without
// one.
func (s *sarifReport) appendLocation(b []byte, f *finding.Finding) []byte {
	r := f.Resource
	b = append(b, `{"physicalLocation":{"artifactLocation":{"uri":"`...)
	line := max(r.Line, 1)
	if r.File == "" {
		line = 1
		b = append(b, objectURI(r)+`"`...)
	} else if r.Image != "" && r.Kind == "" {
		b = append(b, "image/"+escapePath(r.Image)+"/"+escapePath(r.File)+`"`...)
	} else if onNode(r) {
		b = append(b, "node/"+strings.ReplaceAll(escapePath(r.Node), "/", "%2F")+"/"+escapePath(strings.TrimLeft(r.File, "/"))+`"`...)
	} else {
		uri := fileURI(r.File, s.dir)
		b = append(b, uri+`"`...)
		if !strings.HasPrefix(uri, "file:") {
			b = append(b, `,"uriBaseId":"%SRCROOT%"`...)
		}
	}
	b = strconv.AppendInt(append(b, `},"region":{"startLine":`...), int64(line), 10)
	if r.File != "" && r.Column > 0 {
		b = strconv.AppendInt(append(b, `,"startColumn":`...), int64(r.Column), 10)
	}
	if v := f.Snippet; v != nil && r.File != "" && v.Line > 0 && v.Text != "" {
		// A region is its snippet; the whole line around a column is context.
		lines := strings.Count(strings.TrimSuffix(v.Text, "\n"), "\n")
		if r.Column > 1 || v.Line != line || lines > 0 {
			b = strconv.AppendInt(append(b, `},"contextRegion":{"startLine":`...), int64(v.Line), 10)
			b = strconv.AppendInt(append(b, `,"endLine":`...), int64(v.Line+lines), 10)
		}
		b = append(appendString(append(b, `,"snippet":{"text":`...), v.Text), '}')
	}
	full := object(r)
	if r.Container != "" {
		full += " container " + r.Container
	}
	name := r.Name
	if name == "" {
		name = orDash(r.Kind)
	}
	b = appendString(append(b, `}},"logicalLocations":[{"name":`...), name)
	b = appendString(append(b, `,"fullyQualifiedName":`...), orDash(full))
	return append(b, `,"kind":"resource"}]}`...)
}

// objectURI is a relative path for an object that stands in no file: cluster/NAME/NAMESPACE/KIND/NAME.
func objectURI(r finding.Resource) string {
	parts := []string{"cluster", r.Cluster, r.Namespace, r.Kind, r.Name}
	if r.Name == "" && r.Node != "" {
		parts[3], parts[4] = "Node", r.Node
	}
	for i, p := range parts {
		p = strings.ReplaceAll(escapePath(orDash(p)), "/", "%2F")
		if p == "." || p == ".." {
			p = strings.ReplaceAll(p, ".", "%2E")
		}
		parts[i] = p
	}
	return strings.Join(parts, "/")
}

func (s *sarifReport) Clause(finding.Clause) error { return nil }

func (s *sarifReport) NotScanned(n finding.NotScanned) error {
	level := "note"
	if n.Code.Blocking() {
		level, s.bad = "error", true
	}
	s.told = append(s.told, sarifNotification{level, sarifMessage{Text: plain(fmt.Sprintf("not scanned: %s: %s: %s (%s)", n.Target, n.What, n.Reason, n.Code))}})
	return nil
}

func (s *sarifReport) End(at time.Time, _ finding.Target, _ finding.Stats) error {
	s.raw("\n]")
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	s.value(`,"invocations":[`, sarifInvocation{!s.bad, stamp(s.started), stamp(at), s.told})
	for _, r := range s.rules {
		r.Default.Level, r.Properties.Score = sarifLevels[r.worst], sarifScores[r.worst]
	}
	driver := sarifDriver{orDash(s.tool.Name), s.tool.Version, "https://stockade.dev", s.rules}
	s.value("],\n\"tool\":{\"driver\":", driver)
	s.raw("}}]}\n")
	if s.err == nil {
		s.err = s.w.Flush()
	}
	return s.err
}
