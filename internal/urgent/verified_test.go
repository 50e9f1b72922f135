package urgent

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestVerified: only what an agent saw to be exposed counts as a way to a node, in its own cluster.
func TestVerified(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		s := New(Options{DB: db})
		if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			for i, c := range []string{"shop", "bank"} {
				target, err := ledger.AddTarget(ctx, tx, "cluster", c, time.Unix(1, 0))
				if err != nil {
					return err
				}
				for j, n := range []struct {
					name string
					kind Kind
				}{{"n1", Node}, {"n2", Node}, {"sha256:1", Image}} {
					id := i*10 + j + 1
					if _, err := tx.NewRaw("INSERT INTO emergency_subjects (id, target_id, kind, name, set_id, at) VALUES (?, ?, ?, ?, 1, 1)", id, target.ID, int(n.kind), n.name).Exec(ctx); err != nil {
						return err
					}
					for e, v := range map[string]emergency.Verdict{"CVE-1": emergency.Exposed, "CVE-2": emergency.VersionOnly, "CVE-3": emergency.Exposed} {
						if j == 1 && e == "CVE-1" {
							v = emergency.Unknown
						}
						if _, err := tx.NewRaw("INSERT INTO emergency_results (subject_id, emergency, target_id, kind, verdict, since, hash, body) VALUES (?, ?, ?, ?, ?, 1, '', '{}')", id, e, target.ID, int(n.kind), rung(v)).Exec(ctx); err != nil {
							return err
						}
					}
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var shop int64
		if err := db.R.NewRaw("SELECT id FROM targets WHERE name = 'shop'").Scan(ctx, &shop); err != nil {
			t.Fatal(err)
		}
		got, err := s.Verified(ctx, shop, []string{"CVE-1", "CVE-2"})
		if err != nil || len(got) != 1 || fmt.Sprint(got["n1"]) != "[CVE-1]" {
			t.Errorf("%v %v", got, err)
		}
		if got, err := s.Verified(ctx, shop, nil); err != nil || len(got) != 0 {
			t.Errorf("%v %v", got, err)
		}
	})
}
