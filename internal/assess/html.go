package assess

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strconv"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/report"
)

//go:embed page.html
var page string

//go:embed page.css
var style string

// htmlForm writes one file that needs nothing else, runs nothing, and prints well.
type htmlForm struct {
	speaker
	w     *bufio.Writer
	t     *template.Template
	fault error
}

func newHTML(w io.Writer, lang string) form {
	h := &htmlForm{speaker: speaker{lang}, w: bufio.NewWriter(w)}
	s := h.speaker
	h.t, h.fault = template.New("page").Funcs(template.FuncMap{
		"t": s.t, "lang": func() string { return lang }, "at": s.at, "title": func(v Verdict) string { return s.title(&v) }, "basis": func(v Verdict) string { return s.basis(&v) },
		"severity": s.severity, "standing": s.standing, "object": object, "value": report.Value, "word": func(o browse.Outcome) string { return s.t(string(o)) },
		"mark":  func(o browse.Outcome) string { return marks[o] },
		"found": func(v any) string { return s.found(v) },
		"first": func(list []finding.Evidence) *finding.Evidence {
			if len(list) == 0 {
				return nil
			}
			return &list[0]
		},
		"more": func(v Verdict) string {
			if n := v.Total() - len(v.Evidence); n > 0 {
				return fmt.Sprintf(s.t("more"), n)
			}
			return ""
		},
		"score": func(n int) string {
			if n < 0 {
				return "–"
			}
			return strconv.Itoa(n) + "%"
		},
	}).Parse(page)
	return h
}

// marks stand before the words, for who does not see colours.
var marks = map[browse.Outcome]string{browse.Pass: "✓", browse.Fail: "✗", browse.FailAccepted: "✗", browse.Manual: "?", browse.NotApplicable: "–"}

func (s speaker) found(v any) string {
	if v == nil {
		return s.t("absent")
	}
	return report.Value(v)
}

func (h *htmlForm) run(name string, data any) error {
	if h.fault != nil {
		return h.fault
	}
	return h.t.ExecuteTemplate(h.w, name, data)
}

func (h *htmlForm) begin(head *Head) error {
	sum := sha256.Sum256([]byte(style))
	lang := "en"
	if h.lang == "zh" {
		lang = "zh-CN"
	}
	return h.run("begin", map[string]any{"Head": head, "HTMLLang": lang, "At": head.At.Format("2006-01-02 15:04") + " UTC",
		"Style":     template.HTML("<style>" + style + "</style>"), //nolint:gosec // our own file
		"StyleHash": "sha256-" + base64.StdEncoding.EncodeToString(sum[:])})
}

// section is the clauses of one.
type section struct {
	Title    string
	Verdicts []Verdict
}

func (h *htmlForm) target(l *browse.Look, list []Verdict) error {
	var sections []section
	for i := range list {
		title := h.section(&list[i])
		if n := len(sections); n == 0 || sections[n-1].Title != title {
			sections = append(sections, section{Title: title})
		}
		last := &sections[len(sections)-1]
		last.Verdicts = append(last.Verdicts, list[i])
	}
	return h.run("target", map[string]any{"Look": l, "Sections": sections})
}

func (h *htmlForm) gaps(list []browse.Gap, cut bool) error {
	return h.run("gaps", map[string]any{"List": list, "Cut": cut})
}

func (h *htmlForm) end() error {
	if err := h.run("end", nil); err != nil {
		return err
	}
	return h.w.Flush()
}
