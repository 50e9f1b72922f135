// Package nvd reads the National Vulnerability Database: pages of its 2.0 API and feeds of versions 2.0 and 1.1, and the
// overrides that fill in products it has not looked at (anchore/nvd-data-overrides, CC0). Products are CPE names; rows are
// made for applications, with what they must run on.
package nvd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/cpe"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads one page, feed or override.
var Reader = feed.Reader{Name: "nvd", Knows: knows, Read: read}

const (
	cves      = "nvd-cve"
	overrides = "nvd-overrides"
)

func knows(path string, head []byte) bool {
	if !strings.HasSuffix(path, ".json") {
		return false
	}
	for _, mark := range []string{`"NVD_CVE"`, `"NVD_CPE"`, `"NVD_CPEMatchString"`, `"NVD_CVEHistory"`, `"CVE_data_type"`, `"CVE_Items"`} {
		if bytes.Contains(head, []byte(mark)) {
			return true
		}
	}
	return bytes.Contains(head, []byte(`"_annotation"`)) && bytes.Contains(head, []byte(`"cve_id"`)) ||
		bytes.Contains(head, []byte(`"vulnStatus"`)) && bytes.Contains(head, []byte(`"sourceIdentifier"`))
}

func read(ctx context.Context, d feed.Document, s feed.Sink) error {
	dec := json.NewDecoder(notation.Bounded(d.Body, 8*notation.MaxDocument))
	var single struct {
		override
		found bool
	}
	err := notation.Members(dec, func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch name {
		case "vulnerabilities":
			return notation.Elements(dec, func() error {
				var v struct {
					CVE item `json:"cve"`
				}
				return element(dec, s, &v, func() error { return one(cves, &v.CVE, s) })
			})
		case "CVE_Items":
			return notation.Elements(dec, func() error {
				var v old
				return element(dec, s, &v, func() error { return one(cves, v.modern(), s) })
			})
		case "cveChanges", "products", "matchStrings", "matches":
			s.Record(cves)
			s.Refused(cves, d.Path, "list of names or changes, not needed")
			return notation.Skip(dec)
		case "_annotation":
			return dec.Decode(&single.Annotation)
		case "cve":
			single.found = true
			return dec.Decode(&single.CVE)
		}
		return notation.Skip(dec)
	})
	if err == nil && single.found {
		err = lone(&single.override, s)
	}
	if err != nil {
		return fmt.Errorf("%s: byte %d: %w", d.Path, dec.InputOffset(), err)
	}
	return nil
}

// element decodes one entry. An entry of another shape is refused; text that is no JSON ends the document.
func element(dec *json.Decoder, s feed.Sink, v any, use func() error) error {
	if err := dec.Decode(v); err != nil {
		if other := new(json.UnmarshalTypeError); errors.As(err, &other) {
			s.Record(cves)
			s.Refused(cves, other.Field, "entry of another shape")
			return nil
		}
		return err
	}
	return use()
}

// lone reads a document of one CVE: an override, or an entry that a mirror keeps in its own file.
func lone(o *override, s feed.Sink) error {
	var it item
	if err := json.Unmarshal(o.CVE, &it); err != nil {
		return err
	}
	name := cves
	if o.Annotation.ID != "" {
		name = overrides
		it.ID, it.Published, it.Modified = o.Annotation.ID, o.Annotation.Published, o.Annotation.Modified
		if o.Annotation.Description != "" {
			it.Descriptions = []text{{Lang: "en", Value: o.Annotation.Description}}
		}
	}
	return one(name, &it, s)
}

// maxReferences bounds what is kept of a list of links.
const maxReferences = 20

func one(name string, it *item, s feed.Sink) error {
	s.Record(name)
	id := strings.ToUpper(strings.TrimSpace(it.ID))
	if !notation.IsCVE(id) {
		s.Refused(name, it.ID, "no CVE id")
		return nil
	}
	v := advisory.Vulnerability{ID: id, Feed: name, Published: notation.Time(it.Published), Modified: notation.Time(it.Modified)}
	for _, t := range it.Descriptions {
		if strings.HasPrefix(t.Lang, "en") && v.Description == "" {
			v.Description = t.Value
		}
	}
	v.CVSS = it.scores()
	for _, c := range v.CVSS {
		if v.Severity = rating(c); v.Severity != "" {
			break
		}
	}
	for _, w := range it.Weaknesses {
		for _, t := range w.Description {
			if strings.HasPrefix(t.Value, "CWE-") {
				v.CWEs = notation.Add(v.CWEs, t.Value)
			}
		}
	}
	for _, r := range it.References {
		if len(v.References) < maxReferences {
			v.References = notation.Add(v.References, r.URL)
		}
	}
	if v.Modified != "" {
		s.Modified(name, v.Modified)
	}
	rejected := strings.EqualFold(it.Status, "Rejected") || strings.HasPrefix(v.Description, "** REJECT **") || strings.HasPrefix(v.Description, "Rejected reason:")
	if rejected {
		if v.Withdrawn = v.Modified; v.Withdrawn == "" {
			v.Withdrawn = v.Published
		}
	}
	if err := s.Vulnerability(v); err != nil {
		return err
	}
	if rejected {
		s.Refused(name, id, "rejected")
		return nil
	}
	return it.rows(name, id, &v, s)
}

// scores are the base scores, NVD's own before others', newer versions of CVSS first within them.
func (it *item) scores() []advisory.CVSS {
	var first, rest []advisory.CVSS
	for _, list := range [][]metric{it.Metrics.V31, it.Metrics.V30, it.Metrics.V40, it.Metrics.V2} {
		for _, m := range list {
			c := advisory.CVSS{Vector: m.Data.Vector, Score: m.Data.Base, Source: m.Source}
			if m.Source == nist {
				c.Source = "nvd"
				first = append(first, c)
			} else {
				rest = append(rest, c)
			}
		}
	}
	all := append(first, rest...)
	return all[:min(len(all), 6)]
}

