//go:build linux

// Command labnode holds a node of the lab together. It is three programs:
//
//	labnode watch FOLDER   outside: makes the namespaces and the cgroup, and takes everything away when its input ends
//	labnode init FOLDER    inside, process 1: mounts, network, then does what the test asks for by package wire
//	labnode pause          in the pause container: waits, and reaps
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "labnode:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "pause":
		return pause()
	case len(args) == 2 && args[0] == "watch":
		return watch(args[1])
	case len(args) == 2 && args[0] == "init":
		return inside(args[1])
	}
	return fmt.Errorf("usage: labnode watch FOLDER | init FOLDER | pause")
}

// pause is the first process of a pod: orphans of its containers become its own.
func pause() error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return nil
		}
		for {
			var status syscall.WaitStatus
			if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
	return nil
}
