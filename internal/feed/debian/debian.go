// Package debian knows Debian's releases and what the words of its security tracker mean.
package debian

import (
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/advisory"
)

// codenames are the releases by name (wiki.debian.org/DebianReleases); 3.0 and 3.1 share the number that the stream holds.
var codenames = map[string]string{
	"woody": "3", "sarge": "3", "etch": "4", "lenny": "5", "squeeze": "6", "wheezy": "7", "jessie": "8", "stretch": "9",
	"buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14", "duke": "15", "sid": "sid",
}

// Codename maps "bookworm" to its stream.
func Codename(name string) (string, bool) {
	r, ok := codenames[name]
	return "debian " + r, ok
}

var release = regexp.MustCompile(`^(\d{1,2})(?:\.\d+)?$`)

// Stream maps a release as OSV writes it, "12" or "6.0", to its stream.
func Stream(name string) (string, bool) {
	m := release.FindStringSubmatch(name)
	if m == nil {
		return Codename(name)
	}
	return "debian " + m[1], true
}

// Unfixed returns the state of an issue without a fixed version from the tracker's urgency ("unimportant", "end-of-life",
// "medium", ...) and from why there is no advisory ("ignored", "postponed", or another reason).
func Unfixed(urgency, nodsa, reason string) advisory.State {
	switch {
	case urgency == "end-of-life":
		return advisory.EndOfLife
	case reason == "ignored":
		return advisory.WillNotFix
	case reason == "postponed":
		return advisory.Deferred
	case strings.HasPrefix(urgency, "unimportant"):
		return advisory.WillNotFix // the tracker: no impact on the package as it is built, so no update for it alone
	case nodsa != "" || reason != "":
		return advisory.Deferred // fixed with the next point release, or never
	}
	return advisory.Affected
}

// Severity returns the severity of an urgency: "low**" is guessed by the tracker itself, "not yet assigned" says nothing.
func Severity(urgency string) string {
	switch strings.TrimRight(urgency, "* ") {
	case "unimportant", "low":
		return "low"
	case "medium":
		return "medium"
	case "high":
		return "high"
	}
	return ""
}
