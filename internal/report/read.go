package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// Read plays a saved json or jsonl document to h.
func Read(r io.Reader, h finding.Handler) error {
	br := bufio.NewReaderSize(r, 1<<16)
	head, err := br.Peek(9)
	if err != nil && len(head) == 0 {
		return errors.New("the document is empty")
	}
	if string(head) == `{"type":"` {
		return readLines(br, h)
	}
	return readDocument(br, h)
}

// saved is the findings document as it is read back.
type saved struct {
	Schema     string               `json:"schema"`
	Tool       finding.Tool         `json:"tool"`
	Target     finding.Target       `json:"target"`
	StartedAt  time.Time            `json:"startedAt"`
	FinishedAt time.Time            `json:"finishedAt"`
	Findings   []record             `json:"findings"`
	Compliance []clause             `json:"compliance"`
	NotScanned []finding.NotScanned `json:"notScanned"`
	Stats      finding.Stats        `json:"stats"`
}

func readDocument(r io.Reader, h finding.Handler) error {
	var doc saved
	if err := json.NewDecoder(r).Decode(&doc); err != nil {
		return fmt.Errorf("not a findings document: %w", err)
	}
	if doc.Schema != finding.Schema {
		return fmt.Errorf("schema %q: want %q", doc.Schema, finding.Schema)
	}
	if err := h.Begin(finding.Header{Tool: doc.Tool, Target: doc.Target, StartedAt: doc.StartedAt}); err != nil {
		return err
	}
	for i, rec := range doc.Findings {
		if rec.Finding == nil {
			return fmt.Errorf("finding %d is empty", i)
		}
		if err := h.Finding(rec.finding()); err != nil {
			return err
		}
	}
	for _, c := range doc.Compliance {
		if err := h.Clause(c.clause()); err != nil {
			return err
		}
	}
	for _, n := range doc.NotScanned {
		if err := h.NotScanned(n); err != nil {
			return err
		}
	}
	return h.End(doc.FinishedAt, doc.Target, doc.Stats)
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

// maxLine bounds one record of a jsonl document.
const maxLine = 64 << 20

func readLines(r io.Reader, h finding.Handler) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 1<<16), maxLine)
	ended := false
	for n := 1; sc.Scan(); n++ {
		if len(sc.Bytes()) == 0 {
			continue
		}
		end, err := readLine(sc.Bytes(), h)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		ended = ended || end
	}
	if err := sc.Err(); err != nil {
		return err
	}
	if !ended {
		return errors.New("the document is cut off: its end record is missing")
	}
	return nil
}

func readLine(data []byte, h finding.Handler) (end bool, err error) {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return false, err
	}
	switch kind.Type {
	case "header":
		var v lineHeader
		if err := json.Unmarshal(data, &v); err != nil {
			return false, err
		}
		if v.Schema != finding.Schema {
			return false, fmt.Errorf("schema %q: want %q", v.Schema, finding.Schema)
		}
		return false, h.Begin(v.Header)
	case "finding":
		v := record{Finding: &finding.Finding{}}
		if err := json.Unmarshal(data, &v); err != nil {
			return false, err
		}
		return false, h.Finding(v.finding())
	case "compliance":
		var v clause
		if err := json.Unmarshal(data, &v); err != nil {
			return false, err
		}
		return false, h.Clause(v.clause())
	case "notScanned":
		var v finding.NotScanned
		if err := json.Unmarshal(data, &v); err != nil {
			return false, err
		}
		return false, h.NotScanned(v)
	case "end":
		var v lineEnd
		if err := json.Unmarshal(data, &v); err != nil {
			return false, err
		}
		return true, h.End(v.FinishedAt, v.Target, v.Stats)
	}
	return false, fmt.Errorf("unknown record type %q", kind.Type)
}
