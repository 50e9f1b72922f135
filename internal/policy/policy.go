// Package policy says what may enter a cluster: which rules, image checks and users' templates hold for what, and what happens to
// what they find. It is the noun that everybody shares who keeps, compiles, previews, replays or enforces policies; Judge is its
// one engine, the same as the scan's, so that all of them come to the same verdict.
package policy

import (
	"time"

	"stockade.dev/stockade/internal/finding"
)

// Action is what happens to a request that violates a policy. Live objects are never touched.
type Action string

// The actions, the milder first.
const (
	Off   Action = ""      // the rule is not part of the policy
	Audit Action = "audit" // let in, recorded
	Warn  Action = "warn"  // let in, the user is told, recorded
	Block Action = "block" // refused, recorded
)

// Rank orders actions: 0 is Off, 3 is Block.
func (a Action) Rank() int {
	switch a {
	case Audit:
		return 1
	case Warn:
		return 2
	case Block:
		return 3
	}
	return 0
}

// Policy is one policy in one version.
type Policy struct {
	ID          int64  `json:"id,string,omitempty"`
	Version     int    `json:"version,omitempty" doc:"counts up with each change"`
	Name        string `json:"name" minLength:"1" maxLength:"100" doc:"of its own among the policies"`
	Description string `json:"description,omitempty" maxLength:"2000"`
	Disabled    bool   `json:"disabled,omitempty" doc:"kept, and not in force anywhere"`

	Action  Action  `json:"action" enum:"audit,warn,block" doc:"of every rule and check that has none of its own"`
	Rollout Rollout `json:"rollout,omitzero" doc:"when the policy begins to be sharper than audit"`

	Rules     []RuleUse      `json:"rules,omitempty" maxItems:"1000" doc:"rules of the library"`
	Checks    []ImageCheck   `json:"checks,omitempty" maxItems:"100" doc:"what images must be like"`
	Templates []TemplateUse  `json:"templates,omitempty" maxItems:"100" doc:"users' own ConstraintTemplates"`
	Allowed   []AllowedImage `json:"allowedImages,omitempty" maxItems:"1000" doc:"images that no check of this policy holds for"`
	Scope     Scope          `json:"scope,omitzero"`

	// Unanswered is what happens to an image of which no verdict is to be had: the provider is away, the server never knew it, or
	// what it knew is too old. Audit lets in and records.
	Unanswered Action `json:"unanswered,omitempty" enum:"audit,warn,block" doc:"for images without an answer; default audit: let in, recorded, judged later"`
	Engine     Engine `json:"engine,omitempty" enum:"gatekeeper,vap" doc:"who enforces the rules; default gatekeeper. vap: the API server itself, by ValidatingAdmissionPolicies, from 1.30 on; image checks and users' templates are Gatekeeper's always"`
	Mutate     bool   `json:"mutate,omitempty" doc:"tags are replaced by digests as pods are created"`
}

// Engine is who enforces rules.
type Engine string

// The engines.
const (
	Gatekeeper Engine = "gatekeeper"
	VAP        Engine = "vap"
)

// Rollout makes a policy sharper at dates: until Warn everything is audited at most, until Block nothing is blocked. A zero date does
// not hold anything back.
type Rollout struct {
	Warn  time.Time `json:"warnFrom,omitzero" format:"date-time"`
	Block time.Time `json:"blockFrom,omitzero" format:"date-time"`
}

// At is what an action is at a time.
func (r Rollout) At(a Action, now time.Time) Action {
	if a == Block && now.Before(r.Block) {
		a = Warn
	}
	if a == Warn && now.Before(r.Warn) {
		a = Audit
	}
	return a
}

// RuleUse is a rule of the library in a policy.
type RuleUse struct {
	Rule   string         `json:"rule" maxLength:"200" doc:"name, as workload/privileged-container"`
	Action Action         `json:"action,omitempty" enum:"audit,warn,block" doc:"default: the policy's"`
	Params map[string]any `json:"params,omitempty" doc:"parameters that differ from the rule's own"`
}

// TemplateUse is a user's ConstraintTemplate in a policy.
type TemplateUse struct {
	Template string         `json:"template" maxLength:"100" doc:"name of a template that is kept, its metadata.name"`
	Action   Action         `json:"action,omitempty" enum:"audit,warn,block"`
	Params   map[string]any `json:"params,omitempty" doc:"of the constraint"`
	Kinds    []string       `json:"kinds,omitempty" doc:"Kind or Kind.group; default: those of the policy's scope, else Pods and what makes them"`
}

// Template is a user's own ConstraintTemplate, in Rego or CEL, as it is kept.
type Template struct {
	Name        string       `json:"name"`
	Title       finding.Text `json:"title,omitzero"`
	Description string       `json:"description,omitempty"`
	YAML        string       `json:"yaml" maxLength:"1000000" doc:"one ConstraintTemplate"`
}

// Scope says for which requests a policy holds. Every field that is set must match; lists match by any entry. Patterns read * as
// anything, ? as one character and [a-z] as one of a range.
type Scope struct {
	Clusters           []int64  `json:"clusters,omitempty" doc:"ids; none is every protected cluster"`
	Namespaces         []string `json:"namespaces,omitempty" maxItems:"1000" doc:"patterns with * at the beginning or end; none is all but system namespaces"`
	ExcludedNamespaces []string `json:"excludedNamespaces,omitempty" maxItems:"1000"`
	SystemNamespaces   bool     `json:"systemNamespaces,omitempty" doc:"the policy holds in system namespaces too: it can lock a cluster out"`
	NamespaceSelector  string   `json:"namespaceSelector,omitempty" maxLength:"1000" doc:"labels of namespaces, as kubectl writes them: team=shop,tier in (web,api)"`
	ObjectSelector     string   `json:"objectSelector,omitempty" maxLength:"1000" doc:"labels of objects"`
	Kinds              []string `json:"kinds,omitempty" maxItems:"100" doc:"Kind or Kind.group; none is all that the rules look at"`
	Images             []string `json:"images,omitempty" maxItems:"1000" doc:"patterns of references; only containers of such images are judged"`
	ExcludedImages     []string `json:"excludedImages,omitempty" maxItems:"1000" doc:"containers of such images are not judged"`
	Operations         []string `json:"operations,omitempty" enum:"CREATE,UPDATE" doc:"none is both"`
	Users              []string `json:"exceptUsers,omitempty" maxItems:"100" doc:"names of users whose requests are let in"`
	Groups             []string `json:"exceptGroups,omitempty" maxItems:"100" doc:"groups whose requests are let in"`
}

// SystemNamespaces are left alone unless a policy says otherwise: a policy that keeps them from starting pods locks a cluster out.
var SystemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease", "gatekeeper-system", "stockade", "stockade-protect"}
