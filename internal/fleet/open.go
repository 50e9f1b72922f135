package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"

	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/collect/cluster"
	"stockade.dev/stockade/internal/collect/snapshot"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/store"
)

// Source brings the objects of a cluster, and the credentials of registries that its pods use.
type Source interface {
	collect.Source
	// PullSecret returns the docker configuration of an image pull secret.
	PullSecret(ctx context.Context, namespace, name string) ([]byte, error)
}

// saved is a snapshot under the name of its cluster here.
type saved struct {
	*snapshot.Source
	name string
}

// Info implements collect.Source.
func (s saved) Info() inventory.ClusterInfo {
	info := s.Source.Info()
	info.Name = s.name
	return info
}

// PullSecret implements Source: snapshots hold no secrets.
func (s saved) PullSecret(context.Context, string, string) ([]byte, error) {
	return nil, errors.New("a snapshot holds no values of Secrets")
}

// ErrNotLive is returned by REST for snapshots.
var ErrNotLive = errors.New("the cluster is a snapshot: it cannot be watched")

// Open opens a cluster for a scan. A live one is asked for its version at once, so that an error says what is wrong with it; the
// caller tells Contact how it went. Errors of targets that are no clusters, or removed, are store.ErrNotFound.
func (f *Fleet) Open(ctx context.Context, target int64) (Source, error) {
	return f.OpenRate(ctx, target, 0)
}

// OpenRate is Open with a bound of requests a second to the cluster's API server; 0 is the fleet's own.
func (f *Fleet) OpenRate(ctx context.Context, target int64, perSecond float64) (Source, error) {
	row, err := f.row(ctx, target)
	if err != nil {
		return nil, err
	}
	if row.Kind == Snapshot {
		s, err := f.snapshot(row.Server)
		if err != nil {
			return nil, err
		}
		return saved{s, row.Name}, nil
	}
	c, err := f.client(row)
	if err != nil {
		return nil, err
	}
	return f.openLive(ctx, c.config, row.Name, perSecond)
}

// snapshot opens a saved cluster, or the one that came with the program.
func (f *Fleet) snapshot(path string) (*snapshot.Source, error) {
	if path == Bundled {
		if f.o.Demo == nil {
			return nil, errors.New("this server has no demo cluster")
		}
		var err error
		if path, err = f.o.Demo(); err != nil {
			return nil, fmt.Errorf("unpacking the demo cluster: %w", err)
		}
	}
	return snapshot.Open(path)
}

func (f *Fleet) openLive(ctx context.Context, rc *rest.Config, name string, perSecond float64) (*cluster.Source, error) {
	cfg := cluster.Config{Name: name, UserAgent: "stockade/" + f.o.Version, QPS: f.o.QPS, Burst: f.o.Burst, Stall: f.o.Stall}
	if perSecond > 0 {
		cfg.QPS, cfg.Burst = float32(perSecond), max(1, int(perSecond))
	}
	if err := cluster.ListsNotStreamed(); err != nil {
		return nil, err
	}
	return cluster.OpenREST(ctx, cfg, rc)
}

// REST returns a client configuration of a live cluster, for watching. It is the caller's own copy; it must be asked for again when the
// credentials were changed, which errors of the old ones show.
func (f *Fleet) REST(ctx context.Context, target int64) (*rest.Config, error) {
	row, err := f.row(ctx, target)
	if err != nil {
		return nil, err
	}
	if row.Kind == Snapshot {
		return nil, ErrNotLive
	}
	if err := cluster.ListsNotStreamed(); err != nil {
		return nil, err
	}
	c, err := f.client(row)
	if err != nil {
		return nil, err
	}
	return rest.CopyConfig(c.watch), nil
}

// client returns the kept client of a cluster, or makes one of its credentials.
func (f *Fleet) client(row *row) (*client, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.clients[row.TargetID]; c != nil && c.generation == row.Generation {
		return c, nil
	}
	var plain *rest.Config
	var dial func(ctx context.Context, network, address string) (net.Conn, error)
	switch row.Kind {
	case Kubeconfig:
		cred, err := f.unseal(row.TargetID, row.Credentials)
		if err != nil {
			return nil, fmt.Errorf("the credentials of cluster %s: %w", row.Name, err)
		}
		plain = cred.config()
	case InCluster:
		var err error
		if plain, err = rest.InClusterConfig(); err != nil {
			return nil, fmt.Errorf("the server does not run in a pod of cluster %s: %w", row.Name, err)
		}
	case Connector:
		if f.o.Tunnels == nil {
			return nil, errors.New("this process takes no connectors")
		}
		plain = &rest.Config{Host: "http://connector"} // the tunnel is encrypted, and the connector has the credentials
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return f.o.Tunnels.Dial(ctx, row.TargetID) }
	default:
		return nil, fmt.Errorf("cluster %s is of kind %q, which this version does not know", row.Name, row.Kind)
	}
	c, err := f.newClient(plain, f.useOf(row.TargetID), dial)
	if err != nil {
		return nil, fmt.Errorf("the credentials of cluster %s: %w", row.Name, err)
	}
	c.generation = row.Generation
	if old := f.clients[row.TargetID]; old != nil {
		old.transport.CloseIdleConnections()
	}
	f.clients[row.TargetID] = c
	return c, nil
}

// useOf returns the counters of a cluster. The caller holds the lock.
func (f *Fleet) useOf(target int64) *use {
	if f.uses[target] == nil {
		f.uses[target] = &use{}
	}
	return f.uses[target]
}

// drop forgets the client of a cluster.
func (f *Fleet) drop(target int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.clients[target]; c != nil {
		c.transport.CloseIdleConnections()
		delete(f.clients, target)
	}
}

// row reads a cluster that was not removed.
func (f *Fleet) row(ctx context.Context, target int64) (*row, error) {
	r := &row{}
	err := clusters(f.db.R.NewSelect().Model(r)).Where("c.target_id = ?", target).Scan(ctx)
	if err != nil {
		return nil, store.NotFound(err)
	}
	return r, nil
}
