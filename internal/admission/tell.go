package admission

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

// How often people are told of one cluster.
const (
	tellEvery   = 5 * time.Minute // of events that are new
	digestEvery = time.Hour       // of those that go on
	tellWait    = 10 * time.Minute
	mostTold    = 2000
)

// Tell writes messages about what was blocked and what came in unchecked: the first of each group soon, what follows as a summary by
// the hour. A duty of the leader.
func (s *Service) Tell(ctx context.Context) error {
	var targets []struct {
		ID     int64      `bun:"target_id"`
		Digest store.Time `bun:"digest_at"`
		Told   store.Time `bun:"told_at"`
	}
	err := s.db.R.NewRaw(`SELECT l.target_id, l.digest_at, l.told_at FROM admission_logs l JOIN targets t ON t.id = l.target_id WHERE t.removed_at = 0 ORDER BY 1`).Scan(ctx, &targets)
	if err != nil {
		return err
	}
	var errs []error
	now := s.now()
	for _, t := range targets {
		if now.Sub(t.Told.Time) >= tellEvery {
			errs = append(errs, s.tellNew(ctx, t.ID, now))
		}
		if now.Sub(t.Digest.Time) >= digestEvery {
			errs = append(errs, s.tellMore(ctx, t.ID, t.Digest, now))
		}
		errs = append(errs, s.tellUnchecked(ctx, t.ID, now))
	}
	return errors.Join(errs...)
}

// message is the message about events, the worst first.
func message(list []Event, now time.Time) outbox.Protection {
	m := outbox.Protection{At: store.At(now), Total: len(list)}
	for i := range list {
		e := &list[i]
		m.Requests += e.Hits - e.ToldHits
		if len(m.Groups) < outbox.MostGroups {
			m.Groups = append(m.Groups, outbox.ProtectionGroup{ID: e.ID, Severity: e.Severity, Rule: e.Rule, Title: e.TitleEN, TitleZH: e.TitleZH, Policy: e.PolicyName,
				Namespace: e.Namespace, Owner: e.OwnerKind + " " + e.OwnerName, Image: e.Image, Requests: e.Hits - e.ToldHits})
		}
	}
	return m
}

// tellNew tells of events that nobody was told of.
func (s *Service) tellNew(ctx context.Context, target int64, now time.Time) error {
	n, err := s.db.R.NewSelect().Table("admission_events").Where("target_id = ? AND told_at = 0 AND kind = ? AND state = ?", target, int64(Blocked), int64(Unhandled)).Limit(1).Count(ctx)
	if err != nil || n == 0 {
		return err
	}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.lock(ctx, tx, target); err != nil {
			return err
		}
		var list []Event
		err := tx.NewSelect().Model(&list).ExcludeColumn("detail").Where("target_id = ? AND told_at = 0 AND kind = ? AND state = ?", target, int64(Blocked), int64(Unhandled)).
			OrderExpr("severity DESC, hits DESC, id").Limit(mostTold).Scan(ctx)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := told(ctx, tx, list, now); err != nil {
			return err
		}
		if _, err := tx.NewRaw("UPDATE admission_logs SET told_at = ? WHERE target_id = ?", store.At(now), target).Exec(ctx); err != nil {
			return err
		}
		return outbox.Put(ctx, tx, outbox.ProtectionBlocked, target, message(list, now))
	})
}

func told(ctx context.Context, tx bun.Tx, list []Event, now time.Time) error {
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	for chunk := range chunks(ids, 500) {
		if _, err := tx.NewRaw("UPDATE admission_events SET told_at = ?, told_hits = hits WHERE id IN (?)", store.At(now), bun.List(chunk)).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tellMore sums up what went on of events that were told of.
func (s *Service) tellMore(ctx context.Context, target int64, since store.Time, now time.Time) error {
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.lock(ctx, tx, target); err != nil {
			return err
		}
		var list []Event
		err := tx.NewSelect().Model(&list).ExcludeColumn("detail").Where("target_id = ? AND last_at >= ? AND kind = ? AND state = ? AND told_at <> 0 AND hits > told_hits",
			target, since, int64(Blocked), int64(Unhandled)).OrderExpr("severity DESC, hits - told_hits DESC, id").Limit(mostTold).Scan(ctx)
		if err != nil {
			return err
		}
		if len(list) > 0 && !since.IsZero() {
			m := message(list, now)
			m.Digest = true
			if err := outbox.Put(ctx, tx, outbox.ProtectionBlocked, target, m); err != nil {
				return err
			}
			if err := told(ctx, tx, list, now); err != nil {
				return err
			}
		}
		_, err = tx.NewRaw("UPDATE admission_logs SET digest_at = ? WHERE target_id = ?", store.At(now), target).Exec(ctx)
		return err
	})
}

// tellUnchecked tells of unchecked admissions when they are judged, or could not be for some time.
func (s *Service) tellUnchecked(ctx context.Context, target int64, now time.Time) error {
	var n int
	err := s.db.R.NewRaw("SELECT count(*) FROM (SELECT 1 FROM admission_unchecked WHERE target_id = ? AND told_at = 0 AND (state <> 1 OR found_at < ?) LIMIT 1) x", target, store.At(now.Add(-tellWait))).Scan(ctx, &n)
	if err != nil || n == 0 {
		return err
	}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.lock(ctx, tx, target); err != nil {
			return err
		}
		var list []Entry
		err := tx.NewSelect().Model(&list).Where("target_id = ? AND told_at = 0 AND (state <> 1 OR found_at < ?)", target, store.At(now.Add(-tellWait))).
			OrderExpr("CASE WHEN state = 3 THEN 0 ELSE 1 END, id").Limit(mostTold).Scan(ctx)
		if err != nil || len(list) == 0 {
			return err
		}
		m := outbox.Protection{At: store.At(now), Total: len(list)}
		ids := make([]int64, len(list))
		for i := range list {
			e := &list[i]
			ids[i] = e.ID
			m.Requests += e.Hits
			g := outbox.ProtectionGroup{ID: e.ID, Severity: ledger.SeverityOf("medium"), Rule: e.Reason.String(), Title: e.Reason.Text().EN, TitleZH: e.Reason.Text().ZH, Namespace: e.Namespace,
				Owner: e.Kind + " " + e.Name, Requests: e.Hits}
			if e.State == Bad {
				m.Bad++
				g.Severity = ledger.SeverityOf("high")
			}
			if len(m.Groups) < outbox.MostGroups {
				m.Groups = append(m.Groups, g)
			}
		}
		for chunk := range chunks(ids, 500) {
			if _, err := tx.NewRaw("UPDATE admission_unchecked SET told_at = ? WHERE id IN (?)", store.At(now), bun.List(chunk)).Exec(ctx); err != nil {
				return err
			}
		}
		return outbox.Put(ctx, tx, outbox.ProtectionUnchecked, target, m)
	})
}
