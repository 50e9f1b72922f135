package triage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

// Handling is what a person or an exception does with findings.
type Handling struct {
	IDs       []int64
	Action    ledger.Action
	Note      string
	Exception int64        // of Accept: needed; of Unaccept: only what this one accepts, 0 is any
	Assignee  int64        // of Assign: the user, 0 is nobody
	Cause     ledger.Cause // NoCause is by exception for Accept, by hand for all others
}

// ErrHandling is returned, wrapped, for a Handling that cannot be done.
var ErrHandling = errors.New("this cannot be done with findings")

// handleChunk is how many findings are read at once.
const handleChunk = 2000

// handler is one Handle at work.
type handler struct {
	t       *Triage
	h       Handling
	at      store.Time
	user    int64
	deltas  *deltas
	changes map[int64]*ledger.Change // by target
	count   int
}

// Handle changes the handling of findings in the caller's transaction, with everything that is counted of them, their history
// and a message for each target. It returns how many findings it changed: those that are as they shall be, that scans have seen
// fixed or gone, and those of removed targets are left alone. Accept leaves alone what a person ignored or marked as fixed; of a
// finding that another exception accepts it makes the new one its exception. Comment and Verify only write history.
//
// Who may do this, and the audit, are the caller's.
func (t *Triage) Handle(ctx context.Context, tx bun.Tx, h Handling) (int, error) {
	switch h.Action {
	case ledger.Accept:
		if h.Exception == 0 {
			return 0, fmt.Errorf("%w: accept needs an exception", ErrHandling)
		}
		h.Cause = cmp.Or(h.Cause, ledger.ByException)
	case ledger.Ignore, ledger.Unignore, ledger.MarkFixed, ledger.Unaccept, ledger.Assign, ledger.Comment, ledger.Verify:
		h.Cause = cmp.Or(h.Cause, ledger.ByHand)
	default:
		return 0, fmt.Errorf("%w: there is no action %q", ErrHandling, h.Action)
	}
	ids := slices.Clone(h.IDs)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	w := &handler{t: t, h: h, at: store.At(t.now()), deltas: newDeltas(), changes: map[int64]*ledger.Change{}}
	if p := identity.From(ctx); p != nil {
		w.user = p.UserID
	}
	live, err := t.lockOf(ctx, tx, ids)
	if err != nil {
		return 0, err
	}
	if len(live) == 0 {
		return 0, nil
	}
	for chunk := range slices.Chunk(ids, handleChunk) {
		if err := w.chunk(ctx, tx, chunk, live); err != nil {
			return 0, err
		}
	}
	if err := t.apply(ctx, tx, w.deltas, t.now()); err != nil {
		return 0, err
	}
	for _, target := range slices.Sorted(maps.Keys(w.changes)) {
		c := w.changes[target]
		if len(c.Reopened) > 0 || c.Closed > 0 {
			if err := outbox.Put(ctx, tx, outbox.FindingsChanged, target, *c); err != nil {
				return 0, err
			}
		}
	}
	return w.count, nil
}

// lockOf locks the targets of findings and returns those that are not removed.
func (t *Triage) lockOf(ctx context.Context, tx bun.Tx, ids []int64) ([]int64, error) {
	seen := map[int64]bool{}
	for chunk := range slices.Chunk(ids, handleChunk) {
		var some []int64
		if err := tx.NewSelect().Table("findings").ColumnExpr("DISTINCT target_id").Where("id IN (?)", bun.List(chunk)).Scan(ctx, &some); err != nil {
			return nil, err
		}
		for _, id := range some {
			seen[id] = true
		}
	}
	if len(seen) == 0 {
		return nil, nil
	}
	rows, err := t.lock(ctx, tx, slices.Sorted(maps.Keys(seen)))
	live := make([]int64, len(rows))
	for i := range rows {
		live[i] = rows[i].ID
	}
	return live, err
}

// outcome is what becomes of some findings alike.
type outcome struct {
	handling  ledger.Handling
	status    ledger.Status
	exception int64
	changed   bool // the status
}

