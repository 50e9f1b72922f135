package node

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"stockade.dev/stockade/internal/inventory"
)

var update = flag.Bool("update", false, "write the expected facts anew")

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unfold writes a recorded node into a folder. Its files belong to whoever runs the test, who is called tester there.
func unfold(t *testing.T, file string) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", file))
	must(t, err)
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "etc/passwd"), fmt.Appendf(nil, "tester:x:%d:0::/:/bin/sh\napp:x:1000:1000::/:\n", os.Geteuid()), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "etc/group"), fmt.Appendf(nil, "tester:x:%d:\n", os.Getegid()), 0o644))
	for _, f := range archive.Files {
		name, target, link := strings.Cut(f.Name, " -> ")
		name, mode, _ := strings.Cut(name, " !")
		p := filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		if link {
			must(t, os.Symlink(target, p))
			continue
		}
		data := f.Data
		if base := filepath.Base(name); strings.HasPrefix(name, "proc/") && strings.Count(name, "/") == 2 && (base == "cmdline" || base == "environ") {
			data = []byte(strings.ReplaceAll(string(data), "\n", "\x00"))
		}
		must(t, os.WriteFile(p, data, 0o644))
		perm, err := strconv.ParseUint("0"+mode, 8, 32)
		must(t, err)
		if mode != "" {
			must(t, os.Chmod(p, os.FileMode(perm)))
		}
		past := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		must(t, os.Chtimes(p, past, past))
	}
	return dir
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func read(t *testing.T, dir string) *inventory.NodeFacts {
	t.Helper()
	facts, err := Read(t.Context(), Options{Root: dir, Now: func() time.Time { return now }})
	must(t, err)
	return facts
}

// TestRecorded reads recorded nodes and compares the facts with those that stand beside them.
func TestRecorded(t *testing.T) {
	for _, name := range []string{"kubeadm", "disk", "k3s", "kubeasz", "docker"} {
		t.Run(name, func(t *testing.T) {
			dir := unfold(t, name+".txtar")
			facts := read(t, dir)
			if again := read(t, dir); again.Digest() != facts.Digest() {
				t.Error("a second reading of the same node has another digest")
			}
			for i := range facts.Files { // as the superuser and as anybody
				f := &facts.Files[i]
				if f.Owner == "tester" {
					f.Owner = "root"
				}
				if f.Group == "tester" {
					f.Group = "root"
				}
			}
			got, err := json.MarshalIndent(facts, "", " ")
			must(t, err)
			for _, secret := range []string{"topsecret", "Sup3rS3cret", "Hunter2", "abcdefabcdef", "c2VjcmV0", "never read", "PRIVATE"} {
				if strings.Contains(string(got), secret) {
					t.Errorf("the facts hold the secret %q", secret)
				}
			}
			golden := filepath.Join("testdata", name+".json")
			if *update {
				must(t, os.WriteFile(golden, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(golden)
			must(t, err)
			if string(got)+"\n" != string(want) {
				t.Errorf("facts differ from %s:\n%s", golden, got)
			}
		})
	}
}

// TestReal reads the machine that the test runs on, as an agent would.
func TestReal(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Log("this system has no /proc")
		return
	}
	facts, err := Read(t.Context(), Options{})
	must(t, err)
	if facts.Name == "" || facts.Kernel.Release == "" || facts.OS.Arch == "" || facts.OS.Kernel != facts.Kernel.Release || facts.ReadAt == "" {
		t.Errorf("%+v %+v", facts.OS, facts.Kernel)
	}
	for _, b := range facts.Binaries {
		if b.SHA256 == "" && !slices.ContainsFunc(facts.Skipped, func(s inventory.SkipFact) bool { return s.Check == "binaries/"+b.Component }) {
			t.Errorf("%s was not read, and nothing says why", b.Path)
		}
	}
}

// TestHostile reads a node on which everything that is looked for is something else.
func TestHostile(t *testing.T) {
	dir := unfold(t, "kubeadm.txtar")
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("apiVersion: v1\nkind: Config\nsecret: outside\n"), 0o600))
	replace := func(name string, with func(p string) error) {
		p := filepath.Join(dir, name)
		must(t, os.RemoveAll(p))
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		must(t, with(p))
	}
	link := func(to string) func(string) error { return func(p string) error { return os.Symlink(to, p) } }
	huge := func(p string) error {
		f, err := os.Create(p)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Truncate(1 << 40)
	}
	replace("var/lib/kubelet/config.yaml", fifo)
	replace("etc/kubernetes/manifests/kube-apiserver.yaml", huge)
	replace("etc/kubernetes/manifests/loop.yaml", link("loop.yaml"))
	replace("etc/kubernetes/manifests/bad\nname\x1b[2J.yaml", func(p string) error { return os.WriteFile(p, []byte("\xff\xfe: ["), 0o644) })
	replace("etc/containerd/config.toml", func(p string) error {
		return os.WriteFile(p, []byte("version = 2\nimports = [\"/etc/containerd/*.toml\", \"/etc/containerd/config.toml\"]\npassword = \"Sup3rS3cret\n"), 0o644)
	})
	replace("etc/kubernetes/admin.conf", link(outside))
	replace("etc/os-release", link("../../../../../.."+outside))
	replace("etc/passwd", fifo)
	replace("etc/cni/net.d/x.conf", link("/proc/self/mem"))
	replace("proc/700/cgroup", fifo)
	replace("proc/modules", huge)
	replace("proc/900/status", func(p string) error { return os.WriteFile(p, []byte("Name:\tx\nUid:\t-1 zz\n"), 0o644) })
	replace("proc/900/cmdline", func(p string) error {
		return os.WriteFile(p, []byte("kube-proxy\x00--config=\x1b]0;evil\x07\x00--x=\xff"), 0o644)
	})
	replace("proc/900/exe", link("/usr/bin/kube-proxy (deleted)"))
	replace("usr/bin/kubelet", func(p string) error { return os.WriteFile(p, []byte("\x7fELF truncated"), 0o755) })
	replace("usr/bin/containerd", func(p string) error { return os.WriteFile(p, []byte("#!/bin/sh\nexec evil\n"), 0o755) })
	replace("usr/bin/runc", huge)
	must(t, os.Chmod(filepath.Join(dir, "usr/bin/runc"), 0o755))
	facts := read(t, dir)
	data, err := json.Marshal(facts)
	must(t, err)
	for _, bad := range []string{"outside", "\\u001b", "Sup3rS3cret", "\\u0007"} {
		if strings.Contains(string(data), bad) {
			t.Errorf("the facts hold %q: %s", bad, data)
		}
	}
	for _, want := range []string{"kubelet", "files/static-pod", "runtime", "binaries/runc"} {
		if !slices.ContainsFunc(facts.Skipped, func(s inventory.SkipFact) bool { return s.Check == want }) {
			t.Errorf("nothing says that %s was not read: %+v", want, facts.Skipped)
		}
	}
	genuine := map[string]string{}
	for _, b := range facts.Binaries {
		genuine[b.Component] = b.Genuine
	}
	if genuine["containerd"] != "it is a script for /bin/sh" || genuine["kubelet"] == "yes" || genuine["kubelet"] == "" {
		t.Errorf("%q", genuine)
	}
}
