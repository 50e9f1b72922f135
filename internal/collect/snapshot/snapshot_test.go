package snapshot

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// saved is a source in memory.
type saved struct {
	objects    []string // JSON
	notScanned []finding.NotScanned
	info       inventory.ClusterInfo
	err        error
}

func object(t testing.TB, text string) *inventory.Object {
	t.Helper()
	m, err := decode.NewDecoder().Object([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o, ok := inventory.NewObject(m)
	if !ok {
		t.Fatalf("no object: %s", text)
	}
	return o
}

func (s *saved) Stream(_ context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	for _, text := range s.objects {
		m, err := decode.NewDecoder().Object([]byte(text))
		if err != nil {
			return err
		}
		o, _ := inventory.NewObject(m)
		if err := emit(o); err != nil {
			return err
		}
	}
	for _, n := range s.notScanned {
		notScanned(n)
	}
	return s.err
}

func (s *saved) Info() inventory.ClusterInfo { return s.info }

var shop = &saved{
	objects: []string{
		`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","uid":"1"}}`,
		`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"a","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"k\":\"aGlkZGVu\"}}"}},"data":{"k":"aGlkZGVu"},"stringData":{"j":"aGlkZGVu"}}`,
		`{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"n<>&","namespace":"a"},"spec":{"x":[1,2.5,true,null,"中文"]}}`,
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d1","namespace":"a"}}`,
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d2","namespace":"a"}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"a"},"spec":{"containers":[{"name":"c","image":"nginx:1"}]},"status":{"containerStatuses":[{"name":"c","imageID":"docker.io/nginx@sha256:aa"}]}}`,
		`{"apiVersion":"stockade.dev/v1","kind":"NodeFacts","name":"n/../1","os":{"id":"debian"}}`,
	},
	notScanned: []finding.NotScanned{{Target: "shop", What: "nodes", Reason: "forbidden to read", Code: finding.Forbidden}},
	info: inventory.ClusterInfo{Name: "shop", Version: "v1.34.4", Distribution: "eks", Managed: true,
		Unread: map[string]string{"Node": "forbidden to read"}},
}

var now = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func save(t testing.TB, name string) string {
	t.Helper()
	dst := filepath.Join(t.TempDir(), name)
	if _, err := Write(context.Background(), dst, shop, now); err != nil {
		t.Fatal(err)
	}
	return dst
}

type result struct {
	objects    []*inventory.Object
	notScanned []finding.NotScanned
	info       inventory.ClusterInfo
	err        error
}

func read(t testing.TB, path string, lim Limits) *result {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s.Limits = lim
	r := &result{}
	r.err = s.Stream(context.Background(), func(o *inventory.Object) error {
		r.objects = append(r.objects, o)
		return nil
	}, func(n finding.NotScanned) { r.notScanned = append(r.notScanned, n) })
	r.info = s.Info()
	return r
}

// kinds lists the objects as "Kind/name" words.
func (r *result) kinds() string {
	var out []string
	for _, o := range r.objects {
		out = append(out, o.Kind+"/"+o.Name)
	}
	return strings.Join(out, " ")
}

func (r *result) told() string {
	var out []string
	for _, n := range r.notScanned {
		out = append(out, fmt.Sprintf("%s|%s|%s|%s", n.Target, n.What, n.Code, n.Reason))
	}
	return strings.Join(out, "\n")
}

const shopKinds = "NodeFacts/n/../1 Namespace/a Secret/s NetworkPolicy/n<>& Deployment/d1 Deployment/d2 Pod/p"

// TestRoundTrip saves and reads in both forms: the same objects, the same notes, no values of Secrets anywhere.
func TestRoundTrip(t *testing.T) {
	for _, name := range []string{"snap", "snap.tar.zst"} {
		t.Run(name, func(t *testing.T) {
			r := read(t, save(t, name), Limits{})
			if r.err != nil || r.kinds() != shopKinds {
				t.Fatalf("%v: %s", r.err, r.kinds())
			}
			if !reflect.DeepEqual(r.notScanned, shop.notScanned) || !reflect.DeepEqual(r.info, shop.info) {
				t.Errorf("%+v %+v", r.notScanned, r.info)
			}
			if want := object(t, shop.objects[2]); !reflect.DeepEqual(r.objects[3], want) {
				t.Errorf("got %+v, want %+v", r.objects[3], want)
			}
			secret := object(t, strings.ReplaceAll(shop.objects[1], "aGlkZGVu", ""))
			secret.Content["metadata"].(map[string]any)["annotations"].(map[string]any)["kubectl.kubernetes.io/last-applied-configuration"] = ""
			if !reflect.DeepEqual(r.objects[2].Content, secret.Content) {
				t.Errorf("%v", r.objects[2].Content)
			}
		})
	}
	dir := save(t, "dir")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), "aGlkZGVu") {
			t.Errorf("%s holds a Secret's value", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"objects/core_v1_secrets.jsonl", "objects/networking.k8s.io_v1_networkpolicies.jsonl", "nodes/n-..-1.json"} {
		if _, err := os.Stat(filepath.Join(dir, want)); err != nil {
			t.Error(err)
		}
	}
	var images []Image
	data, err := os.ReadFile(filepath.Join(dir, "images.json"))
	if err != nil || json.Unmarshal(data, &images) != nil || !reflect.DeepEqual(images, []Image{{"nginx:1", "sha256:aa"}}) {
		t.Errorf("%v %s", err, data)
	}
}

func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dst := range []string{dir, filepath.Join(dir, "thesis.txt"), filepath.Join(dir, "x.zip")} {
		_, err := Write(context.Background(), dst, shop, now)
		if fault.ExitCode(err) != 2 {
			t.Errorf("%s: %v", dst, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
}

// TestWriteIsAtomic: a source that fails leaves the older snapshot as it was and nothing beside it.
func TestWriteIsAtomic(t *testing.T) {
	for _, name := range []string{"snap", "snap.tar.zst"} {
		dst := save(t, name)
		broken := *shop
		broken.objects, broken.err = shop.objects[:2], errors.New("gone")
		if _, err := Write(context.Background(), dst, &broken, now); err == nil {
			t.Fatal("no error")
		}
		if r := read(t, dst, Limits{}); r.kinds() != shopKinds {
			t.Errorf("%s: %s", name, r.kinds())
		}
		again := *shop
		again.objects = shop.objects[:1]
		if _, err := Write(context.Background(), dst, &again, now); err != nil {
			t.Fatal(err)
		}
		if r := read(t, dst, Limits{}); r.kinds() != "Namespace/a" {
			t.Errorf("%s: %s", name, r.kinds())
		}
		entries, err := os.ReadDir(filepath.Dir(dst))
		if err != nil || len(entries) != 1 {
			t.Errorf("%v %v", entries, err)
		}
	}
}

func TestBrokenLines(t *testing.T) {
	dir := save(t, "snap")
	file := filepath.Join(dir, "objects/apps_v1_deployments.jsonl")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	text := lines[0] + `{"apiVersion":"apps/v1","kind":` + "\n\n" + `{"metadata":{}}` + "\n" + `{"x":"` + strings.Repeat("y", 300<<10) + `"}` + "\n" + lines[1]
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "objects/core_v1_pods.jsonl")); err != nil {
		t.Fatal(err)
	}
	r := read(t, dir, Limits{Object: 256 << 10})
	if r.err != nil || r.kinds() != strings.TrimSuffix(shopKinds, " Pod/p") {
		t.Errorf("%v %s", r.err, r.kinds())
	}
	for _, want := range []string{
		file + ":2|object|broken|not valid JSON: cut off", file + ":4|object|broken|it has no apiVersion or no kind",
		file + ":5|object|limit|larger than 0 MiB", "core_v1_pods.jsonl|Pod|broken|only 0 of 1 objects are in the snapshot",
	} {
		if !strings.Contains(r.told(), want) {
			t.Errorf("not told: %s\n%s", want, r.told())
		}
	}
	if r.info.Unread["Pod"] == "" {
		t.Error("Pods count as read")
	}
}

// repack makes an archive of the files with the names as they are given.
func repack(t testing.TB, name string, compress func(io.Writer) io.WriteCloser, files ...[2]string) string {
	t.Helper()
	dst := filepath.Join(t.TempDir(), name)
	f, err := os.Create(dst)
	if err != nil {
		t.Fatal(err)
	}
	z := compress(f)
	tw := tar.NewWriter(z)
	for _, file := range files {
		h := &tar.Header{Name: file[0], Mode: 0o644, Size: int64(len(file[1])), Typeflag: tar.TypeReg}
		if target, ok := strings.CutPrefix(file[1], "link:"); ok {
			h.Typeflag, h.Linkname, h.Size, file[1] = tar.TypeSymlink, target, 0, ""
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, file[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return dst
}

func gz(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func zst(w io.Writer) io.WriteCloser {
	z, _ := zstd.NewWriter(w)
	return z
}

type nop struct{ io.Writer }

func (nop) Close() error { return nil }

func none(w io.Writer) io.WriteCloser { return nop{w} }

const doc = `{"schema":"stockade.snapshot/v1","cluster":"c","time":"2026-01-01T00:00:00Z"}`

func TestForeignArchives(t *testing.T) {
	ns := `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}}` + "\n"
	pod := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}}` + "\n"
	tests := map[string]struct {
		path string
		want string
	}{
		"tar.gz, other order, in a folder": {repack(t, "x.tar.gz", gz, [2]string{"shop/objects/core_v1_pods.jsonl", pod},
			[2]string{"shop/objects/core_v1_namespaces.jsonl", ns}, [2]string{"shop/snapshot.json", doc}), "Namespace/a Pod/p"},
		"tar": {repack(t, "x.tar", none, [2]string{"./snapshot.json", doc}, [2]string{"./objects/core_v1_namespaces.jsonl", ns}), "Namespace/a"},
		"paths that lead out": {repack(t, "x.tar.zst", zst, [2]string{"../../objects/core_v1_pods.jsonl", pod}, [2]string{"/objects/core_v1_namespaces.jsonl", ns},
			[2]string{"objects/core_v1_secrets.jsonl", "link:/etc/passwd"}, [2]string{"snapshot.json", doc}), "Namespace/a Pod/p"},
		"kubectl output": {repack(t, "x.tgz", gz, [2]string{"dump/pods.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"},
			[2]string{"dump/ns.json", ns}), "Namespace/a Pod/p"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := read(t, tt.path, Limits{})
			if r.err != nil || r.kinds() != tt.want || len(r.notScanned) != 0 {
				t.Errorf("%v %s\n%s", r.err, r.kinds(), r.told())
			}
		})
	}
}

func TestDamagedArchive(t *testing.T) {
	var files [][2]string
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p%d","uid":"%x"}}`+"\n", i, uint32(i)*2654435761)
	}
	files = append(files, [2]string{"snapshot.json", strings.Replace(doc, `"time"`, `"files":[{"path":"objects/core_v1_pods.jsonl","kind":"Pod","objects":20000}],"time"`, 1)},
		[2]string{"objects/core_v1_pods.jsonl", b.String()})
	path := repack(t, "x.tar.zst", zst, files...)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)*2/3], 0o600); err != nil {
		t.Fatal(err)
	}
	r := read(t, path, Limits{})
	if r.err != nil || len(r.objects) == 0 || len(r.objects) >= 20_000 {
		t.Fatalf("%v, %d objects", r.err, len(r.objects))
	}
	if !strings.Contains(r.told(), "of 20000 objects are in the snapshot") || !strings.Contains(r.told(), "broken") || r.info.Unread["Pod"] == "" {
		t.Error(r.told())
	}
}

