package container

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"stockade.dev/stockade/internal/collect/image/malware"
	"stockade.dev/stockade/internal/inventory"
)

// eicar is the test file, in two pieces so that this repository is not taken for malware.
const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR` + `-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

const imageName = "registry.example.com/shop/till:1.0"

// possible is nil where real containers can run.
func possible() error {
	if os.Geteuid() != 0 {
		return errors.New("containers need root")
	}
	for _, program := range []string{"containerd", "ctr", "containerd-shim-runc-v2", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	return nil
}

// node is a containerd of the test's own.
type node struct {
	t      *testing.T
	dir    string
	socket string
}

func (n *node) ctr(args ...string) string {
	n.t.Helper()
	out, err := exec.Command("ctr", append([]string{"-a", n.socket, "-n", "k8s.io"}, args...)...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("ctr %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func startNode(t *testing.T, cri bool) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "cnt") // short: paths of sockets are
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, dir: dir, socket: filepath.Join(dir, "c.sock")}
	disabled, more := `"io.containerd.grpc.v1.cri", `, ""
	if cri {
		disabled, more = "", fmt.Sprintf("[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = %q\nrestrict_oom_score_adj = true\n[plugins.\"io.containerd.grpc.v1.cri\".cni]\nconf_dir = %q\nbin_dir = %q\n",
			pauseName, filepath.Join(dir, "cni"), filepath.Join(dir, "cni"))
	}
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [%s\"io.containerd.internal.v1.opt\", \"io.containerd.snapshotter.v1.aufs\","+
		" \"io.containerd.snapshotter.v1.btrfs\", \"io.containerd.snapshotter.v1.devmapper\", \"io.containerd.snapshotter.v1.zfs\"]\n[grpc]\n  address = %q\n[ttrpc]\n  address = %q\n%s",
		filepath.Join(dir, "root"), filepath.Join(dir, "state"), disabled, n.socket, n.socket+".ttrpc", more)
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command("containerd", "-c", filepath.Join(dir, "config.toml"))
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for id := range strings.FieldsSeq(n.ctr("tasks", "ls", "-q")) {
			n.ctr("tasks", "kill", "-a", "-s", "SIGKILL", id)
			n.until("the end of "+id, func() bool {
				return strings.Contains(n.ctr("tasks", "ls"), "STOPPED") || n.ctr("tasks", "ls", "-q") == ""
			})
			_ = exec.Command("ctr", "-a", n.socket, "-n", "k8s.io", "tasks", "rm", "-f", id).Run() // its end may have taken it
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("%v\n%s", err, log.String())
		}
	})
	n.until("containerd", func() bool {
		return exec.Command("ctr", "-a", n.socket, "version").Run() == nil
	})
	return n
}

func (n *node) until(what string, ok func() bool) {
	n.t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	n.t.Fatalf("waited too long for %s", what)
}

// layerOf packs files: "#!..." and ELF files may be executed.
func layerOf(t *testing.T, files map[string]string) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, dir := range []string{"tmp", "usr", "usr/bin", "usr/sbin", "bin", "etc", "var", "var/lib", "var/lib/dpkg", "ready", "proc", "sys", "dev"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mode := int64(0o644)
		if strings.HasPrefix(files[name], "#!") || strings.HasPrefix(files[name], "\x7fELF") {
			mode = 0o755
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return static.NewLayer(b.Bytes(), types.DockerUncompressedLayer)
}

func (n *node) importImage(ref string, layers ...v1.Layer) v1.Image {
	n.t.Helper()
	return n.importWith(ref, v1.Config{}, layers...)
}

func (n *node) importWith(ref string, config v1.Config, layers ...v1.Layer) v1.Image {
	n.t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		n.t.Fatal(err)
	}
	file, _ := img.ConfigFile()
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, config
	if img, err = mutate.ConfigFile(img, file); err != nil {
		n.t.Fatal(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		n.t.Fatal(err)
	}
	file2 := filepath.Join(n.dir, "image.tar")
	if err := tarball.WriteToFile(file2, tag, img); err != nil {
		n.t.Fatal(err)
	}
	n.ctr("images", "import", file2)
	return img
}

// libraries adds what this program needs when it was not linked as a whole.
func libraries(t *testing.T, files map[string]string) {
	t.Helper()
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	need, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			name := make([]byte, p.Filesz)
			if _, err := p.ReadAt(name, 0); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, strings.TrimRight(string(name), "\x00"))
		}
	}
	for _, lib := range need {
		found, _ := filepath.Glob("/lib/*-linux-gnu/" + lib)
		paths = append(paths, found...)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(p, "/")] = string(data)
	}
}

