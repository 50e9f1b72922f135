// Package emergency says how far an urgent vulnerability is a danger here: versions are compared first, and then small harmless checks
// look at the preconditions. The list of emergencies is data (folder emergencies, and the advisory database), the checks are a fixed
// set of Go functions that only read; an emergency combines them.
package emergency

import (
	"cmp"

	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/finding"
)

// Class is how much a check touches. Users can forbid classes; each includes none of the others.
type Class = check.Class

// The classes.
const (
	Reads   = check.Reads   // files and facts that are there already
	Process = check.Process // /proc of running processes
	Request = check.Request // one harmless request to a named local port
	Private = check.Private // a file of its own in a private temporary folder
)

// Verdict is what an emergency is on one node, in one image or for one workload.
type Verdict string

// The ladder, from harmless to dangerous; Unknown says what could not be read.
const (
	NotPresent  Verdict = "not-present"
	Fixed       Verdict = "fixed"             // by version
	Backported  Verdict = "fixed-by-backport" // with proof: package changelog, vendor advisory or a mark in the bytes
	VersionOnly Verdict = "version-only"      // affected by version, but a precondition is missing: Checks say which
	Unknown     Verdict = "unknown"           // affected by version; a precondition could not be looked at
	Exposed     Verdict = "exposed"           // all preconditions seen
)

// Emergency is one of the list.
type Emergency struct {
	ID string `json:"id" yaml:"id"` // "CVE-2024-21626", "ETCD-ANON"
	// Revision grows with every change of the entry: of two lists, the higher one counts.
	Revision      int              `json:"revision" yaml:"revision"`
	Name          string           `json:"name" yaml:"name"` // "Leaky Vessels"
	Aliases       []string         `json:"aliases,omitempty" yaml:"aliases,omitempty"`
	Title         finding.Text     `json:"title" yaml:"title"`
	What          finding.Text     `json:"what" yaml:"what"` // what an attacker gains, and how
	Fix           finding.Text     `json:"fix" yaml:"fix"`
	Severity      finding.Severity `json:"severity" yaml:"severity"`
	Published     string           `json:"published,omitempty" yaml:"published,omitempty"` // day of the disclosure, "2024-01-31"; "" when no source at hand names it
	KEV           bool             `json:"kev,omitempty" yaml:"kev,omitempty"`
	Affected      []Range          `json:"affected" yaml:"affected"`
	Sources       []Source         `json:"sources" yaml:"sources"`                                 // who says so, for every range; checked by people or against the feeds
	Preconditions []Step           `json:"preconditions,omitempty" yaml:"preconditions,omitempty"` // all must hold for Exposed; none: affected is exposed
	Proofs        []Step           `json:"proofs,omitempty" yaml:"proofs,omitempty"`               // any that holds is Backported, whatever the version says
	Where         []string         `json:"where" yaml:"where"`                                     // node, image, cluster
	// Configuration says that no version decides: without its preconditions it is not present.
	Configuration bool `json:"configuration,omitempty" yaml:"configuration,omitempty"`
	// Retired says that no fix will come: the project or the line has ended.
	Retired bool         `json:"retired,omitempty" yaml:"retired,omitempty"`
	Traps   finding.Text `json:"traps,omitzero" yaml:"traps,omitempty"` // what makes other scanners match falsely
}

// Range says which versions of a component are affected.
type Range struct {
	Component string   `json:"component" yaml:"component"`                 // as BinaryFact.Component, or "package:<type>/<name>" as in package URLs without version
	Scheme    string   `json:"scheme" yaml:"scheme"`                       // comparator of package version: semver, go, maven, kernel, loose, dpkg, rpm
	Streams   []string `json:"streams,omitempty" yaml:"streams,omitempty"` // only on these systems ("ubuntu"); empty: everywhere
	// Spans are half-open: ">= introduced, < fixed". Introduced "0" is from the beginning, Fixed "" is no fix.
	Spans []Span `json:"spans" yaml:"spans"`
}

// Span is one run of affected versions.
type Span struct {
	Introduced string `json:"introduced" yaml:"introduced"`
	Fixed      string `json:"fixed,omitempty" yaml:"fixed,omitempty"`
	Last       string `json:"last,omitempty" yaml:"last,omitempty"` // last affected, where no fixed one is known
}

