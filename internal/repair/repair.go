// Package repair makes fixes that were tried: an object is changed by the smallest edit that a rule's finding asks for, the rules
// judge it again, and only what ends the finding without causing another is offered.
package repair

import (
	"sync"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// Fix is what to do about a finding.
type Fix struct {
	Available bool
	Reason    finding.Text // why there is no change to apply; empty when there is
	Verified  bool         // the changed object was judged: the finding is gone and no other came
	Steps     []finding.Text
	Diff      string // unified, of the object as Render writes it
	Patch     *Patch
}

// Patch is the change in a form that programs apply.
type Patch struct {
	Kind     string // strategic, merge or json; update: lines for people, such as of a Dockerfile
	Body     string
	Filename string
	Command  string // "" when the object cannot be changed in place
}

// Shop makes fixes with a library of rules.
type Shop struct {
	library   *rule.Library
	analyzers []analyze.Analyzer
	live, iac func() *engine // made when they are first needed
}

// engine judges objects of one kind of target.
type engine struct {
	library *rule.Library
	*rule.Engine
}

// New makes a Shop. Analyzers that look at single objects judge as well; others are left out.
func New(lib *rule.Library, analyzers []analyze.Analyzer) *Shop {
	if lib == nil {
		lib = &rule.Library{}
	}
	of := func(target string) func() *engine {
		return sync.OnceValue(func() *engine {
			some := lib.For(target)
			return &engine{some, rule.NewEngine(some)}
		})
	}
	s := &Shop{library: lib, live: of("cluster"), iac: of("iac")}
	for _, a := range analyzers {
		if a.Object != nil {
			s.analyzers = append(s.analyzers, a)
		}
	}
	return s
}

// Object makes the fix of a finding of a rule on the object that it is about. The object is not changed.
func (s *Shop) Object(o *inventory.Object, f *finding.Finding) Fix {
	fix := Fix{Steps: Steps(f)}
	r := s.library.Find(f.Rule)
	if r == nil {
		fix.Reason = noRule
		return fix
	}
	if len(r.Repairs()) == 0 {
		fix.Reason = byHand
		return fix
	}
	bench := s.bench(o)
	at := bench.find(r, f)
	if at == nil {
		fix.Reason = notThere
		return fix
	}
	changed, notes, why := bench.repair(at)
	if changed == nil {
		fix.Reason = why
		return fix
	}
	before, after := Render(o.Content, nil), Render(changed, nil)
	fix.Diff = Diff(before.YAML, after.YAML, diffName(o))
	if fix.Diff == "" {
		fix.Reason = notThere
		return fix
	}
	fix.Available, fix.Verified = true, true
	fix.Steps = append(notes, append(manager(o), fix.Steps...)...)
	var patchNotes []finding.Text
	fix.Patch, patchNotes = patch(o, changed, r)
	fix.Steps = append(fix.Steps, patchNotes...)
	return fix
}

var (
	noRule   = finding.Text{EN: "no rule of this server's library made this finding, so no change to the object can be worked out", ZH: "该风险项不是由本服务器的规则库产生的，无法推导出对对象的修改。"}
	notThere = finding.Text{EN: "the object does not have this problem any more: look again to settle the finding", ZH: "该对象已不存在此问题；重新检查后该风险项会被关闭。"}
	byHand   = finding.Text{EN: "what is right here depends on the program: no change can be worked out for it", ZH: "正确的取值取决于具体程序，无法自动推导修改，请按步骤处理。"}
	untried  = finding.Text{EN: "no change was found that ends the finding without causing another", ZH: "未找到既能消除该风险项又不引入新风险项的修改。"}
)
