package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/report"
)

// outputs hands one stream to several forms.
type outputs struct {
	handlers []finding.Handler
	files    []*os.File
}

// openOutputs makes the handlers of -o flags: FORM to standard output (once), FORM=FILE to a file.
func openOutputs(specs []string, s streams, o report.Options) (*outputs, error) {
	out := &outputs{}
	stdout := false
	for _, spec := range specs {
		form, file, toFile := strings.Cut(spec, "=")
		var w io.Writer = s.out
		opts := o
		if toFile {
			if file == "" {
				return nil, usage("-o %s: the file name is missing", spec)
			}
			f, err := os.Create(file)
			if err != nil {
				return nil, errors.Join(fault.Wrap(fault.Usage, "-o "+spec, err), out.close())
			}
			out.files = append(out.files, f)
			w, opts.Color, opts.Width = f, false, 0
		} else if stdout {
			return nil, errors.Join(usage("-o %s: only one form can go to standard output; write the others to files: -o %s=FILE", spec, form), out.close())
		} else {
			stdout = true
		}
		h, err := report.New(form, w, opts)
		if err != nil {
			return nil, errors.Join(fault.Wrap(fault.Usage, "-o", err), out.close())
		}
		out.handlers = append(out.handlers, h)
	}
	return out, nil
}

func (o *outputs) each(f func(finding.Handler) error) error {
	for _, h := range o.handlers {
		if err := f(h); err != nil {
			return err
		}
	}
	return nil
}

func (o *outputs) Begin(h finding.Header) error {
	return o.each(func(v finding.Handler) error { return v.Begin(h) })
}

func (o *outputs) Finding(f *finding.Finding) error {
	return o.each(func(v finding.Handler) error { return v.Finding(f) })
}

func (o *outputs) Clause(c finding.Clause) error {
	return o.each(func(v finding.Handler) error { return v.Clause(c) })
}

func (o *outputs) NotScanned(n finding.NotScanned) error {
	return o.each(func(v finding.Handler) error { return v.NotScanned(n) })
}

func (o *outputs) End(at time.Time, t finding.Target, s finding.Stats) error {
	return o.each(func(v finding.Handler) error { return v.End(at, t, s) })
}

func (o *outputs) close() error {
	var errs []error
	for _, f := range o.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
