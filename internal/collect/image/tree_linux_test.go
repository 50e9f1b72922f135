package image

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/collect/image/rpm"
	"stockade.dev/stockade/internal/collect/image/source"
	"stockade.dev/stockade/internal/inventory"
)

// write makes files below dir; a name that ends in "/" is a folder.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, body := range files {
		p := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(p, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRootFS(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, outside, map[string]string{"release": jdk("1.8.0"), "deep/release": jdk("1.8.1")})
	write(t, dir, map[string]string{
		"var/lib/dpkg/status": stanza("jre", "1"), "var/lib/dpkg/info/jre.list": "/usr/lib/j/release\n", "usr/lib/j/release": jdk("21.0.1"),
		"proc/1/release": jdk("1.7.0"), "left/out/release": jdk("1.7.1"), "usr/lib/os-release": "ID=debian\nVERSION_ID=12\n",
		"opt/.wh.j/release": jdk("17.0.1"),
	})
	for link, to := range map[string]string{"lib": "usr/lib", "etc": outside, "opt/release": filepath.Join(outside, "release"), "opt/up": "../../../../../../" + outside, "opt/loop": "."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "opt/a.jar"), 0o644); err != nil { // must not be waited for
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "usr/secret.jar"), nil, 0); err != nil {
		t.Fatal(err)
	}
	img, err := Open(t.Context(), "rootfs:"+dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := analyze(t, img, Options{SkipDirs: []string{"left/out"}, OneFileSystem: true, Parallel: 4})
	same(t, list(s), []string{"jre 1 @-1 var/lib/dpkg/status", "openjdk 17.0.1 @-1 opt/.wh.j/release", "openjdk 21.0.1 @-1 usr/lib/j/release of jre"})
	if s.OS == nil || s.OS.ID != "debian" || s.Kind != "rootfs" || s.Image != nil || len(s.Gaps) > 0 {
		t.Errorf("%+v %v", s.OS, s.Gaps)
	}
	if s := analyze(t, img, Options{Limits: Limits{Files: 3}}); !hasGap(s, "limit", "more than 3 files") {
		t.Errorf("%v", s.Gaps)
	}
	if _, err := Open(t.Context(), "rootfs:"+filepath.Join(dir, "none"), Options{}); err == nil {
		t.Error("opened nothing")
	}
}

// TestUnpackedLayers: directories with the marks of overlayfs, as CRI-O keeps them.
func TestUnpackedLayers(t *testing.T) {
	low, high := t.TempDir(), t.TempDir()
	write(t, low, map[string]string{"opt/a/release": jdk("17.0.1"), "opt/b/release": jdk("17.0.2"), "opt/c/release": jdk("17.0.3")})
	write(t, high, map[string]string{"opt/b/": "", "opt/d/release": jdk("17.0.4")})
	want := []string{"openjdk 17.0.2 @0 opt/b/release", "openjdk 17.0.3 @0 opt/c/release", "openjdk 17.0.4 @1 opt/d/release"}
	// Making a device needs root; without it the merge of what is there is still tested.
	if err := syscall.Mknod(filepath.Join(high, "opt/a"), syscall.S_IFCHR, 0); err != nil {
		want = slices.Insert(want, 0, "openjdk 17.0.1 @0 opt/a/release")
	}
	if err := syscall.Setxattr(filepath.Join(high, "opt/b"), "trusted.overlay.opaque", []byte("y"), 0); err == nil {
		want = slices.DeleteFunc(want, func(s string) bool { return strings.Contains(s, "opt/b") })
	}
	img := imageOf(source.Layer{Layer: inventory.Layer{DiffID: "sha256:1"}, Dir: low}, source.Layer{Layer: inventory.Layer{DiffID: "sha256:2"}, Dir: high},
		source.Layer{Layer: inventory.Layer{DiffID: "sha256:3"}, Dir: filepath.Join(low, "none")})
	s := analyze(t, img, Options{})
	same(t, list(s), want)
	if !hasGap(s, "broken", "sha256:3") {
		t.Errorf("%v", s.Gaps)
	}
}

// TestOwnersOfTree: whichever worker reads a database, what it owns is known to all.
func TestOwnersOfTree(t *testing.T) {
	packed, err := os.ReadFile("rpm/testdata/mariner2-part.rpmdb.sqlite.zst")
	if err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	data, err := dec.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	at, owner := "", 0
	list, err := rpm.Read(rpm.Files{Name: "rpmdb.sqlite", Data: data}, rpm.Options{Owned: func(p string, pkg int) {
		if at == "" && strings.HasPrefix(p, "usr/bin/") {
			at, owner = p, pkg
		}
	}})
	if err != nil || at == "" {
		t.Fatal(at, err)
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{at: "#!/bin/sh\n", "var/lib/rpm/rpmdb.sqlite": string(data), "opt/a/": "", "opt/b/": "", "srv/c/": "", "home/d/": ""})
	if err := os.Chmod(filepath.Join(dir, at), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	img, err := Open(t.Context(), "rootfs:"+dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		s := analyze(t, img, Options{Parallel: 8})
		if len(s.Packages) != len(list) || len(s.Hits) != 1 || s.Hits[0].Detail["package"] != list[owner].Name {
			t.Fatalf("%d packages of %d, %s of %s: %+v", len(s.Packages), len(list), at, list[owner].Name, s.Hits)
		}
	}
}
