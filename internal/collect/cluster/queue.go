package cluster

import (
	"context"
	"sync"

	"stockade.dev/stockade/internal/inventory"
)

// queue holds the objects of one kind that were read ahead, up to a number of bytes as they came over the wire.
type queue struct {
	mu      sync.Mutex
	changed *sync.Cond
	budget  int64
	bytes   int64
	objects []*inventory.Object
	sizes   []int
	closed  bool
}

func newQueue(budget int64) *queue {
	q := &queue{budget: budget}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// push waits until there is room; an object larger than the whole budget goes alone.
func (q *queue) push(ctx context.Context, o *inventory.Object, size int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes > 0 && q.bytes+int64(size) > q.budget && ctx.Err() == nil {
		q.changed.Wait()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	q.objects, q.sizes, q.bytes = append(q.objects, o), append(q.sizes, size), q.bytes+int64(size)
	q.changed.Broadcast()
	return nil
}

// close ends the queue: what is in it can still be taken.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.changed.Broadcast()
	q.mu.Unlock()
}

// wake lets waiting calls look at their context again.
func (q *queue) wake() {
	q.mu.Lock()
	q.changed.Broadcast()
	q.mu.Unlock()
}

// pop takes up to most objects; none when the queue has ended or ctx is done.
func (q *queue) pop(ctx context.Context, most int, into []*inventory.Object) []*inventory.Object {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.objects) == 0 && !q.closed && ctx.Err() == nil {
		q.changed.Wait()
	}
	if ctx.Err() != nil {
		return nil
	}
	n := min(most, len(q.objects))
	into = append(into[:0], q.objects[:n]...)
	for _, size := range q.sizes[:n] {
		q.bytes -= int64(size)
	}
	clear(q.objects[:n])
	q.objects, q.sizes = q.objects[n:], q.sizes[n:]
	if len(q.objects) == 0 {
		q.objects, q.sizes = nil, nil
	}
	q.changed.Broadcast()
	return into
}
