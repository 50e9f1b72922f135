package task

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/triage"
)

// TestTask runs a task of two clusters that share their images: each is read once, both see all.
func TestTask(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 30)
		a, b := r.cluster("a"), r.cluster("b")
		task := r.create(Request{Scope: Scope{All: true}})
		got := r.await(task.ID)
		if got.Status != Finished {
			t.Fatalf("%+v\n%s", got, r.dump(task.ID))
		}
		reads := r.reads()
		if len(reads) != 30 {
			t.Errorf("%d images were read", len(reads))
		}
		for name, n := range reads {
			if n != 1 {
				t.Errorf("%s was read %d times", name, n)
			}
		}
		if len(r.heard.runs) != 2 || r.heard.ended != 2 || r.heard.runs[0].Kind != triage.Full || len(r.heard.images) != 30 {
			t.Errorf("%+v", r.heard)
		}
		for name, unread := range r.heard.images {
			if unread != "" {
				t.Errorf("%s: %s", name, unread)
			}
		}
		// The next task of one of them reads nothing.
		second := r.await(r.create(Request{Scope: Scope{Targets: []int64{b}}}).ID)
		if again := r.reads(); second.Status != Finished || len(again) != 30 || r.count("SELECT count(*) FROM reads") != 30 {
			t.Errorf("%s, %d reads", second.Status, r.count("SELECT count(*) FROM reads"))
		}
		if n := r.count("SELECT count(*) FROM outbox WHERE topic = 'task.finished'"); n != 2 {
			t.Errorf("%d messages", n)
		}
		_ = a
	})
}

// TestFailedImages tells what could not be read, and retries only that.
func TestFailedImages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 20)
		refuse := true
		r.reader.fail = func(ref string) error {
			if refuse && strings.Contains(ref, "app-7:") {
				return examine.Coded(errors.New("no credentials"), finding.Forbidden)
			}
			return nil
		}
		id := r.cluster("a")
		task := r.await(r.create(Request{Scope: Scope{Targets: []int64{id}}}).ID)
		if task.Status != Partial {
			t.Fatalf("%+v", task)
		}
		items, _, err := r.s.Items(t.Context(), allVisible, task.ID, ItemFilter{Kind: kindImage, Status: []Status{Failed}}, store.Page{})
		if err != nil || len(items) != 1 || items[0].Code != "forbidden" || items[0].Error != "no credentials" {
			t.Fatalf("%+v, %v", items, err)
		}
		refuse = false
		if _, err := r.s.Retry(t.Context(), task.ID); err != nil {
			t.Fatal(err)
		}
		if got := r.await(task.ID); got.Status != Finished {
			t.Fatalf("%+v\n%s", got, r.dump(task.ID))
		}
		if n := r.count("SELECT count(*) FROM reads"); n != 20 {
			t.Errorf("%d readings", n)
		}
		if _, err := r.s.Retry(t.Context(), task.ID); !errors.Is(err, ErrConflict) {
			t.Errorf("a task without failures is tried again: %v", err)
		}
	})
}

// TestRetryCluster: of two clusters the one that failed is scanned again.
func TestRetryCluster(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 2)
		r.cluster("a")
		r.fleet.breakWith(errors.New("no route to host"))
		task := r.await(r.create(Request{Scope: Scope{All: true}}).ID)
		if task.Status != Failed {
			t.Fatalf("%+v", task)
		}
		items, _, err := r.s.Items(t.Context(), allVisible, task.ID, ItemFilter{}, store.Page{})
		if err != nil || items[0].Error != "no route to host" || items[0].Code != "unreachable" {
			t.Fatalf("%+v, %v", items[0], err)
		}
		r.fleet.breakWith(nil)
		if _, err := r.s.Retry(t.Context(), task.ID); err != nil {
			t.Fatal(err)
		}
		if got := r.await(task.ID); got.Status != Finished {
			t.Fatalf("%+v", got)
		}
	})
}

// TestCancel ends a task in the middle of an image, on both databases.
func TestCancel(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 40)
		reached := make(chan struct{}, 100)
		r.reader.hold = func(ctx context.Context, ref string) {
			reached <- struct{}{}
			<-ctx.Done()
		}
		id := r.cluster("a")
		task := r.create(Request{Scope: Scope{Targets: []int64{id}}})
		<-reached
		if err := r.s.Cancel(t.Context(), task.ID); err != nil {
			t.Fatal(err)
		}
		if got := r.await(task.ID); got.Status != Canceled {
			t.Fatalf("%+v", got)
		}
		r.until("running items end", func() bool {
			return r.count("SELECT count(*) FROM task_items WHERE task_id = ? AND status IN ('ready', 'running')", task.ID) == 0
		})
		if len(r.heard.aborted) != 1 || r.heard.ended != 0 {
			t.Errorf("%+v", r.heard)
		}
		if err := r.s.Cancel(t.Context(), task.ID); !errors.Is(err, ErrConflict) {
			t.Errorf("canceled twice: %v", err)
		}
		// It can be taken up again.
		r.reader.hold = nil
		if _, err := r.s.Retry(t.Context(), task.ID); err != nil {
			t.Fatal(err)
		}
		if got := r.await(task.ID); got.Status != Finished || r.count("SELECT count(*) FROM reads") != 40 {
			t.Fatalf("%+v", got)
		}
	})
}

