package manifest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

const pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n"

// tree writes files below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// options are those of a walk with stand-ins for the renderers.
func options() WalkOptions {
	return WalkOptions{
		IsDockerfile: func(name string) bool { return name == "Dockerfile" },
		RenderChart: func(_ context.Context, path string, archive []byte, _ Limits) ([]*inventory.Object, []Problem) {
			return []*inventory.Object{{Kind: "Rendered", Origin: inventory.Origin{File: path}}}, nil
		},
	}
}

// found lists what a walk emits as "kind path", and its problems.
func walkAll(t *testing.T, opt WalkOptions, root string, paths ...string) (found []string, problems []Problem) {
	t.Helper()
	if len(paths) == 0 {
		paths = []string{root}
	}
	err := Walk(context.Background(), paths, opt, func(f File) error {
		name := strings.TrimPrefix(strings.TrimPrefix(f.Path, root), "/")
		found = append(found, string(f.Kind)+" "+name)
		for _, p := range f.Problems {
			p.File = strings.TrimPrefix(strings.TrimPrefix(p.File, root), "/")
			problems = append(problems, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, problems
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestWalkFolder(t *testing.T) {
	root := tree(t, map[string]string{
		"b.yaml": pod, "a.yml": pod, "c.json": "{}", "README.md": "", "Dockerfile": "FROM x\n",
		"sub/x.yaml": pod, "sub.yaml": pod, "sub-a/x.yaml": pod,
		".git/config.yaml": pod, "node_modules/x.yaml": pod, "vendor/x.yaml": pod, "deep/vendor/x.yaml": pod,
		"chart/Chart.yaml": "name: x\n", "chart/values.yaml": "a: b\n", "chart/templates/x.yaml": "{{ x }}",
		"chart/charts/sub/Chart.yaml": "name: y\n", "chart/crds/c.yaml": pod, "chart/ci/x.yaml": pod,
		"dir.yaml/inner.yaml": pod,
	})
	got, problems := walkAll(t, options(), root)
	same(t, got, "dockerfile Dockerfile", "manifest a.yml", "manifest b.yaml", "manifest c.json", "chart chart",
		"manifest chart/Chart.yaml", "manifest chart/ci/x.yaml", "manifest chart/values.yaml", "manifest dir.yaml/inner.yaml",
		"manifest sub/x.yaml", "manifest sub-a/x.yaml", "manifest sub.yaml")
	if len(problems) != 0 {
		t.Error(problems)
	}
	opt := options()
	opt.NoExcludes, opt.RenderChart, opt.IsDockerfile = true, nil, nil
	got, _ = walkAll(t, opt, filepath.Join(root, "deep"))
	same(t, got, "manifest vendor/x.yaml")
}

func TestWalkIgnoreFiles(t *testing.T) {
	root := tree(t, map[string]string{
		".git/HEAD": "", ".gitignore": "gen/\n*.tmp.yaml\n/top.yaml\n!keep.tmp.yaml\n", ".stockadeignore": "!gen2/\nskipped.yaml\n",
		"gen/a.yaml": pod, "top.yaml": pod, "sub/top.yaml": pod, "x.tmp.yaml": pod, "keep.tmp.yaml": pod, "sub/skipped.yaml": pod,
		"sub/.gitignore": "*\n!ok.yaml\n", "sub/ok.yaml": pod, "sub/other.yaml": pod, "named/build/x.yaml": pod, "named/.gitignore": "build/\n",
	})
	got, _ := walkAll(t, options(), root)
	same(t, got, "manifest keep.tmp.yaml", "manifest sub/ok.yaml")
	// What is named is read; the ignore files above the folder count.
	got, _ = walkAll(t, options(), root, filepath.Join(root, "named", "build"), filepath.Join(root, "top.yaml"))
	same(t, got, "manifest named/build/x.yaml", "manifest top.yaml")
	os.WriteFile(filepath.Join(root, "named/build/y.tmp.yaml"), []byte(pod), 0o644)
	got, _ = walkAll(t, options(), root, filepath.Join(root, "named", "build"))
	same(t, got, "manifest named/build/x.yaml")
	opt := options()
	opt.NoIgnoreFiles, opt.Exclude = true, []string{"named/", "sub/**", "gen*"}
	got, _ = walkAll(t, opt, root)
	same(t, got, "manifest keep.tmp.yaml", "manifest top.yaml", "manifest x.tmp.yaml")
}

func TestIgnorePatterns(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		folder, want  bool
	}{
		{"a", "a", false, true}, {"a", "x/a", false, true}, {"a", "ab", false, false}, {"a/", "a", false, false},
		{"a/", "x/a", true, true}, {"/a", "a", false, true}, {"/a", "x/a", false, false}, {"a/b", "a/b", false, true},
		{"a/b", "x/a/b", false, false}, {"*.yaml", "x/y.yaml", false, true}, {"*.yaml", "x/y.yml", false, false},
		{"a/*", "a/b", false, true}, {"a/*", "a/b/c", false, false}, {"a/**", "a/b/c", false, true}, {"a/**", "a", true, false},
		{"**/b", "b", false, true}, {"**/b", "x/y/b", false, true}, {"a/**/b", "a/b", false, true}, {"a/**/b", "a/x/y/b", false, true},
		{"a/**/b", "a/x/y/c", false, false}, {"[ab].yaml", "b.yaml", false, true}, {"[!ab].yaml", "b.yaml", false, false},
		{"[!ab].yaml", "c.yaml", false, true}, {"?.yaml", "c.yaml", false, true}, {`\#a`, "#a", false, true}, {"#a", "#a", false, false},
		{`\!a`, "!a", false, true}, {"a ", "a", false, true}, {`a\ `, "a ", false, true}, {"[", "[", false, false}, {"/", "a", false, false},
		{"**", "a/b", false, true}, {"**/**/**/**/z", "a/a/a/a/a/a/a/a/a/a", false, false},
		{"a/**/b/**/c", "a/b/x/b/c", false, true},
	} {
		l := &ignoreList{patterns: parseIgnoreFile(tc.pattern + "\n")}
		if got, _ := l.match(tc.name, tc.folder); got != tc.want {
			t.Errorf("%q on %q (folder %v): %v", tc.pattern, tc.name, tc.folder, got)
		}
	}
}

func TestWalkLinks(t *testing.T) {
	outside := tree(t, map[string]string{"secret.yaml": pod, "dir/x.yaml": pod})
	root := tree(t, map[string]string{"real/a.yaml": pod, "vendor/v.yaml": pod, "plain": pod})
	for name, to := range map[string]string{
		"alias.yaml": "real/a.yaml", "out.yaml": outside + "/secret.yaml", "outdir": outside + "/dir", "loop": ".", "real/up": "..",
		"circle.yaml": "circle.yaml", "nowhere.yaml": "nothing", "pick.yaml": "vendor/v.yaml", "named.yaml": "plain",
	} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	got, problems := walkAll(t, options(), root)
	same(t, got, "unread circle.yaml", "manifest named.yaml", "unread nowhere.yaml", "unread out.yaml", "unread outdir",
		"manifest pick.yaml", "manifest real/a.yaml")
	for _, p := range problems {
		want := finding.Skipped
		if p.File == "circle.yaml" || p.File == "nowhere.yaml" {
			want = finding.Broken
		}
		if p.Code != want {
			t.Errorf("%v: %s", p, p.Code)
		}
	}
	// A link that the user names is followed.
	got, _ = walkAll(t, options(), root, filepath.Join(root, "out.yaml"))
	same(t, got, "manifest out.yaml")
}

func TestWalkUnreadable(t *testing.T) {
	root := tree(t, map[string]string{"ok.yaml": pod})
	if err := syscall.Mkfifo(filepath.Join(root, "pipe.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, problems := walkAll(t, options(), root, root, filepath.Join(root, "missing.yaml"), filepath.Join(root, "ok.yaml"))
	same(t, got, "manifest ok.yaml", "unread pipe.yaml", "unread missing.yaml")
	if len(problems) != 2 || problems[0].Code != finding.Skipped || problems[1].Code != finding.Broken {
		t.Error(problems)
	}
	// The error of the file system decides; root is not stopped by permissions, so it is asked for directly.
	w := &walk{}
	w.failed("x.yaml", "file", &os.PathError{Op: "open", Path: "/abs/x.yaml", Err: os.ErrPermission})
	p := w.found[0].file.Problems[0]
	if p.Code != finding.Forbidden || strings.Contains(p.Reason, "/abs") {
		t.Error(p)
	}
	if os.Chmod(filepath.Join(root, "ok.yaml"), 0); os.Geteuid() != 0 {
		if _, problems = walkAll(t, options(), root, filepath.Join(root, "ok.yaml")); len(problems) != 1 || problems[0].Code != finding.Forbidden {
			t.Error(problems)
		}
	}
}

// TestWalkLarge makes 50 MB files: one that may hold objects, one that cannot.
func TestWalkLarge(t *testing.T) {
	root := tree(t, map[string]string{"small.yaml": pod})
	line := strings.Repeat("x", 99) + "\n"
	for name, head := range map[string]string{"data.yaml": "a: |\n", "objects.yaml": pod + "data: |\n"} {
		f, err := os.Create(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, head)
		block := strings.Repeat(" "+line, 10_000)
		for range 50 {
			fmt.Fprint(f, block)
		}
		f.Close()
	}
	got, problems := walkAll(t, options(), root)
	same(t, got, "unread objects.yaml", "manifest small.yaml")
	if len(problems) != 1 || problems[0].Code != finding.Limit {
		t.Error(problems)
	}
}

func TestWalkStdin(t *testing.T) {
	opt := options()
	for text, want := range map[string]FileKind{pod: Manifest, "# syntax=x\n\nFROM a\n": Dockerfile, "arg x\nFROM $x": Dockerfile, "": Manifest} {
		opt.Stdin = strings.NewReader(text)
		if err := Walk(context.Background(), []string{"-"}, opt, func(f File) error {
			if f.Kind != want || string(f.Data) != text || f.Path != "-" {
				t.Errorf("%q: %s %q", text, f.Kind, f.Data)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	opt.Stdin = nil
	if _, problems := walkAll(t, opt, "", "-"); len(problems) != 1 {
		t.Error(problems)
	}
	opt.Stdin, opt.Limits.FileBytes = strings.NewReader(pod), 10
	if _, problems := walkAll(t, opt, "", "-"); len(problems) != 1 || problems[0].Code != finding.Limit {
		t.Error(problems)
	}
	// A reader that never ends gives way to the context.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	opt.Stdin = blocked{}
	if err := Walk(ctx, []string{"-"}, opt, func(File) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type blocked struct{}

func (blocked) Read([]byte) (int, error) { select {} }

func tgz(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(text))
	}
	w.Close()
	z.Close()
	return b.Bytes()
}

func TestWalkArchives(t *testing.T) {
	root := tree(t, map[string]string{
		"chart.tgz":    string(tgz(t, map[string]string{"x/Chart.yaml": "name: x"})),
		"other.tar.gz": string(tgz(t, map[string]string{"x/y/Chart.yaml": "name: x"})),
		"no.tgz":       "text",
	})
	got, problems := walkAll(t, options(), root)
	same(t, got, "chart chart.tgz")
	if len(problems) != 0 {
		t.Error(problems)
	}
	_, problems = walkAll(t, options(), root, root+"/other.tar.gz", root+"/no.tgz")
	if len(problems) != 2 || problems[0].Code != finding.Skipped || problems[1].Code != finding.Broken {
		t.Error(problems)
	}
	opt := options()
	opt.Limits.UnpackedBytes = 1024
	big := tgz(t, map[string]string{"x/big": strings.Repeat("x", 1<<20)})
	os.WriteFile(filepath.Join(root, "big.tgz"), big, 0o644)
	if _, problems = walkAll(t, opt, root, root+"/big.tgz"); len(problems) != 1 || problems[0].Code != finding.Limit {
		t.Error(problems)
	}
}

func TestWalkKustomizations(t *testing.T) {
	root := tree(t, map[string]string{
		".git/HEAD": "", "base/kustomization.yaml": "", "base/a.yaml": pod, "prod/kustomization.yml": "", "prod/patch.yaml": pod, "prod/own.yaml": pod,
		"bad/Kustomization": "", "bad/x.yaml": pod,
	})
	opt := options()
	opt.BuildKustomization = func(_ context.Context, top, dir string, _ Limits) ([]*inventory.Object, []string, []Problem) {
		if top != root {
			t.Errorf("root %s", top)
		}
		o := func(file string) []*inventory.Object {
			return []*inventory.Object{{Kind: "Pod", Origin: inventory.Origin{File: filepath.Join(root, file)}}}
		}
		switch filepath.Base(dir) {
		case "base":
			return o("base/a.yaml"), []string{root + "/base/kustomization.yaml", root + "/base/a.yaml"}, nil
		case "prod":
			return o("base/a.yaml"), []string{root + "/base/kustomization.yaml", root + "/base/a.yaml", root + "/prod/kustomization.yml", root + "/prod/patch.yaml"}, nil
		}
		return nil, nil, []Problem{{File: dir + "/Kustomization", Code: finding.Broken}}
	}
	got, problems := walkAll(t, opt, root)
	same(t, got, "kustomization bad/Kustomization", "manifest bad/x.yaml", "kustomization prod/kustomization.yml", "manifest prod/own.yaml")
	if len(problems) != 1 || problems[0].File != "bad/Kustomization" {
		t.Error(problems)
	}
	// Files are named from where the user stands.
	t.Chdir(filepath.Join(root, "prod"))
	err := Walk(context.Background(), []string{"."}, opt, func(f File) error {
		if f.Kind == Kustomization && f.Objects[0].Origin.File != "../base/a.yaml" {
			t.Errorf("file %s", f.Objects[0].Origin.File)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWalkStops(t *testing.T) {
	root := tree(t, map[string]string{"a.yaml": pod, "b.yaml": pod})
	stop := errors.New("stop")
	n := 0
	if err := Walk(context.Background(), []string{root}, options(), func(File) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Error(err, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Walk(ctx, []string{root}, options(), func(File) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
