// Package attest keeps what people find out by hand of clauses that rules do not decide: who says so, why, on what evidence and
// until when. An attestation stands beside a verdict and never takes its place.
package attest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Bounds of an attestation.
const (
	maxNote  = 4000 // bytes
	lasts    = 365 * 24 * time.Hour
	lastsMax = 2 * lasts
)

// Errors of attestations.
var (
	ErrInvalid   = errors.New("this cannot be attested")
	ErrForbidden = errors.New("your roles do not allow this")
	ErrDecided   = errors.New("rules decide this clause")
)

// Input is what a person gives.
type Input struct {
	TargetID  int64      `json:"targetId,string"`
	Verdict   string     `json:"verdict" enum:"pass,fail,not-applicable"`
	Note      string     `json:"note" minLength:"1" maxLength:"4000" doc:"what was found out, and how"`
	Evidence  string     `json:"evidence,omitempty" maxLength:"4000" doc:"what was looked at: a place, a document, a ticket"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"when somebody must look again: default in a year, at most two"`
}

// Desk takes attestations in.
type Desk struct {
	db  *store.DB
	now func() time.Time
}

// New makes a Desk; now nil is the clock.
func New(db *store.DB, now func() time.Time) *Desk {
	if now == nil {
		now = time.Now
	}
	return &Desk{db: db, now: now}
}

// may asks whether the principal of ctx may attest for a whole target; what it does not see is not there.
func may(ctx context.Context, target int64) error {
	p := identity.From(ctx)
	switch {
	case !p.Visible(identity.Read).Whole(target):
		return store.ErrNotFound
	case !p.Can(identity.Handle, target, ""):
		return fmt.Errorf("%w: an attestation is of the whole cluster", ErrForbidden)
	}
	return nil
}

// fill checks what was given and makes the row of it.
func (d *Desk) fill(in Input) (*ledger.Attestation, error) {
	now := d.now()
	a := &ledger.Attestation{TargetID: in.TargetID, Verdict: in.Verdict, Note: strings.TrimSpace(in.Note), Evidence: strings.TrimSpace(in.Evidence),
		At: store.At(now), ExpiresAt: store.At(now.Add(lasts))}
	if in.ExpiresAt != nil {
		a.ExpiresAt = store.At(*in.ExpiresAt)
	}
	switch {
	case !slices.Contains([]string{string(finding.Pass), string(finding.Fail), string(finding.NotApplicable)}, a.Verdict):
		return nil, fmt.Errorf("%w: verdict %q: want pass, fail or not-applicable", ErrInvalid, a.Verdict)
	case a.Note == "" || len(a.Note) > maxNote || len(a.Evidence) > maxNote || strings.ContainsRune(a.Note+a.Evidence, 0):
		return nil, fmt.Errorf("%w: a note of 1 to %d bytes is wanted, and evidence of as many", ErrInvalid, maxNote)
	case !a.ExpiresAt.After(now):
		return nil, fmt.Errorf("%w: it would have expired already", ErrInvalid)
	case a.ExpiresAt.After(now.Add(lastsMax + 24*time.Hour)):
		return nil, fmt.Errorf("%w: it must expire within two years", ErrInvalid)
	}
	return a, nil
}

// Record takes an attestation in, in place of the one that held before.
func (d *Desk) Record(ctx context.Context, framework, clause string, in Input) (*ledger.Attestation, error) {
	if err := may(ctx, in.TargetID); err != nil {
		return nil, err
	}
	a, err := d.fill(in)
	if err != nil {
		return nil, err
	}
	p := identity.From(ctx)
	a.Framework, a.Clause, a.UserID, a.By = framework, clause, p.UserID, p.Name
	return a, d.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var target, status string
		err := tx.NewRaw("SELECT t.name, c.status FROM clauses AS c JOIN targets AS t ON t.id = c.target_id WHERE c.target_id = ? AND c.framework = ? AND c.clause = ? AND t.removed_at = 0",
			a.TargetID, framework, clause).Scan(ctx, &target, &status)
		if err != nil {
			return store.NotFound(err)
		}
		if status != string(finding.Manual) {
			return fmt.Errorf("%w: its verdict is %s", ErrDecided, status)
		}
		_, err = tx.NewUpdate().Model((*ledger.Attestation)(nil)).Set("ended_at = ?", a.At).
			Where("target_id = ? AND framework = ? AND clause = ? AND ended_at = 0", a.TargetID, framework, clause).Exec(ctx)
		if err != nil {
			return err
		}
		a.ID = 0
		if _, err := tx.NewInsert().Model(a).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "attestation.add", object(a, target), a.TargetID, nil, a)
	})
}

func object(a *ledger.Attestation, target string) string {
	return fmt.Sprintf("%s %s in %s", a.Framework, a.Clause, target)
}

// Withdraw ends an attestation.
func (d *Desk) Withdraw(ctx context.Context, id int64) error {
	return d.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		a := new(ledger.Attestation)
		if err := tx.NewSelect().Model(a).Where("id = ?", id).Scan(ctx); err != nil {
			return store.NotFound(err)
		}
		if err := may(ctx, a.TargetID); err != nil {
			return err
		}
		if !a.EndedAt.IsZero() {
			return fmt.Errorf("%w: it was withdrawn or replaced already", ErrInvalid)
		}
		var target string
		if err := tx.NewRaw("SELECT name FROM targets WHERE id = ?", a.TargetID).Scan(ctx, &target); err != nil {
			return err
		}
		before := *a
		a.EndedAt = store.At(d.now())
		if _, err := tx.NewUpdate().Model(a).Column("ended_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "attestation.withdraw", object(a, target), a.TargetID, before, nil)
	})
}
