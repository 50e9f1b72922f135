package admission

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// rowBytes is what a row of the log takes beside its body.
const rowBytes = 110

// Take keeps a batch of a cluster: its requests in the log, what they violated as events. A batch that was taken before is left alone.
func (s *Service) Take(ctx context.Context, target int64, b protocol.Batch) error {
	if b.ID == "" || len(b.ID) > 200 {
		return invalid("a batch with an id of %d characters", len(b.ID))
	}
	if len(b.Admissions) > maxBatch {
		return invalid("a batch of %d admissions: at most %d", len(b.Admissions), maxBatch)
	}
	began, now := time.Now(), s.now()
	limit, err := s.limitOf(ctx, target)
	if err != nil {
		return err
	}
	d := s.drafts(&b, now, !limit.full)
	groups := s.groups(target, d.list)
	s.named(ctx, groups)
	taken := false
	var committed func()
	var uses []imageUse
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		taken, committed, uses = false, func() {}, nil
		if err := s.lock(ctx, tx, target); err != nil {
			return err
		}
		r, err := tx.NewRaw("INSERT INTO admission_batches (target_id, batch, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", target, clean(b.ID, 200), store.At(now)).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return err
		}
		taken = true
		ids, added, done, err := s.keep(ctx, tx, target, d.parts, now)
		if err != nil {
			return err
		}
		committed = done
		size, err := s.write(ctx, tx, target, d.list, ids)
		if err != nil {
			return err
		}
		if err := s.happened(ctx, tx, target, groups, ids, now); err != nil {
			return err
		}
		if err := s.afterAll(ctx, tx, target, d.list); err != nil {
			return err
		}
		if err := s.unseen(ctx, tx, target, &b, d.list, now); err != nil {
			return err
		}
		if err := s.doubts(ctx, tx, target, d.list, now); err != nil {
			return err
		}
		if uses, err = s.used(ctx, tx, target, d.list, ids, now); err != nil {
			return err
		}
		return s.grew(ctx, tx, target, int64(len(d.list)), size, added, now)
	})
	if err != nil {
		return err
	}
	committed()
	for _, u := range uses {
		s.images.put(u, partUse{at: now})
	}
	if taken {
		s.metrics.took(d, b.Lost, time.Since(began))
		s.news(ctx, target)
	}
	return nil
}

// write puts requests into the log, and counts them by hour.
func (s *Service) write(ctx context.Context, tx bun.Tx, target int64, list []draft, ids map[hash]int64) (size int64, err error) {
	b := bulk{head: "INSERT INTO admissions (target_id, at, uid_key, generation, operation, outcome, what_id, who_id, object_id, body) VALUES ", columns: 10,
		args: make([]any, 0, 10*len(list))}
	type hourKey struct {
		hour      int64
		namespace string
		outcome   Outcome
	}
	hours := map[hourKey]int64{}
	for i := range list {
		d := &list[i]
		object := int64(0)
		if d.object != nil {
			object = ids[d.object.hash]
		}
		b.row(target, d.at.UnixMilli(), d.uidKey, d.generation, int64(d.operation), int64(d.outcome), ids[d.what], ids[d.who], object, d.body)
		size += int64(len(d.body)) + rowBytes
		hours[hourKey{hourOf(d.at), d.seen.Namespace, d.outcome}]++
	}
	if err := s.exec(ctx, tx, &b, nil); err != nil {
		return 0, err
	}
	h := bulk{head: "INSERT INTO admission_hours (target_id, hour, namespace, outcome, requests) VALUES ", columns: 5,
		tail: " ON CONFLICT (target_id, hour, namespace, outcome) DO UPDATE SET requests = admission_hours.requests + excluded.requests"}
	keys := slices.SortedFunc(maps.Keys(hours), func(a, b hourKey) int {
		return cmp.Or(cmp.Compare(a.hour, b.hour), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.outcome, b.outcome))
	})
	for _, k := range keys {
		h.row(target, k.hour, k.namespace, int64(k.outcome), hours[k])
	}
	return size, s.exec(ctx, tx, &h, nil)
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// grew counts what was added to the log.
func (s *Service) grew(ctx context.Context, tx bun.Tx, target, entries, size, added int64, now time.Time) error {
	_, err := tx.NewRaw(`INSERT INTO admission_logs (target_id, entries, entry_bytes, part_bytes, batch_at, heard_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (target_id) DO UPDATE SET entries = admission_logs.entries + excluded.entries, entry_bytes = admission_logs.entry_bytes + excluded.entry_bytes,
		part_bytes = admission_logs.part_bytes + excluded.part_bytes, batch_at = excluded.batch_at`,
		target, entries, size, added, store.At(now), store.At(now)).Exec(ctx)
	return err
}

