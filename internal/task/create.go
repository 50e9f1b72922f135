package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/store"
)

// Request says which task to make. Who may do so is the caller's to ask.
type Request struct {
	Name       string
	Origin     string
	ScheduleID int64
	Scope      Scope
	Parts      []Part // none is all
	Budget     Budget
	Urgent     *UrgentRequest // of a look for emergencies
}

// Create makes a task and has it begun.
func (s *Service) Create(ctx context.Context, r Request) (*Task, error) {
	var t *Task
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var err error
		t, err = s.create(ctx, tx, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, s.begin(ctx, t)
}

// begin has a task worked on that was just made.
func (s *Service) begin(ctx context.Context, t *Task) error {
	s.ended(ctx, t)
	if err := s.dispatch(ctx, t.ID); err != nil { // it stands in the table: the sweeper tries again
		s.log.Error("a task is not begun yet", "task", t.ID, "error", err)
	}
	return nil
}

func (s *Service) create(ctx context.Context, tx bun.Tx, r Request) (*Task, error) {
	parts, err := checkParts(r.Parts)
	if err != nil {
		return nil, err
	}
	if len(r.Scope.Images) > 0 {
		return s.createOfImages(ctx, tx, r)
	}
	targets, err := s.targets(ctx, tx, r.Scope)
	if err != nil {
		return nil, err
	}
	if r.Name == "" {
		r.Name = nameOf(targets)
	}
	t, err := s.insert(ctx, tx, r, parts, targets)
	if err != nil {
		return nil, err
	}
	var items []*Item
	for _, target := range targets {
		items = append(items, &Item{TaskID: t.ID, TargetID: target.ID, Kind: kindCluster, Name: target.Name, Status: Ready, CreatedAt: t.CreatedAt})
		if r.Urgent != nil {
			items[len(items)-1].Spec = ledger.JSON(clusterSpec{Known: true, Emergencies: r.Urgent.IDs})
		}
	}
	if len(r.Scope.Nodes) > 0 {
		items = nil // of the clusters only their nodes were asked for
		for _, id := range r.Scope.Targets {
			i := slices.IndexFunc(targets, func(t Target) bool { return t.ID == id })
			items = append(items, &Item{TaskID: t.ID, TargetID: id, Kind: kindCluster, Name: targets[i].Name, Status: Ready, CreatedAt: t.CreatedAt})
		}
	}
	for _, n := range r.Scope.Nodes {
		items = append(items, s.nodeItem(t, n.Target, n.Name))
	}
	if _, err := tx.NewInsert().Model(&items).Exec(ctx); err != nil {
		return nil, err
	}
	if r.Urgent != nil {
		if err := s.urgentItems(ctx, tx, t, r.Urgent.Nodes); err != nil {
			return nil, err
		}
	}
	ended, err := s.settle(ctx, tx, t.ID)
	if ended != nil {
		t.Status, t.FinishedAt = ended.Status, ended.FinishedAt
	}
	return t, err
}

// nodeItem is the work of looking into one node.
func (s *Service) nodeItem(t *Task, target int64, name string) *Item {
	it := &Item{TaskID: t.ID, TargetID: target, Kind: kindNode, Name: name, Status: Ready, CreatedAt: t.CreatedAt}
	if s.o.Nodes == nil {
		it.Status, it.FinishedAt, it.Code, it.Error = Failed, t.CreatedAt, string(finding.Unsupported), "this server takes no agents, and single nodes are looked into by their agents"
	}
	return it
}

// insert writes the rows of a task without items.
func (s *Service) insert(ctx context.Context, tx bun.Tx, r Request, parts []Part, targets []Target) (*Task, error) {
	t := &Task{Name: r.Name, Origin: r.Origin, ScheduleID: r.ScheduleID, Scan: ledger.JSON(parts), Limits: ledger.JSON(r.Budget), Status: Ready,
		CreatedAt: store.At(s.now()), Targets: targets}
	if t.Origin == "" {
		t.Origin = Manual
	}
	if p := identity.From(ctx); p != nil {
		t.UserID, t.Actor = p.UserID, p.Name
	}
	t.read()
	if _, err := tx.NewInsert().Model(t).Exec(ctx); err != nil {
		return nil, err
	}
	for _, target := range targets {
		if _, err := tx.NewRaw("INSERT INTO task_targets (task_id, target_id) VALUES (?, ?)", t.ID, target.ID).Exec(ctx); err != nil {
			return nil, err
		}
	}
	t.Total.Items = len(targets)
	one := int64(0)
	if len(targets) == 1 {
		one = targets[0].ID
	}
	if t.Origin == Watch || t.Origin == Admission { // nobody asked for it: the log of what people do stays readable
		return t, nil
	}
	return t, audit.Record(ctx, tx, "task.create", fmt.Sprintf("task %d (%s)", t.ID, t.Name), one, nil, t)
}

func nameOf(targets []Target) string {
	switch len(targets) {
	case 1:
		return targets[0].Name
	default:
		return fmt.Sprintf("%d clusters", len(targets))
	}
}

// targets are the clusters of a scope, which must exist.
func (s *Service) targets(ctx context.Context, tx bun.IDB, scope Scope) ([]Target, error) {
	q := tx.NewSelect().Table("targets").Column("id", "name", "kind").Where("kind = 'cluster' AND removed_at = 0").Order("id")
	var want []int64
	if !scope.All {
		want = slices.Clone(scope.Targets)
		for _, n := range scope.Nodes {
			want = append(want, n.Target)
		}
		slices.Sort(want)
		if want = slices.Compact(want); len(want) == 0 {
			return nil, fmt.Errorf("%w: name the clusters to scan, or ask for all", ErrInvalid)
		}
		q = q.Where("id IN (?)", in(want))
	}
	var out []Target
	if err := q.Scan(ctx, &out); err != nil {
		return nil, err
	}
	switch {
	case scope.All && len(out) == 0:
		return nil, fmt.Errorf("%w: there is no cluster to scan: add one first", ErrInvalid)
	case len(out) < len(want):
		return nil, store.ErrNotFound
	}
	return out, nil
}

// Verify scans just the objects and images (triage.ImageRef) of some findings of a target again.
func (s *Service) Verify(ctx context.Context, target int64, refs []inventory.Ref) (*Task, error) {
	var t *Task
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		targets, err := s.targets(ctx, tx, Scope{Targets: []int64{target}})
		if err != nil {
			return err
		}
		name := fmt.Sprintf("verify %d objects of %s", len(refs), targets[0].Name)
		if len(refs) == 1 {
			name = "verify " + refs[0].String()
		}
		if t, err = s.insert(ctx, tx, Request{Name: name, Origin: Verify}, Parts, targets); err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&Item{TaskID: t.ID, TargetID: target, Kind: kindCluster, Name: targets[0].Name, Status: Ready,
			Spec: ledger.JSON(clusterSpec{Refs: refs}), CreatedAt: t.CreatedAt}).Exec(ctx)
		if err != nil || s.o.Nodes == nil {
			return err
		}
		enrolled, err := s.o.Nodes.Enrolled(ctx, target)
		for _, ref := range refs {
			if err == nil && ref.Kind == "Node" && enrolled[ref.Name] { // of much its agent alone can tell
				_, err = tx.NewInsert().Model(s.nodeItem(t, target, ref.Name)).Exec(ctx)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, s.begin(ctx, t)
}

// Cancel ends a task: what is not begun is not done, what runs is broken off.
func (s *Service) Cancel(ctx context.Context, id int64) error {
	var ended *Task
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		ended = nil
		t, err := s.lock(ctx, tx, id)
		if err != nil {
			return err
		}
		if t.Status != Ready && t.Status != Running {
			return fmt.Errorf("%w: the task is %s", ErrConflict, t.Status)
		}
		if _, err := tx.NewRaw("UPDATE tasks SET cancel = ? WHERE id = ?", true, id).Exec(ctx); err != nil {
			return err
		}
		// Scans of other tasks that wait for one of its images ask for it anew.
		if _, err := tx.NewRaw("UPDATE task_items SET status = 'canceled', finished_at = ? WHERE task_id = ? AND status = 'ready'", store.At(s.now()), id).Exec(ctx); err != nil {
			return err
		}
		if err := audit.Record(ctx, tx, "task.cancel", fmt.Sprintf("task %d (%s)", id, t.Name), 0, nil, nil); err != nil {
			return err
		}
		ended, err = s.settle(ctx, tx, id)
		return err
	})
	if err != nil {
		return err
	}
	s.hub.Publish(ctx, live.Event{Topic: topicCancel, ID: id})
	s.ended(ctx, ended)
	return nil
}

