package assess

import (
	"bufio"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
)

// jsonForm writes one document, target by target.
type jsonForm struct {
	speaker
	w     *bufio.Writer
	first bool
	told  bool // the gaps
}

func newJSON(w io.Writer, lang string) form {
	return &jsonForm{speaker: speaker{lang}, w: bufio.NewWriter(w), first: true}
}

type jsonHead struct {
	Document  string    `json:"document"`
	Language  string    `json:"language"`
	Framework string    `json:"framework"`
	Title     string    `json:"title"`
	Source    string    `json:"source"`
	Note      string    `json:"note"`
	WrittenAt time.Time `json:"writtenAt"`
	By        string    `json:"by,omitempty"`
	Version   string    `json:"version,omitempty"`
	Cut       bool      `json:"moreTargets,omitempty"`
}

type jsonTarget struct {
	Target   string    `json:"target"`
	TargetID string    `json:"targetId"`
	JudgedAt time.Time `json:"judgedAt"`
	Objects  int       `json:"objects"`
	Rules    string    `json:"rulesDigest"`
	Advisory string    `json:"databaseDigest,omitempty"`
	Pass     int       `json:"pass"`
	Fail     int       `json:"fail"`
	Manual   int       `json:"manual"`
	NotApply int       `json:"notApplicable"`
	Score    int       `json:"score"`
	Verdicts []jsonOne `json:"clauses"`
}

type jsonOne struct {
	Clause      string              `json:"clause"`
	Section     string              `json:"section,omitempty"`
	Title       string              `json:"title"`
	Verdict     string              `json:"verdict"`
	Outcome     browse.Outcome      `json:"outcome"`
	Basis       string              `json:"basis,omitempty"`
	Rules       []string            `json:"rules,omitempty"`
	Active      int                 `json:"active"`
	Accepted    int                 `json:"accepted"`
	Aside       int                 `json:"setAside"`
	Attestation *browse.Attestation `json:"attestation,omitempty"`
	Evidence    []jsonFinding       `json:"evidence,omitempty"`
}

type jsonFinding struct {
	ID       string             `json:"id"`
	Rule     string             `json:"rule"`
	Severity finding.Severity   `json:"severity"`
	Status   string             `json:"status"`
	Title    string             `json:"title"`
	Message  string             `json:"message"`
	Resource finding.Resource   `json:"resource"`
	Evidence []finding.Evidence `json:"evidence,omitempty"`
}

// put writes a value without the line break behind it.
func (j *jsonForm) put(before string, v any) error {
	if _, err := j.w.WriteString(before); err != nil {
		return err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = j.w.Write(data)
	return err
}

func (j *jsonForm) begin(h *Head) error {
	err := j.put(`{"head":`, jsonHead{"stockade.assessment/v1", j.lang, h.Framework.ID, h.Framework.Title.In(j.lang), h.Framework.Source, h.Framework.Note.In(j.lang), h.At, h.By, h.Version, h.Cut})
	if err == nil {
		_, err = j.w.WriteString(`,"targets":[`)
	}
	return err
}

func (j *jsonForm) target(l *browse.Look, list []Verdict) error {
	t := jsonTarget{Target: l.Target, TargetID: strconv.FormatInt(l.TargetID, 10), JudgedAt: l.JudgedAt.UTC(), Objects: l.Objects, Rules: l.Rules, Advisory: l.Database,
		Pass: l.Pass, Fail: l.Fail, Manual: l.Manual, NotApply: l.NotApplicable, Score: l.Score, Verdicts: []jsonOne{}}
	for i := range list {
		v := &list[i]
		one := jsonOne{Clause: v.Clause.Clause, Section: j.section(v), Title: j.title(v), Verdict: v.Status, Outcome: v.Outcome, Basis: j.basis(v), Rules: v.Entry.RuleNames(),
			Active: v.Open, Accepted: v.Accepted, Aside: v.Aside, Attestation: v.Attestation}
		for _, f := range v.Evidence {
			one.Evidence = append(one.Evidence, jsonFinding{strconv.FormatInt(f.ID, 10), f.Rule, f.Finding.Severity, f.Status.String(), f.Finding.Title.In(j.lang), f.Finding.Message.In(j.lang), f.Finding.Resource, f.Finding.Evidence})
		}
		t.Verdicts = append(t.Verdicts, one)
	}
	before := ",\n"
	if j.first {
		before, j.first = "\n", false
	}
	return j.put(before, t)
}

func (j *jsonForm) gaps(list []browse.Gap, cut bool) error {
	if list == nil {
		list = []browse.Gap{}
	}
	j.told = true
	if err := j.put("],\n\"notLookedAt\":", list); err != nil {
		return err
	}
	return j.put(`,"moreNotLookedAt":`, cut)
}

func (j *jsonForm) end() error {
	if !j.told {
		if err := j.gaps(nil, false); err != nil {
			return err
		}
	}
	if _, err := j.w.WriteString("}\n"); err != nil {
		return err
	}
	return j.w.Flush()
}
