package apk

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

// TestReal holds a real database against what regular expressions find in it.
func TestReal(t *testing.T) {
	data, err := os.ReadFile("testdata/installed")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	packages, err := Read(data, func(p string, n int) {
		files++
		if p == "lib/libcrypto.so.3" && n < 0 {
			t.Error(n)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, p := range packages {
		got = append(got, p.Name+" "+p.Version+" "+p.SourceName()+" "+p.Arch+" "+p.License)
	}
	for _, m := range regexp.MustCompile(`(?m)^P:(.*)\nV:(.*)\nA:(.*)\n(?:[STUI]:.*\n)*L:(.*)\n(?:o:(.*))`).FindAllStringSubmatch(string(data), -1) {
		want = append(want, m[1]+" "+m[2]+" "+m[5]+" "+m[3]+" "+m[4])
	}
	if !slices.Equal(got, want) || len(want) != strings.Count("\n"+string(data), "\nP:") {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if want := strings.Count(string(data), "\nR:"); files != want || files == 0 {
		t.Errorf("%d files, want %d", files, want)
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, text, want, files, err string }{
		{"one", "P:libssl3\nV:3.1.4-r5\nA:x86_64\nL:Apache-2.0\no:openssl\nm:A <a@example.com>\n\n", "libssl3 3.1.4-r5 x86_64 openssl", "", ""},
		{"same origin", "P:x\nV:1\no:x\n", "x 1  ", "", ""},
		{"files", "P:x\nV:1\nF:\nR:init\nF:usr/bin\nM:0:0:755\nR:x\na:0:0:755\nZ:Q1\n\nP:y\nV:1\nR:root\n", "x 1  , y 1  ", "0 init|0 usr/bin/x|1 root", ""},
		{"tricks", "P:x\nV:1\nF:../../etc\nR:passwd\nF:/abs/\nR:./x\nR:..\n", "x 1  ", "0 etc/passwd|0 abs/x", ""},
		{"CRLF, no end", "P:x\r\nV:1\r\n\r\nP:y\r\nV:2", "x 1  , y 2  ", "", ""},
		{"files of no package", "V:1\nF:usr\nR:x\n\nP:y\nV:1\n", "y 1  ", "", "line 1: a stanza without"},
		{"no version", "P:x\n\nP:y\nV:1\n", "y 1  ", "", "line 1: package x has no version"},
		{"damaged name", "P:a b\nV:1\n", "", "", "line 1: field P holds byte 0x20"},
		{"virtual", "P:.build-deps\nV:20230101.000000\nA:noarch\n", ".build-deps 20230101.000000 noarch ", "", ""},
		{"binary", "\x00\x00\n", "", "", "line 1"},
		{"paths without end", "P:x\nV:1\nF:" + strings.Repeat("a", 4000) + strings.Repeat("\nR:x", 5000), "x 1  ", "?", "32 times"},
		{"empty", "", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var files []string
			packages, err := Read([]byte(c.text), func(p string, n int) { files = append(files, fmt.Sprint(n, " ", p)) })
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			var got []string
			for _, p := range packages {
				if p.Type != inventory.APK || p.Evidence != "database" {
					t.Errorf("%+v", p)
				}
				got = append(got, fmt.Sprintf("%s %s %s %s", p.Name, p.Version, p.Arch, p.Source))
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
			if s := strings.Join(files, "|"); s != c.files && c.files != "?" {
				t.Errorf("files %q, want %q", s, c.files)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("P:libssl3\nV:3.1.4-r5\nA:x86_64\nL:Apache-2.0\no:openssl\nm:A\nF:usr/lib\nR:libssl.so.3\nZ:Q1\n\nP:y\nV:1\n"))
	f.Add([]byte("P:x\nV:1\nF:../../etc\nR:passwd\nF:/abs/\nR:./x\nR:..\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		packages, _ := Read(data, func(p string, pkg int) {
			if !filepath.IsLocal(p) || p != filepath.Clean(p) || pkg < n {
				t.Errorf("%q of %d", p, pkg)
			}
			n = pkg
		})
		for _, p := range packages {
			if p.Name == "" || p.Version == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	data, err := os.ReadFile("testdata/installed")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Read(data, nil); err != nil {
			b.Fatal(err)
		}
	}
}
