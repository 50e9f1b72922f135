// Package oval reads OVAL 5.11 definitions: Oracle, Red Hat (v2), SUSE and openSUSE, Ubuntu (by CVE, by package and by
// notice), Debian, Azure Linux and Mariner, Photon, Anolis, AlmaLinux, CTyunOS and openEuler. Criteria become rows: an AND
// narrows what stands in it by release, architecture, module and kind of build.
package oval

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads one OVAL file.
var Reader = feed.Reader{
	Name: "oval",
	Knows: func(path string, head []byte) bool {
		return bytes.Contains(head, []byte("oval_definitions")) && !strings.HasSuffix(path, ".html")
	},
	Read: read,
}

func read(ctx context.Context, d feed.Document, s feed.Sink) error {
	doc, broken := parse(d.Body)
	seen := map[string]bool{}
	for _, def := range doc.definitions {
		if err := ctx.Err(); err != nil {
			return err
		}
		v := vendorOf(def.ID)
		name := cmp.Or(d.Publisher, "unknown") + "-oval"
		if v != nil {
			name = v.name + "-oval"
		}
		if def.Class == "inventory" || def.Class == "miscellaneous" {
			continue // what the release tests of other definitions stand on
		}
		s.Record(name)
		if date := notation.Time(doc.Date); date != "" && !seen[name] {
			seen[name] = true
			s.Modified(name, date)
		}
		if v == nil {
			s.Refused(name, def.ID, "publisher not covered")
			continue
		}
		if v.refused != "" {
			s.Refused(name, def.ID, v.refused)
			continue
		}
		r := &reading{doc: doc, vendor: v, def: def, sink: s, feed: name, path: d.Path, rows: map[string]*advisory.Row{}, refused: map[string]bool{}}
		if err := r.definition(); err != nil {
			return fmt.Errorf("%s: definition %s: %w", d.Path, def.ID, err)
		}
	}
	if broken != nil {
		return fmt.Errorf("%s: %w", d.Path, broken)
	}
	return nil
}

// reading is one definition on its way into the sink.
type reading struct {
	doc      *document
	vendor   *vendor
	def      *definition
	sink     feed.Sink
	feed     string
	path     string
	advisory string
	ids      []string
	severity string
	cvss     map[string][]advisory.CVSS // by CVE
	ratings  map[string]string          // by CVE
	states   map[string]advisory.State  // by package: Red Hat's resolutions
	fallback []release
	products []string // CPEs
	rows     map[string]*advisory.Row
	order    []string
	refused  map[string]bool

	statements int
}

type release struct{ stream, subscription string }

// place is what the criteria above a claim say.
type place struct {
	releases []release
	foreign  bool // only products without a stream
	arches   []string
	module   string
	flavor   string
}

func (r *reading) refuse(reason string) {
	if !r.refused[reason] {
		r.refused[reason] = true
		r.sink.Refused(r.feed, r.def.ID, reason)
	}
}

func (r *reading) definition() error {
	m := &r.def.Metadata
	r.severity = notation.Severity(cmp.Or(m.Advisory.Severity, m.Severity))
	r.identify()
	if err := r.describe(); err != nil {
		return err
	}
	r.states = map[string]advisory.State{}
	for _, res := range m.Advisory.Resolution {
		for _, c := range res.Components {
			r.states[strings.TrimSpace(c)] = resolution(res.State)
		}
	}
	if r.vendor.name == "redhat" {
		r.products = redhatProducts(m.Advisory.CPEs)
		if len(m.Advisory.CPEs) > 0 && len(r.products) == 0 {
			r.refuse("product not covered")
			return nil
		}
	}
	subscription := ""
	if r.vendor.name == "ubuntu" {
		var ok bool
		if subscription, ok = ubuntuProduct(r.def.ID); !ok {
			r.refuse("product not covered")
			return nil
		}
	}
	for _, p := range m.Platforms {
		if streams, sub, ok := r.vendor.release(strings.TrimSpace(p)); ok {
			for _, s := range streams {
				r.fallback = append(r.fallback, release{s, cmp.Or(sub, subscription)})
			}
		}
	}
	if len(r.fallback) == 0 && r.vendor.own != nil {
		if streams, sub, ok := r.vendor.own(r.def, r.path); ok {
			for _, s := range streams {
				r.fallback = append(r.fallback, release{s, sub})
			}
		}
	}
	switch {
	case len(r.ids) == 0:
		r.refuse("no id")
	case r.def.Criteria == nil:
		r.refuse("no criteria")
	case strings.EqualFold(m.Patchable, "not applicable"):
		// Azure Linux marks what turned out not to be in the package; the version in the test means nothing then.
		r.refuse("not applicable")
	default:
		r.walk(r.def.Criteria, place{})
		if len(r.order) == 0 && len(r.refused) == 0 {
			r.refuse("no package understood")
		}
	}
	return r.emit()
}