func (w *handler) chunk(ctx context.Context, tx bun.Tx, ids, live []int64) error {
	var rows []ledger.Row
	err := tx.NewSelect().Model(&rows).Column("id", "target_id", "risk_id", "asset_id", "kind", "severity", "state", "handling", "status", "namespace",
		"exception_id", "assignee_id").Where("id IN (?)", bun.List(ids)).Where("target_id IN (?)", bun.List(live)).OrderExpr("id").Scan(ctx)
	if err != nil {
		return err
	}
	groups, assigned := map[outcome][]int64{}, []int64{}
	var events []ledger.Event
	for i := range rows {
		r := &rows[i]
		o, ok := w.decide(r)
		if !ok {
			continue
		}
		w.count++
		if w.h.Action == ledger.Assign {
			assigned = append(assigned, r.ID)
		}
		if o.handling != r.Handling || o.exception != r.ExceptionID {
			o.changed = o.status != r.Status
			groups[o] = append(groups[o], r.ID)
			w.moved(r, o.status)
		}
		events = append(events, ledger.Event{FindingID: r.ID, TargetID: r.TargetID, At: w.at, Action: w.h.Action, Before: r.Status, After: o.status, Cause: w.h.Cause, Note: w.h.Note})
	}
	if len(assigned) > 0 {
		if _, err := tx.ExecContext(ctx, "UPDATE findings SET assignee_id = ? WHERE id IN (?)", w.h.Assignee, bun.List(assigned)); err != nil {
			return err
		}
	}
	for o, list := range groups {
		q := tx.NewUpdate().Table("findings").Set("handling = ?", int(o.handling)).Set("exception_id = ?", o.exception)
		if o.changed {
			q = q.Set("status = ?", int(o.status)).Set("changed_at = ?", w.at).Set("cause = ?", int(w.h.Cause))
		}
		if _, err := q.Where("id IN (?)", bun.List(list)).Exec(ctx); err != nil {
			return err
		}
	}
	return w.t.record(ctx, tx, events)
}

// decide says what becomes of a finding; ok is false when nothing does.
func (w *handler) decide(r *ledger.Row) (o outcome, ok bool) {
	o = outcome{handling: r.Handling, status: r.Status, exception: r.ExceptionID}
	ended := r.State == ledger.Fixed || r.State == ledger.Gone
	switch w.h.Action {
	case ledger.Comment, ledger.Verify:
		return o, true
	case ledger.Assign:
		return o, r.AssigneeID != w.h.Assignee
	case ledger.Ignore:
		o.handling, o.exception, ok = ledger.Ignored, 0, r.Handling != ledger.Ignored && !ended
	case ledger.MarkFixed:
		o.handling, o.exception, ok = ledger.MarkedFixed, 0, r.Handling != ledger.MarkedFixed && !ended
	case ledger.Unignore:
		o.handling, ok = ledger.Unhandled, r.Handling == ledger.Ignored
	case ledger.Accept:
		o.handling, o.exception = ledger.Accepted, w.h.Exception
		ok = !ended && (r.Handling == ledger.Unhandled || r.Handling == ledger.Accepted && r.ExceptionID != w.h.Exception)
	case ledger.Unaccept:
		o.handling, o.exception = ledger.Unhandled, 0
		ok = r.Handling == ledger.Accepted && (w.h.Exception == 0 || r.ExceptionID == w.h.Exception)
	}
	o.status = ledger.StatusOf(r.State, o.handling)
	return o, ok
}

// moved counts a change of status.
func (w *handler) moved(r *ledger.Row, after ledger.Status) {
	s := spotOf(r)
	w.deltas.move(s, r.Status, s, after)
	c := w.changes[r.TargetID]
	if c == nil {
		c = &ledger.Change{UserID: w.user, At: w.at, Reopened: map[ledger.Severity]int{}}
		w.changes[r.TargetID] = c
	}
	switch {
	case r.Status.Active() && !after.Active():
		c.Closed++
	case !r.Status.Active() && after.Active():
		c.Reopened[r.Severity]++
	}
}

// Remove takes a target out of the lists: its findings stay, what all targets count falls by it. It waits for a run that is being
// taken in to write its batch; that run then ends with ErrRemoved. Removing a removed target is ErrRemoved too.
func (t *Triage) Remove(ctx context.Context, tx bun.Tx, target int64, at time.Time) error {
	rows, err := t.lock(ctx, tx, []int64{target})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return fmt.Errorf("target %d: %w", target, ErrRemoved)
	}
	d, err := tallyOf(ctx, tx, target)
	if err != nil {
		return err
	}
	days := map[dayCell]flow{}
	for c, n := range d.counts {
		d.counts[c] = -n
		if c.status.Active() {
			days[dayCell{0, c.kind, c.severity}] = flow{}
		}
	}
	var risks []count
	for c, n := range d.risks {
		risks = append(risks, count{riskCell{0, c.risk}, -n, -1})
	}
	for _, text := range []string{"DELETE FROM risk_counts WHERE target_id = ?", "DELETE FROM counts WHERE target_id = ?"} {
		if _, err := tx.ExecContext(ctx, text, target); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE assets SET gone_at = ? WHERE target_id = ? AND gone_at = 0", store.At(at), target); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE targets SET removed_at = ? WHERE id = ?", store.At(at), target); err != nil {
		return err
	}
	if err := t.addRisks(ctx, tx, risks); err != nil {
		return err
	}
	_, all := d.cells()
	if err := t.addCounts(ctx, tx, all); err != nil {
		return err
	}
	return t.applyDays(ctx, tx, days, t.now())
}
