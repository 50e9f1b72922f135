package browse

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Full is a finding with all that is known of it.
type Full struct {
	Line
	Finding *finding.Finding
}

// Event is a row of a finding's history with the name of the person.
type Event struct {
	ledger.Event
	User string `json:"user,omitempty"`
}

// Story is a finding and what became of it.
type Story struct {
	Full
	History  []Event // oldest first; its first sight is FirstSeen
	Assignee string
}

// maxHistory bounds the history that comes with a finding: the latest.
const maxHistory = 500

// Finding reads one finding that v sees.
func (b *Browser) Finding(ctx context.Context, v identity.Visible, id int64) (*Story, error) {
	rows, err := b.Rows(ctx, v, []int64{id})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, store.ErrNotFound
	}
	full, err := b.full(ctx, []int64{id})
	if err != nil {
		return nil, err
	}
	if len(full) == 0 {
		return nil, store.ErrNotFound
	}
	out := &Story{Full: *full[0]}
	if err := b.runBy(ctx, v, out); err != nil {
		return nil, err
	}
	var events []ledger.Event
	if err := b.db.R.NewSelect().Model(&events).Where("finding_id = ?", id).OrderExpr("id DESC").Limit(maxHistory).Scan(ctx); err != nil {
		return nil, err
	}
	people := map[int64]bool{out.AssigneeID: out.AssigneeID != 0}
	for _, e := range events {
		people[e.UserID] = true
	}
	users, err := b.users(ctx, keysOf(people))
	if err != nil {
		return nil, err
	}
	for i := len(events) - 1; i >= 0; i-- {
		out.History = append(out.History, Event{Event: events[i], User: users[events[i].UserID]})
	}
	out.Assignee = users[out.AssigneeID]
	return out, nil
}

// Rows reads those of some findings that v sees, in the order of their ids.
func (b *Browser) Rows(ctx context.Context, v identity.Visible, ids []int64) ([]ledger.Row, error) {
	s, err := b.scope(ctx, v, nil)
	if err != nil || s.nothing() || len(ids) == 0 {
		return nil, err
	}
	var rows []ledger.Row
	q := b.db.R.NewSelect().Model(&rows).Where("f.id IN (?)", bun.List(ids)).OrderExpr("f.id")
	for _, p := range s.preds() {
		q = q.Where(p.text, p.args...)
	}
	return rows, q.Scan(ctx)
}

// maxWorkloads bounds the workloads that are told with a finding on an image.
const maxWorkloads = 200

// runBy fills in which workloads run the image that a finding is on, of those that v sees.
func (b *Browser) runBy(ctx context.Context, v identity.Visible, s *Story) error {
	stmt := text("SELECT a.group_kind, a.namespace, a.name FROM asset_uses AS u JOIN assets AS a ON a.id = u.workload_id WHERE u.image_id = ?", s.AssetID)
	if !v.Whole(s.TargetID) {
		stmt.add(" AND a.namespace IN (?)", bun.List(v.Namespaces[s.TargetID]))
	}
	stmt.add(" ORDER BY a.namespace, a.name LIMIT ?", maxWorkloads)
	return b.query(ctx, stmt, func(scan func(...any) error) error {
		var group string
		var w finding.WorkloadRef
		if err := scan(&group, &w.Namespace, &w.Name); err != nil {
			return err
		}
		w.Kind = kindOf(group)
		s.Finding.Resource.Workloads = append(s.Finding.Resource.Workloads, w)
		return nil
	})
}

// kindOf is the kind in "Deployment.apps".
func kindOf(group string) string {
	for i := range group {
		if group[i] == '.' {
			return group[:i]
		}
	}
	return group
}

func (b *Browser) users(ctx context.Context, ids []int64) (map[int64]string, error) {
	out := map[int64]string{}
	if len(ids) == 0 {
		return out, nil
	}
	err := b.query(ctx, text("SELECT id, name FROM users WHERE id IN (?)", bun.List(ids)), func(scan func(...any) error) error {
		var id int64
		var name string
		err := scan(&id, &name)
		out[id] = name
		return err
	})
	return out, err
}

// ByFingerprint reads the finding of a target that has a fingerprint; store.ErrNotFound when there never was one.
func (b *Browser) ByFingerprint(ctx context.Context, target int64, fingerprint string) (*finding.Finding, error) {
	raw, err := hex.DecodeString(fingerprint)
	if err != nil || len(raw) != 16 {
		return nil, store.ErrNotFound
	}
	var id int64
	if err := b.db.R.NewRaw("SELECT id FROM findings WHERE target_id = ? AND fingerprint = ?", target, raw).Scan(ctx, &id); err != nil {
		return nil, store.NotFound(err)
	}
	full, err := b.full(ctx, []int64{id})
	if err != nil {
		return nil, err
	}
	if len(full) == 0 {
		return nil, store.ErrNotFound
	}
	return full[0].Finding, nil
}

// full reads findings whole, in the order of ids.
func (b *Browser) full(ctx context.Context, ids []int64) ([]*Full, error) {
	lines, err := b.lines(ctx, ids)
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	details, advice, used := map[int64]*ledger.Detail{}, map[int64]int64{}, map[int64]bool{}
	err = b.query(ctx, text("SELECT finding_id, advice_id, body FROM details WHERE finding_id IN (?)", bun.List(ids)), func(scan func(...any) error) error {
		var id, a int64
		var body []byte
		if err := scan(&id, &a, &body); err != nil {
			return err
		}
		d, err := ledger.UnpackDetail(body)
		if err != nil {
			return fmt.Errorf("finding %d: %w", id, err)
		}
		details[id], advice[id], used[a] = d, a, true
		return nil
	})
	if err != nil {
		return nil, err
	}
	texts, err := b.advice(ctx, keysOf(used))
	if err != nil {
		return nil, err
	}
	out := make([]*Full, 0, len(lines))
	for _, l := range lines {
		d, a := details[l.ID], texts[advice[l.ID]]
		if d == nil || a == nil {
			return nil, fmt.Errorf("finding %d has no text: %w", l.ID, errDamaged)
		}
		out = append(out, &Full{Line: l, Finding: ledger.Reconstruct(&l.Row, a, d)})
	}
	return out, nil
}

var errDamaged = errors.New("the database is damaged")

func (b *Browser) advice(ctx context.Context, ids []int64) (map[int64]*ledger.Advice, error) {
	out := map[int64]*ledger.Advice{}
	if len(ids) == 0 {
		return out, nil
	}
	err := b.query(ctx, text("SELECT id, body FROM advice WHERE id IN (?)", bun.List(ids)), func(scan func(...any) error) error {
		var id int64
		var body string
		if err := scan(&id, &body); err != nil {
			return err
		}
		a := new(ledger.Advice)
		if err := json.Unmarshal([]byte(body), a); err != nil {
			return fmt.Errorf("advice %d: %w", id, err)
		}
		out[id] = a
		return nil
	})
	return out, err
}
