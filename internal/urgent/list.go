package urgent

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Counts are how many subjects of a kind have which verdict on an emergency.
type Counts struct {
	Exposed     int `json:"exposed"`
	Unknown     int `json:"unknown" doc:"affected by version; a precondition could not be looked at"`
	VersionOnly int `json:"versionOnly" doc:"affected by version; a precondition is missing"`
	Backported  int `json:"fixedByBackport"`
	Fixed       int `json:"fixed" doc:"by version"`
	NotPresent  int `json:"notPresent"`
	Looked      int `json:"looked" doc:"looked at: the sum of those before"`
	NotLooked   int `json:"notLooked" doc:"there, and not looked at: see not-looked for why"`
}

func (c *Counts) of(verdict int) *int {
	return []*int{&c.NotPresent, &c.Fixed, &c.Backported, &c.VersionOnly, &c.Unknown, &c.Exposed}[min(max(verdict, 0), 5)]
}

// Line is an emergency with what is known of it.
type Line struct {
	*emergency.Emergency
	Counts map[Kind]*Counts // of the kinds that it concerns
	Last   LastScan         // the last scan of a cluster that ended
}

// within leaves out the rows whose target v does not see as a whole, and those of other targets than were asked for.
func within(q *bun.SelectQuery, column string, v identity.Visible, targets []int64) *bun.SelectQuery {
	q = q.Where(column + " IN (SELECT id FROM targets WHERE removed_at = 0 AND kind = 'cluster')")
	if !v.All {
		if len(v.Targets) == 0 {
			return q.Where("1 = 0")
		}
		q = q.Where(column+" IN (?)", bun.List(v.Targets))
	}
	if len(targets) > 0 {
		q = q.Where(column+" IN (?)", bun.List(targets))
	}
	return q
}

// tally is a number of subjects of a kind that were looked at for a set; set 0: never.
type tally struct {
	Kind  Kind
	SetID int64
	N     int
}

// Lines are all emergencies, with how it stands with each among what v sees.
func (s *Service) Lines(ctx context.Context, v identity.Visible, targets []int64) ([]Line, error) {
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	return s.lines(ctx, list.All, v, targets)
}

// Line is one emergency; store.ErrNotFound.
func (s *Service) Line(ctx context.Context, id string, v identity.Visible, targets []int64) (*Line, error) {
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	e := list.Find(id)
	if e == nil {
		return nil, store.ErrNotFound
	}
	lines, err := s.lines(ctx, []*emergency.Emergency{e}, v, targets)
	if err != nil {
		return nil, err
	}
	return &lines[0], nil
}

func (s *Service) lines(ctx context.Context, list []*emergency.Emergency, v identity.Visible, targets []int64) ([]Line, error) {
	out := make([]Line, len(list))
	at := map[string]int{}
	for i, e := range list {
		at[e.ID] = i
		out[i] = Line{Emergency: e, Counts: map[Kind]*Counts{}}
		for k, word := range Kinds {
			if slices.Contains(e.Where, word) {
				out[i].Counts[k] = &Counts{}
			}
		}
	}
	sets, err := s.sets(ctx, s.db.R, nil)
	if err != nil {
		return nil, err
	}
	looked, there, err := s.tallies(ctx, v, targets)
	if err != nil {
		return nil, err
	}
	for i := range out {
		for kind, c := range out[i].Counts {
			for _, t := range looked {
				if t.Kind == kind && slices.Contains(sets[t.SetID], out[i].ID) {
					c.Looked += t.N
				}
			}
			c.NotPresent = c.Looked
			for _, t := range there {
				if t.Kind == kind && !slices.Contains(sets[t.SetID], out[i].ID) {
					c.NotLooked += t.N
				}
			}
		}
	}
	var counts []struct {
		Kind      Kind
		Emergency string
		Verdict   int
		N         int
	}
	q := s.db.R.NewSelect().Table("emergency_counts").ColumnExpr("kind, emergency, verdict, sum(n) AS n").Where("verdict > 0 AND n <> 0").GroupExpr("kind, emergency, verdict")
	if len(list) == 1 {
		q = q.Where("emergency = ?", list[0].ID)
	}
	if err := within(q, "target_id", v, targets).Scan(ctx, &counts); err != nil {
		return nil, err
	}
	for _, n := range counts {
		if i, ok := at[n.Emergency]; ok && out[i].Counts[n.Kind] != nil {
			*out[i].Counts[n.Kind].of(n.Verdict) += n.N
			out[i].Counts[n.Kind].NotPresent -= n.N
		}
	}
	var last []LastScan
	if err := within(s.db.R.NewSelect().Table("emergency_scans").Column("at", "task_id"), "target_id", v, targets).Order("at DESC").Limit(1).Scan(ctx, &last); err != nil {
		return nil, err
	}
	for i := range out {
		if len(last) > 0 {
			out[i].Last = last[0]
		}
	}
	return out, nil
}

// tallies count what was looked at, and what is there, by the sets that it was looked at for.
func (s *Service) tallies(ctx context.Context, v identity.Visible, targets []int64) (looked, there []tally, err error) {
	q := s.db.R.NewSelect().Table("emergency_subjects").ColumnExpr("kind, set_id, count(*) AS n").GroupExpr("kind, set_id")
	if err := within(q, "target_id", v, targets).Scan(ctx, &looked); err != nil {
		return nil, nil, err
	}
	for _, kind := range []Kind{Node, Image, Cluster} {
		var part []tally
		q := s.there(kind).ColumnExpr("? AS kind, coalesce(s.set_id, 0) AS set_id, count(*) AS n", int(kind)).GroupExpr("coalesce(s.set_id, 0)")
		column := "x.target_id"
		if kind == Cluster {
			column = "x.id"
		}
		if err := within(q, column, v, targets).Scan(ctx, &part); err != nil {
			return nil, nil, err
		}
		there = append(there, part...)
	}
	return looked, there, nil
}

// there is a query of all x that are there of a kind, with what was looked at as s.
func (s *Service) there(kind Kind) *bun.SelectQuery {
	q := s.db.R.NewSelect()
	switch kind {
	case Node:
		return q.TableExpr("nodes AS x").Join("LEFT JOIN emergency_subjects AS s ON s.target_id = x.target_id AND s.kind = 1 AND s.name = x.name")
	case Image:
		return q.TableExpr("assets AS x").Join("LEFT JOIN emergency_subjects AS s ON s.target_id = x.target_id AND s.kind = 2 AND s.name = x.digest").
			Where("x.kind = ? AND x.gone_at = 0", int(ledger.AssetImage))
	}
	return q.TableExpr("targets AS x").Join("LEFT JOIN emergency_subjects AS s ON s.target_id = x.id AND s.kind = 3")
}
