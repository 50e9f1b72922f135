package feed

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
)

// buffered is the size up to which members of archives are copied to be decoded beside the walk.
const buffered = 4 << 20

// batch is how many events a worker collects before it hands them over.
const batch = 256

// event is one call of the sink, kept until its document's turn has come.
type event func(Sink) error

// job is one document on its way through a worker.
type job struct {
	reader *Reader
	doc    Document
	src    *source
	data   []byte    // the whole document, or
	body   io.Reader // its stream
	events chan []event
	done   chan struct{} // closed when the body is not needed any more
	result Result        // complete when events is closed
}

func newJob(r *Reader, src *source) *job {
	publisher, _, found := strings.Cut(src.path, "/")
	if !found {
		publisher = ""
	}
	for _, ext := range []string{".zst", ".gz", ".xz", ".bz2", ".tar", ".tgz", ".zip"} { // a publisher's folder may be an archive
		publisher = strings.TrimSuffix(publisher, ext)
	}
	return &job{
		reader: r, src: src, events: make(chan []event, 4), done: make(chan struct{}),
		doc:    Document{Path: src.path, Publisher: publisher, Size: -1},
		result: Result{Path: src.path, Reader: r.Name},
	}
}

func newBytes(b []byte) io.Reader { return bytes.NewReader(b) }

// run reads the document in a worker.
func (j *job) run(ctx context.Context) {
	defer close(j.events)
	defer close(j.done)
	defer j.src.close()
	body := j.body
	if j.data != nil || body == nil {
		body = bytes.NewReader(j.data)
	}
	in := &counter{r: body}
	j.doc.Body = in
	rec := &recorder{ctx: ctx, out: j.events}
	err := j.read(ctx, rec)
	rec.flush()
	j.result.Bytes = in.n
	j.data, j.body, j.doc.Body = nil, nil, nil
	if err != nil {
		j.result.Outcome, j.result.Err = Broken, err
	}
}

// read calls the reader; a panic in it loses one document, not the build.
func (j *job) read(ctx context.Context, s Sink) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reader %s failed: %v", j.reader.Name, p)
		}
	}()
	return j.reader.Read(ctx, j.doc, s)
}

// replay gives what the worker found to the sink.
func (j *job) replay(ctx context.Context, s Sink) error {
	for {
		select {
		case events, more := <-j.events:
			if !more {
				return nil
			}
			for _, e := range events {
				if err := e(s); err != nil {
					return fmt.Errorf("%s: %w", j.result.Path, err)
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// recorder is the sink that readers see: it checks rows and keeps the calls.
type recorder struct {
	ctx  context.Context
	out  chan<- []event
	kept []event
}

func (r *recorder) add(e event) error {
	if r.kept == nil {
		r.kept = make([]event, 0, batch)
	}
	if r.kept = append(r.kept, e); len(r.kept) == batch {
		return r.flush()
	}
	return nil
}

func (r *recorder) flush() error {
	if len(r.kept) == 0 {
		return nil
	}
	select {
	case r.out <- r.kept:
		r.kept = nil
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

func (r *recorder) Record(feed string) {
	_ = r.add(func(s Sink) error { s.Record(feed); return nil })
}

func (r *recorder) Row(row advisory.Row) error {
	if reason := Check(&row); reason != "" {
		r.Refused(row.Feed, record(&row), reason)
		return nil
	}
	return r.add(func(s Sink) error { return s.Row(row) })
}

func (r *recorder) Vulnerability(v advisory.Vulnerability) error {
	if v.ID == "" {
		r.Refused(v.Feed, path.Base(v.Title), "text without an id")
		return nil
	}
	return r.add(func(s Sink) error { return s.Vulnerability(v) })
}

func (r *recorder) Lifecycle(l advisory.Lifecycle) error {
	if !advisory.KnownStream(l.Stream) {
		r.Refused(l.Feed, l.Stream, "no such stream")
		return nil
	}
	return r.add(func(s Sink) error { return s.Lifecycle(l) })
}

func (r *recorder) Repository(feed string, repo advisory.Repository) error {
	return r.add(func(s Sink) error { return s.Repository(feed, repo) })
}

func (r *recorder) Modified(feed, date string) {
	_ = r.add(func(s Sink) error { s.Modified(feed, date); return nil })
}

func (r *recorder) Refused(feed, record, reason string) {
	_ = r.add(func(s Sink) error { s.Refused(feed, record, reason); return nil })
}

// maxName is the longest name of a package that is taken; the longest seen is a Maven coordinate of 120 bytes.
const maxName = 1000

// Check returns why a row cannot be taken, or "". Walk asks it for every row, so that a slip of a reader is counted as
// refused and does not reach the database.
func Check(r *advisory.Row) string {
	switch {
	case !advisory.KnownStream(r.Stream):
		return "no such stream"
	case strings.TrimSpace(r.Package) == "":
		return "no package name"
	case len(r.Package) > maxName || strings.TrimSpace(r.Package) != r.Package:
		return "no usable package name"
	case len(r.IDs) == 0 || slices.Contains(r.IDs, ""):
		return "no id"
	case r.Feed == "":
		return "no feed name"
	}
	fixed := false
	for _, g := range r.Ranges {
		fixed = fixed || g.Fixed != ""
	}
	switch {
	case fixed && r.State != advisory.Fixed:
		return "a fixed version with another state than fixed"
	case !fixed && r.State == advisory.Fixed:
		return "fixed without a version"
	}
	return ""
}

func record(r *advisory.Row) string {
	if r.Advisory != "" {
		return r.Advisory
	}
	if len(r.IDs) > 0 {
		return r.IDs[0]
	}
	return r.Package
}
