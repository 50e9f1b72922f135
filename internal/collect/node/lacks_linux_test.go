package node

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

// lacked tells whether a reading says that the reader lacks something for a check.
func lacked(list []inventory.SkipFact, lack inventory.Lack, check, needs string) bool {
	return slices.ContainsFunc(list, func(s inventory.SkipFact) bool {
		return s.Lacks == lack && s.Check == check && strings.Contains(s.Needs, needs)
	})
}

// TestLacks gives a reading a root that is no system's and processes that are none, or not the node's.
func TestLacks(t *testing.T) {
	if dir := os.Getenv("STOCKADE_OWN_PROC"); dir != "" {
		must(t, syscall.Mount("proc", dir, "proc", 0, ""))
		facts, err := Read(context.Background(), Options{Root: filepath.Dir(dir), Proc: dir, NoBinaries: true})
		must(t, err)
		must(t, json.NewEncoder(os.Stdout).Encode(facts.Skipped))
		return
	}
	dir := t.TempDir()
	facts, err := Read(t.Context(), Options{Root: dir, Proc: dir})
	must(t, err)
	if !lacked(facts.Skipped, inventory.LacksFiles, "os", "os-release") || !lacked(facts.Skipped, inventory.LacksProc, "containers", "/proc") {
		t.Errorf("%+v", facts.Skipped)
	}
	own := filepath.Join(dir, "own")
	must(t, os.Mkdir(own, 0o700))
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestLacks$")
	cmd.Env = append(os.Environ(), "STOCKADE_OWN_PROC="+own)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}}
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("no process of a namespace of its own can run here: %v %s", err, said)
		return
	}
	var skipped []inventory.SkipFact
	must(t, json.NewDecoder(strings.NewReader(string(said))).Decode(&skipped))
	if !lacked(skipped, inventory.LacksProc, "processes", "hostPID") {
		t.Errorf("%+v", skipped)
	}
}
