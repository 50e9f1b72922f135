package triage

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

// finish replaces gaps and clauses, closes the run and tells of it, in one transaction.
func (in *Ingest) finish(finishedAt store.Time, stats finding.Stats) error {
	run := in.run
	run.FinishedAt, run.Stats = finishedAt, ledger.JSON(stats)
	err := in.t.db.Write(in.ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := in.lock(ctx, tx); err != nil {
			return err
		}
		if err := in.replaceGaps(ctx, tx); err != nil {
			return err
		}
		if err := in.replaceClauses(ctx, tx, finishedAt); err != nil {
			return err
		}
		if in.r.Quiet && run.Added+run.Changed+run.Reopened+run.Fixed+run.Gone+run.Unseen == 0 {
			_, err := tx.NewDelete().Table("runs").Where("id = ?", run.ID).Exec(ctx)
			return err
		}
		if _, err := tx.NewUpdate().Model(&run).Column("finished_at", "stats", "added", "changed", "reopened", "fixed", "gone", "unseen", "unchanged").WherePK().Exec(ctx); err != nil {
			return err
		}
		if in.r.whole() {
			if err := in.looked(ctx, tx, finishedAt); err != nil {
				return err
			}
		}
		return in.t.tell(ctx, tx, in.r.Target, in.change)
	})
	if err == nil {
		in.run = run
	}
	return err
}

// looked notes the look at the whole target. One that asked for some kinds only does not make the others fresher; it counts when
// there was none before.
func (in *Ingest) looked(ctx context.Context, tx bun.Tx, at store.Time) error {
	q := tx.NewUpdate().Table("targets").Set("looked_at = ?", at).Set("run_id = ?", in.run.ID).Where("id = ?", in.r.Target)
	if len(in.r.Kinds) > 0 {
		q = q.Where("looked_at = 0")
	}
	_, err := q.Exec(ctx)
	return err
}

// tell writes the message about what changed, if anything did.
func (t *Triage) tell(ctx context.Context, tx bun.Tx, target int64, c ledger.Change) error {
	if len(c.Opened) == 0 && len(c.Reopened) == 0 && c.Closed == 0 {
		return nil
	}
	return outbox.Put(ctx, tx, outbox.FindingsChanged, target, c)
}

// replaceGaps writes what was not scanned in place of what the run before said. The same gap keeps the time of its first.
func (in *Ingest) replaceGaps(ctx context.Context, tx bun.Tx) error {
	part, ok := in.r.gapPart()
	if !ok {
		return nil
	}
	type key struct{ what, subject, code string }
	var old []ledger.Gap
	q := tx.NewSelect().Model(&old).Where("target_id = ?", in.r.Target).OrderExpr("id")
	all := part == "" && in.r.whole() && len(in.r.Kinds) == 0
	if !all { // a full run replaces those of all parts
		q = q.Where("part = ?", part)
	}
	if err := q.Scan(ctx); err != nil {
		return err
	}
	since := map[key]store.Time{}
	for _, g := range old {
		k := key{g.What, g.Subject, g.Code}
		if at, ok := since[k]; !ok || g.Since.Before(at.Time) {
			since[k] = g.Since
		}
	}
	done := map[ledger.Gap]bool{}
	b := bulk{head: "INSERT INTO gaps (target_id, part, what, subject, reason, code, since) VALUES ", columns: 7}
	for _, g := range in.gaps {
		g.Part = part
		if done[g] {
			continue
		}
		done[g] = true
		if at, ok := since[key{g.What, g.Subject, g.Code}]; ok {
			g.Since = at
		}
		b.row(g.TargetID, g.Part, g.What, g.Subject, g.Reason, g.Code, g.Since.UnixMilli())
	}
	del := tx.NewDelete().Table("gaps").Where("target_id = ?", in.r.Target)
	if !all {
		del = del.Where("part = ?", part)
	}
	if _, err := del.Exec(ctx); err != nil {
		return err
	}
	return in.t.exec(ctx, tx, &b, nil)
}

// broken is what stats holds of a run that broke off.
type broken struct {
	Aborted string `json:"aborted"`
}

// broke marks a run that ends before its End, and tells what it has found.
func (t *Triage) broke(ctx context.Context, tx bun.Tx, run *ledger.Run, reason string) error {
	c := ledger.Change{RunID: run.ID, At: run.StartedAt, Opened: map[ledger.Severity]int{}, Reopened: map[ledger.Severity]int{}}
	count := func(m map[ledger.Severity]int) func(rows *sql.Rows) error {
		return func(rows *sql.Rows) error {
			var s ledger.Severity
			var n int
			err := rows.Scan(&s, &n)
			m[s] = n
			return err
		}
	}
	if run.Added > 0 {
		err := query(ctx, tx, count(c.Opened), "SELECT severity, count(*) FROM findings WHERE target_id = ? AND first_seen = ? AND status = ? GROUP BY severity",
			run.TargetID, run.StartedAt, int(ledger.StatusOpen))
		if err != nil {
			return err
		}
	}
	active := int(ledger.StatusUnseen)
	err := query(ctx, tx, count(c.Reopened), `SELECT f.severity, count(*) FROM history h JOIN findings f ON f.id = h.finding_id
		WHERE h.run_id = ? AND h.before > ? AND h.after <= ? GROUP BY f.severity`, run.ID, active, active)
	if err != nil {
		return err
	}
	if err := tx.NewRaw("SELECT count(*) FROM history WHERE run_id = ? AND before <= ? AND after > ?", run.ID, active, active).Scan(ctx, &c.Closed); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE runs SET stats = ? WHERE id = ?", ledger.JSON(broken{clean(reason)}), run.ID); err != nil {
		return err
	}
	return t.tell(ctx, tx, run.TargetID, c)
}

// bury marks the runs of a target that the process did not survive.
func (t *Triage) bury(ctx context.Context, tx bun.Tx, target int64) error {
	var dead []ledger.Run
	err := tx.NewSelect().Model(&dead).Where("target_id = ?", target).Where("finished_at = 0").Where("stats = ''").OrderExpr("id").Scan(ctx)
	for i := range dead {
		if err == nil {
			err = t.broke(ctx, tx, &dead[i], "the server ended")
		}
	}
	return err
}
