package people

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// The names of cookies, without the prefix that they have over TLS.
const (
	sessionCookie = "stockade_session"
	flowCookie    = "stockade_signin" // of a sign-in through a provider that is under way
)

// Session is a browser that is signed in.
type Session struct {
	bun.BaseModel `bun:"table:sessions,alias:s" json:"-"`

	ID        int64      `bun:"id,pk,autoincrement" json:"id,string"`
	Hash      string     `bun:"hash" json:"-"`
	UserID    int64      `bun:"user_id" json:"userId,string"`
	CreatedAt store.Time `bun:"created_at" json:"createdAt" format:"date-time"`
	SeenAt    store.Time `bun:"seen_at" json:"seenAt" format:"date-time" doc:"last use, to about half a minute"`
	ExpiresAt store.Time `bun:"expires_at" json:"expiresAt" format:"date-time" doc:"when it is not used until then"`
	EndsAt    store.Time `bun:"ends_at" json:"endsAt" format:"date-time" doc:"however much it is used"`
	Remote    string     `bun:"remote" json:"remote,omitempty" doc:"address that signed in"`
	Agent     string     `bun:"agent" json:"agent,omitempty" doc:"browser that signed in"`
	Data      []byte     `bun:"data" json:"-"`
	Current   bool       `bun:"-" json:"current" doc:"the one that asks"`
}

// opening is what the store of sessions is to write beside what the session manager gives it.
type opening struct {
	user   *User
	how    string                              // "password", "oidc corp", "setup"; "" for a flow
	before func(context.Context, bun.Tx) error // runs in the same transaction, and may refuse
}

type openingKey struct{}

// sessionStore keeps the sessions of the session manager in the database, so that replicas share them.
type sessionStore struct{ s *Service }

func (s *Service) newSessions() *scs.SessionManager {
	m := scs.New()
	m.Store, m.HashTokenInStore = sessionStore{s}, true
	m.Lifetime = s.o.Lifetime
	return m
}

// The interface of the manager without a context is not used by it.
func (sessionStore) Find(string) ([]byte, bool, error)      { return nil, false, errNoContext }
func (sessionStore) Commit(string, []byte, time.Time) error { return errNoContext }
func (sessionStore) Delete(string) error                    { return errNoContext }

var errNoContext = errors.New("sessions are asked for with a context")

func (st sessionStore) FindCtx(ctx context.Context, hash string) ([]byte, bool, error) {
	var row Session
	err := st.s.db.R.NewSelect().Model(&row).Where("hash = ? AND expires_at > ?", hash, store.At(st.s.now())).Scan(ctx)
	if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	return row.Data, err == nil, err
}

// CommitCtx writes a new session. Those that are there are never written again but for their times: see Flush.
func (st sessionStore) CommitCtx(ctx context.Context, hash string, data []byte, _ time.Time) error {
	o, ok := ctx.Value(openingKey{}).(opening)
	if !ok {
		return errors.New("a session that nobody opens")
	}
	s, c, now := st.s, clientOf(ctx), st.s.now()
	idle, life := s.o.Idle, s.o.Lifetime
	if o.user == nil {
		idle, life = flowLife, flowLife
	}
	row := &Session{Hash: hash, CreatedAt: store.At(now), SeenAt: store.At(now), ExpiresAt: store.At(now.Add(min(idle, life))), EndsAt: store.At(now.Add(life)),
		Remote: c.remote, Agent: c.agent, Data: data}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if o.before != nil {
			if err := o.before(ctx, tx); err != nil {
				return err
			}
		}
		row.ID = 0
		if o.user != nil {
			row.UserID = o.user.ID
			o.user.SignedInAt = row.CreatedAt
			if _, err := tx.ExecContext(ctx, "UPDATE users SET signed_in_at = ? WHERE id = ?", row.CreatedAt, row.UserID); err != nil {
				return err
			}
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil || o.user == nil {
			return err
		}
		ctx = identity.With(ctx, &identity.Principal{UserID: o.user.ID, Name: o.user.Name, Via: "session"})
		return audit.Record(ctx, tx, "session.open", o.user.object(), 0, nil, map[string]string{"how": o.how})
	})
}

func (st sessionStore) DeleteCtx(ctx context.Context, hash string) error {
	err := st.s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*Session)(nil)).Where("hash = ?", hash).Exec(ctx)
		return err
	})
	st.s.cache.clear()
	return err
}

// open makes a session under a token that nobody knew before, whatever cookie the browser sent, and ends the one that it had.
func (s *Service) open(ctx context.Context, o opening) (*http.Cookie, error) {
	ctx, err := s.sessions.Load(context.WithValue(ctx, openingKey{}, o), clientOf(ctx).cookie)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.sessions.Clear(ctx), s.sessions.RenewToken(ctx)); err != nil {
		return nil, err
	}
	token, _, err := s.sessions.Commit(ctx)
	if err != nil {
		return nil, err
	}
	return s.bake(sessionCookie, token, s.o.Lifetime), nil
}

