// Package browse reads findings that live on: every list, filter, search, sort, count and trend that the API, reports and
// notifications show. It changes nothing.
package browse

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/store"
)

// Browser answers questions about what the database holds.
type Browser struct {
	db   *store.DB
	now  func() time.Time
	dear int // see question

	catalog *compliance.Catalog
}

// New makes a Browser on db.
func New(db *store.DB) *Browser { return &Browser{db: db, now: time.Now, dear: dear} }

// SetClock replaces the clock that ages and trends are counted from, for tests. Call it before the first question.
func (b *Browser) SetClock(now func() time.Time) { b.now = now }

// Now is the time by the clock that ages are counted from.
func (b *Browser) Now() time.Time { return b.now() }

// ErrFilter is returned, wrapped, for a filter or sort that cannot be asked for.
var ErrFilter = fmt.Errorf("this cannot be asked for")

// looked marks the context of statements that begin with a bounded look: PostgreSQL cannot know how few rows that leaves.
type looked struct{}

// query runs a statement with ? for its values and calls scan for every row.
func (b *Browser) query(ctx context.Context, q sqlText, scan func(scan func(...any) error) error) error {
	if ctx.Value(looked{}) != nil && b.db.Postgres() {
		return b.told(ctx, false, q, scan)
	}
	rows, err := b.db.R.QueryContext(ctx, q.text, q.args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

func each(rows *sql.Rows, scan func(scan func(...any) error) error) error {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// told runs a statement as query does, and tells PostgreSQL which way to go: to walk indexes in their order, or to gather and sort.
// It would else take what a condition lets through for evenly spread, and rather sort half of the table.
func (b *Browser) told(ctx context.Context, walk bool, q sqlText, scan func(scan func(...any) error) error) error {
	if !b.db.Postgres() {
		return b.query(ctx, q, scan)
	}
	tx, err := b.db.R.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // there is nothing to keep
	how := "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; SET LOCAL enable_seqscan = off"
	if walk {
		how += "; SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off; SET LOCAL enable_bitmapscan = off"
	}
	if _, err := tx.Tx.ExecContext(ctx, how); err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, q.text, q.args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
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
