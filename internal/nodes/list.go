package nodes

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Node is what lists show of a node.
type Node struct {
	ID         int64      `json:"id,string"`
	Target     int64      `json:"targetId,string"`
	Cluster    string     `json:"cluster"`
	Name       string     `json:"name"`
	State      State      `json:"state" enum:"protected,paused,degraded,away,never,unsupported" doc:"protected: its agent lives; never: the cluster has the node and it has no agent; unsupported: no agent runs on its system"`
	Reason     string     `json:"reason,omitempty" doc:"of paused and degraded, by the agent"`
	Listed     bool       `json:"inCluster" doc:"the last full scan saw its Node object"`
	SeenAt     store.Time `json:"seenAt,omitzero" format:"date-time" doc:"last contact, to the minute"`
	EnrolledAt store.Time `json:"enrolledAt,omitzero" format:"date-time"`
	Version    string     `json:"version,omitempty" doc:"of the agent"`
	FactsAt    store.Time `json:"factsAt,omitzero" format:"date-time" doc:"when its facts were last read"`
	Stale      bool       `json:"stale,omitempty" doc:"nothing was read since factsAt, for so long that the facts no longer count in scans of the cluster"`
	JudgedAt   store.Time `json:"judgedAt,omitzero" format:"date-time"`
	Claimed    bool       `json:"claimed,omitempty" doc:"another machine wants to be this node and was refused"`
	Summary
	Found
}

// Details are the page of a node.
type Details struct {
	Node
	MachineID  string               `json:"machineId,omitempty"`
	ProviderID string               `json:"providerId,omitempty"`
	Claim      *Claim               `json:"claim,omitempty"`
	Needs      []inventory.SkipFact `json:"needs" doc:"what checks lack on this node"`
	Classes    []string             `json:"classes" doc:"of checks that the node allows"`
	Spool      int                  `json:"spool,omitempty" doc:"reports that wait on the node"`
	Memory     int64                `json:"memory,omitempty" doc:"bytes that the agent holds"`
	CPU        int64                `json:"cpuMs,omitempty" doc:"processor time of the agent since its start"`
	Skew       int64                `json:"clockSkewMs,omitempty" doc:"how far its clock is ahead, where that is too much"`
	SoftwareAt store.Time           `json:"softwareAt,omitzero" format:"date-time" doc:"when its packages were last read"`
	Work       []WorkItem           `json:"work" doc:"what its agent is to do"`
	Waiting    bool                 `json:"waiting,omitempty" doc:"something that it reported is not judged yet"`
}

// Claim is that another machine wanted to be the node.
type Claim struct {
	At        store.Time `json:"at" format:"date-time"`
	Machine   string     `json:"machineId,omitempty"`
	From      string     `json:"from,omitempty" doc:"address"`
	Why       string     `json:"reason" doc:"why it was refused"`
	Confirmed bool       `json:"confirmed,omitempty" doc:"a user let it take the node: it does so when it comes again"`
}

// WorkItem is something that an agent is to do.
type WorkItem struct {
	ID    int64      `json:"id,string"`
	Kind  string     `json:"kind" enum:"facts,software,images,malware,emergency"`
	Since store.Time `json:"since" format:"date-time"`
	Until store.Time `json:"until" format:"date-time"`
}

// Filter says which nodes a list holds.
type Filter struct {
	Targets []int64
	States  []State
	Q       string // part of the name, in any case
	Asset   int64  // the one node that is this asset
}

func (s *Service) node(r *Row) Node {
	n := Node{ID: r.ID, Target: r.TargetID, Cluster: r.Cluster, Name: r.Name, State: r.state(s.now(), s.Away()), Listed: r.Listed, SeenAt: r.SeenAt,
		EnrolledAt: r.EnrolledAt, Version: r.Version, FactsAt: r.FactsAt, JudgedAt: r.JudgedAt, Claimed: !r.ClaimAt.IsZero()}
	if n.State == Paused || n.State == Degraded {
		n.Reason = r.Reason
	}
	n.Stale = n.State != Never && n.State != Unsupported && r.stale(s.now())
	if r.Summary != "" {
		_ = json.Unmarshal([]byte(r.Summary), &n.Summary) // we wrote it
	}
	return n
}