func resolution(s string) advisory.State {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "will not fix":
		return advisory.WillNotFix
	case "fix deferred":
		return advisory.Deferred
	case "out of support scope":
		return advisory.EndOfLife
	case "under investigation":
		return advisory.Investigating
	case "not affected":
		return advisory.NotAffected
	}
	return advisory.Affected
}

// identify finds the CVEs, and the advisory that names them.
func (r *reading) identify() {
	m := &r.def.Metadata
	for _, f := range m.References {
		if strings.EqualFold(f.Source, "CVE") || strings.Contains(f.ID, "CVE-") {
			r.ids = append(r.ids, notation.CVEs(f.ID)...)
		} else if r.advisory == "" && f.Source != "Package" && f.Source != "FIXME" && f.ID != "" {
			r.advisory = strings.TrimSpace(f.ID)
		}
	}
	for _, c := range m.Advisory.CVEs {
		r.ids = append(r.ids, notation.CVEs(c.Text, c.Href)...)
	}
	if r.ids = notation.Distinct(r.ids); len(r.ids) == 0 {
		r.ids = notation.CVEs(m.Title)
	}
	if r.advisory == "" && m.DSA != "" {
		r.advisory = m.DSA
		if !strings.HasPrefix(r.advisory, "DSA-") {
			r.advisory = "DSA-" + r.advisory
		}
	}
	if len(r.ids) == 0 && r.advisory != "" {
		r.ids = []string{r.advisory}
	}
}

// scores reads "7.5/CVSS:3.1/AV:N/...", and Ubuntu's score and vector apart.
func (r *reading) scores(c *cve) []advisory.CVSS {
	var list []advisory.CVSS
	source := r.vendor.name
	if strings.Contains(c.Href, "nvd.nist.gov") {
		source = "nvd" // SUSE lists NVD's rating beside its own
	}
	for _, text := range []string{c.CVSS4, c.CVSS3, c.CVSS2} {
		if base, vector, ok := strings.Cut(text, "/"); ok {
			if score, err := strconv.ParseFloat(base, 64); err == nil && score >= 0 && score <= 10 {
				list = append(list, advisory.CVSS{Score: score, Vector: vector, Source: source})
			}
		}
	}
	if score, err := strconv.ParseFloat(c.Score, 64); err == nil && score > 0 && score <= 10 {
		list = append(list, advisory.CVSS{Score: score, Vector: c.Vector, Source: "nvd"})
	}
	return list
}

// maxReferences bounds what is kept of a list of links.
const maxReferences = 20

func (r *reading) describe() error {
	m := &r.def.Metadata
	r.cvss, r.ratings = map[string][]advisory.CVSS{}, map[string]string{}
	published := notation.Time(cmp.Or(m.Advisory.Issued.Date, m.Advisory.Issued.Element, m.Advisory.Public, m.Date))
	modified := notation.Time(m.Advisory.Updated.Date)
	byID := map[string]*advisory.Vulnerability{}
	for i := range m.Advisory.CVEs {
		c := &m.Advisory.CVEs[i]
		for _, id := range notation.CVEs(c.Text, c.Href) {
			v := byID[id]
			if v == nil {
				v = &advisory.Vulnerability{ID: id, Feed: r.feed}
				byID[id] = v
			}
			if !strings.Contains(c.Href, "nvd.nist.gov") {
				v.Severity = cmp.Or(v.Severity, notation.Severity(cmp.Or(c.Impact, c.Rating)))
				r.ratings[id] = v.Severity
			}
			for _, score := range r.scores(c) {
				if len(v.CVSS) < 6 && !slices.Contains(v.CVSS, score) {
					v.CVSS = append(v.CVSS, score)
				}
			}
			r.cvss[id] = own(v.CVSS)
			for cwe := range strings.FieldsFuncSeq(c.CWE, func(c rune) bool { return strings.ContainsRune("->|,()", c) && c != '-' }) {
				if cwe = strings.Trim(cwe, "-"); strings.HasPrefix(cwe, "CWE-") {
					v.CWEs = notation.Add(v.CWEs, cwe)
				}
			}
			v.References = notation.Add(v.References, c.Href)
		}
	}
	for _, id := range r.ids {
		v := byID[id]
		if v == nil {
			v = &advisory.Vulnerability{ID: id, Feed: r.feed}
		}
		if len(r.ids) == 1 {
			// Only then title and text are about this id alone.
			v.Title, v.Description = strings.TrimSpace(m.Title), strings.TrimSpace(m.Description)
			v.Severity = cmp.Or(v.Severity, r.severity)
			v.Published, v.Modified = published, modified
		}
		for i := 0; i < len(m.References) && i < 1000 && len(v.References) < maxReferences; i++ {
			if f := &m.References[i]; len(r.ids) == 1 || f.ID == r.advisory {
				v.References = notation.Add(v.References, f.URL)
			}
		}
		if err := r.sink.Vulnerability(*v); err != nil {
			return err
		}
	}
	return nil
}

// own are the publisher's own ratings.
func own(list []advisory.CVSS) []advisory.CVSS {
	return slices.DeleteFunc(slices.Clone(list), func(c advisory.CVSS) bool { return c.Source == "nvd" })
}
