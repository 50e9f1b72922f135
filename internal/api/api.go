// Package api is the REST interface under /api/v1: a file per noun, each with the function that the server calls to add its
// routes. The frame is here: who may call a route, pages, errors.
package api

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// API is the set of routes. Nouns are added by the functions of this package, before the server listens.
type API struct {
	huma   huma.API
	mux    *http.ServeMux
	routes []Route
	names  *namer
	bodies map[string]int64 // limits of requests by pattern of the mux, where they are not the usual one

	corrected map[string]bool // schemas that stringIDs has seen, by name
}

// Route is one operation. Every route names the action that it needs: a request whose principal may do that nowhere is refused
// before the handler runs. Which targets it reaches is the handler's to ask (identity.Principal.Can and Visible).
type Route struct {
	Method, Path string // path below /api/v1, "/findings/{id}"
	ID           string // operation id, "list-findings"
	Tag          string // noun, "Findings"
	Summary      string
	Description  string
	Action       identity.Action
	Status       int   // of success; default 200, 204 for handlers without a body
	MaxBody      int64 // bytes of a request; default DefaultBody
	AnyQuery     bool  // takes query parameters that it does not know, and checks none: others write them
}

// DefaultBody is how large a request may be when its route does not say otherwise: 10 MiB.
const DefaultBody = 10 << 20

// New makes an API without routes on mux.
func New(mux *http.ServeMux, version string) *API {
	c := huma.DefaultConfig("Stockade", version)
	c.Info.Description = "Finds what is dangerous in Kubernetes clusters, images, nodes and manifests, and keeps it out."
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "/api/v1/openapi", "", "/api/v1/schemas"
	c.Servers = nil
	c.CreateHooks = nil // no $schema links in answers
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "An API token: stockade login, or the console's profile page."},
		"session": {Type: "apiKey", In: "cookie", Name: "__Host-stockade_session"},
	}
	c.RejectUnknownQueryParameters = true // a filter with a typo must not pass as no filter
	names := newNamer()
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", names.name)
	huma.DefaultArrayNullable = false
	useOwnErrors()
	return &API{huma: humago.New(mux, c), mux: mux, names: names, bodies: map[string]int64{}, corrected: map[string]bool{}}
}

// Routes lists the routes, for the test that holds each to the roles.
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// OpenAPI is the document of all routes.
func (a *API) OpenAPI() *huma.OpenAPI { return a.huma.OpenAPI() }

// Add adds a route. Errors of the handler become problems (RFC 9457): see problem.
func Add[I, O any](a *API, r Route, handler func(ctx context.Context, in *I) (*O, error)) {
	exported(reflect.TypeFor[I](), r.ID)
	exported(reflect.TypeFor[O](), r.ID)
	huma.Register(a.huma, a.operation(r), func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, problem(ctx, err)
		}
		return out, nil
	})
	a.stringIDs()
}

func (a *API) operation(r Route) huma.Operation {
	a.routes = append(a.routes, r)
	a.names.operation = r.ID
	if r.MaxBody == 0 {
		r.MaxBody = DefaultBody
	}
	path := "/api/v1" + r.Path
	a.bodies[r.Method+" "+path] = r.MaxBody
	o := huma.Operation{OperationID: r.ID, Method: r.Method, Path: path, Tags: []string{r.Tag}, Summary: r.Summary,
		Description: r.Description, DefaultStatus: r.Status, MaxBodyBytes: r.MaxBody, BodyReadTimeout: -1, // the frame has its own
		Extensions: map[string]any{"x-action": string(r.Action)}, Middlewares: huma.Middlewares{a.guard(r.Action), a.once(r)},
		SkipValidateParams: r.AnyQuery, Errors: r.errors()}
	if r.Action != identity.Anyone {
		o.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	}
	return o
}

// errors lists the statuses that the document gives for a route beside its success.
func (r Route) errors() []int {
	list := []int{http.StatusBadRequest, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable}
	if r.Action != identity.Anyone {
		list = append(list, http.StatusUnauthorized, http.StatusForbidden)
	}
	if strings.Contains(r.Path, "{") {
		list = append(list, http.StatusNotFound)
	}
	switch r.Method {
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
		list = append(list, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity, http.StatusInsufficientStorage)
	case http.MethodPost:
		list = append(list, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusInsufficientStorage)
	default:
		list = append(list, http.StatusUnprocessableEntity)
	}
	slices.Sort(list)
	return list
}

// guard refuses requests that may not do the action anywhere.
func (a *API) guard(action identity.Action) func(huma.Context, func(huma.Context)) {
	return func(c huma.Context, next func(huma.Context)) {
		p := identity.From(c.Context())
		switch {
		case p == nil && action != identity.Anyone:
			_ = huma.WriteErr(a.huma, c, http.StatusUnauthorized, "sign in, or send an API token")
		case !p.May(action):
			_ = huma.WriteErr(a.huma, c, http.StatusForbidden, "your roles do not allow this: it needs "+string(action))
		default:
			next(c)
		}
	}
}

// Paging is the part of a list's input that asks for a page.
type Paging struct {
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"rows of a page"`
	After string `query:"after" doc:"next of the page before"`
}

// Page is the page that the request asks for.
func (p Paging) Page() store.Page { return store.Page{Limit: p.Limit, After: p.After} }

// List is a page of a list.
type List[T any] struct {
	Body ListBody[T]
}

// ListBody is a page of a list: Next asks for the one after it and is absent on the last.
type ListBody[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"give as after for the page after this one"`
	Total *int   `json:"total,omitempty" doc:"rows of the whole list, where that is known"`
}

// Listed makes a page. items is never null in the answer.
func Listed[T any](items []T, next string) *List[T] {
	if items == nil {
		items = []T{}
	}
	return &List[T]{Body: ListBody[T]{Items: items, Next: next}}
}

// One is an answer with one thing.
type One[T any] struct {
	Body T
}

// ByID is the input of routes that name a thing by its id.
type ByID struct {
	ID int64 `path:"id" minimum:"1"`
}

// once refuses query parameters that are given twice: of a list only the first would count, and a filter would be another one.
func (a *API) once(r Route) func(huma.Context, func(huma.Context)) {
	return func(c huma.Context, next func(huma.Context)) {
		u := c.URL()
		for name, values := range u.Query() {
			if len(values) > 1 && !r.AnyQuery {
				_ = huma.WriteErr(a.huma, c, http.StatusUnprocessableEntity, "give the parameter "+strconv.Quote(name)+" once, several values separated by commas")
				return
			}
		}
		next(c)
	}
}
