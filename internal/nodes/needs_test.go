package nodes

import (
	"context"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestNeeds has a node degraded while its agent says what its checks lack, and not when that is there.
func TestNeeds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		id := b.node(b.cluster("shop"), "n1")
		says := func(beat protocol.Beat) *Details {
			t.Helper()
			beat.At = b.time
			_, err := b.Beat(ctx, id, &beat, b.time.Add(enrol.Lifetime))
			b.must(err)
			b.must(b.Flush(ctx))
			d, err := b.Get(ctx, b.all, id)
			b.must(err)
			return d
		}
		socket := inventory.SkipFact{Check: "containers", Needs: "the socket of the container runtime", Reason: "no runtime answered", Code: "unreachable", Lacks: inventory.LacksRuntime}
		network := inventory.SkipFact{Check: "emergency/ETCD-ANON", Needs: "the node's network", Reason: "the agent's pod has a network of its own", Code: "skipped", Lacks: inventory.LacksNetwork}
		odd := inventory.SkipFact{Check: "x\x00", Needs: strings.Repeat("y", 1000), Code: "tired", Lacks: "sleep"}
		d := says(protocol.Beat{State: protocol.Degraded, Reason: "checks cannot reach the container runtime", Needs: []inventory.SkipFact{socket, odd}})
		if d.State != Degraded || d.Reason == "" || len(d.Needs) != 2 || d.Needs[0] != socket {
			t.Errorf("%+v", d)
		}
		if n := d.Needs[1]; n.Check != "x " || len(n.Needs) > 300 || n.Code != "skipped" || n.Lacks != "" {
			t.Errorf("%+v", n)
		}
		if n, err := b.Counts(ctx, b.all, nil); err != nil || n[Degraded] != 1 {
			t.Error(n, err)
		}
		if d = says(protocol.Beat{State: protocol.Running, Needs: []inventory.SkipFact{network}}); d.State != Protected || d.Reason != "" || len(d.Needs) != 1 || d.Needs[0] != network {
			t.Errorf("%+v", d)
		}
		if d = says(protocol.Beat{State: protocol.Running}); d.State != Protected || len(d.Needs) != 0 {
			t.Errorf("%+v", d)
		}
	})
}
