package report

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// junit writes the XML that CI systems read as test results: a suite a file or namespace, a failed case a finding. What was
// not scanned is a skipped case, or an error when it was asked for; a clean scan is one passed case, not an empty file.
type junit struct {
	w      io.Writer
	opt    Options
	words  words
	dir    string
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
	return &junit{w: w, opt: o, words: wordsIn(o.Lang), dir: o.dir(), byName: map[string]*junitSuite{}}
}

func (j *junit) Begin(h finding.Header) error {
	j.start = h.StartedAt
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
	lang, r := j.opt.Lang, f.Resource
	if r.File = relative(r.File, j.dir); onNode(r) {
		r.File = strings.TrimLeft(r.File, "/")
	}
	name := plain(f.Rule + " " + object(r))
	if r.Container != "" {
		name += plain(" " + r.Container)
	}
	suite := plain(r.File)
	if v := f.Vulnerability; v != nil {
		name += plain(" " + v.Package + " " + v.Version)
	}
	if r.Image != "" && r.Kind == "" {
		suite = plain(r.Image)
	}
	c := junitCase{Name: name, Class: plain(f.Rule), File: plain(r.File), Line: r.Line}
	if s := f.Suppression; s != nil {
		c.Skipped = &junitDetail{Message: plain(strings.TrimSuffix(s.By+": "+s.Reason, ": "))}
	} else {
		text := []string{place(r), plain(f.Message.In(lang))}
		for _, m := range f.Mitigations {
			text = append(text, plain(m.In(lang)))
		}
		text = append(text, verifiedLines(f, lang)...)
		if fix := f.Remediation.In(lang); fix != "" {
			text = append(text, plain(fix))
		}
		c.Failure = &junitDetail{Message: plain(f.Message.In(lang)), Type: string(f.Severity), Text: strings.Join(text, "\n")}
	}
	if suite == "" {
		suite = plain(r.Namespace)
	}
	if suite == "" {
		suite = j.words.clusterWide
	}
	j.add(suite, c)
	return nil
}

func (j *junit) Clause(c finding.Clause) error {
	out := junitCase{Name: plain(c.Clause + " " + c.Title.In(j.opt.Lang)), Class: plain(c.Framework)}
	switch c.Status {
	case finding.Fail:
		out.Failure = &junitDetail{Message: j.words.failed(len(c.Findings)), Type: "compliance", Text: strings.Join(c.Findings, "\n")}
	case finding.Manual, finding.NotApplicable:
		message := j.words.clause[c.Status]
		if why := c.Reason.In(j.opt.Lang); why != "" {
			message += ": " + plain(why)
		}
		out.Skipped = &junitDetail{Message: message}
	}
	j.add(plain(c.Framework), out)
	return nil
}

func (j *junit) NotScanned(n finding.NotScanned) error {
	c := junitCase{Name: plain(n.Target + ": " + n.What), Class: "not-scanned"}
	detail := &junitDetail{Message: plain(n.Reason), Type: string(n.Code)}
	if n.Code.Blocking() {
		c.Error = detail
	} else {
		c.Skipped = detail
	}
	j.add(j.words.notScanned, c)
	return nil
}

func (j *junit) End(at time.Time, t finding.Target, s finding.Stats) error {
	if len(j.suites) == 0 {
		j.add(orDash(plain(t.Name)), junitCase{Name: fmt.Sprintf(j.words.clean, s.Objects, s.Rules), Class: "stockade"})
	}
	doc := junitSuites{Name: plain("stockade " + t.Kind + " " + t.Name), Time: fmt.Sprintf("%.3f", max(0, at.Sub(j.start).Seconds())), Suites: j.suites}
	for _, v := range j.suites {
		doc.Tests += v.Tests
		doc.Failures += v.Failures
		doc.Errors += v.Errors
		doc.Skipped += v.Skipped
	}
	out := bufio.NewWriter(j.w)
	out.WriteString(xml.Header) // bufio keeps the first error for Flush
	enc := xml.NewEncoder(out)
	enc.Indent("", " ")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	out.WriteByte('\n')
	return out.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