// visible leaves out the nodes that v does not see: nodes are seen by who sees the whole cluster.
func visible(q *bun.SelectQuery, v identity.Visible) *bun.SelectQuery {
	if v.All {
		return q
	}
	if len(v.Targets) == 0 {
		return q.Where("1 = 0")
	}
	return q.Where("n.target_id IN (?)", bun.List(v.Targets))
}

// List returns a page of nodes by name.
func (s *Service) List(ctx context.Context, v identity.Visible, f Filter, page store.Page) ([]Node, string, error) {
	var rows []Row
	q := visible(s.db.R.NewSelect().Model(&rows).ColumnExpr("n.*, t.name AS cluster").Join("JOIN targets AS t ON t.id = n.target_id AND t.removed_at = 0"), v).
		Order("n.name", "n.id").Limit(int64(page.Size()) + 1)
	if len(f.Targets) > 0 {
		q = q.Where("n.target_id IN (?)", bun.List(f.Targets))
	}
	if len(f.States) > 0 {
		now := s.now()
		q = q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			for _, st := range f.States {
				where, args := st.where(now, s.Away())
				q = q.WhereOr("("+where+")", args...)
			}
			return q
		})
	}
	if f.Q != "" {
		escaped := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(f.Q))
		q = q.Where(`n.name LIKE ? ESCAPE '\'`, "%"+escaped+"%")
	}
	if f.Asset != 0 {
		q = q.Where("EXISTS (SELECT 1 FROM assets AS a WHERE a.id = ? AND a.kind = ? AND a.target_id = n.target_id AND a.name = n.name)", f.Asset, int(ledger.AssetNode))
	}
	if page.After != "" {
		var name string
		var id int64
		if err := store.ReadCursor(page.After, &name, &id); err != nil {
			return nil, "", err
		}
		q = q.Where("(n.name, n.id) > (?, ?)", name, id)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", err
	}
	next := ""
	if len(rows) > page.Size() {
		rows = rows[:page.Size()]
		last := &rows[len(rows)-1]
		next = store.Cursor(last.Name, last.ID)
	}
	out := make([]Node, len(rows))
	for i := range rows {
		out[i] = s.node(&rows[i])
	}
	return out, next, s.counted(ctx, out)
}

// Counts tells how many nodes are in which state, of those that v sees.
func (s *Service) Counts(ctx context.Context, v identity.Visible, targets []int64) (map[State]int, error) {
	out := map[State]int{}
	now := s.now()
	for _, st := range States {
		where, args := st.where(now, s.Away())
		q := visible(s.db.R.NewSelect().Model((*Row)(nil)).Join("JOIN targets AS t ON t.id = n.target_id AND t.removed_at = 0"), v).Where(where, args...)
		if len(targets) > 0 {
			q = q.Where("n.target_id IN (?)", bun.List(targets))
		}
		n, err := q.Count(ctx)
		if err != nil {
			return nil, err
		}
		out[st] = int(n)
	}
	return out, nil
}

// row finds a node that v sees; store.ErrNotFound.
func (s *Service) row(ctx context.Context, v identity.Visible, id int64) (*Row, error) {
	r := new(Row)
	err := visible(s.db.R.NewSelect().Model(r).ColumnExpr("n.*, t.name AS cluster").Join("JOIN targets AS t ON t.id = n.target_id AND t.removed_at = 0"), v).Where("n.id = ?", id).Scan(ctx)
	return r, store.NotFound(err)
}

// Target is the cluster of a node that v sees; store.ErrNotFound.
func (s *Service) Target(ctx context.Context, v identity.Visible, id int64) (int64, error) {
	r, err := s.row(ctx, v, id)
	if err != nil {
		return 0, err
	}
	return r.TargetID, nil
}

