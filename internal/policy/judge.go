package policy

import (
	"context"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Request is what is judged: an admission request, or an object that is already there.
type Request struct {
	Operation       string // CREATE or UPDATE; "" for an object that is there, which no operation, user or group keeps out
	SubResource     string // as ephemeralcontainers
	User            string
	Groups          []string
	Object          *inventory.Object
	Old             *inventory.Object // of an update; may be nil
	NamespaceLabels map[string]string
	At              time.Time
}

// Violation is one thing that a policy has against a request.
type Violation struct {
	Policy    int64            `json:"policy,string"`
	Version   int              `json:"version"`
	Name      string           `json:"policyName"`
	Rule      string           `json:"rule"`   // of the library: its name; "image/<check>" for checks, "template/<name>" for users' templates
	RuleID    string           `json:"ruleId"` // as STK-W-0001; empty for templates
	Action    Action           `json:"action"`
	Severity  finding.Severity `json:"severity"`
	Title     finding.Text     `json:"title"`
	Message   finding.Text     `json:"message"` // what was found, where
	Fix       finding.Text     `json:"fix"`
	Container string           `json:"container,omitempty"`
	Image     string           `json:"image,omitempty"`
	Digest    string           `json:"digest,omitempty"`
	Path      string           `json:"path,omitempty"` // in the object
	Found     any              `json:"found,omitempty"`
	Want      any              `json:"want,omitempty"`
	Items     []string         `json:"items,omitempty"`            // of image checks: what was found, the first few
	Exception int64            `json:"exception,string,omitempty"` // that lets it pass all the same; FromFile of one without an id

	// Unless is Failure.Pardons, until Exception is found.
	Unless [][]int64 `json:"-"`

	item    string       // stable name of the element at fault, as the scan's fingerprint has it
	lead    finding.Text // of image checks: what was found without the items
	itemsZH []string     // Failure.ItemsZH
	count   int          // of items, with those that are not listed
}

// Outcome is what becomes of a request.
type Outcome struct {
	Violations []Violation // also those that an exception lets pass
	// Undecided are rules and checks that came to no verdict, with the reason: neither good nor bad.
	Undecided []Undecided
}

// Undecided is a rule or check without a verdict.
type Undecided struct {
	Policy int64  `json:"policy,string"`
	Rule   string `json:"rule"`
	Image  string `json:"image,omitempty"`
	Action Action `json:"action"` // what the policy does with it: Policy.Unanswered for images, audit for the rest
	Reason string `json:"reason"`
}

// Action is the sharpest action of the violations that no exception lets pass, and of what is undecided.
func (o *Outcome) Action() Action {
	out := Off
	for i := range o.Violations {
		if v := &o.Violations[i]; v.Exception == 0 && v.Action.Rank() > out.Rank() {
			out = v.Action
		}
	}
	for i := range o.Undecided {
		if u := &o.Undecided[i]; u.Action.Rank() > out.Rank() {
			out = u.Action
		}
	}
	return out
}

// Images answers for images. Implementations: the provider's memory, the server's own results, a file of the command line.
type Images interface {
	// Verdict says what is known of an image as a pod names it. It does not wait for scans.
	Verdict(ctx context.Context, reference, namespace string, pullSecrets []string) (*ImageVerdict, error)
}
