package browse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Recent is what changed since yesterday.
type Recent struct {
	Since   store.Time     `json:"since" format:"date-time" doc:"24 hours ago"`
	New     map[string]int `json:"new" doc:"active findings that were first seen since then, by severity: the list with firstSince"`
	Fixed   int            `json:"fixed" doc:"findings that a scan saw fixed or gone since then: the list with the statuses fixed and gone and changedSince"`
	AtLeast bool           `json:"atLeast,omitempty" doc:"there are more: not all were counted"`
}

// recentTo bounds how many findings are counted one by one.
const recentTo = 10_000

func (b *Browser) recent(ctx context.Context, s scope) (Recent, error) {
	since := b.now().Add(-24 * time.Hour)
	out := Recent{Since: store.At(since), New: map[string]int{}}
	stmt := text("SELECT severity, count(*) FROM (")
	b.since(&stmt, s, "f.status <= 3 AND f.first_seen >= ?", "findings_kind_first", since)
	stmt.add(") AS n GROUP BY severity")
	sum := 0
	err := b.query(ctx, stmt, func(scan func(...any) error) error {
		var severity ledger.Severity
		var n int
		err := scan(&severity, &n)
		out.New[severity.String()] = n
		sum += n
		return err
	})
	if err != nil {
		return out, err
	}
	stmt = text("SELECT count(*) FROM (")
	b.since(&stmt, s, "f.status > 3 AND f.status > 6 AND f.changed_at >= ?", "findings_kind_changed_ended", since) // the indexes say > 3
	stmt.add(") AS n")
	n, err := column[int](ctx, b, stmt)
	if err != nil {
		return out, err
	}
	out.Fixed, out.AtLeast = min(n[0], recentTo), sum > recentTo || n[0] > recentTo
	return out, nil
}

// since adds what selects findings of a scope by a condition with a moment, each once.
func (b *Browser) since(stmt *sqlText, s scope, cond, byKind string, at time.Time) {
	if s.all {
		hint := " INDEXED BY " + byKind
		if b.db.Postgres() {
			hint = ""
		}
		stmt.add("SELECT f.id, f.severity FROM findings AS f"+hint+" WHERE f.kind IN (?) AND "+cond, bun.List(ledger.Kinds), at.UnixMilli())
		if len(s.removed) > 0 {
			stmt.add(" AND f.target_id NOT IN (?)", bun.List(s.removed))
		}
		stmt.add(" LIMIT ?", recentTo+1)
		return
	}
	for i, p := range s.ranges() {
		if i > 0 {
			stmt.add(" UNION ")
		}
		stmt.add("SELECT * FROM (SELECT f.id, f.severity FROM findings AS f WHERE "+cond+" AND ", at.UnixMilli())
		stmt.append(p)
		stmt.add(fmt.Sprintf(" LIMIT ?) AS r%d", i), recentTo+1)
	}
}

// Reason is why a workload is risky. Codes: known-exploited, emergency, malware, secret, exposed, privileged, host (it shares
// namespaces or folders of its node), critical, fixable (critical and high findings with a fix).
type Reason struct {
	Code  string `json:"code" enum:"known-exploited,emergency,malware,secret,exposed,privileged,host,critical,fixable"`
	Count int    `json:"count,omitempty" doc:"findings, where it is about those"`
}

// Worst is the finding of a workload, or of its images, that comes first.
type Worst struct {
	ID       int64        `json:"id,string"`
	Priority int          `json:"priority"`
	Rule     string       `json:"rule"`
	Title    finding.Text `json:"-"`
}

// Risky is a workload with the reasons.
type Risky struct {
	Asset
	Reasons []Reason `json:"reasons"`
	Worst   *Worst   `json:"-"`
}

// worstTo bounds the findings of a workload that reasons are looked for in.
const worstTo = 2000

// risky tells why workloads are the worst.
func (b *Browser) risky(ctx context.Context, list []Asset) ([]Risky, error) {
	out := make([]Risky, len(list))
	for i, a := range list {
		out[i].Asset = a
		facts, _, err := b.facts(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		if err := b.reasonsOf(ctx, &out[i], facts); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *Browser) reasonsOf(ctx context.Context, w *Risky, facts *finding.Facts) error {
	stmt := text("SELECT f.id, f.risk_id, f.kind, f.severity, f.priority, f.kev, f.fixable, f.rule FROM findings AS f WHERE f.asset_id IN (SELECT image_id FROM asset_uses WHERE workload_id = ? UNION SELECT ?) AND f.severity >= 3 AND f.status <= 3 LIMIT ?",
		w.ID, w.ID, worstTo)
	counts := map[string]int{}
	risk := int64(0)
	err := b.query(ctx, stmt, func(scan func(...any) error) error {
		var x Worst
		var r int64
		var kind ledger.Kind
		var severity ledger.Severity
		var kev, fixable bool
		if err := scan(&x.ID, &r, &kind, &severity, &x.Priority, &kev, &fixable, &x.Rule); err != nil {
			return err
		}
		if w.Worst == nil || x.Priority > w.Worst.Priority || x.Priority == w.Worst.Priority && x.ID < w.Worst.ID {
			w.Worst, risk = &x, r
		}
		for code, yes := range map[string]bool{"known-exploited": kev, "emergency": kind == ledger.Emergency, "malware": kind == ledger.Malware,
			"secret": kind == ledger.Secret, "fixable": fixable} {
			if yes {
				counts[code]++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if w.Worst != nil {
		titles, err := b.titles(ctx, []int64{risk})
		if err != nil {
			return err
		}
		w.Worst.Title = finding.Text{EN: titles[risk].EN, ZH: titles[risk].ZH}
	}
	w.Reasons = []Reason{}
	add := func(code string, yes bool, n int) {
		if yes {
			w.Reasons = append(w.Reasons, Reason{code, n})
		}
	}
	for _, code := range []string{"known-exploited", "emergency", "malware", "secret"} {
		add(code, counts[code] > 0, counts[code])
	}
	if facts != nil {
		add("exposed", len(facts.Exposures) > 0, 0)
		add("privileged", slices.ContainsFunc(facts.Containers, func(c finding.Container) bool { return c.Privileged }), 0)
		add("host", len(facts.Host)+len(facts.HostPaths) > 0, 0)
	}
	add("critical", w.Critical > 0, w.Critical)
	add("fixable", counts["fixable"] > 0, counts["fixable"])
	return nil
}

// emergencies lists emergency vulnerabilities that are present, worst first.
func (b *Browser) emergencies(ctx context.Context, v identity.Visible, targets []int64) ([]Risk, error) {
	list, _, _, err := b.Risks(ctx, v, RiskFilter{Targets: targets, Kinds: []ledger.Kind{ledger.Emergency}}, "severity", store.Page{Limit: topRisks})
	return list, err
}
