// Package almalinux knows AlmaLinux's releases and its kinds of advisories.
//
// Its OSV records name binary packages although they say otherwise, say nothing of module streams, and one id stands in
// several releases: a row is told by id and stream.
package almalinux

import "regexp"

var release = regexp.MustCompile(`^\d{1,2}$`)

// Stream maps "8" to its stream.
func Stream(r string) (string, bool) { return "almalinux " + r, release.MatchString(r) }

// BugFix reports whether an advisory's id stands for a bug fix (ALBA) or an enhancement (ALEA): without a CVE such an
// advisory is about no vulnerability.
func BugFix(id string) bool {
	return len(id) > 4 && (id[:4] == "ALBA" || id[:4] == "ALEA")
}
