// Package triage is the write side of findings that live: it takes in what scans report and what people and exceptions decide,
// and keeps findings, their history and everything that is counted of them in step.
//
// One transaction changes findings and the counters that stand for them; nothing is counted by looking at everything. Whoever
// changes findings of a target locks the target's row first, then goes through tables and keys in one order, the sums of all
// targets (target 0) last, so that transactions wait for each other but never in a circle.
package triage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Exceptions say which findings are accepted.
type Exceptions interface {
	// Match returns the exception that accepts f of a target now.
	Match(f *finding.Finding, target int64, now time.Time) (id int64, ok bool)
}

// Triage changes findings.
type Triage struct {
	db  *store.DB
	ex  Exceptions
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	running map[int64]chan struct{} // targets that are being taken in; closed when it ends
	shared  shared
}

// New makes a Triage on db. Without exceptions (nil) what is accepted stays so.
func New(db *store.DB, ex Exceptions, log *slog.Logger) *Triage {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Triage{db: db, ex: ex, log: log, now: time.Now, running: map[int64]chan struct{}{}}
}

// SetExceptions gives the exceptions, where they need the Triage to be made. Call it before the first Ingest.
func (t *Triage) SetExceptions(ex Exceptions) { t.ex = ex }

// SetClock replaces the clock, for tests. Call it before anything else.
func (t *Triage) SetClock(now func() time.Time) { t.now = now }

// ErrRemoved is returned for a target that was removed, or never was.
var ErrRemoved = errors.New("there is no such target, or it was removed")

// ErrAborted is returned by a handler's methods after Abort or End.
var ErrAborted = errors.New("this run has ended")

// The kinds of runs.
const (
	Full   = "full"
	Part   = "part"
	Watch  = "watch"
	Verify = "verify"
	Upload = "upload"
)

// Run says what is about to be taken in.
type Run struct {
	Target int64
	Task   int64
	// Kind is full for a look at the whole target and upload for a whole result that somebody brings; both settle what they do
	// not report. Part, watch and verify speak for Refs only.
	Kind string
	At   time.Time // when it began: the time of its changes; zero is now
	// Kinds are those that were asked for, nil all. Findings of others are left as they are. The time of the last look stays as it
	// is then, so that they do not seem fresher than they are.
	Kinds []ledger.Kind
	// Refs are the objects that a part, watch or verify run looks at; nil is the whole target. An image is named by
	// ImageRef. Objects that are named and were not reported as assets are gone.
	Refs []inventory.Ref
	// Rules gives the hash of a rule's definition by the rule's name, 0 for an unknown rule. nil: rules are not told apart.
	Rules func(rule string) int64
	// Also are fingerprints of findings that the run speaks for beside those on Refs: what a node's agent saw in containers is a finding on
	// their workload, of which the run says nothing else.
	Also []string
	// Agents are the nodes of which more is told by runs of their own: vulnerabilities, emergencies and malicious files on them stay as they
	// are while the node is there, and so do findings of rules that could not be decided everywhere.
	Agents map[string]bool
	// Quiet leaves no row of a run that changed nothing: of many that look often.
	Quiet bool
	// Part names the part of the target whose gaps (not scanned) this run replaces. "" is the whole target for full and upload
	// runs, and the object of the others when it is one; with several their gaps are not kept.
	Part string
}

// ImageRef names an image among the Refs of a Run.
func ImageRef(reference string) inventory.Ref { return inventory.Ref{Kind: "Image", Name: reference} }

// whole reports whether the run speaks for the whole target.
func (r *Run) whole() bool { return r.Refs == nil && (r.Kind == Full || r.Kind == Upload) }

// asked reports whether findings of the kind were asked for.
func (r *Run) asked(k ledger.Kind) bool { return len(r.Kinds) == 0 || slices.Contains(r.Kinds, k) }

