package snapshot

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Summary says what was saved.
type Summary struct {
	Objects    int
	NotScanned []finding.NotScanned
}

// Write saves what src brings to dst: a file when the name ends in .tar.zst or .tzst, else a folder. It appears under its
// name when it is complete; an older snapshot there is replaced, anything else is not. Values of Secrets are never
// written.
func Write(ctx context.Context, dst string, src collect.Source, now time.Time) (*Summary, error) {
	archive := strings.HasSuffix(dst, ".tar.zst") || strings.HasSuffix(dst, ".tzst")
	if err := replaceable(dst, archive); err != nil {
		return nil, err
	}
	parent := filepath.Dir(filepath.Clean(dst))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, fault.Wrap(fault.Input, "", err)
	}
	tmp, err := os.MkdirTemp(parent, ".stockade-snapshot-")
	if err != nil {
		return nil, fault.Wrap(fault.Input, "", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	w := &writer{dir: filepath.Join(tmp, "snapshot"), files: map[string]*file{}, images: map[Image]bool{}}
	sum, err := w.write(ctx, src, now)
	if err != nil {
		return nil, err
	}
	if archive {
		packed := filepath.Join(tmp, "snapshot.tar.zst")
		if err := pack(packed, w.dir, now); err != nil {
			return nil, err
		}
		return sum, os.Rename(packed, dst)
	}
	return sum, replace(w.dir, dst, filepath.Join(tmp, "old"))
}

// replaceable refuses to write over what is no snapshot.
func replaceable(dst string, archive bool) error {
	st, err := os.Stat(dst)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if ext := filepath.Ext(dst); !archive && slices.Contains([]string{".zst", ".gz", ".tgz", ".tar", ".zip", ".json", ".yaml"}, ext) {
			return fault.New(fault.Usage, "%s: a snapshot is a folder or a file that ends in .tar.zst", dst)
		}
		return nil
	case err != nil:
		return fault.Wrap(fault.Input, "", err)
	case archive && st.IsDir():
		return fault.New(fault.Usage, "%s is a folder", dst)
	case archive:
		return nil
	case !st.IsDir():
		return fault.New(fault.Usage, "%s is a file: a snapshot is a folder or a file that ends in .tar.zst", dst)
	}
	entries, err := os.ReadDir(dst)
	if err != nil {
		return fault.Wrap(fault.Input, "", err)
	}
	if len(entries) == 0 || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == documentName }) {
		return nil
	}
	return fault.New(fault.Usage, "%s holds other files: name a new folder", dst)
}

// replace moves the folder dir to dst, and what is there away first.
func replace(dir, dst, old string) error {
	if err := os.Rename(dst, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(dir, dst); err != nil {
		return errors.Join(err, os.Rename(old, dst))
	}
	return nil
}

type writer struct {
	dir    string
	files  map[string]*file
	order  []string
	images map[Image]bool
	count  int
}

type file struct {
	f    *os.File
	buf  *bufio.Writer
	enc  *json.Encoder
	kind string
	n    int
}

func (w *writer) write(ctx context.Context, src collect.Source, now time.Time) (*Summary, error) {
	for _, d := range [...]string{objectsDir, nodesDir} {
		if err := os.MkdirAll(filepath.Join(w.dir, d), 0o700); err != nil {
			return nil, fault.Wrap(fault.Input, "", err)
		}
	}
	sum := &Summary{}
	err := src.Stream(ctx, w.object, func(n finding.NotScanned) { sum.NotScanned = append(sum.NotScanned, n) })
	err = errors.Join(err, w.close())
	if err != nil {
		return nil, err
	}
	info := src.Info()
	doc := Document{Schema: Schema, Cluster: info.Name, Version: info.Version, Distribution: info.Distribution, Managed: info.Managed,
		Time: now.UTC().Format(time.RFC3339), NotScanned: sum.NotScanned, Unread: info.Unread}
	for _, path := range w.order {
		doc.Files = append(doc.Files, File{Path: path, Kind: w.files[path].kind, Objects: w.files[path].n})
	}
	slices.SortStableFunc(doc.Files, func(a, b File) int { return rank(a.Path) - rank(b.Path) })
	images := make([]Image, 0, len(w.images))
	for i := range w.images {
		images = append(images, i)
	}
	slices.SortFunc(images, func(a, b Image) int { return strings.Compare(a.Reference+" "+a.Digest, b.Reference+" "+b.Digest) })
	sum.Objects = w.count
	return sum, errors.Join(writeJSON(filepath.Join(w.dir, imagesName), images), writeJSON(filepath.Join(w.dir, documentName), doc))
}

func writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fault.Wrap(fault.Internal, "writing "+name, err)
	}
	return os.WriteFile(name, append(data, '\n'), 0o600)
}

