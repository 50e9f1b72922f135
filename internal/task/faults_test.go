package task

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/leader"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// startWorker runs this test binary as a worker process.
func startWorker(t testing.TB, url string, pods, workers int, cost time.Duration, more ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STOCKADE_TEST_WORKER="+url, fmt.Sprint("STOCKADE_TEST_PODS=", pods), fmt.Sprint("STOCKADE_TEST_WORKERS=", workers),
		"STOCKADE_TEST_COST="+cost.String())
	cmd.Env = append(cmd.Env, more...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != "ready" {
		t.Fatalf("the worker says %q", line)
	}
	return cmd
}

// boss is a process that makes tasks and does none.
func boss(t testing.TB, url string, pods int, lease time.Duration) *rig {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := table(context.Background(), db); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, db: db, fleet: &fakeFleet{pods: pods}, reader: &fakeReader{db: db}, heard: &heard{}}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	r.hub = live.New(db, log)
	r.s = New(Options{DB: db, Hub: r.hub, Log: log, Fleet: r.fleet, Ingest: r.heard.open, Library: &rule.Library{}, Scanner: "test/1", Lease: lease,
		Reader: func(examine.PullSecret) ImageReader { return r.reader }})
	if err := r.s.Start(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { r.hub.Run(ctx) })
	group.Go(func() { _ = leader.Run(ctx, db, log, []leader.Duty{r.s.Duties()[0]}) })
	t.Cleanup(func() {
		cancel()
		group.Wait()
		_ = r.s.Stop(context.Background())
	})
	return r
}

// TestKilled kills worker processes with SIGKILL in the middle of 200 images, the one too that scans the cluster: nothing is lost,
// nothing is kept twice.
func TestKilled(t *testing.T) {
	const images = 200
	url := storetest.Postgres(t)
	r := boss(t, url, images, testLease)
	id := r.cluster("a")
	first := startWorker(t, url, images, 4, 20*time.Millisecond)
	task := r.create(Request{Scope: Scope{Targets: []int64{id}}})
	r.until("the scan runs", func() bool { return r.count("SELECT count(*) FROM reads") > 10 })
	startWorker(t, url, images, 4, 20*time.Millisecond)
	r.until("half are read", func() bool { return r.count("SELECT count(*) FROM reads") > 60 })
	running := r.count("SELECT count(*) FROM task_items WHERE status = 'running' AND kind = 'cluster'")
	if err := first.Process.Kill(); err != nil { // the process that scans the cluster
		t.Fatal(err)
	}
	if running != 1 {
		t.Fatalf("%d clusters were being scanned", running)
	}
	third := startWorker(t, url, images, 4, 20*time.Millisecond)
	r.until("more are read", func() bool { return r.count("SELECT count(*) FROM inventories") > 120 })
	_ = third.Process.Kill()
	startWorker(t, url, images, 4, 20*time.Millisecond)
	if got := r.await(task.ID); got.Status != Finished {
		t.Fatalf("%+v\n%s", got, r.dump(task.ID))
	}
	if n := r.count("SELECT count(*) FROM inventories"); n != images {
		t.Errorf("%d inventories of %d", n, images)
	}
	if n := r.count("SELECT count(*) FROM task_items WHERE kind = 'image' AND status = 'done'"); n != images {
		t.Errorf("%d items done of %d", n, images)
	}
	// An image that was being read by a process that was killed is read again; all others once.
	if n := r.count("SELECT count(*) FROM reads"); n < images || n > images+8 {
		t.Errorf("%d readings of %d images", n, images)
	}
}

