package leader

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

func start(t *testing.T, db *store.DB, duties []Duty, hooks ...Hooks) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = Run(ctx, db, slog.New(slog.DiscardHandler), duties, hooks...)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("does not happen: %s", what)
		}
	}
}

// TestDuties does them again and again, one at a time, whatever becomes of one of them.
func TestDuties(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var at, good, bad, failed, leading atomic.Int64
		once := func(f func() error) func(context.Context) error {
			return func(context.Context) error {
				if at.Add(1) != 1 {
					t.Error("two duties at a time")
				}
				defer at.Add(-1)
				return f()
			}
		}
		stop := start(t, db, []Duty{
			{"good", time.Millisecond, once(func() error { good.Add(1); return nil })},
			{"panics", time.Millisecond, once(func() error { bad.Add(1); panic("oh") })},
			{"fails", time.Millisecond, once(func() error { return errors.New("no") })},
		}, Hooks{Leading: func(yes bool) {
			if yes {
				leading.Add(1)
			} else {
				leading.Add(-1)
			}
		}, Done: func(_ string, _ time.Duration, err error) {
			if err != nil {
				failed.Add(1)
			}
		}})
		until(t, "each is done often", func() bool { return good.Load() > 5 && bad.Load() > 5 && failed.Load() > 10 })
		if leading.Load() != 1 {
			t.Error("not told to lead")
		}
		stop()
		if leading.Load() != 0 {
			t.Error("still told to lead")
		}
	})
}

// TestOneLeads: of several replicas one does the duties; when it ends another does.
func TestOneLeads(t *testing.T) {
	url := storetest.Postgres(t)
	var dbs [3]*store.DB
	for i := range dbs {
		db, err := store.Open(t.Context(), store.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		dbs[i] = db
	}
	var at atomic.Int64
	var by [3]atomic.Int64
	var stops [3]func()
	for i, db := range dbs {
		stops[i] = start(t, db, []Duty{{"count", time.Millisecond, func(context.Context) error {
			if at.Add(1) != 1 {
				t.Error("two leaders")
			}
			defer at.Add(-1)
			by[i].Add(1)
			return nil
		}}})
	}
	who := func() (leader int, n int) {
		leader = -1
		for i := range by {
			if by[i].Load() > 0 {
				leader, n = i, n+1
			}
		}
		return
	}
	until(t, "one leads", func() bool { i, _ := who(); return i >= 0 && by[i].Load() > 10 })
	first, n := who()
	if n != 1 {
		t.Fatalf("%d led", n)
	}
	stops[first]()
	until(t, "another leads", func() bool { _, n := who(); return n == 2 })
}

// TestLost: a leader whose connection breaks stops its duties at once, and leads again when it can.
func TestLost(t *testing.T) {
	db, err := store.Open(t.Context(), store.Options{URL: storetest.Postgres(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var begun, ended atomic.Int64
	start(t, db, []Duty{{"long", time.Millisecond, func(ctx context.Context) error {
		begun.Add(1)
		<-ctx.Done()
		ended.Add(1)
		return ctx.Err()
	}}})
	until(t, "it leads", func() bool { return begun.Load() == 1 })
	kill := func() {
		t.Helper()
		if _, err := db.Pool.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); err != nil {
			t.Fatal(err)
		}
	}
	kill()
	until(t, "its duty ends", func() bool { return ended.Load() == 1 })
	until(t, "it leads again", func() bool { return begun.Load() == 2 })
}
