package version

import (
	"math"
	"strings"
)

// The parts of an apk version, in the order in which they may follow each other: "1.02b_rc1~abc-r3".
const (
	apkInvalid = iota - 1
	apkPart    // a number after a dot; leading zeros count
	apkNumber
	apkLetter
	apkSuffix
	apkSuffixNumber
	apkHash
	apkRevision
	apkEnd
)

// apkCursor walks the parts of one version.
type apkCursor struct {
	rest string
	kind int // of the part that starts rest
}

// compareAPK orders by the parts in turn; where one version ends, what the other has decides: suffixes for versions before a
// release make it older, anything else newer. What is no version comes before what is one. Source: the behaviour of
// apk version -t.
func compareAPK(a, b string) int {
	x, y := apkCursor{a, apkNumber}, apkCursor{b, apkNumber}
	for x.kind == y.kind && x.kind != apkEnd && x.kind != apkInvalid {
		part := x.kind == apkPart
		va, ta := x.next()
		vb, tb := y.next()
		switch {
		case part && (ta[0] == '0' || tb[0] == '0'): // "1.001" < "1.01" < "1.1"
			if c := strings.Compare(ta, tb); c != 0 {
				return c
			}
		case va != vb:
			if va < vb {
				return -1
			}
			return 1
		}
	}
	switch {
	case x.kind == apkInvalid && y.kind == apkInvalid:
		return strings.Compare(a, b)
	case x.kind == y.kind:
		return 0
	case x.kind == apkInvalid:
		return -1
	case y.kind == apkInvalid:
		return 1
	}
	if x.kind == apkSuffix {
		if v, _ := x.next(); v < 0 || x.kind == apkInvalid {
			return -1
		}
		x.kind = apkSuffix
	}
	if y.kind == apkSuffix {
		if v, _ := y.next(); v < 0 || y.kind == apkInvalid {
			return 1
		}
		y.kind = apkSuffix
	}
	if x.kind > y.kind {
		return -1
	}
	return 1
}

// The suffixes of versions before and after a release, oldest first.
var (
	apkBefore = [...]string{"alpha", "beta", "pre", "rc"}
	apkAfter  = [...]string{"cvs", "svn", "git", "hg", "p"}
)

// next returns the value of the part at the cursor and its text, and moves on.
func (c *apkCursor) next() (value int64, text string) {
	n := 0
	switch c.kind {
	case apkPart, apkNumber, apkSuffixNumber, apkRevision:
		n = digits(c.rest)
		value = number(c.rest[:n])
	case apkLetter:
		n, value = 1, int64(c.rest[0])
	case apkSuffix:
		n, value = suffix(c.rest)
		if n == 0 {
			c.kind = apkInvalid
			return 0, ""
		}
	case apkHash: // commits have no order
		for n < len(c.rest) && (digit(c.rest[n]) || c.rest[n] >= 'a' && c.rest[n] <= 'f') {
			n++
		}
	}
	text, c.rest = c.rest[:n], c.rest[n:]
	c.follow(c.kind)
	return value, text
}

// follow sets what kind of part comes after one of the kind given.
func (c *apkCursor) follow(after int) {
	if c.rest == "" {
		c.kind = apkEnd
		return
	}
	kind := apkInvalid
	first := c.rest[0]
	switch {
	case (after == apkPart || after == apkNumber) && first >= 'a' && first <= 'z':
		kind = apkLetter
	case after == apkSuffix && digit(first):
		kind = apkSuffixNumber
	case after == apkLetter && digit(first): // "6.0.2p1"
		c.kind = apkNumber
		return
	case first == '.' && len(c.rest) > 1 && digit(c.rest[1]):
		kind, c.rest = apkPart, c.rest[1:]
	case first == '_':
		kind, c.rest = apkSuffix, c.rest[1:]
	case first == '~':
		kind, c.rest = apkHash, c.rest[1:]
	case strings.HasPrefix(c.rest, "-r"):
		kind, c.rest = apkRevision, c.rest[2:]
	}
	if kind < after && !(kind == apkPart && after == apkNumber) && !(kind == apkSuffix && after == apkSuffixNumber) {
		kind = apkInvalid
	}
	c.kind = kind
}

func suffix(v string) (n int, value int64) {
	for i, s := range apkBefore {
		if strings.HasPrefix(v, s) {
			return len(s), int64(i - len(apkBefore))
		}
	}
	for i, s := range apkAfter {
		if strings.HasPrefix(v, s) {
			return len(s), int64(i)
		}
	}
	return 0, 0
}

// number reads digits; what does not fit is as large as can be.
func number(v string) int64 {
	var n int64
	for i := range len(v) {
		if n > (math.MaxInt64-9)/10 {
			return math.MaxInt64
		}
		n = n*10 + int64(v[i]-'0')
	}
	return n
}
