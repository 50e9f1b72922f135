// Package urgent is the server's side of emergency vulnerabilities: which list holds, what was seen of each on nodes, in images and in
// clusters, scans that ask all of them now, and which checks users allow where.
package urgent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/leader"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// ErrInvalid is wrapped by errors about what was asked for.
var ErrInvalid = errors.New("invalid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Tasks are the scans that this room has made: *task.Service.
type Tasks interface {
	EmergencyList(have string) (data []byte, key string, err error)
	Create(ctx context.Context, r task.Request) (*task.Task, error)
}

// Agents has agents do something: *nodes.Service.
type Agents interface {
	Ask(ctx context.Context, ids []int64, w protocol.Work) (map[int64]int64, error)
	Away() time.Duration
}

// Options of a Service. DB, Tasks and Agents are needed.
type Options struct {
	DB      *store.DB
	Tasks   Tasks
	Agents  Agents
	BuiltIn []*emergency.Emergency // that the program brings
	Hub     *live.Hub              // hears of changes; may be nil
	Log     *slog.Logger
	Now     func() time.Time
}

// Topic of live events: what is known of emergencies on a target changed.
const Topic = "emergency"

func (s *Service) news(ctx context.Context, target int64) {
	if s.o.Hub != nil {
		s.o.Hub.Publish(ctx, live.Event{Topic: Topic, Target: target})
	}
}

// Service is the room.
type Service struct {
	o   Options
	db  *store.DB
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	list *List
	key  string // of the advisory database that it is of
}

// New makes a Service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{o: o, db: o.DB, log: o.Log, now: o.Now}
}

// List is the list of emergencies that holds. It is not changed.
type List struct {
	All     []*emergency.Emergency // by id
	Digest  string
	Problem string // why the advisory database's list, or a part of it, is not used
	body    []byte
	byID    map[string]*emergency.Emergency
}

// Find returns an emergency by its id, or by a CVE that it is also known by; nil.
func (l *List) Find(id string) *emergency.Emergency {
	id = strings.ToUpper(id)
	if e := l.byID[id]; e != nil {
		return e
	}
	for _, e := range l.All {
		if slices.Contains(e.Aliases, id) {
			return e
		}
	}
	return nil
}

// List is what the program brings, with what the advisory database has that is newer.
func (s *Service) List() (*List, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.key
	if s.list == nil {
		have = ""
	}
	data, key, err := s.o.Tasks.EmergencyList(have)
	if s.list != nil && err == nil && key == s.key {
		return s.list, nil
	}
	l := &List{All: emergency.Merge(s.o.BuiltIn), byID: map[string]*emergency.Emergency{}}
	switch {
	case err != nil:
		l.Problem = "the advisory database's list of emergencies cannot be read, the built-in one is used: " + err.Error()
	case data != nil:
		theirs, left, err := emergency.Unmarshal(data)
		if err != nil {
			l.Problem = "the advisory database's list of emergencies cannot be used, the built-in one is: " + err.Error()
			break
		}
		if len(left) > 0 {
			l.Problem = "left out of the advisory database's list: " + strings.Join(left[:min(len(left), 10)], "; ")
		}
		l.All = emergency.Merge(theirs, s.o.BuiltIn)
	}
	if l.body, err = emergency.Marshal(l.All); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(l.body)
	l.Digest = hex.EncodeToString(sum[:])
	for _, e := range l.All {
		l.byID[e.ID] = e
	}
	if l.Problem != "" {
		s.log.Warn("list of emergencies", "problem", l.Problem)
	}
	s.list, s.key = l, key
	return l, nil
}

// ForAgents is the list as agents get it: the form of nodes.List.
func (s *Service) ForAgents(context.Context) (digest string, body []byte, err error) {
	l, err := s.List()
	if err != nil {
		return "", nil, err
	}
	return l.Digest, l.body, nil
}

// Default are the classes of checks that run where nobody said otherwise: those that read what is there. A request to a running service
// stands in its log and may raise an alarm, and a file is something written, were it in a folder of its own: both are let by people
// who know that.
var Default = []emergency.Class{emergency.Reads, emergency.Process}

// Classes are all classes, in the order of how much they touch.
var Classes = []emergency.Class{emergency.Reads, emergency.Process, emergency.Request, emergency.Private}

// Allowed are the classes of checks that users allow on a cluster.
func (s *Service) Allowed(ctx context.Context, target int64) ([]emergency.Class, error) {
	out, _, err := s.allowed(ctx, s.db.R, target)
	return out, err
}

