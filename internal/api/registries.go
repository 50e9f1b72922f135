package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/registries"
)

// registryError gives what registries refuse their status.
func registryError(err error) error {
	if errors.Is(err, registries.ErrInvalid) {
		return huma.Error422UnprocessableEntity(strings.TrimPrefix(err.Error(), registries.ErrInvalid.Error()+": "))
	}
	return err
}

type registryBody struct{ Body registries.Input }

type registryChange struct {
	ByID
	Body registries.Input
}

type registryTry struct {
	ID   int64 `query:"id" minimum:"1" doc:"of the registry that it will be: its password is used when none is given"`
	Body registries.Input
}

// Registries adds the routes of registries of images. They are the whole server's.
func Registries(a *API, b *registries.Book) {
	const tag = "Registries"
	Add(a, Route{Method: http.MethodGet, Path: "/registries", ID: "list-registries", Tag: tag, Action: identity.ManageSettings, Summary: "List registries"},
		func(ctx context.Context, _ *struct{}) (*List[*registries.Registry], error) {
			list, err := b.List(ctx)
			return Listed(list, ""), err
		})
	Add(a, Route{Method: http.MethodPost, Path: "/registries", ID: "add-registry", Tag: tag, Action: identity.ManageSettings, Status: http.StatusCreated, Summary: "Add a registry",
		Description: "Its credentials and certificates are used when images and advisory databases are read from it; the password is kept encrypted and never shown."},
		func(ctx context.Context, in *registryBody) (*One[*registries.Registry], error) {
			r, err := b.Add(ctx, in.Body)
			return &One[*registries.Registry]{r}, registryError(err)
		})
	Add(a, Route{Method: http.MethodPost, Path: "/registries/check", ID: "try-registry", Tag: tag, Action: identity.ManageSettings, Summary: "Try a registry that is not saved",
		Description: "Asks it as a reader of images would, follows no redirects and keeps nothing."},
		func(ctx context.Context, in *registryTry) (*One[*registries.Check], error) {
			c, err := b.Try(ctx, in.ID, in.Body)
			return &One[*registries.Check]{c}, registryError(err)
		})
	Add(a, Route{Method: http.MethodGet, Path: "/registries/{id}", ID: "get-registry", Tag: tag, Action: identity.ManageSettings, Summary: "Show a registry"},
		func(ctx context.Context, in *ByID) (*One[*registries.Registry], error) {
			r, err := b.Get(ctx, in.ID)
			return &One[*registries.Registry]{r}, err
		})
	Add(a, Route{Method: http.MethodPut, Path: "/registries/{id}", ID: "change-registry", Tag: tag, Action: identity.ManageSettings, Summary: "Change a registry",
		Description: "A password that is left out stays, unless it would go to another place."},
		func(ctx context.Context, in *registryChange) (*One[*registries.Registry], error) {
			r, err := b.Change(ctx, in.ID, in.Body)
			return &One[*registries.Registry]{r}, registryError(err)
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/registries/{id}", ID: "remove-registry", Tag: tag, Action: identity.ManageSettings, Summary: "Remove a registry"},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			return nil, registryError(b.Remove(ctx, in.ID))
		})
	Add(a, Route{Method: http.MethodPost, Path: "/registries/{id}/check", ID: "check-registry", Tag: tag, Action: identity.ManageSettings, Summary: "Try a registry",
		Description: "Tells whether it can be reached, whether its certificate and our credentials are good, and what it is."},
		func(ctx context.Context, in *ByID) (*One[*registries.Check], error) {
			c, err := b.Check(ctx, in.ID)
			return &One[*registries.Check]{c}, registryError(err)
		})
}
