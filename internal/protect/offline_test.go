package protect

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func tarOf(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		if err := errors.Join(w.WriteHeader(header(name, int64(len(text)))), func() error { _, err := io.WriteString(w, text); return err }()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestBundle: what an offline bundle lists is in it, with the sums that are said.
func TestBundle(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	layout := tarOf(t, map[string]string{"oci-layout": "{}", "index.json": `{"manifests":[{"digest":"` + digest + `","annotations":{"io.containerd.image.name":"docker.io/` + builtIn().image + `"}}]}`})
	out := filepath.Join(t.TempDir(), "protect.tar")
	index, err := WriteBundle(context.Background(), out, "1.0.0", []string{layout})
	if err != nil {
		t.Fatal(err)
	}
	if len(index.Images) != 2 || index.Images[0].Digest != digest || !index.Images[0].Needed || index.Images[1].File != "" {
		t.Errorf("%+v", index.Images)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	sums := map[string]string{}
	var read BundleIndex
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		sums[h.Name] = hex.EncodeToString(sum[:])
		if h.Name == "index.json" {
			if err := json.Unmarshal(data, &read); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(read.Files) != 4 {
		t.Errorf("%+v", read.Files)
	}
	for _, x := range read.Files {
		if sums[x.Name] != x.SHA256 {
			t.Errorf("%s is not what the index says", x.Name)
		}
	}
	for _, files := range []map[string]string{{}, {"x": "y"}, {"index.json": "[]"}, {"manifest.json": `[{"RepoTags":[]}]`}} {
		if _, err := WriteBundle(context.Background(), filepath.Join(t.TempDir(), "x.tar"), "1", []string{tarOf(t, files)}); err == nil {
			t.Errorf("%v is taken for an image", files)
		}
	}
}

// FuzzListing: listings of image archives are foreign.
func FuzzListing(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"digest":"sha256:1"}]}`), []byte(`[{"RepoTags":["a:1"]}]`))
	f.Fuzz(func(t *testing.T, index, manifest []byte) {
		if list, err := listed(index, manifest); err == nil && (len(list) == 0 || len(list) > maxImages) {
			t.Error(len(list))
		}
	})
}
