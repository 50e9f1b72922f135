//go:build linux

package agent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// worker does rounds as processes: it gives them a share of the processor, ends those that use too much memory or time, and lets them
// rest while the node is under pressure.
type worker struct {
	command  func(ctx context.Context, r *Round) *exec.Cmd
	share    float64 // of one core
	slow     bool    // it goes on under pressure, if that is not grave, with a share of slowly
	memory   int64   // bytes of the process's own memory
	longest  time.Duration
	pressure func() (why string, grave bool) // why the node is under pressure; "" when it is not
	paused   func(why string)
	tick     time.Duration

	end   func(*exec.Cmd) error // waits for a process; nil: its own way
	stuck <-chan error          // of a process that does not end; may be nil
}

// errStuck ends a round whose process does not end: it waits within the kernel for a file system that does not answer, as those served
// by a program or another machine may. No other is begun beside it.
var errStuck = errors.New("the work cannot be ended: it waits in the kernel for a file system that does not answer")

// grace is how long a process that was told to end may take for it.
const grace = 10 * time.Second

// errTooMuch ends a round that uses more memory than it may.
var errTooMuch = errors.New("the work needed more memory than the agent may use (--memory)")

// errPressure ends a round that took too long because it rested.
var errPressure = errors.New("the node was under pressure for most of the time that the work may take")

// slowly is the share of one core for looks under pressure: what a look costs is done within a round's time all the same.
const slowly = 0.05

// burst is how much processor time a round may use before it is held to its share.
const burst = 300 * time.Millisecond

// do runs a round to its end.
func (w *worker) do(ctx context.Context, r *Round) error {
	if w.stuck != nil {
		select {
		case <-w.stuck:
			w.stuck = nil
		default:
			return errStuck
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.longest, fmt.Errorf("the work took longer than %s", w.longest))
	defer cancel()
	runtime.LockOSThread() // the process ends with the thread that started it
	defer runtime.UnlockOSThread()
	cmd := w.command(ctx, r)
	var said bytes.Buffer
	cmd.Stderr = &tail{to: &said}
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), "GOMEMLIMIT="+strconv.FormatInt(w.memory*8/10, 10), "GOMAXPROCS=1", "GOGC=50")
	if err := cmd.Start(); err != nil {
		return err
	}
	done, held := make(chan struct{}), make(chan struct{})
	over := make(chan error, 1)
	var rested time.Duration
	go func() {
		defer close(held)
		rested = w.hold(ctx, cmd.Process.Pid, done, over)
	}()
	err := w.wait(ctx, cmd)
	close(done)
	<-held // what it says of this round must not come after what is said of the next
	select {
	case why := <-over:
		return why
	default:
	}
	if errors.Is(err, errStuck) {
		return err
	}
	if err != nil && ctx.Err() != nil {
		if rested > w.longest/2 {
			return errPressure
		}
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, printable(bytes.TrimSpace(said.Bytes())))
	}
	return nil
}

// wait waits for a process, but not for ever for one that was told to end.
func (w *worker) wait(ctx context.Context, cmd *exec.Cmd) error {
	end := w.end
	if end == nil {
		end = (*exec.Cmd).Wait
	}
	ended := make(chan error, 1)
	go func() { ended <- end(cmd) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		w.stuck = ended
		return errStuck
	}
}

// hold gives a process its share until it is done, by letting it stop and go on. It returns how long that rested for pressure.
func (w *worker) hold(ctx context.Context, pid int, done <-chan struct{}, over chan<- error) (rested time.Duration) {
	share := w.share
	if w.slow {
		share = min(share, slowly)
	}
	tick := time.NewTicker(w.tick)
	defer tick.Stop()
	signal := func(s syscall.Signal) { _ = syscall.Kill(-pid, s) } // it may have ended
	stopped, was := false, ""
	allowed := burst // processor time that it may have used by now
	last := time.Now()
	for {
		select {
		case <-done:
			return rested
		case <-ctx.Done():
			signal(syscall.SIGCONT)
			return rested
		case <-tick.C:
		}
		now := time.Now()
		why, grave := w.pressure()
		if why != was {
			w.paused(why)
			was = why
		}
		rests := why != "" && (grave || !w.slow)
		used, own, err := usage(pid)
		if err != nil {
			continue // it has just ended
		}
		if own > w.memory {
			over <- errTooMuch
			signal(syscall.SIGKILL)
			return rested
		}
		if rests {
			rested += now.Sub(last)
		} else {
			allowed = min(allowed+time.Duration(share*float64(now.Sub(last))), used+burst)
		}
		last = now
		if rest := rests || used > allowed; rest != stopped {
			stopped = rest
			if rest {
				signal(syscall.SIGSTOP)
			} else {
				signal(syscall.SIGCONT)
			}
		}
	}
}

// usage is the processor time and the own memory (not pages of files) of a process.
func usage(pid int) (time.Duration, int64, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0, 0, err
	}
	// The name in parentheses may hold anything (proc_pid_stat(5)).
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, 0, errors.New("stat is short")
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return 0, 0, err
	}
	const ticks = 100 // USER_HZ, which is fixed in the kernel's interface
	own, err := number(dir+"/status", "RssAnon:")
	return time.Duration(user+system) * time.Second / ticks, own << 10, err
}

// number reads the number after a word at the beginning of a line.
func number(file, word string) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // it was only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), word); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				return strconv.ParseInt(fields[0], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, word)
}

// tail keeps the end of what is written.
type tail struct{ to *bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	const most = 2 << 10
	t.to.Write(p)
	if over := t.to.Len() - most; over > 0 {
		t.to.Next(over)
	}
	return len(p), nil
}
