package triage

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
)

// spot is where a finding counts.
type spot struct {
	target, asset, risk int64
	namespace           string
	kind                ledger.Kind
	severity            ledger.Severity
}

func spotOf(r *ledger.Row) spot {
	return spot{r.TargetID, r.AssetID, r.RiskID, r.Namespace, r.Kind, r.Severity}
}

// bySeverity counts findings by severity, 0 info to 4 critical.
type bySeverity [5]int

func (b *bySeverity) add(c bySeverity, times int) {
	for i := range b {
		b[i] += times * c[i]
	}
}

type (
	cell struct { // of counts
		target    int64
		namespace string
		kind      ledger.Kind
		severity  ledger.Severity
		status    ledger.Status
	}
	riskCell struct{ target, risk int64 }
	dayCell  struct {
		target   int64
		kind     ledger.Kind
		severity ledger.Severity
	}
	flow struct{ opened, closed int }
)

// deltas gathers what a transaction changes in the counters. apply writes it.
type deltas struct {
	counts map[cell]int
	assets map[int64]bySeverity // by the asset that findings are about
	spaces map[int64]map[string]bySeverity
	whole  map[int64]bySeverity // by target
	risks  map[riskCell]int
	kinds  map[int64]ledger.Kind // of risks
	days   map[dayCell]flow
}

func newDeltas() *deltas {
	return &deltas{counts: map[cell]int{}, assets: map[int64]bySeverity{}, spaces: map[int64]map[string]bySeverity{},
		whole: map[int64]bySeverity{}, risks: map[riskCell]int{}, kinds: map[int64]ledger.Kind{}, days: map[dayCell]flow{}}
}

// put counts a finding n times (1 or -1) with a status at a spot.
func (d *deltas) put(s spot, status ledger.Status, n int) {
	d.counts[cell{s.target, s.namespace, s.kind, s.severity, status}] += n
	if !status.Active() {
		return
	}
	var one bySeverity
	one[s.severity] = n
	sum := d.assets[s.asset]
	sum.add(one, 1)
	d.assets[s.asset] = sum
	sum = d.whole[s.target]
	sum.add(one, 1)
	d.whole[s.target] = sum
	if s.namespace != "" {
		d.space(s.target, s.namespace, one)
	}
	d.risks[riskCell{s.target, s.risk}] += n
	d.kinds[s.risk] = s.kind
}

func (d *deltas) space(target int64, namespace string, c bySeverity) {
	m := d.spaces[target]
	if m == nil {
		m = map[string]bySeverity{}
		d.spaces[target] = m
	}
	sum := m[namespace]
	sum.add(c, 1)
	m[namespace] = sum
}

// move counts a finding that goes from one status and spot to another. Status 0 before is a finding that was not there.
func (d *deltas) move(from spot, before ledger.Status, to spot, after ledger.Status) {
	if before != 0 {
		d.put(from, before, -1)
	}
	d.put(to, after, 1)
	was, is := dayCell{from.target, from.kind, from.severity}, dayCell{to.target, to.kind, to.severity}
	f := d.days[is]
	switch {
	case !before.Active() && after.Active():
		d.days[is] = flow{f.opened + 1, f.closed}
	case before.Active() && !after.Active():
		f = d.days[was]
		d.days[was] = flow{f.opened, f.closed + 1}
	case before.Active() && was != is: // no day's flow, but what is active
		d.days[was], d.days[is] = d.days[was], f
	}
}

// apply writes the deltas. The targets must be locked.
func (t *Triage) apply(ctx context.Context, tx bun.Tx, d *deltas, now time.Time) error {
	if err := t.applyAssets(ctx, tx, d); err != nil {
		return err
	}
	sums, err := t.applyRisks(ctx, tx, d)
	if err != nil {
		return err
	}
	own, all := d.cells()
	if err := t.addCounts(ctx, tx, own); err != nil {
		return err
	}
	if err := t.applyDays(ctx, tx, d.days, now); err != nil {
		return err
	}
	// From here on rows that all targets share.
	if err := t.addRisks(ctx, tx, sums); err != nil {
		return err
	}
	if err := t.addCounts(ctx, tx, all); err != nil {
		return err
	}
	whole := map[dayCell]flow{}
	for key, f := range d.days {
		key.target = 0
		w := whole[key]
		whole[key] = flow{w.opened + f.opened, w.closed + f.closed}
	}
	return t.applyDays(ctx, tx, whole, now)
}

// cells are the deltas of counts with the sums over namespaces, of the targets and of all targets. The active cells of a sum
// come together: whoever reads them after writing has locked them all.
func (d *deltas) cells() (own, all map[cell]int) {
	own, all = map[cell]int{}, map[cell]int{}
	for c, n := range d.counts {
		if n == 0 {
			continue
		}
		own[c] += n
		c.namespace = "*"
		own[c] += n
	}
	for c, n := range own {
		c.target = 0
		all[c] += n
		if c.namespace == "*" && c.status.Active() {
			for _, s := range ledger.Active {
				c.status = s
				all[c] += 0
			}
		}
	}
	return own, all
}

func compareCells(a, b cell) int {
	return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.kind, b.kind),
		cmp.Compare(a.severity, b.severity), cmp.Compare(a.status, b.status))
}

