package runtime

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"stockade.dev/stockade/internal/collect/image/source"
	"stockade.dev/stockade/internal/inventory"
)

// CRIO opens an image in containers/storage with the overlay driver, as CRI-O and Podman keep it: layers lie unpacked in
// directories with overlayfs whiteouts.
func CRIO(_ context.Context, ref string, o Options) (*source.Image, error) {
	dir := or(o.StorageRoot, "/var/lib/containers/storage")
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	img := &source.Image{Kind: source.KindImage, Name: "crio:" + ref}
	img.Info.Reference = ref
	err = stored(img, root, dir, ref)
	if err = errors.Join(err, root.Close()); err != nil {
		return nil, fmt.Errorf("containers/storage at %s: %w", dir, err)
	}
	return img, nil
}

type storedImage struct {
	ID     string   `json:"id"`
	Digest string   `json:"digest"`
	Names  []string `json:"names"`
	Layer  string   `json:"layer"` // the topmost
}

type storedLayer struct {
	ID         string `json:"id"`
	Parent     string `json:"parent"`
	Diff       string `json:"diff-digest"`
	Compressed string `json:"compressed-diff-digest"`
	Size       int64  `json:"compressed-size"`
}

func stored(img *source.Image, root *os.Root, dir, ref string) error {
	var images []storedImage
	if err := list(root, "overlay-images/images.json", &images); err != nil {
		return err
	}
	want := []string{ref}
	if parsed, err := name.ParseReference(ref); err == nil {
		want = append(want, strings.Replace(parsed.Name(), name.DefaultRegistry+"/", "docker.io/", 1))
	}
	at := slices.IndexFunc(images, func(i storedImage) bool {
		return i.ID == ref || i.Digest == ref || "sha256:"+i.ID == ref || slices.ContainsFunc(i.Names, func(n string) bool { return slices.Contains(want, n) })
	})
	if at < 0 {
		return fmt.Errorf("no image %q", ref)
	}
	found := images[at]
	if !plainID(found.ID) {
		return fmt.Errorf("images.json: %q is no id", found.ID)
	}
	img.Info.Digest, img.Info.ConfigID = found.Digest, "sha256:"+found.ID
	config, err := document(root, "overlay-images/"+found.ID+"/"+dataName(img.Info.ConfigID))
	if err != nil {
		return fmt.Errorf("image configuration: %w", err)
	}
	ids, err := source.Config(&img.Info, config)
	if err != nil {
		return err
	}
	var all []storedLayer
	for _, place := range []string{"overlay-layers/layers.json", "overlay-layers/volatile-layers.json"} {
		var some []storedLayer
		if err := list(root, place, &some); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		all = append(all, some...)
	}
	byID := map[string]storedLayer{}
	for _, l := range all {
		byID[l.ID] = l
	}
	for id := found.Layer; id != ""; id = byID[id].Parent {
		l, ok := byID[id]
		if !ok || !plainID(id) {
			return fmt.Errorf("layer %q is not in layers.json", id)
		}
		if len(img.Layers) >= source.MaxLayers {
			return errors.New("layers.json names parents in a circle")
		}
		layer := source.Layer{Layer: inventory.Layer{Digest: l.Compressed, DiffID: l.Diff, Size: l.Size}, Dir: filepath.Join(dir, "overlay", id, "diff")}
		if s, err := root.Lstat("overlay/" + id + "/diff"); err != nil {
			layer.Unread, layer.Code = err.Error(), "broken"
		} else if !s.IsDir() {
			layer.Unread, layer.Code = "its diff is no directory", "broken"
		}
		img.Layers = append(img.Layers, layer)
	}
	slices.Reverse(img.Layers)
	if len(img.Layers) != len(ids) {
		img.Gaps = append(img.Gaps, inventory.Gap{What: "image configuration", Code: "broken",
			Reason: fmt.Sprintf("it names %d layers, the store has %d", len(ids), len(img.Layers))})
	}
	return nil
}

// plainID keeps names out that would lead elsewhere.
func plainID(s string) bool {
	return s != "" && !strings.ContainsAny(s, "/\\") && s != "." && s != ".."
}

// dataName is the file in which containers/storage keeps a piece of data: names of lower-case letters, digits and dots as they
// are, others as "=" and base64.
func dataName(key string) string {
	for _, c := range key {
		if c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return "=" + base64.StdEncoding.EncodeToString([]byte(key))
		}
	}
	return key
}

func document(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := source.ReadDocument(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

func list(root *os.Root, name string, into any) error {
	data, err := document(root, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
