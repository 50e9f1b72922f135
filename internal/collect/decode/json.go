// Package decode turns what API servers and snapshots send into objects, fast and with bounds: JSON and protobuf to the
// map form that rules read, and lists as a stream of their items.
package decode

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds nesting. Real objects stay below 40; OpenAPI schemas in custom resource definitions reach about 100.
const maxDepth = 1000

// Decoder decodes JSON objects to map[string]any with int64 for integers that fit and float64 for other numbers. It
// drops metadata.managedFields while reading, and the values of Secrets when told so. Strings do not share memory with
// the input, and equal short ones share theirs: objects of a cluster repeat most of their text.
//
// A Decoder is for one goroutine at a time; the objects it made are independent of it.
type Decoder struct {
	// DropValues empties the values of the top-level maps data and stringData: for Secrets, of which only the names of
	// the keys are wanted.
	DropValues bool

	data  []byte
	pos   int
	depth int
	keys  []string // keys and values of the maps and lists that are open
	vals  []any
	pool  pool
	text  []byte // of strings with escapes
}

// NewDecoder returns a decoder.
func NewDecoder() *Decoder { return &Decoder{} }

// ErrSyntax is in every error about text that is no JSON, or not the JSON of an object.
var ErrSyntax = errors.New("not valid JSON")

var errCut = fmt.Errorf("%w: cut off", ErrSyntax)

func (d *Decoder) fail(what string) error {
	return fmt.Errorf("%w at byte %d: %s", ErrSyntax, d.pos, what)
}

// Object decodes one JSON object, which must be all of data.
func (d *Decoder) Object(data []byte) (map[string]any, error) {
	m, n, err := d.prefix(data)
	if err != nil {
		return nil, err
	}
	for d.pos = n; d.pos < len(data); d.pos++ {
		if c := data[d.pos]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return nil, d.fail("text after the object")
		}
	}
	return m, nil
}

// prefix decodes the JSON object that data starts with and returns its length. The error is errCut when data ends
// before it.
func (d *Decoder) prefix(data []byte) (map[string]any, int, error) {
	d.data, d.pos, d.depth, d.keys, d.vals = data, 0, 0, d.keys[:0], d.vals[:0]
	defer d.forget()
	d.space()
	if d.pos >= len(data) || data[d.pos] != '{' {
		return nil, 0, d.fail("want an object")
	}
	v, err := d.object(levelTop)
	return v, d.pos, err
}

// forget lets go of the last object. The stacks of a large one are not kept, since clearing them costs time.
func (d *Decoder) forget() {
	const ordinary = 1024
	if cap(d.vals) > ordinary || cap(d.keys) > ordinary {
		d.vals, d.keys = nil, nil
	}
	clear(d.vals[:cap(d.vals)])
	clear(d.keys[:cap(d.keys)])
	if cap(d.text) > 64<<10 {
		d.text = nil
	}
	d.data = nil
}

// level tells the places in an object where something is left out.
type level uint8

const (
	levelOther level = iota
	levelTop
	levelMeta   // in metadata
	levelValues // in data or stringData, with DropValues
)

func (d *Decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\n', '\t', '\r':
			d.pos++
		default:
			return
		}
	}
}

func (d *Decoder) object(at level) (map[string]any, error) {
	if d.depth++; d.depth > maxDepth {
		return nil, d.fail("nested too deeply")
	}
	d.pos++ // {
	mark := len(d.vals)
	for first := true; ; first = false {
		d.space()
		if d.pos >= len(d.data) {
			return nil, errCut
		}
		if d.data[d.pos] == '}' && first {
			break
		}
		if d.data[d.pos] != '"' {
			return nil, d.fail("want a key")
		}
		raw, err := d.str()
		if err != nil {
			return nil, err
		}
		key := d.pool.key(raw)
		if d.space(); d.pos >= len(d.data) || d.data[d.pos] != ':' {
			return nil, d.fail("want a colon")
		}
		d.pos++
		if err := d.member(at, key); err != nil {
			return nil, err
		}
		if d.space(); d.pos >= len(d.data) {
			return nil, errCut
		}
		if d.data[d.pos] == ',' {
			d.pos++
			continue
		}
		if d.data[d.pos] != '}' {
			return nil, d.fail("want a comma or the end of the object")
		}
		break
	}
	d.pos++ // }
	d.depth--
	m := make(map[string]any, len(d.vals)-mark)
	keys := d.keys[len(d.keys)-(len(d.vals)-mark):]
	for i, v := range d.vals[mark:] {
		m[keys[i]] = v
	}
	d.vals = d.vals[:mark]
	d.keys = d.keys[:len(d.keys)-len(keys)]
	return m, nil
}

