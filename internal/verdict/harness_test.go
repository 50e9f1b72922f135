package verdict

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// world is a Service among rooms that do as they are told.
type world struct {
	t      testing.TB
	db     *store.DB
	hub    *live.Hub
	s      *Service
	target int64

	mu       sync.Mutex
	now      time.Time
	bundle   policy.Bundle
	stamp    string
	findings map[string][]*finding.Finding // by digest of the manifest
	matched  map[string]int                // how often
	tasks    []task.Request
	readings map[string]task.Reading
	names    map[string]string // what the registry says of references
	asked    map[string]int
	resolve  func(ctx context.Context, ref string) (string, error) // in place of names
	visit    func(ctx context.Context, f func(context.Context, *registry.Repository) error) error
	match    func(digest string) error // before matching
	turned   [][2]policy.ImageVerdict
	deaf     error // of who is told of turned verdicts
}

func newWorld(t testing.TB, db *store.DB) *world {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	w := &world{t: t, db: db, hub: live.New(db, log), now: clock, stamp: "one", findings: map[string][]*finding.Finding{}, matched: map[string]int{},
		readings: map[string]task.Reading{}, names: map[string]string{}, asked: map[string]int{}}
	w.target = w.cluster("prod")
	w.policies(policy.Policy{ID: 1, Name: "no critical", Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities, Severity: finding.Critical}}})
	w.s = New(Options{DB: db, Hub: w.hub, Tasks: w, Bundles: w, Log: log, Now: w.clock, Patience: 20 * time.Second, Wait: 10 * time.Second,
		Turned: func(_ context.Context, target int64, was, is *policy.ImageVerdict) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.deaf != nil {
				return w.deaf
			}
			if target != w.target {
				t.Error("another cluster is told of")
			}
			w.turned = append(w.turned, [2]policy.ImageVerdict{*was, *is})
			return nil
		}})
	w.s.trimmed = clock
	w.s.scale.budget = time.Minute
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
}

func (w *world) cluster(name string) int64 {
	w.t.Helper()
	var id int64
	w.write(func(ctx context.Context, tx bun.Tx) error {
		target, err := ledger.AddTarget(ctx, tx, "cluster", name, clock)
		if err == nil {
			id = target.ID
		}
		return err
	})
	return id
}

func (w *world) write(f func(ctx context.Context, tx bun.Tx) error) {
	w.t.Helper()
	if err := w.db.Write(context.Background(), f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(query, args...).Exec(ctx)
		return err
	})
}

// policies puts others in force.
func (w *world) policies(list ...policy.Policy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bundle.Target, w.bundle.Cluster, w.bundle.Policies = w.target, "prod", list
	w.bundle.Generation += "x"
}

