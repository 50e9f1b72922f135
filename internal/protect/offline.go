package protect

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// BundleIndex says what an offline bundle holds.
type BundleIndex struct {
	Schema     string        `json:"schema"`
	Version    string        `json:"version"`    // of this program
	Gatekeeper string        `json:"gatekeeper"` // version
	Images     []BundleImage `json:"images"`
	Files      []BundleFile  `json:"files"`
}

// BundleImage is an image that clusters without internet need.
type BundleImage struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest,omitempty"` // of the manifest, for settings; what docker save writes has none until it is pushed
	File      string `json:"file,omitempty"`   // "" when the bundle does not have it
	Needed    bool   `json:"needed"`
}

// BundleFile is a file of the bundle.
type BundleFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// WriteBundle writes an offline bundle with image archives to a file that is not there yet.
func WriteBundle(ctx context.Context, out, version string, images []string) (*BundleIndex, error) {
	rel := builtIn()
	if rel == nil {
		return nil, ErrBuiltWithout
	}
	index := &BundleIndex{Schema: "stockade.protect-bundle/v1", Version: version, Gatekeeper: rel.version}
	set := Settings{}.filled(&Options{Version: version})
	needed := []string{set.Gatekeeper.reference(rel.image), set.Provider.reference("")}
	have := map[string]bool{}
	for _, file := range images {
		list, err := readArchive(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, i := range list {
			for _, n := range needed {
				if sameImage(i.Reference, n) {
					i.Reference, i.Needed = n, true
				}
			}
			have[i.Reference] = true
			index.Images = append(index.Images, i)
		}
	}
	for _, n := range needed {
		if !have[n] {
			index.Images = append(index.Images, BundleImage{Reference: n, Needed: true})
		}
	}
	return index, writeBundle(ctx, out, rel, index, images)
}

// sameImage compares references however much of the default registry they say.
func sameImage(a, b string) bool {
	short := func(s string) string {
		for _, prefix := range []string{"docker.io/", "index.docker.io/", "registry-1.docker.io/"} {
			s = strings.TrimPrefix(s, prefix)
		}
		return strings.TrimPrefix(s, "library/")
	}
	return short(a) == short(b)
}

func writeBundle(ctx context.Context, out string, rel *release, index *BundleIndex, images []string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(out), ".stockade-bundle-*")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, tmp.Close())
		if err == nil {
			err = os.Rename(tmp.Name(), out)
		}
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	w := tar.NewWriter(tmp)
	manifests, err := plugin.ReadFile("plugin/gatekeeper.yaml")
	if err != nil {
		return err
	}
	if err := addBytes(w, index, "gatekeeper/gatekeeper.yaml", manifests); err != nil {
		return err
	}
	if licence, err := plugin.ReadFile("plugin/LICENSE"); err == nil {
		if err := addBytes(w, index, "gatekeeper/LICENSE", licence); err != nil {
			return err
		}
	}
	for _, file := range images {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := addFile(w, index, "images/"+filepath.Base(file), file); err != nil {
			return err
		}
	}
	if err := addBytes(w, index, "README.md", []byte(readme(rel, index))); err != nil {
		return err
	}
	data, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	if err := addBytes(w, &BundleIndex{}, "index.json", append(data, '\n')); err != nil {
		return err
	}
	return w.Close()
}

func header(name string, size int64) *tar.Header {
	return &tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0).UTC(), Format: tar.FormatPAX}
}

func addBytes(w *tar.Writer, index *BundleIndex, name string, data []byte) error {
	if err := w.WriteHeader(header(name, int64(len(data)))); err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	index.Files = append(index.Files, BundleFile{name, int64(len(data)), hex.EncodeToString(sum[:])})
	_, err := w.Write(data)
	return err
}

func addFile(w *tar.Writer, index *BundleIndex, name, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(header(name, info.Size())); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(w, io.TeeReader(f, sum)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	index.Files = append(index.Files, BundleFile{name, info.Size(), hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// Bounds of what is read of an archive of images.
const (
	maxListing = 4 << 20
	maxImages  = 100
	maxEntries = 1_000_000
)

// readArchive lists the images of a tar: an OCI layout, or what docker save writes.
func readArchive(file string) ([]BundleImage, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no file: pack an OCI layout into a tar")
	}
	var index, manifest []byte
	t := tar.NewReader(f)
	for range maxEntries {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.New("it is no tar of an image: give an OCI layout as tar, or what docker save writes, not compressed")
		}
		into := map[string]*[]byte{"index.json": &index, "manifest.json": &manifest}[path.Clean(h.Name)]
		if into == nil {
			continue
		}
		if h.Size > maxListing {
			return nil, fmt.Errorf("its %s is larger than %d MiB", h.Name, maxListing>>20)
		}
		if *into, err = io.ReadAll(io.LimitReader(t, maxListing)); err != nil {
			return nil, err
		}
	}
	list, err := listed(index, manifest)
	for i := range list {
		list[i].File = "images/" + filepath.Base(file)
	}
	return list, err
}

// listed reads the listing of an OCI layout, and of docker save where there is none.
func listed(index, manifest []byte) ([]BundleImage, error) {
	var out []BundleImage
	var layout struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	var saved []struct{ RepoTags []string }
	if index != nil && json.Unmarshal(index, &layout) == nil {
		for _, m := range layout.Manifests {
			name := m.Annotations["io.containerd.image.name"]
			if name == "" {
				name = m.Annotations["org.opencontainers.image.ref.name"]
			}
			if digestForm.MatchString(m.Digest) && len(out) < maxImages {
				out = append(out, BundleImage{Reference: oneLine(name), Digest: m.Digest})
			}
		}
	}
	if len(out) == 0 && manifest != nil && json.Unmarshal(manifest, &saved) == nil {
		for _, s := range saved {
			for _, tag := range s.RepoTags {
				if len(out) < maxImages {
					out = append(out, BundleImage{Reference: oneLine(tag)})
				}
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is no image in it: give an OCI layout as tar, or what docker save writes")
	}
	return out, nil
}

func readme(rel *release, index *BundleIndex) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Protecting clusters without internet

This bundle belongs to stockade %s. The server applies Gatekeeper %s by itself; its manifests are here to be read. What a
cluster needs from elsewhere are these images:

`, index.Version, rel.version)
	for _, i := range index.Images {
		if !i.Needed {
			continue
		}
		where := "not in this bundle: write it again with --image"
		if i.File != "" {
			where = i.File
		}
		fmt.Fprintf(&b, "- `%s` (%s)", i.Reference, where)
		if i.Digest != "" {
			fmt.Fprintf(&b, ", %s", i.Digest)
		}
		b.WriteString("\n")
	}
	b.WriteString(`
1. Check the files against the SHA-256 sums in index.json.
2. Push the images of images/ to a registry that the nodes reach, under the same paths, with the tool of your registry; or load
   them into every node's container runtime.
3. Protect the cluster with that registry: stockade protect enable CLUSTER --registry registry.example.com/mirror
   (and --pull-secret NAME when it wants credentials). Digests can be set in the cluster's protection settings.
`)
	return b.String()
}
