package browse

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// RiskFilter selects rules and vulnerabilities that have active findings.
type RiskFilter struct {
	Targets    []int64
	Kinds      []ledger.Kind
	Severities []ledger.Severity
	KEV        *bool
	Q          string // words of the rule and the title
}

// Risk is a rule or vulnerability with its active findings.
type Risk struct {
	ID        int64           `json:"id,string"`
	Kind      ledger.Kind     `json:"kind"`
	Rule      string          `json:"rule"`
	RuleID    string          `json:"ruleId,omitempty"`
	Severity  ledger.Severity `json:"severity" doc:"worst of its findings so far"`
	TitleEN   string          `json:"-"`
	TitleZH   string          `json:"-"`
	Risk      string          `json:"risk,omitempty"`
	KEV       bool            `json:"kev,omitempty"`
	EPSS      float64         `json:"epss,omitempty"`
	CVSS      float64         `json:"cvss,omitempty"`
	FirstSeen store.Time      `json:"firstSeen" format:"date-time"`
	Active    int             `json:"active" doc:"findings that the filter selects: active ones, unless it names statuses"`
	AtLeast   bool            `json:"atLeast,omitempty" doc:"there may be more: not all were looked at"`
	Targets   int             `json:"targets" doc:"clusters and projects with at least one"`
}

// RiskSorts lists the orders of risks, each also with "-" before it for the other way round. The numbers begin with the largest.
var RiskSorts = []string{"severity", "active", "rule", "kind", "targets"}

var riskOrders = map[string][]field{
	"severity": {{column: "severity", desc: true}, {column: "active", desc: true}, {column: "risk_id"}},
	"active":   {{column: "active", desc: true}, {column: "risk_id"}},
	"rule":     {{column: "rule", text: true}, {column: "risk_id"}},
	"kind":     {{column: "kind"}, {column: "severity", desc: true}, {column: "active", desc: true}, {column: "risk_id"}},
	"targets":  {{column: "targets", desc: true}, {column: "active", desc: true}, {column: "risk_id"}},
}

// Risks lists what is wrong, once for each rule or vulnerability. The total is exact.
func (b *Browser) Risks(ctx context.Context, v identity.Visible, f RiskFilter, sort string, page store.Page) ([]Risk, string, Total, error) {
	r, err := rank(riskOrders, RiskSorts, sort, "severity")
	if err != nil {
		return nil, "", Total{}, err
	}
	after, err := r.behind(page.After)
	if err != nil {
		return nil, "", Total{}, err
	}
	s, err := b.scope(ctx, v, f.Targets)
	if err != nil || s.nothing() {
		return nil, "", Total{}, err
	}
	where, found, err := b.riskWhere(ctx, f)
	if err != nil || !found {
		return nil, "", Total{}, err
	}
	out, next, total, err := b.ranked(ctx, r, after, riskFrom(s), where, page)
	if !s.all && len(s.ids()) == 1 {
		for i := range out {
			out[i].Targets = 1
		}
	}
	return out, next, total, err
}

// ranked is a page of a table of risks.
func (b *Browser) ranked(ctx context.Context, r ranking, after *sqlText, from, where sqlText, page store.Page) ([]Risk, string, Total, error) {
	total := Total{}
	count := text("SELECT count(*) FROM ")
	count.append(from)
	count.append(where)
	n, err := column[int](ctx, b, count)
	if err != nil {
		return nil, "", total, err
	}
	total.N = n[0]
	stmt := text("SELECT risk_id, kind, severity, rule, active, targets FROM ")
	stmt.append(from)
	stmt.append(where)
	if after != nil {
		stmt.add(" AND ")
		stmt.append(*after)
	}
	size := page.Size()
	stmt.add(" ORDER BY "+r.by()+" LIMIT ?", size+1)
	var out []Risk
	err = b.query(ctx, stmt, func(scan func(...any) error) error {
		var x Risk
		err := scan(&x.ID, &x.Kind, &x.Severity, &x.Rule, &x.Active, &x.Targets)
		out = append(out, x)
		return err
	})
	if err != nil {
		return nil, "", total, err
	}
	next := ""
	if len(out) > size {
		out = out[:size]
		next = r.cursor(out[size-1].value)
	}
	return out, next, total, b.describe(ctx, out)
}

func (x Risk) value(column string) any {
	switch column {
	case "severity":
		return int64(x.Severity)
	case "kind":
		return int64(x.Kind)
	case "active":
		return int64(x.Active)
	case "targets":
		return int64(x.Targets)
	case "rule":
		return x.Rule
	}
	return x.ID
}

