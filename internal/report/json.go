package report

import (
	"bufio"
	"io"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// record is a finding of the document: its texts are in the language asked for, and the other language goes along as
// "translation", so that a saved document can be shown in both. It is what encoder writes and Read reads.
type record struct {
	*finding.Finding
	Title       string       `json:"title"`
	Message     string       `json:"message"`
	Remediation string       `json:"remediation,omitempty"`
	Mitigations []string     `json:"mitigations,omitempty"`
	Translation *translation `json:"translation,omitempty"`
}

type translation struct {
	Lang        string   `json:"lang"`
	Title       string   `json:"title"`
	Message     string   `json:"message"`
	Remediation string   `json:"remediation,omitempty"`
	Mitigations []string `json:"mitigations,omitempty"`
}

// clause is a verdict with its texts in both languages.
type clause struct {
	finding.Clause
	Title  *finding.Text `json:"title,omitempty"`
	Reason *finding.Text `json:"reason,omitempty"`
}

func otherLang(lang string) string {
	if lang == "zh" {
		return "en"
	}
	return "zh"
}

// finding gives back the finding of a saved record, which was written in lang or in its translation's opposite.
func (r record) finding() *finding.Finding {
	f := r.Finding
	f.Title, f.Message, f.Remediation = both(r.Title, ""), both(r.Message, ""), both(r.Remediation, "")
	for _, m := range r.Mitigations {
		f.Mitigations = append(f.Mitigations, both(m, ""))
	}
	t := r.Translation
	if t == nil {
		return f
	}
	pair := both
	if t.Lang == "en" {
		pair = func(a, b string) finding.Text { return both(b, a) }
	}
	f.Title, f.Message, f.Remediation = pair(r.Title, t.Title), pair(r.Message, t.Message), pair(r.Remediation, t.Remediation)
	for i := range min(len(f.Mitigations), len(t.Mitigations)) {
		f.Mitigations[i] = pair(r.Mitigations[i], t.Mitigations[i])
	}
	return f
}

func both(en, zh string) finding.Text { return finding.Text{EN: en, ZH: zh} }

func newClause(c finding.Clause) clause {
	out := clause{Clause: c}
	if c.Title.EN != "" {
		out.Title = &c.Title
	}
	if c.Reason.EN != "" {
		out.Reason = &c.Reason
	}
	return out
}

// jsonDocument streams the findings document: findings go out as they come, the rest is held to the end.
type jsonDocument struct {
	w          *bufio.Writer
	enc        *encoder
	buf        []byte // of one finding, used again
	n          int
	clauses    []clause
	notScanned []finding.NotScanned
	policy     func() any
	err        error
}

func newJSON(w io.Writer, o Options) finding.Handler {
	return &jsonDocument{w: bufio.NewWriterSize(w, 1<<16), enc: newEncoder(o.Lang), policy: o.Policy}
}

func (d *jsonDocument) raw(s string) {
	if d.err == nil {
		_, d.err = d.w.WriteString(s)
	}
}

func (d *jsonDocument) value(v any) {
	data, err := marshal(v)
	if d.err == nil {
		d.err = err
	}
	d.raw(string(data))
}

func (d *jsonDocument) Begin(h finding.Header) error {
	d.raw(`{"schema":"` + finding.Schema + `","tool":`)
	d.value(h.Tool)
	d.raw(`,"startedAt":`)
	d.value(h.StartedAt.UTC())
	d.raw(`,"findings":[`)
	return d.err
}

func (d *jsonDocument) Finding(f *finding.Finding) error {
	if d.err != nil {
		return d.err
	}
	open := ",\n{"
	if d.n == 0 {
		open = "\n{"
	}
	d.n++
	d.buf, d.err = d.enc.members(append(d.buf[:0], open...), f)
	if d.err == nil {
		_, d.err = d.w.Write(append(d.buf, '}'))
	}
	return d.err
}

func (d *jsonDocument) Clause(c finding.Clause) error {
	d.clauses = append(d.clauses, newClause(c))
	return nil
}

func (d *jsonDocument) NotScanned(n finding.NotScanned) error {
	d.notScanned = append(d.notScanned, n)
	return nil
}

func (d *jsonDocument) End(finishedAt time.Time, target finding.Target, s finding.Stats) error {
	d.raw("\n],\n\"target\":")
	d.value(target)
	d.raw(`,"finishedAt":`)
	d.value(finishedAt.UTC())
	d.raw(",\n\"compliance\":[")
	for i, c := range d.clauses {
		if i > 0 {
			d.raw(",")
		}
		d.raw("\n")
		d.value(c)
	}
	d.raw("],\n\"notScanned\":[")
	for i, n := range d.notScanned {
		if i > 0 {
			d.raw(",")
		}
		d.raw("\n")
		d.value(n)
	}
	d.raw("],\n")
	if d.policy != nil {
		d.raw(`"policy":`)
		d.value(d.policy())
		d.raw(",\n")
	}
	d.raw(`"stats":`)
	d.value(s)
	d.raw("}\n")
	if d.err == nil {
		d.err = d.w.Flush()
	}
	return d.err
}

// lines is the same document as one record a line, each flushed as it comes.
type lines struct {
	w   *bufio.Writer
	enc *encoder
	buf []byte
}

func newJSONL(w io.Writer, o Options) finding.Handler {
	return &lines{w: bufio.NewWriterSize(w, 1<<16), enc: newEncoder(o.Lang)}
}

// line writes one record: {"type":...} joined with the members of v.
func (l *lines) line(kind string, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	l.w.WriteString(`{"type":"` + kind + `"`) // bufio keeps the first error for Flush
	if len(data) > 2 {
		l.w.WriteByte(',')
	}
	l.w.Write(data[1:])
	l.w.WriteByte('\n')
	return l.w.Flush()
}

type lineHeader struct {
	Schema string `json:"schema"`
	finding.Header
}

type lineEnd struct {
	FinishedAt time.Time      `json:"finishedAt"`
	Target     finding.Target `json:"target"`
	Stats      finding.Stats  `json:"stats"`
}

func (l *lines) Begin(h finding.Header) error {
	h.StartedAt = h.StartedAt.UTC()
	return l.line("header", lineHeader{finding.Schema, h})
}
func (l *lines) Finding(f *finding.Finding) error {
	var err error
	if l.buf, err = l.enc.members(append(l.buf[:0], `{"type":"finding",`...), f); err != nil {
		return err
	}
	l.w.Write(append(l.buf, "}\n"...)) // bufio keeps the first error for Flush
	return l.w.Flush()
}
func (l *lines) Clause(c finding.Clause) error { return l.line("compliance", newClause(c)) }
func (l *lines) NotScanned(n finding.NotScanned) error {
	return l.line("notScanned", n)
}
func (l *lines) End(finishedAt time.Time, target finding.Target, s finding.Stats) error {
	return l.line("end", lineEnd{finishedAt.UTC(), target, s})
}
