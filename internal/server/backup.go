package server

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"
	_ "modernc.org/sqlite"             // registers "sqlite"
)

// A backup is a tar.zst: for each table files of rows, a JSON array a line, and at the end a manifest that holds the count and
// the checksum of each. It is the same for both databases, so what SQLite wrote can be restored on PostgreSQL and back.
const (
	backupForm = "stockade.backup/v1"
	manifestAt = "manifest.json"
	part       = 4 << 20 // bytes of rows in one file of the archive
	largest    = 1 << 30 // of a file that is read
	padding    = 1 << 20 // bytes behind the archive
)

// Place is where a server keeps its data.
type Place struct {
	Data     string // folder
	Database string // postgres://...; empty: SQLite in Data
}

// Manifest says what a backup holds.
type Manifest struct {
	Form    string    `json:"form"`
	Version string    `json:"version"` // of the program that wrote it
	Schema  int64     `json:"schema"`  // version of the database's schema
	At      time.Time `json:"at"`
	Tables  []Table   `json:"tables"`
}

// Table is one table of a backup.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
	SHA256  string   `json:"sha256"` // of its rows
}

// Rows counts the rows of all tables.
func (m *Manifest) Rows() int64 {
	var n int64
	for _, t := range m.Tables {
		n += t.Rows
	}
	return n
}

// column is one of a table, with what its values are.
type column struct {
	name string
	kind byte // i integer, b boolean, r real, x bytes, t text
}

func kindOf(declared string) byte {
	declared = strings.ToLower(declared)
	switch {
	case strings.Contains(declared, "bool"):
		return 'b'
	case strings.Contains(declared, "int"):
		return 'i'
	case strings.Contains(declared, "real"), strings.Contains(declared, "double"):
		return 'r'
	case declared == "blob", declared == "bytea":
		return 'x'
	}
	return 't'
}

// querier is what a database and a transaction have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// The tables that a backup holds, those without foreign keys first and otherwise in the order they were made in, so that what is
// referred to comes before what refers to it. Left out are the job queue (its items are in our tables), the schema's own log, and
// indexes for search, which triggers fill.
const (
	sqliteTables = `SELECT m.name FROM sqlite_master m JOIN pragma_table_list l ON l.name = m.name AND l.schema = 'main'
		WHERE m.type = 'table' AND l.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'goose_%' AND m.name NOT LIKE 'river_%'
		ORDER BY EXISTS (SELECT 1 FROM pragma_foreign_key_list(m.name)), m.rowid`
	postgresTables = `SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
		AND c.relname NOT LIKE 'goose_%' AND c.relname NOT LIKE 'river_%'
		ORDER BY EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'), c.oid`
	sqliteColumns   = `SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid`
	postgresColumns = `SELECT column_name, data_type FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name = $1 AND is_generated = 'NEVER' ORDER BY ordinal_position`
)

func tables(ctx context.Context, q querier, postgres bool) ([]string, error) {
	query := sqliteTables
	if postgres {
		query = postgresTables
	}
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, rows.Err()
}

func columns(ctx context.Context, q querier, postgres bool, table string) ([]column, error) {
	query := sqliteColumns
	if postgres {
		query = postgresColumns
	}
	rows, err := q.QueryContext(ctx, query, table)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []column
	for rows.Next() {
		var name, declared string
		if err := rows.Scan(&name, &declared); err != nil {
			return nil, err
		}
		list = append(list, column{name, kindOf(declared)})
	}
	return list, rows.Err()
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func columnNames(cols []column) (plain []string, quoted string) {
	var q []string
	for _, c := range cols {
		plain, q = append(plain, c.name), append(q, quote(c.name))
	}
	return plain, strings.Join(q, ", ")
}

// Backup writes everything to a file while servers run: it holds one moment. The file appears when it is whole.
func Backup(ctx context.Context, p Place, file, version string) (*Manifest, error) {
	db, err := p.reader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }() // it was only read
	// The first statement fixes the moment, on both databases.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: p.isolation(), ReadOnly: p.Database != ""})
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	out, err := os.CreateTemp(filepath.Dir(file), ".backup-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(out.Name()) }()
	m, err := p.write(ctx, tx, out, version)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return nil, err
	}
	return m, os.Rename(out.Name(), file)
}

func (p Place) isolation() sql.IsolationLevel {
	if p.Database != "" {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault
}

// reader opens the database beside the servers that use it.
func (p Place) reader() (*sql.DB, error) {
	if p.Database != "" {
		return sql.Open("pgx", p.Database)
	}
	file := filepath.Join(p.Data, "stockade.db")
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("there is no database: %w", err)
	}
	return sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(15000)&_pragma=query_only(1)")
}

func (p Place) write(ctx context.Context, tx *sql.Tx, out io.Writer, version string) (*Manifest, error) {
	z, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(2))
	if err != nil {
		return nil, err
	}
	defer func() { _ = z.Close() }()
	t := tar.NewWriter(z)
	m := &Manifest{Form: backupForm, Version: version, At: time.Now().UTC().Truncate(time.Second)}
	rows, err := tx.QueryContext(ctx, "SELECT max(version_id) FROM goose_db_version")
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		err = errors.Join(err, rows.Scan(&m.Schema))
	}
	if err = errors.Join(err, rows.Close(), rows.Err()); err != nil {
		return nil, err
	}
	list, err := tables(ctx, tx, p.Database != "")
	if err != nil {
		return nil, err
	}
	for _, name := range list {
		table, err := p.writeTable(ctx, tx, t, name, m.At)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		m.Tables = append(m.Tables, *table)
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	if err := entry(t, manifestAt, text, m.At); err != nil {
		return nil, err
	}
	return m, errors.Join(t.Close(), z.Close())
}

