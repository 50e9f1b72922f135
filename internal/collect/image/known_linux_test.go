package image

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stockade.dev/stockade/internal/inventory"
)

// trace is a cache that tells what was asked of it.
type trace struct {
	mu   sync.Mutex
	puts int
	m    map[string][]byte
}

func (c *trace) Get(key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.m[key]
	return v, ok
}

func (c *trace) Put(key string, value []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puts++
	c.m[key] = value
	return nil
}

// age waits until nothing has just changed: what has is not remembered.
func age() { time.Sleep(settled + 100*time.Millisecond) }

// TestKnownFiles: a second look at a root gives the same, reads what changed, and nothing else.
func TestKnownFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"var/lib/dpkg/status": stanza("jre", "1"), "var/lib/dpkg/info/jre.list": "/usr/lib/j/release\n", "usr/lib/j/release": jdk("21.0.1"), "opt/a/release": jdk("17.0.1"),
		"opt/b/release": jdk("17.0.2"), "usr/lib/os-release": "ID=debian\nVERSION_ID=12\n", "srv/.env": "AWS_ACCESS_KEY_ID=" + "AKIA" + "Z2LQ7RNXV4KDT5WH\n", "opt/bad.jar": "no archive",
	})
	cache := &trace{m: map[string][]byte{}}
	store, err := NewStore(cache)
	if err != nil {
		t.Fatal(err)
	}
	img, err := Open(t.Context(), "rootfs:"+dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	look := func(s *Store) *inventory.Software {
		t.Helper()
		return analyze(t, img, Options{Store: s})
	}
	text := func(s *inventory.Software) string {
		return fmt.Sprintf("%+v %+v %+v %+v", s.OS, s.Packages, s.Hits, s.Gaps)
	}
	age()
	fresh, first := text(look(nil)), text(look(store))
	if first != fresh || cache.puts != 1 {
		t.Fatalf("%d puts\n%s\n%s", cache.puts, first, fresh)
	}
	second := text(look(store))
	if second != fresh || cache.puts != 1 {
		t.Errorf("%d puts\n%s\n%s", cache.puts, second, fresh)
	}
	write(t, dir, map[string]string{"opt/b/release": jdk("17.0.9")}) // the same size
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "opt/b/release"), old, old); err != nil {
		t.Fatal(err)
	}
	if s := look(store); !slices.Contains(list(s), "openjdk 17.0.9 @-1 opt/b/release") {
		t.Errorf("a changed file was not read: %v", list(s))
	}
	if err := os.RemoveAll(filepath.Join(dir, "opt/a")); err != nil {
		t.Fatal(err)
	}
	if s := look(store); strings.Contains(strings.Join(list(s), "\n"), "opt/a") {
		t.Errorf("a removed file is there: %v", list(s))
	}
	for key, data := range maps.Clone(cache.m) { // damaged
		cache.m[key] = data[:len(data)/2]
	}
	if s := look(store); len(list(s)) != 3 {
		t.Errorf("%v", list(s))
	}
}

// TestKnownIsTaken: what is remembered of a file stands for it.
func TestKnownIsTaken(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"opt/a/release": jdk("17.0.1")})
	age()
	store, err := NewStore(&trace{m: map[string][]byte{}})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Store: store}.withDefaults()
	k := store.files("k", time.Now())
	w := newWalker(t.Context(), &o, new(budget), new(large))
	w.single, w.known = true, k
	var s syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, "opt/a/release"), &s); err != nil {
		t.Fatal(err)
	}
	f := file{path: "opt/a/release", base: "release", mode: 0o644, size: s.Size, status: status{device: s.Dev, inode: s.Ino, modified: s.Mtim.Nano(), change: s.Ctim.Nano()}}
	mark, ok := w.markOf(&f, nil)
	if !ok {
		t.Fatal("it has no mark")
	}
	k.before[mark] = &fileResult{Path: f.path, Packages: []inventory.Package{{Name: "remembered"}}}
	w.file(&f, strings.NewReader(jdk("17.0.1")))
	if r := w.finish(); len(r.Files) != 1 || r.Files[0].Packages[0].Name != "remembered" {
		t.Errorf("%+v", r.Files)
	}
	f.change++
	if other, _ := w.markOf(&f, nil); other == mark {
		t.Error("a file that changed has the same mark")
	}
	f.change = time.Now().UnixNano()
	if _, ok := w.markOf(&f, nil); ok {
		t.Error("a file that has just changed is remembered")
	}
}

// TestLeftOut: folders that are left out are told; of other file systems those of Mounts are read.
func TestLeftOut(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"opt/a/release": jdk("17.0.1"), "data/overlay2/x/release": jdk("17.0.2"), "srv/release": jdk("17.0.3")})
	img, err := Open(t.Context(), "rootfs:"+dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	left := func(p string) string {
		if filepath.Base(p) == "overlay2" {
			return "of containers"
		}
		return ""
	}
	s := analyze(t, img, Options{OneFileSystem: true, Left: left, Mounts: []string{"srv"}, SkipDirs: []string{"opt"}})
	same(t, list(s), []string{"openjdk 17.0.3 @-1 srv/release"})
	if len(s.Gaps) != 1 || s.Gaps[0] != (inventory.Gap{What: "/data/overlay2", Code: "skipped", Reason: "of containers"}) {
		t.Errorf("%v", s.Gaps)
	}
	if os.Geteuid() != 0 {
		return // mounting needs root
	}
	at := filepath.Join(dir, "mnt")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", at, "tmpfs", 0, ""); err != nil {
		t.Logf("nothing can be mounted here: %v", err)
		return
	}
	t.Cleanup(func() { _ = syscall.Unmount(at, syscall.MNT_DETACH) })
	write(t, at, map[string]string{"release": jdk("17.0.4")})
	s = analyze(t, img, Options{OneFileSystem: true, SkipDirs: []string{"opt", "data", "srv"}})
	if len(s.Packages) != 0 || !hasGap(s, "skipped", "another file system") {
		t.Errorf("%v %v", list(s), s.Gaps)
	}
	s = analyze(t, img, Options{OneFileSystem: true, SkipDirs: []string{"opt", "data", "srv"}, Mounts: []string{"mnt"}})
	same(t, list(s), []string{"openjdk 17.0.4 @-1 mnt/release"})
}
