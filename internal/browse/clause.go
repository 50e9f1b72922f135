package browse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Attestation is what a person found out by hand of a clause.
type Attestation = ledger.Attestation

// Bounds of what is told of a clause.
const (
	MaxCompared  = 200 // targets that are compared
	maxEvidence  = 50
	maxAttested  = 20
	maxFramework = 200
)

// ClauseInfo is what the framework says of a clause.
type ClauseInfo struct {
	Clause       string                `json:"clause"`
	Section      finding.Text          `json:"-"`
	Title        finding.Text          `json:"-"`
	Check        finding.Text          `json:"-"` // how a person does
	ControlPlane bool                  `json:"controlPlane,omitempty" doc:"does not apply where a provider runs the control plane"`
	Rules        []compliance.Deciding `json:"-"`
}

func infoOf(e *compliance.Entry) ClauseInfo {
	return ClauseInfo{Clause: e.ID, Section: e.Section, Title: e.Title, Check: e.Manual, ControlPlane: e.ControlPlane, Rules: e.Rules}
}

// Cell is the verdict on a clause in one target.
type Cell struct {
	TargetID int64   `json:"targetId,string"`
	Status   string  `json:"status" enum:"pass,fail,manual,not-applicable"`
	Outcome  Outcome `json:"outcome" enum:"pass,fail,fail-accepted,manual,not-applicable"`
	Standing
	Attested string `json:"attested,omitempty" enum:"pass,fail,not-applicable" doc:"what a person found out by hand and still holds"`
}

// Compared is a clause over targets. Its counts are of the targets of the cells.
type Compared struct {
	ClauseInfo
	Verdicts
	Standing
	FailAccepted int    `json:"failAccepted" doc:"targets in which it fails by accepted findings only; fail has them too"`
	Attested     int    `json:"attested" doc:"targets in which somebody looked by hand"`
	Cells        []Cell `json:"cells"`
}

// Column is a target of a comparison.
type Column struct {
	TargetID int64      `json:"targetId,string"`
	Target   string     `json:"target"`
	JudgedAt store.Time `json:"judgedAt" format:"date-time"`
}

// CompareFilter selects the clauses of a comparison.
type CompareFilter struct {
	Framework string
	Targets   []int64
	Outcomes  []Outcome // that some target has; nil is all
	Q         string    // part of the number, the title or the section, in any language
	NoCells   bool      // counts only
}

// Comparison is a page of clauses over the targets in which the framework was judged.
type Comparison struct {
	Columns []Column
	More    bool // there are more targets than are compared
	Items   []Compared
	Next    string
	Total   int
}

// Compare lists the clauses of a framework with their verdicts in each target.
func (b *Browser) Compare(ctx context.Context, v identity.Visible, f CompareFilter, page store.Page) (*Comparison, error) {
	fw := b.catalog.Framework(f.Framework)
	if fw == nil {
		return nil, fmt.Errorf("%w: no framework is named %q", store.ErrNotFound, f.Framework)
	}
	after := 0
	if page.After != "" {
		if err := store.ReadCursor(page.After, &after); err != nil {
			return nil, err
		}
	}
	out := &Comparison{Columns: []Column{}, Items: []Compared{}}
	s, ok, err := b.wholes(ctx, v, f.Targets)
	if err != nil || !ok {
		return out, err
	}
	if err := b.columns(ctx, out, s, f.Framework); err != nil || len(out.Columns) == 0 {
		return out, err
	}
	s = scope{}
	for _, c := range out.Columns {
		s.targets = append(s.targets, c.TargetID)
	}
	cells, err := b.cellsOfClauses(ctx, s, f)
	if err != nil {
		return nil, err
	}
	size := page.Size()
	for i := range fw.Clauses {
		e := b.catalog.Entry(fw.ID, fw.Clauses[i].ID)
		if !said(e, f.Q) {
			continue
		}
		c := compared(e, out.Columns, cells[e.ID])
		if len(f.Outcomes) > 0 && !slices.ContainsFunc(c.Cells, func(x Cell) bool { return slices.Contains(f.Outcomes, x.Outcome) }) {
			continue
		}
		out.Total++
		switch {
		case e.Place <= after:
		case len(out.Items) < size:
			if f.NoCells {
				c.Cells = []Cell{}
			}
			out.Items = append(out.Items, c)
		case out.Next == "":
			out.Next = store.Cursor(b.catalog.Entry(fw.ID, out.Items[size-1].Clause).Place)
		}
	}
	return out, nil
}

