package jar

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
)

// inflater is a decompressor with its buffer, used again and again.
type inflater struct {
	in  *bufio.Reader
	out io.ReadCloser
}

var inflaters = sync.Pool{New: func() any {
	in := bufio.NewReaderSize(nil, 16<<10)
	return &inflater{in: in, out: flate.NewReader(in)}
}}

// reset makes the inflater read the data.
func (f *inflater) reset(data source) {
	f.in.Reset(io.NewSectionReader(data.r, data.off, data.size))
	_ = f.out.(flate.Resetter).Reset(f.in, nil) // fails for a dictionary only
}

// small returns the content of an entry, at most limit bytes of it; with stop, what it has when stop says that it is
// enough. What is wrong with the entry is a gap, and what was read of it is returned all the same: Java checks no more.
func (r *reader) small(a *archive, e *keptEntry, limit int64, stop func([]byte) bool) []byte {
	place := a.path + "!/" + e.path
	data, err := r.locate(a, e)
	if err != nil {
		r.gap(place, code(err), err.Error())
		return nil
	}
	if left := r.options.MaxBytes - r.inflated; left < limit {
		if limit = left; limit <= 0 {
			r.gap(place, "limit", fmt.Sprintf("more than %d bytes inflated", r.options.MaxBytes))
			return nil
		}
	}
	var in io.Reader = io.NewSectionReader(data.r, data.off, data.size)
	if e.method == deflated {
		f := inflaters.Get().(*inflater)
		defer inflaters.Put(f)
		f.reset(data)
		in = f.out
	}
	out := make([]byte, 0, min(4<<10, limit+1))
	for {
		if len(out) == cap(out) {
			out = slices.Grow(out, cap(out))
		}
		n, err := in.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		r.inflated += int64(n)
		if stop != nil && stop(out) {
			return out
		}
		if int64(len(out)) > limit {
			r.gap(place, "limit", fmt.Sprintf("more than %d bytes", limit))
			return out[:limit]
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.gap(place, "broken", err.Error())
			return out
		}
	}
	if crc32.ChecksumIEEE(out) != e.crc {
		r.gap(place, "broken", "wrong checksum")
	}
	return out
}

// chunkSize is the unit in which inflated archives grow, so that memory follows what is there and not what is declared.
const chunkSize = 256 << 10

// chunks is an inflated archive.
type chunks struct {
	parts [][]byte // all of chunkSize but a single first one, which may be smaller
	size  int64
}

// ReadAt is io.ReaderAt.
func (c *chunks) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= c.size {
		return 0, io.EOF
	}
	done := 0
	for done < len(p) && off < c.size {
		part := c.parts[off/chunkSize]
		from := off % chunkSize
		n := copy(p[done:], part[from:min(int64(len(part)), from+c.size-off)])
		done += n
		off += int64(n)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// chunk returns an empty chunk.
func (r *reader) chunk() []byte {
	if n := len(r.free); n > 0 {
		c := r.free[n-1]
		r.free = r.free[:n-1]
		return c
	}
	return make([]byte, chunkSize)
}

// release takes the chunks back.
func (r *reader) release(c *chunks) {
	if c != nil {
		r.free = append(r.free, c.parts...)
	}
}

// inflate unpacks a nested archive into memory and returns it with its SHA-1. It stops at the limits whatever the sizes in
// the directory say, and notes why.
func (r *reader) inflate(place string, e *keptEntry, data source) (*chunks, string, bool) {
	limit, why := int64(maxNested), "nested archive of more than %d bytes"
	if most := max(int64(freeRatio), data.size*maxRatio); most < limit {
		limit, why = most, fmt.Sprintf("compressed more than %d:1: inflated it is more than %%d bytes", maxRatio)
	}
	if left := r.options.MaxBytes - r.inflated; left < limit {
		limit, why = max(left, 0), fmt.Sprintf("more than %d bytes inflated, %%d left here", r.options.MaxBytes)
	}
	if e.size > uint64(limit) {
		r.gap(place, "limit", fmt.Sprintf(why, limit))
		return nil, "", false
	}
	f := inflaters.Get().(*inflater)
	defer inflaters.Put(f)
	f.reset(data)
	c := &chunks{}
	sum, crc := sha1.New(), uint32(0)
	for {
		part := r.chunk()
		n, err := io.ReadFull(f.out, part)
		c.parts = append(c.parts, part)
		c.size += int64(n)
		r.inflated += int64(n)
		_, _ = sum.Write(part[:n])
		crc = crc32.Update(crc, crc32.IEEETable, part[:n])
		if c.size > limit {
			r.gap(place, "limit", fmt.Sprintf(why, limit))
			return c, "", false
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF && f.ended() {
			break
		}
		if err != nil {
			r.gap(place, "broken", err.Error())
			return c, "", false
		}
	}
	if uint64(c.size) != e.size {
		r.gap(place, "broken", fmt.Sprintf("holds %d bytes, the directory says %d", c.size, e.size))
	} else if crc != e.crc {
		r.gap(place, "broken", "wrong checksum")
	}
	return c, hex.EncodeToString(sum.Sum(nil)), true
}

// ended reports whether the stream ended where it should: ReadFull gives the same error for a short last part and for a
// stream that is cut short.
func (f *inflater) ended() bool {
	var one [1]byte
	n, err := f.out.Read(one[:])
	return n == 0 && err == io.EOF
}

// hashing are buffers: most archives are small, and there are many.
var hashing = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// hash returns the SHA-1 of the source as hex.
func (r *reader) hash(s source) (string, error) {
	if r.buffer == nil {
		r.buffer = hashing.Get().(*[64 << 10]byte)
	}
	sum := sha1.New()
	for off := int64(0); off < s.size; {
		p := r.buffer[:min(int64(len(r.buffer)), s.size-off)]
		if err := s.fill(p, off); err != nil {
			return "", fmt.Errorf("byte %d: %w", off, err)
		}
		_, _ = sum.Write(p)
		off += int64(len(p))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// endOfMain reports whether the data holds the whole main section of a manifest.
func endOfMain(data []byte) bool {
	return bytes.Contains(data, []byte("\n\n")) || bytes.Contains(data, []byte("\n\r\n")) || bytes.Contains(data, []byte("\r\r"))
}
