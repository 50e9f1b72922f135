package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade.dev/stockade/e2e/images"
	"stockade.dev/stockade/e2e/lab"
)

// TestMain lets this program measure another one, so that it can do so inside a node too: measure RESULT PROGRAM ARGUMENTS.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == "measure" {
		if err := measure(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	os.Exit(m.Run())
}

// cost is what one run took. Memory is in KiB, as the kernel's own high-water mark and, for anonymous pages, of which it keeps none,
// as seen every two milliseconds.
type cost struct {
	Seconds, CPU    float64
	Peak, Anonymous int64
	Files           int // below the root, whatever of it is walked
}

func measure(result string, args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	var c cost
	done := make(chan struct{})
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
			data, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/status")
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(data)) {
				f := strings.Fields(line)
				if len(f) < 2 {
					continue
				}
				n, _ := strconv.ParseInt(f[1], 10, 64) // other lines have words
				switch f[0] {
				case "VmHWM:":
					c.Peak = max(c.Peak, n)
				case "RssAnon:":
					c.Anonymous = max(c.Anonymous, n)
				}
			}
		}
	}()
	err := cmd.Wait()
	c.Seconds = time.Since(began).Seconds()
	close(done)
	<-seen
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 && exit.ExitCode() != 3) { // findings, and what could not be read
		return err
	}
	c.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	root := "/"
	if i := slices.Index(args, "--root"); i >= 0 {
		root = args[i+1]
	}
	c.Files = count(root)
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(result, data, 0o600)
}

// count is the number of files on the file system of a root.
func count(root string) int {
	device := func(info fs.FileInfo) uint64 {
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			return s.Dev
		}
		return 0
	}
	top, err := os.Stat(root)
	if err != nil {
		return 0
	}
	n := 0
	_ = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile
		}
		if info, err := d.Info(); d.IsDir() && (err != nil || device(info) != device(top)) {
			return fs.SkipDir
		}
		n++
		return nil
	})
	return n
}

// runs are what is measured: each line of the table.
func runs(b *testing.B, what string, run func(result string, args ...string) error) {
	b.Helper()
	dir := b.TempDir()
	fmt.Printf("\n| %s | files | seconds | CPU s | peak resident MiB | peak anonymous MiB |\n|---|---:|---:|---:|---:|---:|\n", what)
	keep := filepath.Join(dir, "cache")
	for _, r := range []struct {
		name string
		args []string
	}{
		{"everything, nothing known", []string{"--cache-dir", keep}}, {"again", []string{"--cache-dir", keep}}, {"everything, nothing kept", []string{"--no-cache"}},
		{"facts only", []string{"--no-cache", "--no-packages"}},
	} {
		result := filepath.Join(dir, "result.json")
		args := append([]string{"scan", "node", "-q", "-o", "json=" + filepath.Join(dir, "report.json")}, r.args...)
		if err := run(result, args...); err != nil {
			b.Fatal(err)
		}
		data, err := os.ReadFile(result)
		var c cost
		if err == nil {
			err = json.Unmarshal(data, &c)
		}
		if err != nil {
			b.Fatal(err)
		}
		fmt.Printf("| %s | %d | %.2f | %.2f | %d | %d |\n", r.name, c.Files, c.Seconds, c.CPU, c.Peak>>10, c.Anonymous>>10)
	}
}

// program is a copy of the program that is measured, where a node sees it whatever else is hidden from it.
func program(b *testing.B) string {
	b.Helper()
	from := os.Getenv("STOCKADE_PROGRAM")
	to := filepath.Join(b.TempDir(), "stockade")
	if from == "" {
		build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", to, "stockade.dev/stockade/cmd/stockade")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	} else {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, data, 0o755)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	// Pages of a file that was just written lie in large pieces, which kernels from 6.18 map whole: a program is read from disk.
	f, err := os.Open(to)
	if err == nil {
		err = errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
	}
	if err != nil {
		b.Fatal(err)
	}
	return to
}

// BenchmarkDisk scans the disk of a node that does not run: Debian with a runtime, Kubernetes' programs, and the runtime's storage.
func BenchmarkDisk(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Log("a tree of Debian needs root")
		return
	}
	parts, err := lab.BuildNode(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	programs := map[string]string{}
	for i, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"} {
		programs[name] = parts[i]
	}
	root, stockade := images.Node(b, programs), program(b)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	runs(b, "a node's disk", func(result string, args ...string) error {
		cmd := exec.CommandContext(b.Context(), self, append([]string{"measure", result, stockade}, append(args, "--root", root)...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// hidden are the folders of whoever develops on this machine, which no node has: it lends its disk to the lab's node.
func hidden(b *testing.B) []string {
	b.Helper()
	system := []string{"bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "lost+found", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var"}
	var out []string
	entries, err := os.ReadDir("/")
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(system, e.Name()) {
			out = append(out, "/"+e.Name())
		}
	}
	tool, err := exec.Command("go", "env", "GOROOT", "GOPATH", "GOCACHE").Output()
	if err != nil {
		b.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		b.Fatal(err)
	}
	return append(append(out, home), strings.Fields(string(tool))...)
}

// masked hides folders from a program of its own namespace.
const masked = `set -e
mount --make-rprivate /
while [ "$1" != -- ]; do
	if [ -d "$1" ]; then mount -t tmpfs none "$1"; fi
	shift
done
shift
exec "$@"`

// BenchmarkAlive scans the lab's node while it runs.
func BenchmarkAlive(b *testing.B) {
	if err := lab.NodePossible(); err != nil {
		b.Logf("no node can run here: %v", err)
		return
	}
	stockade, hide := program(b), hidden(b)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	n := lab.NodeForTest(b, lab.NodeConfig{})
	runs(b, "the lab's node, running", func(result string, args ...string) error {
		line := append([]string{"-m", "sh", "-c", masked, "masked"}, hide...)
		line = append(append(line, "--", self, "measure", result, stockade), args...)
		out, err := n.Exec(b.Context(), "unshare", line...)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}
