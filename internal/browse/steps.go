package browse

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
)

// Step is something to do that raises the score. Kinds: risk (fix all findings of one rule or vulnerability), known-exploited (fix
// all of those), severity (fix all of one severity), scan (look at a target), gaps (make what has this code possible to scan).
type Step struct {
	Kind   string            `json:"kind" enum:"risk,known-exploited,severity,scan,gaps"`
	Gain   int               `json:"gain" doc:"points by which the score rises when nothing else changes"`
	Count  int               `json:"count" doc:"findings, targets or gaps that it is about"`
	Filter map[string]string `json:"filter" doc:"query parameters of the list that it is about: of findings, of gaps; id is that of a target"`
	Title  finding.Text      `json:"-"`

	points float64
}

// Bounds of the search for steps.
const (
	maxSteps  = 6
	perRank   = 2      // risks of a severity that are tried
	maxKEV    = 200    // known exploited vulnerabilities that are looked at
	exactFrom = 50_000 // findings of the candidates that are read one by one where no index counts them
)

// steps finds what raises the score most. The gains come from the formula of the score: it is computed again without what the step
// takes away.
func (b *Browser) steps(ctx context.Context, s scope, o *Overview) ([]Step, error) {
	now := standingOf(o)
	value, points := now.score().Value, total(now.points())
	var out []Step
	try := func(step Step, after standing) {
		step.Gain, step.points = after.score().Value-value, points-total(after.points())
		if step.Gain > 0 {
			out = append(out, step)
		}
	}
	list, err := b.candidates(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := b.weigh(ctx, s, list); err != nil {
		return nil, err
	}
	every := now
	for _, c := range list {
		after := now.without(c)
		if c.kev {
			every = every.without(c)
		}
		try(Step{Kind: "risk", Count: c.Active, Filter: map[string]string{"rule": c.Rule, "kind": c.Kind.String()}, Title: finding.Text{EN: c.TitleEN, ZH: c.TitleZH}}, after)
	}
	if o.KEV > 0 {
		every.kev = 0
		try(Step{Kind: "known-exploited", Count: o.KEV, Filter: map[string]string{"kev": "true"},
			Title: finding.Text{EN: "Fix what is known to be exploited", ZH: "修复已知被利用的漏洞"}}, every)
	}
	for severity := ledger.Severity(4); severity >= 2; severity-- {
		after := now
		after.severities[severity] = 0
		for _, c := range list { // those of them that are known to be exploited go with them
			if c.kev {
				after.kev -= c.severities[severity]
			}
		}
		if n := now.severities[severity]; n > 0 {
			word := severity.String()
			try(Step{Kind: "severity", Count: n, Filter: map[string]string{"severity": word},
				Title: finding.Text{EN: "Fix all findings of severity " + word, ZH: "修复全部" + map[string]string{"critical": "严重", "high": "高危", "medium": "中危"}[word] + "风险项"}}, after)
		}
	}
	for code, n := range o.Coverage.Gaps {
		after := now
		after.gaps -= n
		try(Step{Kind: "gaps", Count: n, Filter: map[string]string{"code": code}, Title: gapTitle(code)}, after)
	}
	if err := b.blindSteps(ctx, s, now, try); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b Step) int {
		return cmp.Or(cmp.Compare(b.Gain, a.Gain), cmp.Compare(b.points, a.points), cmp.Compare(a.Title.EN, b.Title.EN))
	})
	return out[:min(len(out), maxSteps)], nil
}

func total(list [6]float64) float64 {
	sum := 0.0
	for _, x := range list {
		sum += x
	}
	return sum
}

// without is what stays when all findings of a risk are fixed.
func (s standing) without(c candidate) standing {
	for i, n := range c.severities {
		s.severities[i] -= n
	}
	if c.kev {
		s.kev -= c.Active
	}
	return s
}

// gapTitle says what to do about what was not scanned for this reason.
func gapTitle(code string) finding.Text {
	switch finding.Code(code) {
	case finding.NoAdvisoryData:
		return finding.Text{EN: "Add vulnerability data", ZH: "导入漏洞数据"}
	case finding.Forbidden:
		return finding.Text{EN: "Grant the permissions that are missing", ZH: "授予缺失的权限"}
	case finding.Unreachable:
		return finding.Text{EN: "Make reachable what does not answer", ZH: "恢复无法访问的目标"}
	case finding.Limit:
		return finding.Text{EN: "Raise the limits that cut scans short", ZH: "提高使扫描中断的限额"}
	}
	return finding.Text{EN: "Have scanned what was left out", ZH: "补充扫描被跳过的内容"}
}

// candidate is a risk whose findings may be worth fixing first.
type candidate struct {
	Risk
	kev        bool
	severities [5]int
}

