package verdict

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestBoundsPlan: what drops old signatures looks at these and at the images of their digests, not at all images of the server.
func TestBoundsPlan(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		const n = 20_000
		old := store.At(clock.AddDate(0, 0, -31))
		sums := "WITH RECURSIVE r (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < ?) "
		for _, q := range []string{
			fmt.Sprintf("INSERT INTO verdicts (target_id, reference, digest, state, round, serial, asked_at, body) %s SELECT %d, 'registry.example.com/shop/till:' || i, 'sha256:' || i, 'scanned', 1, i, i, '{}' FROM r", sums, w.target),
			// Of every thousandth digest there is an old signature; of every second of these no image is left.
			fmt.Sprintf("INSERT INTO verdict_signatures (digest, key_id, good, checked_at) %s SELECT 'sha256:' || i, 'k', true, CASE WHEN i %% 1000 = 0 THEN %d ELSE %d END FROM r", sums, old.UnixMilli(), store.At(clock).UnixMilli()),
			"DELETE FROM verdicts WHERE id IN (SELECT v.id FROM verdicts v JOIN verdict_signatures s ON s.digest = v.digest WHERE s.checked_at = " + fmt.Sprint(old.UnixMilli()) + " AND v.serial % 2000 = 0 AND v.serial <= ?)",
		} {
			err := db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewRaw(q, n).Exec(ctx)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.R.NewRaw("ANALYZE").Exec(t.Context()); err != nil && db.Postgres() {
			t.Fatal(err)
		}
		explain := "EXPLAIN QUERY PLAN "
		if db.Postgres() {
			explain = "EXPLAIN "
		}
		rows, err := db.R.QueryContext(t.Context(), explain+dropSignatures, store.At(clock.AddDate(0, 0, -30)))
		if err != nil {
			t.Fatal(err)
		}
		var plan strings.Builder
		for rows.Next() {
			var line string
			var ignored any
			columns := []any{&line}
			if !db.Postgres() {
				columns = []any{&ignored, &ignored, &ignored, &line}
			}
			if err := rows.Scan(columns...); err != nil {
				t.Fatal(err)
			}
			plan.WriteString(line + "\n")
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		_ = rows.Close()
		if p := plan.String(); !strings.Contains(p, "verdicts_digest") || !strings.Contains(p, "verdict_signatures_checked") || strings.Contains(p, "Seq Scan") || strings.Contains(p, "SCAN") {
			t.Errorf("not by the indexes:\n%s", p)
		}
		started := time.Now()
		w.s.trimmed = time.Time{}
		if _, err := w.s.keepBounds(t.Context(), clock); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := db.R.NewRaw("SELECT count(*) FROM verdict_signatures").Scan(t.Context(), &left); err != nil || left != n-n/2000 {
			t.Errorf("%d signatures are left, %v", left, err)
		}
		t.Logf("%d images, %d signatures: %s\n%s", n, n, time.Since(started), plan.String())
	})
}
