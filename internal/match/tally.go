package match

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/version"
)

// tally gathers what rows say of one package, by vulnerability. Stages are sources in the order of trust: the first that
// says anything on a vulnerability decides it.
type tally struct {
	m        *Matcher
	sys      *system
	p        *inventory.Package
	stage    int
	evidence string
	module   string // module stream of the package

	entries map[string]*entry
	order   []*entry
	// layered are rows of products layered on the release: they count when the release itself says nothing on the package.
	layered []layeredRow
	own     bool // a row of the release itself was seen
	modules bool // a row named a module: the feed knows modules
	pending []Undecided
	said    map[string]bool // ids of which anything was said; nil when not asked for
	// artefact says that rows name the very file.
	artefact bool
}

type layeredRow struct {
	row     *advisory.Row
	version string
	stage   int
}

// entry is what is known of one vulnerability of the package.
type entry struct {
	id      string
	aliases []string
	stage   int
	class   string
	free    candidate
	paid    candidate // fixes that need a subscription the system has not
	past    bool      // the version is at or behind a fix
	branch  bool      // the version is at or behind the fix in its own branch
	denied  string    // feed of the vendor that says: not affected
}

// candidate is the best statement that the package is vulnerable.
type candidate struct {
	row     *advisory.Row
	fixed   string
	blanket bool // the row is for all versions
}

// someModule stands for a module that is not named: of a row, or of a package whose version alone shows that it is of one,
// as in an SBOM.
const someModule = "?"

func (m *Matcher) tally(sys *system, p *inventory.Package, evidence string) *tally {
	t := &tally{m: m, sys: sys, p: p, evidence: evidence, module: p.ModuleStream(), entries: map[string]*entry{}}
	if t.module == "" && p.Type == inventory.RPM && strings.Contains(p.Version, ".module") {
		t.module = someModule
	}
	return t
}

// take weighs one row for the package in a version. Rows that do not apply are left out.
func (t *tally) take(row *advisory.Row, v string) {
	if len(row.Binaries) > 0 && !slices.Contains(row.Binaries, t.p.Name) || !sameArch(row.Arches, t.p.Arch) {
		return
	}
	if row.NoEpochs {
		v = withoutEpoch(v)
	}
	if t.p.Type.System() {
		switch t.sys.product(row.CPE) {
		case 0:
			return
		case -1:
			t.layered = append(t.layered, layeredRow{cloneRow(row), v, t.stage})
			return
		}
	}
	if t.evidence == finding.EvidenceInferred && t.p.Type.System() {
		if row.State != advisory.Fixed || row.Module != "" || t.module != "" {
			return
		}
		row, v = upstreamRow(row), version.Upstream(row.Scheme, v)
	}
	t.own = true
	t.weigh(row, v)
}

func (t *tally) weigh(row *advisory.Row, v string) {
	named := row.Module != "" && row.Module != someModule
	if named && t.module != someModule {
		t.modules = true
		if row.Module != t.module {
			return
		}
	}
	if row.Module == someModule && t.module == "" {
		return
	}
	says := judge(row, v)
	if t.artefact && !says.in {
		says = verdict{in: true} // whatever its version is said to be
	}
	if t.module != "" && (!named || t.module == someModule) {
		if says.in && row.State != advisory.NotAffected {
			t.undecided(row, ReasonModule)
		}
		return
	}
	if own := flavorOf(v); t.p.Type.System() && own != rowFlavor(row) {
		if own != "" && says.in && row.State != advisory.NotAffected {
			t.undecided(row, ReasonFlavor)
		}
		return
	}
	if says.err != nil {
		t.undecided(row, ReasonVersion)
		return
	}
	var kept *advisory.Row
	all := blanket(row)
	for _, id := range row.IDs {
		e := t.entry(id)
		if e.stage != t.stage {
			continue
		}
		switch {
		case row.State == advisory.NotAffected:
			if says.in {
				e.denied = strings.Clone(row.Feed)
			}
		case says.in:
			if kept == nil {
				kept, says.fixed = cloneRow(row), strings.Clone(says.fixed)
			}
			if row.Subscription != "" && !entitled(t.sys.pro, row.Subscription) {
				e.paid.better(kept, says.fixed, all)
			} else {
				e.free.better(kept, says.fixed, all)
			}
		case says.past:
			if row.Subscription == "" || entitled(t.sys.pro, row.Subscription) {
				e.past = true
			}
			if b := branch(v); b != "" && row.Subscription != "" && branch(row.Ranges[0].Fixed) == b {
				e.branch = true
			}
		}
	}
}

