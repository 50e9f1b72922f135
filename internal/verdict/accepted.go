package verdict

import (
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
)

// Place is where an image is asked about: what exceptions may name beside the finding itself.
type Place struct {
	Target    int64
	Cluster   string
	Reference policy.Reference
	Digest    string // of the manifest
}

// Accepted is the exceptions that hold for a cluster, made ready for many images.
type Accepted struct {
	set    *exception.Set
	prints map[string]bool // fingerprints that exceptions name
	placed *exception.Set  // those that name who runs the image, as if they did not
}

// Limits of the exceptions that one finding names: more only let less pass.
const maxExcuses = 20

// Accept makes exceptions ready.
func Accept(list []exception.Exception) (*Accepted, error) {
	if len(list) == 0 {
		return nil, nil
	}
	set, err := exception.New(list)
	if err != nil {
		return nil, err
	}
	a := &Accepted{set: set, prints: map[string]bool{}}
	for i := range list {
		if p := list[i].Fingerprint; p != "" {
			a.prints[p] = true
		}
	}
	var placed []exception.Exception
	for i := range list {
		if e := &list[i]; e.ID != 0 && e.Fingerprint == "" && e.Placed() {
			placed = append(placed, e.Anywhere())
		}
	}
	if len(placed) > 0 {
		a.placed, err = exception.New(placed)
	}
	return a, err
}

// Without returns the facts without what the exceptions accept at a place, and the first moment at which one of these ends. Facts
// are not changed. Exceptions that name namespaces or workloads accept nothing here, since facts are of an image, whoever runs it: they
// are listed as excuses.
func (a *Accepted) Without(f *Facts, at Place, now time.Time) (out *Facts, ends time.Time) {
	if a == nil || f == nil {
		return f, time.Time{}
	}
	names := spellings(at.Reference)
	x := finding.Finding{Resource: finding.Resource{Cluster: at.Cluster, Digest: at.Digest}}
	accepted := func() bool {
		for _, name := range names {
			x.Resource.Image = name
			if e, ok := a.set.Match(&x, at.Target, now); ok {
				if !e.Expires.IsZero() && (ends.IsZero() || e.Expires.Before(ends)) {
					ends = e.Expires
				}
				return true
			}
		}
		return false
	}
	excused := false
	excuses := func() []int64 {
		var out []int64
		for _, name := range names {
			if a.placed == nil {
				break
			}
			x.Resource.Image = name
			for _, e := range a.placed.MatchAll(&x, at.Target, now, maxExcuses) {
				if !slices.Contains(out, e.ID) && len(out) < maxExcuses {
					out = append(out, e.ID)
				}
			}
		}
		slices.Sort(out)
		excused = excused || len(out) > 0
		return out
	}
	var vulnerabilities []Vulnerability
	for i := range f.Vulnerabilities {
		v := &f.Vulnerabilities[i]
		x.Kind, x.Rule, x.Aliases, x.Severity, x.Resource.File = finding.Vulnerability, v.ID, v.Aliases, v.Severity, v.File
		x.Vulnerability = &finding.Vulnerable{ID: v.ID, Aliases: v.Aliases, Package: v.Package, Version: v.Version, FixedVersion: v.Fixed, PURL: v.PURL}
		x.Fingerprint = a.print(names, at, func(repository, variant string) string {
			p := finding.Identity{RuleID: v.ID, Cluster: at.Cluster, Kind: "Image", Name: repository, Item: v.Item}.Fingerprint()
			if variant != "" { // as examine.Match does where several of a repository run
				p = finding.Identity{RuleID: p, Item: variant}.Fingerprint()
			}
			return p
		})
		if !accepted() {
			vulnerabilities = append(vulnerabilities, *v)
			vulnerabilities[len(vulnerabilities)-1].Excuses = excuses()
		}
	}
	var hits []Hit
	x.Vulnerability, x.Aliases = nil, nil
	for i := range f.Hits {
		h := &f.Hits[i]
		x.Kind, x.Rule, x.RuleID, x.Severity, x.Resource.File, x.Resource.Line = h.Kind, h.Rule, h.RuleID, h.Severity, h.File, h.Line
		x.Fingerprint = a.print(names, at, func(repository, variant string) string {
			if variant != "" {
				repository += ":" + variant
			}
			return finding.Identity{RuleID: h.RuleID, Cluster: at.Cluster, Kind: "ImageFacts", Group: "stockade.dev", Name: repository, Item: h.Item}.Fingerprint()
		})
		if !accepted() {
			hits = append(hits, *h)
			hits[len(hits)-1].Excuses = excuses()
		}
	}
	if !excused && len(vulnerabilities) == len(f.Vulnerabilities) && len(hits) == len(f.Hits) {
		return f, ends
	}
	less := *f
	less.Vulnerabilities, less.Hits = vulnerabilities, hits
	return &less, ends
}

// print is the fingerprint of a finding on the image that an exception names: scans name findings by the repository as workloads
// write it, and by the tag or digest where several of it run. "": none is named.
func (a *Accepted) print(names []string, at Place, of func(repository, variant string) string) string {
	if len(a.prints) == 0 {
		return ""
	}
	for _, name := range names {
		repository, _ := inventory.SplitReference(name)
		for _, variant := range []string{"", at.Reference.Tag, at.Digest} {
			if p := of(repository, variant); a.prints[p] {
				return p
			}
		}
	}
	return ""
}

// spellings are the forms in which people write a reference.
func spellings(r policy.Reference) []string {
	tail := strings.TrimPrefix(r.String(), r.Name())
	var out []string
	for _, name := range r.Repositories() {
		out = append(out, name+tail)
	}
	return out
}
