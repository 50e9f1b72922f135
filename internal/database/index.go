package database

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

// The sections of match.db. Their places stand at the end of the body, 16 bytes each.
const (
	secBlocks       = iota // rows by key, in the order of keys
	secKeyBuckets          // hash index of keys
	secKeyEntries          //
	secIDs                 // vulnerabilities and reverse look-up, in the order of ids
	secIDBuckets           // hash index of ids
	secIDEntries           //
	secNameOffsets         // string table, most used first: 4 bytes each and one for the end
	secNames               //
	secRepositories        // content sets
	sections
)

const sectionTable = sections * 16

// entrySize is a place in a hash index: 4 bytes of the hash, 8 bytes of offset.
const entrySize = 12

// extent is where a section is.
type extent struct{ off, len uint64 }

// hashKey hashes a key: FNV-1a with a finisher, so that high bits are good too. It is part of the format.
func hashKey[T string | []byte](key T) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	return h
}

// hashIndex collects where the records of keys are.
type hashIndex []hashed

type hashed struct{ hash, off uint64 }

func (x *hashIndex) add(key []byte, off uint64) { *x = append(*x, hashed{hashKey(key), off}) }

// bucketBits chooses the number of buckets: four keys each.
func bucketBits(n int) int { return max(0, bits.Len(uint(n))-2) }

// write writes the buckets and the entries; w counts both.
func (x hashIndex) write(w *sectionWriter, buckets, entries int) error {
	slices.SortFunc(x, func(a, b hashed) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.off, b.off)) })
	nb := bucketBits(len(x))
	w.begin(buckets)
	i := 0
	var b [entrySize]byte
	for bucket := range 1 << nb {
		binary.LittleEndian.PutUint32(b[:], uint32(i))
		w.Write(b[:4])
		for i < len(x) && x[i].hash>>(64-nb) == uint64(bucket) {
			i++
		}
	}
	binary.LittleEndian.PutUint32(b[:], uint32(i))
	w.Write(b[:4])
	w.begin(entries)
	for _, e := range x {
		binary.LittleEndian.PutUint32(b[:4], uint32(e.hash))
		binary.LittleEndian.PutUint64(b[4:], e.off)
		w.Write(b[:])
	}
	return w.err
}

// sectionWriter writes sections one after the other and remembers where they are.
type sectionWriter struct {
	*pageWriter
	at [sections]extent
	in int
}

func newSectionWriter(p *pageWriter) *sectionWriter {
	w := &sectionWriter{pageWriter: p, in: -1}
	w.Write(footerMagic[:])
	return w
}

// begin starts a section and ends the one before.
func (w *sectionWriter) begin(section int) {
	w.end()
	w.in = section
	w.at[section].off = w.size
}

func (w *sectionWriter) end() {
	if w.in >= 0 {
		w.at[w.in].len = w.size - w.at[w.in].off
	}
	w.in = -1
}

// offset is the place in the section where the next byte goes.
func (w *sectionWriter) offset() uint64 { return w.size - w.at[w.in].off }

func (w *sectionWriter) finish() error {
	w.end()
	var b [16]byte
	for _, e := range w.at {
		binary.LittleEndian.PutUint64(b[:8], e.off)
		binary.LittleEndian.PutUint64(b[8:], e.len)
		w.Write(b[:])
	}
	return w.err
}

var _ io.Writer = (*sectionWriter)(nil)

// readSections reads the table of sections; all of them lie in the body.
func (p *pages) readSections() (at [sections]extent, err error) {
	if p.body < sectionTable {
		return at, fmt.Errorf("%s: no table of sections", p.name)
	}
	err = p.guard(func() error {
		b, err := p.view(p.body-sectionTable, sectionTable)
		if err != nil {
			return err
		}
		for i := range at {
			e := extent{binary.LittleEndian.Uint64(b[16*i:]), binary.LittleEndian.Uint64(b[16*i+8:])}
			if e.off > p.body || e.len > p.body-e.off {
				return fmt.Errorf("%s: section %d lies outside of the file", p.name, i)
			}
			at[i] = e
		}
		return nil
	})
	return at, err
}

// part returns bytes of a section; it is called inside guard.
func (p *pages) part(e extent, off, n uint64) ([]byte, error) {
	if off > e.len || n > e.len-off {
		return nil, fmt.Errorf("%s: a record lies outside of its section", p.name)
	}
	return p.view(e.off+off, n)
}

// find calls at for the offset of every entry that may be the key's, until it returns true or fails; it is called inside
// guard.
func (p *pages) find(buckets, entries extent, hash uint64, at func(off uint64) (bool, error)) error {
	n := buckets.len / 4
	if n < 2 || n-1 > 1<<31 || (n-1)&(n-2) != 0 {
		return fmt.Errorf("%s: broken index", p.name)
	}
	nb := bits.Len64(n-1) - 1
	bucket := hash >> (64 - nb)
	b, err := p.part(buckets, 4*bucket, 8)
	if err != nil {
		return err
	}
	from, to := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
	if from > to {
		return fmt.Errorf("%s: broken index", p.name)
	}
	if b, err = p.part(entries, from*entrySize, (to-from)*entrySize); err != nil {
		return err
	}
	for ; len(b) >= entrySize; b = b[entrySize:] {
		if binary.LittleEndian.Uint32(b) != uint32(hash) {
			continue
		}
		if done, err := at(binary.LittleEndian.Uint64(b[4:])); done || err != nil {
			return err
		}
	}
	return nil
}

// varint reads a varint of a section and returns where it ends; it is called inside guard.
func (p *pages) varint(e extent, off uint64) (n, end uint64, err error) {
	if off >= e.len {
		return 0, 0, fmt.Errorf("%s: a record lies outside of its section", p.name)
	}
	b, err := p.part(e, off, min(binary.MaxVarintLen64, e.len-off))
	if err != nil {
		return 0, 0, err
	}
	n, k := binary.Uvarint(b)
	if k <= 0 {
		return 0, 0, fmt.Errorf("%s: %w", p.name, errBroken)
	}
	return n, off + uint64(k), nil
}
