package exception

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

// Limits of texts, in bytes.
const (
	maxReason  = 4000
	maxComment = 4000
)

// Draft is where an exception is to hold.
type Draft struct {
	FindingID int64 `json:"findingId,string,omitempty" doc:"of one finding: its target, namespace and fingerprint are taken into the scope"`
	TargetID  int64 `json:"targetId,string,omitempty" doc:"absent: all targets"`
	Scope     Scope `json:"scope,omitempty"`
	UntilFix  bool  `json:"untilFix,omitempty" doc:"ends for each finding when a fix of it is known"`
}

// Request asks for an exception.
type Request struct {
	Draft
	Reason   string   `json:"reason" minLength:"1" maxLength:"4000"`
	Category Category `json:"category" enum:"risk-accepted,false-positive,mitigated,not-relevant,other"`
	Expires  string   `json:"expires,omitempty" maxLength:"40" doc:"last day (2027-03-31, UTC) or RFC 3339 time; absent: none"`
}

// record makes a record of a request for the principal of ctx. It asks whether there is such a target and whether the principal
// may do action there.
func (b *Book) record(ctx context.Context, q Request, action identity.Action) (*Record, error) {
	p := identity.From(ctx)
	if q.FindingID != 0 {
		if err := b.ofFinding(ctx, &q, p); err != nil {
			return nil, err
		}
	}
	tidy(&q.Scope)
	r := &Record{Status: Pending, TargetID: q.TargetID, Reason: strings.TrimSpace(q.Reason), Category: q.Category, UntilFix: q.UntilFix,
		AskedAt: store.At(b.Now()), ChangedAt: store.At(b.Now()), Settled: true, Revision: 1}
	if p != nil {
		r.RequesterID, r.Requester = p.UserID, p.Name
	}
	r.put(q.Scope)
	if err := b.allowed(ctx, p, r, action); err != nil {
		return nil, err
	}
	return r, nil
}

// allowed says why p may not do a on r: not found when it may see nothing of r's target.
func (b *Book) allowed(ctx context.Context, p *identity.Principal, r *Record, a identity.Action) error {
	if !r.may(p, a) {
		switch {
		case r.TargetID != 0 && !p.Visible(identity.Read).Sees(r.TargetID):
			return store.ErrNotFound
		case r.TargetID == 0:
			return fmt.Errorf("%w: for all targets it needs a role that holds for all: name a target", ErrForbidden)
		}
		return fmt.Errorf("%w: your roles do not cover this scope: name a namespace that they do", ErrForbidden)
	}
	if r.TargetID == 0 {
		return nil
	}
	n, err := b.db.R.NewSelect().Table("targets").Where("id = ? AND removed_at = 0", r.TargetID).Count(ctx)
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	return err
}

// ofFinding narrows the scope of a request to one finding, which p must be able to see.
func (b *Book) ofFinding(ctx context.Context, q *Request, p *identity.Principal) error {
	var row ledger.Row
	err := b.db.R.NewSelect().Model(&row).Where("f.id = ?", q.FindingID).Scan(ctx)
	if err = store.NotFound(err); err != nil {
		return err
	}
	if p == nil || !p.Can(identity.Read, row.TargetID, row.Namespace) {
		return store.ErrNotFound
	}
	q.TargetID, q.Scope.Fingerprint = row.TargetID, hex.EncodeToString(row.Fingerprint)
	if row.Namespace != "" {
		q.Scope.Namespace = row.Namespace
	}
	return nil
}

func (r *Record) check() error {
	e := r.Exception()
	if err := e.Check(); err != nil {
		return fmt.Errorf("%w: it %w", ErrInvalid, err)
	}
	switch {
	case !known(r.Category):
		return fmt.Errorf("%w: category %q: want one of %v", ErrInvalid, r.Category, Categories)
	case r.Scope.Cluster != "":
		return fmt.Errorf("%w: cluster is of files: here targetId names the cluster", ErrInvalid)
	case len(r.Reason) > maxReason:
		return fmt.Errorf("%w: the reason is longer than %d bytes", ErrInvalid, maxReason)
	}
	return nil
}

// Ask asks for an exception in the name of the principal of ctx.
func (b *Book) Ask(ctx context.Context, q Request) (*Record, error) {
	r, err := b.record(ctx, q, identity.Except)
	if err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	settings, err := b.Settings(ctx)
	if err != nil {
		return nil, err
	}
	end, err := settings.until(q.Expires, q.UntilFix, b.Now())
	if err != nil {
		return nil, err
	}
	r.ExpiresAt, r.Expires = store.At(end), WriteUntil(end)
	return r, b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error { return insert(ctx, tx, r) })
}

// insert writes a new request with its message.
func insert(ctx context.Context, tx bun.Tx, r *Record) error {
	if err := write(ctx, tx, r); err != nil {
		return err
	}
	return outbox.Put(ctx, tx, outbox.ExceptionAsked, r.TargetID, map[string]any{"exception": r.ID, "reason": r.Reason, "requester": r.Requester})
}

