package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"stockade.dev/stockade/internal/api/client"
	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/report"
	"stockade.dev/stockade/internal/scan"
)

// current is what --server without a name means.
const current = "the last login"

// upload scans folders on a server: it sends their files, waits, and prints what the project has now, with the exit codes of a
// scan here.
func (f *scanFlags) upload(ctx context.Context, s streams, server, project string, paths []string, opt manifest.WalkOptions) error {
	for flag, given := range map[string]bool{"--rules": f.rules != "", "--baseline": f.baseline != "", "--exceptions": f.exceptions != "", "--only": len(f.only) > 0, "--skip": len(f.skip) > 0, "--framework": len(f.frameworks) > 0} {
		if given {
			return usage("%s and --server do not go together: the server has its own rules and exceptions", flag)
		}
	}
	if len(paths) != 1 || paths[0] == "-" {
		return usage("--server: name one folder")
	}
	if f.failOn != "" {
		if _, err := finding.ParseSeverity(f.failOn); err != nil {
			return usage("--fail-on: %v", err)
		}
	}
	if server == current {
		server = ""
	}
	r := &remote{s: s, server: server}
	c, err := r.open()
	if err != nil {
		return err
	}
	if project == "" {
		abs, err := filepath.Abs(paths[0])
		if err != nil {
			return fault.Wrap(fault.Input, "", err)
		}
		project = filepath.Base(abs)
	}
	var t taskRow
	open := func() (io.Reader, error) { return pack(ctx, paths[0], opt), nil }
	if err := c.Upload(ctx, "/projects/"+url.PathEscape(project)+"/scans", "application/gzip", open, &t); err != nil {
		return answered(err)
	}
	t, err = waitTask(ctx, c, t.ID, func(t taskRow) {
		if !f.quiet {
			fmt.Fprintf(s.err, "%s: task %s is %s\n", project, t.ID, t.Status)
		}
	})
	if err != nil {
		return err
	}
	if t.Status == "failed" || t.Status == "canceled" {
		return f.whyFailed(ctx, c, t)
	}
	return f.printProject(ctx, s, c, t)
}

// pack writes the files of a folder, those that ignore files leave, as tar.gz.
func pack(ctx context.Context, dir string, opt manifest.WalkOptions) io.Reader {
	r, w := io.Pipe()
	go func() {
		z := gzip.NewWriter(w)
		t := tar.NewWriter(z)
		err := manifest.Files(ctx, dir, opt, func(rel string) error { return packFile(t, dir, rel) })
		_ = w.CloseWithError(errors.Join(err, t.Close(), z.Close())) // it never fails
	}()
	return r
}

func packFile(t *tar.Writer, dir, rel string) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(rel)))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > 10<<20 { // the server would refuse it
		return nil
	}
	if err := t.WriteHeader(&tar.Header{Name: rel, Size: info.Size(), Mode: 0o644, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err = io.CopyN(t, f, info.Size())
	return err
}

func (f *scanFlags) whyFailed(ctx context.Context, c *client.Client, t taskRow) error {
	for item, err := range client.All[taskItem](ctx, c, "/tasks/"+url.PathEscape(t.ID)+"/items", nil) {
		if err != nil {
			return answered(err)
		}
		if item.Error != "" {
			return fault.New(fault.Input, "the server could not scan it: %s", printable(item.Error))
		}
	}
	return fault.New(fault.Input, "the task is %s", t.Status)
}

// printProject prints the findings of the project that the task was about.
func (f *scanFlags) printProject(ctx context.Context, s streams, c *client.Client, t taskRow) error {
	full, err := client.Get[struct {
		Targets []struct{ ID string } `json:"targets"`
	}](ctx, c, "/tasks/"+url.PathEscape(t.ID), nil)
	if err != nil {
		return answered(err)
	}
	if len(full.Targets) != 1 {
		return fault.New(fault.Internal, "the task has %d projects", len(full.Targets))
	}
	out, err := openOutputs(f.outputs, s, f.options(s.out))
	if err != nil {
		return err
	}
	sum := &tally{outputs: out, Summary: scan.Summary{Worst: map[finding.Severity]int{}}}
	in, w := io.Pipe()
	go func() {
		q := url.Values{"target": {full.Targets[0].ID}, "form": {"jsonl"}, "status": {"open,reopened,unseen,ignored,accepted"}}
		_ = w.CloseWithError(c.Download(ctx, "/findings/export?"+q.Encode(), "", w)) // it never fails
	}()
	err = report.Read(in, sum)
	_ = in.Close()
	if err = errors.Join(answered(err), out.close()); err != nil {
		return err
	}
	if t.Status == "partial" && sum.Partial == 0 {
		sum.Partial = 1
	}
	return f.verdict(&sum.Summary)
}

// tally counts what goes to the outputs, for the exit code.
type tally struct {
	*outputs
	scan.Summary
}

// Finding implements finding.Handler.
func (t *tally) Finding(f *finding.Finding) error {
	t.Total++
	if f.Status == finding.Open {
		t.Worst[f.Severity]++
	}
	return t.outputs.Finding(f)
}
