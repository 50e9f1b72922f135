//go:build linux

package agent

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// What counts as pressure: the share of the last ten seconds in which something had to wait (Documentation/accounting/psi.rst of the
// kernel), and memory that is left. Where the kernel has no such figures, the load.
const (
	cpuWaits    = 60.0 // percent, of processor
	memoryWaits = 20.0
	ioWaits     = 60.0
	memoryLeft  = 5 // percent
	loadPerCPU  = 4.0
)

// pressureOf says why a node is under pressure, by the /proc at a path; "" when it is not. It is grave when memory is short: work that
// goes on, however slowly, may be what has the kernel end a process of the node.
func pressureOf(proc string) (why string, grave bool) {
	total, err := number(filepath.Join(proc, "meminfo"), "MemTotal:")
	left, err2 := number(filepath.Join(proc, "meminfo"), "MemAvailable:")
	if err == nil && err2 == nil && total > 0 && left*100/total < memoryLeft {
		return fmt.Sprintf("%d %% of the memory is left (less than %d)", left*100/total, memoryLeft), true
	}
	psi := false
	for _, p := range []struct {
		what string
		most float64
	}{{"memory", memoryWaits}, {"cpu", cpuWaits}, {"io", ioWaits}} {
		waits, ok := someWaits(filepath.Join(proc, "pressure", p.what))
		psi = psi || ok
		if ok && waits > p.most {
			return fmt.Sprintf("%s pressure is %.0f %% (more than %.0f)", p.what, waits, p.most), p.what == "memory"
		}
	}
	if !psi {
		data, err := os.ReadFile(filepath.Join(proc, "loadavg"))
		if fields := strings.Fields(string(data)); err == nil && len(fields) > 0 {
			if load, err := strconv.ParseFloat(fields[0], 64); err == nil && load > loadPerCPU*float64(runtime.NumCPU()) {
				return fmt.Sprintf("the load is %.1f on %d processors", load, runtime.NumCPU()), false
			}
		}
	}
	return "", false
}

// someWaits reads "some avg10=1.53 avg60=...".
func someWaits(file string) (float64, bool) {
	f, err := os.Open(file)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }() // it was only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), "some avg10=")
		if !ok {
			continue
		}
		text, _, _ := strings.Cut(rest, " ")
		v, err := strconv.ParseFloat(text, 64)
		return v, err == nil
	}
	return 0, false
}
