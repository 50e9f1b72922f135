package report

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// The page is one file without any reference to the network: its style and scripts are inside, its data are JSON blocks.
var (
	//go:embed html/page.html
	htmlPage string
	//go:embed html/page.css
	htmlStyle string
	//go:embed html/words.js
	htmlWords string
	//go:embed html/view.js
	htmlView string
	//go:embed html/cards.js
	htmlCards string
	//go:embed html/list.js
	htmlList string
	//go:embed html/tables.js
	htmlTables string
	//go:embed html/page.js
	htmlCode string
)

// htmlScript is the whole script, as one text of which the page's policy names the hash.
func htmlScript() string { return htmlWords + htmlView + htmlCards + htmlList + htmlTables + htmlCode }

// htmlReport writes the page as findings come, each pointing to its rule; the texts of the rules follow once, at the end.
type htmlReport struct {
	w     *bufio.Writer
	tail  string // of the page, behind the data
	n     int
	data  htmlData
	rules map[string]int
	err   error
}

// htmlData is all but the findings.
type htmlData struct {
	Lang       string               `json:"lang"`
	Tool       finding.Tool         `json:"tool"`
	Target     finding.Target       `json:"target"`
	StartedAt  time.Time            `json:"startedAt"`
	FinishedAt time.Time            `json:"finishedAt"`
	Stats      finding.Stats        `json:"stats"`
	Rules      []*htmlRule          `json:"rules"`
	Compliance []clause             `json:"compliance"`
	NotScanned []finding.NotScanned `json:"notScanned"`
}

type htmlRule struct {
	Rule       string              `json:"rule"`
	ID         string              `json:"id,omitempty"`
	Risk       string              `json:"risk,omitempty"`
	Title      finding.Text        `json:"title"`
	Fix        finding.Text        `json:"fix"`
	References []string            `json:"references,omitempty"`
	Aliases    []string            `json:"aliases,omitempty"`
	Clauses    []finding.ClauseRef `json:"clauses,omitempty"`
}

type htmlFinding struct {
	Rule        int                  `json:"rule"` // index
	Fingerprint string               `json:"fingerprint"`
	Severity    finding.Severity     `json:"severity"`
	Kind        finding.Kind         `json:"kind,omitempty"`
	Message     finding.Text         `json:"message"`
	Resource    finding.Resource     `json:"resource"`
	Evidence    []htmlEvidence       `json:"evidence,omitempty"`
	Priority    *finding.Priority    `json:"priority,omitempty"`
	Clauses     *[]finding.ClauseRef `json:"clauses,omitempty"` // when they are not the rule's
	Mitigations []finding.Text       `json:"mitigations,omitempty"`
	Snippet     *finding.Snippet     `json:"snippet,omitempty"`
	Suppression *finding.Suppression `json:"suppression,omitempty"`
	Vulnerable  *finding.Vulnerable  `json:"vulnerability,omitempty"`
	Fix         *finding.Text        `json:"fix,omitempty"` // when it is not the rule's: each package has a fixed version of its own
	// Emergency is how it was verified.
	Emergency *finding.Verification `json:"emergency,omitempty"`
}

// htmlEvidence has values as they are shown: a browser would round large numbers.
type htmlEvidence struct {
	Path  string  `json:"path"`
	Found *string `json:"found,omitempty"` // nil when the field is missing
	Want  *string `json:"want,omitempty"`
}

func evidenceOf(list []finding.Evidence) []htmlEvidence {
	text := func(v any) *string {
		if v == nil {
			return nil
		}
		s := compact(v)
		if s == "" {
			s = `""`
		}
		return &s
	}
	var out []htmlEvidence
	for _, e := range list {
		if e.Path != "" {
			out = append(out, htmlEvidence{e.Path, text(e.Found), text(e.Want)})
		}
	}
	return out
}

func newHTML(w io.Writer, o Options) finding.Handler {
	return &htmlReport{w: bufio.NewWriterSize(w, 1<<16), rules: map[string]int{}, data: htmlData{Lang: o.Lang, Rules: []*htmlRule{},
		Compliance: []clause{}, NotScanned: []finding.NotScanned{}}}
}

func (h *htmlReport) raw(s string) {
	if h.err == nil {
		_, h.err = h.w.WriteString(s)
	}
}

// value writes v as JSON in which <, > and & are escaped, so that foreign text cannot end the block it stands in.
func (h *htmlReport) value(v any) {
	if h.err != nil {
		return
	}
	var data []byte
	if data, h.err = json.Marshal(v); h.err == nil {
		_, h.err = h.w.Write(data)
	}
}

// allow is the policy source that lets exactly this text in.
func allow(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (h *htmlReport) Begin(v finding.Header) error {
	h.data.Tool, h.data.StartedAt = v.Tool, v.StartedAt.UTC()
	script := htmlScript()
	lang := "en"
	if h.data.Lang == "zh" {
		lang = "zh-CN"
	}
	fill := strings.NewReplacer("{{lang}}", lang, "{{title}}", html.EscapeString(plain(v.Target.Name)), "{{style}}", htmlStyle, "{{script}}", script,
		"{{styleHash}}", allow(htmlStyle), "{{scriptHash}}", allow(script))
	head, tail, _ := strings.Cut(htmlPage, "{{data}}")
	h.tail = fill.Replace(tail)
	h.raw(fill.Replace(head))
	h.raw(`<script type="application/json" id="findings">[`)
	return h.err
}

func (h *htmlReport) Finding(f *finding.Finding) error {
	i, ok := h.rules[f.Rule]
	if !ok {
		i = len(h.data.Rules)
		h.rules[f.Rule] = i
		fix := f.Remediation
		if f.Vulnerability != nil {
			fix = finding.Text{}
		}
		h.data.Rules = append(h.data.Rules, &htmlRule{f.Rule, f.RuleID, f.Risk, f.Title, fix, webLinks(f.References), f.Aliases, f.Compliance})
	}
	v := htmlFinding{i, f.Fingerprint, f.Severity, f.Kind, f.Message, f.Resource, evidenceOf(ownEvidence(f)), f.Priority, nil, f.Mitigations, f.Snippet, f.Suppression, f.Vulnerability, nil, f.Emergency}
	if f.Vulnerability != nil {
		v.Fix = &f.Remediation
	}
	if !slices.Equal(f.Compliance, h.data.Rules[i].Clauses) {
		v.Clauses = &f.Compliance
	}
	if h.n > 0 {
		h.raw(",")
	}
	h.n++
	h.raw("\n")
	h.value(v)
	return h.err
}

// webLinks keeps the references that are addresses: a link of another scheme could run something.
func webLinks(refs []string) []string {
	var out []string
	for _, r := range refs {
		if webLink(r) {
			out = append(out, r)
		}
	}
	return out
}

func (h *htmlReport) Clause(c finding.Clause) error {
	h.data.Compliance = append(h.data.Compliance, newClause(c))
	return nil
}

func (h *htmlReport) NotScanned(n finding.NotScanned) error {
	h.data.NotScanned = append(h.data.NotScanned, n)
	return nil
}

func (h *htmlReport) End(at time.Time, target finding.Target, s finding.Stats) error {
	h.data.Target, h.data.FinishedAt, h.data.Stats = target, at.UTC(), s
	h.raw("\n]</script>\n<script type=\"application/json\" id=\"data\">")
	h.value(h.data)
	h.raw("</script>" + h.tail)
	if h.err == nil {
		h.err = h.w.Flush()
	}
	return h.err
}
