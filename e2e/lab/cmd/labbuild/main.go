// Command labbuild builds what the end-to-end tests run, etcd, the API servers and
// the parts of a node with Gatekeeper, so that the tests themselves start at once.
// It takes Kubernetes versions, for API servers only; by default it builds
// everything of the suite. It prints the paths.
//
//	go run ./e2e/lab/cmd/labbuild [v1.36.3 ...]
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"stockade.dev/stockade/e2e/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := build(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "labbuild:", err)
		os.Exit(1)
	}
}

func build(ctx context.Context, versions []string) error {
	everything := len(versions) == 0
	if everything {
		versions = lab.Versions()
	}
	for _, version := range versions {
		apiserver, etcd, err := lab.Binaries(ctx, version)
		if err != nil {
			return err
		}
		fmt.Printf("%s\n%s\n", etcd, apiserver)
	}
	if !everything {
		return nil
	}
	paths, err := lab.BuildNode(ctx)
	for _, path := range paths {
		fmt.Println(path)
	}
	return err
}
