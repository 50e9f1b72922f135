package triage

import (
	"context"
	"runtime"
	"testing"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestMemory: what a target has is loaded in under 200 bytes a finding; 100,000 are well under 50 MB.
func TestMemory(t *testing.T) {
	x := setUp(t, storetest.Open(t, "sqlite"))
	x.scan(shop())
	if _, err := x.db.R.ExecContext(context.Background(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)
		INSERT INTO findings (target_id, fingerprint, risk_id, asset_id, kind, severity, state, status, rule, hash, first_seen, changed_at)
		SELECT ?, randomblob(16), risk_id, asset_id, kind, severity, state, status, rule, hash, first_seen, changed_at FROM n, findings WHERE findings.id = 1`, x.target); err != nil {
		t.Fatal(err)
	}
	if _, err := x.tr.Recount(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	in, err := x.tr.Ingest(context.Background(), Run{Target: x.target, Kind: Full})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Abort("")
	if err := in.Begin(finding.Header{}); err != nil {
		t.Fatal(err)
	}
	used := float64(heap()-before) / 25_002
	if len(in.known) != 25_002 || used > 200 {
		t.Errorf("%d findings are known, in %.0f bytes each", len(in.known), used)
	}
	t.Logf("%.0f bytes each", used)
}
