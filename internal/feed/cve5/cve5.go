// Package cve5 reads CVE records of versions 5.0 and 5.1 as the CVE programme and CISA's vulnrichment publish them: what is
// known of a CVE, and rows for products that are named by CPE, by the assigner or by an additional publisher (ADP).
package cve5

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/cpe"
	"stockade.dev/stockade/internal/feed/notation"
	"stockade.dev/stockade/internal/feed/nvd"
)

// Reader reads one record.
var Reader = feed.Reader{
	Name: "cve5",
	Knows: func(path string, head []byte) bool {
		return strings.HasSuffix(path, ".json") &&
			(bytes.Contains(head, []byte(`"CVE_RECORD"`)) || bytes.Contains(head, []byte(`"cveMetadata"`)) ||
				bytes.Contains(head, []byte(`"containers"`)) && (bytes.Contains(head, []byte(`"cna"`)) || bytes.Contains(head, []byte(`"adp"`))))
	},
	Read: read,
}

// record holds the members of a record that are used. https://cveproject.github.io/cve-schema/
type record struct {
	Type     string `json:"dataType"`
	Metadata struct {
		ID        string `json:"cveId"`
		State     string `json:"state"`
		Published string `json:"datePublished"`
		Updated   string `json:"dateUpdated"`
		Rejected  string `json:"dateRejected"`
	} `json:"cveMetadata"`
	Containers struct {
		CNA container   `json:"cna"`
		ADP []container `json:"adp"`
	} `json:"containers"`
}

type container struct {
	Provider struct {
		Name string `json:"shortName"`
	} `json:"providerMetadata"`
	Title        string     `json:"title"`
	Descriptions []text     `json:"descriptions"`
	Affected     []affected `json:"affected"`
	Problems     []struct {
		Descriptions []struct {
			CWE string `json:"cweId"`
		} `json:"descriptions"`
	} `json:"problemTypes"`
	Metrics    []map[string]json.RawMessage `json:"metrics"`
	References []struct {
		URL string `json:"url"`
	} `json:"references"`
	Applicability json.RawMessage `json:"cpeApplicability"`
}

type text struct {
	Lang  string `json:"lang"`
	Value string `json:"value"`
}

type affected struct {
	CPEs     []string  `json:"cpes"`
	Default  string    `json:"defaultStatus"`
	Versions []version `json:"versions"`
}

type version struct {
	Version  string `json:"version"`
	Status   string `json:"status"`
	Type     string `json:"versionType"`
	Less     string `json:"lessThan"`
	LessOrEq string `json:"lessThanOrEqual"`
	Changes  []struct {
		At     string `json:"at"`
		Status string `json:"status"`
	} `json:"changes"`
}

func read(_ context.Context, d feed.Document, s feed.Sink) error {
	name := cmp.Or(d.Publisher, "cve") + "-cve5"
	var r record
	if err := notation.JSON(d.Body, &r); err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	s.Record(name)
	id := strings.ToUpper(r.Metadata.ID)
	if !notation.IsCVE(id) {
		s.Refused(name, r.Metadata.ID, "no CVE id")
		return nil
	}
	v := r.describe(id, name)
	if v.Modified != "" {
		s.Modified(name, v.Modified)
	}
	if err := s.Vulnerability(v); err != nil {
		return err
	}
	if v.Withdrawn != "" {
		s.Refused(name, id, "rejected")
		return nil
	}
	var rows cpe.Rows
	refused := map[string]bool{}
	refuse := func(reason string) {
		if !refused[reason] {
			refused[reason] = true
			s.Refused(name, id, reason)
		}
	}
	named := false
	for _, c := range append([]container{r.Containers.CNA}, r.Containers.ADP...) {
		for i := range c.Affected {
			if len(c.Affected[i].CPEs) > 0 {
				named = true
				c.Affected[i].rows(&rows, refuse)
			}
		}
		named = named || len(c.Applicability) > 0
		if err := nvd.Applicability(c.Applicability, &rows, refuse); err != nil {
			return fmt.Errorf("%s: %w", d.Path, err)
		}
	}
	if !named {
		refuse("no CPE")
	}
	return rows.All(func(row advisory.Row) error {
		row.Feed, row.IDs, row.Published, row.Severity, row.CVSS = name, []string{id}, v.Published, v.Severity, v.CVSS
		return s.Row(row)
	})
}

// maxReferences bounds what is kept of a list of links.
const maxReferences = 20

func (r *record) describe(id, name string) advisory.Vulnerability {
	cna := &r.Containers.CNA
	v := advisory.Vulnerability{ID: id, Feed: name, Title: cna.Title, Published: notation.Time(r.Metadata.Published), Modified: notation.Time(r.Metadata.Updated)}
	if strings.EqualFold(r.Metadata.State, "REJECTED") {
		v.Withdrawn = cmp.Or(notation.Time(r.Metadata.Rejected), v.Modified, v.Published, "unknown")
	}
	for _, d := range cna.Descriptions {
		if strings.HasPrefix(strings.ToLower(d.Lang), "en") && v.Description == "" {
			v.Description = d.Value
		}
	}
	for _, c := range append([]container{*cna}, r.Containers.ADP...) {
		for _, m := range c.Metrics {
			for _, key := range []string{"cvssV4_0", "cvssV3_1", "cvssV3_0", "cvssV2_0"} {
				if data := m[key]; len(data) > 0 {
					v.CVSS, v.Severity = score(data, c.Provider.Name, v.CVSS, v.Severity)
				}
			}
		}
		for _, p := range c.Problems {
			for _, d := range p.Descriptions {
				if strings.HasPrefix(d.CWE, "CWE-") {
					v.CWEs = notation.Add(v.CWEs, d.CWE)
				}
			}
		}
		for _, ref := range c.References {
			if len(v.References) < maxReferences {
				v.References = notation.Add(v.References, ref.URL)
			}
		}
	}
	return v
}

