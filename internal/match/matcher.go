package match

import (
	"slices"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Matcher matches many inventories against one database. It remembers what came out for a package of a system: images share
// their bases. It is safe for use from several goroutines.
type Matcher struct {
	db Lookup
	o  Options

	mu      sync.RWMutex
	systems map[string]*system
	known   map[identity]*answer
	told    map[identity]map[string]bool
	names   map[string]naming
	failed  map[string]error // stream and error of look-ups that failed
	texts   map[string]*advisory.Vulnerability
}

// maxKnown bounds what is remembered; at the bound all is forgotten.
const maxKnown = 1 << 20

// maxTexts bounds the texts that are remembered.
const maxTexts = 1 << 16

// NewMatcher returns a Matcher over a database that does not change.
func NewMatcher(db Lookup, o Options) *Matcher {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	return &Matcher{db: db, o: o, systems: map[string]*system{}, known: map[identity]*answer{}, told: map[identity]map[string]bool{},
		names: map[string]naming{}, failed: map[string]error{}, texts: map[string]*advisory.Vulnerability{}}
}

// system is what of an operating system decides on matches.
type system struct {
	number   int
	streams  []string // those that have rows
	rows     int      // of all of them
	products []string // CPEs of the products whose repositories the packages came from; none: not known
	pro      []string
}

// identity is what of a package decides on matches.
type identity struct {
	system                                                int
	kind                                                  inventory.PackageType
	name, version, arch, source, sourceVersion, mod, more string
}

// answer is what came out for an identity.
type answer struct {
	found     []Vulnerability // without Package
	undecided []Undecided     // without Package
}

func (m *Matcher) system(os *inventory.OS) *system {
	if os == nil {
		os = &inventory.OS{}
	}
	key := strings.Join([]string{strings.Join(os.Streams, "\n"), strings.Join(os.Contents, "\n"), strings.Join(os.Pro, "\n")}, "\x00")
	m.mu.RLock()
	sys := m.systems[key]
	m.mu.RUnlock()
	if sys != nil {
		return sys
	}
	sys = &system{pro: os.Pro}
	for _, name := range os.Streams {
		if info, ok := m.db.Stream(name); ok && info.Rows > 0 {
			sys.streams = append(sys.streams, name)
			sys.rows += info.Rows
		}
	}
	if r, ok := m.db.(Repositories); ok {
		for _, c := range os.Contents {
			cpes, _ := r.Repository(c)
			sys.products = append(sys.products, cpes...)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if other := m.systems[key]; other != nil {
		return other
	}
	sys.number = len(m.systems)
	m.systems[key] = sys
	return sys
}

func identify(sys *system, p *inventory.Package) identity {
	id := identity{kind: p.Type, name: p.Name, version: p.Version}
	if p.Type.System() {
		id.system, id.arch, id.source, id.sourceVersion, id.mod = sys.number, p.Arch, p.Source, p.SourceVersion, p.Module
		return id
	}
	if len(p.CPEs) == 0 && p.Component == "" && len(p.Settings) == 0 {
		return id
	}
	parts := append([]string{p.Component}, p.CPEs...)
	for _, k := range settings {
		parts = append(parts, p.Settings[k])
	}
	id.more = strings.Join(parts, "\x00")
	return id
}

// answer returns what the database says of a package, from memory when it was asked before.
func (m *Matcher) answer(sys *system, p *inventory.Package) *answer {
	key := identify(sys, p)
	m.mu.RLock()
	a := m.known[key]
	m.mu.RUnlock()
	if a != nil {
		return a
	}
	if p.Type.System() {
		a = m.vendor(sys, p, nil)
	} else {
		a = m.upstream(sys, p)
	}
	slices.SortFunc(a.found, func(x, y Vulnerability) int { return strings.Compare(x.ID, y.ID) })
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) >= maxKnown {
		clear(m.known)
	}
	m.known[key] = a
	return a
}

// said returns the ids of which the vendor's streams say anything for a system package.
func (m *Matcher) said(sys *system, p *inventory.Package) map[string]bool {
	key := identify(sys, p)
	m.mu.RLock()
	ids, ok := m.told[key]
	m.mu.RUnlock()
	if ok {
		return ids
	}
	ids = map[string]bool{}
	m.vendor(sys, p, ids)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.told) >= maxKnown {
		clear(m.told)
	}
	m.told[key] = ids
	return ids
}

// vendor asks the streams of the system for one of its packages, and the related streams when it has none.
func (m *Matcher) vendor(sys *system, p *inventory.Package, said map[string]bool) *answer {
	streams, class := sys.streams, finding.EvidenceVendor
	if len(streams) == 0 && said == nil {
		streams, class = m.o.Inferred, finding.EvidenceInferred
	}
	t := m.tally(sys, p, class)
	t.said = said
	source := p.SourceName()
	sourceEVR, known := sourceVersion(p)
	takeSource := func(row *advisory.Row) {
		if !known {
			row = withoutEpochs(row)
		}
		t.take(row, sourceEVR)
	}
	for i, stream := range streams {
		t.stage = i
		m.rows(stream, p.Name, func(row *advisory.Row) bool {
			if row.Binary {
				t.take(row, p.Version)
			} else if source == p.Name {
				takeSource(row)
			}
			return true
		})
		if source == p.Name {
			continue
		}
		m.rows(stream, source, func(row *advisory.Row) bool {
			if !row.Binary {
				takeSource(row)
			}
			return true
		})
	}
	return t.answer()
}

// rows asks the database; what fails is told in the result's gaps.
func (m *Matcher) rows(stream, name string, yield func(*advisory.Row) bool) {
	if name == "" {
		return
	}
	if err := m.db.Rows(stream, name, yield); err != nil {
		m.mu.Lock()
		m.failed[stream] = err
		m.mu.Unlock()
	}
}

// naming is a vulnerability's canonical id with all its others.
type naming struct {
	id      string
	aliases []string
}

// canonical returns the CVE id of a vulnerability when it has one, else the first of its ids in the alphabet, so that two
// publishers' names for one thing meet. Aliases are all other ids.
func (m *Matcher) canonical(id string) (string, []string) {
	if strings.HasPrefix(id, "CVE-") {
		return id, nil
	}
	m.mu.RLock()
	n, ok := m.names[id]
	m.mu.RUnlock()
	if ok {
		return n.id, n.aliases
	}
	id = strings.Clone(id)
	all := []string{id}
	if v, ok := m.db.Vulnerability(id); ok {
		all = append(all, cloneStrings(v.Aliases)...)
		if v.ID != "" {
			all = append(all, strings.Clone(v.ID))
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	at := max(0, slices.IndexFunc(all, func(a string) bool { return strings.HasPrefix(a, "CVE-") }))
	n = naming{id: all[at], aliases: slices.Delete(slices.Clone(all), at, at+1)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names[id] = n
	return n.id, n.aliases
}

// text returns what is known of a vulnerability, or an empty one.
func (m *Matcher) text(id string) *advisory.Vulnerability {
	m.mu.RLock()
	v, ok := m.texts[id]
	m.mu.RUnlock()
	if ok {
		return v
	}
	v, ok = m.db.Vulnerability(id)
	if !ok {
		v = &advisory.Vulnerability{ID: id}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.texts) >= maxTexts {
		clear(m.texts)
	}
	m.texts[id] = v
	return v
}
