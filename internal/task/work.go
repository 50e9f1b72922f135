package task

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/job"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

type bunTx = bun.Tx

// in is a list of values for "IN (?)".
func in[T any](list []T) any { return bun.List(list) }

// maxFailures bounds how often an item is begun again after its attempts broke off: one that kills its workers must end.
const maxFailures = 5

// outcome is what became of an item.
type outcome struct {
	status Status
	code   finding.Code
	err    error
	result string
	later  time.Duration                              // not now: it is given back for so long
	save   func(ctx context.Context, tx bun.Tx) error // written together with the status
}

func failed(code finding.Code, err error) outcome {
	return outcome{status: Failed, code: code, err: err}
}

// lock takes the row of a task for this transaction, so that decisions about its items are made one after the other. On SQLite
// there is one transaction at a time anyway.
func (s *Service) lock(ctx context.Context, tx bun.Tx, id int64) (*Task, error) {
	t := new(Task)
	q := tx.NewSelect().Model(t).Where("id = ?", id)
	if s.db.Postgres() {
		q = q.For("UPDATE")
	}
	if err := q.Scan(ctx); err != nil {
		return nil, store.NotFound(err)
	}
	t.read()
	return t, nil
}

// claim makes a ready item this process's. Nil: there is nothing to do. A job.Later error: not yet.
func (s *Service) claim(ctx context.Context, id int64) (*Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// A claim that is cut off may be made or not, and nobody would know to give the item back: it is let end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(s.o.Lease, 10*time.Second))
	defer cancel()
	var claimed *Item
	var later time.Duration
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		claimed, later = nil, 0
		it := new(Item)
		if err := tx.NewSelect().Model(it).Where("id = ?", id).Scan(ctx); err != nil {
			if errors.Is(store.NotFound(err), store.ErrNotFound) {
				return nil
			}
			return err
		}
		if it.Status != Ready {
			return nil
		}
		t, err := s.lock(ctx, tx, it.TaskID)
		if err != nil || t.Cancel {
			return err
		}
		now := s.now()
		if wait := it.NotBefore.Sub(now); wait > 0 && wait < 48*time.Hour { // longer: the clock was wrong
			later = wait
			return nil
		}
		if n := t.Budget.ImagesPerHour; it.Kind == kindImage && n > 0 && it.NotBefore.IsZero() {
			if later, err = s.place(ctx, tx, t, it, now, time.Hour/time.Duration(n)); err != nil || later > 0 {
				return err
			}
		}
		err = tx.NewRaw(`UPDATE task_items SET status = 'running', worker = ?, attempt = attempt + 1, beat = beat + 1, started_at = ?, finished_at = 0,
			progress = '', error = '', code = '' WHERE id = ? AND status = 'ready' RETURNING attempt`, s.me, store.At(now), id).Scan(ctx, &it.Attempt)
		if err != nil {
			if errors.Is(store.NotFound(err), store.ErrNotFound) {
				return nil
			}
			return err
		}
		if t.Status == Ready {
			if _, err := tx.NewRaw("UPDATE tasks SET status = 'running', started_at = ? WHERE id = ?", store.At(now), t.ID).Exec(ctx); err != nil {
				return err
			}
		}
		it.Status, it.Worker = Running, s.me
		claimed = it
		return nil
	})
	switch {
	case store.Duplicate(err): // another scan of this target is running
		return nil, job.Later(2 * time.Second)
	case err != nil:
		return nil, err
	case later > 0:
		return nil, job.Later(later)
	}
	return claimed, nil
}

// place gives an image its moment in the pull rate of its task.
func (s *Service) place(ctx context.Context, tx bun.Tx, t *Task, it *Item, now time.Time, gap time.Duration) (time.Duration, error) {
	at := now
	if next := t.NextPull.Time; next.After(now) && next.Sub(now) < 48*time.Hour*365 {
		at = next
	}
	if _, err := tx.NewRaw("UPDATE tasks SET next_pull = ? WHERE id = ?", store.At(at.Add(gap)), t.ID).Exec(ctx); err != nil {
		return 0, err
	}
	if at.Equal(now) {
		return 0, nil
	}
	_, err := tx.NewRaw("UPDATE task_items SET not_before = ? WHERE id = ?", store.At(at), it.ID).Exec(ctx)
	return at.Sub(now), err
}

