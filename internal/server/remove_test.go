package server

import (
	"testing"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
)

// TestRemoveCluster: what was found in a removed cluster counts no more, anywhere.
func TestRemoveCluster(t *testing.T) {
	w := newWorld(t)
	findingNoun.fill(w)
	active := func() int {
		t.Helper()
		o, err := w.rooms.browse.Overview(t.Context(), identity.Visible{All: true}, browse.OverviewFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return o.Active
	}
	of := func(target int64) int {
		t.Helper()
		o, err := w.rooms.browse.Overview(t.Context(), identity.Visible{All: true}, browse.OverviewFilter{Targets: []int64{target}})
		if err != nil {
			t.Fatal(err)
		}
		return o.Active
	}
	all, alpha := active(), of(w.alpha)
	if alpha == 0 || alpha == all {
		t.Fatalf("%d of %d findings are alpha's: the test says nothing", alpha, all)
	}
	if err := w.rooms.fleet.Remove(w.asRoot(), w.alpha); err != nil {
		t.Fatal(err)
	}
	if got := active(); got != all-alpha {
		t.Errorf("%d active findings after the removal, want %d less %d", got, all, alpha)
	}
}
