package emergency

import (
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
)

// Place says what a subject is among the assets, for findings.
type Place struct {
	Resource finding.Resource
	Identity finding.Identity // without RuleID and Item
}

// NodePlace is the place of a node.
func NodePlace(cluster, node string) Place {
	return Place{Resource: finding.Resource{Cluster: cluster, Kind: "Node", Name: node, Node: node}, Identity: finding.Identity{Cluster: cluster, Kind: "Node", Node: node}}
}

// severities are the levels, from the lowest.
var severities = []finding.Severity{finding.Info, finding.Low, finding.Medium, finding.High, finding.Critical}

// SeverityOf is the severity of a finding: the list's where it is exposed, one level below where something could not be read, at most
// medium where a precondition is missing. "" says that the verdict is no finding.
func (e *Emergency) SeverityOf(v Verdict) finding.Severity {
	at := slices.Index(severities, e.Severity)
	switch v {
	case Exposed:
		return e.Severity
	case Unknown:
		return severities[max(1, at-1)]
	case VersionOnly:
		return severities[min(at, slices.Index(severities, finding.Medium))]
	}
	return ""
}

// Findings makes findings of results: of those that are exposed, affected by version only, or not decided. Others stay results.
func Findings(list []*Emergency, results []Result, at Place) []*finding.Finding {
	byID := make(map[string]*Emergency, len(list))
	for _, e := range list {
		byID[e.ID] = e
	}
	var out []*finding.Finding
	for i := range results {
		r := &results[i]
		e := byID[r.Emergency]
		if e == nil || e.SeverityOf(r.Verdict) == "" {
			continue
		}
		if r.Verdict == Unknown && r.Component == "" && r.Note == notSought {
			continue
		}
		out = append(out, e.finding(r, at))
	}
	return out
}

// seen are the verdicts in words.
var seen = map[Verdict]finding.Text{
	Exposed:     {EN: "exposed: every precondition was seen", ZH: "存在暴露：全部利用条件均已确认"},
	VersionOnly: {EN: "affected by version only: a precondition is missing", ZH: "仅版本受影响：缺少利用条件"},
	Unknown:     {EN: "affected by version; a precondition could not be looked at", ZH: "版本受影响，但部分利用条件无法核实"},
}

// In returns the words for a verdict.
func (v Verdict) In(lang string) string { return seen[v].In(lang) }

func (e *Emergency) finding(r *Result, at Place) *finding.Finding {
	f := &finding.Finding{Kind: finding.Emergency, Rule: e.ID, Aliases: e.Aliases, Severity: e.SeverityOf(r.Verdict),
		Title: finding.Text{EN: e.Name + ": " + e.Title.EN, ZH: e.Name + "：" + e.Title.ZH}, Remediation: e.Fix, Resource: at.Resource, Status: finding.Open}
	for _, s := range e.Sources {
		f.References = append(f.References, s.URL)
	}
	id := at.Identity
	id.RuleID = e.ID
	f.Fingerprint = id.Fingerprint()
	if f.Resource.File == "" {
		f.Resource.File = r.Path
	}
	if ns, pod, container, ok := containerParts(r.Container); ok {
		f.Resource.Namespace, f.Resource.Kind, f.Resource.Name, f.Resource.Container = ns, "Pod", pod, container
	}
	what := strings.TrimSpace(r.Component + " " + r.Version)
	where := r.Path
	if where == "" {
		where = "package database"
	}
	f.Message = finding.Text{EN: fmt.Sprintf("%s (%s): %s. %s", clip(what), clip(where), seen[r.Verdict].EN, e.What.EN),
		ZH: fmt.Sprintf("%s（%s）：%s。%s", clip(what), clip(where), seen[r.Verdict].ZH, e.What.ZH)}
	ref := &finding.Verification{ID: e.ID, Name: e.Name, Verdict: string(r.Verdict), NotRead: r.NotRead, NotReadZH: r.NotReadZH}
	for _, o := range r.Checks {
		ref.Checks = append(ref.Checks, finding.Verified{Check: o.Check, Class: string(o.Class), Says: o.Says, Holds: string(o.Holds), Proof: o.Proof, Evidence: o.Evidence, Reason: o.Reason, SaidZH: o.SaidZH})
	}
	f.Emergency = ref
	f.Evidence = e.evidence(r)
	f.Vulnerability = &finding.Vulnerable{ID: e.ID, Aliases: e.Aliases, Package: r.Component, Version: r.Version, FixedVersion: e.fixFor(r), Type: e.typeOf(r.Component),
		Source: "emergency list", State: "affected", EvidenceClass: finding.EvidenceUpstream, KEV: e.KEV, Path: r.Path}
	if f.Vulnerability.FixedVersion != "" {
		f.Vulnerability.State = "fixed"
	}
	f.Priority = e.priority(r)
	return f
}

// typeOf says what kind of software a component is, as vulnerabilities say it.
func (e *Emergency) typeOf(component string) string {
	if component == "kernel" {
		return "system"
	}
	for i := range e.Affected {
		name, isPackage := strings.CutPrefix(e.Affected[i].Component, packagePrefix)
		if kind, name, _ := strings.Cut(name, "/"); isPackage && name == component {
			if slices.Contains([]string{"deb", "rpm", "apk"}, kind) {
				return "system"
			}
			return "application"
		}
	}
	return "binary"
}

// containerParts splits "namespace/pod/container".
func containerParts(s string) (namespace, pod, container string, ok bool) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// mostShown bounds the places in a finding.
const mostShown = 10

func (e *Emergency) evidence(r *Result) []finding.Evidence {
	var out []finding.Evidence
	for _, in := range r.Instances {
		if len(out) == mostShown || !Worse(in.Verdict, Backported) {
			break
		}
		ev := finding.Evidence{Path: in.Path, Found: strings.TrimSpace(in.Component + " " + in.Version)}
		if in.Container != "" {
			ev.Path = in.Container + ":" + in.Path
		}
		if ev.Path == "" {
			ev.Path = "package database"
		}
		if fix := e.fixOf(in.Component, in.Version); fix != "" {
			ev.Want = ">= " + fix
		}
		out = append(out, ev)
	}
	for _, o := range r.Checks {
		out = append(out, finding.Evidence{Path: o.Check, Found: o.Said().EN})
	}
	return out
}

func (e *Emergency) fixFor(r *Result) string { return e.fixOf(r.Component, r.Version) }

// fixOf is the version that fixes a component's line.
func (e *Emergency) fixOf(component, v string) string {
	for i := range e.Affected {
		r := &e.Affected[i]
		if r.Component != component && !strings.HasSuffix(r.Component, "/"+component) {
			continue
		}
		if in, fixed, err := r.holds(v); err == nil && in && fixed != "" {
			return fixed
		}
	}
	return ""
}

// Weights of a priority, in the measure of those of vulnerabilities: 0 to 100.
var weights = map[finding.Severity]int{finding.Critical: 60, finding.High: 50, finding.Medium: 35, finding.Low: 15, finding.Info: 5}

func (e *Emergency) priority(r *Result) *finding.Priority {
	p := &finding.Priority{Score: weights[e.SeverityOf(r.Verdict)], Reasons: []string{"emergency: " + string(r.Verdict)}}
	if r.Verdict == Exposed {
		p.Score += 25
		p.Reasons = append(p.Reasons, "every precondition was seen")
	}
	if e.KEV {
		p.Score += 15
		p.Reasons = append(p.Reasons, "known to be exploited")
	}
	p.Score = min(p.Score, 100)
	return p
}
