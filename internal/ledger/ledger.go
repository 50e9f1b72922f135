// Package ledger holds the nouns of findings that live on: what kinds there are, what scans and people say of them, why that
// changed, and the rows as they are kept. It does nothing: triage writes them, browse reads them.
package ledger

import (
	"fmt"
	"slices"

	"stockade.dev/stockade/internal/finding"
)

// Kind is a kind of risk as the console divides them.
type Kind int8

// The kinds. Values are kept in databases: never change them.
const (
	SystemVulnerability Kind = iota + 1
	ApplicationVulnerability
	Emergency
	Configuration
	IaC
	Secret
	Malware
	Permission
)

var kindNames = []string{"", "system-vulnerability", "application-vulnerability", "emergency", "configuration", "iac", "secret", "malware", "permission"}

// Kinds lists all kinds.
var Kinds = []Kind{SystemVulnerability, ApplicationVulnerability, Emergency, Configuration, IaC, Secret, Malware, Permission}

// KindOf says where a finding belongs.
func KindOf(f *finding.Finding) Kind {
	switch f.Kind {
	case finding.Vulnerability:
		if f.Vulnerability != nil && f.Vulnerability.Type == "system" {
			return SystemVulnerability
		}
		return ApplicationVulnerability
	case finding.Emergency:
		return Emergency
	case finding.IaC:
		return IaC
	case finding.Secret:
		return Secret
	case finding.Malware:
		return Malware
	case finding.Permission:
		return Permission
	}
	return Configuration
}

// State is what scans say of a finding.
type State int8

// The states.
const (
	Open     State = iota + 1
	Reopened       // it was fixed or gone, and is there again
	Unseen         // its place could not be looked at the last time; it counts as open, with the age of last_seen
	Fixed          // its place was looked at and it is not there any more
	Gone           // the object that it was about is not there any more
)

var stateNames = []string{"", "open", "reopened", "unseen", "fixed", "gone"}

// Handling is what people and exceptions say of a finding.
type Handling int8

// The handlings.
const (
	Unhandled   Handling = iota
	Ignored              // by hand
	Accepted             // by an exception, a VEX statement or a comment in the file
	MarkedFixed          // fixed by hand; the next scan tells
)

var handlingNames = []string{"none", "ignored", "accepted", "marked-fixed"}

// Status is state and handling in one word, for lists. The first three are active: they count.
type Status int8

// The statuses.
const (
	StatusOpen Status = iota + 1
	StatusReopened
	StatusUnseen
	StatusIgnored
	StatusAccepted
	StatusMarkedFixed
	StatusFixed
	StatusGone
)

var statusNames = []string{"", "open", "reopened", "unseen", "ignored", "accepted", "marked-fixed", "fixed", "gone"}

// Statuses lists all; Active the ones that count.
var (
	Statuses = []Status{StatusOpen, StatusReopened, StatusUnseen, StatusIgnored, StatusAccepted, StatusMarkedFixed, StatusFixed, StatusGone}
	Active   = []Status{StatusOpen, StatusReopened, StatusUnseen}
)

// Active reports whether findings of the status count as open.
func (s Status) Active() bool { return s >= StatusOpen && s <= StatusUnseen }

// StatusOf joins state and handling: what scans saw disappear is fixed or gone whatever people said of it.
func StatusOf(s State, h Handling) Status {
	switch {
	case s == Fixed:
		return StatusFixed
	case s == Gone:
		return StatusGone
	case h == Ignored:
		return StatusIgnored
	case h == Accepted:
		return StatusAccepted
	case h == MarkedFixed:
		return StatusMarkedFixed
	case s == Reopened:
		return StatusReopened
	case s == Unseen:
		return StatusUnseen
	}
	return StatusOpen
}

// Cause is why a finding came, changed or went.
type Cause int8

// The causes.
const (
	NoCause Cause = iota
	FirstSeen
	ObjectChanged
	ImageChanged
	RuleChanged
	DatabaseChanged
	ObjectGone
	NotLooked // could not be, or was not asked to be
	ByHand
	ByException
	ExceptionEnded
)

