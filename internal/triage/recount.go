package triage

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
)

// tallyOf reads the kept counters of a target: counts by namespace and risks with active findings.
func tallyOf(ctx context.Context, tx bun.IDB, target int64) (*deltas, error) {
	d := newDeltas()
	err := query(ctx, tx, func(rows *sql.Rows) error {
		c := cell{target: target}
		var n int
		err := rows.Scan(&c.namespace, &c.kind, &c.severity, &c.status, &n)
		d.counts[c] = n
		return err
	}, "SELECT namespace, kind, severity, status, n FROM counts WHERE target_id = ? AND namespace <> '*' AND n <> 0", target)
	if err != nil {
		return nil, err
	}
	return d, query(ctx, tx, func(rows *sql.Rows) error {
		c := riskCell{target: target}
		var n int
		err := rows.Scan(&c.risk, &n)
		d.risks[c] = n
		return err
	}, "SELECT risk_id, active FROM risk_counts WHERE target_id = ? AND active <> 0", target)
}

// figures are all counters by name, with the SQL that repairs each.
type figures map[string]int64

// Recount counts everything from the rows and compares it with the counters, which normally nobody does. It returns what differs
// as "counter: kept, counted"; nil when all is right. With repair it writes the right values, in the same transaction, which
// keeps all others from changing findings meanwhile.
func (t *Triage) Recount(ctx context.Context, repair bool) ([]string, error) {
	var out []string
	err := t.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		out = nil
		if t.db.Postgres() {
			if _, err := tx.ExecContext(ctx, "LOCK TABLE targets IN EXCLUSIVE MODE"); err != nil {
				return err
			}
		}
		kept, err := keptFigures(ctx, tx)
		if err != nil {
			return err
		}
		counted, err := countedFigures(ctx, tx)
		if err != nil {
			return err
		}
		names := map[string]bool{}
		for n := range kept {
			names[n] = true
		}
		for n := range counted {
			names[n] = true
		}
		for _, n := range slices.Sorted(maps.Keys(names)) {
			if kept[n] != counted[n] {
				out = append(out, fmt.Sprintf("%s: %d, %d", n, kept[n], counted[n]))
			}
		}
		if repair && len(out) > 0 {
			return t.repair(ctx, tx)
		}
		return nil
	})
	return out, err
}

// countedFigures counts from the rows.
func countedFigures(ctx context.Context, tx bun.Tx) (figures, error) {
	f := figures{}
	for _, s := range []struct{ form, text string }{
		{"counts %d %s %d %d %d", wantCounts},
		{"risk %d %d", wantRisks},
		{"risk targets %d", "SELECT w.risk_id, w.targets FROM (" + wantRiskTargets + ") AS w"},
		{"risk severity %d %d", "SELECT c.target_id, c.risk_id, r.severity + 1 FROM risk_counts c JOIN risks r ON r.id = c.risk_id"},
		{"asset %d severity %d", wantAssets},
	} {
		if err := f.read(ctx, tx, s.form, s.text); err != nil {
			return nil, err
		}
	}
	return f, f.scores(ctx, tx)
}

