package people

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// SignIn opens a session for a name and password. It fails with ErrCredentials, the same whether the name, the password or the
// account is at fault, or with Throttled.
func (s *Service) SignIn(ctx context.Context, name, password string) (*http.Cookie, *User, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	remote := clientOf(ctx).remote
	u, stale, err := s.verify(ctx, name, password)
	if err != nil {
		return nil, nil, err
	}
	old, renewed := u.Password, u.Password
	if stale {
		if renewed, err = s.hash(ctx, password); err != nil {
			return nil, nil, err
		}
	}
	cookie, err := s.open(ctx, opening{user: u, how: "password", before: func(ctx context.Context, tx bun.Tx) error {
		// What was compared must still hold: the password may just have been changed to keep this one out.
		r, err := tx.ExecContext(ctx, "UPDATE users SET password = ? WHERE id = ? AND password = ? AND NOT disabled AND removed_at = 0", renewed, u.ID, old)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, ErrCredentials)
		}
		return s.refund(ctx, tx, name, remote)
	}})
	if err != nil {
		return nil, nil, err
	}
	return cookie, u, nil
}

// verify compares a password within the limits of failed attempts.
func (s *Service) verify(ctx context.Context, name, password string) (*User, bool, error) {
	if err := s.charge(ctx, name, clientOf(ctx).remote); err != nil {
		return nil, false, err
	}
	u, err := byName(ctx, s.db.R, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, false, err
	}
	hash := ""
	if u != nil && !u.Disabled {
		hash = u.Password
	}
	ok, stale, err := s.compare(ctx, password, hash)
	if err != nil {
		return nil, false, err
	}
	if !ok {
		if u != nil {
			s.log.Info("sign-in refused", "user", u.Name, "remote", clientOf(ctx).remote, "disabled", u.Disabled)
		} else { // the name is not written: it may be a password in the wrong field
			s.log.Info("sign-in refused", "reason", "there is no such user", "remote", clientOf(ctx).remote)
		}
		return nil, false, ErrCredentials
	}
	return u, stale, nil
}

// ChangePassword sets one's own password. It ends all sessions of the user and returns the cookie of a new one.
func (s *Service) ChangePassword(ctx context.Context, old, password string) (*http.Cookie, error) {
	p := identity.From(ctx)
	if p == nil || p.Via != "session" {
		return nil, forbidden("sign in: a token does not change the password")
	}
	if err := CheckPassword(password, p.Name); err != nil {
		return nil, err
	}
	u, _, err := s.verify(ctx, p.Name, old)
	if err != nil {
		return nil, err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	u, err = s.change(ctx, u.ID, "user.password", func(ctx context.Context, tx bun.Tx, now *User) error {
		if now.Password != u.Password {
			return ErrCredentials
		}
		now.Password = hash
		return errors.Join(s.refund(ctx, tx, now.Name, clientOf(ctx).remote), dropLinks(ctx, tx, now.ID), endSessions(ctx, tx, now.ID, 0))
	})
	if err != nil {
		return nil, err
	}
	return s.open(ctx, opening{user: u, how: "password changed"})
}

// ChangeSelf sets fields of one's own.
func (s *Service) ChangeSelf(ctx context.Context, f Fields) (*User, error) {
	p := identity.From(ctx)
	if p == nil || p.UserID == 0 {
		return nil, store.ErrNotFound
	}
	f.Disabled = nil
	return s.Change(ctx, p.UserID, f)
}

// The purposes of links.
const (
	forSetup    = "setup"
	forPassword = "password"
)

// linkLife is how long the link for a new password holds.
const linkLife = 24 * time.Hour

// linkRow is a row of the table links.
type linkRow struct {
	bun.BaseModel `bun:"table:links,alias:l"`

	ID        int64      `bun:"id,pk,autoincrement"`
	Purpose   string     `bun:"purpose"`
	UserID    int64      `bun:"user_id"`
	Hash      string     `bun:"hash"`
	CreatedAt store.Time `bun:"created_at"`
	ExpiresAt store.Time `bun:"expires_at"`
}

func dropLinks(ctx context.Context, tx bun.Tx, user int64) error {
	_, err := tx.NewDelete().Model((*linkRow)(nil)).Where("purpose = ? AND user_id = ?", forPassword, user).Exec(ctx)
	return err
}

// link finds the link of a token.
func (s *Service) link(ctx context.Context, db bun.IDB, purpose, token string) (*linkRow, error) {
	l := new(linkRow)
	err := db.NewSelect().Model(l).Where("hash = ? AND purpose = ? AND (expires_at = 0 OR expires_at > ?)", digest(token), purpose, store.At(s.now())).Scan(ctx)
	if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) {
		return nil, ErrLink
	}
	return l, err
}

