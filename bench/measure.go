package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
)

// bench gathers the results of one run.
type bench struct {
	ctx      context.Context
	stockade string
	self     string
	tmp      string
	lines    []string

	// Of the part software.
	feeds    string
	runs     int
	list     []kind
	database string // folder
	layouts  int
	before   string // load when the part began
}

// usage is what one process cost.
type usage struct {
	CPU, Wall time.Duration
	Peak      int64 // bytes
}

func (b *bench) say(format string, args ...any) {
	b.lines = append(b.lines, fmt.Sprintf(format, args...))
}

// progress tells on standard error what is being measured: some steps take a minute.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

// measure runs a command n times and returns the run of median CPU. Each run is the child of a small process of its own (this
// program as "once"): a child's peak memory begins at what its parent had, and this process grows while it generates.
func (b *bench) measure(n int, env []string, args ...string) (usage, error) {
	var all []usage
	for range n {
		cmd := exec.CommandContext(b.ctx, b.self, append([]string{"once"}, args...)...)
		cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return usage{}, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
		var u usage
		if err := json.Unmarshal(out, &u); err != nil {
			return usage{}, err
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b usage) int { return int(a.CPU - b.CPU) })
	return all[len(all)/2], nil
}

// once runs a command and prints what it cost. Exit codes 1 and 3 are results, not failures.
func once(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr, cmd.Stdout = &stderr, io.Discard
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 && exit.ExitCode() != 3) {
		return fmt.Errorf("%w\n%s", err, stderr.String())
	}
	ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("no resource usage on this system")
	}
	return json.NewEncoder(os.Stdout).Encode(usage{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), wall, ru.Maxrss * 1024})
}

func (u usage) String() string {
	return fmt.Sprintf("%.2f | %.2f | %d", u.CPU.Seconds(), u.Wall.Seconds(), u.Peak>>20)
}

// decodeAll is the yardstick: every YAML file below dir decoded to maps by the library that Kubernetes' own tools use.
func decodeAll(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".yaml") && !strings.HasSuffix(p, ".yml") {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		dec := yaml.NewDecoder(bufio.NewReader(f))
		for {
			var v map[string]any
			if err := dec.Decode(&v); err != nil {
				return nil // the end, or a file that is not for this yardstick
			}
		}
	})
}

// stats reads how much work a scan did.
func (b *bench) stats(args ...string) (objects, rules int, checks int64, err error) {
	out, err := exec.CommandContext(b.ctx, b.stockade, args...).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, 0, 0, err
	}
	var doc struct {
		Stats struct {
			Objects, Rules int
			Checks         int64
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		return 0, 0, 0, fmt.Errorf("%v: %w", args, err)
	}
	return doc.Stats.Objects, doc.Stats.Rules, doc.Stats.Checks, nil
}

// manifests measures rule evaluation on generated YAML against decoding the same YAML.
func (b *bench) manifests() error {
	dir := filepath.Join(b.tmp, "yaml")
	if _, err := writeYAML(dir, sizeOf(3000)); err != nil {
		return err
	}
	return b.corpus("generated manifests", dir)
}

// peers are the published figures of other tools on 3,618 real objects, measured on a machine of the same kind: checks
// times objects for each CPU second.
var peers = []struct {
	name string
	rate float64
}{{"kube-linter", 146_600}, {"kube-score", 100_800}, {"kyverno CLI", 11_300}, {"kubesec", 8_900}, {"gator", 6_340}, {"polaris", 4_310},
	{"trivy config", 2_310}, {"kubescape, all controls", 2_300}}

