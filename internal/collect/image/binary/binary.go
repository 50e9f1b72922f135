// Package binary names executables by their bytes: Go build information, the list that cargo auditable leaves in Rust
// programs, and products such as nginx or PostgreSQL by strings that only they have. A file is read once, front to back, in
// pieces of any size; at most 1 MiB of it is kept.
//
// What is read: the loaded parts of an ELF file that are not machine code (strings never lie there when the linker gave them
// a segment of their own), and Windows programs whole. Symbols and debug data are passed over.
package binary

import (
	"bytes"
	"io/fs"
	"path"
	"strings"
	"sync"

	"stockade.dev/stockade/internal/inventory"
)

const (
	minSize   = 4 << 10 // no program of interest is smaller
	headSize  = 4 << 10 // holds the program headers and the notes
	blockSize = 256 << 10
	behind    = 1 << 10   // bytes kept before the place of the search
	ahead     = 1 << 10   // bytes waited for behind it
	maxBlob   = 640 << 10 // of one build information or list of crates, as it stands in the file
)

// Wants reports whether a file may be a program or a library that Scanner can name. head is the file's first 512 bytes, or
// what there is of them.
func Wants(name string, mode fs.FileMode, size int64, head []byte) bool {
	if !mode.IsRegular() || size < minSize {
		return false
	}
	base := path.Base(name)
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		if len(head) < 18 {
			return false
		}
		if isLibrary(base) {
			return wantedLibrary(base)
		}
		// Relocatable objects (1) and core dumps (4) are no programs. Debian's libraries have no x bit, programs always do.
		kind := head[16] | head[17]
		return (kind == 2 || kind == 3) && (mode.Perm()&0o111 != 0 || named(base))
	case bytes.HasPrefix(head, []byte("MZ")):
		return strings.HasSuffix(strings.ToLower(base), ".exe")
	}
	return false
}

// May reports whether Wants could say yes for some head: a file for which it cannot need not be opened.
func May(name string, mode fs.FileMode, size int64) bool {
	if !mode.IsRegular() || size < minSize {
		return false
	}
	base := name[strings.LastIndexByte(name, '/')+1:]
	if isLibrary(base) && wantedLibrary(base) || !isLibrary(base) && (mode.Perm()&0o111 != 0 || named(base)) {
		return true
	}
	return len(base) >= 4 && strings.EqualFold(base[len(base)-4:], ".exe")
}

// isLibrary reports whether base is the name of a shared library: "libz.so.1.2.13", "mod_ssl.so".
func isLibrary(base string) bool {
	i := strings.Index(base, ".so")
	return i > 0 && (i+3 == len(base) || base[i+3] == '.') || strings.HasPrefix(base, "ld-musl-")
}

// wantedLibrary reports whether some product is known by a library of this name. Other libraries are not read: they are
// parts of system packages or of wheels and gems, and there are thousands of them.
func wantedLibrary(base string) bool {
	return named(base) || strings.HasPrefix(base, "libphp") || strings.HasPrefix(base, "libnode.so") || strings.HasPrefix(base, "libperl.so")
}

// span is a part of a file that is searched.
type span struct {
	start, end int64
	writable   bool
}

// Scanner reads one file. Write gives it the bytes in order, Packages ends it.
type Scanner struct {
	path string
	base string
	size int64

	off    int64 // of the next byte to come
	buf    []byte
	start  int64 // offset of buf[0]
	done   int   // searched up to here, in buf
	opened bool
	spans  []span
	span   int
	elf    *layout // nil: not ELF, or its headers make no sense
	packed bool

	gated []*product // those whose file name fits
	found map[*product]*sighting
	bare  bool // some gated product is known by a version on its own

	goFile   bool
	golang   golang
	blobs    []*blob
	kept     int // bytes in blobs
	crates   []inventory.Package
	gaps     []inventory.Gap
	finished bool
}

var buffers = sync.Pool{New: func() any { return new([blockSize]byte) }}

// New returns a Scanner for the file at path of size bytes. A wrong size does no harm.
func New(path string, size int64) *Scanner {
	s := &Scanner{path: path, size: size, found: map[*product]*sighting{}}
	s.base = path[strings.LastIndexByte(path, '/')+1:]
	s.buf = buffers.Get().(*[blockSize]byte)[:0]
	for i := range products {
		p := &products[i]
		if len(p.files) > 0 && p.fits(s.base) {
			s.gated = append(s.gated, p)
			s.bare = s.bare || p.bare != nil
		}
	}
	return s
}

// Write takes the next bytes of the file. It never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	if s.finished {
		return n, nil
	}
	for len(p) > 0 {
		if !s.opened {
			take := min(len(p), headSize-len(s.buf))
			s.buf = append(s.buf, p[:take]...)
			p = p[take:]
			if len(s.buf) == headSize {
				s.open()
			}
			continue
		}
		if s.span >= len(s.spans) {
			s.off += int64(len(p))
			return n, nil
		}
		here := s.spans[s.span]
		if s.off < here.start {
			skip := min(int64(len(p)), here.start-s.off)
			p = p[skip:]
			s.off += skip
			continue
		}
		if len(s.buf) == 0 {
			s.start = s.off
		}
		take := int(min(int64(len(p)), here.end-s.off, int64(cap(s.buf)-len(s.buf))))
		s.buf = append(s.buf, p[:take]...)
		s.collect(p[:take])
		s.off += int64(take)
		p = p[take:]
		if end := s.off == here.end; end || len(s.buf) == cap(s.buf) {
			s.search(end)
		}
	}
	return n, nil
}

