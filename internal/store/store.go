// Package store opens the database that the server keeps everything in: SQLite in a folder, or PostgreSQL. It brings the schema
// up to date and gives reads and transactions; each room asks for its own tables.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// DB is an open database. Reads go through R, changes through Write.
type DB struct {
	R    *bun.DB       // reads: many at a time, each statement sees what was committed
	Pool *pgxpool.Pool // of PostgreSQL, for the job queue and LISTEN; nil on SQLite
	Dir  string        // of SQLite's files; "" on PostgreSQL

	w    *bun.DB
	lock *os.File
}

// Options say where the data is.
type Options struct {
	Dir      string // folder of the SQLite files, made when missing
	URL      string // postgres://... ; wins over Dir
	MaxConns int    // connections for reads; default 8 on SQLite, 2 a CPU but at least 16 on PostgreSQL
	Log      *slog.Logger
}

// ErrInUse is returned when another process has the SQLite files open.
var ErrInUse = errors.New("another stockade server uses this folder")

// ErrNewer is returned when the schema was made by a newer program.
var ErrNewer = errors.New("the database was made by a newer version of stockade")

// Open opens the database and brings its schema up to date.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	db, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx, o.Log); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func connect(ctx context.Context, o Options) (*DB, error) {
	if o.URL != "" {
		return openPostgres(ctx, o)
	}
	return openSQLite(o)
}

func openSQLite(o Options) (*DB, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockFolder(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, err
	}
	open := func(conns int, extra string) (*bun.DB, error) {
		dsn := "file:" + filepath.Join(o.Dir, "stockade.db") + "?_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)" +
			"&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&_pragma=cache_size(-32768)&_pragma=temp_store(MEMORY)" + extra
		raw, err := sql.Open("sqlite", dsn)
		if err != nil {
			return nil, err
		}
		raw.SetMaxOpenConns(conns)
		raw.SetMaxIdleConns(conns)
		return bun.NewDB(raw, sqlitedialect.New()), nil
	}
	if o.MaxConns == 0 {
		o.MaxConns = 8
	}
	db := &DB{Dir: o.Dir, lock: lock}
	if db.w, err = open(1, "&_txlock=immediate"); err == nil {
		db.R, err = open(o.MaxConns, "")
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func openPostgres(ctx context.Context, o Options) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", redact(err, o.URL))
	}
	cfg.MaxConns = int32(max(16, 2*runtime.NumCPU()))
	if o.MaxConns > 0 {
		cfg.MaxConns = int32(o.MaxConns)
	}
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	cfg.ConnConfig.RuntimeParams["application_name"] = "stockade"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, redact(err, o.URL)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", redact(err, o.URL))
	}
	db := &DB{Pool: pool}
	db.R = bun.NewDB(stdlib.OpenDBFromPool(pool), pgdialect.New())
	db.w = db.R
	return db, nil
}

// redact takes the password out of an error that quotes the URL.
func redact(err error, url string) error {
	if _, rest, ok := strings.Cut(url, "://"); ok {
		if user, _, ok := strings.Cut(rest, "@"); ok {
			if _, password, ok := strings.Cut(user, ":"); ok && password != "" {
				return errors.New(strings.ReplaceAll(err.Error(), password, "REDACTED"))
			}
		}
	}
	return err
}

// Postgres reports whether the database is PostgreSQL.
func (db *DB) Postgres() bool { return db.Pool != nil }

// Close closes the database and lets others open it.
func (db *DB) Close() error {
	var errs []error
	if db.w != nil && db.w != db.R {
		errs = append(errs, db.w.Close())
	}
	if db.R != nil {
		errs = append(errs, db.R.Close())
	}
	if db.Pool != nil {
		db.Pool.Close()
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}

// attempts bounds how often a transaction is begun anew when the database asks for it.
const attempts = 8

// Write runs f in a transaction. On SQLite one runs at a time. f is run again when the database could not serialise it or had a
// deadlock, so it must have no effect but on tx; ctx ends the waiting too.
func (db *DB) Write(ctx context.Context, f func(ctx context.Context, tx bun.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := db.w.RunInTx(ctx, nil, f)
		if err == nil || attempt == attempts || !again(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(attempt*attempt) * 10 * time.Millisecond):
		}
	}
}

// again reports whether err asks for the transaction to be repeated.
func again(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01" // serialization failure, deadlock
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && (lite.Code()&0xff == sqlite3.SQLITE_BUSY || lite.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

// Duplicate reports whether err says that a row with the same unique key exists.
func Duplicate(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && (lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// ErrNotFound is what rooms return when there is no such row, or none that the caller may see.
var ErrNotFound = errors.New("not found")

// NotFound turns database/sql's word for no rows into ErrNotFound and leaves other errors alone.
func NotFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
