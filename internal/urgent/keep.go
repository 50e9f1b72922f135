package urgent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Kind of a subject.
type Kind int

// The kinds, as the database has them.
const (
	Node    Kind = 1
	Image   Kind = 2
	Cluster Kind = 3
)

// Kinds are the words for kinds, as the list of emergencies and the API have them.
var Kinds = map[Kind]string{Node: "node", Image: "image", Cluster: "cluster"}

// ladder gives verdicts their numbers in the database.
var ladder = []emergency.Verdict{emergency.NotPresent, emergency.Fixed, emergency.Backported, emergency.VersionOnly, emergency.Unknown, emergency.Exposed}

func rung(v emergency.Verdict) int { return slices.Index(ladder, v) }

// batch is how many subjects are written together.
const batch = 200

// renewed is how old the time of a subject may be: a look that saw nothing new costs a write once in so long.
const renewed = 6 * time.Hour

func decode(text string, v any) error { return json.Unmarshal([]byte(text), v) }

// look is what was seen of one subject.
type look struct {
	kind    Kind
	name    string
	shown   string
	ids     []string // that were looked for
	more    bool     // what was looked for before still holds
	results []emergency.Result
}

// subject is a row of emergency_subjects.
type subject struct {
	bun.BaseModel `bun:"table:emergency_subjects,alias:s"`

	ID       int64      `bun:"id,pk,autoincrement"`
	TargetID int64      `bun:"target_id"`
	Kind     Kind       `bun:"kind"`
	Name     string     `bun:"name"`
	Shown    string     `bun:"shown"`
	SetID    int64      `bun:"set_id"`
	At       store.Time `bun:"at"`
}

// row is a row of emergency_results.
type row struct {
	bun.BaseModel `bun:"table:emergency_results,alias:r"`

	SubjectID int64      `bun:"subject_id,pk"`
	Emergency string     `bun:"emergency,pk"`
	TargetID  int64      `bun:"target_id"`
	Kind      Kind       `bun:"kind"`
	Verdict   int        `bun:"verdict"`
	Since     store.Time `bun:"since"`
	Hash      string     `bun:"hash"`
	Body      string     `bun:"body"`
}

// place of a number of results.
type place struct {
	kind      Kind
	emergency string
	verdict   int
}

// changes are what a batch of looks changes.
type changes struct {
	subjects []*subject // new ones and those to be renewed
	sets     [][]string // of subjects
	looks    []*look    // of subjects
	put      map[*subject][]*row
	drop     map[*subject][]string
	counts   map[place]int
}

func (c *changes) empty() bool { return len(c.subjects) == 0 }

// save keeps what was seen. What is as it was costs no write.
func (s *Service) save(ctx context.Context, target int64, looks []*look) error {
	for chunk := range slices.Chunk(looks, batch) {
		c, err := s.compare(ctx, s.db.R, target, chunk)
		if err != nil {
			return err
		}
		if c.empty() {
			continue
		}
		err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			if err := s.lock(ctx, tx, target); err != nil {
				return err
			}
			var err error
			c, err = s.compare(ctx, tx, target, chunk) // somebody may have been faster
			if err != nil || c.empty() {
				return err
			}
			return s.apply(ctx, tx, target, c)
		})
		if err != nil {
			return err
		}
		if len(c.counts) > 0 {
			s.news(ctx, target)
		}
	}
	return nil
}

// lock has changes of one target made one after the other, as triage does.
func (s *Service) lock(ctx context.Context, tx bun.Tx, target int64) error {
	if !s.db.Postgres() {
		return nil
	}
	var id int64
	return store.NotFound(tx.NewRaw("SELECT id FROM targets WHERE id = ? FOR UPDATE", target).Scan(ctx, &id))
}

// compare holds looks against what the database has.
func (s *Service) compare(ctx context.Context, db bun.IDB, target int64, looks []*look) (*changes, error) {
	known, sets, err := s.subjects(ctx, db, target, looks)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, k := range known {
		ids = append(ids, k.ID)
	}
	before := map[int64]map[string]*row{}
	if len(ids) > 0 {
		var rows []*row
		if err := db.NewSelect().Model(&rows).Column("subject_id", "emergency", "verdict", "since", "hash").Where("subject_id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
			return nil, err
		}
		for _, r := range rows {
			if before[r.SubjectID] == nil {
				before[r.SubjectID] = map[string]*row{}
			}
			before[r.SubjectID][r.Emergency] = r
		}
	}
	c := &changes{put: map[*subject][]*row{}, drop: map[*subject][]string{}, counts: map[place]int{}}
	now := s.now()
	for _, l := range looks {
		sub := known[subjectKey{l.kind, l.name}]
		set := l.ids
		fresh := sub != nil
		if sub == nil {
			sub = &subject{TargetID: target, Kind: l.kind, Name: l.name}
		} else {
			if l.more {
				set = union(sets[sub.SetID], l.ids)
			}
			fresh = slices.Equal(sets[sub.SetID], set) && sub.Shown == l.shown && now.Sub(sub.At.Time) < renewed && !sub.At.After(now)
		}
		put, drop := c.differences(l, sub, before[sub.ID], store.At(now))
		if fresh && len(put) == 0 && len(drop) == 0 {
			continue
		}
		sub.Shown, sub.At = l.shown, store.At(now)
		c.put[sub], c.drop[sub] = put, drop
		c.subjects, c.sets, c.looks = append(c.subjects, sub), append(c.sets, set), append(c.looks, l)
	}
	return c, nil
}

