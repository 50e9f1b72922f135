// Package audit records every change: who, from where, what, before and after.
package audit

import (
	"context"
	"strings"
	"time"
	"unicode"

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

// OriginOf takes it out again; zero when there is none.
func OriginOf(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}

// Bounds of what is kept: names come from clusters and people, and states can be whole lists.
const (
	maxText  = 500       // characters of an object's name
	maxState = 256 << 10 // bytes of before and of after
)

// Record writes what the principal of ctx did, in the transaction that does it. before and after are written as JSON, nil as
// nothing; they must hold no secrets.
func Record(ctx context.Context, tx bun.IDB, action, object string, target int64, before, after any) error {
	e := Entry{At: store.At(time.Now()), Actor: "system", Action: action, Object: line(object), TargetID: target}
	if p := identity.From(ctx); p != nil {
		e.UserID, e.Actor = p.UserID, line(p.Name)
	}
	o := OriginOf(ctx)
	e.Remote, e.Request, e.Before, e.After = o.Remote, o.Request, state(before), state(after)
	_, err := tx.NewInsert().Model(&e).Exec(ctx)
	return err
}

// state is what stands of a value: nothing of nil, and a word where it is too long to be kept.
func state(v any) string {
	if v == nil {
		return ""
	}
	text := ledger.JSON(v)
	if len(text) > maxState {
		return ledger.JSON(map[string]any{"leftOut": "too long", "bytes": len(text)})
	}
	return text
}

// line keeps foreign text on one line and short: a name must not look like another entry.
func line(s string) string {
	s = plain(s)
	if runes := []rune(s); len(runes) > maxText {
		s = string(runes[:maxText]) + "..."
	}
	return s
}

// plain replaces what breaks lines or turns their direction.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
}
