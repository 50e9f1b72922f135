// Package leader lets one of several replicas do what must be done once: schedules, expiries, sweeping. On PostgreSQL the leader
// holds an advisory lock on a connection of its own; on SQLite there is one server, which leads.
package leader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"

	"stockade.dev/stockade/internal/store"
)

// Duty is something that the leader does now and then. Duties run one by one; Do must end soon after its context does.
type Duty struct {
	Name  string
	Every time.Duration // from the end of one to the begin of the next
	Do    func(ctx context.Context) error
}

// Hooks tell metrics what happens; any may be nil.
type Hooks struct {
	Leading func(bool)
	Done    func(duty string, took time.Duration, err error)
}

// lockKey is the advisory lock: "stockade" as a number.
const lockKey = 0x73746f636b616465

const (
	// retry is how often a replica that does not lead tries to.
	retry = 2 * time.Second
	// check is how often the leader asks whether its connection still stands. A broken one is noticed at once, a silent one after
	// this and patience.
	check    = 2 * time.Second
	patience = 5 * time.Second
)

// Run leads when it can, and then does the duties, until ctx ends. It returns nil then.
func Run(ctx context.Context, db *store.DB, log *slog.Logger, duties []Duty, hooks ...Hooks) error {
	var h Hooks
	if len(hooks) > 0 {
		h = hooks[0]
	}
	if h.Leading == nil {
		h.Leading = func(bool) {}
	}
	if h.Done == nil {
		h.Done = func(string, time.Duration, error) {}
	}
	r := &runner{log: log, duties: duties, hooks: h}
	if !db.Postgres() {
		r.lead(ctx)
		return nil
	}
	for ctx.Err() == nil {
		if err := r.elect(ctx, db); err != nil && ctx.Err() == nil {
			log.Warn("not leading", "error", err)
		}
		pause(ctx, retry)
	}
	return nil
}

type runner struct {
	log    *slog.Logger
	duties []Duty
	hooks  Hooks
}

// elect takes the lock if it is free and leads for as long as the connection stands.
func (r *runner) elect(ctx context.Context, db *store.DB) error {
	conn, err := pgx.ConnectConfig(ctx, db.Pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		_ = conn.Close(end)
	}()
	// A leader whose machine is gone must not hold the lock for the two hours after which TCP asks by default.
	for _, set := range []string{"tcp_keepalives_idle = 5", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 2"} {
		if _, err := conn.Exec(ctx, "SET "+set); err != nil {
			return err
		}
	}
	for {
		var got bool
		asked, cancel := context.WithTimeout(ctx, patience)
		err := conn.QueryRow(asked, "SELECT pg_try_advisory_lock($1)", int64(lockKey)).Scan(&got)
		cancel()
		if err != nil {
			return err
		}
		if got {
			break
		}
		if pause(ctx, retry); ctx.Err() != nil {
			return nil
		}
	}
	leading, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		lose(watch(leading, conn))
	}()
	r.log.Info("leading")
	r.lead(leading)
	lose(nil)
	<-watched
	if cause := context.Cause(leading); ctx.Err() == nil && !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("lost the lead: %w", cause)
	}
	return nil
}

// watch returns when the connection is lost or ctx ends.
func watch(ctx context.Context, conn *pgx.Conn) error {
	for {
		wait, cancel := context.WithTimeout(ctx, check)
		_, err := conn.WaitForNotification(wait) // returns at once when the connection breaks
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
		ask, cancel := context.WithTimeout(ctx, patience)
		err = conn.Ping(ask)
		cancel()
		if err != nil {
			return err
		}
	}
}

// lead does the duties until ctx ends.
func (r *runner) lead(ctx context.Context) {
	r.hooks.Leading(true)
	defer r.hooks.Leading(false)
	next := make([]time.Time, len(r.duties))
	for ctx.Err() == nil {
		first := time.Minute
		for i, d := range r.duties {
			if ctx.Err() != nil {
				return
			}
			if wait := time.Until(next[i]); wait > 0 {
				first = min(first, wait)
				continue
			}
			began := time.Now()
			err := do(ctx, d)
			r.hooks.Done(d.Name, time.Since(began), err)
			if err != nil && ctx.Err() == nil {
				r.log.Error("duty failed", "duty", d.Name, "error", err)
			}
			next[i] = time.Now().Add(d.Every)
			first = min(first, d.Every)
		}
		pause(ctx, first)
	}
}

// do does one duty. A panic is an error: the other duties go on.
func do(ctx context.Context, d Duty) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return d.Do(ctx)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
