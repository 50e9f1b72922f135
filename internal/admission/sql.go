package admission

import (
	"bytes"
	"context"
	"database/sql"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"
)

// bulk is an INSERT of many rows. Values are bound, not written into the text.
type bulk struct {
	head, tail string
	columns    int
	args       []any
}

func (b *bulk) row(values ...any) { b.args = append(b.args, values...) }

// Values of a statement: few are quickest on SQLite, PostgreSQL takes 65,535 at most.
const (
	sqliteValues   = 500
	postgresValues = 8000
)

// exec runs the statement in chunks; scan, which may be nil, is called for every row that it returns.
func (s *Service) exec(ctx context.Context, tx bun.Tx, b *bulk, scan func(*sql.Rows) error) error {
	most := sqliteValues
	if s.db.Postgres() {
		most = postgresValues
	}
	full := max(1, most/b.columns) * b.columns
	var prepared *sql.Stmt
	if len(b.args) >= 2*full {
		var err error
		if prepared, err = tx.Tx.PrepareContext(ctx, s.text(b, full/b.columns)); err != nil {
			return err
		}
		defer func() { _ = prepared.Close() }()
	}
	for args := b.args; len(args) > 0; {
		n := min(len(args), full)
		if err := s.chunk(ctx, tx, b, prepared, args[:n], n == full, scan); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

func (s *Service) chunk(ctx context.Context, tx bun.Tx, b *bulk, prepared *sql.Stmt, args []any, full bool, scan func(*sql.Rows) error) error {
	ready := full && prepared != nil
	if scan == nil {
		var err error
		if ready {
			_, err = prepared.ExecContext(ctx, args...)
		} else {
			_, err = tx.Tx.ExecContext(ctx, s.text(b, len(args)/b.columns), args...)
		}
		return err
	}
	var rows *sql.Rows
	var err error
	if ready {
		rows, err = prepared.QueryContext(ctx, args...)
	} else {
		rows, err = tx.Tx.QueryContext(ctx, s.text(b, len(args)/b.columns), args...)
	}
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// text writes the statement for n rows.
func (s *Service) text(b *bulk, n int) string {
	var t strings.Builder
	t.WriteString(b.head)
	arg := 0
	for i := range n {
		if i > 0 {
			t.WriteByte(',')
		}
		t.WriteByte('(')
		for j := range b.columns {
			if j > 0 {
				t.WriteByte(',')
			}
			arg++
			if s.db.Postgres() {
				t.WriteByte('$')
				t.WriteString(strconv.Itoa(arg))
			} else {
				t.WriteByte('?')
			}
		}
		t.WriteByte(')')
	}
	t.WriteString(b.tail)
	return t.String()
}

// each scans all rows and closes them.
func each(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// chunks cuts a list.
func chunks[T any](list []T, n int) iter.Seq[[]T] { return slices.Chunk(list, n) }

func sortBytes(list [][]byte) { slices.SortFunc(list, bytes.Compare) }

// clean makes foreign text fit for a column: valid UTF-8 without control characters, at most most bytes.
func clean(s string, most int) string {
	if len(s) > 4*most {
		s = s[:4*most]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if len(s) <= most {
		return s
	}
	n := most - len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
