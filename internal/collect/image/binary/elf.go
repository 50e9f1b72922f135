package binary

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// layout is what the program headers of an ELF file say (System V ABI, chapter 5): which part of the file goes where.
type layout struct {
	order    binary.ByteOrder
	wide     bool // 64 bit
	segments []segment
}

// segment is a loaded part of the file.
type segment struct {
	off, addr, size uint64 // size in the file
	flags           uint32 // 1 execute, 2 write, 4 read
}

// readLayout reads the headers at the front of a file; nil when it is no ELF file, or its program headers are not in head or
// make no sense.
func readLayout(head []byte) *layout {
	if len(head) < 64 || string(head[:4]) != "\x7fELF" {
		return nil
	}
	l := &layout{order: binary.LittleEndian, wide: head[4] == 2}
	if head[5] == 2 {
		l.order = binary.BigEndian
	}
	var at uint64
	var size, count int
	if l.wide {
		at, size, count = l.order.Uint64(head[32:]), int(l.order.Uint16(head[54:])), int(l.order.Uint16(head[56:]))
	} else {
		at, size, count = uint64(l.order.Uint32(head[28:])), int(l.order.Uint16(head[42:])), int(l.order.Uint16(head[44:]))
	}
	if size < 32 || l.wide && size < 56 || count == 0 || at > uint64(len(head)) || size*count > len(head)-int(at) {
		return nil
	}
	for i := range count {
		h := head[int(at)+i*size:]
		if l.order.Uint32(h) != 1 { // PT_LOAD
			continue
		}
		var s segment
		if l.wide {
			s = segment{l.order.Uint64(h[8:]), l.order.Uint64(h[16:]), l.order.Uint64(h[32:]), l.order.Uint32(h[4:])}
		} else {
			s = segment{uint64(l.order.Uint32(h[4:])), uint64(l.order.Uint32(h[8:])), uint64(l.order.Uint32(h[16:])), l.order.Uint32(h[24:])}
		}
		if s.size == 0 {
			continue
		}
		if s.off > 1<<40 || s.size > 1<<40 || s.addr+s.size < s.addr {
			return nil
		}
		l.segments = append(l.segments, s)
	}
	if len(l.segments) == 0 {
		return nil
	}
	slices.SortFunc(l.segments, func(a, b segment) int { return cmp.Compare(a.off, b.off) })
	return l
}

// spans returns the parts to search, in order: all that is loaded, without machine code when constants have a segment of
// their own.
func (l *layout) spans() []span {
	constants := slices.ContainsFunc(l.segments, func(s segment) bool { return s.flags&3 == 0 && s.size > 4096 })
	var out []span
	last := int64(0)
	for _, s := range l.segments {
		if s.flags&1 != 0 && constants {
			continue
		}
		one := span{max(int64(s.off), last), int64(s.off + s.size), s.flags&2 != 0}
		if one.start < one.end {
			out = append(out, one)
			last = one.end
		}
	}
	return out
}

// offset is the place in the file of a virtual address; false when none has it.
func (l *layout) offset(addr uint64) (int64, bool) {
	for _, s := range l.segments {
		if addr >= s.addr && addr-s.addr < s.size {
			return int64(s.off + addr - s.addr), true
		}
	}
	return 0, false
}
