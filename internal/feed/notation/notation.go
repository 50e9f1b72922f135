// Package notation reads the spellings that many publishers share: severities, dates, CVE ids, names and versions of RPM
// packages, and JSON and XML of bounded size.
package notation

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// Severity returns a publisher's rating as critical, high, medium or low, or "" for what is none of these.
func Severity(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	switch strings.TrimSuffix(s, " severity") {
	case "critical", "urgent", "emergency":
		return "critical"
	case "important", "high", "serious":
		return "high"
	case "moderate", "medium", "middle":
		return "medium"
	case "low", "minor", "negligible":
		return "low"
	}
	return ""
}

var cve = regexp.MustCompile(`(?i)\bCVE-[0-9]{4}-[0-9]{4,12}\b`)

// CVEs returns the CVE ids named in the texts, in upper case, each once, in the order in which they come.
func CVEs(texts ...string) []string {
	var ids []string
	for _, text := range texts {
		for _, id := range cve.FindAllString(text, -1) {
			ids = append(ids, strings.ToUpper(id))
		}
	}
	return Distinct(ids)
}

// Distinct returns each text once, in the order in which they come.
func Distinct(list []string) []string {
	if len(list) < 2 {
		return list
	}
	seen := make(map[string]bool, len(list))
	out := list[:0]
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// IsCVE reports whether s is a CVE id and nothing else.
func IsCVE(s string) bool { return len(s) <= 21 && cve.FindString(s) == s && s != "" }

// Add appends s unless it is there or empty; it is for short lists.
func Add(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04:05 MST",
	"2006-01-02 15:04", "2006-01-02", "20060102", "2006/01/02", "Mon Jan 2 15:04:05 2006",
}

// Time returns a date in any of the publishers' spellings as RFC 3339 in UTC, or "" when it is none.
func Time(s string) string {
	s = strings.TrimSpace(s)
	if len(s) < 8 || len(s) > 40 {
		return ""
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Format(time.RFC3339)
		}
	}
	return ""
}

// Newest returns the later of two dates in RFC 3339; "" is older than any.
func Newest(a, b string) string { return max(a, b) }

var moreThanDigits = regexp.MustCompile(`[^0-9]`)

// EVR joins epoch, version and release of an RPM package; an epoch of 0 or "(none)" is left out.
func EVR(epoch, version, release string) string {
	evr := version
	if release != "" {
		evr += "-" + release
	}
	if epoch != "" && strings.Trim(epoch, "0") != "" && !moreThanDigits.MatchString(epoch) {
		return epoch + ":" + evr
	}
	return evr
}

// Canonical leaves an epoch of 0 out of an epoch:version-release.
func Canonical(evr string) string {
	evr = strings.TrimSpace(evr)
	if epoch, rest, ok := strings.Cut(evr, ":"); ok && epoch != "" && strings.Trim(epoch, "0") == "" {
		return rest
	}
	return evr
}

// Arches are the architectures that names of RPM files end with.
var Arches = []string{"x86_64", "aarch64", "noarch", "src", "nosrc", "i686", "i586", "i386", "ppc64le", "ppc64", "s390x", "riscv64", "loongarch64", "sw_64", "ppc", "s390", "ia64", "armv7hl", "armv7l", "x86_64_v2", "all"}

// NEVRA splits the name of an RPM file, "name-[epoch:]version-release[.arch][.rpm]". Arch is "" when it is not there; ok is
// false when there are no version and release that begin with a digit or a letter.
func NEVRA(s string) (name, evr, arch string, ok bool) {
	s = strings.TrimSuffix(strings.TrimSpace(s), ".rpm")
	if i := strings.LastIndexByte(s, '.'); i > 0 && slices.Contains(Arches, s[i+1:]) {
		s, arch = s[:i], s[i+1:]
	}
	i := strings.LastIndexByte(s, '-')
	if i <= 0 {
		return "", "", "", false
	}
	j := strings.LastIndexByte(s[:i], '-')
	if j <= 0 || j+1 == i || i+1 == len(s) {
		return "", "", "", false
	}
	// Some write the epoch before the name: "1:bind-9.16-1".
	name = s[:j]
	epoch := ""
	if e, rest, cut := strings.Cut(name, ":"); cut && !moreThanDigits.MatchString(e) {
		epoch, name = e, rest
	}
	version := s[j+1 : i]
	if e, rest, cut := strings.Cut(version, ":"); cut {
		epoch, version = e, rest
	}
	if name == "" || version == "" {
		return "", "", "", false
	}
	return name, EVR(epoch, version, s[i+1:]), arch, true
}

// Versioned reports whether the last two parts of s between hyphens look like a version and a release, so that s is
// rather "name-version-release" than a name.
func Versioned(s string) bool {
	i := strings.LastIndexByte(s, '-')
	if i <= 0 {
		return false
	}
	j := strings.LastIndexByte(s[:i], '-')
	if j <= 0 || j+1 >= i || i+1 >= len(s) {
		return false
	}
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	return digit(s[j+1]) && (digit(s[i+1]) || strings.ContainsAny(s[i+1:], ".0123456789") && strings.Contains(s[j+1:i], "."))
}

// Debug reports whether a package holds debugging symbols or sources only: nothing of it runs, so no row is made for it.
func Debug(name string) bool {
	return strings.HasSuffix(name, "-debuginfo") || strings.HasSuffix(name, "-debugsource") || strings.HasSuffix(name, "-debuginfo-common") ||
		strings.Contains(name, "-debuginfo-")
}
