package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
)

// Restore fills an empty database from a backup. The file is checked whole first; then everything is written in one transaction,
// and the counts are compared before it is committed.
func Restore(ctx context.Context, p Place, file string) (*Manifest, error) {
	m, err := Check(file)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, store.Options{Dir: p.Data, URL: p.Database})
	if err != nil {
		return nil, err
	}
	err = fill(ctx, db, m, file)
	return m, errors.Join(err, db.Close())
}

func fill(ctx context.Context, db *store.DB, m *Manifest, file string) error {
	target, err := readShape(ctx, db)
	if err != nil {
		return err
	}
	if target.schema != m.Schema {
		return fmt.Errorf("its schema is %d and this program's is %d: restore it with stockade %s, then start the newer one on it", m.Schema, target.schema, m.Version)
	}
	for _, t := range m.Tables {
		cols, ok := target.tables[t.Name]
		if !ok || !t.same(cols) {
			return fmt.Errorf("this program's table %s is not that of the backup: restore it with stockade %s", t.Name, m.Version)
		}
	}
	for _, name := range target.order {
		if slices.Contains(seeded, name) {
			continue
		}
		var one int
		if err := db.R.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+quote(name)+" LIMIT 1) x").Scan(&one); err != nil {
			return err
		}
		if one > 0 {
			return fmt.Errorf("the database is not empty (table %s has rows): restore into a new folder or database", name)
		}
	}
	if db.Postgres() {
		return fillPostgres(ctx, db, m, target, file)
	}
	return db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		for _, name := range seeded {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+quote(name)); err != nil {
				return err
			}
		}
		err := each(file, m, target, func(t Table, cols []column, next func() ([]any, error)) error {
			return insert(ctx, tx, t, cols, next)
		})
		if err != nil {
			return err
		}
		return compare(m, func(query string) (n int64, err error) {
			err = tx.QueryRowContext(ctx, query).Scan(&n)
			return n, err
		})
	})
}

// seeded are the tables in which the schema itself puts rows.
var seeded = []string{"exception_state"}

// shape is the schema of an open database.
type shape struct {
	schema int64
	order  []string
	tables map[string][]column
}

func readShape(ctx context.Context, db *store.DB) (*shape, error) {
	s := &shape{tables: map[string][]column{}}
	if err := db.R.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&s.schema); err != nil {
		return nil, err
	}
	var err error
	if s.order, err = tables(ctx, db.R.DB, db.Postgres()); err != nil {
		return nil, err
	}
	for _, name := range s.order {
		if s.tables[name], err = columns(ctx, db.R.DB, db.Postgres(), name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// each gives the rows of the backup's files.
func each(file string, m *Manifest, target *shape, f func(t Table, cols []column, next func() ([]any, error)) error) error {
	return archive(file, func(name string, r io.Reader) error {
		if name == manifestAt {
			return nil
		}
		table, _, _ := strings.Cut(name, "/")
		i := slices.IndexFunc(m.Tables, func(t Table) bool { return t.Name == table })
		if i < 0 {
			return errors.New("it is not in the manifest")
		}
		cols := make([]column, len(m.Tables[i].Columns))
		for k, c := range m.Tables[i].Columns {
			at := slices.IndexFunc(target.tables[table], func(have column) bool { return have.name == c })
			cols[k] = target.tables[table][at] // Table.same has seen that it is there
		}
		lines := bufio.NewReaderSize(r, 1<<20)
		return f(m.Tables[i], cols, func() ([]any, error) {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				if errors.Is(err, io.EOF) && len(line) > 0 {
					err = io.ErrUnexpectedEOF
				}
				return nil, err // io.EOF: that was the last
			}
			var raw []json.RawMessage
			if err := json.Unmarshal(line, &raw); err != nil {
				return nil, err
			}
			if len(raw) != len(cols) {
				return nil, fmt.Errorf("a row of %d values, want %d", len(raw), len(cols))
			}
			values := make([]any, len(raw))
			for i, c := range cols {
				if values[i], err = c.value(raw[i]); err != nil {
					return nil, fmt.Errorf("column %s: %w", c.name, err)
				}
			}
			return values, nil
		})
	})
}

// variables is how many values one statement of SQLite takes here.
const variables = 2000

func insert(ctx context.Context, tx bun.Tx, t Table, cols []column, next func() ([]any, error)) error {
	_, list := columnNames(cols)
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", len(cols)), ",") + ")"
	head := "INSERT INTO " + quote(t.Name) + " (" + list + ") VALUES "
	many := max(1, variables/len(cols))
	full, err := tx.Tx.PrepareContext(ctx, head+strings.TrimSuffix(strings.Repeat(row+",", many), ","))
	if err != nil {
		return err
	}
	defer func() { _ = full.Close() }()
	var values []any
	for rows := 0; ; {
		v, err := next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		last := err != nil
		if !last {
			values = append(values, v...)
			rows++
		}
		switch {
		case rows == many:
			_, err = full.ExecContext(ctx, values...)
		case last && rows > 0:
			_, err = tx.Tx.ExecContext(ctx, head+strings.TrimSuffix(strings.Repeat(row+",", rows), ","), values...)
		default:
			if last {
				return nil
			}
			continue
		}
		if err != nil || last {
			return err
		}
		values, rows = values[:0], 0
	}
}

func compare(m *Manifest, count func(query string) (int64, error)) error {
	for _, t := range m.Tables {
		n, err := count("SELECT count(*) FROM " + quote(t.Name))
		if err != nil {
			return err
		}
		if n != t.Rows {
			return fmt.Errorf("table %s has %d rows, the backup has %d: nothing was written", t.Name, n, t.Rows)
		}
	}
	return nil
}

func fillPostgres(ctx context.Context, db *store.DB, m *Manifest, target *shape, file string) error {
	return pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
		for _, name := range seeded {
			if _, err := tx.Exec(ctx, "DELETE FROM "+quote(name)); err != nil {
				return err
			}
		}
		err := each(file, m, target, func(t Table, _ []column, next func() ([]any, error)) error {
			_, err := tx.CopyFrom(ctx, pgx.Identifier{t.Name}, t.Columns, &rows{next: next})
			return err
		})
		if err != nil {
			return err
		}
		for _, t := range m.Tables { // keys go on counting after the last one
			if !slices.Contains(target.tables[t.Name], column{"id", 'i'}) {
				continue
			}
			_, err := tx.Exec(ctx, "SELECT setval(s, greatest(1, (SELECT max(id) FROM "+quote(t.Name)+"))) FROM pg_get_serial_sequence($1, 'id') s WHERE s IS NOT NULL AND EXISTS (SELECT 1 FROM "+quote(t.Name)+")", quote(t.Name))
			if err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
		}
		return compare(m, func(query string) (n int64, err error) {
			err = tx.QueryRow(ctx, query).Scan(&n)
			return n, err
		})
	})
}

// rows is a pgx.CopyFromSource.
type rows struct {
	next func() ([]any, error)
	row  []any
	err  error
}

// Next implements pgx.CopyFromSource.
func (r *rows) Next() bool {
	r.row, r.err = r.next()
	return r.err == nil
}

// Values implements pgx.CopyFromSource.
func (r *rows) Values() ([]any, error) { return r.row, nil }

// Err implements pgx.CopyFromSource.
func (r *rows) Err() error {
	if errors.Is(r.err, io.EOF) {
		return nil
	}
	return r.err
}
