package image

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/collect/image/source"
)

// errLimit is wrapped by what ends a stream because of a limit.
var errLimit = errors.New("limit")

const (
	blockSize  = 256 << 10
	blockCount = 6        // blocks in flight: 1.5 MiB a layer
	ratioFrom  = 64 << 20 // unpacked bytes below which no ratio is held against a layer
)

// budget is what all layers of one image share.
type budget struct {
	compressed, unpacked, files atomic.Int64
}

// raw reads a blob, counts and hashes it, and ends when there is more than was announced.
type raw struct {
	r     io.Reader
	sum   hash.Hash // nil when there is no digest to compare with
	n     atomic.Int64
	size  int64 // announced; 0 is unknown
	max   int64
	spent *budget
	total int64 // limit of the image
}

func (r *raw) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if n > 0 {
		if r.sum != nil {
			r.sum.Write(b[:n])
		}
		at := r.n.Add(int64(n))
		if r.size > 0 && at > r.size {
			return 0, fmt.Errorf("longer than the %d bytes that its manifest says", r.size)
		}
		if at > r.max || r.spent.compressed.Add(int64(n)) > r.total {
			return 0, fmt.Errorf("%w: more than %d packed bytes", errLimit, r.total)
		}
	}
	return n, err
}

// stream is an unpacked layer: a reader fed by a goroutine that reads ahead. Its Seek goes forward only; archive/tar uses it to
// pass over contents without copying them.
type stream struct {
	full, free chan []byte
	stop       chan struct{}
	done       chan struct{}
	block      []byte // rest of the current one
	whole      []byte
	err        error // set before full is closed
	pos        int64
}

// blocks are used again by the next layer.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// newStream unpacks from r. check is called with the unpacked bytes so far, after each block; its error ends the stream.
func newStream(r io.Reader, check func(unpacked int64) error, sum hash.Hash) *stream {
	s := &stream{full: make(chan []byte, blockCount), free: make(chan []byte, blockCount), stop: make(chan struct{}), done: make(chan struct{})}
	go s.fill(r, check, sum)
	return s
}

func (s *stream) fill(r io.Reader, check func(int64) error, sum hash.Hash) {
	defer close(s.done)
	defer close(s.full)
	unpacked, err := unpacker(r)
	if err != nil {
		s.err = err
		return
	}
	defer unpacked.Close()
	var n int64
	for made := 0; ; {
		var b []byte
		if made < blockCount {
			select {
			case b = <-s.free:
			default:
				b, made = blocks.Get().(*[blockSize]byte)[:], made+1
			}
		} else {
			select {
			case b = <-s.free:
			case <-s.stop:
				s.err = io.ErrClosedPipe
				return
			}
		}
		m, err := io.ReadFull(unpacked, b)
		n += int64(m)
		if sum != nil {
			sum.Write(b[:m])
		}
		if m > 0 {
			select {
			case s.full <- b[:m]:
			case <-s.stop:
				s.err = io.ErrClosedPipe
				return
			}
		}
		if over := check(n); over != nil {
			s.err = over
			return
		}
		if err == io.ErrUnexpectedEOF && m > 0 && !truncated(unpacked) {
			err = io.EOF // the end within a block
		}
		if err != nil {
			s.err = err
			return
		}
	}
}

// ended tells an end of data from an end too early: io.ReadFull makes both io.ErrUnexpectedEOF.
type ended struct {
	io.ReadCloser
	err error
}

func (e *ended) Read(b []byte) (int, error) {
	n, err := e.ReadCloser.Read(b)
	if err != nil {
		e.err = err
	}
	return n, err
}

func truncated(r io.Reader) bool {
	e, ok := r.(*ended)
	return ok && e.err != nil && e.err != io.EOF
}

// unpacker finds out by the first bytes how a layer is packed; what the manifest says of it is often wrong.
func unpacker(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, blockSize)
	head, err := b.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		return &ended{ReadCloser: z}, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return &ended{ReadCloser: z.IOReadCloser()}, nil
	case bytes.HasPrefix(head, []byte("BZh")), bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return nil, errors.New("packed with bzip2 or xz, which container runtimes do not take")
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")):
		return nil, errors.New("a web page instead of a layer")
	}
	return &ended{ReadCloser: io.NopCloser(b)}, nil
}

