//go:build !linux

package host

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Root is an open root folder.
type Root struct {
	root *os.Root
	name string
}

// OpenRoot opens a folder as the root.
func OpenRoot(dir string) (*Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Root{root, dir}, nil
}

// Close closes the root.
func (r *Root) Close() error { return r.root.Close() }

// Name is the path that the root was opened by.
func (r *Root) Name() string { return r.name }

// IsProc reports whether the root is a process file system of the kernel.
func (r *Root) IsProc() bool { return false }

// ID tells which folder the root is; here nothing does.
func (r *Root) ID() (ID, error) { return ID{}, errors.ErrUnsupported }

func local(path string) string {
	if p := strings.Join(split(path), "/"); p != "" {
		return p
	}
	return "."
}

// Stat follows symbolic links below the root.
func (r *Root) Stat(path string) (Info, error) { return r.info(path, r.root.Stat) }

// Lstat does not follow a link at the end.
func (r *Root) Lstat(path string) (Info, error) { return r.info(path, r.root.Lstat) }

func (r *Root) info(path string, stat func(string) (fs.FileInfo, error)) (Info, error) {
	i, err := stat(local(path))
	if err != nil {
		return Info{}, err
	}
	return Info{Path: "/" + local(path), Mode: i.Mode(), Size: i.Size(), UID: -1, GID: -1, MTime: i.ModTime().Unix()}, nil
}

// Readlink returns what a symbolic link says.
func (r *Root) Readlink(path string) (string, error) { return r.root.Readlink(local(path)) }

// Open opens a regular file for reading.
func (r *Root) Open(path string) (*os.File, Info, error) {
	info, err := r.Stat(path)
	if err == nil && !info.Mode.IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: ErrIrregular}
	}
	if err != nil {
		return nil, Info{}, err
	}
	f, err := r.root.Open(local(path))
	return f, info, err
}

// OpenMagic needs a process file system of Linux.
func (r *Root) OpenMagic(path string) (*os.File, Info, error) {
	return nil, Info{}, &fs.PathError{Op: "open", Path: path, Err: errors.ErrUnsupported}
}

// OpenMagicRoot needs a process file system of Linux.
func (r *Root) OpenMagicRoot(path string) (*Root, error) {
	return nil, &fs.PathError{Op: "open", Path: path, Err: errors.ErrUnsupported}
}

// List returns the names in a folder, sorted, at most limit.
func (r *Root) List(path string, limit int) ([]Entry, error) {
	d, err := r.root.Open(local(path))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	list, err := d.ReadDir(limit)
	out := make([]Entry, 0, len(list))
	for _, e := range list {
		out = append(out, Entry{e.Name(), e.Type()})
	}
	slices.SortFunc(out, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}
