package rpm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Numbers of Berkeley DB's hash files, from its documentation of on-disk structures.
const (
	bdbHashMagic  = 0x061561
	bdbBtreeMagic = 0x053162
	bdbPageHeader = 26

	bdbHashUnsorted = 2 // types of pages
	bdbOverflow     = 7
	bdbHashMeta     = 8
	bdbHash         = 13

	bdbInline  = 1 // types of items
	bdbOffPage = 3
)

// bdbOrder tells the byte order of a Berkeley DB file; nil when it is none.
func bdbOrder(data []byte) binary.ByteOrder {
	if len(data) < 512 {
		return nil
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if m := order.Uint32(data[12:]); m == bdbHashMagic || m == bdbBtreeMagic {
			return order
		}
	}
	return nil
}

// bdbFile is a Berkeley DB hash file.
type bdbFile struct {
	data  []byte
	order binary.ByteOrder
	size  int // of a page
	pages uint32
	seen  pageSet // overflow pages that belong to a header already
	pairs int64   // pairs met so far
}

// bdb reads a Berkeley DB hash. All pages are walked in the order of the file rather than by buckets: each is seen once
// whatever the pointers say, and freed pages have another type.
func (r *reader) bdb(data []byte, order binary.ByteOrder) error {
	if order.Uint32(data[12:]) != bdbHashMagic || data[25] != bdbHashMeta {
		return errors.New("offset 12: a Berkeley DB file, but no hash")
	}
	size := order.Uint32(data[20:])
	if size < 512 || size > 64<<10 || size&(size-1) != 0 {
		return fmt.Errorf("offset 20: %d is no page size", size)
	}
	if data[24] != 0 || data[26]&1 != 0 {
		return errors.New("offset 24: encrypted or checksummed pages are not read")
	}
	f := &bdbFile{data: data, order: order, size: int(size)}
	f.pages = uint32(min(len(data)/f.size, 1<<31))
	if last := order.Uint32(data[32:]); last >= f.pages {
		r.fault("offset 32: the last page is %d, the file ends after page %d", last, int64(f.pages)-1)
	} else {
		f.pages = last + 1
	}
	f.seen = newPageSet(int(f.pages))
	var b blob
	for n := uint32(1); n < f.pages; n++ {
		page := f.page(n)
		if page[25] != bdbHash && page[25] != bdbHashUnsorted {
			continue
		}
		if err := r.bdbBucket(f, n, page, &b); err != nil {
			return err
		}
	}
	// A zeroed page of a bucket looks like one that was never used; only the count tells.
	if want := int64(order.Uint32(data[88:])); f.pairs < want {
		r.fault("offset 88: %d entries are counted, %d are there", want, f.pairs)
	}
	return nil
}

func (f *bdbFile) page(n uint32) []byte {
	return f.data[int(n)*f.size:][:f.size]
}

func (f *bdbFile) place(n uint32) place { return place{int64(n), int64(n) * int64(f.size)} }

// bdbBucket reads one page of a bucket: pairs of a package number and a header.
func (r *reader) bdbBucket(f *bdbFile, n uint32, page []byte, b *blob) error {
	if f.order.Uint32(page[8:]) != n {
		r.fault("%v: says it is page %d", f.place(n), f.order.Uint32(page[8:]))
		return nil
	}
	entries := int(f.order.Uint16(page[20:]))
	if entries%2 != 0 || bdbPageHeader+2*entries > len(page) {
		r.fault("%v: %d items", f.place(n), entries)
		return nil
	}
	// Items lie from the end of the page downwards, so each ends where the one before begins.
	end := len(page)
	for i := range entries {
		at := int(f.order.Uint16(page[bdbPageHeader+2*i:]))
		if at < bdbPageHeader+2*entries || at >= end {
			r.fault("%v: item %d lies at %d", f.place(n), i, at)
			return nil
		}
		item := page[at:end]
		end = at
		if i%2 == 0 {
			continue // the package's number
		}
		f.pairs++
		b.reset()
		where := f.place(n)
		switch {
		case item[0] == bdbOffPage && len(item) >= 12:
			first, length := f.order.Uint32(item[4:]), f.order.Uint32(item[8:])
			where = f.place(first)
			if err := f.chain(first, length, b); err != nil {
				r.fault("%v, header of page %d item %d: %w", where, n, i, err)
				continue
			}
		case item[0] == bdbInline:
			if len(item) <= 1+4 {
				continue // package 0 is the counter of the numbers
			}
			b.add(item[1:])
		default:
			r.fault("%v: item %d has type %d", where, i, item[0])
			continue
		}
		if err := r.take(b, where); err != nil {
			return err
		}
	}
	return nil
}

// chain gathers the overflow pages of one item.
func (f *bdbFile) chain(n, length uint32, b *blob) error {
	if int64(length) > int64(len(f.data)) {
		return fmt.Errorf("%d bytes in a file of %d", length, len(f.data))
	}
	for int64(b.size) < int64(length) {
		if n == 0 || n >= f.pages {
			return fmt.Errorf("%d of %d bytes, then page %d, which is not there", b.size, length, n)
		}
		if !f.seen.add(n) {
			return fmt.Errorf("%v belongs to another header or comes twice", f.place(n))
		}
		page := f.page(n)
		used := int(f.order.Uint16(page[22:]))
		if page[25] != bdbOverflow || f.order.Uint32(page[8:]) != n || used == 0 || used > len(page)-bdbPageHeader {
			return fmt.Errorf("%v is no overflow page", f.place(n))
		}
		b.add(page[bdbPageHeader:][:min(used, int(length)-b.size)])
		n = f.order.Uint32(page[16:])
	}
	return nil
}
