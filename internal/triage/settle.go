package triage

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// End settles what the run speaks for and did not report, and closes the run.
func (in *Ingest) End(finishedAt time.Time, _ finding.Target, stats finding.Stats) error {
	if err := in.open(); err != nil {
		return err
	}
	if err := in.flush(); err != nil {
		return err
	}
	if err := in.assets.flush(in); err != nil {
		return in.failed("writing assets", err)
	}
	if err := in.uses(); err != nil {
		return in.failed("writing which workloads run which images", err)
	}
	if err := in.settle(); err != nil {
		return in.failed("settling what was not found", err)
	}
	if err := in.leave(); err != nil {
		return in.failed("settling assets", err)
	}
	now := in.t.now()
	if finishedAt.IsZero() || finishedAt.After(now) {
		finishedAt = now
	}
	if err := in.finish(store.At(finishedAt), stats); err != nil {
		return in.failed("ending the run", err)
	}
	in.t.log.Info("findings taken in", "target", in.r.Target, "run", in.run.ID, "kind", in.run.Kind, "added", in.run.Added, "changed", in.run.Changed,
		"reopened", in.run.Reopened, "fixed", in.run.Fixed, "gone", in.run.Gone, "unseen", in.run.Unseen, "unchanged", in.run.Unchanged)
	in.end()
	return nil
}

// settle decides on every finding that was not reported. A run that does not speak for the whole target decides on those of
// its refs, and of images that nothing runs any more.
func (in *Ingest) settle() error {
	var ids []int64
	for i := range in.known {
		k := &in.known[i]
		if k.seen || k.state == ledger.Fixed || k.state == ledger.Gone || !in.r.asked(k.kind) || !in.speaksFor(k) {
			continue
		}
		ids = append(ids, k.id)
		if len(ids) == batchSize {
			if err := in.settleSome(ids); err != nil {
				return err
			}
			ids = ids[:0]
		}
	}
	if len(ids) > 0 {
		return in.settleSome(ids)
	}
	return nil
}

// speaksFor reports whether the run tells of what a finding is about.
func (in *Ingest) speaksFor(k *known) bool {
	i, ok := in.assets.byID[k.asset]
	if ok && len(in.r.Agents) > 0 && ofAgents(k.kind) {
		if x := &in.assets.list[i]; x.kind == ledger.AssetNode && x.reported && in.r.Agents[x.name] {
			return false
		}
	}
	return in.r.whole() || in.also[k.id] || ok && (in.assets.list[i].scope || in.assets.list[i].orphan)
}

// missing is a finding that was not reported, with what it was about.
type missing struct {
	bun.BaseModel `bun:"table:findings,alias:f"`
	ledger.Row
	AssetKind ledger.AssetKind `bun:"asset_kind"`
	AssetName string           `bun:"asset_name"`
	GroupKind string           `bun:"group_kind"`
}

