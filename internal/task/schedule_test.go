package task

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// clock is a time that tests set.
type clock struct{ at atomic.Int64 }

func (c *clock) set(s string) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	c.at.Store(t.UnixMilli())
}

func (c *clock) now() time.Time { return time.UnixMilli(c.at.Load()).UTC() }

// TestSchedules runs what is due once, whatever happened to the server or the clock.
func TestSchedules(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var c clock
		c.set("2026-11-21T00:00:00Z")
		r := newRig(t, db, 1, func(o *Options) { o.Now = c.now })
		id := r.cluster("a")
		sched, err := r.s.AddSchedule(t.Context(), Plan{Name: "nightly", Cron: "0 3 * * *", Scope: Scope{Targets: []int64{id}}, Enabled: true})
		if err != nil {
			t.Fatal(err)
		}
		tick := func(at string, want int) {
			t.Helper()
			c.set(at)
			if err := r.s.RunSchedules(t.Context()); err != nil {
				t.Fatal(err)
			}
			n := r.count("SELECT count(*) FROM tasks WHERE schedule_id = ?", sched.ID)
			if n != want {
				t.Errorf("at %s: %d tasks, want %d", at, n, want)
			}
			var last int64
			if err := db.R.NewRaw("SELECT last_task FROM schedules WHERE id = ?", sched.ID).Scan(context.Background(), &last); err == nil && last != 0 {
				r.await(last)
			}
		}
		tick("2026-11-21T02:59:59Z", 0)
		tick("2026-11-21T03:00:01Z", 1)
		tick("2026-11-21T03:00:30Z", 1)
		tick("2026-11-22T03:00:00Z", 2)
		// The clock goes back by an hour: the run of three o'clock has been.
		tick("2026-11-22T02:30:00Z", 2)
		tick("2026-11-22T03:00:10Z", 2)
		tick("2026-11-23T03:00:10Z", 3)
		// Nobody was there for a week: one run is made up for.
		tick("2026-11-30T12:00:00Z", 4)
		tick("2026-11-30T12:00:10Z", 4)
		tick("2026-12-01T03:00:10Z", 5)
		// A broken clock says 2031 for a while: one run too many, and then all is as before.
		tick("2031-01-01T00:00:00Z", 6)
		tick("2026-12-01T10:00:00Z", 6)
		tick("2026-12-02T03:00:01Z", 7)
		tick("2026-12-02T03:00:11Z", 7)
	})
}

// TestOverlap skips a run while the one before still goes on, and says so.
func TestOverlap(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var c clock
		c.set("2026-11-21T00:00:00Z")
		r := newRig(t, db, 1, func(o *Options) { o.Now = c.now })
		gate := make(chan struct{})
		r.reader.hold = func(ctx context.Context, _ string) {
			select {
			case <-gate:
			case <-ctx.Done():
			}
		}
		r.cluster("a")
		sched, err := r.s.AddSchedule(t.Context(), Plan{Name: "hourly", Cron: "0 * * * *", Scope: Scope{All: true}, Enabled: true})
		if err != nil {
			t.Fatal(err)
		}
		c.set("2026-11-21T01:00:00Z")
		if err := r.s.RunSchedules(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.set("2026-11-21T02:00:00Z")
		if err := r.s.RunSchedules(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := r.s.Schedule(t.Context(), sched.ID)
		if err != nil || !strings.HasPrefix(got.Note, "skipped at 2026-11-21T02:00:00Z") || r.count("SELECT count(*) FROM tasks") != 1 {
			t.Errorf("%+v %v", got, err)
		}
		close(gate)
		r.await(got.LastTask)
		c.set("2026-11-21T03:00:00Z")
		if err := r.s.RunSchedules(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, _ = r.s.Schedule(t.Context(), sched.ID); got.Note != "" || r.count("SELECT count(*) FROM tasks") != 2 {
			t.Errorf("%+v", got)
		}
		r.await(got.LastTask)
	})
}

// TestSchedulePeople checks what people may say of schedules, and who sees them.
func TestSchedulePeople(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 1)
		a, b := r.cluster("a"), r.cluster("b")
		plan := Plan{Name: "one", Cron: "0 3 * * *", Zone: "Asia/Shanghai", Scope: Scope{Targets: []int64{a}}, Parts: []Part{Permissions}, Enabled: true}
		one, err := r.s.AddSchedule(t.Context(), plan)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.s.AddSchedule(t.Context(), plan); !errors.Is(err, ErrConflict) {
			t.Error(err)
		}
		both := plan
		both.Name, both.Scope.Targets = "both", []int64{a, b}
		if _, err := r.s.AddSchedule(t.Context(), both); err != nil {
			t.Fatal(err)
		}
		all := plan
		all.Name, all.Scope = "all", Scope{All: true}
		if _, err := r.s.AddSchedule(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		list, err := r.s.Schedules(t.Context(), identity.Visible{Targets: []int64{b}})
		if err != nil || len(list) != 1 || list[0].Name != "both" || len(list[0].Targets) != 1 {
			t.Errorf("%+v %v", list, err)
		}
		plan.Enabled = false
		if one, err = r.s.SetSchedule(t.Context(), one.ID, plan); err != nil || !one.NextAt.IsZero() {
			t.Errorf("%+v %v", one, err)
		}
		for _, bad := range []Plan{{}, {Name: "x", Cron: "never"}, {Name: "x", Cron: "@daily", Zone: "Nowhere/Else"}, {Name: "x", Cron: "@daily"},
			{Name: "x", Cron: "@daily", Scope: Scope{Nodes: []Node{{a, "n"}}}}} {
			if _, err := r.s.AddSchedule(t.Context(), bad); !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		if err := r.s.RemoveSchedule(t.Context(), one.ID); err != nil {
			t.Error(err)
		}
		if _, err := r.s.Schedule(t.Context(), one.ID); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if n := r.count("SELECT count(*) FROM audit WHERE action LIKE 'schedule.%'"); n != 5 {
			t.Errorf("%d audit entries", n)
		}
	})
}

// TestClean removes what is old, and nothing else.
func TestClean(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var c clock
		c.set("2026-01-01T00:00:00Z")
		r := newRig(t, db, 3, func(o *Options) { o.Now = c.now })
		r.cluster("a")
		old := r.await(r.create(Request{Scope: Scope{All: true}}).ID)
		c.set("2026-06-01T00:00:00Z")
		young := r.await(r.create(Request{Scope: Scope{All: true}}).ID)
		if err := r.s.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := r.count("SELECT count(*) FROM tasks WHERE id = ?", old.ID); n != 0 {
			t.Error("the old task is still there")
		}
		if n := r.count("SELECT count(*) FROM task_items WHERE task_id = ?", young.ID); n != 1 {
			t.Errorf("%d items of the young one", n)
		}
		if n := r.count("SELECT count(*) FROM inventories"); n != 3 {
			t.Errorf("%d inventories that are in use", n)
		}
		err := db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("UPDATE inventories SET used_at = 1").Exec(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.s.Clean(t.Context()); err != nil || r.count("SELECT count(*) FROM inventory_names") != 0 {
			t.Errorf("inventories that nobody uses stay: %v", err)
		}
	})
}
