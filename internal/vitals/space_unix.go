//go:build linux || darwin || freebsd

package vitals

import "golang.org/x/sys/unix"

// space is how much room the disk of a folder has for us, and in all.
func space(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil //nolint:gosec,unconvert // sizes of disks; types differ by system
}