func entry(t *tar.Writer, name string, data []byte, at time.Time) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: at}); err != nil {
		return err
	}
	_, err := t.Write(data)
	return err
}

func (p Place) writeTable(ctx context.Context, tx *sql.Tx, t *tar.Writer, name string, at time.Time) (*Table, error) {
	cols, err := columns(ctx, tx, p.Database != "", name)
	if err != nil {
		return nil, err
	}
	table := &Table{Name: name}
	var list string
	table.Columns, list = columnNames(cols)
	rows, err := tx.QueryContext(ctx, "SELECT "+list+" FROM "+quote(name)) //nolint:gosec // names come from the catalogue
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	values, into := make([]any, len(cols)), make([]any, len(cols))
	for i := range values {
		into[i] = &values[i]
	}
	sum := sha256.New()
	var b bytes.Buffer
	files := 0
	flush := func() error {
		files++
		sum.Write(b.Bytes())
		err := entry(t, fmt.Sprintf("%s/%06d.jsonl", name, files), b.Bytes(), at)
		b.Reset()
		return err
	}
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, c := range cols {
			if values[i], err = c.plain(values[i]); err != nil {
				return nil, err
			}
		}
		if err := enc.Encode(values); err != nil {
			return nil, err
		}
		if table.Rows++; b.Len() >= part {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if b.Len() > 0 {
		if err := flush(); err != nil {
			return nil, err
		}
	}
	table.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return table, nil
}

// plain makes a value of a driver one that JSON keeps.
func (c column) plain(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []byte:
		if c.kind == 'x' {
			return base64.StdEncoding.EncodeToString(v), nil
		}
		return string(v), nil
	case string:
		if c.kind == 'x' {
			return base64.StdEncoding.EncodeToString([]byte(v)), nil
		}
		return v, nil
	case int64:
		if c.kind == 'b' {
			return v != 0, nil
		}
		return v, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("column %s: %v is no number", c.name, v)
		}
		return v, nil
	case float32:
		return v, nil
	case int16:
		return v, nil
	case int32:
		return v, nil
	case bool:
		return v, nil
	}
	return nil, fmt.Errorf("column %s: a value of type %T", c.name, v)
}

// value makes what JSON kept one that the column takes.
func (c column) value(raw json.RawMessage) (any, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	var err error
	switch c.kind {
	case 'i':
		var v int64
		err = json.Unmarshal(raw, &v)
		return v, err
	case 'b':
		var v bool
		err = json.Unmarshal(raw, &v)
		return v, err
	case 'r':
		var v float64
		err = json.Unmarshal(raw, &v)
		return v, err
	case 'x':
		var v []byte
		err = json.Unmarshal(raw, &v)
		return v, err
	}
	var v string
	err = json.Unmarshal(raw, &v)
	return v, err
}

// archive reads a backup: files are given in their order, each once.
func archive(file string, each func(name string, r io.Reader) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := zstd.NewReader(f, zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return err
	}
	defer z.Close()
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) { // the checksum over everything stands behind the archive
			n, err := io.Copy(io.Discard, io.LimitReader(z, padding+1))
			if err != nil {
				return fmt.Errorf("%s is damaged: %w", file, err)
			}
			if n > padding {
				return fmt.Errorf("%s is damaged: something follows the archive", file)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s is damaged, or is no backup: %w", file, err)
		}
		if h.Size > largest {
			return fmt.Errorf("%s: %s is larger than any that a backup has", file, h.Name)
		}
		if err := each(h.Name, t); err != nil {
			return fmt.Errorf("%s: %s: %w", file, h.Name, err)
		}
	}
}

// Check reads a backup whole and compares it with its manifest.
func Check(file string) (*Manifest, error) {
	sums := map[string]hash.Hash{}
	counts := map[string]int64{}
	var m *Manifest
	err := archive(file, func(name string, r io.Reader) error {
		if m != nil {
			return errors.New("it comes after the manifest")
		}
		if name == manifestAt {
			m = &Manifest{}
			return json.NewDecoder(r).Decode(m)
		}
		table, _, _ := strings.Cut(name, "/")
		if sums[table] == nil {
			sums[table] = sha256.New()
		}
		c := counter{sums[table], 0}
		_, err := io.Copy(&c, r)
		counts[table] += c.lines
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case m == nil:
		return nil, fmt.Errorf("%s: it has no manifest: it was cut off, or is no backup", file)
	case m.Form != backupForm:
		return nil, fmt.Errorf("%s: its form is %q, want %q", file, m.Form, backupForm)
	}
	for _, t := range m.Tables {
		sum := sums[t.Name]
		if sum == nil {
			sum = sha256.New()
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != t.SHA256 || counts[t.Name] != t.Rows {
			return nil, fmt.Errorf("%s: table %s is damaged: %d rows with checksum %.12s, want %d with %.12s", file, t.Name, counts[t.Name], got, t.Rows, t.SHA256)
		}
		delete(sums, t.Name)
	}
	for name := range sums {
		return nil, fmt.Errorf("%s: %s is not in the manifest", file, name)
	}
	return m, nil
}

// counter counts lines on their way to a hash.
type counter struct {
	hash.Hash
	lines int64
}

func (c *counter) Write(b []byte) (int, error) {
	c.lines += int64(bytes.Count(b, []byte{'\n'}))
	return c.Hash.Write(b)
}

// same reports whether a table of the backup has the columns that this program's schema gives it.
func (t Table) same(cols []column) bool {
	plain, _ := columnNames(cols)
	a, b := slices.Sorted(slices.Values(plain)), slices.Sorted(slices.Values(t.Columns))
	return slices.Equal(a, b)
}
