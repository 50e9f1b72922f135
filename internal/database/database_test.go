package database

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
)

var _ feed.Sink = (*Builder)(nil)

const builtAt = "2026-08-22T00:00:00Z"

// content is what a test builds from.
type content struct {
	rows  []advisory.Row
	vulns []advisory.Vulnerability
	lives []advisory.Lifecycle
	repos []advisory.Repository
}

func build(t testing.TB, dir string, c content, bo BuildOptions, o Output) *Manifest {
	t.Helper()
	m, err := tryBuild(t, dir, c, bo, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func tryBuild(t testing.TB, dir string, c content, bo BuildOptions, o Output) (*Manifest, error) {
	t.Helper()
	bo.Temp = t.TempDir()
	b, err := NewBuilder(bo)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, r := range c.rows {
		b.Record(r.Feed)
		if err := b.Row(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range c.vulns {
		if err := b.Vulnerability(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range c.lives {
		if err := b.Lifecycle(l); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range c.repos {
		if err := b.Repository("redhat-repositories", r); err != nil {
			t.Fatal(err)
		}
	}
	o.Dir = dir
	if o.BuiltAt == "" {
		o.BuiltAt = builtAt
	}
	return b.Finish(o)
}

// randomRow makes rows of every shape; few distinct values, so that keys and ids collide.
func randomRow(r *rand.Rand) advisory.Row {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	some := func(n int, f func() string) (list []string) {
		for range r.IntN(n) {
			list = append(list, f())
		}
		return list
	}
	version := func() string { return fmt.Sprintf("%d.%d-%d.el8", r.IntN(9), r.IntN(30), r.IntN(4)) }
	ranges := func() (list []advisory.Range) {
		for range r.IntN(3) {
			list = append(list, advisory.Range{Introduced: pick("", "0", version()), After: r.IntN(5) == 0, Fixed: pick("", version()), LastAffected: pick("", version())})
		}
		return list
	}
	id := func() string {
		return pick(fmt.Sprintf("CVE-%d-%04d", 1995+r.IntN(40), r.IntN(200000)), fmt.Sprintf("GHSA-%04d-aaaa-bbbb", r.IntN(50)), "CVE-2021-44228", "CVE-2021-000044228", "CVE-1-1")
	}
	row := advisory.Row{Feed: pick("almalinux-osv", "redhat-csaf", "nvd-json"), Stream: pick("almalinux 8", "redhat 9", "maven", "cpe"),
		Package: pick("openssl", "kernel", "a:b", fmt.Sprintf("p%d", r.IntN(300))), Binary: r.IntN(2) == 0, Binaries: some(4, func() string { return pick("libssl", "openssl-libs", "x") }),
		IDs: append([]string{id()}, some(3, id)...), Advisory: pick("", "ALSA-2021:1", "RHSA-2022:2"),
		Published: pick("", "2021-01-02", "2021-01-02T03:04:05Z", "2021-01-02T03:04:05+08:00", "1969-01-01", "9999-12-31", "2021-02-31"),
		Severity:  pick("", "critical", "low"), State: advisory.State(r.IntN(7)), Subscription: pick("", "ESM"), Reason: pick("", "code not present"),
		Scheme: advisory.Scheme(r.IntN(11)), Ranges: ranges(), Versions: some(3, version), Arches: some(3, func() string { return pick("x86_64", "aarch64") }),
		Module: pick("", "nodejs:12"), Flavor: pick("", "fips"), CPE: pick("", "cpe:/o:redhat:enterprise_linux:8")}
	for range r.IntN(3) {
		row.CVSS = append(row.CVSS, advisory.CVSS{Vector: pick("", "CVSS:3.1/AV:N"), Score: []float64{0, 9.8, 10, 3.14159, -1}[r.IntN(5)], Source: pick("nvd", "redhat")})
	}
	if r.IntN(4) == 0 {
		row.Requires = []advisory.Requirement{{CPE: some(3, func() string { return "cpe:2.3:o:linux:*" }), Ranges: ranges()}}
		row.Symbols = []advisory.Symbols{{Import: "net/http", Names: some(3, func() string { return "Serve" }), GOOS: some(2, func() string { return "linux" })}}
		row.Hashes = []string{strings.Repeat("0f", 20), "odd"}
	}
	return row
}

func randomContent(seed uint64, n int) content {
	r := rand.New(rand.NewPCG(seed, 7))
	var c content
	for range n {
		c.rows = append(c.rows, randomRow(r))
	}
	return c
}

var same = cmp.Options{cmpopts.EquateEmpty()}

func line(r *advisory.Row) string {
	var e encoder
	e.text(r.Stream)
	e.text(r.Package)
	e.row(r)
	return string(e.b)
}

func clone(r *advisory.Row) advisory.Row {
	c := *r
	c.IDs, c.Binaries, c.CVSS, c.Ranges = slices.Clone(r.IDs), slices.Clone(r.Binaries), slices.Clone(r.CVSS), slices.Clone(r.Ranges)
	c.Versions, c.Arches, c.Hashes = slices.Clone(r.Versions), slices.Clone(r.Arches), slices.Clone(r.Hashes)
	return c
}

// TestRoundTrip builds from random rows, with buffers so small that everything goes through temporary files, and finds every row again under
// its key and every key under its ids.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(6) {
		c := randomContent(seed, 3000)
		want := map[Key]map[string]advisory.Row{}
		byID := map[string]map[Key]bool{}
		for _, r := range c.rows {
			k := Key{r.Stream, r.Package}
			if want[k] == nil {
				want[k] = map[string]advisory.Row{}
			}
			want[k][line(&r)] = r
			for _, id := range r.IDs {
				if byID[id] == nil {
					byID[id] = map[Key]bool{}
				}
				byID[id][k] = true
			}
		}
		dir := t.TempDir()
		m := build(t, dir, c, BuildOptions{Memory: 64 << 10 << seed}, Output{})
		db, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Verify(nil); err != nil {
			t.Fatal(err)
		}
		rows := 0
		for k, rowsOf := range want {
			seen := map[string]advisory.Row{}
			if err := db.Rows(k.Stream, k.Package, func(r *advisory.Row) bool { seen[line(r)] = clone(r); return true }); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(rowsOf, seen, same); d != "" {
				t.Fatalf("%v: %s", k, d)
			}
			rows += len(rowsOf)
		}
		if m.Rows != rows || m.Keys != len(want) {
			t.Errorf("manifest: %d rows of %d keys, want %d of %d", m.Rows, m.Keys, rows, len(want))
		}
		for id, keys := range byID {
			got := db.Keys(id)
			if len(got) != len(keys) {
				t.Fatalf("%s: %d keys, want %d", id, len(got), len(keys))
			}
			for _, k := range got {
				if !keys[k] {
					t.Fatalf("%s: %v has no such row", id, k)
				}
			}
		}
		for _, k := range []Key{{"maven", "nothing"}, {"", ""}, {"almalinux 8", ""}, {"almalinux", " 8openssl"}} {
			if err := db.Rows(k.Stream, k.Package, func(*advisory.Row) bool { t.Errorf("%v has a row", k); return false }); err != nil {
				t.Error(err)
			}
		}
		n := 0
		if err := db.Rows("maven", "a:b", func(*advisory.Row) bool { n++; return n < 3 }); err != nil || n != 3 {
			t.Errorf("stopping early: %d rows, %v", n, err)
		}
		if len(db.Keys("sha1:"+strings.Repeat("0f", 20))) == 0 || db.Keys("CVE-2099-1") != nil {
			t.Error("keys of an artefact, or of nothing")
		}
		if db.Err() != nil {
			t.Error(db.Err())
		}
		db.Close()
		if err := db.Rows("maven", "a:b", nil); !errors.Is(err, errClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// TestDeterministic builds the same content in another order and with other buffers: the bytes are the same.
func TestDeterministic(t *testing.T) {
	c := randomContent(1, 2000)
	c.vulns = someVulnerabilities()
	one, two := t.TempDir(), t.TempDir()
	a := build(t, one, c, BuildOptions{}, Output{})
	r := rand.New(rand.NewPCG(3, 3))
	r.Shuffle(len(c.rows), func(i, j int) { c.rows[i], c.rows[j] = c.rows[j], c.rows[i] })
	slices.Reverse(c.vulns)
	b := build(t, two, c, BuildOptions{Memory: 20 << 10}, Output{})
	if d := cmp.Diff(a, b); d != "" {
		t.Fatal(d)
	}
	x, _ := os.ReadFile(filepath.Join(one, matchName))
	y, _ := os.ReadFile(filepath.Join(two, matchName))
	if string(x) != string(y) {
		t.Error("match.db differs")
	}
}

func someVulnerabilities() []advisory.Vulnerability {
	return []advisory.Vulnerability{
		{ID: "CVE-2021-44228", Feed: "nvd-json", Description: "JNDI features do not protect", CVSS: []advisory.CVSS{{Vector: "CVSS:3.1/AV:N", Score: 10, Source: "nvd"}}, CWEs: []string{"CWE-20"}, References: []string{"https://a.example.com"}},
		{ID: "GHSA-jfh8-c2jp-5v3q", Feed: "ghsa-osv", Aliases: []string{"CVE-2021-44228"}, Title: "Remote code injection in Log4j", Severity: "critical", CVSS: []advisory.CVSS{{Vector: "CVSS:3.1/AV:N", Score: 10, Source: "ghsa"}}, References: []string{"https://a.example.com", "https://b.example.com"}},
		{ID: "CVE-2021-44228", Feed: "cisa-kev", KEV: &advisory.KEV{Added: "2021-12-10", Due: "2021-12-24", Ransomware: true, Action: "Apply updates."}},
		{ID: "CVE-2021-44228", Feed: "first-epss", EPSS: &advisory.EPSS{Score: 0.94358, Percentile: 0.99957, Date: "2025-08-25"}},
		{ID: "CVE-2021-44228", Feed: "first-epss", EPSS: &advisory.EPSS{Score: 0.5, Percentile: 0.6, Date: "2024-08-25"}},
		{ID: "GO-2022-0001", Feed: "golang-osv", Aliases: []string{"GHSA-xxxx-yyyy-zzzz"}, Title: "Only of Go"},
		{ID: "GHSA-xxxx-yyyy-zzzz", Feed: "ghsa-osv", Description: "No CVE id was given"},
		{ID: "USN-1-1", Feed: "ubuntu-osv", Aliases: []string{"CVE-2020-0001", "CVE-2020-0002"}, Title: "two at once"},
		{ID: "CVE-2020-0001", Feed: "nvd-json", Title: "the first"},
		{ID: "CVE-2020-0003", Feed: "nvd-json", Withdrawn: "2022-01-01T00:00:00Z"},
	}
}

// TestVulnerability merges what several feeds know and finds it under all its names.
func TestVulnerability(t *testing.T) {
	dir := t.TempDir()
	c := content{vulns: someVulnerabilities(), rows: []advisory.Row{
		{Feed: "ghsa-osv", Stream: "maven", Package: "log4j:log4j-core", IDs: []string{"CVE-2021-44228"}},
		{Feed: "golang-osv", Stream: "golang", Package: "example.com/m", IDs: []string{"GO-2022-0001"}},
		{Feed: "ghsa-osv", Stream: "golang", Package: "example.com/n", IDs: []string{"GHSA-xxxx-yyyy-zzzz"}}},
		lives: []advisory.Lifecycle{{Feed: "eol-json", Stream: "debian 9", EOL: "2022-06-30"}, {Feed: "zz", Stream: "debian 9", EOL: "2000-01-01", Extended: "2027-06-30"}},
		repos: []advisory.Repository{{Name: "rhel-8-baseos", CPEs: []string{"cpe:/b", "cpe:/a"}}, {Name: "rhel-8-baseos", CPEs: []string{"cpe:/a"}}}}
	build(t, dir, c, BuildOptions{}, Output{})
	db, err := Open(filepath.Join(dir, matchName), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want := &advisory.Vulnerability{ID: "CVE-2021-44228", Feed: "nvd-json", Aliases: []string{"GHSA-jfh8-c2jp-5v3q"}, Title: "Remote code injection in Log4j",
		Description: "JNDI features do not protect", Severity: "critical", CWEs: []string{"CWE-20"},
		CVSS:       []advisory.CVSS{{Vector: "CVSS:3.1/AV:N", Score: 10, Source: "nvd"}, {Vector: "CVSS:3.1/AV:N", Score: 10, Source: "ghsa"}},
		References: []string{"https://a.example.com", "https://b.example.com"},
		KEV:        &advisory.KEV{Added: "2021-12-10", Due: "2021-12-24", Ransomware: true, Action: "Apply updates."},
		EPSS:       &advisory.EPSS{Score: 0.94358, Percentile: 0.99957, Date: "2025-08-25"}}
	for _, id := range []string{"CVE-2021-44228", "GHSA-jfh8-c2jp-5v3q"} {
		got, ok := db.Vulnerability(id)
		if d := cmp.Diff(want, got, same); !ok || d != "" {
			t.Errorf("%s: %v %s", id, ok, d)
		}
		if k := db.Keys(id); len(k) != 1 || k[0].Package != "log4j:log4j-core" {
			t.Errorf("%s: %v", id, k)
		}
	}
	if v, _ := db.Vulnerability("GO-2022-0001"); v == nil || v.ID != "GHSA-xxxx-yyyy-zzzz" || v.Title != "Only of Go" {
		t.Errorf("without a CVE id: %+v", v)
	}
	if k := db.Keys("GO-2022-0001"); len(k) != 2 {
		t.Errorf("rows under both names: %v", k)
	}
	if v, _ := db.Vulnerability("USN-1-1"); v == nil || v.ID != "USN-1-1" || len(v.Aliases) != 2 {
		t.Errorf("an advisory on two is none of them: %+v", v)
	}
	if v, _ := db.Vulnerability("CVE-2020-0001"); v == nil || v.Title != "the first" || len(v.Aliases) != 0 {
		t.Errorf("%+v", v)
	}
	if v, _ := db.Vulnerability("CVE-2020-0003"); v == nil || v.Withdrawn == "" {
		t.Errorf("%+v", v)
	}
	if v, ok := db.Vulnerability("CVE-2020-0002"); ok {
		t.Errorf("nobody knows it: %+v", v)
	}
	if s, ok := db.Stream("debian 9"); !ok || s.Rows != 0 || s.Lifecycle.EOL != "2022-06-30" || s.Lifecycle.Extended != "2027-06-30" {
		t.Errorf("%+v", s)
	}
	if s, ok := db.Stream("maven"); !ok || s.Rows != 1 || s.Feeds[0] != "ghsa-osv" {
		t.Errorf("%+v", s)
	}
	if _, ok := db.Stream("euleros 2.0-SP9"); ok {
		t.Error("a stream that nothing is known of")
	}
	if r := db.Repository("rhel-8-baseos"); !slices.Equal(r, []string{"cpe:/a", "cpe:/b"}) || db.Repository("x") != nil {
		t.Errorf("%v", r)
	}
	if db.Err() != nil || db.TextError() != nil {
		t.Error(db.Err(), db.TextError())
	}
}

// TestNoText has everything but the texts when the text file is away, and says so.
func TestNoText(t *testing.T) {
	dir := t.TempDir()
	m := build(t, dir, content{vulns: someVulnerabilities()}, BuildOptions{}, Output{})
	os.Remove(filepath.Join(dir, textName(m.Text)))
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	v, ok := db.Vulnerability("CVE-2021-44228")
	if !ok || v.Title != "" || v.KEV == nil || db.TextError() == nil {
		t.Errorf("%+v %v", v, db.TextError())
	}
	m = build(t, t.TempDir(), content{vulns: someVulnerabilities()}, BuildOptions{NoText: true}, Output{})
	if m.Text != nil {
		t.Error("texts were left out")
	}
}

// TestRefused counts what cannot be stored.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	good := advisory.Row{Feed: "f", Stream: "maven", Package: "p", IDs: []string{"CVE-2021-0001"}}
	change := func(f func(*advisory.Row)) advisory.Row { r := good; f(&r); return r }
	m := build(t, dir, content{rows: []advisory.Row{good, good,
		change(func(r *advisory.Row) { r.Stream = "amiga 1" }), change(func(r *advisory.Row) { r.Package = "" }),
		change(func(r *advisory.Row) { r.Package = "a\x00b" }), change(func(r *advisory.Row) { r.IDs = nil }),
		change(func(r *advisory.Row) { r.Reason = strings.Repeat("x", maxRow) }), change(func(r *advisory.Row) { r.State = 99 })}}, BuildOptions{}, Output{})
	if f := m.Feeds[0]; f.Rows != 1 || f.Refused != 6 || f.Records != 8 || f.Reasons["no usable package name"] != 2 {
		t.Errorf("%+v", f)
	}
}

// TestRollBack refuses an older database unless forced, and keeps the files of both for those who have them open.
func TestRollBack(t *testing.T) {
	dir := t.TempDir()
	c := content{rows: randomContent(1, 50).rows, vulns: someVulnerabilities()}
	build(t, dir, c, BuildOptions{}, Output{BuiltAt: "2026-08-22T00:00:00Z"})
	if _, err := tryBuild(t, dir, c, BuildOptions{}, Output{BuiltAt: "2026-08-21T23:00:00-02:00"}); err != nil {
		t.Error("a later time in another zone:", err)
	}
	if _, err := tryBuild(t, dir, c, BuildOptions{}, Output{BuiltAt: "2026-08-21T00:00:00Z"}); !errors.Is(err, ErrOlder) {
		t.Errorf("older: %v", err)
	}
	build(t, dir, c, BuildOptions{}, Output{BuiltAt: "2026-08-21T00:00:00Z", Force: true})
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left over: %v", entries)
	}
	if err := os.WriteFile(filepath.Join(dir, matchName), []byte("rubbish"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tryBuild(t, dir, c, BuildOptions{}, Output{}); err == nil {
		t.Error("what cannot be read may be newer")
	}
	build(t, dir, c, BuildOptions{}, Output{Force: true})
}

// TestSignature trusts only what a trusted key signed.
func TestSignature(t *testing.T) {
	pub, key, _ := ed25519.GenerateKey(nil)
	other, _, _ := ed25519.GenerateKey(nil)
	dir := t.TempDir()
	c := randomContent(1, 50)
	build(t, dir, c, BuildOptions{}, Output{})
	if _, err := Open(dir, Options{TrustedKeys: []ed25519.PublicKey{pub}}); !errors.Is(err, ErrUnsigned) {
		t.Error(err)
	}
	build(t, dir, c, BuildOptions{}, Output{Key: key})
	if _, err := Open(dir, Options{TrustedKeys: []ed25519.PublicKey{other}}); !errors.Is(err, ErrUntrusted) {
		t.Error(err)
	}
	db, err := Open(dir, Options{TrustedKeys: []ed25519.PublicKey{other, pub}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if s, checked := db.Signature(); !checked || s.Key != KeyID(pub) {
		t.Errorf("%v %v", s, checked)
	}
	path := filepath.Join(dir, matchName)
	data, _ := os.ReadFile(path)
	manifest, signature := db.Raw()
	manifest = []byte(strings.Replace(string(manifest), `"builtAt":"2026`, `"builtAt":"2027`, 1))
	sum := sumTail(manifest, signature)
	forged := strings.Replace(string(data[:len(data)-16]), `"builtAt":"2026`, `"builtAt":"2027`, 1) + string(sum[:])
	if err := os.WriteFile(path, []byte(forged), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{TrustedKeys: []ed25519.PublicKey{pub}}); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a changed manifest: %v", err)
	}
}

// TestSwap looks things up without a pause while the database is replaced: every handle answers wholly from one build.
func TestSwap(t *testing.T) {
	dir := t.TempDir()
	one := func(n int) content {
		id := fmt.Sprintf("CVE-2021-%04d", n)
		return content{rows: []advisory.Row{{Feed: "f", Stream: "maven", Package: "p", IDs: []string{id}}},
			vulns: []advisory.Vulnerability{{ID: id, Feed: "nvd-json", Title: "title of " + id}}}
	}
	build(t, dir, one(0), BuildOptions{}, Output{})
	stop := false
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				mu.Lock()
				done := stop
				mu.Unlock()
				if done {
					return
				}
				db, err := Open(dir, Options{})
				if err != nil {
					t.Error(err)
					return
				}
				err = db.Rows("maven", "p", func(r *advisory.Row) bool {
					if v, ok := db.Vulnerability(r.IDs[0]); !ok || v.Title != "title of "+r.IDs[0] {
						t.Errorf("%s: %+v, %v", r.IDs[0], v, db.TextError())
					}
					return true
				})
				if err != nil {
					t.Error(err)
				}
				db.Close()
			}
		})
	}
	for n := range 40 {
		build(t, dir, one(n), BuildOptions{}, Output{})
	}
	mu.Lock()
	stop = true
	mu.Unlock()
	wg.Wait()
}
