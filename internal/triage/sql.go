package triage

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

// bulk is an INSERT of many rows. Values are bound, not written into the text.
type bulk struct {
	head, tail string // "INSERT INTO t (a, b) VALUES ", " ON CONFLICT ..."
	columns    int
	args       []any
}

// row adds a row.
func (b *bulk) row(values ...any) { b.args = append(b.args, values...) }

// Rows of a statement. A database prepares the statement of a full chunk once and then uses it again.
const (
	sqliteChunk   = 40
	postgresChunk = 250
)

// exec runs the statement in chunks; scan, which may be nil, is called for every row that it returns.
func (t *Triage) exec(ctx context.Context, tx bun.Tx, b *bulk, scan func(*sql.Rows) error) error {
	most := sqliteChunk
	if t.db.Postgres() {
		most = postgresChunk
	}
	full := most * b.columns
	var prepared *sql.Stmt
	if len(b.args) >= 2*full {
		var err error
		if prepared, err = tx.Tx.PrepareContext(ctx, t.text(b, most)); err != nil {
			return err
		}
		defer func() { _ = prepared.Close() }()
	}
	for args := b.args; len(args) > 0; {
		n := min(len(args), full)
		if err := t.chunk(ctx, tx, b, prepared, args[:n], n == full, scan); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

func (t *Triage) chunk(ctx context.Context, tx bun.Tx, b *bulk, prepared *sql.Stmt, args []any, full bool, scan func(*sql.Rows) error) error {
	run := func() (*sql.Rows, error) { return tx.Tx.QueryContext(ctx, t.text(b, len(args)/b.columns), args...) }
	if full && prepared != nil {
		run = func() (*sql.Rows, error) { return prepared.QueryContext(ctx, args...) }
	}
	if scan == nil {
		if full && prepared != nil {
			_, err := prepared.ExecContext(ctx, args...)
			return err
		}
		_, err := tx.Tx.ExecContext(ctx, t.text(b, len(args)/b.columns), args...)
		return err
	}
	rows, err := run()
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// text writes the statement for n rows.
func (t *Triage) text(b *bulk, n int) string {
	var s strings.Builder
	s.WriteString(b.head)
	arg := 0
	for i := range n {
		if i > 0 {
			s.WriteByte(',')
		}
		s.WriteByte('(')
		for j := range b.columns {
			if j > 0 {
				s.WriteByte(',')
			}
			arg++
			if t.db.Postgres() {
				s.WriteByte('$')
				s.WriteString(strconv.Itoa(arg))
			} else {
				s.WriteByte('?')
			}
		}
		s.WriteByte(')')
	}
	s.WriteString(b.tail)
	return s.String()
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

// query runs a statement with ? for its values and calls scan for each row.
func query(ctx context.Context, db bun.IDB, scan func(*sql.Rows) error, text string, args ...any) error {
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// numbers writes rows of whole numbers as SQL: "(1,2),(3,4)".
type numbers struct {
	text strings.Builder
	n    int
}

func (v *numbers) row(values ...int64) {
	if v.n > 0 {
		v.text.WriteByte(',')
	}
	v.n++
	v.text.WriteByte('(')
	for i, x := range values {
		if i > 0 {
			v.text.WriteByte(',')
		}
		v.text.WriteString(strconv.FormatInt(x, 10))
	}
	v.text.WriteByte(')')
}

// clean makes a text fit for a column and its indexes: valid UTF-8 without zero bytes, at most most bytes. What was cut keeps a
// digest of the whole, so that two long texts stay two.
func clean(s string) string {
	const most = 512
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	tail := "~" + strconv.FormatUint(hashText(s), 16)
	return strings.ToValidUTF8(s[:most-len(tail)], "") + tail
}

// bind turns ? into what the driver of the database reads.
func (t *Triage) bind(text string) string {
	if !t.db.Postgres() {
		return text
	}
	var s strings.Builder
	n := 0
	for part := range strings.SplitSeq(text, "?") {
		if n > 0 {
			s.WriteByte('$')
			s.WriteString(strconv.Itoa(n))
		}
		n++
		s.WriteString(part)
	}
	return s.String()
}
