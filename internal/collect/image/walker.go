package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"stockade.dev/stockade/internal/collect/image/binary"
	"stockade.dev/stockade/internal/collect/image/malware"
	"stockade.dev/stockade/internal/inventory"
)

// file is one regular file of a layer.
type file struct {
	path string // clean, without leading slash
	base string
	mode fs.FileMode
	size int64

	uid, gid int

	status // of a file of a tree; its device is 0 elsewhere
}

const (
	maxPath   = 4096 // PATH_MAX of Linux: a longer one cannot be opened by its path
	maxLinks  = 4096 // symlinks, and hard links read in a second pass, kept of one layer
	maxGaps   = 1000 // of one layer
	headSize  = 512
	copySize  = 128 << 10
	reuseSize = 4 << 20  // files up to this size have a buffer for each layer
	keepSize  = 64 << 20 // larger buffers are given back at once
)

// walker takes the entries of one layer, or a worker's part of a tree, and makes a result. It belongs to one goroutine.
type walker struct {
	ctx     context.Context
	o       *Options
	big     *large
	spent   *budget
	readers []*reader
	res     *result
	found   map[string]int // path -> index into res.Files, of what gave something
	owning  owning
	sqlite  map[string]*sqlite
	packs   int
	hits    int
	gaps    int
	scratch *scratch
	head    [headSize]byte
	hasher  *malware.Hasher
	hashAll bool
	single  bool // nothing lies below or above: what hides what need not be known
	known   *known
	learnt  []memory
	// again: regular files whose content is wanted under the name of a later hard link, read in a second pass.
	again  map[string]string
	second bool
}

func newWalker(ctx context.Context, o *Options, spent *budget, big *large) *walker {
	w := &walker{ctx: ctx, o: o, spent: spent, big: big, res: &result{Raw: map[string][]byte{}, Links: map[string]string{}}, found: map[string]int{},
		sqlite: map[string]*sqlite{}, again: map[string]string{}, scratch: scratches.Get().(*scratch)}
	for i := range readers {
		r := &readers[i]
		if r.group == packages && o.Scanners.NoPackages || r.group == secrets && o.Scanners.NoSecrets {
			continue
		}
		w.readers = append(w.readers, r)
	}
	if o.Probes != nil && !o.Scanners.NoPackages {
		w.readers = append(w.readers, &reader{name: "probe", group: packages, wants: func(f *file) bool { return o.Probes.Wants(f.path, f.size) },
			read: func(_ *walker, f *file, data []byte, out *fileResult) error {
				out.Hits = append(out.Hits, o.Probes.Read(f.path, data)...)
				return nil
			}})
	}
	if o.Malware != nil && !o.Scanners.NoMalware {
		w.hasher = o.Malware.Hasher()
		w.hashAll = o.Malware.Len() > 1
	}
	return w
}

// large holds the big files of an image, one at a time, in memory that is used again.
type large struct {
	sync.Mutex
	buf []byte
}

// lend returns n bytes, to be used until the lock is given back. Memory of the largest files is not kept.
func (l *large) lend(n int64) []byte {
	if int64(cap(l.buf)) >= n {
		return l.buf[:n]
	}
	l.buf = nil // may go before the new one comes
	data := make([]byte, n)
	if n <= keepSize {
		l.buf = data
	}
	return data
}

// own returns data that a reader may keep: a copy, or lent memory that is not lent again.
func (w *walker) own(data []byte) []byte {
	if len(data) == 0 || int64(len(data)) <= reuseSize {
		return bytes.Clone(data)
	}
	if len(w.big.buf) > 0 && &w.big.buf[0] == &data[0] {
		w.big.buf = nil
	}
	return data
}

// scratch is memory of a walker that the next one takes over.
type scratch struct{ file, copy []byte }

var scratches = sync.Pool{New: func() any { return &scratch{copy: make([]byte, copySize)} }}

