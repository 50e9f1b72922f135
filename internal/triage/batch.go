package triage

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// flush writes what is pending in one transaction.
func (in *Ingest) flush() error {
	if err := in.resolve(); err != nil {
		return in.failed("looking up findings", err)
	}
	list := in.pending
	if len(list) > 0 {
		if err := in.t.share(in.ctx, list); err != nil {
			return in.failed("writing risks", err)
		}
		var b *batch
		err := in.t.db.Write(in.ctx, func(ctx context.Context, tx bun.Tx) error {
			b = in.batch()
			return b.write(ctx, tx, list)
		})
		if err != nil {
			return in.failed("writing findings", err)
		}
		b.done(list)
	}
	in.pending, in.flushed = in.pending[:0:0], in.t.now()
	clear(in.queued)
	return nil
}

// resolve finds out which of the pending findings are there already, where not everything was loaded.
func (in *Ingest) resolve() error {
	if in.all {
		return nil
	}
	var prints [][]byte
	for _, c := range in.pending {
		if c.old < 0 {
			prints = append(prints, c.print[:])
		}
	}
	for chunk := range slices.Chunk(prints, 500) {
		if err := query(in.ctx, in.t.db.R, in.remember, "SELECT "+knownColumns+" FROM findings WHERE target_id = ? AND fingerprint IN (?)", in.r.Target, bun.List(chunk)); err != nil {
			return err
		}
	}
	in.pending = slices.DeleteFunc(in.pending, func(c *change) bool {
		i, ok := in.prints[c.print]
		if !ok {
			return false
		}
		c.old = i
		k := &in.known[i]
		if k.hash != c.row.Hash || !in.same(k, c.accepted, c.row.ExceptionID) {
			return false
		}
		k.seen = true
		in.run.Unchanged++
		in.assets.touch(k.asset)
		return true
	})
	return nil
}

// batch is what one transaction of a run changes. It is thrown away when the transaction is not through.
type batch struct {
	in     *Ingest
	run    ledger.Run
	change ledger.Change
	deltas *deltas
	events []ledger.Event
	assets []row
}

func (in *Ingest) batch() *batch {
	b := &batch{in: in, run: in.run, change: in.change, deltas: newDeltas()}
	b.change.Opened, b.change.Reopened = maps.Clone(in.change.Opened), maps.Clone(in.change.Reopened)
	return b
}

// write makes the changes of findings.
func (b *batch) write(ctx context.Context, tx bun.Tx, list []*change) error {
	in := b.in
	if err := in.lock(ctx, tx); err != nil {
		return err
	}
	if err := b.place(ctx, tx, list); err != nil {
		return err
	}
	var added, old []*change
	for _, c := range list {
		if c.old < 0 {
			added = append(added, c)
		} else {
			old = append(old, c)
		}
	}
	if err := b.insert(ctx, tx, added); err != nil {
		return err
	}
	if err := b.update(ctx, tx, old); err != nil {
		return err
	}
	return b.close(ctx, tx)
}

// close writes history, counters and the figures of the run.
func (b *batch) close(ctx context.Context, tx bun.Tx) error {
	if err := b.in.t.record(ctx, tx, b.events); err != nil {
		return err
	}
	if err := b.in.t.apply(ctx, tx, b.deltas, b.in.t.now()); err != nil {
		return err
	}
	r := &b.run
	_, err := tx.ExecContext(ctx, "UPDATE runs SET added = ?, changed = ?, reopened = ?, fixed = ?, gone = ?, unseen = ?, unchanged = ? WHERE id = ?",
		r.Added, r.Changed, r.Reopened, r.Fixed, r.Gone, r.Unseen, r.Unchanged, r.ID)
	return err
}

