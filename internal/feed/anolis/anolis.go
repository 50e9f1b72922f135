// Package anolis knows Anolis OS: its release names and the damaged versions in its OVAL files.
package anolis

import (
	"regexp"
	"strings"
)

var release = regexp.MustCompile(`(?i)^anolis(?: ?os)?[- ](\d+)(?:\.\d+)?$`)

// Stream maps "Anolis OS 23" or "Anolis OS 8.8" to its stream: errata are for the major release.
func Stream(name string) (string, bool) {
	m := release.FindStringSubmatch(strings.TrimSpace(name))
	if m == nil {
		return "", false
	}
	return "anolis " + m[1], true
}

// Version repairs a version that has the end of the package's name in it: in the OVAL files bind-chroot is "earlier than
// 32:chroot-9.18.34-1.an23", which is 32:9.18.34-1.an23.
func Version(name, evr string) string {
	epoch, rest, cut := strings.Cut(evr, ":")
	if !cut {
		epoch, rest = "", evr
	}
	for i := 0; i < len(name); i++ {
		if i > 0 && name[i-1] != '-' {
			continue
		}
		if tail := name[i:] + "-"; strings.HasPrefix(rest, tail) {
			rest = rest[len(tail):]
			break
		}
	}
	if epoch != "" {
		return epoch + ":" + rest
	}
	return rest
}
