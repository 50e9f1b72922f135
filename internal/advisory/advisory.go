// Package advisory holds the nouns of what is known: statements of publishers on packages (Row), what is known of a
// vulnerability whatever the package (Vulnerability), the end of life of releases (Lifecycle), and the names of streams.
// It knows no publisher's format: feeds end their quirks in their own rooms and hand over plain ranges.
package advisory

import "errors"

// State is what a publisher says of a package.
type State uint8

// The states. Only Fixed carries fixed versions; NotAffected means that the publisher denies it.
const (
	Fixed         State = iota // fixed in Ranges[].Fixed
	Affected                   // known, no fix yet
	WillNotFix                 // known, no fix is planned
	Deferred                   // known, a fix is put off
	Investigating              // the publisher still looks
	NotAffected                // the publisher says that the package does not have it
	EndOfLife                  // known, the release gets no fixes any more
)

var stateNames = []string{"fixed", "affected", "will-not-fix", "deferred", "under-investigation", "not-affected", "end-of-life"}

// String returns the state as the findings document writes it.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// MarshalText writes the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name.
func (s *State) UnmarshalText(text []byte) error {
	for i, n := range stateNames {
		if n == string(text) {
			*s = State(i)
			return nil
		}
	}
	return errors.New("unknown state " + string(text))
}

// Scheme is an order of versions; package version has one comparator for each.
type Scheme uint8

// The schemes.
const (
	RPM      Scheme = iota // epoch:version-release; rpmvercmp
	Deb                    // epoch:upstream-revision; dpkg
	APK                    // Alpine and Wolfi
	SemVer                 // npm, cargo, Kubernetes, Bitnami
	GoModule               // semantic versions of Go: v optional, pseudo-versions, +incompatible
	Maven                  // ComparableVersion
	PEP440                 // PyPI
	Gem                    // RubyGems
	NuGet                  //
	Composer               // Packagist
	Loose                  // dotted numbers with letters, for CPE and binaries: 12.2.0.4, 1.1.1k, 8u402
)

// Row is one statement of one publisher on one package of one stream. A row with several IDs says the same of each.
type Row struct {
	Feed     string   `json:"feed"`               // "almalinux-osv": publisher and format
	Stream   string   `json:"stream"`             // "almalinux 8", "maven", "cpe": see streams.go
	Package  string   `json:"package"`            // as the stream names it: "openssl", "log4j:log4j", "apache:http_server"
	Binary   bool     `json:"binary,omitempty"`   // Package is a binary package's name; false: the source package's, or has no such difference
	Binaries []string `json:"binaries,omitempty"` // with a source Package: only these binary packages; none is all

	IDs          []string `json:"ids"`                // CVE ids; the advisory's id alone when it has none. Never empty.
	Advisory     string   `json:"advisory,omitempty"` // "ALSA-2021:1234", "GHSA-..."; "" when the publisher numbers none
	Published    string   `json:"published,omitempty"`
	Severity     string   `json:"severity,omitempty"` // the publisher's rating for this package: critical, high, medium, low, or ""
	CVSS         []CVSS   `json:"cvss,omitempty"`     // the publisher's own
	State        State    `json:"state"`
	Subscription string   `json:"subscription,omitempty"` // the fix is for subscribers only: "ESM", "LTSS", "EUS", "ELS"
	Reason       string   `json:"reason,omitempty"`       // why not affected, deferred or not fixed, as published

	Scheme   Scheme   `json:"scheme"`
	NoEpochs bool     `json:"noEpochs,omitempty"` // RPM: the publisher never names epochs, so versions compare without them
	Ranges   []Range  `json:"ranges,omitempty"`   // vulnerable versions, any of them; none and no Versions: every version
	Versions []string `json:"versions,omitempty"` // vulnerable versions, exactly

	Arches   []string      `json:"arches,omitempty"`   // only on these: x86_64, aarch64, ...; none is all
	Module   string        `json:"module,omitempty"`   // "nodejs:12": only packages of this module stream; "?": of some module that the feed does not name, never packages outside modules
	Flavor   string        `json:"flavor,omitempty"`   // "ksplice", "fips": fixed builds of a kind that compare only with their own
	CPE      string        `json:"cpe,omitempty"`      // Red Hat: product the row is for; CPE rows: the criteria, CPE 2.3
	Requires []Requirement `json:"requires,omitempty"` // all must hold beside (CPE "running on")
	Symbols  []Symbols     `json:"symbols,omitempty"`  // Go: what of the module is vulnerable
	Hashes   []string      `json:"hashes,omitempty"`   // SHA-1 of affected artefacts, where known
}

