// Package compliance judges frameworks: each clause passes, fails, must be checked by hand, or does not apply, from what
// the rules mapped to it said. Frameworks are data (the frameworks folder); the mapping stands in each rule.
package compliance

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"

	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/rule"
)

// Framework is a standard with its clauses, in our own words.
type Framework struct {
	ID      string       `json:"id"` // cis-1.12
	Title   finding.Text `json:"title"`
	Source  string       `json:"source"` // where the standard is published
	Note    finding.Text `json:"note"`   // what the mapping leaves out
	Clauses []Clause     `json:"clauses"`
}

// Clause is one requirement.
type Clause struct {
	ID      string       `json:"clause"`
	Section finding.Text `json:"section"`
	Title   finding.Text `json:"title"`
	// Manual says why a person has to look. Empty for clauses that rules decide.
	Manual finding.Text `json:"manual"`
	// ControlPlane clauses do not apply where a provider runs the control plane.
	ControlPlane bool `json:"controlPlane"`
}

// Load reads every *.yaml file of fsys.
func Load(fsys fs.FS) ([]*Framework, error) {
	files, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("frameworks: %w", err)
	}
	var out []*Framework
	for _, file := range files {
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, fmt.Errorf("frameworks: %w", err)
		}
		f := &Framework{}
		if err := yaml.UnmarshalStrict(data, f); err != nil {
			return nil, fmt.Errorf("frameworks: %s: %w", file, err)
		}
		if f.ID+".yaml" != path.Base(file) {
			return nil, fmt.Errorf("frameworks: %s: id is %q, want the name of the file", file, f.ID)
		}
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out, nil
}

// Facts is what a scan found out.
type Facts struct {
	Open      map[string][]string // rule id -> fingerprints of open findings
	Undecided map[string]bool     // names of rules that could not judge some object
	Managed   bool
	Seen      map[string]bool // "object", "node", and the components whose settings were seen
}

// Judge gives the verdict on every clause, in the order of the framework.
func (f *Framework) Judge(rules []*rule.Rule, facts Facts) []finding.Clause {
	mapped := map[string][]*rule.Rule{}
	for _, r := range rules {
		for _, c := range r.Compliance[f.ID] {
			mapped[c] = append(mapped[c], r)
		}
	}
	out := make([]finding.Clause, 0, len(f.Clauses))
	for _, c := range f.Clauses {
		v := finding.Clause{Framework: f.ID, Clause: c.ID, Title: c.Title}
		v.Status, v.Reason, v.Findings = c.judge(mapped[c.ID], facts)
		out = append(out, v)
	}
	return out
}

func (c *Clause) judge(rules []*rule.Rule, facts Facts) (finding.ClauseStatus, finding.Text, []string) {
	var failing []string
	for _, r := range rules {
		failing = append(failing, facts.Open[r.ID]...)
	}
	if len(failing) > 0 {
		slices.Sort(failing)
		return finding.Fail, finding.Text{}, failing
	}
	if c.ControlPlane && facts.Managed {
		return finding.NotApplicable, finding.Text{EN: "managed: the provider runs the control plane", ZH: "托管集群：控制面由云厂商运维"}, nil
	}
	if c.Manual.EN != "" {
		return finding.Manual, c.Manual, nil
	}
	if len(rules) == 0 {
		return finding.Manual, finding.Text{EN: "no selected rule decides this clause", ZH: "所选规则中没有可判定该条款的规则"}, nil
	}
	for _, r := range rules {
		if facts.Undecided[r.Name] {
			return finding.Manual, finding.Text{EN: "rule " + r.Name + " could not judge every object", ZH: "规则 " + r.Name + " 未能判定全部对象"}, nil
		}
		if need := Missing(r, facts.Seen); need != "" {
			return finding.Manual, finding.Text{EN: "not looked at: no " + need + " facts in this scan", ZH: "未检查：本次扫描没有 " + need + " 的数据"}, nil
		}
	}
	return finding.Pass, finding.Text{}, nil
}

// Missing names what a rule needs and the scan did not see; "" when it had everything.
func Missing(r *rule.Rule, seen map[string]bool) string {
	switch {
	case r.Validate == nil:
		return ""
	case r.Validate.Over == "node" && !seen["node"]:
		return "node"
	case r.Validate.Over == "component":
		for _, c := range r.Match.Components {
			if !seen[c] {
				return c
			}
		}
	}
	return ""
}

// Select returns the frameworks of the ids; "all" is every one.
func Select(all []*Framework, ids []string) ([]*Framework, error) {
	var out []*Framework
	for _, id := range ids {
		if id == "all" {
			return all, nil
		}
		i := slices.IndexFunc(all, func(f *Framework) bool { return f.ID == id })
		if i < 0 {
			known := make([]string, len(all))
			for j, f := range all {
				known[j] = f.ID
			}
			return nil, fmt.Errorf("no framework is named %q: want one of %v, or all", id, known)
		}
		out = append(out, all[i])
	}
	return out, nil
}
