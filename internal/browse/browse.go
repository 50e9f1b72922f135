// Package browse reads findings that live on: every list, filter, search, sort, count and trend that the API, reports and
// notifications show. It changes nothing.
package browse

import (
	"context"
	"fmt"
	"time"

	"stockade.dev/stockade/internal/store"
)

// Browser answers questions about what the database holds.
type Browser struct {
	db   *store.DB
	now  func() time.Time
	dear int // see question
}

// New makes a Browser on db.
func New(db *store.DB) *Browser { return &Browser{db: db, now: time.Now, dear: dear} }

// SetClock replaces the clock that ages and trends are counted from, for tests. Call it before the first question.
func (b *Browser) SetClock(now func() time.Time) { b.now = now }

// Now is the time by the clock that ages are counted from.
func (b *Browser) Now() time.Time { return b.now() }

// ErrFilter is returned, wrapped, for a filter or sort that cannot be asked for.
var ErrFilter = fmt.Errorf("this cannot be asked for")

// query runs a statement with ? for its values and calls scan for every row.
func (b *Browser) query(ctx context.Context, q sqlText, scan func(scan func(...any) error) error) error {
	rows, err := b.db.R.QueryContext(ctx, q.text, q.args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// column runs a statement with one column.
func column[T any](ctx context.Context, b *Browser, q sqlText) ([]T, error) {
	var out []T
	err := b.query(ctx, q, func(scan func(...any) error) error {
		var v T
		if err := scan(&v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	return out, err
}