// clean makes an entry's name a path from the root. odd says that it tried to leave it.
func clean(name string) (p string, odd bool) {
	if len(name) > 0 && name[0] != '/' && name[0] != '.' && name[len(name)-1] != '/' && !strings.Contains(name, "//") && !strings.Contains(name, "/.") {
		return name, false
	}
	if rest, ok := strings.CutPrefix(name, "./"); ok {
		name = rest
	}
	name = strings.TrimSuffix(name, "/")
	if name == "" || name == "." {
		return "", false
	}
	if name[0] != '/' && !strings.Contains(name, "//") && !strings.Contains(name, "./") && !strings.HasSuffix(name, "/.") && !strings.HasSuffix(name, "..") {
		return name, false
	}
	odd = strings.HasPrefix(path.Clean(strings.TrimLeft(name, "/")), "../")
	return strings.TrimPrefix(path.Clean("/"+name), "/"), odd
}

// tar walks a layer.
func (w *walker) tar(r io.Reader) error {
	t := tar.NewReader(r)
	var f file
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		if err := w.count(h.Size); err != nil {
			return err
		}
		p, odd := clean(h.Name)
		if odd || len(p) > maxPath || strings.IndexByte(p, 0) >= 0 {
			w.gap(strconv.QuoteToASCII(p[:min(len(p), 200)]), "broken", errors.New("path leads outside, is over 4096 bytes or has a NUL"))
			if len(p) > maxPath {
				continue
			}
		}
		base := p[strings.LastIndexByte(p, '/')+1:]
		if strings.HasPrefix(base, whiteout) {
			w.whiteout(p, base)
			continue
		}
		switch h.Typeflag {
		case tar.TypeReg, '\x00', tar.TypeGNUSparse, tar.TypeCont:
			f = file{path: p, base: base, mode: h.FileInfo().Mode(), size: h.Size, uid: h.Uid, gid: h.Gid}
			w.file(&f, t)
		case tar.TypeDir:
			w.dir(p)
		case tar.TypeSymlink:
			w.symlink(p, h.Linkname)
		case tar.TypeLink:
			w.hardlink(p, base, h.Linkname)
		case tar.TypeChar, tar.TypeBlock:
			w.device(p, h.Typeflag == tar.TypeBlock, h.Devmajor, h.Devminor)
		default: // fifos hold nothing
			w.written(p)
		}
	}
}

// count keeps the limits on entries and on bytes.
func (w *walker) count(size int64) error {
	w.res.Entries++
	w.res.Bytes += max(size, 0)
	if w.second {
		return nil
	}
	if n := w.spent.files.Add(1); n > w.o.Limits.Files {
		if w.res.Entries <= w.o.Limits.Files {
			w.res.passing = true // not this layer alone
		}
		return fmt.Errorf("%w: more than %d files", errLimit, w.o.Limits.Files)
	}
	return nil
}

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// whiteout takes a marker of the OCI image specification (layer.md, "Whiteouts").
func (w *walker) whiteout(p, base string) {
	dir := strings.TrimSuffix(p[:len(p)-len(base)], "/")
	switch name := base[len(whiteout):]; {
	case base == opaque:
		w.res.Opaque = append(w.res.Opaque, pathHash(dir))
	case strings.HasPrefix(base, whiteout+whiteout), name == "", name == ".", name == "..": // book-keeping of AUFS, and nonsense
	default:
		w.res.Whiteouts = append(w.res.Whiteouts, pathHash(path.Join(dir, name)))
	}
}

// written notes a path that is no directory; what an earlier entry of the same name gave is gone.
func (w *walker) written(p string) {
	if w.second || w.single { // a tree has each name once
		return
	}
	w.res.Written = append(w.res.Written, pathHash(p))
	if i, ok := w.found[p]; ok {
		w.res.Files[i] = fileResult{}
		delete(w.found, p)
	}
	if len(w.res.Raw) > 0 {
		delete(w.res.Raw, p)
	}
	if len(w.res.Links) > 0 {
		delete(w.res.Links, p)
	}
}

func (w *walker) dir(p string) {
	if !w.second && !w.single {
		w.res.Dirs = append(w.res.Dirs, pathHash(p))
	}
}

func (w *walker) symlink(p, target string) {
	w.written(p)
	if w.second || strings.Count(p, "/") > 1 && !isRelease(p) || len(w.res.Links) >= maxLinks || len(target) > maxPath {
		return
	}
	if !strings.HasPrefix(target, "/") {
		target = path.Join("/", path.Dir(p), target)
	}
	w.res.Links[p], _ = clean(target)
}

