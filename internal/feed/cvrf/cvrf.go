// Package cvrf reads CVRF 1.1 and 1.2: openEuler's advisories, with their hot patches refused by name, and SUSE's advisories
// and documents by CVE.
package cvrf

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads one CVRF document.
var Reader = feed.Reader{
	Name: "cvrf",
	Knows: func(path string, head []byte) bool {
		return bytes.Contains(head, []byte("<cvrfdoc")) || bytes.Contains(head, []byte(":cvrfdoc"))
	},
	Read: read,
}

func read(ctx context.Context, d feed.Document, s feed.Sink) error {
	var doc document
	dec := xml.NewDecoder(notation.XML(d.Body, notation.MaxDocument))
	broken := dec.Decode(&doc)
	if doc.Tracking.ID == "" && broken != nil {
		return fmt.Errorf("%s: %w", d.Path, broken)
	}
	r := &reading{doc: &doc, sink: s, rows: map[string]*advisory.Row{}, refused: map[string]bool{}}
	who := strings.ToLower(doc.Authority + " " + doc.Contact)
	vendor := cmp.Or(d.Publisher, "unknown")
	var places func(r *reading)
	switch {
	case strings.Contains(who, "suse"):
		vendor, places = "suse", (*reading).suse
	case strings.Contains(who, "openeuler"):
		vendor, places = "openeuler", (*reading).openeuler
	}
	r.feed = vendor + "-cvrf"
	r.source = vendor
	s.Record(r.feed)
	if date := notation.Time(cmp.Or(doc.Tracking.Current, doc.Tracking.Initial)); date != "" {
		s.Modified(r.feed, date)
	}
	if places == nil {
		s.Refused(r.feed, doc.Tracking.ID, "publisher not covered")
		return nil
	}
	r.advisory = strings.TrimSpace(doc.Tracking.ID)
	if len(notation.CVEs(r.advisory)) > 0 {
		r.advisory = "" // SUSE's documents by CVE: "SUSE CVE-2022-41160"
	}
	r.published = notation.Time(cmp.Or(doc.Tracking.Initial, doc.Tracking.Current))
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.describe(); err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	places(r)
	if len(r.order) == 0 && len(r.refused) == 0 {
		r.refuse(doc.Tracking.ID, "no packages")
	}
	if err := r.emit(); err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	if broken != nil {
		return fmt.Errorf("%s: byte %d: %w", d.Path, dec.InputOffset(), broken)
	}
	return nil
}

// reading is one document on its way into the sink.
type reading struct {
	doc       *document
	sink      feed.Sink
	feed      string
	source    string
	advisory  string
	published string
	rows      map[string]*advisory.Row
	order     []string
	refused   map[string]bool

	statements int
}

// maxStatements bounds packages times vulnerabilities of one document.
const maxStatements = 2_000_000

func (r *reading) refuse(record, reason string) {
	if key := reason + "\x00" + record; !r.refused[key] {
		r.refused[key] = true
		r.sink.Refused(r.feed, r.doc.Tracking.ID+" "+record, reason)
	}
}

// id of a vulnerability; the advisory's when it has none.
func (r *reading) id(v *vulnerability) string {
	if ids := notation.CVEs(v.CVE); len(ids) > 0 {
		return ids[0]
	}
	return r.advisory
}

func (r *reading) severity(v *vulnerability) string {
	for _, t := range v.Threats {
		if s := notation.Severity(t.Text); s != "" && (t.Type == "Impact" || t.Type == "") {
			return s
		}
	}
	for _, n := range r.doc.Notes {
		if n.Title == "Severity" {
			return notation.Severity(n.Text)
		}
	}
	return ""
}

func (r *reading) scores(v *vulnerability) []advisory.CVSS {
	var list []advisory.CVSS
	add := func(base, vector string) {
		score, err := strconv.ParseFloat(strings.TrimSpace(base), 64)
		vector = strings.TrimSpace(vector)
		if err != nil || !(score > 0 && score <= 10) || len(list) >= 4 {
			return
		}
		if vector != "" && !strings.HasPrefix(vector, "CVSS:") && strings.Contains(vector, "/PR:") {
			vector = "CVSS:3.1/" + vector // openEuler leaves the prefix out
		}
		for _, c := range list {
			if c.Vector == vector {
				return
			}
		}
		list = append(list, advisory.CVSS{Score: score, Vector: vector, Source: r.source})
	}
	for _, set := range v.ScoresV3 {
		add(set.BaseV3, set.VectorV3)
	}
	for _, set := range v.Scores {
		add(set.BaseV3, set.VectorV3)
		add(set.Base, set.Vector)
	}
	return list
}

// maxReferences bounds what is kept of a list of links.
const maxReferences = 20

func (r *reading) describe() error {
	for i := range r.doc.Vulnerabilities {
		v := &r.doc.Vulnerabilities[i]
		id := r.id(v)
		if id == "" {
			r.refuse("", "no id")
			continue
		}
		out := advisory.Vulnerability{ID: id, Feed: r.feed, Severity: r.severity(v), CVSS: r.scores(v), Modified: notation.Time(r.doc.Tracking.Current)}
		for _, n := range v.Notes {
			if strings.Contains(n.Title, "Description") && out.Description == "" {
				out.Description = strings.TrimSpace(n.Text)
			}
		}
		for _, u := range v.References {
			if len(out.References) < maxReferences {
				out.References = notation.Add(out.References, strings.TrimSpace(u))
			}
		}
		if len(r.doc.References) > 0 && r.advisory != "" {
			out.References = notation.Add(out.References, strings.TrimSpace(r.doc.References[0]))
		}
		if err := r.sink.Vulnerability(out); err != nil {
			return err
		}
	}
	return nil
}

// row keeps one statement; the same on several ids becomes one row.
func (r *reading) row(row advisory.Row, v *vulnerability) {
	id := r.id(v)
	if id == "" {
		return
	}
	if r.statements++; r.statements > maxStatements {
		r.refuse("", "more statements than a document can have")
		return
	}
	row.Feed, row.Advisory, row.Published, row.Scheme = r.feed, r.advisory, r.published, advisory.RPM
	row.Severity, row.CVSS = r.severity(v), r.scores(v)
	key := fmt.Sprint(row.Stream, "\x00", row.Subscription, "\x00", row.Package, row.Binary, row.Ranges, row.Severity, row.CVSS, row.State)
	if held := r.rows[key]; held != nil {
		if held.IDs[len(held.IDs)-1] != id { // vulnerabilities come one after the other
			held.IDs = append(held.IDs, id)
		}
		return
	}
	row.IDs = []string{id}
	r.rows[key] = &row
	r.order = append(r.order, key)
}

// emit hands the rows over. Rows for subscribers are left out where the same fix is there for everybody.
func (r *reading) emit() error {
	for _, key := range r.order {
		row := r.rows[key]
		row.IDs = notation.Distinct(row.IDs)
		if row.Subscription != "" && r.rows[strings.Replace(key, "\x00"+row.Subscription+"\x00", "\x00\x00", 1)] != nil {
			continue
		}
		if err := r.sink.Row(*row); err != nil {
			return err
		}
	}
	return nil
}
