package task

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/leader"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/triage"
)

// TestMain lets the test binary also be a worker process: see startWorker.
func TestMain(m *testing.M) {
	if url := os.Getenv("STOCKADE_TEST_WORKER"); url != "" {
		runWorker(url)
		return
	}
	os.Exit(m.Run())
}

// fakeFleet has clusters of pods, each with an image of its own.
type fakeFleet struct {
	pods int
	name func(i int) string // of images
	// broken makes Open fail.
	mu     sync.Mutex
	broken error
	opens  int
}

func (f *fakeFleet) Open(_ context.Context, _ int64) (fleet.Source, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opens++
	if f.broken != nil {
		return nil, f.broken
	}
	return &fakeCluster{f}, nil
}

func (f *fakeFleet) Contact(context.Context, int64, inventory.ClusterInfo, int, error) error {
	return nil
}

func (f *fakeFleet) breakWith(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
}

type fakeCluster struct{ f *fakeFleet }

func (c *fakeCluster) Info() inventory.ClusterInfo {
	return inventory.ClusterInfo{Name: "fake", Version: "v1.30.0"}
}

func (c *fakeCluster) PullSecret(context.Context, string, string) ([]byte, error) {
	return nil, errors.New("none")
}

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (c *fakeCluster) Stream(ctx context.Context, emit func(*inventory.Object) error, _ func(finding.NotScanned)) error {
	for i := range c.f.pods {
		image := fmt.Sprintf("registry.example.com/app-%d:1", i)
		if c.f.name != nil {
			image = c.f.name(i)
		}
		o, ok := inventory.NewObject(map[string]any{"apiVersion": "v1", "kind": "Pod",
			"metadata": map[string]any{"name": fmt.Sprint("pod-", i), "namespace": "shop"},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "c", "image": image}}},
			"status":   map[string]any{"containerStatuses": []any{map[string]any{"name": "c", "imageID": image + "@" + digestOf(image)}}}})
		if !ok {
			return errors.New("no object")
		}
		if err := emit(o); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// fakeReader reads images that do not exist. Each reading is written to the table reads.
type fakeReader struct {
	db   *store.DB
	cost time.Duration
	fail func(ref string) error // may be nil
	hold func(ctx context.Context, ref string)
}

func (f *fakeReader) Read(ctx context.Context, use scan.Use, known func(string) bool) (*inventory.Software, string, error) {
	digest := use.Digest
	if digest == "" {
		digest = digestOf(use.Reference)
		if known(digest) {
			return nil, digest, nil
		}
	}
	if f.hold != nil {
		f.hold(ctx, use.Reference)
	}
	if f.cost > 0 {
		time.Sleep(f.cost)
	}
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	if f.fail != nil {
		if err := f.fail(use.Reference); err != nil {
			return nil, "", err
		}
	}
	// A commit that is cut off may be made or not: what is counted is what is read.
	err := f.db.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO reads (name, process) VALUES (?, ?)", use.Reference, os.Getpid()).Exec(ctx)
		return err
	})
	if err != nil {
		return nil, "", stored(err)
	}
	return &inventory.Software{Schema: inventory.SoftwareSchema, Kind: "image", Name: use.Pull(), Image: &inventory.Image{Reference: use.Pull(), Digest: digest},
		Packages: []inventory.Package{{Type: inventory.Deb, Name: "base", Version: "1"}}}, digest, nil
}

// heard is what an Ingest took.
type heard struct {
	mu      sync.Mutex
	runs    []triage.Run
	ended   int
	aborted []string
	images  map[string]string // reference -> why it was not read
	found   []*finding.Finding
	clauses []finding.Clause
	gaps    []finding.NotScanned
}

type fakeIngest struct{ h *heard }

func (h *heard) open(_ context.Context, r triage.Run) (Ingest, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runs = append(h.runs, r)
	return &fakeIngest{h}, nil
}

func (f *fakeIngest) Begin(finding.Header) error { return nil }
func (f *fakeIngest) Finding(v *finding.Finding) error {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	f.h.found = append(f.h.found, v)
	return nil
}
func (f *fakeIngest) Clause(c finding.Clause) error {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	f.h.clauses = append(f.h.clauses, c)
	return nil
}
func (f *fakeIngest) NotScanned(n finding.NotScanned) error {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	f.h.gaps = append(f.h.gaps, n)
	return nil
}
func (f *fakeIngest) Asset(a finding.Asset) error {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	if a.Kind == "image" {
		if f.h.images == nil {
			f.h.images = map[string]string{}
		}
		f.h.images[a.Name] = a.Unread
	}
	return nil
}
func (f *fakeIngest) End(time.Time, finding.Target, finding.Stats) error {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	f.h.ended++
	return nil
}
func (f *fakeIngest) Abort(reason string) {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	f.h.aborted = append(f.h.aborted, reason)
}

// rig is a server's worth of rooms on one database.
type rig struct {
	t      testing.TB
	db     *store.DB
	hub    *live.Hub
	fleet  *fakeFleet
	reader *fakeReader
	heard  *heard
	s      *Service
	stop   func()
}

func table(ctx context.Context, db *store.DB) error {
	return db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("CREATE TABLE IF NOT EXISTS reads (name TEXT NOT NULL, process BIGINT NOT NULL)").Exec(ctx)
		return err
	})
}

