//go:build linux

package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/inventory"
)

// TestListsFirst takes work only when it has what the work is done by: who is asked for what became known this minute has its list.
func TestListsFirst(t *testing.T) {
	h := newHouse(t)
	a, err := New(h.options(t))
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLink(a.o.Server, "test", id)
	if err != nil {
		t.Fatal(err)
	}
	queued := func() (kinds []protocol.WorkKind) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, w := range a.queue {
			kinds = append(kinds, w.Kind)
		}
		return kinds
	}
	asks := 0
	h.fetched = func() int {
		if asks++; slices.Contains(queued(), protocol.Verify) {
			t.Error("the work is begun without the list")
		}
		return map[bool]int{true: http.StatusServiceUnavailable}[asks == 1]
	}
	answer := &protocol.BeatAnswer{At: time.Now(), Emergencies: "d1", Work: []protocol.Work{{ID: 1, Kind: protocol.Verify}, {ID: 2, Kind: protocol.ReadFacts}}}
	a.take(t.Context(), l, answer)
	if got := queued(); !slices.Equal(got, []protocol.WorkKind{protocol.ReadFacts}) {
		t.Errorf("without the list: %v", got)
	}
	a.take(t.Context(), l, answer)
	if got := queued(); !slices.Equal(got, []protocol.WorkKind{protocol.ReadFacts, protocol.Verify}) || asks != 2 {
		t.Errorf("with it, asked %d times: %v", asks, got)
	}
}

// TestClassesFirst does no check before the server has said which it allows, and after a start without it what it allowed last.
func TestClassesFirst(t *testing.T) {
	h := newHouse(t)
	h.answer.Classes, h.away = []emergency.Class{emergency.Reads}, true
	o := h.options(t)
	var mu sync.Mutex
	var classes [][]emergency.Class
	o.Command = func(ctx context.Context, r *Round) *exec.Cmd {
		if r.Kind == protocol.Verify {
			mu.Lock()
			classes = append(classes, r.Classes)
			mu.Unlock()
		}
		return process(ctx, r)
	}
	rounds := func() [][]emergency.Class { mu.Lock(); defer mu.Unlock(); return slices.Clone(classes) }
	s := &spool{dir: filepath.Join(o.State, "reports")}
	stop := start(t, o)
	eventually(t, "facts and packages", func() bool { names, _ := s.list(); return len(names) == 2 })
	h.set(func() { h.away = false })
	eventually(t, "a verification", func() bool { return len(rounds()) == 1 })
	stop()
	h.set(func() { h.away = true })
	start(t, o)
	eventually(t, "another", func() bool { return len(rounds()) == 2 })
	for _, got := range rounds() {
		if !slices.Equal(got, []emergency.Class{emergency.Reads}) {
			t.Errorf("%v, and the server allows read alone", got)
		}
	}
}

// partly reads some images, and not others.
type partly struct{ node }

func (p partly) Images(_ context.Context, _ []string, emit func(*inventory.Software) error) ([]inventory.SkipFact, error) {
	return []inventory.SkipFact{{Check: "containers", Needs: "a socket", Reason: "there is none"},
		{Check: inventory.LocalImagesCheck, Needs: "the layers of the image web:1", Reason: "gone"}}, emit(&inventory.Software{Kind: "image", Name: "db:1"})
}

// TestImagesNotRead tells whoever asked which images were not read.
func TestImagesNotRead(t *testing.T) {
	r := Round{Kind: protocol.ReadImages, Work: 3, Out: t.TempDir()}
	if err := r.Do(t.Context(), partly{}); err != nil {
		t.Fatal(err)
	}
	s := &spool{dir: r.Out}
	names, err := s.list()
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	data, err := os.ReadFile(filepath.Join(r.Out, names[1]))
	if err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	if data, err = dec.DecodeAll(data, nil); err != nil {
		t.Fatal(err)
	}
	var last protocol.Report
	if err := json.Unmarshal(data, &last); err != nil || !last.Last || last.Error != "an image was not read: the layers of the image web:1: gone" {
		t.Errorf("%+v %v", last, err)
	}
}
