package host

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// tree makes a folder with a file outside of the root that nothing below it may reach.
func tree(t *testing.T) (r *Root, dir, secret string) {
	t.Helper()
	top := t.TempDir()
	dir, secret = filepath.Join(top, "root"), filepath.Join(top, "secret")
	must(t, os.MkdirAll(filepath.Join(dir, "etc", "deep"), 0o755))
	must(t, os.WriteFile(secret, []byte("outside"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "etc", "file"), []byte("inside"), 0o640))
	r, err := OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r, dir, secret
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLinks(t *testing.T) {
	r, dir, secret := tree(t)
	for name, target := range map[string]string{
		"relative": "etc/file", "absolute": "/etc/file", "up": "../../../../etc/file", "out": "../secret", "far": secret, "chain": "relative",
		"loop": "loop", "folder": "/etc", "etc/deep/back": "../file", "etc/deep/proc": "/proc/self/root" + secret, "empty-way": "/./etc//file",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	for path, want := range map[string]string{
		"/relative": "inside", "/absolute": "inside", "/up": "inside", "/chain": "inside", "/folder/file": "inside", "/etc/deep/back": "inside",
		"etc/../etc/file": "inside", "/../../etc/file": "inside", "/empty-way": "inside",
		"/out": "", "/far": "", "/loop": "", "/etc/deep/proc": "", "/etc/file/x": "", "/absent": "", "/": "", "/etc": "",
	} {
		data, err := r.ReadFile(path, 100)
		if string(data) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q %v, want %q", path, data, err, want)
		}
	}
	info, err := r.Stat("/folder/file")
	must(t, err)
	if info.Path != "/etc/file" || info.Bits() != "0640" || info.Size != 6 {
		t.Errorf("stat through a link: %+v", info)
	}
	if info, err := r.Lstat("/out"); err != nil || info.Mode&fs.ModeSymlink == 0 {
		t.Errorf("lstat of a link: %+v %v", info, err)
	}
	if target, err := r.Readlink("/far"); err != nil || target != secret {
		t.Errorf("readlink: %q %v", target, err)
	}
	if _, err := r.ReadFile("/"+strings.Repeat("x/", 3000), 10); !errors.Is(err, ErrName) {
		t.Errorf("a path beyond the limit: %v", err)
	}
	if _, err := r.ReadFile("/etc/fi\x00le", 10); !errors.Is(err, ErrName) {
		t.Errorf("a path with a NUL: %v", err)
	}
}

// TestIrregular opens what must not be opened: reading a FIFO waits for ever, a device may do anything.
func TestIrregular(t *testing.T) {
	r, dir, _ := tree(t)
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	must(t, err)
	defer l.Close()
	paths := []string{"/fifo", "/s", "/etc"}
	if os.Geteuid() == 0 && syscall.Mknod(filepath.Join(dir, "zero"), syscall.S_IFCHR|0o666, 1<<8|5) == nil {
		paths = append(paths, "/zero")
	}
	for _, path := range paths {
		if _, err := r.ReadFile(path, 1<<20); !errors.Is(err, ErrIrregular) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if info, err := r.Stat("/fifo"); err != nil || info.Mode&fs.ModeNamedPipe == 0 {
		t.Errorf("a FIFO can be looked at: %+v %v", info, err)
	}
}

func TestLimits(t *testing.T) {
	r, dir, _ := tree(t)
	f, err := os.Create(filepath.Join(dir, "huge"))
	must(t, err)
	must(t, f.Truncate(1<<40))
	must(t, f.Close())
	if _, err := r.ReadFile("/huge", 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file of a tebibyte: %v", err)
	}
	for i := range 30 {
		must(t, os.WriteFile(filepath.Join(dir, "etc", "deep", string(rune('a'+i))), nil, 0o600))
	}
	list, err := r.List("/etc/deep", 10)
	if len(list) != 10 || !errors.Is(err, ErrTooLarge) {
		t.Errorf("a full folder: %d names, %v", len(list), err)
	}
	// Files of /proc say that they have no bytes: the limit holds while reading.
	p, err := OpenRoot("/proc")
	must(t, err)
	defer p.Close()
	if !p.IsProc() || r.IsProc() {
		t.Error("which root is /proc?")
	}
	if _, err := p.ReadFile("/self/status", 10); err == nil { // "self" is a link to a number: inside
		t.Error("a file that tells no size was read beyond the limit")
	}
	if data, err := p.ReadFile("/self/status", 1<<20); err != nil || !strings.HasPrefix(string(data), "Name:") {
		t.Errorf("/proc/self/status: %.20q %v", data, err)
	}
}

func TestNames(t *testing.T) {
	r, dir, _ := tree(t)
	for _, name := range []string{"a\nb", "esc\x1b[2J", "bad\xffutf8", "fine", "ünï 名"} {
		must(t, os.WriteFile(filepath.Join(dir, "etc", "deep", name), nil, 0o600))
	}
	got := r.Glob("/etc/deep/*", 100)
	want := []string{"/etc/deep/fine", "/etc/deep/ünï 名"}
	if !slices.Equal(got, want) {
		t.Errorf("Glob gave %q, want %q", got, want)
	}
	if got := r.Glob("/e*/dee*/fin*", 100); !slices.Equal(got, want[:1]) {
		t.Errorf("Glob over folders gave %q", got)
	}
	if list, err := r.List("/etc/deep", 100); err != nil || len(list) != 5 {
		t.Errorf("List: %v %v", list, err)
	}
}

// TestSwap exchanges a folder for a link to the outside, over and over, while it is read: no read may leave the root.
func TestSwap(t *testing.T) {
	r, dir, secret := tree(t)
	must(t, os.Mkdir(filepath.Join(dir, "swap"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "swap", "secret"), []byte("inside"), 0o644))
	must(t, os.Symlink(filepath.Dir(secret), filepath.Join(dir, "link")))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.Rename(filepath.Join(dir, "swap"), filepath.Join(dir, "aside"))
				_ = os.Rename(filepath.Join(dir, "link"), filepath.Join(dir, "swap"))
				_ = os.Rename(filepath.Join(dir, "swap"), filepath.Join(dir, "link"))
				_ = os.Rename(filepath.Join(dir, "aside"), filepath.Join(dir, "swap"))
			}
		}
	})
	for range 3000 {
		if data, err := r.ReadFile("/swap/secret", 100); err == nil && string(data) != "inside" {
			t.Errorf("read %q through a link that was swapped in", data)
			break
		}
	}
	close(stop)
	wg.Wait()
}

