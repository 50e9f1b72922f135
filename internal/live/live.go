// Package live carries news of changes to whoever listens now: within the process, and between replicas by PostgreSQL's NOTIFY.
// News may get lost, and listeners are told when it was: the truth is in the database.
package live

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"stockade.dev/stockade/internal/store"
)

// Event says that something changed.
type Event struct {
	Topic  string `json:"topic"`            // "task", "finding", "cluster", ...
	Target int64  `json:"target,omitempty"` // whose it is; 0 is the whole server
	ID     int64  `json:"id,omitempty"`     // of the thing that changed
	Body   any    `json:"body,omitempty"`   // what listeners get is json.RawMessage, or nil
}

// Lost is the topic of the event that a subscriber gets in place of those that it was too slow for, or that a broken connection
// lost: it must read again what it shows.
const Lost = "lost"

const (
	channel   = "stockade_live"
	buffered  = 256  // events that wait for one subscriber
	queued    = 1024 // events that wait to be sent to other replicas
	maxNotify = 7900 // bytes of a notification; PostgreSQL's limit is 8000
)

// Hub takes events and hands them to subscribers.
type Hub struct {
	db  *store.DB
	log *slog.Logger
	me  string // names this hub in notifications, which come back to their sender

	mu   sync.Mutex
	subs map[*subscriber]bool
	out  chan []byte // nil on SQLite
	gap  bool        // something did not fit into out
}

type subscriber struct {
	keep   func(Event) bool
	events chan Event // holds one more than buffered, for Lost
	lost   bool
}

// New makes a Hub. Other replicas are reached while Run runs.
func New(db *store.DB, log *slog.Logger) *Hub {
	h := &Hub{db: db, log: log, me: rand.Text(), subs: map[*subscriber]bool{}}
	if db.Postgres() {
		h.out = make(chan []byte, queued)
	}
	return h
}

// message is an event on its way between replicas.
type message struct {
	From  string          `json:"from"`
	Event Event           `json:"event"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// Publish hands e to the subscribers of all replicas. It never waits: call it after the transaction that e tells of.
func (h *Hub) Publish(_ context.Context, e Event) {
	var body json.RawMessage
	if e.Body != nil {
		var err error
		if body, err = json.Marshal(e.Body); err != nil {
			h.log.Error("live event without its body", "topic", e.Topic, "error", err)
		}
	}
	e.Body = nil
	m := message{From: h.me, Event: e, Body: body}
	if body != nil {
		e.Body = body
	}
	h.spread(e)
	if h.out == nil {
		return
	}
	data, err := json.Marshal(m)
	if err == nil && len(data) > maxNotify { // receivers read what they want to know
		m.Body = nil
		data, err = json.Marshal(m)
	}
	if err != nil {
		h.log.Error("live event", "topic", e.Topic, "error", err)
		return
	}
	select {
	case h.out <- data:
	default:
		h.mu.Lock()
		h.gap = true
		h.mu.Unlock()
	}
}

// spread hands e to the subscribers of this process.
func (h *Hub) spread(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if e.Topic != Lost && !s.keep(e) {
			continue
		}
		if len(s.events) < buffered { // only spread fills it, under the lock: there is room
			s.events <- e
			s.lost = e.Topic == Lost
		} else if !s.lost {
			s.events <- Event{Topic: Lost}
			s.lost = true
		}
	}
}

// Subscribe returns the events that keep wants until ctx ends, which closes the channel. keep is called by publishers and must be
// quick. A subscriber that does not keep up loses events and gets one of topic Lost instead.
func (h *Hub) Subscribe(ctx context.Context, keep func(Event) bool) <-chan Event {
	s := &subscriber{keep: keep, events: make(chan Event, buffered+1)}
	h.mu.Lock()
	h.subs[s] = true
	h.mu.Unlock()
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, s)
		close(s.events)
	})
	return s.events
}

// Run joins this hub with those of other replicas until ctx ends. On SQLite there are none.
func (h *Hub) Run(ctx context.Context) {
	if h.out == nil {
		<-ctx.Done()
		return
	}
	var group sync.WaitGroup
	group.Go(func() { h.persist(ctx, "sending live events", h.send) })
	group.Go(func() { h.persist(ctx, "receiving live events", h.receive) })
	group.Wait()
}

// persist runs f again and again, each time on a connection of its own.
func (h *Hub) persist(ctx context.Context, what string, f func(context.Context, *pgx.Conn) error) {
	for wait := 100 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 5*time.Second) {
		began := time.Now()
		conn, err := pgx.ConnectConfig(ctx, h.db.Pool.Config().ConnConfig)
		if err == nil {
			err = f(ctx, conn)
			_ = conn.Close(context.WithoutCancel(ctx))
		}
		if ctx.Err() != nil {
			return
		}
		h.log.Warn(what+" broke off; connecting again", "error", err)
		if time.Since(began) > time.Minute {
			wait = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (h *Hub) send(ctx context.Context, conn *pgx.Conn) error {
	notify := func(data []byte) error {
		_, err := conn.Exec(ctx, "SELECT pg_notify($1, $2)", channel, string(data))
		if err != nil { // it is gone: tell the others when there is a connection again
			h.mu.Lock()
			h.gap = true
			h.mu.Unlock()
		}
		return err
	}
	for {
		h.mu.Lock()
		gap := h.gap
		h.gap = false
		h.mu.Unlock()
		if gap {
			data, _ := json.Marshal(message{From: h.me, Event: Event{Topic: Lost}})
			if err := notify(data); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case data := <-h.out:
			if err := notify(data); err != nil {
				return err
			}
		}
	}
}

func (h *Hub) receive(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	h.spread(Event{Topic: Lost}) // what was sent while nobody listened
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal([]byte(n.Payload), &m); err != nil {
			h.log.Warn("a live event that is none", "error", err)
			continue
		}
		if m.From == h.me {
			continue
		}
		if m.Body != nil {
			m.Event.Body = m.Body
		}
		h.spread(m.Event)
	}
}
