package csaf

import (
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/notation"
	"stockade.dev/stockade/internal/feed/redhat"
)

// groupKey is what packages have in common that are told by their source package.
type groupKey struct {
	stream, subscription, cpe, module, advisory, severity, reason string
	state                                                         advisory.State
}

type versioned struct{ name, evr string }

type group struct {
	sources  []versioned
	known    map[versioned]bool // of sources
	evrs     map[string]bool    // of sources
	binaries []versioned
	arches   map[versioned][]string
}

type grouping struct {
	byKey map[groupKey]*group
	order []groupKey
}

func (g *grouping) add(key groupKey, c component) {
	at := g.byKey[key]
	if at == nil {
		at = &group{arches: map[versioned][]string{}, known: map[versioned]bool{}, evrs: map[string]bool{}}
		g.byKey[key] = at
		g.order = append(g.order, key)
	}
	v := versioned{c.name, c.evr}
	if key.state != advisory.Fixed {
		v.evr = ""
	}
	if c.source() {
		if !at.known[v] {
			at.known[v], at.evrs[v.evr] = true, true
			at.sources = append(at.sources, v)
		}
		return
	}
	arches, seen := at.arches[v]
	if !seen {
		at.binaries = append(at.binaries, v)
	}
	at.arches[v] = notation.Add(arches, c.arch)
}

// rows writes a group: the source packages, and those binary packages that no source package stands for. A fixed binary is
// covered when the group has one source package, or one of its version; an unfixed one when there is any, since then the
// publisher lists sources and all that is built from them.
func (g *group) rows(r *reading, key groupKey, id string, cvss []advisory.CVSS) {
	for _, v := range g.sources {
		r.row(key, v, false, nil, id, cvss)
	}
	for _, v := range g.binaries {
		if len(g.sources) > 0 && r.vendor.sources {
			if key.state != advisory.Fixed || len(g.sources) == 1 {
				continue
			}
			if g.evrs[v.evr] {
				continue
			}
		}
		arches := g.arches[v]
		if len(arches) == 0 && key.state != advisory.Fixed && r.vendor.sources {
			// A bare name is a source package in older documents and a binary one in newer.
			r.row(key, v, false, nil, id, cvss)
		}
		r.row(key, v, true, arches, id, cvss)
	}
}

// row keeps one statement; the same on several ids becomes one row.
func (r *reading) row(key groupKey, v versioned, binary bool, arches []string, id string, cvss []advisory.CVSS) {
	if slices.Contains(arches, "noarch") || len(arches) >= 3 {
		arches = nil // what is on all architectures that the release has
	}
	name := fmt.Sprint(key, v, binary, arches, cvss)
	if row := r.rows[name]; row != nil {
		if row.IDs[len(row.IDs)-1] != id { // vulnerabilities come one after the other
			row.IDs = append(row.IDs, id)
		}
		return
	}
	row := &advisory.Row{
		Feed: r.feed, Stream: key.stream, Package: v.name, Binary: binary, IDs: []string{id}, Advisory: key.advisory, Published: r.published,
		Severity: key.severity, CVSS: cvss, State: key.state, Subscription: key.subscription, Reason: key.reason, Scheme: advisory.RPM, NoEpochs: r.vendor.name == "openeuler",
		Arches: arches, Module: key.module, CPE: key.cpe,
	}
	if key.state == advisory.Fixed {
		row.Ranges = []advisory.Range{{Fixed: v.evr}}
	}
	r.rows[name] = row
	r.order = append(r.order, name)
}

// emit hands the rows over. Rows for subscribers are left out where the same fix is there for everybody.
func (r *reading) emit() error {
	if r.vendor.name == "redhat" {
		rows := make([]*advisory.Row, 0, len(r.order))
		for _, name := range r.order {
			rows = append(rows, r.rows[name])
		}
		redhat.Branches(rows)
	}
	free := map[string]bool{}
	same := func(row *advisory.Row) string {
		return strings.Join([]string{row.Stream, row.Package, row.Module, row.CPE, fmt.Sprint(row.Binary, row.State, row.Ranges, row.IDs)}, "\x00")
	}
	for _, name := range r.order {
		if row := r.rows[name]; row.Subscription == "" {
			free[same(row)] = true
		}
	}
	for _, name := range r.order {
		row := r.rows[name]
		row.IDs = notation.Distinct(row.IDs)
		if row.Subscription != "" && free[same(row)] {
			continue
		}
		if err := r.sink.Row(*row); err != nil {
			return err
		}
	}
	return nil
}
