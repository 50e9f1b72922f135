// Package source has the nouns that every place of images speaks: an opened image, its layers, and how manifests and
// configurations are read and checked. It opens nothing itself.
package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"stockade.dev/stockade/internal/inventory"
)

// MaxDocument bounds a manifest, index or configuration, in bytes: registries accept 4 MiB at most by convention of the
// distribution specification; configurations of big builds may be larger.
const MaxDocument = 16 << 20

// MaxLayers bounds the layers of one image. Overlay file systems end far below.
const MaxLayers = 4096

// Kinds of what was opened.
const (
	KindImage  = "image"
	KindRootFS = "rootfs"
)

// Image is an opened image or root file system. Close it after use.
type Image struct {
	Kind   string // KindImage or KindRootFS
	Name   string // as the user asked for it
	Info   inventory.Image
	Layers []Layer // lowest first
	Gaps   []inventory.Gap
	Root   string // directory of a root file system
	closes []func() error
}

// Layer is one layer: a blob that can be opened, or a directory that holds it unpacked.
type Layer struct {
	inventory.Layer
	// Open returns the blob as stored: packed or not, neither checked nor bounded. It may be called more than once.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Dir is the directory of an unpacked layer with overlayfs whiteouts; Open is nil then.
	Dir string
	// Remote says that reading may fail for a moment and is worth another try.
	Remote bool
	// Unread is why the layer cannot be opened at all, with the code of a Gap.
	Unread, Code string
}

// OnClose remembers what Close has to do.
func (i *Image) OnClose(f func() error) { i.closes = append(i.closes, f) }

// Close frees files and connections.
func (i *Image) Close() error {
	var errs []error
	for _, f := range slices.Backward(i.closes) {
		errs = append(errs, f())
	}
	i.closes = nil
	return errors.Join(errs...)
}

// Blob fetches a small document by digest: a manifest, an index or a configuration.
type Blob func(ctx context.Context, d v1.Descriptor) ([]byte, error)

// Verify reports an error when data does not have the digest that was asked for.
func Verify(data []byte, digest string) error {
	sum := sha256.Sum256(data)
	if got := "sha256:" + hex.EncodeToString(sum[:]); got != digest {
		return fmt.Errorf("wrong digest: asked for %s, got %s", digest, got)
	}
	return nil
}

// ReadDocument reads a document to its end, but not beyond MaxDocument.
func ReadDocument(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	if err == nil && len(data) > MaxDocument {
		err = fmt.Errorf("document larger than %d bytes", MaxDocument)
	}
	return data, err
}