func (in *Ingest) settleSome(ids []int64) error {
	var b *batch
	err := in.t.db.Write(in.ctx, func(ctx context.Context, tx bun.Tx) error {
		b = in.batch()
		if err := in.lock(ctx, tx); err != nil {
			return err
		}
		var rows []missing
		err := tx.NewSelect().Model(&rows).ColumnExpr("f.*, a.kind AS asset_kind, a.name AS asset_name, a.group_kind").
			Join("JOIN assets AS a ON a.id = f.asset_id").Where("f.id IN (?)", bun.List(ids)).Where("f.state NOT IN (?)", bun.List([]int{int(ledger.Fixed), int(ledger.Gone)})).
			OrderExpr("f.id").Scan(ctx)
		if err != nil {
			return err
		}
		if err := in.sources(ctx, tx, rows); err != nil {
			return err
		}
		groups := map[ending][]int64{}
		for i := range rows {
			b.miss(&rows[i], groups)
		}
		for e, list := range groups {
			_, err := tx.NewUpdate().Table("findings").Set("state = ?", int(e.state)).Set("status = ?", int(e.status)).Set("cause = ?", int(e.cause)).
				Set("changed_at = ?", in.at).Set("last_seen = CASE WHEN last_seen <> 0 THEN last_seen WHEN first_seen > ? THEN first_seen ELSE ? END", in.lastLook(), in.lastLook()).
				Where("id IN (?)", bun.List(list)).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return b.close(ctx, tx)
	})
	if err == nil {
		b.done(nil)
	}
	return err
}

// lastLook is when what is open was seen last: at the last full look, as far as the clock agrees.
func (in *Ingest) lastLook() store.Time {
	if in.target.LookedAt.After(in.at.Time) {
		return in.at
	}
	return in.target.LookedAt
}

// ending is what becomes of findings that were not reported.
type ending struct {
	state  ledger.State
	status ledger.Status
	cause  ledger.Cause
}

// miss decides on one finding.
func (b *batch) miss(m *missing, groups map[ending][]int64) {
	state, cause := b.in.verdict(m)
	if state == m.State || state == 0 {
		return
	}
	after := ledger.StatusOf(state, m.Handling)
	e := ending{state, after, cause}
	groups[e] = append(groups[e], m.ID)
	switch state {
	case ledger.Fixed:
		b.run.Fixed++
	case ledger.Gone:
		b.run.Gone++
	case ledger.Unseen:
		b.run.Unseen++
	}
	if m.Status.Active() && !after.Active() {
		b.change.Closed++
	}
	s := spotOf(&m.Row)
	b.deltas.move(s, m.Status, s, after)
	b.events = append(b.events, ledger.Event{FindingID: m.ID, TargetID: m.TargetID, RunID: b.run.ID, At: b.in.at, Action: ledger.Seen,
		Before: m.Status, After: after, Cause: cause})
}

// verdict says what it means that a finding was not reported.
func (in *Ingest) verdict(m *missing) (ledger.State, ledger.Cause) {
	a := &in.assets
	var x asset
	if i, ok := a.byID[m.AssetID]; ok {
		x = a.list[i]
	}
	switch {
	case !a.told: // nobody says what was looked at: all of it
		x.reported = true
	case m.AssetKind == ledger.AssetCluster && !a.cut:
		x.reported = true
	case !x.listed && m.AssetKind != ledger.AssetImage && !a.cut: // named by findings only: it cannot be missed
		x.reported = true
	case in.also[m.ID]: // of the object itself the run says nothing
		x.reported = true
	}
	switch {
	case in.unlooked(m, x):
		return ledger.Unseen, ledger.NotLooked
	case !x.reported && m.AssetKind == ledger.AssetImage:
		if state, cause, settled := in.onNodes(m); settled {
			return state, cause
		}
		if in.replaced(m) {
			return ledger.Fixed, ledger.ImageChanged
		}
		return ledger.Gone, ledger.ImageChanged
	case !x.reported:
		return ledger.Gone, ledger.ObjectGone
	}
	if state, cause, settled := in.onNodes(m); settled {
		return state, cause
	}
	switch {
	case a.rules[m.Rule] && (!in.r.whole() || m.AssetKind == ledger.AssetNode && in.r.Agents[m.AssetName]): // what the rule would have said is another run's to tell
		return 0, ledger.NoCause
	case a.rules[m.Rule]:
		return ledger.Unseen, ledger.NotLooked
	case vulnerability(m.Kind) && in.newDatabase():
		return ledger.Fixed, ledger.DatabaseChanged
	case m.RuleHash != 0 && in.r.Rules != nil && in.ruleHash(m.Rule) != m.RuleHash:
		return ledger.Fixed, ledger.RuleChanged
	}
	return ledger.Fixed, ledger.ObjectChanged
}

// ofAgents reports whether findings of the kind on nodes are for their agents to tell.
func ofAgents(k ledger.Kind) bool {
	return vulnerability(k) || k == ledger.Emergency || k == ledger.Malware
}

// unlooked reports whether the place of a finding could not be looked at.
func (in *Ingest) unlooked(m *missing, x asset) bool {
	a := &in.assets
	switch {
	case vulnerability(m.Kind) && !in.database && x.reported:
		return true
	case x.reported && x.unread:
		return true
	case !x.reported && (a.cut || a.unreadKind(m.AssetKind, m.GroupKind)):
		return true
	case m.AssetKind == ledger.AssetNode:
		return in.broken[noNodeFacts] || in.broken[noFactsOf+m.AssetName] || vulnerability(m.Kind) && in.broken[m.AssetName]
	case m.AssetKind == ledger.AssetImage: // "registry.example.com/web:1.0", or as it was pulled: "registry.example.com/web@sha256:..."
		name, _ := inventory.SplitReference(m.Image)
		return in.broken[m.Image] || in.broken[name+"@"+m.Digest]
	case m.AssetKind == ledger.AssetFile:
		return in.broken[m.AssetName]
	}
	return false
}

// unreadKind reports whether assets of the kind could not be read.
func (a *assets) unreadKind(k ledger.AssetKind, groupKind string) bool {
	switch k {
	case ledger.AssetNamespace:
		return a.kinds["Namespace"]
	case ledger.AssetNode:
		return a.kinds["Node"]
	case ledger.AssetWorkload: // its pods or what owns them
		return a.kinds[groupKind] || a.kinds["Pod"] && groupKind == "Pod"
	case ledger.AssetImage: // what runs it may be among what was not read
		return a.kinds["Pod"]
	}
	return a.kinds[groupKind]
}

// replaced reports whether another image of the same repository is in use.
func (in *Ingest) replaced(m *missing) bool {
	name, _ := inventory.SplitReference(m.AssetName)
	return in.assets.repositories()[name]
}

// repositories are those of the images that were reported.
func (a *assets) repositories() map[string]bool {
	if a.repos == nil {
		a.repos = map[string]bool{}
		for i := range a.list {
			if x := &a.list[i]; x.kind == ledger.AssetImage && x.reported {
				name, _ := inventory.SplitReference(x.name)
				a.repos[name] = true
			}
		}
	}
	return a.repos
}

// uses brings asset_uses up to date: of all workloads, or of those that the run looked at.
func (in *Ingest) uses() error {
	a := &in.assets
	if !a.told {
		return nil
	}
	want := map[use]string{}
	for _, r := range a.runs {
		w, ok := a.byKey[r.workload]
		i, found := a.byKey[r.image]
		if ok && found {
			want[use{a.list[i].id, a.list[w].id}] = a.list[w].namespace
		}
	}
	scope := map[int64]bool{} // workloads that the run tells the uses of
	for i := range a.list {
		x := &a.list[i]
		if x.kind == ledger.AssetWorkload || x.kind == ledger.AssetObject {
			scope[x.id] = x.reported || x.scope || in.r.whole() && !a.cut && !a.unreadKind(x.kind, x.groupKind)
		}
	}
	changed, err := in.changedUses(want, scope)
	if err != nil {
		return err
	}
	for images := range slices.Chunk(changed, 200) {
		add := map[use]string{}
		for u, ns := range want {
			if _, ok := slices.BinarySearch(images, u.image); ok {
				add[u] = ns
			}
		}
		var orphans []int64
		err := in.t.db.Write(in.ctx, func(ctx context.Context, tx bun.Tx) (err error) {
			if err = in.lock(ctx, tx); err != nil {
				return err
			}
			orphans, err = in.t.changeUses(ctx, tx, in.r.Target, images, add, func(workload int64) bool { return scope[workload] })
			return err
		})
		if err != nil {
			return err
		}
		if err := in.adopt(orphans); err != nil {
			return err
		}
	}
	return nil
}

// changedUses lists the images whose uses are not what they shall be, sorted.
func (in *Ingest) changedUses(want map[use]string, scope map[int64]bool) ([]int64, error) {
	left := make(map[use]bool, len(want))
	for u := range want {
		left[u] = true
	}
	images := map[int64]bool{}
	compare := func(rows *sql.Rows) error {
		var u use
		if err := rows.Scan(&u.image, &u.workload); err != nil {
			return err
		}
		if left[u] {
			delete(left, u)
		} else if scope[u.workload] {
			images[u.image] = true
		}
		return nil
	}
	const from = "SELECT image_id, workload_id FROM asset_uses WHERE "
	var err error
	if in.r.whole() {
		err = query(in.ctx, in.t.db.R, compare, from+"target_id = ?", in.r.Target)
	} else {
		workloads := []int64{}
		for id, in := range scope {
			if in {
				workloads = append(workloads, id)
			}
		}
		for chunk := range slices.Chunk(workloads, 1000) {
			if err = query(in.ctx, in.t.db.R, compare, from+"workload_id IN (?)", bun.List(chunk)); err != nil {
				break
			}
		}
	}
	for u := range left {
		images[u.image] = true
	}
	out := make([]int64, 0, len(images))
	for id := range images {
		out = append(out, id)
	}
	slices.Sort(out)
	return out, err
}

// adopt takes images that nothing runs any more into what the run speaks for.
func (in *Ingest) adopt(images []int64) error {
	if in.r.whole() || len(images) == 0 {
		return nil
	}
	err := query(in.ctx, in.t.db.R, func(rows *sql.Rows) error {
		k, x, err := scanAsset(rows)
		if err == nil {
			p := in.assets.put(k, x)
			p.orphan, p.reported, p.unread = true, false, false
		}
		return err
	}, "SELECT "+assetColumns+" FROM assets WHERE id IN (?)", bun.List(images))
	if err != nil {
		return err
	}
	return query(in.ctx, in.t.db.R, in.remember, "SELECT "+knownColumns+" FROM findings WHERE asset_id IN (?)", bun.List(images))
}

// leave marks assets that are not there any more.
func (in *Ingest) leave() error {
	a := &in.assets
	if !a.told {
		return nil
	}
	var gone []int64
	for i := range a.list {
		x := &a.list[i]
		there := x.reported || x.touched || x.gone || x.kind == ledger.AssetCluster || x.kind == ledger.AssetNamespace && a.spaces[x.namespace]
		if !there && (x.scope || x.orphan || in.r.whole() && !a.cut && !a.unreadKind(x.kind, x.groupKind)) {
			gone = append(gone, x.id)
		}
	}
	for chunk := range slices.Chunk(gone, batchSize) {
		err := in.t.db.Write(in.ctx, func(ctx context.Context, tx bun.Tx) error {
			if err := in.lock(ctx, tx); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "UPDATE assets SET gone_at = ? WHERE id IN (?) AND gone_at = 0", in.at, bun.List(chunk))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
