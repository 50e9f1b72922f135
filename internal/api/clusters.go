package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// clusterList is the input of the list of clusters.
type clusterList struct {
	Paging
	Search string  `query:"search" maxLength:"100" doc:"part of the name"`
	State  string  `query:"state" enum:"never,connected,unreachable,refused,waiting"`
	Kind   string  `query:"kind" enum:"kubeconfig,in-cluster,connector,snapshot"`
	Target []int64 `query:"target" maxItems:"1000" doc:"ids of clusters"`
	Stale  bool    `query:"stale" doc:"only those that were never looked at as a whole, or not for a week"`
}

// ClusterCredentials are the part of a body that says how a cluster is reached.
type ClusterCredentials struct {
	Kubeconfig string `json:"kubeconfig,omitempty" maxLength:"1048576" doc:"YAML with everything embedded: no files, no login programs. It is sealed and never given back."`
	Context    string `json:"context,omitempty" maxLength:"253" doc:"in the kubeconfig; default the current one"`
	Unchecked  bool   `json:"unchecked,omitempty" doc:"take it although it does not answer or does not accept the credentials now"`
}

// newCluster is the body that adds a cluster.
type newCluster struct {
	Name string `json:"name" minLength:"1" maxLength:"100"`
	Kind string `json:"kind" enum:"kubeconfig,in-cluster,connector"`
	ClusterCredentials
}

// triedCluster is the body of a check without adding.
type triedCluster struct {
	Kind string `json:"kind" enum:"kubeconfig,in-cluster"`
	ClusterCredentials
}

// changedCluster is the body that changes a cluster.
type changedCluster struct {
	Name *string `json:"name,omitempty" minLength:"1" maxLength:"100"`
	ClusterCredentials
}

// checkedCluster is a cluster with the check that was made of it.
type checkedCluster struct {
	fleet.Cluster
	Check *fleet.Check `json:"check,omitempty"`
}

// newToken is the body that makes a token for a connector.
type newToken struct {
	Hours int `json:"hours,omitempty" minimum:"1" maximum:"720" default:"24" doc:"how long the token is good"`
}

