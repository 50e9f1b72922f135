package image

import (
	"cmp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/release"
)

// merge puts the layers on each other.
type merge struct {
	o       *Options
	s       *inventory.Software
	layers  []*result
	layered bool // false: a root file system
	aliases []alias
	system  map[string]bool // names of the system packages that are there
	memo    map[spelling][]uint64
}

// alias is a directory symlink: from leads to to from its layer on.
type alias struct {
	from, to string
	layer    int
}

func (m *merge) run() {
	m.memo = map[spelling][]uint64{}
	m.findAliases()
	m.databases()
	m.files()
	for i, r := range m.layers {
		for _, g := range r.Gaps {
			if m.layered && !strings.HasPrefix(g.What, "layer") {
				g.What += " (" + layerID(m.s.Layers[i]) + ")"
			}
			m.s.Gaps = append(m.s.Gaps, g)
		}
	}
	if !m.o.Scanners.NoPackages {
		m.s.OS = release.Recognize(m.release())
	}
	slices.SortStableFunc(m.s.Packages, func(a, b inventory.Package) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Path, b.Path))
	})
	slices.SortStableFunc(m.s.Hits, func(a, b inventory.Hit) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
}

func layerID(l inventory.Layer) string { return cmp.Or(l.Digest, l.DiffID, "layer") }

// findAliases takes the directory symlinks of the upper tree that lead somewhere else: lib -> usr/lib.
func (m *merge) findAliases() {
	for i, r := range m.layers {
		for from, to := range r.Links {
			if to != "" && to != from && !strings.HasPrefix(to, from+"/") && len(m.aliases) < 256 && m.alive(i, from) {
				m.aliases = append(m.aliases, alias{from, to, i})
			}
		}
	}
	slices.SortFunc(m.aliases, func(a, b alias) int { return cmp.Or(strings.Compare(a.from, b.from), a.layer-b.layer) })
}

// place is where a path of layer i really is: below a symlinked directory, where that leads.
func (m *merge) place(i int, path string) string {
	for hop := 0; hop < 4; hop++ {
		moved := false
		for _, a := range m.aliases {
			if rest, ok := strings.CutPrefix(path, a.from); ok && a.layer <= i && strings.HasPrefix(rest, "/") {
				path, moved = a.to+rest, true
				break
			}
		}
		if !moved {
			break
		}
	}
	return path
}

// spelling is another path of the same file; the first keep bytes of it are not a path to check by itself.
type spelling struct {
	path string
	keep int
}

// spellings returns the path and its other names through symlinked directories.
func (m *merge) spellings(path string) []spelling {
	out := []spelling{{path, -1}}
	for _, a := range m.aliases {
		if rest, ok := strings.CutPrefix(path, a.to); ok && strings.HasPrefix(rest, "/") {
			out = append(out, spelling{a.from + rest, len(a.from)})
		}
		if rest, ok := strings.CutPrefix(path, a.from); ok && strings.HasPrefix(rest, "/") {
			out = append(out, spelling{a.to + rest, -1})
		}
	}
	return out
}

// alive reports whether what layer i has at path is still there in the end.
func (m *merge) alive(i int, path string) bool {
	if i+1 >= len(m.layers) {
		return true
	}
	for _, s := range m.spellings(path) {
		// ancestors[0] is the path itself, then its folders upwards; the last is the root.
		ancestors, ok := m.memo[s]
		if !ok {
			ancestors = append(ancestors, pathHash(s.path))
			for p := s.path; ; {
				cut := strings.LastIndexByte(p, '/')
				if cut < 0 {
					if s.keep < 0 {
						ancestors = append(ancestors, pathHash(""))
					}
					break
				}
				p = p[:cut]
				if len(p) <= s.keep {
					break
				}
				ancestors = append(ancestors, pathHash(p))
			}
			if len(m.memo) < 100_000 {
				m.memo[s] = ancestors
			}
		}
		for _, r := range m.layers[i+1:] {
			if r.hides(ancestors) {
				return false
			}
		}
	}
	return true
}

// hides reports whether a layer takes away what lies below it at a path.
func (r *result) hides(ancestors []uint64) bool {
	if r.Written.has(ancestors[0]) || r.Dirs.has(ancestors[0]) || r.Whiteouts.has(ancestors[0]) {
		return true
	}
	for _, h := range ancestors[1:] {
		// A file or a symlink in the place of a folder; a removed folder; one that starts anew.
		if r.Written.has(h) || r.Whiteouts.has(h) || r.Opaque.has(h) {
			return true
		}
	}
	return false
}

