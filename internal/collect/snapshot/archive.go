package snapshot

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
)

var (
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	gzipMagic = []byte{0x1f, 0x8b}
)

// entries walks over the regular files of an archive. Names are cleaned: they begin with no slash and hold no "..".
func entries(file string, visit func(name string, r io.Reader) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	buf := bufio.NewReaderSize(f, 256<<10)
	head, err := buf.Peek(4)
	if err != nil {
		return fmt.Errorf("too short for an archive")
	}
	var in io.Reader = buf
	switch {
	case bytes.HasPrefix(head, zstdMagic):
		const window = 128 << 20 // what zstd --long=27 uses; more is an attack on memory
		z, err := zstd.NewReader(buf, zstd.WithDecoderMaxWindow(window), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return err
		}
		defer z.Close()
		in = z
	case bytes.HasPrefix(head, gzipMagic):
		z, err := gzip.NewReader(buf)
		if err != nil {
			return err
		}
		in = z
	}
	t := tar.NewReader(in)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := path.Clean("/" + strings.ReplaceAll(h.Name, `\`, "/"))[1:]
		if err := visit(name, t); err != nil {
			return err
		}
	}
}

// errFound ends a walk early.
var errFound = errors.New("found")

// documentInArchive returns snapshot.json, nil when there is none, and whether it is the first entry: then Write made the
// archive and its objects come in the order of reading.
func documentInArchive(file string) (data []byte, first bool, err error) {
	n := 0
	err = entries(file, func(name string, r io.Reader) error {
		n++
		if name != documentName && !(path.Base(name) == documentName && strings.Count(name, "/") == 1) {
			return nil
		}
		first = n == 1 && name == documentName
		if data, err = readDocument(r); err != nil {
			return err
		}
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return data, first, err
}

// archive reads an archive in one go.
func (r *reading) archive() error {
	files := 0
	err := entries(r.source.path, func(name string, content io.Reader) error {
		if files++; files > r.lim.Files {
			return errTotal
		}
		if err := r.file(content, name); err != nil {
			return &stop{err}
		}
		return nil
	})
	return r.damaged(err)
}

// stop marks an error that is not the archive's.
type stop struct{ err error }

func (s *stop) Error() string { return s.err.Error() }

func (s *stop) Unwrap() error { return s.err }

// damaged tells of an archive that cannot be read to its end; what was read before stands.
func (r *reading) damaged(err error) error {
	var s *stop
	switch {
	case err == nil:
		return nil
	case errors.As(err, &s):
		return s.err
	case errors.Is(err, errTotal):
		return err
	}
	r.tell(r.source.path, "the rest of the archive", "it is damaged or cut off: "+err.Error(), finding.Broken)
	return nil
}

// unpacked extracts the archive to a temporary folder, for archives whose order is not that of reading.
func (r *reading) unpacked(read func(dir string) error) error {
	dir, err := os.MkdirTemp("", "stockade-snapshot-")
	if err != nil {
		return fault.Wrap(fault.Input, "unpacking the snapshot", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	base, err := r.extract(dir)
	if err = r.damaged(err); err != nil && !errors.Is(err, errTotal) {
		return err
	}
	if err != nil {
		r.tell(r.source.path, "the rest of the archive", fmt.Sprintf("it unpacks to more than %d files or %d GiB", r.lim.Files, r.lim.Total>>30), finding.Limit)
	}
	r.total = 0 // it is counted again when the files are read
	return read(filepath.Join(dir, base))
}

// extract writes the files of the archive below dir and returns the folder in which snapshot.json lies.
func (r *reading) extract(dir string) (base string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", &stop{err}
	}
	defer func() { _ = root.Close() }()
	files := 0
	err = entries(r.source.path, func(name string, content io.Reader) error {
		if files++; files > r.lim.Files {
			return errTotal
		}
		if path.Base(name) == documentName && strings.Count(name, "/") == 1 {
			base = path.Dir(name)
		}
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return &stop{err}
		}
		f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return &stop{err}
		}
		_, err = io.Copy(f, r.counted(content))
		return errors.Join(err, f.Close())
	})
	return base, err
}

// counted counts what is read against Limits.Total.
func (r *reading) counted(in io.Reader) io.Reader { return &counter{in, r} }

type counter struct {
	in io.Reader
	r  *reading
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if c.r.total += int64(n); c.r.total > c.r.lim.Total {
		return n, errTotal
	}
	return n, err
}
