package report

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// csvReport writes a row a finding and a row for everything that was not scanned, for spreadsheets. It begins with a byte
// order mark, without which they take Chinese for another encoding.
type csvReport struct {
	w    *csv.Writer
	raw  io.Writer
	lang string
}

func newCSV(w io.Writer, o Options) finding.Handler {
	return &csvReport{w: csv.NewWriter(w), raw: w, lang: o.Lang}
}

var csvColumns = []string{"record", "severity", "status", "rule", "ruleId", "risk", "kind", "cluster", "namespace", "resourceKind", "name", "container",
	"file", "line", "column", "title", "message", "path", "found", "want", "remediation", "references", "fingerprint", "suppressedBy", "reason"}

func (c *csvReport) Begin(finding.Header) error {
	if _, err := io.WriteString(c.raw, "\ufeff"); err != nil {
		return err
	}
	return c.w.Write(csvColumns)
}

// cell disarms text that a spreadsheet would run as a formula; names and values come from the scanned objects.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func (c *csvReport) row(cells ...string) error {
	for i := range cells {
		cells[i] = cell(cells[i])
	}
	return c.w.Write(cells)
}

func (c *csvReport) Finding(f *finding.Finding) error {
	r := f.Resource
	path, found, want := "", "", ""
	if len(f.Evidence) > 0 {
		path, found, want = f.Evidence[0].Path, compact(f.Evidence[0].Found), compact(f.Evidence[0].Want)
	}
	by, reason := "", ""
	if f.Suppression != nil {
		by, reason = f.Suppression.By, f.Suppression.Reason
	}
	return c.row("finding", string(f.Severity), string(f.Status), f.Rule, f.RuleID, f.Risk, string(f.Kind), r.Cluster, r.Namespace, r.Kind, r.Name,
		r.Container, r.File, number(r.Line), number(r.Column), f.Title.In(c.lang), f.Message.In(c.lang), path, found, want,
		f.Remediation.In(c.lang), strings.Join(f.References, " "), f.Fingerprint, by, reason)
}

func compact(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(data)
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func (c *csvReport) Clause(v finding.Clause) error {
	row := make([]string, len(csvColumns))
	row[0], row[2], row[3], row[4], row[15], row[24] = "compliance", string(v.Status), v.Framework, v.Clause, v.Title.In(c.lang), v.Reason.In(c.lang)
	return c.row(row...)
}

func (c *csvReport) NotScanned(n finding.NotScanned) error {
	row := make([]string, len(csvColumns))
	row[0], row[2], row[10], row[16], row[24] = "notScanned", string(n.Code), n.Target, n.What, n.Reason
	return c.row(row...)
}

func (c *csvReport) End(time.Time, finding.Target, finding.Stats) error {
	c.w.Flush()
	return c.w.Error()
}
