package container

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade.dev/stockade/internal/inventory"
)

// layered is a container with a writable layer of these files and nothing below it.
func layered(t *testing.T, files map[string]string) *found {
	t.Helper()
	upper := t.TempDir()
	for name, text := range files {
		name = filepath.Join(upper, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &found{upper: upper, ContainerFact: inventory.ContainerFact{Container: "c"}}
}

func drifted(t *testing.T, f *found) []inventory.DriftFact {
	t.Helper()
	o := Options{}.withDefaults()
	d := &drifting{ctx: t.Context(), o: &o, t: &table{proc: "/proc"}}
	d.look(f, nil)
	for _, s := range d.skips {
		t.Errorf("%+v", s)
	}
	return f.Drift
}

// TestDriftHidden: who may write a file in a container may give it attributes; none of them hides it.
func TestDriftHidden(t *testing.T) {
	f := layered(t, map[string]string{"tmp/miner": "#!/bin/sh\nmine\n"})
	if err := unix.Setxattr(filepath.Join(f.upper, "tmp/miner"), "user.overlay.metacopy", []byte("y"), 0); err != nil {
		t.Fatal(err)
	}
	if got := drifted(t, f); len(got) != 1 || got[0].Path != "/tmp/miner" || got[0].SHA256 == "" {
		t.Errorf("%+v", got)
	}
}

// TestDriftLeavesNoTrace: what is read of a layer, and what is executed from it, has the access times from before.
func TestDriftLeavesNoTrace(t *testing.T) {
	f := layered(t, map[string]string{"opt/tool": "#!/bin/sh\n"})
	old := time.Now().Add(-72 * time.Hour).Truncate(time.Second)
	all := []string{f.upper, filepath.Join(f.upper, "opt"), filepath.Join(f.upper, "opt/tool")}
	for _, name := range all {
		if err := os.Chtimes(name, old, old.Add(time.Hour)); err != nil { // read before it was changed: also with relatime a reading is noted
			t.Fatal(err)
		}
	}
	if got := drifted(t, f); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	if _, err := (&drifting{o: &Options{Limits: Limits{}.withDefaults()}}).hashFile(all[2]); err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		var st syscall.Stat_t
		if err := syscall.Stat(name, &st); err != nil {
			t.Fatal(err)
		}
		if at := time.Unix(st.Atim.Unix()); !at.Equal(old) {
			t.Errorf("%s was read at %s", name, at)
		}
	}
}

// TestMalwareTellsImages: an image that cannot be opened is told as not searched.
func TestMalwareTellsImages(t *testing.T) {
	root, a := t.TempDir(), id("a")
	put(t, filepath.Join(root, "layers/top/etc/motd"), "hello")
	socket := dockerAt(t, map[string]string{"/containers/json": `[{"Id":"` + a + `"}]`, "/containers/" + a + "/json": dockerContainer1(a, 100, "till", "app", "/layers/top", "/layers/low")})
	proc := fakeProc(t, fakeProcess{pid: 100, parent: 1, start: 100, name: "app", mnt: "100", ns: "10", cgroup: "/kubepods/pod1/" + a})
	o := Options{Root: root, Proc: proc, Sockets: Sockets{Docker: []string{socket}, Containerd: []string{}, Storage: []string{}}}
	s, err := Malware(t.Context(), o, Engines{}, "", func(Infected) error { return nil })
	if err != nil || s.Files != 1 {
		t.Fatal(s, err)
	}
	for _, skip := range s.Skipped {
		if skip.Check == "malware" && strings.Contains(skip.Reason, "does not tell its layers") {
			return
		}
	}
	t.Errorf("%+v", s.Skipped)
}
