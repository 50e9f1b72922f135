package report

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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

// The columns of a row, by place.
const (
	csvRecord = iota
	csvSeverity
	csvStatus
	csvRule
	csvRuleID
	csvRisk
	csvKind
	csvCluster
	csvNamespace
	csvResourceKind
	csvName
	csvContainer
	csvFile
	csvLine
	csvColumn
	csvTitle
	csvMessage
	csvPath
	csvFound
	csvWant
	csvRemediation
	csvReferences
	csvFingerprint
	csvSuppressedBy
	csvReason
	csvImage
	csvDigest
	csvPackage
	csvVersion
	csvFixed
	csvCVSS
	csvEPSS
	csvKEV
	csvScore
	csvVerdict
	csvVerified
	csvNotLooked
	csvWidth
)

var csvColumns = []string{"record", "severity", "status", "rule", "ruleId", "risk", "kind", "cluster", "namespace", "resourceKind", "name", "container",
	"file", "line", "column", "title", "message", "path", "found", "want", "remediation", "references", "fingerprint", "suppressedBy", "reason",
	"image", "digest", "package", "version", "fixedVersion", "cvss", "epss", "kev", "priority",
	"verdict", "checks", "notLookedAt"}

func (c *csvReport) Begin(finding.Header) error {
	if _, err := io.WriteString(c.raw, "\ufeff"); err != nil {
		return err
	}
	return c.w.Write(csvColumns)
}

// cell disarms text that a spreadsheet would run as a formula: names and values come from the scanned objects. Blanks before
// the sign do not stop a spreadsheet, and its wide forms count in East Asian settings.
func cell(s string) string {
	s = plain(s)
	trimmed := strings.TrimLeft(s, " \u00a0\u3000")
	if first, _ := utf8.DecodeRuneInString(trimmed); !strings.ContainsRune("=+-@＝＋－＠", first) {
		return s
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil && s[0] == '-' {
		return s // a negative number
	}
	return "'" + s
}

// Cell is text for a cell of a spreadsheet: nothing in it runs as a formula.
func Cell(s string) string { return cell(s) }

// Value is a value of evidence on one line: text as it is, the rest as JSON.
func Value(v any) string { return compact(v) }

func (c *csvReport) row(cells []string) error {
	for i := range cells {
		cells[i] = cell(cells[i])
	}
	return c.w.Write(cells)
}

func (c *csvReport) Finding(f *finding.Finding) error {
	r := f.Resource
	row := make([]string, csvWidth)
	row[csvRecord], row[csvSeverity], row[csvStatus] = "finding", string(f.Severity), string(f.Status)
	row[csvRule], row[csvRuleID], row[csvRisk], row[csvKind] = f.Rule, f.RuleID, f.Risk, string(f.Kind)
	row[csvCluster], row[csvNamespace], row[csvResourceKind], row[csvName] = r.Cluster, r.Namespace, r.Kind, r.Name
	row[csvContainer], row[csvFile], row[csvLine], row[csvColumn] = r.Container, r.File, number(r.Line), number(r.Column)
	row[csvTitle], row[csvMessage], row[csvRemediation] = f.Title.In(c.lang), f.Message.In(c.lang), f.Remediation.In(c.lang)
	if len(f.Evidence) > 0 {
		e := f.Evidence[0]
		row[csvPath], row[csvFound], row[csvWant] = e.Path, compact(e.Found), compact(e.Want)
	}
	row[csvReferences], row[csvFingerprint] = strings.Join(f.References, " "), f.Fingerprint
	if s := f.Suppression; s != nil {
		row[csvSuppressedBy], row[csvReason] = s.By, s.Reason
	}
	row[csvImage], row[csvDigest] = r.Image, r.Digest
	if v := f.Vulnerability; v != nil {
		row[csvPackage], row[csvVersion], row[csvFixed], row[csvKEV] = v.Package, v.Version, v.FixedVersion, strconv.FormatBool(v.KEV)
		row[csvCVSS], row[csvEPSS] = decimal(v.CVSS), decimal(v.EPSS)
	}
	if f.Priority != nil {
		row[csvScore] = strconv.Itoa(f.Priority.Score)
	}
	if v := f.Emergency; v != nil {
		w := verifiedWordsIn(c.lang)
		var checks []string
		for i := range v.Checks {
			checks = append(checks, w.check(&v.Checks[i], c.lang))
		}
		row[csvVerdict], row[csvVerified], row[csvNotLooked] = v.Verdict, strings.Join(checks, w.separator), notLooked(v, c.lang)
	}
	return c.row(row)
}

func decimal(v float64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// compact is a value on one line: text as it is, the rest as JSON.
func compact(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	}
	data, err := marshal(v)
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
	row := make([]string, csvWidth)
	row[csvRecord], row[csvStatus], row[csvRule], row[csvRuleID] = "compliance", string(v.Status), v.Framework, v.Clause
	row[csvTitle], row[csvReason] = v.Title.In(c.lang), v.Reason.In(c.lang)
	return c.row(row)
}

func (c *csvReport) NotScanned(n finding.NotScanned) error {
	row := make([]string, csvWidth)
	row[csvRecord], row[csvStatus], row[csvName], row[csvMessage], row[csvReason] = "notScanned", string(n.Code), n.Target, n.What, n.Reason
	return c.row(row)
}

func (c *csvReport) End(time.Time, finding.Target, finding.Stats) error {
	c.w.Flush()
	return c.w.Error()
}
