package emergency

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/finding"
)

// checkWithin is how long one check may take.
const checkWithin = 30 * time.Second

// maxCounted bounds the places of one component that are looked at, one by one.
const maxCounted = 1000

// Judge says of each emergency of the list that concerns the subject how far it is a danger there. allowed are the classes of checks
// that may run; a check of another class is unknown, with that reason. Emergencies that do not concern such a subject have no result.
func Judge(ctx context.Context, list []*Emergency, s Subject, allowed []Class) []Result {
	j := &judge{s: &s, allowed: allowed, kind: kindOf(&s), known: map[string]check.Answer{}}
	var out []Result
	for _, e := range list {
		if ctx.Err() != nil {
			return out
		}
		if slices.Contains(e.Where, j.kind) {
			out = append(out, j.emergency(ctx, e))
		}
	}
	return out
}

// kindOf says what a subject is: node where there are facts of one or its inventory is of one, cluster where nothing but objects is
// known, else image.
func kindOf(s *Subject) string {
	switch {
	case s.Facts != nil, s.Software != nil && s.Software.Kind == "node":
		return "node"
	case s.Software != nil:
		return "image"
	case s.Cluster != nil:
		return "cluster"
	}
	return "node"
}

type judge struct {
	s       *Subject
	allowed []Class
	kind    string
	known   map[string]check.Answer // of checks that do not depend on the target
}

// rank orders verdicts by how much they matter.
var rank = map[Verdict]int{NotPresent: 0, Fixed: 1, Backported: 2, VersionOnly: 3, Unknown: 4, Exposed: 5}

// Worse reports whether a is more of a danger than b.
func Worse(a, b Verdict) bool { return rank[a] > rank[b] }

func (j *judge) emergency(ctx context.Context, e *Emergency) Result {
	best := Result{Emergency: e.ID, Subject: j.s.Name, Verdict: NotPresent, Note: finding.Text{EN: "the component was not found", ZH: "未发现该组件"}}
	if why := j.blind(e); why.EN != "" {
		best.SetUnread(why)
		if e.byPackages() { // nothing was read that could have it
			best.Verdict, best.Note = Unknown, notSought
		}
	}
	list := components(e, j.s)
	if e.Configuration && len(list) == 0 && j.kind == "cluster" { // objects alone
		list = []found{{Target: check.Target{Emergency: e.ID, Component: e.Affected[0].Component}, ranges: []*Range{&e.Affected[0]}}}
	}
	var instances []Instance
	for i := range list[:min(len(list), maxCounted)] {
		f := &list[i]
		in := Instance{Component: f.Component, Path: f.Path, Container: f.Container, Version: f.Version, Running: f.running}
		r := j.instance(ctx, e, f)
		in.Verdict = r.Verdict
		if len(instances) < MostInstances {
			instances = append(instances, in)
		}
		if f.ranges != nil && (i == 0 || Worse(r.Verdict, best.Verdict)) {
			r.Emergency, r.Subject = e.ID, j.s.Name
			best = r
		}
	}
	// The decisive one first, then the worse ones.
	decides := func(in Instance) bool {
		return in.Path == best.Path && in.Container == best.Container && in.Version == best.Version
	}
	slices.SortStableFunc(instances, func(a, b Instance) int {
		if decides(a) != decides(b) {
			if decides(a) {
				return -1
			}
			return 1
		}
		return rank[b.Verdict] - rank[a.Verdict]
	})
	best.Instances = instances
	return best
}

// blind says why not finding a component tells little: nothing was read that could have it.
func (j *judge) blind(e *Emergency) finding.Text {
	if j.s.Software == nil && j.kind != "cluster" && slices.ContainsFunc(e.Affected, func(r Range) bool { return !slices.Contains(programs, r.Component) }) {
		return finding.Text{EN: "no list of packages is at hand", ZH: "没有软件包列表"}
	}
	if j.s.Facts != nil {
		for _, s := range j.s.Facts.Skipped {
			if s.Check == "binaries" {
				return both("binaries were not read: %s", "未读取二进制文件：%s", s.Reason)
			}
		}
	}
	return finding.Text{}
}

