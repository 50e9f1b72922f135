// Package osv reads OSV JSON (ossf.github.io/osv-schema): single records, lists of them and lines of them. It is tolerant of
// what publishers really write: ranges that are an object, empty fixed versions, pairs out of order, members that are strings
// where objects should be. It knows no publisher but through the table in ecosystems.go.
package osv

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads OSV records.
var Reader = feed.Reader{Name: "osv", Knows: knows, Read: read}

// members are the top-level members of a record.
var members = []string{
	"schema_version", "id", "modified", "published", "withdrawn", "aliases", "related", "upstream", "summary", "details", "severity",
	"affected", "references", "credits", "database_specific", "ecosystem_specific",
}

// knows tells records from indices (id and modified alone) and from other formats that have an id.
func knows(_ string, head []byte) bool {
	keys, _ := feed.Keys(head)
	if len(keys) == 0 {
		return false
	}
	for _, k := range keys {
		if !slices.Contains(members, k) {
			return false
		}
	}
	if slices.Contains(keys, "affected") && (bytes.Contains(head, []byte(`"ecosystem"`)) || slices.Contains(keys, "id")) {
		return true
	}
	return feed.Has(keys, "id", "schema_version") || feed.Has(keys, "id", "summary") || feed.Has(keys, "id", "details") ||
		feed.Has(keys, "id", "modified", "published") || feed.Has(keys, "affected", "details")
}

// record is an OSV record as far as it is used.
type record struct {
	ID         string          `json:"id"`
	Modified   string          `json:"modified"`
	Published  string          `json:"published"`
	Withdrawn  string          `json:"withdrawn"`
	Aliases    many[string]    `json:"aliases"`
	Related    many[string]    `json:"related"`
	Upstream   many[string]    `json:"upstream"`
	Summary    string          `json:"summary"`
	Details    string          `json:"details"`
	Severity   many[severity]  `json:"severity"`
	Affected   many[affected]  `json:"affected"`
	References many[reference] `json:"references"`
	Database   json.RawMessage `json:"database_specific"`
}

type reference struct {
	URL string `json:"url"`
}

type severity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type affected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity  many[severity]  `json:"severity"`
	Ranges    many[interval]  `json:"ranges"`
	Versions  many[string]    `json:"versions"`
	Ecosystem json.RawMessage `json:"ecosystem_specific"`
	Database  json.RawMessage `json:"database_specific"`
}

type interval struct {
	Type   string      `json:"type"`
	Events many[event] `json:"events"`
}

type event struct {
	Introduced   *string `json:"introduced"`
	Fixed        *string `json:"fixed"`
	LastAffected *string `json:"last_affected"`
}

// many is a list that may also be written as its only element, or as null.
type many[T any] []T

// UnmarshalJSON reads a list, or one element that is an object.
func (m *many[T]) UnmarshalJSON(data []byte) error {
	switch {
	case len(data) > 0 && data[0] == '[':
		return json.Unmarshal(data, (*[]T)(m))
	case len(data) > 0 && (data[0] == '{' || data[0] == '"'):
		var one T
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*m = []T{one}
	}
	return nil
}

// specific holds what publishers put into the free members of a record or an affected entry, as far as it is used.
type specific struct {
	Severity  string       `json:"severity"`
	LastKnown string       `json:"last_known_affected_version_range"`
	CWEs      many[string] `json:"cwe_ids"`
	Urgency   string       `json:"urgency"`         // Debian
	Priority  string       `json:"ubuntu_priority"` // Ubuntu
}

// freely reads a free member: what is not an object, or has other types, says nothing.
func freely(raw json.RawMessage) specific {
	var s specific
	if len(raw) == 0 || raw[0] != '{' {
		return s
	}
	var types *json.UnmarshalTypeError
	if err := json.Unmarshal(raw, &s); err != nil && !errors.As(err, &types) {
		return specific{}
	}
	return s
}

func read(ctx context.Context, d feed.Document, s feed.Sink) error {
	br := bufio.NewReader(d.Body)
	first, err := start(br)
	if err != nil {
		return fmt.Errorf("osv: %w", err)
	}
	out := &output{sink: s, publisher: d.Publisher, newest: map[string]string{}}
	defer out.close()
	dec := json.NewDecoder(br)
	one := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var r record
		if err := dec.Decode(&r); err != nil {
			return err
		}
		return out.record(&r)
	}
	if first == '[' {
		err = notation.Elements(dec, one)
	} else {
		for err == nil {
			err = one()
		}
		if err == io.EOF {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("osv: byte %d: %w", dec.InputOffset(), err)
	}
	return nil
}

// start skips a byte order mark and blanks and returns the first byte, which stays unread.
func start(br *bufio.Reader) (byte, error) {
	if mark, err := br.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" {
		_, _ = br.Discard(3)
	}
	for {
		c, err := br.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		}
		return c, br.UnreadByte()
	}
}
