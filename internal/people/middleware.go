package people

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// client is what a request says of the browser or program behind it.
type client struct {
	remote string // address
	agent  string
	cookie string // of the session
	flow   string // of the sign-in through a provider
}

type clientKey struct{}

func clientOf(ctx context.Context) client {
	c, _ := ctx.Value(clientKey{}).(client)
	return c
}

// Middleware finds out who sends a request and from where: it puts identity.Principal and audit.Origin into the context. Requests
// without credentials, or with a session that has ended, go on without a principal. A bearer token that is not good is refused, and
// so are changes that another site's page asks for.
func (s *Service) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := client{remote: s.o.Remote(r).String(), agent: clean(r.UserAgent(), 200), cookie: s.cookie(r, sessionCookie), flow: s.cookie(r, flowCookie)}
		ctx := context.WithValue(r.Context(), clientKey{}, c)
		if audit.OriginOf(ctx) == (audit.Origin{}) { // else the server knows more: the request's id
			ctx = audit.WithOrigin(ctx, audit.Origin{Remote: c.remote})
		}

		var p *identity.Principal
		var err error
		if header := r.Header.Get("Authorization"); header != "" {
			scheme, token, _ := strings.Cut(header, " ")
			if !strings.EqualFold(scheme, "Bearer") {
				s.refuse(w, r, "send an API token as Authorization: Bearer stk_...")
				return
			}
			p, err = s.byToken(ctx, strings.TrimSpace(token))
			if errors.Is(err, store.ErrNotFound) {
				s.refuse(w, r, "the API token is unknown, revoked or expired, or its user is disabled")
				return
			}
		} else {
			// Browsers send cookies along with what other sites make them ask.
			if s.origin.Check(r) != nil {
				s.o.Problem(w, r, http.StatusForbidden, "this change was asked for by a page of another site")
				return
			}
			if c.cookie != "" {
				p, err = s.bySession(ctx, c.cookie)
			}
		}
		switch {
		case err != nil && !errors.Is(err, store.ErrNotFound):
			s.log.Error("who sends a request cannot be found out", "error", err)
			s.o.Problem(w, r, http.StatusServiceUnavailable, "who you are cannot be found out now: try again")
			return
		case p != nil:
			ctx = identity.With(ctx, p)
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (s *Service) refuse(w http.ResponseWriter, r *http.Request, detail string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="stockade"`)
	s.o.Problem(w, r, http.StatusUnauthorized, detail)
}

func plainProblem(w http.ResponseWriter, _ *http.Request, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "title": http.StatusText(status), "detail": detail})
}

func (s *Service) cookie(r *http.Request, name string) string {
	if s.o.Secure {
		name = "__Host-" + name
	}
	c, err := r.Cookie(name)
	if err != nil || len(c.Value) > 128 {
		return ""
	}
	return c.Value
}

// peer is the address at the other end of the connection.
func peer(r *http.Request) netip.Addr {
	p, _ := netip.ParseAddrPort(r.RemoteAddr)
	return p.Addr().Unmap()
}
