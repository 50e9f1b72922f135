package database

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// A file is a body of pages, then what vouches for it:
//
//	body        sections one after the other, the first bytes name the kind of file
//	hashes      SHA-256 of each page of the body, 32 bytes each
//	manifest    JSON, only in match.db
//	signature   JSON, may be empty
//	footer      magic, the lengths of the four above, 8 bytes each, little-endian, and 16 bytes of the SHA-256 of
//	            manifest and signature, for those who check no signature
//
// The root of a file is the SHA-256 of its hashes. The manifest holds the roots and is signed, so that a page which is
// checked against its hash when it is first touched is checked against the signature: nothing that was changed, by accident
// or by somebody, is ever used, and opening reads no more than the hashes.
const (
	pageSize   = 4096
	hashSize   = sha256.Size
	footerSize = 64
	// maxBody bounds what the lengths of a footer may say.
	maxBody     = 1 << 40
	maxManifest = 16 << 20
)

var footerMagic = [16]byte{'s', 't', 'o', 'c', 'k', 'a', 'd', 'e', '.', 'd', 'b', '/', 'v', '1', '\n', 0}

// footer holds the lengths of the parts of a file.
type footer struct {
	body, hashes, manifest, signature uint64
	sum                               [16]byte
}

func (f footer) bytes() []byte {
	b := append([]byte(nil), footerMagic[:]...)
	for _, n := range []uint64{f.body, f.hashes, f.manifest, f.signature} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return append(b, f.sum[:]...)
}

// sumTail is the checksum of a footer.
func sumTail(manifest, signature []byte) [16]byte {
	h := sha256.New()
	h.Write(manifest)
	h.Write(signature)
	return [16]byte(h.Sum(nil))
}

func parseFooter(b []byte, size int64) (footer, error) {
	var f footer
	if len(b) != footerSize || !bytes.Equal(b[:16], footerMagic[:]) {
		return f, errors.New("not a Stockade database, or cut short")
	}
	for i, to := range []*uint64{&f.body, &f.hashes, &f.manifest, &f.signature} {
		*to = binary.LittleEndian.Uint64(b[16+8*i:])
		if *to > maxBody {
			return f, errors.New("the footer is broken")
		}
	}
	copy(f.sum[:], b[48:])
	if f.body+f.hashes+f.manifest+f.signature+footerSize != uint64(size) || f.manifest > maxManifest || f.signature > maxManifest ||
		f.hashes != (f.body+pageSize-1)/pageSize*hashSize {
		return f, errors.New("the footer does not agree with the file's size; the file is damaged or cut short")
	}
	return f, nil
}

// pageWriter writes a body and hashes its pages. A write error stays.
type pageWriter struct {
	f      *os.File
	w      *bufio.Writer
	page   hash.Hash
	filled int
	size   uint64
	hashes []byte
	err    error
}

func newPageWriter(f *os.File) *pageWriter {
	return &pageWriter{f: f, w: bufio.NewWriterSize(f, 1<<20), page: sha256.New()}
}

func (p *pageWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 && p.err == nil {
		k := min(len(b), pageSize-p.filled)
		p.page.Write(b[:k])
		if _, err := p.w.Write(b[:k]); err != nil {
			p.err = err
			return 0, err
		}
		b, p.size = b[k:], p.size+uint64(k)
		if p.filled += k; p.filled == pageSize {
			p.turn()
		}
	}
	return n, p.err
}

func (p *pageWriter) turn() {
	p.hashes = p.page.Sum(p.hashes)
	p.page.Reset()
	p.filled = 0
}

// close ends the body and returns the root.
func (p *pageWriter) close() (root [hashSize]byte, err error) {
	if p.filled > 0 {
		p.turn()
	}
	if p.err == nil {
		p.err = p.w.Flush()
	}
	return sha256.Sum256(p.hashes), p.err
}

