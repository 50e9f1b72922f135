package nodes

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/store"
)

// nodeName is what Kubernetes takes for the name of a node: a DNS subdomain.
var nodeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// plainID is what machine and provider ids look like.
var plainID = regexp.MustCompile(`^[\x21-\x7e]{0,300}$`)

// claimEvery bounds how often a refused claim is written: an imitation that comes again and again fills no log.
const claimEvery = 10 * time.Minute

// maxNodes bounds the nodes of a cluster that have no Node object: a token alone makes no table full.
const maxNodes = 20_000

// refusal says why a machine may not speak for a node.
type refusal struct{ why string }

func (r *refusal) Error() string {
	return ErrImitated.Error() + ": " + r.why + "; a user who may manage the cluster can confirm the new machine on the node's page"
}

func (r *refusal) Unwrap() error { return ErrImitated }

// Enrol gives the agent of a node its certificate. remote is its address, for the audit log.
func (s *Service) Enrol(ctx context.Context, a protocol.Application, remote string) (*protocol.Papers, error) {
	switch {
	case !nodeName.MatchString(a.Node):
		return nil, invalid("the node's name is none that Kubernetes takes")
	case !plainID.MatchString(a.MachineID) || !plainID.MatchString(a.ProviderID):
		return nil, invalid("the machine id or provider id has characters that none has")
	}
	var papers *protocol.Papers
	var refused *refusal
	var id, target int64
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		papers, refused = nil, nil
		token, err := s.o.Authority.AgentToken(ctx, tx, a.Token)
		if err != nil {
			return err
		}
		target = token.TargetID
		cluster, err := clusterName(ctx, tx, target)
		if err != nil {
			return err
		}
		row, err := s.lockNode(ctx, tx, target, a.Node)
		if err != nil {
			return err
		}
		id = row.ID
		if refused, err = s.mayTake(ctx, tx, row, &a); err != nil {
			return err
		}
		if refused != nil { // the token is not used up, and the claim is kept
			return s.claim(ctx, tx, row, &a, remote, refused)
		}
		if err := s.o.Authority.UseAgentToken(ctx, tx, token); err != nil {
			return err
		}
		if err := s.o.Authority.RevokeAgents(ctx, tx, target, row.ID, "the node's agent enrolled again"); err != nil {
			return err
		}
		cert, err := s.o.Authority.IssueAgent(ctx, tx, a.Request, target, row.ID)
		if err != nil {
			return err
		}
		now := store.At(s.now())
		_, err = tx.NewUpdate().Model((*Row)(nil)).Set("enrolled_at = ?", now).Set("seen_at = ?", now).Set("machine_id = ?", a.MachineID).Set("provider_id = ?", a.ProviderID).
			Set("version = ?", clip(a.Version, maxVersion)).Set("claim_at = 0").Set("claim_machine = ''").Set("claim_from = ''").Set("claim_why = ''").Set("allowed_machine = ''").Set("told_claim = ''").
			Where("id = ?", row.ID).Exec(ctx)
		if err != nil {
			return err
		}
		papers = &protocol.Papers{Certificate: string(enrol.PEM(cert)), Authority: string(s.o.Authority.PEM()), Node: row.ID, Target: target, Cluster: cluster}
		return audit.Record(ctx, tx, "agent.enrol", "node "+a.Node, target, nil, map[string]any{"node": row.ID, "serial": enrol.Serial(cert), "from": remote, "machine": a.MachineID, "token": token.ID})
	})
	if err != nil {
		return nil, err
	}
	s.o.Hub.Publish(ctx, live.Event{Topic: Topic, Target: target, ID: id})
	if refused != nil {
		return nil, refused
	}
	return papers, nil
}

// clusterName is the name of a cluster that was not removed.
func clusterName(ctx context.Context, db bun.IDB, target int64) (string, error) {
	var name string
	err := db.NewSelect().Table("targets").Column("name").Where("id = ? AND removed_at = 0", target).Scan(ctx, &name)
	if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) {
		return "", enrol.ErrAgentExpired
	}
	return name, err
}

// lockNode takes the row of a node for this transaction, and makes it where there is none.
func (s *Service) lockNode(ctx context.Context, tx bun.Tx, target int64, name string) (*Row, error) {
	row, err := s.lockedNode(ctx, tx, target, name)
	if !errors.Is(err, store.ErrNotFound) {
		return row, err
	}
	n, err := tx.NewSelect().Model((*Row)(nil)).Where("target_id = ? AND NOT listed", target).Count(ctx)
	if err != nil {
		return nil, err
	}
	if n >= maxNodes {
		return nil, invalid("the cluster has %d nodes already that its API server does not know", n)
	}
	if _, err := tx.NewRaw("INSERT INTO nodes (target_id, name) VALUES (?, ?) ON CONFLICT (target_id, name) DO NOTHING", target, name).Exec(ctx); err != nil {
		return nil, err
	}
	return s.lockedNode(ctx, tx, target, name)
}

func (s *Service) lockedNode(ctx context.Context, tx bun.Tx, target int64, name string) (*Row, error) {
	row := new(Row)
	q := tx.NewSelect().Model(row).Where("target_id = ? AND name = ?", target, name)
	if s.db.Postgres() {
		q = q.For("UPDATE")
	}
	return row, store.NotFound(q.Scan(ctx))
}

