package triage

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// clauseKey names a clause of a target.
type clauseKey struct{ framework, clause string }

// clauseRow is the rest of its row.
type clauseRow struct {
	status, body      string
	findings, ordinal int
}

// tally is how many clauses of a framework have which verdict.
type tally struct{ pass, fail, manual, notApplicable int }

func (t *tally) add(status finding.ClauseStatus) {
	switch status {
	case finding.Pass:
		t.pass++
	case finding.Fail:
		t.fail++
	case finding.Manual:
		t.manual++
	default:
		t.notApplicable++
	}
}

// replaceClauses writes the verdicts of the frameworks that the run judged, where they changed. A full run takes away those that
// it did not judge.
func (in *Ingest) replaceClauses(ctx context.Context, tx bun.Tx, at store.Time) error {
	if !in.r.whole() || len(in.r.Kinds) > 0 && len(in.clauses) == 0 {
		return nil
	}
	old := map[clauseKey]clauseRow{}
	err := query(ctx, tx, func(rows *sql.Rows) error {
		var k clauseKey
		var v clauseRow
		err := rows.Scan(&k.framework, &k.clause, &v.status, &v.body, &v.findings, &v.ordinal)
		old[k] = v
		return err
	}, "SELECT framework, clause, status, body, findings, ordinal FROM clauses WHERE target_id = ?", in.r.Target)
	if err != nil {
		return err
	}
	judged, places := map[string]*tally{}, map[string]int{}
	b := bulk{head: "INSERT INTO clauses (target_id, framework, clause, ordinal, status, findings, body, updated_at) VALUES ", columns: 8,
		tail: ` ON CONFLICT (target_id, framework, clause) DO UPDATE SET ordinal = excluded.ordinal, status = excluded.status, findings = excluded.findings,
			body = excluded.body, updated_at = CASE WHEN clauses.status = excluded.status THEN clauses.updated_at ELSE excluded.updated_at END`}
	done := map[clauseKey]bool{}
	for _, c := range in.clauses {
		k := clauseKey{clean(c.Framework), clean(c.Clause)}
		if done[k] {
			continue
		}
		done[k] = true
		if judged[k.framework] == nil {
			judged[k.framework] = &tally{}
		}
		judged[k.framework].add(c.Status)
		places[k.framework]++
		v := clauseRow{string(c.Status), ledger.JSON(ledger.Verdict{Title: c.Title, Reason: c.Reason}), len(c.Findings), places[k.framework]}
		if old[k] != v {
			b.row(in.r.Target, k.framework, k.clause, v.ordinal, v.status, v.findings, v.body, at.UnixMilli())
		}
	}
	if err := in.t.exec(ctx, tx, &b, nil); err != nil {
		return err
	}
	for k := range old {
		if done[k] || judged[k.framework] == nil && len(in.r.Kinds) > 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM clauses WHERE target_id = ? AND framework = ? AND clause = ?", in.r.Target, k.framework, k.clause); err != nil {
			return err
		}
	}
	return in.countClauses(ctx, tx, at, judged)
}

// countClauses notes when the frameworks were judged and how many clauses had which verdict, and that of the day where it changed.
func (in *Ingest) countClauses(ctx context.Context, tx bun.Tx, at store.Time, judged map[string]*tally) error {
	old := map[string]tally{}
	err := query(ctx, tx, func(rows *sql.Rows) error {
		var framework string
		var t tally
		err := rows.Scan(&framework, &t.pass, &t.fail, &t.manual, &t.notApplicable)
		old[framework] = t
		return err
	}, "SELECT framework, pass, fail, manual, not_applicable FROM judged WHERE target_id = ?", in.r.Target)
	if err != nil {
		return err
	}
	now := bulk{head: "INSERT INTO judged (target_id, framework, at, run_id, pass, fail, manual, not_applicable) VALUES ", columns: 8,
		tail: " ON CONFLICT (target_id, framework) DO UPDATE SET at = excluded.at, run_id = excluded.run_id, pass = excluded.pass, fail = excluded.fail, manual = excluded.manual, not_applicable = excluded.not_applicable"}
	days := bulk{head: "INSERT INTO judged_days (target_id, framework, day, pass, fail, manual, not_applicable) VALUES ", columns: 7,
		tail: " ON CONFLICT (framework, target_id, day) DO UPDATE SET pass = excluded.pass, fail = excluded.fail, manual = excluded.manual, not_applicable = excluded.not_applicable"}
	day := at.Unix() / 86400
	for framework, t := range judged {
		now.row(in.r.Target, framework, at.UnixMilli(), in.run.ID, t.pass, t.fail, t.manual, t.notApplicable)
		if before, ok := old[framework]; !ok || before != *t {
			days.row(in.r.Target, framework, day, t.pass, t.fail, t.manual, t.notApplicable)
		}
	}
	for framework := range old { // no verdicts any more: the trend ends with none
		if judged[framework] != nil || len(in.r.Kinds) > 0 {
			continue
		}
		days.row(in.r.Target, framework, day, 0, 0, 0, 0)
		if _, err := tx.ExecContext(ctx, "DELETE FROM judged WHERE target_id = ? AND framework = ?", in.r.Target, framework); err != nil {
			return err
		}
	}
	if err := in.t.exec(ctx, tx, &now, nil); err != nil {
		return err
	}
	return in.t.exec(ctx, tx, &days, nil)
}
