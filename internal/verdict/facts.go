// Package verdict says of images what policies want to know: facts of an image from its inventory and the advisory database, kept by
// digest; Judge, which holds them to the checks of policies, for admission and the command line alike; and the Service that answers
// clusters, has unknown images scanned, and notices when a verdict changes.
package verdict

import (
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// Facts are what decides on an image, and nothing else: findings without texts that everybody knows, in the order that they were
// found.
type Facts struct {
	Digest          string    // of the manifest that was read
	Index           string    // of the index that led to it
	Reference       string    // under which it was read first
	Scanned         time.Time // when the content was read
	Matched         time.Time // when it was last held against advisories
	NoAdvisories    string    // why vulnerabilities are not known, in whole; "" when they are
	Gaps            []string  // what was not looked at, the first few
	Vulnerabilities []Vulnerability
	Hits            []Hit
}

// Vulnerability is a vulnerability of a package, as its finding has it.
type Vulnerability struct {
	ID        string
	Aliases   []string
	Package   string
	Version   string
	Fixed     string // version; "" when none is known
	PURL      string
	File      string
	Item      string // what its fingerprint is made of beside the id and the repository
	Severity  finding.Severity
	EPSS      float64
	KEV       bool
	Published time.Time // day; zero when nobody says
	Excuses   []int64   // exceptions that accept it where they hold; not kept
}

// Hit is what a rule found in the image: something malicious, a secret, or an unsafe setting.
type Hit struct {
	Kind     finding.Kind
	Rule     string // name
	RuleID   string
	Severity finding.Severity
	Title    finding.Text
	File     string
	Line     int
	Found    string // what was found, shortly and without secrets
	Item     string // as of vulnerabilities
	Excuses  []int64
}

// Limits of what is kept of one image.
const (
	maxKept  = 20_000 // vulnerabilities, and hits
	maxGaps  = 10
	maxText  = 300
	maxFound = 120
)

// Gather takes a finding on an image into its facts. item is what its fingerprint is made of beside the rule and the repository,
// published the date of a vulnerability.
func (f *Facts) Gather(x *finding.Finding, item, published string) {
	if x.Status != finding.Open {
		return
	}
	if v := x.Vulnerability; v != nil {
		if len(f.Vulnerabilities) >= maxKept {
			return
		}
		out := Vulnerability{ID: v.ID, Package: clip(v.Package, maxText), Version: clip(v.Version, maxText), Fixed: clip(v.FixedVersion, maxText), PURL: clip(v.PURL, maxText),
			File: clip(x.Resource.File, maxText), Item: item, Severity: x.Severity, EPSS: v.EPSS, KEV: v.KEV, Published: day(published)}
		for _, a := range slices.Concat(x.Aliases, v.Aliases) {
			if a != v.ID && !slices.Contains(out.Aliases, a) && len(out.Aliases) < 20 {
				out.Aliases = append(out.Aliases, a)
			}
		}
		f.Vulnerabilities = append(f.Vulnerabilities, out)
		return
	}
	if len(f.Hits) >= maxKept {
		return
	}
	h := Hit{Kind: x.Kind, Rule: x.Rule, RuleID: x.RuleID, Severity: x.Severity, Title: x.Title, File: clip(x.Resource.File, maxText), Line: x.Resource.Line,
		Item: item}
	if len(x.Evidence) > 0 {
		if s, ok := x.Evidence[0].Found.(string); ok && x.Kind != finding.Secret {
			h.Found = clip(s, maxFound)
		}
	}
	f.Hits = append(f.Hits, h)
}

// day reads the day of a date as feeds write it.
func day(s string) time.Time {
	if len(s) >= len(time.DateOnly) {
		if t, err := time.Parse(time.DateOnly, s[:len(time.DateOnly)]); err == nil {
			return t
		}
	}
	return time.Time{}
}

// clip bounds a foreign text and keeps it on its line.
func clip(s string, most int) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 || c == 0x2028 || c == 0x2029 {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
