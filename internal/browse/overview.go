package browse

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Overview is what a person should know first of what they see.
type Overview struct {
	Active     int
	Kinds      map[ledger.Kind]map[ledger.Severity]int // active findings
	Severities map[ledger.Severity]int
	Statuses   map[ledger.Status]int
	KEV        int // active findings of vulnerabilities that are known to be exploited
	Coverage   Coverage
	Risks      []Risk  // worst first
	Assets     []Asset // clusters and workloads: worst first
	Workloads  []Risky
	Images     []Asset
	Trend      []Day // nil for who sees only namespaces
	Exceptions Exceptions
	Score      Score
	Steps      []Step // that raise the score most
	Recent     Recent
	Emergency  []Risk
	Frameworks []FrameworkSum
	Advisories Advisories
}

// FrameworkSum is a compliance framework over all clusters of an overview.
type FrameworkSum struct {
	Framework string `json:"framework"`
	Targets   int    `json:"targets" doc:"clusters that were judged"`
	Verdicts
}

// Advisories says how old the vulnerability data is that scans go by.
type Advisories struct {
	BuiltAt string `json:"builtAt,omitempty" doc:"RFC 3339; absent when there is none"`
	Digest  string `json:"digest,omitempty"`
}

// Coverage says how much was looked at, and how long ago.
type Coverage struct {
	Targets int            `json:"targets" doc:"clusters and projects"`
	Never   int            `json:"never" doc:"never looked at as a whole"`
	Old     int            `json:"old" doc:"not looked at for more than a week"`
	Stale   int            `json:"staleClusters" doc:"clusters among both: the list of clusters with stale"`
	Oldest  store.Time     `json:"oldest" format:"date-time" doc:"the earliest of the last looks"`
	Gaps    map[string]int `json:"gaps" doc:"what was not scanned, by code"`
}

// Day is the counts of one day. They are those of its end, or of now.
type Day struct {
	Day      string `json:"day" format:"date"`
	Critical int    `json:"critical"`
	High     int    `json:"high"`
	Medium   int    `json:"medium"`
	Low      int    `json:"low"`
	Info     int    `json:"info"`
	Opened   int    `json:"opened"`
	Closed   int    `json:"closed"`
}

// Exceptions counts accepted findings and the exceptions that end soon.
type Exceptions struct {
	Accepted int `json:"accepted" doc:"findings that are accepted"`
	Ending   int `json:"ending" doc:"exceptions that expire within 14 days"`
	Pending  int `json:"pending" doc:"exceptions that wait for a decision"`
}

// Limits of an overview.
const (
	topRisks  = 10
	topAssets = 5
	soon      = 14 * 24 * time.Hour
	maxDays   = 366
)

// Old is how long after a look at it a target counts as not looked at.
const Old = 7 * 24 * time.Hour

// OverviewFilter says of what an overview is: all when empty.
type OverviewFilter struct {
	Targets    []int64
	Namespaces []string // of the targets
	Days       int      // of the trend; 0 is 30
	Brief      bool     // only counts, coverage and the value of the score
}

// Overview counts what v sees of the filter.
func (b *Browser) Overview(ctx context.Context, v identity.Visible, f OverviewFilter) (*Overview, error) {
	out := &Overview{Kinds: map[ledger.Kind]map[ledger.Severity]int{}, Severities: map[ledger.Severity]int{}, Statuses: map[ledger.Status]int{}}
	if len(f.Namespaces) > 0 && len(f.Targets) == 0 { // of all clusters
		all, err := b.targetsOf(ctx, nil)
		if err != nil {
			return nil, err
		}
		for id, t := range all {
			if t.Kind == "cluster" && v.Sees(id) {
				f.Targets = append(f.Targets, id)
			}
		}
	}
	v = narrow(v, f)
	s, err := b.scope(ctx, v, f.Targets)
	if err != nil || s.nothing() {
		return out, err
	}
	m, err := b.cellsOf(ctx, s)
	if err != nil {
		return nil, err
	}
	out.count(m)
	if out.KEV, err = b.exploited(ctx, s); err != nil {
		return nil, err
	}
	if out.Coverage, err = b.coverage(ctx, s); err != nil {
		return nil, err
	}
	out.Score = standingOf(out).score()
	if f.Brief {
		return out, nil
	}
	return out, errors.Join(b.tops(ctx, v, f, out), b.changes(ctx, s, f, out))
}

