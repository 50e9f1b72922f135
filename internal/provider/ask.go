package provider

import (
	"context"
	"errors"
	"sync"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// Bounds of what is asked for at a time.
const (
	mostCalls   = 4      // questions to the server under way
	mostWaiting = 20_000 // images that wait for their turn
	mostQuiet   = 1_000  // and of those that nobody waits for: what is fresh enough to answer by
	mostAsked   = 500    // images in one question
	_           = uint(protocol.MaxImages - mostAsked)
)

// Reasons for which there is no answer.
var (
	errAway = errors.New("the server is away")
	errFull = errors.New("too many images are being asked for")
	errLate = errors.New("the server did not answer in time")
)

// asker asks the server about images: each once at a time whoever wants it, many in one question.
type asker struct {
	images func(context.Context, protocol.ImagesRequest) (*protocol.ImagesAnswer, error)
	away   func() bool
	epoch  func() int64
	took   func(f *flight)

	mu      sync.Mutex
	flights map[string]*flight // by reference
	queue   []*flight
	running int
	closed  bool
	calls   sync.WaitGroup
}

// flight is an image that is being asked for. verdict and err are there when done is closed.
type flight struct {
	image   protocol.Image
	epoch   int64 // before it was asked for
	done    chan struct{}
	verdict *policy.ImageVerdict
	err     error
}

// want returns the flight of an image, which kick starts. quiet is for images that nobody waits for.
func (a *asker) want(image protocol.Image, quiet bool) (*flight, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.flights[image.Reference]; f != nil {
		return f, nil
	}
	switch {
	case a.closed || len(a.queue) >= mostWaiting || quiet && len(a.queue) >= mostQuiet:
		return nil, errFull
	case a.away():
		return nil, errAway
	}
	f := &flight{image: image, done: make(chan struct{})}
	a.flights[image.Reference] = f
	a.queue = append(a.queue, f)
	return f, nil
}

// kick sees to it that what waits is asked for.
func (a *asker) kick() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.running < mostCalls && len(a.queue) > 0 && !a.closed {
		n := min(len(a.queue), mostAsked)
		batch := append([]*flight(nil), a.queue[:n]...)
		a.queue = append(a.queue[:0], a.queue[n:]...)
		a.running++
		a.calls.Go(func() { a.call(batch) })
	}
}

// call asks for a batch. It goes on after those who wait have left: the next one finds the answer.
func (a *asker) call(batch []*flight) {
	defer a.kick()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.running--
	}()
	q := protocol.ImagesRequest{Images: make([]protocol.Image, len(batch))}
	epoch := a.epoch()
	for i, f := range batch {
		q.Images[i], f.epoch = f.image, epoch
	}
	answer, err := a.images(context.Background(), q) // the link bounds its time
	for i, f := range batch {
		if f.err = err; err == nil {
			f.verdict = &answer.Verdicts[i]
			a.took(f)
		}
	}
	a.mu.Lock()
	for _, f := range batch {
		delete(a.flights, f.image.Reference)
	}
	a.mu.Unlock()
	for _, f := range batch {
		close(f.done)
	}
}

// close ends asking; calls that are under way are waited for.
func (a *asker) close() {
	a.mu.Lock()
	a.closed = true
	for _, f := range a.queue {
		f.err = errAway
		delete(a.flights, f.image.Reference)
		close(f.done)
	}
	a.queue = nil
	a.mu.Unlock()
	a.calls.Wait()
}

// waiting is how many images are being asked for.
func (a *asker) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.flights)
}
