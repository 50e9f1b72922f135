package triage

import (
	"context"
	"database/sql"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
)

// sources notes which nodes' agents saw the findings that are about to be settled and that are not on the nodes themselves.
func (in *Ingest) sources(ctx context.Context, tx bun.Tx, rows []missing) error {
	in.seenBy = map[int64][]string{}
	var ids []int64
	for i := range rows {
		if k := rows[i].AssetKind; k == ledger.AssetWorkload || k == ledger.AssetObject || k == ledger.AssetImage {
			ids = append(ids, rows[i].ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return query(ctx, tx, func(r *sql.Rows) error {
		var id int64
		var node string
		err := r.Scan(&id, &node)
		in.seenBy[id] = append(in.seenBy[id], node)
		return err
	}, `SELECT f.id, n.name FROM findings f JOIN node_prints p ON p.print = f.fingerprint JOIN nodes n ON n.id = p.node_id AND n.target_id = f.target_id
		WHERE f.id IN (?) ORDER BY f.id, n.name`, bun.List(ids))
}

// onNodes settles what was not reported because of a single node: one whose facts are not known, one on which the rule could not be
// decided, or one that this run says nothing of.
func (in *Ingest) onNodes(m *missing) (state ledger.State, cause ledger.Cause, settled bool) {
	nodes := in.seenBy[m.ID]
	if m.AssetKind == ledger.AssetNode {
		nodes = []string{m.AssetName}
	}
	for _, n := range nodes {
		switch {
		case in.also[m.ID] && !in.about(n): // another node's agent saw the same
			return 0, ledger.NoCause, true
		case m.AssetKind != ledger.AssetNode && m.Kind == ledger.Emergency && in.r.Agents[n] && !in.also[m.ID]: // agents alone look for them on nodes
			return 0, ledger.NoCause, true
		case m.AssetKind != ledger.AssetNode && (in.broken[noNodeFacts] || in.broken[noFactsOf+n]):
			return ledger.Unseen, ledger.NotLooked, true
		case !in.assets.partly[m.Rule][n]:
		case !in.r.whole() || in.r.Agents[n]: // it is for a run of the node to tell
			return 0, ledger.NoCause, true
		default:
			return ledger.Unseen, ledger.NotLooked, true
		}
	}
	return 0, ledger.NoCause, false
}

// about reports whether a node is among what the run looks at.
func (in *Ingest) about(node string) bool {
	return slices.ContainsFunc(in.r.Refs, func(r inventory.Ref) bool { return r.GroupKind() == "Node" && r.Name == node })
}