// parse decodes JSON and says in plain words when it is something else, as the log-in page of a proxy.
func parse(data []byte, what string, into any) error {
	trimmed := bytes.TrimSpace(data)
	if len(trimmed) == 0 || trimmed[0] != '{' {
		kind := "not JSON"
		if bytes.HasPrefix(trimmed, []byte("<")) {
			kind = "a web page"
		}
		return fmt.Errorf("%s is %s", what, kind)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Platform is the platform to choose: "linux/arm64/v8"; "" is linux with the architecture given.
func Platform(s, arch string) (v1.Platform, error) {
	if s == "" {
		return v1.Platform{OS: "linux", Architecture: arch}, nil
	}
	p, err := v1.ParsePlatform(s)
	if err != nil {
		return v1.Platform{}, err
	}
	if p.OS == "" || p.Architecture == "" {
		return v1.Platform{}, fmt.Errorf("platform %q: want os/architecture[/variant]", s)
	}
	return *p, nil
}

// choose picks the manifest for the platform out of an index. A variant that was not asked for does not matter. When nothing
// was asked for (exact is false) and nothing fits, the first image stands for all.
func choose(index *v1.IndexManifest, want v1.Platform, exact bool) (v1.Descriptor, error) {
	var have []string
	var first *v1.Descriptor
	for i := range index.Manifests {
		d := &index.Manifests[i]
		if d.Platform == nil {
			if d.MediaType.IsImage() || d.MediaType.IsIndex() || d.MediaType == "" {
				if len(index.Manifests) == 1 {
					return *d, nil
				}
				if first == nil {
					first = d
				}
			}
			continue
		}
		if d.Platform.OS == "unknown" {
			continue // attestations of BuildKit
		}
		if first == nil {
			first = d
		}
		have = append(have, d.Platform.String())
		if d.Platform.Satisfies(want) {
			return *d, nil
		}
	}
	if !exact && first != nil {
		return *first, nil
	}
	if len(have) == 0 {
		return v1.Descriptor{}, errors.New("the index names no image")
	}
	return v1.Descriptor{}, fmt.Errorf("no image for %s: the index has %s", want.String(), strings.Join(have, ", "))
}

// Resolve follows a descriptor through indexes to one image manifest and reads its configuration. It fills in Info and
// returns the manifest, whose layers the caller opens. data is the document of d where the caller has it already.
func Resolve(ctx context.Context, img *Image, d v1.Descriptor, data []byte, platform string, arch string, blob Blob) (*v1.Manifest, error) {
	want, err := Platform(platform, arch)
	if err != nil {
		return nil, err
	}
	for depth := 0; ; depth++ {
		if depth > 4 {
			return nil, errors.New("indexes in indexes more than 4 deep")
		}
		if data == nil {
			if data, err = blob(ctx, d); err != nil {
				return nil, err
			}
		}
		var probe struct {
			MediaType     types.MediaType `json:"mediaType"`
			SchemaVersion int             `json:"schemaVersion"`
			Manifests     json.RawMessage `json:"manifests"`
			Layers        json.RawMessage `json:"layers"`
			FSLayers      json.RawMessage `json:"fsLayers"`
		}
		if err := parse(data, "manifest "+d.Digest.String(), &probe); err != nil {
			return nil, err
		}
		switch {
		case probe.FSLayers != nil || probe.SchemaVersion == 1:
			return nil, errors.New("manifest of schema 1: push the image again with a current tool")
		case probe.Manifests == nil:
			return image(ctx, img, d, data, blob)
		}
		var index v1.IndexManifest
		if err := parse(data, "index "+d.Digest.String(), &index); err != nil {
			return nil, err
		}
		if img.Info.Index == "" {
			img.Info.Index = d.Digest.String()
		}
		if d, err = choose(&index, want, platform != ""); err != nil {
			return nil, err
		}
		data = nil
	}
}

func image(ctx context.Context, img *Image, d v1.Descriptor, data []byte, blob Blob) (*v1.Manifest, error) {
	var m v1.Manifest
	if err := parse(data, "manifest "+d.Digest.String(), &m); err != nil {
		return nil, err
	}
	if len(m.Layers) > MaxLayers {
		return nil, fmt.Errorf("manifest names %d layers, more than %d", len(m.Layers), MaxLayers)
	}
	img.Info.Digest = d.Digest.String()
	img.Info.ConfigID = m.Config.Digest.String()
	if !m.Config.MediaType.IsConfig() && m.Config.MediaType != "" {
		return nil, fmt.Errorf("%s is no container image: its configuration is of type %q", d.Digest, m.Config.MediaType)
	}
	raw, err := blob(ctx, m.Config)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", m.Config.Digest, err)
	}
	diffIDs, err := Config(&img.Info, raw)
	if err != nil {
		return nil, err
	}
	if len(diffIDs) != len(m.Layers) {
		img.Gaps = append(img.Gaps, inventory.Gap{What: "image configuration", Code: "broken",
			Reason: fmt.Sprintf("it names %d layers, the manifest %d", len(diffIDs), len(m.Layers))})
		diffIDs = nil
	}
	for i, l := range m.Layers {
		layer := Layer{Layer: inventory.Layer{Digest: l.Digest.String(), Size: l.Size}}
		if diffIDs != nil {
			layer.DiffID = diffIDs[i]
		}
		switch {
		case l.MediaType != "" && !l.MediaType.IsLayer() && !strings.Contains(string(l.MediaType), ".tar"):
			layer.Unread, layer.Code = fmt.Sprintf("content of type %q is not a layer", l.MediaType), "unsupported"
		case strings.Contains(string(l.MediaType), "encrypted"):
			layer.Unread, layer.Code = "encrypted layer", "unsupported"
		}
		img.Layers = append(img.Layers, layer)
	}
	return &m, nil
}

// Config reads an image configuration into info and returns the diff ids.
func Config(info *inventory.Image, raw []byte) ([]string, error) {
	var c v1.ConfigFile
	if err := parse(raw, "image configuration", &c); err != nil {
		return nil, err
	}
	if len(c.RootFS.DiffIDs) > MaxLayers {
		return nil, fmt.Errorf("image configuration names %d layers, more than %d", len(c.RootFS.DiffIDs), MaxLayers)
	}
	if p := c.Platform(); p != nil {
		info.Platform = p.String()
	}
	info.Created = c.Created.Time
	info.User, info.WorkDir = c.Config.User, c.Config.WorkingDir
	info.Env, info.Cmd, info.Entry = c.Config.Env, c.Config.Cmd, c.Config.Entrypoint
	info.Labels = c.Config.Labels
	info.Health = c.Config.Healthcheck != nil && len(c.Config.Healthcheck.Test) > 0 && c.Config.Healthcheck.Test[0] != "NONE"
	info.Ports, info.Volumes = keys(c.Config.ExposedPorts), keys(c.Config.Volumes)
	layer := 0
	for _, h := range c.History {
		step := inventory.History{Created: h.Created.Time, CreatedBy: h.CreatedBy, Empty: h.EmptyLayer, Layer: -1}
		if !h.EmptyLayer && layer < len(c.RootFS.DiffIDs) {
			step.Layer = layer
			layer++
		}
		info.History = append(info.History, step)
	}
	var ids []string
	for _, h := range c.RootFS.DiffIDs {
		ids = append(ids, h.String())
	}
	return ids, nil
}

func keys(m map[string]struct{}) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Spool copies r to a temporary file that is already unlinked where the system allows it, at most max bytes.
func Spool(dir string, r io.Reader, max int64) (*os.File, func() error, error) {
	f, err := os.CreateTemp(dir, "stockade-archive-*")
	if err != nil {
		return nil, nil, err
	}
	gone := os.Remove(f.Name()) == nil
	done := func() error {
		err := f.Close()
		if !gone {
			err = errors.Join(err, os.Remove(f.Name()))
		}
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, max+1))
	if err == nil && n > max {
		err = fmt.Errorf("more than %d bytes", max)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return f, done, nil
}
