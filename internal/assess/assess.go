// Package assess writes a compliance framework for an auditor: what was judged when and by what, every verdict with its evidence,
// what people attested by hand, and what was not looked at.
package assess

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// Bounds of an assessment.
const (
	maxEvidence = 50 // findings of a clause in a target; the rest is told by number
	maxGaps     = 2000
	maxTargets  = 1000
)

// Forms lists the forms.
var Forms = []string{"html", "csv", "json"}

// Request says what is to be written.
type Request struct {
	Framework string
	Targets   []int64 // nil is all
	Form      string
	Lang      string
	By        string // who asked
	Version   string // of this program
}

// Head opens an assessment.
type Head struct {
	Framework *compliance.Framework
	At        time.Time
	By        string
	Version   string
	Looks     []browse.Look
	Cut       bool // there are more targets
}

// Verdict is one clause in one target.
type Verdict struct {
	browse.Clause
	Entry    *compliance.Entry // nil when the framework has no such clause any more
	Evidence []*browse.Full
}

// Total is how many findings stand behind the verdict.
func (v *Verdict) Total() int { return v.Open + v.Accepted + v.Aside }

// form writes one kind of file.
type form interface {
	begin(h *Head) error
	target(l *browse.Look, list []Verdict) error
	gaps(list []browse.Gap, cut bool) error
	end() error
}

// Written is what an assessment holds.
type Written struct{ Targets, Verdicts, Findings int }

// Writer writes assessments of what a Browser reads.
type Writer struct{ b *browse.Browser }

// New makes a Writer.
func New(b *browse.Browser) *Writer { return &Writer{b} }

// Has reports whether there is a framework of the id.
func (a *Writer) Has(framework string) bool {
	return a != nil && a.b.Catalog().Framework(framework) != nil
}

// Write writes what v sees of a framework. Nothing was written when the error wraps store.ErrNotFound.
func (a *Writer) Write(ctx context.Context, v identity.Visible, r Request, w io.Writer) (Written, error) {
	var done Written
	if !a.Has(r.Framework) {
		return done, fmt.Errorf("%w: no framework is named %q", store.ErrNotFound, r.Framework)
	}
	b := a.b
	var out form
	switch r.Form {
	case "html":
		out = newHTML(w, r.Lang)
	case "csv":
		out = newCSV(w, r.Lang)
	case "json":
		out = newJSON(w, r.Lang)
	default:
		return done, fmt.Errorf("form %q: want one of %v", r.Form, Forms)
	}
	h := &Head{Framework: b.Catalog().Framework(r.Framework), At: b.Now().UTC(), By: r.By, Version: r.Version}
	var err error
	if h.Looks, err = b.Looks(ctx, v, r.Framework, r.Targets); err != nil {
		return done, err
	}
	if len(h.Looks) > maxTargets {
		h.Looks, h.Cut = h.Looks[:maxTargets], true
	}
	if err := out.begin(h); err != nil {
		return done, err
	}
	var targets []int64
	for i := range h.Looks {
		l := &h.Looks[i]
		list, err := verdicts(ctx, b, v, r.Framework, l.TargetID)
		if err != nil {
			return done, err
		}
		for _, x := range list {
			done.Findings += len(x.Evidence)
		}
		done.Targets, done.Verdicts = done.Targets+1, done.Verdicts+len(list)
		targets = append(targets, l.TargetID)
		if err := out.target(l, list); err != nil {
			return done, err
		}
	}
	if len(targets) > 0 {
		gaps, cut, err := b.AllGaps(ctx, v, targets, maxGaps)
		if err != nil {
			return done, err
		}
		if err := out.gaps(gaps, cut); err != nil {
			return done, err
		}
	}
	return done, out.end()
}

// verdicts reads the clauses of a target with their evidence.
func verdicts(ctx context.Context, b *browse.Browser, v identity.Visible, framework string, target int64) ([]Verdict, error) {
	list, err := b.VerdictsOf(ctx, v, framework, target)
	if err != nil {
		return nil, err
	}
	out := make([]Verdict, 0, len(list))
	for _, c := range list {
		x := Verdict{Clause: c, Entry: b.Catalog().Entry(c.Framework, c.Clause)}
		if c.Open+c.Accepted+c.Aside > 0 {
			if x.Evidence, err = b.Evidence(ctx, v, framework, c.Clause, []int64{target}, maxEvidence); err != nil {
				return nil, err
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// Known reports whether a form is one of Forms.
func Known(form string) bool { return slices.Contains(Forms, form) }
