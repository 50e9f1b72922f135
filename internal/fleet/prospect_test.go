package fleet

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestProspects: what a scan may read and lacks is told from the last check, and what is in the cluster for it already.
func TestProspects(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		f := New(db, nil, Options{})
		permissions, err := json.Marshal([]Permission{
			{Resource: "pods", Verb: "list", Feature: ForScan, Allowed: true},
			{Group: "apps", Resource: "deployments", Verb: "list", Feature: ForScan, Grant: "x"},
			{Resource: "secrets", Verb: "get", Feature: ForImages, Grant: "x"},
			{Resource: "pods", Verb: "watch", Feature: ForWatch, Grant: "x"},
		})
		if err != nil {
			t.Fatal(err)
		}
		var ids []int64
		for name, kind := range map[string]string{"a": Kubeconfig, "b": Connector} {
			err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
				target, err := ledger.AddTarget(ctx, tx, "cluster", name, time.Now())
				if err != nil {
					return err
				}
				ids = append(ids, target.ID)
				_, err = tx.NewRaw("INSERT INTO clusters (target_id, kind, permissions, state) VALUES (?, ?, ?, 'connected')", target.ID, kind, string(permissions)).Exec(ctx)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		got, err := f.Prospects(ctx, append(ids, 99))
		if err != nil || len(got) != 2 {
			t.Fatal(got, err)
		}
		for _, p := range got {
			if p.Reads != 1 || len(p.Missing) != 2 || p.Grant == "" {
				t.Errorf("%+v", p)
			}
			if connector := p.Kind == Connector; connector != (len(p.Present) == len(objects)) || !connector && len(p.Present) > 0 {
				t.Errorf("%s: %d objects", p.Kind, len(p.Present))
			}
		}
		if got, err = f.Prospects(ctx, nil); err != nil || len(got) != 0 {
			t.Error(got, err)
		}
	})
}
