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
	Status   []Status
	Origin   []string
	Targets  []int64 // a task about one of them
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
	if len(f.Status) > 0 {
		q = q.Where("t.status IN (?)", in(f.Status))
	}
	if len(f.Origin) > 0 {
		q = q.Where("t.origin IN (?)", in(f.Origin))
	}
	if f.Schedule != 0 {
		q = q.Where("t.schedule_id = ?", f.Schedule)
	}
	if len(f.Targets) > 0 {
		q = q.Where("EXISTS (SELECT 1 FROM task_targets x WHERE x.task_id = t.id AND x.target_id IN (?))", in(f.Targets))
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
	err = s.db.R.NewRaw("SELECT task_id, target_id, status, progress, started_at, finished_at FROM task_items WHERE task_id IN (?) AND kind IN ('cluster', 'node', 'upload')", in(ids)).Scan(ctx, &items)
	if err != nil {
		return err
	}
	for i := range items {
		it := &items[i]
		if it.read(); !v.Whole(it.TargetID) {
			continue
		}
		by[it.TaskID].Total.add(it)
	}
	if err := s.countImages(ctx, v, tasks); err != nil {
		return err
	}
	for _, t := range tasks {
		if t.Status == Ready || t.Status == Running {
			t.Total.Remaining = remaining(items, t)
		}
	}
	runs, err := s.runsOf(ctx, ids)
	for _, r := range runs {
		if total := &by[r.TaskID].Total; v.Whole(r.TargetID) {
			total.Added += r.Added + r.Reopened
			total.Closed += r.Fixed + r.Gone
		}
	}
	return err
}

// add counts an item.
func (t *Totals) add(it *Item) {
	t.Items++
	switch it.Status {
	case Done, Partial, Failed, Canceled:
		t.Done++
	}
	switch it.Status {
	case Partial:
		t.Partial++
	case Failed:
		t.Failed++
	case Canceled:
		t.Canceled++
	}
	if p := it.Progress; p != nil {
		t.Objects += p.Objects
		t.Images += p.Images
		t.ImagesOf += p.ImagesOf
		t.Unread += p.Unread
		t.Findings += p.Findings
	}
}

// remaining estimates what is left of a task: of the item that takes longest, and for those that wait, the mean of those that are
// done, as many side by side as run now. 0 when that is not known.
func remaining(items []Item, t *Task) int64 {
	var longest, took int64
	waiting, running, ended := 0, 0, 0
	for i := range items {
		it := &items[i]
		if it.TaskID != t.ID {
			continue
		}
		switch it.Status {
		case Ready:
			waiting++
		case Running:
			running++
			if it.Progress != nil {
				longest = max(longest, it.Progress.Remaining)
			}
		case Done, Partial:
			ended++
			took += it.FinishedAt.Sub(it.StartedAt.Time).Milliseconds()
		}
	}
	switch {
	case waiting == 0:
		return longest
	case ended == 0:
		return 0
	}
	return longest + took/int64(ended)*int64(waiting)/int64(max(running, 1))
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
	return out, next, s.changes(ctx, out)
}

// changes fills in what items changed, and their progress.
func (s *Service) changes(ctx context.Context, items []*Item) error {
	var tasks []int64
	for _, it := range items {
		if it.read(); it.Kind != kindImage && !slices.Contains(tasks, it.TaskID) {
			tasks = append(tasks, it.TaskID)
		}
	}
	runs, err := s.runsOf(ctx, tasks)
	for _, it := range items {
		i := slices.IndexFunc(runs, func(r *ledger.Run) bool { return r.TaskID == it.TaskID && r.TargetID == it.TargetID })
		if i >= 0 && it.Kind != kindNode {
			it.Run = runs[i]
		}
	}
	return err
}
