// Package message holds what is told to people and programs outside: events with their texts in both languages, and how sending
// them can fail.
package message

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"stockade.dev/stockade/internal/finding"
)

// Schema is the name and version of an event's JSON.
const Schema = "stockade.event/v1"

// Event is one message. Its id stays the same however often it is sent.
type Event struct {
	ID       string            `json:"id"`
	Topic    string            `json:"topic"` // of the outbox, "digest" or "test"
	At       time.Time         `json:"at"`
	Severity finding.Severity  `json:"severity"` // worst of what it tells
	Title    finding.Text      `json:"title"`
	Text     finding.Text      `json:"text"` // a few lines more; "" when the title says all
	Target   *Target           `json:"target,omitempty"`
	Link     string            `json:"link,omitempty"` // into the console
	Counts   Counts            `json:"counts"`
	Findings []Finding         `json:"findings,omitempty"` // the worst
	More     int               `json:"more,omitempty"`     // findings that are not listed
	Details  map[string]string `json:"details,omitempty"`  // of other topics: "state", "reason", "name", ...
	Parts    []Part            `json:"parts,omitempty"`    // of a digest
	Report   *Report           `json:"report,omitempty"`
}

// Target is what was scanned.
type Target struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// Counts of findings that the event is about.
type Counts struct {
	Total    int            `json:"total"`
	New      int            `json:"new"`
	Reopened int            `json:"reopened"`
	Changed  int            `json:"changed"` // in any other way
	Severity map[string]int `json:"severity,omitempty"`
}

// Finding is a finding as messages show it.
type Finding struct {
	ID        string           `json:"id"`
	Severity  finding.Severity `json:"severity"`
	Kind      string           `json:"kind"`
	Status    string           `json:"status"`
	New       bool             `json:"new"`
	Rule      string           `json:"rule"`
	Title     finding.Text     `json:"title"`
	Cluster   string           `json:"cluster"` // or project, or node
	Namespace string           `json:"namespace,omitempty"`
	Resource  string           `json:"resource,omitempty"`
	Image     string           `json:"image,omitempty"`
	Package   string           `json:"package,omitempty"`
	Version   string           `json:"version,omitempty"`
	KEV       bool             `json:"kev,omitempty"`
	Fixable   bool             `json:"fixable,omitempty"`
	Priority  int              `json:"priority"`
	Link      string           `json:"link,omitempty"`
}

// Where names the place of a finding in one line.
func (f Finding) Where() string {
	var parts []string
	for _, s := range []string{f.Cluster, f.Namespace, f.Resource} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	where := strings.Join(parts, " / ")
	if f.Image != "" && f.Image != f.Resource {
		where += " " + f.Image
	}
	if f.Package != "" {
		where += " " + f.Package + " " + f.Version
	}
	return strings.TrimSpace(where)
}

// Part is one event of a digest.
type Part struct {
	At    time.Time    `json:"at"`
	Topic string       `json:"topic"`
	Title finding.Text `json:"title"`
}

// Report is a scheduled report that is ready.
type Report struct {
	ID       string `json:"id"`
	Result   string `json:"result"`
	Name     string `json:"name"`
	Form     string `json:"form"`
	Findings int    `json:"findings"`
	Bytes    int64  `json:"bytes"`
	Link     string `json:"link,omitempty"` // to download it, for who may
}

// Attachment is a file that goes with a message where the channel can carry it.
type Attachment struct {
	Name, Type string
	Data       []byte
}

// Failure is an error of sending. Without it a failure is tried again.
type Failure struct {
	Permanent bool          // sending the same again cannot help
	After     time.Duration // the receiver asked to wait so long
	Answer    string        // of the receiver, redacted and shortened
	Err       error
}

func (f *Failure) Error() string {
	if f.Answer == "" {
		return f.Err.Error()
	}
	return f.Err.Error() + ": " + f.Answer
}

func (f *Failure) Unwrap() error { return f.Err }

// Permanent reports whether sending the same again cannot help.
func Permanent(err error) bool {
	var f *Failure
	return errors.As(err, &f) && f.Permanent
}

// Wait is how long the receiver asked to wait, 0 if it did not.
func Wait(err error) time.Duration {
	var f *Failure
	if errors.As(err, &f) {
		return f.After
	}
	return 0
}

// maxAnswer bounds what is kept of a receiver's answer, in bytes.
const maxAnswer = 500

// Answer makes a receiver's answer fit to be shown: secrets replaced, on one line, short.
func Answer(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, "REDACTED")
		}
	}
	return Cut(Line(text), maxAnswer)
}

// Line makes foreign text one line without control characters and without marks that turn the direction of text.
func Line(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// Cut shortens s to at most n bytes, at the border of a character, and marks that it did.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n = max(0, n-len("…"))
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
