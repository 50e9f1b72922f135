package wolfi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads advisory files.
var Reader = feed.Reader{Name: "wolfi-advisories", Knows: knows, Read: read}

// maxFile bounds one package's file; the largest one is 300 kB.
const maxFile = 64 << 20

// maxAliases bounds the names of one vulnerability.
const maxAliases = 1000

var mark = regexp.MustCompile(`(?m)^schema-version:\s`)

func knows(path string, head []byte) bool {
	ext := feed.Ext(path)
	return (ext == ".yaml" || ext == ".yml") && mark.Match(head) && bytes.Contains(head, []byte("\npackage:")) && bytes.Contains(head, []byte("\nadvisories:"))
}

type file struct {
	Package struct {
		Name string `yaml:"name"`
	} `yaml:"package"`
	Advisories []struct {
		ID      string   `yaml:"id"`
		Aliases []string `yaml:"aliases"`
		Events  []event  `yaml:"events"`
	} `yaml:"advisories"`
}

type event struct {
	Time string `yaml:"timestamp"`
	Type string `yaml:"type"`
	Data struct {
		Type  string `yaml:"type"`
		Note  string `yaml:"note"`
		Fixed string `yaml:"fixed-version"`
	} `yaml:"data"`
}

func read(_ context.Context, d feed.Document, s feed.Sink) error {
	var f file
	if err := yaml.NewDecoder(notation.Bounded(d.Body, maxFile)).Decode(&f); err != nil && err != io.EOF {
		return fmt.Errorf("wolfi: %w", err)
	}
	stream := "wolfi"
	if strings.Contains(strings.ToLower(d.Path), "chainguard") { // nothing in the file tells, only where it lies
		stream = "chainguard"
	}
	name := stream + "-advisories"
	if f.Package.Name == "" {
		return fmt.Errorf("wolfi: no package name")
	}
	s.Record(name) // a package's file, as the publisher counts
	newest := ""
	for i := range f.Advisories {
		a := &f.Advisories[i]
		row := advisory.Row{Feed: name, Stream: stream, Package: f.Package.Name, Scheme: advisory.APK, Advisory: a.ID}
		a.Aliases = a.Aliases[:min(len(a.Aliases), maxAliases)]
		for _, alias := range a.Aliases {
			if notation.IsCVE(alias) {
				row.IDs = notation.Add(row.IDs, alias)
			}
		}
		if row.IDs == nil {
			for _, alias := range a.Aliases {
				if strings.HasPrefix(alias, "GHSA-") || strings.HasPrefix(alias, "GO-") {
					row.IDs = notation.Add(row.IDs, alias)
				}
			}
		}
		if row.IDs == nil && a.ID != "" {
			row.IDs = []string{a.ID}
		}
		if len(a.Events) == 0 {
			s.Refused(name, a.ID, "nothing has been said of it")
			continue
		}
		last := verdict(a.Events, &row)
		newest = notation.Newest(newest, last)
		if err := s.Row(row); err != nil {
			return err
		}
	}
	if newest != "" {
		s.Modified(name, newest)
	}
	return nil
}

// verdict sets the state by the last event and returns its date. A detection after a fix (a scanner found it again) does not
// take the fix back: the fix names the version, and the finding was made by a tool.
func verdict(events []event, row *advisory.Row) string {
	slices.SortStableFunc(events, func(a, b event) int { return strings.Compare(notation.Time(a.Time), notation.Time(b.Time)) })
	row.Published = notation.Time(events[0].Time)
	last := events[len(events)-1]
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Type != "detection" {
			last = events[i]
			break
		}
	}
	row.Reason = strings.TrimSpace(last.Data.Note)
	if len(row.Reason) > 1000 {
		row.Reason = strings.ToValidUTF8(row.Reason[:1000], "") + "…"
	}
	switch last.Type {
	case "fixed":
		switch last.Data.Fixed {
		case "0":
			row.State = advisory.NotAffected
		case "":
			row.State = advisory.Affected
		default:
			row.State, row.Ranges = advisory.Fixed, []advisory.Range{{Fixed: last.Data.Fixed}}
		}
	case "false-positive-determination":
		row.State = advisory.NotAffected
		if row.Reason == "" {
			row.Reason = last.Data.Type
		}
	case "fix-not-planned", "analysis-not-planned":
		row.State = advisory.WillNotFix
	case "pending-upstream-fix":
		row.State = advisory.Deferred
	case "true-positive-determination":
		row.State = advisory.Affected
	default:
		row.State = advisory.Investigating
	}
	return notation.Time(last.Time)
}
