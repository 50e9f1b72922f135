package ledger

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/store"
)

// Row is a finding as the table keeps it. The table findings in store/schema says what each column means.
type Row struct {
	bun.BaseModel `bun:"table:findings,alias:f" json:"-"`

	ID          int64      `bun:"id,pk,autoincrement" json:"id,string"`
	TargetID    int64      `bun:"target_id" json:"targetId,string"`
	Fingerprint []byte     `bun:"fingerprint" json:"-"`
	RiskID      int64      `bun:"risk_id" json:"riskId,string"`
	AssetID     int64      `bun:"asset_id" json:"assetId,string"`
	Kind        Kind       `bun:"kind" json:"kind"`
	Severity    Severity   `bun:"severity" json:"severity"`
	State       State      `bun:"state" json:"state"`
	Handling    Handling   `bun:"handling" json:"handling"`
	Status      Status     `bun:"status" json:"status"`
	Cause       Cause      `bun:"cause" json:"cause,omitempty"`
	Priority    int        `bun:"priority" json:"priority"`
	KEV         bool       `bun:"kev" json:"kev,omitempty"`
	Fixable     bool       `bun:"fixable" json:"fixable,omitempty"`
	Rule        string     `bun:"rule" json:"rule"`
	Package     string     `bun:"package" json:"package,omitempty"`
	Version     string     `bun:"version" json:"version,omitempty"`
	Namespace   string     `bun:"namespace" json:"namespace,omitempty"`
	Resource    string     `bun:"resource" json:"resource,omitempty"`
	Image       string     `bun:"image" json:"image,omitempty"`
	Digest      string     `bun:"digest" json:"digest,omitempty"`
	Hash        int64      `bun:"hash" json:"-"`
	RuleHash    int64      `bun:"rule_hash" json:"-"`
	FirstSeen   store.Time `bun:"first_seen" json:"firstSeen" format:"date-time"`
	LastSeen    store.Time `bun:"last_seen" json:"lastSeen" format:"date-time"` // browse fills in the target's time where it is none
	ChangedAt   store.Time `bun:"changed_at" json:"changedAt" format:"date-time"`
	ExceptionID int64      `bun:"exception_id" json:"exceptionId,string,omitempty"`
	AssigneeID  int64      `bun:"assignee_id" json:"assigneeId,string,omitempty"`
}

// Advice is what the findings of a rule, or of a vulnerability in a package, have in common.
type Advice struct {
	RuleID      string              `json:"ruleId,omitempty"`
	Aliases     []string            `json:"aliases,omitempty"`
	Risk        string              `json:"risk,omitempty"`
	Title       finding.Text        `json:"title"`
	Remediation finding.Text        `json:"remediation"`
	References  []string            `json:"references,omitempty"`
	Compliance  []finding.ClauseRef `json:"compliance,omitempty"`
}

// Detail is the rest of a finding. With Row and Advice it gives the finding.Finding back.
type Detail struct {
	Kind          finding.Kind          `json:"kind"` // the document's kind
	Message       finding.Text          `json:"message"`
	Resource      finding.Resource      `json:"resource"`
	Evidence      []finding.Evidence    `json:"evidence,omitempty"`
	Vulnerability *finding.Vulnerable   `json:"vulnerability,omitempty"`
	Priority      *finding.Priority     `json:"priority,omitempty"`
	Suppression   *finding.Suppression  `json:"suppression,omitempty"` // of the scan: inline, VEX
	Mitigations   []finding.Text        `json:"mitigations,omitempty"`
	Snippet       *finding.Snippet      `json:"snippet,omitempty"`
	Emergency     *finding.Verification `json:"emergency,omitempty"`
}

