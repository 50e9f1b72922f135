// Package storetest runs a test on both databases: SQLite in a folder of the test's, and a PostgreSQL server that is started for
// the process.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"

	"stockade.dev/stockade/internal/store"
)

// Each runs f as a subtest on an empty SQLite and on an empty PostgreSQL database, with the schema in place.
func Each(t *testing.T, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			f(t, Open(t, name))
		})
	}
}

// Open makes an empty database of a kind, "sqlite" or "postgres", that ends with the test.
func Open(t testing.TB, kind string) *store.DB {
	t.Helper()
	o := store.Options{Dir: t.TempDir()}
	if kind == "postgres" {
		o = store.Options{URL: Postgres(t)}
	}
	db, err := store.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

var (
	once    sync.Once
	server  string // URL without the database's name
	failed  error
	counter atomic.Int64
)

// Postgres makes an empty PostgreSQL database and returns its URL. The server is started for the first one and ends with the
// process.
func Postgres(t testing.TB) string {
	t.Helper()
	once.Do(func() { server, failed = start() })
	if failed != nil {
		t.Fatalf("starting PostgreSQL: %v", failed)
	}
	name := fmt.Sprintf("test%d", counter.Add(1))
	admin, err := sql.Open("pgx", server+"/postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	return server + "/" + name
}

// Binaries returns the folder of PostgreSQL's programs, newest first.
func Binaries() (string, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Reverse(dirs)
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(d, "initdb")); err == nil {
			return d, nil
		}
	}
	return "", errors.New("PostgreSQL is not installed: apt-get install postgresql, or run make deps")
}

// start starts a server that a watching shell ends when this process is gone.
func start() (string, error) {
	bin, err := Binaries()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "stockade-pg")
	if err != nil {
		return "", err
	}
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			return "", err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			return "", err
		}
	}
	run := func(name string, args ...string) error {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.SysProcAttr, cmd.Dir = attr, dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, out)
		}
		return nil
	}
	data := filepath.Join(dir, "data")
	if err := run("initdb", "-D", data, "-U", "stockade", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"); err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	// The shell outlives a test process that is killed by just so long.
	script := fmt.Sprintf(`%s/postgres -D %s -p %d -h 127.0.0.1 -k %s -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 >%s/log 2>&1 &
pg=$!; while [ -d /proc/%d ] && kill -0 $pg 2>/dev/null; do sleep 0.3; done; kill -QUIT $pg; wait $pg; rm -rf %s`, bin, data, port, dir, dir, os.Getpid(), dir)
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr, cmd.Dir = attr, dir
	if err := cmd.Start(); err != nil {
		return "", err
	}
	url := fmt.Sprintf("postgres://stockade@127.0.0.1:%d", port)
	deadline := time.Now().Add(60 * time.Second)
	for {
		db, err := sql.Open("pgx", url+"/postgres")
		if err == nil {
			err = db.Ping()
			_ = db.Close()
		}
		if err == nil {
			return url, nil
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			return "", fmt.Errorf("it does not answer: %w: %s", err, log)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}
