package scan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// dress adds to a finding what only the scan knows: the snippet, in-place suppressions, what already stands against it.
// It is called by workers and reads only what does not change while they run.
func (r *run) dress(f *finding.Finding, o *inventory.Object) *finding.Finding {
	if r.cfg.Header.Target.Kind == "iac" && f.Kind == finding.Configuration {
		f.Kind = finding.IaC
	}
	if o == nil {
		return f
	}
	if o.Origin.Snippet != nil && f.Resource.Line > 0 && f.Kind != finding.Secret {
		if text := o.Origin.Snippet(f.Resource.Line); text != "" {
			f.Snippet = &finding.Snippet{Line: f.Resource.Line, Text: text}
		}
	}
	for _, s := range o.Origin.Suppressions {
		if ru := r.cfg.Library.Find(f.RuleID); ru != nil && ru.Named(s.Rule) && f.Resource.Line >= s.First && f.Resource.Line <= s.Last {
			f.Status = finding.Suppressed
			f.Suppression = &finding.Suppression{By: "inline", Reason: s.Reason}
			break
		}
	}
	return f
}

// hideSecrets takes the snippets away from the findings of one object that stand on a line on which a secret was found.
func hideSecrets(out []outcome) {
	lines := map[int]bool{}
	for _, o := range out {
		if o.finding != nil && o.finding.Kind == finding.Secret {
			lines[o.finding.Resource.Line] = true
		}
	}
	for _, o := range out {
		if o.finding != nil && o.finding.Snippet != nil && lines[o.finding.Snippet.Line] {
			o.finding.Snippet = nil
		}
	}
}

// take hands one outcome on: findings through the filter to the handler, once each.
func (r *run) take(o outcome) {
	if o.undecided != "" {
		u := r.undecided[o.undecided]
		if u == nil {
			u = &undecided{first: o.where}
			r.undecided[o.undecided] = u
		}
		u.count++
		return
	}
	f := o.finding
	if r.failed != nil || r.seen[f.Fingerprint] {
		return
	}
	r.seen[f.Fingerprint] = true
	if !r.cfg.Filter.Apply(f, r.cfg.Now()) {
		return
	}
	if f.Status == finding.Open {
		r.byRule[f.RuleID] = append(r.byRule[f.RuleID], f.Fingerprint)
		r.summary.Worst[f.Severity]++
	} else {
		r.stats.Suppressed++
	}
	r.summary.Total++
	r.failed = r.handler.Finding(f)
}

// podSecurityLevels orders the levels of Pod Security admission.
var podSecurityLevels = map[string]int{"baseline": 1, "restricted": 2}

// mitigate notes that Pod Security admission of the namespace would refuse the pod today: it stands in the finding, since
// pods made before the label was set go on running.
func mitigate(f *finding.Finding, namespace, level string) {
	need := 0
	for _, c := range f.Compliance {
		if l := podSecurityLevels[strings.TrimPrefix(c.Framework, "pss-")]; l > 0 && (need == 0 || l < need) {
			need = l
		}
	}
	if need == 0 || podSecurityLevels[level] < need {
		return
	}
	f.Mitigations = append(f.Mitigations, finding.Text{
		EN: fmt.Sprintf("Pod Security admission enforces %q in namespace %s: such a pod would be refused if it were created now.", level, namespace),
		ZH: fmt.Sprintf("命名空间 %s 已强制执行 Pod 安全准入级别 %q：此类 Pod 若现在创建将被拒绝。", namespace, level),
	})
}

// deniedRules reads which of our rules the cluster's admission policies enforce already: exported policies carry the ids of
// their rules, and count where a binding denies without narrowing the scope.
func (r *run) deniedRules() map[string]string {
	const group = ".admissionregistration.k8s.io"
	denied := map[string]string{}
	for _, b := range r.cluster.Objects["ValidatingAdmissionPolicyBinding"+group] {
		if !slices.Contains(inventory.Strs(b.Content, "spec", "validationActions"), "Deny") || inventory.Map(b.Content, "spec", "matchResources") != nil {
			continue
		}
		for _, p := range r.cluster.Objects["ValidatingAdmissionPolicy"+group] {
			if p.Name != inventory.Str(b.Content, "spec", "policyName") {
				continue
			}
			for id := range strings.SplitSeq(p.Annotations()["stockade.dev/rules"], ",") {
				denied[id] = p.Name
			}
		}
	}
	return denied
}

// refused notes that an admission policy would refuse the object today.
func refused(f *finding.Finding, policy string) {
	if policy == "" {
		return
	}
	f.Mitigations = append(f.Mitigations, finding.Text{
		EN: fmt.Sprintf("ValidatingAdmissionPolicy %s refuses such an object: it is from before the policy, or was let through.", policy),
		ZH: fmt.Sprintf("ValidatingAdmissionPolicy %s 会拒绝此类对象：该对象早于策略创建，或曾被放行。", policy),
	})
}

