package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// Bounds of a saved document: all of it, and one record of a jsonl document.
const (
	maxDocument = 4 << 30
	maxLine     = 64 << 20
)

var linesStart = regexp.MustCompile(`^\s*\{\s*"type"\s*:`)

// Read plays a saved json or jsonl document to h. An error says where the document is at fault: a line, a finding or a byte.
func Read(r io.Reader, h finding.Handler) error { return read(r, h, maxDocument) }

func read(r io.Reader, h finding.Handler, limit int64) error {
	br := bufio.NewReaderSize(&bounded{r: r, left: limit, limit: limit}, 1<<16)
	head, err := br.Peek(256)
	if err != nil && err != io.EOF {
		return err
	}
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return errors.New("the document is UTF-16, not UTF-8; have it written by -o json=FILE, not by the shell's redirection")
	}
	if mark := []byte("\ufeff"); bytes.HasPrefix(head, mark) {
		head = head[len(mark):]
		if _, err := br.Discard(len(mark)); err != nil {
			return err
		}
	}
	if len(bytes.TrimSpace(head)) == 0 {
		return errors.New("the document is empty")
	}
	if linesStart.Match(head) {
		return readLines(br, h)
	}
	return readDocument(br, h)
}

// bounded is a reader that ends with an error, not like the end of a file, when too much is read.
type bounded struct {
	r           io.Reader
	left, limit int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the document is larger than %d bytes", b.limit)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// saved is the findings document as it is read back.
type saved struct {
	schema     string
	tool       finding.Tool
	target     finding.Target
	startedAt  time.Time
	finishedAt time.Time
	findings   []*finding.Finding
	clauses    []finding.Clause
	notScanned []finding.NotScanned
	stats      finding.Stats
}

func readDocument(r io.Reader, h finding.Handler) error {
	dec := json.NewDecoder(r)
	dec.UseNumber() // numbers in evidence come out as they went in
	var doc saved
	if err := doc.decode(dec); err != nil {
		return err
	}
	if doc.schema != finding.Schema {
		return schemaError(doc.schema)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("not a findings document: more text follows its end at byte %d", dec.InputOffset())
	}
	return doc.play(h)
}

func schemaError(got string) error { return fmt.Errorf("schema %q: want %q", got, finding.Schema) }

// placeError adds to an error of decoding where it happened.
func placeError(dec *json.Decoder, what string, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF:
		return fmt.Errorf("the document is cut off after %d bytes, in %s", dec.InputOffset(), what)
	case errors.As(err, &syntax):
		return fmt.Errorf("not a findings document: %s, at byte %d: %w", what, syntax.Offset, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// decode reads the document member by member, so that of findings only what they become is in memory.
func (d *saved) decode(dec *json.Decoder) error {
	if err := delim(dec, '{', "the document"); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return placeError(dec, "the document", err)
		}
		switch key {
		case "schema":
			if err = dec.Decode(&d.schema); err == nil && d.schema != finding.Schema {
				return schemaError(d.schema)
			}
		case "tool":
			err = dec.Decode(&d.tool)
		case "target":
			err = dec.Decode(&d.target)
		case "startedAt":
			err = dec.Decode(&d.startedAt)
		case "finishedAt":
			err = dec.Decode(&d.finishedAt)
		case "stats":
			err = dec.Decode(&d.stats)
		case "findings":
			if err := d.decodeFindings(dec); err != nil {
				return err
			}
		case "compliance":
			var list []clause
			err = dec.Decode(&list)
			for i := 0; i < len(list) && err == nil; i++ {
				d.clauses = append(d.clauses, list[i].clause())
				err = checkClause(list[i].Clause)
			}
		case "notScanned":
			err = dec.Decode(&d.notScanned)
		default: // growth of the document
			var skipped json.RawMessage
			err = dec.Decode(&skipped)
		}
		if err != nil {
			return placeError(dec, fmt.Sprint(key), err)
		}
	}
	return delim(dec, '}', "the document")
}

func (d *saved) decodeFindings(dec *json.Decoder) error {
	if err := delim(dec, '[', "findings"); err != nil {
		return err
	}
	for i := 0; dec.More(); i++ {
		var rec record
		err := dec.Decode(&rec)
		if err == nil {
			err = rec.check()
		}
		if err != nil {
			return placeError(dec, fmt.Sprintf("finding %d", i+1), err)
		}
		d.findings = append(d.findings, rec.finding())
	}
	return delim(dec, ']', "findings")
}

func delim(dec *json.Decoder, want json.Delim, what string) error {
	tok, err := dec.Token()
	if err != nil {
		return placeError(dec, what, err)
	}
	if tok != want {
		return fmt.Errorf("not a findings document: %s: want %q, not %v, at byte %d", what, want.String(), tok, dec.InputOffset())
	}
	return nil
}

func (d *saved) play(h finding.Handler) error {
	if err := h.Begin(finding.Header{Tool: d.tool, Target: d.target, StartedAt: d.startedAt}); err != nil {
		return err
	}
	for _, f := range d.findings {
		if err := h.Finding(f); err != nil {
			return err
		}
	}
	for _, c := range d.clauses {
		if err := h.Clause(c); err != nil {
			return err
		}
	}
	for _, n := range d.notScanned {
		if err := h.NotScanned(n); err != nil {
			return err
		}
	}
	return h.End(d.finishedAt, d.target, d.stats)
}

// check finds what no form could show.
func (r record) check() error {
	f := r.Finding
	switch {
	case f == nil:
		return errors.New("it is empty")
	case f.Rule == "":
		return errors.New("it has no rule")
	case f.Severity.Rank() < 0:
		return fmt.Errorf("rule %s: severity %q: want critical, high, medium, low or info", f.Rule, f.Severity)
	case f.Status != finding.Open && f.Status != finding.Suppressed:
		return fmt.Errorf("rule %s: status %q: want open or suppressed", f.Rule, f.Status)
	case (f.Status == finding.Suppressed) != (f.Suppression != nil):
		return fmt.Errorf("rule %s: status %q and suppression do not agree", f.Rule, f.Status)
	}
	return nil
}

func checkClause(c finding.Clause) error {
	switch c.Status {
	case finding.Pass, finding.Fail, finding.Manual, finding.NotApplicable:
		return nil
	}
	return fmt.Errorf("clause %s %s: status %q: want pass, fail, manual or not-applicable", c.Framework, c.Clause, c.Status)
}

// clause gives back the verdict with its texts.
func (c clause) clause() finding.Clause {
	out := c.Clause
	if c.Title != nil {
		out.Title = *c.Title
	}
	if c.Reason != nil {
		out.Reason = *c.Reason
	}
	return out
}

// lineReader plays the records of a jsonl document: a header, the rest, an end.
type lineReader struct {
	h            finding.Handler
	begun, ended bool
}

func readLines(r io.Reader, h finding.Handler) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 1<<16), maxLine)
	lr := lineReader{h: h}
	n := 0
	for sc.Scan() {
		n++
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		if err := lr.line(sc.Bytes()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	if !lr.ended {
		return fmt.Errorf("the document is cut off after line %d: its end record is missing", n)
	}
	return nil
}

func (l *lineReader) line(data []byte) error {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return err
	}
	switch {
	case kind.Type == "header" && l.begun:
		return errors.New("a second header: two results in one document")
	case kind.Type != "header" && !l.begun:
		return fmt.Errorf("record type %q before the header", kind.Type)
	case l.ended:
		return fmt.Errorf("record type %q after the end", kind.Type)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	switch kind.Type {
	case "header":
		var v lineHeader
		if err := dec.Decode(&v); err != nil {
			return err
		}
		if v.Schema != finding.Schema {
			return schemaError(v.Schema)
		}
		l.begun = true
		return l.h.Begin(v.Header)
	case "finding":
		v := record{Finding: &finding.Finding{}}
		if err := dec.Decode(&v); err != nil {
			return err
		}
		if err := v.check(); err != nil {
			return err
		}
		return l.h.Finding(v.finding())
	case "compliance":
		var v clause
		if err := dec.Decode(&v); err != nil {
			return err
		}
		if err := checkClause(v.clause()); err != nil {
			return err
		}
		return l.h.Clause(v.clause())
	case "notScanned":
		var v finding.NotScanned
		if err := dec.Decode(&v); err != nil {
			return err
		}
		return l.h.NotScanned(v)
	case "end":
		var v lineEnd
		if err := dec.Decode(&v); err != nil {
			return err
		}
		l.ended = true
		return l.h.End(v.FinishedAt, v.Target, v.Stats)
	}
	return fmt.Errorf("unknown record type %q", kind.Type)
}
