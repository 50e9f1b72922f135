package store

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// Time is a moment as the database keeps it: milliseconds since 1970 in a BIGINT, 0 for none, the same on both databases. Its
// JSON is RFC 3339 in UTC.
type Time struct{ time.Time }

// At makes a Time of t, cut to milliseconds.
func At(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Millisecond)}
}

// Value implements driver.Valuer.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return int64(0), nil
	}
	return t.UnixMilli(), nil
}

// Scan implements sql.Scanner.
func (t *Time) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*t = Time{}
	case int64:
		*t = Time{}
		if v != 0 {
			*t = Time{time.UnixMilli(v).UTC()}
		}
	default:
		return fmt.Errorf("a time of type %T", v)
	}
	return nil
}
