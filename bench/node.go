package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// agentSteps are the steps of the part agents: scans of nodes, an agent that waits, and many agents at one server.
var agentSteps = []string{"node", "idle", "fleet"}

// nodeAgent measures what the agent costs its node and the server.
func (b *bench) nodeAgent(o options) error {
	return b.steps(o, []step{{"node", b.nodeScan}, {"idle", b.idle}, {"fleet", func() error {
		b.say("## Many agents\n")
		return b.agents(o)
	}}})
}

// nodeScan measures scans of nodes: the disk of one that does not run, and the lab's, alive.
func (b *bench) nodeScan() error {
	out, err := b.tables("./e2e/node", "^Benchmark(Disk|Alive)$", "1x")
	if err != nil {
		return err
	}
	b.say("## Scanning a node\n")
	b.say("`stockade scan node` as a whole process: facts, programs, packages, secrets, rules, emergencies, without an advisory database. The disk is Debian with a runtime, Kubernetes'")
	b.say("programs, and 20 containers' layers in the runtime's storage, which is counted among the files and not walked. The lab's node is this machine's own file system with")
	b.say("a control plane, kubelet, containerd and pods that run; the folders of whoever develops here, which no node has, are hidden from it. \"Again\" is a second run that knows")
	b.say("what the first one read. Resident memory counts the pages of the program's own file that are mapped; anonymous memory is what it needs itself, and what the agent's")
	b.say("limit is held against. Goal: under 10 s and 100 MiB.\n")
	if !strings.Contains(out, "|") {
		b.say("Not measured: it needs root, namespaces, and what make deps installs.\n")
		return nil
	}
	b.say("%s", out)
	return nil
}

// idleFor is how long a waiting agent is watched: three beats.
const idleFor = 3 * time.Minute

// idle measures the real agent between its looks.
func (b *bench) idle() error {
	dir := filepath.Join(b.tmp, "idle")
	in, roots, err := b.prepareAgents(filepath.Join(dir, "server"), "", 1)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	server, err := b.replica(ctx, filepath.Join(dir, "server"), "", roots)
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "root", "etc")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	agent := exec.CommandContext(ctx, b.stockade, "agent", "--server", server.address, "--ca-pin", strings.TrimPrefix(in.Pin, "sha256:"), "--state", filepath.Join(dir, "state"), "--node", "idle",
		"--root", filepath.Dir(root), "--restless")
	agent.Env = append(os.Environ(), "STOCKADE_AGENT_TOKEN="+in.Token)
	agent.Stdout, agent.Stderr = io.Discard, io.Discard
	if err := agent.Start(); err != nil {
		return err
	}
	defer func() {
		cancel()
		_, _ = agent.Wait(), server.cmd.Wait() // they were asked to end
	}()
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := wait(time.Minute); err != nil { // its first looks end meanwhile
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "state", "identity.json")); err != nil {
		return fmt.Errorf("the agent has not enrolled: %w", err)
	}
	before := cpuOf(agent.Process.Pid)
	if err := wait(idleFor); err != nil {
		return err
	}
	s, err := statusOf(agent.Process.Pid)
	if err != nil {
		return err
	}
	b.say("## An agent that waits\n\nThe real agent between its looks, for %s. Goal: under 30 MiB and 0.5 %% of a core.\n", idleFor)
	b.say("| resident MiB | its peak | anonymous MiB | %% of a core |\n|---:|---:|---:|---:|")
	b.say("| **%d** | %d | %d | **%.2f** |\n", s["VmRSS"]>>10, s["VmHWM"]>>10, s["RssAnon"]>>10, 100*(cpuOf(agent.Process.Pid)-before).Seconds()/idleFor.Seconds())
	return nil
}
