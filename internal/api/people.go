package api

import (
	"context"
	"net/http"
	"time"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/people"
)

// grants is a body of grants.
type grantsBody struct {
	Grants []identity.Grant `json:"grants" maxItems:"500"`
}

// resetLink is what an administrator hands to a user.
type resetLink struct {
	Token     string    `json:"token" doc:"the console takes it at /reset#token=TOKEN; shown once"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// People adds the routes of users, their grants and OIDC providers, for those who manage people.
func People(a *API, s *people.Service) {
	users(a, s)
	access(a, s)
	providers(a, s)
}

func users(a *API, s *people.Service) {
	type list struct {
		Paging
		Search string `query:"search" maxLength:"128" doc:"part of the name, the display name or the e-mail address"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/users", ID: "list-users", Tag: "People", Action: identity.ManagePeople, Summary: "Users by name"},
		func(ctx context.Context, in *list) (*List[*people.User], error) {
			users, next, err := s.List(ctx, in.Search, in.Page())
			return Listed(users, next), err
		})
	type add struct {
		Body struct {
			Name string `json:"name" minLength:"1" maxLength:"63"`
			people.Fields
			Grants []identity.Grant `json:"grants,omitempty" maxItems:"500"`
		}
	}
	Add(a, Route{Method: http.MethodPost, Path: "/users", ID: "add-user", Tag: "People", Action: identity.ManagePeople, Status: http.StatusCreated, Summary: "Add a user",
		Description: "It has no password yet: POST /users/{id}/reset gives the link with which one is set."},
		func(ctx context.Context, in *add) (*One[*people.User], error) {
			u, err := s.Add(ctx, in.Body.Name, in.Body.Fields, in.Body.Grants)
			return &One[*people.User]{Body: u}, personal(err)
		})
	Add(a, Route{Method: http.MethodGet, Path: "/users/{id}", ID: "get-user", Tag: "People", Action: identity.ManagePeople, Summary: "A user"},
		func(ctx context.Context, in *ByID) (*One[*people.User], error) {
			u, err := s.Get(ctx, in.ID)
			return &One[*people.User]{Body: u}, err
		})
	type change struct {
		ByID
		Body people.Fields
	}
	Add(a, Route{Method: http.MethodPatch, Path: "/users/{id}", ID: "change-user", Tag: "People", Action: identity.ManagePeople, Summary: "Change or disable a user",
		Description: "Disabling ends sessions at once and stops tokens. The last administrator stays enabled."},
		func(ctx context.Context, in *change) (*One[*people.User], error) {
			u, err := s.Change(ctx, in.ID, in.Body)
			return &One[*people.User]{Body: u}, personal(err)
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/users/{id}", ID: "remove-user", Tag: "People", Action: identity.ManagePeople, Summary: "Remove a user",
		Description: "With sessions, tokens and grants. What they did stays in the history under their name. The last administrator stays."},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			return nil, personal(s.Remove(ctx, in.ID))
		})
	Add(a, Route{Method: http.MethodGet, Path: "/assignees", ID: "list-assignees", Tag: "People", Action: identity.Handle, Summary: "Users whom findings can be assigned to"},
		func(ctx context.Context, _ *struct{}) (*List[people.Named], error) {
			list, err := s.Assignees(ctx, identity.From(ctx).Visible(identity.Handle))
			return Listed(list, ""), err
		})
}

