package admission

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"

	"stockade.dev/stockade/internal/leader"
)

// Duties are what one of all replicas does. Those that look at clusters, or at much, go on behind the other duties' backs.
func (s *Service) Duties() []leader.Duty {
	return []leader.Duty{
		{Name: "unchecked admissions", Every: 20 * time.Second, Do: s.behind("unchecked admissions", s.Compare)},
		{Name: "requests that were to be blocked", Every: 10 * time.Second, Do: s.behind("requests that were to be blocked", s.Doubts)},
		{Name: "judging unchecked admissions", Every: 30 * time.Second, Do: s.behind("judging unchecked admissions", s.JudgeOpen)},
		{Name: "violations that exist", Every: time.Minute, Do: s.behind("violations that exist", s.JudgeExisting)},
		{Name: "telling of admissions", Every: 15 * time.Second, Do: s.Tell},
		{Name: "old admissions", Every: 5 * time.Minute, Do: s.behind("old admissions", s.Clean)},
	}
}

// behind starts f, when it does not run yet, and does not wait for it. It ends with the leadership.
func (s *Service) behind(name string, f func(context.Context) error) func(context.Context) error {
	var running atomic.Bool
	return func(ctx context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if ctx.Err() != nil || !running.CompareAndSwap(false, true) {
			return nil
		}
		s.work.Go(func() {
			defer running.Store(false)
			defer func() {
				if p := recover(); p != nil {
					s.log.Error("duty failed", "duty", name, "panic", p, "stack", string(debug.Stack()))
				}
			}()
			if err := f(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("duty failed", "duty", name, "error", err)
			}
		})
		return nil
	}
}

// Wait returns when what runs behind has ended, after the context of the duties has.
func (s *Service) Wait() {
	s.mu.Lock()
	s.mu.Unlock() //nolint:staticcheck // nobody is between looking at the context and starting
	s.work.Wait()
}