// TestCancelShared: a task that waits for the images of another goes on when that one is canceled.
func TestCancelShared(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 12)
		gate, reached := make(chan struct{}), make(chan struct{}, 100)
		r.reader.hold = func(ctx context.Context, _ string) {
			reached <- struct{}{}
			select {
			case <-gate:
			case <-ctx.Done():
			}
		}
		a, b := r.cluster("a"), r.cluster("b")
		first := r.create(Request{Scope: Scope{Targets: []int64{a}}})
		<-reached
		second := r.create(Request{Scope: Scope{Targets: []int64{b}}})
		r.until("the second waits", func() bool { return r.count("SELECT count(*) FROM task_item_uses") == 24 })
		if err := r.s.Cancel(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		close(gate)
		if got := r.await(second.ID); got.Status != Finished {
			t.Fatalf("%+v\n%s", got, r.dump(second.ID))
		}
		if got := r.await(first.ID); got.Status != Canceled {
			t.Fatalf("%+v", got)
		}
	})
}

// TestRestart ends the server in the middle of a task: after the next start it goes on, and nothing is read twice.
func TestRestart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 40)
		var stop = make(chan struct{})
		r.reader.hold = func(ctx context.Context, ref string) {
			if strings.Contains(ref, "app-2") { // some of them hang until the stop
				select {
				case <-ctx.Done():
				case <-stop:
				}
			}
		}
		id := r.cluster("a")
		task := r.create(Request{Scope: Scope{Targets: []int64{id}}})
		r.until("some are read", func() bool { return r.count("SELECT count(*) FROM reads") >= 5 })
		r.stop()
		if n := r.count("SELECT count(*) FROM task_items WHERE status = 'running'"); n != 0 {
			t.Errorf("%d items are still running after a stop", n)
		}
		close(stop)
		r.start()
		if got := r.await(task.ID); got.Status != Finished {
			t.Fatalf("%+v\n%s", got, r.dump(task.ID))
		}
		for name, n := range r.reads() {
			if n != 1 {
				t.Errorf("%s was read %d times", name, n)
			}
		}
		if n := r.count("SELECT count(*) FROM inventories"); n != 40 || r.heard.ended != 1 {
			t.Errorf("%d inventories, %d scans ended", n, r.heard.ended)
		}
	})
}

// TestBudget holds a task to what it may use at once, and to its pull rate.
func TestBudget(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 9, func(o *Options) { o.ImageWorkers = 8 })
		at, most := make(chan int, 1), 0
		at <- 0
		r.reader.hold = func(context.Context, string) {
			n := <-at + 1
			most = max(most, n)
			at <- n
		}
		r.reader.fail = func(string) error {
			at <- <-at - 1
			return nil
		}
		id := r.cluster("a")
		task := r.await(r.create(Request{Scope: Scope{Targets: []int64{id}}, Budget: Budget{ParallelImages: 2}}).ID)
		if task.Status != Finished || most > 2 {
			t.Errorf("%s, %d at once", task.Status, most)
		}
	})
}

// TestPullRate gives each image its moment.
func TestPullRate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 5)
		id := r.cluster("a")
		task := r.await(r.create(Request{Scope: Scope{Targets: []int64{id}}, Budget: Budget{ImagesPerHour: 7200}}).ID)
		var began []int64
		if err := db.R.NewRaw("SELECT started_at FROM task_items WHERE kind = 'image' ORDER BY started_at").Scan(t.Context(), &began); err != nil {
			t.Fatal(err)
		}
		if task.Status != Finished || len(began) != 5 {
			t.Fatalf("%+v %v", task, began)
		}
		for i := range began {
			if after := began[i] - began[0]; after < int64(500*i-5) {
				t.Errorf("image %d begins %d ms after the first", i, after)
			}
		}
	})
}

// TestParts: a task for permissions alone reads no image, but looks at those that are known.
func TestParts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 4)
		id := r.cluster("a")
		task := r.await(r.create(Request{Scope: Scope{Targets: []int64{id}}, Parts: []Part{Permissions}}).ID)
		if task.Status != Finished || r.count("SELECT count(*) FROM reads") != 0 || fmt.Sprint(r.heard.runs[0].Kinds) != "[permission]" {
			t.Fatalf("%+v %v", task, r.heard.runs[0].Kinds)
		}
		for name, unread := range r.heard.images {
			if unread == "" {
				t.Errorf("%s counts as looked into", name)
			}
		}
		if _, err := r.s.Create(t.Context(), Request{Scope: Scope{All: true}, Parts: []Part{"cheese"}}); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
		if _, err := r.s.Create(t.Context(), Request{Scope: Scope{Targets: []int64{id + 100}}}); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestNodes: single nodes are told to be out of reach.
func TestNodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 1)
		id := r.cluster("a")
		task := r.await(r.create(Request{Scope: Scope{Nodes: []Node{{id, "worker-1"}}}}).ID)
		items, _, err := r.s.Items(t.Context(), allVisible, task.ID, ItemFilter{}, store.Page{})
		if err != nil || task.Status != Failed || len(items) != 1 || items[0].Code != "unsupported" {
			t.Errorf("%+v %+v %v", task, items, err)
		}
	})
}
