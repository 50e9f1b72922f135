package server

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/fleet"
)

// nodeOfAlpha is a node of alpha with an agent, that another machine wants to be.
func nodeOfAlpha(w *world) string {
	id := w.insert("INSERT INTO nodes (target_id, name, listed, enrolled_at, seen_at, claim_at, claim_machine) VALUES (?, ?, true, 1, 1, 1, 'other')", w.alpha, fmt.Sprint(markAlpha, "-node-", w.next()))
	return fmt.Sprint("id=", id)
}

// knownNodeOfAlpha is one that has reported.
func knownNodeOfAlpha(w *world) string {
	path := nodeOfAlpha(w)
	err := w.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO node_bodies (node_id, kind, digest, at, body) VALUES (?, 'facts', 'x', 1, ?)", path[len("id="):], packedFacts).Exec(ctx)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return path
}

// agentTokenOfAlpha is a token for agents of alpha.
func agentTokenOfAlpha(w *world) string {
	w.t.Helper()
	in, err := w.rooms.fleet.NewAgentToken(w.asSystem(), w.alpha, fleet.AgentTokenRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint("id=", w.alpha, " token=", in.About.ID)
}

var nodeNoun = noun{fill: func(w *world) { nodeOfAlpha(w) }, rows: map[string]row{
	"list-nodes":           {want: forSignedIn, shows: markAlpha},
	"count-nodes":          {want: forSignedIn},
	"get-node":             {want: readAlpha, path: nodeOfAlpha, shows: markAlpha},
	"get-node-facts":       {want: readAlpha, path: knownNodeOfAlpha},
	"get-node-facts/none":  {want: "401 404 404 404 404 404 404 404 404", path: nodeOfAlpha},
	"list-node-containers": {want: readAlpha, path: knownNodeOfAlpha, shows: markAlpha},
	"forget-node":          {want: "401 403 403 403 403 403 403 404 204", path: nodeOfAlpha},
	"confirm-node":         {want: "401 403 403 403 403 403 403 404 204", path: nodeOfAlpha},
	"show-agents":          {want: manageAlpha, path: alphaID},
	"list-agent-tokens":    {want: manageAlpha, path: alphaID},
	"add-agent-token":      {want: "401 403 403 403 403 403 403 404 201", path: agentsCluster, body: text(`{"uses":3}`)},
	"revoke-agent-token":   {want: "401 403 403 403 403 403 403 404 204", path: agentTokenOfAlpha},
}}

// agentsCluster is a cluster that has no tokens yet, which only those who have a role everywhere see.
func agentsCluster(w *world) string { return another(w) }
