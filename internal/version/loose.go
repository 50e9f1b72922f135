package version

import "strings"

// compareLoose orders what vendors write on products: numbers and words in turn, whatever stands between them. Missing
// numbers are 0 ("13.19" is "13.19.0"); words for versions before a release come before the end, other words after it but
// before a further number ("1.1.1" < "1.1.1k" < "1.1.1.1"). Java's two spellings are one: "1.8.0_402-b06" is "8u402-b06".
func compareLoose(a, b string) int {
	x, y := loose(a), loose(b)
	for {
		p, q := x.next(), y.next()
		if c := p.compare(q); c != 0 {
			return c
		}
		if p.end && q.end {
			return 0
		}
	}
}

// looseCursor walks a version's numbers and words. A zero that only a word or the end follows is left out, so that
// "1.0-rc1" and "1.0.0-rc1" are one.
type looseCursor struct {
	text   string
	at     int
	zeros  int  // zeros still to be given
	update bool // an "8u402" was seen: a later "b06" is a build, not a beta
	java   int  // "1.8.0_402": 2 before "8", 1 before its "u"
}

type loosePart struct {
	word   string
	number string // without leading zeros
	pre    int    // place among the words before a release, from -8; 0 when it is none
	end    bool
}

func loose(v string) looseCursor {
	v = strings.TrimSpace(v)
	if len(v) > 1 && v[0]|0x20 == 'v' && digit(v[1]) {
		v = v[1:]
	}
	if len(v) > 6 && v[:2] == "1." && v[2] >= '5' && v[2] <= '9' && v[3:6] == ".0_" {
		return looseCursor{text: v, at: 2, java: 2}
	}
	return looseCursor{text: v}
}

func (c *looseCursor) next() loosePart {
	switch {
	case c.zeros > 0:
		c.zeros--
		return loosePart{}
	case c.java == 2:
		c.java, c.at = 1, c.at+1
		return loosePart{number: c.text[2:3]}
	case c.java == 1:
		c.java, c.at, c.update = 0, len("1.8.0_"), true
		return loosePart{word: "u"}
	}
	zeros := 0
	for {
		c.skip()
		rest := c.text[c.at:]
		if rest == "" {
			return loosePart{end: true}
		}
		if !digit(rest[0]) {
			return c.word(rest[:letters(rest)])
		}
		n := digits(rest)
		number := strings.TrimLeft(rest[:n], "0")
		if number != "" && zeros > 0 {
			c.zeros = zeros - 1
			return loosePart{}
		}
		c.at += n
		if number != "" {
			return loosePart{number: number}
		}
		zeros++
	}
}

func (c *looseCursor) skip() {
	for c.at < len(c.text) && !digit(c.text[c.at]) && !letter(c.text[c.at]) {
		c.at++
	}
}

func (c *looseCursor) word(w string) loosePart {
	glued := c.at > 0 && digit(c.text[c.at-1])
	c.at += len(w)
	if strings.EqualFold(w, "u") || strings.EqualFold(w, "update") {
		c.update = true
		return loosePart{word: "u"}
	}
	short := glued && !c.update && c.at < len(c.text) && digit(c.text[c.at])
	return loosePart{word: w, pre: before(w, short)}
}

// before returns a word's place among those before a release, 0 for other words. A bare letter is one only when short says
// that it stands between two numbers: "2.0b1".
func before(w string, short bool) int {
	switch {
	case strings.EqualFold(w, "dev"), strings.EqualFold(w, "snapshot"), strings.EqualFold(w, "nightly"):
		return -8
	case strings.EqualFold(w, "alpha"), short && strings.EqualFold(w, "a"):
		return -7
	case strings.EqualFold(w, "beta"), short && strings.EqualFold(w, "b"):
		return -6
	case strings.EqualFold(w, "milestone"), short && strings.EqualFold(w, "m"):
		return -5
	case strings.EqualFold(w, "pre"), strings.EqualFold(w, "preview"), strings.EqualFold(w, "ea"):
		return -4
	case strings.EqualFold(w, "rc"), strings.EqualFold(w, "cr"):
		return -3
	}
	return 0
}

// rank is the order of kinds: before a release, the end and zero, words, numbers.
func (p loosePart) rank() int {
	switch {
	case p.pre != 0:
		return p.pre
	case p.word != "":
		return 1
	case p.number != "":
		return 2
	}
	return 0
}

func (p loosePart) compare(q loosePart) int {
	if c := p.rank() - q.rank(); c != 0 {
		return sign(c)
	}
	switch {
	case p.pre != 0:
		return 0
	case p.word != "":
		return compareFold(p.word, q.word)
	case p.number != "":
		return compareNumbers(p.number, q.number)
	}
	return 0
}

// compareFold orders ASCII words without regard to case.
func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if c := int(a[i]|0x20) - int(b[i]|0x20); c != 0 {
			return sign(c)
		}
	}
	return sign(len(a) - len(b))
}
