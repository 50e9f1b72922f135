package browsetest

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
)

// writer puts many rows into tables, by the fastest way of each database.
type writer struct {
	ctx     context.Context
	db      *store.DB
	pending map[string][][]any
	columns map[string]string
}

// flushAt is how many rows of a table are held.
const flushAt = 20_000

func newWriter(ctx context.Context, db *store.DB) *writer {
	return &writer{ctx: ctx, db: db, pending: map[string][][]any{}, columns: map[string]string{}}
}

// put adds a row to a table.
func (w *writer) put(table, columns string, values ...any) error {
	w.columns[table] = columns
	w.pending[table] = append(w.pending[table], values)
	if len(w.pending[table]) < flushAt {
		return nil
	}
	return w.flush(table)
}

// flush writes what is held of tables, in their order: rows before those that name them.
func (w *writer) flush(tables ...string) error {
	for _, t := range tables {
		rows := w.pending[t]
		if len(rows) == 0 {
			continue
		}
		delete(w.pending, t)
		columns := strings.Split(w.columns[t], ", ")
		if w.db.Postgres() {
			if _, err := w.db.Pool.CopyFrom(w.ctx, pgx.Identifier{t}, columns, pgx.CopyFromRows(rows)); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			continue
		}
		if err := w.db.Write(w.ctx, func(ctx context.Context, tx bun.Tx) error { return insert(ctx, tx, t, columns, rows) }); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	return nil
}

func insert(ctx context.Context, tx bun.Tx, table string, columns []string, rows [][]any) error {
	const chunk = 40
	text := func(n int) string {
		row := "(" + strings.TrimSuffix(strings.Repeat("?,", len(columns)), ",") + ")"
		return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + strings.TrimSuffix(strings.Repeat(row+",", n), ",")
	}
	full, err := tx.Tx.PrepareContext(ctx, text(chunk))
	if err != nil {
		return err
	}
	defer func() { _ = full.Close() }()
	var args []any
	for len(rows) > 0 {
		n := min(len(rows), chunk)
		args = args[:0]
		for _, r := range rows[:n] {
			args = append(args, r...)
		}
		if n == chunk {
			_, err = full.ExecContext(ctx, args...)
		} else {
			_, err = tx.Tx.ExecContext(ctx, text(n), args...)
		}
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// withoutIndexes runs f while the indexes of findings are away, and makes them again: that is much faster for many rows.
func withoutIndexes(ctx context.Context, db *store.DB, f func() error) error {
	list := "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'findings' AND sql IS NOT NULL ORDER BY name"
	if db.Postgres() {
		list = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'findings' AND indexname <> 'findings_pkey' ORDER BY indexname"
	}
	rows, err := db.R.QueryContext(ctx, list)
	if err != nil {
		return err
	}
	var names, defs []string
	for rows.Next() {
		var name, def string
		if err := rows.Scan(&name, &def); err != nil {
			return err
		}
		names, defs = append(names, name), append(defs, def)
	}
	if err := rows.Close(); err != nil {
		return err
	}
	each := func(list []string, prefix string) error {
		for _, s := range list {
			if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.Tx.ExecContext(ctx, prefix+s)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := each(names, "DROP INDEX "); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return each(defs, "")
}

// settle tells the database what it holds, and where counting up goes on.
func settle(ctx context.Context, db *store.DB) error {
	statements := []string{"ANALYZE"}
	if db.Postgres() {
		statements = []string{"VACUUM ANALYZE"}
		for _, t := range []string{"targets", "assets", "risks", "advice", "findings", "history", "gaps"} {
			statements = append(statements, "SELECT setval(pg_get_serial_sequence('"+t+"', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM "+t+"), false)")
		}
	} else {
		statements = nil // a server never runs it
	}
	for _, s := range statements {
		if _, err := db.R.DB.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
