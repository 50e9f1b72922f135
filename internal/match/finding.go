package match

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/purl"
)

// Place says where an inventory was found and how its software runs there, as far as the caller knows.
type Place struct {
	Cluster   string
	Node      string // for inventories of nodes
	Container string
	Workloads []finding.WorkloadRef
	Root      bool // runs as root
	Exposed   bool // reachable from outside the cluster
}

// Findings turns what was matched into findings, in the order of the packages. Several
// packages that are one by fingerprint (two installed versions, one library twice in a folder) are one finding with all the
// evidence.
func (m *Matcher) Findings(s *inventory.Software, r *Result, at Place) []finding.Finding {
	out := make([]finding.Finding, 0, len(r.Vulnerabilities))
	place := newPlace(s, at)
	seen := make(map[string]int, len(r.Vulnerabilities))
	m.prefetch(r)
	for i := range r.Vulnerabilities {
		v := &r.Vulnerabilities[i]
		print := place.fingerprint(v)
		if j, ok := seen[print]; ok {
			place.merge(&out[j], v)
			continue
		}
		seen[print] = len(out)
		out = append(out, m.finding(place, v, print))
	}
	return out
}

// prefetch reads what is known of all ids in their order: neighbours lie together in a database.
func (m *Matcher) prefetch(r *Result) {
	ids := make([]string, len(r.Vulnerabilities))
	for i := range ids {
		ids[i] = r.Vulnerabilities[i].ID
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		m.text(id)
	}
}

// Findings is Matcher.Findings for one inventory.
func Findings(db Lookup, s *inventory.Software, r *Result, at Place) []finding.Finding {
	return NewMatcher(db, Options{}).Findings(s, r, at)
}

// spot is a place with what all findings of an inventory share.
type spot struct {
	Place
	s        *inventory.Software
	resource finding.Resource
	identity finding.Identity
}

func newPlace(s *inventory.Software, at Place) *spot {
	p := &spot{Place: at, s: s}
	p.resource = finding.Resource{Cluster: at.Cluster, Node: at.Node, Container: at.Container, Workloads: at.Workloads}
	p.identity = finding.Identity{Cluster: at.Cluster}
	switch {
	case s.Image != nil:
		p.resource.Image, p.resource.Digest = s.Image.Reference, s.Image.Digest
		if p.resource.Image == "" {
			p.resource.Image = s.Name
		}
		p.identity.Kind, p.identity.Name = "Image", repository(p.resource.Image)
	case at.Node != "" || s.Kind == "node":
		p.resource.Node = cmp.Or(at.Node, s.Name)
		p.identity.Kind, p.identity.Node = "Node", p.resource.Node
	default:
		p.resource.Name = s.Name
		p.identity.Kind, p.identity.File = s.Kind, s.Name
	}
	return p
}

// repository cuts tag and digest off a reference: "registry.example.com:5000/shop/till:1.0@sha256:..." is
// "registry.example.com:5000/shop/till".
func repository(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	if i := strings.LastIndexByte(reference, ':'); i > strings.LastIndexByte(reference, '/') {
		return reference[:i]
	}
	return reference
}

// fingerprint leaves out versions, tags, digests and layers: the same vulnerability of the same package of a rebuilt image is
// the same finding.
func (p *spot) fingerprint(v *Vulnerability) string {
	id := p.identity
	id.RuleID, id.Item = v.ID, Item(v.Package.Type, v.Package.Name, v.Package.Path)
	return id.Fingerprint()
}

// Item is finding.Identity.Item of a vulnerability in a package.
func Item(kind inventory.PackageType, name, path string) string {
	item := string(kind) + "/" + name
	if !kind.System() {
		item += "@" + pathClass(path)
	}
	return item
}

// numbered is a version in the name of a file or folder: joined to the name, a folder of its own, or two numbers glued on.
var numbered = regexp.MustCompile(`(?:[-_@]v?\d[A-Za-z0-9.+_-]*?|/v?\d+(?:\.\d+)+|\d+(?:\.\d+)+)` +
	`(\.(?:jar|war|ear|whl|egg|gem|dll|so|dist-info|egg-info|nupkg|gemspec)|/|!|$)`)

// pathClass is a path without versions: an upgraded library at the same place keeps its class.
func pathClass(path string) string { return numbered.ReplaceAllString(path, "$1") }

func (p *spot) layer(at int) string {
	if at < 0 || at >= len(p.s.Layers) {
		return ""
	}
	return cmp.Or(p.s.Layers[at].Digest, p.s.Layers[at].DiffID)
}

