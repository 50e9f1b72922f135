//go:build linux

package agent

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stockade.dev/stockade/internal/agent/protocol"
)

func newWorker(how string) *worker {
	return &worker{command: behaving(how), share: 1, memory: 64 << 20, longest: time.Minute, tick: 10 * time.Millisecond, pressure: func() (string, bool) { return "", false }, paused: func(string) {}}
}

func TestRoundHangs(t *testing.T) {
	w := newWorker("hang")
	w.longest = 300 * time.Millisecond
	if err := w.do(t.Context(), &Round{Kind: protocol.ReadFacts}); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Error(err)
	}
}

// TestRoundDoesNotEnd: a process that even a kill does not end keeps nobody waiting, and no other is begun until it is gone.
func TestRoundDoesNotEnd(t *testing.T) {
	w := newWorker("hang")
	w.longest = 100 * time.Millisecond
	gone, began := make(chan bool), 0
	command := w.command
	w.command = func(ctx context.Context, r *Round) *exec.Cmd {
		began++
		return command(ctx, r)
	}
	w.end = func(cmd *exec.Cmd) error {
		err := cmd.Wait()
		<-gone
		return err
	}
	for range 2 {
		if err := w.do(t.Context(), &Round{Kind: protocol.ReadFacts}); !errors.Is(err, errStuck) || began != 1 {
			t.Fatal(err, began)
		}
	}
	close(gone)
	eventually(t, "another round", func() bool { return !errors.Is(w.do(t.Context(), &Round{Kind: protocol.ReadFacts}), errStuck) })
	if began != 2 {
		t.Error(began)
	}
}

func TestRoundEatsMemory(t *testing.T) {
	if err := newWorker("eat").do(t.Context(), &Round{}); !errors.Is(err, errTooMuch) {
		t.Error(err)
	}
}

func TestRoundCrashes(t *testing.T) {
	err := newWorker("crash").do(t.Context(), &Round{})
	if err == nil || !strings.Contains(err.Error(), "luck") || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%v", err)
	}
}

// TestShare holds a round that never rests to a tenth of a core.
func TestShare(t *testing.T) {
	w := newWorker("burn")
	w.share, w.longest = 0.1, 4*time.Second
	var most atomic.Int64
	w.pressure = func() (string, bool) {
		if used, _, err := usageOfChild(); err == nil {
			most.Store(int64(used))
		}
		return "", false
	}
	_ = w.do(t.Context(), &Round{}) // it ends by the time limit
	if used := time.Duration(most.Load()); used > 1500*time.Millisecond || used == 0 {
		t.Errorf("it used %s of the processor in 4 s, want about %s", used, burst+400*time.Millisecond)
	}
}

// usageOfChild is the processor time of the one child.
func usageOfChild() (time.Duration, int64, error) {
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return 0, 0, err
	}
	for _, name := range tasks {
		data, err := os.ReadFile(name)
		if fields := strings.Fields(string(data)); err == nil && len(fields) > 0 {
			pid := 0
			for _, c := range fields[0] {
				pid = pid*10 + int(c-'0')
			}
			return usage(pid)
		}
	}
	return 0, 0, errors.New("no child")
}

// TestPressure lets the work rest while the node is under pressure, and says why.
func TestPressure(t *testing.T) {
	proc := calm(t)
	press(t, proc, "cpu", 90)
	if why, grave := pressureOf(proc); !strings.Contains(why, "cpu pressure is 90 %") || grave {
		t.Errorf("%q %t", why, grave)
	}
	h := newHouse(t)
	o := h.options(t)
	o.Proc = proc
	start(t, o)
	eventually(t, "paused", func() bool {
		b := h.lastBeat()
		return b.State == protocol.Paused && strings.Contains(b.Reason, "pressure")
	})
	if n := len(h.of(protocol.ReadFacts)); n > 1 {
		t.Errorf("%d reports", n)
	}
	press(t, proc, "cpu", 0)
	eventually(t, "running", func() bool { return h.lastBeat().State == protocol.Running })
	eventually(t, "everything read", func() bool { return len(h.of(protocol.ReadPackages)) > 0 && len(h.of(protocol.Verify)) > 0 })
}