// TestEndedMeanwhile: another process ends the reading of an image between the two statements that look for it and ask for it.
func TestEndedMeanwhile(t *testing.T) {
	r := boss(t, storetest.Postgres(t), 1, testLease)
	task := r.create(Request{Scope: Scope{Targets: []int64{r.cluster("a")}}})
	var whole Item
	if err := r.db.R.NewSelect().Model(&whole).Where("task_id = ?", task.ID).Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec := func(ctx context.Context, tx bun.Tx, query string, args ...any) error {
		_, err := tx.NewRaw(query, args...).Exec(ctx)
		return err
	}
	digest := digestOf("x")
	image := &Item{TaskID: task.ID, TargetID: whole.TargetID, Kind: kindImage, Name: "x", Key: digest, Status: Running, CreatedAt: store.At(time.Now())}
	err := r.db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(image).Exec(ctx); err != nil {
			return err
		}
		// The asking waits in its INSERT, which has looked already.
		return exec(ctx, tx, `CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;
			CREATE TRIGGER pause BEFORE INSERT ON task_items FOR EACH STATEMENT EXECUTE FUNCTION pause()`)
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &software{s: r.s, r: &running{item: &whole}, pull: true, items: map[string]int64{}}
	asked := make(chan error, 1)
	err = r.db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) error {
		if err := exec(ctx, tx, "SELECT pg_advisory_xact_lock(42)"); err != nil {
			return err
		}
		go func() { asked <- w.ask(t.Context(), []scan.Use{{Reference: "x", Digest: digest}}) }()
		r.until("the asking waits", func() bool {
			return r.count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 1
		})
		if err := exec(ctx, tx, "INSERT INTO inventories (digest, scanner, reference, packages, read_at, used_at, body) VALUES (?, 'test/1', 'x', 0, 1, 1, '')", digest); err != nil {
			return err
		}
		return exec(ctx, tx, "UPDATE task_items SET status = 'done', result = ? WHERE id = ?", digest, image.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	if n := r.count("SELECT count(*) FROM task_items WHERE kind = 'image'"); n != 1 {
		t.Errorf("%d items for one image", n)
	}
	if w.items[digest] != image.ID {
		t.Errorf("the scan waits for item %d, want %d", w.items[digest], image.ID)
	}
}

// TestOnce has many workers in several processes at the same items: none is done twice.
func TestOnce(t *testing.T) {
	const images = 300
	url := storetest.Postgres(t)
	r := boss(t, url, images, testLease)
	ids := []int64{r.cluster("a"), r.cluster("b")}
	for range 4 {
		startWorker(t, url, images, 6, time.Millisecond)
	}
	tasks := []*Task{r.create(Request{Scope: Scope{Targets: ids}}), r.create(Request{Scope: Scope{All: true}})}
	for _, task := range tasks {
		if got := r.await(task.ID); got.Status != Finished {
			t.Fatalf("%+v\n%s", got, r.dump(task.ID))
		}
	}
	reads := r.reads()
	if len(reads) != images {
		t.Errorf("%d images were read", len(reads))
	}
	for name, n := range reads {
		if n != 1 {
			t.Errorf("%s was read %d times", name, n)
		}
	}
	var processes int
	if err := r.db.R.NewRaw("SELECT count(DISTINCT process) FROM reads").Scan(t.Context(), &processes); err != nil || processes < 2 {
		t.Errorf("%d processes took part, %v", processes, err)
	}
}

// TestDatabaseRestarted stops PostgreSQL in the middle of a task, for longer than a moment: the task goes on afterwards.
func TestDatabaseRestarted(t *testing.T) {
	server := storetest.NewPrivate(t)
	db, err := store.Open(t.Context(), store.Options{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	r := newRig(t, db, 150)
	r.reader.cost = 10 * time.Millisecond
	id := r.cluster("a")
	task := r.create(Request{Scope: Scope{Targets: []int64{id}}})
	r.until("some are read", func() bool { return r.count("SELECT count(*) FROM reads") > 30 })
	server.Stop(t)
	time.Sleep(time.Second)
	server.Start(t)
	if got := r.await(task.ID); got.Status != Finished {
		t.Fatalf("%+v\n%s", got, r.dump(task.ID))
	}
	if n := r.count("SELECT count(*) FROM inventories"); n != 150 {
		t.Errorf("%d inventories", n)
	}
}

// TestPoison: an item whose workers die over and over ends.
func TestPoison(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 1)
		r.stop()
		id := r.cluster("a")
		var task *Task
		err := db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) (err error) {
			task, err = r.s.create(ctx, tx, Request{Scope: Scope{Targets: []int64{id}}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for range maxFailures {
			err := db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewRaw("UPDATE task_items SET status = 'running', worker = 'dead', attempt = attempt + 1").Exec(ctx)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			var it Item
			if err := db.R.NewSelect().Model(&it).Where("task_id = ?", task.ID).Scan(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := r.s.take(t.Context(), &it, 1); err != nil {
				t.Fatal(err)
			}
		}
		r.start()
		if got := r.await(task.ID); got.Status != Failed {
			t.Errorf("%+v", got)
		}
	})
}