// place fills in the assets.
func (b *batch) place(ctx context.Context, tx bun.Tx, list []*change) error {
	a := &b.in.assets
	var missing []want
	prints := make([][16]byte, len(list))
	for i, c := range list {
		prints[i] = c.key.print()
		if j, ok := a.byKey[prints[i]]; !ok || a.list[j].gone {
			missing = append(missing, want{key: c.key, print: prints[i]})
		}
	}
	root := rootKey(&b.in.target).cleaned()
	if _, ok := a.byKey[root.print()]; !ok && root.kind == ledger.AssetCluster {
		missing = append(missing, want{key: root, print: root.print()})
	}
	var err error
	if b.assets, err = b.in.ensure(ctx, tx, missing); err != nil {
		return err
	}
	fresh := map[[16]byte]int64{}
	for _, r := range b.assets {
		fresh[r.key.print()] = r.asset.id
	}
	for i, c := range list {
		if c.row.AssetID = fresh[prints[i]]; c.row.AssetID == 0 {
			c.row.AssetID = a.list[a.byKey[prints[i]]].id
		}
		b.fill(c)
	}
	return nil
}

// fill sets the columns that come from the finding itself.
func (b *batch) fill(c *change) {
	f, r := c.f, &c.row
	r.TargetID, r.Fingerprint = b.in.r.Target, c.print[:]
	r.Kind, r.Severity, r.Rule = c.riskKey.kind, ledger.SeverityOf(f.Severity), c.riskKey.rule
	r.Priority, r.Namespace, r.Resource = priorityOf(f), namespaceOf(f, c.key), resourceOf(f, c.key)
	r.Image, r.Digest = clean(f.Resource.Image), clean(f.Resource.Digest)
	if v := f.Vulnerability; v != nil {
		r.KEV, r.Fixable, r.Package, r.Version = v.KEV, v.FixedVersion != "", clean(v.Package), clean(v.Version)
	}
	r.State, r.Handling = ledger.Open, ledger.Unhandled
	if c.accepted {
		r.Handling = ledger.Accepted
	}
	r.Status, r.Cause = ledger.StatusOf(r.State, r.Handling), ledger.FirstSeen
	r.FirstSeen, r.ChangedAt, r.LastSeen = b.in.at, b.in.at, store.Time{}
}

// insert adds findings that were never there.
func (b *batch) insert(ctx context.Context, tx bun.Tx, list []*change) error {
	if len(list) == 0 {
		return nil
	}
	// In the order of the names that the search keeps once for all targets: two runs that add the same wait, but not in a circle.
	slices.SortStableFunc(list, func(x, y *change) int { return cmp.Compare(x.row.Package, y.row.Package) })
	q := bulk{head: `INSERT INTO findings (target_id, fingerprint, risk_id, asset_id, kind, severity, state, handling, status, cause, priority, kev,
		fixable, rule, package, version, namespace, resource, image, digest, hash, rule_hash, first_seen, changed_at, exception_id) VALUES `, columns: 25, tail: " RETURNING id, fingerprint"}
	byPrint := make(map[[16]byte]*change, len(list))
	for _, c := range list {
		r := &c.row
		q.row(r.TargetID, r.Fingerprint, r.RiskID, r.AssetID, int(r.Kind), int(r.Severity), int(r.State), int(r.Handling), int(r.Status), int(r.Cause), r.Priority, r.KEV,
			r.Fixable, r.Rule, r.Package, r.Version, r.Namespace, r.Resource, r.Image, r.Digest, r.Hash, r.RuleHash, r.FirstSeen.UnixMilli(), r.ChangedAt.UnixMilli(), r.ExceptionID)
		byPrint[c.print] = c
	}
	err := b.in.t.exec(ctx, tx, &q, func(rows *sql.Rows) error {
		var id int64
		var raw sql.RawBytes
		if err := rows.Scan(&id, &raw); err != nil {
			return err
		}
		byPrint[[16]byte(raw)].row.ID = id
		return nil
	})
	if err != nil {
		return err
	}
	d := bulk{head: "INSERT INTO details (finding_id, advice_id, body) VALUES ", columns: 3}
	for _, c := range list {
		_, detail := ledger.Split(c.f)
		body, err := detail.Pack()
		if err != nil {
			return err
		}
		d.row(c.row.ID, c.advice, body)
		b.deltas.move(spotOf(&c.row), 0, spotOf(&c.row), c.row.Status)
		b.run.Added++
		if c.row.Status.Active() {
			b.change.Opened[c.row.Severity]++
		}
	}
	return b.in.t.exec(ctx, tx, &d, nil)
}