// differences are the rows to write and to take away for one look, which are counted.
func (c *changes) differences(l *look, sub *subject, before map[string]*row, now store.Time) (put []*row, drop []string) {
	has := map[string]bool{}
	for i := range l.results {
		r := rowOf(&l.results[i], l.kind, now)
		if r == nil || has[r.Emergency] {
			continue
		}
		has[r.Emergency] = true
		r.TargetID, r.SubjectID = sub.TargetID, sub.ID
		old := before[r.Emergency]
		if old != nil && old.Hash == r.Hash {
			continue
		}
		if old != nil {
			c.counts[place{l.kind, r.Emergency, old.Verdict}]--
			if old.Verdict == r.Verdict {
				r.Since = old.Since
			}
		}
		c.counts[place{l.kind, r.Emergency, r.Verdict}]++
		put = append(put, r)
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if !has[id] && (!l.more || slices.Contains(l.ids, id)) {
			c.counts[place{l.kind, id, before[id].Verdict}]--
			drop = append(drop, id)
		}
	}
	return put, drop
}

// rowOf is the row for a result; nil where there is nothing to tell.
func rowOf(r *emergency.Result, kind Kind, now store.Time) *row {
	v := rung(r.Verdict)
	if v < 0 || v == 0 && r.NotRead == "" {
		return nil
	}
	body := *r
	body.Subject = ""
	out := &row{Emergency: r.Emergency, Kind: kind, Verdict: v, Since: now, Body: ledger.JSON(body)}
	sum := sha256.Sum256([]byte(out.Body))
	out.Hash = hex.EncodeToString(sum[:8])
	return out
}

type subjectKey struct {
	kind Kind
	name string
}

// subjects finds what is known of the subjects of looks, and what the sets of theirs hold.
func (s *Service) subjects(ctx context.Context, db bun.IDB, target int64, looks []*look) (map[subjectKey]*subject, map[int64][]string, error) {
	by := map[Kind][]string{}
	for _, l := range looks {
		by[l.kind] = append(by[l.kind], l.name)
	}
	known, used := map[subjectKey]*subject{}, map[int64]bool{}
	for kind, names := range by {
		var rows []*subject
		if err := db.NewSelect().Model(&rows).Where("target_id = ? AND kind = ? AND name IN (?)", target, int(kind), bun.List(names)).Scan(ctx); err != nil {
			return nil, nil, err
		}
		for _, r := range rows {
			known[subjectKey{r.Kind, r.Name}] = r
			used[r.SetID] = true
		}
	}
	sets, err := s.sets(ctx, db, slices.Collect(maps.Keys(used)))
	return known, sets, err
}