// keptFigures reads the counters.
func keptFigures(ctx context.Context, tx bun.Tx) (figures, error) {
	f := figures{}
	for _, s := range []struct{ form, text string }{
		{"counts %d %s %d %d %d", "SELECT target_id, namespace, kind, severity, status, n FROM counts"},
		{"risk %d %d", "SELECT target_id, risk_id, active FROM risk_counts"},
		{"risk targets %d", "SELECT risk_id, targets FROM risk_counts WHERE target_id = 0"},
		{"risk severity %d %d", "SELECT target_id, risk_id, severity + 1 FROM risk_counts"},
		{"asset %d severity %d", `SELECT id, 4, critical FROM assets UNION ALL SELECT id, 3, high FROM assets UNION ALL SELECT id, 2, medium FROM assets
			UNION ALL SELECT id, 1, low FROM assets UNION ALL SELECT id, 0, info FROM assets`},
		{"asset %d score", "SELECT id, score FROM assets"},
	} {
		if err := f.read(ctx, tx, s.form, s.text); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// read adds the rows of a query: the last column is the figure, the others name it.
func (f figures) read(ctx context.Context, tx bun.Tx, form, text string) error {
	return query(ctx, tx, func(rows *sql.Rows) error {
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		values, at := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			at[i] = &values[i]
		}
		if err := rows.Scan(at...); err != nil {
			return err
		}
		for i := range values {
			if b, ok := values[i].([]byte); ok {
				values[i] = string(b)
			}
		}
		last := len(values) - 1
		n, ok := values[last].(int64)
		if !ok {
			return fmt.Errorf("a figure of type %T", values[last])
		}
		if n != 0 {
			f[fmt.Sprintf(form, values[:last]...)] += n
		}
		return nil
	}, text)
}

// scores adds what the counters of assets give.
func (f figures) scores(ctx context.Context, tx bun.Tx) error {
	return query(ctx, tx, func(rows *sql.Rows) error {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		n := func(severity int) int { return int(f[fmt.Sprintf("asset %d severity %d", id, severity)]) }
		if s := ledger.Score(n(4), n(3), n(2), n(1)); s != 0 {
			f[fmt.Sprintf("asset %d score", id)] = s
		}
		return nil
	}, "SELECT id FROM assets")
}

// What the counters shall be. Removed targets count nothing, but their assets keep what they had.
const (
	live            = "FROM findings f JOIN targets t ON t.id = f.target_id AND t.removed_at = 0"
	wantCounts      = "SELECT f.target_id, f.namespace, f.kind, f.severity, f.status, count(*) " + live + " GROUP BY 1, 2, 3, 4, 5 UNION ALL " + "SELECT f.target_id, '*', f.kind, f.severity, f.status, count(*) " + live + " GROUP BY 1, 2, 3, 4, 5 UNION ALL " + "SELECT 0, f.namespace, f.kind, f.severity, f.status, count(*) " + live + " GROUP BY 1, 2, 3, 4, 5 UNION ALL " + "SELECT 0, '*', f.kind, f.severity, f.status, count(*) " + live + " GROUP BY 1, 2, 3, 4, 5"
	wantRisks       = "SELECT f.target_id, f.risk_id, count(*) " + live + " WHERE f.status <= 3 GROUP BY 1, 2 UNION ALL SELECT 0, f.risk_id, count(*) " + live + " WHERE f.status <= 3 GROUP BY 1, 2"
	wantRiskTargets = "SELECT f.risk_id AS risk_id, count(DISTINCT f.target_id) AS targets " + live + " WHERE f.status <= 3 GROUP BY f.risk_id"
	wantAssets      = `SELECT f.asset_id, f.severity, count(*) FROM findings f JOIN assets a ON a.id = f.asset_id AND a.kind NOT IN (1, 2) WHERE f.status <= 3 GROUP BY 1, 2
		UNION ALL SELECT u.workload_id, f.severity, count(*) FROM asset_uses u JOIN findings f ON f.asset_id = u.image_id AND f.status <= 3 GROUP BY 1, 2
		UNION ALL SELECT a.id, f.severity, count(*) FROM assets a JOIN findings f ON f.target_id = a.target_id AND f.namespace = a.namespace AND f.status <= 3
			WHERE a.kind = 2 GROUP BY 1, 2
		UNION ALL SELECT a.id, f.severity, count(*) FROM assets a JOIN (SELECT DISTINCT target_id, image_id, namespace FROM asset_uses) u
			ON u.target_id = a.target_id AND u.namespace = a.namespace JOIN findings f ON f.asset_id = u.image_id AND f.status <= 3 WHERE a.kind = 2 GROUP BY 1, 2
		UNION ALL SELECT a.id, f.severity, count(*) FROM assets a JOIN findings f ON f.target_id = a.target_id AND f.status <= 3 WHERE a.kind = 1 GROUP BY 1, 2`
)

// repair writes all counters anew.
func (t *Triage) repair(ctx context.Context, tx bun.Tx) error {
	for _, text := range []string{
		"DELETE FROM counts",
		"INSERT INTO counts (target_id, namespace, kind, severity, status, n) " + wantCounts,
		"DELETE FROM risk_counts",
		`INSERT INTO risk_counts (target_id, risk_id, active, targets, kind, severity, rule)
			SELECT w.target_id, w.risk_id, w.n, CASE WHEN w.target_id = 0 THEN x.targets ELSE 0 END, r.kind, r.severity, r.rule
			FROM (` + "SELECT f.target_id AS target_id, f.risk_id AS risk_id, count(*) AS n " + live + " WHERE f.status <= 3 GROUP BY f.target_id, f.risk_id UNION ALL SELECT 0, f.risk_id, count(*) " + live + " WHERE f.status <= 3 GROUP BY f.risk_id" + `) AS w
			JOIN risks r ON r.id = w.risk_id JOIN (` + wantRiskTargets + `) AS x ON x.risk_id = w.risk_id`,
		"UPDATE assets SET critical = 0, high = 0, medium = 0, low = 0, info = 0, score = 0 WHERE critical + high + medium + low + info + score <> 0",
	} {
		if _, err := tx.Tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	sums := map[int64]bySeverity{}
	err := query(ctx, tx, func(rows *sql.Rows) error {
		var id int64
		var severity, n int
		if err := rows.Scan(&id, &severity, &n); err != nil {
			return err
		}
		sum := sums[id]
		sum[severity] += n
		sums[id] = sum
		return nil
	}, wantAssets)
	if err != nil {
		return err
	}
	if err := t.addAssets(ctx, tx, sums); err != nil {
		return err
	}
	days := map[dayCell]flow{}
	err = query(ctx, tx, func(rows *sql.Rows) error {
		var c dayCell
		err := rows.Scan(&c.target, &c.kind, &c.severity)
		days[c] = flow{}
		return err
	}, "SELECT DISTINCT target_id, kind, severity FROM counts WHERE namespace = '*'")
	if err != nil {
		return err
	}
	return t.applyDays(ctx, tx, days, t.now())
}
