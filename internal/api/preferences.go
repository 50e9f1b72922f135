package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/people"
)

// Preferences adds the routes of what users chose in the console.
func Preferences(a *API, s *people.Service) {
	type all struct {
		Items map[string]any `json:"items" doc:"by key"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/session/preferences", ID: "list-preferences", Tag: "Sessions", Action: identity.Self, Summary: "What you chose in the console"},
		func(ctx context.Context, _ *struct{}) (*One[all], error) {
			list, err := s.Preferences(ctx)
			out := all{Items: map[string]any{}}
			for name, value := range list {
				out.Items[name] = value
			}
			return &One[all]{Body: out}, err
		})
	type ByKey struct {
		Key string `path:"key" maxLength:"100"`
	}
	type put struct {
		ByKey
		Body any `doc:"any JSON of at most 16 KiB"`
	}
	Add(a, Route{Method: http.MethodPut, Path: "/session/preferences/{key}", ID: "set-preference", Tag: "Sessions", Action: identity.Self, MaxBody: 32 << 10, Status: http.StatusNoContent,
		Summary: "Keep a choice", Description: "At most 200 of a user."},
		func(ctx context.Context, in *put) (*struct{}, error) {
			value, err := json.Marshal(in.Body)
			if err != nil {
				return nil, err
			}
			if err := s.Prefer(ctx, in.Key, value); errors.Is(err, people.ErrPreference) {
				return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
			} else if err != nil {
				return nil, err
			}
			return nil, nil
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/session/preferences/{key}", ID: "forget-preference", Tag: "Sessions", Action: identity.Self, Status: http.StatusNoContent, Summary: "Forget a choice"},
		func(ctx context.Context, in *ByKey) (*struct{}, error) { return nil, s.Forget(ctx, in.Key) })
}
