package thrift

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// dropText lets the kernel take back the pages of the program's own file that starting touched and running does not: they are
// read again from the page cache when they are needed. Only mappings are dropped that are read-only and have no page that differs
// from the file (a linker's relocations are such), so nothing is lost.
func dropText() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return // no /proc: nothing is given back
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // it was only read
	var from, to uintptr
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if fields := strings.Fields(line); len(fields) >= 5 && strings.Contains(fields[0], "-") && !strings.HasSuffix(fields[0], ":") {
			from, to = 0, 0
			if len(fields) == 6 && fields[5] == self && fields[1][1] == '-' {
				_, _ = fmt.Sscanf(fields[0], "%x-%x", &from, &to) // else it stays 0
			}
			continue
		}
		if to != 0 && strings.HasPrefix(line, "Anonymous:") && strings.Fields(line)[1] == "0" {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED) // a hint: it may fail
		}
	}
}
