package task

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/store"
)

// The topics of live events. Of topicTask the id is the task's and the body an Update; topicImage is for workers.
const (
	topicTask   = "task"
	topicImage  = "image-item"
	topicCancel = "task-cancel"
)

// Internal reports whether events of the topic are for the server itself and no business of people.
func Internal(topic string) bool { return topic == topicImage || topic == topicCancel }

// Update is the body of live events about tasks: how far one item is, or without one, what became of the task.
type Update struct {
	Status   Status    `json:"status"`
	Item     int64     `json:"itemId,string,omitempty"`
	Name     string    `json:"name,omitempty"`
	Error    string    `json:"error,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
}

// publish tells how far an item is.
func (s *Service) publish(ctx context.Context, it *Item, p *Progress) {
	s.hub.Publish(ctx, live.Event{Topic: topicTask, Target: it.TargetID, ID: it.TaskID,
		Body: Update{Status: it.Status, Item: it.ID, Name: it.Name, Error: it.Error, Progress: p}})
}

// ended tells what became of a task to those who see one of its targets.
func (s *Service) ended(ctx context.Context, t *Task) {
	if t == nil {
		return
	}
	for _, target := range t.Targets {
		s.hub.Publish(ctx, live.Event{Topic: topicTask, Target: target.ID, ID: t.ID, Body: Update{Status: t.Status, Name: t.Name}})
	}
}

// update changes the progress of a running item; keep writes it within a second.
func (r *running) update(f func(p *Progress)) {
	r.mu.Lock()
	f(&r.progress)
	r.dirty = true
	r.mu.Unlock()
}

// report writes progress that has changed, and publishes it.
func (s *Service) report(ctx context.Context, r *running) {
	r.mu.Lock()
	if !r.dirty {
		r.mu.Unlock()
		return
	}
	r.dirty = false
	p := r.progress
	text := ledger.JSON(p)
	r.mu.Unlock()
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("UPDATE task_items SET progress = ? WHERE id = ? AND worker = ? AND attempt = ? AND status = 'running'",
			text, r.item.ID, s.me, r.item.Attempt).Exec(ctx)
		return err
	})
	if err != nil {
		s.log.Warn("progress not written", "item", r.item.ID, "error", err)
		return
	}
	it := r.item // its end may be written this moment: only what does not change is read
	s.hub.Publish(ctx, live.Event{Topic: topicTask, Target: it.TargetID, ID: it.TaskID,
		Body: Update{Status: Running, Item: it.ID, Name: it.Name, Progress: decoded(text)}})
}

func decoded(text string) *Progress {
	it := Item{Stage: text}
	it.read()
	return it.Progress
}

// waiter is closed when an image item may have ended.
type waiter struct {
	ended chan struct{}
	users int
}

// wait waits until the image item may have ended, or for a moment: events may get lost.
func (s *Service) wait(ctx context.Context, id int64) error {
	s.mu.Lock()
	w := s.waiting[id]
	if w == nil {
		w = &waiter{ended: make(chan struct{})}
		s.waiting[id] = w
	}
	w.users++
	s.mu.Unlock()
	t := time.NewTimer(time.Second)
	defer t.Stop()
	var err error
	select {
	case <-w.ended:
	case <-t.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	if w.users--; w.users == 0 && s.waiting[id] == w {
		delete(s.waiting, id)
	}
	s.mu.Unlock()
	return err
}

// listen wakes those who wait for images, and ends items of tasks that are canceled, as soon as that is known.
func (s *Service) listen(ctx context.Context) {
	for e := range s.hub.Subscribe(ctx, func(e live.Event) bool { return Internal(e.Topic) }) {
		switch e.Topic {
		case topicImage:
			s.mu.Lock()
			if w := s.waiting[e.ID]; w != nil {
				close(w.ended)
				delete(s.waiting, e.ID)
			}
			s.mu.Unlock()
		case topicCancel:
			for _, r := range s.atWork() {
				if r.item.TaskID == e.ID {
					r.cancel(errCanceled)
				}
			}
		}
	}
}

// estimate is the time that is left when done of total took so long.
func estimate(took time.Duration, done, total int) int64 {
	if done == 0 || total == 0 {
		return 0
	}
	return (took / time.Duration(done) * time.Duration(total-done)).Milliseconds()
}

// took is how long the last scan of the target took, 0 when unknown.
func (s *Service) took(ctx context.Context, target int64) time.Duration {
	var last struct{ StartedAt, FinishedAt store.Time }
	err := s.db.R.NewRaw(`SELECT started_at, finished_at FROM task_items WHERE target_id = ? AND kind = 'cluster' AND spec = ''
		AND status IN ('done', 'partial') ORDER BY id DESC LIMIT 1`, target).Scan(ctx, &last)
	if err != nil {
		return 0
	}
	return last.FinishedAt.Sub(last.StartedAt.Time)
}
