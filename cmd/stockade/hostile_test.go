package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestHostileFolder scans a folder in which everything that can be wrong is wrong, beside files that are fine: each trouble
// has its line, the exit code says that something was not scanned, and no finding is lost.
func TestHostileFolder(t *testing.T) {
	dir := t.TempDir()
	pod := func(name string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}\n", name)
	}
	write := func(name string, data []byte) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("good.yaml", []byte(pod("good")))
	write("middle.yaml", []byte(pod("before")+"---\napiVersion: v1\nkind: [unclosed\n---\n"+pod("after")))
	write("huge.yaml", append([]byte(pod("huge")), bytes.Repeat([]byte("# padding to fifty megabytes\n"), 50<<20/29)...))
	write("bomb.yaml", []byte(aliasBomb()))
	write("chart.tgz", zipBomb(t))
	write("odd.yaml", []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: odd}\nspec:\n---\n"+pod("beside-odd")))
	write("nested/deep.yaml", []byte(pod("deep")))
	if err := os.Symlink("..", filepath.Join(dir, "nested", "loop")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nonexistent/dangling.yaml", filepath.Join(dir, "dangling.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(dir, "locked.yaml")
	write("locked.yaml", []byte(pod("locked")))
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	_, openErr := os.ReadFile(locked)
	unreadable := openErr != nil // an administrator reads it all the same

	var stdout, stderr bytes.Buffer
	code := run(context.Background(), []string{"scan", "iac", dir, "-o", "json", "--only", "privileged-container"},
		streams{strings.NewReader(""), &stdout, &stderr})
	if code != 3 {
		t.Errorf("exit code %d, want 3\n%s", code, stderr.String())
	}
	var doc struct {
		Findings   []struct{ Resource struct{ Name string } }
		NotScanned []struct{ Target, What, Reason, Code string }
	}
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range doc.Findings {
		found[f.Resource.Name] = true
	}
	for _, name := range []string{"good", "before", "after", "deep", "beside-odd"} {
		if !found[name] {
			t.Errorf("the finding on pod %s is lost", name)
		}
	}
	if len(doc.Findings) != len(found) {
		t.Errorf("%d findings on %d pods: the symlink loop was walked", len(doc.Findings), len(found))
	}
	if found["locked"] == unreadable {
		t.Errorf("locked.yaml: found %v, unreadable %v", found["locked"], unreadable)
	}
	told := func(file, code string) {
		t.Helper()
		for _, n := range doc.NotScanned {
			if strings.Contains(n.Target, file) && n.Reason != "" && (code == "" || n.Code == code) {
				return
			}
		}
		t.Errorf("%s is not listed with code %q: %v", file, code, doc.NotScanned)
	}
	told("middle.yaml:", "broken")
	told("huge.yaml", "limit")
	told("bomb.yaml", "limit")
	told("chart.tgz", "limit")
	told("dangling.yaml", "")
	told("pipe.yaml", "")
	if unreadable {
		told("locked.yaml", "")
	}
}

// aliasBomb doubles itself thirty times.
func aliasBomb() string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\ndata:\n  a0: &a0 [x, x]\n")
	for i := range 30 {
		fmt.Fprintf(&b, "  a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	return b.String()
}

// zipBomb is a chart of a few hundred kilobytes that unpacks to a quarter of a gigabyte.
func zipBomb(t *testing.T) []byte {
	t.Helper()
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	tw := tar.NewWriter(gz)
	add := func(name string, size int64, data []byte) {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size}); err != nil {
			t.Fatal(err)
		}
		for left := size; left > 0; {
			n, err := tw.Write(data[:min(int64(len(data)), left)])
			if err != nil {
				t.Fatal(err)
			}
			left -= int64(n)
		}
	}
	chart := []byte("apiVersion: v2\nname: bomb\nversion: 1.0.0\n")
	add("bomb/Chart.yaml", int64(len(chart)), chart)
	add("bomb/templates/x.yaml", 256<<20, make([]byte, 1<<20))
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}
