package lab

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestMinor(t *testing.T) {
	for version, want := range map[string]int{Oldest: 19, Newest: 36, "v1.4.0": 4} {
		if got, err := minor(version); err != nil || got != want {
			t.Errorf("minor(%q) = %d, %v; want %d", version, got, err, want)
		}
	}
	for _, version := range []string{"", "1.36.3", "v1.36", "v2.0.0", "v1.x.0", "v1.36.3.4"} {
		if _, err := minor(version); err == nil {
			t.Errorf("minor(%q) is no error", version)
		}
	}
}

func TestWrapperModule(t *testing.T) {
	var file goMod
	err := json.Unmarshal([]byte(`{"Go": "1.15", "Replace": [
		{"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
		{"Old": {"Path": "vbom.ml/util"}, "New": {"Path": "vbom.ml/util", "Version": "v0.0.0-2016"}},
		{"Old": {"Path": "example.org/pinned"}, "New": {"Path": "example.org/pinned", "Version": "v1.2.3"}}]}`), &file)
	if err != nil {
		t.Fatal(err)
	}
	text := file.wrapper("v1.19.16")
	for _, want := range []string{
		"go 1.18\n",
		"require k8s.io/kubernetes v1.19.16\n",
		"replace k8s.io/api => k8s.io/api v0.19.16\n",
		"replace example.org/pinned => example.org/pinned v1.2.3\n",
		"replace vbom.ml/util => github.com/fvbommel/util ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("go.mod lacks %q:\n%s", want, text)
		}
	}

	file.Go = "1.26.0"
	if text := file.wrapper("v1.36.3"); !strings.Contains(text, "go 1.26.0\n") {
		t.Errorf("go.mod has another language than Kubernetes':\n%s", text)
	}
}

func TestCacheBuildsOnce(t *testing.T) {
	t.Setenv("STOCKADE_LAB_CACHE", t.TempDir())
	var built atomic.Int32
	build := func(b *builder, out string) error {
		built.Add(1)
		time.Sleep(300 * time.Millisecond) // the others come meanwhile
		return os.WriteFile(out, nil, 0o755)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			path, err := cached(t.Context(), "v0", "tool", build)
			if err != nil || !exists(path) {
				t.Errorf("%s: %v", path, err)
			}
		})
	}
	all.Wait()
	if built.Load() != 1 {
		t.Errorf("built %d times", built.Load())
	}
}

func TestCacheKeepsNoHalfBuild(t *testing.T) {
	root := t.TempDir()
	t.Setenv("STOCKADE_LAB_CACHE", root)
	broken := errors.New("broken")
	if _, err := cached(t.Context(), "v0", "tool", func(b *builder, out string) error {
		os.WriteFile(out, nil, 0o755)
		return broken
	}); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "v0-*", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWaitForBuilderEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := lockFile(ctx, path, "wait in a test"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second lock: %v", err)
	}
	unlock()
	unlock, err = lockFile(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestBuildErrorSaysTheCommand(t *testing.T) {
	b := &builder{ctx: t.Context(), dir: t.TempDir()}
	if err := b.link("out", "no.such/package", "mod", ""); err == nil || !strings.Contains(err.Error(), "go build") || !strings.Contains(err.Error(), "no.such/package") {
		t.Errorf("the error is %v", err)
	}
}

func TestSweepSparesFoldersInUse(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	used, err := newFolder()
	if err != nil {
		t.Fatal(err)
	}
	dead, err := newFolder()
	if err != nil {
		t.Fatal(err)
	}
	dead.lock.Close() // as the kernel does when the owner is killed
	sweep(os.TempDir())
	if !exists(used.path) || exists(dead.path) {
		t.Errorf("used is there: %t, dead is there: %t", exists(used.path), exists(dead.path))
	}
	if err := used.remove(); err != nil || exists(used.path) {
		t.Errorf("remove: %v", err)
	}
}
