package triage

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
)

// applyAssets changes the counters of the assets that findings are about, of the workloads and namespaces that run an image
// among them, of their namespaces and of the cluster.
func (t *Triage) applyAssets(ctx context.Context, tx bun.Tx, d *deltas) error {
	sums := maps.Clone(d.assets)
	ids := slices.Sorted(maps.Keys(d.assets))
	for chunk := range slices.Chunk(ids, 1000) {
		type use struct {
			target, image, workload int64
			namespace               string
		}
		seen := map[use]bool{}
		err := query(ctx, tx, func(rows *sql.Rows) error {
			var u use
			if err := rows.Scan(&u.target, &u.image, &u.workload, &u.namespace); err != nil {
				return err
			}
			c := d.assets[u.image]
			sum := sums[u.workload]
			sum.add(c, 1)
			sums[u.workload] = sum
			u.workload = 0
			if u.namespace != "" && !seen[u] {
				seen[u] = true
				d.space(u.target, u.namespace, c)
			}
			return nil
		}, "SELECT target_id, image_id, workload_id, namespace FROM asset_uses WHERE image_id IN (?)", bun.List(chunk))
		if err != nil {
			return err
		}
	}
	targets := map[int64]bool{}
	for target := range d.whole {
		targets[target] = true
	}
	for target := range d.spaces {
		targets[target] = true
	}
	for _, target := range slices.Sorted(maps.Keys(targets)) {
		if err := t.gather(ctx, tx, target, d, sums); err != nil {
			return err
		}
	}
	return t.addAssets(ctx, tx, sums)
}

// gather adds the counters of the namespaces of a target, and of the cluster, to sums. The findings about a namespace itself are
// in its sum already.
func (t *Triage) gather(ctx context.Context, tx bun.Tx, target int64, d *deltas, sums map[int64]bySeverity) error {
	spaces := d.spaces[target]
	names := slices.Sorted(maps.Keys(spaces))
	found := map[string]int64{}
	find := func(names []string) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			var name string
			var id int64
			err := rows.Scan(&id, &name)
			found[name] = id
			return err
		}, "SELECT id, name FROM assets WHERE target_id = ? AND kind = ? AND group_kind = '' AND namespace IN (?)", target, int(ledger.AssetNamespace), bun.List(names))
	}
	for chunk := range slices.Chunk(names, 1000) {
		if err := find(chunk); err != nil {
			return err
		}
	}
	b := bulk{head: "INSERT INTO assets (target_id, kind, namespace, name, first_seen) VALUES ", columns: 5,
		tail: " ON CONFLICT (target_id, kind, group_kind, namespace, name, digest) DO NOTHING RETURNING id, name"}
	for _, name := range names {
		if found[name] == 0 {
			b.row(target, int(ledger.AssetNamespace), name, name, t.now().UnixMilli())
		}
	}
	err := t.exec(ctx, tx, &b, func(rows *sql.Rows) error {
		var name string
		var id int64
		err := rows.Scan(&id, &name)
		found[name] = id
		return err
	})
	if err != nil {
		return err
	}
	for name, c := range spaces {
		sums[found[name]] = c // what is about the namespace itself is counted in c too
	}
	var root int64
	err = query(ctx, tx, func(rows *sql.Rows) error { return rows.Scan(&root) },
		"SELECT id FROM assets WHERE target_id = ? AND kind = ? AND gone_at = 0 ORDER BY id LIMIT 1", target, int(ledger.AssetCluster))
	if err != nil || root == 0 {
		return err
	}
	sums[root] = d.whole[target]
	return nil
}

// addAssets changes counters of assets. Their targets are locked, so they can be read and written.
func (t *Triage) addAssets(ctx context.Context, tx bun.Tx, sums map[int64]bySeverity) error {
	for id, c := range sums {
		if c == (bySeverity{}) {
			delete(sums, id)
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(sums)), 500) {
		var v numbers
		err := query(ctx, tx, func(rows *sql.Rows) error {
			var id int64
			var c bySeverity
			if err := rows.Scan(&id, &c[4], &c[3], &c[2], &c[1], &c[0]); err != nil {
				return err
			}
			c.add(sums[id], 1)
			v.row(id, int64(c[4]), int64(c[3]), int64(c[2]), int64(c[1]), int64(c[0]), ledger.Score(c[4], c[3], c[2], c[1]))
			return nil
		}, "SELECT id, critical, high, medium, low, info FROM assets WHERE id IN (?)", bun.List(chunk))
		if err != nil || v.n == 0 {
			return err
		}
		_, err = tx.Tx.ExecContext(ctx, `UPDATE assets SET critical = v.column2, high = v.column3, medium = v.column4, low = v.column5,
			info = v.column6, score = v.column7 FROM (VALUES `+v.text.String()+`) AS v WHERE assets.id = v.column1`)
		if err != nil {
			return err
		}
	}
	return nil
}

