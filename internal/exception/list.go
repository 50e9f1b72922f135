package exception

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Filter narrows lists of exceptions; the zero Filter keeps all.
type Filter struct {
	Status    []Status
	Target    int64     // of the scope
	Requester int64     // id of a user
	Source    string    // vex
	Rule      string    // as in the scope
	CVE       string    // as in the scope
	Query     string    // part of the reason, the scope or the requester's name, in any case
	Unused    bool      // only unused ones
	EndBefore time.Time // only approved ones that end before
}

// seen narrows a query of exceptions to what v shows.
func seen(q *bun.SelectQuery, v identity.Visible) *bun.SelectQuery {
	if v.All {
		return q
	}
	return q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		q = q.Where("1 = 0")
		if len(v.Targets) > 0 {
			q = q.WhereOr("e.target_id IN (?)", bun.List(v.Targets))
		}
		for target, names := range v.Namespaces {
			q = q.WhereOr("e.target_id = ? AND e.namespace IN (?)", target, bun.List(names))
		}
		return q
	})
}

func (f *Filter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	if len(f.Status) > 0 {
		q = q.Where("e.status IN (?)", bun.List(f.Status))
	}
	if f.Target != 0 {
		q = q.Where("e.target_id = ?", f.Target)
	}
	if f.Requester != 0 {
		q = q.Where("e.requester_id = ?", f.Requester)
	}
	if f.Source != "" {
		q = q.Where("e.source = ?", f.Source)
	}
	if f.Rule != "" {
		q = q.Where("e.rule = ?", f.Rule)
	}
	if f.CVE != "" {
		q = q.Where("e.cve = ?", f.CVE)
	}
	if f.Unused {
		q = q.Where("e.unused = ?", true)
	}
	if !f.EndBefore.IsZero() {
		q = q.Where("e.status = ? AND e.expires_at > 0 AND e.expires_at < ?", Approved, store.At(f.EndBefore))
	}
	if f.Query != "" {
		like := "%" + store.Like(strings.ToLower(f.Query)) + "%"
		q = q.Where(`(lower(e.reason) LIKE ? ESCAPE '\' OR lower(e.scope) LIKE ? ESCAPE '\' OR lower(e.requester) LIKE ? ESCAPE '\')`, like, like, like)
	}
	return q
}

// List gives a page of the exceptions that v shows: sort "new" (default) the latest first, "end" those that end first.
func (b *Book) List(ctx context.Context, v identity.Visible, f Filter, sort string, page store.Page) (list []Record, next string, err error) {
	q := f.apply(seen(b.db.R.NewSelect().Model(&list), v)).Limit(int64(page.Size()) + 1)
	if sort == "end" {
		q = q.Where("e.expires_at > 0").OrderExpr("e.expires_at, e.id")
		if page.After != "" {
			var at, id int64
			if err := store.ReadCursor(page.After, &at, &id); err != nil {
				return nil, "", err
			}
			q = q.Where("(e.expires_at, e.id) > (?, ?)", at, id)
		}
	} else {
		q = q.OrderExpr("e.id DESC")
		if page.After != "" {
			var id int64
			if err := store.ReadCursor(page.After, &id); err != nil {
				return nil, "", err
			}
			q = q.Where("e.id < ?", id)
		}
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", err
	}
	if len(list) > page.Size() {
		list = list[:page.Size()]
		last := &list[len(list)-1]
		if next = store.Cursor(last.ID); sort == "end" {
			next = store.Cursor(last.ExpiresAt.UnixMilli(), last.ID)
		}
	}
	return list, next, b.complete(ctx, list)
}

// complete fills in what is not in the table.
func (b *Book) complete(ctx context.Context, list []Record) error {
	ids := make([]int64, len(list))
	for i := range list {
		if err := list[i].read(); err != nil {
			return err
		}
		ids[i] = list[i].ID
	}
	if len(ids) == 0 {
		return nil
	}
	var counts []struct {
		ID int64 `bun:"exception_id"`
		N  int   `bun:"n"`
	}
	err := b.db.R.NewSelect().Table("findings").ColumnExpr("exception_id, count(*) AS n").Where("exception_id IN (?)", bun.List(ids)).
		Where("exception_id <> 0").Where("status = ?", ledger.StatusAccepted).GroupExpr("exception_id").Scan(ctx, &counts)
	for _, c := range counts {
		list[slices.Index(ids, c.ID)].Findings = c.N
	}
	return err
}

// Get gives one exception with its comments.
func (b *Book) Get(ctx context.Context, v identity.Visible, id int64) (*Record, error) {
	list := make([]Record, 0, 1)
	if err := seen(b.db.R.NewSelect().Model(&list), v).Where("e.id = ?", id).Scan(ctx); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	if err := b.complete(ctx, list); err != nil {
		return nil, err
	}
	err := b.db.R.NewSelect().Model(&list[0].Comments).Where("exception_id = ?", id).OrderExpr("id").Limit(1000).Scan(ctx)
	return &list[0], err
}