// digestOf is what an image's name is on now.
func (n *node) digestOf(ref string) string {
	n.t.Helper()
	for line := range strings.Lines(n.ctr("images", "ls")) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == ref {
			return f[2]
		}
	}
	n.t.Fatalf("no image %s", ref)
	return ""
}

// run starts a container and waits until its program has done its part.
func (n *node) run(id, what string, flags ...string) {
	n.t.Helper()
	ready := filepath.Join(n.dir, "ready-"+id)
	if err := os.Mkdir(ready, 0o755); err != nil {
		n.t.Fatal(err)
	}
	log := filepath.Join(n.dir, id+".log")
	args := append([]string{"run", "-d", "--log-uri", "file://" + log, "--mount", "type=bind,src=" + ready + ",dst=/ready,options=rbind:rw"}, flags...)
	n.ctr(append(args, imageName, id, "/bin/payload", what)...)
	n.until("the program of "+id, func() bool {
		if text, _ := os.ReadFile(log); len(text) > 0 {
			n.t.Fatalf("the program of %s: %s", id, text)
		}
		_, err := os.Stat(filepath.Join(ready, what))
		return err == nil
	})
}

func labels(namespace, pod, container string) []string {
	return []string{"--label", "io.kubernetes.pod.namespace=" + namespace, "--label", "io.kubernetes.pod.name=" + pod, "--label", "io.kubernetes.container.name=" + container}
}

func (n *node) options() Options {
	return Options{Sockets: Sockets{Containerd: []string{n.socket}, Docker: []string{}, Storage: []string{}}}
}

