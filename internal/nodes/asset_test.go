package nodes

import (
	"context"
	"testing"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestCounted: a node shows the findings of its own asset: not those of a node of the same name elsewhere, nor of one that is gone.
func TestCounted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop, bank := b.cluster("shop"), b.cluster("bank")
		n1, n2 := b.node(shop, "n1"), b.node(shop, "n2")
		same, fresh := b.node(bank, "n1"), b.node(bank, "n9")
		assets := map[int64]int64{}
		b.must(b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			for i, a := range []struct {
				node, target int64
				name         string
				kind         ledger.AssetKind
				gone         int64
				critical     int
			}{{n1, shop, "n1", ledger.AssetNode, 0, 3}, {same, bank, "n1", ledger.AssetNode, 0, 5}, {0, shop, "n2", ledger.AssetNode, 77, 7}, {0, bank, "n9", ledger.AssetWorkload, 0, 9}} {
				var id int64
				err := tx.NewRaw("INSERT INTO assets (target_id, kind, group_kind, namespace, name, digest, first_seen, gone_at, critical, high, medium, low, info) VALUES (?, ?, '', '', ?, '', 1, ?, ?, ?, 0, 0, 1) RETURNING id",
					a.target, int(a.kind), a.name, a.gone, a.critical, i).Scan(ctx, &id)
				if err != nil {
					return err
				}
				assets[a.node] = id
			}
			return nil
		}))
		list, _, err := b.List(ctx, b.all, Filter{}, store.Page{})
		b.must(err)
		if len(list) != 4 {
			t.Fatalf("%d nodes", len(list))
		}
		for _, n := range list {
			want := map[int64]Found{n1: {Asset: assets[n1], Critical: 3, Info: 1}, same: {Asset: assets[same], Critical: 5, High: 1, Info: 1}, n2: {}, fresh: {}}[n.ID]
			if n.Found != want {
				t.Errorf("%s of %s: %+v, want %+v", n.Name, n.Cluster, n.Found, want)
			}
		}
		d, err := b.Get(ctx, b.all, same)
		if b.must(err); d.Critical != 5 || d.Asset != assets[same] {
			t.Errorf("%+v", d.Found)
		}
		b.must(b.counted(ctx, nil)) // of no nodes at all
		if list, _, err := b.List(ctx, b.all, Filter{Asset: assets[n1]}, store.Page{}); err != nil || len(list) != 1 || list[0].ID != n1 {
			t.Errorf("the node of an asset: %+v %v", list, err)
		}
	})
}