// Summary is how many exceptions there are, for badges and the overview.
type Summary struct {
	Status map[Status]int `json:"status"`
	Unused int            `json:"unused" doc:"approved, and nothing to accept"`
	Soon   int            `json:"soon" doc:"approved, and ending within the days of the settings"`
}

// Summary counts the exceptions that v shows.
func (b *Book) Summary(ctx context.Context, v identity.Visible) (*Summary, error) {
	settings, err := b.Settings(ctx)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Status Status `bun:"status"`
		N      int    `bun:"n"`
		Unused int    `bun:"unused"`
		Soon   int    `bun:"soon"`
	}
	err = seen(b.db.R.NewSelect().Model((*Record)(nil)), v).ColumnExpr("e.status, count(*) AS n").
		ColumnExpr("sum(CASE WHEN e.unused THEN 1 ELSE 0 END) AS unused").
		ColumnExpr("sum(CASE WHEN e.status = ? AND e.expires_at > 0 AND e.expires_at <= ? THEN 1 ELSE 0 END) AS soon", Approved,
			store.At(b.Now().AddDate(0, 0, settings.RemindDays))).
		GroupExpr("e.status").Scan(ctx, &rows)
	out := &Summary{Status: map[Status]int{}}
	for _, r := range rows {
		out.Status[r.Status] = r.N
		out.Unused += r.Unused
		out.Soon += r.Soon
	}
	return out, err
}

// Effect is what an exception would accept now.
type Effect struct {
	Findings int                     `json:"findings" doc:"active findings that it would accept"`
	Severity map[ledger.Severity]int `json:"severity"`
	Targets  []TargetEffect          `json:"targets"`
	Complete bool                    `json:"complete" doc:"false: there were more candidates than are looked at, so there may be more"`
	// Admission is said by who knows admission.
	Admission []string `json:"admission,omitempty" doc:"what of it does not hold at admission, and why"`
}

// TargetEffect is the part of an effect in one target.
type TargetEffect struct {
	TargetID int64                   `json:"targetId,string"`
	Name     string                  `json:"name"`
	Findings int                     `json:"findings"`
	Severity map[ledger.Severity]int `json:"severity"`
}

// Preview counts what a request would accept. Who may ask for it may preview it.
func (b *Book) Preview(ctx context.Context, q Request) (*Effect, error) {
	r, err := b.record(ctx, q, identity.Except)
	if err != nil {
		return nil, err
	}
	if r.Reason == "" {
		r.Reason = "preview"
	}
	if r.Category == "" {
		r.Category = Other
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return b.effect(ctx, r.Exception())
}

// EffectOf counts what an exception would accept now beside what is accepted already: for approvers.
func (b *Book) EffectOf(ctx context.Context, v identity.Visible, id int64) (*Effect, error) {
	r, err := b.Get(ctx, v, id)
	if err != nil {
		return nil, err
	}
	return b.effect(ctx, r.Exception())
}

func (b *Book) effect(ctx context.Context, e Exception) (*Effect, error) {
	set, err := New([]Exception{e})
	if err != nil {
		return nil, err
	}
	w, err := b.way(ctx, &set.list[0])
	if err != nil {
		return nil, err
	}
	out := &Effect{Severity: map[ledger.Severity]int{}, Targets: []TargetEffect{}, Complete: true}
	at := map[int64]int{}
	add := func(target int64, severity ledger.Severity, n int) {
		i, ok := at[target]
		if !ok {
			i = len(out.Targets)
			at[target] = i
			out.Targets = append(out.Targets, TargetEffect{TargetID: target, Severity: map[ledger.Severity]int{}})
		}
		out.Findings += n
		out.Severity[severity] += n
		out.Targets[i].Findings += n
		out.Targets[i].Severity[severity] += n
	}
	limited, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	if w.exact {
		err = b.tally(limited, &w, add)
	} else {
		seen := map[int64]bool{} // a row may be on the way twice
		err = b.matching(limited, e, func(rows []ledger.Row) error {
			for i := range rows {
				if !seen[rows[i].ID] {
					seen[rows[i].ID] = true
					add(rows[i].TargetID, rows[i].Severity, 1)
				}
			}
			return nil
		})
	}
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		out.Complete, err = false, nil
	}
	if err != nil {
		return nil, err
	}
	return out, b.nameTargets(ctx, out.Targets)
}

func (b *Book) nameTargets(ctx context.Context, list []TargetEffect) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].TargetID
	}
	var names []ledger.Target
	err := b.db.R.NewSelect().Model(&names).Where("id IN (?)", bun.List(ids)).Scan(ctx)
	for _, t := range names {
		list[slices.Index(ids, t.ID)].Name = t.Name
	}
	slices.SortStableFunc(list, func(a, b TargetEffect) int { return b.Findings - a.Findings })
	return err
}