// rating is the qualitative scale of CVSS 3 and 4; of CVSS 2, which knows no critical, as NVD gives it.
func rating(c advisory.CVSS) string {
	old := !strings.HasPrefix(c.Vector, "CVSS:")
	switch {
	case c.Score >= 9 && !old:
		return "critical"
	case c.Score >= 7:
		return "high"
	case c.Score >= 4:
		return "medium"
	case c.Score > 0:
		return "low"
	}
	return ""
}

// rows writes the configurations. Refusals are counted once a CVE and reason.
func (it *item) rows(name, id string, v *advisory.Vulnerability, s feed.Sink) error {
	var rows cpe.Rows
	refused := map[string]bool{}
	refuse := func(reason string) {
		if reason != "" && !refused[reason] {
			refused[reason] = true
			s.Refused(name, id, reason)
		}
	}
	if len(it.Configurations) == 0 {
		refuse("no products")
	}
	for i := range it.Configurations {
		it.Configurations[i].rows(&rows, refuse)
	}
	return rows.All(func(row advisory.Row) error {
		row.Feed, row.IDs, row.Published, row.Severity = name, []string{id}, v.Published, v.Severity
		for _, c := range v.CVSS {
			if c.Source == "nvd" {
				row.CVSS = append(row.CVSS, c)
			}
		}
		return s.Row(row)
	})
}

// maxNodes bounds what an AND joins.
const maxNodes = 200

// rows makes a row of every vulnerable application. In an AND, the other nodes are what it needs beside.
func (c *configuration) rows(rows *cpe.Rows, refuse func(string)) {
	if c.Negate || slices.ContainsFunc(c.Nodes, func(n node) bool { return n.Negate }) {
		refuse("negated configuration")
		return
	}
	if len(c.Nodes) > maxNodes {
		refuse("more nodes than a configuration can have")
		return
	}
	needs := make([][]advisory.Requirement, len(c.Nodes)) // of each node, when the others need it
	reasons := make([]string, len(c.Nodes))
	for i := range c.Nodes {
		n := &c.Nodes[i]
		n.Matches, n.Old = append(n.Matches, n.Old...), nil
		needs[i], reasons[i] = need(nil, n.Matches, "")
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		for j := range n.Matches {
			m := &n.Matches[j]
			if !m.Vulnerable {
				continue
			}
			var requires []advisory.Requirement
			reason := ""
			if c.Operator == "AND" {
				for k := range c.Nodes {
					if k != i {
						requires, reason = append(requires, needs[k]...), cmp.Or(reason, reasons[k])
					}
				}
			}
			if n.Operator == "AND" && len(n.Matches) <= maxNodes {
				for k := range n.Matches {
					if k != j {
						requires, reason = need(requires, n.Matches[k:k+1], reason)
					}
				}
			}
			if reason != "" {
				refuse(reason)
				continue
			}
			m.row(rows, requires, refuse)
		}
	}
}

// need adds what any of the matches fulfils. A requirement that Linux itself fulfils is none; one that only hardware or
// another system fulfils makes the row pointless.
func need(list []advisory.Requirement, matches []match, reason string) ([]advisory.Requirement, string) {
	var q advisory.Requirement
	hardware, elsewhere := false, false
	for i := range matches {
		n, ok := cpe.Parse(matches[i].name())
		switch {
		case !ok:
		case n.Part == "h":
			hardware = true
		case n.ForeignSystem():
			elsewhere = true
		case n.Vendor == "linux" && n.Product == "linux_kernel" && (n.Version == "-" || n.Version == "*") && matches[i].bounds() == (advisory.Range{}):
			return list, reason
		default:
			if len(q.CPE) < 200 {
				q.CPE = notation.Add(q.CPE, n.String())
			}
		}
	}
	switch {
	case len(q.CPE) > 0:
		if b := matches[0].bounds(); len(matches) == 1 && b != (advisory.Range{}) {
			q.Ranges = []advisory.Range{b}
		}
		return append(list, q), reason
	case elsewhere:
		return list, "for another operating system"
	case hardware:
		return list, "needs hardware"
	}
	return list, reason
}

func (m *match) name() string {
	if m.Criteria != "" {
		return m.Criteria
	}
	return m.URI
}

func (m *match) bounds() advisory.Range {
	r := advisory.Range{Introduced: m.StartIncluding, Fixed: m.EndExcluding}
	if m.StartExcluding != "" {
		r.Introduced, r.After = m.StartExcluding, true
	}
	if r.Fixed == "" {
		r.LastAffected = m.EndIncluding
	}
	return r
}

func (m *match) row(rows *cpe.Rows, requires []advisory.Requirement, refuse func(string)) {
	n, ok := cpe.Parse(m.name())
	if !ok {
		refuse("CPE not understood")
		return
	}
	if why := n.Outside(); why != "" {
		refuse(why)
		return
	}
	b := m.bounds()
	switch {
	case n.Version == "-":
		// "No version": it matches programs without a version, which nothing here is.
		refuse("version not applicable")
	case n.Version == "*":
		rows.Add(n, []advisory.Range{b}, "", requires)
	default:
		rows.Add(n, nil, n.Exact(), requires)
	}
}

// Applicability reads a list of configurations as CVE records of version 5.1 carry them (cpeApplicability), which is NVD's
// own form.
func Applicability(data json.RawMessage, rows *cpe.Rows, refuse func(reason string)) error {
	if len(data) == 0 {
		return nil
	}
	var list []configuration
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("cpeApplicability: %w", err)
	}
	for i := range list {
		list[i].rows(rows, refuse)
	}
	return nil
}