// write writes a new record with its audit entry.
func write(ctx context.Context, tx bun.Tx, r *Record) error {
	r.ID = 0 // of an attempt that was taken back
	if _, err := tx.NewInsert().Model(r).Exec(ctx); err != nil {
		return err
	}
	if err := audit.Record(ctx, tx, "exception.ask", r.object(), r.TargetID, nil, r.summary()); err != nil || r.Status == Pending {
		return err
	}
	return bump(ctx, tx)
}

// Change is what of an exception is to be changed; nil leaves it.
type Change struct {
	Scope    *Scope    `json:"scope,omitempty" doc:"of pending ones only; the target stays"`
	Reason   *string   `json:"reason,omitempty" minLength:"1" maxLength:"4000"`
	Category *Category `json:"category,omitempty" enum:"risk-accepted,false-positive,mitigated,not-relevant,other"`
	Expires  *string   `json:"expires,omitempty" doc:"of approved ones only to an earlier end"`
	UntilFix *bool     `json:"untilFix,omitempty" doc:"of approved ones only to true"`
}

// Edit changes an exception that is pending; of an approved one only what narrows it. Only who asked for it may. revision, when it is not 0, must be that of
// the record.
func (b *Book) Edit(ctx context.Context, id int64, c Change, revision int) (*Record, error) {
	settings, err := b.Settings(ctx)
	if err != nil {
		return nil, err
	}
	return b.change(ctx, id, "exception.edit", identity.Except, revision, func(ctx context.Context, tx bun.Tx, r *Record) error {
		switch {
		case r.Ended():
			return fmt.Errorf("%w: it is %s", ErrConflict, r.Status)
		case !own(identity.From(ctx), r): // else who may approve could approve his own words
			return fmt.Errorf("%w: only who asked for it may change it", ErrForbidden)
		}
		until, fix := r.ExpiresAt.Time, r.UntilFix
		if c.Scope != nil {
			s := *c.Scope
			if tidy(&s); r.Status == Approved && s != r.Scope {
				return fmt.Errorf("%w: what was approved keeps its scope: cancel it and ask for another", ErrConflict)
			}
			r.put(s)
			if err := b.allowed(ctx, identity.From(ctx), r, identity.Except); err != nil {
				return err
			}
		}
		if c.Reason != nil {
			r.Reason = strings.TrimSpace(*c.Reason)
		}
		if c.Category != nil {
			r.Category = *c.Category
		}
		if c.UntilFix != nil {
			r.UntilFix = *c.UntilFix
		}
		if c.Expires != nil || r.UntilFix != fix {
			end := WriteUntil(until)
			if c.Expires != nil {
				end = *c.Expires
			}
			t, err := settings.until(end, r.UntilFix, b.Now())
			if err != nil {
				return err
			}
			r.ExpiresAt, r.Expires = store.At(t), WriteUntil(t)
		}
		later := !until.IsZero() && (r.ExpiresAt.IsZero() || r.ExpiresAt.After(until))
		if r.Status == Approved && (later || fix && !r.UntilFix) {
			return fmt.Errorf("%w: what was approved may end earlier, not later: ask for another", ErrConflict)
		}
		if err := r.check(); err != nil {
			return err
		}
		r.Reminded = r.Reminded && r.ExpiresAt.Equal(until)
		return update(ctx, tx, r, "target_id", "namespace", "rule", "cve", "package", "image", "fingerprint", "scope", "reason", "category",
			"expires_at", "until_fix", "reminded", "revision")
	})
}

// change runs f on a record that the principal of ctx may do a on, in a transaction that also writes the audit log. Afterwards
// the snapshot is read anew.
func (b *Book) change(ctx context.Context, id int64, what string, a identity.Action, revision int, f func(context.Context, bun.Tx, *Record) error) (*Record, error) {
	var r *Record
	err := b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		if r, err = b.get(ctx, tx, id); err != nil {
			return err
		}
		p := identity.From(ctx)
		if p == nil || !visible(p.Visible(identity.Read), r) {
			return store.ErrNotFound
		}
		if !r.may(p, a) {
			return fmt.Errorf("%w: your roles do not allow %s on this exception", ErrForbidden, a)
		}
		if revision != 0 && revision != r.Revision {
			return fmt.Errorf("%w: it was changed by somebody else: read it again", ErrConflict)
		}
		before := r.summary()
		r.Revision++
		if err := f(ctx, tx, r); err != nil {
			return err
		}
		if err := bump(ctx, tx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, what, r.object(), r.TargetID, before, r.summary())
	})
	if err != nil {
		return nil, err
	}
	if err := b.load(ctx); err != nil {
		b.log.Error("reading exceptions: those read before stay in use", "error", err)
	}
	return r, nil
}

