package lab

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Furnish makes the node's file system that of a node, for programs that read all
// of it. It has the package database of this machine, whose programs it runs, in
// its own /var/lib; and what a machine of tests has beside, such as homes, caches
// and repositories, is hidden from it. Call it before anything mounts the node's
// root.
func (n *Node) Furnish(tb testing.TB) {
	tb.Helper()
	if err := n.packages(); err != nil {
		tb.Fatalf("give the node its packages: %v", err)
	}
	root, err := cacheRoot()
	if err != nil {
		tb.Fatal(err)
	}
	keep := []string{root, n.Dir()}
	for _, name := range []string{"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "opt", "proc", "run", "sbin", "sys", "tmp", "usr", "var"} {
		keep = append(keep, "/"+name)
	}
	hidden, err := besides("/", keep)
	if err != nil {
		tb.Fatal(err)
	}
	// Empty file systems, which end with the node's namespace.
	const hide = `for dir; do mount -t tmpfs -o ro,size=4k none "$dir" || exit; done`
	if out, err := n.Exec(tb.Context(), "sh", append([]string{"-c", hide, "hide"}, hidden...)...); err != nil {
		tb.Fatalf("hide %q: %v %s", hidden, err, out)
	}
}

// besides lists the folders that hold nothing of what is kept.
func besides(dir string, keep []string) (out []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case !e.IsDir() || slices.Contains(keep, path):
		case slices.ContainsFunc(keep, func(k string) bool { return strings.HasPrefix(k, path+"/") }):
			below, err := besides(path, keep)
			if err != nil {
				return nil, err
			}
			out = append(out, below...)
		default:
			out = append(out, path)
		}
	}
	return out, nil
}

// packages copies Debian's package database into the node.
func (n *Node) packages() error {
	const from = "/var/lib/dpkg"
	lists, err := filepath.Glob(from + "/info/*.list")
	if err != nil {
		return err
	}
	for _, file := range append(lists, from+"/status") {
		to := n.file(filepath.Join("var-lib/dpkg", strings.TrimPrefix(file, from)))
		data, err := os.ReadFile(file)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, data, fs.FileMode(0o644))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Pause stops one of the node's programs, such as "containerd": it keeps its
// sockets and answers nobody, as a program that hangs. It goes on at resume, at
// the latest when the test ends.
func (n *Node) Pause(tb testing.TB, program string) (resume func()) {
	tb.Helper()
	n.mu.Lock()
	at := slices.IndexFunc(n.processes, func(p *process) bool { return p.name == program && !p.gone() })
	if at < 0 {
		n.mu.Unlock()
		tb.Fatalf("%s does not run", program)
	}
	id := n.processes[at].id // as the node counts
	n.mu.Unlock()
	signal := func(name string) error {
		out, err := n.Exec(context.Background(), "sh", "-c", "kill -"+name+" "+strconv.Itoa(id))
		if err != nil {
			return fmt.Errorf("%s to %s: %w %s", name, program, err, out)
		}
		return nil
	}
	if err := signal("STOP"); err != nil {
		tb.Fatal(err)
	}
	resumed := false
	resume = func() {
		if resumed {
			return
		}
		resumed = true
		if err := signal("CONT"); err != nil {
			tb.Error(err)
		}
	}
	tb.Cleanup(resume)
	return resume
}
