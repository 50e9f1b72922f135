package cvrf

import (
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/notation"
	"stockade.dev/stockade/internal/feed/openeuler"
	"stockade.dev/stockade/internal/feed/suse"
)

// state maps the types of product states.
func state(kind string) (advisory.State, bool) {
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "fixed", "first fixed", "recommended":
		return advisory.Fixed, true
	case "known affected", "first affected", "last affected":
		return advisory.Affected, true
	case "known not affected":
		return advisory.NotAffected, true
	case "under investigation":
		return advisory.Investigating, true
	}
	return 0, false
}

// suse reads "SUSE Linux Enterprise Server 12 SP5:openssl-1.0.2p-3.11.1": product and package in one id. Relationships say
// where to cut it.
func (r *reading) suse() {
	cut := map[string][2]string{}
	for _, rel := range r.doc.Tree.Relationships {
		cut[rel.Name.ID] = [2]string{rel.Platform, rel.Component}
	}
	for i := range r.doc.Vulnerabilities {
		v := &r.doc.Vulnerabilities[i]
		for _, status := range v.Statuses {
			st, ok := state(status.Type)
			if !ok {
				r.refuse(status.Type, "unknown product state")
				continue
			}
			for _, id := range status.Products {
				id = strings.TrimSpace(id)
				parts, ok := cut[id]
				if !ok {
					parts[0], parts[1], ok = strings.Cut(id, ":")
				}
				if !ok {
					r.refuse(id, "no package named")
					continue
				}
				r.suseProduct(parts[0], parts[1], st, v)
			}
		}
	}
}

func (r *reading) suseProduct(platform, component string, st advisory.State, v *vulnerability) {
	streams, subscription, ok := suse.Product(platform)
	if !ok {
		r.refuse(platform, "product not covered")
		return
	}
	name, evr, _, ok := notation.NEVRA(component)
	if st != advisory.Fixed && (!ok || !notation.Versioned(component)) {
		name, evr, ok = component, "", true
	}
	if !ok || name == "" || strings.ContainsAny(name, " /") {
		r.refuse(component, "package name not understood")
		return
	}
	if notation.Debug(name) {
		return
	}
	row := advisory.Row{Package: name, Binary: true, State: st, Subscription: subscription}
	switch st {
	case advisory.Fixed:
		row.Ranges = []advisory.Range{{Fixed: evr}}
	case advisory.NotAffected:
		if evr != "" {
			r.refuse(r.doc.Tracking.ID, "not affected in single builds only")
			return
		}
	}
	for _, s := range streams {
		row.Stream = s
		r.row(row, v)
	}
}

// openeuler reads states that name the release only; the packages hang in the tree by architecture, with the release in
// their CPEs. The source package stands for all.
func (r *reading) openeuler() {
	if r.doc.Hot != nil {
		r.refuse("", "hot patch")
		return
	}
	sources, binaries := map[string][]name{}, map[string][]name{} // by release
	releases := map[string]string{}                               // product id to stream
	var walk func(b *branch, depth int)
	walk = func(b *branch, depth int) {
		if depth > notation.MaxDepth {
			r.refuse("", "nested too deep")
			return
		}
		for _, n := range b.Names {
			if b.Type == "Product Name" {
				if s, ok := openeuler.Stream(n.ID); ok {
					releases[n.ID] = s
				} else {
					r.refuse(n.ID, "product not covered")
				}
				continue
			}
			release := n.CPE[strings.LastIndexByte(n.CPE, ':')+1:]
			if b.Name == "src" {
				sources["openEuler-"+release] = append(sources["openEuler-"+release], n)
			} else {
				binaries["openEuler-"+release] = append(binaries["openEuler-"+release], n)
			}
		}
		for i := range b.Branches {
			walk(&b.Branches[i], depth+1)
		}
	}
	for i := range r.doc.Tree.Branches {
		walk(&r.doc.Tree.Branches[i], 0)
	}
	for i := range r.doc.Vulnerabilities {
		v := &r.doc.Vulnerabilities[i]
		for _, status := range v.Statuses {
			st, ok := state(status.Type)
			if !ok || st != advisory.Fixed {
				r.refuse(status.Type, "unknown product state")
				continue
			}
			for _, id := range status.Products {
				id = strings.TrimSpace(id)
				stream, ok := releases[id]
				if !ok {
					if stream, ok = openeuler.Stream(id); !ok {
						r.refuse(id, "product not covered")
						continue
					}
				}
				packages, binary := sources[id], false
				if len(packages) == 0 {
					packages, binary = binaries[id], true
				}
				r.openeulerPackages(stream, packages, binary, v)
			}
		}
	}
}

func (r *reading) openeulerPackages(stream string, packages []name, binary bool, v *vulnerability) {
	seen := map[string]bool{}
	for _, p := range packages {
		if r.statements > maxStatements {
			return
		}
		name, evr, _, ok := notation.NEVRA(p.Text)
		if !ok {
			r.refuse(p.Text, "package name not understood")
			continue
		}
		if openeuler.HotPatch(name) || strings.Contains(p.ID, "-ACC-") || strings.Contains(p.ID, "-SGL-") {
			r.refuse(p.ID, "hot patch")
			continue
		}
		if notation.Debug(name) || seen[name+evr] {
			continue
		}
		seen[name+evr] = true
		r.row(advisory.Row{Stream: stream, Package: name, Binary: binary, NoEpochs: true, State: advisory.Fixed, Ranges: []advisory.Range{{Fixed: evr}}}, v)
	}
}
