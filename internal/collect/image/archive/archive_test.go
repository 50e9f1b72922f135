package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"stockade.dev/stockade/internal/collect/image/source"
)

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(2<<10, 3)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// check reads every layer and compares it with the image.
func check(t *testing.T, got *source.Image, want v1.Image) {
	t.Helper()
	defer got.Close()
	layers, err := want.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Layers) != len(layers) || len(got.Gaps) > 0 {
		t.Fatalf("%d layers, want %d; %v", len(got.Layers), len(layers), got.Gaps)
	}
	id, _ := want.ConfigName()
	if got.Info.ConfigID != id.String() {
		t.Errorf("configuration %s, want %s", got.Info.ConfigID, id)
	}
	for i, l := range got.Layers {
		diff, _ := layers[i].DiffID()
		r, err := l.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h, n, err := v1.SHA256(r)
		_ = r.Close()
		if err != nil || l.DiffID != diff.String() || l.Digest != "" && l.Digest != h.String() || l.Size != n {
			t.Errorf("layer %d: %s of %d bytes, %v, %+v", i, h, n, err, l.Layer)
		}
	}
}

// pack makes a tar of a folder.
func pack(t *testing.T, dir, file string, zip bool) {
	t.Helper()
	var b bytes.Buffer
	var out io.Writer = &b
	z := gzip.NewWriter(&b)
	if zip {
		out = z
	}
	w := tar.NewWriter(out)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if zip {
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lay:out") // a colon in the name, too
	one, two := randomImage(t), randomImage(t)
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for tag, img := range map[string]v1.Image{"one": one, "two": two} {
		if err := p.AppendImage(img, layout.WithAnnotations(map[string]string{refName: tag})); err != nil {
			t.Fatal(err)
		}
	}
	plain, zipped := dir+".tar", dir+".tar.gz"
	pack(t, dir, plain, false)
	pack(t, dir, zipped, true)
	digest, _ := two.Digest()
	for _, place := range []string{dir, plain, zipped} {
		for tag, want := range map[string]v1.Image{"one": one, "two": two, digest.String(): two} {
			img, err := Layout(t.Context(), place+":"+tag, Options{TempDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			check(t, img, want)
		}
		if _, err := Layout(t.Context(), place, Options{}); err == nil || !strings.Contains(err.Error(), "name one: ") {
			t.Errorf("two images, none named: %v", err)
		}
		if _, err := Layout(t.Context(), place+":three", Options{}); err == nil {
			t.Error("no such tag, no error")
		}
	}
}

func TestLayoutTricks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	want := randomImage(t)
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendIndex(mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: want, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}})); err != nil {
		t.Fatal(err)
	}
	img, err := Layout(t.Context(), dir, Options{Platform: "linux/s390x"})
	if err != nil {
		t.Fatal(err)
	}
	check(t, img, want)
	if img.Info.Index == "" {
		t.Error("the index is not named")
	}
	// A blob that is a symlink to outside, and one that was changed.
	layers, _ := want.Layers()
	h, _ := layers[0].Digest()
	blob := filepath.Join(dir, "blobs", "sha256", h.Hex)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, blob); err != nil {
		t.Fatal(err)
	}
	if img, err = Layout(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if img.Layers[0].Unread == "" || img.Layers[1].Unread != "" {
		t.Errorf("%+v", img.Layers)
	}
	_ = img.Close()
	config, _ := want.ConfigName()
	if err := os.WriteFile(filepath.Join(dir, "blobs", "sha256", config.Hex), []byte(`{"os":"linux"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Layout(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), "wrong digest") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(`{"manifests":[{"digest":"sha256:../../x"}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Layout(t.Context(), dir, Options{}); err == nil {
		t.Error("a path for a digest, no error")
	}
}

func TestDocker(t *testing.T) {
	one, two := randomImage(t), randomImage(t)
	a, _ := name.NewTag("registry.example.com/shop/till:1.0")
	b, _ := name.NewTag("registry.example.com/shop/till:2.0")
	file := filepath.Join(t.TempDir(), "saved.tar")
	if err := tarball.MultiWriteToFile(file, map[name.Tag]v1.Image{a: one, b: two}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write(data)
	_ = w.Close()
	if err := os.WriteFile(file+".gz", z.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{file, file + ".gz"} {
		for tag, want := range map[string]v1.Image{a.String(): one, b.String(): two} {
			img, err := Docker(t.Context(), f+":"+tag, Options{TempDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			check(t, img, want)
			if img.Info.Reference != tag {
				t.Errorf("reference %q", img.Info.Reference)
			}
		}
		if _, err := Docker(t.Context(), f, Options{}); err == nil {
			t.Error("two images, none named, no error")
		}
	}
	if _, err := Docker(t.Context(), file+".gz:"+a.String(), Options{MaxBytes: 100}); err == nil {
		t.Error("over the limit, no error")
	}
}

// TestLinkedLayers: docker save before version 25 writes equal layers as symlinks to the first.
func TestLinkedLayers(t *testing.T) {
	layer := []byte(strings.Repeat("layer ", 100))
	h, _, _ := v1.SHA256(bytes.NewReader(layer))
	config := `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + h.String() + `","` + h.String() + `","` + h.String() + `"]}}`
	manifest, _ := json.Marshal([]map[string]any{{"Config": "c.json", "Layers": []string{"a/layer.tar", "b/layer.tar", "c/layer.tar"}}})
	file := filepath.Join(t.TempDir(), "saved.tar")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	for _, e := range []struct {
		name, body, link string
	}{{"a/layer.tar", string(layer), ""}, {"b/layer.tar", "", "../a/layer.tar"}, {"c/layer.tar", "", "../c/layer.tar"}, {"c.json", config, ""}, {"manifest.json", string(manifest), ""}} {
		h := &tar.Header{Name: e.name, Size: int64(len(e.body)), Mode: 0o644, Typeflag: tar.TypeReg, Linkname: e.link}
		if e.link != "" {
			h.Typeflag = tar.TypeSymlink
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, e.body)
	}
	_ = w.Close()
	_ = f.Close()
	img, err := Docker(t.Context(), file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	for i, want := range []string{string(layer), string(layer), ""} {
		l := img.Layers[i]
		if want == "" {
			if l.Unread == "" {
				t.Error("a link to itself is read")
			}
			continue
		}
		r, err := l.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if data, _ := io.ReadAll(r); string(data) != want {
			t.Errorf("layer %d: %q", i, data)
		}
	}
}

func FuzzDocker(f *testing.F) {
	f.Add([]byte(`[{"Config":"c","Layers":["l"]}]`), []byte(`{"rootfs":{"diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}]}`), []byte("<html>"))
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		docs := memory{"manifest.json": manifest, "index.json": manifest, "c": config, "l": config}
		_ = saved(&source.Image{}, docs, "")
		_ = layoutOf(t, docs)
	})
}

func layoutOf(t *testing.T, f files) error {
	return layoutImage(t.Context(), &source.Image{}, f, "", Options{})
}

// memory is files for tests.
type memory map[string][]byte

func (m memory) open(name string) (io.ReadCloser, int64, error) {
	data, ok := m[name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil
}
