package database

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
)

// The most that one record may take; longer texts are cut, longer rows refused.
const (
	maxRow         = 1 << 20
	maxKey         = 1 << 10
	maxDescription = 64 << 10
	maxReferences  = 200
	maxAliases     = 500
)

// BuildOptions say how a Builder works.
type BuildOptions struct {
	Temp   string // folder for temporary files; "" for the system's
	Memory int    // bytes of each of three sort buffers; 0 for 64 MiB
	NoText bool   // leave titles, descriptions and references out
}

// Builder writes a database. It is a feed.Sink for one goroutine; Finish or Close ends it. Rows beyond the sort buffers go to
// temporary files, compressed; what stays in memory are the shared strings and the aliases.
type Builder struct {
	o    BuildOptions
	dir  string
	rows *sorter // key, 0, canonical row
	// ids holds all that is known of an id: id, 0, kind, data
	ids *sorter
	// pending holds vulnerabilities whose ids are not CVE ids: where they belong is known when all aliases are
	pending   *sorter
	names     map[string]uint32 // how often shared strings occur
	aliases   map[string][]string
	feeds     map[string]*Feed
	streams   map[string]*stream
	lifecycle map[string][]advisory.Lifecycle
	repos     map[string][]string
	refusals  []Refusal
	samples   map[[2]string]int
	enc       encoder
}

// The kinds of data on an id.
const (
	kindAlias         = 'a'
	kindKey           = 'k'
	kindVulnerability = 'v'
)

// Refusal is one record that was not taken. At most five are kept for each feed and reason.
type Refusal struct{ Feed, Record, Reason string }

// stream adds up rows of a stream.
type stream struct {
	rows  int
	date  string
	feeds map[string]bool
}

// NewBuilder makes a builder. Close it.
func NewBuilder(o BuildOptions) (*Builder, error) {
	if o.Memory <= 0 {
		o.Memory = 64 << 20
	}
	dir, err := os.MkdirTemp(o.Temp, "stockade-db-")
	if err != nil {
		return nil, err
	}
	return &Builder{o: o, dir: dir, rows: newSorter(dir, o.Memory), ids: newSorter(dir, o.Memory), pending: newSorter(dir, o.Memory),
		names: map[string]uint32{}, aliases: map[string][]string{}, feeds: map[string]*Feed{}, streams: map[string]*stream{},
		lifecycle: map[string][]advisory.Lifecycle{}, repos: map[string][]string{}, samples: map[[2]string]int{}}, nil
}

// Close removes the temporary files.
func (b *Builder) Close() error { return os.RemoveAll(b.dir) }

func (b *Builder) feed(name string) *Feed {
	f := b.feeds[name]
	if f == nil {
		f = &Feed{Name: strings.Clone(name)}
		b.feeds[f.Name] = f
	}
	return f
}

// Record counts a record of a feed.
func (b *Builder) Record(feed string) { b.feed(feed).Records++ }

// Refused counts a record that was not taken.
func (b *Builder) Refused(feed, record, reason string) {
	f := b.feed(feed)
	if f.Refused++; f.Reasons == nil {
		f.Reasons = map[string]int{}
	}
	f.Reasons[reason]++
	if k := [2]string{feed, reason}; b.samples[k] < 5 {
		b.samples[k]++
		b.refusals = append(b.refusals, Refusal{strings.Clone(feed), strings.Clone(record), strings.Clone(reason)})
	}
}

// Refusals returns examples of what was refused.
func (b *Builder) Refusals() []Refusal { return b.refusals }

// Modified keeps the newest date of a feed.
func (b *Builder) Modified(feed, date string) {
	if f := b.feed(feed); date > f.Date {
		f.Date = strings.Clone(date)
	}
}

// Repository keeps the products of a content set.
func (b *Builder) Repository(feed string, r advisory.Repository) error {
	b.feed(feed)
	list := b.repos[r.Name]
	for _, c := range r.CPEs {
		if !slices.Contains(list, c) {
			list = append(list, strings.Clone(c))
		}
	}
	b.repos[strings.Clone(r.Name)] = list
	return nil
}

