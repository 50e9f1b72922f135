package match

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/version"
)

// Statement is what the vendor of a system says of one vulnerability in one of its packages.
type Statement struct {
	State    string // fixed (in this version), affected, not-affected; "" when the vendor is silent
	Fixed    string // the version with the fix, where one is named
	Advisory string
	Feed     string
}

// Says asks the streams of an inventory's system what they say of a vulnerability, by any of its ids, in a system package.
func (m *Matcher) Says(s *inventory.Software, p *inventory.Package, ids ...string) Statement {
	sys := m.system(s.OS)
	if !p.Type.System() || len(sys.streams) == 0 {
		return Statement{}
	}
	for _, v := range m.answer(sys, p).found {
		if slices.Contains(ids, v.ID) || slices.ContainsFunc(v.Aliases, func(a string) bool { return slices.Contains(ids, a) }) {
			if !v.Open {
				return Statement{State: "fixed", Fixed: p.Version, Advisory: v.Row.Advisory, Feed: v.Row.Feed}
			}
			return Statement{State: "affected", Fixed: v.Fixed, Advisory: v.Row.Advisory, Feed: v.Row.Feed}
		}
	}
	said := m.said(sys, p)
	if !slices.ContainsFunc(ids, func(id string) bool { return said[id] }) {
		return Statement{}
	}
	out := Statement{State: "fixed"}
	take := func(row *advisory.Row) bool {
		if !slices.ContainsFunc(row.IDs, func(id string) bool { return slices.Contains(ids, id) }) {
			return true
		}
		if row.State == advisory.NotAffected && out.Fixed == "" {
			out = Statement{State: "not-affected", Advisory: strings.Clone(row.Advisory), Feed: strings.Clone(row.Feed)}
		}
		for _, r := range row.Ranges {
			if r.Fixed != "" && (out.Fixed == "" || version.Less(row.Scheme, out.Fixed, r.Fixed)) {
				out = Statement{State: "fixed", Fixed: strings.Clone(r.Fixed), Advisory: strings.Clone(row.Advisory), Feed: strings.Clone(row.Feed)}
			}
		}
		return true
	}
	for _, stream := range sys.streams {
		m.rows(stream, p.Name, take)
		if source := p.SourceName(); source != p.Name {
			m.rows(stream, source, take)
		}
	}
	return out
}