// notSought is the note of what was not looked for at all: it is told as a gap and makes no finding.
var notSought = finding.Text{EN: "it was not looked for", ZH: "未进行查找"}

// programs are the components that the facts of a node name without its packages.
var programs = []string{"kernel", "runc", "containerd", "dockerd", "crio", "kubelet", "kube-proxy", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "coredns",
	"calico-cni"}

// byPackages reports whether only a list of packages says that the component is there.
func (e *Emergency) byPackages() bool {
	return !slices.ContainsFunc(e.Affected, func(r Range) bool { return slices.Contains(programs, r.Component) })
}

// ByPackages names the emergencies of nodes that only a list of packages can decide.
func ByPackages(list []*Emergency) []string {
	var out []string
	for _, e := range list {
		if slices.Contains(e.Where, "node") && e.byPackages() {
			out = append(out, e.ID)
		}
	}
	return out
}

// instance judges one place.
func (j *judge) instance(ctx context.Context, e *Emergency, f *found) Result {
	r := Result{Component: f.Component, Path: f.Path, Container: f.Container, Version: f.Version}
	vendor := j.vendor(e, f)
	in, err := f.affected(e)
	switch {
	case e.Configuration:
		in, err = true, nil
	case vendor.State == "not-affected":
		r.Verdict = Fixed
		r.Note = both("%s says that %s is not affected", "%s 称 %s 不受影响", vendor.Source, f.Component)
		return r
	case vendor.State == "fixed" && (in || err != nil): // also of what says no version of its own
		r.Verdict = Backported
		r.Note = both("%s fixes it in %s; %s is installed", "%s 已在 %s 中修复，已安装 %s", orText(vendor.Advisory, vendor.Source), vendor.Fixed, f.packageVersion(j.s))
		return r
	case vendor.State == "affected":
		in, err = true, nil
		r.Note = both("%s says that %s is affected", "%s 称 %s 受影响", orText(vendor.Advisory, vendor.Source), f.packageVersion(j.s))
	}
	if err == nil && !in {
		r.Verdict = Fixed
		r.Note = both("%s %s is not in an affected range", "%s %s 不在受影响范围内", f.Component, orText(f.Version, "?"))
		return r
	}
	// A proof of the fix counts whatever the version says, also when it says nothing.
	for i := range e.Proofs {
		o := j.step(ctx, e, &e.Proofs[i], f, true)
		r.Checks = append(r.Checks, o)
		if o.Holds == check.Yes {
			r.Verdict = Backported
			return r
		}
	}
	if o, ok := j.changelog(ctx, e, f); ok {
		r.Checks = append(r.Checks, o)
		if o.Holds == check.Yes {
			r.Verdict = Backported
			return r
		}
	}
	if err != nil {
		r.Verdict = Unknown
		r.SetUnread(both("the version of %s is not known", "%s 的版本未知", f.Component))
		if f.Version != "" {
			r.SetUnread(both("the version %s of %s has no order: %v", "%[2]s 的版本 %[1]s 无法比较：%[3]v", f.Version, f.Component, err))
		}
	}
	j.preconditions(ctx, e, f, &r)
	return r
}

// preconditions looks at all of them and ends the ladder: one that is missing outweighs one that could not be looked at.
func (j *judge) preconditions(ctx context.Context, e *Emergency, f *found, r *Result) {
	missing, open := false, r.Verdict == Unknown
	for i := range e.Preconditions {
		step := &e.Preconditions[i]
		if len(step.Where) > 0 && !slices.Contains(step.Where, j.kind) {
			continue
		}
		o := j.step(ctx, e, step, f, false)
		r.Checks = append(r.Checks, o)
		switch o.Holds {
		case check.No:
			missing = true
		case check.Unknown:
			open = true
			if r.NotRead == "" {
				r.SetUnread(o.Said())
			}
		}
	}
	switch {
	case missing && e.Configuration:
		r.Verdict, r.NotRead = NotPresent, ""
	case missing:
		r.Verdict, r.NotRead = VersionOnly, ""
	case open:
		r.Verdict = Unknown
	default:
		r.Verdict = Exposed
	}
}

