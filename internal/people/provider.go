package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Mapping gives a grant to users whom a provider puts in a group.
type Mapping struct {
	Group string `json:"group" minLength:"1" maxLength:"256" doc:"a value of the groups claim"`
	identity.Grant
}

// Provider is an OpenID Connect provider that users sign in through.
type Provider struct {
	bun.BaseModel `bun:"table:providers,alias:p" json:"-"`

	ID          int64      `bun:"id,pk,autoincrement" json:"id,string"`
	Name        string     `bun:"name" json:"name"`
	Issuer      string     `bun:"issuer" json:"issuer"`
	ClientID    string     `bun:"client_id" json:"clientId"`
	Secret      []byte     `bun:"secret" json:"-"`
	ScopeList   string     `bun:"scopes" json:"-"`
	GroupsClaim string     `bun:"groups_claim" json:"groupsClaim"`
	MappingList string     `bun:"mappings" json:"-"`
	Disabled    bool       `bun:"disabled" json:"disabled"`
	CreatedAt   store.Time `bun:"created_at" json:"createdAt" format:"date-time"`
	ChangedAt   store.Time `bun:"changed_at" json:"changedAt" format:"date-time"`

	HasSecret   bool      `bun:"-" json:"hasSecret"`
	Scopes      []string  `bun:"-" json:"scopes"`
	Mappings    []Mapping `bun:"-" json:"mappings"`
	RedirectURL string    `bun:"-" json:"redirectUrl" doc:"to be allowed at the provider"`
}

func (p *Provider) object() string { return fmt.Sprintf("provider %d (%s)", p.ID, p.Name) }

// place is where the client secret is sealed for.
func (p *Provider) place() string { return fmt.Sprintf("providers/%d/secret", p.ID) }

// ProviderFields are what an administrator sets of a provider.
type ProviderFields struct {
	Name        string    `json:"name" minLength:"1" maxLength:"40" doc:"stands on the sign-in page"`
	Issuer      string    `json:"issuer" format:"uri" maxLength:"500" doc:"https://id.example.com/realms/main"`
	ClientID    string    `json:"clientId" minLength:"1" maxLength:"256"`
	Secret      *string   `json:"clientSecret,omitempty" maxLength:"4096" doc:"absent: as it is; empty: none, for a public client"`
	Scopes      []string  `json:"scopes,omitempty" maxItems:"20" doc:"beside openid; default profile, email"`
	GroupsClaim string    `json:"groupsClaim,omitempty" maxLength:"128" doc:"claim of the ID token that lists groups; dots go into objects; default groups"`
	Mappings    []Mapping `json:"mappings,omitempty" maxItems:"500"`
	Disabled    bool      `json:"disabled,omitempty"`
}