// mayTake decides whether a machine may speak for a node: a token shows only that it belongs to the cluster.
func (s *Service) mayTake(ctx context.Context, tx bun.Tx, row *Row, a *protocol.Application) (*refusal, error) {
	switch {
	case row.AllowedMachine != "" && row.AllowedMachine == a.MachineID:
		return nil, nil
	case row.ObjectMachine != "" && a.MachineID == row.ObjectMachine:
		return nil, nil // the cluster's own word, also for a node that was made anew under its old name
	case row.ObjectMachine != "" && a.MachineID == "":
		return &refusal{"the cluster knows the node's machine id, and this agent does not say one: it needs to read the host's /etc/machine-id"}, nil
	case row.ObjectMachine != "":
		return &refusal{"the cluster says that the node has another machine id; where the node was just made anew, a full scan of the cluster learns of it"}, nil
	}
	lives, err := s.o.Authority.AgentLives(ctx, tx, row.ID)
	switch {
	case err != nil:
		return nil, err
	case !lives || a.MachineID != "" && a.MachineID == row.MachineID:
		return nil, nil
	case a.MachineID == "":
		return &refusal{"the certificate of the agent before still holds, and this one does not say its machine id"}, nil
	}
	return &refusal{"the certificate of an agent on the machine " + short(row.MachineID) + " still holds"}, nil
}

// short is the beginning of an id, for texts.
func short(id string) string {
	if len(id) > 8 {
		return id[:8] + "..."
	}
	if id == "" {
		return "of an unknown id"
	}
	return id
}

// claim keeps that another machine wanted to be a node.
func (s *Service) claim(ctx context.Context, tx bun.Tx, row *Row, a *protocol.Application, remote string, why *refusal) error {
	now := s.now()
	if row.ClaimMachine == a.MachineID && !row.ClaimAt.IsZero() && now.Sub(row.ClaimAt.Time) < claimEvery && !now.Before(row.ClaimAt.Time) {
		return nil
	}
	_, err := tx.NewUpdate().Model((*Row)(nil)).Set("claim_at = ?", store.At(now)).Set("claim_machine = ?", a.MachineID).Set("claim_from = ?", remote).
		Set("claim_why = ?", why.why).Where("id = ?", row.ID).Exec(ctx)
	if err != nil {
		return err
	}
	return audit.Record(ctx, tx, "agent.refused", "node "+row.Name, row.TargetID, nil, map[string]any{"node": row.ID, "from": remote, "machine": a.MachineID, "reason": why.why})
}

// Confirm lets the machine that was refused take the node. The agent before is cut off when it enrols.
func (s *Service) Confirm(ctx context.Context, id int64) error {
	return s.changed(ctx, id, func(ctx context.Context, tx bun.Tx, row *Row) error {
		if row.ClaimAt.IsZero() || row.ClaimMachine == "" {
			return fmt.Errorf("%w: no other machine with a machine id wants to be this node", ErrConflict)
		}
		if _, err := tx.NewUpdate().Model((*Row)(nil)).Set("allowed_machine = ?", row.ClaimMachine).Where("id = ?", id).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "node.confirm", "node "+row.Name, row.TargetID, map[string]any{"machine": row.MachineID}, map[string]any{"machine": row.ClaimMachine, "from": row.ClaimFrom})
	})
}

// Forget ends a node's agent: its certificates are void and what it brought is gone. A node that the cluster has stays in the list.
// Its findings are settled by the next full scan, which finds nothing of them.
func (s *Service) Forget(ctx context.Context, id int64) error {
	return s.changed(ctx, id, func(ctx context.Context, tx bun.Tx, row *Row) error {
		if err := s.o.Authority.RevokeAgents(ctx, tx, row.TargetID, id, "the node was forgotten"); err != nil {
			return err
		}
		for _, table := range []string{"node_bodies", "node_images", "node_work", "node_reports", "node_prints"} {
			if _, err := tx.NewRaw("DELETE FROM "+table+" WHERE node_id = ?", id).Exec(ctx); err != nil {
				return err
			}
		}
		if _, err := tx.NewRaw("DELETE FROM nodes WHERE id = ?", id).Exec(ctx); err != nil {
			return err
		}
		if row.Listed {
			again := &Row{TargetID: row.TargetID, Name: row.Name, Listed: true, ObjectMachine: row.ObjectMachine, ObjectProvider: row.ObjectProvider, ObjectOS: row.ObjectOS}
			if _, err := tx.NewInsert().Model(again).Exec(ctx); err != nil {
				return err
			}
		}
		return audit.Record(ctx, tx, "node.forget", "node "+row.Name, row.TargetID, map[string]any{"machine": row.MachineID, "enrolled": row.EnrolledAt}, nil)
	})
}

// changed changes a node and tells everybody.
func (s *Service) changed(ctx context.Context, id int64, f func(ctx context.Context, tx bun.Tx, row *Row) error) error {
	var target int64
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		row := new(Row)
		q := tx.NewSelect().Model(row).Where("id = ?", id)
		if s.db.Postgres() {
			q = q.For("UPDATE")
		}
		if err := q.Scan(ctx); err != nil {
			return store.NotFound(err)
		}
		target = row.TargetID
		return f(ctx, tx, row)
	})
	if err == nil {
		s.o.Hub.Publish(ctx, live.Event{Topic: Topic, Target: target, ID: id})
	}
	return err
}

// Renew gives the agent that holds a good certificate another one.
func (s *Service) Renew(ctx context.Context, held *x509.Certificate, request []byte) (*protocol.Papers, error) {
	h, err := enrol.HolderOf(held)
	if err != nil {
		return nil, err
	}
	who, err := s.known(ctx, h.Node())
	if err != nil {
		return nil, err
	}
	var cert *x509.Certificate
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		cert, err = s.o.Authority.RenewAgent(ctx, tx, held, request, who.Target)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &protocol.Papers{Certificate: string(enrol.PEM(cert)), Authority: string(s.o.Authority.PEM()), Node: who.ID, Target: who.Target, Cluster: who.Cluster}, nil
}
