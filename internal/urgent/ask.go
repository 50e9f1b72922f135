package urgent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/nodes"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// Request says which emergencies to look for, and where. Who may do so is the caller's to ask.
type Request struct {
	IDs    []string
	Scope  task.Scope // clusters
	Origin string     // manual when it is empty
}

// mostAsked bounds the emergencies of one request.
const mostAsked = 100

// atOnce is how many items of a scan are waited for at the same time: thousands of nodes shall not keep the queue busy with asking
// whether they have answered. What agents report is kept as it comes.
const atOnce = 50

// Scan looks for emergencies now: agents are asked at their next beat, images are judged by what is known of them, and nothing is
// pulled. What cannot be looked at stands in the task with its reason.
func (s *Service) Scan(ctx context.Context, r Request) (*task.Task, error) {
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	var ids, names []string
	for _, id := range r.IDs {
		e := list.Find(id)
		if e == nil {
			return nil, invalid("%.40q is no emergency of the list", id)
		}
		if !slices.Contains(ids, e.ID) {
			ids, names = append(ids, e.ID), append(names, e.Name)
		}
	}
	if len(ids) == 0 {
		return nil, invalid("name an emergency")
	}
	slices.Sort(ids)
	if len(ids) > mostAsked { // all of them
		ids = nil
	}
	name := strings.Join(names[:min(len(names), 3)], ", ")
	if len(names) > 3 {
		name = fmt.Sprintf("%d emergencies", len(names))
	}
	onNodes := slices.ContainsFunc(r.IDs, func(id string) bool { return slices.Contains(list.Find(id).Where, Kinds[Node]) })
	var asked []task.UrgentNode
	if onNodes {
		if asked, err = s.ask(ctx, r.Scope, ids); err != nil {
			return nil, err
		}
	}
	return s.o.Tasks.Create(ctx, task.Request{Name: name, Origin: r.Origin, Scope: r.Scope, Parts: []task.Part{task.Emergency}, Budget: task.Budget{ParallelTargets: atOnce}, Urgent: &task.UrgentRequest{IDs: ids, Nodes: asked}})
}

// ask has the agents of clusters verify emergencies, and tells of which nodes to wait for and which cannot be asked.
func (s *Service) ask(ctx context.Context, scope task.Scope, ids []string) ([]task.UrgentNode, error) {
	q := s.db.R.NewSelect().Model((*nodes.Row)(nil)).Column("id", "target_id", "name", "enrolled_at", "seen_at", "object_os", "agent_state").
		Join("JOIN targets AS t ON t.id = n.target_id AND t.removed_at = 0 AND t.kind = 'cluster'").OrderExpr("n.target_id, n.name")
	if !scope.All {
		if len(scope.Targets) == 0 {
			return nil, nil // task.Create says that clusters are missing
		}
		q = q.Where("n.target_id IN (?)", bun.List(scope.Targets))
	}
	var rows []nodes.Row
	if err := q.Scan(ctx, &rows); err != nil {
		return nil, err
	}
	now := s.now()
	until := now.Add(task.UrgentWait)
	var alive []int64
	states := make([]nodes.State, len(rows))
	for i := range rows {
		if states[i] = rows[i].State(now, s.o.Agents.Away()); states[i] != nodes.Never && states[i] != nodes.Away && states[i] != nodes.Unsupported {
			alive = append(alive, rows[i].ID)
		}
	}
	asked := map[int64]int64{}
	if len(alive) > 0 {
		var err error
		if asked, err = s.o.Agents.Ask(ctx, alive, protocol.Work{Kind: protocol.Verify, Names: ids, Until: until}); err != nil {
			return nil, err
		}
	}
	out := make([]task.UrgentNode, len(rows))
	for i := range rows {
		r, n := &rows[i], &out[i]
		n.Target, n.Name, n.Work, n.Until = r.TargetID, r.Name, asked[r.ID], until
		text, code := why(states[i], r.Name, r.ObjectOS)
		switch n.Why, n.Code = text.EN, code; {
		case n.Why != "" && !r.SeenAt.IsZero():
			n.Why += ": it was heard of last at " + r.SeenAt.UTC().Format(time.RFC3339)
		case n.Why == "" && n.Work == 0:
			n.Why, n.Code = "the agent on node "+r.Name+" has too much to do already, or went away", finding.Unreachable
		}
	}
	return out, nil
}

// LastScan is the last look at everything of a cluster.
type LastScan struct {
	At   store.Time `bun:"at" json:"at,omitzero" format:"date-time"`
	Task int64      `bun:"task_id" json:"taskId,string,omitempty"`
}
