package people

import (
	"context"
	"fmt"
	"net/mail"
	"regexp"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// User is a person, or a program with a user of its own.
type User struct {
	bun.BaseModel `bun:"table:users,alias:u" json:"-"`

	ID          int64      `bun:"id,pk,autoincrement" json:"id,string"`
	Name        string     `bun:"name" json:"name"`
	DisplayName string     `bun:"display_name" json:"displayName,omitempty"`
	Email       string     `bun:"email" json:"email,omitempty"`
	Language    string     `bun:"language" json:"language,omitempty"`
	Password    string     `bun:"password" json:"-"`
	ProviderID  int64      `bun:"provider_id" json:"providerId,string,omitempty" doc:"the OIDC provider that vouches for the user"`
	Subject     string     `bun:"subject" json:"-"`
	Disabled    bool       `bun:"disabled" json:"disabled"`
	CreatedAt   store.Time `bun:"created_at" json:"createdAt" format:"date-time"`
	SignedInAt  store.Time `bun:"signed_in_at" json:"signedInAt,omitzero" format:"date-time"`
	RemovedAt   store.Time `bun:"removed_at" json:"-"`

	HasPassword bool             `bun:"-" json:"hasPassword"`
	Grants      []identity.Grant `bun:"-" json:"grants" doc:"given by administrators"`
	Mapped      []identity.Grant `bun:"-" json:"mapped,omitempty" doc:"given by the OIDC provider's mappings at the last sign-in"`
}

// object names the user in the audit log.
func (u *User) object() string { return fmt.Sprintf("user %d (%s)", u.ID, u.Name) }

// Fields are what can be set of a user. nil leaves a field as it is.
type Fields struct {
	DisplayName *string `json:"displayName,omitempty" maxLength:"128"`
	Email       *string `json:"email,omitempty" maxLength:"254"`
	Language    *string `json:"language,omitempty" enum:"en,zh,"`
	Disabled    *bool   `json:"disabled,omitempty"`
}

var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{0,62}$`)

// checkName says what is wrong with a name. Names are plain ASCII: two that look the same are the same.
func checkName(name string) error {
	if !userName.MatchString(name) {
		return invalid("the name has 1 to 63 lower-case letters, digits and . _ @ + -, and begins with a letter or digit")
	}
	if name == identity.System.Name {
		return invalid("the name %q is the server's own", name)
	}
	return nil
}

func (f Fields) apply(u *User) error {
	if f.DisplayName != nil {
		u.DisplayName = clean(*f.DisplayName, 128)
	}
	if f.Email != nil {
		u.Email = strings.TrimSpace(*f.Email)
		if a, err := mail.ParseAddress(u.Email); u.Email != "" && (err != nil || a.Address != u.Email || len(u.Email) > 254) {
			return invalid("the e-mail address is none: write name@example.com")
		}
	}
	if f.Language != nil {
		u.Language = *f.Language
		if u.Language != "" && u.Language != "en" && u.Language != "zh" {
			return invalid("the language is en, zh or empty")
		}
	}
	if f.Disabled != nil {
		u.Disabled = *f.Disabled
	}
	return nil
}

// Add makes a user without a password: Reset gives the link with which they set one. The principal of ctx must itself have all
// that it grants.
func (s *Service) Add(ctx context.Context, name string, f Fields, grants []identity.Grant) (*User, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if err := checkName(name); err != nil {
		return nil, err
	}
	u := &User{Name: name, CreatedAt: store.At(s.now())}
	if err := f.apply(u); err != nil {
		return nil, err
	}
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		u.ID = 0
		if err := s.insert(ctx, tx, u); err != nil {
			return err
		}
		if err := setGrants(ctx, tx, u, 0, grants); err != nil {
			return err
		}
		if err := mayGive(ctx, u.Grants); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "user.add", u.object(), 0, nil, u)
	})
	return u, err
}

func (s *Service) insert(ctx context.Context, tx bun.Tx, u *User) error {
	_, err := tx.NewInsert().Model(u).Exec(ctx)
	if store.Duplicate(err) {
		return fmt.Errorf("%w: there is a user %q already", ErrConflict, u.Name)
	}
	return err
}

// Get returns a user with its grants.
func (s *Service) Get(ctx context.Context, id int64) (*User, error) { return get(ctx, s.db.R, id) }

func get(ctx context.Context, db bun.IDB, id int64) (*User, error) {
	u := new(User)
	if err := db.NewSelect().Model(u).Where("id = ? AND removed_at = 0", id).Scan(ctx); err != nil {
		return nil, store.NotFound(err)
	}
	return u, fill(ctx, db, u)
}

// List returns users by name whose name, display name or e-mail address contains text.
func (s *Service) List(ctx context.Context, text string, page store.Page) (users []*User, next string, err error) {
	q := s.db.R.NewSelect().Model(&users).Where("removed_at = 0").OrderExpr("name").Limit(int64(page.Size() + 1))
	if text != "" {
		like := "%" + store.Like(strings.ToLower(text)) + "%"
		q.Where(`(name LIKE ? ESCAPE '\' OR lower(display_name) LIKE ? ESCAPE '\' OR lower(email) LIKE ? ESCAPE '\')`, like, like, like)
	}
	if page.After != "" {
		var after string
		if err := store.ReadCursor(page.After, &after); err != nil {
			return nil, "", err
		}
		q.Where("name > ?", after)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", err
	}
	if len(users) > page.Size() {
		users = users[:page.Size()]
		next = store.Cursor(users[len(users)-1].Name)
	}
	return users, next, fill(ctx, s.db.R, users...)
}

