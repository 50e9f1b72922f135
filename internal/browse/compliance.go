package browse

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// SetCatalog gives the frameworks, and which rules decide their clauses. Call it before the first question.
func (b *Browser) SetCatalog(c *compliance.Catalog) { b.catalog = c }

// Catalog is what SetCatalog gave; nil is one without frameworks.
func (b *Browser) Catalog() *compliance.Catalog { return b.catalog }

// Verdicts counts clauses by their verdict.
type Verdicts struct {
	Pass          int `json:"pass"`
	Fail          int `json:"fail"`
	Manual        int `json:"manual" doc:"rules do not decide it: a person has to look"`
	NotApplicable int `json:"notApplicable"`
	Score         int `json:"score" doc:"percent of the clauses that rules decided that pass; -1 when none was decided"`
}

func (v *Verdicts) add(status string) {
	switch finding.ClauseStatus(status) {
	case finding.Pass:
		v.Pass++
	case finding.Fail:
		v.Fail++
	case finding.Manual:
		v.Manual++
	default:
		v.NotApplicable++
	}
}

func (v *Verdicts) rate() {
	v.Score = -1
	if n := v.Pass + v.Fail; n > 0 {
		v.Score = 100 * v.Pass / n
	}
}

// Framework is a compliance framework in one target, as it was judged at the last look at all of it.
type Framework struct {
	TargetID  int64  `json:"targetId,string"`
	Target    string `json:"target"`
	Framework string `json:"framework"`
	Verdicts
	Accepted int        `json:"accepted" doc:"of those that fail: all of their findings are accepted by exceptions, or were set aside by hand"`
	Attested int        `json:"attested" doc:"of those for people: somebody has looked, and what he found still holds"`
	JudgedAt store.Time `json:"judgedAt" format:"date-time"`
}

// Outcome is the verdict of rules together with what people accepted.
type Outcome string

// The outcomes. FailAccepted fails by findings all of which are accepted or set aside: it is no pass.
const (
	Pass          Outcome = "pass"
	Fail          Outcome = "fail"
	FailAccepted  Outcome = "fail-accepted"
	Manual        Outcome = "manual"
	NotApplicable Outcome = "not-applicable"
)

// Standing is what there is now of the findings that a clause fails by, in one target or several.
type Standing struct {
	Open     int `json:"open" doc:"active findings now"`
	Accepted int `json:"accepted" doc:"accepted by an exception or a statement"`
	Aside    int `json:"aside" doc:"ignored, or marked as fixed, by hand"`
}

func (s *Standing) add(o Standing) {
	s.Open += o.Open
	s.Accepted += o.Accepted
	s.Aside += o.Aside
}

// outcome joins a verdict with what there is now.
func outcome(status string, s Standing) Outcome {
	if status == string(finding.Fail) && s.Open == 0 && s.Accepted+s.Aside > 0 {
		return FailAccepted
	}
	return Outcome(status)
}

// Clause is the verdict on one clause in one target.
type Clause struct {
	TargetID  int64   `json:"targetId,string"`
	Target    string  `json:"target"`
	Framework string  `json:"framework"`
	Clause    string  `json:"clause"`
	Status    string  `json:"status" enum:"pass,fail,manual,not-applicable" doc:"what rules decided at the last look at the whole target"`
	Outcome   Outcome `json:"outcome" enum:"pass,fail,fail-accepted,manual,not-applicable" doc:"fail-accepted: it fails, and all of its findings are accepted or set aside"`
	Findings  int     `json:"findings" doc:"that it failed by at that look, accepted ones too"`
	Standing
	Attestation *Attestation `json:"attestation,omitempty" doc:"what a person found out by hand; never the verdict of a rule"`
	Title       finding.Text `json:"-"`
	Reason      finding.Text `json:"-"`
	UpdatedAt   store.Time   `json:"updatedAt" format:"date-time" doc:"since when the verdict is this one"`
}

// clausesOf begins a statement on clauses of whole targets: verdicts are of the whole cluster, who sees only some namespaces does
// not see them.
func clausesOf(columns string, s scope) sqlText {
	return ofWhole("SELECT "+columns+" FROM clauses AS c JOIN targets AS t ON t.id = c.target_id WHERE t.removed_at = 0", "c", s)
}

// ofWhole adds to a statement that its rows are of whole targets of the scope.
func ofWhole(stmt, table string, s scope) sqlText {
	q := text(stmt)
	if !s.all {
		q.add(" AND "+table+".target_id IN (?)", bun.List(s.targets))
	}
	return q
}

// wholes is the scope without its parts of targets; ok is false when nothing is left.
func (b *Browser) wholes(ctx context.Context, v identity.Visible, targets []int64) (s scope, ok bool, err error) {
	s, err = b.scope(ctx, v, targets)
	return s, err == nil && (s.all || len(s.targets) > 0), err
}

