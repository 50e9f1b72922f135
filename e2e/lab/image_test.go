package lab_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"stockade.dev/stockade/e2e/lab"
)

// The same files give the same image, with modes and links, whatever their times.
func TestImage(t *testing.T) {
	var digests []string
	for range 2 {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "bin", "till"), []byte("program"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("till", filepath.Join(dir, "bin", "cash")); err != nil {
			t.Fatal(err)
		}
		image, err := lab.Image{Files: map[string]string{"/opt/shop": dir}, Texts: map[string]string{"/etc/shop.conf": "open: true\n"},
			Entrypoint: []string{"/opt/shop/bin/till"}, Labels: map[string]string{"shop": "1"}}.Build()
		if err != nil {
			t.Fatal(err)
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
		config, err := image.ConfigFile()
		if err != nil || config.Config.User != "65532" || config.OS != "linux" || config.Config.Labels["shop"] != "1" {
			t.Errorf("%+v %v", config, err)
		}
		layers, err := image.Layers()
		if err != nil || len(layers) != 1 {
			t.Fatalf("%d layers, %v", len(layers), err)
		}
		content, err := layers[0].Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]*tar.Header{}
		for r := tar.NewReader(content); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got[h.Name] = h
		}
		if h := got["opt/shop/bin/till"]; h == nil || h.Mode != 0o755 || h.Size != 7 {
			t.Errorf("the program is %+v", h)
		}
		if h := got["opt/shop/bin/cash"]; h == nil || h.Linkname != "till" {
			t.Errorf("the link is %+v", h)
		}
		for _, name := range []string{"tmp/", "opt/", "opt/shop/", "opt/shop/bin/", "etc/", "etc/shop.conf"} {
			if got[name] == nil {
				t.Errorf("no %s in the layer", name)
			}
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("the digests are %v", digests)
	}
	if _, err := (lab.Image{Files: map[string]string{"/a": "/no/such/file"}}).Build(); err == nil {
		t.Error("a file that is not there is packed")
	}
}
