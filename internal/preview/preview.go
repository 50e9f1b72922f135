// Package preview says what a policy would do before it does anything: to the objects of clusters as they are now, and to the
// admissions that were recorded. It asks the engine that scans and admission use, and changes nothing.
package preview

import (
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
)

// Bounds of an answer and of what it costs.
const (
	DefaultOwners = 50     // shown of a group
	MaxOwners     = 500    //
	maxKept       = 50_000 // owners that are told apart, over all groups
	maxUndecided  = 200
	maxClusters   = 50
	MaxReplayDays = 90
	maxChanges    = 1000
	maxPartial    = 50
	maxSpaces     = 100
	maxUsers      = 20
)

// Question is what is to be previewed.
type Question struct {
	Policy      policy.Policy // as it may become; in force nowhere
	BaseID      int64         // policy to compare with; 0 is none
	BaseVersion int           // of it; 0 is the present one
	// Templates are those that are not kept yet; others are taken from the book.
	Templates  []policy.Template
	Targets    []int64 // clusters; none is those of the policy's scope, else all that may be seen
	NoLive     bool    // do not look at what is there
	ReplayDays int     // how far back recorded admissions are judged; 0 is not at all
	Owners     int     // shown of each group; 0 is DefaultOwners
}

// Result says what the policy would do.
type Result struct {
	Live   *Live   `json:"live,omitempty"`
	Replay *Replay `json:"replay,omitempty" doc:"when it was asked for"`
	Diff   *Diff   `json:"diff,omitempty" doc:"against the base, when one was given"`
}

// Live is what the policy has against objects that are there.
type Live struct {
	Clusters  []Cluster      `json:"clusters"`
	Objects   int            `json:"objects" doc:"looked at"`
	Violating int            `json:"violating" doc:"objects with a violation that no exception lets pass"`
	Excepted  int            `json:"excepted" doc:"objects that would violate, but for exceptions"`
	ByAction  map[string]int `json:"byAction" doc:"violating objects by what would happen to them if they came now: audit, warn, block"`
	Groups    []Group        `json:"groups"`
	Undecided []Undecided    `json:"undecided"`
	Cut       bool           `json:"cut,omitempty" doc:"there were too many owners to tell all apart: counts hold, lists do not have all"`
}

// Cluster is a cluster that was looked at.
type Cluster struct {
	Target  int64    `json:"target,string"`
	Name    string   `json:"name"`
	Objects int      `json:"objects"`
	Millis  int64    `json:"millis"`
	Partial []string `json:"partial,omitempty" doc:"what could not be read, and why"`
	Error   string   `json:"error,omitempty" doc:"nothing could be read"`
}

// Group is a rule or check, with what it would hit.
type Group struct {
	Rule     string           `json:"rule" doc:"workload/privileged-container, image/vulnerability, template/NAME"`
	RuleID   string           `json:"ruleId,omitempty"`
	Title    finding.Text     `json:"title"`
	Fix      finding.Text     `json:"fix,omitzero"`
	Severity finding.Severity `json:"severity"`
	Action   policy.Action    `json:"action" enum:"audit,warn,block"`
	Count    int              `json:"count" doc:"objects, or admissions"`
	Excepted int              `json:"excepted,omitempty" doc:"more, that exceptions let pass"`
	Owners   []Owner          `json:"owners" doc:"the largest first"`
	More     int              `json:"more,omitempty" doc:"owners that are not shown"`
	Spaces   []Space          `json:"namespaces" doc:"the largest first"`
}

// Space counts in one namespace.
type Space struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Count     int    `json:"count"`
}

// Owner is a workload or object that is hit.
type Owner struct {
	Target    int64        `json:"target,string,omitempty"`
	Cluster   string       `json:"cluster,omitempty"`
	Namespace string       `json:"namespace,omitempty"`
	Kind      string       `json:"kind"`
	Name      string       `json:"name"`
	Count     int          `json:"count" doc:"objects of it, or admissions"`
	Message   finding.Text `json:"message" doc:"of one of them"`
	Refusal   string       `json:"refusal,omitempty" doc:"the line that kubectl would show"`
	Container string       `json:"container,omitempty"`
	Image     string       `json:"image,omitempty"`
	Path      string       `json:"path,omitempty"`
	Found     any          `json:"found,omitempty"`
	Want      any          `json:"want,omitempty"`
	File      string       `json:"file,omitempty"`
	Line      int          `json:"line,omitempty"`
	Exception int64        `json:"exception,string,omitempty" doc:"that lets it pass"`
}

// Undecided is a rule or check that came to no verdict.
type Undecided struct {
	Rule   string        `json:"rule"`
	Image  string        `json:"image,omitempty"`
	Action policy.Action `json:"action" doc:"what the policy does with it"`
	Reason string        `json:"reason"`
	Text   finding.Text  `json:"text" doc:"the reason, with what registries and scans said of it as they said it"`
	Count  int           `json:"count" doc:"objects"`
	First  string        `json:"first" doc:"one of them"`
}

// Replay is what the policy would have done with admissions that were recorded.
type Replay struct {
	From       time.Time      `json:"from" format:"date-time"`
	To         time.Time      `json:"to" format:"date-time"`
	Admissions int            `json:"admissions" doc:"judged"`
	Unread     int            `json:"unread,omitempty" doc:"recorded without their object: it was too large or is not kept any more"`
	Blocked    int            `json:"blocked"`
	Warned     int            `json:"warned"`
	Audited    int            `json:"audited"`
	Millis     int64          `json:"millis"`
	Groups     []Group        `json:"groups"`
	Undecided  []Undecided    `json:"undecided"`
	Partial    []string       `json:"partial,omitempty" doc:"what could not be read, and why"`
	Users      map[string]int `json:"users,omitempty" doc:"whose requests would have been blocked, the most frequent"`
	Cut        bool           `json:"cut,omitempty"`
}

// Diff is what another version changes.
type Diff struct {
	Added   []Change `json:"added" doc:"what is hit, or hit more sharply, than by the base"`
	Removed []Change `json:"removed" doc:"what is not hit any more, or more mildly"`
	Cut     bool     `json:"cut,omitempty" doc:"there are more"`
}

// Change is an owner that a rule treats otherwise.
type Change struct {
	Rule   string        `json:"rule"`
	RuleID string        `json:"ruleId,omitempty"`
	Title  finding.Text  `json:"title"`
	Action policy.Action `json:"action,omitempty" doc:"absent: not hit"`
	Was    policy.Action `json:"was,omitempty" doc:"by the base; absent: not hit"`
	Owner
}
