// Command bench measures stockade as whole processes on inputs that it generates, and writes bench/RESULTS.md. Figures of
// one run are compared with each other (ratios); absolute times belong to the machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "decode" { // this program again, as the yardstick for YAML
		if err := decodeAll(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "decode:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "once" {
		if err := once(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	stockade := flag.String("stockade", "bin/stockade", "program to measure")
	write := flag.String("write", "", "file to write the results to")
	live := flag.Bool("live", true, "measure against a real API server too")
	corpus := flag.String("corpus", "", "folder of real manifests to measure as well")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *stockade, *write, *corpus, *live); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stockade, write, corpus string, live bool) error {
	stockade, err := filepath.Abs(stockade)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "stockade-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	b := &bench{ctx: ctx, stockade: stockade, self: self, tmp: tmp}
	steps := []func() error{b.manifests, b.start, b.growth}
	if corpus != "" {
		steps = append([]func() error{func() error { return b.corpus("real manifests", corpus) }}, steps...)
	}
	if live {
		steps = append(steps, b.live)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	text := b.text()
	fmt.Print(text)
	if write != "" {
		return os.WriteFile(write, []byte(text), 0o644)
	}
	return nil
}
