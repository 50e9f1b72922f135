// Command labrun runs an API server with etcd until it is interrupted or its input ends, for tests that are not written in Go. It
// creates the objects of the manifests that it is given and prints the path of an administrator's kubeconfig.
//
//	go run ./e2e/lab/cmd/labrun [FILE...]
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"stockade.dev/stockade/e2e/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "labrun:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, files []string) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // whoever started us is gone
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	cp, err := lab.Start(ctx, lab.Config{})
	if err != nil {
		return err
	}
	defer func() {
		if e := cp.Close(); err == nil {
			err = e
		}
	}()
	for _, file := range files {
		if err := apply(ctx, cp, file); err != nil {
			return err
		}
	}
	fmt.Println(cp.Kubeconfig())
	<-ctx.Done()
	return nil
}

// apply creates the Deployments of a file that has one, in the namespace default.
func apply(ctx context.Context, cp *lab.ControlPlane, file string) error {
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cp.URL()+"/apis/apps/v1/namespaces/default/deployments", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/yaml")
	resp, err := cp.Client().Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("%s: %s: %s", file, resp.Status, text)
	}
	return nil
}