// Lifecycle keeps the end of life of a stream.
func (b *Builder) Lifecycle(l advisory.Lifecycle) error {
	b.feed(l.Feed)
	if !advisory.KnownStream(l.Stream) {
		b.Refused(l.Feed, l.Stream, "no such stream")
		return nil
	}
	b.lifecycle[l.Stream] = append(b.lifecycle[l.Stream], l)
	return nil
}

// count counts strings that rows share.
func (b *Builder) count(list ...string) {
	for _, s := range list {
		if s == "" {
			continue
		}
		if n, ok := b.names[s]; ok {
			b.names[s] = n + 1
		} else {
			b.names[strings.Clone(s)] = 1 // s may be part of a whole document
		}
	}
}

// problem says why a row cannot be stored.
func problem(r *advisory.Row) string {
	switch {
	case !advisory.KnownStream(r.Stream):
		return "no such stream"
	case r.Package == "" || len(r.Package) > maxKey || strings.IndexByte(r.Package, 0) >= 0:
		return "no usable package name"
	case len(r.IDs) == 0:
		return "no id"
	case r.Feed == "":
		return "no feed name"
	case r.State > advisory.EndOfLife || r.Scheme > advisory.Loose:
		return "no such state or scheme"
	}
	for _, id := range r.IDs {
		if !usableID(id) {
			return "no usable id"
		}
	}
	return ""
}

func usableID(id string) bool { return id != "" && len(id) <= maxKey && strings.IndexByte(id, 0) < 0 }

// Row keeps a row. Rows that cannot be stored are counted as refused.
func (b *Builder) Row(r advisory.Row) error {
	record := r.Advisory
	if record == "" && len(r.IDs) > 0 {
		record = r.IDs[0]
	}
	if p := problem(&r); p != "" {
		b.Refused(r.Feed, record, p)
		return nil
	}
	b.feed(r.Feed)
	b.enc.b = append(append(append(append(b.enc.b[:0], r.Stream...), 0), r.Package...), 0)
	b.enc.row(&r)
	if len(b.enc.b) > maxRow {
		b.Refused(r.Feed, record, "too large")
		return nil
	}
	b.count(r.Feed, r.Severity, r.Subscription, r.Reason, r.Module, r.Flavor, r.CPE)
	b.count(r.Binaries...)
	b.count(r.Arches...)
	for _, c := range r.CVSS {
		b.count(c.Vector, c.Source)
	}
	for _, q := range r.Requires {
		b.count(q.CPE...)
	}
	for _, s := range r.Symbols {
		b.count(s.GOOS...)
		b.count(s.GOARCH...)
	}
	return b.rows.add(b.enc.b)
}

// Vulnerability keeps what a feed knows of an id. Texts beyond bounds are cut.
func (b *Builder) Vulnerability(v advisory.Vulnerability) error {
	if !usableID(v.ID) || strings.IndexByte(v.Feed, 0) >= 0 {
		b.Refused(v.Feed, v.Title, "no usable id")
		return nil
	}
	f := b.feed(v.Feed)
	f.Vulnerabilities++
	if len(v.Description) > maxDescription {
		v.Description = strings.ToValidUTF8(v.Description[:maxDescription], "") + " ..."
	}
	v.Title = v.Title[:min(len(v.Title), maxDescription)]
	v.References = v.References[:min(len(v.References), maxReferences)]
	v.Aliases = slices.DeleteFunc(slices.Clone(v.Aliases), func(a string) bool { return !usableID(a) || a == v.ID })
	v.Aliases = v.Aliases[:min(len(v.Aliases), maxAliases)]
	b.count(v.Feed, v.Severity)
	b.count(v.CWEs...)
	for _, c := range v.CVSS {
		b.count(c.Vector, c.Source)
	}
	if v.KEV != nil {
		b.count(v.KEV.Action)
	}
	for _, a := range v.Aliases {
		if !isCVE(v.ID) {
			b.alias(v.ID, a)
		}
		if !isCVE(a) {
			b.alias(a, v.ID)
		}
	}
	b.enc.b = b.enc.b[:0]
	b.enc.vulnerability(&v, !b.o.NoText)
	if isCVE(v.ID) {
		return b.ids.add(partHead(v.ID, &v, v.ID), b.enc.b)
	}
	return b.pending.add([]byte(v.ID+"\x00"+v.Feed+"\x00"), b.enc.b)
}

