package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones where the system has none

	"github.com/adhocore/gronx"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/assess"
	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/notify/message"
	"stockade.dev/stockade/internal/store"
)

// Forms lists the forms of scheduled reports.
var Forms = []string{"html", "csv", "json", "sarif"}

// Report is a saved selection of findings that is written by schedule, with what its owner may see then.
type Report struct {
	ID        int64         `json:"id,string"`
	Name      string        `json:"name"`
	OwnerID   int64         `json:"ownerId,string"`
	Owner     string        `json:"owner,omitempty" doc:"name of the user with whose rights it is written"`
	Filter    browse.Filter `json:"filter"`
	Framework string        `json:"framework,omitempty" doc:"a compliance framework instead of findings; of the filter only the targets count"`
	Form      string        `json:"form" enum:"html,csv,json,sarif"`
	Language  string        `json:"language" enum:"en,zh"`
	Cron      string        `json:"cron" doc:"minute hour day month weekday; empty only when asked"`
	Zone      string        `json:"zone"`
	Channels  []string      `json:"channels"`
	Keep      int           `json:"keep"`
	Enabled   bool          `json:"enabled"`
	CreatedAt store.Time    `json:"createdAt" format:"date-time"`
	UpdatedAt store.Time    `json:"updatedAt" format:"date-time"`
	NextAt    store.Time    `json:"nextAt,omitzero" format:"date-time"`
	Running   bool          `json:"running"`
	Last      *Result       `json:"last,omitempty" doc:"what was written last, when you may see it"`
}

// ReportInput is what people give of a report.
type ReportInput struct {
	Name      string        `json:"name" minLength:"1" maxLength:"100"`
	Filter    browse.Filter `json:"filter,omitempty"`
	Framework string        `json:"framework,omitempty" maxLength:"200" doc:"a compliance framework for an auditor instead of findings; of the filter only targets can be set. Forms: html, csv, json"`
	Form      string        `json:"form" enum:"html,csv,json,sarif"`
	Language  string        `json:"language,omitempty" enum:"en,zh"`
	Cron      string        `json:"cron,omitempty" maxLength:"100" doc:"minute hour day month weekday, or @daily, @weekly; absent: only when asked"`
	Zone      string        `json:"zone,omitempty" maxLength:"60" doc:"IANA time zone; default UTC"`
	Channels  []string      `json:"channels,omitempty" maxItems:"20" doc:"ids; mail carries the report, others a link"`
	Keep      int           `json:"keep,omitempty" minimum:"0" maximum:"50" doc:"results that are kept; default 10"`
	Enabled   *bool         `json:"enabled,omitempty" doc:"default true"`
}

// reportRow is a row of the table reports.
type reportRow struct {
	bun.BaseModel `bun:"table:reports,alias:r"`

	ID        int64      `bun:"id,pk,autoincrement"`
	Name      string     `bun:"name"`
	OwnerID   int64      `bun:"owner_id"`
	Filter    string     `bun:"filter"`
	Framework string     `bun:"framework"`
	Form      string     `bun:"form"`
	Language  string     `bun:"language"`
	Cron      string     `bun:"cron"`
	Zone      string     `bun:"zone"`
	Channels  string     `bun:"channels"`
	Keep      int        `bun:"keep"`
	Enabled   bool       `bun:"enabled"`
	CreatedAt store.Time `bun:"created_at"`
	UpdatedAt store.Time `bun:"updated_at"`
	NextAt    store.Time `bun:"next_at"`
	AskedAt   store.Time `bun:"asked_at"`
	StartedAt store.Time `bun:"started_at"`
}

func (r *reportRow) object() string { return fmt.Sprintf("report %d (%s)", r.ID, r.Name) }

func (r *reportRow) report() *Report {
	out := &Report{ID: r.ID, Name: r.Name, OwnerID: r.OwnerID, Framework: r.Framework, Form: r.Form, Language: r.Language, Cron: r.Cron, Zone: r.Zone,
		Channels: r.channels(), Keep: r.Keep, Enabled: r.Enabled, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, NextAt: r.NextAt,
		Running: !r.StartedAt.IsZero() || !r.AskedAt.IsZero()}
	_ = json.Unmarshal([]byte(r.Filter), &out.Filter) // written by us
	return out
}