// work does one item that the job queue brought.
func (s *Service) work(ctx context.Context, id int64) error {
	it, err := s.claim(ctx, id)
	if err != nil || it == nil {
		return err
	}
	doing, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &running{item: it, cancel: cancel, known: time.Now()}
	s.mu.Lock()
	s.running[id] = r
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.running, id)
		s.mu.Unlock()
	}()
	if it.Kind != kindImage {
		s.publish(ctx, it, nil)
	}
	out := s.do(doing, r)
	cause := context.Cause(doing)
	switch {
	case errors.Is(cause, errLost):
		s.log.Warn("lost a work item", "item", id, "kind", it.Kind, "name", it.Name)
		return nil
	case errors.Is(cause, errCanceled):
		out = outcome{status: Canceled}
	case out.later > 0:
		return s.giveBack(r, 0, out.later)
	case ctx.Err() != nil && out.status != Done && out.status != Partial: // the process ends
		return s.giveBack(r, 0, 0)
	case out.status == Failed && transient(out.err):
		if it.Failures+1 < maxFailures {
			pause := time.Duration(1<<it.Failures) * time.Second
			s.log.Warn("a work item broke off, it is begun again", "item", id, "kind", it.Kind, "name", it.Name, "error", out.err)
			if err := s.giveBack(r, 1, pause); err != nil {
				return err
			}
			return job.Later(pause)
		}
	}
	return s.finish(r, out)
}

// do runs the item. A panic fails it, with the stack in the log.
func (s *Service) do(ctx context.Context, r *running) (out outcome) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a work item", "item", r.item.ID, "kind", r.item.Kind, "panic", p, "stack", string(debug.Stack()))
			out = failed(finding.Broken, fmt.Errorf("internal error: %v; the server's log has more", p))
		}
	}()
	switch r.item.Kind {
	case kindCluster:
		return s.cluster(ctx, r)
	case kindUpload:
		return s.upload(ctx, r)
	case kindNode:
		return s.node(ctx, r)
	case kindImage:
		return s.image(ctx, r)
	}
	return failed(finding.Unsupported, fmt.Errorf("work of kind %q is not known to this version", r.item.Kind))
}

// transient reports whether err is of the database that went away: not the item's fault.
func transient(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) { // shutting down, starting up, connections
		return strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08")
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) || errors.Is(err, driver.ErrBadConn) {
		return true
	}
	var stored storeError
	var op *net.OpError
	return errors.As(err, &stored) && (errors.As(err, &op) || strings.Contains(err.Error(), "closed") || strings.Contains(err.Error(), "EOF"))
}

// storeError marks errors of the database, so that a broken connection to a registry is not taken for one to it.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

func stored(err error) error {
	if err == nil {
		return nil
	}
	return storeError{err}
}

// persist runs f until it succeeds, the item is lost, or the database says something that will not pass.
func (s *Service) persist(r *running, f func(ctx context.Context, tx bun.Tx) error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		ctx, cancel := context.WithTimeout(context.Background(), max(s.o.Lease, 10*time.Second))
		err := s.db.Write(ctx, f)
		cancel()
		if err == nil {
			return nil
		}
		r.mu.Lock()
		left := s.o.Lease - time.Since(r.known)
		r.mu.Unlock()
		if !transient(stored(err)) && !errors.Is(err, context.DeadlineExceeded) || left < 0 {
			return err
		}
		time.Sleep(pause)
	}
}

// giveBack makes the item ready again.
func (s *Service) giveBack(r *running, failures int, pause time.Duration) error {
	var notBefore store.Time
	if pause > 0 {
		notBefore = store.At(s.now().Add(pause))
	}
	return s.persist(r, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(`UPDATE task_items SET status = 'ready', worker = '', queued_at = CASE WHEN ? > 0 THEN queued_at ELSE 0 END, not_before = ?,
			failures = failures + ? WHERE id = ? AND worker = ? AND attempt = ? AND status = 'running'`,
			failures, notBefore, failures, r.item.ID, s.me, r.item.Attempt).Exec(ctx)
		return err
	})
}

