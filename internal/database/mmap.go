//go:build linux || darwin || freebsd || netbsd || openbsd

package database

import (
	"os"
	"syscall"
)

// mapping is a file in memory; the system reads and drops its pages.
type mapping []byte

func openSource(f *os.File, size uint64) (source, error) {
	if size == 0 {
		return mapping(nil), nil
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	return mapping(b), err
}

func (m mapping) at(off, n uint64) ([]byte, error) { return m[off : off+n : off+n], nil }

func (m mapping) close() error {
	if m == nil {
		return nil
	}
	return syscall.Munmap(m)
}