// Retry does again what failed of a finished task, and nothing else: targets that failed, and those of which something could not
// be scanned.
func (s *Service) Retry(ctx context.Context, id int64) (*Task, error) {
	var t *Task
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var err error
		if t, err = s.lock(ctx, tx, id); err != nil {
			return err
		}
		if t.Status == Ready || t.Status == Running {
			return fmt.Errorf("%w: the task is still %s", ErrConflict, t.Status)
		}
		res, err := tx.NewRaw(`UPDATE task_items SET status = 'ready', worker = '', failures = 0, queued_at = 0, not_before = 0, finished_at = 0, spec = CASE WHEN kind = 'node' THEN '' ELSE spec END
			WHERE task_id = ? AND status IN ('failed', 'partial', 'canceled')
			AND (kind IN ('cluster', 'node') OR kind = 'upload' AND EXISTS (SELECT 1 FROM upload_parts p WHERE p.item_id = task_items.id))`, id).Exec(ctx)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n == 0 {
			n, err = retryImages(ctx, tx, id)
		}
		if err != nil || n == 0 {
			return errors.Join(err, fmt.Errorf("%w: nothing of the task failed that could be tried again", ErrConflict))
		}
		// Images that failed are asked for again by the scans that want them.
		if _, err := tx.NewRaw("DELETE FROM task_item_uses WHERE image_item IN (SELECT id FROM task_items WHERE task_id = ? AND kind = 'image' AND status IN ('failed', 'canceled'))", id).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewRaw("DELETE FROM task_items WHERE task_id = ? AND kind = 'image' AND status IN ('failed', 'canceled')", id).Exec(ctx); err != nil {
			return err
		}
		t.Status, t.Cancel, t.FinishedAt = Running, false, store.Time{}
		if _, err := tx.NewUpdate().Model(t).Column("status", "cancel", "finished_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		if err := tx.NewRaw("SELECT target_id AS id FROM task_targets WHERE task_id = ?", id).Scan(ctx, &t.Targets); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "task.retry", fmt.Sprintf("task %d (%s)", id, t.Name), 0, nil, nil)
	})
	if err != nil {
		return nil, err
	}
	return t, s.begin(ctx, t)
}

