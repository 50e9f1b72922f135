package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// onNode is where a path of the node is seen below the folder at which the node's root is mounted: symlinks are followed as on the
// node. The path is of the runtime, not of a container.
func onNode(root, p string) (string, error) {
	if root == "/" {
		return p, nil
	}
	todo, done := strings.Split(path.Clean("/"+p), "/"), "/"
	for hops := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, name)
		info, err := os.Lstat(filepath.Join(root, next))
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if hops++; hops > 40 {
			return "", fmt.Errorf("%s: too many symlinks", p)
		}
		target, err := os.Readlink(filepath.Join(root, next))
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			done = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return filepath.Join(root, done), nil
}

var errNotRegular = errors.New("not a regular file")

// openRegular opens a file of a folder if it is a regular one. The kernel is asked what it is before anything is opened: opening a
// device can do things, opening a pipe waits.
func openRegular(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	return quietly(os.OpenFile, fmt.Sprintf("/proc/self/fd/%d", fd), 0)
}

// quietly opens for reading without waiting, and without a new access time where that is allowed.
func quietly(open func(name string, flags int, mode os.FileMode) (*os.File, error), name string, flags int) (*os.File, error) {
	flags |= os.O_RDONLY | unix.O_NONBLOCK
	f, err := open(name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, fs.ErrPermission) { // O_NOATIME is for the owner
		f, err = open(name, flags, 0)
	}
	return f, err
}

// openBelow opens a regular file by its path below a folder that a container may have written: no symlink leads outside.
func openBelow(root *os.Root, p string) (*os.File, error) {
	dir, err := root.Open(path.Dir(p))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return openRegular(dir, path.Base(p))
}

// document reads a small file of the node.
func document(root, p string, most int64) ([]byte, error) {
	at, err := onNode(root, p)
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(at))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := openRegular(dir, filepath.Base(at))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s has more than %d bytes", p, most)
	}
	return data, err
}

// errLimit ends a walk.
var errLimit = errors.New("limit")

// deepest bounds folders in folders, each of which is open while those below it are read.
const deepest = 128

// tree walks a folder in order, one name at a time (os.Root): whatever is swapped in meanwhile, nothing outside is reached.
type tree struct {
	ctx   context.Context
	count func() error                                      // called for every entry
	visit func(dir *os.File, p string, e fs.DirEntry) error // for every entry that is no folder
	skip  func(p string) bool                               // folders that are left out
	fail  func(p string, err error)                         // what cannot be read
}

func (t *tree) walk(root *os.Root, p string, depth int) error {
	dir, err := quietly(root.OpenFile, ".", unix.O_DIRECTORY)
	if err != nil {
		t.fail(p, err)
		return nil
	}
	defer dir.Close()
	var entries []fs.DirEntry
	var full error // what was listed up to the limit is still looked at
	for full == nil {
		some, err := dir.ReadDir(1024)
		for range some {
			if full = t.count(); full != nil {
				break
			}
		}
		entries = append(entries, some...)
		if t.ctx.Err() != nil {
			return t.ctx.Err()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.fail(p, err)
			}
			break
		}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		at := path.Join(p, e.Name())
		if !e.IsDir() {
			if err := t.visit(dir, at, e); err != nil {
				return err
			}
			continue
		}
		if full != nil || t.skip != nil && t.skip(at) {
			continue
		}
		if depth >= deepest {
			t.fail(at, fmt.Errorf("folders in folders more than %d deep", deepest))
			continue
		}
		sub, err := root.OpenRoot(e.Name())
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				t.fail(at, err)
			}
			continue
		}
		err = t.walk(sub, at, depth+1)
		sub.Close()
		if err != nil {
			return err
		}
	}
	return full
}
