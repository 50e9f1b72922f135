//go:build !linux

package image

import (
	"io/fs"
	"os"
	"path"
	"syscall"
)

func isOpaque(*os.File) bool { return false }

func deviceOf(fs.FileInfo) (uint64, bool) { return 0, false }

// folder is an open directory of a tree.
type folder struct {
	d    *os.File
	root *os.Root
}

// open opens a directory below the root.
func (t *tree) open(dir string) (*folder, error) {
	root, err := t.root.OpenRoot(path.Join(".", dir))
	if err != nil {
		return nil, err
	}
	d, err := root.Open(".")
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &folder{d, root}, nil
}

func (f *folder) close() {
	_ = f.d.Close()
	_ = f.root.Close()
}

func (f *folder) stat(name string) (status, error) {
	info, err := f.root.Lstat(name)
	if err != nil {
		return status{}, err
	}
	return status{mode: info.Mode(), size: info.Size(), uid: -1, gid: -1, major: -1, minor: -1}, nil
}

func (f *folder) open(name string) (*os.File, error) {
	d, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := d.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

func (f *folder) readlink(name string) (string, error) { return f.root.Readlink(name) }