// find is a container by its id. The machine may run others.
func find(t *testing.T, list []inventory.ContainerFact, id string) inventory.ContainerFact {
	t.Helper()
	for _, c := range list {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("no container %s in %+v", id, list)
	return inventory.ContainerFact{}
}

// TestReal runs containers by containerd and runc and reads them.
func TestReal(t *testing.T) {
	if err := possible(); err != nil {
		t.Logf("no real containers here, the other tests stand alone: %v", err)
		return
	}
	n := startNode(t, false)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program, err := waiter()
	if err != nil {
		t.Fatal(err)
	}
	status := "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2+b2\n\n"
	bottom := map[string]string{"bin/payload": string(self), "bin/sh": string(program), "var/lib/dpkg/status": status}
	libraries(t, bottom)
	img := n.importImage(imageName, layerOf(t, bottom),
		layerOf(t, map[string]string{"usr/bin/tool": "#!/bin/sh\necho tool\n", "usr/bin/kept": "#!/bin/sh\necho kept\n", "usr/bin/away": "#!/bin/sh\n", "etc/os-release": "ID=debian\nVERSION_ID=12\n", "etc/virus": eicar}))
	digest := n.digestOf(imageName)
	config, _ := img.ConfigName()
	host := filepath.Join(n.dir, "host")
	if err := os.Mkdir(host, 0o755); err != nil {
		t.Fatal(err)
	}
	busy := strings.Repeat("ab", 32)
	n.run(busy, "busy", append(labels("shop", "till", "app"), "--mount", "type=bind,src="+host+",dst=/data,options=rbind:rw", "--mount", "type=bind,src=/etc,dst=/host etc,options=rbind:ro")...)
	n.run("quiet", "quiet", append(labels("shop", "quiet", "app"), "--read-only", "--seccomp")...)
	n.run("strong", "strong", append(labels("kube-system", "agent", "main"), "--privileged", "--allow-new-privs", "--net-host", "--with-ns", fmt.Sprintf("pid:/proc/%d/ns/pid", os.Getpid()))...)

	list, skips := Read(t.Context(), n.options())
	checkBusy(t, n, find(t, list, busy), digest, config.String(), host)
	quiet := find(t, list, "quiet")
	if !quiet.ReadOnly || len(quiet.Drift) > 0 || quiet.HostPID || quiet.HostNet || quiet.HostIPC || quiet.UserNS {
		t.Errorf("%+v", quiet)
	}
	if len(quiet.Processes) != 1 || quiet.Processes[0].Seccomp != "filter" || !quiet.Processes[0].NoNew || quiet.Processes[0].Caps != nil || quiet.Processes[0].UID != 0 || quiet.Processes[0].Exe != "/bin/payload" {
		t.Errorf("%+v", quiet.Processes)
	}
	strong := find(t, list, "strong")
	if !strong.HostPID || !strong.HostNet || strong.HostIPC || len(strong.Processes) != 1 || !slices.Equal(strong.Processes[0].Caps, []string{"ALL"}) || strong.Processes[0].Seccomp != "disabled" || strong.Processes[0].NoNew {
		t.Errorf("%+v", strong)
	}
	for _, s := range skips {
		if s.Check == "container-drift" && !strings.Contains(s.Reason, "unknown driver") {
			t.Errorf("%+v", s)
		}
	}
	again, _ := Read(t.Context(), n.options())
	for _, id := range []string{busy, "quiet", "strong"} {
		if diff := cmp.Diff(find(t, list, id), find(t, again, id)); diff != "" {
			t.Errorf("an unchanged node gives other facts: %s", diff)
		}
	}
	t.Run("without the runtime", func(t *testing.T) { withoutRuntime(t, busy) })
	t.Run("another image under the same name", func(t *testing.T) { n.otherImage(busy, digest, config.String()) })
	t.Run("images", func(t *testing.T) { n.inventories(img, digest, config.String()) })
	t.Run("malware", func(t *testing.T) { n.malicious(busy) })
}

func checkBusy(t *testing.T, n *node, c inventory.ContainerFact, digest, config, host string) {
	t.Helper()
	if c.Namespace != "shop" || c.Pod != "till" || c.Container != "app" || c.Runtime != "containerd" || c.Handler != "runc" || c.Image != imageName {
		t.Errorf("%+v", c)
	}
	if c.Digest != digest || c.ImageID != config || !c.Local {
		t.Errorf("image %s %s, want %s %s; local %v", c.Digest, c.ImageID, digest, config, c.Local)
	}
	var mounts []string
	for _, m := range c.Mounts {
		mounts = append(mounts, fmt.Sprint(m.Source, " ", m.Path, " ", m.ReadOnly))
	}
	if want := []string{host + " /data false", filepath.Join(n.dir, "ready-"+c.ID) + " /ready false", "/etc /host etc true"}; !slices.Equal(mounts, want) {
		t.Errorf("mounts %q, want %q", mounts, want)
	}
	var drift []string
	for _, d := range c.Drift {
		drift = append(drift, fmt.Sprint(d.Path, " ", d.Why, " ", d.Running, " ", d.SHA256 != ""))
	}
	want := []string{"/dev/hidden added true true", "/memfd:quiet memory true true", "/tmp/added added true true", "/tmp/gone deleted true true", "/usr/sbin/sshd added true true",
		`/tmp/bad\x0aname\x1b[2J added false true`, "/tmp/script added false true", "/tmp/sparse added false false", "/usr/bin/tool changed false true"}
	if !slices.Equal(drift, want) {
		t.Errorf("drift\n %s\nwant\n %s", strings.Join(drift, "\n "), strings.Join(want, "\n "))
	}
	if c.WritableFiles < 8 || c.WritableBytes == 0 || c.WritableBytes > 1<<30 {
		t.Errorf("%d files, %d bytes", c.WritableFiles, c.WritableBytes)
	}
	roles := map[string]string{}
	for _, p := range c.Processes {
		roles[p.Exe+" "+strings.Join(p.Args[1:], " ")] = p.Role
		if slices.Contains(p.Args, "hunter2") {
			t.Errorf("%+v", p)
		}
	}
	if roles["/usr/sbin/sshd --password ****"] != "sshd" || roles["/bin/sh "] != "shell" || roles["/bin/sh -c nothing"] != "" || roles["/bin/payload busy"] != "" || len(c.Processes) != 8 {
		t.Errorf("%+v", roles)
	}
}

// withoutRuntime reads the same containers when no runtime answers.
func withoutRuntime(t *testing.T, busy string) {
	list, skips := Read(t.Context(), Options{Sockets: Sockets{Containerd: []string{}, Docker: []string{}, Storage: []string{}}})
	c := find(t, list, busy)
	if len(c.Processes) != 8 || c.Container != busy || c.Digest != "" || len(c.Mounts) != 3 || c.HostPID {
		t.Errorf("%+v", c)
	}
	var drift []string
	for _, d := range c.Drift {
		drift = append(drift, d.Path+" "+d.Why)
	}
	if !slices.Contains(drift, "/usr/sbin/sshd added") || !slices.Contains(drift, "/usr/bin/tool changed") || !slices.Contains(drift, "/tmp/gone deleted") {
		t.Errorf("%q", drift)
	}
	if !slices.ContainsFunc(skips, func(s inventory.SkipFact) bool { return s.Check == "containers" && s.Code == "unreachable" }) {
		t.Errorf("%+v", skips)
	}
}

// otherImage puts the name of the running image on another one.
func (n *node) otherImage(busy, digest, config string) {
	n.ctr("images", "tag", imageName, config) // as the CRI plug-in names images
	n.importImage(imageName, layerOf(n.t, map[string]string{"etc/os-release": "ID=alpine\n"}))
	if n.digestOf(imageName) == digest {
		n.t.Fatal("the name has not moved")
	}
	n.ctr("content", "label", digest, "containerd.io/distribution.source.registry.example.com=shop/till")
	list, _ := Read(n.t.Context(), n.options())
	if c := find(n.t, list, busy); c.Digest != digest || c.ImageID != config || c.Local {
		n.t.Errorf("%s %s local %v, want %s %s", c.Digest, c.ImageID, c.Local, digest, config)
	}
}

// inventories reads the packages of the running image, from blobs and, where those were dropped, from the snapshots' folders.
func (n *node) inventories(img v1.Image, digest, config string) {
	layers, _ := img.Layers()
	read := func(names ...string) []*inventory.Software {
		var all []*inventory.Software
		skips, err := Images(n.t.Context(), n.options(), names, func(s *inventory.Software) error { all = append(all, s); return nil })
		if err != nil {
			n.t.Fatal(err)
		}
		for _, s := range skips {
			if s.Check == "local-images" && len(names) == 0 {
				n.t.Errorf("%+v", s)
			}
		}
		return all
	}
	check := func(all []*inventory.Software) {
		n.t.Helper()
		if len(all) != 1 || all[0].Image == nil || all[0].Image.Digest != digest || all[0].Image.ConfigID != config || len(all[0].Gaps) > 0 || all[0].OS == nil || all[0].OS.ID != "debian" ||
			!slices.ContainsFunc(all[0].Packages, func(p inventory.Package) bool { return p.Name == "bash" && p.Version == "5.2.15-2+b2" }) {
			n.t.Errorf("%+v", all)
		}
	}
	check(read())
	check(read(config))
	for _, l := range layers { // as discard_unpacked_layers does
		d, _ := l.Digest()
		n.ctr("content", "rm", d.String())
	}
	check(read())
	if all := read("sha256:" + strings.Repeat("0", 64)); len(all) > 0 {
		n.t.Errorf("%+v", all)
	}
}

// malicious finds the test file in the image and one in a writable layer, in one go and in steps.
func (n *node) malicious(busy string) {
	list := read(n.t.Context(), func() *Options { o := n.options().withDefaults(); return &o }())
	for _, f := range list.list {
		if f.ID == busy {
			if err := os.WriteFile(filepath.Join(f.upper, "tmp/dropped"), []byte(eicar), 0o644); err != nil {
				n.t.Fatal(err)
			}
		}
	}
	sweep := func(o Options) (hits []string, calls int) {
		from := ""
		for {
			s, err := Malware(n.t.Context(), o, Engines{Set: malware.NewSet()}, from, func(i Infected) error {
				for _, h := range i.Hits {
					hits = append(hits, i.Container+" "+h.Path)
				}
				return nil
			})
			if err != nil {
				n.t.Fatal(err)
			}
			if calls++; s.Next == "" || calls > 100 {
				slices.Sort(hits)
				return hits, calls
			}
			from = s.Next
		}
	}
	want := []string{" etc/virus", "shop/till/app tmp/dropped"}
	if hits, calls := sweep(n.options()); !slices.Equal(hits, want) || calls != 1 {
		n.t.Errorf("%q in %d calls, want %q", hits, calls, want)
	}
	small := n.options()
	small.Limits.Files = 3
	if hits, calls := sweep(small); !slices.Equal(hits, want) || calls < 4 || calls > 50 {
		n.t.Errorf("in steps: %q in %d calls, want %q", hits, calls, want)
	}
}