func (t *tally) undecided(row *advisory.Row, reason string) {
	for _, id := range row.IDs {
		canonical, _ := t.m.canonical(id)
		t.pending = append(t.pending, Undecided{ID: strings.Clone(canonical), Reason: reason})
	}
}

// entry returns the entry of an id under its canonical name.
func (t *tally) entry(id string) *entry {
	if e := t.entries[id]; e != nil {
		return e
	}
	canonical, aliases := t.m.canonical(id)
	e := t.entries[canonical]
	if e == nil {
		e = &entry{id: strings.Clone(canonical), stage: t.stage, class: t.evidence}
		t.entries[e.id] = e
		t.order = append(t.order, e)
	}
	if canonical != id {
		t.entries[strings.Clone(id)] = e
		for _, a := range aliases {
			if a != e.id && !slices.Contains(e.aliases, a) {
				e.aliases = append(e.aliases, a)
			}
		}
	}
	return e
}

// better keeps the statement with the lowest fixed version, and of equal ones that with most information.
func (c *candidate) better(row *advisory.Row, fixed string, all bool) {
	switch {
	case c.row == nil,
		c.fixed == "" && fixed != "",
		c.fixed != "" && fixed != "" && c.row.Scheme == row.Scheme && version.Less(row.Scheme, fixed, c.fixed),
		c.fixed == fixed && information(row) > information(c.row):
		c.row, c.fixed, c.blanket = row, fixed, all
	}
}

// information counts what a row tells beside its range.
func information(row *advisory.Row) int {
	n := len(row.CVSS)
	for _, told := range []bool{row.Advisory != "", row.Severity != "", row.Reason != "", len(row.Symbols) > 0, row.State != advisory.Affected} {
		if told {
			n++
		}
	}
	return n
}

// answer turns the tally into vulnerabilities without a package and what stays undecided.
func (t *tally) answer() *answer {
	if !t.own {
		for _, l := range t.layered {
			t.stage = l.stage
			t.weigh(l.row, l.version)
		}
	}
	out := &answer{}
	for _, e := range t.order {
		if v, ok := e.decide(); ok {
			slices.Sort(v.Aliases)
			if e.class == finding.EvidenceInferred {
				v.Notes = append(v.Notes, inferredNote(v.Row, t.p))
			}
			t.m.symbols(&v, t.p)
			out.found = append(out.found, v)
		}
		if t.said != nil {
			t.said[e.id] = true
		}
	}
	for _, u := range t.pending {
		if u.Reason == ReasonModule && t.modules || t.entries[u.ID] != nil || slices.Contains(out.undecided, u) {
			continue // the feed knows modules, or another row decided
		}
		out.undecided = append(out.undecided, u)
	}
	return out
}

// decide weighs the statements against each other.
func (e *entry) decide() (Vulnerability, bool) {
	c := e.free
	contradicts := c.row != nil && c.fixed != "" && c.row.Feed == e.denied
	if e.denied != "" && !contradicts || e.branch {
		return Vulnerability{}, false
	}
	subscription := ""
	if c.fixed == "" {
		if e.past && (c.row == nil || c.blanket) { // a fix that is installed says more than a statement on all versions
			return Vulnerability{}, false
		}
		if e.paid.row != nil && (e.paid.fixed != "" || c.row == nil) {
			c = e.paid
			subscription = c.row.Subscription
		}
	}
	if c.row == nil {
		return Vulnerability{}, false
	}
	v := Vulnerability{Row: c.row, ID: e.id, Aliases: slices.Clone(e.aliases), Fixed: c.fixed, State: c.row.State, Evidence: e.class,
		Subscription: subscription, Open: true}
	if c.fixed != "" {
		v.State = advisory.Fixed
	} else if v.State == advisory.Fixed {
		v.State = advisory.Affected // "fixed" with no version above the installed one
	}
	for _, id := range c.row.IDs {
		if len(c.row.IDs) == 1 && id != e.id && !slices.Contains(v.Aliases, id) {
			v.Aliases = append(v.Aliases, id)
		}
	}
	if contradicts {
		v.Notes = append(v.Notes, finding.Text{EN: "the same publisher also says that the package is not affected", ZH: "同一发布方也声明该软件包不受影响"})
	}
	if subscription != "" {
		v.Notes = append(v.Notes, finding.Text{EN: "the fix needs a subscription: " + subscription, ZH: "修复版本需要订阅：" + subscription})
	}
	return v, true
}

