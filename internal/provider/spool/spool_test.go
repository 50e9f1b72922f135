package spool

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/provider/protocol"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func open(t *testing.T, o Options) *Spool {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func admission(i int) *protocol.Admission {
	return &protocol.Admission{Kind: "Pod", Name: fmt.Sprint(i), Operation: "CREATE", Outcome: "allowed", Object: json.RawMessage(`{"a":1}`), ObjectHash: "same"}
}

func take(t *testing.T, s *Spool) (out []protocol.Batch) {
	t.Helper()
	for {
		body, done := s.Oldest()
		if body == nil {
			return out
		}
		var b protocol.Batch
		if err := json.Unmarshal(body, &b); err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
		done(false)
	}
}

func TestBatches(t *testing.T) {
	c := &clock{time.Now()}
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Replica: "r", Now: c.Now})
	s.Close(false)
	for i := range 5 {
		s.Add(admission(i))
	}
	s.Close(false)
	if s.State().Batches != 0 {
		t.Error("closed before its time")
	}
	c.now = c.now.Add(3 * time.Second)
	s.Close(false)
	s.Add(admission(5))
	s.Lose(2)
	s.Close(true)
	s = open(t, Options{Dir: dir, Replica: "r"}) // a new process
	got := take(t, s)
	if len(got) != 2 || len(got[0].Admissions) != 5 || len(got[1].Admissions) != 1 || got[0].ID == got[1].ID || got[1].Lost != 2 || got[0].Replica != "r" {
		t.Fatalf("%+v", got)
	}
	if got[0].Admissions[0].Object == nil || got[0].Admissions[1].Object != nil || got[1].Admissions[0].Object == nil {
		t.Error("each batch has an object once")
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 || s.State().Bytes != 0 {
		t.Errorf("%d files left, %+v", len(files), s.State())
	}
}

// TestBatchesAreBounded, also when equal objects fall apart into two of them.
func TestBatchesAreBounded(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Batch: 5000})
	for i := range 100 {
		a := admission(i)
		a.Object = json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)
		a.ObjectHash = fmt.Sprint(i / 7)
		s.Add(a)
	}
	a := admission(1000)
	a.User = strings.Repeat("x", most)
	s.Add(a)
	s.Close(true)
	n, lost := 0, 0
	for _, b := range take(t, s) {
		text, _ := json.Marshal(b)
		if len(text) > 8000 {
			t.Errorf("a batch of %d bytes", len(text))
		}
		have := map[string]bool{}
		for _, a := range b.Admissions {
			if a.Object != nil {
				have[a.ObjectHash] = true
			}
			if !have[a.ObjectHash] {
				t.Errorf("%s has no object in its batch", a.Name)
			}
			n++
		}
		lost += b.Lost
	}
	if n != 100 || lost != 1 {
		t.Errorf("%d admissions, %d lost", n, lost)
	}
}

// TestDiskIsBounded: beyond it memory is used, and beyond that admissions are lost, and counted.
func TestDiskIsBounded(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Disk: 2000, Memory: 1000, Batch: 1000})
	for i := range 200 {
		a := admission(i)
		a.ObjectHash = fmt.Sprint(i)
		s.Add(a)
	}
	s.Close(true)
	state := s.State()
	if state.Bytes > 3000 || state.Lost == 0 {
		t.Errorf("%+v", state)
	}
	n, lost := 0, 0
	for _, b := range take(t, s) {
		n += len(b.Admissions)
		lost += b.Lost
	}
	s.Close(true)
	for _, b := range take(t, s) {
		n += len(b.Admissions)
		lost += b.Lost
	}
	if n+lost != 200 || int64(lost) != state.Lost {
		t.Errorf("%d admissions, %d lost, %+v", n, lost, state)
	}
}

// TestDamagedBatch is dropped and counted; what is not ours is let lie.
func TestDamagedBatch(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	for i := range 3 {
		s.Add(admission(i))
		s.Close(true)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.zst"))
	if err := os.WriteFile(files[1], []byte("noise"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"x.zst", "1-2.zst", "0000000000000009-1-ff.zst.new", "a-b-c.zst"} {
		if err := os.WriteFile(filepath.Join(dir, n), []byte("noise"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, Options{Dir: dir})
	got := take(t, s)
	if len(got) != 2 {
		t.Errorf("%d batches", len(got))
	}
	s.Close(true)
	if got := take(t, s); len(got) != 1 || got[0].Lost != 1 || len(got[0].Admissions) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestDroppedBatchCountsOnce(t *testing.T) {
	s := open(t, Options{})
	s.Lose(3)
	s.Add(admission(1))
	s.Close(true)
	_, done := s.Oldest()
	done(true)
	if s.State().Lost != 4 {
		t.Errorf("%+v", s.State())
	}
	s.Close(true)
	if got := take(t, s); len(got) != 1 || got[0].Lost != 4 {
		t.Errorf("%+v", got)
	}
}
