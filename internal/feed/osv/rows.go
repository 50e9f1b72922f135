package osv

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/cvss"
	"stockade.dev/stockade/internal/feed/notation"
)

// output turns records into rows and texts.
type output struct {
	sink      feed.Sink
	publisher string            // folder, for records whose publisher nothing tells
	newest    map[string]string // date of change by feed
	system    bool              // the record at hand is an operating system's
}

// maxIDs bounds what is compared with each other in one record; the longest one seen, of a kernel, has 1,100.
const maxIDs = 10_000

// close tells the dates.
func (o *output) close() {
	for _, f := range sorted(o.newest) {
		o.sink.Modified(f, o.newest[f])
	}
}

// prefixes of ids name the publisher of ecosystems that many write for.
var prefixes = []struct{ prefix, publisher string }{
	{"GHSA-", "ghsa"}, {"GO-", "golang"}, {"PYSEC-", "pypa"}, {"RUSTSEC-", "rustsec"}, {"MAL-", "malicious-packages"},
}

// feedOf names the feed of a record: by its ecosystem, else by its id, else by its folder.
func (o *output) feedOf(r *record) string {
	for i := range r.Affected {
		if e, _, _ := locate(r.Affected[i].Package.Ecosystem); e != nil && e.feed != "" {
			return e.feed + "-osv"
		}
	}
	for _, p := range prefixes {
		if strings.HasPrefix(r.ID, p.prefix) {
			return p.publisher + "-osv"
		}
	}
	if o.publisher != "" {
		return o.publisher + "-osv"
	}
	return "osv"
}

// record gives all of a record to the sink.
func (o *output) record(r *record) error {
	name := o.feedOf(r)
	if r.ID == "" {
		o.sink.Refused(name, r.Summary, "no id")
		return nil
	}
	o.sink.Record(name)
	if m := notation.Time(r.Modified); m > "1980" && m > o.newest[name] {
		o.newest[name] = m
	}
	if len(r.Aliases)+len(r.Upstream)+len(r.Related)+len(r.References) > maxIDs {
		o.sink.Refused(name, r.ID, "more than 10,000 ids and references")
		return nil
	}
	o.system = system(r)
	same, ids := o.identify(r)
	if err := o.text(name, r, same); err != nil {
		return err
	}
	if r.Withdrawn != "" {
		o.sink.Refused(name, r.ID, "withdrawn")
		return nil
	}
	if len(r.Affected) == 0 {
		o.sink.Refused(name, r.ID, "nothing is affected")
		return nil
	}
	if e, _, _ := locate(r.Affected[0].Package.Ecosystem); e != nil && e.skip != nil && e.skip(r.ID) && len(cves(ids)) == 0 {
		o.sink.Refused(name, r.ID, "a bug fix or enhancement without a vulnerability")
		return nil
	}
	return o.rows(name, r, ids)
}

// identify returns the ids that are the record's own vulnerability (its CVEs when it is one under another name) and the ids of
// its rows. What is upstream or related of an advisory is fixed by it, but is not the same: a text on one distribution's update
// must not stand as the text of the CVE.
func (o *output) identify(r *record) (same, ids []string) {
	same = notation.CVEs(append([]string{r.ID}, r.Aliases...)...)
	ids = same
	if len(ids) == 0 {
		ids = notation.CVEs(r.Upstream...)
	}
	if len(ids) == 0 && o.system {
		if ids = notation.CVEs(r.Related...); len(ids) == 0 {
			ids = linked(r)
		}
	}
	if len(ids) == 0 {
		ids = []string{r.ID}
	}
	return same, ids
}

// system reports whether a record is an advisory of an operating system.
func system(r *record) bool {
	for i := range r.Affected {
		if e, _, _ := locate(r.Affected[i].Package.Ecosystem); e != nil {
			return e.system
		}
	}
	return false
}

var page = regexp.MustCompile(`(?i)/(CVE-\d{4}-\d{4,19})(?:\.html|/)?$`)

// linked returns the CVEs whose pages an advisory links to: older exports of distributions name them nowhere else.
func linked(r *record) []string {
	var ids []string
	for _, f := range r.References {
		if m := page.FindStringSubmatch(f.URL); m != nil {
			ids = notation.Add(ids, strings.ToUpper(m[1]))
		}
	}
	return ids
}

func cves(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !notation.IsCVE(id) })
}

// text gives what the record says of its vulnerability: under the CVE when it is one, else under the record's id.
func (o *output) text(name string, r *record, same []string) error {
	free := freely(r.Database)
	v := advisory.Vulnerability{
		ID: r.ID, Feed: name, Title: short(r.Summary, 500), Description: short(r.Details, 20_000), Severity: o.severity(r, nil),
		CWEs: free.CWEs, Published: date(r.Published), Modified: date(r.Modified), Withdrawn: date(r.Withdrawn),
	}
	if r.Withdrawn != "" && v.Withdrawn == "" {
		v.Withdrawn = r.Withdrawn
	}
	v.CVSS = o.ratings(name, r.Severity)
	for _, f := range r.References {
		if len(v.References) == 50 {
			break
		}
		v.References = notation.Add(v.References, f.URL)
	}
	if len(same) != 1 {
		v.Aliases = same
		return o.sink.Vulnerability(v)
	}
	v.ID = same[0]
	for _, a := range append([]string{r.ID}, r.Aliases...) {
		if a != v.ID && !strings.HasSuffix(a, v.ID) { // "UBUNTU-CVE-2021-3782" is no name of its own
			v.Aliases = notation.Add(v.Aliases, a)
		}
	}
	return o.sink.Vulnerability(v)
}

func date(s string) string {
	if d := notation.Time(s); d > "1980" {
		return d
	}
	return ""
}