// next makes block hold something.
func (s *stream) next() error {
	for len(s.block) == 0 {
		if s.whole != nil {
			s.free <- s.whole[:cap(s.whole)]
			s.whole = nil
		}
		b, ok := <-s.full
		if !ok {
			return s.err
		}
		s.block, s.whole = b, b
	}
	return nil
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if err := s.next(); err != nil {
		return 0, err
	}
	n := copy(p, s.block)
	s.block, s.pos = s.block[n:], s.pos+int64(n)
	return n, nil
}

// Seek implements io.Seeker, forward from where it is.
func (s *stream) Seek(n int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || n < 0 {
		return 0, errors.New("a stream goes forward only")
	}
	for n > 0 {
		if err := s.next(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return s.pos, err
		}
		m := min(n, int64(len(s.block)))
		s.block, s.pos, n = s.block[m:], s.pos+m, n-m
	}
	return s.pos, nil
}

// drain reads to the end.
func (s *stream) drain() error {
	for {
		if err := s.next(); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		s.pos += int64(len(s.block))
		s.block = nil
	}
}

// close ends the goroutine and waits for it.
func (s *stream) close() {
	close(s.stop)
	<-s.done
	if s.whole != nil {
		s.free <- s.whole[:blockSize]
		s.whole, s.block = nil, nil
	}
	for b := range s.full {
		blocks.Put((*[blockSize]byte)(b[:blockSize]))
	}
	for {
		select {
		case b := <-s.free:
			blocks.Put((*[blockSize]byte)(b))
		default:
			return
		}
	}
}

// broken is a failure to read a layer.
type broken struct {
	err         error
	refused     bool // what was read until then cannot be believed
	verified    bool // the bytes are those of the digest: it will be the same next time
	passing     bool // another try may help
	unreachable bool // the blob could not be had at all
}

// read streams a layer through walk, and checks its size and digest. The second result is nil when all was well.
func read(ctx context.Context, l *source.Layer, spent *budget, lim Limits, walk func(io.Reader) error) *broken {
	blob, err := l.Open(ctx)
	if err != nil {
		return &broken{err: err, passing: true, unreachable: true}
	}
	defer blob.Close()
	r := &raw{r: blob, size: l.Size, max: lim.Compressed, total: lim.Compressed, spent: spent}
	var diff hash.Hash
	switch {
	case strings.HasPrefix(l.Digest, "sha256:"):
		r.sum = sha256.New()
	case l.Digest != "":
		return &broken{err: fmt.Errorf("digest %s: only sha256 is known", l.Digest)}
	case strings.HasPrefix(l.DiffID, "sha256:"):
		diff = sha256.New()
	}
	last := int64(0)
	s := newStream(r, func(n int64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n > ratioFrom && n/lim.Ratio > r.n.Load() {
			return fmt.Errorf("%w: unpacks to more than %d times its size", errLimit, lim.Ratio)
		}
		total := spent.unpacked.Add(n - last)
		last = n
		if total > lim.Unpacked {
			return fmt.Errorf("%w: more than %d unpacked bytes", errLimit, lim.Unpacked)
		}
		return nil
	}, diff)
	err = walk(s)
	if err == nil {
		err = s.drain()
	}
	s.close()
	if err != nil && errors.Is(err, errLimit) {
		return &broken{err: err}
	}
	if ctx.Err() != nil {
		return &broken{err: ctx.Err(), refused: true}
	}
	// What is left of the blob: padding, or what follows the damage.
	if _, more := io.Copy(io.Discard, r); more != nil && err == nil {
		err = more
	}
	if r.sum != nil {
		if got := "sha256:" + hex.EncodeToString(r.sum.Sum(nil)); got != l.Digest {
			if err != nil {
				return &broken{err: fmt.Errorf("%w (and its digest is wrong)", err), refused: true, passing: true}
			}
			return &broken{err: fmt.Errorf("wrong digest: %s", got), refused: true, passing: true}
		}
		if l.Size > 0 && r.n.Load() != l.Size && err == nil {
			err = fmt.Errorf("%d bytes, its manifest says %d", r.n.Load(), l.Size)
		}
	} else if diff != nil && err == nil {
		if got := "sha256:" + hex.EncodeToString(diff.Sum(nil)); got != l.DiffID {
			return &broken{err: fmt.Errorf("wrong diff id: %s", got), refused: true}
		}
	}
	if err != nil {
		return &broken{err: err, verified: r.sum != nil}
	}
	return nil
}
