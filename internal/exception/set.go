package exception

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/vex"
)

// Set is exceptions, indexed. It does not change, and may be asked by many at a time. The nil Set matches nothing.
//
// Every exception stands in the group of those that name the same fields exactly, and whose longest pattern begins with as many
// plain letters, under the hash of these names and letters: a finding is looked up once in each group, and only what it finds
// there is compared one by one.
type Set struct {
	list   []entry
	groups []group
	seed   maphash.Seed
}

// entry is an exception with its patterns compiled.
type entry struct {
	Exception
	rule, version, image, cluster, namespace, kind, name, container, file, node pattern
	labels                                                                      labels.Selector // nil: any
}

// The fields that are looked up. A finding may have several names for one: the ids of a vulnerability, a rule's name and id.
const (
	byFingerprint = iota
	byCVE
	byRule
	byPackage
	byDigest
	byNamespace
	byName
	byFile
	byNode
	byTarget
	byImage // never exact: an image has several names
	fields
)

type group struct {
	key
	at map[uint64][]int32
}

// key is what the exceptions of a group have in common.
type key struct {
	mask   uint16 // of fields that are named exactly
	field  int    // of the pattern, when length is not 0
	length int    // of the letters before its first wildcard
}

// New makes a set. Of several exceptions that match a finding the first of the list counts. It fails for one that Check refuses.
func New(list []Exception) (*Set, error) {
	s := &Set{seed: maphash.MakeSeed(), list: make([]entry, len(list))}
	at := map[key]int{}
	for i := range list {
		e := &s.list[i]
		if err := e.compile(list[i]); err != nil {
			return nil, err
		}
		var k key
		hash := uint64(0)
		for field, name := range e.names() {
			if name != "" {
				k.mask |= 1 << field
				hash = mix(hash, maphash.String(s.seed, name))
			}
		}
		field, prefix := e.prefix()
		if k.field, k.length = field, len(prefix); k.length > 0 {
			hash = mix(hash, maphash.String(s.seed, prefix))
		}
		g, ok := at[k]
		if !ok {
			g = len(s.groups)
			at[k] = g
			s.groups = append(s.groups, group{k, map[uint64][]int32{}})
		}
		s.groups[g].at[hash] = append(s.groups[g].at[hash], int32(i))
	}
	return s, nil
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^b, 0x9e3779b97f4a7c15)
	return hi ^ lo ^ b
}

func (e *entry) compile(x Exception) error {
	if err := x.Scope.check(false); err != nil {
		return err
	}
	e.Exception = x
	if len(e.CVE) > 4 && strings.EqualFold(e.CVE[:4], "CVE-") {
		e.CVE = strings.ToUpper(e.CVE)
	}
	e.rule, e.version, e.image, e.cluster = compile(x.Rule, false), compile(x.Version, false), compile(x.Image, true), compile(x.Cluster, false)
	e.namespace, e.kind, e.name, e.container = compile(x.Namespace, false), compile(x.Kind, false), compile(x.Name, false), compile(x.Container, false)
	e.file, e.node = compile(x.File, false), compile(x.Node, false)
	if x.Labels != "" {
		var err error
		e.labels, err = labels.Parse(x.Labels)
		return err
	}
	return nil
}

// names are the fields that e names exactly.
func (e *entry) names() [fields]string {
	exact := func(p pattern) string {
		if p.exact {
			return p.text
		}
		return ""
	}
	n := [fields]string{byFingerprint: e.Fingerprint, byCVE: e.CVE, byRule: exact(e.rule), byPackage: e.Package, byDigest: e.Digest,
		byNamespace: exact(e.namespace), byName: exact(e.name), byFile: exact(e.file), byNode: exact(e.node)}
	if e.Target != 0 {
		n[byTarget] = targetName(e.Target)
	}
	return n
}

// prefix is the longest beginning of the patterns of e, of what tells findings apart; of the rule's only without others.
func (e *entry) prefix() (field int, prefix string) {
	try := func(f int, p *pattern) {
		if (!p.exact || f == byImage) && len(p.prefix) > len(prefix) {
			field, prefix = f, p.prefix
		}
	}
	try(byName, &e.name)
	try(byNamespace, &e.namespace)
	try(byImage, &e.image)
	try(byFile, &e.file)
	try(byNode, &e.node)
	if prefix == "" {
		try(byRule, &e.rule)
	}
	return field, prefix
}

func targetName(id int64) string {
	var b [8]byte
	for i := range b {
		b[i] = byte(id >> (8 * i))
	}
	return string(b[:])
}

// view is a finding as scopes look at it.
type view struct {
	*finding.Finding
	target       int64
	ids          []string // of the vulnerability
	places       []place
	pkg, version string
	purl         string
	fixed        bool
	names        [fields][]string // of what is looked up
	hashes       [fields][]uint64 // of names
	one          [1]place
}

type place struct{ namespace, kind, name, container string }

