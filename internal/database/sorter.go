package database

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// sorter sorts more records than memory holds: full buffers are sorted and written to runs, which are merged. Equal records
// come out once. Records are ordered by their bytes.
type sorter struct {
	dir    string
	limit  int // bytes of the buffer
	buf    []byte
	places []place
	runs   []string
	n      int // records added
}

type place struct{ off, len uint32 }

func newSorter(dir string, limit int) *sorter { return &sorter{dir: dir, limit: limit} }

func (s *sorter) add(parts ...[]byte) error {
	off := len(s.buf)
	for _, p := range parts {
		s.buf = append(s.buf, p...)
	}
	s.places = append(s.places, place{uint32(off), uint32(len(s.buf) - off)})
	s.n++
	if len(s.buf)+8*len(s.places) < s.limit {
		return nil
	}
	return s.spill()
}

func (s *sorter) record(p place) []byte { return s.buf[p.off : p.off+p.len] }

func (s *sorter) sort() {
	slices.SortFunc(s.places, func(a, b place) int { return bytes.Compare(s.record(a), s.record(b)) })
	s.places = slices.CompactFunc(s.places, func(a, b place) bool { return bytes.Equal(s.record(a), s.record(b)) })
}

func (s *sorter) spill() error {
	s.sort()
	f, err := os.CreateTemp(s.dir, "run-")
	if err != nil {
		return err
	}
	s.runs = append(s.runs, f.Name())
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(256<<10))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	w := bufio.NewWriterSize(z, 64<<10)
	var head []byte
	for _, p := range s.places {
		head = binary.AppendUvarint(head[:0], uint64(p.len))
		w.Write(head)
		w.Write(s.record(p)) // bufio keeps the first error for Flush
	}
	s.buf, s.places = s.buf[:0], s.places[:0]
	return errors.Join(w.Flush(), z.Close(), f.Close())
}

// each calls f for every record in order; the record is valid during the call. The sorter is empty afterwards.
func (s *sorter) each(f func([]byte) error) error {
	if len(s.runs) == 0 {
		s.sort()
		for _, p := range s.places {
			if err := f(s.record(p)); err != nil {
				return err
			}
		}
		s.buf, s.places = nil, nil
		return nil
	}
	if len(s.places) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.buf, s.places = nil, nil
	var m merge
	defer func() {
		for _, r := range m {
			r.close()
		}
	}()
	for _, name := range s.runs {
		r, err := openRun(name)
		if err != nil {
			return err
		}
		if r != nil {
			m = append(m, r)
		}
	}
	s.runs = nil
	heap.Init(&m)
	var last []byte
	first := true
	for len(m) > 0 {
		r := m[0]
		if first || !bytes.Equal(last, r.record) {
			first = false
			last = append(last[:0], r.record...)
			if err := f(last); err != nil {
				return err
			}
		}
		if err := r.next(); err == io.EOF {
			r.close()
			heap.Pop(&m)
		} else if err != nil {
			return fmt.Errorf("reading a temporary file: %w", err)
		} else {
			heap.Fix(&m, 0)
		}
	}
	return nil
}

// run is a sorted file being read.
type run struct {
	f      *os.File
	z      *zstd.Decoder
	r      *bufio.Reader
	record []byte
}

// openRun opens a run at its first record; nil when it has none.
func openRun(name string) (*run, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	_ = os.Remove(name) // where that fails the folder goes at the end
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r := &run{f: f, z: z, r: bufio.NewReaderSize(z, 64<<10)}
	if err := r.next(); err != nil {
		r.close()
		if err == io.EOF {
			return nil, nil
		}
		return nil, err
	}
	return r, nil
}

func (r *run) next() error {
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return err
	}
	r.record = slices.Grow(r.record[:0], int(n))[:n]
	_, err = io.ReadFull(r.r, r.record)
	return err
}

func (r *run) close() {
	r.z.Close()
	r.f.Close()
}

// merge is a heap of runs by their current record.
type merge []*run

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return bytes.Compare(m[i].record, m[j].record) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)        { *m = append(*m, x.(*run)) }
func (m *merge) Pop() any {
	old := *m
	x := old[len(old)-1]
	*m = old[:len(old)-1]
	return x
}