// image puts an inventory into the database, as the scan of an image does.
func (w *world) image(manifest, index string, found ...*finding.Finding) {
	w.t.Helper()
	w.mu.Lock()
	w.findings[manifest] = found
	at := store.At(w.now)
	w.mu.Unlock()
	w.write(func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO inventories (digest, scanner, reference, packages, read_at, used_at, body) VALUES (?, 'test', 'x', 0, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET read_at = EXCLUDED.read_at", manifest, at, at, []byte{1}).Exec(ctx)
		for _, name := range []string{manifest, index} {
			if err == nil && name != "" {
				_, err = tx.NewRaw("INSERT INTO inventory_names (name, digest) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, manifest).Exec(ctx)
			}
		}
		return err
	})
}

// vulnerable is the finding of a vulnerability.
func vulnerableTo(id string, sev finding.Severity) *finding.Finding {
	return &finding.Finding{Fingerprint: id, Kind: finding.Vulnerability, Rule: id, Severity: sev, Status: finding.Open,
		Vulnerability: &finding.Vulnerable{ID: id, Package: "openssl", Version: "1.0", FixedVersion: "1.1"}}
}

// What Tasks want.

func (w *world) Findings(_ context.Context, digest string, found task.Found) (task.Looked, error) {
	if w.match != nil {
		if err := w.match(digest); err != nil {
			return task.Looked{}, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.matched[digest]++
	list, ok := w.findings[digest]
	if !ok {
		return task.Looked{}, store.ErrNotFound
	}
	for _, f := range list {
		x := *f
		found(&x, "item", "2026-01-01")
	}
	var at store.Time
	if err := w.db.R.NewRaw("SELECT read_at FROM inventories WHERE digest = ?", digest).Scan(context.Background(), &at); err != nil {
		return task.Looked{}, err
	}
	return task.Looked{Digest: digest, Reference: "registry.example.com/x", Read: at.Time, Stamp: w.stamp}, nil
}

func (w *world) Stamp() (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stamp, nil
}

func (w *world) InUse(context.Context, []string) error { return nil }

func (w *world) Readings(_ context.Context, keys []string) (map[string]task.Reading, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]task.Reading{}
	for _, k := range keys {
		if r, ok := w.readings[k]; ok {
			out[k] = r
		}
	}
	return out, nil
}

func (w *world) Create(_ context.Context, r task.Request) (*task.Task, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tasks = append(w.tasks, r)
	for _, img := range r.Scope.Images {
		w.readings[img.Digest] = task.Reading{Open: true}
	}
	return &task.Task{}, nil
}

func (w *world) Reader(int64) task.ImageReader { return reader{w} }

// Bundle implements Bundles.
func (w *world) Bundle(_ context.Context, target int64) (*policy.Bundle, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if target != w.target {
		return nil, store.ErrNotFound
	}
	b := w.bundle
	b.Policies, b.Exceptions = slices.Clone(b.Policies), slices.Clone(b.Exceptions)
	return &b, nil
}

// reader is a registry that knows names.
type reader struct{ w *world }

func (r reader) Read(context.Context, scan.Use, func(string) bool) (*inventory.Software, string, error) {
	return nil, "", errors.New("nobody reads here")
}

// coded is an error of a registry.
type coded struct{ code string }

func (c coded) Error() string { return "registry.example.com: " + c.code }
func (c coded) Code() string  { return c.code }

func (r reader) Resolve(ctx context.Context, use scan.Use) (string, error) {
	r.w.mu.Lock()
	r.w.asked[use.Reference]++
	digest, ok := r.w.names[use.Reference]
	f := r.w.resolve
	r.w.mu.Unlock()
	if f != nil {
		return f(ctx, use.Reference)
	}
	if !ok {
		return "", coded{"unreachable"}
	}
	return digest, nil
}

func (r reader) Visit(ctx context.Context, _ scan.Use, f func(ctx context.Context, r *registry.Repository) error) error {
	if r.w.visit == nil {
		return coded{"unreachable"}
	}
	return r.w.visit(ctx, f)
}

func (w *world) name(reference, digest string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[reference] = digest
}

// ask asks about images and returns the verdicts.
func (w *world) ask(references ...string) []policy.ImageVerdict {
	w.t.Helper()
	var req protocol.ImagesRequest
	for _, r := range references {
		req.Images = append(req.Images, protocol.Image{Reference: r, Namespace: "shop", PullSecrets: []string{"regcred"}})
	}
	a, err := w.s.Images(w.t.Context(), w.target, req)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(a.Verdicts) != len(references) {
		w.t.Fatalf("%d verdicts on %d images", len(a.Verdicts), len(references))
	}
	return a.Verdicts
}

// keep does what is done in the background.
func (w *world) keep() {
	w.t.Helper()
	if err := w.s.scanWanted(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if err := w.s.Keep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) changes(after int64) *protocol.Changes {
	w.t.Helper()
	c, err := w.s.changes(w.t.Context(), w.target, after)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// wanted are the digests of the images that tasks were made for.
func (w *world) wanted() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]bool{}
	for _, r := range w.tasks {
		for _, img := range r.Scope.Images {
			out[img.Digest] = true
		}
	}
	return slices.Sorted(maps.Keys(out))
}

func kindsOf(v policy.ImageVerdict) string {
	out := string(v.State)
	for _, f := range v.Failed {
		out += fmt.Sprintf(" %d/%d:%s", f.Policy, f.Check, f.Kind)
	}
	for _, o := range v.Open {
		out += fmt.Sprintf(" open %d/%d", o.Policy, o.Check)
	}
	if len(v.Allowed) > 0 {
		out += fmt.Sprint(" allowed ", v.Allowed)
	}
	return out
}

func (w *world) want(v policy.ImageVerdict, want string) {
	w.t.Helper()
	if got := kindsOf(v); got != want {
		w.t.Errorf("%s: %q, want %q (%s)", v.Reference, got, want, v.Reason)
	}
}
