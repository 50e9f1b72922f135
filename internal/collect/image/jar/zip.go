package jar

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// The zip format: APPNOTE.TXT of PKWARE, 6.3.10. Numbers are little-endian.
const (
	stored   = 0
	deflated = 8

	localSize     = 30
	centralSize   = 46
	endSize       = 22
	locatorSize   = 20
	end64Size     = 56
	maxComment    = 1<<16 - 1
	zip64Extra    = 1
	flagEncrypted = 1
)

var (
	localMark   = []byte("PK\x03\x04")
	centralMark = []byte("PK\x01\x02")
	endMark     = []byte("PK\x05\x06")
	locatorMark = []byte("PK\x06\x07")
	end64Mark   = []byte("PK\x06\x06")
)

// source is a stretch of a file: an archive, or an entry's data. Stretches of stretches share the file, so that an archive
// stored in an archive is read where it lies.
type source struct {
	r         io.ReaderAt
	off, size int64
}

// slice returns the stretch of n bytes from off, and whether it lies in s.
func (s source) slice(off, n int64) (source, bool) {
	if off < 0 || n < 0 || off > s.size || n > s.size-off {
		return source{}, false
	}
	return source{s.r, s.off + off, n}, true
}

// fill reads len(p) bytes from off.
func (s source) fill(p []byte, off int64) error {
	if off < 0 || off > s.size || int64(len(p)) > s.size-off {
		return io.ErrUnexpectedEOF
	}
	n, err := s.r.ReadAt(p, s.off+off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// startsAsZip reports whether the first bytes are those of a zip file.
func startsAsZip(s source) bool {
	var head [4]byte
	return s.fill(head[:], 0) == nil && (bytes.Equal(head[:], localMark) || bytes.Equal(head[:], endMark))
}

// directory says where the central directory is.
type directory struct {
	off, size int64
	base      int64 // what is added to offsets: bytes before the archive, such as a launch script, that nobody counted
}

var errNoEnd = errors.New("no end-of-directory record: not a zip archive, or cut short")

// findDirectory looks for the end record from the end of the file, as Java does.
func findDirectory(s source) (directory, error) {
	cause := errNoEnd
	for _, span := range []int64{1 << 10, endSize + maxComment} {
		tail := make([]byte, min(span, s.size))
		start := s.size - int64(len(tail))
		if err := s.fill(tail, start); err != nil {
			return directory{}, fmt.Errorf("end of the archive: %w", err)
		}
		tries := 0
		for i := len(tail) - endSize; i >= 0; i-- {
			if tail[i] != 'P' || !bytes.Equal(tail[i:i+4], endMark) || i+endSize+int(binary.LittleEndian.Uint16(tail[i+20:])) > len(tail) {
				continue
			}
			dir, err := parseEnd(s, tail[i:i+endSize], start+int64(i))
			if err == nil {
				return dir, nil
			}
			cause = err
			if tries++; tries == 100 { // a comment made of end records
				return directory{}, cause
			}
		}
		if start == 0 {
			break
		}
	}
	return directory{}, cause
}

// parseEnd reads the end record found at pos, and the zip64 one where it refers to it.
func parseEnd(s source, rec []byte, pos int64) (directory, error) {
	count := uint64(binary.LittleEndian.Uint16(rec[10:]))
	size := uint64(binary.LittleEndian.Uint32(rec[12:]))
	off := uint64(binary.LittleEndian.Uint32(rec[16:]))
	end := pos // where the directory ends
	if count == 0xffff || size == 0xffffffff || off == 0xffffffff {
		if at, rec64, ok := findEnd64(s, pos); ok {
			size = binary.LittleEndian.Uint64(rec64[40:])
			off = binary.LittleEndian.Uint64(rec64[48:])
			end = at
		}
	}
	if size > uint64(end) {
		return directory{}, fmt.Errorf("the directory would be %d bytes long, the archive has %d", size, s.size)
	}
	if size == 0 {
		return directory{off: end}, nil
	}
	var mark [4]byte
	at := end - int64(size)
	if s.fill(mark[:], at) == nil && bytes.Equal(mark[:], centralMark) && off <= uint64(at) {
		return directory{off: at, size: int64(size), base: at - int64(off)}, nil
	}
	// Something lies between the directory and its end record: take the offset at its word.
	if off <= uint64(end)-size && s.fill(mark[:], int64(off)) == nil && bytes.Equal(mark[:], centralMark) {
		return directory{off: int64(off), size: int64(size)}, nil
	}
	return directory{}, errors.New("the end record points to no directory")
}

// findEnd64 returns the zip64 end record that the locator before the end record at pos names, and where it is.
func findEnd64(s source, pos int64) (int64, []byte, bool) {
	loc := make([]byte, locatorSize)
	if s.fill(loc, pos-locatorSize) != nil || !bytes.Equal(loc[:4], locatorMark) {
		return 0, nil, false
	}
	rec := make([]byte, end64Size)
	// With bytes before the archive the offset is too small by their number: then the record lies right before its locator.
	for _, at := range []uint64{binary.LittleEndian.Uint64(loc[8:]), uint64(pos - locatorSize - end64Size)} {
		if at < uint64(pos) && s.fill(rec, int64(at)) == nil && bytes.Equal(rec[:4], end64Mark) {
			return int64(at), rec, true
		}
	}
	return 0, nil, false
}

// entry is a central directory header. Its name is valid until the next one.
type entry struct {
	name          []byte
	method, flags uint16
	crc           uint32
	packed, size  uint64
	off           uint64 // of the local header
	base          int64
}

// windows are buffers that hold the longest header there can be.
var windows = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, centralSize+3*maxComment) }}

