package triage

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
)

// shared remembers the rows of advice and risks, which findings of all targets use. They are written in transactions of their
// own, before the findings, so that two runs never hold them while they wait for each other.
type shared struct {
	mu     sync.Mutex
	advice map[uint64]int64
	risks  map[riskKey]risk
}

// maxShared bounds what is remembered of each.
const maxShared = 200_000

type riskKey struct {
	kind ledger.Kind
	rule string
}

type risk struct {
	id         int64
	severity   ledger.Severity
	kev        bool
	epss, cvss float64
}

// worse joins two: the worst of each.
func (r risk) worse(o risk) risk {
	return risk{cmp.Or(r.id, o.id), max(r.severity, o.severity), r.kev || o.kev, max(r.epss, o.epss), max(r.cvss, o.cvss)}
}

func riskOf(f *finding.Finding) (riskKey, risk) {
	r := risk{severity: ledger.SeverityOf(f.Severity)}
	if v := f.Vulnerability; v != nil {
		r.kev, r.epss, r.cvss = v.KEV, v.EPSS, v.CVSS
	}
	return riskKey{ledger.KindOf(f), clean(f.Rule)}, r
}

// share makes sure that the rows which the findings use are there, and fills in their ids.
func (t *Triage) share(ctx context.Context, list []*change) error {
	bodies, missing := map[uint64]string{}, map[riskKey]risk{}
	texts := map[riskKey]*finding.Finding{}
	t.shared.mu.Lock()
	if len(t.shared.advice) > maxShared || t.shared.advice == nil {
		t.shared.advice = map[uint64]int64{}
	}
	if len(t.shared.risks) > maxShared || t.shared.risks == nil {
		t.shared.risks = map[riskKey]risk{}
	}
	for _, c := range list {
		a, _ := ledger.Split(c.f)
		body := ledger.JSON(a)
		c.adviceHash = xxhash.Sum64String(body)
		if t.shared.advice[c.adviceHash] == 0 {
			bodies[c.adviceHash] = body
		}
		var r risk
		c.riskKey, r = riskOf(c.f)
		known, ok := t.shared.risks[c.riskKey]
		if worse := known.worse(r); !ok || worse != known {
			missing[c.riskKey] = missing[c.riskKey].worse(worse)
			if texts[c.riskKey] == nil {
				texts[c.riskKey] = c.f
			}
		}
	}
	t.shared.mu.Unlock()
	if len(bodies)+len(missing) > 0 {
		var advice map[uint64]int64
		var risks map[riskKey]risk
		err := t.db.Write(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
			if advice, err = t.addAdvice(ctx, tx, bodies); err == nil {
				risks, err = t.raiseRisks(ctx, tx, missing, texts)
			}
			return err
		})
		if err != nil {
			return err
		}
		t.shared.mu.Lock()
		maps.Copy(t.shared.advice, advice)
		maps.Copy(t.shared.risks, risks)
		t.shared.mu.Unlock()
	}
	t.shared.mu.Lock()
	defer t.shared.mu.Unlock()
	for _, c := range list {
		c.row.RiskID, c.advice = t.shared.risks[c.riskKey].id, t.shared.advice[c.adviceHash]
	}
	return nil
}

// addAdvice writes texts by their hash and returns their ids.
func (t *Triage) addAdvice(ctx context.Context, tx bun.Tx, bodies map[uint64]string) (map[uint64]int64, error) {
	ids := map[uint64]int64{}
	hashes := slices.SortedFunc(maps.Keys(bodies), func(a, b uint64) int { return cmp.Compare(int64(a), int64(b)) })
	found := func(rows *sql.Rows) error {
		var id, hash int64
		err := rows.Scan(&id, &hash)
		ids[uint64(hash)] = id
		return err
	}
	b := bulk{head: "INSERT INTO advice (hash, body) VALUES ", columns: 2, tail: " ON CONFLICT (hash) DO NOTHING RETURNING id, hash"}
	for _, h := range hashes {
		b.row(int64(h), bodies[h])
	}
	if err := t.exec(ctx, tx, &b, found); err != nil {
		return nil, err
	}
	var there []int64
	for _, h := range hashes {
		if ids[h] == 0 {
			there = append(there, int64(h))
		}
	}
	for chunk := range slices.Chunk(there, 1000) {
		if err := query(ctx, tx, found, "SELECT id, hash FROM advice WHERE hash IN (?)", bun.List(chunk)); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// raiseRisks adds risks and raises those that are worse than they were known to be, with the counters that show their severity.
func (t *Triage) raiseRisks(ctx context.Context, tx bun.Tx, want map[riskKey]risk, texts map[riskKey]*finding.Finding) (map[riskKey]risk, error) {
	out := map[riskKey]risk{}
	found := func(rows *sql.Rows) error {
		var k riskKey
		var r risk
		err := rows.Scan(&k.kind, &k.rule, &r.id, &r.severity, &r.kev, &r.epss, &r.cvss)
		out[k] = r
		return err
	}
	allKinds := make([]int, len(ledger.Kinds)) // so that the index is used
	for i, k := range ledger.Kinds {
		allKinds[i] = int(k)
	}
	const columns = "kind, rule, id, severity, kev, epss, cvss"
	keys := slices.SortedFunc(maps.Keys(want), func(a, b riskKey) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.rule, b.rule))
	})
	for chunk := range slices.Chunk(keys, 500) {
		rules := make([]string, len(chunk))
		for i, k := range chunk {
			rules[i] = k.rule
		}
		if err := query(ctx, tx, found, "SELECT "+columns+" FROM risks WHERE kind IN (?) AND rule IN (?)", bun.List(allKinds), bun.List(rules)); err != nil {
			return nil, err
		}
	}
	b := bulk{head: "INSERT INTO risks (kind, rule, rule_id, severity, title, title_zh, risk, kev, epss, cvss, first_seen) VALUES ", columns: 11,
		tail: " ON CONFLICT (kind, rule) DO UPDATE SET first_seen = risks.first_seen RETURNING " + columns}
	for _, k := range keys {
		if _, ok := out[k]; !ok {
			f, r := texts[k], want[k]
			b.row(int(k.kind), k.rule, clean(f.RuleID), int(r.severity), clean(f.Title.EN), clean(f.Title.ZH), clean(f.Risk), r.kev, r.epss, r.cvss, t.now().UnixMilli())
		}
	}
	if err := t.exec(ctx, tx, &b, found); err != nil {
		return nil, err
	}
	for _, k := range keys {
		is := out[k]
		worse := is.worse(want[k])
		if is == worse {
			continue
		}
		if _, err := tx.ExecContext(ctx, "UPDATE risks SET severity = ?, kev = ?, epss = ?, cvss = ? WHERE id = ?", int(worse.severity), worse.kev, worse.epss, worse.cvss, is.id); err != nil {
			return nil, err
		}
		if worse.severity != is.severity {
			if _, err := tx.ExecContext(ctx, "UPDATE risk_counts SET severity = ? WHERE risk_id = ?", int(worse.severity), is.id); err != nil {
				return nil, err
			}
		}
		out[k] = worse
	}
	return out, nil
}