// said reports whether a clause has every word.
func said(e *compliance.Entry, q string) bool {
	all := strings.ToLower(strings.Join([]string{e.ID, e.Title.EN, e.Title.ZH, e.Section.EN, e.Section.ZH}, "\n"))
	for _, w := range strings.Fields(strings.ToLower(q)) {
		if !strings.Contains(all, w) {
			return false
		}
	}
	return true
}

func compared(e *compliance.Entry, columns []Column, cells map[int64]Cell) Compared {
	c := Compared{ClauseInfo: infoOf(e), Cells: []Cell{}}
	for _, col := range columns {
		cell, ok := cells[col.TargetID]
		if !ok { // it was judged before the framework had the clause
			continue
		}
		c.Cells = append(c.Cells, cell)
		c.Verdicts.add(cell.Status)
		c.Standing.add(cell.Standing)
		if cell.Outcome == FailAccepted {
			c.FailAccepted++
		}
		if cell.Attested != "" {
			c.Attested++
		}
	}
	c.rate()
	return c
}

// columns fills in the targets in which a framework was judged.
func (b *Browser) columns(ctx context.Context, out *Comparison, s scope, framework string) error {
	stmt := ofWhole("SELECT j.target_id, t.name, j.at FROM judged AS j JOIN targets AS t ON t.id = j.target_id WHERE t.removed_at = 0", "j", s)
	stmt.add(" AND j.framework = ? ORDER BY t.name, t.id LIMIT ?", framework, MaxCompared+1)
	err := b.query(ctx, stmt, func(scan func(...any) error) error {
		var c Column
		err := scan(&c.TargetID, &c.Target, &c.JudgedAt)
		out.Columns = append(out.Columns, c)
		return err
	})
	if len(out.Columns) > MaxCompared {
		out.Columns, out.More = out.Columns[:MaxCompared], true
	}
	return err
}

// cellsOfClauses reads the verdicts of a framework on targets, by clause and target.
func (b *Browser) cellsOfClauses(ctx context.Context, s scope, f CompareFilter) (map[string]map[int64]Cell, error) {
	m, err := b.standing(ctx, s, b.catalog.Rules())
	if err != nil {
		return nil, err
	}
	attested, err := b.current(ctx, s, f.Framework)
	if err != nil {
		return nil, err
	}
	stmt := text("SELECT target_id, clause, status FROM clauses WHERE framework = ? AND target_id IN (?)", f.Framework, bun.List(s.targets))
	out := map[string]map[int64]Cell{}
	return out, b.query(ctx, stmt, func(scan func(...any) error) error {
		var c Cell
		var clause string
		if err := scan(&c.TargetID, &clause, &c.Status); err != nil {
			return err
		}
		c.Standing = m.of(c.TargetID, b.catalog.Entry(f.Framework, clause))
		c.Outcome = outcome(c.Status, c.Standing)
		if a := attested[ofTarget{c.TargetID, clause}]; a != nil && c.Status == string(finding.Manual) {
			c.Attested = a.Verdict
		}
		if out[clause] == nil {
			out[clause] = map[int64]Cell{}
		}
		out[clause][c.TargetID] = c
		return nil
	})
}

// current reads the attestations that hold now, by target and clause.
func (b *Browser) current(ctx context.Context, s scope, framework string) (map[ofTarget]*Attestation, error) {
	var list []*Attestation
	err := b.db.R.NewSelect().Model(&list).Where("framework = ? AND target_id IN (?) AND ended_at = 0 AND expires_at > ?", framework, bun.List(s.targets), b.now().UnixMilli()).Scan(ctx)
	out := map[ofTarget]*Attestation{}
	for _, a := range list {
		out[ofTarget{a.TargetID, a.Clause}] = a
	}
	return out, err
}

