package lab

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is an image of one layer, made of files and folders of this machine. The
// same files give the same digest.
type Image struct {
	Files      map[string]string // path in the image -> file or folder here
	Texts      map[string]string // path in the image -> content
	Entrypoint []string
	Command    []string
	User       string // "65532" unless it is said
	Env        []string
	Labels     map[string]string
}

// Build packs the image.
func (i Image) Build() (v1.Image, error) {
	layer, err := i.layer()
	if err != nil {
		return nil, err
	}
	// Not compressed: it travels over loopback.
	img, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON),
		static.NewLayer(layer, types.OCIUncompressedLayer))
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	user := i.User
	if user == "" {
		user = "65532"
	}
	file.Config = v1.Config{Entrypoint: i.Entrypoint, Cmd: i.Command, User: user, WorkingDir: "/", Labels: i.Labels,
		Env: append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, i.Env...)}
	return mutate.ConfigFile(img, file)
}

// archive writes the image as `docker save` does.
func (i Image) archive(ref, out string) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	img, err := i.Build()
	if err != nil {
		return err
	}
	return tarball.WriteToFile(out, tag, img)
}

func (i Image) layer() ([]byte, error) {
	var out bytes.Buffer
	w := layerWriter{tar: tar.NewWriter(&out), made: map[string]bool{}}
	if err := w.header(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return nil, err
	}
	w.made["tmp/"] = true
	for _, to := range slices.Sorted(maps.Keys(i.Files)) {
		if err := w.tree(i.Files[to], strings.TrimPrefix(path.Clean(to), "/")); err != nil {
			return nil, fmt.Errorf("pack %s: %w", to, err)
		}
	}
	for _, to := range slices.Sorted(maps.Keys(i.Texts)) {
		if err := w.file(strings.TrimPrefix(path.Clean(to), "/"), 0o644, []byte(i.Texts[to])); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.tar.Close()
}

type layerWriter struct {
	tar  *tar.Writer
	made map[string]bool // folders, with a slash at the end
}

func (w layerWriter) header(h *tar.Header) error {
	h.ModTime = time.Unix(0, 0)
	return w.tar.WriteHeader(h)
}

// parents makes the folders above a name.
func (w layerWriter) parents(name string) error {
	dir := path.Dir(name)
	if dir == "." || w.made[dir+"/"] {
		return nil
	}
	if err := w.parents(dir); err != nil {
		return err
	}
	w.made[dir+"/"] = true
	return w.header(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755})
}

func (w layerWriter) file(name string, mode fs.FileMode, content []byte) error {
	if err := w.parents(name); err != nil {
		return err
	}
	if err := w.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode.Perm()), Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.tar.Write(content)
	return err
}

// tree packs a file, or a folder with what is in it; devices and sockets are left
// out.
func (w layerWriter) tree(from, to string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		at := path.Join(to, filepath.ToSlash(below))
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			return w.file(at, info.Mode(), content)
		case info.IsDir():
			return w.parents(path.Join(at, "x"))
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			if err := w.parents(at); err != nil {
				return err
			}
			return w.header(&tar.Header{Typeflag: tar.TypeSymlink, Name: at, Linkname: target, Mode: 0o777})
		}
		return nil
	})
}
