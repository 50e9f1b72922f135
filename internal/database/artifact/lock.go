//go:build linux || darwin || freebsd || netbsd || openbsd

package artifact

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps a folder of parts to one process; the lock ends with the process, however it ends.
func lock(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(errors.New("another pull into this folder is running"), f.Close())
	}
	return f.Close, nil
}