// update changes findings that are there.
func (b *batch) update(ctx context.Context, tx bun.Tx, list []*change) error {
	if len(list) == 0 {
		return nil
	}
	byID := make(map[int64]*change, len(list))
	ids := make([]int64, len(list))
	for i, c := range list {
		ids[i] = b.in.known[c.old].id
		byID[ids[i]] = c
	}
	var rows []ledger.Row
	if err := tx.NewSelect().Model(&rows).Where("id IN (?)", bun.List(ids)).OrderExpr("id").Scan(ctx); err != nil {
		return err
	}
	for i := range rows {
		if err := b.renew(ctx, tx, &rows[i], byID[rows[i].ID]); err != nil {
			return err
		}
	}
	return nil
}

// renew writes what was seen of a finding that is there.
func (b *batch) renew(ctx context.Context, tx bun.Tx, old *ledger.Row, c *change) error {
	next := b.in.next(old, c)
	if next.Hash != old.Hash {
		_, detail := ledger.Split(c.f)
		body, err := detail.Pack()
		if err != nil {
			return err
		}
		if _, err := tx.Tx.ExecContext(ctx, b.in.t.bind("UPDATE details SET advice_id = ?, body = ? WHERE finding_id = ?"), c.advice, body, old.ID); err != nil {
			return err
		}
	}
	r := &next
	_, err := tx.Tx.ExecContext(ctx, b.in.t.bind(`UPDATE findings SET risk_id = ?, asset_id = ?, kind = ?, severity = ?, state = ?, handling = ?, status = ?, cause = ?,
		priority = ?, kev = ?, fixable = ?, rule = ?, package = ?, version = ?, namespace = ?, resource = ?, image = ?, digest = ?, hash = ?, rule_hash = ?,
		last_seen = ?, changed_at = ?, exception_id = ? WHERE id = ?`), r.RiskID, r.AssetID, int(r.Kind), int(r.Severity), int(r.State), int(r.Handling), int(r.Status), int(r.Cause),
		r.Priority, r.KEV, r.Fixable, r.Rule, r.Package, r.Version, r.Namespace, r.Resource, r.Image, r.Digest, r.Hash, r.RuleHash,
		r.LastSeen, r.ChangedAt, r.ExceptionID, r.ID)
	if err != nil {
		return err
	}
	reopened := next.State == ledger.Reopened && old.State != ledger.Reopened
	if reopened {
		b.run.Reopened++
	} else {
		b.run.Changed++
	}
	if !old.Status.Active() && next.Status.Active() {
		b.change.Reopened[next.Severity]++
	}
	if old.Status.Active() && !next.Status.Active() {
		b.change.Closed++
	}
	b.deltas.move(spotOf(old), old.Status, spotOf(&next), next.Status)
	if old.Status != next.Status || old.Severity != next.Severity {
		note := ""
		if old.Severity != next.Severity {
			note = old.Severity.String() + " -> " + next.Severity.String()
		}
		cause := next.Cause
		if old.Status == next.Status {
			cause = b.in.cause(old, c)
		}
		b.events = append(b.events, ledger.Event{FindingID: old.ID, TargetID: old.TargetID, RunID: b.run.ID, At: b.in.at, Action: ledger.Seen,
			Before: old.Status, After: next.Status, Cause: cause, Note: note})
	}
	c.next = next
	return nil
}

