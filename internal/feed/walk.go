package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
)

// Limits bound what Walk reads. Zero values take the defaults.
type Limits struct {
	Document  int64 // bytes of a file of its own, decompressed: 2 GiB
	Member    int64 // bytes of an archive's member, decompressed: 256 MiB
	Archive   int64 // bytes of all that comes out of one file: 64 GiB
	Ratio     int64 // decompressed to compressed bytes of one file, looked at from 64 MiB on: 500
	Depth     int   // wrappings around a document, compression and packing counted each: 4, which is an archive in an archive
	Documents int   // documents in all: 5,000,000
	Workers   int   // documents decoded at a time: 2
}

func (l Limits) withDefaults() Limits {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Document, 2<<30)
	set(&l.Member, 256<<20)
	set(&l.Archive, 64<<30)
	set(&l.Ratio, 500)
	if l.Depth <= 0 {
		l.Depth = 4
	}
	if l.Documents <= 0 {
		l.Documents = 5_000_000
	}
	if l.Workers <= 0 {
		l.Workers = 2
	}
	return l
}

// Outcome is what became of a document.
type Outcome uint8

// The outcomes.
const (
	Taken   Outcome = iota // a reader read it to its end
	Unknown                // no reader knows it; Reason says so
	Note                   // not a document: SOURCE, licence, checksum, page of an index
	Broken                 // Err says why it could not be opened or read to its end; what came before the error counts
)

// Result is what Walk tells of one document.
type Result struct {
	Path    string
	Reader  string // format, when one knew it
	Outcome Outcome
	Reason  string
	Err     error
	Bytes   int64 // decompressed bytes that the reader took
}

// Reasons of documents that no reader took.
const (
	reasonUnknown = "no reader knows it"
	reasonEmpty   = "it is empty"
)

// Walk reads all documents in dirs (folders, or single files) and gives what readers understand to s. Archives and compressed
// files are opened in place, whatever they are called. Names below a folder are taken in lexical order and members as they
// stand in their archive; results and all calls of s and report come in that order from the calling goroutine, however many
// workers there are. The first reader that knows a document gets it. A broken document is reported and the rest goes on; Walk
// itself fails only when a folder cannot be opened, the context ends or the sink returns an error. report may be nil.
func Walk(ctx context.Context, dirs []string, readers []Reader, o Limits, s Sink, report func(Result)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &walker{ctx: ctx, readers: readers, limits: o.withDefaults()}
	w.work = make(chan *job, w.limits.Workers)
	w.order = make(chan *job, 64)

	var workers sync.WaitGroup
	for range w.limits.Workers {
		workers.Go(func() {
			for j := range w.work {
				j.run(ctx)
			}
		})
	}
	go func() {
		defer close(w.order)
		defer close(w.work)
		for _, dir := range dirs {
			if err := w.dir(dir); err != nil {
				w.failed = err
				return
			}
		}
	}()
	var err error
	for j := range w.order {
		if err != nil {
			continue // only empties the channel, so that the others can end
		}
		if err = j.replay(ctx, s); err != nil {
			cancel(err)
			continue
		}
		if report != nil {
			report(j.result)
		}
	}
	workers.Wait()
	if err == nil {
		err = w.failed
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// walker finds documents; it runs in one goroutine.
type walker struct {
	ctx       context.Context
	readers   []Reader
	limits    Limits
	work      chan *job
	order     chan *job
	documents int
	failed    error // read after order is closed
}

// errStop ends the walk without being reported for a document.
var errStop = errors.New("stopped")

func (w *walker) dir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("feeds: %w", err)
	}
	if !info.IsDir() {
		root, err := os.OpenRoot(filepath.Dir(dir))
		if err != nil {
			return fmt.Errorf("feeds: %w", err)
		}
		defer root.Close()
		return ignoreStop(w.file(root, filepath.Base(dir)))
	}
	root, err := os.OpenRoot(dir) // links that lead outside do not open
	if err != nil {
		return fmt.Errorf("feeds: %w", err)
	}
	defer root.Close()
	return ignoreStop(fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return w.broken(name, err)
		}
		if d.IsDir() {
			return nil
		}
		return w.file(root, name)
	}))
}

