package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/policy/book"
	"stockade.dev/stockade/internal/preview"
	"stockade.dev/stockade/internal/store"
)

// PolicyParts are what the routes of policies stand on.
type PolicyParts struct {
	Book    *book.Book
	Preview *preview.Service
	Browse  *browse.Browser // how many a rule hits now
	// YAML writes the objects that policies become in a cluster, 0 for one as it would be by default.
	YAML func(ctx context.Context, target int64, list []policy.Policy) ([]byte, error)
}

// judged gives errors of the room of policies their status.
func judged(err error) error {
	for from, to := range map[error]error{book.ErrInvalid: ErrInvalid, book.ErrForbidden: ErrForbidden, book.ErrConflict: ErrConflict, preview.ErrInvalid: ErrInvalid} {
		if errors.Is(err, from) {
			return fmt.Errorf("%w: %w", to, err)
		}
	}
	return err
}

// policyInput is a policy as it is given.
type policyInput struct {
	Body PolicyBody
}

// PolicyBody is a policy with what its author says of the change.
type PolicyBody struct {
	policy.Policy
	Note string `json:"note,omitempty" maxLength:"2000" doc:"why it is changed; kept with the version"`
}

// policyChange is a change of a policy.
type policyChange struct {
	ByID
	Body PolicyBody
}

// PolicyFilter is the input of the list of policies.
type PolicyFilter struct {
	Target int64  `query:"target" minimum:"1" doc:"that hold in this cluster"`
	Q      string `query:"q" maxLength:"200" doc:"part of the name or the description"`
	Rule   string `query:"rule" maxLength:"200" doc:"that use it: workload/host-pid, image/vulnerability, template/NAME"`
	Action string `query:"action" enum:"audit,warn,block" doc:"of the policy"`
	Off    string `query:"disabled" enum:"true,false"`
}

// Policies adds the routes of policies and templates, and of what they would do.
func Policies(a *API, p PolicyParts) {
	policyReads(a, p)
	policyChanges(a, p.Book)
	policyFiles(a, p)
	policyRules(a, p)
	policyTemplates(a, p.Book)
	policyPreview(a, p)
}

