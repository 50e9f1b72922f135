package admission

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// group is what happened to one event in a batch.
type group struct {
	event Event // with the texts of the last
	hits  int64
	hours map[int64]int64
	last  []*draft // the latest requests
	set   bool     // hits replaces what was counted before
}

// ring is how many occurrences of an event are kept; mostLast how many of one batch.
const (
	ring     = 20
	mostLast = 5
)

func (g *group) happened(d *draft) {
	g.hits++
	g.hours[hourOf(d.at)]++
	g.last = append(g.last, d)
	if len(g.last) > mostLast {
		g.last = g.last[1:]
	}
}

// undecided is a check without a verdict that blocks, as a violation.
func undecided(u policy.Undecided) policy.Violation {
	return policy.Violation{Policy: u.Policy, Rule: u.Rule, Action: u.Action, Severity: finding.Medium, Image: u.Image,
		Title:   finding.Text{EN: "No verdict was to be had", ZH: "无法得出结论"},
		Message: finding.Text{EN: "No verdict: " + u.Reason, ZH: "无法得出结论：" + policy.ReasonIn("zh", u.Reason)}}
}

// imageRule reports whether a rule is about images: events on different images are different events.
func imageRule(rule string) bool { return strings.HasPrefix(rule, "image/") }

// eventOf makes the event of a violation.
func eventOf(target int64, kind Kind, v *policy.Violation, owner inventory.Ref) Event {
	e := Event{TargetID: target, Kind: kind, ActionRank: int8(v.Action.Rank()), State: Unhandled, Severity: ledger.SeverityOf(v.Severity), PolicyID: v.Policy,
		PolicyVersion: v.Version, PolicyName: v.Name, Rule: v.Rule, RuleID: v.RuleID, TitleEN: v.Title.EN, TitleZH: v.Title.ZH, MessageEN: v.Message.EN, MessageZH: v.Message.ZH,
		Namespace: owner.Namespace, OwnerKind: owner.Kind, OwnerName: owner.Name, Image: v.Image, Digest: v.Digest}
	if e.TitleEN == "" {
		e.TitleEN, e.TitleZH = e.Rule, e.Rule
	}
	image := ""
	if imageRule(v.Rule) {
		if image = v.Digest; image == "" && v.Image != "" {
			image = reference(v.Image)
		}
	}
	key := []string{strconv.Itoa(int(kind)), string(v.Action), strconv.FormatInt(v.Policy, 10), v.Rule, owner.Namespace, owner.Kind, owner.Name, image}
	h := hashOf([]byte(strings.Join(key, "\x00")))
	e.Key = h[:]
	if detail, err := json.Marshal(v); err == nil { // what cannot be written has no detail
		e.Detail = pack(detail)
	} else {
		e.Detail = []byte("{}")
	}
	return e
}

// known is what an event is before something happens to it.
type known struct {
	id, hits       int64
	state          State
	cell           cell
	changed, first int64
	last           int64
}

// happened writes what happened to events: new ones, counts of others, states that change by it, and their occurrences. The caller
// holds the lock of the cluster.
func (s *Service) happened(ctx context.Context, tx bun.Tx, target int64, groups map[hash]*group, ids map[hash]int64, now time.Time) error {
	if len(groups) == 0 {
		return nil
	}
	keys := make([][]byte, 0, len(groups))
	for h := range groups {
		keys = append(keys, h[:])
	}
	sortBytes(keys)
	there, err := s.known(ctx, tx, target, keys)
	if err != nil {
		return err
	}
	cells := map[cell]tally{}
	for _, k := range keys {
		h := hash(k)
		g := groups[h]
		for _, d := range g.last { // the object of the last request that has one
			if d.object != nil {
				g.event.ObjectID = ids[d.object.hash]
			}
		}
		old, ok := there[h]
		if !ok {
			g.event.Hits, g.event.ChangedAt = g.hits, store.At(now)
			t := cells[g.event.cell()]
			cells[g.event.cell()] = tally{t.events + 1, t.hits + g.hits}
			continue
		}
		if err := s.again(ctx, tx, g, old, cells, now); err != nil {
			return err
		}
	}
	if err := s.titles(ctx, tx, keys, groups, there); err != nil {
		return err
	}
	if err := s.insertEvents(ctx, tx, keys, groups, there); err != nil {
		return err
	}
	if err := s.count(ctx, tx, cells); err != nil {
		return err
	}
	return s.occurrences(ctx, tx, target, keys, groups, there, ids)
}