// riskFrom is the table of risks with counts in a scope: the counters as they are for everything and for one target, their sums
// for several, and counted from the findings for parts of targets.
func riskFrom(s scope) sqlText {
	switch {
	case s.all && len(s.removed) == 0:
		return text("risk_counts AS c WHERE target_id = 0 AND active > 0")
	case s.all:
		return text("(SELECT risk_id, kind, severity, rule, sum(active) AS active, count(*) AS targets FROM risk_counts WHERE target_id <> 0 AND target_id NOT IN (?) AND active > 0 GROUP BY risk_id, kind, severity, rule) AS c WHERE active > 0",
			bun.List(s.removed))
	case s.whole() && len(s.targets) == 1:
		return text("risk_counts AS c WHERE target_id = ? AND active > 0", s.targets[0])
	case s.whole():
		return text("(SELECT risk_id, kind, severity, rule, sum(active) AS active, count(*) AS targets FROM risk_counts WHERE target_id IN (?) AND active > 0 GROUP BY risk_id, kind, severity, rule) AS c WHERE active > 0",
			bun.List(s.targets))
	}
	out := text("(SELECT r.id AS risk_id, r.kind AS kind, r.severity AS severity, r.rule AS rule, count(*) AS active, count(DISTINCT u.target_id) AS targets FROM (")
	sep := ""
	if len(s.targets) > 0 {
		out.add("SELECT f.id, f.risk_id, f.target_id FROM findings AS f WHERE f.status <= 3 AND f.target_id IN (?)", bun.List(s.targets))
		sep = " UNION "
	}
	for _, p := range s.parts {
		out.add(sep+"SELECT f.id, f.risk_id, f.target_id FROM findings AS f WHERE f.status <= 3 AND f.target_id = ? AND f.namespace IN (?)", p.target, bun.List(p.namespaces))
		sep = " UNION "
		if len(p.images) > 0 {
			out.add(sep+"SELECT f.id, f.risk_id, f.target_id FROM findings AS f WHERE f.status <= 3 AND f.asset_id IN (?)", bun.List(p.images))
		}
	}
	out.add(") AS u JOIN risks AS r ON r.id = u.risk_id GROUP BY r.id, r.kind, r.severity, r.rule) AS c WHERE active > 0")
	return out
}

func (b *Browser) riskWhere(ctx context.Context, f RiskFilter) (where sqlText, found bool, err error) {
	if len(f.Kinds) > 0 {
		where.add(" AND kind IN (?)", bun.List(set(f.Kinds)))
	}
	if len(f.Severities) > 0 {
		where.add(" AND severity IN (?)", bun.List(set(f.Severities)))
	}
	if f.KEV != nil {
		not := ""
		if !*f.KEV {
			not = "NOT "
		}
		where.add(" AND risk_id IN (SELECT id FROM risks WHERE " + not + "kev)")
	}
	list, err := terms(f.Q)
	if err != nil || f.Q != "" && len(list) == 0 {
		return where, false, err
	}
	for _, term := range list {
		where.add(" AND risk_id IN (SELECT id FROM risks WHERE ")
		where.append(b.riskWords(term))
		where.add(")")
	}
	return where, true, nil
}

// describe fills in what the table of risks says.
func (b *Browser) describe(ctx context.Context, list []Risk) error {
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	if len(ids) == 0 {
		return nil
	}
	return b.query(ctx, text("SELECT id, rule_id, title, title_zh, risk, kev, epss, cvss, first_seen FROM risks WHERE id IN (?)", bun.List(ids)), func(scan func(...any) error) error {
		var x Risk
		if err := scan(&x.ID, &x.RuleID, &x.TitleEN, &x.TitleZH, &x.Risk, &x.KEV, &x.EPSS, &x.CVSS, &x.FirstSeen); err != nil {
			return err
		}
		i := slices.Index(ids, x.ID)
		if i < 0 {
			return fmt.Errorf("risk %d was not asked for", x.ID)
		}
		y := &list[i]
		y.RuleID, y.TitleEN, y.TitleZH, y.Risk, y.KEV, y.EPSS, y.CVSS, y.FirstSeen = x.RuleID, x.TitleEN, x.TitleZH, x.Risk, x.KEV, x.EPSS, x.CVSS, x.FirstSeen
		return nil
	})
}
