// Package openeuler knows openEuler's release names and its hot patches.
package openeuler

import (
	"regexp"
	"strings"
)

var release = regexp.MustCompile(`(?i)^openEuler[-: ](\d\d\.\d\d)(?:[- ]\(?(LTS)?(?:[- ]?(SP\d))?\)?)?$`)

// Stream maps a release as the feeds write it ("openEuler-22.03-LTS-SP3", "openEuler:20.03-LTS") to its stream. Service packs
// are streams of their own: a fix in one says nothing of another.
func Stream(name string) (string, bool) {
	m := release.FindStringSubmatch(strings.TrimSpace(name))
	if m == nil {
		return "", false
	}
	s := "openeuler " + m[1]
	if m[2] != "" {
		s += "-LTS"
	}
	if m[3] != "" {
		s += "-" + strings.ToUpper(m[3])
	}
	return s, true
}

// HotPatch reports whether a package is a hot patch of a running program or kernel ("patch-kernel-5.10.0-136-ACC-1-1",
// "patch-redis6-6.2.7-1-HP001"): it holds no program of its own, and the version it carries says nothing of the package's.
func HotPatch(name string) bool {
	return strings.HasPrefix(name, "patch-") && (strings.Contains(name, "-ACC") || strings.Contains(name, "-SGL") || strings.Contains(name, "-HP"))
}
