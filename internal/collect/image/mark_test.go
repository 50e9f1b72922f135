package image

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMarks finds the bytes of a mark in the file that may have it, and in no other.
func TestMarks(t *testing.T) {
	dir := t.TempDir()
	body := append(append([]byte("\x7fELF"), make([]byte, 9000)...), marks[0].bytes...)
	for name, data := range map[string][]byte{"usr/lib/liblzma.so.5.6.1": body, "usr/lib/liblzma.so.5.4.1": body[:9000], "usr/lib/libz.so.1": body} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	img, err := Open(t.Context(), "rootfs:"+dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	sw, err := Analyze(t.Context(), img, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, h := range sw.Hits {
		if h.Kind == "mark" {
			found = append(found, h.Rule+" "+h.Path)
		}
	}
	if len(found) != 1 || found[0] != "xz-backdoor usr/lib/liblzma.so.5.6.1" {
		t.Errorf("%q", found)
	}
}
