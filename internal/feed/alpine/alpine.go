// Package alpine knows Alpine's branches.
package alpine

import (
	"regexp"
	"strings"
)

var branch = regexp.MustCompile(`^v?(3\.\d{1,3})$`)

// Stream maps a branch, "v3.18" or "edge", to its stream. The repositories main and community of a branch are one stream: no
// package is in both.
func Stream(name string) (string, bool) {
	if name = strings.TrimSpace(name); name == "edge" {
		return "alpine edge", true
	}
	m := branch.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	return "alpine " + m[1], true
}