// TestGrowing reads a file that somebody makes longer and shorter all the while: what comes is within the limit, or there is none.
func TestGrowing(t *testing.T) {
	r, dir, _ := tree(t)
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	must(t, err)
	defer f.Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		line := []byte(strings.Repeat("x", 512))
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if i%20 == 19 {
				_ = f.Truncate(0)
			}
			_, _ = f.Write(line)
		}
	})
	const limit = 4 << 10
	read, refused := 0, 0
	for range 5000 {
		data, err := r.ReadFile("/log", limit)
		switch {
		case err == nil && len(data) <= limit:
			read++
		case errors.Is(err, ErrTooLarge) && data == nil:
			refused++
		default:
			t.Fatalf("%d bytes, %v", len(data), err)
		}
	}
	close(stop)
	wg.Wait()
	if read == 0 || refused == 0 {
		t.Errorf("%d reads, %d refused: the file did not change", read, refused)
	}
}

// TestTraceless compares everything that the kernel keeps of a tree before and after it is read.
func TestTraceless(t *testing.T) {
	r, dir, _ := tree(t)
	must(t, os.Symlink("file", filepath.Join(dir, "etc", "link")))
	var paths []string
	must(t, filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		paths = append(paths, p)
		return err
	}))
	// An access time before the others is what makes the kernel write a new one, also with relatime.
	times := []syscall.Timespec{syscall.NsecToTimespec(1_000_000_000_000_000_000), syscall.NsecToTimespec(1_500_000_000_000_000_000)}
	for _, p := range paths {
		if filepath.Base(p) != "link" {
			must(t, syscall.UtimesNano(p, times))
		}
	}
	state := func() (out []syscall.Stat_t) {
		for _, p := range paths {
			var s syscall.Stat_t
			must(t, syscall.Lstat(p, &s))
			out = append(out, s)
		}
		return out
	}
	before := state()
	for _, p := range []string{"/etc/file", "/etc/link"} {
		if _, err := r.ReadFile(p, 100); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.List("/etc", 100); err != nil {
		t.Error(err)
	}
	for i, s := range state() {
		if before[i] != s {
			if paths[i] == filepath.Join(dir, "etc", "link") {
				s.Atim = before[i].Atim // nothing reads a link without its access time
			}
			if before[i] != s {
				t.Errorf("%s was %+v, is %+v", paths[i], before[i], s)
			}
		}
	}
}