func score(data json.RawMessage, source string, list []advisory.CVSS, severity string) ([]advisory.CVSS, string) {
	var m struct {
		Vector   string  `json:"vectorString"`
		Base     float64 `json:"baseScore"`
		Severity string  `json:"baseSeverity"`
	}
	if err := json.Unmarshal(data, &m); err != nil || m.Base < 0 || m.Base > 10 || len(list) >= 6 {
		return list, severity
	}
	c := advisory.CVSS{Vector: m.Vector, Score: m.Base, Source: cmp.Or(source, "cve")}
	if slices.Contains(list, c) {
		return list, severity
	}
	return append(list, c), cmp.Or(severity, notation.Severity(m.Severity))
}

// rows reads a product. Its CPEs name it; its versions are in the list beside, in whatever spelling its type says.
func (a *affected) rows(rows *cpe.Rows, refuse func(string)) {
	var names []cpe.Name
	for _, c := range a.CPEs {
		n, ok := cpe.Parse(c)
		if !ok {
			refuse("CPE not understood")
			continue
		}
		if why := n.Outside(); why != "" {
			refuse(why)
			continue
		}
		if n.Vendor == "redhat" {
			// Products as a whole, without versions; Red Hat's own documents say which packages.
			refuse("told by the vendor's own feed")
			continue
		}
		if !slices.ContainsFunc(names, func(o cpe.Name) bool { return o.Any() == n.Any() }) {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return
	}
	ranges, exact, why := a.span()
	if why != "" {
		refuse(why)
	}
	for _, n := range names {
		if len(ranges) > 0 {
			rows.Add(n, ranges, "", nil)
		}
		for _, v := range exact {
			rows.Add(n, nil, v, nil)
		}
	}
}

// span turns the list of versions into intervals and exact versions, with a reason when some of it was not understood.
func (a *affected) span() (ranges []advisory.Range, exact []string, why string) {
	for i := range a.Versions {
		v := &a.Versions[i]
		switch {
		case v.Type == "rpm" || v.Type == "git" || v.Type == "deb":
			why = "versions of type " + v.Type
			continue
		case v.Status == "unaffected" && a.Default == "affected" && v.Less == "*" && start(v.Version) != "" && plain(v.Version):
			ranges = append(ranges, advisory.Range{Fixed: v.Version})
			continue
		case v.Status != "affected":
			continue
		case len(v.Changes) > 0:
			ranges = append(ranges, v.changed()...)
			continue
		}
		from := start(v.Version)
		less, last := v.Less, v.LessOrEq
		if rest, ok := strings.CutPrefix(v.Version, "<="); ok && less == "" && last == "" {
			from, last = "", strings.TrimSpace(rest)
		} else if rest, ok := strings.CutPrefix(v.Version, "<"); ok && less == "" && last == "" {
			from, less = "", strings.TrimSpace(rest)
		}
		if !plain(from) || !plain(less) || !plain(last) {
			why = "version not understood"
			continue
		}
		switch {
		case less == "*" || last == "*":
			ranges = append(ranges, advisory.Range{Introduced: from})
		case less != "":
			ranges = append(ranges, advisory.Range{Introduced: from, Fixed: less})
		case last != "":
			ranges = append(ranges, advisory.Range{Introduced: from, LastAffected: last})
		case from != "":
			exact = append(exact, from)
		default:
			why = "version not understood"
		}
	}
	if len(a.Versions) == 0 && a.Default == "affected" {
		ranges = append(ranges, advisory.Range{})
	}
	return ranges, exact, why
}

// changed reads a version whose status changes on the way: affected from it on, unaffected at a later one, and so forth.
func (v *version) changed() []advisory.Range {
	var ranges []advisory.Range
	open, from := true, start(v.Version)
	for _, c := range v.Changes {
		if !plain(c.At) || c.At == "" {
			continue
		}
		switch {
		case open && c.Status == "unaffected":
			ranges = append(ranges, advisory.Range{Introduced: from, Fixed: c.At})
			open = false
		case !open && c.Status == "affected":
			open, from = true, c.At
		}
	}
	if open {
		r := advisory.Range{Introduced: from, LastAffected: v.LessOrEq}
		if v.Less != "" && v.Less != "*" {
			r.Fixed, r.LastAffected = v.Less, ""
		}
		if r.LastAffected == "*" {
			r.LastAffected = ""
		}
		ranges = append(ranges, r)
	}
	return ranges
}

// start is the first affected version; many words mean "from the beginning".
func start(s string) string {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "0", "*", "unspecified", "n/a", "-", "all", "all versions", "unknown", "next of 0":
		return ""
	}
	return strings.TrimSpace(s)
}

// plain reports whether a text is a version and no sentence: "8.0.17 and prior" is none.
func plain(s string) bool {
	return len(s) <= 64 && !strings.ContainsAny(s, " \t\n,;<>=()") || s == "*"
}