func (s *Set) view(v *view, f *finding.Finding, target int64) {
	v.Finding, v.target = f, target
	v.ids = append(append(v.ids, f.Rule), f.Aliases...)
	if x := f.Vulnerability; x != nil {
		v.ids = append(append(v.ids, x.ID), x.Aliases...)
		v.pkg, v.version, v.purl, v.fixed = x.Package, x.Version, x.PURL, x.FixedVersion != ""
	}
	r := &f.Resource
	if r.Namespace == "" && r.Kind == "" && r.Name == "" && r.Container == "" && len(r.Workloads) > 0 {
		for _, w := range r.Workloads {
			v.places = append(v.places, place{w.Namespace, w.Kind, w.Name, ""})
		}
	} else {
		v.one[0] = place{r.Namespace, r.Kind, r.Name, r.Container}
		v.places = v.one[:]
	}
	put := func(field int, names ...string) {
		for _, n := range names {
			if n != "" && !slices.Contains(v.names[field], n) {
				v.names[field] = append(v.names[field], n)
				v.hashes[field] = append(v.hashes[field], maphash.String(s.seed, n))
			}
		}
	}
	put(byFingerprint, f.Fingerprint)
	put(byCVE, v.ids...)
	put(byRule, f.Rule, f.RuleID)
	put(byPackage, v.pkg)
	put(byDigest, r.Digest)
	put(byNamespace, v.places[0].namespace) // of several places all must match, so the first too
	put(byName, v.places[0].name)
	put(byFile, r.File)
	put(byNode, r.Node)
	if target != 0 {
		put(byTarget, targetName(target))
	}
	if r.Image != "" {
		v.names[byImage] = imageNames(r.Image)
	}
}

// Match returns the first exception that accepts f at a time. target is the id of f's target, 0 outside of the server.
func (s *Set) Match(f *finding.Finding, target int64, now time.Time) (*Exception, bool) {
	if s == nil || len(s.list) == 0 {
		return nil, false
	}
	var v view
	s.view(&v, f, target)
	best := int32(len(s.list))
	for i := range s.groups {
		s.groups[i].look(s, &v, 0, 0, func(list []int32) {
			for _, i := range list {
				if i >= best {
					break
				}
				if e := &s.list[i]; (e.Expires.IsZero() || now.Before(e.Expires)) && e.holds(&v) {
					best = i
				}
			}
		})
	}
	if best == int32(len(s.list)) {
		return nil, false
	}
	return &s.list[best].Exception, true
}

// MatchAll returns the exceptions that accept f at a time, at most so many, in the order of the list.
func (s *Set) MatchAll(f *finding.Finding, target int64, now time.Time, most int) []*Exception {
	if s == nil || len(s.list) == 0 {
		return nil
	}
	var v view
	s.view(&v, f, target)
	var found []int32
	for i := range s.groups {
		s.groups[i].look(s, &v, 0, 0, func(list []int32) {
			for _, i := range list {
				if e := &s.list[i]; (e.Expires.IsZero() || now.Before(e.Expires)) && e.holds(&v) {
					found = append(found, i)
				}
			}
		})
	}
	slices.Sort(found)
	found = slices.Compact(found)
	var out []*Exception
	for _, i := range found[:min(len(found), most)] {
		out = append(out, &s.list[i].Exception)
	}
	return out
}

// look gives the exceptions whose names of the group's fields are those of v.
func (g *group) look(s *Set, v *view, field int, hash uint64, yield func([]int32)) {
	for ; field < fields; field++ {
		if g.mask&(1<<field) != 0 {
			for _, h := range v.hashes[field] {
				g.look(s, v, field+1, mix(hash, h), yield)
			}
			return
		}
	}
	if g.length == 0 {
		yield(g.at[hash])
		return
	}
	for _, n := range v.names[g.field] {
		if len(n) >= g.length {
			yield(g.at[mix(hash, maphash.String(s.seed, n[:g.length]))])
		}
	}
}

// holds compares every field: hashes may be those of other names.
func (e *entry) holds(v *view) bool {
	r := &v.Resource
	if e.Target != 0 && e.Target != v.target || e.Fingerprint != "" && e.Fingerprint != v.Fingerprint ||
		e.Package != "" && e.Package != v.pkg || e.Digest != "" && e.Digest != r.Digest || e.UntilFix && v.fixed {
		return false
	}
	if !e.rule.matches(v.Rule) && !e.rule.matches(v.RuleID) || !e.version.matches(v.version) || !e.cluster.matches(r.Cluster) ||
		!e.file.matches(r.File) || !e.node.matches(r.Node) || e.CVE != "" && !slices.Contains(v.ids, e.CVE) {
		return false
	}
	for _, p := range v.places {
		if !e.namespace.matches(p.namespace) || !e.kind.matches(p.kind) || !e.name.matches(p.name) || !e.container.matches(p.container) {
			return false
		}
	}
	if e.labels != nil {
		if len(r.Labels) == 0 {
			return false
		}
		for _, l := range r.Labels {
			if !e.labels.Matches(labels.Set(l)) {
				return false
			}
		}
	}
	if e.Image != "" && !e.onImage(v) {
		return false
	}
	return e.PURL == "" || v.purl != "" && vex.Covers(e.PURL, v.purl)
}

// onImage matches any name of the image.
func (e *entry) onImage(v *view) bool {
	return slices.ContainsFunc(v.names[byImage], e.image.matches)
}

// imageNames are the repository as written and in full ("docker.io/library/nginx"), and the whole reference.
func imageNames(ref string) []string {
	repository, _ := inventory.SplitReference(ref)
	return []string{repository, full(repository), ref}
}

// full writes out what the short name of a repository leaves away.
func full(repository string) string {
	first, _, ok := strings.Cut(repository, "/")
	switch {
	case !ok:
		return "docker.io/library/" + repository
	case strings.ContainsAny(first, ".:") || first == "localhost" || strings.ToLower(first) != first: // a registry
		return repository
	}
	return "docker.io/" + repository
}

// longest orders exceptions so that those that hold longest come first: findings then change hands rarely.
func longest(a, b Exception) int {
	if a.UntilFix != b.UntilFix {
		if a.UntilFix {
			return 1
		}
		return -1
	}
	if !a.Expires.Equal(b.Expires) {
		switch {
		case a.Expires.IsZero():
			return -1
		case b.Expires.IsZero():
			return 1
		}
		return b.Expires.Compare(a.Expires)
	}
	return cmp.Compare(a.ID, b.ID)
}
