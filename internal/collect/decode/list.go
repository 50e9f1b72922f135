package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// List reads a Kubernetes list as a stream: item after item, without ever holding the whole of it.
type List struct {
	r      io.Reader
	limit  int
	buf    []byte
	pos    int // of what is not yet used
	end    int
	err    error // of r
	state  listState
	listed bool // there were items
	stream bool // no list around the items
	count  int

	head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			ResourceVersion string `json:"resourceVersion"`
			Continue        string `json:"continue"`
		} `json:"metadata"`
		Status  string `json:"status"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
		Code    int    `json:"code"`
	}
}

type listState uint8

const (
	listStart listState = iota
	listMembers
	listItems
	listEnd
)

// headLimit bounds what a list says of itself beside its items.
const headLimit = 1 << 20

// TooLargeError is an item above the limit. It has been passed over: reading may go on.
type TooLargeError struct {
	Index int // of the item in the list
	Limit int // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("item %d is larger than %d MiB", e.Index, e.Limit>>20)
}

// NotListError is an answer that is no Kubernetes list. Start is how it begins.
type NotListError struct {
	Start  string
	Reason string
}

func (e *NotListError) Error() string { return e.Reason }

// StatusError is a Status object in the place of a list.
type StatusError struct {
	Code            int
	Reason, Message string
}

func (e *StatusError) Error() string { return e.Message }

// NewList reads a list from r. Items above limit bytes are passed over with an error of their own.
func NewList(r io.Reader, limit int) *List { return &List{r: r, limit: limit} }

// NewStream reads objects that stand one after the other, one a line or not, as if they were the items of a list.
func NewStream(r io.Reader, limit int) *List {
	return &List{r: r, limit: limit, state: listItems, stream: true}
}

// Kind returns apiVersion and kind of the list, as far as it has been read.
func (l *List) Kind() (apiVersion, kind string) { return l.head.APIVersion, l.head.Kind }

// Continue returns the token of the next page, "" on the last. It is known when Next has returned io.EOF.
func (l *List) Continue() string { return l.head.Metadata.Continue }

// ResourceVersion returns the resource version of the list.
func (l *List) ResourceVersion() string { return l.head.Metadata.ResourceVersion }

// Next returns the JSON of the next item, valid until the next call; io.EOF at the end of a complete list; a
// *TooLargeError for an item that was passed over; any other error ends the list. A list that is cut off gives
// io.ErrUnexpectedEOF or the reader's own error.
func (l *List) Next() ([]byte, error) {
	for {
		switch l.state {
		case listStart:
			c, err := l.peek()
			if err != nil {
				return nil, l.notList(err)
			}
			if c != '{' {
				return nil, l.notList(nil)
			}
			l.pos++
			l.state = listMembers
		case listMembers:
			if err := l.member(); err != nil {
				return nil, err
			}
		case listItems:
			item, err := l.item()
			if item != nil || err != nil {
				return item, err
			}
		default:
			return nil, l.close()
		}
	}
}

// BrokenError is an item that is no valid JSON object but can be told from the others: reading may go on.
type BrokenError struct {
	Index int
	Err   error
}

func (e *BrokenError) Error() string { return fmt.Sprintf("item %d: %v", e.Index, e.Err) }

func (e *BrokenError) Unwrap() error { return e.Err }

// Object is Next with the item decoded, in one go through the text where it is all in hand. It also returns the size of
// the item in bytes, and a *BrokenError for an item that is not valid.
func (l *List) Object(d *Decoder) (m map[string]any, size int, err error) {
	if l.state == listItems {
		if c, err := l.peek(); err == nil && c == ',' {
			l.pos++
		}
		if c, err := l.peek(); err == nil && c == '{' {
			if m, n, err := d.prefix(l.buf[l.pos:min(l.end, l.pos+l.limit)]); err == nil {
				l.pos += n
				l.count++
				return m, n, nil
			}
		}
	}
	item, err := l.Next()
	if err != nil {
		return nil, 0, err
	}
	if m, err = d.Object(item); err != nil {
		return nil, len(item), &BrokenError{l.count - 1, err}
	}
	return m, len(item), nil
}

// close is what Next returns behind a complete JSON object: a proxy may answer with one that is no list.
func (l *List) close() error {
	switch {
	case l.head.Kind == "Status":
		return &StatusError{l.head.Code, l.head.Reason, l.head.Message}
	case !l.listed && !strings.HasSuffix(l.head.Kind, "List"):
		return &NotListError{Start: l.head.APIVersion + " " + l.head.Kind, Reason: "the answer is JSON but no list"}
	}
	return io.EOF
}

func (l *List) notList(err error) error {
	if err != nil && l.end == 0 {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return &NotListError{Reason: "the answer is empty"}
		}
		return err
	}
	start := bytes.TrimSpace(l.buf[l.pos:l.end])
	start = start[:min(len(start), 120)]
	reason := "the answer is not JSON"
	if lower := bytes.ToLower(start); bytes.HasPrefix(lower, []byte("<!doctype html")) || bytes.HasPrefix(lower, []byte("<html")) {
		reason = "the answer is an HTML page"
	}
	return &NotListError{Start: printable(start), Reason: reason}
}

// printable makes the start of an answer fit for a message.
func printable(start []byte) string { return string(bytes.ToValidUTF8(start, []byte("?"))) }

// member reads one key of the list object. Keys other than items are small.
func (l *List) member() error {
	c, err := l.peek()
	if err != nil {
		return err
	}
	if c == ',' {
		l.pos++
		if c, err = l.peek(); err != nil {
			return err
		}
	}
	if c == '}' {
		l.pos++
		l.state = listEnd
		return nil
	}
	if c != '"' {
		return l.broken("want a key")
	}
	raw, err := l.whole(headLimit)
	if err != nil {
		return err
	}
	key := string(raw)
	if c, err = l.peek(); err != nil {
		return err
	}
	if c != ':' {
		return l.broken("want a colon")
	}
	l.pos++
	if c, err = l.peek(); err != nil {
		return err
	}
	if key == `"items"` && c == '[' {
		l.pos++
		l.state, l.listed = listItems, true
		return nil
	}
	if raw, err = l.whole(headLimit); err != nil {
		return err
	}
	switch key {
	case `"apiVersion"`:
		err = json.Unmarshal(raw, &l.head.APIVersion)
	case `"kind"`:
		err = json.Unmarshal(raw, &l.head.Kind)
	case `"metadata"`:
		err = json.Unmarshal(raw, &l.head.Metadata)
	case `"status"`:
		if c == '"' {
			err = json.Unmarshal(raw, &l.head.Status)
		}
	case `"reason"`:
		err = json.Unmarshal(raw, &l.head.Reason)
	case `"message"`:
		err = json.Unmarshal(raw, &l.head.Message)
	case `"code"`:
		err = json.Unmarshal(raw, &l.head.Code)
	}
	if err != nil {
		return l.broken(key + ": " + err.Error())
	}
	return nil
}

func (l *List) item() ([]byte, error) {
	c, err := l.peek()
	if errors.Is(err, io.ErrUnexpectedEOF) && l.stream {
		return nil, io.EOF
	}
	if err != nil {
		return nil, err
	}
	if c == ',' {
		l.pos++
		if c, err = l.peek(); err != nil {
			return nil, err
		}
	}
	switch {
	case c == ']' && !l.stream:
		l.pos++
		l.state = listMembers
		return nil, nil
	case c != '{':
		return nil, l.broken("want an object")
	}
	item, err := l.whole(l.limit)
	l.count++
	if errors.Is(err, errTooLarge) {
		return nil, &TooLargeError{l.count - 1, l.limit}
	}
	return item, err
}

var errTooLarge = errors.New("larger than the limit")

func (l *List) broken(what string) error {
	return fmt.Errorf("%w after item %d: %s", ErrSyntax, l.count, what)
}

// whole reads one value and returns its text, valid until the next read. A string, list or object above the limit is
// passed over and gives errTooLarge.
func (l *List) whole(limit int) ([]byte, error) {
	c := l.buf[l.pos]
	if c != '{' && c != '[' && c != '"' {
		return l.scalar()
	}
	var s scan
	used, large := 0, false // used counts from l.pos
	for {
		n, done := s.feed(l.buf[l.pos+used : l.end])
		used += n
		if large = large || used > limit; large {
			l.pos += used
			used = 0
		}
		if done {
			break
		}
		if err := l.more(); err != nil {
			return nil, err
		}
	}
	if large {
		return nil, errTooLarge
	}
	l.pos += used
	return l.buf[l.pos-used : l.pos], nil
}

func (l *List) scalar() ([]byte, error) {
	const longest = 64 // of a number, true, false or null
	for i := 0; i < longest; i++ {
		for l.pos+i >= l.end {
			if err := l.more(); err != nil {
				return nil, err
			}
		}
		if c := l.buf[l.pos+i]; c == ',' || c == '}' || c == ']' || c <= ' ' {
			if i == 0 {
				break
			}
			l.pos += i
			return l.buf[l.pos-i : l.pos], nil
		}
	}
	return nil, l.broken("want a value")
}

// peek returns the next byte that is no white space, without using it.
func (l *List) peek() (byte, error) {
	for {
		for l.pos < l.end {
			switch c := l.buf[l.pos]; c {
			case ' ', '\n', '\t', '\r':
				l.pos++
			default:
				return c, nil
			}
		}
		if err := l.more(); err != nil {
			return 0, err
		}
	}
}

// more reads on, behind what is not yet used.
func (l *List) more() error {
	const first = 256 << 10 // some fifty pods
	if l.err != nil {
		return l.err
	}
	if l.pos > 0 && l.pos == l.end {
		l.pos, l.end = 0, 0
	}
	if l.end == len(l.buf) {
		if l.pos > len(l.buf)/2 {
			l.end = copy(l.buf, l.buf[l.pos:l.end])
			l.pos = 0
		} else {
			grown := make([]byte, max(first, 2*len(l.buf)))
			l.end = copy(grown, l.buf[l.pos:l.end])
			l.buf, l.pos = grown, 0
		}
	}
	for tries := 0; tries < 100; tries++ {
		n, err := l.r.Read(l.buf[l.end:])
		l.end += n
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		l.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}