// hardlink gives the name of a link to what its target gave. A target that nobody wanted under its own name is read in a second
// pass: pnpm and others link packages from a store of files without names.
func (w *walker) hardlink(p, base, target string) {
	w.written(p)
	t, _ := clean(target)
	if w.second || t == p {
		return
	}
	if i, ok := w.found[t]; ok {
		if len(w.res.Files[i].Names) < maxLinks {
			w.res.Files[i].Names = append(w.res.Files[i].Names, p)
		}
		return
	}
	f := file{path: p, base: base, mode: 0o644, size: 1 << 10}
	for _, r := range w.readers {
		if r.group == packages && r.wants(&f) {
			old := file{path: t, base: path.Base(t), mode: 0o644, size: 1 << 10}
			if r.wants(&old) {
				return // was read and held nothing
			}
			if _, ok := w.again[t]; !ok && len(w.again) < maxLinks {
				w.again[t] = p
			} else if !ok {
				w.gap(p, "limit", errors.New("too many hard links to files of other names"))
			}
			return
		}
	}
}

func (w *walker) device(p string, block bool, major, minor int64) {
	w.written(p)
	if w.o.Scanners.NoSecrets || w.second {
		return
	}
	kind := "character"
	if block {
		kind = "block"
	}
	w.keep(&fileResult{Path: p, Hits: []inventory.Hit{{Kind: "device", Rule: kind + "-device", Path: p,
		Detail: map[string]string{"major": strconv.FormatInt(major, 10), "minor": strconv.FormatInt(minor, 10)}}}})
}

// setuid notes programs that run with their owner's rights.
func (w *walker) setuid(f *file) {
	if f.mode&(fs.ModeSetuid|fs.ModeSetgid) == 0 || f.mode.Perm()&0o111 == 0 || w.o.Scanners.NoSecrets {
		return
	}
	rule := "setgid"
	if f.mode&fs.ModeSetuid != 0 {
		rule = "setuid"
	}
	w.keep(&fileResult{Path: f.path, Hits: []inventory.Hit{{Kind: "setuid", Rule: rule, Path: f.path,
		Detail: map[string]string{"mode": fmt.Sprintf("%04o", unixMode(f.mode)), "uid": strconv.Itoa(f.uid), "gid": strconv.Itoa(f.gid)}}}})
}

func unixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for flag, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

// keep adds what a file gave, within the limits. Two results of one path are joined: its mode and its content.
func (w *walker) keep(out *fileResult) {
	if len(out.Packages)+len(out.Hits)+len(out.Gaps) == 0 && !out.Database {
		return
	}
	if w.packs += len(out.Packages); w.packs > w.o.Limits.Packages {
		w.limit("packages", w.o.Limits.Packages)
		return
	}
	if w.hits += len(out.Hits); w.hits > w.o.Limits.Hits {
		w.limit("hits", w.o.Limits.Hits)
		out.Hits = nil
	}
	if w.gaps += len(out.Gaps); w.gaps > maxGaps {
		out.Gaps = nil
	}
	if i, ok := w.found[out.Path]; ok {
		have := &w.res.Files[i]
		have.Database = have.Database || out.Database
		have.Packages, have.Hits, have.Gaps = append(have.Packages, out.Packages...), append(have.Hits, out.Hits...), append(have.Gaps, out.Gaps...)
		return
	}
	w.found[out.Path] = len(w.res.Files)
	w.res.Files = append(w.res.Files, *out)
}

// limit notes once that there is too much of something.
func (w *walker) limit(what string, max int) {
	g := inventory.Gap{What: what, Code: "limit", Reason: fmt.Sprintf("more than %d", max)}
	if !slices.Contains(w.res.Gaps, g) {
		w.res.Gaps = append(w.res.Gaps, g)
	}
}

// gap notes what was not read of the layer as a whole.
func (w *walker) gap(what, code string, err error) {
	if w.gaps++; w.gaps <= maxGaps {
		w.res.Gaps = append(w.res.Gaps, inventory.Gap{What: what, Code: code, Reason: err.Error()})
	}
}

