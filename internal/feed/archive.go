package feed

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// headSize is what Knows sees of a document.
const headSize = 4096

// ratioFrom is the size below which no ratio is looked at: small files of one repeated byte do no harm.
const ratioFrom = 64 << 20

// xzDictionary is the largest dictionary of an xz file that is accepted; xz -9 takes 64 MiB.
const xzDictionary = 128 << 20

// source is where a document comes from.
type source struct {
	path   string   // of the document so far
	size   int64    // of the file or member, -1 when unknown
	in     *counter // compressed bytes of the file
	out    int64    // decompressed bytes that came out of it
	file   *os.File // to be closed by who reads last; nil for members
	closer func()   // of a decompressor on top of file
	single bool     // not a member of an archive
}

func (s *source) close() {
	if s.closer != nil {
		s.closer()
		s.closer = nil
	}
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// counter counts what is read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded fails when more than its limit comes, instead of ending early.
type bounded struct {
	r     io.Reader
	left  int64
	limit int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, fmt.Errorf("larger than %d bytes", b.limit)
	}
	return n, err
}

// guard fails when a file turns out to be a decompression bomb.
type guard struct {
	r   io.Reader
	src *source
	l   *Limits
}

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	g.src.out += int64(n)
	if g.src.out > g.l.Archive {
		return n, fmt.Errorf("more than %d bytes come out of it", g.l.Archive)
	}
	if g.src.out > ratioFrom && g.src.out/g.l.Ratio > g.src.in.n {
		return n, fmt.Errorf("decompresses to more than %d times its size", g.l.Ratio)
	}
	return n, err
}

// The wrappings, known by their first bytes.
var magics = []struct{ name, magic string }{
	{"gzip", "\x1f\x8b"}, {"bzip2", "BZh"}, {"xz", "\xfd7zXZ\x00"}, {"zstd", "\x28\xb5\x2f\xfd"}, {"zip", "PK\x03\x04"},
	{"zip", "PK\x05\x06"},
}

func wrapping(head []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.name
		}
	}
	if len(head) >= 262 && string(head[257:262]) == "ustar" {
		return "tar"
	}
	return ""
}

// open looks at the first bytes and unpacks, or hands over a document. It takes over src.
func (w *walker) open(src *source, br *bufio.Reader, depth int) error {
	head, err := br.Peek(headSize)
	if err != nil && err != io.EOF {
		src.close()
		return w.broken(src.path, err)
	}
	kind := wrapping(head)
	if kind != "" && depth >= w.limits.Depth {
		src.close()
		return w.broken(src.path, fmt.Errorf("more than %d wrappings around it", w.limits.Depth))
	}
	switch kind {
	case "":
		return w.document(src, br)
	case "tar":
		defer src.close()
		return w.tar(src, br, depth)
	case "zip":
		defer src.close()
		return w.zip(src, br, depth)
	}
	plain, closer, err := decompress(kind, br)
	if err != nil {
		src.close()
		return w.broken(src.path, err)
	}
	previous := src.closer
	src.closer = func() {
		closer()
		if previous != nil {
			previous()
		}
	}
	src.path = stripped(src.path)
	return w.open(src, bufio.NewReaderSize(&guard{plain, src, &w.limits}, headSize), depth+1)
}

// stripped takes the ending of a compressed file away: readers see the name of what is inside.
func stripped(name string) string {
	switch ext := path.Ext(name); ext {
	case ".gz", ".bz2", ".xz", ".zst":
		return strings.TrimSuffix(name, ext)
	}
	return name
}

func decompress(kind string, br *bufio.Reader) (io.Reader, func(), error) {
	switch kind {
	case "gzip":
		r, err := gzip.NewReader(br)
		return r, func() {}, err
	case "bzip2":
		return bzip2.NewReader(br), func() {}, nil
	case "xz":
		if head, _ := br.Peek(64); xzDict(head) > xzDictionary {
			return nil, nil, errors.New("xz: the dictionary is too large")
		}
		r, err := xz.ReaderConfig{DictCap: 8 << 20}.NewReader(br)
		return r, func() {}, err
	default:
		r, err := zstd.NewReader(br, zstd.WithDecoderMaxWindow(1<<27), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, err
		}
		return r, r.Close, nil
	}
}

// xzDict returns the size of the dictionary that the first block of an xz file wants, in bytes; 0 when it is not found.
// Format: tukaani.org/xz/xz-file-format.txt, sections 3.1 and 5.3.1.
func xzDict(head []byte) int64 {
	const block = 12 // after the stream header
	if len(head) < block+3 {
		return 0
	}
	end := min(len(head), block+4*(int(head[block])+1))
	for i := block + 2; i+2 < end; i++ { // LZMA2: id 0x21, one byte of properties
		if head[i] != 0x21 || head[i+1] != 1 {
			continue
		}
		bits := head[i+2] & 0x3f
		if bits >= 40 {
			return 1<<32 - 1
		}
		return int64(2|bits&1) << (bits/2 + 11)
	}
	return 0
}

// tar reads the members of an archive in a stream.
func (w *walker) tar(src *source, br *bufio.Reader, depth int) error {
	tr := tar.NewReader(br)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return w.broken(src.path, fmt.Errorf("tar: %w", err))
		}
		if h.Typeflag != tar.TypeReg {
			continue // folders and links hold no document
		}
		if err := w.member(src, h.Name, h.Size, tr, depth+1); err != nil {
			return err
		}
	}
}

// zip reads the members of an archive; one inside another archive is held in memory.
func (w *walker) zip(src *source, br *bufio.Reader, depth int) error {
	var at io.ReaderAt = src.file
	size := src.size
	if src.file == nil || depth > 0 {
		data, err := io.ReadAll(&bounded{r: br, left: w.limits.Member, limit: w.limits.Member})
		if err != nil {
			return w.broken(src.path, err)
		}
		at, size = bytes.NewReader(data), int64(len(data))
	}
	zr, err := zip.NewReader(at, size)
	if err != nil {
		return w.broken(src.path, err)
	}
	for _, f := range zr.File {
		if !f.Mode().IsRegular() {
			continue
		}
		rc, err := f.Open()
		if err != nil {
			if err := w.broken(src.path+"/"+clean(f.Name), err); err != nil {
				return err
			}
			continue
		}
		inner := &source{path: src.path, in: &counter{n: size}, out: src.out}
		err = w.member(inner, f.Name, -1, &guard{rc, inner, &w.limits}, depth+1)
		src.out = inner.out
		rc.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// member opens one member, which may be wrapped itself.
func (w *walker) member(archive *source, name string, size int64, r io.Reader, depth int) error {
	full := archive.path + "/" + clean(name)
	if isNote(full) {
		return w.settle(Result{Path: full, Outcome: Note})
	}
	in := &counter{r: r}
	return w.open(&source{path: full, size: size, in: in}, bufio.NewReaderSize(in, headSize), depth)
}

// clean makes a member's name a plain path below its archive.
func clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, `\`, "/")), "/")
}