func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// ratings returns the vectors with scores; broken ones are left out.
func (o *output) ratings(name string, list []severity) []advisory.CVSS {
	var out []advisory.CVSS
	source, _, _ := strings.Cut(name, "-osv")
	for _, s := range list {
		if !strings.HasPrefix(s.Type, "CVSS_V") {
			continue
		}
		if c, err := cvss.Rating(s.Score, source); err == nil && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// severity returns the publisher's word: of the entry, of the record, or the first word of an advisory's title.
func (o *output) severity(r *record, a *affected) string {
	var words []string
	if a != nil {
		e, d := freely(a.Ecosystem), freely(a.Database)
		words = append(words, e.Severity, d.Severity, e.Priority)
		words = append(words, spoken(a.Severity)...)
	}
	words = append(words, freely(r.Database).Severity)
	words = append(words, spoken(r.Severity)...)
	if word, _, ok := strings.Cut(r.Summary, ":"); ok && len(word) < 12 && o.system {
		words = append(words, word)
	}
	for _, w := range words {
		if s := notation.Severity(w); s != "" {
			return s
		}
	}
	return ""
}

// spoken returns ratings that are words: {"type": "Ubuntu", "score": "medium"}.
func spoken(list []severity) []string {
	var words []string
	for _, s := range list {
		if !strings.HasPrefix(s.Type, "CVSS_V") {
			words = append(words, s.Score)
		}
	}
	return words
}

// rows gives a row for each affected entry. Entries that say the same once more, as Photon's do, are counted as refused.
func (o *output) rows(name string, r *record, ids []string) error {
	published := date(r.Published)
	id := r.ID
	if len(notation.CVEs(id)) > 0 {
		id = "" // "UBUNTU-CVE-2021-3782": no number but the CVE's
	}
	seen := make(map[string]bool, len(r.Affected))
	whole := map[string]bool{} // packages with versions: an entry without any beside them is a slip
	for i := range r.Affected {
		a := &r.Affected[i]
		if len(a.Ranges)+len(a.Versions) > 0 {
			whole[a.Package.Ecosystem+"\x00"+a.Package.Name] = true
		}
	}
	for i := range r.Affected {
		a := &r.Affected[i]
		e, p, reason := locate(a.Package.Ecosystem)
		if reason != "" {
			o.sink.Refused(name, r.ID, reason)
			continue
		}
		row := advisory.Row{
			Feed: name, Package: strings.TrimSpace(a.Package.Name), Binary: e.binary, IDs: ids, Advisory: id, Published: published,
			Scheme: e.scheme, NoEpochs: e.noEpochs, Subscription: p.subscription, Flavor: p.flavor, CPE: p.cpe,
		}
		if e.name != nil {
			row.Package = e.name(row.Package)
		}
		if e.scheme == advisory.RPM && notation.Debug(row.Package) {
			o.sink.Refused(name, r.ID, "a package of debugging symbols")
			continue
		}
		if reason := o.versions(e, a, &row); reason != "" {
			if whole[a.Package.Ecosystem+"\x00"+a.Package.Name] && reason == noVersions {
				reason = "an entry without versions beside one of the same package"
			}
			o.sink.Refused(name, r.ID, reason)
			continue
		}
		row.Severity = o.severity(r, a)
		if len(ids) == 1 { // a score of several CVEs together is none of each
			if row.CVSS = o.ratings(name, a.Severity); row.CVSS == nil {
				row.CVSS = o.ratings(name, r.Severity)
			}
		}
		if e.specifics != nil {
			e.specifics(a, &row)
		}
		for _, stream := range p.streams {
			row.Stream = stream
			key := fmt.Sprintf("%s\x00%s\x00%s\x00%v\x00%v\x00%s", stream, row.Package, p.cpe+p.flavor+p.subscription, row.Ranges, row.Versions, row.Module)
			if seen[key] {
				o.sink.Refused(name, r.ID, "the same statement twice")
				continue
			}
			seen[key] = true
			if err := o.sink.Row(row); err != nil {
				return err
			}
		}
	}
	return nil
}

const noVersions = "no versions: it would hold for every one"

// module marks builds of modules in their release. Publishers that give no stream leave it open which.
var module = regexp.MustCompile(`\.module[_+]`)

// versions fills what is vulnerable in a row and returns why it cannot.
func (o *output) versions(e *ecosystem, a *affected, row *advisory.Row) string {
	list := []interval(a.Ranges)
	if e.custom != nil {
		var custom []byte
		row.Symbols, custom = e.custom(a.Ecosystem)
		var better many[interval]
		if len(custom) > 0 && json.Unmarshal(custom, &better) == nil && len(better) > 0 {
			list = better
		}
	}
	var commits bool
	row.Ranges, commits = intervals(e.scheme, list, freely(a.Database).LastKnown)
	if len(row.Ranges) == 0 || !e.system {
		row.Versions = a.Versions
		if len(row.Versions) > maxVersions {
			return "more than 10,000 versions are listed"
		}
	}
	if len(row.Ranges) == 0 && len(row.Versions) == 0 {
		switch {
		case commits:
			return "ranges of commits only"
		case len(list) > 0:
			return "nothing lies in its ranges"
		}
		return noVersions
	}
	row.State = advisory.Affected
	for i := range row.Ranges {
		g := &row.Ranges[i]
		if e.scheme == advisory.RPM {
			g.Introduced, g.Fixed = notation.Canonical(g.Introduced), notation.Canonical(g.Fixed)
			if module.MatchString(g.Fixed) {
				row.Module = "?"
			}
		}
		if g.Fixed != "" {
			row.State = advisory.Fixed
		}
	}
	return ""
}
