package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Cluster is what everybody who sees a cluster may know of it.
type Cluster struct {
	TargetID       int64      `bun:"target_id,pk" json:"id,string"`
	Name           string     `bun:"name,scanonly" json:"name"`
	Kind           string     `bun:"kind" json:"kind" enum:"kubeconfig,in-cluster,connector,snapshot"`
	State          State      `bun:"state" json:"state" enum:"never,connected,unreachable,refused,waiting"`
	StateAt        store.Time `bun:"state_at" json:"stateAt" format:"date-time" doc:"when it came into this state"`
	ContactAt      store.Time `bun:"contact_at" json:"contactAt" format:"date-time" doc:"when it last answered"`
	Version        string     `bun:"version" json:"version,omitempty"`
	Distribution   string     `bun:"distribution" json:"distribution,omitempty"`
	Managed        bool       `bun:"managed" json:"managed" doc:"a provider runs its control plane"`
	Nodes          int        `bun:"nodes" json:"nodes"`
	ProtectedNodes int        `bun:"protected_nodes" json:"protectedNodes" doc:"nodes with an agent"`
	CreatedAt      store.Time `bun:"created_at,scanonly" json:"createdAt" format:"date-time"`
	LookedAt       store.Time `bun:"looked_at,scanonly" json:"lookedAt" format:"date-time" doc:"end of the last full scan"`
	Reason         string     `bun:"reason" json:"reason,omitempty" doc:"of the state; for who sees the whole cluster"`
	Server         string     `bun:"server" json:"server,omitempty" doc:"address of the API server; for who sees the whole cluster"`
}

// row is a row of clusters with the name of its target.
type row struct {
	bun.BaseModel `bun:"table:clusters,alias:c"`
	Cluster

	Credentials []byte     `bun:"credentials"`
	Generation  int64      `bun:"generation"`
	CheckedAt   store.Time `bun:"checked_at"`
	Permissions string     `bun:"permissions"`
}

// clusters joins the targets that were not removed.
func clusters(q *bun.SelectQuery) *bun.SelectQuery {
	return q.ColumnExpr("c.*, t.name, t.created_at, t.looked_at").Join("JOIN targets AS t ON t.id = c.target_id").Where("t.removed_at = 0")
}

// Details are the whole page of a cluster.
type Details struct {
	Cluster
	CheckedAt   store.Time   `json:"checkedAt" format:"date-time" doc:"of the permissions"`
	Permissions []Permission `json:"permissions"`
	Grant       string       `json:"grant,omitempty" doc:"YAML that grants what is missing"`
	Use         []Use        `json:"use" doc:"what the server asked of it in the last 24 hours, by hour, oldest first"`
	Connector   *Tunnels     `json:"connector,omitempty" doc:"of clusters that are reached through a connector"`
}

// Filter says which clusters a list holds.
type Filter struct {
	Search string // part of the name, in any case
	State  State
	Kind   string
	IDs    []int64   // some of them; nil is all
	Before time.Time // not looked at as a whole since then; zero is all
}

// List returns a page of the clusters that may be seen, by name, and the cursor of the page after.
func (f *Fleet) List(ctx context.Context, v identity.Visible, filter Filter, page store.Page) ([]Cluster, string, error) {
	var rows []row
	q := clusters(f.db.R.NewSelect().Model(&rows)).Order("t.name", "c.target_id").Limit(int64(page.Size()) + 1)
	if !v.All {
		ids := slices.Clone(v.Targets)
		for id := range v.Namespaces {
			ids = append(ids, id)
		}
		if len(ids) == 0 {
			return nil, "", nil
		}
		q = q.Where("c.target_id IN (?)", bun.In(ids))
	}
	if filter.State != "" {
		q = q.Where("c.state = ?", filter.State)
	}
	if filter.Kind != "" {
		q = q.Where("c.kind = ?", filter.Kind)
	}
	if len(filter.IDs) > 0 {
		q = q.Where("c.target_id IN (?)", bun.In(filter.IDs))
	}
	if !filter.Before.IsZero() {
		q = q.Where("t.looked_at < ?", store.At(filter.Before))
	}
	if filter.Search != "" {
		escaped := store.Like(strings.ToLower(filter.Search))
		q = q.Where(`lower(t.name) LIKE ? ESCAPE '\'`, "%"+escaped+"%")
	}
	if page.After != "" {
		var name string
		var id int64
		if err := store.ReadCursor(page.After, &name, &id); err != nil {
			return nil, "", err
		}
		q = q.Where("(t.name, c.target_id) > (?, ?)", name, id)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", err
	}
	next := ""
	if len(rows) > page.Size() {
		rows = rows[:page.Size()]
		last := rows[len(rows)-1]
		next = store.Cursor(last.Name, last.TargetID)
	}
	list := make([]Cluster, len(rows))
	for i := range rows {
		list[i] = rows[i].seenBy(v)
	}
	return list, next, nil
}

