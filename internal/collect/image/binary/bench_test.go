package binary

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// real are files to measure on: the go command, and the largest shared library and program that the machine has beside it.
func real(b *testing.B) []string {
	goTool, err := exec.LookPath("go")
	if err != nil {
		b.Fatal(err)
	}
	out := []string{goTool}
	for _, pattern := range []string{"/usr/lib/*/libnode.so.*", "/usr/bin/node", "/usr/lib/jvm/*/lib/server/libjvm.so", "/usr/lib/*/libLLVM*.so*", "/usr/lib/*/libc.so.6", "/usr/bin/perl"} {
		found, _ := filepath.Glob(pattern)
		out = append(out, found...)
	}
	if more := os.Getenv("SCAN_FILES"); more != "" {
		out = append(out, strings.Fields(more)...)
	}
	return out
}

// BenchmarkScanner is the search alone, over bytes that are in memory already. The floor is a copy of the same bytes.
func BenchmarkScanner(b *testing.B) {
	for _, file := range real(b) {
		data, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(filepath.Base(file), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				s := New(file, int64(len(data)))
				for rest := data; len(rest) > 0; {
					n := min(len(rest), 32<<10)
					_, _ = s.Write(rest[:n])
					rest = rest[n:]
				}
				s.Packages()
			}
		})
	}
}