func access(a *API, s *people.Service) {
	type put struct {
		ByID
		Body grantsBody
	}
	Add(a, Route{Method: http.MethodPut, Path: "/users/{id}/grants", ID: "set-grants", Tag: "People", Action: identity.ManagePeople, Summary: "What a user may",
		Description: "Replaces what administrators gave; what a provider's mappings give is not touched. It takes effect within seconds in open sessions. The last administrator stays one."},
		func(ctx context.Context, in *put) (*One[*people.User], error) {
			u, err := s.SetGrants(ctx, in.ID, in.Body.Grants)
			return &One[*people.User]{Body: u}, personal(err)
		})
	Add(a, Route{Method: http.MethodPost, Path: "/users/{id}/reset", ID: "reset-password", Tag: "People", Action: identity.ManagePeople, Summary: "Make a one-time link for a new password",
		Description: "It holds for a day and ends the user's sessions. The old password holds until it is used."},
		func(ctx context.Context, in *ByID) (*One[resetLink], error) {
			token, until, err := s.Reset(ctx, in.ID)
			return &One[resetLink]{Body: resetLink{token, until}}, personal(err)
		})
	Add(a, Route{Method: http.MethodGet, Path: "/users/{id}/sessions", ID: "list-user-sessions", Tag: "People", Action: identity.ManagePeople, Summary: "A user's sessions"},
		func(ctx context.Context, in *ByID) (*List[*people.Session], error) {
			if _, err := s.Get(ctx, in.ID); err != nil {
				return nil, err
			}
			list, err := s.Sessions(ctx, in.ID)
			return Listed(list, ""), err
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/users/{id}/sessions", ID: "end-user-sessions", Tag: "People", Action: identity.ManagePeople, Summary: "End all sessions of a user"},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			return nil, personal(s.EndSessions(ctx, in.ID))
		})
	Add(a, Route{Method: http.MethodGet, Path: "/users/{id}/tokens", ID: "list-user-tokens", Tag: "People", Action: identity.ManagePeople, Summary: "A user's API tokens"},
		func(ctx context.Context, in *ByID) (*List[*people.Token], error) {
			if _, err := s.Get(ctx, in.ID); err != nil {
				return nil, err
			}
			list, err := s.Tokens(ctx, in.ID)
			return Listed(list, ""), err
		})
}

func providers(a *API, s *people.Service) {
	Add(a, Route{Method: http.MethodGet, Path: "/providers", ID: "list-providers", Tag: "People", Action: identity.ManagePeople, Summary: "OIDC providers"},
		func(ctx context.Context, _ *struct{}) (*List[*people.Provider], error) {
			list, err := s.Providers(ctx)
			return Listed(list, ""), err
		})
	type add struct{ Body people.ProviderFields }
	Add(a, Route{Method: http.MethodPost, Path: "/providers", ID: "add-provider", Tag: "People", Action: identity.ManagePeople, Status: http.StatusCreated, Summary: "Add an OIDC provider",
		Description: "Its configuration is asked for at once. The client secret is kept encrypted and never shown."},
		func(ctx context.Context, in *add) (*One[*people.Provider], error) {
			p, err := s.PutProvider(ctx, 0, in.Body)
			return &One[*people.Provider]{Body: p}, personal(err)
		})
	Add(a, Route{Method: http.MethodGet, Path: "/providers/{id}", ID: "get-provider", Tag: "People", Action: identity.ManagePeople, Summary: "An OIDC provider"},
		func(ctx context.Context, in *ByID) (*One[*people.Provider], error) {
			p, err := s.Provider(ctx, in.ID)
			return &One[*people.Provider]{Body: p}, err
		})
	type put struct {
		ByID
		Body people.ProviderFields
	}
	Add(a, Route{Method: http.MethodPut, Path: "/providers/{id}", ID: "change-provider", Tag: "People", Action: identity.ManagePeople, Summary: "Change an OIDC provider"},
		func(ctx context.Context, in *put) (*One[*people.Provider], error) {
			p, err := s.PutProvider(ctx, in.ID, in.Body)
			return &One[*people.Provider]{Body: p}, personal(err)
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/providers/{id}", ID: "remove-provider", Tag: "People", Action: identity.ManagePeople, Summary: "Remove an OIDC provider",
		Description: "Its users stay, but cannot sign in; their sessions end."},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			return nil, personal(s.RemoveProvider(ctx, in.ID))
		})
}
