package dpkg

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"stockade.dev/stockade/internal/inventory"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	data, err := d.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestReal compares a real status with what dpkg-query says of it.
func TestReal(t *testing.T) {
	data := fixture(t, "status.zst")
	want := strings.Split(strings.TrimSpace(string(fixture(t, "status.list.zst"))), "\n")
	slices.Sort(want)
	for name, data := range map[string][]byte{"as it is": data, "CRLF": []byte(strings.ReplaceAll(string(data), "\n", "\r\n"))} {
		packages, err := Read(data)
		if err != nil {
			t.Fatal(name, err)
		}
		var got []string
		for _, p := range packages {
			got = append(got, strings.Join([]string{p.Name, p.Version, p.Arch, p.SourceName(), p.SourceEVR(), p.Vendor}, "|"))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Errorf("%s: got %s, want %s", name, got[i], want[i])
					break
				}
			}
			t.Errorf("%s: %d packages, want %d", name, len(got), len(want))
		}
	}
}

func TestRead(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	for _, c := range []struct{ name, text, want, err string }{
		{"status", "Package: a\nStatus: install ok installed\nVersion: 1:2-3\nArchitecture: amd64\n", "a 1:2-3 amd64", ""},
		{"held", "Package: a\nStatus: hold ok installed\nVersion: 1\n", "a 1 ", ""},
		{"removed", "Package: a\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: b\nStatus: purge ok not-installed\n\nPackage: c\nStatus: install reinstreq half-installed\nVersion: 1\n", "", ""},
		{"on the way", "Package: a\nStatus: install ok unpacked\nVersion: 1\n\nPackage: b\nStatus: install ok triggers-awaited\nVersion: 1\n", "a 1 , b 1 ", ""},
		{"status.d", "Package: base-files\nVersion: 12.4+deb12u5\nArchitecture: amd64\nSource: base (12.4)", "base-files 12.4+deb12u5 amd64 base=12.4", ""},
		{"opkg", "Package: busybox\nVersion: 1.36.1-1\nDepends: libc\nStatus: install user installed\nArchitecture: mips_24kc\nInstalled-Time: 1\n\n", "busybox 1.36.1-1 mips_24kc", ""},
		{"source", "Package: libssl3\nSource: openssl\nVersion: 3.0\n", "libssl3 3.0  openssl=3.0", ""},
		{"binary rebuild", "Package: libx\nSource: x (1.0-1)\nVersion: 1.0-1+b1\n", "libx 1.0-1+b1  x=1.0-1", ""},
		{"source without brackets' end", "Package: libx\nSource: x (1.0-1\nVersion: 1.0-1+b1\n", "libx 1.0-1+b1  x=1.0-1", ""},
		{"same source", "Package: x\nSource: x (1)\nVersion: 1\n", "x 1 ", ""},
		{"case", "PACKAGE: x\nversion:1\n", "x 1 ", ""},
		{"two architectures", "Package: x\nVersion: 1\nArchitecture: amd64\n\nPackage: x\nVersion: 1\nArchitecture: i386\n", "x 1 amd64, x 1 i386", ""},
		{"twice", "Package: x\nVersion: 1\n\nPackage: y\nVersion: 1\n\nPackage: x\nVersion: 2\n", "x 2 , y 1 ", ""},
		{"taken back", "Package: x\nStatus: install ok installed\nVersion: 1\n\nPackage: x\nStatus: deinstall ok config-files\nVersion: 1\n", "", ""},
		{"blank lines", "\n\n\nPackage: x\nVersion: 1\n\n\n\n", "x 1 ", ""},
		{"continuation lines look like fields", "Package: x\nDescription: y\n Version: 9\n Package: z\n\t\n .\nVersion: 1\n", "x 1 ", ""},
		{"huge field", "Package: x\nConffiles: " + huge + "\nVersion: 1\n", "x 1 ", ""},
		{"no version", "Package: x\nStatus: install ok installed\n\nPackage: y\nVersion: 1\n", "y 1 ", "line 1: package x has no version"},
		{"no name", "Package: y\nVersion: 1\n\nVersion: 1\n", "y 1 ", "line 4: a stanza without"},
		{"huge name", "Package: " + huge + "\nVersion: 1\n", "", "line 1: a stanza without"},
		{"binary", "\x00\x01\x02\n", "", "line 1: a stanza without"},
		{"empty", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			packages, err := Read([]byte(c.text))
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			var got []string
			for _, p := range packages {
				if p.Type != inventory.Deb || p.Evidence != "database" {
					t.Errorf("%+v", p)
				}
				s := fmt.Sprintf("%s %s %s", p.Name, p.Version, p.Arch)
				if p.Source != "" || p.SourceVersion != "" {
					s += " " + p.SourceName() + "=" + p.SourceEVR()
				}
				got = append(got, s)
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

func TestManyFaults(t *testing.T) {
	packages, err := Read([]byte(strings.Repeat("Version: 1\n\n", 1000) + "Package: a\nVersion: 1\n"))
	if len(packages) != 1 || err == nil || !strings.Contains(err.Error(), "984 more") || len(err.Error()) > 2000 {
		t.Error(packages, err)
	}
}

func TestPaths(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"list", "/.\n/usr\n/usr/bin\n/usr/bin/x\n", "usr|usr/bin|usr/bin/x"},
		{"CRLF, no end", "/usr\r\n/a b", "usr|a b"},
		{"sums", "d41d8cd98f00b204e9800998ecf8427e  usr/share/doc/x\nd41d8cd98f00b204e9800998ecf8427e *etc/y\n", "usr/share/doc/x|etc/y"},
		{"tricks", "/../../etc/passwd\n/usr//./bin/../x\nrelative\n//\n/" + strings.Repeat("a", 5000) + "\n", "etc/passwd|usr/x"},
		{"names with dots", "/usr/..x/.y/a..b\n", "usr/..x/.y/a..b"},
		{"empty", "", ""},
	} {
		var got []string
		Paths([]byte(c.text), func(p string) { got = append(got, p) })
		if s := strings.Join(got, "|"); s != c.want {
			t.Errorf("%s: got %q, want %q", c.name, s, c.want)
		}
	}
}

// TestCorrupt: what is cut or scrambled gives what is whole, and no package that was not there with more than a few lines
// changed.
func TestCorrupt(t *testing.T) {
	data := fixture(t, "status.zst")
	all, err := Read(data)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		at := rnd.IntN(len(data))
		got, _ := Read(data[:at])
		if len(got) > 1 && !slices.EqualFunc(got[:len(got)-1], all[:len(got)-1], func(a, b inventory.Package) bool { return a.Name == b.Name && a.Version == b.Version }) {
			t.Fatalf("cut at %d: other packages", at)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("Package: a\nStatus: install ok installed\nVersion: 1:2-3\nArchitecture: amd64\nSource: b (1)\nMaintainer: X <x@example.com>\n\nPackage: c\n"))
	f.Add([]byte("Package: a\r\nVersion: 1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		packages, _ := Read(data)
		for _, p := range packages {
			if p.Name == "" || p.Version == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}

func FuzzPaths(f *testing.F) {
	f.Add([]byte("/.\n/usr/bin/x\nd41d8cd98f00b204e9800998ecf8427e  usr/share/doc/x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		Paths(data, func(p string) {
			if !filepath.IsLocal(p) || p != filepath.Clean(p) || len(p) > maxPath {
				t.Errorf("%q", p)
			}
		})
	})
}

func BenchmarkRead(b *testing.B) {
	data := fixture(b, "status.zst")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(data); err != nil {
			b.Fatal(err)
		}
	}
}