// tops fills in the worst of everything.
func (b *Browser) tops(ctx context.Context, v identity.Visible, f OverviewFilter, out *Overview) (err error) {
	if out.Risks, _, _, err = b.Risks(ctx, v, RiskFilter{Targets: f.Targets}, "severity", store.Page{Limit: topRisks}); err != nil {
		return err
	}
	var workloads []Asset
	for kind, list := range map[ledger.AssetKind]*[]Asset{ledger.AssetCluster: &out.Assets, ledger.AssetWorkload: &workloads, ledger.AssetImage: &out.Images} {
		if *list, err = b.worst(ctx, v, f, kind); err != nil {
			return err
		}
	}
	if out.Workloads, err = b.risky(ctx, workloads); err != nil {
		return err
	}
	if out.Kinds[ledger.Emergency] != nil {
		if out.Emergency, err = b.emergencies(ctx, v, f.Targets); err != nil {
			return err
		}
	}
	out.Frameworks, err = b.frameworkSums(ctx, v, f.Targets)
	return err
}

// changes fills in what changed, what is about to, and what would help.
func (b *Browser) changes(ctx context.Context, s scope, f OverviewFilter, out *Overview) (err error) {
	if s.whole() {
		if out.Trend, err = b.trend(ctx, s, f.Days); err != nil {
			return err
		}
	}
	if out.Recent, err = b.recent(ctx, s); err != nil {
		return err
	}
	if out.Exceptions, err = b.exceptions(ctx, s); err != nil {
		return err
	}
	out.Exceptions.Accepted = out.Statuses[ledger.StatusAccepted]
	if out.Steps, err = b.steps(ctx, s, out); err != nil {
		return err
	}
	data, err := column[string](ctx, b, text("SELECT value FROM settings WHERE name = 'task.database'"))
	if len(data) > 0 {
		out.Advisories.BuiltAt, out.Advisories.Digest, _ = strings.Cut(data[0], " ")
	}
	return err
}

// frameworkSums adds the verdicts of frameworks up over the targets that are seen as a whole.
func (b *Browser) frameworkSums(ctx context.Context, v identity.Visible, targets []int64) ([]FrameworkSum, error) {
	s, ok, err := b.wholes(ctx, v, targets)
	if err != nil || !ok {
		return nil, err
	}
	stmt := ofWhole("SELECT j.framework, count(*), sum(j.pass), sum(j.fail), sum(j.manual), sum(j.not_applicable) FROM judged AS j JOIN targets AS t ON t.id = j.target_id WHERE t.removed_at = 0", "j", s)
	stmt.add(" GROUP BY j.framework ORDER BY j.framework")
	var out []FrameworkSum
	err = b.query(ctx, stmt, func(scan func(...any) error) error {
		var f FrameworkSum
		err := scan(&f.Framework, &f.Targets, &f.Pass, &f.Fail, &f.Manual, &f.NotApplicable)
		f.rate()
		out = append(out, f)
		return err
	})
	return out, err
}

// narrow cuts what is visible to the namespaces that are asked for.
func narrow(v identity.Visible, f OverviewFilter) identity.Visible {
	if len(f.Namespaces) == 0 {
		return v
	}
	out := identity.Visible{Namespaces: map[int64][]string{}}
	for _, t := range f.Targets {
		for _, n := range f.Namespaces {
			if v.Whole(t) || has(v.Namespaces[t], n) && len(v.Namespaces[t]) > 0 {
				out.Namespaces[t] = append(out.Namespaces[t], n)
			}
		}
	}
	return out
}

