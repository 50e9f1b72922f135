package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Packing is how the layers of an image are compressed.
type Packing string

// The packings that container runtimes take.
const (
	Plain Packing = "tar"
	Gzip  Packing = "gzip"
	Zstd  Packing = "zstd"
)

var mediaTypes = map[Packing]types.MediaType{Plain: types.OCIUncompressedLayer, Gzip: types.OCILayer, Zstd: types.OCILayerZStd}

// File is an entry of a layer by its path without leading slash. A path that ends in a slash is a directory.
type File struct {
	Data []byte
	Mode int64  // 0: 0644 for files, 0755 for directories
	Link string // symlink to
	Hard string // hard link to
}

// Files are the entries of a layer by path.
type Files map[string]File

// Delete adds the whiteout of a path.
func (f Files) Delete(p string) Files {
	f[path.Join(path.Dir(p), ".wh."+path.Base(p))] = File{}
	return f
}

// Text adds a text file.
func (f Files) Text(p, text string) Files {
	f[p] = File{Data: []byte(text)}
	return f
}

var stamp = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Tar writes the entries in the order of their paths.
func (f Files) Tar() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		e := f[name]
		h := &tar.Header{Name: name, Mode: e.Mode, ModTime: stamp, Typeflag: tar.TypeReg, Size: int64(len(e.Data))}
		switch {
		case strings.HasSuffix(name, "/"):
			h.Typeflag, h.Size = tar.TypeDir, 0
		case e.Link != "":
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, e.Link, 0
		case e.Hard != "":
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, e.Hard, 0
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if h.Typeflag == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		must(w.WriteHeader(h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write(e.Data)
			must(err)
		}
	}
	must(w.Close())
	return b.Bytes()
}

// must is for what cannot fail: writes to memory.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// blob is a packed layer, in memory or in a file. It implements v1.Layer without unpacking anything again.
type blob struct {
	data         []byte
	file         string
	digest, diff v1.Hash
	size         int64
	packing      Packing
}

func (b *blob) Digest() (v1.Hash, error)             { return b.digest, nil }
func (b *blob) DiffID() (v1.Hash, error)             { return b.diff, nil }
func (b *blob) Size() (int64, error)                 { return b.size, nil }
func (b *blob) MediaType() (types.MediaType, error)  { return mediaTypes[b.packing], nil }
func (b *blob) Uncompressed() (io.ReadCloser, error) { return nil, errors.New("not needed") }
func (b *blob) Compressed() (io.ReadCloser, error) {
	if b.file != "" {
		return os.Open(b.file)
	}
	return io.NopCloser(bytes.NewReader(b.data)), nil
}

// pack writes a layer to w as fill writes its tar.
func pack(w io.Writer, p Packing, fill func(io.Writer) error) (*blob, error) {
	outer, inner := sha256.New(), sha256.New()
	b := &blob{packing: p}
	count := &counter{}
	var z io.WriteCloser
	var err error
	out := io.MultiWriter(w, outer, count)
	switch p {
	case Gzip:
		z, err = gzip.NewWriterLevel(out, 3)
	case Zstd:
		z, err = zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedDefault))
	default:
		z = nopCloser{out}
	}
	if err == nil {
		err = fill(io.MultiWriter(z, inner))
	}
	if err == nil {
		err = z.Close()
	}
	b.digest = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(outer.Sum(nil))}
	b.diff = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(inner.Sum(nil))}
	b.size = count.n
	return b, err
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// Layer packs entries to a layer.
func Layer(f Files, p Packing) v1.Layer { return TarLayer(f.Tar(), p) }

// TarLayer packs a tar to a layer.
func TarLayer(data []byte, p Packing) v1.Layer {
	var out bytes.Buffer
	b, err := pack(&out, p, func(w io.Writer) error { _, err := w.Write(data); return err })
	must(err)
	b.data = out.Bytes()
	return b
}

// Image makes an image of layers; config may be nil.
func Image(config func(*v1.ConfigFile), layers ...v1.Layer) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	var adds []mutate.Addendum
	for i, l := range layers {
		adds = append(adds, mutate.Addendum{Layer: l, History: v1.History{Created: v1.Time{Time: stamp}, CreatedBy: fmt.Sprintf("layer %d", i)}})
	}
	img, err := mutate.Append(img, adds...)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS, file.Created = "amd64", "linux", v1.Time{Time: stamp}
	if config != nil {
		config(file)
	}
	return mutate.ConfigFile(img, file)
}

// WriteLayout writes an OCI layout with one image, tagged "test", and returns how the scanner is told of it: "oci:DIR:test".
func WriteLayout(dir string, img v1.Image) (string, error) {
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		return "", err
	}
	err = p.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "test"}),
		layout.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
	return "oci:" + dir + ":test", err
}

// Layout writes an image of layers to a folder of the test and returns its reference.
func Layout(t testing.TB, layers ...v1.Layer) string {
	t.Helper()
	img, err := Image(nil, layers...)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := WriteLayout(t.TempDir(), img)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// tree writes the tar of a folder as an image builder does: sorted, with owners, modes, links; no devices. With below, only
// what differs from that folder is written, and whiteouts for what is gone.
func tree(w io.Writer, dir, below string) error {
	out := tar.NewWriter(w)
	hard := map[uint64]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if below != "" {
			if d.IsDir() {
				if err := gone(out, filepath.Join(below, name), p, name); err != nil {
					return err
				}
			}
			if old, err := os.Lstat(filepath.Join(below, name)); err == nil && same(old, info, filepath.Join(below, name), p) {
				return nil
			}
		}
		return entry(out, p, name, info, hard)
	})
	if err == nil && below != "" {
		err = gone(out, below, dir, "")
	}
	return errors.Join(err, out.Close())
}

// gone writes whiteouts for what is in the folder below and not above.
func gone(out *tar.Writer, below, above, name string) error {
	entries, err := os.ReadDir(below)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	for _, e := range entries {
		if _, missing := os.Lstat(filepath.Join(above, e.Name())); errors.Is(missing, fs.ErrNotExist) {
			if err := out.WriteHeader(&tar.Header{Name: path.Join(name, ".wh."+e.Name()), Typeflag: tar.TypeReg, ModTime: stamp}); err != nil {
				return err
			}
		}
	}
	return err
}

// same tells whether a file is as it was; cp -a keeps times.
func same(old, now fs.FileInfo, oldPath, nowPath string) bool {
	if old.Mode() != now.Mode() {
		return false
	}
	if now.IsDir() {
		return true
	}
	if now.Mode()&fs.ModeSymlink != 0 {
		a, _ := os.Readlink(oldPath)
		b, _ := os.Readlink(nowPath)
		return a == b
	}
	return old.Size() == now.Size() && old.ModTime().Equal(now.ModTime())
}

func entry(out *tar.Writer, p, name string, info fs.FileInfo, hard map[uint64]string) error {
	if info.Mode()&(fs.ModeSocket|fs.ModeDevice|fs.ModeNamedPipe) != 0 {
		return nil
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if link, err = os.Readlink(p); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	if h.Name = filepath.ToSlash(name); info.IsDir() {
		h.Name += "/"
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink > 1 && info.Mode().IsRegular() {
		if first := hard[s.Ino]; first != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		} else {
			hard[s.Ino] = h.Name
		}
	}
	if err := out.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := os.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, f)
	return err
}

// treeLayer packs a folder to a file.
func treeLayer(file string, p Packing, dir, below string) (*blob, error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	b, err := pack(f, p, func(w io.Writer) error { return tree(w, dir, below) })
	if b != nil {
		b.file = file
	}
	return b, errors.Join(err, f.Close())
}
