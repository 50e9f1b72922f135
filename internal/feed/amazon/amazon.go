// Package amazon knows Amazon Linux: releases by the ids of advisories, and the extras of release 2, which carry other
// versions of packages under the same names.
package amazon

import (
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/feed/notation"
)

// id matches "ALAS-2018-939", "ALAS2-2018-939", "ALAS2KERNEL-5.15-2022-001", "ALAS2023LIVEPATCH-2023-001".
var id = regexp.MustCompile(`^ALAS(2023|2022|2)?([A-Z][A-Z0-9]*(?:[-._]?[A-Za-z0-9.]+?)?)?-(\d{4})-\d+$`)

// Stream returns the stream of an advisory.
func Stream(advisory string) (string, bool) {
	m := id.FindStringSubmatch(advisory)
	if m == nil {
		return "", false
	}
	if m[1] == "" {
		return "amazon 1", m[2] == ""
	}
	return "amazon " + m[1], true
}

var topic = regexp.MustCompile(`^ALAS2[A-Z]+?-?(\d+(?:\.\d+)?)-\d{4}-\d+$`)

// Introduced returns the first version that an advisory of an extra of release 2 is about: ALAS2KERNEL-5.15-2022-001 speaks
// of kernels from 5.15 on, and says nothing of the 4.14 kernels of the core repository. It is "" when the advisory is no
// extra's, or when the package is numbered otherwise than the extra.
func Introduced(advisory, epoch, version string) string {
	m := topic.FindStringSubmatch(advisory)
	if m == nil || version != m[1] && !strings.HasPrefix(version, m[1]+".") {
		return ""
	}
	return notation.EVR(epoch, m[1], "")
}
