package browse

import (
	"context"
	"fmt"
	"slices"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// The findings of any filter, seen from what is wrong and from where. What counters know comes from them; the rest from a bounded
// look, and then the total is one of at least.

// RisksOf lists the rules and vulnerabilities of the findings that a filter selects.
func (b *Browser) RisksOf(ctx context.Context, v identity.Visible, f Filter, sort string, page store.Page) ([]Risk, string, Total, error) {
	f, err := f.check()
	if err != nil {
		return nil, "", Total{}, err
	}
	if counted, err := b.countedRisks(ctx, f); err != nil || counted {
		if err != nil {
			return nil, "", Total{}, err
		}
		return b.Risks(ctx, v, RiskFilter{Targets: f.Targets, Kinds: f.Kinds, Severities: f.Severities, KEV: f.KEV, Q: f.Q}, sort, page)
	}
	r, err := rank(riskOrders, RiskSorts, sort, "severity")
	if err != nil {
		return nil, "", Total{}, err
	}
	after, err := r.behind(page.After)
	if err != nil {
		return nil, "", Total{}, err
	}
	q, known, err := b.ask(ctx, v, f, "", "")
	if err != nil || q == nil {
		return nil, "", known, err
	}
	looking, _ := q.looking("f.risk_id, f.target_id, f.severity")
	from := text("(")
	from.append(looking)
	from.add("SELECT k.id AS risk_id, k.kind, g.severity, k.rule, g.active, g.targets FROM (SELECT risk_id, max(severity) AS severity, count(*) AS active, count(DISTINCT target_id) AS targets FROM r GROUP BY risk_id) AS g JOIN risks AS k ON k.id = g.risk_id) AS c WHERE active > 0")
	out, next, total, err := b.ranked(context.WithValue(ctx, looked{}, true), r, after, from, sqlText{}, page)
	if err != nil {
		return nil, "", total, err
	}
	total.Cut = known.Cut
	total.AtLeast, err = b.cut(ctx, q)
	for i := range out {
		out[i].AtLeast = total.AtLeast
	}
	return out, next, total, err
}

// countedRisks reports whether the counters of risks can answer for a filter: its words, if any, mean nothing but risks.
func (b *Browser) countedRisks(ctx context.Context, f Filter) (bool, error) {
	plain := f
	plain.KEV, plain.Q = nil, ""
	if !plain.plainly() || !f.activeOnly() || len(f.Namespaces) > 0 {
		return false, nil
	}
	list, err := terms(f.Q)
	for _, term := range list {
		m, err := b.named(ctx, &question{}, term)
		if err != nil || len(m.assets)+len(m.packages)+len(m.namespaces) > 0 {
			return false, err
		}
	}
	return true, err
}

// cut reports whether there is more than a bounded look sees.
func (b *Browser) cut(ctx context.Context, q *question) (bool, error) {
	stmt, walk := q.looking("f.id")
	stmt.add("SELECT count(*) FROM s")
	n := 0
	err := b.told(ctx, walk, stmt, func(scan func(...any) error) error { return scan(&n) })
	return n > lookTo, err
}

// AssetsOf lists the assets of one kind that have findings which a filter selects, with those findings by severity.
func (b *Browser) AssetsOf(ctx context.Context, v identity.Visible, kind ledger.AssetKind, f Filter, sort string, page store.Page) ([]Asset, string, Total, error) {
	if !slices.Contains(ledger.AssetKinds, kind) {
		return nil, "", Total{}, fmt.Errorf("%w: a kind of asset must be named", ErrFilter)
	}
	f, err := f.check()
	if err != nil {
		return nil, "", Total{}, err
	}
	r, err := rank(assetOrders, AssetSorts, sort, "score")
	if err != nil {
		return nil, "", Total{}, err
	}
	after, err := r.behind(page.After)
	if err != nil {
		return nil, "", Total{}, err
	}
	mine, within := AssetFilter{Kind: kind, Targets: f.Targets}, f
	if f.WithImages && (kind == ledger.AssetWorkload || kind == ledger.AssetNamespace) {
		mine.Namespaces, within.WithImages, within.Namespaces = f.Namespaces, false, nil
	}
	s, err := b.scope(ctx, v, f.Targets)
	if err != nil || s.nothing() {
		return nil, "", Total{}, err
	}
	where, _, err := b.assetWhere(s, mine)
	if err != nil {
		return nil, "", Total{}, err
	}
	if within.plainly() && within.activeOnly() && len(within.Kinds)+len(within.Namespaces) == 0 {
		return b.rankedAssets(ctx, scope{}, r, after, bySeverity(where, f.Severities), page)
	}
	q, known, err := b.ask(ctx, v, f, "", "")
	if err != nil || q == nil {
		return nil, "", known, err
	}
	looking, _ := q.looking("f.asset_id, f.target_id, f.namespace, f.severity")
	out, next, total, err := b.rankedAssets(context.WithValue(ctx, looked{}, true), scope{}, r, after, onAsset(looking, where, kind), page)
	if err != nil {
		return nil, "", total, err
	}
	more, err := b.cut(ctx, q)
	total.AtLeast, total.Cut = total.AtLeast || more, known.Cut
	for i := range out {
		out[i].AtLeast = more
	}
	return out, next, total, err
}

const (
	assetIdentity = "id, target_id, kind, group_kind, namespace, name, digest, first_seen"
	assetScore    = "((critical * CAST(32768 AS BIGINT) + high) * 32768 + medium) * 32768 + low" // as ledger.Score
)

// bySeverity is the table of assets with the counters of some severities, nil for all.
func bySeverity(where sqlText, severities []ledger.Severity) sqlText {
	if len(severities) == 0 {
		from := text("assets WHERE ")
		from.append(where)
		from.add(" AND (score > 0 OR info > 0)")
		return from
	}
	from := text("(SELECT " + assetIdentity + ", critical, high, medium, low, info, " + assetScore + " AS score FROM (SELECT " + assetIdentity)
	for i, name := range []string{"critical", "high", "medium", "low", "info"} {
		switch {
		case !slices.Contains(severities, ledger.Severity(4-i)):
			from.add(", 0 AS " + name)
		case name == "info":
			from.add(", info")
		default:
			from.add(", CASE WHEN " + name + " > 32767 THEN 32767 ELSE " + name + " END AS " + name)
		}
	}
	from.add(" FROM assets WHERE ")
	from.append(where)
	from.add(") AS n) AS assets WHERE critical + high + medium + low + info > 0")
	return from
}

// onAsset is the table of assets with the findings of a look: of a workload also those of its images, of a namespace what is in it and
// runs in it, of a cluster everything.
func onAsset(looking, where sqlText, kind ledger.AssetKind) sqlText {
	const counts = "n4, n3, n2, n1, n0"
	on := map[ledger.AssetKind]string{
		ledger.AssetCluster:  "SELECT a.id AS asset, " + counts + " FROM g JOIN assets AS a ON a.kind = 1 AND a.target_id = g.target_id",
		ledger.AssetWorkload: "SELECT asset_id AS asset, " + counts + " FROM g UNION ALL SELECT u.workload_id, " + counts + " FROM g JOIN asset_uses AS u ON u.image_id = g.asset_id",
		ledger.AssetNamespace: "SELECT a.id AS asset, " + counts + " FROM (SELECT target_id, namespace, " + counts + " FROM g WHERE namespace <> ''" +
			" UNION ALL SELECT u.target_id, u.namespace, " + counts + " FROM (SELECT DISTINCT u.image_id, u.target_id, u.namespace FROM (SELECT DISTINCT asset_id FROM g) AS i CROSS JOIN asset_uses AS u WHERE u.image_id = i.asset_id) AS u" +
			" JOIN g ON g.asset_id = u.image_id) AS n" +
			" JOIN assets AS a ON a.target_id = n.target_id AND a.kind = 2 AND a.group_kind = '' AND a.namespace = n.namespace AND a.name = n.namespace",
	}[kind]
	if on == "" {
		on = "SELECT asset_id AS asset, " + counts + " FROM g"
	}
	from := text("(")
	from.append(looking)
	from.add(", g AS MATERIALIZED (SELECT asset_id, target_id, namespace")
	sums := ""
	for i := 4; i >= 0; i-- {
		from.add(fmt.Sprintf(", sum(CASE WHEN severity = %d THEN 1 ELSE 0 END) AS n%d", i, i))
		sums += fmt.Sprintf(", sum(n%d) AS n%d", i, i)
	}
	from.add(" FROM r GROUP BY asset_id, target_id, namespace), h AS MATERIALIZED (SELECT asset" + sums + " FROM (" + on + ") AS p GROUP BY asset)" +
		" SELECT " + assetIdentity + ", critical, high, medium, low, info, " + assetScore + " AS score FROM (SELECT " + assetIdentity +
		", n4 AS critical, n3 AS high, n2 AS medium, n1 AS low, n0 AS info FROM h CROSS JOIN assets WHERE id = h.asset AND ")
	from.append(where)
	from.add(") AS l) AS assets WHERE id > 0")
	return from
}
