package image

import (
	"io/fs"
	"os"
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

func ownerOf(info fs.FileInfo) (uid, gid int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return -1, -1
}

func numbersOf(info fs.FileInfo) (major, minor int64) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(unix.Major(s.Rdev)), int64(unix.Minor(s.Rdev))
	}
	return -1, -1
}