func ignoreStop(err error) error {
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// file reads one file of a folder. The error it returns ends the walk.
func (w *walker) file(root *os.Root, name string) error {
	if isNote(name) {
		return w.settle(Result{Path: name, Outcome: Note})
	}
	info, err := root.Stat(filepath.FromSlash(name))
	if err != nil {
		return w.broken(name, err)
	}
	if info.IsDir() {
		return w.settle(Result{Path: name, Outcome: Note, Reason: "link to a folder"})
	}
	if !info.Mode().IsRegular() {
		return w.broken(name, errors.New("not a regular file"))
	}
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return w.broken(name, err)
	}
	in := &counter{r: f}
	src := &source{path: name, size: info.Size(), in: in, file: f, single: true}
	return w.open(src, bufio.NewReaderSize(in, headSize), 0)
}

// document hands a document to the readers. It takes over src.file.
func (w *walker) document(src *source, br *bufio.Reader) error {
	if w.documents++; w.documents > w.limits.Documents {
		src.close()
		if err := w.broken(src.path, fmt.Errorf("more than %d documents; the rest is not read", w.limits.Documents)); err != nil {
			return err
		}
		return errStop
	}
	head, err := br.Peek(headSize)
	if err != nil && err != io.EOF {
		src.close()
		return w.broken(src.path, err)
	}
	limit := w.limits.Member
	if src.single {
		limit = w.limits.Document
	}
	for i := range w.readers {
		if !w.readers[i].Knows(src.path, head) {
			continue
		}
		j := newJob(&w.readers[i], src)
		body := &bounded{r: br, left: limit, limit: limit}
		if src.file != nil { // a file of its own: the worker reads it, and the walk goes on
			j.body = body
			return w.send(j, true)
		}
		// A member: small ones are copied so that the walk goes on; for large ones it waits.
		data, err := io.ReadAll(io.LimitReader(body, buffered+1))
		if err != nil {
			return w.broken(src.path, err)
		}
		if len(data) <= buffered {
			j.data, j.doc.Size = data, int64(len(data))
			return w.send(j, true)
		}
		j.body = io.MultiReader(newBytes(data), body)
		if err := w.send(j, true); err != nil {
			return err
		}
		select {
		case <-j.done:
			return nil
		case <-w.ctx.Done():
			<-j.done // its reader ends with the context; the archive below must not close before
			return errStop
		}
	}
	src.close()
	reason := reasonUnknown
	if len(head) == 0 {
		reason = reasonEmpty
	}
	return w.settle(Result{Path: src.path, Outcome: Unknown, Reason: reason})
}

// send puts a job into the line of results and, when it is work, before the workers.
func (w *walker) send(j *job, work bool) error {
	if work {
		select {
		case w.work <- j:
		case <-w.ctx.Done():
			j.src.close()
			return errStop
		}
	}
	w.order <- j // always emptied
	if w.ctx.Err() != nil {
		return errStop
	}
	return nil
}

func (w *walker) settle(r Result) error {
	j := &job{result: r, events: make(chan []event), done: make(chan struct{}), src: &source{}}
	close(j.events)
	close(j.done)
	return w.send(j, false)
}

func (w *walker) broken(name string, err error) error {
	return w.settle(Result{Path: name, Outcome: Broken, Err: err})
}

// isNote reports whether a file is no document of a feed but something that lies beside it.
func isNote(name string) bool {
	if strings.HasPrefix(name, ".") || strings.Contains(name, "/.") {
		return true
	}
	base := path.Base(name)
	for _, p := range []string{"SOURCE", "INDEX", "README", "LICENSE", "LICENCE", "COPYING", "NOTICE", "CONTRIBUTING", "CODE_OF_CONDUCT"} {
		if strings.HasPrefix(base, p) {
			return true
		}
	}
	switch strings.ToLower(path.Ext(base)) {
	case ".html", ".htm", ".sha256", ".sha512", ".sha1", ".md5", ".asc", ".sig", ".pem", ".sha256sum", ".png", ".svg":
		return true
	}
	return base == "SHA256SUMS" || base == "SHA512SUMS" || base == "MD5SUMS" || base == "CHECKSUMS"
}