// ClauseStory is everything that is known of a clause.
type ClauseStory struct {
	ClauseInfo
	Verdicts     []ClauseVerdict
	More         bool          // there are more targets
	Evidence     []*Full       // the worst findings of its rules, active ones first, then accepted ones
	Total        Standing      // of all verdicts
	Attestations []Attestation // latest first, also those that do not hold any more
}

// ClauseVerdict is the verdict in one target.
type ClauseVerdict struct {
	Clause
	JudgedAt store.Time `json:"judgedAt" format:"date-time"`
	Objects  int        `json:"objects" doc:"that the look read in the whole target"`
}

// Clause tells everything of one clause.
func (b *Browser) Clause(ctx context.Context, v identity.Visible, framework, clause string, targets []int64) (*ClauseStory, error) {
	e := b.catalog.Entry(framework, clause)
	if e == nil {
		return nil, fmt.Errorf("%w: no such clause", store.ErrNotFound)
	}
	out := &ClauseStory{ClauseInfo: infoOf(e), Verdicts: []ClauseVerdict{}}
	s, ok, err := b.wholes(ctx, v, targets)
	if err != nil || !ok {
		return out, err
	}
	stmt := clausesOf(clauseColumns, s)
	stmt.add(" AND c.framework = ? AND c.clause = ? ORDER BY t.name, t.id LIMIT ?", framework, clause, MaxCompared+1)
	list, _, err := b.clauseRows(ctx, stmt)
	if err != nil || len(list) == 0 {
		return out, err
	}
	if len(list) > MaxCompared {
		list, out.More = list[:MaxCompared], true
	}
	if err := b.settle(ctx, list); err != nil {
		return nil, err
	}
	s = scope{}
	for _, c := range list {
		s.targets = append(s.targets, c.TargetID)
		out.Total.add(c.Standing)
		out.Verdicts = append(out.Verdicts, ClauseVerdict{Clause: c})
	}
	if err := b.looks(ctx, framework, s, out.Verdicts); err != nil {
		return nil, err
	}
	slices.Sort(s.targets)
	if out.Evidence, err = b.Evidence(ctx, v, framework, clause, s.targets, maxEvidence); err != nil {
		return nil, err
	}
	return out, b.db.R.NewSelect().Model(&out.Attestations).Where("framework = ? AND clause = ? AND target_id IN (?)", framework, clause, bun.List(s.targets)).
		OrderExpr("id DESC").Limit(maxAttested).Scan(ctx)
}

// looks fills in when the verdicts were reached and how much was read for them.
func (b *Browser) looks(ctx context.Context, framework string, s scope, list []ClauseVerdict) error {
	stmt := text("SELECT j.target_id, j.at, coalesce(r.stats, '') FROM judged AS j LEFT JOIN runs AS r ON r.id = j.run_id WHERE j.framework = ? AND j.target_id IN (?)", framework, bun.List(s.targets))
	return b.query(ctx, stmt, func(scan func(...any) error) error {
		var target int64
		var at store.Time
		var stats string
		if err := scan(&target, &at, &stats); err != nil {
			return err
		}
		for i := range list {
			if list[i].TargetID == target {
				list[i].JudgedAt, list[i].Objects = at, objectsOf(stats)
			}
		}
		return nil
	})
}

var errEnough = errors.New("enough")

// Evidence lists the worst findings of the rules of a clause: the active ones, then those that are accepted or set aside.
func (b *Browser) Evidence(ctx context.Context, v identity.Visible, framework, clause string, targets []int64, most int) ([]*Full, error) {
	var out []*Full
	for _, statuses := range [][]ledger.Status{ledger.Active, {ledger.StatusIgnored, ledger.StatusAccepted, ledger.StatusMarkedFixed}} {
		f := Filter{Targets: targets, Framework: framework, Clause: clause, Statuses: statuses}
		err := b.Select(ctx, v, f, DefaultSort, func(full *Full) error {
			if len(out) >= most {
				return errEnough
			}
			out = append(out, full)
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return nil, err
		}
	}
	return out, nil
}
