package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/collect/node/host"
)

// recorded makes a folder like a process file system.
func recorded(t *testing.T, files map[string]string) *host.Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(target, name); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := host.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// TestLongCommandLines: many processes of a container with long command lines take no more memory than there is for all of them; what
// they are is known all the same, and the node's own are whole.
func TestLongCommandLines(t *testing.T) {
	id := strings.Repeat("a", 64)
	long := "/bin/x\x00" + strings.Repeat("y\x00", maxArgs)
	files := map[string]string{}
	for pid := range 100 {
		dir := strconv.Itoa(100+pid) + "/"
		files[dir+"status"], files[dir+"cmdline"], files[dir+"exe"] = "Name:\tx\nUid:\t0\t0\t0\t0\n", long, "-> /"+strings.Repeat("d/", 1000)+"x"
		if files[dir+"cgroup"] = "0::/pod/" + id; pid == 99 {
			files[dir+"cgroup"] = "0::/kubelet.service"
		}
	}
	table, err := Read(t.Context(), recorded(t, files))
	if err != nil {
		t.Fatal(err)
	}
	bytes, whole := 0, 0
	for _, p := range table.Processes {
		if p.Name != "x" || p.Title != "x" {
			t.Fatalf("%+v", p)
		}
		if p.Container == "" {
			whole = len(p.Args)
			continue
		}
		bytes += len(p.Exe) + len(p.Args)*(2+16)
	}
	if len(table.Processes) != 100 || whole < maxArgs/3 || bytes > maxTexts {
		t.Errorf("%d processes, %d arguments of the node's own, %d bytes of the others", len(table.Processes), whole, bytes)
	}
	if len(table.Skipped) != 1 || table.Skipped[0].Code != "limit" {
		t.Errorf("%+v", table.Skipped)
	}
}

// TestBusySockets: a table of connections that is longer than is read is read once, and tells who listens: these come first.
func TestBusySockets(t *testing.T) {
	var table strings.Builder
	table.WriteString("  sl  local_address rem_address   st\n   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21012 1 0000000000000000 100 0 0 10 0\n")
	line := "   2: 0100007F:2788 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 33442 1 0000000000000000 20 4 30 10 -1\n"
	table.WriteString(strings.Repeat(line, maxTable/len(line)+10))
	files := map[string]string{}
	for _, pid := range []string{"5", "6"} {
		files[pid+"/status"], files[pid+"/cmdline"] = "Name:\tx\n", "x\x00"
		files[pid+"/ns/net"] = "-> net:[1]"
	}
	files["5/net/tcp"] = table.String()
	all, err := Read(t.Context(), recorded(t, files))
	if err != nil {
		t.Fatal(err)
	}
	sockets, errs := all.Listening()
	if len(sockets) != 1 || sockets[0].Port != 22 || sockets[0].Member.PID != 5 || len(errs) != 0 {
		t.Errorf("%s %v", fmt.Sprint(sockets), errs)
	}
}