// Decide approves or denies a pending exception. What it accepts is then accepted at once, as far as a few seconds allow; the
// rest is Sweep's.
func (b *Book) Decide(ctx context.Context, id int64, approve bool, note string, revision int) (*Record, error) {
	if len(note) > maxComment {
		return nil, fmt.Errorf("%w: the note is longer than %d bytes", ErrInvalid, maxComment)
	}
	settings, err := b.Settings(ctx)
	if err != nil {
		return nil, err
	}
	action := "exception.deny"
	if approve {
		action = "exception.approve"
	}
	r, err := b.change(ctx, id, action, identity.Approve, revision, func(ctx context.Context, tx bun.Tx, r *Record) error {
		p, now := identity.From(ctx), b.Now()
		switch {
		case r.Status != Pending:
			return fmt.Errorf("%w: it is %s already", ErrConflict, r.Status)
		case approve && own(p, r) && !(settings.SelfApproval && administrator(p, r)):
			return fmt.Errorf("%w: somebody else has to approve what you asked for", ErrForbidden)
		case approve && !r.ExpiresAt.IsZero() && !now.Before(r.ExpiresAt.Time):
			return fmt.Errorf("%w: its end %s is over", ErrConflict, r.Expires)
		}
		r.Status, r.Settled = Denied, true
		r.ApproverID, r.Approver, r.Note = p.UserID, p.Name, strings.TrimSpace(note)
		r.DecidedAt, r.ChangedAt = store.At(now), store.At(now)
		if approve {
			r.Status, r.Settled = Approved, false
		} else {
			r.EndedAt = r.DecidedAt
		}
		if err := update(ctx, tx, r, "status", "settled", "approver_id", "approver", "note", "decided_at", "changed_at", "ended_at", "revision"); err != nil {
			return err
		}
		return outbox.Put(ctx, tx, outbox.ExceptionDecided, r.TargetID, map[string]any{"exception": r.ID, "status": r.Status, "approver": r.Approver,
			"requester": r.Requester, "reason": r.Reason})
	})
	if err == nil {
		b.hurry(ctx, r)
	}
	return r, err
}

// own reports whether p asked for r.
func own(p *identity.Principal, r *Record) bool {
	return p.UserID == r.RequesterID && p.Name == r.Requester || p.UserID != 0 && p.UserID == r.RequesterID
}

// administrator reports whether p is one where r holds.
func administrator(p *identity.Principal, r *Record) bool {
	return slices.ContainsFunc(p.Grants, func(g identity.Grant) bool {
		return g.Role == identity.Administrator && (g.Target == 0 || g.Target == r.TargetID && g.Namespace == "")
	})
}

// Cancel takes back a request, or ends an approved exception: its findings reopen. Who asked for it may, and who may approve.
func (b *Book) Cancel(ctx context.Context, id int64, note string, revision int) (*Record, error) {
	if len(note) > maxComment {
		return nil, fmt.Errorf("%w: the note is longer than %d bytes", ErrInvalid, maxComment)
	}
	r, err := b.change(ctx, id, "exception.cancel", identity.Except, revision, func(ctx context.Context, tx bun.Tx, r *Record) error {
		p := identity.From(ctx)
		switch {
		case r.Ended():
			return fmt.Errorf("%w: it is %s already", ErrConflict, r.Status)
		case !own(p, r) && !r.may(p, identity.Approve):
			return fmt.Errorf("%w: only who asked for it and approvers may cancel it", ErrForbidden)
		}
		if note = strings.TrimSpace(note); note != "" {
			if err := say(ctx, tx, r.ID, p, note, b.Now()); err != nil {
				return err
			}
		}
		return b.end(ctx, tx, r, Canceled, b.Now())
	})
	if err == nil {
		b.hurry(ctx, r)
	}
	return r, err
}

// end writes that r is over. Its findings are reopened afterwards, in pieces: see settle.
func (b *Book) end(ctx context.Context, tx bun.Tx, r *Record, status Status, now time.Time) error {
	r.Settled, r.Told = r.Status == Pending, r.Status == Pending
	r.Status, r.EndedAt, r.ChangedAt, r.Unused = status, store.At(now), store.At(now), false
	return update(ctx, tx, r, "status", "settled", "told", "ended_at", "changed_at", "unused", "revision")
}

// Comment adds a comment by the principal of ctx, who may ask for exceptions of this scope or approve them.
func (b *Book) Comment(ctx context.Context, id int64, text string) (*Record, error) {
	if text = strings.TrimSpace(text); text == "" || len(text) > maxComment {
		return nil, fmt.Errorf("%w: a comment has 1 to %d bytes", ErrInvalid, maxComment)
	}
	return b.change(ctx, id, "exception.comment", identity.Except, 0, func(ctx context.Context, tx bun.Tx, r *Record) error {
		return say(ctx, tx, r.ID, identity.From(ctx), text, b.Now())
	})
}

func say(ctx context.Context, tx bun.Tx, id int64, p *identity.Principal, text string, now time.Time) error {
	_, err := tx.NewInsert().Model(&Comment{ExceptionID: id, At: store.At(now), UserID: p.UserID, Name: p.Name, Body: text}).Exec(ctx)
	return err
}

// hurry settles a record for a short time: what is decided should show when the page is drawn again.
func (b *Book) hurry(ctx context.Context, r *Record) {
	ctx, cancel := context.WithTimeout(ctx, b.haste)
	defer cancel()
	if err := b.settle(ctx, r, b.Now()); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		b.log.Error("applying an exception: the next sweep goes on", "exception", r.ID, "error", err)
	}
}
