package attack

import (
	"context"
	"encoding/hex"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestStore: a graph comes back as it was saved, of what is visible alone, and findings that are handled do not count.
func TestStore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		ids := map[string]int64{}
		write := func(query string, args ...any) {
			t.Helper()
			err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewRaw(query, args...).Exec(ctx)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"alpha", "beta", "gone", "empty"} {
			err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
				target, err := ledger.AddTarget(ctx, tx, "cluster", name, now)
				if err == nil {
					ids[name] = target.ID
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		write("UPDATE targets SET removed_at = 1 WHERE id = ?", ids["gone"])
		hole := rce("img-web", web)
		g := build(t, exposed+deployment("shop", "web", token("boss"), "")+account("shop", "boss")+grant("shop", "boss", "", "boss", all), hole)
		none := build(t, exposed+deployment("shop", "web", "", ""))
		for name, graph := range map[string]*Graph{"alpha": none, "beta": g, "gone": g} {
			for range 2 { // the second replaces the first
				if err := Save(ctx, db, ids[name], now, graph); err != nil {
					t.Fatal(err)
				}
			}
		}
		s := NewStore(db, func() time.Time { return now.Add(Stale + time.Hour) })
		load := func(q Asked) ([]Saved, []Target) {
			t.Helper()
			graphs, missing, more, err := s.Load(ctx, q)
			if err != nil || more != 0 {
				t.Fatal(more, err)
			}
			return graphs, missing
		}
		everything := identity.Visible{All: true}
		graphs, missing := load(Asked{Visible: everything})
		if len(graphs) != 2 || graphs[0].Target != "beta" || !graphs[0].Stale || len(missing) != 1 || missing[0].Name != "empty" {
			t.Fatalf("%d graphs, missing %v", len(graphs), missing)
		}
		if len(s.Rank(&graphs[0], Question{}).Paths) != 1 || len(graphs[0].Handled) != 0 {
			t.Errorf("beta has lost its path")
		}
		for _, q := range []Asked{{Visible: identity.Visible{Targets: []int64{ids["alpha"]}}}, {Visible: identity.Visible{Namespaces: map[int64][]string{ids["alpha"]: {"shop"}}}},
			{Visible: everything, Targets: []int64{ids["alpha"]}}} {
			if graphs, missing := load(q); len(graphs) != 1 || graphs[0].Target != "alpha" || len(missing) != 0 {
				t.Errorf("%+v: %d graphs, missing %v", q, len(graphs), missing)
			}
		}
		if graphs, missing := load(Asked{Visible: identity.Visible{Targets: []int64{ids["alpha"]}}, Targets: []int64{ids["beta"]}}); len(graphs)+len(missing) != 0 {
			t.Errorf("beta is shown to who sees alpha")
		}
		handle(t, write, ids["beta"], hole.Fingerprint)
		graphs, _ = load(Asked{Visible: everything, Targets: []int64{ids["beta"]}})
		a := s.Rank(&graphs[0], Question{})
		if len(a.Paths) != 0 || a.Handled != 1 {
			t.Errorf("an accepted finding still counts: %d paths", len(a.Paths))
		}
		if s.Rank(&graphs[0], Question{}) != a || s.Rank(&graphs[0], Question{Assume: true}) == a {
			t.Error("an answer is not kept for its question")
		}
		write("UPDATE attack_graphs SET body = ?, built_at = built_at + 1 WHERE target_id = ?", []byte("not a graph"), ids["beta"])
		if _, _, _, err := s.Load(ctx, Asked{Visible: everything}); err == nil {
			t.Error("a damaged graph is read")
		}
	})
}

// handle writes an accepted finding.
func handle(t *testing.T, write func(string, ...any), target int64, print string) {
	t.Helper()
	raw, err := hex.DecodeString(print)
	if err != nil {
		t.Fatal(err)
	}
	write("INSERT INTO risks (id, kind, rule, severity, title, first_seen) VALUES (1, 2, 'CVE-2021-44228', 4, 'x', 1)")
	write("INSERT INTO assets (id, target_id, kind, name, first_seen) VALUES (1, ?, ?, 'img-web', 1)", target, ledger.AssetImage)
	write("INSERT INTO findings (id, target_id, fingerprint, risk_id, asset_id, kind, severity, state, handling, status, rule, hash, first_seen, changed_at) VALUES (1, ?, ?, 1, 1, 2, 4, ?, ?, ?, 'CVE-2021-44228', 1, 1, 1)",
		target, raw, ledger.Open, ledger.Accepted, ledger.StatusAccepted)
}

// TestFormat: a graph of another version of the program is told as missing, and one whose numbers name nothing too.
func TestFormat(t *testing.T) {
	for _, g := range []*Graph{{Edges: []Edge{{From: 7}}}, {Edges: []Edge{{To: -1}}}, {Nodes: make([]Node, 2), Edges: []Edge{{To: 1, Cuts: [][]int32{{3}}}}}, {Nodes: make([]Node, 2), Edges: []Edge{{To: 1, Cuts: [][]int32{{}}}}}} {
		if g.valid() {
			t.Errorf("%+v is taken for valid", g)
		}
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		var id int64
		err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			target, err := ledger.AddTarget(ctx, tx, "cluster", "old", time.Unix(1, 0))
			if err == nil {
				id = target.ID
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := Save(ctx, db, id, time.Unix(5, 0), &Graph{Version: FormatVersion + 1}); err != nil {
			t.Fatal(err)
		}
		graphs, missing, _, err := NewStore(db, nil).Load(ctx, Asked{Visible: identity.Visible{All: true}})
		if err != nil || len(graphs) != 0 || len(missing) != 1 || missing[0].ID != id {
			t.Errorf("%d graphs, missing %v, %v", len(graphs), missing, err)
		}
	})
}
