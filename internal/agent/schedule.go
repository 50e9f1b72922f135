//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"time"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/inventory"
)

// rounds does the work, one piece after the other, until ctx ends: what the server asks for comes first, then what is due.
func (a *Agent) rounds(ctx context.Context) {
	w := &worker{command: a.o.Command, share: a.o.Share, memory: a.o.Memory, longest: a.o.Longest, tick: 100 * time.Millisecond,
		pressure: func() (string, bool) { return pressureOf(a.o.Proc) }, paused: a.paused}
	if a.o.Restless {
		w.pressure = func() (string, bool) { return "", false }
	}
	due := map[protocol.WorkKind]time.Time{}
	for _, kind := range scheduled {
		due[kind] = a.o.Now()
	}
	marks := a.marks()
	looks := time.NewTicker(time.Second)
	defer looks.Stop()
	marked := a.o.Now()
	for {
		now := a.o.Now()
		if now.Sub(marked) >= a.o.Every/6 || now.Before(marked) {
			marked = now
			if m := a.marks(); m != marks {
				marks = m
				for _, kind := range scheduled { // something changed
					if due[kind].After(now) {
						due[kind] = now
					}
				}
			}
		}
		var r *Round
		why, grave := w.pressure()
		a.paused(why)
		w.slow = why != ""
		if !w.slow {
			r = a.next(now, due)
		} else if !grave {
			r = a.overdue(now, due)
		}
		if r == nil {
			select {
			case <-ctx.Done():
				return
			case <-looks.C:
			}
			continue
		}
		done := a.do(ctx, w, r)
		if ctx.Err() != nil {
			return
		}
		if done && len(r.Names) == 0 { // what was asked for without names is as good as what is due
			every := a.o.Every * times[r.Kind]
			if comesBack(a.lacked(r.Kind)) {
				every = a.o.Every / 6
			}
			due[r.Kind] = now.Add(every - rand.N(every/10+1))
		}
	}
}

// times says how much rarer a look is than Every: packages are read when their databases change, and now and then all the same.
var times = map[protocol.WorkKind]time.Duration{protocol.ReadFacts: 1, protocol.ReadPackages: 6, protocol.Verify: 1, protocol.ReadImages: 6, protocol.FindMalware: 24}

// scheduled are the kinds of looks that nobody has to ask for.
var scheduled = []protocol.WorkKind{protocol.ReadFacts, protocol.ReadPackages, protocol.Verify}

// next is the round to do now; nil when there is none.
func (a *Agent) next(now time.Time, due map[protocol.WorkKind]time.Time) *Round {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) > 0 {
		w := a.queue[0]
		a.queue = a.queue[1:]
		if !w.Until.IsZero() && now.Add(-a.skew).After(w.Until.Add(protocol.SkewAllowed)) {
			continue // nobody waits for it
		}
		return &Round{Kind: w.Kind, Names: w.Names, Work: w.ID, Have: a.have[w.Kind], Classes: a.classes, Out: a.spool.dir}
	}
	for _, kind := range scheduled {
		if kind == protocol.Verify && !a.told {
			continue // which checks may be done is not known yet
		}
		if at, ok := due[kind]; !ok || !now.Before(at) || at.Sub(now) > 2*a.o.Every*times[kind] || (a.want[kind] || a.lacks[kind]) && a.mayAgain(kind, now) {
			return a.look(kind)
		}
	}
	return nil
}

// look is a round that nobody asked for. Under lock.
func (a *Agent) look(kind protocol.WorkKind) *Round {
	delete(a.want, kind)
	delete(a.lacks, kind)
	return &Round{Kind: kind, Have: a.have[kind], Classes: a.classes, Out: a.spool.dir}
}

// overdue is a look that pressure has put off for so long that it is done all the same; nil when there is none. A node that always
// has more to do than it can would never be looked at otherwise, and such a node is no safer than others.
func (a *Agent) overdue(now time.Time, due map[protocol.WorkKind]time.Time) *Round {
	if a.o.Patience <= 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, kind := range scheduled {
		if now.Sub(due[kind]) >= a.o.Patience && (kind != protocol.Verify || a.told) {
			return a.look(kind)
		}
	}
	return nil
}

// lacked is what the last look of a kind lacked.
func (a *Agent) lacked(kind protocol.WorkKind) []inventory.SkipFact {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.needs[kind]
}

// mayAgain reports whether what failed may be tried again: the server asks with every beat for what it does not have. Under lock.
func (a *Agent) mayAgain(kind protocol.WorkKind, now time.Time) bool {
	return a.problems[kind] == "" || now.Sub(a.failed[kind]).Abs() >= a.o.Every/6
}

// do does a round and tells how it went. It reports false for a look that is due as before, as pressure kept it from its end.
func (a *Agent) do(ctx context.Context, w *worker, r *Round) bool {
	began := a.o.Now()
	a.note(r, "running")
	err := w.do(ctx, r)
	if ctx.Err() != nil || r.Work == 0 && errors.Is(err, errPressure) {
		return false
	}
	a.mu.Lock()
	delete(a.problems, r.Kind)
	if _, is := a.needs[r.Kind]; is && err == nil && len(r.Names) == 0 {
		a.needs[r.Kind] = keptNeeds(a.o.State, r.Kind)
	}
	if err == nil && r.Have == "" {
		delete(a.want, r.Kind) // what was asked for meanwhile is whole in this report
	}
	if err != nil {
		a.problems[r.Kind], a.failed[r.Kind] = err.Error(), a.o.Now()
	}
	a.mu.Unlock()
	if err != nil {
		a.o.Log.Warn("work failed", "kind", r.Kind, "work", r.Work, "error", err)
		if r.Work != 0 { // whoever asked is told
			if err := r.with(a.o.Now).write(nil, true, err.Error()); err != nil {
				a.o.Log.Error("a report cannot be written", "error", err)
			}
		}
	} else {
		a.o.Log.Debug("work done", "kind", r.Kind, "work", r.Work, "took", a.o.Now().Sub(began).Round(time.Millisecond))
	}
	a.note(r, "sent")
	a.stir()
	return true
}

func (r *Round) with(now func() time.Time) *Round {
	r.Now = now
	return r
}

func (a *Agent) note(r *Round, what string) {
	if r.Work == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known[r.Work] {
		a.progress[fmt.Sprint(r.Work)] = what
	}
}

// paused notes that the work rests, or goes on.
func (a *Agent) paused(why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state, a.reason = protocol.Running, why; why != "" {
		a.state = protocol.Paused
	}
}

// marks is a text that changes when one of the watched files does.
func (a *Agent) marks() string {
	var b strings.Builder
	for _, name := range a.o.Marks {
		info, err := os.Lstat(name)
		if err != nil {
			fmt.Fprintf(&b, "%s -\n", name)
			continue
		}
		ino := uint64(0)
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			ino = s.Ino
		}
		fmt.Fprintf(&b, "%s %d %d %d\n", name, info.ModTime().UnixNano(), info.Size(), ino)
	}
	return b.String()
}

// ownMemory is the memory of this process in bytes, pages of its file included.
func ownMemory() int64 {
	kib, err := number("/proc/self/status", "VmRSS:")
	if err != nil {
		return 0
	}
	return kib << 10
}

// ownTime is the processor time of the agent and its work in milliseconds.
func ownTime() int64 {
	var sum int64
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			sum += (u.Utime.Nano() + u.Stime.Nano()) / int64(time.Millisecond)
		}
	}
	return sum
}
