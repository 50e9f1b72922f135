package oval

import (
	"cmp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/notation"
	"stockade.dev/stockade/internal/feed/redhat"
)

func redhatProducts(cpes []string) []string { return redhat.Products(cpes) }

// fact is what a criterion says that is no claim about a package.
type fact struct {
	releases []release
	foreign  bool
	arch     string
	module   string
	flavor   string
	known    bool
}

func (r *reading) fact(c *criterion) fact {
	if c.Negate {
		return fact{}
	}
	if name, ok := strings.CutSuffix(strings.TrimSuffix(c.Comment, "."), " is installed"); ok {
		name = strings.TrimSpace(name) // CTyunOS: "CTyunOS  is installed", the release is in the platform
		streams, subscription, covered := r.vendor.release(name)
		if covered {
			f := fact{known: true}
			for _, s := range streams {
				f.releases = append(f.releases, release{s, subscription})
			}
			return f
		}
		if strings.Contains(name, " ") {
			return fact{known: true, foreign: true}
		}
		return fact{}
	}
	if m := enabled.FindStringSubmatch(c.Comment); m != nil {
		return fact{known: true, module: m[1] + ":" + m[2]}
	}
	if m := flavored.FindStringSubmatch(c.Comment); m != nil {
		return fact{known: true, flavor: m[1]}
	}
	if m := onArch.FindStringSubmatch(c.Comment); m != nil {
		return fact{known: true, arch: m[1]}
	}
	return fact{}
}

// add collects a fact; releases of an OR are alternatives.
func (p *place) add(f fact) {
	p.releases = append(p.releases, f.releases...)
	p.foreign = p.foreign || f.foreign
	if f.arch != "" {
		p.arches = append(p.arches, f.arch)
	}
	p.module = cmp.Or(f.module, p.module)
	p.flavor = cmp.Or(f.flavor, p.flavor)
}

// narrow returns the place with what was collected beside; lists are copied, as siblings start from the same place.
func (p place) narrow(more place) place {
	p.releases = slices.Concat(p.releases, more.releases)
	p.foreign = p.foreign || more.foreign
	p.arches = slices.Concat(p.arches, more.arches)
	p.module = cmp.Or(more.module, p.module)
	p.flavor = cmp.Or(more.flavor, p.flavor)
	return p
}

// conditions adds what a node says when it holds facts only, such as "any of these releases"; false when it holds claims.
func (r *reading) conditions(c *criteria, p *place, depth int) bool {
	if len(c.Leaves)+len(c.Criteria) == 0 || depth > notation.MaxDepth {
		return false
	}
	for i := range c.Leaves {
		f := r.fact(&c.Leaves[i])
		if !f.known {
			return false
		}
		p.add(f)
	}
	for i := range c.Criteria {
		if !r.conditions(&c.Criteria[i], p, depth+1) {
			return false
		}
	}
	return true
}

// walk goes down the tree; in an AND every fact holds for every claim in it.
func (r *reading) walk(c *criteria, p place) {
	if c.Negate {
		r.refuse("negated criteria")
		return
	}
	conjunction := c.Operator == "" || strings.EqualFold(c.Operator, "AND")
	var facts place
	if conjunction {
		for i := range c.Leaves {
			facts.add(r.fact(&c.Leaves[i]))
		}
	}
	var rest []*criteria
	for i := range c.Criteria {
		var more place
		if conjunction && r.conditions(&c.Criteria[i], &more, 0) {
			facts = facts.narrow(more)
		} else {
			rest = append(rest, &c.Criteria[i])
		}
	}
	p = p.narrow(facts)
	for i := range c.Leaves {
		leaf := &c.Leaves[i]
		if leaf.Negate || r.fact(leaf).known {
			continue
		}
		if cl := r.doc.claims(leaf); cl.impacted {
			r.claim(leaf, &cl, &p)
		}
	}
	for _, child := range rest {
		r.walk(child, p)
	}
}

// maxStatements bounds packages times releases of one definition; SUSE's kernels have 20,000.
const maxStatements = 1_000_000

