// Package secdb reads the fixed versions that Alpine, Wolfi, Chainguard and others who build with apk publish: JSON, and the
// YAML of Alpine's older branches (secdb.alpinelinux.org, packages.wolfi.dev/os/security.json). Packages are named by origin.
package secdb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/alpine"
	"stockade.dev/stockade/internal/feed/notation"
	"stockade.dev/stockade/internal/feed/wolfi"
)

// Reader reads secdb files.
var Reader = feed.Reader{Name: "secdb", Knows: knows, Read: read}

// maxYAML bounds the older files; the largest one is 100 kB.
const maxYAML = 64 << 20

// Bounds of what one version fixes.
const (
	maxLines = 10_000
	maxLine  = 1000
)

var yamlMark = regexp.MustCompile(`(?m)^distroversion:\s`)

func knows(path string, head []byte) bool {
	if keys, list := feed.Keys(head); keys != nil {
		return !list && slices.Contains(keys, "reponame") && (slices.Contains(keys, "urlprefix") || slices.Contains(keys, "distroversion"))
	}
	ext := feed.Ext(path)
	return (ext == ".yaml" || ext == ".yml") && yamlMark.Match(head) && bytes.Contains(head, []byte("\npackages:"))
}

type database struct {
	Branch   string   `json:"distroversion" yaml:"distroversion"`
	URL      string   `json:"urlprefix" yaml:"urlprefix"`
	Packages packages `json:"packages" yaml:"packages"`
	broken   int      // packages that could not be read
}

type entry struct {
	Package struct {
		Name  string              `json:"name" yaml:"name"`
		Fixes map[string][]string `json:"secfixes" yaml:"secfixes"`
	} `json:"pkg" yaml:"pkg"`
}

// packages is a list; repositories without one write an empty object.
type packages []entry

// UnmarshalJSON reads a list or an empty object. Entries of another shape stay without a name, which rows refuse.
func (p *packages) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	for _, raw := range list {
		var e entry
		if json.Unmarshal(raw, &e) != nil {
			e = entry{}
		}
		*p = append(*p, e)
	}
	return nil
}

func read(_ context.Context, d feed.Document, s feed.Sink) error {
	var db database
	if ext := feed.Ext(d.Path); ext == ".yaml" || ext == ".yml" {
		if err := yaml.NewDecoder(notation.Bounded(d.Body, maxYAML)).Decode(&db); err != nil && err != io.EOF {
			var types *yaml.TypeError // what has another shape is left out, the rest is there
			if !errors.As(err, &types) {
				return fmt.Errorf("secdb: %w", err)
			}
			db.broken = len(types.Errors)
		}
	} else if err := notation.JSON(d.Body, &db); err != nil {
		return fmt.Errorf("secdb: %w", err)
	}
	stream, ok := wolfi.Stream(db.URL)
	if !ok {
		stream, ok = alpine.Stream(db.Branch)
	}
	if !ok {
		return errors.New("secdb: neither the branch nor the address tells whose repository it is")
	}
	publisher, _, _ := strings.Cut(stream, " ")
	name := publisher + "-secdb"
	for range db.broken {
		s.Refused(name, stream, "an entry of another shape")
	}
	for i := range db.Packages {
		p := &db.Packages[i].Package
		s.Record(name)
		if p.Name == "" {
			s.Refused(name, stream, "no package name, or an entry of another shape")
			continue
		}
		for _, version := range slices.Sorted(maps.Keys(p.Fixes)) {
			if err := rows(name, stream, p.Name, version, p.Fixes[version], s); err != nil {
				return err
			}
		}
	}
	return nil
}

var other = regexp.MustCompile(`^(?:GHSA(?:-[0-9a-z]{4}){3}|XSA-\d+|CGA(?:-[0-9a-z]{4}){3}|GO-\d{4}-\d+|ALPINE-\d+|ZBX-\d+|VSV\d+|MFSA\S+|GNUTLS\S+|TS-\d{4}-\d+|RUSTSEC\S+)$`)

// rows writes what one version fixes: the CVEs as one row, and other ids as a row each when no CVE stands on their line. One
// line may name several: "CVE-2019-18423 XSA-301". The version 0 says that the package was never affected.
func rows(name, stream, pkg, version string, lines []string, s feed.Sink) error {
	row := advisory.Row{Feed: name, Stream: stream, Package: pkg, Scheme: advisory.APK, State: advisory.NotAffected}
	if version = strings.TrimSpace(version); version != "0" {
		row.State, row.Ranges = advisory.Fixed, []advisory.Range{{Fixed: version}}
	}
	if len(lines) > maxLines {
		s.Refused(name, pkg+" "+version, "more than 10,000 ids")
		return nil
	}
	var ids, others []string
	for _, line := range lines {
		if len(line) > maxLine {
			s.Refused(name, pkg+" "+version, "no id that is known")
			continue
		}
		found := notation.CVEs(strings.ReplaceAll(line, "CVE_", "CVE-"))
		for _, id := range found {
			ids = notation.Add(ids, id)
		}
		if len(found) > 0 {
			continue
		}
		for _, word := range strings.Fields(line) {
			if word = strings.Trim(word, "(),;"); other.MatchString(word) {
				others = notation.Add(others, word)
				found = append(found, word)
			}
		}
		if len(found) == 0 {
			s.Refused(name, pkg+" "+version, "no id that is known")
		}
	}
	if len(ids) > 0 {
		row.IDs = ids
		if err := s.Row(row); err != nil {
			return err
		}
	}
	for _, id := range others {
		row.IDs, row.Advisory = []string{id}, id
		if err := s.Row(row); err != nil {
			return err
		}
	}
	return nil
}
