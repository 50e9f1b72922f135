// Package job dispatches work items to workers by River, on both databases: PostgreSQL's own tables there, a file of its own
// beside SQLite's database. River knows ids only. What an item is, who does it and whether it is done stands in the tables of the
// room that enqueues: River's delivery may fail or come twice (docs/decisions/0011-jobs.md), and a claim there decides.
package job

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	_ "modernc.org/sqlite" // registers "sqlite"

	"stockade.dev/stockade/internal/store"
)

// Pool works on the items of one queue.
type Pool struct {
	Workers int // items done at once by this process
	// Do does the item. Later asks for it to be delivered again; other errors are logged and that is all.
	Do func(ctx context.Context, id int64) error
}

// Later is returned by Pool.Do for an item that cannot be done yet.
func Later(d time.Duration) error { return river.JobSnooze(d) }

// Queue dispatches items.
type Queue struct {
	client client
	file   *sql.DB // on SQLite
	log    *slog.Logger
}

// client is what is used of river.Client, whose type depends on the database.
type client interface {
	Start(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	InsertMany(ctx context.Context, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
	JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
}

// item is what River carries.
type item struct {
	ID int64 `json:"id"`
}

func (item) Kind() string { return "item" }

// Open makes the tables when they are missing and returns a Queue that inserts, and that works when pools are given and it is
// started.
func Open(ctx context.Context, db *store.DB, log *slog.Logger, pools map[string]Pool) (*Queue, error) {
	q := &Queue{log: log}
	c := config(log, pools)
	var err error
	if db.Postgres() {
		err = open[pgx.Tx](ctx, q, riverpgxv5.New(db.Pool), c)
	} else {
		dsn := "file:" + filepath.Join(db.Dir, "jobs.db") + "?_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate"
		if q.file, err = sql.Open("sqlite", dsn); err != nil {
			return nil, err
		}
		q.file.SetMaxOpenConns(1)
		c.PollOnly = true
		c.FetchPollInterval = 250 * time.Millisecond
		err = open[*sql.Tx](ctx, q, riversqlite.New(q.file), c)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the job queue: %w", err), q.Close())
	}
	return q, nil
}

func config(log *slog.Logger, pools map[string]Pool) *river.Config {
	c := &river.Config{
		Logger: slog.New(quiet{log.Handler()}),
		// Items take as long as they take; leases of the items' table find what is stuck.
		JobTimeout: -1, RescueStuckJobsAfter: 24 * time.Hour,
		MaxAttempts:                 1,
		CompletedJobRetentionPeriod: 10 * time.Minute, DiscardedJobRetentionPeriod: time.Hour, CancelledJobRetentionPeriod: time.Hour,
		FetchCooldown: 20 * time.Millisecond, FetchPollInterval: time.Second,
	}
	if len(pools) > 0 {
		c.Queues = map[string]river.QueueConfig{}
		for name, p := range pools {
			c.Queues[name] = river.QueueConfig{MaxWorkers: p.Workers}
		}
		c.Workers = river.NewWorkers()
		river.AddWorker(c.Workers, &worker{pools: pools, log: log})
	}
	return c
}

func open[TTx any](ctx context.Context, q *Queue, driver riverdriver.Driver[TTx], c *river.Config) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: c.Logger})
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		// Another replica may have made the tables at the same moment.
		if _, again := m.Migrate(ctx, rivermigrate.DirectionUp, nil); again != nil {
			return err
		}
	}
	made, err := river.NewClient(driver, c)
	if err != nil {
		return err
	}
	q.client = made
	return nil
}

// worker does all items: the queue says which pool.
type worker struct {
	river.WorkerDefaults[item]
	pools map[string]Pool
	log   *slog.Logger
}

func (w *worker) Work(ctx context.Context, j *river.Job[item]) error {
	err := w.pools[j.Queue].Do(ctx, j.Args.ID)
	var later *rivertype.JobSnoozeError
	if err != nil && !errors.As(err, &later) {
		w.log.Error("work item", "queue", j.Queue, "item", j.Args.ID, "error", err)
		return nil // what becomes of it stands in the items' table
	}
	return err
}

// Start lets the pools work until Stop.
func (q *Queue) Start(ctx context.Context) error { return q.client.Start(context.WithoutCancel(ctx)) }

// Stop ends the contexts of running items and waits for them to return.
func (q *Queue) Stop(ctx context.Context) error { return q.client.StopAndCancel(ctx) }

// Close frees what Open took. Stop first.
func (q *Queue) Close() error {
	if q.file != nil {
		return q.file.Close()
	}
	return nil
}

// batch bounds how many items one statement inserts.
const batch = 100

// Enqueue has ids delivered to the pool of that name, in any process, in about this order. River's InsertManyFast would be quicker,
// but panics on SQLite: see TestRiver.
func (q *Queue) Enqueue(ctx context.Context, pool string, ids []int64) error {
	return q.enqueue(ctx, pool, ids, 2)
}

// Hurry is Enqueue for what somebody waits for: it is delivered before everything that was enqueued.
func (q *Queue) Hurry(ctx context.Context, pool string, ids []int64) error {
	return q.enqueue(ctx, pool, ids, 1)
}

func (q *Queue) enqueue(ctx context.Context, pool string, ids []int64, priority int) error {
	for len(ids) > 0 {
		n := min(len(ids), batch)
		params := make([]river.InsertManyParams, n)
		for i, id := range ids[:n] {
			params[i] = river.InsertManyParams{Args: item{id}, InsertOpts: &river.InsertOpts{Queue: pool, MaxAttempts: 1, Priority: priority}}
		}
		if _, err := q.client.InsertMany(ctx, params); err != nil {
			return fmt.Errorf("enqueueing: %w", err)
		}
		ids = ids[n:]
	}
	return nil
}

// Waiting reports whether the pool has items that are still to be delivered.
func (q *Queue) Waiting(ctx context.Context, pool string) (bool, error) {
	list, err := q.client.JobList(ctx, river.NewJobListParams().Queues(pool).First(1).
		States(rivertype.JobStateAvailable, rivertype.JobStateScheduled, rivertype.JobStateRetryable))
	if err != nil {
		return false, fmt.Errorf("asking the job queue: %w", err)
	}
	return len(list.Jobs) > 0, nil
}

// quiet passes River's warnings and errors on; what it tells beside is of no use to operators.
type quiet struct{ slog.Handler }

func (h quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{h.Handler.WithAttrs(a)} }
func (h quiet) WithGroup(name string) slog.Handler   { return quiet{h.Handler.WithGroup(name)} }
