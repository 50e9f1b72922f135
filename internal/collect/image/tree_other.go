//go:build !linux

package image

import (
	"io/fs"
	"os"
)

func isOpaque(*os.File) bool { return false }

func deviceOf(fs.FileInfo) (uint64, bool) { return 0, false }

func ownerOf(fs.FileInfo) (uid, gid int) { return -1, -1 }

func numbersOf(fs.FileInfo) (major, minor int64) { return -1, -1 }
