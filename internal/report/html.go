package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// The page is one file without any reference to the network: its style and script are inside, its data is a JSON block.
var (
	//go:embed html/page.html
	htmlPage string
	//go:embed html/page.css
	htmlStyle string
	//go:embed html/page.js
	htmlScript string
)

// htmlReport gathers everything and writes the page at the end. Texts of rules stand once, findings point to them.
type htmlReport struct {
	w     io.Writer
	data  htmlData
	rules map[string]int
}

type htmlData struct {
	Lang       string               `json:"lang"`
	Tool       finding.Tool         `json:"tool"`
	Target     finding.Target       `json:"target"`
	FinishedAt time.Time            `json:"finishedAt"`
	Stats      finding.Stats        `json:"stats"`
	Rules      []htmlRule           `json:"rules"`
	Findings   []htmlFinding        `json:"findings"`
	Compliance []clause             `json:"compliance"`
	NotScanned []finding.NotScanned `json:"notScanned"`
}

type htmlRule struct {
	Rule       string       `json:"rule"`
	ID         string       `json:"id"`
	Risk       string       `json:"risk"`
	Title      finding.Text `json:"title"`
	Fix        finding.Text `json:"fix"`
	References []string     `json:"references"`
	Aliases    []string     `json:"aliases"`
}

type htmlFinding struct {
	Rule        int                  `json:"rule"`
	Severity    finding.Severity     `json:"severity"`
	Message     finding.Text         `json:"message"`
	Resource    finding.Resource     `json:"resource"`
	Evidence    []finding.Evidence   `json:"evidence"`
	Clauses     []finding.ClauseRef  `json:"clauses"`
	Mitigations []finding.Text       `json:"mitigations"`
	Snippet     *finding.Snippet     `json:"snippet"`
	Suppression *finding.Suppression `json:"suppression"`
}

func newHTML(w io.Writer, o Options) finding.Handler {
	return &htmlReport{w: w, rules: map[string]int{}, data: htmlData{Lang: o.Lang, Rules: []htmlRule{}, Findings: []htmlFinding{},
		Compliance: []clause{}, NotScanned: []finding.NotScanned{}}}
}

func (h *htmlReport) Begin(v finding.Header) error { h.data.Tool = v.Tool; return nil }

func (h *htmlReport) Finding(f *finding.Finding) error {
	i, ok := h.rules[f.Rule]
	if !ok {
		i = len(h.data.Rules)
		h.rules[f.Rule] = i
		h.data.Rules = append(h.data.Rules, htmlRule{f.Rule, f.RuleID, f.Risk, f.Title, f.Remediation, f.References, f.Aliases})
	}
	h.data.Findings = append(h.data.Findings, htmlFinding{i, f.Severity, f.Message, f.Resource, f.Evidence, f.Compliance, f.Mitigations, f.Snippet, f.Suppression})
	return nil
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
	page, err := template.New("page").Parse(htmlPage)
	if err != nil {
		return err
	}
	data, err := json.Marshal(h.data) // escapes <, > and &, so foreign text cannot end the script block
	if err != nil {
		return err
	}
	var out bytes.Buffer
	err = page.Execute(&out, struct {
		Lang, Name string
		Style      template.CSS
		Script     template.JS
		Data       template.JS
	}{h.data.Lang, target.Name, template.CSS(htmlStyle), template.JS(htmlScript), template.JS(data)})
	if err != nil {
		return err
	}
	_, err = h.w.Write(out.Bytes())
	return err
}
