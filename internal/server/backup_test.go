package server_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/server"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// places are an empty SQLite folder and an empty PostgreSQL database.
func places(t *testing.T) map[string]server.Place {
	return map[string]server.Place{"sqlite": {Data: t.TempDir()}, "postgres": {Data: t.TempDir(), Database: storetest.Postgres(t)}}
}

func open(t *testing.T, p server.Place) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{Dir: p.Data, URL: p.Database})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// write changes two tables in one transaction.
func write(db *store.DB, n int) error {
	return db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		if err := audit.Record(ctx, tx, "test.write", fmt.Sprint("row ", n), 0, nil, map[string]int{"n": n}); err != nil {
			return err
		}
		return outbox.Put(ctx, tx, "test", 0, map[string]int{"n": n})
	})
}

const odd = "\"'\\\n\x01 中文 <&>\u2028"

// seed puts something of every kind of column into the database.
func seed(t *testing.T, db *store.DB) {
	t.Helper()
	at := store.At(time.Now())
	for _, q := range []struct {
		text string
		args []any
	}{
		{"INSERT INTO settings (name, value) VALUES ('odd', ?)", []any{odd}},
		{"INSERT INTO targets (id, kind, name, created_at) VALUES (7, 'cluster', 'shop', ?)", []any{at}},
		{"INSERT INTO risks (id, kind, rule, severity, title, kev, epss, first_seen) VALUES (3, 1, 'CVE-2021-44228', 4, 'Log4Shell', ?, 0.97, ?)", []any{true, at}},
		{"INSERT INTO assets (id, target_id, kind, name, first_seen) VALUES (5, 7, 1, 'till', ?)", []any{at}},
		{"INSERT INTO advice (id, hash, body) VALUES (9, -5, '{}')", nil},
		{"INSERT INTO findings (id, target_id, fingerprint, risk_id, asset_id, kind, severity, state, status, rule, package, hash, first_seen, changed_at) VALUES (11, 7, ?, 3, 5, 1, 4, 0, 0, 'CVE-2021-44228', 'log4j-core', 1, ?, ?)", []any{[]byte("\x00\xff0123456789abcd"), at, at}},
		{"INSERT INTO details (finding_id, advice_id, body) VALUES (11, 9, ?)", []any{[]byte{0, 1, 2, 255}}},
	} {
		if _, err := db.R.ExecContext(context.Background(), q.text, q.args...); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBackupUnderLoad: a backup that is taken while somebody writes holds one moment, and restores to the same counts on either
// database.
func TestBackupUnderLoad(t *testing.T) {
	for kind, from := range places(t) {
		t.Run(kind, func(t *testing.T) {
			db := open(t, from)
			seed(t, db)
			for n := range 50 {
				if err := write(db, n); err != nil {
					t.Fatal(err)
				}
			}
			stop, done := make(chan struct{}), make(chan error, 1)
			go func() {
				for n := 50; ; n++ {
					select {
					case <-stop:
						done <- nil
						return
					default:
					}
					if err := write(db, n); err != nil {
						done <- err
						return
					}
				}
			}()
			file := filepath.Join(t.TempDir(), "backup.tar.zst")
			m, err := server.Backup(context.Background(), from, file, "test")
			close(stop)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			counts := map[string]int64{}
			for _, table := range m.Tables {
				counts[table.Name] = table.Rows
			}
			if counts["audit"] != counts["outbox"] || counts["audit"] < 50 || counts["findings"] != 1 || counts["packages"] != 1 {
				t.Errorf("not one moment: %v", counts)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("others may read it: %v %v", info.Mode(), err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			for toKind, to := range places(t) {
				t.Run("to "+toKind, func(t *testing.T) { restores(t, to, file, counts) })
			}
		})
	}
}

func restores(t *testing.T, to server.Place, file string, counts map[string]int64) {
	m, err := server.Restore(context.Background(), to, file)
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, to)
	defer func() { _ = db.Close() }()
	for _, table := range m.Tables {
		var n int64
		if err := db.R.QueryRow("SELECT count(*) FROM " + table.Name).Scan(&n); err != nil || n != counts[table.Name] {
			t.Errorf("%s: %d rows, want %d: %v", table.Name, n, counts[table.Name], err)
		}
	}
	var print, body []byte
	var kev bool
	var object string
	err = db.R.QueryRow("SELECT f.fingerprint, d.body, r.kev, (SELECT value FROM settings WHERE name = 'odd') FROM findings f JOIN details d ON d.finding_id = f.id JOIN risks r ON r.id = f.risk_id").Scan(&print, &body, &kev, &object)
	if err != nil || string(print) != "\x00\xff0123456789abcd" || string(body) != "\x00\x01\x02\xff" || !kev || object != odd {
		t.Errorf("values changed: %q %q %v %q %v", print, body, kev, object, err)
	}
	if err := write(db, 1); err != nil { // keys go on after the last
		t.Errorf("writing after it: %v", err)
	}
	if !db.Postgres() {
		var n int
		if err := db.R.QueryRow("SELECT count(*) FROM risk_words WHERE risk_words MATCH 'log4shell'").Scan(&n); err != nil || n != 1 {
			t.Errorf("the search finds %d: %v", n, err)
		}
	}
	if _, err := server.Restore(context.Background(), to, file); err == nil || !db.Postgres() && !strings.Contains(err.Error(), "another") {
		t.Errorf("restored over a server that runs, or over data: %v", err)
	}
	_ = db.Close()
	if _, err := server.Restore(context.Background(), to, file); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restored over data: %v", err)
	}
}

// TestDamagedBackup: nothing is written from a file that is cut, changed, or something else.
func TestDamagedBackup(t *testing.T) {
	from := server.Place{Data: t.TempDir()}
	db := open(t, from)
	seed(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup.tar.zst")
	if _, err := server.Backup(context.Background(), from, file, "test"); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte{}, whole...)
	flipped[len(flipped)/2] ^= 0x40
	last := append([]byte{}, whole...)
	last[len(last)-1] ^= 1 // of the checksum over everything
	for name, data := range map[string][]byte{"cut": whole[:len(whole)*2/3], "flipped": flipped, "last byte": last, "empty": nil, "other": []byte("hello")} {
		t.Run(name, func(t *testing.T) {
			broken := filepath.Join(t.TempDir(), "broken")
			if err := os.WriteFile(broken, data, 0o600); err != nil {
				t.Fatal(err)
			}
			to := server.Place{Data: filepath.Join(t.TempDir(), "data")}
			_, restoreErr := server.Restore(context.Background(), to, broken)
			if restoreErr == nil {
				t.Error("it was restored")
			}
			if _, err := os.Stat(to.Data); err == nil {
				t.Errorf("the folder was made: %v", restoreErr)
			}
		})
	}
	if _, err := server.Backup(context.Background(), server.Place{Data: t.TempDir()}, file, "test"); err == nil {
		t.Error("a backup of nothing")
	}
}