// candidates are the risks with the most findings of each severity, and those that are known to be exploited.
func (b *Browser) candidates(ctx context.Context, s scope) ([]candidate, error) {
	from := riskFrom(s)
	var out []candidate
	read := func(stmt sqlText, kev bool) error {
		return b.query(ctx, stmt, func(scan func(...any) error) error {
			c := candidate{kev: kev}
			if err := scan(&c.ID, &c.Kind, &c.Severity, &c.Rule, &c.Active); err != nil {
				return err
			}
			if !slices.ContainsFunc(out, func(o candidate) bool { return o.ID == c.ID }) {
				out = append(out, c)
			}
			return nil
		})
	}
	const columns = "SELECT risk_id, kind, severity, rule, active FROM "
	stmt := text(columns)
	stmt.append(from)
	stmt.add(" AND risk_id IN (SELECT id FROM risks WHERE kev) ORDER BY active DESC, risk_id LIMIT ?", maxKEV)
	if err := read(stmt, true); err != nil {
		return nil, err
	}
	stmt = text("SELECT risk_id, kind, severity, rule, active FROM (SELECT risk_id, kind, severity, rule, active, row_number() OVER (PARTITION BY severity ORDER BY active DESC, risk_id) AS place FROM ")
	stmt.append(from)
	stmt.add(" AND severity >= 2) AS ranked WHERE place <= ?", perRank)
	if s.whole() && (!s.all && len(s.targets) == 1 || s.all && len(s.removed) == 0) { // the counters are in this order
		stmt = text("")
		for severity := 4; severity >= 2; severity-- {
			if stmt.text != "" {
				stmt.add(" UNION ALL ")
			}
			stmt.add("SELECT * FROM (" + columns)
			stmt.append(from)
			stmt.add(fmt.Sprintf(" AND severity = ? ORDER BY active DESC, risk_id LIMIT ?) AS s%d", severity), severity, perRank)
		}
	}
	if err := read(stmt, false); err != nil {
		return nil, err
	}
	risks := make([]Risk, len(out))
	for i := range out {
		risks[i] = out[i].Risk
	}
	err := b.describe(ctx, risks)
	for i := range out {
		out[i].Risk = risks[i]
	}
	return out, err
}

// weigh counts the findings of the candidates by severity. A risk has the worst of its findings' severities: they may differ.
func (b *Browser) weigh(ctx context.Context, s scope, list []candidate) error {
	if len(list) == 0 {
		return nil
	}
	at, kinds, rules, sum := map[string]int{}, map[ledger.Kind]bool{}, make([]string, len(list)), 0
	for i := range list {
		c := &list[i]
		at[fmt.Sprint(int(c.Kind), " ", c.Rule)], rules[i], kinds[c.Kind] = i, c.Rule, true
		sum += c.Active
	}
	var of []ledger.Kind
	for k := range kinds {
		of = append(of, k)
	}
	const columns = "SELECT f.id, f.kind, f.rule, f.severity FROM findings AS f"
	cond := text(" WHERE f.status <= 3 AND f.kind IN (?) AND f.rule IN (?)", bun.List(of), bun.List(rules))
	stmt := text("SELECT kind, rule, severity, count(*) FROM (")
	switch {
	case s.all && len(s.removed) == 0:
		stmt = text("SELECT f.kind, f.rule, f.severity, count(*) FROM findings AS f")
		if !b.db.Postgres() {
			stmt.add(" INDEXED BY findings_kind_rule")
		}
		stmt.append(cond)
		stmt.add(" AND f.severity IN (0, 1, 2, 3, 4) GROUP BY f.kind, f.rule, f.severity")
	case sum > exactFrom:
		for i := range list {
			list[i].severities[min(max(list[i].Severity, 0), 4)] = list[i].Active
		}
		return nil
	case s.all:
		stmt.add(columns)
		stmt.append(cond)
		stmt.add(" AND f.target_id NOT IN (?)) AS c GROUP BY kind, rule, severity", bun.List(s.removed))
	default:
		for i, p := range s.ranges() {
			if i > 0 {
				stmt.add(" UNION ")
			}
			stmt.add(columns)
			stmt.append(cond)
			stmt.add(" AND ")
			stmt.append(p)
		}
		stmt.add(") AS c GROUP BY kind, rule, severity")
	}
	return b.query(ctx, stmt, func(scan func(...any) error) error {
		var kind, severity, n int
		var rule string
		if err := scan(&kind, &rule, &severity, &n); err != nil {
			return err
		}
		if i, ok := at[fmt.Sprint(kind, " ", rule)]; ok {
			list[i].severities[min(max(severity, 0), 4)] += n
		}
		return nil
	})
}

// blindSteps are looks at targets that were not looked at for long: at the two of them by name, or at all.
func (b *Browser) blindSteps(ctx context.Context, s scope, now standing, try func(Step, standing)) error {
	if now.blind == 0 {
		return nil
	}
	targets, err := b.targetsOf(ctx, s.ids())
	if err != nil {
		return err
	}
	var blind []ledger.Target
	for _, t := range targets {
		if t.LookedAt.IsZero() || b.now().Sub(t.LookedAt.Time) > Old {
			blind = append(blind, t)
		}
	}
	slices.SortFunc(blind, func(a, b ledger.Target) int { return cmp.Compare(a.ID, b.ID) })
	after := now
	if len(blind) > 2 {
		after.blind = 0
		try(Step{Kind: "scan", Count: len(blind), Filter: map[string]string{},
			Title: finding.Text{EN: fmt.Sprintf("Scan %d clusters and projects again", len(blind)), ZH: fmt.Sprintf("重新扫描 %d 个集群和项目", len(blind))}}, after)
		return nil
	}
	for _, t := range blind {
		after.blind = now.blind - 1
		try(Step{Kind: "scan", Count: 1, Filter: map[string]string{"id": fmt.Sprint(t.ID), "kind": t.Kind},
			Title: finding.Text{EN: "Scan " + t.Name + " again", ZH: "重新扫描 " + t.Name}}, after)
	}
	return nil
}