// dispatch gives ready items of a task to the job queue, as many as its budget lets run at once.
func (s *Service) dispatch(ctx context.Context, id int64) error {
	ids := map[string][]int64{}
	// Most calls find nothing to do: they need no transaction.
	var open int
	if err := s.db.R.NewRaw("SELECT count(*) FROM (SELECT 1 AS x FROM task_items WHERE task_id = ? AND status = 'ready' AND queued_at = 0 LIMIT 1) q", id).Scan(ctx, &open); err != nil || open == 0 {
		return err
	}
	enqueue := s.queue.Enqueue
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		clear(ids)
		t, err := s.lock(ctx, tx, id)
		if err != nil || t.Cancel {
			return err
		}
		if t.Origin == Admission { // pods wait for it
			enqueue = s.queue.Hurry
		}
		for pool, kinds := range map[string][]string{poolTargets: {kindCluster, kindUpload, kindNode}, poolImages: {kindImage}} {
			if ids[pool], err = s.release(ctx, tx, t, kinds); err != nil {
				return err
			}
		}
		return nil
	})
	for pool, list := range ids {
		if err == nil && len(list) > 0 {
			err = enqueue(ctx, pool, list)
		}
	}
	return err
}

// release marks what may be queued of some kinds, and returns it.
func (s *Service) release(ctx context.Context, tx bun.Tx, t *Task, kinds []string) ([]int64, error) {
	most := t.Budget.ParallelTargets
	if kinds[0] == kindImage {
		most = t.Budget.ParallelImages
	}
	free := 1 << 30
	if most > 0 {
		var busy int
		err := tx.NewRaw("SELECT count(*) FROM task_items WHERE task_id = ? AND kind IN (?) AND (status = 'running' OR status = 'ready' AND queued_at > 0)", t.ID, in(kinds)).Scan(ctx, &busy)
		if err != nil || busy >= most {
			return nil, err
		}
		free = most - busy
	}
	var ids []int64
	err := tx.NewRaw(`UPDATE task_items SET queued_at = ? WHERE id IN (SELECT id FROM task_items WHERE task_id = ? AND kind IN (?) AND status = 'ready'
		AND queued_at = 0 ORDER BY id LIMIT ?) RETURNING id`, store.At(s.now()), t.ID, in(kinds), free).Scan(ctx, &ids)
	slices.Sort(ids)
	return ids, err
}

func decode[T any](text string) (T, error) {
	var v T
	if text == "" {
		return v, nil
	}
	err := json.Unmarshal([]byte(text), &v)
	return v, err
}
