package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestClean keeps the log within its days and bytes, and what events need.
func TestClean(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, st, target := room(t, db)
		st.days = 3
		for day := range 5 {
			var list []protocol.Admission
			for i := range 10 {
				a := seen(st.now(), fmt.Sprint(day, "-", i), "blocked", privileged(policy.Block))
				a.Object = podJSON(a.Name, fmt.Sprint("registry.example.com/till:", day), nil)
				list = append(list, a)
			}
			take(t, s, target, list...)
			st.pass(24 * time.Hour)
		}
		clean := func() {
			t.Helper()
			if err := s.Clean(context.Background()); err != nil {
				t.Fatal(err)
			}
			sound(t, s)
		}
		clean()
		if n := number(t, db, "SELECT count(*) FROM admissions"); n != 30 {
			t.Errorf("%d rows of three days", n)
		}
		if n := number(t, db, "SELECT count(DISTINCT object_id) FROM admissions"); n != 3 {
			t.Errorf("%d objects", n)
		}
		missing := number(t, db, "SELECT count(*) FROM admissions a WHERE NOT EXISTS (SELECT 1 FROM admission_parts p WHERE p.id = a.object_id) OR NOT EXISTS (SELECT 1 FROM admission_parts p WHERE p.id = a.what_id)")
		missing += number(t, db, "SELECT count(*) FROM admission_events e WHERE NOT EXISTS (SELECT 1 FROM admission_parts p WHERE p.id = e.object_id)")
		if missing != 0 {
			t.Errorf("%d point to parts that are gone", missing)
		}
		st.bytes = 3000
		clean()
		kept := number(t, db, "SELECT entry_bytes + part_bytes FROM admission_logs")
		if kept > 5000 || number(t, db, "SELECT trimmed_at FROM admission_logs") == 0 {
			t.Errorf("%d bytes are kept of 3000", kept)
		}
		// What was dropped and comes again is kept again.
		st.bytes, st.days = 0, 0
		clean()
		take(t, s, target, seen(st.now(), "again", "blocked", privileged(policy.Block)))
		n := 0
		err := s.Recorded(context.Background(), target, st.now().Add(-time.Hour), st.now().Add(time.Hour), func(a protocol.Admission) error {
			if n++; len(a.Object) == 0 || a.User == "" {
				t.Errorf("%+v", a)
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Error(err, n)
		}
		// Of a removed cluster nothing is kept of the log.
		if err := db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("UPDATE targets SET removed_at = 1 WHERE id = ?", target).Exec(ctx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		st.pass(time.Hour)
		clean()
		if n := number(t, db, "SELECT count(*) FROM admissions"); n != 0 || len(events(t, s, Filter{})) != 0 {
			t.Errorf("%d rows of a removed cluster", n)
		}
	})
}

// TestNoRoom: when more comes than the sweeper takes away, requests are kept and objects are not.
func TestNoRoom(t *testing.T) {
	s, st, target := room(t, storetest.Open(t, "sqlite"))
	st.bytes = 1000
	for i := range 10 {
		a := seen(start, fmt.Sprint(i), "allowed")
		a.Object = podJSON(a.Name, fmt.Sprint("registry.example.com/till:", i), nil)
		take(t, s, target, a)
		st.pass(2 * time.Minute)
	}
	sound(t, s)
	if n := number(t, s.db, "SELECT count(*) FROM admissions WHERE object_id = 0"); n < 5 {
		t.Errorf("%d without an object", n)
	}
}

// TestTell: the first of a group is told, what follows is summed up, and nothing is told twice.
func TestTell(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, st, target := room(t, db)
		st.targets = []int64{target}
		told := func(topic string) (out []outbox.Protection) {
			t.Helper()
			if err := s.Tell(context.Background()); err != nil {
				t.Fatal(err)
			}
			var rows []outbox.Message
			if err := db.R.NewSelect().Model(&rows).Where("topic = ?", topic).OrderExpr("id").Scan(context.Background()); err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				var p outbox.Protection
				if err := json.Unmarshal([]byte(r.Body), &p); err != nil || r.TargetID != target {
					t.Fatal(err)
				}
				out = append(out, p)
			}
			return out
		}
		take(t, s, target, of(start, "shop", "Deployment", "a", "r"), of(start, "shop", "Deployment", "b", "r"), seen(start, "w", "warned", vulnerable(policy.Warn)))
		first := told(outbox.ProtectionBlocked)
		if len(first) != 1 || first[0].Total != 2 || first[0].Requests != 2 || first[0].Digest || first[0].Groups[0].Namespace != "shop" || first[0].Groups[0].TitleZH == "" {
			t.Fatalf("%+v", first)
		}
		for i := range 20 { // more of the same, and one more group: not told at once
			st.pass(10 * time.Second)
			take(t, s, target, of(st.now(), "shop", "Deployment", "a", "r"), of(st.now(), "shop", "Deployment", "c", "r"))
			if i < 19 && len(told(outbox.ProtectionBlocked)) != 1 {
				t.Fatal("told again")
			}
		}
		st.pass(tellEvery)
		if got := told(outbox.ProtectionBlocked); len(got) != 2 || got[1].Total != 1 || got[1].Requests != 20 {
			t.Fatalf("%+v", got)
		}
		st.pass(digestEvery)
		got := told(outbox.ProtectionBlocked)
		if len(got) != 3 || !got[2].Digest || got[2].Requests != 20 || got[2].Total != 1 {
			t.Fatalf("%+v", got)
		}
		st.pass(digestEvery)
		if got := told(outbox.ProtectionBlocked); len(got) != 3 {
			t.Fatalf("%+v", got)
		}
		b := batch()
		b.Lost = 17
		if err := s.Take(context.Background(), target, b); err != nil {
			t.Fatal(err)
		}
		st.pass(tellWait + time.Minute)
		if got := told(outbox.ProtectionUnchecked); len(got) != 1 || got[0].Requests != 17 || got[0].Groups[0].Rule != "overflow" {
			t.Errorf("%+v", got)
		}
	})
}

// TestBehind: a duty that takes long keeps no other waiting, runs once at a time, survives a panic, and ends with the leadership.
func TestBehind(t *testing.T) {
	s, _, _ := room(t, storetest.Open(t, "sqlite"))
	ctx, cancel := context.WithCancel(context.Background())
	starts := make(chan int, 10)
	n := 0
	duty := s.behind("x", func(ctx context.Context) error {
		n++
		starts <- n
		if n == 1 {
			panic("oh")
		}
		<-ctx.Done()
		return ctx.Err()
	})
	for want := 1; want <= 2; want++ {
		for len(starts) == 0 {
			if err := duty(ctx); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if got := <-starts; got != want {
			t.Fatalf("%d", got)
		}
	}
	_ = duty(ctx)
	cancel()
	s.Wait()
	_ = duty(ctx)
	s.Wait()
	if n != 2 {
		t.Errorf("it ran %d times", n)
	}
}