// use is a workload that runs an image.
type use struct{ image, workload int64 }

// changeUses makes the uses of some images by the workloads in scope what they shall be, and moves what the images count. It
// returns the images that nothing uses any more. The target is locked.
func (t *Triage) changeUses(ctx context.Context, tx bun.Tx, target int64, images []int64, add map[use]string, scope func(workload int64) bool) ([]int64, error) {
	have, want := map[use]string{}, maps.Clone(add)
	err := query(ctx, tx, func(rows *sql.Rows) error {
		var u use
		var namespace string
		err := rows.Scan(&u.image, &u.workload, &namespace)
		have[u] = namespace
		if !scope(u.workload) {
			want[u] = namespace
		}
		return err
	}, "SELECT image_id, workload_id, namespace FROM asset_uses WHERE image_id IN (?)", bun.List(images))
	if err != nil || maps.Equal(have, want) {
		return nil, err
	}
	counts := map[int64]bySeverity{}
	err = query(ctx, tx, func(rows *sql.Rows) error {
		var id int64
		var c bySeverity
		err := rows.Scan(&id, &c[4], &c[3], &c[2], &c[1], &c[0])
		counts[id] = c
		return err
	}, "SELECT id, critical, high, medium, low, info FROM assets WHERE id IN (?)", bun.List(images))
	if err != nil {
		return nil, err
	}
	if err := t.shiftUses(ctx, tx, target, have, want, counts); err != nil {
		return nil, err
	}
	var orphans []int64
	used := map[int64]bool{}
	for u := range want {
		used[u.image] = true
	}
	for u := range have {
		if !used[u.image] {
			used[u.image] = true
			orphans = append(orphans, u.image)
		}
	}
	return orphans, nil
}

// shiftUses writes the difference of two sets of uses of the same images, which count what counts says.
func (t *Triage) shiftUses(ctx context.Context, tx bun.Tx, target int64, have, want map[use]string, counts map[int64]bySeverity) error {
	d, sums := newDeltas(), map[int64]bySeverity{}
	type spaceUse struct {
		image     int64
		namespace string
	}
	before, after := map[spaceUse]bool{}, map[spaceUse]bool{}
	for u, ns := range have {
		before[spaceUse{u.image, ns}] = true
	}
	move := func(id int64, c bySeverity, times int) {
		sum := sums[id]
		sum.add(c, times)
		sums[id] = sum
	}
	for u, ns := range want {
		after[spaceUse{u.image, ns}] = true
		if _, ok := have[u]; !ok {
			move(u.workload, counts[u.image], 1)
		}
	}
	var dropped numbers
	for u := range have {
		if _, ok := want[u]; !ok {
			move(u.workload, counts[u.image], -1)
			dropped.row(u.image, u.workload)
		}
	}
	space := func(s spaceUse, times int) {
		if s.namespace != "" {
			var c bySeverity
			c.add(counts[s.image], times)
			d.space(target, s.namespace, c)
		}
	}
	for s := range after {
		if !before[s] {
			space(s, 1)
		}
	}
	for s := range before {
		if !after[s] {
			space(s, -1)
		}
	}
	if dropped.n > 0 {
		if _, err := tx.Tx.ExecContext(ctx, "DELETE FROM asset_uses WHERE (image_id, workload_id) IN (VALUES "+dropped.text.String()+")"); err != nil {
			return err
		}
	}
	b := bulk{head: "INSERT INTO asset_uses (target_id, image_id, workload_id, namespace) VALUES ", columns: 4}
	for u, ns := range want {
		if _, ok := have[u]; !ok {
			b.row(target, u.image, u.workload, ns)
		}
	}
	if err := t.exec(ctx, tx, &b, nil); err != nil {
		return err
	}
	if err := t.gather(ctx, tx, target, d, sums); err != nil {
		return err
	}
	return t.addAssets(ctx, tx, sums)
}
