package admission

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// entryKey names an unchecked admission among those of its cluster.
func entryKey(parts ...string) []byte {
	h := hashOf([]byte(strings.Join(parts, "\x00")))
	return h[:]
}

// unseen keeps what a batch itself says was not judged: requests that were lost, and those without a verdict that were let in.
func (s *Service) unseen(ctx context.Context, tx bun.Tx, target int64, b *protocol.Batch, list []draft, now time.Time) error {
	entries := map[string]*Entry{}
	var order []string
	add := func(e Entry) {
		k := string(e.Key)
		if old := entries[k]; old != nil {
			e.Hits += old.Hits
		} else {
			order = append(order, k)
		}
		entries[k] = &e
	}
	if b.Lost > 0 {
		hour := now.Truncate(time.Hour)
		add(Entry{Key: entryKey("lost", strconv.FormatInt(hourOf(now), 10)), Reason: Overflow, Hits: int64(b.Lost), WrittenAt: store.At(now), FromAt: store.At(hour), UntilAt: store.At(now)})
	}
	for i := range list {
		d := &list[i]
		e := Entry{UIDKey: d.uidKey, UID: d.seen.UID, Generation: d.generation, Reason: NoVerdict, APIVersion: d.seen.APIVersion, Kind: d.seen.Kind, Namespace: d.seen.Namespace, Name: d.seen.Name,
			OwnerKind: d.owner.Kind, OwnerName: d.owner.Name, Hits: 1, WrittenAt: store.At(d.at)}
		e.UIDKey = 0 // it stands in the log: it is not to be resolved by it
		if d.mirror {
			e.Key, e.Reason, e.State = entryKey("static", e.Namespace, e.Name), StaticPod, Bad
			e.Note = mirrorRefused.EN
			add(e)
			continue
		}
		if d.outcome == Unjudged {
			e.Key = entryKey("unjudged", e.Namespace, e.OwnerKind, e.OwnerName)
			if len(d.seen.Undecided) > 0 {
				e.Note = d.seen.Undecided[0].Reason
			}
			add(e)
			continue
		}
		for _, u := range d.seen.Undecided {
			if u.Action == policy.Block {
				continue // it was refused: an event tells
			}
			e.Key = entryKey("undecided", u.Rule, u.Image, e.Namespace, e.OwnerKind, e.OwnerName)
			e.Note = u.Reason
			if u.Image != "" {
				e.Note = u.Image + ": " + u.Reason
			}
			add(e)
		}
	}
	slices.Sort(order)
	var out []Entry
	for _, k := range order {
		out = append(out, *entries[k])
	}
	_, err := s.enter(ctx, tx, target, out, now)
	return err
}

// enter writes entries. One that is there already counts on, and is judged again, unless it comes judged. It returns how many are new.
func (s *Service) enter(ctx context.Context, tx bun.Tx, target int64, list []Entry, now time.Time) (int, error) {
	b := bulk{head: `INSERT INTO admission_unchecked (target_id, unchecked_key, uid_key, uid, generation, reason, state, api_version, object_kind, namespace, name, owner_kind, owner_name, note,
		hits, written_at, from_at, until_at, found_at) VALUES `, columns: 19,
		tail: ` ON CONFLICT (target_id, unchecked_key) DO UPDATE SET hits = admission_unchecked.hits + excluded.hits, uid = excluded.uid, generation = excluded.generation, name = excluded.name,
		api_version = excluded.api_version, object_kind = excluded.object_kind, note = excluded.note, written_at = excluded.written_at, until_at = excluded.until_at, state = excluded.state
		RETURNING hits`}
	for i := range list {
		e := &list[i]
		b.row(target, e.Key, e.UIDKey, e.UID, e.Generation, int64(e.Reason), int64(max(e.State, Found)), e.APIVersion, e.Kind, e.Namespace, e.Name, e.OwnerKind, e.OwnerName, clean(e.Note, shortText),
			e.Hits, millis(e.WrittenAt), millis(e.FromAt), millis(e.UntilAt), store.At(now).UnixMilli())
	}
	added := 0
	err := s.exec(ctx, tx, &b, func(r *sql.Rows) error {
		var hits int64
		added++
		return r.Scan(&hits)
	})
	return added, err
}

// afterAll takes back what was found unchecked and turns out to be recorded: batches may come late.
func (s *Service) afterAll(ctx context.Context, tx bun.Tx, target int64, list []draft) error {
	latest := map[int64]*draft{}
	for i := range list {
		d := &list[i]
		if d.uidKey == 0 || d.outcome == BlockedRequest || d.outcome == Unjudged {
			continue
		}
		if old := latest[d.uidKey]; old == nil || old.generation < d.generation || old.generation == d.generation && old.at.Before(d.at) {
			latest[d.uidKey] = d
		}
	}
	keys := make([]int64, 0, len(latest))
	for k := range latest {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var gone []int64
	for chunk := range chunks(keys, 500) {
		rows, err := tx.QueryContext(ctx, `SELECT id, uid_key, generation, written_at FROM admission_unchecked WHERE target_id = ? AND uid_key <> 0 AND uid_key IN (?) AND state <> ? AND reason IN (?)`,
			target, bun.List(chunk), int64(Bad), bun.List([]int64{int64(ProviderAway), int64(NotRecorded), int64(StaticPod)}))
		if err != nil {
			return err
		}
		err = each(rows, func(r *sql.Rows) error {
			var id, key, generation, written int64
			err := r.Scan(&id, &key, &generation, &written)
			d := latest[key]
			if err == nil && (generation > 0 && d.generation >= generation || generation == 0 && d.at.UnixMilli() >= written-skew.Milliseconds()) {
				gone = append(gone, id)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if len(gone) == 0 {
		return nil
	}
	_, err := tx.NewRaw("DELETE FROM admission_unchecked WHERE id IN (?)", bun.List(gone)).Exec(ctx)
	return err
}
