//go:build linux

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/inventory"
)

func lack(t *testing.T, o *Options, list ...inventory.SkipFact) {
	t.Helper()
	data, err := json.Marshal(list)
	if err == nil {
		err = os.WriteFile(filepath.Join(o.State, lacksFile), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var (
	noSocket = inventory.SkipFact{Check: "containers", Needs: "the socket of the container runtime", Reason: "no runtime answered", Code: "unreachable", Lacks: inventory.LacksRuntime}
	tooLarge = inventory.SkipFact{Check: "files/static-pod", Needs: "the file /etc/kubernetes/manifests/x.yaml", Reason: "it is too large", Code: "limit"}
)

// TestNeeds tells the server what the last look lacked, also after a start of the agent, until a look has all that it needs.
func TestNeeds(t *testing.T) {
	h := newHouse(t)
	o := h.options(t)
	o.Every = 6 * time.Second // and a sixth of it for what may come back by itself
	lack(t, &o, noSocket, tooLarge)
	degraded := func() bool {
		b := h.lastBeat()
		return b.State == protocol.Degraded && b.Reason == "checks cannot reach the container runtime" && len(b.Needs) == 1 && b.Needs[0] == noSocket
	}
	stop := start(t, o)
	eventually(t, "degraded", degraded)
	stop()
	still := o
	still.Command = behaving("hang")
	h.set(func() { h.beats = nil })
	stop = start(t, still)
	eventually(t, "degraded before any look", degraded)
	stop()
	start(t, o)
	n := h.beaten()
	eventually(t, "beats", func() bool { return h.beaten() > n+1 })
	if !degraded() {
		t.Errorf("%+v", h.lastBeat())
	}
	lack(t, &o, tooLarge)
	eventually(t, "running", func() bool {
		b := h.lastBeat()
		return b.State == protocol.Running && b.Reason == "" && len(b.Needs) == 0
	})
}

func TestLacking(t *testing.T) {
	many := []inventory.SkipFact{noSocket, tooLarge}
	for i := range 1000 {
		many = append(many, inventory.SkipFact{Check: "files/pki", Needs: fmt.Sprintf("the file %d", i), Reason: strings.Repeat("é", 4000), Code: "forbidden", Lacks: inventory.LacksFiles})
	}
	got := lacking(many)
	if len(got) != 1+mostNeeds || got[0] != noSocket || len(got[1].Reason) > longestNeed+len("…") || got[1].Needs != "the file 0" {
		t.Errorf("%d: %+v", len(got), got)
	}
	data, err := json.Marshal(got)
	if err != nil || len(scheduled)*len(inventory.Lacks)*len(data) > protocol.MaxBeat/2 {
		t.Errorf("%d bytes of a beat: %v", len(data), err)
	}
	if why := degrading(got); why != "checks cannot reach files of the node, the container runtime" {
		t.Error(why)
	}
	for _, l := range inventory.Lacks {
		if needWords[l] == "" {
			t.Errorf("%s has no name", l)
		}
	}
}

// TestUnasked: what was not asked of a port because of how the agent is installed is told and no fault, what did not answer is one.
func TestUnasked(t *testing.T) {
	results := []emergency.Result{
		{Emergency: "ETCD-ANON", Checks: []emergency.Outcome{{Check: "process-flag", Class: emergency.Process, Holds: "unknown"}, {Check: "answers-without-certificate", Class: emergency.Request, Holds: "unknown", Reason: "port 2379 did not answer within 5s"}}},
		{Emergency: "CVE-1", Checks: []emergency.Outcome{{Class: emergency.Request, Holds: "no"}}}}
	all := []emergency.Class{emergency.Reads, emergency.Request}
	for _, c := range []struct {
		classes []emergency.Class
		own     bool
		code    string
		why     string
	}{{all, true, "unreachable", "checks cannot reach ports of the node"}, {all, false, "skipped", ""}, {all[:1], true, "", ""}} {
		got := Unasked(results, c.classes, c.own)
		if code := strings.Join(codes(got), " "); code != c.code || degrading(got) != c.why {
			t.Errorf("%+v: %+v, %q", c, got, degrading(got))
		}
	}
}

func codes(list []inventory.SkipFact) (out []string) {
	for _, s := range list {
		out = append(out, s.Code)
	}
	return out
}

// TestPatience looks at a node that is always under pressure when a look has waited for long, but not while memory is short.
func TestPatience(t *testing.T) {
	h := newHouse(t)
	o := h.options(t)
	o.Proc = calm(t)
	press(t, o.Proc, "cpu", 90)
	press(t, o.Proc, "memory", 90)
	if why, grave := pressureOf(o.Proc); !strings.Contains(why, "memory pressure is 90 %") || !grave {
		t.Errorf("%q %t", why, grave)
	}
	var ahead atomic.Int64
	o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	o.Patience = 5 * time.Minute
	start(t, o)
	rests := func(what string) {
		t.Helper()
		n := h.beaten()
		eventually(t, what, func() bool {
			b := h.lastBeat()
			return h.beaten() > n+2 && b.State == protocol.Paused && strings.Contains(b.Reason, what)
		})
		if n := len(h.of(protocol.ReadFacts)); n > 0 {
			t.Errorf("%s: %d reports", what, n)
		}
	}
	rests("memory")
	press(t, o.Proc, "memory", 0)
	rests("cpu")
	press(t, o.Proc, "memory", 90)
	ahead.Store(int64(6 * time.Minute))
	rests("memory")
	press(t, o.Proc, "memory", 0)
	eventually(t, "everything read", func() bool {
		return len(h.of(protocol.ReadFacts)) > 0 && len(h.of(protocol.ReadPackages)) > 0 && len(h.of(protocol.Verify)) > 0
	})
	n := h.beaten()
	eventually(t, "still under pressure", func() bool { return h.beaten() > n+1 })
	if b := h.lastBeat(); b.State != protocol.Paused {
		t.Errorf("%+v", b)
	}
}

// TestPutOff: a look that pressure kept from its end did not fail, and is due as before.
func TestPutOff(t *testing.T) {
	w := newWorker("burn")
	w.longest = 300 * time.Millisecond
	w.pressure = func() (string, bool) { return "cpu pressure", false }
	if err := w.do(t.Context(), &Round{Kind: protocol.ReadFacts}); !errors.Is(err, errPressure) {
		t.Error(err)
	}
	h := newHouse(t)
	o := h.options(t)
	o.Command = behaving("burn")
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if a.do(t.Context(), w, &Round{Kind: protocol.ReadFacts, Out: a.spool.dir}) || len(a.problems) > 0 {
		t.Errorf("%+v", a.problems)
	}
	w.slow = true // it goes on, slowly, and is ended like any that takes too long
	if !a.do(t.Context(), w, &Round{Kind: protocol.ReadFacts, Out: a.spool.dir}) || !strings.Contains(a.problems[protocol.ReadFacts], "longer than") {
		t.Errorf("%+v", a.problems)
	}
}
