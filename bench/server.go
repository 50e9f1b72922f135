package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/browse/browsetest"
	"stockade.dev/stockade/internal/store"
)

// server measures what the server keeps and shows: the benchmarks of its rooms on both databases, and the memory of the process.
func (b *bench) server(o options) error {
	wanted := func(step string) bool { return o.only == "" || slices.Contains(strings.Split(o.only, ","), step) }
	for _, s := range []struct{ step, title, text, room, name string }{
		{"ingest", "Taking in findings", "A scan of 10,000 pods: 60,000 findings of 2,000 workloads and 300 images. Goal: unchanged costs under a tenth of new.", "triage", "Ingest"},
		{"lists", "Lists", "1,000,000 findings of 100 clusters, 10,000 images, 100,000 workloads. Goals: every page p99 under 100 ms, the overview under 150 ms, with 20 users.", "browse", "Lists"},
		{"tasks", "Tasks", "1,000 images read by 1, 2 and 4 worker processes that share a task on PostgreSQL; and what bookkeeping alone costs.", "task", "Images|Overhead"},
		{"exceptions", "Exceptions", "One finding against 10,000 exceptions.", "exception", "Match"},
	} {
		if !wanted(s.step) {
			continue
		}
		out, err := b.room(s.room, s.name)
		if err != nil {
			return err
		}
		b.say("## %s\n\n%s\n\n%s", s.title, s.text, out)
	}
	if wanted("memory") {
		return b.memory()
	}
	return nil
}

// uninteresting are the lines of go test that say nothing of the measurement.
var uninteresting = regexp.MustCompile(`^(goos|goarch|pkg|cpu|PASS|ok|---|\s*\S+_test.go:\d+: \d+ findings in)`)

// room runs benchmarks of a room once and returns what they print.
func (b *bench) room(room, name string) (string, error) {
	cmd := exec.CommandContext(b.ctx, "go", "test", "-run", "^$", "-bench", name, "-benchtime", "1x", "-timeout", "2h", "./internal/"+room)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s%s", room, err, out.String(), errs.String())
	}
	var kept []string
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimRight(line, "\n"); !uninteresting.MatchString(line) {
			kept = append(kept, line)
		}
	}
	text := strings.TrimSpace(strings.Join(kept, "\n"))
	if strings.Contains(text, "\n|") { // tables of its own
		return text + "\n", nil
	}
	return "```\n" + text + "\n```\n", nil
}

// memory starts the server as a process on an empty folder and on a million findings, and reads what it holds.
func (b *bench) memory() error {
	b.say("## Memory of the process\n\nResident set (VmRSS) on SQLite, MiB. Goals: idle under 150; with the million findings under 600.\n\n| state | MiB |\n|---|---|")
	empty := filepath.Join(b.tmp, "empty")
	if err := b.resident("idle, nothing in it, a minute after the start", empty, time.Minute); err != nil {
		return err
	}
	full := filepath.Join(b.tmp, "full")
	db, err := store.Open(b.ctx, store.Options{Dir: full})
	if err != nil {
		return err
	}
	if err := browsetest.Seed(b.ctx, db, browsetest.Large); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	return b.resident("1,000,000 findings, a minute after the start", full, time.Minute)
}

// resident runs a server on a folder for a while and prints its resident set.
func (b *bench) resident(what, dir string, wait time.Duration) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.stockade, "server", "--data", dir, "--listen", address, "--debug-listen", "")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { cancel(); _ = cmd.Wait() }()                                                                // it was asked to end
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // on this machine
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		resp, err := client.Get("https://" + address + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server on %s does not answer: %v", dir, err)
		}
	}
	select {
	case <-time.After(wait):
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		return err
	}
	var kb int
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			if _, err := fmt.Sscan(rest, &kb); err != nil {
				return err
			}
		}
	}
	b.say("| %s | %d |", what, kb>>10)
	return nil
}
