package store

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Full reports whether err says that the database's disk has no room left.
func Full(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "53100"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && lite.Code()&0xff == sqlite3.SQLITE_FULL || errors.Is(err, syscall.ENOSPC)
}

// Unavailable reports whether err says that the database cannot be reached or is busy now: trying again later may help.
func Unavailable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) { // connection lost, resources, being shut down or started, still no luck with a conflict
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "57P") || again(err)
	}
	var dial *pgconn.ConnectError
	if errors.As(err, &dial) {
		return true
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return again(err)
	}
	var network net.Error
	return errors.As(err, &network) && !errors.Is(err, context.Canceled)
}
