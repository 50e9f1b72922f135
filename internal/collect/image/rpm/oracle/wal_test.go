package oracle

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/collect/image/rpm"
	"stockade.dev/stockade/internal/inventory"
)

func names(packages []inventory.Package) string {
	var out []string
	for _, p := range packages {
		out = append(out, p.Name+" "+p.Version)
	}
	return strings.Join(out, ", ")
}

// simple makes a package header of name, version, release and old file names; those make it longer than a page.
func simple(name, version string) []byte {
	var index, store []byte
	for _, v := range []struct {
		tag  uint32
		text string
	}{{1000, name}, {1001, version}, {1002, "1"}, {1022, "noarch"}, {1027, "/usr/share/" + strings.Repeat(name, 400)}} {
		kind := uint32(6) // a string
		if v.tag == 1027 {
			kind = 8 // a list
		}
		for _, n := range []uint32{v.tag, kind, uint32(len(store)), 1} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
		store = append(append(store, v.text...), 0)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(index)/16))
	head = binary.BigEndian.AppendUint32(head, uint32(len(store)))
	return slices.Concat(head, index, store)
}

// database makes an SQLite database by SQLite itself and returns the file and its log as they lie on disk after f.
func database(t testing.TB, size int, f func(db *sql.DB)) (data, log []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	run(t, db, fmt.Sprintf("PRAGMA page_size=%d; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=4; "+
		"CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL); CREATE TABLE 'Name' (key, hnum, idx)", size))
	f(db)
	if data, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	if log, err = os.ReadFile(file + "-wal"); err != nil {
		t.Fatal(err)
	}
	return data, log
}

func run(t testing.TB, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

func insert(t testing.TB, db *sql.DB, from, to int) {
	for i := from; i < to; i++ {
		run(t, db, "INSERT INTO Packages (blob) VALUES (?)", simple(fmt.Sprint("p", i), "1"))
	}
}

// TestWAL: pages in the write-ahead log count when they were committed, and only then.
func TestWAL(t *testing.T) {
	for _, size := range []int{512, 4096, 65536} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			read := func(data, log []byte) ([]inventory.Package, error) {
				return rpm.Read(rpm.Files{Name: "rpmdb.sqlite", Data: data, WAL: log}, rpm.Options{})
			}
			data, log := database(t, size, func(db *sql.DB) {
				insert(t, db, 0, 20)
				run(t, db, "PRAGMA wal_checkpoint(TRUNCATE)") // 20 are in the file
				run(t, db, "DELETE FROM Packages WHERE hnum = 1")
				insert(t, db, 20, 50) // 49 with the log
			})
			if got, err := read(data, nil); err != nil || len(got) != 20 {
				t.Errorf("without the log: %d, %v", len(got), err)
			}
			got, err := read(data, log)
			if err != nil || len(got) != 49 || strings.Contains(names(got), "p0 ") || !strings.Contains(names(got), "p49 1-1") {
				t.Errorf("with the log: %s, %v", names(got), err)
			}
			// Cut in its last frame: the last transaction is not whole.
			if got, err := read(data, log[:len(log)-1]); err != nil || len(got) != 48 {
				t.Errorf("cut log: %d, %v", len(got), err)
			}
			// Damage in the middle: what was committed before it counts, and it is said.
			bad := bytes.Clone(log)
			bad[32+(24+size)*(len(log)/(24+size)/2)+24+100] ^= 1
			if got, err := read(data, bad); err == nil || len(got) < 19 || len(got) >= 49 {
				t.Errorf("damaged log: %d, %v", len(got), err)
			}
			bad = bytes.Clone(log)
			bad[17] ^= 1 // salt in the header
			if got, err := read(data, bad); err == nil || len(got) != 20 {
				t.Errorf("damaged header: %d, %v", len(got), err)
			}
			// A transaction that is written but not committed, and an older generation behind the new one.
			data, log = database(t, size, func(db *sql.DB) {
				insert(t, db, 0, 20)
				run(t, db, "PRAGMA wal_checkpoint(RESTART)")
				insert(t, db, 20, 25)
				run(t, db, "BEGIN")
				insert(t, db, 25, 120)
			})
			if got, err := read(data, log); err != nil || len(got) != 25 {
				t.Errorf("uncommitted: %d, %v", len(got), err)
			}
		})
	}
}