func (m *Matcher) finding(p *spot, v *Vulnerability, print string) finding.Finding {
	about := m.text(v.ID)
	vulnerable, severity, rated := m.vulnerable(p, v, about)
	f := finding.Finding{
		Fingerprint: print, Kind: finding.Vulnerability, Rule: v.ID, Aliases: vulnerable.Aliases, Severity: severity,
		References: references(v, about), Resource: p.resource, Evidence: []finding.Evidence{p.evidence(v)},
		Vulnerability: vulnerable, Status: finding.Open,
	}
	f.Title, f.Message, f.Remediation = texts(v, vulnerable, about)
	f.Resource.Layer = p.layer(v.Package.Layer)
	if p.s.Image != nil || p.resource.Node != "" {
		f.Resource.File = v.Package.Path
	}
	f.Priority = priority(p, v, vulnerable, about, severity)
	if !rated {
		vulnerable.Notes = append(vulnerable.Notes, "nobody has rated the severity: medium is assumed")
	}
	if !v.Open {
		f.Status = finding.Suppressed
		f.Suppression = &finding.Suppression{By: finding.EvidenceChangelog, Reason: "the package's changelog says that it is fixed"}
	}
	return f
}

func (p *spot) evidence(v *Vulnerability) finding.Evidence {
	path := cmp.Or(v.Package.Path, string(v.Package.Type)+" database")
	e := finding.Evidence{Path: path, Found: v.Package.Name + " " + v.Package.Version}
	if v.Fixed != "" {
		e.Want = ">= " + v.Fixed
	}
	return e
}

// merge adds another package with the same fingerprint. An open one outweighs one that is fixed by other evidence.
func (p *spot) merge(f *finding.Finding, v *Vulnerability) {
	if e := p.evidence(v); !slices.Contains(f.Evidence, e) {
		f.Evidence = append(f.Evidence, e)
	}
	if v.Open && f.Status == finding.Suppressed {
		f.Status, f.Suppression = finding.Open, nil
		f.Vulnerability.EvidenceClass, f.Vulnerability.Version, f.Vulnerability.FixedVersion = v.Evidence, v.Package.Version, v.Fixed
		f.Vulnerability.PURL = purl.Of(v.Package, p.s.OS)
	}
}

// vulnerable fills the block of the findings document; rated is false when no severity is known.
func (m *Matcher) vulnerable(p *spot, v *Vulnerability, about *advisory.Vulnerability) (d *finding.Vulnerable, s finding.Severity, rated bool) {
	d = &finding.Vulnerable{
		ID: v.ID, Package: v.Package.Name, Version: v.Package.Version, FixedVersion: v.Fixed, PURL: purl.Of(v.Package, p.s.OS),
		Type: class(v.Package), Advisory: v.Row.Advisory, Source: v.Row.Feed, State: v.State.String(), EvidenceClass: v.Evidence,
		Path: v.Package.Path, Owner: v.Owner, Subscription: v.Subscription, Symbols: v.Symbols, KEV: about.KEV != nil,
	}
	d.Aliases = slices.Clone(v.Aliases)
	for _, a := range append(slices.Clone(about.Aliases), v.Row.Advisory) {
		if a != "" && a != v.ID && !slices.Contains(d.Aliases, a) {
			d.Aliases = append(d.Aliases, a)
		}
	}
	slices.Sort(d.Aliases)
	if about.EPSS != nil {
		d.EPSS = about.EPSS.Score
	}
	// The vendor's own score first: it knows how the package is built.
	best := score(v.Row.CVSS)
	if best == nil {
		best = score(about.CVSS)
	}
	if best != nil {
		d.CVSS, d.Vector = best.Score, best.Vector
	}
	for _, n := range v.Notes {
		d.Notes = append(d.Notes, n.EN)
	}
	for _, word := range []string{v.Row.Severity, byScore(d.CVSS), about.Severity} {
		if s, ok := severities[strings.ToLower(word)]; ok {
			return d, s, true
		}
	}
	return d, finding.Medium, false
}

// class is the part of the report that a package belongs to.
func class(p *inventory.Package) string {
	switch {
	case p.Type.System():
		return "system"
	case p.Type == inventory.Generic:
		return "binary"
	}
	return "application"
}

// severities are the words that publishers use.
var severities = map[string]finding.Severity{
	"critical": finding.Critical, "high": finding.High, "important": finding.High, "medium": finding.Medium, "moderate": finding.Medium,
	"low": finding.Low, "minor": finding.Low, "negligible": finding.Info, "unimportant": finding.Info, "info": finding.Info, "none": finding.Info,
}