func policyReads(a *API, p PolicyParts) {
	const tag = "Policies"
	b := p.Book
	Add(a, Route{Method: http.MethodGet, Path: "/policies", ID: "list-policies", Tag: tag, Summary: "Policies", Action: identity.Read,
		Description: "Those that hold in a cluster that you see, by name. Of clusters in their scope you see those that you may."},
		func(ctx context.Context, in *PolicyFilter) (*List[book.Record], error) {
			list, err := b.List(ctx, identity.From(ctx).Visible(identity.Read), book.Filter{Target: in.Target, Search: in.Q, Rule: in.Rule, Action: policy.Action(in.Action), Off: yesNo(in.Off)})
			if err != nil {
				return nil, err
			}
			return Listed(list, ""), nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/policies/{id}", ID: "get-policy", Tag: tag, Summary: "One policy", Action: identity.Read},
		func(ctx context.Context, in *ByID) (*One[book.Record], error) {
			r, err := b.Get(ctx, identity.From(ctx).Visible(identity.Read), in.ID)
			if err != nil {
				return nil, err
			}
			return &One[book.Record]{Body: *r}, nil
		})
	type versionsInput struct {
		ByID
		Paging
	}
	Add(a, Route{Method: http.MethodGet, Path: "/policies/{id}/versions", ID: "list-policy-versions", Tag: tag, Summary: "Versions of a policy with what changed, the newest first", Action: identity.Read},
		func(ctx context.Context, in *versionsInput) (*List[book.Version], error) {
			list, next, err := b.Versions(ctx, identity.From(ctx).Visible(identity.Read), in.ID, in.Page())
			if err != nil {
				return nil, err
			}
			return Listed(list, next), nil
		})
	type versionInput struct {
		ByID
		Version int `path:"version" minimum:"1"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/policies/{id}/versions/{version}", ID: "get-policy-version", Tag: tag, Summary: "A policy as it was", Action: identity.Read},
		func(ctx context.Context, in *versionInput) (*One[book.Full], error) {
			v, err := b.Version(ctx, identity.From(ctx).Visible(identity.Read), in.ID, in.Version)
			if err != nil {
				return nil, err
			}
			return &One[book.Full]{Body: *v}, nil
		})
	type yamlInput struct {
		ByID
		Target int64 `query:"target" minimum:"1" doc:"cluster whose settings count; absent: as in a cluster with the usual ones"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/policies/{id}/yaml", ID: "get-policy-yaml", Tag: tag, Summary: "The objects that a policy becomes in a cluster", Action: identity.Read},
		func(ctx context.Context, in *yamlInput) (*document, error) {
			v := identity.From(ctx).Visible(identity.Read)
			r, err := b.Get(ctx, v, in.ID)
			if err != nil {
				return nil, err
			}
			if in.Target != 0 && (!v.Sees(in.Target) || len(r.Scope.Clusters) > 0 && !slices.Contains(r.Scope.Clusters, in.Target)) {
				return nil, store.ErrNotFound
			}
			if p.YAML == nil {
				return nil, later("this server cannot write the objects of policies")
			}
			data, err := p.YAML(ctx, in.Target, []policy.Policy{r.Policy})
			if err != nil {
				return nil, judged(err)
			}
			return &document{ContentType: "application/yaml", Disposition: fmt.Sprintf(`inline; filename="policy-%d.yaml"`, in.ID), Body: data}, nil
		})
}

func policyChanges(a *API, b *book.Book) {
	const tag = "Policies"
	saved := func(r *book.Record, err error) (*One[book.Record], error) {
		if err != nil {
			return nil, judged(err)
		}
		return &One[book.Record]{Body: *r}, nil
	}
	Add(a, Route{Method: http.MethodPost, Path: "/policies", ID: "add-policy", Tag: tag, Summary: "Add a policy", Action: identity.Protect, Status: http.StatusCreated,
		Description: "It is in force in the protected clusters of its scope within seconds. Who operates some clusters names them in scope.clusters."},
		func(ctx context.Context, in *policyInput) (*One[book.Record], error) {
			in.Body.ID, in.Body.Version = 0, 0
			return saved(b.Save(ctx, in.Body.Policy, in.Body.Note))
		})
	Add(a, Route{Method: http.MethodPut, Path: "/policies/{id}", ID: "change-policy", Tag: tag, Summary: "Change a policy: its next version", Action: identity.Protect,
		Description: "With version, or If-Match, a change by somebody else in between is refused. A save that changes nothing makes no version."},
		func(ctx context.Context, in *policyChange) (*One[book.Record], error) {
			in.Body.ID = in.ByID.ID
			return saved(b.Save(ctx, in.Body.Policy, in.Body.Note))
		})
	type deleteInput struct {
		ByID
		Version int `query:"version" minimum:"1" doc:"that was read; a later change by somebody else is then no surprise"`
	}
	Add(a, Route{Method: http.MethodDelete, Path: "/policies/{id}", ID: "delete-policy", Tag: tag, Summary: "Delete a policy", Action: identity.Protect,
		Description: "It leaves the clusters within seconds. Its versions stay."},
		func(ctx context.Context, in *deleteInput) (*struct{}, error) {
			return nil, judged(b.Delete(ctx, in.ID, in.Version))
		})
}

// PolicyImport is what is asked of an import.
type PolicyImport struct {
	YAML   string `json:"yaml" minLength:"1" maxLength:"8000000" doc:"documents of kind Policy and ConstraintTemplate"`
	DryRun bool   `json:"dryRun,omitempty" doc:"only tell what would change"`
	Note   string `json:"note,omitempty" maxLength:"2000"`
}

func policyFiles(a *API, p PolicyParts) {
	const tag = "Policies"
	type exportInput struct {
		Policy []int64 `query:"policy" maxItems:"1000" doc:"ids; absent for all that you see"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/policies/file", ID: "get-policy-file", Tag: tag, Action: identity.Read, Summary: "Policies and the templates that they use as a file",
		Description: "YAML for stockade policy apply, preview and test, and for import here or elsewhere: clusters stand in it by name."},
		func(ctx context.Context, in *exportInput) (*document, error) {
			data, err := p.Book.Export(ctx, identity.From(ctx).Visible(identity.Read), in.Policy)
			if err != nil {
				return nil, judged(err)
			}
			return &document{ContentType: "application/yaml", Disposition: `attachment; filename="policies.yaml"`, Body: data}, nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/policies/import", ID: "import-policies", Tag: tag, Action: identity.Protect, Summary: "Add and change policies as a file says",
		Description: "A policy of the same name is changed, else one is added; none is deleted. Everything is checked before anything is kept; the answer to an error that comes later says how far it went."},
		func(ctx context.Context, in *One[PolicyImport]) (*List[book.Imported], error) {
			list, err := p.Book.Import(ctx, []byte(in.Body.YAML), in.Body.Note, in.Body.DryRun)
			if err != nil {
				return nil, judged(err)
			}
			return Listed(list, ""), nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/policy-presets", ID: "list-policy-presets", Tag: tag, Action: identity.Read, Summary: "Policies to start from",
		Description: "Nothing of them is in force: take one, change what you like, and add it."},
		func(ctx context.Context, _ *InLang) (*List[book.Preset], error) {
			list, err := p.Book.Presets()
			if err != nil {
				return nil, err
			}
			return Listed(list, ""), nil
		})
}
