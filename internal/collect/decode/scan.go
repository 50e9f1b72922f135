package decode

import "bytes"

// scan finds the end of a JSON object, list or string in pieces of text, by its brackets and quotes alone.
type scan struct {
	depth  int
	quoted bool // inside a string
	escape bool // after a backslash
}

// feed goes through the next piece. It returns how many bytes belong to the value and whether the value ends there.
func (s *scan) feed(b []byte) (n int, done bool) {
	i := 0
	for i < len(b) {
		if s.quoted {
			if s.escape {
				s.escape = false
				i++
				continue
			}
			j := bytes.IndexByte(b[i:], '"')
			if j < 0 {
				s.escape = trailing(b[i:])%2 == 1
				return len(b), false
			}
			odd := trailing(b[i:i+j])%2 == 1
			i += j + 1
			if odd {
				continue // an escaped quote
			}
			s.quoted = false
			if s.depth == 0 {
				return i, true
			}
			continue
		}
		switch b[i] {
		case '"':
			s.quoted = true
		case '{', '[':
			s.depth++
		case '}', ']':
			if s.depth--; s.depth <= 0 {
				return i + 1, true
			}
		}
		i++
	}
	return i, false
}

// trailing counts the backslashes at the end of b.
func trailing(b []byte) (n int) {
	for n < len(b) && b[len(b)-1-n] == '\\' {
		n++
	}
	return n
}
