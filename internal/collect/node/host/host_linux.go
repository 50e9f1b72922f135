package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Root is an open root folder.
type Root struct {
	fd   int
	name string
}

// OpenRoot opens a folder as the root. The path itself is followed as the kernel does: it comes from the user, or is /proc/PID/root.
func OpenRoot(dir string) (*Root, error) {
	fd, err := retry(func() (int, error) { return unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return &Root{fd: fd, name: dir}, nil
}

// Close closes the root.
func (r *Root) Close() error { return unix.Close(r.fd) }

// Name is the path that the root was opened by.
func (r *Root) Name() string { return r.name }

// IsProc reports whether the root is a process file system of the kernel.
func (r *Root) IsProc() bool {
	var s unix.Statfs_t
	return unix.Fstatfs(r.fd, &s) == nil && s.Type == unix.PROC_SUPER_MAGIC
}

// ID tells which folder the root is.
func (r *Root) ID() (ID, error) {
	i, err := stat(r.fd)
	return i.ID, err
}

func retry(f func() (int, error)) (int, error) {
	for {
		fd, err := f()
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func stat(fd int) (Info, error) {
	var s unix.Stat_t
	for {
		err := unix.Fstat(fd, &s)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Info{}, err
		}
		break
	}
	mode := fs.FileMode(s.Mode & 0o777)
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	case unix.S_IFREG:
	default:
		mode |= fs.ModeIrregular
	}
	for _, f := range [...]struct {
		bit  uint32
		flag fs.FileMode
	}{{unix.S_ISUID, fs.ModeSetuid}, {unix.S_ISGID, fs.ModeSetgid}, {unix.S_ISVTX, fs.ModeSticky}} {
		if s.Mode&f.bit != 0 {
			mode |= f.flag
		}
	}
	return Info{Mode: mode, Size: s.Size, UID: int64(s.Uid), GID: int64(s.Gid), MTime: time.Unix(s.Mtim.Unix()).Unix(), CTime: s.Ctim.Nano(), ID: ID{s.Dev, s.Ino}}, nil
}

// way is a walk below the root: the open folders on it, the root first, and their names.
type way struct {
	fds   []int
	names []string
}

func (w *way) close() {
	for _, fd := range w.fds[1:] {
		_ = unix.Close(fd)
	}
}

func (w *way) dir() int { return w.fds[len(w.fds)-1] }

func (w *way) path() string { return "/" + strings.Join(w.names, "/") }

// walk goes to a path. The last open descriptor (O_PATH) is what stands there; when it is no folder its own folder is the one
// before. With nofollow a symbolic link at the end is not followed.
func (r *Root) walk(path string, nofollow bool) (w *way, err error) {
	if len(path) > maxPath || strings.IndexByte(path, 0) >= 0 {
		return nil, fmt.Errorf("%.100q: %w", path, ErrName)
	}
	w = &way{fds: []int{r.fd}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	todo, links := split(path), 0
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if name == ".." {
			if n := len(w.names); n > 0 {
				_ = unix.Close(w.fds[n])
				w.fds, w.names = w.fds[:n], w.names[:n-1]
			}
			continue
		}
		fd, err := retry(func() (int, error) {
			return unix.Openat(w.dir(), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		})
		if err != nil {
			return w, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		info, err := stat(fd)
		if err != nil {
			_ = unix.Close(fd)
			return w, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		switch {
		case info.Mode&fs.ModeSymlink != 0 && (len(todo) > 0 || !nofollow):
			target, err := readlink(fd)
			_ = unix.Close(fd)
			if links++; links > maxLinks || len(todo) > maxPath {
				return w, &fs.PathError{Op: "open", Path: path, Err: ErrLoop}
			}
			if err != nil {
				return w, &fs.PathError{Op: "readlink", Path: path, Err: err}
			}
			if strings.HasPrefix(target, "/") {
				w.close()
				w.fds, w.names = w.fds[:1], nil
			}
			todo = append(split(target), todo...)
		case !info.Mode.IsDir() && len(todo) > 0:
			_ = unix.Close(fd)
			return w, &fs.PathError{Op: "open", Path: path, Err: unix.ENOTDIR}
		default:
			w.fds, w.names = append(w.fds, fd), append(w.names, name)
		}
	}
	return w, nil
}

func readlink(fd int) (string, error) {
	b := make([]byte, maxPath)
	n, err := unix.Readlinkat(fd, "", b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

// Stat follows symbolic links below the root.
func (r *Root) Stat(path string) (Info, error) { return r.info(path, false) }

// Lstat does not follow a link at the end.
func (r *Root) Lstat(path string) (Info, error) { return r.info(path, true) }

func (r *Root) info(path string, nofollow bool) (Info, error) {
	w, err := r.walk(path, nofollow)
	if err != nil {
		return Info{}, err
	}
	defer w.close()
	info, err := stat(w.dir())
	info.Path = w.path()
	return info, err
}

// Readlink returns what a symbolic link says.
func (r *Root) Readlink(path string) (string, error) {
	w, err := r.walk(path, true)
	if err != nil {
		return "", err
	}
	defer w.close()
	target, err := readlink(w.dir())
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return target, nil
}

// Open opens a regular file for reading.
func (r *Root) Open(path string) (*os.File, Info, error) {
	w, err := r.walk(path, false)
	if err != nil {
		return nil, Info{}, err
	}
	defer w.close()
	info, err := stat(w.dir())
	if err != nil {
		return nil, Info{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if !info.Mode.IsRegular() || len(w.names) == 0 {
		return nil, Info{}, &fs.PathError{Op: "open", Path: path, Err: ErrIrregular}
	}
	n := len(w.names)
	fd, err := openQuiet(w.fds[n-1], w.names[n-1], unix.O_NOFOLLOW)
	if err != nil {
		return nil, Info{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f, now, err := regular(fd, path)
	if err == nil && now.ID != info.ID {
		_ = f.Close()
		err = &fs.PathError{Op: "open", Path: path, Err: ErrChanged}
	}
	now.Path = w.path()
	return f, now, err
}

// openQuiet opens for reading without waiting for anybody, without taking a terminal, and without a trace where that is allowed.
func openQuiet(dir int, name string, flags int) (int, error) {
	flags |= unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := retry(func() (int, error) { return unix.Openat(dir, name, flags|unix.O_NOATIME, 0) })
	if errors.Is(err, unix.EPERM) { // it belongs to somebody else and we lack CAP_FOWNER
		fd, err = retry(func() (int, error) { return unix.Openat(dir, name, flags, 0) })
	}
	return fd, err
}

// regular makes a file of a descriptor when it is a regular one.
func regular(fd int, path string) (*os.File, Info, error) {
	info, err := stat(fd)
	if err == nil && !info.Mode.IsRegular() {
		err = ErrIrregular
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, Info{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), info, nil
}

// OpenMagic opens a link of the process file system that the kernel itself resolves, such as "123/exe", when it leads to a regular
// file. Elsewhere than in a process file system it is an error.
func (r *Root) OpenMagic(path string) (*os.File, Info, error) {
	if !r.IsProc() {
		return nil, Info{}, &fs.PathError{Op: "open", Path: path, Err: ErrIrregular}
	}
	fd, err := openQuiet(r.fd, strings.TrimPrefix(path, "/"), 0)
	if err != nil {
		return nil, Info{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return regular(fd, path)
}

// OpenMagicRoot opens such a link to a folder ("123/root") as a root of its own.
func (r *Root) OpenMagicRoot(path string) (*Root, error) {
	if !r.IsProc() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrIrregular}
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat(r.fd, strings.TrimPrefix(path, "/"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Root{fd: fd, name: r.name + "/" + path}, nil
}

// List returns the names in a folder, sorted, at most limit. More of them, or an error in the middle, give what was read and an error.
func (r *Root) List(path string, limit int) ([]Entry, error) {
	w, err := r.walk(path, false)
	if err != nil {
		return nil, err
	}
	defer w.close()
	fd, err := openQuiet(w.dir(), ".", unix.O_DIRECTORY)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	d := os.NewFile(uintptr(fd), path)
	defer d.Close()
	var out []Entry
	for {
		list, err := d.ReadDir(512)
		for _, e := range list {
			if len(out) >= limit {
				err = fmt.Errorf("%s: %w: more than %d names", path, ErrTooLarge, limit)
				break
			}
			out = append(out, Entry{e.Name(), e.Type()})
		}
		if err != nil {
			slices.SortFunc(out, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
			if len(list) == 0 && errors.Is(err, io.EOF) {
				err = nil
			}
			return out, err
		}
	}
}