// Target is a row of targets.
type Target struct {
	ID        int64      `bun:"id,pk,autoincrement" json:"id,string"`
	Kind      string     `bun:"kind" json:"kind" enum:"cluster,project,node"`
	Name      string     `bun:"name" json:"name"`
	CreatedAt store.Time `bun:"created_at" json:"createdAt" format:"date-time"`
	RemovedAt store.Time `bun:"removed_at" json:"-"`
	LookedAt  store.Time `bun:"looked_at" json:"lookedAt" format:"date-time"`
	RunID     int64      `bun:"run_id" json:"-"`
}

// Run is a row of runs: one look at a target and what it changed.
type Run struct {
	ID         int64      `bun:"id,pk,autoincrement" json:"id,string"`
	TargetID   int64      `bun:"target_id" json:"targetId,string"`
	TaskID     int64      `bun:"task_id" json:"taskId,string,omitempty"`
	Kind       string     `bun:"kind" json:"kind" enum:"full,part,watch,verify,upload"`
	StartedAt  store.Time `bun:"started_at" json:"startedAt" format:"date-time"`
	FinishedAt store.Time `bun:"finished_at" json:"finishedAt" format:"date-time"`
	Rules      string     `bun:"rules" json:"rules,omitempty"`
	Database   string     `bun:"database" json:"database,omitempty"`
	Added      int        `bun:"added" json:"added"`
	Changed    int        `bun:"changed" json:"changed"`
	Reopened   int        `bun:"reopened" json:"reopened"`
	Fixed      int        `bun:"fixed" json:"fixed"`
	Gone       int        `bun:"gone" json:"gone"`
	Unseen     int        `bun:"unseen" json:"unseen"`
	Unchanged  int        `bun:"unchanged" json:"unchanged"`
	Stats      string     `bun:"stats" json:"-"`
}

// Event is a row of history.
type Event struct {
	bun.BaseModel `bun:"table:history,alias:h" json:"-"`

	ID        int64      `bun:"id,pk,autoincrement" json:"id,string"`
	FindingID int64      `bun:"finding_id" json:"findingId,string"`
	TargetID  int64      `bun:"target_id" json:"-"`
	RunID     int64      `bun:"run_id" json:"runId,string,omitempty"`
	UserID    int64      `bun:"user_id" json:"userId,string,omitempty"`
	At        store.Time `bun:"at" json:"at" format:"date-time"`
	Action    Action     `bun:"action" json:"action"`
	Before    Status     `bun:"before" json:"before"`
	After     Status     `bun:"after" json:"after"`
	Cause     Cause      `bun:"cause" json:"cause,omitempty"`
	Note      string     `bun:"note" json:"note,omitempty"`
}

// Gap is a row of gaps: what was not scanned at the last look.
type Gap struct {
	ID       int64      `bun:"id,pk,autoincrement" json:"id,string"`
	TargetID int64      `bun:"target_id" json:"targetId,string"`
	Part     string     `bun:"part" json:"part"`
	What     string     `bun:"what" json:"what"`
	Subject  string     `bun:"subject" json:"subject"`
	Reason   string     `bun:"reason" json:"reason"`
	Code     string     `bun:"code" json:"code"`
	Since    store.Time `bun:"since" json:"since" format:"date-time"`
}

// Change is the body of the outbox topic "findings.changed": what a run, or people, changed.
type Change struct {
	RunID    int64            `json:"runId,omitempty"`
	UserID   int64            `json:"userId,omitempty"`
	At       store.Time       `json:"at"` // new findings have this first_seen, changed ones this changed_at
	Opened   map[Severity]int `json:"opened,omitempty"`
	Reopened map[Severity]int `json:"reopened,omitempty"`
	Closed   int              `json:"closed,omitempty"`
}

// AddTarget registers something to scan. Names are unique within a kind; a removed target's name is free again.
func AddTarget(ctx context.Context, tx bun.IDB, kind, name string, now time.Time) (*Target, error) {
	t := &Target{Kind: kind, Name: name, CreatedAt: store.At(now)}
	_, err := tx.NewInsert().Model(t).Exec(ctx)
	return t, err
}

// JSON writes v; nouns of this room always can be.
func JSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(b)
}