func TestBomb(t *testing.T) {
	line := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"k":"` + strings.Repeat("0", 100_000) + `"}}` + "\n"
	for name, path := range map[string]string{
		"in one go": repack(t, "x.tar.zst", zst, [2]string{"snapshot.json", doc}, [2]string{"objects/core_v1_configmaps.jsonl", strings.Repeat(line, 100)}),
		"unpacked":  repack(t, "x.tar.gz", gz, [2]string{"objects/core_v1_configmaps.jsonl", strings.Repeat(line, 100)}, [2]string{"snapshot.json", doc}),
		"kubectl":   repack(t, "x.tar.gz", gz, [2]string{"a.json", strings.Repeat(line, 100)}),
	} {
		r := read(t, path, Limits{Total: 1 << 20})
		if r.err != nil || len(r.objects) > 11 || !strings.Contains(r.told(), "|limit|") {
			t.Errorf("%s: %v, %d objects\n%s", name, r.err, len(r.objects), r.told())
		}
	}
	if r := read(t, repack(t, "y.tar.zst", zst, [2]string{"snapshot.json", doc}, [2]string{"objects/core_v1_configmaps.jsonl", line},
		[2]string{"objects/core_v1_pods.jsonl", line}), Limits{Files: 2}); len(r.objects) != 1 || !strings.Contains(r.told(), "|limit|") {
		t.Errorf("%d objects\n%s", len(r.objects), r.told())
	}
}

func TestLinksOutOfTheFolder(t *testing.T) {
	dir := save(t, "snap")
	secret := filepath.Join(t.TempDir(), "outside.jsonl")
	if err := os.WriteFile(secret, []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"outside"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "objects/core_v1_nodes.jsonl")); err != nil {
		t.Fatal(err)
	}
	r := read(t, dir, Limits{})
	if strings.Contains(r.kinds(), "outside") || !strings.Contains(r.told(), "core_v1_nodes.jsonl|file|broken") {
		t.Errorf("%s\n%s", r.kinds(), r.told())
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := map[string]struct{ path, want string }{
		"missing":     {filepath.Join(dir, "none"), "no such file"},
		"newer":       {filepath.Dir(write("newer/snapshot.json", `{"schema":"stockade.snapshot/v9"}`)), `its schema is "stockade.snapshot/v9"`},
		"broken":      {filepath.Dir(write("broken/snapshot.json", `{"schema":`)), "reading snapshot.json"},
		"cut archive": {write("x.tar.zst", string(zstdMagic)+"xyz"), "reading the snapshot"},
	}
	for name, tt := range tests {
		_, err := Open(tt.path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || fault.ExitCode(err) != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty, err := Open(filepath.Dir(write("empty/readme.txt", "hello")))
	if err != nil {
		t.Fatal(err)
	}
	err = empty.Stream(context.Background(), func(*inventory.Object) error { return nil }, func(finding.NotScanned) {})
	if err == nil || !strings.Contains(err.Error(), "no Kubernetes objects were found") || fault.ExitCode(err) != 2 {
		t.Errorf("%v", err)
	}
}

func TestEmitEndsStream(t *testing.T) {
	stop := errors.New("enough")
	plainDir := t.TempDir()
	if err := os.WriteFile(filepath.Join(plainDir, "a.json"), []byte(shop.objects[0]+shop.objects[3]), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{save(t, "snap"), save(t, "snap.tar.zst"), plainDir} {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = s.Stream(context.Background(), func(*inventory.Object) error { n++; return stop }, func(finding.NotScanned) {})
		if !errors.Is(err, stop) || n != 1 {
			t.Errorf("%s: %v after %d", path, err, n)
		}
		ctx, cancel := context.WithCancel(context.Background())
		err = s.Stream(ctx, func(*inventory.Object) error { cancel(); return nil }, func(finding.NotScanned) {})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