func (s *Service) allowed(ctx context.Context, db bun.IDB, target int64) (out []emergency.Class, set bool, err error) {
	var text string
	err = db.NewRaw("SELECT classes FROM emergency_classes WHERE target_id = ?", target).Scan(ctx, &text)
	if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) {
		return slices.Clone(Default), false, nil
	}
	out = []emergency.Class{} // nil would be all to some
	for w := range strings.FieldsSeq(text) {
		if slices.Contains(Classes, emergency.Class(w)) {
			out = append(out, emergency.Class(w))
		}
	}
	return out, true, err
}

// Allow sets the classes of checks that may run on a cluster; none at all lets none run.
func (s *Service) Allow(ctx context.Context, target int64, classes []emergency.Class) error {
	var words []string
	for _, c := range Classes {
		if slices.Contains(classes, c) {
			words = append(words, string(c))
		}
	}
	for _, c := range classes {
		if !slices.Contains(Classes, c) {
			return invalid("class %.20q: want some of read, process, request and private", c)
		}
	}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var name string
		err := tx.NewRaw("SELECT name FROM targets WHERE id = ? AND kind = 'cluster' AND removed_at = 0", target).Scan(ctx, &name)
		if err != nil {
			return store.NotFound(err)
		}
		before, _, err := s.allowed(ctx, tx, target)
		if err != nil {
			return err
		}
		text := strings.Join(words, " ")
		if _, err := tx.NewRaw("INSERT INTO emergency_classes (target_id, classes) VALUES (?, ?) ON CONFLICT (target_id) DO UPDATE SET classes = EXCLUDED.classes", target, text).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "emergency.allow", "cluster "+name, target, before, words)
	})
}

// settingList is the row of settings that tells by which list everything was last asked.
const settingList = "urgent.list"

// Duty is what one of all replicas does.
func (s *Service) Duty() leader.Duty {
	return leader.Duty{Name: "emergencies", Every: time.Minute, Do: s.Tick}
}

// Tick asks everything anew when the list has changed, and forgets what is gone.
func (s *Service) Tick(ctx context.Context) error {
	l, err := s.List()
	if err != nil {
		return err
	}
	return errors.Join(s.renew(ctx, l), s.sweep(ctx))
}

// renew scans for what is new in the list: an emergency that has become known is looked for without anybody asking.
func (s *Service) renew(ctx context.Context, l *List) error {
	entries := make(map[string]int, len(l.All))
	for _, e := range l.All {
		entries[e.ID] = e.Revision
	}
	var text string
	err := s.db.R.NewRaw("SELECT value FROM settings WHERE name = ?", settingList).Scan(ctx, &text)
	if err = store.NotFound(err); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	known := map[string]int{}
	if text != "" {
		if err := decode(text, &known); err != nil {
			return err
		}
	}
	var news []string
	for _, e := range l.All {
		if e.Revision > known[e.ID] {
			news = append(news, e.ID)
		}
	}
	if len(news) == 0 {
		return nil
	}
	if text != "" { // the first list is looked for by the first scans
		_, err := s.Scan(ctx, Request{IDs: news, Scope: task.Scope{All: true}, Origin: task.NewDatabase})
		if err != nil && !errors.Is(err, task.ErrInvalid) { // no cluster yet
			return err
		}
	}
	for id, rev := range known { // of an older list of another replica nothing is new
		entries[id] = max(entries[id], rev)
	}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value", settingList, ledger.JSON(entries)).Exec(ctx)
		return err
	})
}

// sweep forgets nodes that have no agent any more.
func (s *Service) sweep(ctx context.Context) error {
	var gone []struct{ ID, TargetID int64 }
	err := s.db.R.NewRaw(`SELECT s.id, s.target_id FROM emergency_subjects s WHERE s.kind = ? AND NOT EXISTS
		(SELECT 1 FROM nodes n WHERE n.target_id = s.target_id AND n.name = s.name AND n.enrolled_at > 0) ORDER BY s.target_id, s.id LIMIT 5000`, Node).Scan(ctx, &gone)
	by := map[int64][]int64{}
	for _, g := range gone {
		by[g.TargetID] = append(by[g.TargetID], g.ID)
	}
	for target, ids := range by {
		err = errors.Join(err, s.forget(ctx, target, ids))
	}
	return err
}