func (t *Triage) addCounts(ctx context.Context, tx bun.Tx, m map[cell]int) error {
	b := bulk{head: "INSERT INTO counts (target_id, namespace, kind, severity, status, n) VALUES ", columns: 6,
		tail: " ON CONFLICT (target_id, namespace, kind, severity, status) DO UPDATE SET n = counts.n + excluded.n"}
	for _, c := range slices.SortedFunc(maps.Keys(m), compareCells) {
		b.row(c.target, c.namespace, int(c.kind), int(c.severity), int(c.status), m[c])
	}
	return t.exec(ctx, tx, &b, nil)
}

// count is a change of the counter of a risk.
type count struct {
	riskCell
	active, targets int
}

// applyRisks changes the counters of risks in targets, and returns what that means for those of all targets.
func (t *Triage) applyRisks(ctx context.Context, tx bun.Tx, d *deltas) ([]count, error) {
	var own []count
	byTarget := map[int64][]int64{}
	for c, n := range d.risks {
		if n != 0 {
			own = append(own, count{c, n, 0})
			byTarget[c.target] = append(byTarget[c.target], c.risk)
		}
	}
	active := map[riskCell]int{}
	for target, risks := range byTarget {
		err := query(ctx, tx, func(rows *sql.Rows) error {
			c := riskCell{target: target}
			var n int
			err := rows.Scan(&c.risk, &n)
			active[c] = n
			return err
		}, "SELECT risk_id, active FROM risk_counts WHERE target_id = ? AND risk_id IN (?)", target, bun.List(risks))
		if err != nil {
			return nil, err
		}
	}
	sums := map[int64]count{}
	for _, c := range own {
		s := sums[c.risk]
		s.risk = c.risk
		s.active += c.active
		was := active[c.riskCell]
		if is := was + c.active; was <= 0 && is > 0 {
			s.targets++
		} else if was > 0 && is <= 0 {
			s.targets--
		}
		sums[c.risk] = s
	}
	return slices.Collect(maps.Values(sums)), t.addRisks(ctx, tx, own)
}

// addRisks changes counters of risks. Their severity is that of the risk as it is now.
func (t *Triage) addRisks(ctx context.Context, tx bun.Tx, list []count) error {
	slices.SortFunc(list, func(a, b count) int { return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(a.risk, b.risk)) })
	for chunk := range slices.Chunk(list, 500) {
		var v numbers
		for _, c := range chunk {
			v.row(c.target, c.risk, int64(c.active), int64(c.targets))
		}
		_, err := tx.Tx.ExecContext(ctx, `INSERT INTO risk_counts (risk_id, target_id, kind, severity, rule, active, targets)
			SELECT r.id, v.column1, r.kind, r.severity, r.rule, v.column3, v.column4
			FROM (VALUES `+v.text.String()+`) AS v JOIN risks r ON r.id = v.column2 WHERE true ORDER BY v.column1, v.column2
			ON CONFLICT (target_id, risk_id) DO UPDATE SET active = risk_counts.active + excluded.active,
			targets = risk_counts.targets + excluded.targets, severity = excluded.severity`)
		if err != nil {
			return err
		}
	}
	return nil
}

// applyDays writes the counts of today, and what was opened and closed in it. What is active is read from counts, whose rows
// this transaction has locked.
func (t *Triage) applyDays(ctx context.Context, tx bun.Tx, days map[dayCell]flow, now time.Time) error {
	byTarget := map[int64][]dayCell{}
	for c := range days {
		byTarget[c.target] = append(byTarget[c.target], c)
	}
	for _, target := range slices.Sorted(maps.Keys(byTarget)) {
		day, err := today(ctx, tx, target, now)
		if err != nil {
			return err
		}
		active := map[dayCell]int{}
		err = query(ctx, tx, func(rows *sql.Rows) error {
			c := dayCell{target: target}
			var n int
			err := rows.Scan(&c.kind, &c.severity, &n)
			active[c] = n
			return err
		}, "SELECT kind, severity, sum(n) FROM counts WHERE target_id = ? AND namespace = '*' AND status <= ? GROUP BY kind, severity",
			target, int(ledger.StatusUnseen))
		if err != nil {
			return err
		}
		b := bulk{head: "INSERT INTO days (day, target_id, kind, severity, active, opened, closed) VALUES ", columns: 7,
			tail: ` ON CONFLICT (target_id, day, kind, severity) DO UPDATE SET active = excluded.active, opened = days.opened + excluded.opened,
				closed = days.closed + excluded.closed`}
		cells := byTarget[target]
		slices.SortFunc(cells, func(a, b dayCell) int {
			return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.severity, b.severity))
		})
		for _, c := range cells {
			b.row(day, target, int(c.kind), int(c.severity), active[c], days[c].opened, days[c].closed)
		}
		if err := t.exec(ctx, tx, &b, nil); err != nil {
			return err
		}
	}
	return nil
}

// today is the day to write to. It does not go back when two clocks differ around midnight; a clock that was wrong by more is
// forgotten.
func today(ctx context.Context, tx bun.Tx, target int64, now time.Time) (int64, error) {
	day := now.UnixMilli() / (24 * time.Hour).Milliseconds()
	var last sql.NullInt64
	err := tx.NewRaw("SELECT max(day) FROM days WHERE target_id = ?", target).Scan(ctx, &last)
	if last.Valid && last.Int64 == day+1 {
		day++
	}
	return day, err
}
