package database

import (
	"archive/tar"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.etcd.io/bbolt"
	_ "modernc.org/sqlite"

	"stockade.dev/stockade/internal/advisory"
)

var (
	osvArchive = flag.String("osv", "", "AlmaLinux OSV archive (tar.zst) for TestCompare; rows like it are made up without")
	compare    = flag.Bool("compare", false, "measure against bbolt and SQLite in TestCompare")
	scale      = flag.Int("scale", 20, "copies of the rows in the second measurement of TestCompare")
)

// almaRows reads AlmaLinux's archive in the plainest way: a row a package and record. The format's own reader does it right;
// here only the shape of the data counts.
func almaRows(t testing.TB, path string) (rows []advisory.Row) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	tr := tar.NewReader(z)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return rows
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(h.Name, ".json") {
			continue
		}
		var r struct {
			ID, Published string
			Related       []string
			Affected      []struct {
				Package struct{ Ecosystem, Name string }
				Ranges  []struct {
					Events []struct{ Introduced, Fixed string }
				}
			}
		}
		if err := json.NewDecoder(tr).Decode(&r); err != nil {
			continue
		}
		ids := r.Related
		if len(ids) == 0 {
			ids = []string{r.ID}
		}
		for _, a := range r.Affected {
			row := advisory.Row{Feed: "almalinux-osv", Stream: strings.ToLower(strings.Replace(a.Package.Ecosystem, ":", " ", 1)), Package: a.Package.Name,
				Binary: true, IDs: ids, Advisory: r.ID, Published: r.Published}
			for _, g := range a.Ranges {
				var rg advisory.Range
				for _, e := range g.Events {
					rg.Introduced, rg.Fixed = rg.Introduced+e.Introduced, rg.Fixed+e.Fixed
				}
				row.Ranges = append(row.Ranges, rg)
			}
			if advisory.KnownStream(row.Stream) {
				rows = append(rows, row)
			}
		}
	}
}

// madeRows are n rows shaped like those of a distribution: seven a package, five ids an advisory.
func madeRows(n int) (rows []advisory.Row) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		a := i / 12
		ids := make([]string, 1+a%9)
		for j := range ids {
			ids[j] = fmt.Sprintf("CVE-%d-%d", 2019+a%8, 1000+a*7+j)
		}
		rows = append(rows, advisory.Row{Feed: "almalinux-osv", Stream: fmt.Sprintf("almalinux %d", 8+i%3), Package: fmt.Sprintf("package-%d", r.IntN(n/7+1)), Binary: true, IDs: ids,
			Advisory: fmt.Sprintf("ALSA-%d:%04d", 2019+a%8, a), Published: "2024-05-18T06:04:10Z", Ranges: []advisory.Range{{Introduced: "0", Fixed: fmt.Sprintf("%d.%d-%d.el8", a%9, a%31, a%7)}}})
	}
	return rows
}

// BenchmarkVulnerability looks ids up with their texts, in their order and in none.
func BenchmarkVulnerability(b *testing.B) {
	dir := b.TempDir()
	var c content
	for i := range 20000 {
		c.vulns = append(c.vulns, advisory.Vulnerability{ID: fmt.Sprintf("CVE-2024-%d", 10000+i), Feed: "nvd-json", Title: fmt.Sprintf("title %d", i),
			Description: strings.Repeat(fmt.Sprintf("some words on %d that a reader wants. ", i), 20), CVSS: []advisory.CVSS{{Vector: "CVSS:3.1/AV:N", Score: 9.8, Source: "nvd"}}})
	}
	build(b, dir, c, BuildOptions{}, Output{})
	for name, o := range map[string]Options{"texts": {}, "no texts": {NoText: true}} {
		db, err := Open(dir, o)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		for order, step := range map[string]int{"in order": 1, "in no order": 7919} {
			b.Run(name+" "+order, func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if _, ok := db.Vulnerability(c.vulns[i%len(c.vulns)].ID); !ok {
						b.Fatal("not found")
					}
					i += step
				}
			})
		}
	}
}

