package lab

import (
	"os"
	"path/filepath"
	"strings"
)

const (
	folderPrefix = "stockade-lab-"
	ownerLock    = "owner.lock"
)

// folder is a temporary folder with a lock that its owner holds, so that folders
// of killed test processes can be told from those in use.
type folder struct {
	path string
	lock *os.File
}

func newFolder() (*folder, error) {
	sweep(os.TempDir())
	// The name becomes visible to sweep only when the lock is held.
	draft, err := os.MkdirTemp("", "new-"+folderPrefix)
	if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(draft, ownerLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		_, err = tryLock(lock)
	}
	path := filepath.Join(filepath.Dir(draft), strings.TrimPrefix(filepath.Base(draft), "new-"))
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err != nil {
		os.RemoveAll(draft)
		return nil, err
	}
	return &folder{path: path, lock: lock}, nil
}

func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	f.lock.Close()
	return err
}

// sweep removes the folders that killed test processes left behind.
func sweep(parent string) {
	left, _ := filepath.Glob(filepath.Join(parent, folderPrefix+"*"))
	for _, path := range left {
		lock, err := os.OpenFile(filepath.Join(path, ownerLock), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if free, err := tryLock(lock); err == nil && free {
			os.RemoveAll(path)
		}
		lock.Close()
	}
}
