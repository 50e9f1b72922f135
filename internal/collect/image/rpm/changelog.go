package rpm

import (
	"bytes"
	"slices"
)

// maxFixed bounds the ids kept of one changelog; a kernel's names a few thousand.
const maxFixed = 20_000

// changelog returns the CVE ids that the changelog names, sorted. A vendor writes an id there when it has fixed it; an id
// that is missing proves nothing.
func (h *header) changelog(b *blob) []string {
	v := h.values[slot(tagChangelogText)]
	if v.offset < 0 || v.kind != typeStringArray {
		return nil
	}
	var ids []string
	b.texts(h.base+v.offset, h.end, int(v.count), func(s []byte) bool {
		ids = appendCVEs(ids, s)
		return len(ids) < maxFixed
	})
	slices.Sort(ids)
	return slices.Compact(ids)
}

// appendCVEs appends the ids "CVE-<year>-<4 to 10 digits>" in s, whatever their case. CAN was their prefix until 2005.
func appendCVEs(ids []string, s []byte) []string {
	for len(s) >= len("CVE-1999-0001") {
		i := bytes.IndexByte(s, '-')
		if i < 0 {
			return ids
		}
		if i < 3 || len(s) < i+10 || s[i+5] != '-' || !cvePrefix(s[i-3:i]) || i > 3 && wordByte(s[i-4]) {
			s = s[i+1:]
			continue
		}
		year, number := s[i+1:i+5], s[i+6:]
		n := 0
		for n < len(number) && '0' <= number[n] && number[n] <= '9' {
			n++
		}
		if n >= 4 && n <= 10 && digits(year) {
			ids = append(ids, "CVE-"+string(year)+"-"+string(number[:n]))
		}
		s = s[i+1:]
	}
	return ids
}

func cvePrefix(s []byte) bool {
	a, b, c := s[0]|0x20, s[1]|0x20, s[2]|0x20
	return a == 'c' && (b == 'v' && c == 'e' || b == 'a' && c == 'n')
}

func wordByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

func digits(s []byte) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