// sets reads sets by id; all when ids is nil.
func (s *Service) sets(ctx context.Context, db bun.IDB, ids []int64) (map[int64][]string, error) {
	var rows []struct {
		ID  int64
		IDs string `bun:"ids"`
	}
	q := db.NewSelect().Table("emergency_sets").Column("id", "ids")
	if ids != nil {
		q = q.Where("id IN (?)", bun.List(ids))
	}
	out := map[int64][]string{}
	if ids != nil && len(ids) == 0 {
		return out, nil
	}
	if err := q.Scan(ctx, &rows); err != nil {
		return nil, err
	}
	for _, r := range rows {
		var list []string
		if err := decode(r.IDs, &list); err != nil {
			return nil, err
		}
		out[r.ID] = list
	}
	return out, nil
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// setOf finds the row of a set, and makes it when it is new.
func (s *Service) setOf(ctx context.Context, tx bun.Tx, ids []string) (id int64, err error) {
	text := ledger.JSON(ids)
	sum := sha256.Sum256([]byte(text))
	hash := hex.EncodeToString(sum[:])
	err = tx.NewRaw("SELECT id FROM emergency_sets WHERE hash = ?", hash).Scan(ctx, &id)
	if err = store.NotFound(err); err == nil || !errors.Is(err, store.ErrNotFound) {
		return id, err
	}
	err = tx.NewRaw("INSERT INTO emergency_sets (hash, ids) VALUES (?, ?) ON CONFLICT (hash) DO UPDATE SET ids = EXCLUDED.ids RETURNING id", hash, text).Scan(ctx, &id)
	return id, err
}

// apply writes changes. The caller holds the target's lock.
func (s *Service) apply(ctx context.Context, tx bun.Tx, target int64, c *changes) error {
	made := map[string]int64{}
	for i, sub := range c.subjects {
		key := ledger.JSON(c.sets[i])
		if made[key] == 0 {
			id, err := s.setOf(ctx, tx, c.sets[i])
			if err != nil {
				return err
			}
			made[key] = id
		}
		sub.SetID = made[key]
	}
	_, err := tx.NewInsert().Model(&c.subjects).Column("target_id", "kind", "name", "shown", "set_id", "at").On("CONFLICT (target_id, kind, name) DO UPDATE").
		Set("shown = EXCLUDED.shown, set_id = EXCLUDED.set_id, at = EXCLUDED.at").Returning("NULL").Exec(ctx)
	if err != nil {
		return err
	}
	known, _, err := s.subjects(ctx, tx, target, c.looks)
	if err != nil {
		return err
	}
	var put []*row
	for _, sub := range c.subjects {
		id := known[subjectKey{sub.Kind, sub.Name}].ID
		for _, r := range c.put[sub] {
			r.SubjectID = id
			put = append(put, r)
		}
		if len(c.drop[sub]) > 0 {
			if _, err := tx.NewRaw("DELETE FROM emergency_results WHERE subject_id = ? AND emergency IN (?)", id, bun.List(c.drop[sub])).Exec(ctx); err != nil {
				return err
			}
		}
	}
	for chunk := range slices.Chunk(put, 500) {
		_, err := tx.NewInsert().Model(&chunk).On("CONFLICT (subject_id, emergency) DO UPDATE").
			Set("verdict = EXCLUDED.verdict, since = EXCLUDED.since, hash = EXCLUDED.hash, body = EXCLUDED.body").Returning("NULL").Exec(ctx)
		if err != nil {
			return err
		}
	}
	return move(ctx, tx, target, c.counts)
}

// move changes counters, in one order.
func move(ctx context.Context, tx bun.Tx, target int64, counts map[place]int) error {
	places := slices.SortedFunc(maps.Keys(counts), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.emergency, b.emergency), cmp.Compare(a.verdict, b.verdict))
	})
	for _, p := range places {
		if counts[p] == 0 {
			continue
		}
		_, err := tx.NewRaw(`INSERT INTO emergency_counts AS c (target_id, kind, emergency, verdict, n) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (target_id, kind, emergency, verdict) DO UPDATE SET n = c.n + EXCLUDED.n`, target, int(p.kind), p.emergency, p.verdict, counts[p]).Exec(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}

// forget takes subjects away with what was seen of them.
func (s *Service) forget(ctx context.Context, target int64, ids []int64) error {
	for chunk := range slices.Chunk(ids, 500) {
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			if err := s.lock(ctx, tx, target); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			var rows []row
			if err := tx.NewSelect().Model(&rows).Column("kind", "emergency", "verdict").Where("subject_id IN (?)", bun.List(chunk)).Scan(ctx); err != nil {
				return err
			}
			counts := map[place]int{}
			for i := range rows {
				counts[place{rows[i].Kind, rows[i].Emergency, rows[i].Verdict}]--
			}
			if err := move(ctx, tx, target, counts); err != nil {
				return err
			}
			if _, err := tx.NewRaw("DELETE FROM emergency_results WHERE subject_id IN (?)", bun.List(chunk)).Exec(ctx); err != nil {
				return err
			}
			_, err := tx.NewRaw("DELETE FROM emergency_subjects WHERE id IN (?)", bun.List(chunk)).Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// kept reads what was seen of one subject; ids are what it was looked at for, nil when it never was.
func (s *Service) kept(ctx context.Context, target int64, kind Kind, name string) (results []emergency.Result, ids []string, err error) {
	sub := new(subject)
	err = s.db.R.NewSelect().Model(sub).Where("target_id = ? AND kind = ? AND name = ?", target, int(kind), name).Scan(ctx)
	if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	sets, err := s.sets(ctx, s.db.R, []int64{sub.SetID})
	if err != nil {
		return nil, nil, err
	}
	var rows []row
	if err := s.db.R.NewSelect().Model(&rows).Column("emergency", "body").Where("subject_id = ?", sub.ID).Order("emergency").Scan(ctx); err != nil {
		return nil, nil, err
	}
	for i := range rows {
		var r emergency.Result
		if err := decode(rows[i].Body, &r); err != nil {
			return nil, nil, err
		}
		r.Subject = name
		results = append(results, r)
	}
	return results, sets[sub.SetID], nil
}
