// Command labbuild builds what the end-to-end tests run, etcd and the API servers,
// so that the tests themselves start at once. It takes Kubernetes versions, by
// default those of the suite, and prints the paths.
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
	versions := os.Args[1:]
	if len(versions) == 0 {
		versions = lab.Versions()
	}
	for _, version := range versions {
		apiserver, etcd, err := lab.Binaries(ctx, version)
		if err != nil {
			fmt.Fprintln(os.Stderr, "labbuild:", err)
			os.Exit(1)
		}
		fmt.Printf("%s\n%s\n", etcd, apiserver)
	}
}