func BenchmarkRows(b *testing.B) {
	dir := b.TempDir()
	build(b, dir, content{rows: madeRows(96000)}, BuildOptions{}, Output{})
	db, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for name, from := range map[string]int{"hit": 0, "miss": 20000} {
		b.Run(name, func(b *testing.B) {
			names := make([]string, 13000)
			for i := range names {
				names[i] = fmt.Sprintf("package-%d", from+i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				_ = db.Rows("almalinux 8", names[i%len(names)], func(*advisory.Row) bool { return true })
				i++
			}
		})
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			db, err := Open(dir, Options{})
			if err != nil {
				b.Fatal(err)
			}
			db.Close()
		}
	})
}

// TestCompare measures this file, bbolt and SQLite on the same rows with the same encoding of a row, so that only the
// container differs: go test -run TestCompare -v -args -compare -osv FILE. Without -compare it takes few rows and checks that all three
// give the same number of rows.
func TestCompare(t *testing.T) {
	rows, copies := madeRows(2000), []int{1}
	if *compare {
		rows, copies = madeRows(96000), []int{1, *scale}
	}
	if *osvArchive != "" {
		rows = almaRows(t, *osvArchive)
	}
	seen := map[string]bool{}
	rows = slices.DeleteFunc(rows, func(r advisory.Row) bool { l := line(&r); had := seen[l]; seen[l] = true; return had })
	seen = nil
	for _, n := range copies {
		all := func(yield func(advisory.Row) bool) {
			for i := range n {
				for _, r := range rows {
					if i > 0 {
						r.Package = fmt.Sprintf("%s-%d", r.Package, i)
					}
					if !yield(r) {
						return
					}
				}
			}
		}
		t.Logf("%d rows", n*len(rows))
		keys := lookups(rows, n)
		counts := map[string]int{}
		counts["file"] = measureFile(t, all, keys)
		counts["bbolt"] = measureBolt(t, all, keys)
		counts["sqlite"] = measureSQLite(t, all, keys)
		if counts["file"] != counts["bbolt"] || counts["file"] != counts["sqlite"] || counts["file"] == 0 {
			t.Errorf("rows found: %v", counts)
		}
	}
}

// lookups are hits and as many misses, each package as often as another.
func lookups(rows []advisory.Row, copies int) (keys []Key) {
	distinct := map[Key]bool{}
	for _, row := range rows {
		distinct[Key{row.Stream, row.Package}] = true
	}
	sorted := slices.SortedFunc(maps.Keys(distinct), func(a, b Key) int { return strings.Compare(a.Stream+" "+a.Package, b.Stream+" "+b.Package) })
	r := rand.New(rand.NewPCG(5, 5))
	for range min(100000, len(rows)) {
		k := sorted[r.IntN(len(sorted))]
		if i := r.IntN(copies); i > 0 {
			k.Package = fmt.Sprintf("%s-%d", k.Package, i)
		}
		keys = append(keys, k, Key{k.Stream, k.Package + "-x"})
	}
	return keys
}

// cpu is the processor time that this process has used: others on the machine do not count.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// timed runs the look-ups that hit, then those that miss.
func timed(t *testing.T, name string, keys []Key, look func(Key) int) (found int) {
	for miss, what := range []string{"hit", "miss"} {
		runtime.GC()
		start, n := cpu(), 0
		for i := miss; i < len(keys); i += 2 {
			found += look(keys[i])
			n++
		}
		d := cpu() - start
		t.Logf("%-8s %-4s %8.0f ns, %9.0f a second", name, what, float64(d.Nanoseconds())/float64(n), float64(n)/d.Seconds())
	}
	return found
}

// peak samples the heap in use while f runs.
func peak(f func()) uint64 {
	runtime.GC()
	var before, m runtime.MemStats
	runtime.ReadMemStats(&before)
	var most atomic.Uint64
	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapInuse))
			}
		}
	}()
	f()
	close(stop)
	<-done
	return most.Load() - min(before.HeapInuse, most.Load())
}

