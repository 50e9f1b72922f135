package exception

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Status is how far an exception is in its life.
type Status string

// The statuses. The first two live; the others are ends, and no exception comes back from one.
const (
	Pending    Status = "pending"
	Approved   Status = "approved"
	Denied     Status = "denied"
	Canceled   Status = "canceled"
	Expired    Status = "expired"
	EndedByFix Status = "ended-by-fix"
)

// Statuses lists all.
var Statuses = []Status{Pending, Approved, Denied, Canceled, Expired, EndedByFix}

// Errors of this room, wrapped with what is wrong.
var (
	ErrInvalid   = errors.New("not a valid exception")
	ErrForbidden = errors.New("not allowed")
	ErrConflict  = errors.New("the exception is not in a state for this")
)

// Record is an exception as the server keeps it. The table exceptions in store/schema says what each column means.
type Record struct {
	bun.BaseModel `bun:"table:exceptions,alias:e" json:"-"`

	ID          int64      `bun:"id,pk,autoincrement" json:"id,string"`
	Status      Status     `bun:"status" json:"status" enum:"pending,approved,denied,canceled,expired,ended-by-fix"`
	Source      string     `bun:"source" json:"source,omitempty" doc:"vex: from a statement; absent: by hand"`
	TargetID    int64      `bun:"target_id" json:"targetId,string,omitempty" doc:"absent: all targets"`
	Namespace   string     `bun:"namespace" json:"-"`
	Rule        string     `bun:"rule" json:"-"`
	CVE         string     `bun:"cve" json:"-"`
	Package     string     `bun:"package" json:"-"`
	Image       string     `bun:"image" json:"-"`
	Fingerprint string     `bun:"fingerprint" json:"-"`
	Text        string     `bun:"scope" json:"-"` // Scope as JSON
	Scope       Scope      `bun:"-" json:"scope"`
	Reason      string     `bun:"reason" json:"reason"`
	Category    Category   `bun:"category" json:"category" enum:"risk-accepted,false-positive,mitigated,not-relevant,other"`
	RequesterID int64      `bun:"requester_id" json:"requesterId,string,omitempty"`
	Requester   string     `bun:"requester" json:"requester"`
	ApproverID  int64      `bun:"approver_id" json:"approverId,string,omitempty"`
	Approver    string     `bun:"approver" json:"approver,omitempty"`
	Note        string     `bun:"note" json:"note,omitempty" doc:"of who decided"`
	AskedAt     store.Time `bun:"asked_at" json:"askedAt" format:"date-time"`
	DecidedAt   store.Time `bun:"decided_at" json:"decidedAt,omitzero" format:"date-time"`
	ExpiresAt   store.Time `bun:"expires_at" json:"expiresAt,omitzero" format:"date-time" doc:"first moment at which it does not hold any more"`
	UntilFix    bool       `bun:"until_fix" json:"untilFix,omitempty" doc:"does not hold for vulnerabilities whose fix is known"`
	EndedAt     store.Time `bun:"ended_at" json:"endedAt,omitzero" format:"date-time"`
	ChangedAt   store.Time `bun:"changed_at" json:"-"`
	Settled     bool       `bun:"settled" json:"settled" doc:"all findings agree with the status"`
	CheckedAt   store.Time `bun:"checked_at" json:"-"`
	Told        bool       `bun:"told" json:"-"`
	Reminded    bool       `bun:"reminded" json:"-"`
	Reopened    int        `bun:"reopened" json:"reopened,omitempty" doc:"findings that were reopened"`
	UsedAt      store.Time `bun:"used_at" json:"usedAt,omitzero" format:"date-time" doc:"when it was last seen to accept a finding"`
	Unused      bool       `bun:"unused" json:"unused,omitempty" doc:"approved, and there is nothing for it to accept"`
	Revision    int        `bun:"revision" json:"revision"`

	Expires  string    `bun:"-" json:"expires,omitempty" doc:"the end as it is written: a last day or a time"`
	Findings int       `bun:"-" json:"findings" doc:"accepted by it now"`
	Comments []Comment `bun:"-" json:"comments,omitempty"`
}

// Comment is what somebody said about an exception.
type Comment struct {
	bun.BaseModel `bun:"table:exception_comments,alias:c" json:"-"`

	ID          int64      `bun:"id,pk,autoincrement" json:"id,string"`
	ExceptionID int64      `bun:"exception_id" json:"-"`
	At          store.Time `bun:"at" json:"at" format:"date-time"`
	UserID      int64      `bun:"user_id" json:"userId,string,omitempty"`
	Name        string     `bun:"name" json:"name"`
	Body        string     `bun:"body" json:"body"`
}

// Ended reports whether the exception is over.
func (r *Record) Ended() bool { return r.Status != Pending && r.Status != Approved }

// Exception is what of a record decides matching.
func (r *Record) Exception() Exception {
	return Exception{ID: r.ID, Target: r.TargetID, Scope: r.Scope, Reason: r.Reason, Category: r.Category, By: r.Approver,
		Expires: r.ExpiresAt.Time, UntilFix: r.UntilFix}
}

// place is the namespace that an exception is bound to: "" for a whole target. A pattern binds to none.
func (r *Record) place() string {
	if plain(r.Scope.Namespace) {
		return r.Scope.Namespace
	}
	return ""
}

// may reports whether p may do a on the exception.
func (r *Record) may(p *identity.Principal, a identity.Action) bool {
	return p.Can(a, r.TargetID, r.place())
}

// put fills the columns from a scope.
func (r *Record) put(s Scope) {
	r.Scope, r.Text = s, ledger.JSON(s)
	r.Namespace, r.Rule, r.CVE, r.Package, r.Image, r.Fingerprint = s.Namespace, s.Rule, s.CVE, s.Package, s.Image, s.Fingerprint
}

// read fills in what is not a column.
func (r *Record) read() error {
	if err := json.Unmarshal([]byte(r.Text), &r.Scope); err != nil {
		return fmt.Errorf("exception %d: its scope: %w", r.ID, err)
	}
	r.Expires = WriteUntil(r.ExpiresAt.Time)
	return nil
}

func (r *Record) object() string { return fmt.Sprintf("exception %d", r.ID) }

// summary is what the audit log says of an exception.
func (r *Record) summary() any {
	return map[string]any{"status": r.Status, "target": r.TargetID, "scope": r.Scope, "reason": r.Reason, "category": r.Category,
		"expires": WriteUntil(r.ExpiresAt.Time), "untilFix": r.UntilFix}
}

// tidy takes away what people leave around texts.
func tidy(s *Scope) {
	for _, p := range []*string{&s.Fingerprint, &s.Rule, &s.CVE, &s.Package, &s.Version, &s.PURL, &s.Image, &s.Digest, &s.Cluster, &s.Namespace,
		&s.Kind, &s.Name, &s.Container, &s.File, &s.Node, &s.Labels} {
		*p = strings.TrimSpace(*p)
	}
	if len(s.CVE) > 4 && strings.EqualFold(s.CVE[:4], "CVE-") {
		s.CVE = strings.ToUpper(s.CVE)
	}
}