var providerName = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,39}$`)

func (f *ProviderFields) check() error {
	if !providerName.MatchString(f.Name) {
		return invalid("the name has 1 to 40 letters, digits, blanks and . _ -")
	}
	u, err := url.Parse(f.Issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return invalid("the issuer is an https URL without query")
	}
	if f.ClientID == "" || clean(f.ClientID, 256) != f.ClientID {
		return invalid("the client id is missing, or is none")
	}
	if f.Scopes == nil {
		f.Scopes = []string{"profile", "email"}
	}
	for _, scope := range f.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }) {
			return invalid("the scope %q is none", clean(scope, 64))
		}
	}
	if f.GroupsClaim == "" {
		f.GroupsClaim = "groups"
	}
	for _, m := range f.Mappings {
		if m.Group == "" || clean(m.Group, 256) != m.Group {
			return invalid("a mapping names no group")
		}
	}
	return nil
}

func (p *Provider) unpack(s *Service) error {
	p.HasSecret = len(p.Secret) > 0
	p.Scopes, p.Mappings, p.RedirectURL = []string{}, []Mapping{}, s.redirectURL()
	return errors.Join(json.Unmarshal([]byte(p.ScopeList), &p.Scopes), json.Unmarshal([]byte(p.MappingList), &p.Mappings))
}

// Providers lists all providers by name.
func (s *Service) Providers(ctx context.Context) ([]*Provider, error) {
	var list []*Provider
	if err := s.db.R.NewSelect().Model(&list).OrderExpr("name").Scan(ctx); err != nil {
		return nil, err
	}
	for _, p := range list {
		if err := p.unpack(s); err != nil {
			return nil, fmt.Errorf("provider %d: %w", p.ID, err)
		}
	}
	return list, nil
}

// Provider returns one.
func (s *Service) Provider(ctx context.Context, id int64) (*Provider, error) {
	return s.provider(ctx, s.db.R, id)
}

func (s *Service) provider(ctx context.Context, db bun.IDB, id int64) (*Provider, error) {
	p := new(Provider)
	if err := db.NewSelect().Model(p).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, store.NotFound(err)
	}
	return p, p.unpack(s)
}

// PutProvider adds a provider (id 0) or replaces what is set of one. The issuer is asked for its configuration first, so that a
// wrong one is told here and not at a sign-in.
func (s *Service) PutProvider(ctx context.Context, id int64, f ProviderFields) (*Provider, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if s.o.URL == "" {
		return nil, invalid("the server does not know where browsers reach it, which the provider must: start it with its URL")
	}
	if f.Secret != nil && *f.Secret != "" && s.o.Keys == nil {
		return nil, invalid("the server has no key to keep a client secret with")
	}
	if !f.Disabled {
		if _, err := s.discover(ctx, f.Issuer); err != nil {
			return nil, err
		}
	}
	var p *Provider
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var before any
		p = &Provider{CreatedAt: store.At(s.now())}
		if id != 0 {
			old, err := s.provider(ctx, tx, id)
			if err != nil {
				return err
			}
			copied := *old
			p, before = &copied, old
			if p.HasSecret && f.Secret == nil && p.Issuer != f.Issuer { // or the secret would be sent to whoever is named now
				return invalid("another issuer needs its client secret: send clientSecret")
			}
		}
		if err := s.mayMap(ctx, tx, f.Mappings, p.Mappings); err != nil {
			return err
		}
		p.Name, p.Issuer, p.ClientID, p.GroupsClaim, p.Disabled, p.ChangedAt = f.Name, f.Issuer, f.ClientID, f.GroupsClaim, f.Disabled, store.At(s.now())
		p.ScopeList, p.MappingList = ledger.JSON(slices.Concat([]string{}, f.Scopes)), ledger.JSON(slices.Concat([]Mapping{}, f.Mappings))
		if p.ID == 0 { // the secret is sealed for its place, which needs the id
			if _, err := tx.NewInsert().Model(p).Exec(ctx); err != nil {
				return taken(err, p.Name)
			}
		}
		if f.Secret != nil {
			p.Secret = nil
			if *f.Secret != "" {
				var err error
				if p.Secret, err = s.o.Keys.Seal(p.place(), []byte(*f.Secret)); err != nil {
					return err
				}
			}
		}
		if _, err := tx.NewUpdate().Model(p).WherePK().Exec(ctx); err != nil {
			return taken(err, p.Name)
		}
		if err := p.unpack(s); err != nil {
			return err
		}
		action := "provider.change"
		if before == nil {
			action = "provider.add"
		}
		return audit.Record(ctx, tx, action, p.object(), 0, before, p)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func taken(err error, name string) error {
	if store.Duplicate(err) {
		return fmt.Errorf("%w: there is a provider %q already", ErrConflict, name)
	}
	return err
}

// mayMap refuses mappings to grants that the principal of ctx does not have itself, and the change of such mappings.
func (s *Service) mayMap(ctx context.Context, tx bun.Tx, lists ...[]Mapping) error {
	for i, list := range lists {
		var grants []identity.Grant
		for _, m := range list {
			grants = append(grants, m.Grant)
		}
		if i == 0 {
			if err := checkGrants(ctx, tx, grants); err != nil {
				return err
			}
		}
		if err := mayGive(ctx, grants); err != nil {
			return err
		}
	}
	return nil
}

// RemoveProvider takes a provider away. Its users stay, lose what its mappings gave them and their sessions, and cannot sign in.
func (s *Service) RemoveProvider(ctx context.Context, id int64) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		p, err := s.provider(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, q := range []string{
			"DELETE FROM sessions WHERE user_id IN (SELECT id FROM users WHERE provider_id = ?)",
			"DELETE FROM grants WHERE provider_id = ?",
			"DELETE FROM providers WHERE id = ?",
		} {
			if _, err := tx.ExecContext(ctx, q, id); err != nil {
				return err
			}
		}
		return audit.Record(ctx, tx, "provider.remove", p.object(), 0, p, nil)
	})
	s.cache.clear()
	return err
}

// ResealProviders seals the client secrets anew after a rotation of the keys: for seal.Keys.Rotate.
func (s *Service) ResealProviders(ctx context.Context, reseal func(place string, sealed []byte) ([]byte, error)) error {
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var list []*Provider
		if err := tx.NewSelect().Model(&list).Where("secret IS NOT NULL").Scan(ctx); err != nil {
			return err
		}
		for _, p := range list {
			fresh, err := reseal(p.place(), p.Secret)
			if err != nil {
				return fmt.Errorf("%s: %w", p.object(), err)
			}
			if _, err := tx.NewUpdate().Model((*Provider)(nil)).Set("secret = ?", fresh).Where("id = ?", p.ID).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