func size(t *testing.T, path string) float64 {
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}

func measureFile(t *testing.T, rows iter.Seq[advisory.Row], keys []Key) int {
	dir := t.TempDir()
	start := cpu()
	mem := peak(func() {
		b, err := NewBuilder(BuildOptions{Temp: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for r := range rows {
			if err := b.Row(r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.Finish(Output{Dir: dir, BuiltAt: builtAt}); err != nil {
			t.Fatal(err)
		}
	})
	took := cpu() - start
	path := filepath.Join(dir, matchName)
	start = cpu()
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	t.Logf("%-8s build %v with %d MB of heap, %.1f MB, open %v", "file", took.Round(time.Millisecond), mem>>20, size(t, path), (cpu() - start))
	look := func(k Key) (n int) {
		if err := db.Rows(k.Stream, k.Package, func(*advisory.Row) bool { n++; return true }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	start = cpu()
	for i := 0; i < 1000; i += 2 {
		look(keys[i%len(keys)])
	}
	t.Logf("%-8s cold %8.0f ns (500 packages, pages checked against their hashes)", "file", float64((cpu()-start).Nanoseconds())/500)
	return timed(t, "file", keys, look)
}

// grouped gives the rows of each key, encoded alike for the other stores.
func grouped(rows iter.Seq[advisory.Row]) iter.Seq2[string, []byte] {
	m := map[string][]byte{}
	for r := range rows {
		k := r.Stream + "\x00" + r.Package
		e := encoder{b: m[k]}
		e.row(&r)
		m[k] = e.b
	}
	return func(yield func(string, []byte) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

func decodeAll(d *decoder, k Key, value []byte) (n int) {
	for d.s, d.i, d.err = string(value), 0, nil; d.i < len(d.s); n++ {
		if d.next(k.Stream, k.Package) == nil {
			return -1
		}
	}
	return n
}

func measureBolt(t *testing.T, rows iter.Seq[advisory.Row], keys []Key) int {
	path := filepath.Join(t.TempDir(), "bolt.db")
	start := cpu()
	db, err := bbolt.Open(path, 0o644, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("rows"))
		for k, v := range grouped(rows) {
			if err == nil {
				err = b.Put([]byte(k), v)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	took := cpu() - start
	start = cpu()
	if db, err = bbolt.Open(path, 0o644, &bbolt.Options{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	t.Logf("%-8s build %v, %.1f MB, open %v", "bbolt", took.Round(time.Millisecond), size(t, path), (cpu() - start))
	var d decoder
	found := 0
	err = db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("rows"))
		found = timed(t, "bbolt", keys, func(k Key) int { return decodeAll(&d, k, b.Get([]byte(k.Stream+"\x00"+k.Package))) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func measureSQLite(t *testing.T, rows iter.Seq[advisory.Row], keys []Key) int {
	path := filepath.Join(t.TempDir(), "sqlite.db")
	start := cpu()
	db, err := sql.Open("sqlite", path+"?_pragma=journal_mode(off)&_pragma=synchronous(off)&_pragma=mmap_size(1073741824)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE r (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID"); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	put, err := tx.Prepare("INSERT INTO r VALUES (?, ?)")
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range grouped(rows) {
		if _, err := put.Exec(strings.ReplaceAll(k, "\x00", "|"), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	get, err := db.Prepare("SELECT v FROM r WHERE k = ?")
	if err != nil {
		t.Fatal(err)
	}
	defer get.Close()
	t.Logf("%-8s build %v, %.1f MB", "sqlite", (cpu() - start).Round(time.Millisecond), size(t, path))
	var d decoder
	return timed(t, "sqlite", keys, func(k Key) int {
		var v []byte
		if err := get.QueryRow(k.Stream + "|" + k.Package).Scan(&v); err == sql.ErrNoRows {
			return 0
		} else if err != nil {
			t.Fatal(err)
		}
		return decodeAll(&d, k, v)
	})
}