// walk calls yield for each header of the directory until it returns an error.
func (d directory) walk(s source, yield func(*entry) error) error {
	w := windows.Get().(*bufio.Reader)
	defer windows.Put(w)
	w.Reset(io.NewSectionReader(s.r, s.off+d.off, d.size))
	defer w.Reset(nil)
	e := entry{base: d.base}
	for left := d.size; left > 0; {
		head, err := w.Peek(centralSize)
		if err != nil || !bytes.Equal(head[:4], centralMark) {
			return fmt.Errorf("the directory breaks off %d bytes before its end", left)
		}
		name := int(binary.LittleEndian.Uint16(head[28:]))
		extra := int(binary.LittleEndian.Uint16(head[30:]))
		whole := centralSize + name + extra + int(binary.LittleEndian.Uint16(head[32:]))
		e.flags = binary.LittleEndian.Uint16(head[8:])
		e.method = binary.LittleEndian.Uint16(head[10:])
		e.crc = binary.LittleEndian.Uint32(head[16:])
		e.packed = uint64(binary.LittleEndian.Uint32(head[20:]))
		e.size = uint64(binary.LittleEndian.Uint32(head[24:]))
		e.off = uint64(binary.LittleEndian.Uint32(head[42:]))
		head, err = w.Peek(whole)
		if err != nil {
			return fmt.Errorf("the directory breaks off %d bytes before its end", left)
		}
		e.name = head[centralSize : centralSize+name]
		if e.packed == 0xffffffff || e.size == 0xffffffff || e.off == 0xffffffff {
			e.read64(head[centralSize+name : centralSize+name+extra])
		}
		if err := yield(&e); err != nil {
			return err
		}
		if _, err := w.Discard(whole); err != nil {
			return err
		}
		left -= int64(whole)
	}
	return nil
}

// read64 takes the numbers that did not fit from the zip64 field of extra.
func (e *entry) read64(extra []byte) {
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		extra = extra[4:]
		if n > len(extra) {
			return
		}
		if id != zip64Extra {
			extra = extra[n:]
			continue
		}
		field := extra[:n]
		for _, number := range []*uint64{&e.size, &e.packed, &e.off} {
			if *number == 0xffffffff && len(field) >= 8 {
				*number, field = binary.LittleEndian.Uint64(field), field[8:]
			}
		}
		return
	}
}

// code returns the gap's code for what locate says.
func code(err error) string {
	if errors.Is(err, errors.ErrUnsupported) {
		return "unsupported"
	}
	return "broken"
}

// locate returns where the entry's data lies in the archive. Sizes come from the directory: the local header may leave them
// to a data descriptor.
func (r *reader) locate(a *archive, e *keptEntry) (source, error) {
	if e.flags&flagEncrypted != 0 {
		return source{}, fmt.Errorf("encrypted: %w", errors.ErrUnsupported)
	}
	if e.method != stored && e.method != deflated {
		return source{}, fmt.Errorf("compression method %d: %w", e.method, errors.ErrUnsupported)
	}
	off := int64(e.off) + e.base
	if e.off > uint64(a.size) || e.packed > uint64(a.size) {
		return source{}, errors.New("lies outside the archive")
	}
	var head [localSize]byte
	if err := a.fill(head[:], off); err != nil || !bytes.Equal(head[:4], localMark) {
		return source{}, errors.New("the directory points to no entry")
	}
	off += localSize + int64(binary.LittleEndian.Uint16(head[26:])) + int64(binary.LittleEndian.Uint16(head[28:]))
	data, ok := a.slice(off, int64(e.packed))
	if !ok {
		return source{}, errors.New("reaches beyond the archive's end")
	}
	if a.budget -= data.size; a.budget < 0 {
		return source{}, errors.New("entries overlap: together they are larger than the archive")
	}
	return data, nil
}
