package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
)

// Prospect is what is known before a scan of how it will reach a cluster and what it may read there.
type Prospect struct {
	Cluster
	CheckedAt store.Time   `json:"checkedAt,omitzero" format:"date-time" doc:"of the permissions; absent when they were not checked yet"`
	Reads     int          `json:"reads" doc:"kinds of objects that a scan lists, by the last check"`
	Missing   []Permission `json:"missing" doc:"permissions of a scan that are not granted: what needs them will not be scanned"`
	Grant     string       `json:"grant,omitempty" doc:"YAML that grants what is missing"`
	Present   []Object     `json:"present" doc:"objects that are in the cluster for it already: those of the connector"`
}

// Prospects tells of some clusters, by id. Who sees them is the caller's to ask.
func (f *Fleet) Prospects(ctx context.Context, ids []int64) (map[int64]*Prospect, error) {
	out := map[int64]*Prospect{}
	if len(ids) == 0 {
		return out, nil
	}
	var rows []row
	if err := clusters(f.db.R.NewSelect().Model(&rows)).Where("c.target_id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return nil, err
	}
	for i := range rows {
		r := &rows[i]
		p := &Prospect{Cluster: r.Cluster, CheckedAt: r.CheckedAt, Missing: []Permission{}, Present: []Object{}}
		var all []Permission
		if r.Permissions != "" {
			if err := json.Unmarshal([]byte(r.Permissions), &all); err != nil {
				return nil, fmt.Errorf("the permissions of cluster %d: %w", r.TargetID, err)
			}
		}
		all = slices.DeleteFunc(all, func(p Permission) bool { return p.Feature != ForScan && p.Feature != ForImages })
		for _, need := range all {
			switch {
			case !need.Allowed:
				p.Missing = append(p.Missing, need)
			case need.Feature == ForScan:
				p.Reads++
			}
		}
		p.Grant = grant(all)
		if r.Kind == Connector {
			p.Present = append(p.Present, objects...)
		}
		out[r.TargetID] = p
	}
	return out, nil
}
