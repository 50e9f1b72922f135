package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/identity"
)

// AgentInstall is what brings agents onto the nodes of a cluster.
type AgentInstall struct {
	Objects  []Object          `json:"objects" doc:"everything that the manifest creates, to consent to"`
	Manifest string            `json:"manifest" doc:"for kubectl apply -f"`
	Values   string            `json:"values" doc:"for helm install with the agent's chart"`
	Token    string            `json:"token,omitempty" doc:"shown now and never again"`
	About    *enrol.AgentToken `json:"about,omitempty" doc:"of the token"`
	Server   string            `json:"server"`
	Pin      string            `json:"caPin" doc:"SHA-256 of the server's authority"`
	Command  string            `json:"command" doc:"runs an agent on a node outside of pods"`
}

// AgentTokenRequest says what token to make; zero values are the defaults.
type AgentTokenRequest struct {
	Note     string
	Lifetime time.Duration
	Uses     int
}

// agentsRow reads a cluster that agents can belong to.
func (f *Fleet) agentsRow(ctx context.Context, target int64) (*row, error) {
	r, err := f.row(ctx, target)
	switch {
	case err != nil:
		return nil, err
	case r.Kind == Snapshot:
		return nil, invalid("cluster %s is a snapshot: it has no nodes that run", r.Name)
	case f.o.Authority == nil:
		return nil, invalid("this server takes no agents")
	}
	return r, nil
}

// AgentInstall shows what agents bring onto nodes, without a token.
func (f *Fleet) AgentInstall(ctx context.Context, target int64) (*AgentInstall, error) {
	r, err := f.agentsRow(ctx, target)
	if err != nil {
		return nil, err
	}
	return f.agentInstall(r, "")
}

// AgentTokens lists the tokens of a cluster's agents, newest first.
func (f *Fleet) AgentTokens(ctx context.Context, target int64) ([]enrol.AgentToken, error) {
	if _, err := f.agentsRow(ctx, target); err != nil {
		return nil, err
	}
	return f.o.Authority.AgentTokens(ctx, target)
}

// NewAgentToken makes a token for the agents of a cluster's nodes, and the manifest with it.
func (f *Fleet) NewAgentToken(ctx context.Context, target int64, q AgentTokenRequest) (*AgentInstall, error) {
	r, err := f.agentsRow(ctx, target)
	if err != nil {
		return nil, err
	}
	switch {
	case q.Lifetime < 0 || q.Lifetime > enrol.MaxAgentTokenLifetime:
		return nil, invalid("a token lives at most %d days", enrol.MaxAgentTokenLifetime/(24*time.Hour))
	case q.Uses < 0 || q.Uses > enrol.MaxAgentTokenUses:
		return nil, invalid("a token is good for at most %d nodes", enrol.MaxAgentTokenUses)
	}
	want := enrol.AgentToken{TargetID: target, Note: q.Note, Uses: q.Uses}
	if p := identity.From(ctx); p != nil {
		want.CreatedBy = p.Name
	}
	var token string
	var about *enrol.AgentToken
	err = f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if token, about, err = f.o.Authority.NewAgentToken(ctx, tx, want, q.Lifetime); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "agent.token", object(r), target, nil, map[string]any{"token": about.ID, "expires": about.ExpiresAt, "uses": about.Uses})
	})
	if errors.Is(err, enrol.ErrAgentTokens) {
		return nil, invalid("%w", err)
	}
	if err != nil {
		return nil, err
	}
	in, err := f.agentInstall(r, token)
	if err != nil {
		return nil, err
	}
	in.Token, in.About = token, about
	return in, nil
}

// RevokeAgentToken makes a token void. Agents that enrolled with it stay.
func (f *Fleet) RevokeAgentToken(ctx context.Context, target, id int64) error {
	r, err := f.agentsRow(ctx, target)
	if err != nil {
		return err
	}
	return f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := f.o.Authority.RevokeAgentToken(ctx, tx, target, id); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "agent.token-revoke", object(r), target, map[string]any{"token": id}, nil)
	})
}

func (f *Fleet) agentInstall(r *row, token string) (*AgentInstall, error) {
	if f.o.Server == "" {
		return nil, errors.New("the server does not know its own address: start it with --public-url https://host:port")
	}
	if token == "" {
		token = placeholder
	}
	o := AgentOptions{Server: f.o.Server, Pin: f.o.Authority.Pin(), Token: token, Image: "stockade/agent:" + f.o.Version, Version: r.Version}
	in := &AgentInstall{Server: o.Server, Pin: o.Pin,
		Command: fmt.Sprintf("STOCKADE_AGENT_TOKEN=%s stockade agent --server %s --ca-pin %s", token, o.Server, o.Pin)}
	var err error
	in.Objects, in.Manifest, in.Values, err = AgentManifest(o)
	return in, err
}
