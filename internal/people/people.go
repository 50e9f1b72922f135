// Package people knows who may sign in and how: users and their grants, passwords, sessions, API tokens, OIDC providers, one-time
// links, and the middleware that says of each request who sends it.
package people

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/alexedwards/argon2id"
	"github.com/alexedwards/scs/v2"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
)

// Errors. ErrInvalid, ErrConflict and ErrForbidden come wrapped in what is wrong and what to do.
var (
	ErrInvalid           = errors.New("invalid")
	ErrConflict          = errors.New("conflict")
	ErrForbidden         = errors.New("not allowed")
	ErrCredentials       = errors.New("wrong name or password")
	ErrLink              = errors.New("the link is used, replaced or too old: ask for a new one")
	ErrLastAdministrator = fmt.Errorf("%w: this would leave nobody who is an administrator everywhere, is enabled and has a password", ErrConflict)
)

// Throttled is returned when there were too many failed sign-ins; Wait is how long until the next may be tried.
type Throttled struct{ Wait time.Duration }

func (t *Throttled) Error() string {
	return "too many failed sign-ins: wait and try again"
}

// Sealer encrypts what is kept in the database with a key from outside of it. place binds a value to where it is kept.
type Sealer interface {
	Seal(place string, plain []byte) ([]byte, error)
	Open(place string, sealed []byte) ([]byte, error)
}

// Options of the service. Zero values are the defaults.
type Options struct {
	DB     *store.DB
	Keys   Sealer       // for OIDC client secrets; nil: no provider can be configured that has one
	Log    *slog.Logger // default: discards
	URL    string       // where browsers reach the server, for OIDC: "https://stockade.example.com"
	Secure bool         // the server speaks TLS: cookies are Secure and carry the __Host- prefix

	Origins []string // other origins whose scripts may use a session: "https://console.example.com"

	// Problem answers a refused request; default: plain problem+json. Remote is the client's address; default: of the connection.
	Problem func(w http.ResponseWriter, r *http.Request, status int, detail string)
	Remote  func(r *http.Request) netip.Addr

	Idle     time.Duration    // a session unused for so long ends; default 8 hours
	Lifetime time.Duration    // a session ends; default 7 days
	Now      func() time.Time // default time.Now
	Hash     *argon2id.Params // cost of passwords; default 32 MiB, 3 passes
	Client   *http.Client     // for OIDC; default one with limits
}

// Service is the people of a server. Its methods may be called from many goroutines.
type Service struct {
	o        Options
	db       *store.DB
	log      *slog.Logger
	now      func() time.Time
	sessions *scs.SessionManager
	cache    cache
	throttle throttle
	hashing  chan struct{} // bounds how many passwords are hashed at once
	dummy    string        // hash that is compared for users that there are not
	hashes   func()        // called for each comparison; tests count with it
	seen     seen
	clients  clients
	origin   *http.CrossOriginProtection
}

// New makes the service.
func New(o Options) (*Service, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Idle == 0 {
		o.Idle = 8 * time.Hour
	}
	if o.Lifetime == 0 {
		o.Lifetime = 7 * 24 * time.Hour
	}
	if o.Hash == nil {
		o.Hash = &argon2id.Params{Memory: 32 << 10, Iterations: 3, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	}
	if o.Problem == nil {
		o.Problem = plainProblem
	}
	if o.Remote == nil {
		o.Remote = peer
	}
	if o.Client == nil {
		o.Client = limitedClient()
	}
	if o.URL != "" {
		if u, err := url.Parse(o.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fmt.Errorf("the server's URL %q is none: write https://HOST", o.URL)
		}
		o.URL = strings.TrimRight(o.URL, "/")
	}
	s := &Service{o: o, db: o.DB, log: o.Log, now: o.Now, hashing: make(chan struct{}, 2), hashes: func() {}, origin: http.NewCrossOriginProtection()}
	for _, origin := range o.Origins {
		if err := s.origin.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("trusted origin: %w", err)
		}
	}
	s.sessions = s.newSessions()
	s.throttle = newThrottle()
	dummy, err := argon2id.CreateHash(rand.Text(), o.Hash)
	s.dummy = dummy
	return s, err
}

