package binary

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
)

// TestAhead: a program is the same when what nothing is looked for in is passed over, and much of it is.
func TestAhead(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	if tool, err = filepath.EvalSymlinks(tool); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{tool, self} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		whole, sparse, skipped := New(file, int64(len(data))), New(file, int64(len(data))), int64(0)
		_, _ = whole.Write(data)
		for rest := data; len(rest) > 0; {
			if n := min(sparse.Ahead(), int64(len(rest))); n > 0 {
				sparse.Skip(n)
				skipped += n
				rest = rest[n:]
				continue
			}
			n := min(len(rest), 5000)
			_, _ = sparse.Write(rest[:n])
			rest = rest[n:]
		}
		a, gapsA := whole.Packages()
		b, gapsB := sparse.Packages()
		if len(a) == 0 || !reflect.DeepEqual(a, b) || !reflect.DeepEqual(gapsA, gapsB) {
			t.Errorf("%s: whole %v %v, sparse %v %v", file, a, gapsA, b, gapsB)
		}
		if skipped < int64(len(data))/4 {
			t.Errorf("%s: %d of %d bytes were passed over", file, skipped, len(data))
		}
	}
}

// TestMay: whatever Wants takes May lets through.
func TestMay(t *testing.T) {
	elf := append([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00"), make([]byte, 500)...)
	for _, head := range [][]byte{elf, append([]byte("MZ"), make([]byte, 510)...), []byte("#!/bin/sh")} {
		for _, name := range []string{"bin/ls", "lib/libz.so", "lib/libz.so.1", "lib/libjvm.so", "lib/libphp8.so", "a.exe", "A.EXE", "x.so.exe", "redis-server", "ld-musl-x86_64.so.1", "libz.so.exe", "exe", ".exe", "README"} {
			for _, mode := range []fs.FileMode{0o644, 0o755, 0o755 | fs.ModeSymlink} {
				for _, size := range []int64{100, minSize, 1 << 20} {
					if Wants(name, mode, size, head) && !May(name, mode, size) {
						t.Errorf("%s %s %d %q", name, mode, size, head[:4])
					}
				}
			}
		}
	}
	if May("lib/libpam.so.0", 0o755, 1<<20) || May("README", 0o644, 1<<20) {
		t.Error("files are opened in vain")
	}
}
