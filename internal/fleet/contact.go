package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/fleet/tunnel"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

// Contact records how an attempt to read a cluster went: err nil, or why it failed. info and nodes are what was learnt; empty and
// negative values leave what was known. A change of state is told to the audit log and the outbox.
func (f *Fleet) Contact(ctx context.Context, target int64, info inventory.ClusterInfo, nodes int, err error) error {
	state, why := stateOf(err)
	if errors.Is(err, context.Canceled) {
		return nil // the attempt was given up here, which says nothing of the cluster
	}
	return errors.Join(f.flush(ctx), f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		return f.transition(ctx, tx, target, state, why, func(q *bun.UpdateQuery) {
			if info.Version != "" {
				q.Set("version = ?", info.Version)
			}
			if err == nil {
				q.Set("distribution = ?", info.Distribution).Set("managed = ?", info.Managed)
				if nodes >= 0 {
					q.Set("nodes = ?", nodes)
				}
			}
		})
	}))
}

// transition brings a cluster into a state. more adds columns to the update.
func (f *Fleet) transition(ctx context.Context, tx bun.Tx, target int64, state State, why string, more func(*bun.UpdateQuery)) error {
	r := &row{}
	if err := clusters(tx.NewSelect().Model(r)).Where("c.target_id = ?", target).Scan(ctx); err != nil {
		return store.NotFound(err)
	}
	now := store.At(f.o.Now())
	q := tx.NewUpdate().Table("clusters").Set("state = ?", state).Set("reason = ?", why).Where("target_id = ?", target)
	if state == Connected {
		q = q.Set("contact_at = ?", now)
	}
	if r.State != state {
		q = q.Set("state_at = ?", now)
	}
	if more != nil {
		more(q)
	}
	if _, err := q.Exec(ctx); err != nil {
		return err
	}
	if r.State == state {
		return nil
	}
	if err := audit.Record(ctx, tx, "cluster.state", object(r), target, map[string]any{"state": r.State, "reason": r.Reason}, map[string]any{"state": state, "reason": why}); err != nil {
		return err
	}
	return outbox.Put(ctx, tx, outbox.ClusterState, target, map[string]any{"cluster": r.Name, "state": state, "reason": why})
}

// take puts the result of a check into a row that is not kept yet.
func (r *row) take(c *Check) {
	r.State, r.Reason = c.State, c.Problem
	r.Version, r.Distribution, r.Managed, r.Nodes = c.Version, c.Distribution, c.Managed, max(c.Nodes, 0)
	if c.State == Connected {
		r.ContactAt, r.CheckedAt, r.Permissions = c.At, c.At, ledger.JSON(c.Permissions)
	}
}

// record keeps the result of a check.
func (f *Fleet) record(ctx context.Context, tx bun.Tx, target int64, c *Check) error {
	return f.transition(ctx, tx, target, c.State, c.Problem, func(q *bun.UpdateQuery) {
		if c.State != Connected {
			return
		}
		q.Set("checked_at = ?", c.At).Set("permissions = ?", ledger.JSON(c.Permissions)).Set("version = ?", c.Version).
			Set("distribution = ?", c.Distribution).Set("managed = ?", c.Managed)
		if c.Nodes >= 0 {
			q.Set("nodes = ?", c.Nodes)
		}
	})
}

// up records that a cluster's connector has connected.
func (f *Fleet) up(ctx context.Context, target int64) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error { return f.transition(ctx, tx, target, Connected, "", nil) })
	if err != nil {
		f.o.Log.Warn("recording the connector", "cluster", target, "error", err)
	}
}

// missConnectors finds clusters whose connector went away without anybody asking for them.
func (f *Fleet) missConnectors(ctx context.Context) error {
	live, err := f.o.Tunnels.Live(ctx)
	if err != nil {
		return err
	}
	var rows []row
	if err := clusters(f.db.R.NewSelect().Model(&rows)).Where("c.kind = ? AND c.state = ?", Connector, Connected).Scan(ctx); err != nil {
		return err
	}
	var errs []error
	for _, r := range rows {
		if live[r.TargetID] || f.o.Tunnels.Connected(r.TargetID) {
			continue
		}
		errs = append(errs, f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			return f.transition(ctx, tx, r.TargetID, Waiting, tunnel.ErrNoConnector.Error(), nil)
		}))
	}
	return errors.Join(errs...)
}

// Use is what the server asked of a cluster in an hour.
type Use struct {
	bun.BaseModel `bun:"table:cluster_use,alias:u" json:"-"`

	TargetID int64     `bun:"target_id,pk" json:"-"`
	Hour     int64     `bun:"hour,pk" json:"-"`
	At       time.Time `bun:"-" json:"at" doc:"begin of the hour"`
	Requests int64     `bun:"requests" json:"requests"`
	Received int64     `bun:"received" json:"received" doc:"bytes from the cluster, as they came over the wire"`
	Sent     int64     `bun:"sent" json:"sent" doc:"bytes to the cluster"`
}

// keptHours is how long use is kept.
const keptHours = 31 * 24

func (f *Fleet) hour() int64 { return f.o.Now().Unix() / 3600 }

// flush adds what was counted since the last time to the table.
func (f *Fleet) flush(ctx context.Context) error {
	f.mu.Lock()
	var rows []Use
	for target, u := range f.uses {
		r := Use{TargetID: target, Hour: f.hour(), Requests: u.requests.Swap(0), Received: u.received.Swap(0), Sent: u.sent.Swap(0)}
		if r.Requests+r.Received+r.Sent > 0 {
			rows = append(rows, r)
		}
	}
	f.mu.Unlock()
	if len(rows) == 0 {
		return nil
	}
	err := f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&rows).On("CONFLICT (target_id, hour) DO UPDATE").Set("requests = u.requests + EXCLUDED.requests").
			Set("received = u.received + EXCLUDED.received").Set("sent = u.sent + EXCLUDED.sent").Exec(ctx)
		return err
	})
	if err == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rows { // for the next time
		u := f.useOf(r.TargetID)
		u.requests.Add(r.Requests)
		u.received.Add(r.Received)
		u.sent.Add(r.Sent)
	}
	return fmt.Errorf("recording what was asked of clusters: %w", err)
}

func (f *Fleet) forgetUse(ctx context.Context) error {
	return f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*Use)(nil)).Where("hour < ?", f.hour()-keptHours).Exec(ctx)
		return err
	})
}

// lately reads the use of the last 24 hours.
func (f *Fleet) lately(ctx context.Context, target int64) ([]Use, error) {
	list := []Use{}
	err := f.db.R.NewSelect().Model(&list).Where("target_id = ? AND hour > ?", target, f.hour()-24).Order("hour").Scan(ctx)
	for i := range list {
		list[i].At = time.Unix(list[i].Hour*3600, 0).UTC()
	}
	return list, err
}
