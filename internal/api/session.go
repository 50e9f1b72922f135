package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/people"
)

// Profile is who is signed in, and what they may.
type Profile struct {
	User    *people.User      `json:"user,omitempty" doc:"absent for the server's own programs"`
	Via     string            `json:"via" enum:"session,token,connector,agent,system"`
	Session string            `json:"session,omitempty" doc:"id of the session or token"`
	Actions []identity.Action `json:"actions" doc:"what they may do somewhere"`
	Grants  []identity.Grant  `json:"grants" doc:"where"`
}

// signedIn is an answer that brings cookies.
type signedIn struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      *people.User
}

// withCookies is an answer that has nothing but cookies.
type withCookies struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
}

// redirect sends the browser elsewhere.
type redirect struct {
	Status    int
	Location  string        `header:"Location"`
	SetCookie []http.Cookie `header:"Set-Cookie"`
}

// personal gives the errors of people their status.
func personal(err error) error {
	var wait *people.Throttled
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wait):
		return huma.ErrorWithHeaders(huma.Error429TooManyRequests(wait.Error()), http.Header{"Retry-After": {strconv.Itoa(max(1, int(math.Ceil(wait.Wait.Seconds()))))}})
	case errors.Is(err, people.ErrCredentials):
		return huma.Error403Forbidden(err.Error())
	case errors.Is(err, people.ErrLink):
		return huma.NewError(http.StatusGone, err.Error())
	case errors.Is(err, people.ErrForbidden):
		return huma.Error403Forbidden(err.Error())
	case errors.Is(err, people.ErrConflict):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, people.ErrInvalid):
		return huma.Error422UnprocessableEntity(err.Error())
	}
	return err
}

// Sessions adds the routes of signing in and out, of one's own profile and sessions.
func Sessions(a *API, s *people.Service) {
	signIn(a, s)
	links(a, s)
	profile(a, s)
	Add(a, Route{Method: http.MethodGet, Path: "/sessions", ID: "list-sessions", Tag: "Sessions", Action: identity.Self, Summary: "Your sessions"},
		func(ctx context.Context, _ *struct{}) (*List[*people.Session], error) {
			list, err := s.Sessions(ctx, identity.From(ctx).UserID)
			return Listed(list, ""), err
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/sessions/{id}", ID: "end-session", Tag: "Sessions", Action: identity.Self, Summary: "End a session",
		Description: "One of yours; those who manage people end anyone's."},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			return nil, personal(s.EndSession(ctx, in.ID))
		})
}

