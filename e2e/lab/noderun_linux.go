package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stockade.dev/stockade/e2e/lab/wire"
)

// Run runs a program of this machine, with its files and processes, but in the
// node's network, as [exec.Cmd.Run] does.
func (n *Node) Run(cmd *exec.Cmd) error {
	started, ended := n.launch(cmd)
	if err := <-started; err != nil {
		return err
	}
	return <-ended
}

// Start is like Run for a program that goes on: it is killed when the test ends,
// or by stop.
func (n *Node) Start(tb testing.TB, cmd *exec.Cmd) (stop func()) {
	tb.Helper()
	started, ended := n.launch(cmd)
	if err := <-started; err != nil {
		tb.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		<-ended
		close(over)
	}()
	stop = func() {
		_ = cmd.Process.Kill()
		<-over
	}
	tb.Cleanup(stop)
	return stop
}

// launch starts a program from a thread that has gone into the node's network.
// The thread is not used for anything else, and as long as it lives so may the
// program.
func (n *Node) launch(cmd *exec.Cmd) (started, ended chan error) {
	started, ended = make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		if err := unix.Setns(int(n.netns.Fd()), unix.CLONE_NEWNET); err != nil {
			started <- fmt.Errorf("enter the node's network: %w", err)
			return
		}
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	return started, ended
}

// spawn starts a program inside the node: all its namespaces, its own log.
func (n *Node) spawn(program string, args ...string) (*process, error) {
	p, err := n.begin(filepath.Base(program), program, args...)
	if err == nil {
		n.mu.Lock()
		n.processes = append(n.processes, p)
		n.mu.Unlock()
	}
	return p, err
}

func (n *Node) begin(name, program string, args ...string) (*process, error) {
	p := &process{name: name, log: n.Log(name), done: make(chan struct{})}
	c, err := n.ask(wire.Request{Op: wire.Start, Argv: append([]string{program}, args...), Dir: "/", Log: p.log,
		Env: []string{"PATH=" + nodePath, "HOME=/root", "TMPDIR=" + os.TempDir()}})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	var answer wire.Answer
	if _, err := c.Receive(&answer); err != nil {
		c.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if answer.Error != "" {
		c.Close()
		return nil, fmt.Errorf("start %s: %s", name, answer.Error)
	}
	p.id = answer.PID
	p.end = func() {
		if k, err := n.ask(wire.Request{Op: wire.Kill, PID: p.id}); err == nil {
			_, _ = k.Receive(&wire.Answer{})
			k.Close()
		}
	}
	go func() {
		defer close(p.done)
		defer c.Close()
		var last wire.Answer
		if _, err := c.Receive(&last); err != nil {
			p.err = err
		} else if last.How != "" {
			p.err = errors.New(last.How)
		}
	}()
	return p, nil
}

// Exec runs a program inside the node, in all of its namespaces, and returns what
// it wrote.
func (n *Node) Exec(ctx context.Context, program string, args ...string) (string, error) {
	path, err := lookPath(program)
	if err != nil {
		return "", err
	}
	log, err := os.CreateTemp(n.Dir(), "exec-*.log")
	if err != nil {
		return "", err
	}
	log.Close()
	defer os.Remove(log.Name())
	name := filepath.Base(log.Name())
	p, err := n.begin(name[:len(name)-len(".log")], path, args...)
	if err != nil {
		return "", err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.kill()
		return "", context.Cause(ctx)
	}
	text, err := os.ReadFile(log.Name())
	if err == nil && p.err != nil {
		err = fmt.Errorf("%s: %w: %s", program, p.err, lastLines(string(text), 10))
	}
	return string(text), err
}
