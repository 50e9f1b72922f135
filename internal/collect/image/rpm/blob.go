package rpm

import (
	"bytes"
	"sort"
)

// blob is one package header as it lies in the database: in one piece, or over pages. Nothing is put together before it is
// wanted; most of a header is file lists that nobody asks for.
type blob struct {
	parts   []part
	size    int
	scratch []byte // pieces that lie over more than one page
}

type part struct {
	start int // of data within the blob
	data  []byte
}

func (b *blob) reset() {
	b.parts, b.size = b.parts[:0], 0
}

func (b *blob) add(data []byte) {
	if len(data) > 0 {
		b.parts = append(b.parts, part{b.size, data})
		b.size += len(data)
	}
}

// from returns the bytes at off to the end of their part, and the part's index.
func (b *blob) from(off int) ([]byte, int) {
	i := 0
	if off >= len(b.parts[0].data) {
		i = sort.Search(len(b.parts), func(i int) bool { return b.parts[i].start > off }) - 1
	}
	return b.parts[i].data[off-b.parts[i].start:], i
}

// slice returns n bytes at off, valid until the next call; false when the blob has them not.
func (b *blob) slice(off, n int) ([]byte, bool) {
	if off < 0 || n < 0 || off > b.size-n {
		return nil, false
	}
	if n == 0 {
		return nil, true
	}
	data, i := b.from(off)
	if len(data) >= n {
		return data[:n], true
	}
	b.scratch = append(b.scratch[:0], data...)
	for i++; len(b.scratch) < n; i++ {
		b.scratch = append(b.scratch, b.parts[i].data[:min(len(b.parts[i].data), n-len(b.scratch))]...)
	}
	return b.scratch, true
}

// text returns the bytes from off to the next zero byte, which must lie before end; valid until the next call.
func (b *blob) text(off, end int) ([]byte, bool) {
	if off < 0 || off >= end || end > b.size {
		return nil, false
	}
	data, i := b.from(off)
	data = data[:min(len(data), end-off)]
	if n := bytes.IndexByte(data, 0); n >= 0 {
		return data[:n], true
	}
	b.scratch = append(b.scratch[:0], data...)
	for i++; off+len(b.scratch) < end; i++ {
		data = b.parts[i].data
		data = data[:min(len(data), end-off-len(b.scratch))]
		if n := bytes.IndexByte(data, 0); n >= 0 {
			return append(b.scratch, data[:n]...), true
		}
		b.scratch = append(b.scratch, data...)
	}
	return nil, false
}

// texts calls f for each of count strings that lie one after the other from off on, and reports whether all were there.
func (b *blob) texts(off, end, count int, f func([]byte) bool) bool {
	for range count {
		s, ok := b.text(off, end)
		if !ok {
			return false
		}
		off += len(s) + 1
		if !f(s) {
			return true
		}
	}
	return true
}
