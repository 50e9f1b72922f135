package admission

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// Summary is how many events there are, by what and when.
type Summary struct {
	Total      int64
	ByKind     map[string]int64
	ByState    map[string]int64
	ByAction   map[string]int64
	Namespaces []Count
	Policies   []Count
	Rules      []Count
	Clusters   []Count
	Unchecked  map[string]int64
	Day        []Hour
	Logs       []LogOfACluster
}

// Count is how many events and requests something has.
type Count struct {
	ID     string
	Name   string
	Title  finding.Text
	Events int64
	Hits   int64
}

// LogOfACluster is how much of a cluster's admissions is kept.
type LogOfACluster struct {
	Target  int64      `bun:"target_id" json:"targetId,string"`
	Cluster string     `bun:"cluster" json:"cluster"`
	Entries int64      `bun:"entries" json:"requests"`
	Bytes   int64      `bun:"bytes" json:"bytes"`
	Since   store.Time `bun:"trimmed_at" json:"trimmed,omitzero" format:"date-time" doc:"what is older was deleted"`
	Last    store.Time `bun:"batch_at" json:"last,omitzero" format:"date-time" doc:"when requests last arrived"`
}

// Limits of a summary.
const (
	mostPlaces = 50
	mostRules  = 20
)

// Summary counts events by the counters, whatever there are.
func (s *Service) Summary(ctx context.Context, v identity.Visible, f Filter) (*Summary, error) {
	out := &Summary{ByKind: map[string]int64{}, ByState: map[string]int64{}, ByAction: map[string]int64{}, Unchecked: map[string]int64{}}
	for _, k := range Kinds {
		out.ByKind[k.String()] = 0
	}
	for _, st := range States {
		out.ByState[st.String()] = 0
	}
	for _, a := range actions[1:] {
		out.ByAction[string(a)] = 0
	}
	for _, c := range CheckedStates {
		out.Unchecked[c.String()] = 0
	}
	w, err := f.cells(v)
	if err != nil {
		return nil, err
	}
	if !w.none {
		if err := s.summarize(ctx, out, w); err != nil {
			return nil, err
		}
	}
	return out, s.day(ctx, out, v, f)
}

func (s *Service) summarize(ctx context.Context, out *Summary, w where) error {
	var rows []struct {
		Kind   Kind  `bun:"kind"`
		State  State `bun:"state"`
		Action int8  `bun:"action"`
		N      int64 `bun:"n"`
	}
	if err := s.db.R.NewRaw("SELECT kind, state, action, sum(events) AS n FROM admission_cells WHERE "+w.text()+" GROUP BY kind, state, action", w.args...).Scan(ctx, &rows); err != nil {
		return err
	}
	for _, r := range rows {
		out.Total += r.N
		out.ByKind[r.Kind.String()] += r.N
		out.ByState[r.State.String()] += r.N
		out.ByAction[string(actionOf(r.Action))] += r.N
	}
	var err error
	by := func(column, order string, most int) (list []Count) {
		if err != nil {
			return nil
		}
		var rows []struct {
			ID     string `bun:"id"`
			Events int64  `bun:"events"`
			Hits   int64  `bun:"hits"`
		}
		err = s.db.R.NewRaw("SELECT CAST("+column+" AS TEXT) AS id, sum(events) AS events, sum(hits) AS hits FROM admission_cells WHERE "+w.text()+" GROUP BY "+column+
			" HAVING sum(events) > 0 ORDER BY "+order+" DESC, 1 LIMIT "+strconv.Itoa(most), w.args...).Scan(ctx, &rows)
		for _, r := range rows {
			list = append(list, Count{ID: r.ID, Name: r.ID, Events: r.Events, Hits: r.Hits})
		}
		return list
	}
	out.Namespaces = by("namespace", "sum(events)", mostPlaces)
	out.Policies = by("policy_id", "sum(events)", mostPlaces)
	out.Rules = by("rule", "sum(hits)", mostRules)
	out.Clusters = by("target_id", "sum(events)", mostPlaces)
	if err != nil {
		return err
	}
	return s.names(ctx, out)
}

