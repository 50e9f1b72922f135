package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// protectionSteps are the steps of the part protection.
var protectionSteps = []string{"node", "provider", "preview", "rejudge", "admissions"}

// protection measures what protected clusters and those who operate them feel.
func (b *bench) protection(o options) error {
	b.say("Every table is of one run; compare what stands in one table.\n")
	return b.steps(o, []step{{"node", b.node}, {"provider", b.provider}, {"preview", b.preview}, {"rejudge", b.rejudge}, {"admissions", b.admissions}})
}

// step is a piece of a part that can be run alone.
type step struct {
	name string
	run  func() error
}

// steps runs those that -only names, or all.
func (b *bench) steps(o options, list []step) error {
	for _, s := range list {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), s.name) {
			continue
		}
		b.progress("%s", s.name)
		began := time.Now()
		if err := s.run(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		b.progress("%s took %.0f s", s.name, time.Since(began).Seconds())
	}
	return nil
}

// node measures creates of pods and the effect of changes on a whole cluster.
func (b *bench) node() error {
	out, err := b.tables("./e2e/protect", "^BenchmarkNode$", "1x")
	if err != nil {
		return err
	}
	if !strings.Contains(out, "|") {
		b.say("## Creating pods\n\nNot measured: a whole cluster needs root, namespaces, and what make deps installs.\n")
		return nil
	}
	effect, create, _ := strings.Cut(out, "\n1 at a time:\n")
	b.say("## Creating pods\n")
	b.say("A whole cluster on this machine: API server, kubelet, Gatekeeper and two providers in pods, the server beside them.")
	b.say("One kept connection; POST of a pod of two containers as a dry run, which is admitted: 5 runs of 200, 3 of 800 for eight at a time, the median of the")
	b.say("runs counts. The states are of the same cluster one after the other; added is against the last, when the webhooks are taken away and Gatekeeper's")
	b.say("pods still run. One policy that blocks, with 30 rules of the library that a pod can violate, the gravest first.\n\n1 at a time:\n%s", create)
	b.say("\n## From a change to its effect\n\nFrom the request that changes something until a pod is decided on by it, asked every 20 ms. Goal: under 30 s.\n%s", effect)
	return nil
}

// preview measures previews and replays as users ask for them.
func (b *bench) preview() error {
	out, err := b.tables("./e2e/admission", "^BenchmarkPreview$", "1x")
	if err != nil {
		return err
	}
	b.say("## Preview and replay\n\nAsked of a server over HTTPS: a policy of 30 rules and a check of images. The cluster is a real API server with 10,000 pods of 500 workloads, read by each preview;")
	b.say("the 100,000 recorded admissions lie in the server's database. Goals: preview under 5 s, replay under 30 s.\n\n%s", out)
	return nil
}

// rejudge measures how fast verdicts follow policies and advisories.
func (b *bench) rejudge() error {
	out, err := b.tables("./internal/verdict", "^Benchmark(Rejudge|Rematch)$", "5x")
	if err != nil {
		return err
	}
	b.say("## Verdicts made anew\n\n2,000 images of 30 vulnerabilities; every verdict changes. Rejudge: other policies. Rematch: another advisory database, without the matching itself,")
	b.say("which \"Matching\" has.\n\n%s", out)
	return nil
}

// admissions measures taking in what clusters record, and the list of events.
func (b *bench) admissions() error {
	out, err := b.tables("./internal/admission", "^BenchmarkPages$", "1x")
	if err != nil {
		return err
	}
	b.say("## Taking in admissions, and the list of events\n\nBatches of 500 requests of 2,000 workloads, objects of 4 KB, until there are 10,000 events that happened 1,000,000 times; then pages of 50 events.\n\n%s", out)
	return nil
}

// tables runs a benchmark and returns the tables that it prints, or what go test says of it.
func (b *bench) tables(room, name, times string) (string, error) {
	cmd := exec.CommandContext(b.ctx, "go", "test", "-run", "^$", "-bench", name, "-benchtime", times, "-timeout", "1h", room)
	program, err := filepath.Abs(b.stockade)
	if err != nil {
		return "", err
	}
	cmd.Env = append(os.Environ(), "STOCKADE_PROGRAM="+program)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s%s", err, out.String(), errs.String())
	}
	text := out.String()
	if !strings.Contains(text, "\n|") {
		var kept []string
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "Benchmark") {
				kept = append(kept, strings.TrimRight(line, "\n"))
			}
		}
		return "```\n" + strings.Join(kept, "\n") + "\n```\n", nil
	}
	var kept []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if !uninteresting.MatchString(line) && !strings.HasPrefix(line, "Benchmark") && !strings.HasPrefix(line, "    ") && !strings.HasSuffix(line, "[output truncated]") {
			kept = append(kept, line)
		}
	}
	return strings.TrimSpace(strings.Join(kept, "\n")) + "\n", nil
}
