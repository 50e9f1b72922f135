// Package node_test reads a whole real node as stockade scan node does, from within its namespaces.
package node_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/inventory"
)

// scan runs stockade inside the node and returns the facts and the rules that found something.
func scan(t *testing.T, n *lab.Node, stockade string) (*inventory.NodeFacts, []string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	facts, report := filepath.Join(dir, "facts.json"), filepath.Join(dir, "report.json")
	began := time.Now()
	out, err := n.Exec(t.Context(), stockade, "scan", "node", "--no-packages", "--no-cache", "--facts", facts, "-o", "json="+report)
	t.Logf("scan node took %.1f s: %v %s", time.Since(began).Seconds(), err, out) // 3 where something could not be read, which is looked at below
	var f inventory.NodeFacts
	var r struct {
		Findings []struct{ Rule string } `json:"findings"`
	}
	for file, into := range map[string]any{facts: &f, report: &r} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	var rules []string
	for _, x := range r.Findings {
		rules = append(rules, x.Rule)
	}
	slices.Sort(rules)
	return &f, slices.Compact(rules)
}

func TestNode(t *testing.T) {
	if err := lab.NodePossible(); err != nil {
		t.Logf("no node can run here: %v", err)
		return
	}
	stockade := os.Getenv("STOCKADE_PROGRAM")
	if stockade == "" {
		stockade = filepath.Join(t.TempDir(), "stockade")
		build := exec.Command("go", "build", "-o", stockade, "stockade.dev/stockade/cmd/stockade")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	n := lab.NodeForTest(t, lab.NodeConfig{})
	facts, rules := scan(t, n, stockade)
	if dir := os.Getenv("STOCKADE_FACTS"); dir != "" {
		data, _ := json.MarshalIndent(facts, "", " ")
		_ = os.WriteFile(filepath.Join(dir, "lab.json"), data, 0o600)
	}
	t.Logf("%d findings: %s", len(rules), strings.Join(rules, " "))
	t.Logf("skipped: %+v", facts.Skipped)
	if facts.Kubelet == nil || facts.Kubelet.Flags["config"] == "" || facts.Kubelet.Config["kind"] != "KubeletConfiguration" {
		t.Errorf("kubelet: %+v", facts.Kubelet)
	}
	// The node has a /var/lib of its own without a package database, and Debian builds containerd without modules: nothing tells its version.
	if facts.Runtime.Name != "containerd" || facts.Runtime.Settings == nil {
		t.Errorf("runtime: %+v", facts.Runtime)
	}
	if !slices.Contains(facts.Roles, "control-plane") || !slices.Contains(facts.Roles, "worker") {
		t.Errorf("roles: %v", facts.Roles)
	}
	genuine := map[string]string{}
	for _, b := range facts.Binaries {
		if b.Running {
			genuine[b.Component] = b.Genuine + " " + b.Version
		}
	}
	if _, runs := genuine["containerd"]; !runs || slices.Contains(rules, "node/program-imitated") {
		t.Errorf("containerd is taken for an imitation, or was not seen: %v", genuine)
	}
	for _, program := range []string{"kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"} {
		if !strings.HasPrefix(genuine[program], "yes ") || genuine[program] == "yes " {
			t.Errorf("%s: %q", program, genuine[program])
		}
		if !slices.ContainsFunc(facts.Processes, func(p inventory.ProcessFact) bool { return p.Name == program && p.Container == "" }) {
			t.Errorf("%s does not run", program)
		}
	}
	if !slices.ContainsFunc(facts.Listening, func(l inventory.ListenFact) bool { return l.Process == "kubelet" && l.Port == 10250 }) {
		t.Errorf("nobody listens on the kubelet's port: %+v", facts.Listening)
	}
	if !slices.ContainsFunc(facts.Containers, func(c inventory.ContainerFact) bool { return c.Namespace == "kube-system" }) {
		t.Errorf("no container of kube-system among %d", len(facts.Containers))
	}
	if len(rules) == 0 {
		t.Error("no rule found anything on a node that nobody hardened")
	}
	t.Run("nothing is changed", func(t *testing.T) { readOnly(t, n, stockade, rules) })
}

// frozen makes every mount of its own namespace read-only but the folder of the results, and goes on as a program.
const frozen = `set -e
keep=$1; shift
mount --make-rprivate /
mount --bind "$keep" "$keep"
while read -r _ at _; do
	case "$at" in "$keep") ;; *) mount -o remount,bind,ro "$at" 2>/dev/null || true ;; esac
done < /proc/mounts
for at in /etc /usr /var/lib /var/log /run /tmp /root; do
	if touch "$at/.written" 2>/dev/null; then rm -f "$at/.written"; echo "$at can be written"; exit 9; fi
done
exec "$@"`

// readOnly scans with the whole node read-only: what a scan sees is the same, so it needs to change nothing.
func readOnly(t *testing.T, n *lab.Node, stockade string, want []string) {
	dir := t.TempDir()
	report := filepath.Join(dir, "report.json")
	out, err := n.Exec(t.Context(), "unshare", "-m", "sh", "-c", frozen, "frozen", dir, stockade, "scan", "node", "--no-packages", "--no-cache", "-o", "json="+report)
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	var r struct {
		Findings []struct{ Rule string } `json:"findings"`
	}
	data, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, x := range r.Findings {
		rules = append(rules, x.Rule)
	}
	slices.Sort(rules)
	if rules = slices.Compact(rules); !slices.Equal(rules, want) {
		t.Errorf("read-only %v, else %v", rules, want)
	}
}
