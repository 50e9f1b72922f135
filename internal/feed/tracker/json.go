// Package tracker reads Debian's security tracker: its JSON (security-tracker.debian.org/tracker/data/json) and the text lists
// that it is made from (salsa.debian.org/security-tracker-team/security-tracker, data/{CVE,DSA,DLA,DTSA}/list). Packages are
// source packages.
package tracker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/debian"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads the tracker's JSON.
var Reader = feed.Reader{Name: "debian-tracker", Knows: knows, Read: read}

const name = "debian-tracker"

// beginning is a package with an issue in it.
var beginning = regexp.MustCompile(`^\s*\{\s*"[a-z0-9][^"]*"\s*:\s*\{\s*"(?:CVE-\d{4}-|TEMP-)[^"]*"\s*:\s*\{`)

func knows(_ string, head []byte) bool { return beginning.Match(head) }

type issue struct {
	Description string             `json:"description"`
	Releases    map[string]release `json:"releases"`
}

type release struct {
	Status  string `json:"status"`
	Fixed   string `json:"fixed_version"`
	Urgency string `json:"urgency"`
	NoDSA   string `json:"nodsa"`
	Reason  string `json:"nodsa_reason"`
}

func read(ctx context.Context, d feed.Document, s feed.Sink) error {
	dec := json.NewDecoder(d.Body)
	told := map[string]bool{}
	err := notation.Members(dec, func(pkg string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var issues map[string]json.RawMessage
		if err := dec.Decode(&issues); err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
		for _, id := range slices.Sorted(maps.Keys(issues)) {
			var i issue
			s.Record(name)
			if json.Unmarshal(issues[id], &i) != nil {
				s.Refused(name, pkg+" "+id, "a record of another shape")
				continue
			}
			if i.Description != "" && !told[id] {
				told[id] = true
				if err := s.Vulnerability(advisory.Vulnerability{ID: id, Feed: name, Description: i.Description}); err != nil {
					return err
				}
			}
			if err := i.rows(pkg, id, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("debian tracker: byte %d: %w", dec.InputOffset(), err)
	}
	return nil
}

func (i *issue) rows(pkg, id string, s feed.Sink) error {
	for _, code := range slices.Sorted(maps.Keys(i.Releases)) {
		stream, ok := debian.Codename(code)
		if !ok {
			s.Refused(name, id, "release without a stream")
			continue
		}
		r := i.Releases[code]
		row := advisory.Row{
			Feed: name, Stream: stream, Package: pkg, IDs: []string{id}, Scheme: advisory.Deb, Severity: debian.Severity(r.Urgency),
		}
		switch {
		case r.Status == "resolved" && r.Fixed == "0":
			row.State = advisory.NotAffected
		case r.Status == "resolved" && r.Fixed != "":
			row.Ranges = []advisory.Range{{Fixed: r.Fixed}}
		case r.Status == "undetermined":
			row.State = advisory.Investigating
		case r.Status == "open":
			row.State = debian.Unfixed(r.Urgency, r.NoDSA, r.Reason)
			row.Reason = because(r)
		default:
			s.Refused(name, id, "neither open nor resolved")
			continue
		}
		if err := s.Row(row); err != nil {
			return err
		}
	}
	return nil
}

// because joins the tracker's words: "postponed: Minor issue".
func because(r release) string {
	words := []string{}
	for _, w := range []string{r.Reason, r.NoDSA} {
		if w != "" {
			words = append(words, w)
		}
	}
	if len(words) == 0 && (r.Urgency == "unimportant" || r.Urgency == "end-of-life") {
		return r.Urgency
	}
	return strings.Join(words, ": ")
}
