// Package csaf reads CSAF 2.0 security advisories and VEX documents: Red Hat (per CVE and per advisory), SUSE, openEuler,
// Azure Linux and OpenCloudOS. Products without a stream, such as container images and desktops, are refused and counted.
package csaf

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
	"stockade.dev/stockade/internal/feed/openeuler"
)

// Reader reads one CSAF document.
var Reader = feed.Reader{
	Name: "csaf",
	Knows: func(path string, head []byte) bool {
		return strings.HasSuffix(path, ".json") && bytes.Contains(head, []byte(`"document"`)) &&
			(bytes.Contains(head, []byte(`"csaf_`)) || bytes.Contains(head, []byte(`"tracking"`)) || bytes.Contains(head, []byte(`"aggregate_severity"`)))
	},
	Read: read,
}

// maxReferences bounds what is kept of a list of links.
const maxReferences = 20

func read(ctx context.Context, d feed.Document, s feed.Sink) error {
	var doc document
	if err := notation.JSON(d.Body, &doc); err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	vex := doc.Document.Category == "csaf_vex" || notation.IsCVE(doc.Document.Tracking.ID)
	kind := "-csaf"
	if vex {
		kind = "-vex"
	}
	v := publisher(&doc)
	if v == nil {
		name := cmp.Or(d.Publisher, "unknown") + kind
		s.Record(name)
		s.Refused(name, doc.Document.Tracking.ID, "publisher not covered")
		return nil
	}
	r := &reading{doc: &doc, vendor: v, sink: s, feed: v.name + kind, products: doc.Tree.index(), refused: map[string]bool{}, rows: map[string]*advisory.Row{}}
	r.advisory = doc.Document.Tracking.ID
	if len(notation.CVEs(strings.ReplaceAll(r.advisory, "_", " "))) > 0 {
		r.advisory = "" // a document by CVE: "CVE-2024-0001", Microsoft's "msrc_CVE-2024-0001"
	}
	r.published = notation.Time(cmp.Or(doc.Document.Tracking.Initial, doc.Document.Tracking.Current))
	s.Record(r.feed)
	if date := notation.Time(doc.Document.Tracking.Current); date != "" {
		s.Modified(r.feed, date)
	}
	if r.products.tooDeep {
		return fmt.Errorf("%s: product_tree is nested more than %d deep", d.Path, notation.MaxDepth)
	}
	for i := range doc.Vulnerabilities {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.vulnerability(&doc.Vulnerabilities[i]); err != nil {
			return fmt.Errorf("%s: vulnerabilities[%d]: %w", d.Path, i, err)
		}
	}
	return r.emit()
}

// reading is one document on its way into the sink.
type reading struct {
	doc       *document
	vendor    *vendor
	sink      feed.Sink
	feed      string
	advisory  string
	published string
	products  *products
	refused   map[string]bool
	rows      map[string]*advisory.Row // by all but the id
	order     []string
}

// refuse counts a product or component once a document.
func (r *reading) refuse(record, reason string) {
	key := reason + "\x00" + record
	if !r.refused[key] {
		r.refused[key] = true
		r.sink.Refused(r.feed, r.doc.Document.Tracking.ID+" "+record, reason)
	}
}

// facts are what a vulnerability says of single products.
type facts struct {
	advisory map[string]string         // of vendor_fix
	state    map[string]advisory.State // of what is affected
	reason   map[string]string
	severity map[string]string
	common   string // severity of all products
}

func (r *reading) vulnerability(v *vulnerability) error {
	id := strings.ToUpper(strings.TrimSpace(v.CVE))
	if !notation.IsCVE(id) {
		id = r.advisory
		for _, other := range v.IDs {
			if ids := notation.CVEs(other.Text); len(ids) > 0 {
				id = ids[0]
			}
		}
	}
	if id == "" {
		r.refuse(v.Title, "no id")
		return nil
	}
	cvss := r.scores(v)
	f := gather(v)
	f.common = cmp.Or(f.common, notation.Severity(r.doc.Document.Severity.Text))
	if err := r.describe(id, v, cvss, f.common); err != nil {
		return err
	}
	groups := &grouping{byKey: map[groupKey]*group{}}
	for _, l := range []struct {
		ids   []string
		state advisory.State
	}{
		{v.Status.Fixed, advisory.Fixed}, {v.Status.FirstFixed, advisory.Fixed}, {v.Status.Recommended, advisory.Fixed},
		{v.Status.Affected, advisory.Affected}, {v.Status.Investigating, advisory.Investigating}, {v.Status.NotAffected, advisory.NotAffected},
	} {
		for _, product := range l.ids {
			r.place(groups, product, l.state, &f)
		}
	}
	for _, key := range groups.order {
		groups.byKey[key].rows(r, key, id, cvss)
	}
	return nil
}