// gapPart is the part whose gaps the run replaces; ok is false when it keeps none.
func (r *Run) gapPart() (part string, ok bool) {
	switch {
	case r.Part != "" || r.whole():
		return r.Part, true
	case len(r.Refs) == 1:
		return r.Refs[0].GroupKind() + " " + r.Refs[0].Namespace + "/" + r.Refs[0].Name, true
	}
	return "", false
}

// Ingest opens a run. It waits while another run of the same target is being taken in, until ctx ends; ctx is also that of all
// the work of the run. Call Abort when the run does not come to its End; after End it does nothing.
func (t *Triage) Ingest(ctx context.Context, r Run) (*Ingest, error) {
	switch r.Kind {
	case Full, Part, Watch, Verify, Upload:
	default:
		return nil, fmt.Errorf("a run of kind %q: want full, part, watch, verify or upload", r.Kind)
	}
	if r.Refs == nil && (r.Kind == Part || r.Kind == Watch || r.Kind == Verify) {
		r.Refs = []inventory.Ref{} // speaks for nothing: only adds and renews
	}
	if r.At.IsZero() {
		r.At = t.now()
	}
	target := new(ledger.Target)
	err := t.db.R.NewSelect().Model(target).Where("id = ?", r.Target).Scan(ctx)
	if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) || err == nil && !target.RemovedAt.IsZero() {
		return nil, fmt.Errorf("target %d: %w", r.Target, ErrRemoved)
	}
	if err != nil {
		return nil, err
	}
	release, err := t.lease(ctx, r.Target)
	if err != nil {
		return nil, fmt.Errorf("target %d (%s): waiting for the run before: %w", r.Target, target.Name, err)
	}
	in := &Ingest{t: t, ctx: ctx, r: r, target: *target, at: store.At(r.At), release: release}
	in.reset()
	return in, nil
}

// leaseClass is the first key of the advisory locks that leases are on PostgreSQL; the second is the target.
const leaseClass = 0x7472_6961

// leasePoll is how often a lease that another replica holds is asked for.
const leasePoll = 250 * time.Millisecond

// lease waits until this process, and on PostgreSQL this replica, is the only one that takes in the target. A lease ends with
// the process that holds it.
func (t *Triage) lease(ctx context.Context, target int64) (release func(), err error) {
	for {
		t.mu.Lock()
		held := t.running[target]
		if held == nil {
			t.running[target] = make(chan struct{})
		}
		t.mu.Unlock()
		if held == nil {
			break
		}
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	local := func() {
		t.mu.Lock()
		close(t.running[target])
		delete(t.running, target)
		t.mu.Unlock()
	}
	if !t.db.Postgres() {
		return local, nil
	}
	unlock, err := t.advisory(ctx, target)
	if err != nil {
		local()
		return nil, err
	}
	return func() { unlock(); local() }, nil
}

// advisory takes PostgreSQL's advisory lock on the target, on a connection of its own: those of the pool are for the work.
func (t *Triage) advisory(ctx context.Context, target int64) (func(), error) {
	conn, err := pgx.ConnectConfig(ctx, t.db.Pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	unlock := func() { _ = conn.Close(context.WithoutCancel(ctx)) }
	for {
		var got bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1::int, $2::int)", leaseClass, int32(target)).Scan(&got); err != nil {
			unlock()
			return nil, err
		}
		if got {
			return unlock, nil
		}
		select {
		case <-ctx.Done():
			unlock()
			return nil, ctx.Err()
		case <-time.After(leasePoll):
		}
	}
}

// lock takes the rows of targets, in order: changes of a target's findings wait for each other. It returns those that are there
// and not removed.
func (t *Triage) lock(ctx context.Context, tx bun.Tx, targets []int64) ([]ledger.Target, error) {
	var rows []ledger.Target
	q := tx.NewSelect().Model(&rows).Where("id IN (?)", bun.List(targets)).Where("removed_at = 0").OrderExpr("id")
	if t.db.Postgres() {
		q = q.For("UPDATE")
	}
	err := q.Scan(ctx)
	return rows, err
}