func (r *reportRow) channels() []string {
	list := []string{}
	_ = json.Unmarshal([]byte(r.Channels), &list) // written by us
	return list
}

// Next is when a schedule is due after a moment. Schedules are those of cron with five fields, in a time zone.
func Next(cron, zone string, after time.Time) (time.Time, error) {
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return time.Time{}, fmt.Errorf("time zone %q is not known: want a name such as Europe/Berlin or UTC", message.Cut(message.Line(zone), 60))
	}
	cron = strings.Join(strings.Fields(cron), " ")
	if !strings.HasPrefix(cron, "@") && len(strings.Fields(cron)) != 5 || !gronx.IsValid(cron) || strings.EqualFold(cron, "@everysecond") {
		return time.Time{}, fmt.Errorf("schedule %q: want minute hour day month weekday, such as 0 6 * * 1", message.Cut(message.Line(cron), 60))
	}
	next, err := gronx.NextTickAfter(cron, after.In(loc), false)
	if err != nil || !next.After(after) {
		return time.Time{}, fmt.Errorf("schedule %q never comes", cron)
	}
	return next.UTC(), nil
}

// seesAll reports whether p may manage everybody's reports.
func seesAll(p *identity.Principal) bool {
	return p.Can(identity.ManageSchedules, 0, "") && p.Can(identity.Read, 0, "")
}

// mine reports whether p is its user with all that the user may see. A token for less does not reach the user's reports: they are
// written with what the user sees.
func (n *Notifier) mine(ctx context.Context, p *identity.Principal) (bool, error) {
	if p == nil || p.UserID == 0 {
		return false, nil
	}
	if p.Via != "token" {
		return true, nil
	}
	owner, err := n.o.Owners.Principal(ctx, p.UserID)
	if err != nil {
		return false, err
	}
	return same(owner.Visible(identity.Read), p.Visible(identity.Read)), nil
}

func same(a, b identity.Visible) bool {
	if a.All || b.All {
		return a.All == b.All
	}
	if !slices.Equal(a.Targets, b.Targets) || len(a.Namespaces) != len(b.Namespaces) {
		return false
	}
	for t, list := range a.Namespaces {
		x, y := slices.Sorted(slices.Values(list)), slices.Sorted(slices.Values(b.Namespaces[t]))
		if !slices.Equal(x, y) {
			return false
		}
	}
	return true
}

// reach adds to a query on reports that only those are selected that the principal of ctx may see.
func (n *Notifier) reach(ctx context.Context, q *bun.SelectQuery) (*bun.SelectQuery, error) {
	p := identity.From(ctx)
	if seesAll(p) {
		return q, nil
	}
	mine, err := n.mine(ctx, p)
	if err != nil {
		return nil, err
	}
	if !mine {
		return q.Where("1 = 0"), nil
	}
	return q.Where("r.owner_id = ?", p.UserID), nil
}

// Reports lists the reports of the principal of ctx, or all for who may see everything.
func (n *Notifier) Reports(ctx context.Context) ([]*Report, error) {
	var rows []*reportRow
	q, err := n.reach(ctx, n.db.R.NewSelect().Model(&rows))
	if err != nil {
		return nil, err
	}
	if err := q.OrderExpr("r.name, r.id").Limit(2 * maxReports).Scan(ctx); err != nil {
		return nil, err
	}
	return n.dressed(ctx, rows)
}

