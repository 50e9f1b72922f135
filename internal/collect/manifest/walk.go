package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// FileKind says what Walk found.
type FileKind string

// The kinds of files.
const (
	Manifest      FileKind = "manifest"      // YAML or JSON; Data is set
	Dockerfile    FileKind = "dockerfile"    // Data is set
	Chart         FileKind = "chart"         // a Helm chart; Objects is set
	Kustomization FileKind = "kustomization" // Objects is set
	Unread        FileKind = "unread"        // only Problems
)

// File is one thing that Walk found.
type File struct {
	Path     string // as the user would name it, with slashes; "-" for standard input
	Kind     FileKind
	Data     []byte
	Objects  []*inventory.Object
	Problems []Problem
}

// WalkOptions says what to look for. The zero value reads plain manifests only.
type WalkOptions struct {
	Limits Limits
	Stdin  io.Reader // for the path "-"

	// IsDockerfile reports whether a file of this base name is a Dockerfile; nil means that none is.
	IsDockerfile func(name string) bool
	// RenderChart renders a chart: a folder when archive is nil, otherwise a packed chart. Nil leaves charts out. It is
	// called from several goroutines.
	RenderChart func(ctx context.Context, path string, archive []byte, lim Limits) ([]*inventory.Object, []Problem)
	// BuildKustomization builds the kustomization in dir, which may read files below root. consumed are the absolute
	// paths of the files that need not be read on their own. Nil leaves kustomizations out: their resources are then read as plain manifests.
	// It is called from several goroutines.
	BuildKustomization func(ctx context.Context, root, dir string, lim Limits) (objs []*inventory.Object, consumed []string, problems []Problem)

	Exclude       []string // more patterns in .gitignore form, relative to each folder given
	NoIgnoreFiles bool     // do not read .gitignore and .stockadeignore
	NoExcludes    bool     // read .git, node_modules and vendor too
}

// Walk finds the files of paths, in the order given and by name below a folder, and hands each to emit, which is called
// from one goroutine. What cannot be read is emitted as Unread. The error is that of ctx or of emit.
//
// A path that is named is always read, whatever it is called and wherever a symbolic link leads. Below a folder, Walk
// reads *.yaml, *.yml, *.json, Dockerfiles, charts (folders and archives with a Chart.yaml) and kustomizations; it leaves
// out what .gitignore and .stockadeignore say, follows no link out of the folder and reads no file twice.
func Walk(ctx context.Context, paths []string, opt WalkOptions, emit func(File) error) error {
	opt.Limits = opt.Limits.WithDefaults()
	w := &walk{ctx: ctx, opt: opt, seen: map[string]bool{}}
	for _, p := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.path(p)
	}
	w.build()
	return w.read(emit)
}

// found is a file that is to be read, or a problem.
type found struct {
	name string // as the user would name it
	real string // absolute, without links; "" for standard input
	kind FileKind
	root string // a kustomization may read below it
	peek bool   // an archive of which it is not known that it holds a chart
	user bool   // the user named it

	file File // what is known already: problems, or what was built
	done bool // file is complete
	gone bool // consumed by a kustomization
}

// walk is the state of one Walk.
type walk struct {
	ctx   context.Context
	opt   WalkOptions
	found []*found
	seen  map[string]bool // real paths in found
}

func (w *walk) unread(name, what, reason string, code finding.Code) {
	w.found = append(w.found, &found{name: name, done: true, file: File{Path: name, Kind: Unread,
		Problems: []Problem{{File: name, What: what, Reason: reason, Code: code}}}})
}

func (w *walk) failed(name, what string, err error) {
	code := finding.Broken
	if errors.Is(err, fs.ErrPermission) {
		code = finding.Forbidden
	}
	w.unread(name, what, reasonOf(err), code)
}

// reasonOf is the error without the path, which stands before it already.
func reasonOf(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}

// add notes a file unless it is there already.
func (w *walk) add(f *found) {
	if f.real != "" {
		if w.seen[f.real] {
			return
		}
		w.seen[f.real] = true
	}
	w.found = append(w.found, f)
}