// seal writes what follows the body; the caller syncs.
func (p *pageWriter) seal(manifest, signature []byte) error {
	for _, b := range [][]byte{p.hashes, manifest, signature,
		footer{p.size, uint64(len(p.hashes)), uint64(len(manifest)), uint64(len(signature)), sumTail(manifest, signature)}.bytes()} {
		if _, err := p.f.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// pages is an open body. It is safe for concurrent use.
type pages struct {
	name   string
	src    source
	body   uint64
	hashes []byte
	seen   []atomic.Uint32 // pages that were found right, a bit each
	mu     sync.RWMutex    // held for writing by Close only
	closed bool
}

// source gives bytes of a file: a mapping where the system has it, reads elsewhere.
type source interface {
	at(off, n uint64) ([]byte, error)
	close() error
}

var errClosed = errors.New("the database is closed")

// openPages opens a file and returns its manifest and signature. Nothing of the body is read yet.
func openPages(path string) (p *pages, root [hashSize]byte, manifest, signature []byte, err error) {
	fail := func(err error) (*pages, [hashSize]byte, []byte, []byte, error) {
		return nil, root, nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, root, nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() || info.Size() < footerSize {
		return fail(errors.New("not a Stockade database, or cut short"))
	}
	tail := make([]byte, footerSize)
	if _, err := f.ReadAt(tail, info.Size()-footerSize); err != nil {
		return fail(err)
	}
	foot, err := parseFooter(tail, info.Size())
	if err != nil {
		return fail(err)
	}
	rest := make([]byte, foot.hashes+foot.manifest+foot.signature)
	if _, err := f.ReadAt(rest, int64(foot.body)); err != nil {
		return fail(err)
	}
	if rest := rest[foot.hashes:]; sumTail(rest[:foot.manifest], rest[foot.manifest:]) != foot.sum {
		return fail(errors.New("the manifest is damaged"))
	}
	p = &pages{name: path, body: foot.body, hashes: rest[:foot.hashes:foot.hashes]}
	p.seen = make([]atomic.Uint32, foot.hashes/hashSize/32+1)
	if p.src, err = openSource(f, foot.body); err != nil {
		return fail(err)
	}
	rest = rest[foot.hashes:]
	return p, sha256.Sum256(p.hashes), rest[:foot.manifest], rest[foot.manifest:], nil
}

// view returns bytes of the body, checked. They are good only inside guard.
func (p *pages) view(off, n uint64) ([]byte, error) {
	if off > p.body || n > p.body-off {
		return nil, fmt.Errorf("%s: a record lies outside of the file", p.name)
	}
	if n == 0 {
		return nil, nil
	}
	first, last := off/pageSize, (off+n-1)/pageSize
	checked := true
	for i := first; i <= last; i++ {
		if p.seen[i/32].Load()&(1<<(i%32)) == 0 {
			checked = false
			break
		}
	}
	if checked {
		return p.src.at(off, n)
	}
	start := first * pageSize
	all, err := p.src.at(start, min((last+1)*pageSize, p.body)-start)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	for i := first; i <= last; i++ {
		page := all[(i-first)*pageSize:]
		sum := sha256.Sum256(page[:min(pageSize, len(page))])
		if !bytes.Equal(sum[:], p.hashes[i*hashSize:(i+1)*hashSize]) {
			return nil, fmt.Errorf("%s: page %d is damaged: its content is not what was written", p.name, i)
		}
		if _, volatile := p.src.(*readSource); !volatile { // what is read again is checked again
			p.seen[i/32].Or(1 << (i % 32))
		}
	}
	return all[off-start : off-start+n], nil
}

// guard runs f, which reads through view. A mapping that the system cannot fill, because the file was cut or the disk
// fails, is an error and not the end of the process.
func (p *pages) guard(f func() error) (err error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return errClosed
	}
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			var fault interface{ Addr() uintptr }
			re, ok := r.(runtime.Error)
			if !ok || !errors.As(re, &fault) {
				panic(r)
			}
			err = fmt.Errorf("%s: cannot be read: the file was cut or its disk fails", p.name)
		}
	}()
	return f()
}

// verify reads the whole body.
func (p *pages) verify(progress func(done, total uint64)) error {
	const step = 1 << 20
	for off := uint64(0); off < p.body; off += step {
		if err := p.guard(func() error { _, err := p.view(off, min(step, p.body-off)); return err }); err != nil {
			return err
		}
		if progress != nil {
			progress(off, p.body)
		}
	}
	return nil
}

func (p *pages) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return p.src.close()
}

// readSource reads with ReadAt, where files cannot be mapped.
type readSource struct{ f *os.File }

func (r *readSource) at(off, n uint64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := r.f.ReadAt(b, int64(off)); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}

func (r *readSource) close() error { return r.f.Close() }
