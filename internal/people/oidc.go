package people

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/uptrace/bun"
	"golang.org/x/oauth2"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// flowLife is how long a sign-in through a provider may take.
const flowLife = 10 * time.Minute

// A Refusal is why a sign-in through a provider failed, as the sign-in page may tell it: the rest is in the log.
type Refusal string

// The refusals.
const (
	RefusedFlow     Refusal = "expired"  // it took too long, or was begun in another browser
	RefusedProvider Refusal = "provider" // the provider is not there, does not answer or answers nonsense
	RefusedByUser   Refusal = "denied"   // the provider, or the user there, said no
	RefusedUser     Refusal = "disabled" // the user is disabled
	RefusedRole     Refusal = "no-role"  // no mapping and no administrator gives the user anything
	RefusedMany     Refusal = "throttled"
)

func (r Refusal) Error() string { return "sign-in refused: " + string(r) }

// clients keeps what issuers said of themselves.
type clients struct {
	mu   sync.Mutex
	list map[string]discovered
}

type discovered struct {
	provider *oidc.Provider
	at       time.Time
}

// limitedClient is for requests to issuers: short, small, and to nobody else.
func limitedClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{Timeout: 10 * time.Second, Transport: t}
}

// bounded cuts answers off, and follows no redirects.
func bounded(c *http.Client) *http.Client {
	copied := *c
	next := c.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	copied.Transport = boundedTransport{next}
	copied.CheckRedirect = func(*http.Request, []*http.Request) error {
		return errors.New("the issuer redirects, which is not followed")
	}
	return &copied
}

type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, 1<<20), resp.Body}
	}
	return resp, err
}

func (s *Service) redirectURL() string {
	if s.o.URL == "" {
		return ""
	}
	return s.o.URL + "/api/v1/session/oidc/callback"
}

// discover asks an issuer for its configuration, at most once an hour. What it answered is not in the error: it could be anybody's.
func (s *Service) discover(ctx context.Context, issuer string) (*oidc.Provider, error) {
	s.clients.mu.Lock()
	d, ok := s.clients.list[issuer]
	s.clients.mu.Unlock()
	if age := s.now().Sub(d.at); ok && age >= 0 && age < time.Hour {
		return d.provider, nil
	}
	// The provider keeps the client of the context for its keys, and no more of it.
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, bounded(s.o.Client)), issuer)
	var mismatch *oidc.IssuerMismatchError
	switch {
	case errors.As(err, &mismatch):
		return nil, invalid("what answers at %s is the issuer of another name: write it as the provider does", issuer)
	case err != nil:
		s.log.Warn("an OIDC issuer does not tell its configuration", "issuer", issuer, "error", clean(err.Error(), 300))
		return nil, invalid("%s/.well-known/openid-configuration cannot be read: see the server's log", strings.TrimSuffix(issuer, "/"))
	}
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	if s.clients.list == nil || len(s.clients.list) > 50 {
		s.clients.list = map[string]discovered{}
	}
	s.clients.list[issuer] = discovered{p, s.now()}
	return p, nil
}

// client makes the OAuth client of a provider.
func (s *Service) oauth(ctx context.Context, p *Provider) (*oauth2.Config, *oidc.Provider, error) {
	issuer, err := s.discover(ctx, p.Issuer)
	if err != nil {
		return nil, nil, err
	}
	c := &oauth2.Config{ClientID: p.ClientID, Endpoint: issuer.Endpoint(), RedirectURL: s.redirectURL(), Scopes: append([]string{oidc.ScopeOpenID}, p.Scopes...)}
	if p.HasSecret {
		if s.o.Keys == nil {
			return nil, nil, errors.New("the server has no key to open client secrets with")
		}
		secret, err := s.o.Keys.Open(p.place(), p.Secret)
		if err != nil {
			return nil, nil, fmt.Errorf("client secret of %s: %w", p.object(), err)
		}
		c.ClientSecret = string(secret)
	}
	return c, issuer, nil
}

// Begin starts a sign-in through a provider: the browser goes to where, with the cookie. next is where it goes when it is signed
// in, a path of the console.
func (s *Service) Begin(ctx context.Context, provider int64, next string) (where string, cookie *http.Cookie, err error) {
	if s.throttle.allow(network(clientOf(ctx).remote), s.now()) != nil {
		return "", nil, RefusedMany
	}
	p, err := s.Provider(ctx, provider)
	if err != nil {
		return "", nil, err
	}
	if p.Disabled {
		return "", nil, store.ErrNotFound
	}
	c, _, err := s.oauth(ctx, p)
	if err != nil {
		s.log.Warn("a sign-in cannot begin", "provider", p.Name, "error", err)
		return "", nil, RefusedProvider
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	flow, err := s.sessions.Load(context.WithValue(ctx, openingKey{}, opening{}), "")
	if err != nil {
		return "", nil, err
	}
	s.sessions.Put(flow, "provider", p.ID)
	s.sessions.Put(flow, "state", state)
	s.sessions.Put(flow, "nonce", nonce)
	s.sessions.Put(flow, "verifier", verifier)
	s.sessions.Put(flow, "next", localPath(next))
	token, _, err := s.sessions.Commit(flow)
	if err != nil {
		return "", nil, err
	}
	where = c.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier))
	return where, s.bake(flowCookie, token, flowLife), nil
}

// localPath lets only paths of this server through: a link to the sign-in must not lead anywhere else.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") ||
		strings.ContainsFunc(next, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }) || len(next) > 1000 {
		return "/"
	}
	return next
}

