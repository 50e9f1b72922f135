package people

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Bounds of tokens.
const (
	tokenPrefix = "stk_"
	tokenDays   = 90
	maxDays     = 365
	maxTokens   = 50 // of a user
)

// Place is a cluster or project, or one namespace of it.
type Place struct {
	Target    int64  `json:"targetId,string"`
	Namespace string `json:"namespace,omitempty" maxLength:"253"`
}

// Token is an API token: a user's rights, or a part of them, for a program.
type Token struct {
	bun.BaseModel `bun:"table:tokens,alias:t" json:"-"`

	ID         int64             `bun:"id,pk,autoincrement" json:"id,string"`
	UserID     int64             `bun:"user_id" json:"userId,string"`
	Name       string            `bun:"name" json:"name"`
	Hash       string            `bun:"hash" json:"-"`
	ActionList string            `bun:"actions" json:"-"`
	PlaceList  string            `bun:"places" json:"-"`
	CreatedAt  store.Time        `bun:"created_at" json:"createdAt" format:"date-time"`
	ExpiresAt  store.Time        `bun:"expires_at" json:"expiresAt" format:"date-time"`
	UsedAt     store.Time        `bun:"used_at" json:"usedAt,omitzero" format:"date-time" doc:"last use, to about half a minute"`
	Actions    []identity.Action `bun:"-" json:"actions,omitempty" doc:"what it may do of what its user may; absent: all"`
	Places     []Place           `bun:"-" json:"places,omitempty" doc:"where it may; absent: everywhere its user may"`
}

// unpack reads the lists of a row. A list that does not read lets nothing through.
func (t *Token) unpack() error {
	if t.ActionList != "" {
		if err := json.Unmarshal([]byte(t.ActionList), &t.Actions); err != nil {
			return err
		}
	}
	if t.PlaceList != "" {
		return json.Unmarshal([]byte(t.PlaceList), &t.Places)
	}
	return nil
}

// NewToken asks for a token. Days is its life, 0 for 90.
type NewToken struct {
	Name    string            `json:"name" minLength:"1" maxLength:"100"`
	Days    int               `json:"days,omitempty" minimum:"0" maximum:"365" doc:"how long it holds; default 90"`
	Actions []identity.Action `json:"actions,omitempty" maxItems:"20" doc:"what it may do of what you may; absent: all"`
	Places  []Place           `json:"places,omitempty" maxItems:"500" doc:"where it may; absent: everywhere you may"`
}

func (n NewToken) check(ctx context.Context, db bun.IDB) error {
	if n.Name == "" {
		return invalid("the token needs a name that says what it is for")
	}
	if n.Days < 0 || n.Days > maxDays {
		return invalid("a token holds for at most %d days", maxDays)
	}
	for _, a := range n.Actions {
		if !slices.Contains(identity.Actions, a) {
			return invalid("there is no action %q: the actions are %v", clean(string(a), 64), identity.Actions)
		}
	}
	var grants []identity.Grant
	for _, p := range n.Places {
		if p.Target == 0 {
			return invalid("a place needs its targetId")
		}
		grants = append(grants, identity.Grant{Role: identity.Viewer, Target: p.Target, Namespace: p.Namespace})
	}
	return checkGrants(ctx, db, grants)
}

// AddToken makes a token for the principal of ctx, who must have signed in: a token cannot make tokens. The text is shown once.
func (s *Service) AddToken(ctx context.Context, n NewToken) (t *Token, text string, err error) {
	p := identity.From(ctx)
	if p == nil || p.Via != "session" {
		return nil, "", forbidden("sign in: a token cannot make tokens")
	}
	n.Name = clean(n.Name, 100)
	if n.Days == 0 {
		n.Days = tokenDays
	}
	random, hash := secret()
	t = &Token{UserID: p.UserID, Name: n.Name, Hash: hash, CreatedAt: store.At(s.now()), ExpiresAt: store.At(s.now().Add(time.Duration(n.Days) * 24 * time.Hour)),
		Actions: n.Actions, Places: n.Places}
	if n.Actions != nil {
		t.ActionList = ledger.JSON(n.Actions)
	}
	if n.Places != nil {
		t.PlaceList = ledger.JSON(n.Places)
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		t.ID = 0
		if err := n.check(ctx, tx); err != nil {
			return err
		}
		u, err := get(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		// Places that the user does not see are told apart from those that are not there by nothing.
		v := p.Visible(identity.Read)
		for _, place := range n.Places {
			if !v.Sees(place.Target) {
				return invalid("a grant names a cluster or project that is not there")
			}
		}
		count, err := tx.NewSelect().Model((*Token)(nil)).Where("user_id = ?", p.UserID).Count(ctx)
		if err != nil {
			return err
		}
		if count >= maxTokens {
			return fmt.Errorf("%w: you have %d tokens: revoke one first", ErrConflict, count)
		}
		if _, err := tx.NewInsert().Model(t).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "token.add", u.object(), 0, nil, t)
	})
	if err != nil {
		return nil, "", err
	}
	return t, tokenPrefix + strconv.FormatInt(t.ID, 10) + "_" + random, nil
}