// object saves one object.
func (w *writer) object(o *inventory.Object) error {
	w.count++
	collect.Redact(o)
	if o.Kind == "NodeFacts" {
		name := inventory.Str(o.Content, "name")
		if name == "" {
			name = o.Name
		}
		return writeJSON(filepath.Join(w.dir, nodesDir, plain(name)+".json"), o.Content)
	}
	path := objectsFile(o)
	f := w.files[path]
	if f == nil {
		var err error
		if f, err = w.create(path); err != nil {
			return err
		}
		f.kind = o.Ref().GroupKind()
	}
	f.n++
	if o.Kind == "Pod" {
		w.podImages(o)
	}
	return f.enc.Encode(o.Content)
}

func (w *writer) create(path string) (*file, error) {
	const most = 500 // open files; a cluster has some seventy kinds that are read
	if len(w.files) >= most {
		return nil, fmt.Errorf("more than %d kinds of objects", most)
	}
	osFile, err := os.OpenFile(filepath.Join(w.dir, path), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	f := &file{f: osFile, buf: bufio.NewWriterSize(osFile, 64<<10)}
	f.enc = json.NewEncoder(f.buf)
	f.enc.SetEscapeHTML(false)
	w.files[path] = f
	w.order = append(w.order, path)
	return f, nil
}

// podImages notes which images the containers of a Pod run.
func (w *writer) podImages(o *inventory.Object) {
	digests := map[string]string{}
	for _, list := range [...]string{"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"} {
		for _, v := range inventory.List(o.Content, "status", list) {
			if m, ok := v.(map[string]any); ok {
				digests[inventory.Str(m, "name")] = inventory.ImageDigest(inventory.Str(m, "imageID"))
			}
		}
	}
	for _, c := range o.Containers() {
		if image := inventory.Str(c.Content, "image"); image != "" {
			w.images[Image{image, digests[c.Name]}] = true
		}
	}
}

func (w *writer) close() error {
	var errs []error
	for _, f := range w.files {
		errs = append(errs, f.buf.Flush(), f.f.Close())
	}
	return errors.Join(errs...)
}

// pack writes the folder to a tar.zst: snapshot.json first, then objects in the order of reading, so that the archive can
// be read in one go.
func pack(dst, dir string, now time.Time) (err error) {
	f, err := os.OpenFile(dst, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := zstd.NewWriter(f)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	names, err := packOrder(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := packFile(t, dir, name, now); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close(), f.Sync())
}

func packOrder(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, path) // path is below dir
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	slices.SortStableFunc(names, func(a, b string) int {
		if d := place(a) - place(b); d != 0 {
			return d
		}
		return rank(a) - rank(b)
	})
	return names, err
}

func place(name string) int {
	switch {
	case name == documentName:
		return 0
	case strings.HasPrefix(name, nodesDir):
		return 1
	case strings.HasPrefix(name, objectsDir):
		return 2
	}
	return 3
}

func packFile(t *tar.Writer, dir, name string, now time.Time) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	err = t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: st.Size(), ModTime: now.UTC().Truncate(time.Second), Format: tar.FormatPAX})
	if err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}
