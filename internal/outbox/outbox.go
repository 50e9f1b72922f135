// Package outbox keeps messages about changes from the transaction of the change until they are delivered, so that none is lost
// and none is told of a change that was taken back.
package outbox

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// The topics.
const (
	FindingsChanged   = "findings.changed"   // body ledger.Change
	ClusterState      = "cluster.state"      // {"cluster","state","reason"}
	TaskFinished      = "task.finished"      // {"task","name","status","failed"}
	ExceptionAsked    = "exception.asked"    // {"exception","reason","requester"}
	ExceptionDecided  = "exception.decided"  // {"exception","status","approver"}
	ExceptionEnded    = "exception.ended"    // {"exception","why","reopened"}
	ExceptionExpiring = "exception.expiring" // {"exception","expires","reason","requester"}: some days before its end, once
	PolicyChanged     = "policy.changed"     // {"policy","name","version","change","by"}: change is add, change or delete
	ReportDue         = "report.due"         // {"report"}
	ProtectionState   = "protection.state"   // {"cluster","state","reason"}
	ProtectionDrift   = "protection.drift"   // {"cluster","object","change","actor","repaired"}

	NodesState = "nodes.state" // body Nodes: agents that went away or cannot do their work, machines that imitate nodes, and that they are back

	ProtectionBlocked   = "protection.blocked"   // body Protection: requests that policies refused
	ProtectionUnchecked = "protection.unchecked" // body Protection: requests that nobody judged
	ProtectionTurned    = "protection.turned"    // body Protection: images that were let in and turned out to be bad
)

// Protection is what happened at the door of a cluster: groups of the same policy, rule and owner.
type Protection struct {
	At       store.Time        `json:"at"`
	Digest   bool              `json:"digest,omitempty"` // groups that were told of before
	Requests int64             `json:"requests"`
	Total    int               `json:"total"`         // groups
	Bad      int               `json:"bad,omitempty"` // of unchecked admissions: those that violate a policy
	Groups   []ProtectionGroup `json:"groups"`        // the worst; at most MostGroups
}

// ProtectionGroup is an event, or an unchecked admission.
type ProtectionGroup struct {
	ID        int64           `json:"id,string"`
	Severity  ledger.Severity `json:"severity"`
	Rule      string          `json:"rule,omitempty"`
	Title     string          `json:"title"`
	TitleZH   string          `json:"titleZh"`
	Policy    string          `json:"policy,omitempty"`
	Namespace string          `json:"namespace,omitempty"`
	Owner     string          `json:"owner,omitempty"` // "Deployment till"
	Image     string          `json:"image,omitempty"`
	Requests  int64           `json:"requests"`
}

// Nodes is what became of the agents of a cluster's nodes, in numbers and with the first names of each.
type Nodes struct {
	At            store.Time `json:"at"`
	Away          int        `json:"away,omitempty"`     // not heard of
	Degraded      int        `json:"degraded,omitempty"` // something that was asked for cannot be read
	Claimed       int        `json:"claimed,omitempty"`  // another machine wants to be the node, and was refused
	Back          int        `json:"back,omitempty"`     // well again
	AwayNames     []string   `json:"awayNames,omitempty"`
	DegradedNames []string   `json:"degradedNames,omitempty"`
	ClaimedNames  []string   `json:"claimedNames,omitempty"`
	BackNames     []string   `json:"backNames,omitempty"`
}

// MostGroups is how many groups a message lists.
const MostGroups = 200

// Message is a row of the table outbox.
type Message struct {
	bun.BaseModel `bun:"table:outbox,alias:o"`

	ID       int64      `bun:"id,pk,autoincrement"`
	Topic    string     `bun:"topic"`
	TargetID int64      `bun:"target_id"`
	At       store.Time `bun:"at"`
	Body     string     `bun:"body"`
}

// Put writes a message in the transaction of the change that it tells.
func Put(ctx context.Context, tx bun.IDB, topic string, target int64, body any) error {
	_, err := tx.NewInsert().Model(&Message{Topic: topic, TargetID: target, At: store.At(time.Now()), Body: ledger.JSON(body)}).Exec(ctx)
	return err
}