// bake makes a cookie; an empty value takes it away.
func (s *Service) bake(name, value string, life time.Duration) *http.Cookie {
	if s.o.Secure {
		name = "__Host-" + name
	}
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: s.o.Secure, SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// endSessions deletes the sessions of a user but one, 0 for none.
func endSessions(ctx context.Context, tx bun.Tx, user, but int64) error {
	_, err := tx.NewDelete().Model((*Session)(nil)).Where("user_id = ? AND id <> ?", user, but).Exec(ctx)
	return err
}

// SignOut ends the session that ctx has and returns the cookie that takes it away.
func (s *Service) SignOut(ctx context.Context) (*http.Cookie, error) {
	p := identity.From(ctx)
	if p == nil || p.Via != "session" {
		return nil, invalid("there is no session to end: a token is revoked with DELETE /tokens/{id}")
	}
	id, err := strconv.ParseInt(p.Session, 10, 64)
	if err != nil {
		return nil, err
	}
	if err := s.endSession(ctx, id, "session.close"); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return s.bake(sessionCookie, "", 0), nil
}

// Sessions lists the sessions of a user, the last opened first.
func (s *Service) Sessions(ctx context.Context, user int64) ([]*Session, error) {
	var list []*Session
	err := s.db.R.NewSelect().Model(&list).ExcludeColumn("data", "hash").Where("user_id = ? AND user_id <> 0 AND expires_at > ?", user, store.At(s.now())).
		OrderExpr("id DESC").Limit(200).Scan(ctx)
	if p := identity.From(ctx); p != nil && p.Via == "session" {
		for _, r := range list {
			r.Current = strconv.FormatInt(r.ID, 10) == p.Session
		}
	}
	return list, err
}

// EndSession ends a session: one's own, or anyone's for those who manage people.
func (s *Service) EndSession(ctx context.Context, id int64) error {
	return s.endSession(ctx, id, "session.revoke")
}

func (s *Service) endSession(ctx context.Context, id int64, action string) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var row Session
		if err := tx.NewSelect().Model(&row).ExcludeColumn("data").Where("id = ? AND user_id <> 0", id).Scan(ctx); err != nil {
			return store.NotFound(err)
		}
		u, err := mayTouch(ctx, tx, row.UserID)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, action, u.object(), 0, map[string]any{"session": strconv.FormatInt(id, 10), "remote": row.Remote}, nil)
	})
	s.cache.clear()
	return err
}

// EndSessions ends all sessions of a user.
func (s *Service) EndSessions(ctx context.Context, user int64) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		u, err := mayTouch(ctx, tx, user)
		if err != nil {
			return err
		}
		if err := endSessions(ctx, tx, user, 0); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "session.revoke", u.object(), 0, map[string]any{"session": "all"}, nil)
	})
	s.cache.clear()
	return err
}

// mayTouch lets users at what is theirs, and those who manage people at everyone's; to others it is not there.
func mayTouch(ctx context.Context, db bun.IDB, user int64) (*User, error) {
	p := identity.From(ctx)
	if p == nil || p.UserID != user && !p.Can(identity.ManagePeople, 0, "") {
		return nil, store.ErrNotFound
	}
	return get(ctx, db, user)
}

// bySession finds who a session's cookie belongs to.
func (s *Service) bySession(ctx context.Context, value string) (*identity.Principal, error) {
	key, now := "s"+digest(value), s.now()
	k, ok, mark := s.cache.find(key, now)
	if !ok {
		var row Session
		err := s.db.R.NewSelect().Model(&row).ExcludeColumn("data").Where("hash = ? AND user_id <> 0", digest(value)).Scan(ctx)
		if err != nil {
			return nil, store.NotFound(err)
		}
		u, err := get(ctx, s.db.R, row.UserID)
		if err != nil {
			return nil, err
		}
		// A use that is not yet written down prolongs it too.
		expires := row.ExpiresAt.Time
		if at, ok := s.seen.last(row.ID); ok && at.Add(s.o.Idle).After(expires) && expires.Before(row.EndsAt.Time) {
			expires = at.Add(s.o.Idle)
			if row.EndsAt.Before(expires) {
				expires = row.EndsAt.Time
			}
		}
		if u.Disabled || !now.Before(expires) {
			return nil, store.ErrNotFound
		}
		k = known{session: row.ID, expires: expires, read: now, principal: &identity.Principal{UserID: u.ID, Name: u.Name, Via: "session",
			Grants: append(u.Grants, u.Mapped...), Session: strconv.FormatInt(row.ID, 10)}}
		s.cache.keep(key, k, mark)
	}
	s.seen.note(&s.seen.sessions, k.session, now)
	return k.principal, nil
}
