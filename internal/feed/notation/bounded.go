package notation

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxDocument is the most that is read of one document that must be held as a whole: 512 MiB.
const MaxDocument = 512 << 20

// MaxDepth is how deeply elements may be nested before a document counts as broken.
const MaxDepth = 64

// ErrTooLarge is returned for documents above their bound.
var ErrTooLarge = errors.New("the document is too large")

// Bounded returns a reader that fails with ErrTooLarge after n bytes instead of ending quietly.
func Bounded(r io.Reader, n int64) io.Reader { return &bounded{r, n} }

type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One byte more tells a document of exactly the bound from a longer one.
		var one [1]byte
		if n, err := b.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

// XML returns a reader for XML of at most n bytes in which bytes that are no UTF-8 are replaced: one wrong letter in a
// description should not cost the document.
func XML(r io.Reader, n int64) io.Reader { return &text{bufio.NewReaderSize(Bounded(r, n), 64<<10)} }

type text struct{ r *bufio.Reader }

func (t *text) Read(p []byte) (int, error) {
	n := 0
	for n+utf8.UTFMax <= len(p) {
		if n > 0 && t.r.Buffered() == 0 {
			break
		}
		c, _, err := t.r.ReadRune()
		if err != nil {
			if n > 0 {
				break // the error comes again
			}
			return 0, err
		}
		n += utf8.EncodeRune(p[n:], c)
	}
	if n == 0 && len(p) > 0 && len(p) < utf8.UTFMax {
		return 0, io.ErrShortBuffer
	}
	return n, nil
}

// JSON decodes one document of at most MaxDocument bytes.
func JSON(r io.Reader, v any) error {
	return json.NewDecoder(Bounded(r, MaxDocument)).Decode(v)
}

// Elements calls element at the start of each element of the JSON array that follows in the decoder. An element that is not
// decoded by the call is an endless loop, so it is an error.
func Elements(d *json.Decoder, element func() error) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t == nil {
		return nil // null: an empty list
	}
	if t != json.Delim('[') {
		return fmt.Errorf("byte %d: expected a list, found %v", d.InputOffset(), t)
	}
	for d.More() {
		before := d.InputOffset()
		if err := element(); err != nil {
			return err
		}
		if d.InputOffset() == before {
			return fmt.Errorf("byte %d: an element was not read", before)
		}
	}
	_, err = d.Token()
	return err
}

// Members calls member for each member of the JSON object that follows in the decoder. The call must decode the value:
// Skip does when nobody wants it.
func Members(d *json.Decoder, member func(name string) error) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t == nil {
		return nil
	}
	if t != json.Delim('{') {
		return fmt.Errorf("byte %d: expected an object, found %v", d.InputOffset(), t)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := name.(string)
		before := d.InputOffset()
		if err := member(key); err != nil {
			return err
		}
		if d.InputOffset() == before {
			return fmt.Errorf("byte %d: the value of %q was not read", before, key)
		}
	}
	_, err = d.Token()
	return err
}

// Skip reads one JSON value and forgets it, without holding it when it is a list or an object.
func Skip(d *json.Decoder) error {
	depth := 0
	for {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth <= 0 {
			return nil
		}
	}
}
