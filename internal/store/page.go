package store

import (
	"encoding/base64"
	"encoding/json"
	"errors"
)

// Page asks for a part of a list: at most Limit rows after the one that After stands for. After is what the part before gave as
// its Next, "" for the first.
type Page struct {
	Limit int
	After string
}

// Limits of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// Size is Limit within its bounds.
func (p Page) Size() int {
	switch {
	case p.Limit <= 0:
		return DefaultLimit
	case p.Limit > MaxLimit:
		return MaxLimit
	}
	return p.Limit
}

// ErrCursor is returned for an After that this program did not give out.
var ErrCursor = errors.New("the cursor is not one of this list: begin without it")

// Cursor packs the sort key of a row into an opaque string.
func Cursor(key ...any) string {
	data, err := json.Marshal(key)
	if err != nil { // keys are numbers and strings
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// ReadCursor unpacks a cursor into pointers.
func ReadCursor(cursor string, key ...any) error {
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return ErrCursor
	}
	var parts []json.RawMessage
	if json.Unmarshal(data, &parts) != nil || len(parts) != len(key) {
		return ErrCursor
	}
	for i := range parts {
		if json.Unmarshal(parts[i], key[i]) != nil {
			return ErrCursor
		}
	}
	return nil
}