// path takes one of the paths that the user named.
func (w *walk) path(name string) {
	if name == "-" {
		w.found = append(w.found, &found{name: name, kind: Manifest})
		return
	}
	info, err := os.Stat(name)
	if err != nil {
		w.failed(filepath.ToSlash(name), "path", err)
		return
	}
	abs, err := filepath.Abs(name)
	if err == nil {
		if real, e := filepath.EvalSymlinks(abs); e == nil {
			abs = real
		}
	}
	if info.IsDir() {
		w.folder(filepath.Clean(name), abs)
		return
	}
	f := &found{name: filepath.ToSlash(filepath.Clean(name)), real: abs, kind: Manifest, user: true}
	base := filepath.Base(name)
	switch {
	case w.opt.IsDockerfile != nil && w.opt.IsDockerfile(base):
		f.kind = Dockerfile
	case w.opt.RenderChart != nil && isArchive(base):
		f.kind, f.peek = Chart, true
	case w.opt.RenderChart != nil && base == "Chart.yaml":
		f.kind, f.name, f.real = Chart, path.Dir(f.name), filepath.Dir(abs)
	case w.opt.BuildKustomization != nil && kustomizations[base]:
		f.kind, f.root = Kustomization, repository(filepath.Dir(abs))
	}
	w.add(f)
}

// kustomizations are the names that kustomize knows its file by.
var kustomizations = map[string]bool{"kustomization.yaml": true, "kustomization.yml": true, "Kustomization": true}

func isArchive(base string) bool {
	return strings.HasSuffix(base, ".tgz") || strings.HasSuffix(base, ".tar.gz")
}

// repository returns the root of the repository that dir is in, or dir itself: what belongs together in one checkout may
// refer to each other, anything outside may not be read.
func repository(dir string) string {
	for d := dir; ; {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			return d
		}
		up := filepath.Dir(d)
		if up == d {
			return dir
		}
		d = up
	}
}