func (o *Overview) count(m matrix) {
	for _, c := range m {
		if c.n <= 0 {
			continue
		}
		o.Statuses[c.status] += c.n
		if !c.status.Active() {
			continue
		}
		o.Active += c.n
		if o.Kinds[c.kind] == nil {
			o.Kinds[c.kind] = map[ledger.Severity]int{}
		}
		o.Kinds[c.kind][c.severity] += c.n
		o.Severities[c.severity] += c.n
	}
}

// cellsOf counts by kind, severity and status: from the counters for whole targets, from the findings for parts of others.
func (b *Browser) cellsOf(ctx context.Context, s scope) (matrix, error) {
	if s.whole() {
		return b.matrix(ctx, s, nil)
	}
	stmt := text("SELECT kind, severity, status, count(*) FROM (")
	for i, p := range s.ranges() {
		if i > 0 {
			stmt.add(" UNION ")
		}
		stmt.add("SELECT f.id, f.kind, f.severity, f.status FROM findings AS f WHERE ")
		stmt.append(p)
	}
	stmt.add(") AS c GROUP BY kind, severity, status")
	return b.cells(ctx, stmt)
}

// ranges are conditions that together hold all findings of a scope that is not everything, each with an index.
func (s scope) ranges() []sqlText {
	var out []sqlText
	if len(s.targets) > 0 {
		out = append(out, text("f.target_id IN (?)", bun.List(s.targets)))
	}
	for _, p := range s.parts {
		out = append(out, text("f.target_id = ? AND f.namespace IN (?)", p.target, bun.List(p.namespaces)))
		if len(p.images) > 0 {
			out = append(out, text("f.asset_id IN (?)", bun.List(p.images)))
		}
	}
	return out
}

// exploited counts active findings of known exploited vulnerabilities.
func (b *Browser) exploited(ctx context.Context, s scope) (int, error) {
	stmt := text("SELECT coalesce(sum(active), 0) FROM ")
	stmt.append(riskFrom(s))
	stmt.add(" AND risk_id IN (SELECT id FROM risks WHERE kev)")
	n, err := column[int](ctx, b, stmt)
	if err != nil {
		return 0, err
	}
	return n[0], nil
}

func (b *Browser) coverage(ctx context.Context, s scope) (Coverage, error) {
	c := Coverage{Gaps: map[string]int{}}
	targets, err := b.targetsOf(ctx, s.ids())
	if err != nil {
		return c, err
	}
	now := b.now()
	for _, t := range targets {
		c.Targets++
		c.look(t, now)
	}
	if !s.all && len(s.targets) == 0 {
		return c, nil
	}
	stmt := text("SELECT code, count(*) FROM gaps WHERE ")
	if s.all {
		stmt.add("target_id NOT IN (SELECT id FROM targets WHERE removed_at <> 0)")
	} else {
		stmt.add("target_id IN (?)", bun.List(s.targets))
	}
	stmt.add(" GROUP BY code")
	return c, b.query(ctx, stmt, func(scan func(...any) error) error {
		var code string
		var n int
		err := scan(&code, &n)
		c.Gaps[code] = n
		return err
	})
}

// look counts how long ago a target was looked at.
func (c *Coverage) look(t ledger.Target, now time.Time) {
	if t.Kind == "cluster" && now.Sub(t.LookedAt.Time) > Old {
		c.Stale++
	}
	switch {
	case t.LookedAt.IsZero():
		c.Never++
		return
	case now.Sub(t.LookedAt.Time) > Old:
		c.Old++
	}
	if c.Oldest.IsZero() || t.LookedAt.Before(c.Oldest.Time) {
		c.Oldest = t.LookedAt
	}
}