// blanket reports whether a row is for all versions.
func blanket(row *advisory.Row) bool {
	for _, r := range row.Ranges {
		if r.Introduced != "" && r.Introduced != "0" || r.LastAffected != "" {
			return false
		}
	}
	return len(row.Versions) == 0
}

// maxVersions bounds the exact versions that a result's row lists; some have thousands.
const maxVersions = 50

// cloneRow makes a row that outlives the call that yielded it.
func cloneRow(r *advisory.Row) *advisory.Row {
	c := *r
	for _, s := range []*string{&c.Feed, &c.Stream, &c.Package, &c.Advisory, &c.Published, &c.Severity, &c.Subscription, &c.Reason, &c.Module, &c.Flavor, &c.CPE} {
		*s = strings.Clone(*s)
	}
	c.Binaries, c.IDs, c.Arches, c.Hashes = cloneStrings(r.Binaries), cloneStrings(r.IDs), cloneStrings(r.Arches), cloneStrings(r.Hashes)
	c.Versions = cloneStrings(r.Versions[:min(len(r.Versions), maxVersions)])
	c.CVSS = slices.Clone(r.CVSS)
	for i := range c.CVSS {
		c.CVSS[i].Vector, c.CVSS[i].Source = strings.Clone(c.CVSS[i].Vector), strings.Clone(c.CVSS[i].Source)
	}
	c.Ranges = cloneRanges(r.Ranges)
	c.Requires = slices.Clone(r.Requires)
	for i := range c.Requires {
		c.Requires[i].CPE, c.Requires[i].Ranges = cloneStrings(c.Requires[i].CPE), cloneRanges(c.Requires[i].Ranges)
	}
	c.Symbols = slices.Clone(r.Symbols)
	for i := range c.Symbols {
		s := &c.Symbols[i]
		s.Import, s.Names, s.GOOS, s.GOARCH = strings.Clone(s.Import), cloneStrings(s.Names), cloneStrings(s.GOOS), cloneStrings(s.GOARCH)
	}
	return &c
}

func cloneStrings(in []string) []string {
	if len(in) == 0 {
		return nil
	}
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.Clone(s)
	}
	return out
}

func cloneRanges(in []advisory.Range) []advisory.Range {
	out := slices.Clone(in)
	for i := range out {
		r := &out[i]
		r.Introduced, r.Fixed, r.LastAffected = strings.Clone(r.Introduced), strings.Clone(r.Fixed), strings.Clone(r.LastAffected)
	}
	return out
}

// inferredNote says what a match stands on when no advisory for the package itself exists.
func inferredNote(row *advisory.Row, p *inventory.Package) finding.Text {
	if p.Type.System() {
		return finding.Text{EN: "inferred from " + row.Stream + " by the upstream version; a fix may be backported", ZH: "依据 " + row.Stream + " 的上游版本推断；修复可能已被回移"}
	}
	edition, target := cpeField(row.CPE, cpeSWEdition), cpeField(row.CPE, cpeTargetSW)
	if !open(edition) || !open(target) {
		return finding.Text{EN: "matched by product and version; the advisory is for edition " + edition + ", platform " + target,
			ZH: "按产品和版本匹配；该公告针对版本类型 " + edition + "、平台 " + target}
	}
	return finding.Text{EN: "matched by product name and version", ZH: "按产品名称和版本匹配"}
}
