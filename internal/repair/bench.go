package repair

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// MostObject bounds the objects that are judged and changed, in bytes of JSON; MostDeep their nesting.
const (
	MostObject = 3 << 20
	MostDeep   = 100
)

// key names one problem of an object, whatever the order of its lists.
type key struct{ rule, container, item string }

// verdict is what the rules say of an object.
type verdict struct {
	found     map[key]int
	severity  map[key]finding.Severity
	undecided map[string]bool // rules that failed on it
	hits      []hit           // of the rule that was asked for
}

// hit is one problem of the rule that is being mended.
type hit struct {
	rule.Hit
	rule *rule.Rule
}

// bench judges one object.
type bench struct {
	shop    *Shop
	library *rule.Library
	engine  *rule.Engine
	object  *inventory.Object
	before  *verdict
	refused bool // too large
}

func (s *Shop) bench(o *inventory.Object) *bench {
	e := s.live()
	if o.Origin.File != "" {
		e = s.iac()
	}
	b := &bench{shop: s, library: e.library, engine: e.Engine, object: o}
	n, deep := size(o.Content, 0)
	b.refused = n > MostObject || deep > MostDeep
	return b
}

// judge runs all rules over an object, and keeps the hits of one.
func (b *bench) judge(o *inventory.Object, r *rule.Rule) *verdict {
	v := &verdict{found: map[key]int{}, severity: map[key]finding.Severity{}, undecided: map[string]bool{}}
	put := func(k key, s finding.Severity) {
		v.found[k]++
		v.severity[k] = s
	}
	b.engine.Session().Object(o, nil, rule.Sink{
		Hit: func(by *rule.Rule, h rule.Hit) {
			put(key{by.Name, h.Container, h.Item}, by.Severity)
			if by == r {
				v.hits = append(v.hits, hit{h, by})
			}
		},
		Undecided: func(by *rule.Rule, _ error) { v.undecided[by.Name] = true },
	})
	ctx := analyze.NewContext(inventory.NewCluster(""))
	for _, by := range b.library.Rules {
		i := slices.IndexFunc(b.shop.analyzers, func(a analyze.Analyzer) bool { return a.Name == by.Analyzer })
		if i < 0 || !looksAt(b.shop.analyzers[i], o) {
			continue
		}
		undecided := func(string, string) { v.undecided[by.Name] = true }
		b.shop.analyzers[i].Object(ctx.For(by.Params, undecided), o, func(p analyze.Problem) {
			put(key{by.Name, p.Container, p.Item}, by.Severity)
		})
	}
	return v
}

func looksAt(a analyze.Analyzer, o *inventory.Object) bool {
	kind := o.Ref().GroupKind()
	return slices.Contains(a.Kinds, kind) || inventory.CarriesPod(kind) && slices.Contains(a.Kinds, "Workload")
}

// find judges the object and returns the hits that are the finding; none when it is not there any more.
func (b *bench) find(r *rule.Rule, f *finding.Finding) []hit {
	if b.refused {
		return nil
	}
	b.before = b.judge(b.object, r)
	return match(b.before.hits, f)
}

// match are the hits that are the finding: by its fingerprint, or by where it was.
func match(hits []hit, f *finding.Finding) []hit {
	res, subject := f.Resource, subjectOf(f)
	var out []hit
	for _, h := range hits {
		for n := range 4 {
			subject.Ordinal = n
			if h.rule.Finding(subject, h.Hit).Fingerprint == f.Fingerprint {
				out = append(out, h)
				break
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	at := ""
	if len(f.Evidence) > 0 {
		at = f.Evidence[0].Path
	}
	for _, h := range hits {
		if h.Container == res.Container && h.Path == at {
			out = append(out, h)
		}
	}
	return out
}

// subjectOf is what a finding is about, as rules name it.
func subjectOf(f *finding.Finding) rule.Subject {
	res := f.Resource
	return rule.Subject{Cluster: res.Cluster, Node: res.Node, Origin: inventory.Origin{File: res.File},
		Ref: inventory.Ref{APIVersion: res.APIVersion, Kind: res.Kind, Namespace: res.Namespace, Name: res.Name}}
}

// repair makes the changed content, and says what to know before it is applied; nil when there is none.
func (b *bench) repair(at []hit) (map[string]any, []finding.Text, finding.Text) {
	r := at[0].rule
	edits := r.Repairs()
	if len(edits) == 0 {
		return nil, nil, byHand
	}
	changed := *b.object
	changed.Content = clone(b.object.Content).(map[string]any)
	w := &workshop{content: changed.Content}
	var pod map[string]any
	pod, w.pod = b.object.PodTemplate()
	w.carries = pod != nil
	for _, h := range slices.Backward(at) { // elements of lists that are taken out leave the ones before them where they are
		w.scopes = b.scopes(h, w.pod)
		w.apply(edits)
	}
	if meta := inventory.Map(changed.Content, "metadata"); meta == nil {
		return nil, nil, untried
	}
	after := b.judge(&changed, r)
	ok, lesser := b.better(after, at)
	if !ok {
		return nil, nil, untried
	}
	return changed.Content, append(notes(r, edits), b.uncovered(lesser)...), finding.Text{}
}

// scopes are where the variables of the hit's rule lie.
func (b *bench) scopes(h hit, pod string) scopes {
	s := scopes{"object": "", "pod": pod}
	for _, c := range b.object.Containers() {
		if c.Name == h.Container {
			s["container"] = c.Path
		}
	}
	v := h.rule.Validate
	if v.Each != "" {
		s["item"] = strings.TrimSuffix(strings.TrimSuffix(h.Path, v.Path), ".")
	}
	return s
}

// better reports whether the finding is gone and nothing as bad has come instead. lesser is what has come that is less severe.
func (b *bench) better(after *verdict, at []hit) (ok bool, lesser []string) {
	r := at[0].rule
	for _, h := range at {
		if after.found[key{r.Name, h.Container, h.Item}] > 0 {
			return false, nil
		}
	}
	for name := range after.undecided {
		if !b.before.undecided[name] {
			return false, nil
		}
	}
	for k, n := range after.found {
		if n <= b.before.found[k] {
			continue
		}
		if after.severity[k].Rank() >= r.Severity.Rank() {
			return false, nil
		}
		if !slices.Contains(lesser, k.rule) {
			lesser = append(lesser, k.rule)
		}
	}
	slices.Sort(lesser)
	return true, lesser
}