// member reads the value of key in a map at the level and keeps both, or leaves it out.
func (d *Decoder) member(at level, key string) error {
	next := levelOther
	switch at {
	case levelTop:
		switch {
		case key == "metadata":
			next = levelMeta
		case d.DropValues && (key == "data" || key == "stringData"):
			next = levelValues
		}
	case levelMeta:
		if key == "managedFields" {
			return d.skip()
		}
	case levelValues:
		d.keys, d.vals = append(d.keys, key), append(d.vals, "")
		return d.skip()
	}
	v, err := d.value(next)
	if err != nil {
		return err
	}
	d.keys, d.vals = append(d.keys, key), append(d.vals, v)
	return nil
}

func (d *Decoder) list() ([]any, error) {
	if d.depth++; d.depth > maxDepth {
		return nil, d.fail("nested too deeply")
	}
	d.pos++ // [
	mark := len(d.vals)
	for first := true; ; first = false {
		d.space()
		if d.pos >= len(d.data) {
			return nil, errCut
		}
		if d.data[d.pos] == ']' && first {
			break
		}
		v, err := d.value(levelOther)
		if err != nil {
			return nil, err
		}
		d.vals = append(d.vals, v)
		if d.space(); d.pos >= len(d.data) {
			return nil, errCut
		}
		if d.data[d.pos] == ',' {
			d.pos++
			continue
		}
		if d.data[d.pos] != ']' {
			return nil, d.fail("want a comma or the end of the list")
		}
		break
	}
	d.pos++ // ]
	d.depth--
	out := make([]any, len(d.vals)-mark)
	copy(out, d.vals[mark:])
	d.vals = d.vals[:mark]
	return out, nil
}

func (d *Decoder) value(at level) (any, error) {
	d.space()
	if d.pos >= len(d.data) {
		return nil, errCut
	}
	switch c := d.data[d.pos]; c {
	case '{':
		return d.object(at)
	case '[':
		return d.list()
	case '"':
		raw, err := d.str()
		if err != nil {
			return nil, err
		}
		return d.pool.value(raw), nil
	case 't':
		return true, d.word("true")
	case 'f':
		return false, d.word("false")
	case 'n':
		return nil, d.word("null")
	default:
		return d.number()
	}
}

func (d *Decoder) word(w string) error {
	if rest := d.data[d.pos:]; len(rest) < len(w) && string(rest) == w[:len(rest)] {
		return errCut
	} else if len(rest) < len(w) || string(rest[:len(w)]) != w {
		return d.fail("want a value")
	}
	d.pos += len(w)
	return nil
}

func (d *Decoder) digits() bool {
	start := d.pos
	for d.pos < len(d.data) && d.data[d.pos]-'0' <= 9 {
		d.pos++
	}
	return d.pos > start
}

