package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/nodes"
)

// nodeList is the input of the list of nodes.
type nodeList struct {
	Paging
	Target []int64  `query:"target" maxItems:"1000" doc:"ids of clusters"`
	State  []string `query:"state" enum:"protected,paused,degraded,away,never,unsupported"`
	Q      string   `query:"q" maxLength:"253" doc:"part of the name"`
	Asset  int64    `query:"asset" minimum:"1" doc:"the one node that is this asset"`
}

// nodeCounts are how many nodes are in which state.
type nodeCounts struct {
	Protected   int `json:"protected" doc:"paused and degraded ones are counted apart"`
	Paused      int `json:"paused"`
	Degraded    int `json:"degraded"`
	Away        int `json:"away"`
	Never       int `json:"never" doc:"without an agent"`
	Unsupported int `json:"unsupported"`
}

// newAgentToken is the body that makes a token for agents.
type newAgentToken struct {
	Note  string `json:"note,omitempty" maxLength:"200" doc:"what it is for"`
	Hours int    `json:"hours,omitempty" minimum:"1" maximum:"8760" default:"168" doc:"how long the token is good"`
	Uses  int    `json:"uses,omitempty" minimum:"1" maximum:"100000" default:"1000" doc:"for how many nodes it is good"`
}

// ByToken is the input of routes of one token of a cluster's agents.
type ByToken struct {
	ByID
	Token int64 `path:"token" minimum:"1" doc:"id of the token"`
}