// Get returns the page of a node that v sees.
func (s *Service) Get(ctx context.Context, v identity.Visible, id int64) (*Details, error) {
	r, err := s.row(ctx, v, id)
	if err != nil {
		return nil, err
	}
	d := &Details{Node: s.node(r), MachineID: r.MachineID, ProviderID: r.ProviderID, Needs: []inventory.SkipFact{}, Classes: strings.Fields(r.Classes), Spool: r.Spool, Skew: r.Skew,
		Memory: r.Memory, CPU: r.CPU, SoftwareAt: r.SoftwareAt, Waiting: !r.DirtyAt.IsZero(), Work: []WorkItem{}}
	list := []Node{d.Node}
	if err := s.counted(ctx, list); err != nil {
		return nil, err
	}
	d.Node = list[0]
	if d.Classes == nil {
		d.Classes = []string{}
	}
	if r.Needs != "" {
		if err := json.Unmarshal([]byte(r.Needs), &d.Needs); err != nil {
			return nil, err
		}
	}
	if !r.ClaimAt.IsZero() {
		d.Claim = &Claim{At: r.ClaimAt, Machine: r.ClaimMachine, From: r.ClaimFrom, Why: r.ClaimWhy, Confirmed: r.AllowedMachine != "" && r.AllowedMachine == r.ClaimMachine}
	}
	var work []Work
	err = s.db.R.NewSelect().Model(&work).Where("node_id = ? AND status = ? AND until_at > ?", id, Open, store.At(s.now())).Order("id").Scan(ctx)
	for i := range work {
		d.Work = append(d.Work, WorkItem{ID: work[i].ID, Kind: string(work[i].Kind), Since: work[i].CreatedAt, Until: work[i].UntilAt})
	}
	return d, err
}

// Known returns the facts of a node that v sees; store.ErrNotFound also when none are known.
func (s *Service) Known(ctx context.Context, v identity.Visible, id int64) (*inventory.NodeFacts, error) {
	if _, err := s.row(ctx, v, id); err != nil {
		return nil, err
	}
	facts, err := s.facts(ctx, []int64{id})
	if err != nil {
		return nil, err
	}
	if facts[id] == nil {
		return nil, store.ErrNotFound
	}
	return facts[id], nil
}

// Containers returns a page of the containers that run on a node that v sees.
func (s *Service) Containers(ctx context.Context, v identity.Visible, id int64, q string, page store.Page) ([]inventory.ContainerFact, string, int, error) {
	f, err := s.Known(ctx, v, id)
	if err != nil {
		return nil, "", 0, err
	}
	list := f.Containers
	if q != "" {
		q = strings.ToLower(q)
		list = slices.DeleteFunc(list, func(c inventory.ContainerFact) bool {
			return !strings.Contains(strings.ToLower(c.Namespace+"/"+c.Pod+"/"+c.Container+" "+c.Image), q)
		})
	}
	key := func(c *inventory.ContainerFact) string {
		return c.Namespace + "/" + c.Pod + "/" + c.Container + "/" + c.ID
	}
	slices.SortFunc(list, func(a, b inventory.ContainerFact) int { return strings.Compare(key(&a), key(&b)) })
	after := ""
	if page.After != "" {
		if err := store.ReadCursor(page.After, &after); err != nil {
			return nil, "", 0, err
		}
	}
	total := len(list)
	from := 0
	for from < total && after != "" && key(&list[from]) <= after {
		from++
	}
	list = list[from:]
	next := ""
	if len(list) > page.Size() {
		list = list[:page.Size()]
		next = store.Cursor(key(&list[len(list)-1]))
	}
	return list, next, total, nil
}

// Inventory returns the packages of a node; store.ErrNotFound when they are not known.
func (s *Service) Inventory(ctx context.Context, id int64) (*inventory.Software, error) {
	bodies, err := s.bodies(ctx, []int64{id}, protocol.ReadPackages)
	if err != nil {
		return nil, err
	}
	if bodies[id] == nil {
		return nil, store.ErrNotFound
	}
	return software(bodies[id])
}