// Reset makes the token of a link with which a user sets a new password once within a day; Redeem takes it. It ends their sessions.
// The old password holds until then; who must be kept out is disabled.
func (s *Service) Reset(ctx context.Context, id int64) (token string, until time.Time, err error) {
	token, hash := secret()
	until = s.now().Add(linkLife).UTC()
	_, err = s.change(ctx, id, "user.reset", func(ctx context.Context, tx bun.Tx, u *User) error {
		if u.ProviderID != 0 {
			return invalid("%s signs in through a provider and has no password here", u.Name)
		}
		if err := errors.Join(dropLinks(ctx, tx, id), endSessions(ctx, tx, id, 0)); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&linkRow{Purpose: forPassword, UserID: id, Hash: hash, CreatedAt: store.At(s.now()), ExpiresAt: store.At(until)}).Exec(ctx)
		return err
	})
	return token, until, err
}

// ResetNamed is Reset for whoever has the machine: the command line's way back in when no administrator knows their password.
func (s *Service) ResetNamed(ctx context.Context, name string) (token string, until time.Time, err error) {
	u, err := byName(ctx, s.db.R, strings.ToLower(name))
	if err != nil {
		return "", time.Time{}, err
	}
	return s.Reset(identity.With(ctx, identity.System), u.ID)
}

// Redeem sets the password of the user that the link was made for. It can be used once.
func (s *Service) Redeem(ctx context.Context, token, password string) error {
	if err := s.throttle.allow(network(clientOf(ctx).remote), s.now()); err != nil {
		return err
	}
	l, err := s.link(ctx, s.db.R, forPassword, token)
	if err != nil {
		return err
	}
	u, err := get(ctx, s.db.R, l.UserID)
	if err != nil || u.Disabled {
		return ErrLink
	}
	if err := CheckPassword(password, u.Name); err != nil {
		return err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return err
	}
	ctx = identity.With(ctx, &identity.Principal{UserID: u.ID, Name: u.Name, Via: "link"})
	_, err = s.change(ctx, u.ID, "user.password", func(ctx context.Context, tx bun.Tx, u *User) error {
		if _, err := s.link(ctx, tx, forPassword, token); err != nil { // it was used meanwhile
			return err
		}
		u.Password = hash
		return errors.Join(dropLinks(ctx, tx, u.ID), endSessions(ctx, tx, u.ID, 0))
	})
	return err
}

// SetupToken makes the token of a one-time link for the first administrator, to be printed once; "" when there is one already.
func (s *Service) SetupToken(ctx context.Context) (string, error) {
	token, hash := secret()
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := lock(ctx, tx); err != nil {
			return err
		}
		if n, err := administrators(ctx, tx); err != nil || n > 0 {
			token = ""
			return err
		}
		// Replicas that start together print one each; old ones go.
		if _, err := tx.ExecContext(ctx, "DELETE FROM links WHERE purpose = ? AND id NOT IN (SELECT id FROM links WHERE purpose = ? ORDER BY id DESC LIMIT 9)", forSetup, forSetup); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&linkRow{Purpose: forSetup, Hash: hash, CreatedAt: store.At(s.now())}).Exec(ctx)
		return err
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// NeedsSetup reports whether there is no administrator yet.
func (s *Service) NeedsSetup(ctx context.Context) (bool, error) {
	n, err := administrators(ctx, s.db.R)
	return n == 0, err
}

// SetUp makes the first administrator and signs them in.
func (s *Service) SetUp(ctx context.Context, token, name, password string, f Fields) (*http.Cookie, *User, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	f.Disabled = nil
	if err := s.throttle.allow(network(clientOf(ctx).remote), s.now()); err != nil {
		return nil, nil, err
	}
	if _, err := s.link(ctx, s.db.R, forSetup, token); err != nil {
		return nil, nil, err
	}
	u := &User{Name: name, CreatedAt: store.At(s.now()), HasPassword: true}
	if err := errors.Join(checkName(name), f.apply(u)); err != nil {
		return nil, nil, err
	}
	if err := CheckPassword(password, name); err != nil {
		return nil, nil, err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return nil, nil, err
	}
	u.Password = hash
	cookie, err := s.open(ctx, opening{user: u, how: "setup", before: func(ctx context.Context, tx bun.Tx) error {
		if err := lock(ctx, tx); err != nil {
			return err
		}
		if n, err := administrators(ctx, tx); err != nil || n > 0 {
			return errors.Join(err, ErrLink)
		}
		if _, err := s.link(ctx, tx, forSetup, token); err != nil {
			return err
		}
		u.ID = 0
		if err := s.insert(ctx, tx, u); err != nil {
			return err
		}
		if err := setGrants(ctx, tx, u, 0, []identity.Grant{{Role: identity.Administrator}}); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model((*linkRow)(nil)).Where("purpose = ?", forSetup).Exec(ctx); err != nil {
			return err
		}
		ctx = identity.With(ctx, &identity.Principal{UserID: u.ID, Name: u.Name, Via: "link"})
		return audit.Record(ctx, tx, "user.setup", u.object(), 0, nil, u)
	}})
	if err != nil {
		return nil, nil, err
	}
	return cookie, u, nil
}