func (b *bench) corpus(name, dir string) error {
	b.progress("%s", name)
	objects, rules, checks, err := b.stats("scan", "iac", dir, "-o", "json", "-q", "--no-ignore-files")
	if err != nil {
		return err
	}
	decode, err := b.measure(5, nil, b.self, "decode", dir)
	if err != nil {
		return err
	}
	scan, err := b.measure(5, nil, b.stockade, "scan", "iac", dir, "-o", "json", "-q", "--no-ignore-files")
	if err != nil {
		return err
	}
	b.say("## Manifests: %s\n", name)
	b.say("%d objects, %d rules, %d checks (a rule on an object, container or element's owner).\n", objects, rules, checks)
	b.say("| process | CPU s | wall s | peak MiB |\n|---|---|---|---|")
	b.say("| decode the YAML only (yaml.v3 to maps) | %s |", decode)
	b.say("| stockade scan iac, all rules, -o json | %s |\n", scan)
	b.say("CPU ratio scan / decode: **%.2f** (goal: at most 3). Peak memory %d MiB (goal: under 150).\n", scan.CPU.Seconds()/decode.CPU.Seconds(), scan.Peak>>20)
	rate := float64(objects) * float64(rules) / scan.CPU.Seconds()
	b.say("Rules x objects for each CPU second: **%.0f**.\n", rate)
	b.say("| other tool (their checks x objects a CPU second, 3,618 real objects) | stockade is faster by |\n|---|---|")
	for _, p := range peers {
		b.say("| %s: %.0f | %.1f |", p.name, p.rate, rate/p.rate)
	}
	b.say("")
	return nil
}

// start measures from the start of the process to the first finding.
func (b *bench) start() error {
	b.progress("start to first finding")
	file := filepath.Join(b.tmp, "one.yaml")
	text := "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    image: nginx\n    securityContext: {privileged: true}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	var all []time.Duration
	for range 15 {
		cmd := exec.CommandContext(b.ctx, b.stockade, "scan", "iac", file, "-o", "jsonl", "-q")
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			return err
		}
		sc := bufio.NewScanner(out)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			if bytes.HasPrefix(sc.Bytes(), []byte(`{"type":"finding"`)) {
				all = append(all, time.Since(began))
				break
			}
		}
		if _, err := io.Copy(io.Discard, out); err != nil {
			return err
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			return err
		}
	}
	if len(all) == 0 {
		return errors.New("no finding for a privileged pod")
	}
	slices.Sort(all)
	b.say("## Start\n\nStart of the process to its first finding, one manifest, median of %d runs: **%d ms** (goal: under 150; fastest %d, slowest %d).\n",
		len(all), all[len(all)/2].Milliseconds(), all[0].Milliseconds(), all[len(all)-1].Milliseconds())
	return nil
}

// growth measures snapshots of growing clusters.
func (b *bench) growth() error {
	b.say("## Snapshots: growth\n\nRBAC objects are twice the pods, NetworkPolicies a fifth; all rules and analyzers.\n")
	b.say("| pods | objects | checks | CPU s | wall s | peak MiB | CPU ms / 1000 objects |\n|---|---|---|---|---|---|---|")
	for _, pods := range []int{1000, 2000, 5000, 10000, 20000} {
		b.progress("snapshot of %d pods", pods)
		dir := filepath.Join(b.tmp, fmt.Sprint("snapshot-", pods))
		if _, err := writeSnapshot(dir, sizeOf(pods)); err != nil {
			return err
		}
		objects, _, checks, err := b.stats("scan", "cluster", "--snapshot", dir, "-o", "json", "-q")
		if err != nil {
			return err
		}
		u, err := b.measure(3, nil, b.stockade, "scan", "cluster", "--snapshot", dir, "-o", "json", "-q")
		if err != nil {
			return err
		}
		b.say("| %d | %d | %d | %s | %.0f |", pods, objects, checks, u, u.CPU.Seconds()*1e6/float64(objects))
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	b.say("\nGoal for 10,000 pods: under 10 s and 600 MiB on 2 cores.\n")
	return nil
}

// text is a part of RESULTS.md.
func (b *bench) text(part string) string {
	head := fmt.Sprintf("%s\n\nWritten by `make bench` on %s: %s, %d cores, %s, %s/%s; load %s before and %s after.\nMedian of several runs by CPU. Compare the ratios: the machine is shared.\n\n",
		titles[part], time.Now().UTC().Format(time.DateOnly), processor(), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, b.before, load())
	return head + strings.Join(b.lines, "\n") + "\n"
}

func processor() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