// seenBy leaves out what who sees only namespaces has no need to know.
func (r *row) seenBy(v identity.Visible) Cluster {
	c := r.Cluster
	if !v.Whole(c.TargetID) {
		c.Reason, c.Server = "", ""
	}
	return c
}

// Get returns the page of a cluster as v may see it; store.ErrNotFound when it may not.
func (f *Fleet) Get(ctx context.Context, v identity.Visible, target int64) (*Details, error) {
	if !v.Sees(target) {
		return nil, store.ErrNotFound
	}
	r, err := f.row(ctx, target)
	if err != nil {
		return nil, err
	}
	d := &Details{Cluster: r.seenBy(v), Permissions: []Permission{}, Use: []Use{}}
	if !v.Whole(target) {
		return d, nil
	}
	d.CheckedAt = r.CheckedAt
	if r.Permissions != "" {
		if err := json.Unmarshal([]byte(r.Permissions), &d.Permissions); err != nil {
			return nil, fmt.Errorf("the permissions of cluster %d: %w", target, err)
		}
	}
	d.Grant = grant(d.Permissions)
	if d.Use, err = f.lately(ctx, target); err != nil {
		return nil, err
	}
	if r.Kind == Connector {
		d.Connector, err = f.tunnels(ctx, target)
	}
	return d, err
}

// Added is what a new cluster is made of.
type Added struct {
	Name       string
	Kind       string
	Kubeconfig []byte // of Kind Kubeconfig
	Context    string // in it; "" is the current one
	Path       string // of Kind Snapshot: only the server's administrator may name one
	Unchecked  bool   // take it also when it does not answer or does not accept the credentials now
}

// Add registers a cluster. Kubeconfig and in-cluster ones are checked first, and only taken when they answer; the check is returned in
// any case.
func (f *Fleet) Add(ctx context.Context, a Added) (*Cluster, *Check, error) {
	name, err := validName(a.Name)
	if err != nil {
		return nil, nil, err
	}
	r := &row{Cluster: Cluster{Name: name, Kind: a.Kind, State: Never}, Generation: 1}
	cred, check, err := f.examine(ctx, a)
	if err != nil {
		return nil, check, err
	}
	switch a.Kind {
	case Connector:
		r.State, r.Reason = Waiting, "the connector has not enrolled yet"
	case Snapshot:
		r.Server = a.Path
	case Kubeconfig:
		r.Server = cred.Server
	}
	if check != nil {
		r.take(check)
	}
	r.StateAt = store.At(f.o.Now())
	err = f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		t, err := ledger.AddTarget(ctx, tx, "cluster", name, f.o.Now())
		if store.Duplicate(err) {
			return invalid("there is a cluster of the name %q: choose another", name)
		}
		if err != nil {
			return err
		}
		r.TargetID, r.CreatedAt = t.ID, t.CreatedAt
		if cred != nil {
			if r.Credentials, err = f.sealed(t.ID, cred); err != nil {
				return err
			}
		}
		if _, err := tx.NewInsert().Model(r).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "cluster.add", object(r), t.ID, nil, public(r))
	})
	if err != nil {
		return nil, check, err
	}
	return &r.Cluster, check, nil
}

