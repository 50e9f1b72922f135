// Package feedtest is for the tests of readers: a Sink that keeps what it is given, writes rows as short lines that tests
// compare, and checks what holds for every row whatever the feed.
package feedtest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
)

// Sink keeps everything. The zero value is ready.
type Sink struct {
	Records         map[string]int // by feed
	Rows            []advisory.Row
	Vulnerabilities []advisory.Vulnerability
	Lifecycles      []advisory.Lifecycle
	Repositories    []advisory.Repository
	Dates           map[string]string         // newest by feed
	Refusals        map[string]map[string]int // by feed and reason
	Discard         bool                      // rows are checked but not kept
	Bad             []string                  // what is wrong with rows
}

// Record counts.
func (s *Sink) Record(feed string) {
	if s.Records == nil {
		s.Records = map[string]int{}
	}
	s.Records[feed]++
}

// Row checks and keeps a row.
func (s *Sink) Row(r advisory.Row) error {
	if p := problem(&r); p != "" && len(s.Bad) < 20 {
		s.Bad = append(s.Bad, p+": "+Line(&r))
	}
	if !s.Discard {
		s.Rows = append(s.Rows, r)
	}
	return nil
}

// Vulnerability keeps v.
func (s *Sink) Vulnerability(v advisory.Vulnerability) error {
	if (v.ID == "" || v.Feed == "") && len(s.Bad) < 20 {
		s.Bad = append(s.Bad, fmt.Sprintf("vulnerability without id or feed: %+v", v))
	}
	if !s.Discard {
		s.Vulnerabilities = append(s.Vulnerabilities, v)
	}
	return nil
}

// Lifecycle keeps l.
func (s *Sink) Lifecycle(l advisory.Lifecycle) error {
	s.Lifecycles = append(s.Lifecycles, l)
	return nil
}

// Repository keeps r.
func (s *Sink) Repository(_ string, r advisory.Repository) error {
	s.Repositories = append(s.Repositories, r)
	return nil
}

// Modified keeps the newest date.
func (s *Sink) Modified(feed, date string) {
	if s.Dates == nil {
		s.Dates = map[string]string{}
	}
	s.Dates[feed] = max(s.Dates[feed], date)
}

// Refused counts by reason.
func (s *Sink) Refused(feed, _, reason string) {
	if s.Refusals == nil {
		s.Refusals = map[string]map[string]int{}
	}
	if s.Refusals[feed] == nil {
		s.Refusals[feed] = map[string]int{}
	}
	s.Refusals[feed][reason]++
}

// Lines returns the rows as lines, sorted.
func (s *Sink) Lines() []string {
	var lines []string
	for i := range s.Rows {
		lines = append(lines, Line(&s.Rows[i]))
	}
	slices.Sort(lines)
	return lines
}

// Refusal returns the refusals as "feed: reason: count", sorted.
func (s *Sink) Refusal() []string {
	var lines []string
	for _, f := range slices.Sorted(maps.Keys(s.Refusals)) {
		for _, r := range slices.Sorted(maps.Keys(s.Refusals[f])) {
			lines = append(lines, fmt.Sprintf("%s: %s: %d", f, r, s.Refusals[f][r]))
		}
	}
	return lines
}

// Line writes what matters of a row:
// "stream | package [src or bin] | ids | state versions | advisory severity | what narrows it".
func Line(r *advisory.Row) string {
	kind := "src"
	if r.Binary {
		kind = "bin"
	}
	var v []string
	for _, g := range r.Ranges {
		v = append(v, Range(g))
	}
	for _, e := range r.Versions {
		v = append(v, "="+e)
	}
	line := fmt.Sprintf("%s | %s %s | %s | %s %s | %s %s", r.Stream, r.Package, kind, strings.Join(r.IDs, " "), r.State, strings.Join(v, " || "), r.Advisory, r.Severity)
	add := func(name, value string) {
		if value != "" {
			line += " | " + name + "=" + value
		}
	}
	add("binaries", strings.Join(r.Binaries, ","))
	add("arch", strings.Join(r.Arches, ","))
	add("module", r.Module)
	add("flavor", r.Flavor)
	add("for", r.Subscription)
	add("cpe", r.CPE)
	add("reason", r.Reason)
	for _, q := range r.Requires {
		var ranges []string
		for _, g := range q.Ranges {
			ranges = append(ranges, Range(g))
		}
		add("with", strings.TrimSpace(strings.Join(q.CPE, ",")+" "+strings.Join(ranges, " || ")))
	}
	return line
}

// Range writes an interval: ">=1.0 <2.0".
func Range(g advisory.Range) string {
	var parts []string
	if g.Introduced != "" {
		op := ">="
		if g.After {
			op = ">"
		}
		parts = append(parts, op+g.Introduced)
	}
	if g.Fixed != "" {
		parts = append(parts, "<"+g.Fixed)
	} else if g.LastAffected != "" {
		parts = append(parts, "<="+g.LastAffected)
	}
	if parts == nil {
		return "any"
	}
	return strings.Join(parts, " ")
}

func problem(r *advisory.Row) string {
	switch {
	case r.Feed == "":
		return "no feed"
	case !advisory.KnownStream(r.Stream):
		return "unknown stream"
	case r.Package == "" || strings.TrimSpace(r.Package) != r.Package:
		return "bad package name"
	case len(r.IDs) == 0 || slices.Contains(r.IDs, ""):
		return "no id"
	case r.Binary && len(r.Binaries) > 0:
		return "binaries of a binary"
	}
	fixed := false
	for _, g := range r.Ranges {
		fixed = fixed || g.Fixed != ""
		if g.Fixed != "" && g.LastAffected != "" {
			return "two ends"
		}
	}
	if r.State == advisory.Fixed && !fixed {
		return "fixed without a version"
	}
	if r.State != advisory.Fixed && fixed {
		return "not fixed but with a fixed version"
	}
	switch r.Severity {
	case "", "critical", "high", "medium", "low":
		return ""
	}
	return "unknown severity"
}

// Read runs a reader over a text and returns what came out.
func Read(r feed.Reader, path, text string) (*Sink, error) {
	s := &Sink{}
	return s, ReadInto(s, r, path, strings.NewReader(text))
}

// ReadInto runs a reader over a document. It fails when the reader does not know the document or says nothing of it: no
// record, no refusal and no error.
func ReadInto(s *Sink, r feed.Reader, path string, body io.Reader) error {
	publisher, _, _ := strings.Cut(path, "/")
	return r.Read(context.Background(), feed.Document{Path: path, Publisher: publisher, Size: -1, Body: body}, s)
}