// byScore is the rating of a base score by the CVSS specification; "" for 0.
func byScore(score float64) string {
	switch {
	case score >= 9:
		return "critical"
	case score >= 7:
		return "high"
	case score >= 4:
		return "medium"
	case score > 0:
		return "low"
	}
	return ""
}

// score picks the score of the newest CVSS 3 of a list, else any.
func score(list []advisory.CVSS) *advisory.CVSS {
	var best *advisory.CVSS
	rank := func(c *advisory.CVSS) int {
		switch {
		case strings.HasPrefix(c.Vector, "CVSS:3.1"):
			return 4
		case strings.HasPrefix(c.Vector, "CVSS:3"):
			return 3
		case strings.HasPrefix(c.Vector, "CVSS:4"):
			return 2
		}
		return 1
	}
	for i := range list {
		if c := &list[i]; c.Score > 0 && (best == nil || rank(c) > rank(best)) {
			best = c
		}
	}
	return best
}

// maxReferences bounds the links of one finding.
const maxReferences = 10

// references are where an id is explained, then the publishers' links.
func references(v *Vulnerability, about *advisory.Vulnerability) []string {
	var out []string
	for _, id := range append([]string{v.ID}, v.Aliases...) {
		if page := advisory.Page(id); page != "" {
			out = append(out, page)
		}
	}
	for _, r := range about.References {
		if len(out) == maxReferences {
			break
		}
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// texts are title, message and remediation.
func texts(v *Vulnerability, d *finding.Vulnerable, about *advisory.Vulnerability) (title, message, fix finding.Text) {
	title = finding.Text{EN: v.ID + " in " + d.Package, ZH: d.Package + " 存在漏洞 " + v.ID}
	what := about.Title
	if strings.HasPrefix(what, v.ID) {
		what = "" // says no more than the id, or speaks of another system's package
	}
	if what != "" {
		// The title is of the vulnerability, whatever the package: reports group by it.
		title = finding.Text{EN: v.ID + ": " + what, ZH: v.ID + "：" + what}
		what = ": " + what
	}
	where, whereZH := "", ""
	if d.Path != "" && d.Type != "system" {
		where, whereZH = " ("+d.Path+")", "（"+d.Path+"）"
	}
	message = finding.Text{
		EN: fmt.Sprintf("%s %s%s is vulnerable%s", d.Package, d.Version, where, what),
		ZH: fmt.Sprintf("%s %s%s 存在漏洞%s", d.Package, d.Version, whereZH, strings.Replace(what, ": ", "：", 1)),
	}
	switch {
	case v.Fixed != "" && v.Subscription != "":
		fix = finding.Text{EN: fmt.Sprintf("Upgrade %s to %s or later, which only subscribers of %s get.", d.Package, v.Fixed, v.Subscription),
			ZH: fmt.Sprintf("将 %s 升级到 %s 或更高版本（仅 %s 订阅用户可获得）。", d.Package, v.Fixed, v.Subscription)}
	case v.Fixed != "":
		fix = finding.Text{EN: fmt.Sprintf("Upgrade %s to %s or later.", d.Package, v.Fixed), ZH: fmt.Sprintf("将 %s 升级到 %s 或更高版本。", d.Package, v.Fixed)}
	default:
		fix = unfixed[v.State]
		if fix.EN == "" {
			fix = unfixed[advisory.Affected]
		}
	}
	for _, n := range v.Notes {
		message.EN += "; " + n.EN
		message.ZH += "；" + cmp.Or(n.ZH, n.EN)
	}
	return title, message, fix
}

// unfixed is what to do when there is no fixed version.
var unfixed = map[advisory.State]finding.Text{
	advisory.Affected:      {EN: "No fixed version is known yet. Remove the package or limit who can reach it.", ZH: "尚无已修复版本。请移除该软件包或限制其可访问范围。"},
	advisory.WillNotFix:    {EN: "The publisher will not fix it. Remove or replace the package.", ZH: "发布方不会修复该漏洞。请移除或替换该软件包。"},
	advisory.Deferred:      {EN: "The publisher has put the fix off. Remove the package or limit who can reach it.", ZH: "发布方已推迟修复。请移除该软件包或限制其可访问范围。"},
	advisory.Investigating: {EN: "The publisher still investigates. Watch for its verdict.", ZH: "发布方仍在调查，请关注其结论。"},
	advisory.EndOfLife:     {EN: "The release gets no fixes any more. Move to a supported release.", ZH: "该版本已不再提供修复。请迁移到受支持的版本。"},
}