// Range is an interval of vulnerable versions: Introduced <= v < Fixed, or v <= LastAffected.
type Range struct {
	Introduced   string `json:"introduced,omitempty"`   // "" from the first version on
	After        bool   `json:"after,omitempty"`        // Introduced itself is not vulnerable (CPE versionStartExcluding)
	Fixed        string `json:"fixed,omitempty"`        // first version that is not vulnerable
	LastAffected string `json:"lastAffected,omitempty"` // last vulnerable version, when Fixed is ""; both "": no end
}

// Requirement is another product that must be there, from an AND in an NVD configuration.
type Requirement struct {
	CPE    []string `json:"cpe"` // any of these criteria
	Ranges []Range  `json:"ranges,omitempty"`
}

// Symbols is a vulnerable package of a Go module.
type Symbols struct {
	Import string   `json:"import"`
	Names  []string `json:"names,omitempty"` // none: all of it
	GOOS   []string `json:"goos,omitempty"`
	GOARCH []string `json:"goarch,omitempty"`
}

// CVSS is a base score.
type CVSS struct {
	Vector string  `json:"vector,omitempty"` // "CVSS:3.1/AV:N/..."; v2 vectors carry no prefix
	Score  float64 `json:"score"`
	Source string  `json:"source"` // who rated: "nvd", "redhat", ...
}

// Vulnerability is what is known of an id whatever the package. Feeds know parts: those of several feeds are merged.
type Vulnerability struct {
	ID          string   `json:"id"`
	Feed        string   `json:"feed"`
	Aliases     []string `json:"aliases,omitempty"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	Severity    string   `json:"severity,omitempty"`
	CVSS        []CVSS   `json:"cvss,omitempty"`
	CWEs        []string `json:"cwes,omitempty"`
	References  []string `json:"references,omitempty"`
	Published   string   `json:"published,omitempty"` // RFC 3339
	Modified    string   `json:"modified,omitempty"`
	Withdrawn   string   `json:"withdrawn,omitempty"` // rows of withdrawn advisories are not emitted; the text stays
	KEV         *KEV     `json:"kev,omitempty"`
	EPSS        *EPSS    `json:"epss,omitempty"`
}

// KEV is an entry of CISA's catalogue of known exploited vulnerabilities.
type KEV struct {
	Added      string `json:"added"` // date
	Due        string `json:"due,omitempty"`
	Ransomware bool   `json:"ransomware,omitempty"`
	Action     string `json:"action,omitempty"`
}

// EPSS is the estimated probability of exploitation within 30 days.
type EPSS struct {
	Score      float64 `json:"score"`      // 0 to 1
	Percentile float64 `json:"percentile"` // 0 to 1
	Date       string  `json:"date,omitempty"`
}

// Lifecycle says until when a stream gets fixes.
type Lifecycle struct {
	Feed     string `json:"feed"`
	Stream   string `json:"stream"`
	EOL      string `json:"eol,omitempty"`      // date of the last free fixes; "" when supported without an end yet
	Extended string `json:"extended,omitempty"` // date of the last fixes for subscribers
	Released string `json:"released,omitempty"`
	Latest   string `json:"latest,omitempty"` // newest version of the release
}

// Repository maps a Red Hat content set to the products whose rows count for it.
type Repository struct {
	Name string   `json:"name"` // "rhel-8-for-x86_64-baseos-rpms"
	CPEs []string `json:"cpes"`
}
