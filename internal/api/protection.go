package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/protect"
	"stockade.dev/stockade/internal/store"
)

// ByTarget is the input of routes of one cluster's protection.
type ByTarget struct {
	Target int64 `path:"target" minimum:"1" doc:"id of the cluster"`
}

// protectionList is the input of the list.
type protectionList struct {
	Paging
	Search string `query:"search" maxLength:"100" doc:"part of the cluster's name"`
	State  string `query:"state" enum:"unprotected,installing,error,protected,no-policy,policy-failed,removing,remove-failed"`
}

// planned is the body that asks for a plan.
type planned struct {
	Settings *protect.Settings `json:"settings,omitempty" doc:"default: those that are kept"`
}

// enabled is the body that protects a cluster.
type enabled struct {
	Consent  bool              `json:"consent" doc:"the objects of the plan may be created in the cluster"`
	Settings *protect.Settings `json:"settings,omitempty" doc:"default: those that are kept"`
}

// disabled is the body that ends the protection of a cluster.
type disabled struct {
	KeepPlugins bool `json:"keepPlugins,omitempty" doc:"Gatekeeper stays, without our policies; an adopted one always stays"`
	ForeignToo  bool `json:"foreignToo,omitempty" doc:"templates and constraints that others made in our Gatekeeper go too; without it they keep it"`
	GiveUp      bool `json:"giveUp,omitempty" doc:"the cluster cannot be reached and never will be: it is forgotten, and what stands in it stays"`
}

// tested is the body of a self-test.
type tested struct {
	Namespace string `json:"namespace,omitempty" maxLength:"63" doc:"in which the pod would be; default: default"`
}

// protectError gives what a protection refuses its status.
func protectError(err error) error {
	switch {
	case errors.Is(err, protect.ErrInvalid), errors.Is(err, protect.ErrConsent):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	case errors.Is(err, protect.ErrState):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case errors.Is(err, fleet.ErrNotLive):
		return fmt.Errorf("%w: the cluster is a snapshot: there is nothing to protect", ErrConflict)
	}
	return err
}

// protects refuses who may not protect the cluster: as not found when it may not see the whole of it either.
func protects(ctx context.Context, target int64) error {
	p := identity.From(ctx)
	switch {
	case p.Can(identity.Protect, target, ""):
		return nil
	case p.Visible(identity.Read).Whole(target):
		return fmt.Errorf("%w: protecting this cluster needs the role operator or administrator on the whole of it", ErrForbidden)
	}
	return store.ErrNotFound
}

// seesWhole refuses who may not read the whole cluster.
func seesWhole(ctx context.Context, target int64) error {
	if !identity.From(ctx).Visible(identity.Read).Whole(target) {
		return store.ErrNotFound
	}
	return nil
}

// Protection adds the routes of the protection of clusters.
func Protection(a *API, s *protect.Service) {
	Add(a, Route{Method: http.MethodGet, Path: "/protection", ID: "list-protection", Tag: "Protection", Summary: "List clusters with their protection", Action: identity.Read,
		Description: "Live clusters that may be seen as a whole, protected or not, by name."},
		func(ctx context.Context, in *protectionList) (*List[protect.Summary], error) {
			v := identity.From(ctx).Visible(identity.Read)
			rows, next, err := s.List(ctx, v, protect.Filter{Search: in.Search, State: protect.State(in.State)}, in.Page())
			if err != nil {
				return nil, err
			}
			return Listed(rows, next), nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/protection/{target}", ID: "get-protection", Tag: "Protection", Summary: "Show how a cluster is protected", Action: identity.Read,
		Description: "State, steps of an installation or removal, Gatekeeper, providers, certificates, what was changed from outside, settings."},
		func(ctx context.Context, in *ByTarget) (*One[protect.Status], error) {
			if err := seesWhole(ctx, in.Target); err != nil {
				return nil, err
			}
			st, err := s.Status(ctx, in.Target)
			if err != nil {
				return nil, err
			}
			return &One[protect.Status]{*st}, nil
		})
	protectionChanges(a, s)
	protectionViews(a, s)
}

