// Package registries keeps the registries of images that administrators name: credentials, certificates, mirrors. It tells readers of
// images how to ask them, and tries whether one can be reached.
package registries

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/notify/guard"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
)

// ErrInvalid is wrapped by errors about what people gave.
var ErrInvalid = errors.New("invalid")

const (
	maxRegistries = 200
	fresh         = 10 * time.Second // how long readers use what they know
)

// Registry is a registry as people see it.
type Registry struct {
	ID          int64      `json:"id,string"`
	Name        string     `json:"name"`
	Address     string     `json:"address" doc:"host or host:port, as references begin with it"`
	MirrorOf    string     `json:"mirrorOf,omitempty" doc:"host for whose images this one is asked first"`
	Insecure    bool       `json:"insecure" doc:"plain HTTP, or a certificate that nobody signed, is good enough"`
	CA          string     `json:"ca,omitempty" doc:"certificates in PEM that are trusted beside the system's"`
	Username    string     `json:"username,omitempty"`
	HasPassword bool       `json:"hasPassword"`
	CreatedAt   store.Time `json:"createdAt" format:"date-time"`
	UpdatedAt   store.Time `json:"updatedAt" format:"date-time"`
	CheckedAt   store.Time `json:"checkedAt,omitzero" format:"date-time"`
	Check       *Check     `json:"check,omitempty" doc:"what the last check saw"`
}

// Input is what people give of a registry.
type Input struct {
	Name     string  `json:"name" minLength:"1" maxLength:"100"`
	Address  string  `json:"address" minLength:"1" maxLength:"300" doc:"registry.example.com or registry.example.com:5000"`
	MirrorOf string  `json:"mirrorOf,omitempty" maxLength:"300" doc:"such as docker.io"`
	Insecure bool    `json:"insecure,omitempty"`
	CA       string  `json:"ca,omitempty" maxLength:"65536"`
	Username string  `json:"username,omitempty" maxLength:"300" doc:"without one the password is a token that is sent as it is"`
	Password *string `json:"password,omitempty" maxLength:"8192" format:"password" doc:"or token; absent: as it is; empty: none"`
}

type row struct {
	bun.BaseModel `bun:"table:registries,alias:r"`

	ID        int64      `bun:"id,pk,autoincrement"`
	Name      string     `bun:"name"`
	Address   string     `bun:"address"`
	MirrorOf  string     `bun:"mirror_of"`
	Insecure  bool       `bun:"insecure"`
	CA        string     `bun:"ca"`
	Username  string     `bun:"username"`
	Secret    []byte     `bun:"secret"`
	CreatedAt store.Time `bun:"created_at"`
	UpdatedAt store.Time `bun:"updated_at"`
	CheckedAt store.Time `bun:"checked_at"`
	Checked   string     `bun:"checked"`
}

func (r *row) object() string { return fmt.Sprintf("registry %d (%s)", r.ID, r.Name) }

func place(id int64) string { return fmt.Sprintf("registries/%d/secret", id) }

// seen is a row as people see it.
func (r *row) seen() *Registry {
	out := &Registry{ID: r.ID, Name: r.Name, Address: r.Address, MirrorOf: r.MirrorOf, Insecure: r.Insecure, CA: r.CA, Username: r.Username,
		HasPassword: len(r.Secret) > 0, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, CheckedAt: r.CheckedAt}
	if r.Checked != "" {
		c := &Check{}
		if json.Unmarshal([]byte(r.Checked), c) == nil {
			out.Check = c
		}
	}
	return out
}

// Options of a Book. DB and Keys are needed.
type Options struct {
	DB    *store.DB
	Keys  *seal.Keys
	Log   *slog.Logger
	Allow []string // destinations that an administrator allows beside public and private networks: see guard.New
	Local bool     // this machine, too
	Now   func() time.Time
}

// Book keeps the registries.
type Book struct {
	o     Options
	guard *guard.Guard

	mu    sync.Mutex
	known []registry.Place
	until time.Time
}

// New makes a Book.
func New(o Options) (*Book, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	g, err := guard.New(Reachable(o.Allow, o.Local))
	if err != nil {
		return nil, err
	}
	return &Book{o: o, guard: g}, nil
}

