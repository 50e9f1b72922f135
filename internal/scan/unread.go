package scan

import (
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// notRead tells what could not be read on a node. Rules that ask for it are not decided there: that they found nothing says nothing.
func (r *run) notRead(n *inventory.NodeFacts) {
	for _, s := range n.Skipped {
		r.told = append(r.told, finding.NotScanned{Target: n.Name, What: s.Check, Reason: s.Reason + " (needs " + s.Needs + ")", Code: finding.Code(s.Code)})
		if s.Code == string(finding.Limit) && s.Check != inventory.MalwareCheck {
			continue // most of it was judged
		}
		for _, ru := range r.cfg.Library.Rules {
			if asks(ru, s.Check) {
				r.notOn(ru.Name, n.Name)
			}
		}
	}
}

// notOn notes that a rule says nothing of a node. What it says of others counts.
func (r *run) notOn(ru, node string) {
	if r.partly[ru] == nil {
		r.partly[ru] = map[string]bool{}
	}
	r.partly[ru][node] = true
}

// undecidedOn tells, once, that a rule could not be decided on a node.
func (r *run) undecidedOn(ru *rule.Rule, node string, err error) {
	if !r.partly[ru.Name][node] {
		r.told = append(r.told, finding.NotScanned{Target: node, What: "rule " + ru.Name, Reason: "not decided on this node: " + err.Error(), Code: finding.Broken})
	}
	r.notOn(ru.Name, node)
}

var word = regexp.MustCompile(`[A-Za-z0-9_-]+`)

// asks reports whether a rule over node facts asks for what a check reads: "containers" for all that is below it,
// "files/kubelet-config" for files of one role.
func asks(ru *rule.Rule, check string) bool {
	v := ru.Validate
	if v == nil || v.Over != "node" {
		return false
	}
	words := map[string]bool{}
	for _, w := range word.FindAllString(v.Each+" "+v.Expression, -1) {
		words[w] = true
	}
	for part := range strings.SplitSeq(check, "/") {
		if !words[part] {
			return false
		}
	}
	return true
}