func (b *Browser) worst(ctx context.Context, v identity.Visible, f OverviewFilter, kind ledger.AssetKind) ([]Asset, error) {
	list, _, _, err := b.Assets(ctx, v, AssetFilter{Kind: kind, Targets: f.Targets, Risky: true}, "score", store.Page{Limit: topAssets})
	return list, err
}

// dayCell is what days are counted by.
type dayCell struct {
	target   int64
	kind     ledger.Kind
	severity ledger.Severity
}

// trend reads the counts of the last days. A day on which a count did not change has no row for it: the one before holds.
func (b *Browser) trend(ctx context.Context, s scope, days int) ([]Day, error) {
	if days <= 0 {
		days = 30
	}
	days = min(days, maxDays)
	today := int(b.now().UTC().Unix() / 86400)
	first := today - days + 1
	targets := s.targets
	if s.all {
		targets = []int64{0}
	}
	out := make([]Day, days)
	for i := range out {
		out[i].Day = time.Unix(int64(first+i)*86400, 0).UTC().Format(time.DateOnly)
	}
	rows := map[dayCell][]int{} // active by day, -1 where it did not change
	cellOf := func(c dayCell) []int {
		if rows[c] == nil {
			rows[c] = make([]int, days+1) // the first is of the time before
			for i := range rows[c] {
				rows[c][i] = -1
			}
		}
		return rows[c]
	}
	before := text(`SELECT c.target_id, c.kind, c.severity, coalesce((SELECT d.active FROM days AS d WHERE d.target_id = c.target_id AND d.kind = c.kind
		AND d.severity = c.severity AND d.day < ? ORDER BY d.day DESC LIMIT 1), 0)
		FROM (SELECT DISTINCT target_id, kind, severity FROM counts WHERE target_id IN (?) AND namespace = '*') AS c`, first, bun.List(targets))
	err := b.query(ctx, before, func(scan func(...any) error) error {
		var c dayCell
		var n int
		err := scan(&c.target, &c.kind, &c.severity, &n)
		cellOf(c)[0] = n
		return err
	})
	if err != nil {
		return nil, err
	}
	err = b.query(ctx, text("SELECT target_id, kind, severity, day, active, opened, closed FROM days WHERE target_id IN (?) AND day >= ? AND day <= ?",
		bun.List(targets), first, today), func(scan func(...any) error) error {
		var c dayCell
		var day, active, opened, closed int
		if err := scan(&c.target, &c.kind, &c.severity, &day, &active, &opened, &closed); err != nil {
			return err
		}
		cellOf(c)[day-first+1] = active
		out[day-first].Opened += opened
		out[day-first].Closed += closed
		return nil
	})
	for c, list := range rows {
		n := max(0, list[0])
		for i := range out {
			if list[i+1] >= 0 {
				n = list[i+1]
			}
			*[]*int{&out[i].Info, &out[i].Low, &out[i].Medium, &out[i].High, &out[i].Critical}[min(max(c.severity, 0), 4)] += n
		}
	}
	return out, err
}

// exceptions counts those that end soon and those that wait, among the ones that hold for what is in the scope.
func (b *Browser) exceptions(ctx context.Context, s scope) (Exceptions, error) {
	var e Exceptions
	now := b.now()
	stmt := text("SELECT status, count(*) FROM exceptions WHERE (status = 'pending' OR status = 'approved' AND expires_at > ? AND expires_at <= ?)",
		now.UnixMilli(), now.Add(soon).UnixMilli())
	if !s.all {
		stmt.add(" AND (target_id IN (?)", bun.List(s.targets))
		for _, p := range s.parts {
			stmt.add(" OR target_id = ? AND namespace IN (?)", p.target, bun.List(p.namespaces))
		}
		stmt.add(")")
	}
	stmt.add(" GROUP BY status")
	return e, b.query(ctx, stmt, func(scan func(...any) error) error {
		var status string
		var n int
		if err := scan(&status, &n); err != nil {
			return err
		}
		if status == "pending" {
			e.Pending = n
		} else {
			e.Ending = n
		}
		return nil
	})
}
