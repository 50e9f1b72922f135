package assess

import (
	"encoding/csv"
	"io"
	"strconv"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/report"
)

// csvForm writes a row for each clause and target, one for each finding behind it, and one for what was not looked at.
type csvForm struct {
	speaker
	raw  io.Writer
	w    *csv.Writer
	head *Head
}

func newCSV(w io.Writer, lang string) form {
	return &csvForm{speaker: speaker{lang}, raw: w, w: csv.NewWriter(w)}
}

var columns = []string{"record", "framework", "clause", "section", "title", "cluster", "verdict", "outcome", "active", "accepted", "setAside", "basis", "rules",
	"attestedVerdict", "attestedBy", "attestedAt", "attestedUntil", "attestationNote", "attestationEvidence", "judgedAt", "rulesDigest", "writtenAt",
	"findingId", "severity", "status", "finding", "object", "path", "found", "want"}

func (c *csvForm) row(values map[string]string) error {
	row := make([]string, len(columns))
	for i, name := range columns {
		row[i] = report.Cell(values[name])
	}
	return c.w.Write(row)
}

func (c *csvForm) begin(h *Head) error {
	c.head = h
	if _, err := io.WriteString(c.raw, "\ufeff"); err != nil { // spreadsheets take Chinese for another encoding without it
		return err
	}
	return c.w.Write(columns)
}

func (c *csvForm) target(l *browse.Look, list []Verdict) error {
	for i := range list {
		v := &list[i]
		common := map[string]string{"framework": v.Framework, "clause": v.Clause.Clause, "section": c.section(v), "title": c.title(v), "cluster": l.Target,
			"judgedAt": c.at(l.JudgedAt), "rulesDigest": l.Rules, "writtenAt": c.head.At.Format("2006-01-02 15:04") + " UTC"}
		row := with(common, map[string]string{"record": "clause", "verdict": v.Status, "outcome": string(v.Outcome), "active": strconv.Itoa(v.Open),
			"accepted": strconv.Itoa(v.Accepted), "setAside": strconv.Itoa(v.Aside), "basis": c.basis(v), "rules": rulesOf(v)})
		if a := v.Attestation; a != nil {
			row = with(row, map[string]string{"attestedVerdict": a.Verdict, "attestedBy": a.By, "attestedAt": c.at(a.At), "attestedUntil": c.at(a.ExpiresAt),
				"attestationNote": a.Note, "attestationEvidence": a.Evidence})
		}
		if err := c.row(row); err != nil {
			return err
		}
		for _, f := range v.Evidence {
			row := with(common, map[string]string{"record": "finding", "findingId": strconv.FormatInt(f.ID, 10), "severity": string(f.Finding.Severity),
				"status": f.Status.String(), "finding": f.Finding.Title.In(c.lang), "object": object(f.Finding.Resource), "rules": f.Rule})
			if len(f.Finding.Evidence) > 0 {
				e := f.Finding.Evidence[0]
				row["path"], row["found"], row["want"] = e.Path, report.Value(e.Found), report.Value(e.Want)
			}
			if err := c.row(row); err != nil {
				return err
			}
		}
	}
	c.w.Flush()
	return c.w.Error()
}

func rulesOf(v *Verdict) string {
	out := ""
	for i, r := range v.Entry.RuleNames() {
		if i > 0 {
			out += " "
		}
		out += r
	}
	return out
}

func with(a, b map[string]string) map[string]string {
	out := make(map[string]string, len(a)+len(b))
	for k, v := range a {
		out[k] = v
	}
	for k, v := range b {
		out[k] = v
	}
	return out
}

func (c *csvForm) gaps(list []browse.Gap, cut bool) error {
	for _, g := range list {
		err := c.row(map[string]string{"record": "notLookedAt", "framework": c.head.Framework.ID, "cluster": g.Target, "status": g.Code, "object": g.What, "basis": g.Reason})
		if err != nil {
			return err
		}
	}
	if cut {
		return c.row(map[string]string{"record": "notLookedAt", "basis": c.t("moreGaps")})
	}
	return nil
}

func (c *csvForm) end() error {
	c.w.Flush()
	return c.w.Error()
}
