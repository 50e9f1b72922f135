package job

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(4 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("does not happen: %s", what)
		}
	}
}

// TestQueue delivers each item to its pool, later ones later, and those enqueued before the start.
func TestQueue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		got, tries := map[int64]int{}, map[int64]int{}
		pools := map[string]Pool{
			"a": {Workers: 4, Do: func(_ context.Context, id int64) error {
				mu.Lock()
				defer mu.Unlock()
				if tries[id]++; id == 7 && tries[id] < 2 {
					return Later(100 * time.Millisecond)
				}
				got[id]++
				return nil
			}},
			"b": {Workers: 1, Do: func(_ context.Context, id int64) error { panic("an item that panics ends no worker") }},
		}
		q, err := Open(t.Context(), db, slog.New(slog.DiscardHandler), pools)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = q.Close() })
		var ids []int64
		for i := range int64(250) {
			ids = append(ids, i)
		}
		if err := q.Enqueue(t.Context(), "a", ids); err != nil {
			t.Fatal(err)
		}
		if waiting, err := q.Waiting(t.Context(), "a"); err != nil || !waiting {
			t.Error(waiting, err)
		}
		if waiting, err := q.Waiting(t.Context(), "b"); err != nil || waiting {
			t.Error(waiting, err)
		}
		if err := q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.Enqueue(t.Context(), "b", []int64{1, 2}); err != nil {
			t.Fatal(err)
		}
		until(t, "all are done", func() bool { mu.Lock(); defer mu.Unlock(); return len(got) == len(ids) })
		until(t, "none waits", func() bool { w, err := q.Waiting(t.Context(), "b"); return err == nil && !w })
		if err := q.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if got[7] != 1 || tries[7] != 2 {
			t.Errorf("the later one was tried %d times, done %d times", tries[7], got[7])
		}
	})
}

// TestStop ends the contexts of running items and waits for them.
func TestStop(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		begun, ended := make(chan struct{}), false
		q, err := Open(t.Context(), db, slog.New(slog.DiscardHandler), map[string]Pool{"a": {Workers: 1, Do: func(ctx context.Context, _ int64) error {
			close(begun)
			<-ctx.Done()
			ended = true
			return nil
		}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = q.Close() })
		if err := q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.Enqueue(t.Context(), "a", []int64{1}); err != nil {
			t.Fatal(err)
		}
		<-begun
		if err := q.Stop(t.Context()); err != nil || !ended {
			t.Error(err, ended)
		}
	})
}

// TestRiver holds fast what River v0.31.0 cannot do on SQLite, and why items are claimed in a table of our own. When one of these
// fails, River has become better: see docs/decisions/0011-jobs.md.
func TestRiver(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "jobs.db")+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	m, err := rivermigrate.New(riversqlite.New(db), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Migrate(t.Context(), rivermigrate.DirectionUp, nil); err != nil {
		t.Fatal(err)
	}
	begun, release, reached := make(chan int64), make(chan struct{}), make(chan bool, 1)
	c := config(slog.New(slog.DiscardHandler), map[string]Pool{"a": {Workers: 1, Do: func(ctx context.Context, id int64) error {
		begun <- id
		select {
		case <-ctx.Done():
			reached <- true
		case <-release:
			reached <- false
		}
		return nil
	}}})
	client, err := river.NewClient(riversqlite.New(db), c)
	if err != nil {
		t.Fatal(err)
	}
	params := []river.InsertManyParams{{Args: item{1}, InsertOpts: &river.InsertOpts{Queue: "a"}}, {Args: item{2}, InsertOpts: &river.InsertOpts{Queue: "a"}}}
	t.Run("InsertManyFast panics", func(t *testing.T) {
		defer func() {
			if p := recover(); p == nil || !strings.Contains(strings.ToLower(p.(error).Error()), "nil pointer") {
				t.Errorf("it did not: %v; use it in Enqueue", p)
			}
		}()
		_, _ = client.InsertManyFast(t.Context(), params)
	})
	t.Run("a cancel does not reach a running job", func(t *testing.T) {
		if err := client.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.StopAndCancel(context.Background()) }()
		res, err := client.Insert(t.Context(), item{3}, &river.InsertOpts{Queue: "a", Priority: 1})
		if err != nil {
			t.Fatal(err)
		}
		for {
			id := <-begun
			if id == 3 {
				break
			}
			release <- struct{}{} // those that InsertManyFast left
			<-reached
		}
		if _, err := client.JobCancel(t.Context(), res.Job.ID); err != nil {
			t.Fatal(err)
		}
		select {
		case <-reached:
			t.Error("it did: workers need not look at the flag")
		case <-time.After(2 * time.Second):
			close(release)
			<-reached
		}
	})
}