// Run writes down every half minute when sessions and tokens were last used, and clears away what has expired, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := s.Flush(last); err != nil {
				s.log.Warn("the last use of sessions is not written down", "error", err)
			}
			return
		case <-tick.C:
			if err := errors.Join(s.Flush(ctx), s.Sweep(ctx)); err != nil && ctx.Err() == nil {
				s.log.Warn("sessions and tokens are not kept up to date", "error", err)
			}
		}
	}
}

// Sweep deletes sessions, tokens, links and counters whose time is over.
func (s *Service) Sweep(ctx context.Context) error {
	now := store.At(s.now())
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		for _, q := range []string{
			"DELETE FROM sessions WHERE expires_at <= ?",
			"DELETE FROM links WHERE expires_at <> 0 AND expires_at <= ?",
		} {
			if _, err := tx.ExecContext(ctx, q, now); err != nil {
				return err
			}
		}
		old := store.At(s.now().Add(-window))
		if _, err := tx.ExecContext(ctx, "DELETE FROM attempts WHERE since <= ? AND blocked_until <= ?", old, now); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM tokens WHERE expires_at <= ?", store.At(s.now().Add(-30*24*time.Hour))) // shown as expired until then
		return err
	})
}

// secret makes 256 random bits as text, and the hash that is kept of them.
func secret() (text, hash string) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	text = base64.RawURLEncoding.EncodeToString(b)
	return text, digest(text)
}

// digest is what is kept of a random secret. It needs no slow hash: nobody guesses 256 bits.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// invalid is ErrInvalid with what is wrong.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// clean makes foreign text fit to be kept and shown on one line, at most limit runes long.
func clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " "))
	text = strings.TrimSpace(text)
	if runes := []rune(text); len(runes) > limit {
		text = string(runes[:limit])
	}
	return text
}

// lock lets one transaction at a time change who is an administrator, on all replicas.
func lock(ctx context.Context, tx bun.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO settings (name, value) VALUES ('people.lock', '') ON CONFLICT (name) DO UPDATE SET value = excluded.value")
	return err
}

// seen gathers the last use of sessions and tokens until it is written down.
type seen struct {
	mu       sync.Mutex
	sessions map[int64]time.Time
	tokens   map[int64]time.Time
}

func (n *seen) note(list *map[int64]time.Time, id int64, at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if *list == nil {
		*list = map[int64]time.Time{}
	}
	(*list)[id] = at
}

func (n *seen) last(session int64) (time.Time, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at, ok := n.sessions[session]
	return at, ok
}

func (n *seen) take() (sessions, tokens map[int64]time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	sessions, tokens = n.sessions, n.tokens
	n.sessions, n.tokens = nil, nil
	return sessions, tokens
}

// Flush writes down when sessions and tokens were last used since the last call: no request waits for that.
func (s *Service) Flush(ctx context.Context) error {
	sessions, tokens := s.seen.take()
	if len(sessions)+len(tokens) == 0 {
		return nil
	}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		for id, at := range sessions {
			if _, err := tx.ExecContext(ctx, "UPDATE sessions SET seen_at = ?, expires_at = CASE WHEN ends_at < ? THEN ends_at ELSE ? END WHERE id = ? AND seen_at < ?",
				store.At(at), store.At(at.Add(s.o.Idle)), store.At(at.Add(s.o.Idle)), id, store.At(at)); err != nil {
				return err
			}
		}
		for id, at := range tokens {
			if _, err := tx.ExecContext(ctx, "UPDATE tokens SET used_at = ? WHERE id = ? AND used_at < ?", store.At(at), id, store.At(at)); err != nil {
				return err
			}
		}
		return nil
	})
}
