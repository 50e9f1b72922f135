// Package oracle holds the reader to what other readers and SQLite itself make of the same bytes. It is apart because
// those weigh down the fuzzing of package rpm.
package oracle

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	rpmdb "github.com/knqyf263/go-rpmdb/pkg"
	_ "modernc.org/sqlite" // the driver that go-rpmdb asks for
	"stockade.dev/stockade/internal/collect/image/rpm"
	"stockade.dev/stockade/internal/inventory"
)

// databases returns the real databases in the test data of the go-rpmdb module, in the module cache.
func databases(t testing.TB) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/knqyf263/go-rpmdb").Output()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, name := range []string{"Packages", "Packages.db", "rpmdb.sqlite"} {
		found, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "pkg/testdata/*", name))
		files = append(files, found...)
	}
	if len(files) < 15 {
		t.Fatalf("only %d databases in the module", len(files))
	}
	slices.Sort(files)
	return files
}

// line is what two readers are compared by.
func line(name, version, arch, source, module, vendor, license string) string {
	return strings.Join([]string{name, version, arch, source, module, vendor, license}, "|")
}

func lines(packages []inventory.Package) []string {
	var out []string
	for _, p := range packages {
		out = append(out, line(p.Name, p.Version, p.Arch, p.SourceName()+" "+p.SourceEVR(), p.Module, p.Vendor, p.License))
	}
	slices.Sort(out)
	return out
}

// TestReal compares with go-rpmdb on every real database: names, versions, sources, modules, vendors, licences and files.
func TestReal(t *testing.T) {
	for _, file := range databases(t) {
		dir := filepath.Base(filepath.Dir(file))
		t.Run(dir, func(t *testing.T) {
			db, err := rpmdb.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			theirs, err := db.ListPackages()
			if err != nil {
				t.Fatal(err)
			}
			none := func(s string) string { return strings.ReplaceAll(s, "(none)", "") }
			var want, wantFiles []string
			for _, p := range theirs {
				if p.Name == "gpg-pubkey" {
					continue
				}
				v := evr(p.EpochNum(), p.Version, p.Release)
				source := p.Name + " " + v
				if none(p.SourceRpm) != "" {
					m := sourceName.FindStringSubmatch(p.SourceRpm)
					if m == nil {
						t.Fatalf("source rpm %q", p.SourceRpm)
					}
					source = m[1] + " " + evr(p.EpochNum(), m[2], m[3])
				}
				want = append(want, line(p.Name, v, none(p.Arch), source, none(p.Modularitylabel), none(p.Vendor), none(p.License)))
				names, err := p.InstalledFileNames()
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range names {
					wantFiles = append(wantFiles, p.Name+" "+strings.TrimPrefix(filepath.Clean(n), "/"))
				}
			}
			slices.Sort(want)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var owners []int
			var paths []string
			got, err := rpm.Read(rpm.Files{Name: filepath.Base(file), Data: data}, rpm.Options{Changelog: true, Owned: func(path string, pkg int) {
				owners, paths = append(owners, pkg), append(paths, path)
			}})
			if err != nil {
				t.Error(err)
			}
			if mine := lines(got); !slices.Equal(mine, want) {
				t.Errorf("%d packages, want %d; first difference: %s", len(mine), len(want), difference(mine, want))
			}
			var gotFiles []string
			for i, p := range paths {
				gotFiles = append(gotFiles, got[owners[i]].Name+" "+p)
			}
			slices.Sort(gotFiles)
			slices.Sort(wantFiles)
			if !slices.Equal(gotFiles, wantFiles) {
				t.Errorf("%d files, want %d; first difference: %s", len(gotFiles), len(wantFiles), difference(gotFiles, wantFiles))
			}
			fixed := 0
			for _, p := range got {
				fixed += len(p.Fixed)
			}
			t.Logf("%d packages, %d files, %d CVE ids in changelogs", len(got), len(paths), fixed)
		})
	}
}

func difference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%q, want %q", a[i], b[i])
		}
	}
	return "length"
}

func BenchmarkReal(b *testing.B) {
	for _, file := range databases(b) {
		dir := filepath.Base(filepath.Dir(file))
		if dir != "centos8-modularitylabel" && dir != "sle15-bci" && dir != "fedora35" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		f := rpm.Files{Name: filepath.Base(file), Data: data}
		b.Run(dir, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rpm.Read(f, rpm.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(dir+"-all", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				if _, err := rpm.Read(f, rpm.Options{Changelog: true, Owned: func(string, int) { n++ }}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func evr(epoch int, version, release string) string {
	if epoch != 0 {
		return fmt.Sprintf("%d:%s-%s", epoch, version, release)
	}
	return version + "-" + release
}

var sourceName = regexp.MustCompile(`^(.+)-([^-]+)-([^-]+)\.(?:no)?src\.rpm$`)
