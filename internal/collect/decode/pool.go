package decode

import "encoding/binary"

// pool makes strings of bytes and gives equal short ones the same memory. It is a cache of fixed size, so hostile input
// costs it nothing but hits.
type pool struct {
	entries []entry
}

type entry struct {
	text  string
	value any // text, boxed once
}

const (
	poolBits = 12
	poolSize = 1 << poolBits
	poolText = 96 // longest text worth comparing: names with namespaces, label keys, image references
)

func (p *pool) slot(b []byte) *entry {
	if p.entries == nil {
		p.entries = make([]entry, poolSize)
	}
	return &p.entries[mix(b)]
}

// mix hashes the first and last eight bytes and the length of b, which is not empty: what tells names apart. It takes a
// few nanoseconds; a hash of all bytes took a seventh of the decoder's time.
func mix(b []byte) uint64 {
	const k1, k2 = 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f // odd constants of wide use in multiplicative hashing
	var head, tail uint64
	switch n := len(b); {
	case n >= 8:
		head, tail = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		head, tail = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	default:
		head, tail = uint64(b[0]), uint64(b[n/2])<<8|uint64(b[n-1])
	}
	h := (head^uint64(len(b)))*k1 ^ (tail * k2)
	h ^= h >> 32
	return h * k1 >> (64 - poolBits)
}

// key returns b as a string.
func (p *pool) key(b []byte) string {
	if len(b) == 0 || len(b) > poolText {
		return string(b)
	}
	e := p.slot(b)
	if e.text != string(b) {
		e.text, e.value = string(b), nil
	}
	return e.text
}

// value returns b as a string in an interface.
func (p *pool) value(b []byte) any {
	if len(b) == 0 || len(b) > poolText {
		return string(b)
	}
	e := p.slot(b)
	if e.text != string(b) {
		e.text, e.value = string(b), nil
	}
	if e.value == nil {
		e.value = e.text
	}
	return e.value
}