// Reachable lists what registries may be beside public addresses: private networks are where they stand. This machine and the metadata
// services of clouds are not.
func Reachable(allow []string, local bool) []string {
	list := append([]string{}, guard.Private...)
	if local {
		list = append(list, "127.0.0.0/8", "::1")
	}
	return append(list, allow...)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

var hostForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?(:[1-9][0-9]{0,4})?$`)

// host brings an address into the form that references begin with.
func host(text string) (string, error) {
	h := strings.ToLower(strings.TrimSpace(text))
	h = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(h, "https://"), "http://"), "/")
	if !hostForm.MatchString(h) || strings.Contains(h, "..") {
		return "", errors.New("want a host or host:port without a path, such as registry.example.com:5000")
	}
	return registry.Host(h), nil
}

// fill checks what people gave and puts it into the row.
func (b *Book) fill(r *row, in Input) error {
	name := strings.TrimSpace(in.Name)
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Cf, c) }) {
		return invalid("a name on one line is wanted")
	}
	address, err := host(in.Address)
	if err != nil {
		return invalid("address: %w", err)
	}
	bare, _, _ := strings.Cut(address, ":")
	if err := b.guard.Host(bare); err != nil {
		return invalid("address: %w", err)
	}
	mirror := ""
	if strings.TrimSpace(in.MirrorOf) != "" {
		if mirror, err = host(in.MirrorOf); err != nil {
			return invalid("mirror of: %w", err)
		}
		if mirror == address {
			return invalid("a registry is no mirror of itself")
		}
	}
	if strings.ContainsFunc(in.Username, unicode.IsControl) || strings.Contains(in.Username, ":") {
		return invalid("the user name holds a character that none can have")
	}
	if err := certificates(in.CA); err != nil {
		return err
	}
	r.Name, r.Address, r.MirrorOf, r.Insecure, r.CA, r.Username = name, address, mirror, in.Insecure, strings.TrimSpace(in.CA), strings.TrimSpace(in.Username)
	r.UpdatedAt = store.At(b.o.Now())
	return nil
}

func certificates(text string) error {
	rest := []byte(strings.TrimSpace(text))
	for len(rest) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return invalid("the certificate authority is no certificate in PEM")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return invalid("the certificate authority cannot be read as a certificate")
		}
	}
	return nil
}

// List lists all registries by name.
func (b *Book) List(ctx context.Context) ([]*Registry, error) {
	var rows []*row
	if err := b.o.DB.R.NewSelect().Model(&rows).OrderExpr("name, id").Scan(ctx); err != nil {
		return nil, err
	}
	out := make([]*Registry, len(rows))
	for i, r := range rows {
		out[i] = r.seen()
	}
	return out, nil
}

// Get gives one.
func (b *Book) Get(ctx context.Context, id int64) (*Registry, error) {
	r, err := byID(ctx, b.o.DB.R, id)
	if err != nil {
		return nil, err
	}
	return r.seen(), nil
}

func byID(ctx context.Context, db bun.IDB, id int64) (*row, error) {
	r := &row{}
	err := db.NewSelect().Model(r).Where("id = ?", id).Scan(ctx)
	return r, store.NotFound(err)
}

// Add adds a registry.
func (b *Book) Add(ctx context.Context, in Input) (*Registry, error) {
	made := row{CreatedAt: store.At(b.o.Now()), Secret: []byte{}}
	if err := b.fill(&made, in); err != nil {
		return nil, err
	}
	var out *Registry
	err := b.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r := made
		count, err := tx.NewSelect().Model((*row)(nil)).Count(ctx)
		if err != nil {
			return err
		}
		if count >= maxRegistries {
			return invalid("there are %d registries already", count)
		}
		if _, err := tx.NewInsert().Model(&r).Exec(ctx); err != nil {
			return err
		}
		if in.Password != nil && *in.Password != "" { // bound to the id, which there is only now
			if r.Secret, err = b.o.Keys.Seal(place(r.ID), []byte(*in.Password)); err != nil {
				return err
			}
			if _, err := tx.NewUpdate().Model(&r).Column("secret").WherePK().Exec(ctx); err != nil {
				return err
			}
		}
		out = r.seen()
		return audit.Record(ctx, tx, "registry.add", r.object(), 0, nil, out)
	})
	b.forget()
	return out, err
}

// Change changes a registry to what in says. A password that is left out stays, unless it would go to another place, or there with less
// care, now: who may change an address does not learn a secret by that.
func (b *Book) Change(ctx context.Context, id int64, in Input) (*Registry, error) {
	var out *Registry
	err := b.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r, err := byID(ctx, tx, id)
		if err != nil {
			return err
		}
		old, before := *r, r.seen()
		if err := b.fill(r, in); err != nil {
			return err
		}
		moved := r.Address != old.Address || r.Insecure && !old.Insecure || r.CA != old.CA && r.CA != ""
		switch {
		case in.Password == nil && moved && len(old.Secret) > 0:
			return invalid("the password would go to another place, or with less care: give it again, or empty")
		case in.Password == nil:
		case *in.Password == "":
			r.Secret = []byte{}
		default:
			if r.Secret, err = b.o.Keys.Seal(place(id), []byte(*in.Password)); err != nil {
				return err
			}
		}
		r.CheckedAt, r.Checked = store.Time{}, ""
		if _, err := tx.NewUpdate().Model(r).WherePK().Exec(ctx); err != nil {
			return err
		}
		out = r.seen()
		return audit.Record(ctx, tx, "registry.change", r.object(), 0, before, out)
	})
	b.forget()
	return out, err
}

// Remove removes a registry.
func (b *Book) Remove(ctx context.Context, id int64) error {
	err := b.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r, err := byID(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(r).WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "registry.remove", r.object(), 0, r.seen(), nil)
	})
	b.forget()
	return err
}

func (b *Book) forget() {
	b.mu.Lock()
	b.until = time.Time{}
	b.mu.Unlock()
}

// Places tells readers of images how to ask the registries. Other replicas take up a change within some seconds.
func (b *Book) Places(ctx context.Context) ([]registry.Place, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Before(b.until) {
		return b.known, nil
	}
	var rows []*row
	if err := b.o.DB.R.NewSelect().Model(&rows).OrderExpr("name, id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the registries: %w", err)
	}
	known := make([]registry.Place, 0, len(rows))
	for _, r := range rows {
		p := registry.Place{Address: r.Address, MirrorOf: r.MirrorOf, Insecure: r.Insecure, CA: []byte(r.CA), Username: r.Username}
		if len(r.Secret) > 0 {
			plain, err := b.o.Keys.Open(place(r.ID), r.Secret)
			if err != nil { // the others still work
				b.o.Log.Error("the password of a registry cannot be read: give it again", "registry", r.Name, "error", err)
				p.Username = ""
			} else {
				p.Password = string(plain)
			}
		}
		known = append(known, p)
	}
	b.known, b.until = known, now.Add(fresh)
	return known, nil
}

// Reseal gives every sealed password to reseal and keeps what it returns, for the rotation of keys.
func (b *Book) Reseal(ctx context.Context, reseal func(place string, sealed []byte) ([]byte, error)) error {
	return b.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var rows []*row
		if err := tx.NewSelect().Model(&rows).Column("id", "secret").Scan(ctx); err != nil {
			return err
		}
		for _, r := range rows {
			if len(r.Secret) == 0 {
				continue
			}
			secret, err := reseal(place(r.ID), r.Secret)
			if err != nil {
				return fmt.Errorf("registry %d: %w", r.ID, err)
			}
			if _, err := tx.NewUpdate().Model(r).Set("secret = ?", secret).WherePK().Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// audited shows of a check what may be kept.
func audited(c *Check) string { return ledger.JSON(c) }

// Of is the registry that a reference leads to; nil when none is kept for its host.
func (b *Book) Of(ctx context.Context, reference string) (*Registry, error) {
	address, _, ok := strings.Cut(reference, "/")
	if !ok {
		return nil, nil
	}
	r := &row{}
	err := store.NotFound(b.o.DB.R.NewSelect().Model(r).Where("address = ?", registry.Host(address)).Scan(ctx))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.seen(), nil
}
