// Package spool keeps the log of admissions on disk until the server has taken it. It is bounded in bytes: what finds no room is
// counted as lost, and the count is sent. A batch keeps its id for all times that it is sent, also by a provider that started anew,
// so that the server can take it once.
package spool

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/provider/protocol"
)

// Options are where and how much.
type Options struct {
	Dir     string        // "" keeps batches in memory only
	Replica string        // of the batches
	Disk    int64         // bytes of files; default 64 MiB
	Memory  int64         // bytes of batches that could not be written; default 4 MiB
	Batch   int           // bytes of a batch; default 1 MiB
	Age     time.Duration // of a batch until it is closed; default 2 s
	Now     func() time.Time
	Log     *slog.Logger
}

// Spool is safe for use by many at once.
type Spool struct {
	o   Options
	enc *zstd.Encoder
	dec *zstd.Decoder

	mu      sync.Mutex
	open    []json.RawMessage
	opened  time.Time
	size    int
	hashes  map[string]bool // of objects in the open batch
	lost    int             // since the last closed batch
	allLost int64
	closed  []batch // the oldest first
	disk    int64   // bytes in files
	memory  int64   // bytes of closed batches without one
	next    int64   // number of the next file
	problem string
	filled  chan struct{}
}

// batch is a closed batch: a file, or bytes when that could not be written.
type batch struct {
	number int64
	file   string
	data   []byte
	size   int64
	count  int // admissions and lost
	lost   int // of count; 0 for batches of an earlier run
}

// wire is protocol.Batch with admissions that are encoded already.
type wire struct {
	ID         string            `json:"id"`
	Replica    string            `json:"replica"`
	Admissions []json.RawMessage `json:"admissions"`
	Lost       int               `json:"lost,omitempty"`
}

// most bounds one admission: a quarter of what may be sent.
const most = protocol.MaxBatch / 4

// New returns a spool with the batches that its folder has from before.
func New(o Options) (*Spool, error) {
	if o.Disk <= 0 {
		o.Disk = 64 << 20
	}
	if o.Memory <= 0 {
		o.Memory = 4 << 20
	}
	if o.Batch <= 0 {
		o.Batch = 1 << 20
	}
	if o.Age <= 0 {
		o.Age = 2 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Spool{o: o, hashes: map[string]bool{}, next: 1, filled: make(chan struct{}, 1)}
	var err error
	if s.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true)); err != nil {
		return nil, err
	}
	if s.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(4*protocol.MaxBatch)); err != nil {
		return nil, err
	}
	s.find()
	return s, nil
}

// find lists the files of an earlier run. Names are NUMBER-COUNT-ID.zst; what is named otherwise is not ours, and half-written files
// (.new) are dropped.
func (s *Spool) find() {
	if s.o.Dir == "" {
		return
	}
	files, err := os.ReadDir(s.o.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.problem = "batches of admissions from before cannot be read: " + err.Error()
		s.o.Log.Error("spool", "err", err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".new") {
			_ = os.Remove(filepath.Join(s.o.Dir, f.Name())) // it stays, then: it is not read
			continue
		}
		base, ok := strings.CutSuffix(f.Name(), ".zst")
		parts := strings.Split(base, "-")
		info, err := f.Info()
		if !ok || len(parts) != 3 || err != nil || !info.Mode().IsRegular() {
			continue
		}
		number, err := strconv.ParseInt(parts[0], 10, 64)
		count, err2 := strconv.Atoi(parts[1])
		if err != nil || err2 != nil || number < 0 || count < 0 {
			continue
		}
		s.next = max(s.next, number+1)
		s.disk += info.Size()
		s.closed = append(s.closed, batch{number: number, file: f.Name(), size: info.Size(), count: count}) // in the order of their numbers: they have one width
	}
}

// Add takes an admission. object is its object, encoded, and hash tells equal ones; the batch has each once.
func (s *Spool) Add(a *protocol.Admission) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object := a.Object
	if a.ObjectHash != "" && s.hashes[a.ObjectHash] {
		a.Object = nil
	}
	text, err := json.Marshal(a)
	a.Object = object
	if err != nil || len(text) > most {
		s.lose(1)
		return
	}
	if s.size+len(text) > s.o.Batch && len(s.open) > 0 {
		s.close()
		if a.Object != nil { // it may stand in the batch before
			if text, err = json.Marshal(a); err != nil || len(text) > most {
				s.lose(1)
				return
			}
		}
	}
	if len(s.open) == 0 {
		s.opened = s.o.Now()
	}
	s.open = append(s.open, text)
	s.size += len(text) + 1
	if a.ObjectHash != "" {
		s.hashes[a.ObjectHash] = true
	}
}

