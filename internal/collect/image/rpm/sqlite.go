package rpm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Numbers of SQLite's file format, from "The Database File Format" at sqlite.org.
const (
	sqliteMagic    = "SQLite format 3\x00"
	sqliteHeader   = 100
	sqliteInterior = 5  // page of a table's tree that points to others
	sqliteLeaf     = 13 // page of a table's tree that holds rows
	sqliteDepth    = 20 // deepest tree that SQLite itself walks
	sqliteSchema   = 1 << 20
)

// sqliteFile is a database with its write-ahead log.
type sqliteFile struct {
	data   []byte
	wal    wal
	size   int // of a page
	usable int // of it
	pages  uint32
	seen   pageSet
}

// sqlite reads the table Packages, whose rows are a number and a header.
func (r *reader) sqlite(data, log []byte) error {
	if len(data) < sqliteHeader {
		return fmt.Errorf("offset %d: cut within the header", len(data))
	}
	size := int(binary.BigEndian.Uint16(data[16:]))
	if size == 1 {
		size = 64 << 10
	}
	if size < 512 || size&(size-1) != 0 || size-int(data[20]) < 480 {
		return fmt.Errorf("offset 16: %d is no page size", size)
	}
	f := &sqliteFile{data: data, size: size, usable: size - int(data[20])}
	var err error
	if f.wal, err = readWAL(log, size); err != nil {
		r.fault("%w", err)
	}
	f.pages = uint32(min((len(data)+size-1)/size, 1<<31))
	if f.wal.pages > 0 {
		// A page beyond file and log does not exist, whatever the log says of the size.
		f.pages = min(f.wal.pages, f.pages+uint32(len(f.wal.frames)))
	}
	f.seen = newPageSet(int(f.pages) + 1)
	root, err := r.schema(f)
	if err != nil {
		return err
	}
	var b blob
	return r.tree(f, root, 0, func(c cell) error {
		if err := f.row(c, &b); err != nil {
			r.fault("%v: row %d: %w", f.place(c.page), c.id, err)
			return nil
		}
		return r.take(&b, f.place(c.page))
	})
}

func (f *sqliteFile) place(n uint32) place { return place{int64(n), (int64(n) - 1) * int64(f.size)} }

// page returns page n, which nothing else may have used.
func (f *sqliteFile) page(n uint32) ([]byte, error) {
	if n == 0 || n > f.pages {
		return nil, fmt.Errorf("page %d is not there", n)
	}
	if !f.seen.add(n) {
		return nil, fmt.Errorf("%v is used twice", f.place(n))
	}
	if p, ok := f.wal.frames[n]; ok {
		return p, nil
	}
	from := int(n-1) * f.size
	if from+f.size > len(f.data) {
		return nil, fmt.Errorf("%v is cut or was never written", f.place(n))
	}
	return f.data[from : from+f.size], nil
}

// schema finds the root of the table Packages.
func (r *reader) schema(f *sqliteFile) (uint32, error) {
	var root uint32
	var b blob
	err := r.tree(f, 1, 0, func(c cell) error {
		if root != 0 || c.length > sqliteSchema {
			return nil
		}
		b.reset()
		if err := f.payload(c, &b); err != nil {
			r.fault("%v: schema: %w", f.place(c.page), err)
			return nil
		}
		record, _ := b.slice(0, b.size)
		columns, ok := record5(record)
		if ok && string(columns[0]) == "table" && string(columns[1]) == "Packages" {
			for _, c := range columns[3] {
				root = root<<8 | uint32(c)
			}
		}
		return nil
	})
	if err == nil && root == 0 {
		err = errors.New("no table Packages")
	}
	return root, err
}

// record5 takes the first five columns of a record.
func record5(record []byte) (columns [5][]byte, ok bool) {
	head, n := varint(record)
	if n == 0 || head < uint64(n) || head > uint64(len(record)) {
		return columns, false
	}
	types, body := record[n:head], record[head:]
	for i := range columns {
		t, n := varint(types)
		if n == 0 {
			return columns, false
		}
		types = types[n:]
		size, ok := serialSize(t)
		if !ok || size > uint64(len(body)) {
			return columns, false
		}
		columns[i], body = body[:size], body[size:]
	}
	return columns, true
}

// serialSize is the number of bytes that a value of a serial type takes.
func serialSize(t uint64) (uint64, bool) {
	switch {
	case t >= 12:
		return (t - 12) / 2, true
	case t == 10 || t == 11:
		return 0, false
	}
	return [...]uint64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0}[t], true
}

