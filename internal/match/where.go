package match

import (
	"iter"
	"slices"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/inventory"
)

// Where answers "what here is exposed to this id": it yields the inventories that have the vulnerability, with what holds for
// it. The id may be any of a vulnerability's names. Inventories that have no package of a name that any row with the id is
// about are passed over when the Lookup offers Reverse.
func (m *Matcher) Where(id string, all iter.Seq[*inventory.Software]) iter.Seq2[*inventory.Software, []Vulnerability] {
	return func(yield func(*inventory.Software, []Vulnerability) bool) {
		canonical, aliases := m.canonical(id)
		names := append([]string{canonical}, aliases...)
		if v, ok := m.db.Vulnerability(canonical); ok {
			names = append(names, v.Aliases...)
		}
		rows := m.packages(names)
		for s := range all {
			var found []Vulnerability
			sys := m.system(s.OS)
			v := view{m: m, s: s, sys: sys}
			for i := range s.Packages {
				p := &s.Packages[i]
				if rows != nil && !concerned(rows, p) {
					continue
				}
				var out Result
				v.match(p, v.ask(p), &out)
				for _, f := range out.Vulnerabilities {
					if f.ID == canonical || slices.Contains(names, f.ID) {
						found = append(found, f)
					}
				}
			}
			if len(found) > 0 && !yield(s, found) {
				return
			}
		}
	}
}

// Where is Matcher.Where for one question.
func Where(db Lookup, o Options, id string, all iter.Seq[*inventory.Software]) iter.Seq2[*inventory.Software, []Vulnerability] {
	return NewMatcher(db, o).Where(id, all)
}

// packages returns the names of packages that have rows with one of the ids; nil when the database cannot tell.
func (m *Matcher) packages(ids []string) map[string]bool {
	reverse, ok := m.db.(Reverse)
	if !ok {
		return nil
	}
	names := map[string]bool{}
	for _, id := range ids {
		if err := reverse.Packages(id, func(_, name string) bool { names[string([]byte(name))] = true; return true }); err != nil {
			return nil // ask them all
		}
	}
	return names
}

// concerned reports whether a package goes by one of the names.
func concerned(names map[string]bool, p *inventory.Package) bool {
	if names[p.Name] || names[p.SourceName()] {
		return true
	}
	if p.Type.System() {
		return false
	}
	if p.Type == inventory.PyPI && names[streamName(p)] {
		return true
	}
	if slices.ContainsFunc(p.CPEs, func(c string) bool { return names[c] }) {
		return true
	}
	return (p.Type == inventory.Generic || p.Component != "") && slices.ContainsFunc(components(p), func(c string) bool { return names[c] })
}

// Streams returns the streams that rows for an inventory may stand in: those of its system and of the ecosystems that it has
// packages of. A caller that keeps inventories knows by them which to match again after an update.
func Streams(s *inventory.Software) []string {
	var out []string
	if s.OS != nil {
		out = slices.Clone(s.OS.Streams)
	}
	seen := map[inventory.PackageType]bool{}
	for i := range s.Packages {
		seen[s.Packages[i].Type] = true
	}
	for kind, stream := range ecosystems {
		if seen[kind] {
			out = append(out, stream)
		}
	}
	if seen[inventory.Generic] {
		out = append(out, advisory.StreamBitnami, advisory.StreamCPE, advisory.StreamKubernetes)
	} else if seen[inventory.Golang] {
		out = append(out, advisory.StreamKubernetes)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
