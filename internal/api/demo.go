package api

import (
	"context"
	"fmt"
	"net/http"

	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/identity"
)

// Demonstrator adds the cluster that comes with the program. scan is 0 when it was there before.
type Demonstrator interface {
	AddDemo(ctx context.Context) (cluster, scan int64, err error)
}

// demoCluster is the demo cluster, and the task that scans it when it is new.
type demoCluster struct {
	fleet.Cluster
	TaskID int64 `json:"taskId,string,omitempty" doc:"of its first scan; absent when the cluster was there before"`
}

// Demo adds the route of the demo cluster; d nil refuses it.
func Demo(a *API, f *fleet.Fleet, d Demonstrator) {
	Add(a, Route{Method: http.MethodPost, Path: "/clusters/demo", ID: "add-demo-cluster", Tag: "Clusters", Summary: "Add the demo cluster", Action: identity.ManageClusters,
		Description: "A saved cluster that comes with the program: it is scanned at once and asks nothing of any other machine. A second call answers the one that is there."},
		func(ctx context.Context, _ *struct{}) (*One[demoCluster], error) {
			if err := adds(ctx); err != nil {
				return nil, err
			}
			if d == nil {
				return nil, fmt.Errorf("%w: this server comes without a demo cluster", ErrInvalid)
			}
			id, scan, err := d.AddDemo(ctx)
			if err != nil {
				return nil, clusterError(err)
			}
			c, err := f.Get(ctx, identity.From(ctx).Visible(identity.Read), id)
			if err != nil {
				return nil, err
			}
			return &One[demoCluster]{demoCluster{c.Cluster, scan}}, nil
		})
}
