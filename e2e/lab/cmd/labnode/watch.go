//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const cloneNewCgroup = 0x02000000

// watch runs the node's first process until standard input ends, which the
// kernel sees to when the test dies, and then takes away what a namespace does
// not: the cgroups. A last byte on the input says that the test lives and removes
// the folder itself.
func watch(folder string) error {
	runtime.LockOSThread() // the child dies with the thread that made it
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	groups, err := makeGroups(filepath.Base(folder))
	if err != nil {
		return fmt.Errorf("make the node's cgroups: %w", err)
	}
	defer groups.remove()
	cmd := exec.Command("/proc/self/exe", "init", folder)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | cloneNewCgroup,
		Pdeathsig:  syscall.SIGKILL,
	}
	// The namespace's root is where its maker sits at that moment.
	if err := groups.enter(); err != nil {
		return fmt.Errorf("enter the node's cgroups: %w", err)
	}
	err = cmd.Start()
	if left := groups.leave(); left != nil && err == nil {
		_ = cmd.Process.Kill()
		err = fmt.Errorf("leave the node's cgroups: %w", left)
	}
	if err != nil {
		return fmt.Errorf("make the namespaces (this needs root): %w", err)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	orderly := make(chan bool, 1)
	go func() {
		said, _ := io.ReadAll(io.LimitReader(os.Stdin, 1))
		orderly <- len(said) > 0
		_ = cmd.Process.Kill()
	}()
	go func() {
		<-signals
		_ = cmd.Process.Kill()
	}()
	ended := cmd.Wait() // returns when every process of the namespace is gone
	select {
	case alive := <-orderly:
		if !alive {
			abandon(folder)
		}
		return nil
	default:
		return fmt.Errorf("the node's first process ended: %w", ended)
	}
}

// abandon removes the folder of a test that was killed, once its lock is free.
func abandon(folder string) {
	lock, err := os.OpenFile(filepath.Join(folder, "owner.lock"), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer func() { _ = lock.Close() }()
	for range 100 {
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(folder)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