func signIn(a *API, s *people.Service) {
	type credentials struct {
		Body struct {
			Name     string `json:"name" maxLength:"128"`
			Password string `json:"password" maxLength:"1024" format:"password"`
		}
	}
	Add(a, Route{Method: http.MethodPost, Path: "/session", ID: "sign-in", Tag: "Sessions", Action: identity.Anyone, MaxBody: 16 << 10, Summary: "Sign in with name and password",
		Description: "The answer brings the session's cookie. A wrong name, a wrong password and a disabled user all answer 403 alike; too many failures 429."},
		func(ctx context.Context, in *credentials) (*signedIn, error) {
			cookie, u, err := s.SignIn(ctx, in.Body.Name, in.Body.Password)
			if err != nil {
				return nil, personal(err)
			}
			return &signedIn{SetCookie: []http.Cookie{*cookie}, Body: u}, nil
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/session", ID: "sign-out", Tag: "Sessions", Action: identity.Self, Summary: "Sign out", Status: http.StatusNoContent},
		func(ctx context.Context, _ *struct{}) (*withCookies, error) {
			cookie, err := s.SignOut(ctx)
			if err != nil {
				return nil, personal(err)
			}
			return &withCookies{SetCookie: []http.Cookie{*cookie}}, nil
		})
	type way struct {
		ID   int64  `json:"id,string"`
		Name string `json:"name"`
	}
	type ways struct {
		Setup     bool  `json:"setup" doc:"there is no administrator yet: the server printed a link at its start"`
		Providers []way `json:"providers" doc:"GET /session/oidc/{id} begins a sign-in through one"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/session/ways", ID: "list-sign-ins", Tag: "Sessions", Action: identity.Anyone, Summary: "How one can sign in"},
		func(ctx context.Context, _ *struct{}) (*One[ways], error) {
			out := ways{Providers: []way{}}
			list, err := s.Providers(ctx)
			if err != nil {
				return nil, err
			}
			for _, p := range list {
				if !p.Disabled {
					out.Providers = append(out.Providers, way{p.ID, p.Name})
				}
			}
			out.Setup, err = s.NeedsSetup(ctx)
			return &One[ways]{Body: out}, err
		})
	type begin struct {
		ByID
		Next string `query:"next" maxLength:"1000" doc:"path of the console to go on to"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/session/oidc/{id}", ID: "begin-oidc", Tag: "Sessions", Action: identity.Anyone, Status: http.StatusFound, Summary: "Sign in through a provider",
		Description: "For browsers: redirects to the provider."},
		func(ctx context.Context, in *begin) (*redirect, error) {
			where, cookie, err := s.Begin(ctx, in.ID, in.Next)
			if err != nil {
				return refused(err, nil)
			}
			return &redirect{Status: http.StatusFound, Location: where, SetCookie: []http.Cookie{*cookie}}, nil
		})
	type answer struct {
		Code  string `query:"code"`
		State string `query:"state"`
		Error string `query:"error"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/session/oidc/callback", ID: "finish-oidc", Tag: "Sessions", Action: identity.Anyone, AnyQuery: true, Status: http.StatusFound, Summary: "Where providers send browsers back to",
		Description: "Redirects to where the sign-in was asked for, or to /sign-in?error=expired, provider, denied, disabled, no-role or throttled."},
		func(ctx context.Context, in *answer) (*redirect, error) {
			next, cookies, err := s.Finish(ctx, people.Answer{Code: in.Code, State: in.State, Error: in.Error})
			if err != nil {
				return refused(err, cookies)
			}
			return &redirect{Status: http.StatusFound, Location: next, SetCookie: values(cookies)}, nil
		})
}

// refused sends the browser to the sign-in page, which has a sentence for the reason.
func refused(err error, cookies []*http.Cookie) (*redirect, error) {
	var r people.Refusal
	if !errors.As(err, &r) {
		return nil, personal(err)
	}
	return &redirect{Status: http.StatusFound, Location: "/sign-in?error=" + url.QueryEscape(string(r)), SetCookie: values(cookies)}, nil
}

func values(list []*http.Cookie) []http.Cookie {
	var out []http.Cookie
	for _, c := range list {
		out = append(out, *c)
	}
	return out
}

func links(a *API, s *people.Service) {
	type setUp struct {
		Body struct {
			Token    string `json:"token" maxLength:"128" doc:"of the link that the server printed"`
			Name     string `json:"name" maxLength:"63"`
			Password string `json:"password" maxLength:"1024" format:"password" doc:"at least 12 characters"`
			people.Fields
		}
	}
	Add(a, Route{Method: http.MethodPost, Path: "/setup", ID: "set-up", Tag: "Sessions", Action: identity.Anyone, MaxBody: 16 << 10, Status: http.StatusCreated, Summary: "Make the first administrator",
		Description: "With the one-time token that the server prints while there is none. The answer brings a session's cookie."},
		func(ctx context.Context, in *setUp) (*signedIn, error) {
			cookie, u, err := s.SetUp(ctx, in.Body.Token, in.Body.Name, in.Body.Password, in.Body.Fields)
			if err != nil {
				return nil, personal(err)
			}
			return &signedIn{SetCookie: []http.Cookie{*cookie}, Body: u}, nil
		})
	type redeem struct {
		Body struct {
			Token    string `json:"token" maxLength:"128" doc:"of the link that an administrator made"`
			Password string `json:"password" maxLength:"1024" format:"password" doc:"at least 12 characters"`
		}
	}
	Add(a, Route{Method: http.MethodPost, Path: "/password/reset", ID: "redeem-password", Tag: "Sessions", Action: identity.Anyone, MaxBody: 16 << 10, Status: http.StatusNoContent, Summary: "Set a password with a one-time link"},
		func(ctx context.Context, in *redeem) (*struct{}, error) {
			return nil, personal(s.Redeem(ctx, in.Body.Token, in.Body.Password))
		})
	type change struct {
		Body struct {
			Old string `json:"old" maxLength:"1024" format:"password"`
			New string `json:"new" maxLength:"1024" format:"password" doc:"at least 12 characters"`
		}
	}
	Add(a, Route{Method: http.MethodPost, Path: "/password", ID: "change-password", Tag: "Sessions", Action: identity.Self, MaxBody: 16 << 10, Status: http.StatusNoContent, Summary: "Change your password",
		Description: "Ends all your sessions; the answer brings the cookie of a new one."},
		func(ctx context.Context, in *change) (*withCookies, error) {
			cookie, err := s.ChangePassword(ctx, in.Body.Old, in.Body.New)
			if err != nil {
				return nil, personal(err)
			}
			return &withCookies{SetCookie: []http.Cookie{*cookie}}, nil
		})
}

func profile(a *API, s *people.Service) {
	of := func(ctx context.Context) (*One[Profile], error) {
		p := identity.From(ctx)
		out := Profile{Via: p.Via, Session: p.Session, Actions: []identity.Action{}, Grants: append([]identity.Grant{}, p.Grants...)}
		for _, action := range identity.Actions {
			if p.May(action) {
				out.Actions = append(out.Actions, action)
			}
		}
		if p.UserID != 0 {
			u, err := s.Get(ctx, p.UserID)
			if err != nil {
				return nil, err
			}
			out.User = u
		}
		return &One[Profile]{Body: out}, nil
	}
	Add(a, Route{Method: http.MethodGet, Path: "/session", ID: "get-profile", Tag: "Sessions", Action: identity.Self, Summary: "Who you are and what you may"},
		func(ctx context.Context, _ *struct{}) (*One[Profile], error) { return of(ctx) })
	type change struct {
		Body struct {
			DisplayName *string `json:"displayName,omitempty" maxLength:"128"`
			Email       *string `json:"email,omitempty" maxLength:"254"`
			Language    *string `json:"language,omitempty" enum:"en,zh,"`
		}
	}
	Add(a, Route{Method: http.MethodPatch, Path: "/session", ID: "change-profile", Tag: "Sessions", Action: identity.Self, Summary: "Change your name, e-mail address or language"},
		func(ctx context.Context, in *change) (*One[Profile], error) {
			if _, err := s.ChangeSelf(ctx, people.Fields{DisplayName: in.Body.DisplayName, Email: in.Body.Email, Language: in.Body.Language}); err != nil {
				return nil, personal(err)
			}
			return of(ctx)
		})
}