// examine parses and checks what a cluster is to be made of.
func (f *Fleet) examine(ctx context.Context, a Added) (*credentials, *Check, error) {
	var cred *credentials
	var err error
	switch a.Kind {
	case Connector:
		return nil, nil, nil
	case Snapshot:
		if _, err := f.snapshot(a.Path); err != nil {
			return nil, nil, invalid("%s", oneLine(err.Error()))
		}
		return nil, nil, nil
	case Kubeconfig:
		if cred, err = parseKubeconfig(a.Kubeconfig, a.Context); err != nil {
			return nil, nil, err
		}
	case InCluster:
	default:
		return nil, nil, invalid("the kind %q: want %s, %s or %s", a.Kind, Kubeconfig, InCluster, Connector)
	}
	check, err := f.try(ctx, a.Kind, cred)
	switch {
	case err != nil:
		return nil, nil, err
	case check.Problem != "" && (check.State == Connected || !a.Unchecked): // reached but too old is no matter of the moment
		return cred, check, invalid("%s", check.Problem)
	}
	return cred, check, nil
}

// Ensure adds a cluster unless one of the name is there, for what the server's command line names.
func (f *Fleet) Ensure(ctx context.Context, a Added) (int64, error) {
	var id int64
	err := f.db.R.NewSelect().Table("targets").Column("id").Where("kind = 'cluster' AND name = ? AND removed_at = 0", strings.TrimSpace(a.Name)).Scan(ctx, &id)
	if err == nil || !errors.Is(store.NotFound(err), store.ErrNotFound) {
		return id, err
	}
	c, _, err := f.Add(ctx, a)
	if err != nil {
		return 0, err
	}
	return c.TargetID, nil
}

// EnsureDemo adds the cluster that came with the program, under a name like the given one, unless it is there: also as a snapshot of
// that name, which the command line has registered. added says that it was not.
func (f *Fleet) EnsureDemo(ctx context.Context, name string) (target int64, added bool, err error) {
	var rows []row
	if err := clusters(f.db.R.NewSelect().Model(&rows)).Where("c.kind = ? AND (c.server = ? OR t.name = ?)", Snapshot, Bundled, name).
		Order("c.target_id").Limit(1).Scan(ctx); err != nil {
		return 0, false, err
	}
	if len(rows) > 0 {
		return rows[0].TargetID, false, nil
	}
	for _, n := range []string{name, "demo " + name, "demo"} {
		taken, err := f.db.R.NewSelect().Table("targets").Where("kind = 'cluster' AND name = ? AND removed_at = 0", n).Count(ctx)
		if err != nil {
			return 0, false, err
		}
		if taken > 0 {
			continue
		}
		c, _, err := f.Add(ctx, Added{Name: n, Kind: Snapshot, Path: Bundled})
		if err != nil {
			return 0, false, err
		}
		return c.TargetID, true, nil
	}
	return 0, false, invalid("clusters of the names %q, %q and \"demo\" are there: rename one of them", name, "demo "+name)
}

// IsBundled reports whether a cluster is the one that came with the program.
func (f *Fleet) IsBundled(ctx context.Context, target int64) bool {
	r, err := f.row(ctx, target)
	return err == nil && r.Kind == Snapshot && r.Server == Bundled
}

// Change is what of a cluster is to be another; nil and empty fields stay.
type Change struct {
	Name       *string
	Kubeconfig []byte // new credentials, of clusters of Kind Kubeconfig
	Context    string
	Unchecked  bool
}

