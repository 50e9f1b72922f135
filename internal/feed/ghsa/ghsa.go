// Package ghsa knows what GitHub's advisory database writes beside OSV's own members.
package ghsa

import (
	"strings"

	"stockade.dev/stockade/internal/advisory"
)

// Bound closes a range that has no end by the member last_known_affected_version_range, "<= 1.2.17" or "< 2.0". Other
// ranges stay as they are. The second form names the first version that is not known to be vulnerable.
func Bound(r advisory.Range, lastKnown string) advisory.Range {
	if r.Fixed != "" || r.LastAffected != "" {
		return r
	}
	lastKnown = strings.TrimSpace(lastKnown)
	if v, ok := strings.CutPrefix(lastKnown, "<="); ok {
		r.LastAffected = strings.TrimSpace(v)
	} else if v, ok := strings.CutPrefix(lastKnown, "<"); ok {
		r.Fixed = strings.TrimSpace(v)
	}
	return r
}
