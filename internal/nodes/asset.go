package nodes

import (
	"context"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
)

// Found counts the active findings on a node.
type Found struct {
	Asset    int64 `json:"assetId,string,omitempty" doc:"its asset, on which findings are; absent when no scan has seen the node"`
	Critical int   `json:"critical" doc:"active findings"`
	High     int   `json:"high"`
	Medium   int   `json:"medium"`
	Low      int   `json:"low"`
	Info     int   `json:"info"`
}

// counted adds what was found on nodes: one look-up for a page of them.
func (s *Service) counted(ctx context.Context, list []Node) error {
	type key struct {
		target int64
		name   string
	}
	var targets []int64
	var names []string
	at := map[key]*Node{}
	for i := range list {
		n := &list[i]
		at[key{n.Target, n.Name}] = n
		targets, names = append(targets, n.Target), append(names, n.Name)
	}
	if len(list) == 0 {
		return nil
	}
	var rows []struct {
		ID, TargetID                      int64
		Name                              string
		Critical, High, Medium, Low, Info int
	}
	err := s.db.R.NewRaw("SELECT id, target_id, name, critical, high, medium, low, info FROM assets WHERE kind = ? AND group_kind = '' AND namespace = '' AND gone_at = 0 AND target_id IN (?) AND name IN (?)",
		int(ledger.AssetNode), bun.List(targets), bun.List(names)).Scan(ctx, &rows)
	for _, r := range rows {
		if n := at[key{r.TargetID, r.Name}]; n != nil { // another cluster may have a node of the same name
			n.Found = Found{r.ID, r.Critical, r.High, r.Medium, r.Low, r.Info}
		}
	}
	return err
}