// imageUse is whose pods asked for an image.
type imageUse struct {
	target                            int64
	reference, namespace, kind, owner string
}

// used notes whose pods asked for which images, for verdicts that turn bad later. What was noted within the hour is left alone.
func (s *Service) used(ctx context.Context, tx bun.Tx, target int64, list []draft, ids map[hash]int64, now time.Time) ([]imageUse, error) {
	fresh := map[imageUse]int64{}
	for i := range list {
		d := &list[i]
		if d.object == nil || d.outcome == BlockedRequest {
			continue
		}
		for _, image := range d.object.images {
			u := imageUse{target, image, d.seen.Namespace, d.owner.Kind, d.owner.Name}
			if k, ok := s.images.get(u); !ok || now.Sub(k.at) > time.Hour {
				fresh[u] = ids[d.object.hash]
			}
		}
	}
	b := bulk{head: "INSERT INTO admission_images (target_id, reference, namespace, owner_kind, owner_name, object_id, last_at) VALUES ", columns: 7,
		tail: " ON CONFLICT (target_id, reference, namespace, owner_kind, owner_name) DO UPDATE SET last_at = excluded.last_at, object_id = excluded.object_id"}
	uses := slices.SortedFunc(maps.Keys(fresh), func(a, b imageUse) int {
		return cmp.Or(cmp.Compare(a.reference, b.reference), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.kind, b.kind), cmp.Compare(a.owner, b.owner))
	})
	for _, u := range uses {
		b.row(target, u.reference, u.namespace, u.kind, u.owner, fresh[u], now.UnixMilli())
	}
	return uses, s.exec(ctx, tx, &b, nil)
}

// groups sorts the violations of requests into events.
func (s *Service) groups(target int64, list []draft) map[hash]*group {
	out := map[hash]*group{}
	for i := range list {
		d := &list[i]
		seen := map[hash]bool{} // a request with the same in two containers counts once
		add := func(v policy.Violation) {
			if v.Exception != 0 || v.Action.Rank() == 0 {
				return
			}
			kind := kindOf(v.Action)
			if d.mirror && kind == Blocked { // refused was a picture of the pod: it runs
				kind = Unchecked
			}
			e := eventOf(target, kind, &v, d.owner)
			h := hash(e.Key)
			g := out[h]
			if g == nil {
				e.FirstAt = store.At(d.at)
				g = &group{event: e, hours: map[int64]int64{}}
				out[h] = g
			}
			if !seen[h] {
				seen[h] = true
				g.happened(d)
			}
			if !d.at.Before(g.event.LastAt.Time) {
				first, key := g.event.FirstAt, g.event.Key
				g.event = e
				g.event.FirstAt, g.event.Key = first, key
				g.event.LastAt, g.event.User = store.At(d.at), d.seen.User
			}
			if at := store.At(d.at); at.Before(g.event.FirstAt.Time) {
				g.event.FirstAt = at
			}
		}
		for j := range d.seen.Violations {
			add(d.seen.Violations[j])
		}
		for _, u := range d.seen.Undecided {
			if u.Action == policy.Block {
				add(undecided(u))
			}
		}
	}
	return out
}

// named gives the events of checks without a verdict the name of their policy, which the provider does not send along.
func (s *Service) named(ctx context.Context, groups map[hash]*group) {
	if s.o.Policies == nil {
		return
	}
	known := map[int64]*policy.Policy{}
	for _, g := range groups {
		e := &g.event
		if e.PolicyName != "" || e.PolicyID == 0 {
			continue
		}
		p, asked := known[e.PolicyID]
		if !asked {
			p, _ = s.o.Policies.Policy(ctx, e.PolicyID) // one that is not there any more has no name
			known[e.PolicyID] = p
		}
		if p != nil {
			e.PolicyName, e.PolicyVersion = clean(p.Name, nameText), p.Version
		}
	}
}