// Source names who says what.
type Source struct {
	Name string `json:"name" yaml:"name"` // "Go vulnerability database GO-2024-2491"
	URL  string `json:"url" yaml:"url"`
}

// Step runs a check with arguments.
type Step struct {
	Check string         `json:"check" yaml:"check"`                     // name in the table of checks
	Not   bool           `json:"not,omitempty" yaml:"not,omitempty"`     // it holds when the check says no
	Where []string       `json:"where,omitempty" yaml:"where,omitempty"` // only for these kinds of subject
	With  map[string]any `json:"with,omitempty" yaml:"with,omitempty"`
	Says  finding.Text   `json:"says" yaml:"says"` // the precondition in words: "pods may run as root without a user namespace"
}

// Outcome is what a step saw.
type Outcome struct {
	Check    string       `json:"check"`
	Class    Class        `json:"class"`
	Says     finding.Text `json:"says"`
	Holds    check.Holds  `json:"holds"`            // yes, no or unknown
	Proof    bool         `json:"proof,omitempty"`  // of a fix, not a precondition
	Evidence string       `json:"evidence"`         // what was seen, where: "/usr/sbin/runc has no text \"possible container breakout detected\""
	Reason   string       `json:"reason,omitempty"` // of unknown: what could not be read, or "class forbidden"
	// SaidZH is Evidence or Reason in Chinese. Older agents send the English alone, and older servers read that.
	SaidZH string `json:"saidZh,omitempty"`
}

// Said is the evidence, or the reason why there is none, in both languages as far as they are known.
func (o *Outcome) Said() finding.Text {
	return finding.Text{EN: cmp.Or(o.Evidence, o.Reason), ZH: o.SaidZH}
}

// Result is an emergency on one subject.
type Result struct {
	Emergency string    `json:"emergency"`
	Subject   string    `json:"subject"` // node, image digest or "namespace/kind/name"
	Component string    `json:"component,omitempty"`
	Path      string    `json:"path,omitempty"`
	Container string    `json:"container,omitempty"` // "namespace/pod/container" that Path is in; "" on the host
	Version   string    `json:"version,omitempty"`
	Verdict   Verdict   `json:"verdict"`
	Checks    []Outcome `json:"checks,omitempty"`
	// Instances are all places where the component was found, the decisive one first; at most MostInstances.
	Instances []Instance `json:"instances,omitempty"`
	// Note says what decided where no check did: "1.1.12 is not affected", "the vendor's DSA-5615-1 fixes it".
	Note finding.Text `json:"note,omitzero"`
	// NotRead says, for Unknown, what could not be read.
	NotRead string `json:"notRead,omitempty"`
	// NotReadZH is NotRead in Chinese, as far as it is known.
	NotReadZH string `json:"notReadZh,omitempty"`
}

// Unread is what could not be read, in both languages as far as they are known.
func (r *Result) Unread() finding.Text { return finding.Text{EN: r.NotRead, ZH: r.NotReadZH} }

// SetUnread says what could not be read.
func (r *Result) SetUnread(t finding.Text) { r.NotRead, r.NotReadZH = t.EN, t.ZH }

// MostInstances bounds Result.Instances.
const MostInstances = 50

// Instance is one place where a component was found.
type Instance struct {
	Component string  `json:"component"`
	Path      string  `json:"path,omitempty"`
	Container string  `json:"container,omitempty"` // "namespace/pod/container" it runs in
	Version   string  `json:"version,omitempty"`
	Running   bool    `json:"running,omitempty"`
	Verdict   Verdict `json:"verdict"`
}

// Subject is what is looked at. What is nil is not known there; a step that needs it is unknown, with that reason.
type Subject = check.Subject

// Vendor is what the advisories of a system say of a vulnerability in one of its packages.
type Vendor = check.Vendor

// Files opens files below a root without ever leaving it; every read is bounded by the caller.
type Files = check.Files

// File is an open regular file.
type File = check.File

// Conn is a connection to a local port.
type Conn = check.Conn
