package browse

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// VerdictDay is how many clauses had which verdict at the end of a day, summed over targets.
type VerdictDay struct {
	Day string `json:"day" format:"date"`
	Verdicts
	Targets int `json:"targets" doc:"in which the framework had been judged by then; on a day with none nothing is known"`
}

// VerdictTrend tells the verdicts of a framework by day. A day on which they did not change is as the one before.
func (b *Browser) VerdictTrend(ctx context.Context, v identity.Visible, framework string, targets []int64, days int) ([]VerdictDay, error) {
	if b.catalog.Framework(framework) == nil {
		return nil, fmt.Errorf("%w: no framework is named %q", store.ErrNotFound, framework)
	}
	if days <= 0 {
		days = 30
	}
	days = min(days, maxDays)
	today := int(b.now().UTC().Unix() / 86400)
	first := today - days + 1
	out := make([]VerdictDay, days)
	for i := range out {
		out[i].Day, out[i].Score = time.Unix(int64(first+i)*86400, 0).UTC().Format(time.DateOnly), -1
	}
	s, ok, err := b.wholes(ctx, v, targets)
	if err != nil || !ok {
		return out, err
	}
	byTarget := map[int64][]*Verdicts{} // by day, nil where they did not change
	stmt := ofWhole("SELECT j.target_id, j.day, j.pass, j.fail, j.manual, j.not_applicable FROM judged_days AS j JOIN targets AS t ON t.id = j.target_id WHERE t.removed_at = 0", "j", s)
	stmt.add(" AND j.framework = ? AND j.day <= ? AND j.day >= coalesce((SELECT max(o.day) FROM judged_days AS o WHERE o.framework = j.framework AND o.target_id = j.target_id AND o.day <= ?), ?)",
		framework, today, first, first)
	err = b.query(ctx, stmt, func(scan func(...any) error) error {
		var target int64
		var day int
		d := &Verdicts{}
		if err := scan(&target, &day, &d.Pass, &d.Fail, &d.Manual, &d.NotApplicable); err != nil {
			return err
		}
		if byTarget[target] == nil {
			byTarget[target] = make([]*Verdicts, days)
		}
		byTarget[target][max(0, day-first)] = d
		return nil
	})
	for _, list := range byTarget {
		var last Verdicts
		for i, d := range list {
			if d != nil {
				last = *d
			}
			if last == (Verdicts{}) {
				continue
			}
			o := &out[i]
			o.Targets++
			o.Pass, o.Fail, o.Manual, o.NotApplicable = o.Pass+last.Pass, o.Fail+last.Fail, o.Manual+last.Manual, o.NotApplicable+last.NotApplicable
		}
	}
	for i := range out {
		out[i].rate()
	}
	return out, err
}

// Look is the last look at a target at which a framework was judged, and by what.
type Look struct {
	TargetID  int64
	Target    string
	JudgedAt  store.Time
	StartedAt store.Time
	Rules     string // digest of the library
	Database  string // digest of the advisories
	Objects   int
	Verdicts
}

// Looks tells the looks at which a framework was judged, by name of the target.
func (b *Browser) Looks(ctx context.Context, v identity.Visible, framework string, targets []int64) ([]Look, error) {
	s, ok, err := b.wholes(ctx, v, targets)
	if err != nil || !ok {
		return nil, err
	}
	stmt := ofWhole(`SELECT j.target_id, t.name, j.at, coalesce(r.started_at, 0), coalesce(r.rules, ''), coalesce(r.database, ''), coalesce(r.stats, ''), j.pass, j.fail, j.manual, j.not_applicable
		FROM judged AS j JOIN targets AS t ON t.id = j.target_id LEFT JOIN runs AS r ON r.id = j.run_id WHERE t.removed_at = 0`, "j", s)
	stmt.add(" AND j.framework = ? ORDER BY t.name, t.id", framework)
	var out []Look
	return out, b.query(ctx, stmt, func(scan func(...any) error) error {
		var l Look
		var stats string
		err := scan(&l.TargetID, &l.Target, &l.JudgedAt, &l.StartedAt, &l.Rules, &l.Database, &stats, &l.Pass, &l.Fail, &l.Manual, &l.NotApplicable)
		l.Objects = objectsOf(stats)
		l.rate()
		out = append(out, l)
		return err
	})
}

func objectsOf(stats string) int {
	var s finding.Stats
	_ = json.Unmarshal([]byte(stats), &s) // of a run that broke off it is something else
	return s.Objects
}

// VerdictsOf reads all verdicts of a framework on one target that v sees whole, in its order.
func (b *Browser) VerdictsOf(ctx context.Context, v identity.Visible, framework string, target int64) ([]Clause, error) {
	s, ok, err := b.wholes(ctx, v, []int64{target})
	if err != nil || !ok {
		return nil, err
	}
	stmt := clausesOf(clauseColumns, s)
	stmt.add(" AND c.framework = ? ORDER BY c.ordinal, c.clause LIMIT ?", framework, 10*maxFramework)
	list, _, err := b.clauseRows(ctx, stmt)
	if err != nil {
		return nil, err
	}
	return list, b.settle(ctx, list)
}

// AllGaps lists what was not scanned in targets that v sees whole.
func (b *Browser) AllGaps(ctx context.Context, v identity.Visible, targets []int64, most int) ([]Gap, bool, error) {
	var out []Gap
	page := store.Page{Limit: store.MaxLimit}
	for {
		list, next, err := b.Gaps(ctx, v, GapFilter{Targets: targets}, page)
		out = append(out, list...)
		switch {
		case err != nil || next == "":
			return out, false, err
		case len(out) >= most:
			return out[:most], true, nil
		}
		page.After = next
	}
}