func newRig(t testing.TB, db *store.DB, pods int, change ...func(*Options)) *rig {
	t.Helper()
	if err := table(context.Background(), db); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, db: db, fleet: &fakeFleet{pods: pods}, reader: &fakeReader{db: db}, heard: &heard{}}
	r.start(change...)
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) start(change ...func(*Options)) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(r.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	r.hub = live.New(r.db, log)
	o := Options{DB: r.db, Hub: r.hub, Log: log, Fleet: r.fleet, Ingest: r.heard.open,
		Reader: func(examine.PullSecret) ImageReader { return r.reader }, Scanner: "test/1", Library: &rule.Library{}, TempDir: r.t.TempDir()}
	for _, f := range change {
		f(&o)
	}
	r.s = New(o)
	var group sync.WaitGroup
	group.Go(func() { r.hub.Run(ctx) })
	if err := r.s.Start(ctx, true); err != nil {
		r.t.Fatal(err)
	}
	group.Go(func() { _ = leader.Run(ctx, r.db, log, []leader.Duty{r.s.Duties()[0]}) })
	r.stop = sync.OnceFunc(func() {
		if err := r.s.Stop(context.Background()); err != nil {
			r.t.Error(err)
		}
		cancel()
		group.Wait()
	})
}

// cluster registers a cluster.
func (r *rig) cluster(name string) int64 {
	r.t.Helper()
	var id int64
	err := r.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		target, err := ledger.AddTarget(ctx, tx, "cluster", name, time.Now())
		if err == nil {
			id = target.ID
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *rig) create(q Request) *Task {
	r.t.Helper()
	t, err := r.s.Create(context.Background(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

// await waits until a task has ended. The limit is for a test that hangs, and no measure.
func (r *rig) await(id int64) *Task {
	r.t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		t, err := r.s.row(context.Background(), id)
		if err != nil && !transient(stored(err)) {
			r.t.Fatal(err)
		}
		if err == nil && t.Status != Ready && t.Status != Running {
			return t
		}
		if time.Now().After(end) {
			r.t.Fatalf("task %d does not end: %+v\n%s", id, t, r.dump(id))
		}
	}
}

func (r *rig) dump(task int64) string {
	var items []*Item
	if err := r.db.R.NewSelect().Model(&items).Where("task_id = ? AND status NOT IN ('done')", task).Limit(10).Scan(context.Background()); err != nil {
		return err.Error()
	}
	out := ""
	for _, it := range items {
		out += fmt.Sprintf("%d %s %s %s attempt %d worker %s queued %v error %s\n", it.ID, it.Kind, it.Name, it.Status, it.Attempt, it.Worker, it.QueuedAt, it.Error)
	}
	return out
}

// reads says how often each image was read.
func (r *rig) reads() map[string]int {
	r.t.Helper()
	var rows []struct {
		Name string
		N    int
	}
	if err := r.db.R.NewRaw("SELECT name, count(*) AS n FROM reads GROUP BY name").Scan(context.Background(), &rows); err != nil {
		r.t.Fatal(err)
	}
	out := map[string]int{}
	for _, row := range rows {
		out[row.Name] = row.N
	}
	return out
}

func (r *rig) count(query string, args ...any) int {
	r.t.Helper()
	var n int
	if err := r.db.R.NewRaw(query, args...).Scan(context.Background(), &n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// until waits for something that is to happen.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("does not happen: %s", what)
		}
	}
}

// testLease is short, so that tests of lost workers are too; others have the usual one, since machines are slow at times.
const testLease = 5 * time.Second

var allVisible = identity.Visible{All: true}

func runWorker(url string) {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Options{URL: url, MaxConns: 10})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cost, _ := time.ParseDuration(os.Getenv("STOCKADE_TEST_COST"))
	workers, _ := strconv.Atoi(os.Getenv("STOCKADE_TEST_WORKERS"))
	pods, _ := strconv.Atoi(os.Getenv("STOCKADE_TEST_PODS"))
	lease := testLease
	if os.Getenv("STOCKADE_TEST_BURN") != "" { // where nothing is lost and the processor is full
		lease = time.Minute
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	hub := live.New(db, log)
	go hub.Run(ctx)
	reader := &fakeReader{db: db, cost: cost}
	if os.Getenv("STOCKADE_TEST_BURN") != "" {
		reader.cost, reader.hold = 0, func(context.Context, string) { burn(cost) }
	}
	s := New(Options{DB: db, Hub: hub, Log: log, Fleet: &fakeFleet{pods: pods}, Ingest: (&heard{}).open, ImageWorkers: workers,
		Reader: func(examine.PullSecret) ImageReader { return reader }, Scanner: "test/1", Library: &rule.Library{}, Lease: lease})
	if err := s.Start(ctx, true); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_ = leader.Run(ctx, db, log, []leader.Duty{s.Duties()[0]})
}

// burn uses the processor for about d, however busy the machine is: what it does is fixed.
func burn(d time.Duration) {
	sum := [32]byte{}
	for range d / (70 * time.Nanosecond) {
		sum = sha256.Sum256(sum[:])
	}
}
