// Package match puts an inventory against the advisory database: packages in, vulnerabilities and gaps out. It knows rows,
// ranges and streams; it knows no publisher, whose quirks end in the feeds' rooms. What cannot be decided is told.
package match

import (
	"time"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Lookup is the advisory database as matching needs it. It must be safe for use from several goroutines.
type Lookup interface {
	// Rows calls yield for every row of a package in a stream until yield returns false. A row and all it refers to are
	// valid only during the call.
	Rows(stream, name string, yield func(*advisory.Row) bool) error
	// Vulnerability returns what is known of an id. Other ids of the same vulnerability are its Aliases.
	Vulnerability(id string) (*advisory.Vulnerability, bool)
	// Stream says what the database has of a stream; false when it does not know it.
	Stream(name string) (StreamInfo, bool)
}

// Repositories is what a Lookup may offer beside: the CPEs of the products whose packages a content set carries.
type Repositories interface {
	Repository(name string) (cpes []string, ok bool)
}

// Reverse is what a Lookup may offer beside: the packages that have a row with an id.
type Reverse interface {
	Packages(id string, yield func(stream, name string) bool) error
}

// StreamInfo is what the database has of a stream.
type StreamInfo struct {
	Rows      int
	Newest    string              // newest date of the feeds behind it, RFC 3339; "" when they name none
	Lifecycle *advisory.Lifecycle // nil when not known
}

// Options change how is matched.
type Options struct {
	// Inferred are streams of related systems. They are asked for systems without advisory data only, and only upstream
	// versions are compared: releases of different systems have no common order.
	Inferred []string
	// Owned also reports what upstream says on files that system packages own and on which the system's vendor is silent. By
	// default the vendor's silence counts: it is the one who knows what was carried back.
	Owned bool
	// Now decides what is past its end of life; zero is the present.
	Now time.Time
}

// Vulnerability is one vulnerability of one package.
type Vulnerability struct {
	Package *inventory.Package
	Row     *advisory.Row // the statement that decided; belongs to the result and may be shared: read only
	ID      string        // the CVE id when there is one
	Aliases []string      // other ids, sorted
	Fixed   string        // lowest fixed version above the installed one; "" when there is none
	State   advisory.State
	// Evidence is a class of package finding: vendor, upstream, changelog or inferred.
	Evidence     string
	Subscription string // the fixed version is for subscribers only
	Symbols      string // Go: linked, not-linked, "" when unknown
	Owner        string // system package that owns the file
	// Open is false when the vulnerability is fixed by other evidence than the version: see Evidence.
	Open  bool
	Notes []finding.Text
}

// Undecided is a statement that may hold for a package, but nothing says whether it does.
type Undecided struct {
	Package *inventory.Package
	ID      string
	Reason  string // one of the Reason constants
}

// Why a statement is not decided.
const (
	ReasonModule  = "not decided: module stream" // the package is of a module, the statement names none
	ReasonFlavor  = "not decided: kind of build" // the package is of a special build, the statement is for another
	ReasonVersion = "not decided: version"       // the versions have no order
)

// Result is what came out for an inventory. It is never silently empty: what could not be matched stands in Gaps.
type Result struct {
	Vulnerabilities []Vulnerability
	Undecided       []Undecided // for details; Gaps sums them up
	Gaps            []inventory.Gap
	Streams         map[string]StreamInfo // the streams of the system, as far as the database has them
	Lifecycle       *advisory.Lifecycle   // of the system; nil when not known
	EndOfLife       bool                  // the system gets no free fixes any more
}

// Match matches one inventory. Who has many uses a Matcher.
func Match(db Lookup, s *inventory.Software, o Options) Result {
	return NewMatcher(db, o).Match(s)
}