func (b *Builder) alias(of, other string) {
	list, known := b.aliases[of]
	if slices.Contains(list, other) || len(list) >= maxAliases {
		return
	}
	if !known {
		of = strings.Clone(of)
	}
	b.aliases[of] = append(list, strings.Clone(other))
}

func isCVE(id string) bool { return strings.HasPrefix(id, "CVE-") }

// partHead begins a vulnerability in ids: parts of one id sort with the most telling feed first.
func partHead(canonical string, v *advisory.Vulnerability, id string) []byte {
	r := rank(v.Feed)
	if id != canonical {
		r += 20
	}
	head := append([]byte(canonical), 0, kindVulnerability, r)
	head = append(append(head, v.Feed...), 0)
	return append(append(head, id...), 0)
}

// rank orders feeds by how well they describe a vulnerability as such, not as an advisory for packages.
func rank(feed string) byte {
	for i, p := range []string{"nvd", "cve", "vulnrichment", "ghsa", "redhat", "golang", "go-", "kubernetes", "bitnami", "debian", "ubuntu", "suse"} {
		if strings.HasPrefix(feed, p) {
			return byte(i)
		}
	}
	if strings.Contains(feed, "kev") || strings.Contains(feed, "epss") {
		return 19
	}
	return 18
}

// canonical says under which id a vulnerability stands: a CVE id when it has exactly one, itself or through one alias; the
// GHSA id of what has no CVE id; else its own. An advisory on several CVEs is none of them.
func (b *Builder) canonical(id string) string {
	if isCVE(id) {
		return id
	}
	cves := map[string]bool{}
	best := id
	near := b.aliases[id]
	for _, a := range near {
		if isCVE(a) {
			cves[a] = true
		}
	}
	if len(cves) == 0 {
		for _, a := range near {
			for _, c := range b.aliases[a] {
				if isCVE(c) {
					cves[c] = true
				}
			}
			if strings.HasPrefix(a, "GHSA-") && (!strings.HasPrefix(best, "GHSA-") || a < best) {
				best = a
			}
		}
	}
	switch len(cves) {
	case 0:
		return best
	case 1:
		for c := range cves {
			return c
		}
	}
	return id
}

// settle gives the pending vulnerabilities and all aliases their places.
func (b *Builder) settle() error {
	err := b.pending.each(func(rec []byte) error {
		id, rest, _ := strings.Cut(string(rec), "\x00")
		feed, data, _ := strings.Cut(rest, "\x00")
		return b.ids.add(partHead(b.canonical(id), &advisory.Vulnerability{Feed: feed}, id), []byte(data))
	})
	for id := range b.aliases {
		if c := b.canonical(id); c != id && err == nil {
			err = b.ids.add([]byte(id+"\x00"), []byte{kindAlias}, []byte(c))
		}
	}
	return err
}

// posting notes that a key has rows on an id.
func (b *Builder) posting(id string, block uint64) error {
	var off [8]byte
	binary.BigEndian.PutUint64(off[:], block)
	return b.ids.add([]byte(id), []byte{0, kindKey}, off[:])
}

// Output says what Finish makes.
type Output struct {
	Dir        string // folder of the database
	BuiltAt    string // RFC 3339
	Generation int
	Key        ed25519.PrivateKey // nil: not signed
	Force      bool               // replace a newer database too
	// Emergencies is the list of emergency vulnerabilities, as its reader takes it; nil for none.
	Emergencies []byte
	// Check may refuse what was written before it is put in place.
	Check func(*Manifest) error
}

// Finish writes the files and puts them in place; it may be called once.
func (b *Builder) Finish(o Output) (*Manifest, error) {
	if o.BuiltAt == "" {
		return nil, errors.New("builtAt is missing")
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(o.Dir, tempPrefix)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	m, err := b.write(tmp, o)
	if err != nil {
		return nil, err
	}
	if o.Check != nil {
		if err := o.Check(m); err != nil {
			return m, err
		}
	}
	return m, install(tmp, o.Dir, o.Force)
}