// names fills in what people call things.
func (s *Service) names(ctx context.Context, out *Summary) error {
	for i := range out.Clusters {
		id, _ := strconv.ParseInt(out.Clusters[i].ID, 10, 64)
		err := s.db.R.NewSelect().Table("targets").Column("name").Where("id = ?", id).Scan(ctx, &out.Clusters[i].Name)
		if err = store.NotFound(err); err != nil && err != store.ErrNotFound {
			return err
		}
	}
	for i := range out.Policies { // as it was called at the last event
		id, _ := strconv.ParseInt(out.Policies[i].ID, 10, 64)
		err := s.db.R.NewSelect().Table("admission_events").Column("policy_name").Where("policy_id = ?", id).OrderExpr("last_at DESC, id DESC").Limit(1).Scan(ctx, &out.Policies[i].Name)
		if err = store.NotFound(err); err != nil && err != store.ErrNotFound {
			return err
		}
	}
	for i := range out.Rules {
		c := &out.Rules[i]
		err := s.db.R.NewSelect().Table("admission_rules").Column("rule_id", "title", "title_zh").Where("rule = ?", c.ID).Scan(ctx, &c.Name, &c.Title.EN, &c.Title.ZH)
		if err = store.NotFound(err); err != nil && err != store.ErrNotFound {
			return err
		}
	}
	return nil
}

// day counts unchecked admissions, and requests of the last 24 hours.
func (s *Service) day(ctx context.Context, out *Summary, v identity.Visible, f Filter) error {
	now := hourOf(s.now())
	for h := now - 23; h <= now; h++ {
		out.Day = append(out.Day, Hour{At: time.Unix(h*3600, 0).UTC(), Requests: map[Outcome]int64{}})
	}
	var w where
	if w.scope(v, f.Targets); w.none {
		return nil
	}
	among(&w, "namespace", f.Namespaces)
	var hours []struct {
		Hour    int64   `bun:"hour"`
		Outcome Outcome `bun:"outcome"`
		N       int64   `bun:"n"`
	}
	err := s.db.R.NewRaw("SELECT hour, outcome, sum(requests) AS n FROM admission_hours WHERE hour > ? AND "+w.text()+" GROUP BY hour, outcome", append([]any{now - 24}, w.args...)...).Scan(ctx, &hours)
	if err != nil {
		return err
	}
	for _, h := range hours {
		if i := h.Hour - (now - 23); i >= 0 && i < 24 {
			out.Day[i].Requests[h.Outcome] += h.N
		}
	}
	var unchecked []struct {
		State Checked `bun:"state"`
		N     int64   `bun:"n"`
	}
	if err := s.db.R.NewRaw("SELECT state, count(*) AS n FROM admission_unchecked WHERE "+w.text()+" GROUP BY state", w.args...).Scan(ctx, &unchecked); err != nil {
		return err
	}
	for _, u := range unchecked {
		out.Unchecked[u.State.String()] += u.N
	}
	err = s.db.R.NewRaw(`SELECT l.target_id, t.name AS cluster, l.entries, l.entry_bytes + l.part_bytes AS bytes, l.trimmed_at, l.batch_at FROM admission_logs l JOIN targets t ON t.id = l.target_id
		WHERE t.removed_at = 0 ORDER BY t.name, l.target_id`).Scan(ctx, &out.Logs)
	out.Logs = slices.DeleteFunc(out.Logs, func(l LogOfACluster) bool {
		return !v.Whole(l.Target) || len(f.Targets) > 0 && !slices.Contains(f.Targets, l.Target)
	})
	slices.SortStableFunc(out.Logs, func(a, b LogOfACluster) int { return cmp.Compare(a.Cluster, b.Cluster) })
	return err
}
