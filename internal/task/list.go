package task

import (
	"context"
	"slices"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// wholly are the targets that are visible as a whole: tasks name images and objects of every namespace, so that who sees a single
// namespace sees none of them.
func wholly(v identity.Visible) []int64 {
	if len(v.Targets) == 0 {
		return []int64{-1} // IN () is no SQL
	}
	return v.Targets
}

// row reads a task without what hangs on it.
func (s *Service) row(ctx context.Context, id int64) (*Task, error) {
	t := new(Task)
	if err := s.db.R.NewSelect().Model(t).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, store.NotFound(err)
	}
	t.read()
	return t, nil
}

// Filter narrows a list of tasks; zero fields do not.
type Filter struct {
	Status   Status
	Origin   string
	Target   int64
	Schedule int64
}

// Tasks lists tasks of which v sees a target, the newest first.
func (s *Service) Tasks(ctx context.Context, v identity.Visible, f Filter, page store.Page) (out []*Task, next string, err error) {
	q := s.db.R.NewSelect().Model(&out).Order("t.id DESC").Limit(int64(page.Size() + 1))
	if page.After != "" {
		var id int64
		if err := store.ReadCursor(page.After, &id); err != nil {
			return nil, "", err
		}
		q = q.Where("t.id < ?", id)
	}
	if !v.All {
		q = q.Where("EXISTS (SELECT 1 FROM task_targets x WHERE x.task_id = t.id AND x.target_id IN (?))", in(wholly(v)))
	}
	if f.Status != "" {
		q = q.Where("t.status = ?", f.Status)
	}
	if f.Origin != "" {
		q = q.Where("t.origin = ?", f.Origin)
	}
	if f.Schedule != 0 {
		q = q.Where("t.schedule_id = ?", f.Schedule)
	}
	if f.Target != 0 {
		q = q.Where("EXISTS (SELECT 1 FROM task_targets x WHERE x.task_id = t.id AND x.target_id = ?)", f.Target)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", err
	}
	if len(out) > page.Size() {
		out = out[:page.Size()]
		next = store.Cursor(out[len(out)-1].ID)
	}
	return out, next, s.complete(ctx, v, out)
}

// Task reads one task of which v sees a target, with what v sees of it.
func (s *Service) Task(ctx context.Context, v identity.Visible, id int64) (*Task, error) {
	t, err := s.row(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.complete(ctx, v, []*Task{t}); err != nil {
		return nil, err
	}
	if !v.All && len(t.Targets) == 0 {
		return nil, store.ErrNotFound
	}
	return t, nil
}

// TargetsOf lists the ids of all targets of a task, seen or not.
func (s *Service) TargetsOf(ctx context.Context, id int64) ([]int64, error) {
	var out []int64
	err := s.db.R.NewRaw("SELECT target_id FROM task_targets WHERE task_id = ? ORDER BY target_id", id).Scan(ctx, &out)
	return out, err
}

// complete fills in what of tasks does not stand in their rows.
func (s *Service) complete(ctx context.Context, v identity.Visible, tasks []*Task) error {
	if len(tasks) == 0 {
		return nil
	}
	ids, by := make([]int64, len(tasks)), map[int64]*Task{}
	for i, t := range tasks {
		t.read()
		t.Targets = []Target{}
		ids[i], by[t.ID] = t.ID, t
	}
	var targets []struct {
		TaskID int64
		Target
	}
	err := s.db.R.NewRaw("SELECT x.task_id, t.id, t.name, t.kind FROM task_targets x JOIN targets t ON t.id = x.target_id WHERE x.task_id IN (?) ORDER BY t.id", in(ids)).Scan(ctx, &targets)
	if err != nil {
		return err
	}
	for _, x := range targets {
		if v.Whole(x.ID) {
			by[x.TaskID].Targets = append(by[x.TaskID].Targets, x.Target)
		}
	}
	var items []Item
	err = s.db.R.NewRaw("SELECT task_id, target_id, status, progress FROM task_items WHERE task_id IN (?) AND kind IN ('cluster', 'node', 'upload')", in(ids)).Scan(ctx, &items)
	for i := range items {
		it := &items[i]
		if it.read(); !v.Whole(it.TargetID) {
			continue
		}
		total := &by[it.TaskID].Total
		total.Items++
		switch it.Status {
		case Failed:
			total.Failed++
			total.Done++
		case Done, Partial, Canceled:
			total.Done++
		}
		if p := it.Progress; p != nil {
			total.Images += p.Images
			total.ImagesOf += p.ImagesOf
			total.Remaining = max(total.Remaining, p.Remaining)
		}
	}
	return err
}

// ItemFilter narrows a list of items; zero fields do not.
type ItemFilter struct {
	Kind   string
	Status []Status
	Target int64
}

// Items lists the items of a task that v sees: what is scanned, and images when Kind asks for them.
func (s *Service) Items(ctx context.Context, v identity.Visible, task int64, f ItemFilter, page store.Page) (out []*Item, next string, err error) {
	q := s.db.R.NewSelect().Model(&out).Where("i.task_id = ?", task).Order("i.id").Limit(int64(page.Size() + 1))
	if page.After != "" {
		var id int64
		if err := store.ReadCursor(page.After, &id); err != nil {
			return nil, "", err
		}
		q = q.Where("i.id > ?", id)
	}
	if !v.All {
		q = q.Where("i.target_id IN (?)", in(wholly(v)))
	}
	if f.Kind != "" {
		q = q.Where("i.kind = ?", f.Kind)
	} else {
		q = q.Where("i.kind IN ('cluster', 'node', 'upload')")
	}
	if len(f.Status) > 0 {
		q = q.Where("i.status IN (?)", in(f.Status))
	}
	if f.Target != 0 {
		q = q.Where("i.target_id = ?", f.Target)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", err
	}
	if len(out) > page.Size() {
		out = out[:page.Size()]
		next = store.Cursor(out[len(out)-1].ID)
	}
	for _, it := range out {
		it.read()
	}
	return out, next, nil
}

// RunsImage reports whether v sees something that runs the image of a digest: a target as a whole, or a workload in one of its
// namespaces.
func (s *Service) RunsImage(ctx context.Context, v identity.Visible, digest string) (bool, error) {
	if v.All {
		return true, nil
	}
	var rows []struct {
		TargetID  int64
		Namespace *string
	}
	// The digest may be an image's own or that of the index that led to it; assets have either.
	err := s.db.R.NewRaw(`SELECT DISTINCT a.target_id, u.namespace FROM assets a LEFT JOIN asset_uses u ON u.image_id = a.id
		WHERE a.kind = ? AND a.gone_at = 0 AND a.digest IN (SELECT m.name FROM inventory_names n JOIN inventory_names m ON m.digest = n.digest WHERE n.name = ?)
		LIMIT 10000`, ledger.AssetImage, digest).Scan(ctx, &rows)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(rows, func(r struct {
		TargetID  int64
		Namespace *string
	}) bool {
		return v.Whole(r.TargetID) || r.Namespace != nil && slices.Contains(v.Namespaces[r.TargetID], *r.Namespace)
	}), nil
}
