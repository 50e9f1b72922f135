package report

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/vex"
)

// bom is the form cyclonedx: the vulnerable packages as components of what was scanned, and their vulnerabilities. It is a
// disclosure report, not a full bill of materials, which "stockade sbom" writes.
type bom struct {
	w          io.Writer
	lang       string
	header     finding.Header
	components []cyclonedx.Component
	known      map[string]bool
	order      []string
	byID       map[string]*cyclonedx.Vulnerability
	told       []cyclonedx.Property
	sum        []byte
}

func newCycloneDX(w io.Writer, o Options) finding.Handler {
	return &bom{w: w, lang: o.Lang, known: map[string]bool{}, byID: map[string]*cyclonedx.Vulnerability{}}
}

func (b *bom) Begin(h finding.Header) error {
	b.header = h
	return nil
}

// ratings of CycloneDX for our severities.
var bomSeverities = map[finding.Severity]cyclonedx.Severity{finding.Critical: cyclonedx.SeverityCritical, finding.High: cyclonedx.SeverityHigh,
	finding.Medium: cyclonedx.SeverityMedium, finding.Low: cyclonedx.SeverityLow, finding.Info: cyclonedx.SeverityInfo}

// analyses of CycloneDX for the states of publishers.
var bomStates = map[string]cyclonedx.ImpactAnalysisState{"under-investigation": cyclonedx.IASInTriage}

func (b *bom) Finding(f *finding.Finding) error {
	v := f.Vulnerability
	if v == nil {
		return nil // rules' findings have no place in this form
	}
	b.sum = append(b.sum, f.Fingerprint...)
	ref := v.PURL
	if ref == "" {
		ref = v.Package + "@" + v.Version
	}
	if at := cmp.Or(f.Resource.Image, f.Resource.Node); at != "" {
		ref += "#" + at
	}
	if !b.known[ref] {
		b.known[ref] = true
		c := cyclonedx.Component{BOMRef: ref, Type: cyclonedx.ComponentTypeLibrary, Name: v.Package, Version: v.Version, PackageURL: v.PURL}
		var props []cyclonedx.Property
		for _, p := range [][2]string{{"stockade:image", f.Resource.Image}, {"stockade:digest", f.Resource.Digest}, {"stockade:node", f.Resource.Node}, {"stockade:path", v.Path}} {
			if p[1] != "" {
				props = append(props, cyclonedx.Property{Name: p[0], Value: plain(p[1])})
			}
		}
		if props != nil {
			c.Properties = &props
		}
		b.components = append(b.components, c)
	}
	b.vulnerability(f, ref)
	return nil
}

// verdicts of emergencies as CycloneDX says them. By version alone nobody has said "not affected": what is missing today may be there
// tomorrow.
var bomVerdicts = map[string]cyclonedx.ImpactAnalysisState{"exposed": cyclonedx.IASExploitable, "version-only": cyclonedx.IASInTriage, "unknown": cyclonedx.IASInTriage}