// Ahead is how many of the next bytes nothing is looked for in; a reader that can may pass over them with Skip.
func (s *Scanner) Ahead() int64 {
	switch {
	case !s.opened || s.finished:
		return 0
	case s.span >= len(s.spans):
		return 1<<63 - 1 - s.off
	}
	return max(0, s.spans[s.span].start-s.off)
}

// Skip says that the next n bytes, at most Ahead, are not given.
func (s *Scanner) Skip(n int64) { s.off += min(n, s.Ahead()) }

// open looks at the head of the file, decides what is to be searched and gives the head to the search.
func (s *Scanner) open() {
	head := bytes.Clone(s.buf)
	s.buf = s.buf[:0]
	s.opened = true
	s.elf = readLayout(head)
	s.goFile = s.elf != nil && (bytes.Contains(head, []byte("\x04\x00\x00\x00Go\x00\x00")) || bytes.Contains(head, []byte("\x00\x00\x00\x04Go\x00\x00")))
	s.packed = bytes.Contains(head, []byte("UPX!"))
	if s.elf != nil {
		s.spans = s.elf.spans()
	} else {
		s.spans = []span{{0, 1<<63 - 1, true}}
	}
	_, _ = s.Write(head)
}

// search looks for everything in the bytes that have come; end says that the span ends with them.
func (s *Scanner) search(end bool) {
	limit := len(s.buf)
	if !end {
		limit -= ahead
	}
	if s.done < limit {
		s.anchors(s.done, limit)
	}
	if end {
		s.endBlobs()
		s.buf, s.done = s.buf[:0], 0
		s.span++
		return
	}
	keep := max(0, limit-behind)
	s.start += int64(keep)
	s.buf = s.buf[:copy(s.buf, s.buf[keep:])]
	s.done = limit - keep
}

// anchors searches buf[from:to] for the beginnings of whatever is known.
func (s *Scanner) anchors(from, to int) {
	writable := s.spans[s.span].writable
	if s.goFile {
		if !s.golang.found {
			s.goMarks(from, to, writable)
		} else {
			s.pointers(from, to)
		}
		return
	}
	programs().search(s.buf, from, to, func(at int, id uint16) {
		if id == 0 {
			if !s.golang.found {
				s.buildInfo(at)
			}
			return
		}
		s.see(&products[id-1], at)
	})
	s.pointers(from, to)
	for _, p := range s.gated {
		for _, a := range p.anchors {
			for at := from; at < to; {
				i := bytes.Index(s.buf[at:min(to+len(a)-1, len(s.buf))], []byte(a))
				if i < 0 {
					break
				}
				s.see(p, at+i)
				at += i + 1
			}
		}
	}
	if s.bare {
		s.bareVersions(from, to)
	}
	if !writable || s.elf == nil {
		s.auditable(from, to)
	}
}

// Packages ends the reading and returns what was recognised, and what could not be.
func (s *Scanner) Packages() ([]inventory.Package, []inventory.Gap) {
	if s.finished {
		return nil, nil
	}
	if !s.opened {
		s.open()
	}
	if len(s.buf) > 0 && s.span < len(s.spans) {
		s.search(true)
	}
	s.endBlobs()
	s.finished = true
	out := s.goPackages()
	out = append(out, s.crates...)
	for i := range products {
		if seen := s.found[&products[i]]; seen != nil {
			if one, ok := seen.pack(&products[i], s); ok {
				out = append(out, one)
			}
		}
	}
	for i := range out {
		out[i].Path = s.path
	}
	if s.packed && len(out) == 0 {
		s.gap("packed with UPX: its contents cannot be read", "unsupported")
	}
	if cap(s.buf) >= blockSize {
		buffers.Put((*[blockSize]byte)(s.buf[:blockSize]))
	}
	s.buf = nil
	return out, s.gaps
}

func (s *Scanner) gap(reason, code string) {
	s.gaps = append(s.gaps, inventory.Gap{What: s.path, Reason: reason, Code: code})
}

// blob is a part of the file that is collected whole.
type blob struct {
	data []byte
	want int // bytes; the rest is not kept
	read func(data []byte, whole bool)
}

// keep collects want bytes from buf[at:] on and whatever follows, and calls read when it has them, or when the span ends.
func (s *Scanner) keep(at, want int, read func(data []byte, whole bool)) {
	have := s.buf[at:]
	if len(have) >= want {
		read(have[:want], true)
		return
	}
	if s.kept+want > maxBlob || len(s.blobs) >= 8 {
		s.gap("more embedded data than is read", "limit")
		return
	}
	s.kept += want
	s.blobs = append(s.blobs, &blob{data: append(make([]byte, 0, min(want, 64<<10)), have...), want: want, read: read})
}

// collect gives new bytes to the blobs that wait for them. The bytes in the buffer were given before.
func (s *Scanner) collect(p []byte) {
	if len(s.blobs) == 0 {
		return
	}
	waiting := s.blobs
	s.blobs = nil
	var rest []*blob
	for _, b := range waiting {
		b.data = append(b.data, p[:min(len(p), b.want-len(b.data))]...)
		if len(b.data) < b.want {
			rest = append(rest, b)
			continue
		}
		s.kept -= b.want
		b.read(b.data, true)
	}
	s.blobs = append(rest, s.blobs...)
}

func (s *Scanner) endBlobs() {
	waiting := s.blobs
	s.blobs, s.kept = nil, 0
	for _, b := range waiting {
		b.read(b.data, false)
	}
}