// Frameworks lists the verdicts of frameworks on targets, nil for all.
func (b *Browser) Frameworks(ctx context.Context, v identity.Visible, targets []int64) ([]Framework, error) {
	s, ok, err := b.wholes(ctx, v, targets)
	if err != nil || !ok {
		return nil, err
	}
	stmt := ofWhole("SELECT t.id, t.name, j.framework, j.pass, j.fail, j.manual, j.not_applicable, j.at FROM judged AS j JOIN targets AS t ON t.id = j.target_id WHERE t.removed_at = 0", "j", s)
	stmt.add(" ORDER BY j.framework, t.name, t.id")
	var out []Framework
	err = b.query(ctx, stmt, func(scan func(...any) error) error {
		var f Framework
		err := scan(&f.TargetID, &f.Target, &f.Framework, &f.Pass, &f.Fail, &f.Manual, &f.NotApplicable, &f.JudgedAt)
		f.rate()
		out = append(out, f)
		return err
	})
	if err != nil || len(out) == 0 {
		return nil, err
	}
	accepted, err := b.acceptedClauses(ctx, s)
	if err != nil {
		return nil, err
	}
	attested, err := b.attestedClauses(ctx, s)
	for i := range out {
		key := ofTarget{out[i].TargetID, out[i].Framework}
		out[i].Accepted, out[i].Attested = accepted[key], attested[key]
	}
	return out, err
}

// ofTarget names a framework or a rule in a target.
type ofTarget struct {
	target int64
	name   string
}

// acceptedClauses counts the clauses that fail by accepted findings only, by target and framework. It costs what is set aside.
func (b *Browser) acceptedClauses(ctx context.Context, s scope) (map[ofTarget]int, error) {
	aside, err := b.aside(ctx, s, b.catalog.Rules())
	if err != nil || len(aside) == 0 {
		return nil, err
	}
	targets := map[int64]bool{}
	for k := range aside {
		targets[k.target] = true
	}
	some := scope{targets: keysOf(targets)}
	if err := b.opened(ctx, some, b.catalog.Rules(), aside); err != nil {
		return nil, err
	}
	stmt := clausesOf("c.target_id, c.framework, c.clause", some)
	stmt.add(" AND c.status = 'fail'")
	out := map[ofTarget]int{}
	return out, b.query(ctx, stmt, func(scan func(...any) error) error {
		var target int64
		var framework, clause string
		if err := scan(&target, &framework, &clause); err != nil {
			return err
		}
		if outcome("fail", aside.of(target, b.catalog.Entry(framework, clause))) == FailAccepted {
			out[ofTarget{target, framework}]++
		}
		return nil
	})
}

// attestedClauses counts the manual clauses that somebody attested, by target and framework.
func (b *Browser) attestedClauses(ctx context.Context, s scope) (map[ofTarget]int, error) {
	stmt := clausesOf("c.target_id, c.framework, count(*)", s)
	stmt.add(" AND c.status = 'manual' AND EXISTS (SELECT 1 FROM attestations AS a WHERE a.target_id = c.target_id AND a.framework = c.framework AND a.clause = c.clause AND a.ended_at = 0 AND a.expires_at > ?)", b.now().UnixMilli())
	stmt.add(" GROUP BY c.target_id, c.framework")
	out := map[ofTarget]int{}
	return out, b.query(ctx, stmt, func(scan func(...any) error) error {
		var k ofTarget
		var n int
		err := scan(&k.target, &k.name, &n)
		out[k] = n
		return err
	})
}

// standings are findings by target and rule.
type standings map[ofTarget]Standing

// of sums what the rules of a clause have in a target.
func (m standings) of(target int64, e *compliance.Entry) Standing {
	var out Standing
	for _, r := range e.RuleNames() {
		out.add(m[ofTarget{target, r}])
	}
	return out
}

// standing counts the findings of rules in the whole targets of a scope.
func (b *Browser) standing(ctx context.Context, s scope, rules []string) (standings, error) {
	m, err := b.aside(ctx, s, rules)
	if err != nil {
		return nil, err
	}
	return m, b.opened(ctx, s, rules, m)
}