var causeNames = []string{"", "first-seen", "object-changed", "image-changed", "rule-changed", "database-changed", "object-gone", "not-looked-at", "by-hand", "exception", "exception-ended"}

// AssetKind is a kind of thing that findings are about.
type AssetKind int8

// The kinds of assets.
const (
	AssetCluster AssetKind = iota + 1
	AssetNamespace
	AssetWorkload
	AssetImage
	AssetNode
	AssetObject // any other object of a cluster
	AssetFile
)

var assetNames = []string{"", "cluster", "namespace", "workload", "image", "node", "object", "file"}

// AssetKinds lists all kinds of assets.
var AssetKinds = []AssetKind{AssetCluster, AssetNamespace, AssetWorkload, AssetImage, AssetNode, AssetObject, AssetFile}

// Action is what a row of history tells.
type Action string

// The actions. Seen is the scan's; the others are people's, Accept and Unaccept also those of exceptions.
const (
	Seen      Action = "seen"
	Ignore    Action = "ignore"
	Unignore  Action = "unignore"
	MarkFixed Action = "mark-fixed"
	Accept    Action = "accept"
	Unaccept  Action = "unaccept"
	Assign    Action = "assign"
	Comment   Action = "comment"
	Verify    Action = "verify"
)

// Severity numbers severities as databases keep them: 4 critical to 0 info.
type Severity int8

// SeverityOf gives the number of a severity.
func SeverityOf(s finding.Severity) Severity { return Severity(max(0, s.Rank())) }

// Word is the severity in the words of the findings document.
func (s Severity) Word() finding.Severity {
	return finding.Severities[len(finding.Severities)-1-int(min(max(s, 0), 4))]
}

// Score orders assets: by critical findings, then high, medium, low. Each counts up to 32,767.
func Score(critical, high, medium, low int) int64 {
	const most = 1<<15 - 1
	score := int64(0)
	for _, n := range []int{critical, high, medium, low} {
		score = score<<15 | int64(min(max(n, 0), most))
	}
	return score
}

func (k Kind) String() string      { return name(kindNames, int(k)) }
func (s State) String() string     { return name(stateNames, int(s)) }
func (h Handling) String() string  { return name(handlingNames, int(h)) }
func (s Status) String() string    { return name(statusNames, int(s)) }
func (c Cause) String() string     { return name(causeNames, int(c)) }
func (k AssetKind) String() string { return name(assetNames, int(k)) }
func (s Severity) String() string  { return string(s.Word()) }

// MarshalText implements encoding.TextMarshaler, and so do those below: in JSON all of these are words.
func (k Kind) MarshalText() ([]byte, error)      { return []byte(k.String()), nil }
func (s State) MarshalText() ([]byte, error)     { return []byte(s.String()), nil }
func (h Handling) MarshalText() ([]byte, error)  { return []byte(h.String()), nil }
func (s Status) MarshalText() ([]byte, error)    { return []byte(s.String()), nil }
func (c Cause) MarshalText() ([]byte, error)     { return []byte(c.String()), nil }
func (k AssetKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
func (s Severity) MarshalText() ([]byte, error)  { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kind) UnmarshalText(b []byte) error     { return parse(k, kindNames, "kind", b) }
func (s *State) UnmarshalText(b []byte) error    { return parse(s, stateNames, "state", b) }
func (h *Handling) UnmarshalText(b []byte) error { return parse(h, handlingNames, "handling", b) }
func (s *Status) UnmarshalText(b []byte) error   { return parse(s, statusNames, "status", b) }
func (c *Cause) UnmarshalText(b []byte) error    { return parse(c, causeNames, "cause", b) }
func (k *AssetKind) UnmarshalText(b []byte) error {
	return parse(k, assetNames, "kind of asset", b)
}
func (s *Severity) UnmarshalText(b []byte) error {
	sev, err := finding.ParseSeverity(string(b))
	*s = SeverityOf(sev)
	return err
}

func name(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprint(i)
	}
	return names[i]
}

func parse[T ~int8](v *T, names []string, what string, b []byte) error {
	i := slices.Index(names, string(b))
	if i < 0 {
		return fmt.Errorf("%s %q: want one of %v", what, b, slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "" }))
	}
	*v = T(i)
	return nil
}
