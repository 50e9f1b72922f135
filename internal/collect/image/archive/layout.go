package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"stockade.dev/stockade/internal/collect/image/source"
	"stockade.dev/stockade/internal/inventory"
)

// refName is the annotation that tags an image of a layout (OCI image specification, annotations). containerd writes the
// whole reference beside it.
const (
	refName       = "org.opencontainers.image.ref.name"
	containerName = "io.containerd.image.name"
)

// Layout opens the image of an OCI layout: DIR[:TAG], or a tar of such a folder. A layout with one image needs no tag; TAG may
// also be a digest.
func Layout(ctx context.Context, ref string, o Options) (*source.Image, error) {
	name, tag := cut(ref)
	img := &source.Image{Kind: source.KindImage, Name: "oci:" + ref}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	var f files
	if info.IsDir() {
		root, err := os.OpenRoot(name)
		if err != nil {
			return nil, err
		}
		img.OnClose(root.Close)
		f = folder{root}
	} else {
		t, err := openTar(img, name, o)
		if err != nil {
			return fail(img, name, err)
		}
		f = t
	}
	if err := layoutImage(ctx, img, f, tag, o); err != nil {
		return fail(img, name, err)
	}
	if img.Info.Reference == "" {
		img.Info.Reference = img.Name
	}
	return img, nil
}

func layoutImage(ctx context.Context, img *source.Image, f files, tag string, o Options) error {
	raw, err := small(f, "index.json")
	if err != nil {
		return fmt.Errorf("no OCI layout: %w", err)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(raw, &index); err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	d, err := tagged(&index, tag)
	if err != nil {
		return err
	}
	if n := d.Annotations[containerName]; n != "" {
		img.Info.Reference = n
	}
	blob := func(_ context.Context, d v1.Descriptor) ([]byte, error) {
		data, err := small(f, blobPath(d.Digest))
		if err != nil {
			return nil, err
		}
		return data, source.Verify(data, d.Digest.String())
	}
	m, err := source.Resolve(ctx, img, d, nil, o.Platform, arch, blob)
	if err != nil {
		return err
	}
	for i, l := range m.Layers {
		layer := &img.Layers[i]
		if layer.Unread != "" {
			continue
		}
		layer.Open = opener(f, blobPath(l.Digest))
		r, _, err := f.open(blobPath(l.Digest))
		if err != nil {
			layer.Unread, layer.Code = "not in the layout: "+err.Error(), "broken"
			if len(l.URLs) > 0 {
				layer.Unread, layer.Code = "a foreign layer, kept elsewhere", "skipped"
			}
			continue
		}
		_ = r.Close()
	}
	return nil
}

// blobPath is safe: a v1.Hash holds a known algorithm and hex digits only.
func blobPath(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

func tagged(index *v1.IndexManifest, tag string) (v1.Descriptor, error) {
	var names []string
	for _, d := range index.Manifests {
		name := d.Annotations[refName]
		if tag == "" && len(index.Manifests) == 1 || tag != "" && (tag == name || tag == d.Digest.String() || tag == d.Annotations[containerName]) {
			return d, nil
		}
		if name == "" {
			name = d.Digest.String()
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return v1.Descriptor{}, fmt.Errorf("the layout holds no image")
	}
	if tag == "" { // all of one image for several platforms, without an index between
		same := true
		for _, d := range index.Manifests {
			same = same && d.Platform != nil && d.Annotations[refName] == index.Manifests[0].Annotations[refName]
		}
		want, err := source.Platform("", arch)
		if err != nil {
			return v1.Descriptor{}, err
		}
		for _, d := range index.Manifests {
			if same && d.Platform.Satisfies(want) {
				return d, nil
			}
		}
		return v1.Descriptor{}, fmt.Errorf("the layout holds %d images, name one: %s", len(names), strings.Join(names, ", "))
	}
	return v1.Descriptor{}, fmt.Errorf("no image %q in the layout, it has %s", tag, strings.Join(names, ", "))
}

// Docker opens one image of what docker save wrote: FILE[:REFERENCE], packed or not. An archive with one image needs no
// reference.
func Docker(_ context.Context, ref string, o Options) (*source.Image, error) {
	name, want := cut(ref)
	img := &source.Image{Kind: source.KindImage, Name: "docker-archive:" + ref}
	t, err := openTar(img, name, o)
	if err != nil {
		return fail(img, name, err)
	}
	if err := saved(img, t, want); err != nil {
		return fail(img, name, err)
	}
	return img, nil
}

// Saved opens the only image of a docker save stream that lies in an open file. The file stays the caller's.
func Saved(img *source.Image, f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	t, err := index(f)
	if err != nil {
		return err
	}
	return saved(img, t, "")
}

func saved(img *source.Image, f files, want string) error {
	raw, err := small(f, "manifest.json")
	if err != nil {
		return fmt.Errorf("no docker archive: %w", err)
	}
	var list []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("manifest.json: %w", err)
	}
	at, all := -1, []string{}
	for i, m := range list {
		all = append(all, m.RepoTags...)
		for _, tag := range m.RepoTags {
			if tag == want {
				at = i
			}
		}
	}
	switch {
	case at >= 0:
	case want == "" && len(list) == 1:
		at = 0
	default:
		return fmt.Errorf("no image %q in the archive of %d images, it has %s", want, len(list), strings.Join(all, ", "))
	}
	m := list[at]
	img.Info.Reference = want
	if want == "" && len(m.RepoTags) > 0 {
		img.Info.Reference = m.RepoTags[0]
	} else if want == "" {
		img.Info.Reference = img.Name
	}
	config, err := small(f, m.Config)
	if err != nil {
		return fmt.Errorf("image configuration: %w", err)
	}
	if id := configID(m.Config); id != "" {
		if err := source.Verify(config, id); err != nil {
			return fmt.Errorf("image configuration: %w", err)
		}
	}
	sum := sha256.Sum256(config)
	img.Info.ConfigID = "sha256:" + hex.EncodeToString(sum[:])
	ids, err := source.Config(&img.Info, config)
	if err != nil {
		return err
	}
	if len(ids) != len(m.Layers) || len(m.Layers) > source.MaxLayers {
		return fmt.Errorf("manifest.json names %d layers, the configuration %d", len(m.Layers), len(ids))
	}
	for i, p := range m.Layers {
		layer := source.Layer{Layer: inventory.Layer{DiffID: ids[i]}, Open: opener(f, p)}
		if digits, ok := strings.CutPrefix(p, "blobs/sha256/"); ok {
			layer.Digest = "sha256:" + digits
		}
		r, size, err := f.open(p)
		if err != nil {
			layer.Unread, layer.Code = "not in the archive: "+err.Error(), "broken"
		} else {
			layer.Size = size
			_ = r.Close()
		}
		img.Layers = append(img.Layers, layer)
	}
	return nil
}

// configID takes the image's id out of the configuration's name: "<hex>.json" or "blobs/sha256/<hex>" of docker,
// "sha256:<hex>" of other tools.
func configID(name string) string {
	digits := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "blobs/sha256/"), "sha256:"), ".json")
	if h, err := v1.NewHash("sha256:" + digits); err == nil {
		return h.String()
	}
	return ""
}
