package api

import (
	"context"
	"net/http"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/people"
)

// NewToken is an API token with its text, which is told this once.
type NewToken struct {
	*people.Token
	Text string `json:"token" doc:"stk_...: keep it, it is not shown again"`
}

// Tokens adds the routes of API tokens.
func Tokens(a *API, s *people.Service) {
	Add(a, Route{Method: http.MethodGet, Path: "/tokens", ID: "list-tokens", Tag: "Tokens", Action: identity.Self, Summary: "Your API tokens"},
		func(ctx context.Context, _ *struct{}) (*List[*people.Token], error) {
			list, err := s.Tokens(ctx, identity.From(ctx).UserID)
			return Listed(list, ""), err
		})
	type add struct{ Body people.NewToken }
	Add(a, Route{Method: http.MethodPost, Path: "/tokens", ID: "add-token", Tag: "Tokens", Action: identity.Self, Status: http.StatusCreated, Summary: "Make an API token",
		Description: "It needs a session: a token cannot make tokens. What it may is never more than what you may at the time of its use."},
		func(ctx context.Context, in *add) (*One[NewToken], error) {
			t, text, err := s.AddToken(ctx, in.Body)
			if err != nil {
				return nil, personal(err)
			}
			return &One[NewToken]{Body: NewToken{Token: t, Text: text}}, nil
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/tokens/{id}", ID: "end-token", Tag: "Tokens", Action: identity.Self, Summary: "Revoke an API token",
		Description: "One of yours; those who manage people revoke anyone's. A token may revoke itself."},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			return nil, personal(s.EndToken(ctx, in.ID))
		})
}