// aside counts what was accepted and set aside.
func (b *Browser) aside(ctx context.Context, s scope, rules []string) (standings, error) {
	out := standings{}
	if len(rules) == 0 {
		return out, nil
	}
	from := "findings AS f"
	if !b.db.Postgres() {
		from += " INDEXED BY findings_aside"
	}
	stmt := text("SELECT f.target_id, f.rule, f.status, count(*) FROM "+from+" WHERE f.status IN (4, 5, 6) AND f.rule IN (?)", bun.List(rules))
	switch {
	case !s.all:
		stmt.add(" AND f.target_id IN (?)", bun.List(s.targets))
	case len(s.removed) > 0:
		stmt.add(" AND f.target_id NOT IN (?)", bun.List(s.removed))
	}
	stmt.add(" GROUP BY f.target_id, f.rule, f.status")
	return out, b.query(ctx, stmt, func(scan func(...any) error) error {
		var k ofTarget
		var status ledger.Status
		var n int
		err := scan(&k.target, &k.name, &status, &n)
		v := out[k]
		if status == ledger.StatusAccepted {
			v.Accepted += n
		} else {
			v.Aside += n
		}
		out[k] = v
		return err
	})
}

// opened adds what is active, by the counters.
func (b *Browser) opened(ctx context.Context, s scope, rules []string, m standings) error {
	if len(rules) == 0 {
		return nil
	}
	stmt := text("SELECT target_id, rule, sum(active) FROM risk_counts WHERE active > 0 AND rule IN (?)", bun.List(rules))
	if s.all {
		stmt.add(" AND target_id NOT IN (?)", bun.List(append([]int64{0}, s.removed...)))
	} else {
		stmt.add(" AND target_id IN (?)", bun.List(s.targets))
	}
	stmt.add(" GROUP BY target_id, rule")
	return b.query(ctx, stmt, func(scan func(...any) error) error {
		var k ofTarget
		var n int
		err := scan(&k.target, &k.name, &n)
		v := m[k]
		v.Open += n
		m[k] = v
		return err
	})
}

// Clauses lists the verdicts of a framework on its clauses, in its order and by target. status "" is all.
func (b *Browser) Clauses(ctx context.Context, v identity.Visible, targets []int64, framework, status string, page store.Page) ([]Clause, string, error) {
	s, ok, err := b.wholes(ctx, v, targets)
	if err != nil || !ok {
		return nil, "", err
	}
	stmt := clausesOf(clauseColumns, s)
	stmt.add(" AND c.framework = ?", framework)
	if status != "" {
		stmt.add(" AND c.status = ?", status)
	}
	if page.After != "" {
		var place int
		var clause, name string
		var target int64
		if err := store.ReadCursor(page.After, &place, &clause, &name, &target); err != nil {
			return nil, "", err
		}
		stmt.add(" AND (c.ordinal, c.clause, t.name, c.target_id) > (?, ?, ?, ?)", place, clause, name, target)
	}
	size := page.Size()
	stmt.add(" ORDER BY c.ordinal, c.clause, t.name, c.target_id LIMIT ?", size+1)
	out, places, err := b.clauseRows(ctx, stmt)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(out) > size {
		out = out[:size]
		next = store.Cursor(places[size-1], out[size-1].Clause, out[size-1].Target, out[size-1].TargetID)
	}
	return out, next, b.settle(ctx, out)
}

const clauseColumns = "c.target_id, t.name, c.framework, c.clause, c.ordinal, c.status, c.findings, c.body, c.updated_at"

// clauseRows reads rows of clauseColumns, and their places.
func (b *Browser) clauseRows(ctx context.Context, stmt sqlText) (out []Clause, places []int, err error) {
	err = b.query(ctx, stmt, func(scan func(...any) error) error {
		var c Clause
		var body string
		var place int
		if err := scan(&c.TargetID, &c.Target, &c.Framework, &c.Clause, &place, &c.Status, &c.Findings, &body, &c.UpdatedAt); err != nil {
			return err
		}
		var more ledger.Verdict
		_ = json.Unmarshal([]byte(body), &more) // a verdict without texts is still one
		c.Title, c.Reason, c.Outcome = more.Title, more.Reason, Outcome(c.Status)
		out, places = append(out, c), append(places, place)
		return nil
	})
	return out, places, err
}

// settle adds to verdicts what there is now, and what people attested.
func (b *Browser) settle(ctx context.Context, list []Clause) error {
	if len(list) == 0 {
		return nil
	}
	targets, rules := map[int64]bool{}, map[string]bool{}
	for _, c := range list {
		targets[c.TargetID] = true
		for _, r := range b.catalog.Entry(c.Framework, c.Clause).RuleNames() {
			rules[r] = true
		}
	}
	s := scope{targets: keysOf(targets)}
	m, err := b.standing(ctx, s, slices.Sorted(maps.Keys(rules)))
	if err != nil {
		return err
	}
	attested, err := b.current(ctx, s, list[0].Framework)
	for i := range list {
		c := &list[i]
		c.Standing = m.of(c.TargetID, b.catalog.Entry(c.Framework, c.Clause))
		c.Outcome = outcome(c.Status, c.Standing)
		if c.Status == string(finding.Manual) {
			c.Attestation = attested[ofTarget{c.TargetID, c.Clause}]
		}
	}
	return err
}