// clusterError gives what a fleet refuses the status of bad input.
func clusterError(err error) error {
	if errors.Is(err, fleet.ErrInvalid) {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return err
}

// manages refuses who may not manage the cluster: as not found when it may not see it either.
func manages(ctx context.Context, target int64) error {
	p := identity.From(ctx)
	switch {
	case p.Can(identity.ManageClusters, target, ""):
		return nil
	case p.Visible(identity.Read).Sees(target):
		return fmt.Errorf("%w: managing this cluster needs the role administrator on it", ErrForbidden)
	}
	return store.ErrNotFound
}

// adds refuses who may not add clusters: a new one is nobody's part.
func adds(ctx context.Context) error {
	if !identity.From(ctx).Can(identity.ManageClusters, 0, "") {
		return fmt.Errorf("%w: adding clusters needs the role administrator for all of them", ErrForbidden)
	}
	return nil
}

// maxClusterBody bounds bodies with a kubeconfig.
const maxClusterBody = fleet.MaxKubeconfig*2 + 64<<10

// Clusters adds the routes of clusters.
func Clusters(a *API, f *fleet.Fleet) {
	Add(a, Route{Method: http.MethodGet, Path: "/clusters", ID: "list-clusters", Tag: "Clusters", Summary: "List clusters", Action: identity.Read},
		func(ctx context.Context, in *clusterList) (*List[fleet.Cluster], error) {
			v := identity.From(ctx).Visible(identity.Read)
			filter := fleet.Filter{Search: in.Search, State: fleet.State(in.State), Kind: in.Kind, IDs: in.Target}
			if in.Stale {
				filter.Before = f.Now().Add(-browse.Old)
			}
			rows, next, err := f.List(ctx, v, filter, in.Page())
			if err != nil {
				return nil, err
			}
			return Listed(rows, next), nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/clusters", ID: "add-cluster", Tag: "Clusters", Summary: "Add a cluster", Action: identity.ManageClusters,
		Description: "A cluster with a kubeconfig is checked first, and refused when it does not answer. One with a connector waits for it: make a token next.",
		Status:      http.StatusCreated, MaxBody: maxClusterBody},
		func(ctx context.Context, in *struct{ Body newCluster }) (*One[checkedCluster], error) {
			if err := adds(ctx); err != nil {
				return nil, err
			}
			b := in.Body
			c, check, err := f.Add(ctx, fleet.Added{Name: b.Name, Kind: b.Kind, Kubeconfig: []byte(b.Kubeconfig), Context: b.Context, Unchecked: b.Unchecked})
			if err != nil {
				return nil, clusterError(err)
			}
			return &One[checkedCluster]{checkedCluster{*c, check}}, nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/clusters/check", ID: "check-new-cluster", Tag: "Clusters", Action: identity.ManageClusters,
		Summary: "Check what a cluster would be made of, without adding it", MaxBody: maxClusterBody},
		func(ctx context.Context, in *struct{ Body triedCluster }) (*One[fleet.Check], error) {
			if err := adds(ctx); err != nil {
				return nil, err
			}
			check, err := f.Try(ctx, fleet.Added{Kind: in.Body.Kind, Kubeconfig: []byte(in.Body.Kubeconfig), Context: in.Body.Context})
			if err != nil {
				return nil, clusterError(err)
			}
			return &One[fleet.Check]{*check}, nil
		})
	clusterByID(a, f)
	connectors(a, f)
}

// clusterByID adds the routes of one cluster.
func clusterByID(a *API, f *fleet.Fleet) {
	Add(a, Route{Method: http.MethodGet, Path: "/clusters/{id}", ID: "get-cluster", Tag: "Clusters", Summary: "Show a cluster", Action: identity.Read,
		Description: "Who may see only namespaces of it gets no permissions, use and addresses."},
		func(ctx context.Context, in *ByID) (*One[fleet.Details], error) {
			d, err := f.Get(ctx, identity.From(ctx).Visible(identity.Read), in.ID)
			if err != nil {
				return nil, err
			}
			return &One[fleet.Details]{*d}, nil
		})
	Add(a, Route{Method: http.MethodPatch, Path: "/clusters/{id}", ID: "change-cluster", Tag: "Clusters", Summary: "Rename a cluster or change its credentials",
		Action: identity.ManageClusters, MaxBody: maxClusterBody},
		func(ctx context.Context, in *struct {
			ByID
			Body changedCluster
		}) (*One[checkedCluster], error) {
			if err := manages(ctx, in.ID); err != nil {
				return nil, err
			}
			b := in.Body
			c, check, err := f.Update(ctx, in.ID, fleet.Change{Name: b.Name, Kubeconfig: []byte(b.Kubeconfig), Context: b.Context, Unchecked: b.Unchecked})
			if err != nil {
				return nil, clusterError(err)
			}
			return &One[checkedCluster]{checkedCluster{*c, check}}, nil
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/clusters/{id}", ID: "remove-cluster", Tag: "Clusters", Summary: "Remove a cluster", Action: identity.ManageClusters,
		Description: "Its credentials are forgotten and its connector is cut. Findings stay.", Status: http.StatusNoContent},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			if err := manages(ctx, in.ID); err != nil {
				return nil, err
			}
			return nil, f.Remove(ctx, in.ID)
		})
	Add(a, Route{Method: http.MethodPost, Path: "/clusters/{id}/check", ID: "check-cluster", Tag: "Clusters", Summary: "Check a cluster now", Action: identity.Scan},
		func(ctx context.Context, in *ByID) (*One[fleet.Check], error) {
			p := identity.From(ctx)
			if !p.Can(identity.Scan, in.ID, "") {
				if p.Visible(identity.Read).Sees(in.ID) {
					return nil, fmt.Errorf("%w: checking needs the right to scan the whole cluster", ErrForbidden)
				}
				return nil, store.ErrNotFound
			}
			check, err := f.CheckCluster(ctx, in.ID)
			if err != nil {
				return nil, clusterError(err)
			}
			return &One[fleet.Check]{*check}, nil
		})
}

// connectors adds the routes of clusters' connectors.
func connectors(a *API, f *fleet.Fleet) {
	Add(a, Route{Method: http.MethodGet, Path: "/clusters/{id}/connector", ID: "show-connector", Tag: "Clusters", Action: identity.ManageClusters,
		Summary: "Show what a connector brings into the cluster", Description: "The manifest has no token yet: POST makes one."},
		func(ctx context.Context, in *ByID) (*One[fleet.Install], error) {
			if err := manages(ctx, in.ID); err != nil {
				return nil, err
			}
			i, err := f.Install(ctx, in.ID)
			if err != nil {
				return nil, clusterError(err)
			}
			return &One[fleet.Install]{*i}, nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/clusters/{id}/connector", ID: "enrol-connector", Tag: "Clusters", Action: identity.ManageClusters,
		Summary: "Make a one-time token for the cluster's connector", Status: http.StatusCreated,
		Description: "The answer holds the manifest and Helm values with the token. Tokens that were not used are void from then on."},
		func(ctx context.Context, in *struct {
			ByID
			Body *newToken
		}) (*One[fleet.Install], error) {
			if err := manages(ctx, in.ID); err != nil {
				return nil, err
			}
			lifetime := time.Duration(0)
			if in.Body != nil {
				lifetime = time.Duration(in.Body.Hours) * time.Hour
			}
			i, err := f.NewToken(ctx, in.ID, lifetime)
			if err != nil {
				return nil, clusterError(err)
			}
			return &One[fleet.Install]{*i}, nil
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/clusters/{id}/connector", ID: "revoke-connector", Tag: "Clusters", Action: identity.ManageClusters,
		Summary: "Revoke the cluster's connector", Description: "Its certificates and tokens are void and its tunnel is cut at once.", Status: http.StatusNoContent},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			if err := manages(ctx, in.ID); err != nil {
				return nil, err
			}
			return nil, clusterError(f.Revoke(ctx, in.ID))
		})
}
