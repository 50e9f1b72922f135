package enrol

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
)

// Agent is the kind of holder that a node's agent is; its name is the node's id.
const Agent = "agent"

// Tokens of agents: all nodes of a cluster enrol with one.
const (
	AgentTokenLifetime    = 7 * 24 * time.Hour // when nothing else is said
	MaxAgentTokenLifetime = 365 * 24 * time.Hour
	AgentTokenUses        = 1000 // when nothing else is said
	MaxAgentTokenUses     = 100_000
	maxAgentTokens        = 20 // of a cluster that are good at once
	agentPrefix           = "sae_"
)

// Errors of agents that enrol. Their texts go to the agent.
var (
	ErrAgentToken   = errors.New("the token is not valid: make a new one on the page of the cluster's nodes")
	ErrAgentUsedUp  = errors.New("the token was used as often as it is good: make a new one on the page of the cluster's nodes")
	ErrAgentExpired = errors.New("the token has expired or was revoked: make a new one on the page of the cluster's nodes")
	ErrAgentTokens  = fmt.Errorf("the cluster has %d tokens for agents already: revoke some first", maxAgentTokens)
)

// AgentToken is a row of agent_tokens.
type AgentToken struct {
	bun.BaseModel `bun:"table:agent_tokens" json:"-"`

	ID        int64      `bun:"id,pk,autoincrement" json:"id,string"`
	Hash      string     `bun:"hash" json:"-"`
	TargetID  int64      `bun:"target_id" json:"-"`
	Note      string     `bun:"note" json:"note,omitempty"`
	CreatedBy string     `bun:"created_by" json:"createdBy,omitempty"`
	CreatedAt store.Time `bun:"created_at" json:"createdAt" format:"date-time"`
	ExpiresAt store.Time `bun:"expires_at" json:"expiresAt" format:"date-time"`
	Uses      int        `bun:"uses" json:"uses" doc:"how often it is good"`
	Used      int        `bun:"used" json:"used"`
	RevokedAt store.Time `bun:"revoked_at" json:"revokedAt,omitzero" format:"date-time"`
}

// Node is the node of an agent; 0 for other holders.
func (h Holder) Node() int64 {
	if h.Kind != Agent {
		return 0
	}
	n, err := strconv.ParseInt(h.Name, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// NewAgentToken makes a token with which agents of the target's nodes enrol, in the caller's transaction. It is shown now and never
// again. Zero values are the defaults.
func (a *Authority) NewAgentToken(ctx context.Context, tx bun.IDB, t AgentToken, lifetime time.Duration) (string, *AgentToken, error) {
	if lifetime <= 0 {
		lifetime = AgentTokenLifetime
	}
	if t.Uses <= 0 {
		t.Uses = AgentTokenUses
	}
	now := a.now()
	n, err := tx.NewSelect().Model((*AgentToken)(nil)).Where("target_id = ? AND revoked_at = 0 AND expires_at > ? AND used < uses", t.TargetID, store.At(now)).Count(ctx)
	if err != nil {
		return "", nil, err
	}
	if n >= maxAgentTokens {
		return "", nil, ErrAgentTokens
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	token := agentPrefix + base64.RawURLEncoding.EncodeToString(secret)
	t.ID, t.Hash, t.Used, t.RevokedAt = 0, hash(token), 0, store.Time{}
	t.CreatedAt, t.ExpiresAt = store.At(now), store.At(now.Add(lifetime))
	_, err = tx.NewInsert().Model(&t).Exec(ctx)
	return token, &t, err
}

// AgentTokens lists the tokens of a target, newest first.
func (a *Authority) AgentTokens(ctx context.Context, target int64) ([]AgentToken, error) {
	rows := []AgentToken{}
	err := a.db.R.NewSelect().Model(&rows).Where("target_id = ?", target).Order("id DESC").Limit(100).Scan(ctx)
	return rows, err
}

// RevokeAgentToken makes a token void, in the caller's transaction. Agents that enrolled with it stay.
func (a *Authority) RevokeAgentToken(ctx context.Context, tx bun.IDB, target, id int64) error {
	res, err := tx.NewUpdate().Model((*AgentToken)(nil)).Set("revoked_at = ?", store.At(a.now())).Where("id = ? AND target_id = ? AND revoked_at = 0", id, target).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, store.ErrNotFound)
	}
	return nil
}

// AgentToken finds the target of a token that is good.
func (a *Authority) AgentToken(ctx context.Context, tx bun.IDB, token string) (*AgentToken, error) {
	row := new(AgentToken)
	err := store.NotFound(tx.NewSelect().Model(row).Where("hash = ?", hash(token)).Scan(ctx))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, ErrAgentToken
	case err != nil:
		return nil, err
	case !row.RevokedAt.IsZero() || !a.now().Before(row.ExpiresAt.Time):
		return nil, ErrAgentExpired
	case row.Used >= row.Uses:
		return nil, ErrAgentUsedUp
	}
	return row, nil
}