func TestSpoolBounds(t *testing.T) {
	s, err := newSpool(t.TempDir(), 250)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string) {
		if err := os.WriteFile(filepath.Join(s.dir, name), make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"0-malware.z.asked.zst", "1-facts.a.zst", "2-software.b.zst", "3-facts.c.zst", ".half"} {
		put(name)
	}
	s.clean()
	if n, err := s.fit(); n != 2 || err != nil {
		t.Error(n, err)
	}
	if names, err := s.list(); err != nil || len(names) != 2 || names[0] != "0-malware.z.asked.zst" {
		t.Error("what somebody asked for goes before what nobody did:", names, err)
	}
	put("2-software.b.asked.zst")
	if n, err := s.fit(); n != 1 || err != nil {
		t.Error(n, err)
	}
	var sent []string
	var refused []string
	err = s.send(func(file string) error {
		sent = append(sent, filepath.Base(file))
		if strings.Contains(file, "software") {
			return &refusal{status: 422}
		}
		return errors.New("away")
	}, func(kind string, _ *refusal) { refused = append(refused, kind) })
	if err == nil || len(sent) != 2 || len(refused) != 1 || refused[0] != "software" {
		t.Error(err, sent, refused)
	}
	names, err := s.list()
	if err != nil || len(names) != 1 || names[0] != "3-facts.c.zst" {
		t.Error(names, err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, ".half")); err == nil {
		t.Error("what was half written is there")
	}
}

// TestReportNames reads what names of reports say without opening them.
func TestReportNames(t *testing.T) {
	dir := t.TempDir()
	for _, work := range []int64{0, 7} {
		r := &Round{Kind: protocol.ReadFacts, Work: work, Out: filepath.Join(dir, "reports"), Now: time.Now}
		if err := r.write(map[string]string{"name": "worker-1"}, true, ""); err != nil {
			t.Fatal(err)
		}
	}
	s, err := newSpool(filepath.Join(dir, "reports"), 0)
	if err != nil {
		t.Fatal(err)
	}
	names, err := s.list()
	if err != nil || len(names) != 2 || strings.HasSuffix(names[0], asked) || !strings.HasSuffix(names[1], asked) {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if len(digestOf(name)) != 64 || digestOf(name) != digestOf(names[0]) || kindOf(name) != "facts" {
			t.Errorf("%s: %q %q", name, digestOf(name), kindOf(name))
		}
	}
}

// TestDegraded tells the server why a node cannot be read, and when it can be again.
func TestDegraded(t *testing.T) {
	h := newHouse(t)
	o := h.options(t)
	o.Every = 2 * time.Second // between tries
	var broken atomic.Bool
	broken.Store(true)
	o.Command = func(ctx context.Context, r *Round) *exec.Cmd {
		if broken.Load() && r.Kind == protocol.ReadFacts {
			return behaving("crash")(ctx, r)
		}
		return process(ctx, r)
	}
	start(t, o)
	eventually(t, "degraded", func() bool {
		b := h.lastBeat()
		return b.State == protocol.Degraded && strings.Contains(b.Reason, "facts: ") && strings.Contains(b.Reason, "luck")
	})
	eventually(t, "what can be read is", func() bool { return len(h.of(protocol.ReadPackages)) > 0 })
	if n := len(h.of(protocol.ReadFacts)); n > 0 {
		t.Errorf("%d reports of facts", n)
	}
	broken.Store(false)
	eventually(t, "running", func() bool { return h.lastBeat().State == protocol.Running })
	eventually(t, "the facts", func() bool { return len(h.of(protocol.ReadFacts)) > 0 })
}