// guard runs a reader. Its error becomes a gap of the file; so does a panic, which is a bug of ours but must not end a scan of
// ten thousand images.
func (w *walker) guard(f *file, out *fileResult, name string, read func() error) {
	defer func() {
		if v := recover(); v != nil {
			stack := strings.Split(string(debug.Stack()), "\n")
			out.Gaps = append(out.Gaps, inventory.Gap{What: f.path, Code: "broken", Reason: fmt.Sprintf("reader %s failed: %v (%s)", name, v, strings.TrimSpace(stack[min(len(stack)-1, 8)]))})
		}
	}()
	if err := read(); err != nil {
		code := "broken"
		if errors.Is(err, errLimit) {
			code = "limit"
		}
		out.Gaps = append(out.Gaps, inventory.Gap{What: f.path, Code: code, Reason: err.Error()})
	}
}

// file reads a regular file as far as somebody wants it. r gives its content and may fail: the next header will tell.
func (w *walker) file(f *file, r io.Reader) {
	if w.second {
		name, ok := w.again[f.path]
		if !ok {
			return
		}
		f.path, f.base = name, path.Base(name)
	} else {
		w.written(f.path)
		w.setuid(f)
	}
	var wanted [8]*reader
	n, most := 0, int64(0)
	for _, rd := range w.readers {
		if n < len(wanted) && rd.wants(f) {
			wanted[n] = rd
			n++
			limit := rd.max
			if limit == 0 {
				limit = w.o.Limits.Whole
			}
			most = max(most, min(limit, w.o.Limits.FileBytes))
		}
	}
	program := !w.o.Scanners.NoPackages && f.size >= headSize && (f.mode.Perm()&0o111 != 0 || strings.Contains(f.base, ".so") || strings.HasSuffix(f.base, ".exe")) &&
		binary.May(f.path, f.mode, f.size)
	hash := w.hasher != nil && (w.hashAll || f.size == malware.TestSize)
	clamd := w.o.Clamd != nil && !w.o.Scanners.NoMalware
	if n == 0 && !program && !hash && !clamd || f.size == 0 {
		return
	}
	asked := wanted[:n]
	if w.recall(f, asked) {
		return
	}
	out := &fileResult{Path: f.path}
	if n > 0 && f.size > most {
		out.Gaps = append(out.Gaps, inventory.Gap{What: f.path, Code: "limit", Reason: tooLarge(f.size, most).Error()})
		n = 0
	}
	if n > 0 {
		w.whole(f, r, wanted[:n], program, hash, clamd, out)
	} else {
		head := w.head[:min(headSize, f.size)]
		if m, err := io.ReadFull(r, head); err != nil {
			head = head[:m]
		}
		w.stream(f, r, head, program, hash, clamd, out)
	}
	w.learn(f, r, asked, out)
	w.keep(out)
}

// whole reads a file into memory for its readers.
func (w *walker) whole(f *file, r io.Reader, wanted []*reader, program, hash, clamd bool, out *fileResult) {
	if l, ok := r.(*lazy); ok && len(wanted) == 1 && wanted[0].at != nil && !program && !hash && !clamd {
		w.guard(f, out, wanted[0].name, func() error { return wanted[0].at(w, f, l, out) })
		return
	}
	var data []byte
	if f.size <= reuseSize {
		if int64(cap(w.scratch.file)) < f.size {
			w.scratch.file = make([]byte, max(f.size, 64<<10), min(reuseSize, max(2*f.size, 64<<10)))
		}
		data = w.scratch.file[:f.size]
	} else {
		w.big.Lock()
		defer w.big.Unlock()
		data = w.big.lend(f.size)
	}
	if n, err := io.ReadFull(r, data); err != nil {
		out.Gaps = append(out.Gaps, inventory.Gap{What: f.path, Code: "broken", Reason: "cut off: " + err.Error()})
		data = data[:n]
	}
	for _, rd := range wanted {
		limit := cmp.Or(rd.max, w.o.Limits.Whole)
		if f.size > limit {
			out.Gaps = append(out.Gaps, inventory.Gap{What: f.path, Code: "limit", Reason: rd.name + ": " + tooLarge(f.size, limit).Error()})
			continue
		}
		w.guard(f, out, rd.name, func() error { return rd.read(w, f, data, out) })
	}
	if program || hash || clamd {
		w.stream(f, strings.NewReader(""), data, program, hash, clamd, out)
	}
}