// finish writes what became of the item, and of its task when it was the last one.
func (s *Service) finish(r *running, out outcome) error {
	it := r.item
	text := ""
	if out.err != nil {
		text = clip(out.err.Error())
	}
	r.mu.Lock()
	r.progress.Phase, r.progress.Remaining = "done", 0
	stage := ""
	if it.Kind != kindImage {
		stage = ledger.JSON(r.progress)
	}
	r.mu.Unlock()
	own := ofImages(it)
	var ended *Task
	err := s.persist(r, func(ctx context.Context, tx bun.Tx) error {
		ended = nil
		if it.Kind != kindImage || own {
			if _, err := s.lock(ctx, tx, it.TaskID); err != nil {
				return err
			}
		}
		res, err := tx.NewRaw(`UPDATE task_items SET status = ?, code = ?, error = ?, result = ?, progress = ?, finished_at = ?
			WHERE id = ? AND worker = ? AND attempt = ? AND status = 'running'`,
			out.status, string(out.code), text, out.result, stage, store.At(s.now()), it.ID, s.me, it.Attempt).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 { // it was lost: nothing of it may be kept
			return err
		}
		if out.save != nil {
			if err := out.save(ctx, tx); err != nil {
				return err
			}
		}
		if it.Kind == kindImage && !own {
			return nil
		}
		ended, err = s.settle(ctx, tx, it.TaskID)
		return err
	})
	if err != nil {
		return fmt.Errorf("writing what became of %s %s: %w", it.Kind, it.Name, err)
	}
	it.Status, it.Error, it.Result = out.status, text, out.result
	ctx := context.Background()
	if it.Kind == kindImage {
		s.hub.Publish(ctx, live.Event{Topic: topicImage, Target: it.TargetID, ID: it.ID})
	} else {
		s.publish(ctx, it, &r.progress)
	}
	s.ended(ctx, ended)
	return s.dispatch(ctx, it.TaskID)
}

// settle ends a task that has nothing left to do. The caller holds its lock.
func (s *Service) settle(ctx context.Context, tx bun.Tx, id int64) (*Task, error) {
	var counts []struct {
		Status Status
		N      int
	}
	err := tx.NewRaw("SELECT status, count(*) AS n FROM task_items WHERE task_id = ? AND kind IN ('cluster', 'node', 'upload') GROUP BY status", id).Scan(ctx, &counts)
	if err != nil {
		return nil, err
	}
	n, all := map[Status]int{}, 0
	if len(counts) == 0 { // a task of images alone
		if err := tx.NewRaw("SELECT status, count(*) AS n FROM task_items WHERE task_id = ? AND kind = 'image' GROUP BY status", id).Scan(ctx, &counts); err != nil {
			return nil, err
		}
	}
	for _, c := range counts {
		n[c.Status] = c.N
		all += c.N
	}
	if n[Ready]+n[Running] > 0 {
		return nil, nil
	}
	t, err := s.lock(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	switch {
	case t.Cancel:
		t.Status = Canceled
	case n[Failed] == all && all > 0:
		t.Status = Failed
	case n[Failed]+n[Partial]+n[Canceled] > 0:
		t.Status = Partial
	default:
		t.Status = Finished
	}
	t.FinishedAt = store.At(s.now())
	res, err := tx.NewRaw("UPDATE tasks SET status = ?, finished_at = ? WHERE id = ? AND status IN ('ready', 'running')", t.Status, t.FinishedAt, id).Exec(ctx)
	if err != nil {
		return nil, err
	}
	if rows, err := res.RowsAffected(); err != nil || rows == 0 {
		return nil, err
	}
	if err := s.dropImages(ctx, tx, id); err != nil {
		return nil, err
	}
	if err := tx.NewRaw("SELECT target_id AS id FROM task_targets WHERE task_id = ?", id).Scan(ctx, &t.Targets); err != nil && !errors.Is(store.NotFound(err), store.ErrNotFound) {
		return nil, err
	}
	target := int64(0)
	if len(t.Targets) == 1 {
		target = t.Targets[0].ID
	}
	if t.Origin == Admission { // what comes of it is told as verdicts
		return t, nil
	}
	return t, outbox.Put(ctx, tx, outbox.TaskFinished, target, map[string]any{"task": fmt.Sprint(id), "name": t.Name, "status": t.Status, "failed": n[Failed]})
}

// dropImages cancels the images that are not begun and that nobody wants any more.
func (s *Service) dropImages(ctx context.Context, tx bun.Tx, task int64) error {
	_, err := tx.NewRaw(`UPDATE task_items SET status = 'canceled', finished_at = ? WHERE task_id = ? AND kind = 'image' AND status = 'ready'
		AND NOT EXISTS (SELECT 1 FROM task_item_uses u JOIN task_items x ON x.id = u.user_item
			WHERE u.image_item = task_items.id AND x.task_id <> ? AND x.status IN ('ready', 'running'))`, store.At(s.now()), task, task).Exec(ctx)
	return err
}

// clip shortens foreign text for a column that lists show.
func clip(s string) string {
	const most = 2000
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "?")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
