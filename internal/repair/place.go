package repair

import (
	"fmt"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Place is a value of an object that is at fault.
type Place struct {
	Path        string
	Elsewhere   bool // it is in another object, or not there any more
	Found, Want any
	Message     finding.Text // "" is the finding's own
}

// Places are where a finding is in its object as it is now: lists may have another order than when it was found. why tells what to
// know, such as that it is not there any more.
func (s *Shop) Places(o *inventory.Object, f *finding.Finding) (places []Place, why finding.Text) {
	r := s.library.Find(f.Rule)
	if r == nil || len(r.Repairs()) == 0 && !r.SingleObject() {
		return evidence(o, f), finding.Text{}
	}
	if c := f.Resource.Container; c != "" && !runs(o, c) {
		return nil, finding.Text{EN: "the container " + short(c, 100) + " is not in this object: it was put into its pods", ZH: "容器 " + short(c, 100) + " 不在该对象中：它是被注入到 Pod 的"}
	}
	b := s.bench(o)
	if b.refused {
		return evidence(o, f), finding.Text{}
	}
	hits := b.find(r, f)
	if len(hits) == 0 {
		return nil, notThere
	}
	for _, h := range hits {
		now := h.rule.Finding(subjectOf(f), h.Hit)
		places = append(places, Place{Path: h.Path, Found: h.Found, Want: r.Validate.Want, Message: now.Message})
	}
	return places, finding.Text{}
}

func runs(o *inventory.Object, container string) bool {
	for _, c := range o.Containers() {
		if c.Name == container {
			return true
		}
	}
	return len(o.Containers()) == 0
}

// evidence is where it was when it was found.
func evidence(o *inventory.Object, f *finding.Finding) []Place {
	var out []Place
	for i, e := range f.Evidence {
		if i == 20 {
			break
		}
		if e.Path == "" {
			continue
		}
		v, ok := inventory.Lookup(o.Content, e.Path)
		out = append(out, Place{Path: e.Path, Found: e.Found, Want: e.Want, Elsewhere: (ok || e.Found != nil) && !(ok && holds(v, e.Found))})
	}
	return out
}

// holds reports whether a value is what was found. Analyzers tell only what matters of maps and lists, and write flags and chains
// around the value itself.
func holds(v, found any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	a, b := fmt.Sprint(v), fmt.Sprint(found)
	return a == b || a != "" && b != "" && (strings.Contains(a, b) || strings.Contains(b, a))
}

// Mends reports whether there is a repair for the rule of a finding.
func (s *Shop) Mends(f *finding.Finding) bool {
	r := s.library.Find(f.Rule)
	return r != nil && len(r.Repairs()) > 0
}

// Has reports whether an object has the problem of a finding now.
func (s *Shop) Has(o *inventory.Object, f *finding.Finding) bool {
	r := s.library.Find(f.Rule)
	return r != nil && r.Validate != nil && len(s.bench(o).find(r, f)) > 0
}

// OfNodeFacts reports whether a finding was made of what the node agent read.
func (s *Shop) OfNodeFacts(f *finding.Finding) bool {
	r := s.library.Find(f.Rule)
	return r != nil && r.Validate != nil && r.Validate.Over == "node"
}

// ByHand is the fix of a finding for which no change can be worked out.
func (s *Shop) ByHand(f *finding.Finding) Fix {
	fix := Fix{Reason: byHand, Steps: Steps(f)}
	if s.library.Find(f.Rule) == nil {
		fix.Reason = noRule
	}
	return fix
}