// UseAgentToken counts a use of a token, in the caller's transaction. Of many who come at once no more get through than it is good for.
func (a *Authority) UseAgentToken(ctx context.Context, tx bun.IDB, t *AgentToken) error {
	res, err := tx.NewUpdate().Model((*AgentToken)(nil)).Set("used = used + 1").
		Where("id = ? AND used < uses AND revoked_at = 0 AND expires_at > ?", t.ID, store.At(a.now())).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrAgentUsedUp)
	}
	return nil
}

// IssueAgent makes a certificate for the agent of a node of a request (DER), in the caller's transaction.
func (a *Authority) IssueAgent(ctx context.Context, tx bun.IDB, request []byte, target, node int64) (*x509.Certificate, error) {
	cert, err := a.signFor(request, Holder{Agent, strconv.FormatInt(node, 10)})
	if err != nil {
		return nil, err
	}
	_, err = tx.NewInsert().Model(&Certificate{Serial: Serial(cert), TargetID: target, Kind: Agent, NodeID: node, IssuedAt: store.At(a.now()), ExpiresAt: store.At(cert.NotAfter)}).Exec(ctx)
	return cert, err
}

// RenewAgent gives the agent that holds a good certificate another one, in the caller's transaction.
func (a *Authority) RenewAgent(ctx context.Context, tx bun.IDB, held *x509.Certificate, request []byte, target int64) (*x509.Certificate, error) {
	h, err := HolderOf(held)
	if err != nil {
		return nil, err
	}
	if h.Node() == 0 {
		return nil, fmt.Errorf("%w: it is not an agent's", ErrRequest)
	}
	if err := a.good(ctx, tx, held); err != nil {
		return nil, err
	}
	n, err := tx.NewSelect().Model((*Certificate)(nil)).Where("node_id = ? AND kind = ? AND issued_at > ?", h.Node(), Agent, store.At(a.now().Add(-24*time.Hour))).Count(ctx)
	if err != nil {
		return nil, err
	}
	if n >= maxRenewals {
		return nil, fmt.Errorf("%w: the agent got %d certificates within a day", ErrRequest, n)
	}
	return a.IssueAgent(ctx, tx, request, target, h.Node())
}

// AgentLives reports whether a node's agent holds a certificate that is good.
func (a *Authority) AgentLives(ctx context.Context, db bun.IDB, node int64) (bool, error) {
	return db.NewSelect().Model((*Certificate)(nil)).Where("node_id = ? AND kind = ? AND revoked_at = 0 AND expires_at > ?", node, Agent, store.At(a.now())).Exists(ctx)
}

// RevokeAgents takes back the certificates of a node's agent, or with node 0 of all agents of the target and their tokens, in the
// caller's transaction.
func (a *Authority) RevokeAgents(ctx context.Context, tx bun.IDB, target, node int64, why string) error {
	q := tx.NewUpdate().Model((*Certificate)(nil)).Set("revoked_at = ?", store.At(a.now())).Set("why = ?", why).
		Where("target_id = ? AND kind = ? AND revoked_at = 0", target, Agent)
	if node != 0 {
		_, err := q.Where("node_id = ?", node).Exec(ctx)
		return err
	}
	if _, err := q.Exec(ctx); err != nil {
		return err
	}
	_, err := tx.NewUpdate().Model((*AgentToken)(nil)).Set("revoked_at = ?", store.At(a.now())).Where("target_id = ? AND revoked_at = 0", target).Exec(ctx)
	return err
}
