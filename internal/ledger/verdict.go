package ledger

import (
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/store"
)

// Verdict is the body of a row of clauses. What a clause fails by is not in it: those are the findings of its rules, which live on.
type Verdict struct {
	Title  finding.Text `json:"title"`
	Reason finding.Text `json:"reason"` // why it is manual or not applicable
}

// Attestation is a row of attestations: what a person found out of a clause that rules do not decide.
type Attestation struct {
	bun.BaseModel `bun:"table:attestations,alias:a" json:"-"`

	ID        int64      `bun:"id,pk,autoincrement" json:"id,string"`
	TargetID  int64      `bun:"target_id" json:"targetId,string"`
	Framework string     `bun:"framework" json:"framework"`
	Clause    string     `bun:"clause" json:"clause"`
	Verdict   string     `bun:"verdict" json:"verdict" enum:"pass,fail,not-applicable"`
	Note      string     `bun:"note" json:"note"`
	Evidence  string     `bun:"evidence" json:"evidence,omitempty" doc:"what was looked at: a place, a document, a ticket"`
	UserID    int64      `bun:"user_id" json:"userId,string"`
	By        string     `bun:"by_name" json:"by"`
	At        store.Time `bun:"at" json:"at" format:"date-time"`
	ExpiresAt store.Time `bun:"expires_at" json:"expiresAt" format:"date-time"`
	EndedAt   store.Time `bun:"ended_at" json:"endedAt,omitzero" format:"date-time" doc:"when it was withdrawn or replaced"`
}
