// Package archive opens images kept in files: OCI layouts (folder or tar) and what docker save writes.
package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/collect/image/source"
)

// Options for opening files.
type Options struct {
	Platform string // "linux/arm64"; "" is linux with the architecture of this program
	TempDir  string // for archives that are packed as a whole; "" is the system's
	MaxBytes int64  // of an archive unpacked; 0 is 20 GiB
}

func (o Options) max() int64 {
	if o.MaxBytes > 0 {
		return o.MaxBytes
	}
	return 20 << 30
}

// files is a folder or a tar of it.
type files interface {
	open(name string) (io.ReadCloser, int64, error)
}

// folder never leaves its directory, whatever symlinks are in it.
type folder struct{ root *os.Root }

func (f folder) open(name string) (io.ReadCloser, int64, error) {
	if s, err := f.root.Stat(name); err != nil {
		return nil, 0, err
	} else if !s.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is no regular file", name)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	s, err := file.Stat()
	if err != nil || !s.Mode().IsRegular() {
		return nil, 0, errors.Join(fmt.Errorf("%s is no regular file", name), err, file.Close())
	}
	return file, s.Size(), nil
}

// member is where a file of a tar lies.
type member struct {
	offset, size int64
	link         string // of a link: the target
}

// indexed is a tar of which the places of the files are known.
type indexed struct {
	file    *os.File
	members map[string]member
}

func (t indexed) open(name string) (io.ReadCloser, int64, error) {
	m, ok := t.members[path.Clean(name)]
	for i := 0; ok && m.link != "" && i < 8; i++ { // docker save before 1.25 links equal layers
		m, ok = t.members[m.link]
	}
	if !ok || m.link != "" {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(io.NewSectionReader(t.file, m.offset, m.size)), m.size, nil
}

// maxMembers bounds the files of an archive: images have a few per layer.
const maxMembers = 100_000

func index(f *os.File) (indexed, error) {
	t := indexed{file: f, members: map[string]member{}}
	r := tar.NewReader(f) // seeks over contents
	for {
		h, err := r.Next()
		if err == io.EOF {
			return t, nil
		}
		if err != nil {
			return t, fmt.Errorf("%s: %w", f.Name(), err)
		}
		if len(t.members) >= maxMembers {
			return t, fmt.Errorf("%s: more than %d files", f.Name(), maxMembers)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "/"))
		switch h.Typeflag {
		case tar.TypeReg:
			at, err := f.Seek(0, io.SeekCurrent) // the reader takes whole blocks and holds none back
			if err != nil {
				return t, err
			}
			t.members[name] = member{offset: at, size: h.Size}
		case tar.TypeSymlink:
			t.members[name] = member{link: path.Join(path.Dir(name), h.Linkname)}
		case tar.TypeLink:
			t.members[name] = member{link: path.Clean(strings.TrimPrefix(h.Linkname, "/"))}
		}
	}
}

// openTar indexes a tar file, unpacked first when it is gzip or zstd.
func openTar(img *source.Image, name string, o Options) (indexed, error) {
	f, err := os.Open(name)
	if err != nil {
		return indexed{}, err
	}
	img.OnClose(f.Close)
	head := make([]byte, 4)
	n, _ := io.ReadFull(f, head)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return indexed{}, err
	}
	var r io.Reader
	switch {
	case bytes.HasPrefix(head[:n], []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<18))
		if err != nil {
			return indexed{}, fmt.Errorf("%s: %w", name, err)
		}
		r = z
	case bytes.HasPrefix(head[:n], []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(128<<20))
		if err != nil {
			return indexed{}, fmt.Errorf("%s: %w", name, err)
		}
		defer z.Close()
		r = z
	default:
		return index(f)
	}
	plain, done, err := source.Spool(o.TempDir, r, o.max())
	if err != nil {
		return indexed{}, fmt.Errorf("%s: %w", name, err)
	}
	img.OnClose(done)
	return index(plain)
}

// small reads a document of the archive.
func small(f files, name string) ([]byte, error) {
	r, _, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := source.ReadDocument(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// cut splits FILE[:REST] at the colon that ends a name which exists.
func cut(s string) (file, rest string) {
	if _, err := os.Stat(s); err == nil {
		return s, ""
	}
	for i := strings.IndexByte(s, ':'); i >= 0; {
		if _, err := os.Stat(s[:i]); err == nil && i > 0 {
			return s[:i], s[i+1:]
		}
		next := strings.IndexByte(s[i+1:], ':')
		if next < 0 {
			break
		}
		i += next + 1
	}
	return s, ""
}

// fail closes what was opened.
func fail(img *source.Image, what string, err error) (*source.Image, error) {
	return nil, errors.Join(fmt.Errorf("%s: %w", what, err), img.Close())
}

// opener returns the Open of a layer that is a file of the archive.
func opener(f files, name string) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		r, _, err := f.open(name)
		return r, err
	}
}

const arch = runtime.GOARCH
