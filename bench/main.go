// Command bench measures stockade as whole processes on inputs that it generates, and writes bench/RESULTS.md. Figures of
// one run are compared with each other (ratios); absolute times belong to the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if ok, err := child(os.Args[1:]); ok { // this program again, as a yardstick
		if err != nil {
			fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
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
	var o options
	flag.StringVar(&o.stockade, "stockade", "bin/stockade", "program to measure")
	flag.StringVar(&o.write, "write", "", "file to write the results to; what other parts wrote there stays")
	flag.BoolVar(&o.live, "live", true, "measure against a real API server too")
	flag.StringVar(&o.corpus, "corpus", "", "folder of real manifests to measure as well")
	flag.StringVar(&o.part, "part", "all", "what to measure: configuration (manifests and clusters), software (images, advisories, matching), server (findings, lists, tasks), console (pages in a browser; needs make console), attack (attack paths), protection (admission in protected clusters; root, for a whole cluster), agents (scans of nodes, many agents; root, for a whole node) or all")
	flag.StringVar(&o.only, "only", "", "steps of the part software, separated by commas: "+strings.Join(softwareSteps, ", ")+"; of the part server: ingest, lists, tasks, exceptions, memory; of the part protection: "+strings.Join(protectionSteps, ", ")+"; of the part agents: "+strings.Join(agentSteps, ", ")+"; the results are printed, not written")
	flag.StringVar(&o.feeds, "feeds", "testdata/feeds", "folder of feeds to build the database of")
	flag.StringVar(&o.kinds, "kinds", "", "measure only images whose name has this in it")
	flag.IntVar(&o.agents, "agents", 5000, "simulated agents of the part agents")
	flag.DurationVar(&o.interval, "interval", time.Minute, "time between the beats of an agent in the part agents")
	flag.StringVar(&o.postgres, "postgres", "", "URL of an empty PostgreSQL database: the part agents measures two replicas on it too")
	flag.IntVar(&o.runs, "runs", 3, "runs of each process in the part software; the median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	stockade, write, corpus, part, only, feeds, kinds, postgres string

	live         bool
	runs, agents int
	interval     time.Duration
}

func run(ctx context.Context, o options) error {
	stockade, err := filepath.Abs(o.stockade)
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
	var parts []string
	switch o.part {
	case "all":
		parts = []string{"configuration", "software", "server", "console", "attack", "protection", "agents"}
	case "configuration", "software", "server", "console", "attack", "protection", "agents":
		parts = []string{o.part}
	default:
		return fmt.Errorf("-part %q: want configuration, software, server, console, attack, protection, agents or all", o.part)
	}
	for _, part := range parts {
		b := &bench{ctx: ctx, stockade: stockade, self: self, tmp: tmp, feeds: o.feeds, runs: o.runs, before: load()}
		steps := b.software
		switch part {
		case "configuration":
			steps = b.configuration
		case "server":
			steps = b.server
		case "console":
			steps = b.console
		case "attack":
			steps = b.attackPaths
		case "protection":
			steps = b.protection
		case "agents":
			steps = b.nodeAgent
		}
		if err := steps(o); err != nil {
			return err
		}
		text := b.text(part)
		fmt.Print(text)
		if o.write != "" && o.only == "" && o.kinds == "" {
			if err := rewrite(o.write, part, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// configuration measures manifests and clusters.
func (b *bench) configuration(o options) error {
	steps := []func() error{b.manifests, b.start, b.growth}
	if o.corpus != "" {
		steps = append([]func() error{func() error { return b.corpus("real manifests", o.corpus) }}, steps...)
	}
	if o.live {
		steps = append(steps, b.live)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// titles are the headings of the parts in the file of results.
var titles = map[string]string{"configuration": "# Results", "software": "# Images, advisories, matching", "server": "# The server", "console": "# The console", "attack": "# Attack paths", "protection": "# Container cluster protection", "agents": "# The node agent"}

// rewrite puts a part in the place that it has in a file, or at the end.
func rewrite(file, part, text string) error {
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	before, after := string(old), ""
	if i := strings.Index("\n"+before, "\n"+titles[part]+"\n"); i >= 0 {
		before, after = before[:i], before[i:]
		if j := strings.Index(after[1:], "\n# "); j >= 0 {
			after = after[j+2:]
		} else {
			after = ""
		}
	} else if part == "configuration" {
		before, after = "", before
	}
	var chunks []string
	for _, c := range []string{before, text, after} {
		if c = strings.TrimSpace(c); c != "" {
			chunks = append(chunks, c)
		}
	}
	return os.WriteFile(file, []byte(strings.Join(chunks, "\n\n")+"\n"), 0o644)
}