// varint reads SQLite's big-endian integer of 1 to 9 bytes; n is 0 when it is cut.
func varint(p []byte) (v uint64, n int) {
	for i, c := range p {
		if i == 8 {
			return v<<8 | uint64(c), 9
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// cell is one row of a table as its leaf holds it.
type cell struct {
	page     uint32
	id       uint64
	length   uint64 // of the payload
	local    []byte // its part on the page
	overflow uint32 // first page of the rest; 0 when there is none
}

// tree calls row for each row below page n, in order. Damaged pages are noted and passed over; an error is row's own.
func (r *reader) tree(f *sqliteFile, n uint32, depth int, row func(cell) error) error {
	if depth > sqliteDepth {
		r.fault("%v: the tree is too deep", f.place(n))
		return nil
	}
	page, err := f.page(n)
	if err != nil {
		r.fault("tree: %w", err)
		return nil
	}
	page = page[:f.usable]
	at := 0
	if n == 1 {
		at = sqliteHeader
	}
	kind, cells := page[at], int(binary.BigEndian.Uint16(page[at+3:]))
	pointers := at + 8
	if kind == sqliteInterior {
		pointers = at + 12
	} else if kind != sqliteLeaf {
		r.fault("%v: type %d is no page of a table", f.place(n), kind)
		return nil
	}
	if pointers+2*cells > len(page) {
		r.fault("%v: %d cells", f.place(n), cells)
		return nil
	}
	left := len(page) // cells do not overlap, so together they are no longer than the page
	for i := range cells {
		p := int(binary.BigEndian.Uint16(page[pointers+2*i:]))
		if p < pointers+2*cells || p+4 > len(page) {
			r.fault("%v: cell %d lies at %d", f.place(n), i, p)
			continue
		}
		if kind == sqliteInterior {
			if err := r.tree(f, binary.BigEndian.Uint32(page[p:]), depth+1, row); err != nil {
				return err
			}
			continue
		}
		c, err := f.cell(n, page[p:])
		if err != nil {
			r.fault("%v: cell %d: %w", f.place(n), i, err)
			continue
		}
		if left -= len(c.local); left < 0 {
			r.fault("%v: cells overlap", f.place(n))
			return nil
		}
		if err := row(c); err != nil {
			return err
		}
	}
	if kind == sqliteInterior {
		return r.tree(f, binary.BigEndian.Uint32(page[at+8:]), depth+1, row)
	}
	return nil
}

// cell reads one cell of a leaf. How much of a payload stays on the page is a formula of the file format.
func (f *sqliteFile) cell(n uint32, data []byte) (cell, error) {
	c := cell{page: n}
	length, a := varint(data)
	id, b := varint(data[a:])
	if a == 0 || b == 0 || length > uint64(len(f.data)+len(f.wal.frames)*f.size) {
		return c, fmt.Errorf("a payload of %d bytes", length)
	}
	c.length, c.id, data = length, id, data[a+b:]
	local := int(length)
	if most := f.usable - 35; local > most {
		least := (f.usable-12)*32/255 - 23
		local = least + (int(length)-least)%(f.usable-4)
		if local > most {
			local = least
		}
		if local+4 > len(data) {
			return c, errors.New("cut")
		}
		c.overflow = binary.BigEndian.Uint32(data[local:])
	}
	if local > len(data) {
		return c, errors.New("cut")
	}
	c.local = data[:local]
	return c, nil
}

// payload gathers the whole payload of a cell.
func (f *sqliteFile) payload(c cell, b *blob) error {
	b.add(c.local)
	return f.rest(c, uint64(len(c.local)), b)
}

// rest adds the overflow pages of a cell, of whose payload have bytes are there.
func (f *sqliteFile) rest(c cell, have uint64, b *blob) error {
	for n := c.overflow; have < c.length; {
		page, err := f.page(n)
		if err != nil {
			return fmt.Errorf("%d of %d bytes: %w", have, c.length, err)
		}
		part := page[4:f.usable]
		part = part[:min(uint64(len(part)), c.length-have)]
		b.add(part)
		have += uint64(len(part))
		n = binary.BigEndian.Uint32(page)
	}
	return nil
}

// row makes b the header of a row of Packages: its first column that is a blob.
func (f *sqliteFile) row(c cell, b *blob) error {
	b.reset()
	head, n := varint(c.local)
	if n == 0 || head < uint64(n) || head > uint64(len(c.local)) {
		return errors.New("damaged record")
	}
	skip := head
	for types := c.local[n:head]; len(types) > 0; {
		t, n := varint(types)
		size, ok := serialSize(t)
		if n == 0 || !ok {
			return errors.New("damaged record")
		}
		types = types[n:]
		if t < 12 || t%2 != 0 {
			skip += size
			continue
		}
		if skip > uint64(len(c.local)) || size > c.length-skip {
			return errors.New("damaged record")
		}
		b.add(c.local[skip:])
		return f.rest(c, uint64(len(c.local)), b)
	}
	return errors.New("no header in the record")
}
