// Package host reads files below the root of a node that may lie: a mounted disk, another file system, the root of a process. No
// symbolic link leads out of it, nothing but regular files and folders is opened, every read has a limit, and reading leaves no
// trace where the kernel allows it (O_NOATIME).
//
// Paths are walked one name at a time over open folders, and ".." goes back to a folder that is open already: the same guarantee as
// openat2(RESOLVE_IN_ROOT), which kernels before 5.6 and the system call filters of older runtimes do not have.
package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Limits of names and walks.
const (
	maxPath  = 4096
	maxLinks = 40 // symbolic links on one way, as in the kernel
	// MaxEntries bounds a folder's listing.
	MaxEntries = 10_000
)

// Errors of this package.
var (
	ErrIrregular = errors.New("it is no regular file")
	ErrTooLarge  = errors.New("it is larger than is read")
	ErrName      = errors.New("its path is too long or has control characters")
	ErrLoop      = errors.New("too many symbolic links")
	ErrChanged   = errors.New("it was exchanged while it was opened")
)

// Info is what is known of a file without reading it.
type Info struct {
	Path  string      // the real one below the root, symbolic links resolved: "/usr/lib/x"
	Mode  fs.FileMode // type, permissions, setuid and setgid
	Size  int64
	UID   int64
	GID   int64
	MTime int64 // seconds
	CTime int64 // nanoseconds: no program can set it
	ID    ID
}

// ID tells files apart: device and inode.
type ID struct{ Device, Inode uint64 }

// Entry is a name in a folder.
type Entry struct {
	Name string
	Type fs.FileMode // type bits only
}

// Bits are the permission bits as numbers, with setuid, setgid and sticky.
func (i Info) Bits() string {
	bits := uint32(i.Mode.Perm())
	for _, f := range [...]struct {
		flag fs.FileMode
		bit  uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if i.Mode&f.flag != 0 {
			bits |= f.bit
		}
	}
	return fmt.Sprintf("%04o", bits)
}

// Clean reports whether a name may stand in facts: no control characters, valid and bounded.
func Clean(name string) bool {
	if len(name) > maxPath || strings.ToValidUTF8(name, "") != name {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 })
}

// split makes names of a path.
func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
}

// ReadFile reads a file of at most limit bytes.
func (r *Root) ReadFile(path string, limit int64) ([]byte, error) {
	f, info, err := r.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, info, path, limit)
}

// readAll reads at most limit bytes of a file that may grow, shrink or never end meanwhile.
func readAll(f io.Reader, info Info, path string, limit int64) ([]byte, error) {
	if info.Size > limit {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d", path, ErrTooLarge, info.Size, limit)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", path, ErrTooLarge, limit)
	}
	return data, nil
}

// Glob returns the paths that fit a pattern whose single names may be "*" or have one "*": "/var/lib/rancher/k3s/data/*/bin". They
// are sorted, at most limit; names with control characters are left out.
func (r *Root) Glob(pattern string, limit int) []string {
	found := []string{""}
	for _, part := range split(pattern) {
		var next []string
		for _, dir := range found {
			if !strings.Contains(part, "*") {
				next = append(next, dir+"/"+part)
				continue
			}
			entries, _ := r.List(dir+"/", MaxEntries)
			before, after, _ := strings.Cut(part, "*")
			for _, e := range entries {
				if len(e.Name) >= len(before)+len(after) && strings.HasPrefix(e.Name, before) && strings.HasSuffix(e.Name, after) && Clean(e.Name) {
					next = append(next, dir+"/"+e.Name)
				}
			}
		}
		if found = next; len(found) > limit {
			found = found[:limit]
		}
	}
	return slices.DeleteFunc(found, func(p string) bool {
		_, err := r.Stat(p)
		return err != nil
	})
}
