package manifest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFiles lists what is sent to a server: all that is not ignored, and no links.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{".gitignore": "*.log\nout/\n", "a.yaml": "x", "b.log": "x", "out/c.yaml": "x", "chart/Chart.yaml": "x", "chart/templates/d.yaml": "x",
		"chart/values.txt": "x", "node_modules/e.yaml": "x", ".git/config": "x", "sub/.stockadeignore": "f.yaml\n", "sub/f.yaml": "x", "sub/g.yaml": "x", "skip.yaml": "x"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := Files(context.Background(), dir, WalkOptions{Exclude: []string{"skip.yaml"}}, func(rel string) error { got = append(got, rel); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []string{".gitignore", "a.yaml", "chart/Chart.yaml", "chart/templates/d.yaml", "chart/values.txt", "sub/.stockadeignore", "sub/g.yaml"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