func (d *Decoder) number() (any, error) {
	start := d.pos
	negative := d.data[d.pos] == '-'
	if negative {
		d.pos++
	}
	first := d.pos
	if !d.digits() {
		return nil, d.fail("want a value")
	}
	if d.data[first] == '0' && d.pos > first+1 {
		return nil, d.fail("a number that starts with 0")
	}
	whole := true
	if d.pos < len(d.data) && d.data[d.pos] == '.' {
		whole = false
		if d.pos++; !d.digits() {
			return nil, d.fail("want digits")
		}
	}
	if d.pos < len(d.data) && d.data[d.pos]|0x20 == 'e' {
		whole = false
		if d.pos++; d.pos < len(d.data) && (d.data[d.pos] == '+' || d.data[d.pos] == '-') {
			d.pos++
		}
		if !d.digits() {
			return nil, d.fail("want digits")
		}
	}
	if whole && d.pos-first <= 18 { // fits int64 for certain
		var n int64
		for _, c := range d.data[first:d.pos] {
			n = n*10 + int64(c-'0')
		}
		if negative {
			n = -n
		}
		return n, nil
	}
	text := string(d.data[start:d.pos])
	if whole {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, d.fail("a number out of range")
	}
	return f, nil
}

// plainByte marks the bytes of a string that stand for themselves.
var plainByte = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// str reads a string, which starts at the quote. The result is valid until the next call.
func (d *Decoder) str() ([]byte, error) {
	start := d.pos + 1
	i := start
	for i < len(d.data) && plainByte[d.data[i]] {
		i++
	}
	if i < len(d.data) && d.data[i] == '"' {
		d.pos = i + 1
		return d.data[start:i], nil
	}
	return d.escaped(start, i)
}

// escaped reads a string with escapes or bytes beyond ASCII. As in encoding/json, what is no valid UTF-8 becomes U+FFFD.
func (d *Decoder) escaped(start, i int) ([]byte, error) {
	text := append(d.text[:0], d.data[start:i]...)
	defer func() { d.text = text }()
	for i < len(d.data) {
		switch c := d.data[i]; {
		case c == '"':
			d.pos = i + 1
			return text, nil
		case c == '\\':
			n, err := d.escape(i, &text)
			if err != nil {
				return nil, err
			}
			i += n
		case c < 0x20:
			d.pos = i
			return nil, d.fail("a control character in a string")
		case c < utf8.RuneSelf:
			j := i + 1
			for j < len(d.data) && plainByte[d.data[j]] {
				j++
			}
			text = append(text, d.data[i:j]...)
			i = j
		default:
			r, n := utf8.DecodeRune(d.data[i:])
			text = utf8.AppendRune(text, r)
			i += n
		}
	}
	d.pos = i
	return nil, errCut
}

// escape appends the escape sequence at i and returns its length.
func (d *Decoder) escape(i int, text *[]byte) (int, error) {
	if i+1 >= len(d.data) {
		d.pos = i
		return 0, errCut
	}
	switch c := d.data[i+1]; c {
	case '"', '\\', '/':
		*text = append(*text, c)
	case 'b':
		*text = append(*text, '\b')
	case 'f':
		*text = append(*text, '\f')
	case 'n':
		*text = append(*text, '\n')
	case 'r':
		*text = append(*text, '\r')
	case 't':
		*text = append(*text, '\t')
	case 'u':
		r := hexRune(d.data[i:])
		if r < 0 {
			d.pos = i
			return 0, d.fail("a broken \\u escape")
		}
		if utf16.IsSurrogate(r) {
			if pair := utf16.DecodeRune(r, hexRune(d.data[i+6:])); pair != utf8.RuneError {
				*text = utf8.AppendRune(*text, pair)
				return 12, nil
			}
			r = utf8.RuneError
		}
		*text = utf8.AppendRune(*text, r)
		return 6, nil
	default:
		d.pos = i
		return 0, d.fail("an unknown escape")
	}
	return 2, nil
}

// hexRune reads \uXXXX at the start of b; -1 when there is none.
func hexRune(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// skip passes over a value and keeps nothing of it. It checks less than value does: balanced brackets and strings.
func (d *Decoder) skip() error {
	d.space()
	if d.pos >= len(d.data) {
		return errCut
	}
	if c := d.data[d.pos]; c != '{' && c != '[' && c != '"' {
		_, err := d.value(levelOther)
		return err
	}
	var s scan
	n, done := s.feed(d.data[d.pos:])
	d.pos += n
	if !done {
		return errCut
	}
	return nil
}