// protectionChanges adds the routes that change something.
func protectionChanges(a *API, s *protect.Service) {
	status := func(ctx context.Context, target int64, err error) (*One[protect.Status], error) {
		if err != nil {
			return nil, protectError(err)
		}
		st, err := s.Status(ctx, target)
		if err != nil {
			return nil, err
		}
		return &One[protect.Status]{*st}, nil
	}
	Add(a, Route{Method: http.MethodPost, Path: "/protection/{target}/plan", ID: "plan-protection", Tag: "Protection", Action: identity.Protect,
		Summary:     "Find out what protecting a cluster would take",
		Description: "Permissions, version, architectures of nodes, what is there already, and every object that would be created. Nothing is changed."},
		func(ctx context.Context, in *struct {
			ByTarget
			Body *planned
		}) (*One[protect.Plan], error) {
			if err := protects(ctx, in.Target); err != nil {
				return nil, err
			}
			var settings *protect.Settings
			if in.Body != nil {
				settings = in.Body.Settings
			}
			p, err := s.Plan(ctx, in.Target, settings)
			if err != nil {
				return nil, protectError(err)
			}
			return &One[protect.Plan]{*p}, nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/protection/{target}/enable", ID: "enable-protection", Tag: "Protection", Action: identity.Protect,
		Summary: "Protect a cluster", Description: "Needs consent to the objects of the plan. The installation goes on by itself: its steps stand in the answer of GET."},
		func(ctx context.Context, in *struct {
			ByTarget
			Body enabled
		}) (*One[protect.Status], error) {
			if err := protects(ctx, in.Target); err != nil {
				return nil, err
			}
			return status(ctx, in.Target, s.Enable(ctx, in.Target, in.Body.Consent, in.Body.Settings))
		})
	Add(a, Route{Method: http.MethodPost, Path: "/protection/{target}/disable", ID: "disable-protection", Tag: "Protection", Action: identity.Protect,
		Summary: "End the protection of a cluster", Description: "Webhooks go first, then everything that we made. Nothing is left behind; an adopted Gatekeeper stays as it was."},
		func(ctx context.Context, in *struct {
			ByTarget
			Body *disabled
		}) (*One[protect.Status], error) {
			if err := protects(ctx, in.Target); err != nil {
				return nil, err
			}
			var d disabled
			if in.Body != nil {
				d = *in.Body
			}
			return status(ctx, in.Target, s.Disable(ctx, in.Target, protect.Removal{KeepPlugins: d.KeepPlugins, ForeignToo: d.ForeignToo, GiveUp: d.GiveUp}))
		})
	Add(a, Route{Method: http.MethodPost, Path: "/protection/{target}/repair", ID: "repair-protection", Tag: "Protection", Action: identity.Protect,
		Summary: "Look at a protected cluster now, and put back what is not as it should be"},
		func(ctx context.Context, in *ByTarget) (*One[protect.Status], error) {
			if err := protects(ctx, in.Target); err != nil {
				return nil, err
			}
			return status(ctx, in.Target, s.Repair(ctx, in.Target))
		})
	Add(a, Route{Method: http.MethodPut, Path: "/protection/{target}/settings", ID: "change-protection-settings", Tag: "Protection", Action: identity.Protect,
		Summary: "Change how a cluster is protected", Description: "Also before it is. Plug-ins are rolled over without a gap."},
		func(ctx context.Context, in *struct {
			ByTarget
			Body protect.Settings
		}) (*One[protect.Status], error) {
			if err := protects(ctx, in.Target); err != nil {
				return nil, err
			}
			return status(ctx, in.Target, s.Change(ctx, in.Target, in.Body))
		})
	Add(a, Route{Method: http.MethodPost, Path: "/protection/{target}/self-test", ID: "test-protection", Tag: "Protection", Action: identity.Protect,
		Summary: "Try whether a bad pod is refused", Description: "A pod that violates about every rule is sent as a dry run: it is never created. The answer shows who refused it, with what words, and how long it took."},
		func(ctx context.Context, in *struct {
			ByTarget
			Body *tested
		}) (*One[protect.SelfTest], error) {
			if err := protects(ctx, in.Target); err != nil {
				return nil, err
			}
			namespace := ""
			if in.Body != nil {
				namespace = in.Body.Namespace
			}
			t, err := s.SelfTest(ctx, in.Target, namespace)
			if err != nil {
				return nil, protectError(err)
			}
			return &One[protect.SelfTest]{*t}, nil
		})
}

// protectionViews adds the routes that show one thing of a cluster's protection.
func protectionViews(a *API, s *protect.Service) {
	Add(a, Route{Method: http.MethodGet, Path: "/protection/{target}/health", ID: "get-protection-health", Tag: "Protection", Summary: "How the protection of a cluster does", Action: identity.Read,
		Description: "Webhook settings as they are in the cluster, replicas, last answers, times, errors, certificates."},
		func(ctx context.Context, in *ByTarget) (*One[protect.Health], error) {
			if err := seesWhole(ctx, in.Target); err != nil {
				return nil, err
			}
			h, err := s.Health(ctx, in.Target)
			if err != nil {
				return nil, protectError(err)
			}
			return &One[protect.Health]{*h}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/protection/{target}/bypasses", ID: "list-protection-bypasses", Tag: "Protection", Summary: "Everything that gets around the protection of a cluster",
		Action: identity.Read},
		func(ctx context.Context, in *ByTarget) (*One[protect.Bypasses], error) {
			if err := seesWhole(ctx, in.Target); err != nil {
				return nil, err
			}
			b, err := s.Bypasses(ctx, in.Target)
			if err != nil {
				return nil, protectError(err)
			}
			return &One[protect.Bypasses]{*b}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/protection/{target}/objects", ID: "list-protection-objects", Tag: "Protection", Summary: "The objects that protection has in a cluster, as YAML",
		Action: identity.Read, Description: "What the server wants there now, in the order in which it is applied; values of Secrets are left out."},
		func(ctx context.Context, in *struct {
			ByTarget
			Part string `query:"part" enum:"gatekeeper,provider,policy" doc:"only these"`
		}) (*One[protect.Objects], error) {
			if err := seesWhole(ctx, in.Target); err != nil {
				return nil, err
			}
			o, err := s.Objects(ctx, in.Target, in.Part)
			if err != nil {
				return nil, protectError(err)
			}
			return &One[protect.Objects]{*o}, nil
		})
}
