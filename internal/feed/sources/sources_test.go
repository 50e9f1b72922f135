package sources

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/feedtest"
)

// TestOneReader holds that at most one reader knows a document, whatever the order, and that readers' names differ.
func TestOneReader(t *testing.T) {
	names := map[string]bool{}
	for _, r := range All {
		if names[r.Name] {
			t.Errorf("two readers are called %s", r.Name)
		}
		names[r.Name] = true
	}
	files, _ := filepath.Glob("../*/testdata/*")
	deeper, _ := filepath.Glob("../*/testdata/*/*")
	read := 0
	for _, name := range slices.Concat(files, deeper) {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // a folder
		}
		var who []string
		for _, r := range All {
			if r.Knows(name, data[:min(len(data), 4096)]) {
				who = append(who, r.Name)
			}
		}
		if len(who) > 1 {
			t.Errorf("%s is known to %v", name, who)
		}
		read += len(who)
	}
	if read < 80 {
		t.Errorf("only %d documents are known", read)
	}
}

// TestMiniature walks a small feeds folder as an operator has it: plain files, compressed ones, archives and notes.
func TestMiniature(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, data []byte) {
		t.Helper()
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	load := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var packed bytes.Buffer
	z, _ := zstd.NewWriter(&packed)
	w := tar.NewWriter(z)
	for _, n := range []string{"almalinux-module", "almalinux-two", "almalinux-bugfix"} {
		data := load("osv/testdata/" + n + ".json")
		_ = w.WriteHeader(&tar.Header{Name: "advisories/" + n + ".json", Mode: 0o644, Size: int64(len(data))})
		_, _ = w.Write(data)
	}
	_ = w.Close()
	_ = z.Close()
	put("almalinux/osv.tar.zst", packed.Bytes())
	put("almalinux/SOURCE", []byte("x"))
	packed.Reset()
	g := gzip.NewWriter(&packed)
	_, _ = g.Write(load("epss/testdata/epss_scores-2023-03-07.csv"))
	_ = g.Close()
	put("epss/epss_scores-2023-03-07.csv.gz", packed.Bytes())
	put("go/GO-2025-3586.json", load("osv/testdata/go-custom.json"))
	put("alpine/v3.10/community.yaml", load("secdb/testdata/alpine-3.10.yaml"))
	put("wolfi/security.json", load("secdb/testdata/wolfi.json"))
	put("wolfi/advisories/brotli.advisories.yaml", load("wolfi/testdata/brotli.advisories.yaml"))
	put("debian/json", load("tracker/testdata/tracker.json"))
	put("debian/DSA/list", load("tracker/testdata/DSA/list"))
	put("kev/kev.json", load("kev/testdata/catalogue.json"))
	put("eol/full", load("eol/testdata/full.json"))
	put("own/advisories.csv", []byte("id,os,release,src,bin,fixed,cves,severity,date\nA-1,euleros,2.0-SP9,p,,1-1,CVE-2024-0001,low,2024-01-01\nA-2,euleros,9,p,,1-1,,,\n"))
	put("own/other.json", []byte(`{"hello": "world"}`))
	put("photon/cut.json", load("osv/testdata/photon.json")[:300])

	var s feedtest.Sink
	var tally feed.Tally
	if err := feed.Walk(t.Context(), []string{dir}, All, feed.Limits{}, &s, tally.Add); err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for _, r := range s.Rows {
		rows[r.Feed]++
	}
	var got []string
	for _, f := range slices.Sorted(maps.Keys(s.Records)) {
		got = append(got, fmt.Sprintf("%s %d %d", f, s.Records[f], rows[f]))
	}
	want := []string{
		"almalinux-osv 3 4", "alpine-secdb 1 3", "cisa-kev 2 0", "debian-dsa 9 8", "debian-tracker 8 23", "endoflife-date 2 0", "first-epss 2 0",
		"golang-osv 1 1", "operator-csv 2 1", "wolfi-advisories 1 1", "wolfi-secdb 1 64",
	}
	if !slices.Equal(got, want) {
		t.Errorf("records and rows:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(s.Bad) > 0 {
		t.Errorf("%v", s.Bad)
	}
	if len(s.Lifecycles) != 4 || tally.Notes != 1 {
		t.Errorf("%d lifecycles, %d notes", len(s.Lifecycles), tally.Notes)
	}
	if e := tally.Unknown["own"]; e == nil || e.Count != 1 || e.Path != "own/other.json" || e.Reason == "" || len(tally.Unknown) != 1 {
		t.Errorf("unknown: %+v in %v", e, tally.Folders())
	}
	if tally.Failures != 2 || tally.Broken[0].Path != "own/advisories.csv" || !strings.Contains(tally.Broken[0].Err.Error(), "line 3, column release") || tally.Broken[1].Path != "photon/cut.json" {
		t.Errorf("broken: %+v", tally.Broken)
	}
}