// next is the row of a finding that was seen again.
func (in *Ingest) next(old *ledger.Row, c *change) ledger.Row {
	next := c.row
	next.ID, next.FirstSeen, next.ChangedAt, next.AssigneeID = old.ID, old.FirstSeen, old.ChangedAt, old.AssigneeID
	next.State, next.Handling, next.Cause, next.ExceptionID = old.State, old.Handling, old.Cause, old.ExceptionID
	cause := ledger.NoCause
	switch old.State {
	case ledger.Fixed, ledger.Gone:
		next.State, cause = ledger.Reopened, in.cause(old, c)
		if old.Handling == ledger.MarkedFixed {
			next.Handling = ledger.Unhandled
		}
	case ledger.Unseen:
		next.State = ledger.Open
	}
	switch next.Handling {
	case ledger.Unhandled:
		if c.accepted {
			next.Handling, next.ExceptionID, cause = ledger.Accepted, c.row.ExceptionID, cmp.Or(cause, ledger.ByException)
		}
	case ledger.Accepted:
		switch {
		case c.accepted:
			next.ExceptionID = c.row.ExceptionID
		case in.t.ex != nil || old.ExceptionID == 0:
			next.Handling, next.ExceptionID, cause = ledger.Unhandled, 0, cmp.Or(cause, ledger.ExceptionEnded)
		}
	case ledger.MarkedFixed:
		if old.ChangedAt.Before(in.at.Time) { // it was looked at after somebody said so
			next.State, next.Handling, cause = ledger.Reopened, ledger.Unhandled, in.cause(old, c)
		}
	}
	next.Status = ledger.StatusOf(next.State, next.Handling)
	if next.Status != old.Status {
		next.ChangedAt, next.Cause = in.at, cause
	}
	return next
}

// cause says why a finding is there again, or is another: what is different from then.
func (in *Ingest) cause(old *ledger.Row, c *change) ledger.Cause {
	switch {
	case c.row.Image != "" && c.key.kind == ledger.AssetImage && (old.Digest != c.row.Digest || old.Image != c.row.Image):
		return ledger.ImageChanged
	case vulnerability(old.Kind) && in.newDatabase():
		return ledger.DatabaseChanged
	case old.RuleHash != 0 && c.row.RuleHash != 0 && old.RuleHash != c.row.RuleHash:
		return ledger.RuleChanged
	case vulnerability(old.Kind) && c.key.kind == ledger.AssetImage:
		return ledger.DatabaseChanged // the same image, judged by another record of the same database
	}
	return ledger.ObjectChanged
}

func vulnerability(k ledger.Kind) bool {
	return k == ledger.SystemVulnerability || k == ledger.ApplicationVulnerability
}

func (in *Ingest) newDatabase() bool {
	return in.database && in.previous != "" && in.previous != in.run.Database
}

// done takes over what the transaction has changed.
func (b *batch) done(list []*change) {
	in := b.in
	in.run, in.change = b.run, b.change
	for _, r := range b.assets {
		in.assets.put(r.key, r.asset)
	}
	for _, c := range list {
		r := &c.row
		if c.old >= 0 {
			r = &c.next
		}
		k := known{r.ID, r.Hash, r.AssetID, r.ExceptionID, r.State, r.Handling, r.Kind, true}
		if c.old >= 0 {
			in.known[c.old] = k
		} else {
			in.prints[c.print] = int32(len(in.known))
			in.known = append(in.known, k)
		}
		in.assets.touch(r.AssetID)
	}
}

// record writes history.
func (t *Triage) record(ctx context.Context, tx bun.Tx, events []ledger.Event) error {
	user := int64(0)
	if p := identity.From(ctx); p != nil {
		user = p.UserID
	}
	b := bulk{head: "INSERT INTO history (finding_id, target_id, run_id, user_id, at, action, before, after, cause, note) VALUES ", columns: 10}
	for i := range events {
		e := &events[i]
		by := user
		if e.RunID != 0 {
			by = 0
		}
		b.row(e.FindingID, e.TargetID, e.RunID, by, e.At.UnixMilli(), string(e.Action), int(e.Before), int(e.After), int(e.Cause), e.Note)
	}
	return t.exec(ctx, tx, &b, nil)
}

var _ finding.AssetHandler = (*Ingest)(nil)