// Tokens lists the tokens of a user, the newest first; expired ones stay for a month.
func (s *Service) Tokens(ctx context.Context, user int64) ([]*Token, error) {
	var list []*Token
	if err := s.db.R.NewSelect().Model(&list).ExcludeColumn("hash").Where("user_id = ?", user).OrderExpr("id DESC").Limit(2 * maxTokens).Scan(ctx); err != nil {
		return nil, err
	}
	for _, t := range list {
		if err := t.unpack(); err != nil {
			return nil, fmt.Errorf("token %d: %w", t.ID, err)
		}
	}
	return list, nil
}

// EndToken revokes a token: one's own, or anyone's for those who manage people. A token may revoke itself and no other.
func (s *Service) EndToken(ctx context.Context, id int64) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		t := new(Token)
		if err := tx.NewSelect().Model(t).Where("id = ?", id).Scan(ctx); err != nil {
			return store.NotFound(err)
		}
		u, err := mayTouch(ctx, tx, t.UserID)
		if err != nil {
			return err
		}
		if p := identity.From(ctx); p.Via == "token" && p.Session != strconv.FormatInt(id, 10) && !p.Can(identity.ManagePeople, 0, "") {
			return forbidden("sign in: a token revokes only itself")
		}
		if err := t.unpack(); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(t).WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "token.revoke", u.object(), 0, t, nil)
	})
	s.cache.clear()
	return err
}

// byToken finds who an API token belongs to.
func (s *Service) byToken(ctx context.Context, text string) (*identity.Principal, error) {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	number, random, ok2 := strings.Cut(rest, "_")
	id, err := strconv.ParseInt(number, 10, 64)
	if !ok || !ok2 || err != nil || len(text) > 128 {
		return nil, store.ErrNotFound
	}
	key, now := "t"+digest(text), s.now()
	k, ok, mark := s.cache.find(key, now)
	if !ok {
		t := new(Token)
		if err := s.db.R.NewSelect().Model(t).Where("id = ?", id).Scan(ctx); err != nil {
			return nil, store.NotFound(err)
		}
		if subtle.ConstantTimeCompare([]byte(t.Hash), []byte(digest(random))) != 1 || !now.Before(t.ExpiresAt.Time) {
			return nil, store.ErrNotFound
		}
		if err := t.unpack(); err != nil {
			return nil, fmt.Errorf("token %d: %w", t.ID, err)
		}
		u, err := get(ctx, s.db.R, t.UserID)
		if err != nil {
			return nil, err
		}
		if u.Disabled {
			return nil, store.ErrNotFound
		}
		k = known{token: t.ID, expires: t.ExpiresAt.Time, read: now, principal: &identity.Principal{UserID: u.ID, Name: u.Name, Via: "token",
			Grants: within(append(u.Grants, u.Mapped...), t.Places), Only: t.Actions, Session: strconv.FormatInt(t.ID, 10)}}
		s.cache.keep(key, k, mark)
	}
	s.seen.note(&s.seen.tokens, k.token, now)
	return k.principal, nil
}

// within cuts grants down to places; nil places cut nothing.
func within(grants []identity.Grant, places []Place) []identity.Grant {
	if places == nil {
		return grants
	}
	out := []identity.Grant{}
	for _, g := range grants {
		for _, p := range places {
			if g.Target != 0 && g.Target != p.Target || g.Namespace != "" && p.Namespace != "" && g.Namespace != p.Namespace {
				continue
			}
			cut := identity.Grant{Role: g.Role, Target: p.Target, Namespace: g.Namespace}
			if cut.Namespace == "" {
				cut.Namespace = p.Namespace
			}
			if !slices.Contains(out, cut) {
				out = append(out, cut)
			}
		}
	}
	return out
}

// forbidden is ErrForbidden with what to do.
func forbidden(text string) error { return fmt.Errorf("%w: %s", ErrForbidden, text) }