// build builds the kustomizations first, because the files that they consume are not judged again on their own. A
// kustomization that another one consumes is reported there.
func (w *walk) build() {
	var list []*found
	for _, f := range w.found {
		if f.kind == Kustomization && !f.done {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return
	}
	consumed := make([][]string, len(list))
	parallel(len(list), func(i int) {
		f := list[i]
		if w.ctx.Err() != nil {
			return
		}
		var objs []*inventory.Object
		var problems []Problem
		objs, consumed[i], problems = w.opt.BuildKustomization(w.ctx, f.root, filepath.Dir(f.real), w.opt.Limits)
		f.file = File{Path: f.name, Kind: Kustomization, Objects: w.named(objs, f), Problems: problems}
		for j := range problems {
			problems[j].File = w.rename(problems[j].File, f)
		}
	})
	by := map[string]bool{}
	told := map[Problem]bool{} // a base tells the same to each that uses it
	for i, f := range list {
		f.done = true
		f.file.Problems = slices.DeleteFunc(f.file.Problems, func(p Problem) bool {
			known := told[p]
			told[p] = true
			return known
		})
		for _, c := range consumed[i] {
			if c != f.real {
				by[c] = true
			}
		}
	}
	for _, f := range w.found {
		f.gone = by[f.real]
	}
}

// named gives the objects of a kustomization the file names that the user knows.
func (w *walk) named(objs []*inventory.Object, f *found) []*inventory.Object {
	for _, o := range objs {
		o.Origin.File = w.rename(o.Origin.File, f)
	}
	return objs
}

// rename turns an absolute path that a kustomization reported into a path from where the user stands.
func (w *walk) rename(file string, f *found) string {
	if !filepath.IsAbs(file) {
		return file
	}
	rel, err := filepath.Rel(filepath.Dir(f.real), file)
	if err != nil {
		return filepath.ToSlash(file)
	}
	return path.Join(path.Dir(f.name), filepath.ToSlash(rel))
}

// parallel calls f for 0 to n-1 from as many goroutines as there are processors.
func parallel(n int, f func(i int)) {
	next := make(chan int)
	done := make(chan struct{})
	workers := min(n, runtime.GOMAXPROCS(0))
	for range workers {
		go func() {
			for i := range next {
				f(i)
			}
			done <- struct{}{}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	for range workers {
		<-done
	}
}

// read reads the files and emits them in order. Charts take long, so a few are rendered ahead.
func (w *walk) read(emit func(File) error) error {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	ahead := make(chan chan File, runtime.GOMAXPROCS(0))
	go func() {
		defer close(ahead)
		for _, f := range w.found {
			if f.gone {
				continue
			}
			result := make(chan File, 1)
			select {
			case ahead <- result:
			case <-ctx.Done():
				return
			}
			if f.kind == Chart && !f.done {
				go func() { result <- w.load(ctx, f) }()
			} else {
				result <- w.load(ctx, f)
			}
		}
	}()
	for result := range ahead {
		select {
		case file := <-result:
			if file.Kind == "" {
				continue
			}
			if err := emit(file); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return w.ctx.Err()
}

// load reads one file. A File without a kind is nothing that concerns us.
func (w *walk) load(ctx context.Context, f *found) File {
	if f.done {
		return f.file
	}
	file := File{Path: f.name, Kind: f.kind}
	if f.kind == Chart && !f.peek {
		file.Objects, file.Problems = w.opt.RenderChart(ctx, f.name, nil, w.opt.Limits)
		return file
	}
	data, problem := w.content(ctx, f)
	if problem != nil {
		problem.File = f.name
		return File{Path: f.name, Kind: Unread, Problems: []Problem{*problem}}
	}
	if data == nil {
		return File{}
	}
	if f.kind == Chart {
		file.Objects, file.Problems = w.opt.RenderChart(ctx, f.name, data, w.opt.Limits)
		return file
	}
	file.Data = data
	if f.kind == Manifest && w.opt.IsDockerfile != nil && !isData(f.name) && opensDockerfile(data) {
		file.Kind = Dockerfile
	}
	return file
}

// isData reports whether the extension says that it is YAML or JSON.
func isData(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// opensDockerfile reports whether the first instruction is one that a Dockerfile begins with. It is asked for files of
// other names that the user named, and for standard input.
func opensDockerfile(data []byte) bool {
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		word, _, _ := strings.Cut(string(line[:min(len(line), 8)]), " ")
		return strings.EqualFold(word, "FROM") || strings.EqualFold(word, "ARG")
	}
	return false
}

// content reads a file within the limit. Both results are nil for a file that cannot hold objects of ours.
func (w *walk) content(ctx context.Context, f *found) ([]byte, *Problem) {
	limit := w.opt.Limits.FileBytes
	if f.real == "" {
		if w.opt.Stdin == nil {
			return nil, &Problem{What: "standard input", Reason: "there is none", Code: finding.Broken}
		}
		return w.within(readAll(ctx, func() (io.ReadCloser, error) { return io.NopCloser(w.opt.Stdin), nil }, limit))
	}
	info, err := os.Stat(f.real)
	if err != nil {
		return w.within(nil, err)
	}
	if !info.Mode().IsRegular() {
		return w.within(readAll(ctx, func() (io.ReadCloser, error) { return os.Open(f.real) }, limit))
	}
	in, err := os.Open(f.real)
	if err != nil {
		return w.within(nil, err)
	}
	defer in.Close()
	if f.peek {
		if err := findChart(in, w.opt.Limits); err != nil {
			return nil, noChart(err, f.user)
		}
		if _, err := in.Seek(0, io.SeekStart); err != nil {
			return w.within(nil, err)
		}
	}
	if info.Size() > limit {
		if f.kind == Manifest && !promisingFile(in) {
			return nil, nil
		}
		return nil, tooLarge(limit)
	}
	buf := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	_, err = buf.ReadFrom(io.LimitReader(in, limit+1))
	return w.within(buf.Bytes(), err)
}

// noChart is what to tell about an archive that is no chart: nothing, unless the user named it or a chart may be in it.
func noChart(err error, user bool) *Problem {
	code := finding.Skipped
	switch {
	case user && err == errTooDeep:
		code = finding.Limit
	case user && err == errNoArchive:
		code = finding.Broken
	case !user && err != errTooDeep:
		return nil
	}
	return &Problem{What: "archive", Reason: err.Error(), Code: code}
}

func (w *walk) within(data []byte, err error) ([]byte, *Problem) {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, &Problem{What: "file", Reason: reasonOf(err), Code: finding.Forbidden}
	case err != nil:
		return nil, &Problem{What: "file", Reason: reasonOf(err), Code: finding.Broken}
	case int64(len(data)) > w.opt.Limits.FileBytes:
		return nil, tooLarge(w.opt.Limits.FileBytes)
	case data == nil:
		data = []byte{}
	}
	return data, nil
}

func tooLarge(limit int64) *Problem {
	return &Problem{What: "file", Reason: fmt.Sprintf("larger than %d bytes", limit), Code: finding.Limit}
}

// readAll reads a pipe or a device that the user named, at most one byte more than limit. It may never end, so ctx ends
// it; the goroutine that hangs in the system call is left to the end of the process.
func readAll(ctx context.Context, open func() (io.ReadCloser, error), limit int64) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		in, err := open()
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer in.Close()
		data, err := io.ReadAll(io.LimitReader(in, limit+1))
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// promisingFile is promising for a file that is too large to be read at once.
func promisingFile(in io.Reader) bool {
	const overlap = len("apiVersion") - 1
	buf := make([]byte, overlap, 1<<16)
	var version, kind bool
	for start := time.Now(); time.Since(start) < 10*time.Second; {
		n, err := in.Read(buf[overlap:cap(buf)])
		window := buf[:overlap+n]
		version = version || bytes.Contains(window, []byte("apiVersion"))
		kind = kind || bytes.Contains(window, []byte("kind"))
		if version && kind {
			return true
		}
		copy(buf[:overlap], window[len(window)-overlap:])
		if err != nil {
			return false
		}
	}
	return true
}
