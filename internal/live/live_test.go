package live

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

func next(t *testing.T, events <-chan Event) Event {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the channel is closed")
		}
		return e
	case <-time.After(time.Minute):
		t.Fatal("no event comes")
	}
	return Event{}
}

func hub(t *testing.T, db *store.DB) *Hub {
	h := New(db, slog.New(slog.DiscardHandler))
	run(t, h)
	return h
}

func run(t *testing.T, h *Hub) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// TestSubscribe hands out what is wanted, in order, until the subscriber leaves.
func TestSubscribe(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := hub(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		events := h.Subscribe(ctx, func(e Event) bool { return e.Topic == "task" })
		h.Publish(t.Context(), Event{Topic: "other"})
		for i := range 3 {
			h.Publish(t.Context(), Event{Topic: "task", Target: 7, ID: int64(i), Body: map[string]int{"n": i}})
		}
		for i := 0; i < 3; {
			e := next(t, events)
			if e.Topic == Lost { // the connection to others may just have been made
				continue
			}
			var body struct{ N int }
			if err := json.Unmarshal(e.Body.(json.RawMessage), &body); err != nil || e.ID != int64(i) || e.Target != 7 || body.N != i {
				t.Errorf("%+v %v", e, err)
			}
			i++
		}
		cancel()
		for range events { // until it is closed
		}
		h.Publish(t.Context(), Event{Topic: "task"}) // to nobody
	})
}

// TestSlow: who does not read loses events, is told once, and holds nobody up.
func TestSlow(t *testing.T) {
	h := New(storetest.Open(t, "sqlite"), slog.New(slog.DiscardHandler))
	events := h.Subscribe(t.Context(), func(Event) bool { return true })
	for i := range 10 * buffered {
		h.Publish(t.Context(), Event{Topic: "task", ID: int64(i)})
	}
	for i := range buffered {
		if e := next(t, events); e.ID != int64(i) {
			t.Fatalf("event %d is %+v", i, e)
		}
	}
	if e := next(t, events); e.Topic != Lost {
		t.Errorf("not told: %+v", e)
	}
	h.Publish(t.Context(), Event{Topic: "task", ID: -1})
	if e := next(t, events); e.ID != -1 {
		t.Errorf("%+v", e)
	}
}

// TestReplicas carries events from one replica to another, large ones without their body, and tells of a connection that broke.
func TestReplicas(t *testing.T) {
	server := storetest.NewPrivate(t)
	open := func() *store.DB {
		db, err := store.Open(t.Context(), store.Options{URL: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	a, b := New(open(), slog.New(slog.DiscardHandler)), New(open(), slog.New(slog.DiscardHandler))
	here, there := a.Subscribe(t.Context(), func(Event) bool { return true }), b.Subscribe(t.Context(), func(Event) bool { return true })
	run(t, a)
	run(t, b)
	for _, events := range []<-chan Event{here, there} { // both listen
		if e := next(t, events); e.Topic != Lost {
			t.Fatalf("%+v", e)
		}
	}
	a.Publish(t.Context(), Event{Topic: "task", ID: 1, Body: "text"})
	if e := next(t, there); e.ID != 1 || string(e.Body.(json.RawMessage)) != `"text"` {
		t.Errorf("%+v", e)
	}
	a.Publish(t.Context(), Event{Topic: "task", ID: 2, Body: strings.Repeat("x", 20_000)})
	if e := next(t, there); e.ID != 2 || e.Body != nil {
		t.Errorf("a large event: %d, body %v", e.ID, e.Body != nil)
	}
	for _, id := range []int64{1, 2} { // once each where it was published
		if e := next(t, here); e.ID != id {
			t.Errorf("%+v", e)
		}
	}
	server.Stop(t)
	a.Publish(t.Context(), Event{Topic: "task", ID: 3}) // cannot be sent now
	server.Start(t)
	if e := next(t, there); e.Topic != Lost {
		t.Errorf("the broken connection is not told: %+v", e)
	}
	for i := int64(4); ; i++ {
		a.Publish(t.Context(), Event{Topic: "task", ID: i})
		if e := next(t, there); e.ID >= 4 {
			break
		}
	}
}
