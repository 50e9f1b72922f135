package emergency

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDir reads below a root whatever lies there: links of the root's own stay inside, pipes and devices are not opened, nothing waits.
func TestDir(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, "usr/lib"), 0o755))
	must(os.WriteFile(filepath.Join(base, "secret"), []byte("outside"), 0o600))
	must(os.WriteFile(filepath.Join(root, "usr/lib/real"), []byte("inside"), 0o644))
	must(os.Symlink("/usr/lib", filepath.Join(root, "lib"))) // means the root's
	must(os.Symlink("../../../../../../secret", filepath.Join(root, "up")))
	must(os.Symlink(filepath.Join(base, "secret"), filepath.Join(root, "out")))
	must(os.Symlink("loop", filepath.Join(root, "loop")))
	must(syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600))
	d, err := OpenDir(root)
	must(err)
	defer d.Close()
	f, err := d.Open("/lib/real")
	must(err)
	buf := make([]byte, 6)
	if _, err := f.ReadAt(buf, 0); err != nil || string(buf) != "inside" || f.Size() != 6 {
		t.Errorf("%q %v", buf, err)
	}
	f.Close()
	done := make(chan bool)
	go func() {
		defer close(done)
		for _, p := range []string{"/up", "/out", "/loop", "/pipe", "/usr", "/", "/none", "/lib/real/below", "../secret", "/lib/../../secret"} {
			if f, err := d.Open(p); err == nil {
				b := make([]byte, 7)
				f.ReadAt(b, 0)
				f.Close()
				t.Errorf("%s was opened: %q", p, b)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("a file was waited for")
	}
	l, err := net.Listen("unix", filepath.Join(root, "sock")) // the kernel refuses to open one: it was not tried
	must(err)
	defer l.Close()
	if _, err := d.Open("/sock"); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Error(err)
	}
	if names, err := d.List("/lib", 10); err != nil || len(names) != 1 {
		t.Error(names, err)
	}
	if names, err := d.List("/up", 10); err == nil {
		t.Error(names)
	}
}