// Answer is what the provider sends the browser back with.
type Answer struct{ Code, State, Error string }

// Finish ends a sign-in through a provider: the browser goes on to next with the cookies. Failures that the user may know of are a
// Refusal.
func (s *Service) Finish(ctx context.Context, a Answer) (next string, cookies []*http.Cookie, err error) {
	cookies = []*http.Cookie{s.bake(flowCookie, "", 0)}
	c := clientOf(ctx)
	if s.throttle.allow(network(c.remote), s.now()) != nil {
		return "", cookies, RefusedMany
	}
	if c.flow == "" {
		return "", cookies, RefusedFlow
	}
	flow, err := s.sessions.Load(ctx, c.flow)
	if err != nil {
		return "", cookies, err
	}
	id, state := s.sessions.GetInt64(flow, "provider"), s.sessions.GetString(flow, "state")
	nonce, verifier, next := s.sessions.GetString(flow, "nonce"), s.sessions.GetString(flow, "verifier"), s.sessions.GetString(flow, "next")
	if state == "" || a.State != state {
		return "", cookies, RefusedFlow
	}
	if err := s.sessions.Destroy(flow); err != nil { // it is good for one answer
		return "", cookies, err
	}
	if a.Error != "" {
		s.log.Info("a provider refused a sign-in", "provider", id, "error", clean(a.Error, 100))
		return "", cookies, RefusedByUser
	}
	p, err := s.Provider(ctx, id)
	if err != nil || p.Disabled {
		return "", cookies, RefusedProvider
	}
	claims, err := s.exchange(ctx, p, a.Code, verifier, nonce)
	if err != nil {
		s.log.Warn("a sign-in through a provider failed", "provider", p.Name, "remote", c.remote, "error", clean(plainError(err), 300))
		return "", cookies, RefusedProvider
	}
	u, err := s.arrive(ctx, p, claims)
	if err != nil {
		return "", cookies, err
	}
	cookie, err := s.open(ctx, opening{user: u, how: "oidc " + p.Name, before: func(ctx context.Context, tx bun.Tx) error {
		now, err := get(ctx, tx, u.ID)
		if err == nil && now.Disabled {
			return RefusedUser
		}
		return err
	}})
	if err != nil {
		return "", cookies, err
	}
	return next, append(cookies, cookie), nil
}

// plainError leaves out what the provider answered beside its error code: it may quote what was sent.
func plainError(err error) string {
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) {
		return "the token endpoint answered " + answer.ErrorCode
	}
	return err.Error()
}

// exchange turns the code into the claims of a verified ID token.
func (s *Service) exchange(ctx context.Context, p *Provider, code, verifier, nonce string) (map[string]any, error) {
	c, issuer, err := s.oauth(ctx, p)
	if err != nil {
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, bounded(s.o.Client))
	token, err := c.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, err
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, errors.New("the provider gave no ID token")
	}
	t, err := issuer.Verifier(&oidc.Config{ClientID: p.ClientID, Now: s.now}).Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if t.Nonce != nonce {
		return nil, errors.New("the ID token is for another sign-in")
	}
	claims := map[string]any{}
	if err := t.Claims(&claims); err != nil {
		return nil, err
	}
	if t.Subject == "" || len(t.Subject) > 255 {
		return nil, errors.New("the ID token names nobody")
	}
	claims["sub"] = t.Subject
	return claims, nil
}

// arrive finds or makes the user of an ID token, and gives what the mappings say now. It is found by the provider's id of it only:
// names and e-mail addresses can be chosen at many providers.
func (s *Service) arrive(ctx context.Context, p *Provider, claims map[string]any) (*User, error) {
	subject := text(claims, "sub")
	groups := groupsOf(claims, p.GroupsClaim)
	ctx = identity.With(ctx, &identity.Principal{Name: "provider " + p.Name, Via: "system"})
	var u *User
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := lock(ctx, tx); err != nil {
			return err
		}
		u = new(User)
		action, before := "user.change", any(nil)
		err := tx.NewSelect().Model(u).Where("provider_id = ? AND subject = ? AND removed_at = 0", p.ID, subject).Scan(ctx)
		switch err = store.NotFound(err); {
		case errors.Is(err, store.ErrNotFound):
			action, u = "user.add", &User{ProviderID: p.ID, Subject: subject, CreatedAt: store.At(s.now())}
			if u.Name, err = freeName(ctx, tx, claims, p); err != nil {
				return err
			}
			if err := s.insert(ctx, tx, u); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			if err := fill(ctx, tx, u); err != nil {
				return err
			}
			copied := *u
			before = &copied
		}
		u.DisplayName = clean(text(claims, "name"), 128)
		email := text(claims, "email")
		if (Fields{Email: &email}).apply(u) != nil {
			u.Email = ""
		}
		if _, err := tx.NewUpdate().Model(u).WherePK().Exec(ctx); err != nil {
			return err
		}
		grants, err := mapped(ctx, tx, p.Mappings, groups)
		if err != nil {
			return err
		}
		if err := setGrants(ctx, tx, u, p.ID, grants); err != nil {
			return err
		}
		if old, ok := before.(*User); ok && same(old, u) {
			return nil
		}
		return audit.Record(ctx, tx, action, u.object(), 0, before, u)
	})
	s.cache.clear()
	switch {
	case err != nil:
		return nil, err
	case u.Disabled:
		return nil, RefusedUser
	case len(u.Grants)+len(u.Mapped) == 0:
		s.log.Info("a user has no role", "user", u.Name, "provider", p.Name)
		return nil, RefusedRole
	}
	return u, nil
}
