// Package ctyunos knows the release names of CTyunOS.
package ctyunos

import (
	"regexp"
	"strings"
)

var release = regexp.MustCompile(`(?i)^ctyunos[- ]?(\d+(?:\.\d+){0,2})$`)

// Stream maps "ctyunos-23.01" or "CTyunOS 2.0.1" to its stream.
func Stream(name string) (string, bool) {
	m := release.FindStringSubmatch(strings.TrimSpace(name))
	if m == nil {
		return "", false
	}
	return "ctyunos " + m[1], true
}
