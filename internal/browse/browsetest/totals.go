package browsetest

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
)

// texts writes what is read when a finding is opened.
func (s *seeder) texts(f *ledger.Row, r *risk, at *asset) error {
	d := ledger.Detail{Kind: finding.Configuration, Message: finding.Text{EN: "This is " + r.rule + " on " + at.name, ZH: "问题：" + r.rule},
		Resource: finding.Resource{Namespace: at.space, Name: at.name}}
	if f.Package != "" {
		d.Kind = finding.Vulnerability
		d.Vulnerability = &finding.Vulnerable{ID: r.rule, Package: r.pack, Version: "1.0", Type: "system", State: "affected"}
	}
	if at.kind == ledger.AssetImage {
		d.Resource = finding.Resource{Image: at.name, Digest: at.digest}
	}
	body, err := d.Pack()
	if err != nil {
		return err
	}
	if err := s.w.put("details", "finding_id, advice_id, body", f.ID, r.advice, body); err != nil {
		return err
	}
	if f.Status == ledger.StatusOpen {
		return nil
	}
	return s.w.put("history", "finding_id, target_id, at, action, before, after, cause, note", f.ID, f.TargetID, f.ChangedAt.UnixMilli(), string(ledger.Seen),
		int(ledger.StatusOpen), int(f.Status), int(f.Cause), "")
}

// tally counts a finding.
func (s *seeder) tally(f *ledger.Row, r *risk, at *asset) {
	for _, target := range []int64{0, f.TargetID} {
		for _, space := range []string{"*", f.Namespace} {
			s.counts[countKey{target, space, f.Kind, f.Severity, f.Status}]++
		}
		if f.Status.Active() {
			s.byRisk[riskKey{target, r}]++
		}
	}
	if f.Status.Active() {
		at.counts[f.Severity]++
	}
}

// spread adds the counters of what is in them to workloads, namespaces and clusters.
func (s *seeder) spread() {
	own := map[*asset][5]int{}
	for _, a := range s.assets {
		own[a] = a.counts
	}
	type use struct {
		space *asset
		image *asset
	}
	seen := map[use]bool{}
	add := func(to *asset, c [5]int) {
		if to != nil {
			for i := range c {
				to.counts[i] += c[i]
			}
		}
	}
	for _, a := range s.assets {
		if a.kind != ledger.AssetCluster {
			add(s.roots[a.target], own[a])
		}
		space := s.spaces[a.target][a.space]
		if a.kind == ledger.AssetWorkload {
			add(space, own[a])
		}
		for _, image := range a.uses {
			add(a, own[image])
			if !seen[use{space, image}] {
				seen[use{space, image}] = true
				add(space, own[image])
			}
		}
	}
}

// totals writes everything that is counted.
func (s *seeder) totals() error {
	for k, n := range s.counts {
		if err := s.w.put("counts", "target_id, namespace, kind, severity, status, n", k.target, k.space, int(k.kind), int(k.severity), int(k.status), n); err != nil {
			return err
		}
	}
	targets := map[*risk]int{}
	for k := range s.byRisk {
		if k.target != 0 {
			targets[k.risk]++
		}
	}
	for k, n := range s.byRisk {
		with := 1
		if k.target == 0 {
			with = targets[k.risk]
		}
		if err := s.w.put("risk_counts", "risk_id, target_id, kind, severity, rule, active, targets", k.risk.id, k.target, int(k.risk.kind), int(k.risk.severity), k.risk.rule, n, with); err != nil {
			return err
		}
	}
	if err := s.days(); err != nil {
		return err
	}
	if err := s.w.flush("counts", "risk_counts", "days"); err != nil {
		return err
	}
	s.spread()
	return s.assetCounts()
}

// days writes a trend that grows to the counts of now.
func (s *seeder) days() error {
	type cell struct {
		target   int64
		kind     ledger.Kind
		severity ledger.Severity
	}
	active := map[cell]int{}
	for k, n := range s.counts {
		if k.space == "*" && k.status.Active() {
			active[cell{k.target, k.kind, k.severity}] += n
		}
	}
	today := int(s.o.Now.Unix() / 86400)
	for c, n := range active {
		for d := range s.o.Days {
			if c.target != 0 && d%7 != 0 {
				continue // nothing changed on the others
			}
			if err := s.w.put("days", "day, target_id, kind, severity, active, opened, closed", today-d, c.target, int(c.kind), int(c.severity), n*(2*s.o.Days-d)/(2*s.o.Days), n/100, n/200); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *seeder) assetCounts() error {
	ctx, db := s.w.ctx, s.w.db
	const chunk = 500
	for from := 0; from < len(s.assets); from += chunk {
		values := ""
		for _, a := range s.assets[from:min(len(s.assets), from+chunk)] {
			c := a.counts
			if c == [5]int{} {
				continue
			}
			if values != "" {
				values += ","
			}
			values += fmt.Sprintf("(%d,%d,%d,%d,%d,%d,%d)", a.id, c[4], c[3], c[2], c[1], c[0], ledger.Score(c[4], c[3], c[2], c[1]))
		}
		if values == "" {
			continue
		}
		if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.Tx.ExecContext(ctx, `UPDATE assets SET critical = v.column2, high = v.column3, medium = v.column4, low = v.column5, info = v.column6, score = v.column7
				FROM (VALUES `+values+`) AS v WHERE assets.id = v.column1`)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
