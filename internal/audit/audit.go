// Package audit records every change: who, from where, what, before and after.
package audit

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Entry is a row of the table audit.
type Entry struct {
	bun.BaseModel `bun:"table:audit,alias:a" json:"-"`

	ID       int64      `bun:"id,pk,autoincrement" json:"id,string"`
	At       store.Time `bun:"at" json:"at" format:"date-time"`
	UserID   int64      `bun:"user_id" json:"userId,string,omitempty"`
	Actor    string     `bun:"actor" json:"actor"`
	Remote   string     `bun:"remote" json:"remote,omitempty"`
	Request  string     `bun:"request" json:"request,omitempty"`
	Action   string     `bun:"action" json:"action"`
	Object   string     `bun:"object" json:"object"`
	TargetID int64      `bun:"target_id" json:"targetId,string,omitempty"`
	Before   string     `bun:"before" json:"before,omitempty"` // JSON, secrets redacted
	After    string     `bun:"after" json:"after,omitempty"`
}

type originKey struct{}

// Origin is where a request came from.
type Origin struct{ Remote, Request string }

// WithOrigin puts the origin into the context; the server does it for every request.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// Record writes what the principal of ctx did, in the transaction that does it. before and after are written as JSON, nil as
// nothing; they must hold no secrets.
func Record(ctx context.Context, tx bun.IDB, action, object string, target int64, before, after any) error {
	e := Entry{At: store.At(time.Now()), Actor: "system", Action: action, Object: object, TargetID: target}
	if p := identity.From(ctx); p != nil {
		e.UserID, e.Actor = p.UserID, p.Name
	}
	if o, ok := ctx.Value(originKey{}).(Origin); ok {
		e.Remote, e.Request = o.Remote, o.Request
	}
	if before != nil {
		e.Before = ledger.JSON(before)
	}
	if after != nil {
		e.After = ledger.JSON(after)
	}
	_, err := tx.NewInsert().Model(&e).Exec(ctx)
	return err
}