// vulnerability adds to the entry of an id; findings that were suppressed for different reasons, and those that were verified with
// different results, are entries of their own.
func (b *bom) vulnerability(f *finding.Finding, ref string) {
	v := f.Vulnerability
	key := v.ID
	if f.Suppression != nil {
		key += "\x00" + f.Suppression.By + f.Suppression.Reason
	}
	seen := strings.Join(verifiedLines(f, b.lang), "\n")
	if f.Emergency != nil {
		key += "\x00" + f.Emergency.Verdict + seen
	}
	e := b.byID[key]
	if e == nil {
		e = &cyclonedx.Vulnerability{ID: v.ID, Description: plain(f.Title.In(b.lang)), Recommendation: plain(f.Remediation.In(b.lang)),
			Source: &cyclonedx.Source{Name: v.Source}, Affects: &[]cyclonedx.Affects{}}
		rating := cyclonedx.VulnerabilityRating{Severity: bomSeverities[f.Severity], Vector: v.Vector}
		if v.CVSS > 0 {
			score := v.CVSS
			rating.Score = &score
		}
		e.Ratings = &[]cyclonedx.VulnerabilityRating{rating}
		var links []cyclonedx.Advisory
		for _, r := range webLinks(f.References) {
			links = append(links, cyclonedx.Advisory{URL: r})
		}
		if links != nil {
			e.Advisories = &links
		}
		switch s := f.Suppression; {
		case s != nil:
			e.Analysis = &cyclonedx.VulnerabilityAnalysis{State: cyclonedx.IASNotAffected, Detail: plain(strings.TrimSuffix(s.By+": "+s.Reason, ": "))}
		case f.Emergency != nil:
			e.Analysis = &cyclonedx.VulnerabilityAnalysis{State: bomVerdicts[f.Emergency.Verdict], Detail: seen}
		case bomStates[v.State] != "":
			e.Analysis = &cyclonedx.VulnerabilityAnalysis{State: bomStates[v.State]}
		}
		if f.Emergency != nil {
			e.Properties = &[]cyclonedx.Property{{Name: "stockade:verdict", Value: plain(f.Emergency.Verdict)}}
		}
		b.byID[key] = e
		b.order = append(b.order, key)
	}
	if !slices.ContainsFunc(*e.Affects, func(a cyclonedx.Affects) bool { return a.Ref == ref }) {
		*e.Affects = append(*e.Affects, cyclonedx.Affects{Ref: ref})
	}
}

func (b *bom) Clause(finding.Clause) error { return nil }

func (b *bom) NotScanned(n finding.NotScanned) error {
	b.told = append(b.told, cyclonedx.Property{Name: "stockade:notScanned", Value: plain(fmt.Sprintf("%s: %s: %s (%s)", n.Target, n.What, n.Reason, n.Code))})
	return nil
}

func (b *bom) End(at time.Time, target finding.Target, _ finding.Stats) error {
	doc := cyclonedx.NewBOM()
	sum := sha256.Sum256(append([]byte(target.Name+"\x00"), b.sum...))
	id := sum[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // UUID version 8
	doc.SerialNumber = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	kind := cyclonedx.ComponentTypeContainer
	if target.Kind != "image" {
		kind = cyclonedx.ComponentTypePlatform
	}
	doc.Metadata = &cyclonedx.Metadata{Timestamp: at.UTC().Format(time.RFC3339),
		Component: &cyclonedx.Component{BOMRef: "target", Type: kind, Name: orDash(plain(target.Name)), Version: target.Version},
		Tools:     &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeApplication, Name: orDash(b.header.Tool.Name), Version: b.header.Tool.Version}}}}
	doc.Components = &b.components
	if b.components == nil {
		doc.Components = &[]cyclonedx.Component{}
	}
	list := []cyclonedx.Vulnerability{}
	for _, key := range b.order {
		list = append(list, *b.byID[key])
	}
	doc.Vulnerabilities = &list
	if b.told != nil {
		doc.Properties = &b.told
	}
	return cyclonedx.NewBOMEncoder(b.w, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(doc, cyclonedx.SpecVersion1_6)
}

// statements is the form openvex: what is known of each vulnerability, for those who get the image.
type statements struct {
	w        io.Writer
	findings []*finding.Finding
}

func newOpenVEX(w io.Writer, _ Options) finding.Handler { return &statements{w: w} }

func (s *statements) Begin(finding.Header) error          { return nil }
func (s *statements) Clause(finding.Clause) error         { return nil }
func (s *statements) NotScanned(finding.NotScanned) error { return nil }

func (s *statements) Finding(f *finding.Finding) error {
	if f.Vulnerability != nil {
		s.findings = append(s.findings, f)
	}
	return nil
}

func (s *statements) End(at time.Time, target finding.Target, _ finding.Stats) error {
	return vex.Write(s.w, "stockade scan of "+target.Name, at, s.findings)
}
