package verdict

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// maxWanted bounds the images that wait for their task; those that do not fit are asked for again when they are due.
const maxWanted = 20_000

// want has an image scanned, together with others that are wanted at the same time.
func (s *Service) want(img task.Image) {
	s.mu.Lock()
	if len(s.wanted) < maxWanted {
		s.wanted = append(s.wanted, img)
	}
	s.mu.Unlock()
	s.wake()
}

// scanWanted makes a task of what is wanted: one for each cluster.
func (s *Service) scanWanted(ctx context.Context) error {
	s.mu.Lock()
	wanted := s.wanted
	s.wanted = nil
	s.mu.Unlock()
	if len(wanted) == 0 {
		return nil
	}
	by := map[int64][]task.Image{}
	seen := map[string]bool{}
	for _, img := range wanted {
		if key := fmt.Sprint(img.Target, " ", img.Digest); !seen[key] {
			seen[key] = true
			by[img.Target] = append(by[img.Target], img)
		}
	}
	ctx = identity.With(ctx, identity.System)
	var errs []error
	for _, list := range by {
		for part := range slices.Chunk(list, 1000) {
			_, err := s.o.Tasks.Create(ctx, task.Request{Origin: task.Admission, Scope: task.Scope{Images: part}})
			if err != nil && !task.Busy(err) && !gone(err) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Keep makes verdicts anew that policies, exceptions, the advisory database, new inventories or time have changed: as much of it as
// fits into some seconds, the rest the next time. One process does so at a time.
func (s *Service) Keep(ctx context.Context) error {
	ends := time.Now().Add(s.scale.budget)
	var errs []error
	for _, step := range []func(context.Context, time.Time) (bool, error){s.keepTurned, s.keepDue, s.keepRounds, s.keepFacts, s.keepBounds} {
		more, err := step(ctx, ends)
		errs = append(errs, err)
		if more && err == nil {
			s.wake()
		}
	}
	return errors.Join(errs...)
}

// rejudge makes the verdicts of rows of one cluster anew. facts says that the images may have changed, not the policies.
func (s *Service) rejudge(ctx context.Context, target int64, rows []row, facts bool) error {
	return meanwhile(func() error { return s.rejudgeBy(ctx, target, rows, facts) })
}

func (s *Service) rejudgeBy(ctx context.Context, target int64, rows []row, facts bool) error {
	l, err := s.lensOf(ctx, target)
	if err != nil {
		return err
	}
	c, err := s.cluster(ctx, l)
	if err != nil {
		return err
	}
	list := make([]*asked, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		ref, err := policy.ParseReference(r.Reference)
		if err != nil {
			return fmt.Errorf("verdict %d: %w", r.ID, err)
		}
		a := &asked{ref: ref, image: r.image(), row: r, digest: r.Digest, resolved: r.Resolved.Time, tries: r.Tries, facts: facts}
		list = append(list, a)
	}
	wait, cancel := context.WithTimeout(ctx, 2*s.scale.budget)
	defer cancel()
	s.resolveLost(wait, target, list)
	if err := s.judge(ctx, wait, l, c, list); err != nil {
		return err
	}
	return s.save(ctx, l, c, list)
}

// resolveLost looks up names that could not be looked up before.
func (s *Service) resolveLost(ctx context.Context, target int64, list []*asked) {
	var lost []*asked
	for _, a := range list {
		if a.digest == "" {
			lost = append(lost, a)
		}
	}
	s.resolveAll(ctx, target, lost)
}

// byTarget parts rows by cluster.
func byTarget(rows []row) map[int64][]row {
	out := map[int64][]row{}
	for _, r := range rows {
		out[r.TargetID] = append(out[r.TargetID], r)
	}
	return out
}

// again makes the verdicts of rows anew, cluster by cluster. Rows of clusters that are gone are dropped.
func (s *Service) again(ctx context.Context, rows []row, facts bool) error {
	var errs []error
	for target, list := range byTarget(rows) {
		err := s.rejudge(ctx, target, list, facts)
		if gone(err) {
			err = s.forget(ctx, target)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cluster %d: %w", target, err))
			// What fails again and again must not keep the others waiting.
			ids := make([]int64, len(list))
			for i := range list {
				ids[i] = list[i].ID
			}
			errs = append(errs, s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewRaw("UPDATE verdicts SET due_at = ? WHERE id IN (?) AND due_at > 0", store.At(s.o.Now().Add(time.Minute)), in(ids)).Exec(ctx)
				return err
			}))
		}
	}
	return errors.Join(errs...)
}

// forget drops what a cluster asked that is gone.
func (s *Service) forget(ctx context.Context, target int64) error {
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		for _, q := range []string{"DELETE FROM verdicts WHERE target_id = ?", "DELETE FROM verdict_clusters WHERE target_id = ?"} {
			if _, err := tx.NewRaw(q, target).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// keepDue looks at images whose time has come: scans that may have ended, tries to repeat, dates that have passed.
func (s *Service) keepDue(ctx context.Context, ends time.Time) (more bool, err error) {
	for time.Now().Before(ends) {
		var rows []row
		err := s.db.R.NewSelect().Model(&rows).Where("due_at > 0 AND due_at <= ?", store.At(s.o.Now())).Order("due_at").Limit(int64(s.scale.page)).Scan(ctx)
		if err != nil || len(rows) == 0 {
			return false, err
		}
		if err := s.again(ctx, rows, true); err != nil {
			return false, err
		}
		if len(rows) < s.scale.page {
			return false, nil
		}
	}
	return true, nil
}

// keepRounds notices other bundles, and goes through the images of their clusters.
func (s *Service) keepRounds(ctx context.Context, ends time.Time) (more bool, err error) {
	var clusters []clusterRow
	if err := s.db.R.NewSelect().Model(&clusters).Order("target_id").Scan(ctx); err != nil {
		return false, err
	}
	var errs []error
	for i := range clusters {
		unfinished, err := s.round(ctx, clusters[i].TargetID, ends)
		if gone(err) {
			err = s.forget(ctx, clusters[i].TargetID)
		}
		more = more || unfinished
		errs = append(errs, err)
	}
	return more, errors.Join(errs...)
}

func (s *Service) round(ctx context.Context, target int64, ends time.Time) (more bool, err error) {
	for {
		l, err := s.lensOf(ctx, target)
		if err != nil {
			return false, err
		}
		c, err := s.cluster(ctx, l)
		if err != nil || c.Done >= all {
			return false, err
		}
		if !time.Now().Before(ends) {
			return true, nil
		}
		var rows []row
		if err := s.db.R.NewSelect().Model(&rows).Where("target_id = ? AND id > ? AND round <> ?", target, c.Done, c.Round).Order("id").Limit(int64(s.scale.page)).Scan(ctx); err != nil {
			return false, err
		}
		done := all
		if len(rows) > 0 {
			done = rows[len(rows)-1].ID
			if err := s.rejudge(ctx, target, rows, false); err != nil {
				return false, err
			}
		}
		err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("UPDATE verdict_clusters SET done = ? WHERE target_id = ? AND round = ? AND done = ?", done, target, c.Round, c.Done).Exec(ctx)
			return err
		})
		if err != nil {
			return false, err
		}
	}
}

// manyFacts is how many images are matched anew and then written together.
const manyFacts = 100

// staleFacts are facts of an image by another database or other rules.
type staleFacts struct {
	Digest string
	Asked  bool
}

// keepFacts matches images anew that clusters asked about, when the advisory database or the rules are others. Verdicts before stay
// until then.
func (s *Service) keepFacts(ctx context.Context, ends time.Time) (more bool, err error) {
	stamp, err := s.o.Tasks.Stamp()
	if err != nil {
		return false, err
	}
	for time.Now().Before(ends) {
		var rows []staleFacts
		err := s.db.R.NewRaw(`SELECT f.digest, EXISTS (SELECT 1 FROM verdicts v WHERE v.manifest = f.digest AND v.manifest <> '') AS asked FROM verdict_facts f
			WHERE f.stamp < ? OR f.stamp > ? LIMIT ?`, stamp, stamp, manyFacts).Scan(ctx, &rows)
		if err != nil || len(rows) == 0 {
			return false, err
		}
		if err := s.rematch(ctx, rows, stamp, ends); err != nil {
			return false, err
		}
		if len(rows) < manyFacts {
			return false, nil
		}
	}
	return true, nil
}

// rematch makes facts of images anew, and the verdicts that stand on them; those that nobody asks about are dropped until somebody
// does. What is not begun at ends is left for the next time.
func (s *Service) rematch(ctx context.Context, list []staleFacts, stamp string, ends time.Time) error {
	found, errs := make([]*matched, len(list)), make([]error, len(list))
	var group sync.WaitGroup
	limit := make(chan struct{}, cap(s.match))
	for i, r := range list {
		if i > 0 && !time.Now().Before(ends) {
			break
		}
		if !r.Asked {
			errs[i] = store.ErrNotFound
			continue
		}
		limit <- struct{}{}
		group.Go(func() {
			defer func() { <-limit }()
			found[i], errs[i] = s.find(ctx, r.Digest)
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	var dropped, same []string
	for i, err := range errs {
		if gone(err) {
			dropped = append(dropped, list[i].Digest)
		} else if err != nil { // one that cannot be matched keeps what is known, and the others do not wait for it
			s.log.Warn("an image cannot be matched anew", "digest", list[i].Digest, "error", err)
			same = append(same, list[i].Digest)
		}
	}
	found = slices.DeleteFunc(found, func(m *matched) bool { return m == nil })
	var changed []string
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		if changed, err = keepFound(ctx, tx, found); err == nil && len(changed) > 0 { // should this process end now, they are still due
			_, err = tx.NewRaw("UPDATE verdicts SET due_at = ? WHERE manifest IN (?) AND manifest <> ''", store.At(s.o.Now()), in(changed)).Exec(ctx)
		}
		if err == nil && len(dropped) > 0 {
			_, err = tx.NewRaw("DELETE FROM verdict_facts WHERE digest IN (?)", in(dropped)).Exec(ctx)
		}
		if err == nil && len(same) > 0 {
			_, err = tx.NewRaw("UPDATE verdict_facts SET stamp = ? WHERE digest IN (?)", stamp, in(same)).Exec(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range found {
		s.cacheFacts(m.known(), m.facts)
	}
	if len(changed) == 0 {
		return nil
	}
	var rows []row
	if err := s.db.R.NewSelect().Model(&rows).Where("manifest IN (?) AND manifest <> ''", in(changed)).Order("id").Limit(int64(10 * s.scale.page)).Scan(ctx); err != nil {
		return err
	}
	return s.again(ctx, rows, true)
}

// keepTurned tells of verdicts that became worse, until it was heard.
func (s *Service) keepTurned(ctx context.Context, ends time.Time) (more bool, err error) {
	const page = 100
	var rows []row
	if err := s.db.R.NewSelect().Model(&rows).Where("turned <> ''").Order("id").Limit(page).Scan(ctx); err != nil {
		return false, err
	}
	for i := range rows {
		if !time.Now().Before(ends) {
			return true, nil
		}
		r := &rows[i]
		is, err := r.verdict()
		var was policy.ImageVerdict
		if err == nil {
			err = json.Unmarshal([]byte(r.Turned), &was)
		}
		if err == nil && s.o.Turned != nil {
			if err := s.o.Turned(ctx, r.TargetID, &was, &is); err != nil && !gone(err) {
				return false, fmt.Errorf("telling that the verdict on %s turned: %w", r.Reference, err)
			}
		}
		err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("UPDATE verdicts SET turned = '' WHERE id = ? AND turned = ?", r.ID, r.Turned).Exec(ctx)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return len(rows) == page, nil
}

// dropSignatures drops the signatures checked before a time, of images that nobody asks about.
const dropSignatures = "DELETE FROM verdict_signatures WHERE checked_at < ? AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.digest = verdict_signatures.digest AND v.digest <> '')"

// keepBounds drops, once an hour, the images of a cluster that were not asked about for longest when there are too many, and
// signatures that nobody needs.
func (s *Service) keepBounds(ctx context.Context, _ time.Time) (bool, error) {
	now := s.o.Now()
	if now.Sub(s.trimmed) < time.Hour && !now.Before(s.trimmed) {
		return false, nil
	}
	s.trimmed = now
	var counts []struct {
		TargetID int64
		N        int
	}
	if err := s.db.R.NewRaw("SELECT target_id, count(*) AS n FROM verdicts GROUP BY target_id HAVING count(*) > ?", s.o.Most).Scan(ctx, &counts); err != nil {
		return false, err
	}
	for _, c := range counts {
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			if _, err := tx.NewRaw("DELETE FROM verdicts WHERE id IN (SELECT id FROM verdicts WHERE target_id = ? ORDER BY asked_at, id LIMIT ?)", c.TargetID, c.N-s.o.Most).Exec(ctx); err != nil {
				return err
			}
			floor, err := count(ctx, tx, 1)
			if err != nil {
				return err
			}
			_, err = tx.NewRaw("UPDATE verdict_clusters SET floor = ? WHERE target_id = ?", floor, c.TargetID).Exec(ctx)
			return err
		})
		if err != nil {
			return false, err
		}
		s.log.Warn("a cluster asked about more images than are remembered", "cluster", c.TargetID, "images", c.N, "kept", s.o.Most)
	}
	return false, s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(dropSignatures, store.At(now.AddDate(0, 0, -30))).Exec(ctx)
		return err
	})
}

func imageOf(ref policy.Reference, namespace string, secrets []string) protocol.Image {
	return protocol.Image{Reference: ref.String(), Namespace: namespace, PullSecrets: secrets}
}