// nodeError gives what the room of nodes refuses its status.
func nodeError(err error) error {
	switch {
	case errors.Is(err, nodes.ErrInvalid):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	case errors.Is(err, nodes.ErrConflict):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}

// managesNode refuses who may not manage the cluster of a node: as not found when it may not see the node either.
func managesNode(ctx context.Context, s *nodes.Service, id int64) error {
	target, err := s.Target(ctx, identity.From(ctx).Visible(identity.Read), id)
	if err != nil {
		return err
	}
	return manages(ctx, target)
}

// Nodes adds the routes of nodes and their agents.
func Nodes(a *API, s *nodes.Service, f *fleet.Fleet) {
	Add(a, Route{Method: http.MethodGet, Path: "/nodes", ID: "list-nodes", Tag: "Nodes", Summary: "List nodes, with their agents or without", Action: identity.Read,
		Description: "Of clusters that may be seen as a whole, by name. A cluster's nodes are known from its last full scan, and from the agents that enrolled."},
		func(ctx context.Context, in *nodeList) (*List[nodes.Node], error) {
			filter := nodes.Filter{Targets: in.Target, Q: in.Q, Asset: in.Asset}
			for _, st := range in.State {
				filter.States = append(filter.States, nodes.State(st))
			}
			rows, next, err := s.List(ctx, identity.From(ctx).Visible(identity.Read), filter, in.Page())
			if err != nil {
				return nil, err
			}
			return Listed(rows, next), nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/nodes/counts", ID: "count-nodes", Tag: "Nodes", Summary: "Count nodes by state", Action: identity.Read},
		func(ctx context.Context, in *struct {
			Target []int64 `query:"target" maxItems:"1000" doc:"ids of clusters"`
		}) (*One[nodeCounts], error) {
			n, err := s.Counts(ctx, identity.From(ctx).Visible(identity.Read), in.Target)
			if err != nil {
				return nil, err
			}
			return &One[nodeCounts]{nodeCounts{n[nodes.Protected], n[nodes.Paused], n[nodes.Degraded], n[nodes.Away], n[nodes.Never], n[nodes.Unsupported]}}, nil
		})
	nodeByID(a, s)
	agentTokens(a, f)
}

// nodeByID adds the routes of one node.
func nodeByID(a *API, s *nodes.Service) {
	Add(a, Route{Method: http.MethodGet, Path: "/nodes/{id}", ID: "get-node", Tag: "Nodes", Summary: "Show a node and its agent", Action: identity.Read},
		func(ctx context.Context, in *ByID) (*One[nodes.Details], error) {
			d, err := s.Get(ctx, identity.From(ctx).Visible(identity.Read), in.ID)
			if err != nil {
				return nil, err
			}
			return &One[nodes.Details]{*d}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/nodes/{id}/facts", ID: "get-node-facts", Tag: "Nodes", Action: identity.Read,
		Summary: "Show what the agent read on a node", Description: "Without the containers: see the route of these. What looks like a credential is hidden."},
		func(ctx context.Context, in *ByID) (*One[inventory.NodeFacts], error) {
			facts, err := s.Known(ctx, identity.From(ctx).Visible(identity.Read), in.ID)
			if err != nil {
				return nil, err
			}
			facts.Containers = nil
			return &One[inventory.NodeFacts]{*facts}, nil
		})
	type containerList struct {
		ByID
		Paging
		Q string `query:"q" maxLength:"253" doc:"part of namespace, pod, container or image"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/nodes/{id}/containers", ID: "list-node-containers", Tag: "Nodes", Action: identity.Read,
		Summary: "List the containers that run on a node, as its runtime and kernel show them"},
		func(ctx context.Context, in *containerList) (*List[inventory.ContainerFact], error) {
			rows, next, total, err := s.Containers(ctx, identity.From(ctx).Visible(identity.Read), in.ID, in.Q, in.Page())
			if err != nil {
				return nil, err
			}
			out := Listed(rows, next)
			out.Body.Total = &total
			return out, nil
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/nodes/{id}", ID: "forget-node", Tag: "Nodes", Action: identity.ManageClusters, Summary: "Forget a node's agent",
		Description: "Its certificates are void at once and what it reported is gone. A node that the cluster has stays in the list, without an agent.", Status: http.StatusNoContent},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			if err := managesNode(ctx, s, in.ID); err != nil {
				return nil, err
			}
			return nil, nodeError(s.Forget(ctx, in.ID))
		})
	Add(a, Route{Method: http.MethodPost, Path: "/nodes/{id}/confirm", ID: "confirm-node", Tag: "Nodes", Action: identity.ManageClusters,
		Summary: "Let the machine that was refused be this node", Description: "The agent before is cut off when the new one enrols.", Status: http.StatusNoContent},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			if err := managesNode(ctx, s, in.ID); err != nil {
				return nil, err
			}
			return nil, nodeError(s.Confirm(ctx, in.ID))
		})
}

// agentTokens adds the routes of what brings agents onto the nodes of a cluster.
func agentTokens(a *API, f *fleet.Fleet) {
	Add(a, Route{Method: http.MethodGet, Path: "/clusters/{id}/agents", ID: "show-agents", Tag: "Nodes", Action: identity.ManageClusters,
		Summary: "Show what agents bring onto the nodes of a cluster", Description: "The manifest has no token yet: POST tokens makes one."},
		func(ctx context.Context, in *ByID) (*One[fleet.AgentInstall], error) {
			if err := manages(ctx, in.ID); err != nil {
				return nil, err
			}
			i, err := f.AgentInstall(ctx, in.ID)
			if err != nil {
				return nil, clusterError(err)
			}
			return &One[fleet.AgentInstall]{*i}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/clusters/{id}/agents/tokens", ID: "list-agent-tokens", Tag: "Nodes", Action: identity.ManageClusters,
		Summary: "List the tokens with which agents of a cluster enrol", Description: "Without the tokens themselves, newest first."},
		func(ctx context.Context, in *ByID) (*List[enrol.AgentToken], error) {
			if err := manages(ctx, in.ID); err != nil {
				return nil, err
			}
			rows, err := f.AgentTokens(ctx, in.ID)
			if err != nil {
				return nil, clusterError(err)
			}
			return Listed(rows, ""), nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/clusters/{id}/agents/tokens", ID: "add-agent-token", Tag: "Nodes", Action: identity.ManageClusters,
		Summary: "Make a token with which agents of a cluster enrol", Status: http.StatusCreated, Description: "The answer holds the manifest and Helm values with the token. It is good for a number of nodes until its end."},
		func(ctx context.Context, in *struct {
			ByID
			Body *newAgentToken
		}) (*One[fleet.AgentInstall], error) {
			if err := manages(ctx, in.ID); err != nil {
				return nil, err
			}
			var q fleet.AgentTokenRequest
			if in.Body != nil {
				q = fleet.AgentTokenRequest{Note: in.Body.Note, Lifetime: time.Duration(in.Body.Hours) * time.Hour, Uses: in.Body.Uses}
			}
			i, err := f.NewAgentToken(ctx, in.ID, q)
			if err != nil {
				return nil, clusterError(err)
			}
			return &One[fleet.AgentInstall]{*i}, nil
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/clusters/{id}/agents/tokens/{token}", ID: "revoke-agent-token", Tag: "Nodes", Action: identity.ManageClusters,
		Summary: "Make a token for agents void", Description: "Agents that enrolled with it stay.", Status: http.StatusNoContent},
		func(ctx context.Context, in *ByToken) (*struct{}, error) {
			if err := manages(ctx, in.ID); err != nil {
				return nil, err
			}
			return nil, clusterError(f.RevokeAgentToken(ctx, in.ID, in.Token))
		})
}
