package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// isOpaque reports whether overlayfs hides what is below a directory (kernel documentation, filesystems/overlayfs, "whiteouts
// and opaque directories"); rootless runtimes use the user namespace of attributes.
func isOpaque(d *os.File) bool {
	var v [1]byte
	for _, name := range []string{"trusted.overlay.opaque", "user.overlay.opaque", "user.fuseoverlayfs.opaque"} {
		if n, err := unix.Fgetxattr(int(d.Fd()), name, v[:]); err == nil && n == 1 && v[0] == 'y' {
			return true
		}
	}
	return false
}

func deviceOf(info fs.FileInfo) (uint64, bool) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Dev, true
	}
	return 0, false
}

// folder is an open directory of a tree.
type folder struct {
	d  *os.File
	fd int // of d
}

// quiet opens without waiting for anybody and without taking a terminal.
const quiet = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC | unix.O_NOFOLLOW

// open opens a directory below the root. The kernel itself refuses symbolic links where it can (openat2); else os.Root walks.
func (t *tree) open(dir string) (*folder, error) {
	if dir == "" {
		dir = "."
	}
	name := path.Join(t.root.Name(), dir)
	fd, err := untraced(func(flags int) (int, error) {
		return unix.Openat2(int(t.top.Fd()), dir, &unix.OpenHow{Flags: uint64(flags | unix.O_DIRECTORY),
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
	})
	if err == nil {
		return &folder{os.NewFile(uintptr(fd), name), fd}, nil
	}
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) { // a kernel before 5.6, or a filter of system calls
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	below, err := t.root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer below.Close()
	d, err := below.Open(".")
	if err != nil {
		return nil, err
	}
	return &folder{d, int(d.Fd())}, nil
}

// untraced opens without changing the time of the last access, where that is allowed.
func untraced(open func(flags int) (int, error)) (int, error) {
	for flags := quiet | unix.O_NOATIME; ; {
		fd, err := open(flags)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EPERM) && flags&unix.O_NOATIME != 0: // it belongs to somebody else
			flags &^= unix.O_NOATIME
		default:
			return fd, err
		}
	}
}

func (f *folder) close() { _ = f.d.Close() } // it was only read

// stat does not follow links.
func (f *folder) stat(name string) (status, error) {
	var s unix.Stat_t
	for {
		err := unix.Fstatat(f.fd, name, &s, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return status{}, &fs.PathError{Op: "stat", Path: name, Err: err}
		}
	}
	out := status{mode: fs.FileMode(s.Mode & 0o777), size: s.Size, uid: int(s.Uid), gid: int(s.Gid), device: s.Dev, inode: s.Ino, modified: s.Mtim.Nano(), change: s.Ctim.Nano(),
		major: int64(unix.Major(s.Rdev)), minor: int64(unix.Minor(s.Rdev))}
	if s.Mode&unix.S_IFMT != unix.S_IFREG {
		out.mode |= fs.ModeIrregular
	}
	if s.Mode&unix.S_ISUID != 0 {
		out.mode |= fs.ModeSetuid
	}
	if s.Mode&unix.S_ISGID != 0 {
		out.mode |= fs.ModeSetgid
	}
	if s.Mode&unix.S_ISVTX != 0 {
		out.mode |= fs.ModeSticky
	}
	return out, nil
}

// open opens a regular file.
func (f *folder) open(name string) (*os.File, error) {
	fd, err := untraced(func(flags int) (int, error) { return unix.Openat(f.fd, name, flags, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	var s unix.Stat_t
	if err = unix.Fstat(fd, &s); err == nil && s.Mode&unix.S_IFMT != unix.S_IFREG {
		err = fmt.Errorf("%s is no regular file any more", name)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (f *folder) readlink(name string) (string, error) {
	b := make([]byte, maxPath)
	n, err := unix.Readlinkat(f.fd, name, b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}
