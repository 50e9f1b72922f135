package emergency

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"stockade.dev/stockade/internal/emergency/check"
)

// Dir gives the files below a folder: a mounted node, or the root file system of an image. Nothing leads outside (os.Root), and
// nothing but regular files is opened.
type Dir struct{ root *os.Root }

// OpenDir opens a folder. Close it.
func OpenDir(dir string) (*Dir, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Dir{root}, nil
}

// Close ends it.
func (d *Dir) Close() error { return d.root.Close() }

// inside is a path as os.Root takes it.
func inside(p string) string {
	if p = path.Clean("/" + p)[1:]; p == "" {
		return "."
	}
	return p
}

// Open opens a regular file. What is none is not even opened, unless it takes the file's place this moment: opening a device can do things.
func (d *Dir) Open(p string) (check.File, error) {
	at, err := d.resolve(inside(p))
	if err != nil {
		return nil, err
	}
	was, err := d.root.Lstat(at)
	if err == nil && !was.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", p)
	}
	if err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", p)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &opened{f, info}, nil
}

// mostLinks bounds a chain of symbolic links.
const mostLinks = 20

// resolve follows symbolic links by hand: one that begins at the root means the root of this file system, which os.Root refuses.
func (d *Dir) resolve(p string) (string, error) {
	done := "."
	rest := p
	for n := 0; ; {
		if rest == "" {
			return done, nil
		}
		var name string
		name, rest = cutFirst(rest)
		switch name {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		at := path.Join(done, name)
		info, err := d.root.Lstat(at)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = at
			continue
		}
		if n++; n > mostLinks {
			return "", fmt.Errorf("%s: too many symbolic links", p)
		}
		target, err := d.root.Readlink(at)
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			done = "."
		}
		if rest = path.Join(target, rest); path.IsAbs(rest) {
			rest = rest[1:]
		}
	}
}

func cutFirst(p string) (first, rest string) {
	for i := range len(p) {
		if p[i] == '/' {
			return p[:i], p[i+1:]
		}
	}
	return p, ""
}

// List names what is in a folder.
func (d *Dir) List(p string, most int) ([]string, error) {
	at, err := d.resolve(inside(p))
	if err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(most)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

type opened struct {
	*os.File
	info fs.FileInfo
}

func (o *opened) Size() int64       { return o.info.Size() }
func (o *opened) Mode() fs.FileMode { return o.info.Mode() }
