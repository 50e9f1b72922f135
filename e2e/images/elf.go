package images

import "encoding/binary"

// ELF makes a program for x86-64 whose one segment holds texts, each ended by a zero, where no real one can be had.
func ELF(texts ...string) []byte {
	const head, program = 64, 56
	body := make([]byte, 4096)
	for _, t := range texts {
		body = append(append(body, t...), 0)
	}
	body = append(body, make([]byte, 4096)...)
	size := uint64(head + program + len(body))
	out := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	le := binary.LittleEndian
	for _, v := range []uint16{2, 62} { // an executable for x86-64
		out = le.AppendUint16(out, v)
	}
	out = le.AppendUint32(out, 1)
	for _, v := range []uint64{0x400078, head, 0} { // entry, program headers, no sections
		out = le.AppendUint64(out, v)
	}
	out = le.AppendUint32(out, 0)
	for _, v := range []uint16{head, program, 1, 64, 0, 0} {
		out = le.AppendUint16(out, v)
	}
	out = le.AppendUint32(le.AppendUint32(out, 1), 5) // a segment to load, readable and executable
	for _, v := range []uint64{0, 0x400000, 0x400000, size, size, 4096} {
		out = le.AppendUint64(out, v)
	}
	return append(out, body...)
}
