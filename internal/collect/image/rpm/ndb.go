package rpm

import (
	"encoding/binary"
	"fmt"
	"hash/adler32"
)

// Numbers of rpm's own database format, from its description (docs of rpm, lib/backend/ndb).
const (
	ndbBlock    = 16   // bytes of a block and of a slot
	ndbPage     = 4096 // bytes of a page of slots
	ndbHead     = 16   // bytes before and after the header of a package
	ndbTail     = 12
	ndbSlotMark = "Slot"
	ndbHeadMark = "BlbS"
	ndbTailMark = "BlbE"
)

// ndb reads an NDB file: pages of slots, each naming a package's number and the blocks that hold its header.
func (r *reader) ndb(data []byte) error {
	if len(data) < ndbPage {
		return fmt.Errorf("offset %d: cut within the first page", len(data))
	}
	if v := binary.LittleEndian.Uint32(data[4:]); v != 0 {
		return fmt.Errorf("offset 4: version %d is not known", v)
	}
	pages := int64(binary.LittleEndian.Uint32(data[12:]))
	counted := pages > 0 && pages <= int64(len(data)/ndbPage)
	if !counted {
		r.fault("offset 12: %d pages of slots in a file of %d bytes", pages, len(data))
		pages = int64(len(data) / ndbPage)
	}
	slots := data[:pages*ndbPage]
	var b blob
	left := len(data) // headers do not overlap, so together they are no longer than the file
	for at := 2 * ndbBlock; at < len(slots); at += ndbBlock {
		s := slots[at : at+ndbBlock]
		if string(s[:4]) != ndbSlotMark {
			r.fault("offset %d: no slot", at)
			if string(s[:4]) == ndbHeadMark {
				break // the count of pages was wrong: headers have begun
			}
			continue
		}
		number, start, blocks := binary.LittleEndian.Uint32(s[4:]), int64(binary.LittleEndian.Uint32(s[8:])), int64(binary.LittleEndian.Uint32(s[12:]))
		if number == 0 || start == 0 {
			continue // free
		}
		from, length := start*ndbBlock, blocks*ndbBlock
		if counted && from < int64(len(slots)) || length < ndbHead+ndbTail || from+length > int64(len(data)) {
			r.fault("offset %d: package %d at block %d, %d blocks long", at, number, start, blocks)
			continue
		}
		if left -= int(length); left < 0 {
			return fmt.Errorf("offset %d: packages overlap", at)
		}
		piece := data[from : from+length]
		tail := piece[len(piece)-ndbTail:]
		size := int64(binary.LittleEndian.Uint32(piece[12:]))
		where := place{-1, from}
		if string(piece[:4]) != ndbHeadMark || binary.LittleEndian.Uint32(piece[4:]) != number || size > length-ndbHead-ndbTail {
			r.fault("%v: no header of package %d", where, number)
			continue
		}
		if string(tail[8:]) != ndbTailMark || binary.LittleEndian.Uint32(tail) != adler32.Checksum(piece[:len(piece)-ndbTail]) {
			r.fault("%v: the check sum of package %d is wrong", where, number)
		}
		b.reset()
		b.add(piece[ndbHead:][:size])
		if err := r.take(&b, where); err != nil {
			return err
		}
	}
	return nil
}