// Lose counts admissions that could not be recorded.
func (s *Spool) Lose(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose(n)
}

func (s *Spool) lose(n int) {
	s.lost += n
	s.allLost += int64(n)
}

// Close closes the open batch when it is old enough, or in any case with force. To be called now and then.
func (s *Spool) Close(force bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.o.Now().Sub(s.opened)
	if len(s.open) > 0 && (force || age >= s.o.Age || age < 0) || len(s.open) == 0 && s.lost > 0 && (force || len(s.closed) == 0) {
		s.close()
	}
}

func (s *Spool) close() {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	w := wire{ID: hex.EncodeToString(id), Replica: s.o.Replica, Admissions: s.open, Lost: s.lost}
	if w.Admissions == nil {
		w.Admissions = []json.RawMessage{}
	}
	count := len(s.open) + s.lost
	text, err := json.Marshal(w)
	s.open, s.size = nil, 0
	clear(s.hashes)
	if err != nil { // every admission was encoded before: it does not happen
		s.lose(len(w.Admissions))
		return
	}
	packed := s.enc.EncodeAll(text, nil)
	b := batch{number: s.next, file: fmt.Sprintf("%016d-%d-%s.zst", s.next, count, w.ID), size: int64(len(packed)), count: count, lost: w.Lost}
	switch {
	case s.o.Dir != "" && s.disk+b.size <= s.o.Disk && s.write(b.file, packed):
		s.disk += b.size
	case s.memory+b.size <= s.o.Memory:
		b.file, b.data = "", packed
		s.memory += b.size
	default:
		s.lose(len(w.Admissions)) // and w.Lost stays in lost
		return
	}
	s.next++
	s.lost = 0
	s.closed = append(s.closed, b)
	select {
	case s.filled <- struct{}{}:
	default:
	}
}

func (s *Spool) write(name string, data []byte) bool {
	path := filepath.Join(s.o.Dir, name)
	err := os.MkdirAll(s.o.Dir, 0o700)
	if err == nil {
		if err = os.WriteFile(path+".new", data, 0o600); err == nil {
			err = os.Rename(path+".new", path)
		}
		if err != nil {
			_ = os.Remove(path + ".new") // what matters is already said
		}
	}
	if err != nil {
		if s.problem == "" {
			s.o.Log.Error("spool", "err", err)
		}
		s.problem = "admissions cannot be written to disk and wait in memory: " + err.Error()
		return false
	}
	s.problem = ""
	return true
}

// Filled tells that a batch was closed.
func (s *Spool) Filled() <-chan struct{} { return s.filled }

// Oldest returns the oldest batch as it is to be sent; nil when there is none. done is to be called when it was taken, or with drop
// when it never will be.
func (s *Spool) Oldest() (body []byte, done func(drop bool)) {
	for {
		s.mu.Lock()
		if len(s.closed) == 0 {
			s.mu.Unlock()
			return nil, nil
		}
		b := s.closed[0]
		s.mu.Unlock()
		packed, err := b.data, error(nil)
		if b.file != "" {
			packed, err = os.ReadFile(filepath.Join(s.o.Dir, b.file))
		}
		if err == nil {
			body, err = s.dec.DecodeAll(packed, nil)
		}
		if err == nil && !json.Valid(body) {
			err = errors.New("it is no JSON")
		}
		if err != nil {
			s.o.Log.Error("spool: a batch of admissions cannot be read and is dropped", "err", err, "admissions", b.count)
			s.remove(b, true)
			continue
		}
		return body, func(drop bool) { s.remove(b, drop) }
	}
}

func (s *Spool) remove(b batch, drop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.closed, func(o batch) bool { return o.number == b.number })
	if i < 0 {
		return
	}
	s.closed = slices.Delete(s.closed, i, i+1)
	if b.file != "" {
		_ = os.Remove(filepath.Join(s.o.Dir, b.file)) // then it is sent again under its id
		s.disk -= b.size
	} else {
		s.memory -= b.size
	}
	if drop {
		s.lost += b.count
		s.allLost += int64(b.count - b.lost)
	}
}

// State is how full the spool is.
type State struct {
	Batches int   // closed and not sent
	Bytes   int64 // of them
	Lost    int64 // admissions that were lost since the start
	Problem string
}

// State tells.
func (s *Spool) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{Batches: len(s.closed), Bytes: s.disk + s.memory, Lost: s.allLost, Problem: s.problem}
}