// describe completes the target when the stream has ended.
func (r *run) describe() {
	target := &r.cfg.Header.Target
	target.Counts = r.counts
	if why, ok := r.cluster.Unread["NodeFacts.stockade.dev"]; ok {
		r.told = append(r.told, finding.NotScanned{Target: target.Name, What: "node facts", Reason: why, Code: finding.Broken})
	}
	if r.cfg.Info == nil {
		return
	}
	info := r.cfg.Info()
	r.cluster.Version, r.cluster.Distribution, r.cluster.Managed = info.Version, info.Distribution, info.Managed
	target.Version, target.Distribution, target.Managed = info.Version, info.Distribution, info.Managed
	maps.Copy(r.cluster.Unread, info.Unread)
	for _, c := range r.cluster.CoreComponents() {
		part := finding.Component{Name: c.Name, Group: c.Group, Namespace: c.Namespace, Workload: c.Workload, Image: c.Image, Version: c.Version,
			NotScanned: c.NotScanned}
		if c.Of != nil {
			part.Static, part.Nodes = c.Of.Static, c.Of.Nodes
		}
		target.Components = append(target.Components, part)
	}
}

// score rates each risk type by its rules that had something to judge.
func (r *run) score() {
	seen := r.seenTargets()
	good, all := map[string]int{}, map[string]int{}
	for _, ru := range r.cfg.Library.Rules {
		if compliance.Missing(ru, seen) != "" || r.unjudged[ru.Name] || len(r.partly[ru.Name]) > 0 || !r.judged(ru) {
			continue
		}
		all[ru.Risk]++
		if len(r.byRule[ru.ID]) == 0 {
			good[ru.Risk]++
		}
	}
	r.cfg.Header.Target.Scores = map[string]int{}
	for risk, n := range all {
		r.cfg.Header.Target.Scores[risk] = 100 * good[risk] / n
	}
}

// judged reports whether there was an object for the rule to look at.
func (r *run) judged(ru *rule.Rule) bool {
	if len(ru.Match.Kinds) == 0 {
		return true
	}
	for kind := range r.kinds {
		if ru.Matches(kind) {
			return true
		}
	}
	return false
}

// clauses judges the frameworks asked for.
func (r *run) clauses() {
	failed := maps.Clone(r.unjudged)
	for key := range r.undecided {
		name, _, _ := strings.Cut(key, "\x00")
		failed[name] = true
	}
	for name := range r.partly { // what is not known of one node is not passed
		failed[name] = true
	}
	facts := compliance.Facts{Open: r.byRule, Undecided: failed, Managed: r.cluster.Managed, Seen: r.seenTargets()}
	for _, f := range r.cfg.Frameworks {
		for _, c := range f.Judge(r.cfg.Library.Rules, facts) {
			if r.failed == nil {
				r.failed = r.handler.Clause(c)
			}
		}
	}
}

// seenTargets says which kinds of settings were there to be judged: a clause about a component that nobody saw is not
// passed.
func (r *run) seenTargets() map[string]bool {
	seen := map[string]bool{"node": len(r.cluster.Nodes) > 0, "object": r.stats.Objects > 0}
	for _, c := range r.cluster.Components {
		seen[c.Name] = true
	}
	return seen
}

// untold reports everything that was not looked at.
func (r *run) untold() {
	for _, key := range sortedKeys(r.undecided) {
		name, reason, _ := strings.Cut(key, "\x00")
		r.told = append(r.told, finding.NotScanned{Target: r.cfg.Header.Target.Name, What: "rule " + name,
			Reason: fmt.Sprintf("could not judge %d objects, the first %s: %s", r.undecided[key].count, r.undecided[key].first, reason), Code: finding.Broken})
	}
	if r.cfg.Header.Target.Kind == "cluster" && !r.cfg.Partial {
		r.told = append(r.told, r.gaps()...)
	}
	if r.cfg.Software == nil {
		r.stats.Images = len(r.images)
	}
	for _, n := range r.told {
		if n.Code.Blocking() {
			r.summary.Partial++
		}
		if r.failed == nil {
			r.failed = r.handler.NotScanned(n)
		}
	}
}

// gaps are the parts of a cluster that a scan through the API cannot see.
func (r *run) gaps() []finding.NotScanned {
	var out []finding.NotScanned
	seen := r.seenTargets()
	name := r.cfg.Header.Target.Name
	for _, c := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"} {
		if seen[c] {
			continue
		}
		n := finding.NotScanned{Target: name, What: c + " settings", Code: finding.Skipped,
			Reason: "its flags cannot be seen through the API because it does not run as a pod that may be read"}
		if r.cluster.Managed {
			n.Code, n.Reason = finding.Managed, "not applicable: the control plane is run by the provider ("+r.cluster.Distribution+")"
		}
		out = append(out, n)
	}
	if !seen["node"] {
		out = append(out, finding.NotScanned{Target: name, What: "node files, kubelet settings and processes", Code: finding.Skipped,
			Reason: "no node facts: they come from the node agent or from a snapshot that holds them"})
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
