package task

import (
	"testing"

	"stockade.dev/stockade/internal/attack"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/rules"
)

// TestAttackGraph: a full scan keeps what an attacker could do, whatever parts it is of; looking at single things again leaves it.
func TestAttackGraph(t *testing.T) {
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	reader := demoReader(t)
	reader.Remote = true
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 0, func(o *Options) {
			o.Library, o.Fleet = lib, demoFleet{}
			o.Reader = func(examine.PullSecret) ImageReader { return reader }
		})
		id := r.cluster("shop")
		paths := func() (int, store.Time) {
			t.Helper()
			graphs, _, _, err := attack.NewStore(db, nil).Load(t.Context(), attack.Asked{Visible: identity.Visible{All: true}})
			if err != nil {
				t.Fatal(err)
			}
			if len(graphs) == 0 {
				return -1, store.Time{}
			}
			return len(graphs[0].Graph.Rank(attack.Question{}).Paths), graphs[0].BuiltAt
		}
		if n, _ := paths(); n != -1 {
			t.Fatalf("%d paths before the first scan", n)
		}
		r.await(r.create(Request{Scope: Scope{Targets: []int64{id}}}).ID)
		all, at := paths()
		if all < 3 {
			t.Fatalf("%d paths", all)
		}
		task, err := r.s.Verify(t.Context(), id, []inventory.Ref{{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}})
		if err != nil {
			t.Fatal(err)
		}
		r.await(task.ID)
		if n, now := paths(); n != all || now != at {
			t.Errorf("a verify left %d paths of %v, want %d of %v", n, now, all, at)
		}
		r.await(r.create(Request{Scope: Scope{Targets: []int64{id}}, Parts: []Part{Permissions}}).ID)
		if n, now := paths(); n != all || now == at {
			t.Errorf("a scan of some parts left %d paths of %v, want %d of later", n, now, all)
		}
	})
}
