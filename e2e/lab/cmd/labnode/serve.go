//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"stockade.dev/stockade/e2e/lab/wire"
)

// children are the processes the test asked for. Everything that dies in the
// namespace comes to process 1, so one loop reaps and tells them apart.
type children struct {
	mu     sync.Mutex // held over starting: a child may be gone before its id is noted
	ending map[int]chan string
}

func serve(socket string) error {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	all := &children{ending: map[int]chan string{}}
	go all.reap()
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return err
		}
		go func() {
			c := &wire.Conn{UnixConn: conn}
			defer func() { _ = c.Close() }()
			var request wire.Request
			if _, err := c.Receive(&request); err != nil {
				return
			}
			if err := all.do(c, request); err != nil {
				_ = c.Send(wire.Answer{Error: err.Error()}, nil)
			}
		}()
	}
}

func (all *children) do(c *wire.Conn, r wire.Request) error {
	switch r.Op {
	case wire.Dial:
		conn, err := net.DialTimeout(r.Network, r.Address, 10*time.Second)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		return pass(c, conn)
	case wire.Listen:
		listener, err := net.Listen(r.Network, r.Address)
		if err != nil {
			return err
		}
		if u, ok := listener.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		defer func() { _ = listener.Close() }()
		return pass(c, listener)
	case wire.Netns:
		f, err := os.Open("/proc/self/ns/net")
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		return c.Send(wire.Answer{}, f)
	case wire.Start:
		return all.start(c, r)
	case wire.Kill:
		return all.kill(c, r.PID)
	}
	return fmt.Errorf("unknown request %q", r.Op)
}

// pass sends a socket away; it stays a socket of this network.
func pass(c *wire.Conn, socket any) error {
	s, ok := socket.(interface{ File() (*os.File, error) })
	if !ok {
		return fmt.Errorf("a %T has no file", socket)
	}
	f, err := s.File()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return c.Send(wire.Answer{}, f)
}

// start answers twice: when the process runs, and when it is gone.
func (all *children) start(c *wire.Conn, r wire.Request) error {
	if len(r.Argv) == 0 {
		return errors.New("no program")
	}
	log, err := os.OpenFile(r.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return errors.Join(err, log.Close())
	}
	ending := make(chan string, 1)
	all.mu.Lock()
	pid, err := syscall.ForkExec(r.Argv[0], r.Argv, &syscall.ProcAttr{
		Dir: r.Dir, Env: r.Env, Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err == nil {
		all.ending[pid] = ending
	}
	all.mu.Unlock()
	if err := errors.Join(err, log.Close(), null.Close()); err != nil {
		return err
	}
	if err := c.Send(wire.Answer{PID: pid}, nil); err != nil {
		return err
	}
	return c.Send(wire.Answer{PID: pid, Ended: true, How: <-ending}, nil)
}

func (all *children) kill(c *wire.Conn, pid int) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	if _, runs := all.ending[pid]; runs { // not yet reaped: the id is nobody else's
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return err
		}
	}
	return c.Send(wire.Answer{}, nil)
}

func (all *children) reap() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	for {
		for all.reapOne() {
		}
		<-signals
	}
}

func (all *children) reapOne() bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if errors.Is(err, syscall.EINTR) {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if ending, ours := all.ending[pid]; ours {
		delete(all.ending, pid)
		how := ""
		switch {
		case status.Signaled():
			how = "killed by " + status.Signal().String()
		case status.ExitStatus() != 0:
			how = fmt.Sprintf("exit status %d", status.ExitStatus())
		}
		ending <- how
	}
	return true
}