func (s *Service) known(ctx context.Context, tx bun.Tx, target int64, keys [][]byte) (map[hash]known, error) {
	out := map[hash]known{}
	for chunk := range chunks(keys, 500) {
		rows, err := tx.QueryContext(ctx, `SELECT id, event_key, hits, state, changed_at, first_at, last_at, namespace, kind, action, policy_id, rule FROM admission_events
			WHERE target_id = ? AND event_key IN (?)`, target, bun.List(chunk))
		if err != nil {
			return nil, err
		}
		err = each(rows, func(r *sql.Rows) error {
			var k known
			var key []byte
			k.cell.target = target
			err := r.Scan(&k.id, &key, &k.hits, &k.state, &k.changed, &k.first, &k.last, &k.cell.namespace, &k.cell.kind, &k.cell.action, &k.cell.policy, &k.cell.rule)
			k.cell.state = k.state
			if err == nil {
				out[hash(key)] = k
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// again changes an event that happens once more. One that was handled before is unhandled then.
func (s *Service) again(ctx context.Context, tx bun.Tx, g *group, old known, cells map[cell]tally, now time.Time) error {
	e := &g.event
	hits := old.hits + g.hits
	if g.set {
		hits = g.hits
	}
	reopen := old.state == Handled && e.LastAt.UnixMilli() > old.changed
	to := old.cell
	if reopen {
		to.state = Unhandled
	}
	move(cells, old.cell, to, 1, old.hits, hits)
	q := tx.NewUpdate().Model((*Event)(nil)).Where("id = ?", old.id).Set("hits = ?", hits)
	if e.FirstAt.UnixMilli() < old.first {
		q = q.Set("first_at = ?", e.FirstAt)
	}
	if e.LastAt.UnixMilli() >= old.last { // of a batch that comes late only the count is news
		q = q.Set("last_at = ?", e.LastAt).Set("user_name = ?", e.User).Set("severity = ?", int64(e.Severity)).Set("policy_version = ?", e.PolicyVersion).Set("policy_name = ?", e.PolicyName).
			Set("message = ?", e.MessageEN).Set("message_zh = ?", e.MessageZH).Set("image = ?", e.Image).Set("digest = ?", e.Digest).Set("detail = ?", e.Detail)
		if e.ObjectID != 0 {
			q = q.Set("object_id = ?", e.ObjectID)
		}
	}
	if !e.SweptAt.IsZero() {
		q = q.Set("swept_at = ?", e.SweptAt)
	}
	if reopen {
		q = q.Set("state = ?", int64(Unhandled)).Set("reopened = reopened + 1").Set("changed_at = ?", store.At(now)).Set("told_at = 0")
	}
	_, err := q.Exec(ctx)
	return err
}

// move notes that an event goes from one cell to another with other hits.
func move(cells map[cell]tally, from, to cell, events, before, after int64) {
	f := cells[from]
	cells[from] = tally{f.events - events, f.hits - before}
	t := cells[to]
	cells[to] = tally{t.events + events, t.hits + after}
}

// insertEvents writes events that are new and fills in their ids.
func (s *Service) insertEvents(ctx context.Context, tx bun.Tx, keys [][]byte, groups map[hash]*group, there map[hash]known) error {
	b := bulk{head: `INSERT INTO admission_events (target_id, event_key, kind, action, state, severity, policy_id, policy_version, policy_name, rule, rule_id, title, title_zh, message, message_zh,
		namespace, owner_kind, owner_name, image, digest, user_name, hits, first_at, last_at, changed_at, swept_at, object_id, detail) VALUES `, columns: 28, tail: " RETURNING id, event_key"}
	for _, k := range keys {
		if _, ok := there[hash(k)]; ok {
			continue
		}
		e := &groups[hash(k)].event
		b.row(e.TargetID, e.Key, int64(e.Kind), int64(e.ActionRank), int64(e.State), int64(e.Severity), e.PolicyID, e.PolicyVersion, e.PolicyName, e.Rule, e.RuleID, e.TitleEN, e.TitleZH,
			e.MessageEN, e.MessageZH, e.Namespace, e.OwnerKind, e.OwnerName, e.Image, e.Digest, e.User, e.Hits, millis(e.FirstAt), millis(e.LastAt), millis(e.ChangedAt), millis(e.SweptAt), e.ObjectID, e.Detail)
	}
	return s.exec(ctx, tx, &b, func(r *sql.Rows) error {
		var id int64
		var key []byte
		err := r.Scan(&id, &key)
		there[hash(key)] = known{id: id}
		return err
	})
}

func millis(t store.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// count changes the counters of events.
func (s *Service) count(ctx context.Context, tx bun.Tx, cells map[cell]tally) error {
	b := bulk{head: "INSERT INTO admission_cells (target_id, namespace, kind, action, state, policy_id, rule, events, hits) VALUES ", columns: 9,
		tail: ` ON CONFLICT (target_id, namespace, kind, action, state, policy_id, rule) DO UPDATE SET events = admission_cells.events + excluded.events,
		hits = admission_cells.hits + excluded.hits`}
	list := slices.SortedFunc(maps.Keys(cells), func(a, b cell) int {
		return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.kind, b.kind), cmp.Compare(a.action, b.action),
			cmp.Compare(a.state, b.state), cmp.Compare(a.policy, b.policy), cmp.Compare(a.rule, b.rule))
	})
	for _, c := range list {
		if t := cells[c]; t != (tally{}) {
			b.row(c.target, c.namespace, int64(c.kind), int64(c.action), int64(c.state), c.policy, c.rule, t.events, t.hits)
		}
	}
	return s.exec(ctx, tx, &b, nil)
}

// titles keeps the titles of the rules of new events, for lists of rules.
func (s *Service) titles(ctx context.Context, tx bun.Tx, keys [][]byte, groups map[hash]*group, there map[hash]known) error {
	fresh := map[string]*Event{}
	for _, k := range keys {
		if _, ok := there[hash(k)]; !ok {
			e := &groups[hash(k)].event
			fresh[e.Rule] = e
		}
	}
	b := bulk{head: "INSERT INTO admission_rules (rule, rule_id, title, title_zh) VALUES ", columns: 4,
		tail: " ON CONFLICT (rule) DO UPDATE SET rule_id = excluded.rule_id, title = excluded.title, title_zh = excluded.title_zh"}
	for _, rule := range slices.Sorted(maps.Keys(fresh)) {
		b.row(rule, fresh[rule].RuleID, fresh[rule].TitleEN, fresh[rule].TitleZH)
	}
	return s.exec(ctx, tx, &b, nil)
}

// occurrences writes the latest requests of events into their rings, and counts all by hour.
func (s *Service) occurrences(ctx context.Context, tx bun.Tx, target int64, keys [][]byte, groups map[hash]*group, there map[hash]known, ids map[hash]int64) error {
	b := bulk{head: "INSERT INTO admission_occurrences (event_id, slot, target_id, at, who_id, what_id, object_id, body) VALUES ", columns: 8,
		tail: ` ON CONFLICT (event_id, slot) DO UPDATE SET at = excluded.at, who_id = excluded.who_id, what_id = excluded.what_id, object_id = excluded.object_id, body = excluded.body`}
	h := bulk{head: "INSERT INTO admission_event_hours (event_id, hour, hits) VALUES ", columns: 3,
		tail: " ON CONFLICT (event_id, hour) DO UPDATE SET hits = admission_event_hours.hits + excluded.hits"}
	for _, k := range keys {
		g, old := groups[hash(k)], there[hash(k)]
		slices.SortStableFunc(g.last, func(a, b *draft) int { return a.at.Compare(b.at) })
		for i, d := range g.last {
			object := int64(0)
			if d.object != nil {
				object = ids[d.object.hash]
			}
			n := old.hits + g.hits - int64(len(g.last)) + int64(i)
			b.row(old.id, n%ring, target, d.at.UnixMilli(), ids[d.who], ids[d.what], object, d.occurrence())
		}
		for _, hour := range slices.Sorted(maps.Keys(g.hours)) {
			h.row(old.id, hour, g.hours[hour])
		}
	}
	if err := s.exec(ctx, tx, &b, nil); err != nil {
		return err
	}
	return s.exec(ctx, tx, &h, nil)
}

// moment is what an occurrence is beside its parts.
type moment struct {
	Name       string             `json:"name,omitempty"`
	UID        string             `json:"uid,omitempty"`
	Generation int64              `json:"generation,omitempty"`
	Operation  string             `json:"operation,omitempty"`
	Violations []policy.Violation `json:"violations,omitempty"`
}

func (d *draft) occurrence() []byte {
	plain, err := json.Marshal(moment{Name: d.seen.Name, UID: d.seen.UID, Generation: d.generation, Operation: d.seen.Operation})
	if err != nil { // strings only
		return []byte("{}")
	}
	return bytes.Clone(plain)
}