// name returns a name under which the file is still there.
func (m *merge) name(i int, f *fileResult) (string, bool) {
	p := m.place(i, f.Path)
	if m.alive(i, p) {
		return f.Path, true
	}
	for _, n := range f.Names {
		if m.alive(i, m.place(i, n)) {
			return n, true
		}
	}
	return f.Path, false
}

// databases takes the packages of the package managers. A package belongs to the first layer whose database has it.
func (m *merge) databases() {
	type key struct{ kind, name, version, arch string }
	of := func(p *inventory.Package) key { return key{string(p.Type), p.Name, p.Version, p.Arch} }
	first := map[key]int{}
	taken := map[key]bool{}
	m.system = map[string]bool{}
	for i, r := range m.layers {
		for k := range r.Files {
			f := &r.Files[k]
			if !f.Database {
				continue
			}
			for j := range f.Packages {
				if id := of(&f.Packages[j]); first[id] == 0 {
					first[id] = i + 1
				}
			}
		}
	}
	for i, r := range m.layers {
		for k := range r.Files {
			f := &r.Files[k]
			if !f.Database {
				continue
			}
			at, ok := m.name(i, f)
			if !ok {
				continue
			}
			for _, p := range f.Packages {
				id := of(&p)
				if taken[id] {
					continue
				}
				taken[id] = true
				p.Layer, p.Path = m.layer(first[id]-1), at
				m.system[p.Name] = true
				m.s.Packages = append(m.s.Packages, p)
			}
		}
	}
	m.room()
}

func (m *merge) layer(i int) int {
	if !m.layered {
		return -1
	}
	return i
}

// room ends the list of packages at its limit.
func (m *merge) room() {
	if most := m.o.Limits.Packages; len(m.s.Packages) > most {
		m.s.Packages = m.s.Packages[:most]
		m.s.Gaps = append(m.s.Gaps, inventory.Gap{What: "packages", Code: "limit", Reason: "more packages than the limit of one image"})
	}
}

// files takes what the other files gave. What was removed is left out, but for its hits: whoever has the image can read them.
func (m *merge) files() {
	for i, r := range m.layers {
		for k := range r.Files {
			f := &r.Files[k]
			at, ok := m.name(i, f)
			owner := ""
			if ok && !f.Database {
				owner = m.owner(i, at)
			}
			for _, h := range f.Hits {
				h.Layer, h.Deleted = m.layer(i), !ok
				if owner != "" {
					detail := map[string]string{"package": owner}
					for k, v := range h.Detail {
						detail[k] = v
					}
					h.Detail = detail
				}
				if h.Deleted && (h.Kind == "setuid" || h.Kind == "device" || h.Kind == "check") {
					continue // does nothing once it is gone
				}
				m.s.Hits = append(m.s.Hits, h)
			}
			if !ok {
				continue
			}
			m.s.Gaps = append(m.s.Gaps, f.Gaps...)
			if f.Database {
				continue
			}
			for _, p := range f.Packages {
				if at != f.Path {
					p.Path = at + strings.TrimPrefix(p.Path, f.Path)
				}
				p.Layer, p.Owner = m.layer(i), owner
				m.s.Packages = append(m.s.Packages, p)
			}
		}
	}
	m.room()
	if most := m.o.Limits.Hits; len(m.s.Hits) > most {
		m.s.Hits = m.s.Hits[:most]
		m.s.Gaps = append(m.s.Gaps, inventory.Gap{What: "hits", Code: "limit", Reason: "more hits than the limit of one image"})
	}
}

// owner is the system package that lists the path among its files; the newest database counts.
func (m *merge) owner(i int, path string) string {
	for _, s := range m.spellings(m.place(i, path)) {
		h := pathHash(s.path)
		for _, r := range slices.Backward(m.layers) {
			if name, ok := r.Owned.find(h); ok && m.system[name] {
				return name
			}
		}
	}
	return ""
}

// release gathers the files that tell the operating system, each as the last layer left it. Where one is a symlink, what it
// leads to stands for it.
func (m *merge) release() map[string][]byte {
	all := map[string][]byte{}
	links := map[string]string{}
	for i, r := range m.layers {
		for p, data := range r.Raw {
			if m.alive(i, m.place(i, p)) {
				all[m.place(i, p)] = data
			}
		}
		for p, to := range r.Links {
			if isRelease(p) && m.alive(i, p) {
				links[p] = to
			}
		}
	}
	for p, to := range links {
		for hop := 0; hop < 4 && all[p] == nil; hop++ {
			if data, ok := all[m.place(len(m.layers), to)]; ok {
				all[p] = data
			} else if to = links[to]; to == "" {
				break
			}
		}
	}
	return all
}
