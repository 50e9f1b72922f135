package memory

import (
	"strings"
	"unicode/utf8"
)

// words holds texts that verdicts share, each once, as long as one of them has it. Verdicts name them by number: numbers are nothing
// that the garbage collector has to follow.
type words struct {
	numbers map[string]uint32
	list    []word // by number; number 0 is the empty text
	free    []uint32
	bytes   int64
}

type word struct {
	text string
	uses uint32
}

// wordCost is about what a text takes beside its bytes: its place in the list, a map cell.
const wordCost = 24 + 40

func newWords() words { return words{numbers: map[string]uint32{}, list: make([]word, 1)} }

// hold returns the number of a text, which is cut to mostText bytes, and keeps it until drop is called as often.
func (w *words) hold(s string) uint32 {
	if s = clip(s, mostText); s == "" {
		return 0
	}
	if n, ok := w.numbers[s]; ok {
		w.list[n].uses++
		return n
	}
	s = strings.Clone(s)     // not the whole answer that it came in
	n := uint32(len(w.list)) //nolint:gosec // Options.Bytes bounds them
	if last := len(w.free) - 1; last >= 0 {
		n, w.free = w.free[last], w.free[:last]
		w.list[n] = word{s, 1}
	} else {
		w.list = append(w.list, word{s, 1})
	}
	w.numbers[s] = n
	w.bytes += int64(len(s)) + wordCost
	return n
}

func (w *words) drop(n uint32) {
	if n == 0 {
		return
	}
	e := &w.list[n]
	if e.uses--; e.uses > 0 {
		return
	}
	delete(w.numbers, e.text)
	w.bytes -= int64(len(e.text)) + wordCost
	*e = word{}
	w.free = append(w.free, n)
}

// clip bounds a text without cutting a character in two.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
