package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// messages reads what is to be told, as "target: numbers", and takes it away.
func (b *bench) messages() []string {
	b.t.Helper()
	var rows []outbox.Message
	b.must(b.db.R.NewSelect().Model(&rows).Where("topic = ?", outbox.NodesState).Order("id").Scan(context.Background()))
	var out []string
	for _, r := range rows {
		var m outbox.Nodes
		b.must(json.Unmarshal([]byte(r.Body), &m))
		out = append(out, fmt.Sprintf("%d: away %d degraded %d claimed %d back %d, names %d", r.TargetID, m.Away, m.Degraded, m.Claimed, m.Back, len(m.AwayNames)+len(m.DegradedNames)+len(m.ClaimedNames)+len(m.BackNames)))
	}
	b.must(b.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("DELETE FROM outbox WHERE topic = ?", outbox.NodesState).Exec(ctx)
		return err
	}))
	return out
}

// TestTell: what happens to the agents of a cluster is told once, in one message however many nodes it happens to, and that it is over.
func TestTell(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop, bank := b.cluster("shop"), b.cluster("bank")
		one := b.node(shop, "n1")
		two := b.node(bank, "n1")
		b.must(b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			rows := make([]Row, 300)
			for i := range rows {
				rows[i] = Row{TargetID: shop, Name: fmt.Sprintf("many-%03d", i), EnrolledAt: store.At(b.time), SeenAt: store.At(b.time), AgentState: "running"}
			}
			_, err := tx.NewInsert().Model(&rows).ExcludeColumn("id").Exec(ctx)
			return err
		}))
		// look is a round of the leader, half a minute after the one before.
		look := func(step string, want ...string) {
			t.Helper()
			b.time = b.time.Add(tellEvery)
			b.must(b.Tell(ctx))
			if got := b.messages(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %q, want %q", step, got, want)
			}
		}
		alive := func() {
			t.Helper()
			for _, id := range []int64{one, two} {
				b.beat(id)
			}
			b.must(b.Flush(ctx))
		}
		if b.Measured() != nil {
			t.Error("a process that does not lead counts nodes")
		}
		alive()
		look("a server that has just started waits for its agents")
		b.time = b.time.Add(b.Away())
		alive()
		look("the first look")
		alive()
		look("300 of a cluster at once are one message", fmt.Sprintf("%d: away 300 degraded 0 claimed 0 back 0, names %d", shop, shown))
		alive()
		look("it is told once")
		if m := b.Measured(); m[Away] != 300 || m[Protected] != 2 || m[Never] != 0 || len(m) != len(States) {
			t.Errorf("%v", m)
		}
		// One is degraded, and a machine imitates another.
		if _, err := b.Beat(ctx, one, &protocol.Beat{At: b.time, State: protocol.Degraded, Reason: "facts: no socket", Facts: "x", Software: "x"}, b.time.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		b.beat(two)
		b.must(b.Flush(ctx))
		token, _ := b.token(bank, 1)
		_, err := b.Enrol(ctx, protocol.Application{Token: token, Request: b.request(), Node: "n1", MachineID: "another"}, "192.0.2.1")
		if !errors.Is(err, ErrImitated) {
			t.Fatal(err)
		}
		look("noticed")
		look("degraded and imitated", fmt.Sprintf("%d: away 0 degraded 1 claimed 0 back 0, names 1", shop), fmt.Sprintf("%d: away 0 degraded 0 claimed 1 back 0, names 1", bank))
		b.time = b.time.Add(claimEvery)
		alive()
		if _, err := b.Enrol(ctx, protocol.Application{Token: token, Request: b.request(), Node: "n1", MachineID: "another"}, "192.0.2.1"); !errors.Is(err, ErrImitated) {
			t.Fatal(err)
		}
		if _, err := b.Beat(ctx, one, &protocol.Beat{At: b.time, State: protocol.Degraded, Facts: "x", Software: "x"}, b.time.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		b.must(b.Flush(ctx))
		look("told")
		look("the same machine again is no news")
		// All are back; while more and more come, the message waits, but not for ever.
		alive()
		look("the degraded one is well")
		for i := range 3 {
			b.must(b.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewRaw("UPDATE nodes SET seen_at = ? WHERE name LIKE ?", store.At(b.time.Add(time.Hour)), fmt.Sprintf("many-%d%%", i)).Exec(ctx)
				return err
			}))
			alive()
			look(fmt.Sprint("more come ", i))
		}
		alive()
		look("all are back", fmt.Sprintf("%d: away 0 degraded 0 claimed 0 back 301, names %d", shop, shown))
		look("and that is told once")
	})
}

// TestTellWaits: what never comes to rest is told all the same.
func TestTellWaits(t *testing.T) {
	s := New(Options{})
	now := time.Unix(0, 0)
	list := []news{{}}
	for i := range 9 {
		if got := s.ripe(map[int64][]news{7: list}, now); len(got) != 0 {
			t.Fatalf("told after %d looks", i)
		}
		now, list = now.Add(tellEvery), append(list, news{})
	}
	if got := s.ripe(map[int64][]news{7: list}, now.Add(tellMost)); len(got) != 1 {
		t.Error("it is never told")
	}
	s.ripe(map[int64][]news{7: list}, now)
	s.ripe(nil, now)
	if got := s.ripe(map[int64][]news{7: list}, now); len(got) != 0 {
		t.Error("what went away by itself is remembered")
	}
}