func gather(v *vulnerability) facts {
	f := facts{advisory: map[string]string{}, state: map[string]advisory.State{}, reason: map[string]string{}, severity: map[string]string{}}
	for i := range v.Remediations {
		m := &v.Remediations[i]
		var state advisory.State
		details := strings.ToLower(m.Details)
		switch m.Category {
		case "vendor_fix":
			if a := advisoryID(m.URL); a != "" {
				for _, p := range m.Products {
					f.advisory[p] = a
				}
			}
			continue
		case "no_fix_planned":
			state = advisory.WillNotFix
			if strings.Contains(details, "out of support") || strings.Contains(details, "end of life") {
				state = advisory.EndOfLife
			}
		case "none_available":
			switch {
			case strings.Contains(details, "deferred"):
				state = advisory.Deferred
			case strings.Contains(details, "investigation"):
				state = advisory.Investigating
			default:
				state = advisory.Affected
			}
		default:
			continue
		}
		for _, p := range m.Products {
			f.state[p] = state
			if state != advisory.Affected {
				f.reason[p] = clip(m.Details)
			}
		}
	}
	for i := range v.Flags {
		for _, p := range v.Flags[i].Products {
			f.reason[p] = v.Flags[i].Label
		}
	}
	for i := range v.Threats {
		t := &v.Threats[i]
		if severity := notation.Severity(t.Details); t.Category == "impact" && severity != "" {
			if len(t.Products) == 0 {
				f.common = severity
			}
			for _, p := range t.Products {
				f.severity[p] = severity
			}
		} else if t.Category == "impact" && len(t.Details) > 0 && len(t.Products) > 0 {
			for _, p := range t.Products {
				if f.reason[p] == "" {
					f.reason[p] = clip(t.Details) // why a product is not affected, in words
				}
			}
		}
	}
	return f
}

// clip keeps reasons short; they come with every row.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 160 {
		s = strings.ToValidUTF8(s[:157], "") + "..."
	}
	return s
}

func (r *reading) scores(v *vulnerability) []advisory.CVSS {
	var list []advisory.CVSS
	for _, set := range v.Scores {
		for _, sc := range []*score{set.V4, set.V3, set.V2} {
			if sc == nil || sc.Vector == "" && sc.Base == 0 {
				continue
			}
			c := advisory.CVSS{Vector: sc.Vector, Score: sc.Base, Source: r.vendor.name}
			if len(list) < 4 && !slices.Contains(list, c) {
				list = append(list, c)
			}
		}
	}
	return list
}

func (r *reading) describe(id string, v *vulnerability, cvss []advisory.CVSS, severity string) error {
	out := advisory.Vulnerability{
		ID: id, Feed: r.feed, Title: v.Title, Severity: severity, CVSS: cvss,
		Published: notation.Time(cmp.Or(v.Released, v.Discovered)), Modified: notation.Time(r.doc.Document.Tracking.Current),
	}
	if out.Title == "" && notation.IsCVE(r.doc.Document.Tracking.ID) {
		out.Title = r.doc.Document.Title
	}
	for _, n := range v.Notes {
		if n.Category == "description" || n.Category == "general" && out.Description == "" && r.vendor.name != "redhat" {
			out.Description = n.Text
			if n.Category == "description" {
				break
			}
		}
	}
	if strings.HasPrefix(v.CWE.ID, "CWE-") {
		out.CWEs = []string{v.CWE.ID}
	}
	for _, ref := range v.References {
		if len(out.References) < maxReferences {
			out.References = notation.Add(out.References, ref.URL)
		}
	}
	return r.sink.Vulnerability(out)
}

// place finds out what a product id is and puts it into its group.
func (r *reading) place(groups *grouping, id string, state advisory.State, f *facts) {
	platform, components := r.products.resolve(id)
	if platform == nil {
		r.refuse(id, "product not in the tree")
		return
	}
	streams, subscription, cpe, ok := r.vendor.platform(platform)
	if !ok {
		r.refuse(platform.ID, "product not covered")
		return
	}
	if len(components) == 0 {
		r.refuse(id, "no package named")
		return
	}
	c, ok := r.vendor.component(components[0], state == advisory.Fixed)
	if !ok || c.name == "" {
		r.refuse(components[0].ID, "component is no package")
		return
	}
	for _, outer := range components[1:] {
		if m, ok := r.vendor.component(outer, false); ok && c.module == "" {
			c.module = m.module
		}
	}
	if i := strings.Index(components[0].ID, "::"); i > 0 && c.module == "" {
		c.module = components[0].ID[i+2:]
	}
	if notation.Debug(c.name) {
		return
	}
	switch {
	case r.vendor.name == "openeuler" && openeuler.HotPatch(c.name):
		r.refuse(c.name, "hot patch")
		return
	case state == advisory.Fixed && c.evr == "":
		r.refuse(id, "fixed without a version")
		return
	case state == advisory.NotAffected && c.evr != "":
		r.refuse(r.doc.Document.Tracking.ID, "not affected in single builds only")
		return
	case state == advisory.Affected && c.arch == "before":
		return // the same as the fixed entry, told from the other side
	}
	if own, found := f.state[id]; found && state == advisory.Affected {
		state = own
	}
	key := groupKey{subscription: subscription, cpe: cpe, module: c.module, state: state, severity: cmp.Or(f.severity[id], f.common)}
	key.advisory = cmp.Or(f.advisory[id], r.advisory)
	if state != advisory.Fixed {
		key.reason, key.advisory = f.reason[id], r.advisory
	}
	for _, stream := range streams {
		key.stream = stream
		groups.add(key, c)
	}
}