// Report gives one.
func (n *Notifier) Report(ctx context.Context, id int64) (*Report, error) {
	r, err := n.reportByID(ctx, n.db.R, id)
	if err != nil {
		return nil, err
	}
	list, err := n.dressed(ctx, []*reportRow{r})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// dressed gives reports with the names of their owners and what was written last.
func (n *Notifier) dressed(ctx context.Context, rows []*reportRow) ([]*Report, error) {
	out := make([]*Report, 0, len(rows))
	if len(rows) == 0 {
		return out, nil
	}
	var owners, reports []int64
	for _, r := range rows {
		owners, reports = append(owners, r.OwnerID), append(reports, r.ID)
	}
	var users []struct {
		ID   int64  `bun:"id"`
		Name string `bun:"name"`
	}
	if err := n.db.R.NewSelect().Table("users").Column("id", "name").Where("id IN (?)", bun.List(owners)).Scan(ctx, &users); err != nil {
		return nil, err
	}
	names, last := map[int64]string{}, map[int64]*Result{}
	for _, u := range users {
		names[u.ID] = u.Name
	}
	var results []*resultRow
	err := n.db.R.NewSelect().Model(&results).ExcludeColumn("body").
		Where("id IN (SELECT max(id) FROM report_results WHERE report_id IN (?) GROUP BY report_id)", bun.List(reports)).Scan(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		if ok, err := n.seesResult(ctx, r); err != nil {
			return nil, err
		} else if ok {
			last[r.ReportID] = r.result()
		}
	}
	for _, r := range rows {
		x := r.report()
		x.Owner, x.Last = names[r.OwnerID], last[r.ID]
		out = append(out, x)
	}
	return out, nil
}

func (n *Notifier) reportByID(ctx context.Context, db bun.IDB, id int64) (*reportRow, error) {
	r := &reportRow{}
	q, err := n.reach(ctx, db.NewSelect().Model(r).Where("r.id = ?", id))
	if err != nil {
		return nil, err
	}
	return r, store.NotFound(q.Scan(ctx))
}

// fillReport checks what people gave and puts it into a row. p is who the report is for.
func (n *Notifier) fillReport(ctx context.Context, db bun.IDB, r *reportRow, in *ReportInput, p *identity.Principal) error {
	in.Name = strings.TrimSpace(in.Name)
	if in.Name == "" || len(in.Name) > 100 || message.Line(in.Name) != in.Name {
		return invalid("a name of 1 to 100 characters on one line is wanted")
	}
	if in.Language == "" {
		in.Language = "en"
	}
	if in.Zone == "" {
		in.Zone = "UTC"
	}
	if in.Keep == 0 {
		in.Keep = 10
	}
	switch {
	case in.Language != "en" && in.Language != "zh":
		return invalid("language %q: want en or zh", in.Language)
	case !slices.Contains(Forms, in.Form):
		return invalid("form %q: want one of %s", in.Form, strings.Join(Forms, ", "))
	case in.Keep < 1 || in.Keep > 50:
		return invalid("keep: want 1 to 50")
	case len(in.Channels) > 20:
		return invalid("more than 20 channels")
	}
	if err := n.checkFramework(in); err != nil {
		return err
	}
	if err := n.checkFilter(ctx, in.Filter); err != nil {
		return err
	}
	allowed, err := n.usable(ctx, db, in.Channels, p)
	if err != nil {
		return err
	}
	for _, c := range in.Channels {
		if !slices.Contains(allowed, c) {
			return invalid("channel %q: there is no such channel that you may use", message.Cut(message.Line(c), 20))
		}
	}
	r.NextAt = store.Time{}
	enabled := in.Enabled == nil || *in.Enabled
	if in.Cron != "" {
		next, err := Next(in.Cron, in.Zone, n.now())
		if err != nil {
			return invalid("%w", err)
		}
		if enabled {
			r.NextAt = store.At(next)
		}
	} else if _, err := Next("@daily", in.Zone, n.now()); err != nil {
		return invalid("%w", err)
	}
	if in.Channels == nil {
		in.Channels = []string{}
	}
	r.Framework = in.Framework
	r.Name, r.Filter, r.Form, r.Language, r.Cron, r.Zone = in.Name, ledger.JSON(in.Filter), in.Form, in.Language, strings.Join(strings.Fields(in.Cron), " "), in.Zone
	r.Channels, r.Keep, r.Enabled, r.UpdatedAt = ledger.JSON(in.Channels), in.Keep, enabled, store.At(n.now())
	return nil
}

// checkFramework refuses a report on a framework that cannot be written.
func (n *Notifier) checkFramework(in *ReportInput) error {
	if in.Framework == "" {
		return nil
	}
	rest := in.Filter
	rest.Targets = nil
	switch {
	case !n.o.Assess.Has(in.Framework):
		return invalid("no framework is named %q", message.Cut(message.Line(in.Framework), 60))
	case !assess.Known(in.Form):
		return invalid("form %q: a report on a framework is one of %s", in.Form, strings.Join(assess.Forms, ", "))
	case ledger.JSON(rest) != ledger.JSON(browse.Filter{}):
		return invalid("filter: of a report on a framework only targets can be chosen")
	}
	return nil
}

// checkFilter asks for nothing with the filter: that tells whether it can be asked for.
func (n *Notifier) checkFilter(ctx context.Context, f browse.Filter) error {
	err := n.findings.Select(ctx, identity.Visible{}, f, "", func(*browse.Full) error { return nil })
	if errors.Is(err, browse.ErrFilter) {
		return invalid("filter: %w", err)
	}
	return err
}

// usable gives those of some channels that reports of p may use: all for who manages everything, else those that are shared.
func (n *Notifier) usable(ctx context.Context, db bun.IDB, list []string, p *identity.Principal) ([]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	want, err := ids(list)
	if err != nil {
		return nil, invalid("channels: %w", err)
	}
	var found []string
	q := db.NewSelect().Model((*channelRow)(nil)).ColumnExpr("CAST(id AS TEXT)").Where("id IN (?)", bun.List(want))
	if !p.Can(identity.ManageSchedules, 0, "") {
		q = q.Where("shared")
	}
	err = q.Scan(ctx, &found)
	return found, err
}

// AddReport makes a report of the principal of ctx.
func (n *Notifier) AddReport(ctx context.Context, in ReportInput) (*Report, error) {
	p := identity.From(ctx)
	mine, err := n.mine(ctx, p)
	if err != nil {
		return nil, err
	}
	if !mine {
		return nil, fmt.Errorf("%w: a report is written with what its owner may see: sign in, or use a token that is not for less", ErrForbidden)
	}
	r := &reportRow{OwnerID: p.UserID, CreatedAt: store.At(n.now())}
	err = n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		count, err := tx.NewSelect().Model((*reportRow)(nil)).Count(ctx)
		if err != nil {
			return err
		}
		if count >= maxReports {
			return invalid("there are %d reports already", count)
		}
		if err := n.fillReport(ctx, tx, r, &in, p); err != nil {
			return err
		}
		r.ID = 0
		if _, err := tx.NewInsert().Model(r).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "report.add", r.object(), 0, nil, r.report())
	})
	return r.report(), err
}

// ChangeReport changes a report; its owner stays.
func (n *Notifier) ChangeReport(ctx context.Context, id int64, in ReportInput) (*Report, error) {
	var out *Report
	err := n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r, err := n.reportByID(ctx, tx, id)
		if err != nil {
			return err
		}
		before := r.report()
		if err := n.fillReport(ctx, tx, r, &in, identity.From(ctx)); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model(r).ExcludeColumn("asked_at", "started_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		out = r.report()
		return audit.Record(ctx, tx, "report.change", r.object(), 0, before, out)
	})
	return out, err
}

// RemoveReport removes a report with its results.
func (n *Notifier) RemoveReport(ctx context.Context, id int64) error {
	return n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r, err := n.reportByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Table("report_results").Where("report_id = ?", id).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(r).WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "report.remove", r.object(), 0, r.report(), nil)
	})
}

// AskReport has a report written soon, whatever its schedule.
func (n *Notifier) AskReport(ctx context.Context, id int64) error {
	return n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r, err := n.reportByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model(r).Set("asked_at = ?", store.At(n.now())).WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "report.run", r.object(), 0, nil, nil)
	})
}
