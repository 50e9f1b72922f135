package node

import (
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"stockade.dev/stockade/internal/collect/node/container"
	"stockade.dev/stockade/internal/inventory"
)

func fifo(p string) error { return syscall.Mkfifo(p, 0o644) }

// TestImitation runs a program under the name of another and exchanges the file of one that runs.
func TestImitation(t *testing.T) {
	if path := os.Getenv("STOCKADE_SLEEP"); path != "" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	exe, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "kubelet")
	data, err := os.ReadFile(exe)
	must(t, err)
	must(t, os.WriteFile(file, data, 0o755))
	start := func(program, name string) {
		cmd := exec.Command(program, "-test.run=^TestImitation$")
		cmd.Args[0] = name
		cmd.Env = append(os.Environ(), "STOCKADE_SLEEP=1")
		in, err := cmd.StdinPipe()
		must(t, err)
		must(t, cmd.Start())
		t.Cleanup(func() {
			_ = in.Close()
			_ = cmd.Wait()
		})
	}
	start(file, "kubelet")   // another program of this name
	start(exe, "/bin/etcd")  // another name for a program
	must(t, os.Remove(file)) // and exchanged since
	must(t, os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755))
	facts, err := Read(t.Context(), Options{NoContainers: true, NoListening: true})
	must(t, err)
	find := func(component, path string) *inventory.BinaryFact {
		for i, b := range facts.Binaries {
			if b.Component == component && b.Path == path && b.Running {
				return &facts.Binaries[i]
			}
		}
		t.Fatalf("no %s at %s among %+v", component, path, facts.Binaries)
		return nil
	}
	if b := find("kubelet", file); !b.Replaced || b.Genuine != "its build information is that of stockade.dev/stockade" || b.Size != int64(len(data)) || b.Go == "" {
		t.Errorf("%+v", b)
	}
	if b := find("etcd", exe); b.Replaced || b.Genuine != "it calls itself etcd but runs "+exe {
		t.Errorf("%+v", b)
	}
	if slices.ContainsFunc(facts.Processes, func(p inventory.ProcessFact) bool {
		return p.Name == "etcd" && strings.Contains(strings.Join(p.Args, " "), "TestImitation")
	}) {
		t.Error("what calls itself etcd counts as etcd")
	}
}

// TestReadOnly reads a recorded node and compares what the file system keeps of it: nothing may have changed, not even the times of
// reading.
func TestReadOnly(t *testing.T) {
	dir := unfold(t, "kubeadm.txtar")
	var paths []string
	must(t, filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		paths = append(paths, p)
		return err
	}))
	old := []syscall.Timespec{syscall.NsecToTimespec(1_000_000_000_000_000_000), syscall.NsecToTimespec(1_500_000_000_000_000_000)}
	links := map[string]bool{}
	for _, p := range paths {
		info, err := os.Lstat(p)
		must(t, err)
		if links[p] = info.Mode()&fs.ModeSymlink != 0; !links[p] {
			must(t, syscall.UtimesNano(p, old))
		}
	}
	state := func() map[string]syscall.Stat_t {
		out := map[string]syscall.Stat_t{}
		for _, p := range paths {
			var s syscall.Stat_t
			must(t, syscall.Lstat(p, &s))
			if links[p] {
				s.Atim = syscall.Timespec{} // a link cannot be read without its access time
			}
			out[p] = s
		}
		return out
	}
	before := state()
	read(t, dir)
	for p, s := range state() {
		if before[p] != s {
			t.Errorf("%s was %+v, is %+v", p, before[p], s)
		}
	}
	now := 0
	must(t, filepath.WalkDir(dir, func(string, fs.DirEntry, error) error { now++; return nil }))
	if now != len(paths) {
		t.Errorf("there were %d files, there are %d", len(paths), now)
	}
}

// TestCache reads a program once as long as it does not change.
func TestCache(t *testing.T) {
	dir := unfold(t, "kubeadm.txtar")
	exe, err := os.Executable()
	must(t, err)
	data, err := os.ReadFile(exe)
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(dir, "usr/bin"), 0o755))
	file := filepath.Join(dir, "usr/bin/kubelet")
	must(t, os.WriteFile(file, data, 0o755))
	cache := NewCache()
	hash := func(most int64) string {
		facts, err := Read(context.Background(), Options{Root: dir, Cache: cache, MaxBinaryRead: most, NoContainers: true, Containers: container.Options{}})
		must(t, err)
		for _, b := range facts.Binaries {
			if b.Component == "kubelet" {
				return b.SHA256
			}
		}
		t.Fatal("no kubelet")
		return ""
	}
	first := hash(0)
	if first == "" || hash(1) != first { // nothing may be read, and nothing has to be
		t.Error("an unchanged program was not known")
	}
	must(t, os.WriteFile(file, append(data, 0), 0o755))
	if hash(1) != "" {
		t.Error("a changed program was taken for the old one")
	}
	if again := hash(0); again == first || again == "" {
		t.Error("a changed program has the old hash")
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, Options{Root: unfold(t, "kubeadm.txtar")}); err == nil {
		t.Error("a reading that was given up ends without an error")
	}
}