func (r *reading) claim(leaf *criterion, cl *claim, p *place) {
	releases := p.releases
	if len(releases) == 0 && p.foreign {
		r.refuse("product not covered")
		return
	}
	if len(releases) == 0 {
		releases = r.fallback
	}
	if len(releases) == 0 {
		r.refuse("release not covered")
		return
	}
	ids := r.ids
	if w := worded.FindStringSubmatch(leaf.Comment); w != nil && w[1] != "" {
		ids = []string{w[1]}
	}
	products := r.products
	if len(products) == 0 {
		products = []string{""}
	}
	names, binary := cl.names, !r.vendor.source
	var binaries []string
	if cl.source != "" {
		names, binary = []string{cl.source}, false
		if len(cl.names) > 0 && cl.names[0] != cl.source || len(cl.names) > 1 {
			binaries = slices.Sorted(slices.Values(cl.names))
		}
	}
	if r.statements += len(names) * len(releases) * len(products); r.statements > maxStatements {
		r.refuse("more statements than a definition can have")
		return
	}
	for _, name := range names {
		if notation.Debug(name) {
			continue
		}
		for _, rel := range releases {
			for _, cpe := range products {
				row := advisory.Row{
					Feed: r.feed, Stream: rel.stream, Subscription: rel.subscription, Package: name, Binary: binary, Binaries: binaries, IDs: ids,
					State: cl.state, Reason: cl.reason, Scheme: r.vendor.scheme, Module: p.module, Flavor: p.flavor, CPE: cpe,
				}
				r.row(&row, cl, p)
			}
		}
	}
}

// row completes a row and keeps it, or adds its architecture to one that says the same.
func (r *reading) row(row *advisory.Row, cl *claim, p *place) {
	evr := cl.evr
	if r.vendor.clean != nil {
		evr = r.vendor.clean(row.Package, evr)
	}
	if r.vendor.scheme == advisory.Deb && evr == "0" {
		row.State, evr = advisory.NotAffected, "" // Debian: "earlier than 0" is its word for never affected
	}
	switch {
	case evr != "" && cl.last:
		row.Ranges = []advisory.Range{{LastAffected: evr}}
	case evr != "":
		row.Ranges = []advisory.Range{{Fixed: evr}}
	case strings.Contains(r.def.ID, "unaffected"):
		row.State = advisory.NotAffected
	default:
		if s, ok := r.states[row.Package]; ok && row.State == advisory.Affected {
			row.State = s
		}
	}
	if strings.Contains(evr, "esm") && r.vendor.name == "ubuntu" {
		row.Subscription = "ESM"
	}
	if r.vendor.flavor != nil && row.Flavor == "" {
		row.Flavor = r.vendor.flavor(evr)
	}
	row.Advisory, row.Severity = r.advisory, r.severity
	m := &r.def.Metadata
	row.Published = notation.Time(cmp.Or(m.Advisory.Issued.Date, m.Advisory.Issued.Element, m.Advisory.Public, m.Date))
	if len(row.IDs) == 1 {
		row.CVSS = r.cvss[row.IDs[0]]
		row.Severity = cmp.Or(row.Severity, r.ratings[row.IDs[0]])
	}
	arches := cl.arches
	if len(p.arches) > 0 {
		arches = p.arches
	}
	key := strings.Join([]string{row.Stream, row.Subscription, row.Package, evr, row.Module, row.Flavor, row.CPE, row.State.String(), strings.Join(row.IDs, " ")}, "\x00")
	if held := r.rows[key]; held != nil {
		if len(held.Arches) > 0 && len(arches) > 0 {
			for _, a := range arches {
				held.Arches = notation.Add(held.Arches, a)
			}
		} else {
			held.Arches = nil
		}
		return
	}
	row.Arches = slices.Clone(arches)
	r.rows[key] = row
	r.order = append(r.order, key)
}

// emit hands the rows over. Rows for subscribers are left out where the same fix is there for everybody.
func (r *reading) emit() error {
	free := map[string]bool{}
	for _, key := range r.order {
		if row := r.rows[key]; row.Subscription == "" {
			free[key] = true
		}
	}
	for _, key := range r.order {
		row := r.rows[key]
		if row.Subscription != "" && free[strings.Replace(key, "\x00"+row.Subscription+"\x00", "\x00\x00", 1)] {
			continue
		}
		slices.Sort(row.Arches)
		if err := r.sink.Row(*row); err != nil {
			return err
		}
	}
	return nil
}
