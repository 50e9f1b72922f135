// Package oracle knows Oracle Linux: its release names, and the builds of a package that compare only with their own kind.
package oracle

import (
	"regexp"
	"strings"
)

var release = regexp.MustCompile(`^Oracle Linux (\d+)$`)

// Stream maps "Oracle Linux 8" to its stream.
func Stream(name string) (string, bool) {
	m := release.FindStringSubmatch(strings.TrimSpace(name))
	if m == nil {
		return "", false
	}
	return "oracle " + m[1], true
}

// Flavor returns the kind of a build by its version: "ksplice" for packages that are patched while running
// ("2.17-326.0.1.ksplice1.el7_9.3"), "fips" for validated ones ("1.1.1k-6.el8_fips"), "" for ordinary ones. A version of one
// kind is neither older nor newer than one of another.
func Flavor(evr string) string {
	switch {
	case strings.Contains(evr, ".ksplice"):
		return "ksplice"
	case strings.HasSuffix(evr, "_fips") || strings.Contains(evr, "_fips."):
		return "fips"
	}
	return ""
}