// Update renames a cluster or gives it other credentials, which are checked as those of a new one.
func (f *Fleet) Update(ctx context.Context, target int64, c Change) (*Cluster, *Check, error) {
	before, err := f.row(ctx, target)
	if err != nil {
		return nil, nil, err
	}
	after := *before
	if c.Name != nil {
		if after.Name, err = validName(*c.Name); err != nil {
			return nil, nil, err
		}
	}
	var check *Check
	if len(c.Kubeconfig) > 0 {
		if before.Kind != Kubeconfig {
			return nil, nil, invalid("cluster %s is of kind %s: it has no kubeconfig to change", before.Name, before.Kind)
		}
		var cred *credentials
		if cred, check, err = f.examine(ctx, Added{Kind: Kubeconfig, Kubeconfig: c.Kubeconfig, Context: c.Context, Unchecked: c.Unchecked}); err != nil {
			return nil, check, err
		}
		if after.Credentials, err = f.sealed(target, cred); err != nil {
			return nil, check, err
		}
		after.Server = cred.Server
		after.Generation++
	}
	err = f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Table("targets").Set("name = ?", after.Name).Where("id = ? AND removed_at = 0", target).Exec(ctx)
		if store.Duplicate(err) {
			return invalid("there is a cluster of the name %q: choose another", after.Name)
		}
		if err != nil {
			return err
		}
		q := tx.NewUpdate().Table("clusters").Set("server = ?", after.Server).Where("target_id = ?", target)
		if after.Generation != before.Generation {
			q = q.Set("credentials = ?", after.Credentials).Set("generation = generation + 1")
		}
		if _, err := q.Exec(ctx); err != nil {
			return err
		}
		if check != nil {
			if err := f.record(ctx, tx, target, check); err != nil {
				return err
			}
		}
		return audit.Record(ctx, tx, "cluster.change", object(before), target, public(before), public(&after))
	})
	if err != nil {
		return nil, check, err
	}
	if after.Generation != before.Generation {
		f.drop(target)
	}
	now, err := f.row(ctx, target)
	if err != nil {
		return nil, check, err
	}
	return &now.Cluster, check, nil
}

// Remove takes a cluster off the lists. Its credentials are forgotten and its connector's certificates revoked; findings stay.
func (f *Fleet) Remove(ctx context.Context, target int64) error {
	r, err := f.row(ctx, target)
	if err != nil {
		return err
	}
	if f.o.Stays != nil {
		if err := f.o.Stays(ctx, target); err != nil {
			return invalid("%w", err)
		}
	}
	err = f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := f.forget(ctx, tx, target); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Table("clusters").Set("credentials = NULL").Set("generation = generation + 1").Where("target_id = ?", target).Exec(ctx); err != nil {
			return err
		}
		if f.o.Authority != nil {
			const why = "the cluster was removed"
			if err := errors.Join(f.o.Authority.Revoke(ctx, tx, target, why), f.o.Authority.RevokeProvider(ctx, tx, target, why), f.o.Authority.RevokeAgents(ctx, tx, target, 0, why)); err != nil {
				return err
			}
		}
		return audit.Record(ctx, tx, "cluster.remove", object(r), target, public(r), nil)
	})
	if err != nil {
		return err
	}
	f.drop(target)
	if f.o.Tunnels != nil {
		f.o.Tunnels.Cut(ctx, target)
	}
	return nil
}

// forget marks a cluster as removed, with what was found in it.
func (f *Fleet) forget(ctx context.Context, tx bun.Tx, target int64) error {
	if f.o.Forget != nil {
		return f.o.Forget(ctx, tx, target, f.o.Now())
	}
	result, err := tx.NewUpdate().Table("targets").Set("removed_at = ?", store.At(f.o.Now())).Where("id = ? AND removed_at = 0", target).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, store.ErrNotFound)
	}
	return nil
}

// Reseal seals all credentials with the newest key, for seal.Keys.Rotate.
func (f *Fleet) Reseal(ctx context.Context) error {
	if f.o.Authority != nil {
		if err := f.o.Authority.Reseal(ctx); err != nil {
			return err
		}
	}
	return f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var rows []row
		if err := tx.NewSelect().Model(&rows).Column("target_id", "credentials").Where("credentials IS NOT NULL").Scan(ctx); err != nil {
			return err
		}
		for _, r := range rows {
			sealed, err := f.keys.Reseal(place(r.TargetID), r.Credentials)
			if err != nil {
				return err
			}
			if _, err := tx.NewUpdate().Table("clusters").Set("credentials = ?", sealed).Where("target_id = ?", r.TargetID).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func object(r *row) string { return fmt.Sprintf("cluster %d (%s)", r.TargetID, r.Name) }

// public is what of a cluster stands in the audit log: that credentials changed, not what they are.
func public(r *row) map[string]any {
	return map[string]any{"name": r.Name, "kind": r.Kind, "server": r.Server, "credentials": r.Generation}
}