// Named is a user as those see it who assign work.
type Named struct {
	ID          int64  `bun:"id" json:"id,string"`
	Name        string `bun:"name" json:"name"`
	DisplayName string `bun:"display_name" json:"displayName,omitempty"`
}

// Assignees lists the enabled users who may handle findings somewhere in what the caller sees, by name.
func (s *Service) Assignees(ctx context.Context, v identity.Visible) ([]Named, error) {
	var rows []struct {
		Named
		Role      identity.Role `bun:"role"`
		TargetID  int64         `bun:"target_id"`
		Namespace string        `bun:"namespace"`
	}
	err := s.db.R.NewSelect().TableExpr("users AS u").Join("JOIN grants AS g ON g.user_id = u.id").
		ColumnExpr("u.id, u.name, u.display_name, g.role, g.target_id, g.namespace").
		Where("u.removed_at = 0 AND NOT u.disabled").OrderExpr("u.name").Scan(ctx, &rows)
	var out []Named
	for _, r := range rows {
		if !r.Role.May(identity.Handle) || r.TargetID != 0 && !v.Sees(r.TargetID) || len(out) > 0 && out[len(out)-1].ID == r.ID {
			continue
		}
		out = append(out, r.Named)
	}
	return out, err
}

// Change sets fields of a user. Disabling ends what they have open.
func (s *Service) Change(ctx context.Context, id int64, f Fields) (*User, error) {
	u, err := s.change(ctx, id, "user.change", func(ctx context.Context, tx bun.Tx, u *User) error {
		if err := f.apply(u); err != nil {
			return err
		}
		if u.Disabled {
			return endSessions(ctx, tx, u.ID, 0)
		}
		return nil
	})
	return u, err
}

// SetGrants replaces what administrators gave a user. The principal of ctx must itself have all of it.
func (s *Service) SetGrants(ctx context.Context, id int64, grants []identity.Grant) (*User, error) {
	return s.change(ctx, id, "user.grants", func(ctx context.Context, tx bun.Tx, u *User) error {
		if err := setGrants(ctx, tx, u, 0, grants); err != nil {
			return err
		}
		return mayGive(ctx, u.Grants)
	})
}

// Remove takes a user away with its sessions, tokens and grants. What it did stays in the history under its name.
func (s *Service) Remove(ctx context.Context, id int64) error {
	_, err := s.change(ctx, id, "user.remove", func(ctx context.Context, tx bun.Tx, u *User) error {
		u.RemovedAt, u.Password, u.Email, u.Subject = store.At(s.now()), "", "", ""
		if err := endSessions(ctx, tx, id, 0); err != nil {
			return err
		}
		for _, table := range []string{"tokens", "links", "grants"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE user_id = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// change changes a user in a transaction: one at a time, never beyond what the caller may, never the last administrator away.
func (s *Service) change(ctx context.Context, id int64, action string, f func(context.Context, bun.Tx, *User) error) (*User, error) {
	var u *User
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := lock(ctx, tx); err != nil {
			return err
		}
		before, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		if p := identity.From(ctx); p == nil || p.UserID != id {
			if err := mayGive(ctx, append(before.Grants, before.Mapped...)); err != nil {
				return err
			}
		}
		hadOne, err := administrators(ctx, tx)
		if err != nil {
			return err
		}
		copied := *before
		u = &copied
		if err := f(ctx, tx, u); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model(u).WherePK().Exec(ctx); err != nil {
			return err
		}
		has, err := administrators(ctx, tx)
		if err != nil {
			return err
		}
		if hadOne > 0 && has == 0 {
			return ErrLastAdministrator
		}
		u.HasPassword = u.Password != ""
		var after any = u
		if !u.RemovedAt.IsZero() {
			after = nil
		}
		return audit.Record(ctx, tx, action, u.object(), 0, before, after)
	})
	s.cache.clear()
	if err != nil {
		return nil, err
	}
	return u, nil
}
