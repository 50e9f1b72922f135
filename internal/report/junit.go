package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// junit writes the XML that CI systems read as test results: a suite a file or namespace, a failed case a finding. What was
// not scanned is a skipped case, or an error when it was asked for; a clean scan is one passed case, not an empty file.
type junit struct {
	w      io.Writer
	opt    Options
	target finding.Target
	start  time.Time
	suites []*junitSuite
	byName map[string]*junitSuite
}

type junitSuites struct {
	XMLName  xml.Name      `xml:"testsuites"`
	Name     string        `xml:"name,attr"`
	Tests    int           `xml:"tests,attr"`
	Failures int           `xml:"failures,attr"`
	Errors   int           `xml:"errors,attr"`
	Skipped  int           `xml:"skipped,attr"`
	Time     string        `xml:"time,attr"`
	Suites   []*junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string       `xml:"name,attr"`
	Class   string       `xml:"classname,attr"`
	File    string       `xml:"file,attr,omitempty"`
	Line    int          `xml:"line,attr,omitempty"`
	Failure *junitDetail `xml:"failure"`
	Error   *junitDetail `xml:"error"`
	Skipped *junitDetail `xml:"skipped"`
}

type junitDetail struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

func newJUnit(w io.Writer, o Options) finding.Handler {
	return &junit{w: w, opt: o, byName: map[string]*junitSuite{}}
}

func (j *junit) Begin(h finding.Header) error {
	j.target, j.start = h.Target, h.StartedAt
	return nil
}

func (j *junit) add(suite string, c junitCase) {
	s := j.byName[suite]
	if s == nil {
		s = &junitSuite{Name: suite}
		j.byName[suite] = s
		j.suites = append(j.suites, s)
	}
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

func (j *junit) Finding(f *finding.Finding) error {
	lang := j.opt.Lang
	c := junitCase{Name: fmt.Sprintf("%s %s", f.Rule, object(f.Resource)), Class: f.Rule, File: f.Resource.File, Line: f.Resource.Line}
	if f.Suppression != nil {
		c.Skipped = &junitDetail{Message: f.Suppression.By + ": " + f.Suppression.Reason}
	} else {
		c.Failure = &junitDetail{Message: f.Message.In(lang), Type: string(f.Severity),
			Text: fmt.Sprintf("%s\n%s\n%s", place(f.Resource), f.Message.In(lang), f.Remediation.In(lang))}
	}
	suite := f.Resource.File
	if suite == "" {
		suite = orDash(f.Resource.Namespace)
	}
	j.add(suite, c)
	return nil
}

func (j *junit) Clause(c finding.Clause) error {
	out := junitCase{Name: c.Clause + " " + c.Title.In(j.opt.Lang), Class: c.Framework}
	switch c.Status {
	case finding.Fail:
		out.Failure = &junitDetail{Message: fmt.Sprintf("%d", len(c.Findings)), Type: "compliance"}
	case finding.Manual, finding.NotApplicable:
		out.Skipped = &junitDetail{Message: c.Reason.In(j.opt.Lang)}
	}
	j.add(c.Framework, out)
	return nil
}

func (j *junit) NotScanned(n finding.NotScanned) error {
	c := junitCase{Name: n.Target + ": " + n.What, Class: "not-scanned"}
	detail := &junitDetail{Message: n.Reason, Type: string(n.Code)}
	if n.Code.Blocking() {
		c.Error = detail
	} else {
		c.Skipped = detail
	}
	j.add("not scanned", c)
	return nil
}

func (j *junit) End(at time.Time, t finding.Target, s finding.Stats) error {
	doc := junitSuites{Name: "stockade " + t.Kind + " " + t.Name, Time: fmt.Sprintf("%.3f", at.Sub(j.start).Seconds())}
	if len(j.suites) == 0 {
		j.add(orDash(t.Name), junitCase{Name: fmt.Sprintf("%d objects, %d rules", s.Objects, s.Rules), Class: "stockade"})
	}
	for _, v := range j.suites {
		doc.Tests += v.Tests
		doc.Failures += v.Failures
		doc.Errors += v.Errors
		doc.Skipped += v.Skipped
	}
	doc.Suites = j.suites
	if _, err := io.WriteString(j.w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(j.w)
	enc.Indent("", " ")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(j.w, "\n")
	return err
}