// affected compares the version with the ranges. An error says that it could not be.
func (f *found) affected(e *Emergency) (in bool, err error) {
	ranges := f.ranges
	if ranges == nil { // does not count, but is shown
		for i := range e.Affected {
			if r := &e.Affected[i]; r.Component == f.Component || f.Package != nil && r.isPackage(f.Package) {
				ranges = append(ranges, r)
			}
		}
	}
	for _, r := range ranges {
		if len(r.Spans) == 1 && r.Spans[0] == (Span{Introduced: "0"}) {
			return true, nil
		}
		is, _, one := r.holds(f.versionFor(r))
		if is {
			return true, nil
		}
		if one != nil {
			err = one
		}
	}
	return false, err
}

// vendor asks the advisories of the system for the package that the target is or belongs to.
func (j *judge) vendor(e *Emergency, f *found) Vendor {
	if j.s.Vendor == nil || f.Container != "" {
		return Vendor{}
	}
	p := check.Owner(j.s, &f.Target)
	if p == nil {
		return Vendor{}
	}
	return j.s.Vendor(e.ID, p)
}

func (f *found) packageVersion(s *Subject) string {
	if p := check.Owner(s, &f.Target); p != nil {
		return p.Name + " " + p.Version
	}
	return f.Component + " " + f.Version
}

// changelog looks into the package's changelog, unless the list has done so.
func (j *judge) changelog(ctx context.Context, e *Emergency, f *found) (Outcome, bool) {
	if f.Container != "" || slices.ContainsFunc(e.Proofs, func(s Step) bool { return s.Check == "changelog" }) || check.Owner(j.s, &f.Target) == nil {
		return Outcome{}, false
	}
	step := &Step{Check: "changelog", With: map[string]any{"ids": anyList(e.Aliases)}, Says: finding.Text{EN: "the package's changelog names the fix", ZH: "软件包变更日志中记录了该修复"}}
	return j.step(ctx, e, step, f, true), true
}

func anyList(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

// step runs one check.
func (j *judge) step(ctx context.Context, e *Emergency, step *Step, f *found, proof bool) Outcome {
	o := Outcome{Check: step.Check, Says: step.Says, Proof: proof}
	c, ok := check.Find(step.Check)
	if !ok {
		o.answer(step, check.Answer{Holds: check.Unknown, Said: both("this program does not have the check %s", "该版本程序没有检查项 %s", step.Check)})
		return o
	}
	o.Class = c.Class
	if !slices.Contains(j.allowed, c.Class) {
		o.answer(step, check.Answer{Holds: check.Unknown, Said: both("checks of the class %s are not allowed here", "此处不允许 %s 类检查", c.Class)})
		return o
	}
	key := ""
	if c.Needs == "facts" || c.Needs == "cluster" || c.Needs == "containers" {
		key = fmt.Sprintf("%s %v %s", step.Check, step.With, f.Container)
		if a, ok := j.known[key]; ok {
			o.answer(step, a)
			return o
		}
	}
	a := run(ctx, c, j.s, &f.Target, step.With)
	if key != "" {
		j.known[key] = a
	}
	o.answer(step, a)
	return o
}

// run bounds a check in time and keeps a fault in it from ending the scan.
func run(ctx context.Context, c *check.Check, s *Subject, t *check.Target, with map[string]any) (a check.Answer) {
	defer func() {
		if p := recover(); p != nil {
			a = check.Answer{Holds: check.Unknown, Said: both("the check %s failed on what it read", "检查项 %s 处理所读内容时失败", c.Name)}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	return c.Run(ctx, s, t, with)
}

func (o *Outcome) answer(step *Step, a check.Answer) {
	o.Holds, o.SaidZH = a.Holds, a.Said.ZH
	if a.Holds == check.Unknown {
		o.Reason = a.Said.EN
	} else {
		o.Evidence = a.Said.EN
	}
	if step.Not {
		switch a.Holds {
		case check.Yes:
			o.Holds = check.No
		case check.No:
			o.Holds = check.Yes
		}
	}
}

func both(en, zh string, a ...any) finding.Text {
	return finding.Text{EN: clip(fmt.Sprintf(en, a...)), ZH: clip(fmt.Sprintf(zh, a...))}
}

// clip keeps names from foreign files short and on one line.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + " …"
	}
	return s
}

func orText(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
