package match

import (
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Match matches one inventory.
func (m *Matcher) Match(s *inventory.Software) Result {
	sys := m.system(s.OS)
	out := Result{Streams: map[string]StreamInfo{}}
	m.lifecycle(s.OS, &out)
	v := view{m: m, s: s, sys: sys}
	answers := make([]*answer, len(s.Packages))
	found, undecided := 0, 0
	for i := range s.Packages {
		if answers[i] = v.ask(&s.Packages[i]); answers[i] != nil {
			found, undecided = found+len(answers[i].found), undecided+len(answers[i].undecided)
		}
	}
	out.Vulnerabilities, out.Undecided = make([]Vulnerability, 0, found), make([]Undecided, 0, undecided)
	for i, a := range answers {
		v.match(&s.Packages[i], a, &out)
	}
	out.Gaps = v.gaps(&out)
	return out
}

// lifecycle fills in what the database knows of the system's streams.
func (m *Matcher) lifecycle(os *inventory.OS, out *Result) {
	if os == nil {
		return
	}
	for _, name := range os.Streams {
		info, ok := m.db.Stream(name)
		if !ok {
			continue
		}
		out.Streams[name] = info
		if out.Lifecycle == nil && info.Lifecycle != nil {
			l := *info.Lifecycle
			out.Lifecycle = &l
			out.EndOfLife = l.EOL != "" && l.EOL < m.o.Now.UTC().Format("2006-01-02")
		}
	}
}

// view is an inventory while it is matched.
type view struct {
	silent int // upstream advisories on files of system packages on which the vendor is silent
	m      *Matcher
	s      *inventory.Software
	sys    *system
	// owners are the system packages by name; made when a package has an owner.
	owners map[string][]*inventory.Package
	// unread are packages that have no version or no full name, by type.
	unread map[inventory.PackageType][]string
}

// ask returns what the database says of a package; nil when it cannot be looked up.
func (v *view) ask(p *inventory.Package) *answer {
	if matchable(p) {
		return v.m.answer(v.sys, p)
	}
	if a := v.m.byHash(v.sys, p); a != nil {
		return a
	}
	if v.unread == nil {
		v.unread = map[inventory.PackageType][]string{}
	}
	v.unread[p.Type] = append(v.unread[p.Type], p.Name)
	return nil
}

// match appends what of an answer holds for the package in this inventory.
func (v *view) match(p *inventory.Package, a *answer, out *Result) {
	if a == nil {
		return
	}
	for i := range a.found {
		found := a.found[i]
		found.Package = p
		if len(found.Row.Requires) > 0 && !v.required(&found) {
			continue
		}
		if slices.Contains(p.Fixed, found.ID) {
			found.close()
		}
		if p.Owner != "" && !p.Type.System() && !v.owned(&found) {
			continue
		}
		out.Vulnerabilities = append(out.Vulnerabilities, found)
	}
	for _, u := range a.undecided {
		u.Package = p
		out.Undecided = append(out.Undecided, u)
	}
}

// matchable reports whether a package can be looked up: it has a name, a version, and in ecosystems with groups a group.
func matchable(p *inventory.Package) bool {
	switch p.Version {
	case "", "(devel)", "unknown", "UNKNOWN":
		return false
	}
	return p.Name != "" && !strings.HasPrefix(p.Name, ":") && !strings.Contains(p.Version, "${")
}

// close marks a vulnerability as fixed by what the package's changelog says.
func (f *Vulnerability) close() {
	f.Open, f.Evidence = false, finding.EvidenceChangelog
	f.note(finding.Text{EN: "the package's changelog says that " + f.ID + " is fixed", ZH: "软件包的更新日志表明 " + f.ID + " 已修复"})
}

// note appends without touching what other inventories share.
func (f *Vulnerability) note(t finding.Text) { f.Notes = append(slices.Clip(f.Notes), t) }

// owned decides on a vulnerability of a library that a system package brought: when the system's vendor says anything on it
// for that package, the vendor's word holds and the vulnerability stands, or does not, on the system package.
func (v *view) owned(f *Vulnerability) bool {
	if v.owners == nil {
		v.owners = map[string][]*inventory.Package{}
		for i := range v.s.Packages {
			if p := &v.s.Packages[i]; p.Type.System() {
				v.owners[p.Name] = append(v.owners[p.Name], p)
			}
		}
	}
	owner := f.Package.Owner
	f.Owner = owner
	for _, p := range v.owners[owner] {
		said := v.m.said(v.sys, p)
		if said[f.ID] {
			return false
		}
		for _, a := range f.Aliases {
			if said[a] {
				return false
			}
		}
		if slices.Contains(p.Fixed, f.ID) {
			f.close()
		}
	}
	if !v.m.o.Owned && v.sys.rows >= scarce {
		v.silent++
		return false
	}
	f.note(finding.Text{
		EN: "the file belongs to the system package " + owner + ", whose vendor says nothing on it",
		ZH: "该文件属于系统软件包 " + owner + "，其厂商对此漏洞没有说明",
	})
	return true
}

// upstream asks the streams of an ecosystem for a library, or those of products for a binary.
func (m *Matcher) upstream(sys *system, p *inventory.Package) *answer {
	t := m.tally(sys, p, finding.EvidenceUpstream)
	asked := p.Version
	take := func(row *advisory.Row) bool {
		t.take(row, asked)
		return true
	}
	if stream := ecosystems[p.Type]; stream != "" {
		m.rows(stream, streamName(p), take)
	}
	t.stage, asked = 1, bundled(p)
	for _, name := range components(p) {
		m.rows(advisory.StreamKubernetes, name, take)
		m.rows(advisory.StreamBitnami, name, take)
	}
	t.stage, t.evidence, asked = 2, finding.EvidenceInferred, p.Version
	for _, name := range p.CPEs {
		m.rows(advisory.StreamCPE, name, func(row *advisory.Row) bool {
			return !here(row.CPE, p) || take(row)
		})
	}
	a := t.answer()
	if p.Component != "" && p.Name == kubernetes {
		for i := range a.found {
			m.attribute(&a.found[i], p.Component)
		}
	}
	return a
}

// byHash finds what an archive is by its SHA-1 when its name is not known in full: nil when it is not among the artefacts
// that advisories name.
func (m *Matcher) byHash(sys *system, p *inventory.Package) *answer {
	reverse, ok := m.db.(Reverse)
	if !ok || p.SHA1 == "" || p.Type.System() {
		return nil
	}
	var keys [][2]string
	err := reverse.Packages("sha1:"+p.SHA1, func(stream, name string) bool {
		keys = append(keys, [2]string{strings.Clone(stream), strings.Clone(name)})
		return true
	})
	if err != nil || len(keys) == 0 {
		return nil
	}
	t := m.tally(sys, p, finding.EvidenceUpstream)
	t.artefact = true
	for _, k := range keys {
		m.rows(k[0], k[1], func(row *advisory.Row) bool {
			if slices.Contains(row.Hashes, p.SHA1) {
				t.take(row, p.Version)
			}
			return true
		})
	}
	return t.answer()
}

// kubernetes is the module that all components of Kubernetes are built from.
const kubernetes = "k8s.io/kubernetes"

// attribute notes when the stream of components names others than this one for a vulnerability of the common module.
func (m *Matcher) attribute(v *Vulnerability, component string) {
	reverse, ok := m.db.(Reverse)
	if !ok {
		return
	}
	var names []string
	err := reverse.Packages(v.ID, func(stream, name string) bool {
		if stream == advisory.StreamKubernetes {
			names = append(names, strings.Clone(name))
		}
		return true
	})
	if err != nil || len(names) == 0 || slices.Contains(names, component) || slices.Contains(names, "kubernetes") {
		return
	}
	v.note(finding.Text{EN: "the publisher of the components names " + list(names) + ", not " + component, ZH: "组件发布方指出受影响的是 " + list(names) + "，而非 " + component})
}

// update is a version of Java in the spellings that programs print.
var update = regexp.MustCompile(`^(?:1\.)?([5-8])(?:u|\.0_)(\d+)`)

// bundled is a binary's version as the streams of components write it: three numbers ("8u402-b06" is "8.0.402").
func bundled(p *inventory.Package) string {
	if strings.HasSuffix(p.Name, "jdk") {
		if m := update.FindStringSubmatch(p.Version); m != nil {
			return m[1] + ".0." + m[2]
		}
	}
	return p.Version
}

// ecosystems are the streams of packages that no system's package manager keeps.
var ecosystems = map[inventory.PackageType]string{
	inventory.Maven: advisory.StreamMaven, inventory.NPM: advisory.StreamNPM, inventory.PyPI: advisory.StreamPyPI,
	inventory.Gem: advisory.StreamGem, inventory.Cargo: advisory.StreamCargo, inventory.NuGet: advisory.StreamNuGet,
	inventory.Composer: advisory.StreamComposer, inventory.Golang: advisory.StreamGo,
}

// streamName is a package's name as its ecosystem's stream writes it.
func streamName(p *inventory.Package) string {
	if p.Type != inventory.PyPI {
		return p.Name
	}
	// PEP 503: lower case, runs of "-", "_" and "." are one "-".
	var b strings.Builder
	gap := false
	for _, c := range strings.ToLower(p.Name) {
		if c == '-' || c == '_' || c == '.' {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte('-')
			gap = false
		}
		b.WriteRune(c)
	}
	return b.String()
}

// products are names under which the streams of components know what its binaries are called.
var products = map[string]string{
	"httpd": "apache", "apache2": "apache", "postgres": "postgresql", "mysqld": "mysql", "mariadbd": "mariadb",
	"openjdk": "java", "jdk": "java", "redis-server": "redis", "nodejs": "node", "python3": "python",
}

// components returns the names of a binary in the streams of components: none for libraries.
func components(p *inventory.Package) []string {
	var out []string
	add := func(name string) {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	add(p.Component)
	if p.Component != "" {
		add("k8s.io/" + p.Component)
	}
	if p.Type == inventory.Generic {
		add(p.Name)
		add(products[p.Name])
		for _, c := range p.CPEs {
			_, product, _ := strings.Cut(c, ":")
			add(product)
		}
	}
	return out
}

// settings are the package's settings that decide on matches.
var settings = []string{"GOOS", "GOARCH", "packages", "edition"}

// symbols tells whether what is vulnerable of a Go module is in the binary, as far as the inventory knows: the system and
// processor it was built for, and the packages that are linked into it.
func (m *Matcher) symbols(v *Vulnerability, p *inventory.Package) {
	if p.Type != inventory.Golang || len(v.Row.Symbols) == 0 {
		return
	}
	built := func(list []string, key string) bool {
		have := p.Settings[key]
		return len(list) == 0 || have == "" || slices.Contains(list, have)
	}
	linked := strings.Fields(p.Settings["packages"])
	for _, s := range v.Row.Symbols {
		if !built(s.GOOS, "GOOS") || !built(s.GOARCH, "GOARCH") {
			continue
		}
		if len(linked) == 0 {
			return // not known
		}
		if slices.Contains(linked, s.Import) {
			v.Symbols = "linked"
			return
		}
	}
	v.Symbols = "not-linked"
	v.note(finding.Text{EN: "the vulnerable code is not linked into this binary", ZH: "存在漏洞的代码未链接进该二进制文件"})
}
