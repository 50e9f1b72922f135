package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/collect/image/binary"
	"stockade.dev/stockade/internal/collect/node/host"
	"stockade.dev/stockade/internal/collect/node/proc"
	"stockade.dev/stockade/internal/inventory"
)

const (
	maxBinary     = 1 << 30
	maxBinaryRead = 8 << 30
)

// binaryNames are the programs that are looked for.
var binaryNames = []string{"kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelite", "hyperkube", "kubeadm", "kubectl", "etcd", "etcdctl", "etcdutl",
	"containerd", "containerd-shim", "containerd-shim-runc-v1", "containerd-shim-runc-v2", "ctr", "nerdctl", "runc", "crun", "youki", "runsc", "kata-runtime", "containerd-shim-kata-v2", "crictl", "crio", "conmon",
	"dockerd", "docker", "docker-proxy", "docker-runc", "cri-dockerd", "isulad", "k3s", "rke2", "k0s", "helm", "calicoctl", "cilium", "coredns", "nvidia-container-runtime", "nvidia-container-toolkit"}

// claims are names that nothing but the real program should have: one of these in a container is looked at.
var claims = []string{"kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelite", "etcd", "containerd", "containerd-shim-runc-v2", "dockerd", "crio", "runc", "k3s", "rke2"}

// folders are where programs are, in the order of the usual PATH first.
var folders = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/opt/bin", "/opt/containerd/bin", "/usr/libexec", "/usr/libexec/docker", "/usr/lib/cri-o-runc/sbin",
	"/opt/kube/bin", "/opt/kubernetes/bin", "/opt/kubernetes/server/bin", "/opt/etcd/bin", "/opt/etcd", "/etc/kubernetes/bin", "/home/kubernetes/bin", "/var/lib/rancher/k3s/data/*/bin",
	"/var/lib/rancher/rke2/data/*/bin", "/var/lib/rancher/rke2/bin", "/var/lib/k0s/bin", "/snap/microk8s/current", "/snap/microk8s/current/bin", "/var/lib/minikube/binaries/*", "/opt/cloud/cce/kubernetes/kubelet",
	"/var/paas/kubernetes", "/opt/nvidia/toolkit", "/usr/local/nvidia/toolkit"}

// pluginFolders are those of network plug-ins: everything in them is one.
var pluginFolders = []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni", "/usr/lib64/cni", "/var/lib/rancher/k3s/data/cni", "/var/lib/rancher/rke2/data/*/cni", "/home/kubernetes/bin/cni", "/snap/microk8s/current/opt/cni/bin"}

// modules are the beginnings of the main modules that a program of a name may be built of. C programs have none.
var modules = map[string][]string{
	"kube": {"k8s.io/kubernetes", "k8s.io/kube", "k8s.io/component-base", "github.com/k3s-io/", "github.com/canonical/"}, "hyperkube": {"k8s.io/kubernetes"}, "etcd": {"go.etcd.io/etcd", "github.com/coreos/etcd", "github.com/k3s-io/etcd"},
	"containerd": {"github.com/containerd/containerd", "github.com/k3s-io/containerd", "github.com/kata-containers/"}, "ctr": {"github.com/containerd/containerd"}, "nerdctl": {"github.com/containerd/nerdctl"},
	"runc": {"github.com/opencontainers/runc"}, "crictl": {"sigs.k8s.io/cri-tools", "github.com/kubernetes-sigs/cri-tools"}, "crio": {"github.com/cri-o/cri-o"}, "docker": {"github.com/docker/", "github.com/moby/", "github.com/opencontainers/runc"},
	"cri-dockerd": {"github.com/Mirantis/cri-dockerd"}, "k3s": {"github.com/k3s-io/k3s", "github.com/rancher/k3s"}, "rke2": {"github.com/rancher/rke2"}, "k0s": {"github.com/k0sproject/k0s"},
	"helm": {"helm.sh/helm", "k8s.io/helm"}, "coredns": {"github.com/coredns/coredns"},
}

// inC are programs that are not written in Go: nothing in them names them.
var inC = []string{"crun", "conmon", "isulad", "youki", "nvidia-container-runtime", "nvidia-container-toolkit", "kata-runtime", "cilium", "runsc"}

// content is what the bytes of a program say.
type content struct {
	sha256, gover, module, component, version, evidence string
	size                                                int64
	kind                                                string // "" for a program, else what it is
	gap                                                 string
}

// found is a program before it is read.
type found struct {
	component string
	path      string
	container string
	running   bool
	replaced  bool
	open      func() (*os.File, host.Info, error)
	info      host.Info
}

// binaries finds programs, reads each once, and says what they are.
func (r *reader) binaries() error {
	if r.o.NoBinaries {
		return nil
	}
	list := r.installed()
	list = r.executed(list)
	if len(list) > inventory.MaxNodeBinaries {
		r.skip("binaries", "fewer of them", errMany)
		list = list[:inventory.MaxNodeBinaries]
	}
	cache := r.o.Cache
	if cache == nil {
		cache = NewCache()
	}
	most := r.o.MaxBinaryRead
	if most <= 0 {
		most = maxBinaryRead
	}
	used := map[stamp]content{}
	for i := range list {
		f := &list[i]
		c, err := r.content(f, cache, used, &most)
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		if err != nil {
			r.skip("binaries/"+f.component, "the file "+printable(f.path), err)
		}
		r.facts.Binaries = append(r.facts.Binaries, r.binaryFact(f, c))
	}
	cache.keep(used)
	r.owners()
	r.tools()
	r.versions()
	return nil
}

// installed lists the programs in the usual folders of the node.
func (r *reader) installed() []found {
	var out []found
	seen := map[string]bool{}
	add := func(component, p string) {
		info, err := r.root.Stat(p)
		if err != nil || !info.Mode.IsRegular() || info.Mode.Perm()&0o111 == 0 || seen[component+"\x00"+info.Path] {
			return // the same program through two names of its folder (/bin is /usr/bin)
		}
		seen[component+"\x00"+info.Path] = true
		out = append(out, found{component: component, path: info.Path, info: info, open: func() (*os.File, host.Info, error) { return r.root.Open(p) }})
	}
	for _, pattern := range folders {
		for _, dir := range r.globDirs(pattern) {
			entries, err := r.root.List(dir, 20_000)
			if err != nil {
				continue
			}
			for _, e := range entries {
				if slices.Contains(binaryNames, e.Name) {
					add(e.Name, dir+"/"+e.Name)
				}
			}
		}
	}
	for _, pattern := range pluginFolders {
		for _, dir := range r.globDirs(pattern) {
			entries, _ := r.root.List(dir, 500)
			for _, e := range entries {
				if host.Clean(e.Name) && !e.Type.IsDir() {
					add("cni/"+e.Name, dir+"/"+e.Name)
				}
			}
		}
	}
	return out
}

func (r *reader) globDirs(pattern string) []string {
	if !strings.Contains(pattern, "*") {
		return []string{pattern}
	}
	return r.root.Glob(pattern, 20)
}

// executed adds the programs that run: those of these names by their executables, and what calls itself so.
func (r *reader) executed(list []found) []found {
	if r.procs == nil || !r.procs.Root.IsProc() {
		return list
	}
	type key struct {
		component, container string
		id                   host.ID
	}
	seen := map[key]bool{}
	for _, p := range r.procs.Processes {
		name, claim := programOf(p), p.Title
		component := ""
		switch {
		case p.Container == "" && slices.Contains(binaryNames, name):
			component = name
		case p.Container != "" && slices.Contains(claims, name):
			component = name
		case slices.Contains(claims, claim) && claim != name && !multicall[name]:
			component = claim
		}
		if component == "" {
			continue
		}
		if p.Container != "" && r.foreign(p) {
			r.skip("binaries/"+component, "a container without file systems that a program or another machine serves", errorf("reading from "+printable(r.in(p))+" might never end", errors.ErrUnsupported))
			continue
		}
		open := func() (*os.File, host.Info, error) { return r.procs.Exe(p) }
		file, info, err := open()
		if err != nil {
			r.ofProc("binaries/"+component, "CAP_SYS_PTRACE to read the executables of processes", err)
			continue
		}
		_ = file.Close()
		k := key{component, r.in(p), info.ID}
		if seen[k] {
			continue
		}
		seen[k] = true
		one := found{component: component, path: p.Exe, container: k.container, running: true, info: info, open: open}
		if p.Container == "" {
			at := slices.IndexFunc(list, func(f found) bool { return f.container == "" && f.component == component && f.info.ID == info.ID })
			if at >= 0 {
				list[at].running = true
				continue
			}
			one.replaced = p.Deleted || r.exchanged(p, info)
		} else {
			one.replaced = p.Deleted
		}
		list = append(list, one)
	}
	return list
}

// exchanged reports whether another file lies now where the process was started from.
func (r *reader) exchanged(p *proc.Process, runs host.Info) bool {
	v := r.view(p)
	if !v.own {
		return false
	}
	now, err := v.root.Stat(p.Exe)
	return err == nil && now.ID != runs.ID
}

// content reads a program, or knows it.
func (r *reader) content(f *found, cache *Cache, used map[stamp]content, most *int64) (content, error) {
	key := stamp{f.info.ID, f.info.Size, f.info.MTime, f.info.CTime}
	if c, ok := used[key]; ok {
		return c, nil
	}
	cache.mu.Lock()
	c, ok := cache.known[key]
	cache.mu.Unlock()
	if !ok {
		if f.info.Size > maxBinary || f.info.Size > *most {
			return content{size: f.info.Size}, fmt.Errorf("%w: %d bytes", host.ErrTooLarge, f.info.Size)
		}
		*most -= f.info.Size
		file, info, err := f.open()
		if err != nil {
			return content{size: f.info.Size}, err
		}
		c, err = readProgram(r.ctx, file, path.Base(f.path), info)
		_ = file.Close()
		if err != nil {
			return c, err
		}
	}
	used[key] = c
	return c, nil
}

// readProgram reads a program once: its hash, and what it says of itself. It reads no more than the size that the file had.
func readProgram(ctx context.Context, file io.Reader, base string, info host.Info) (content, error) {
	c := content{size: info.Size}
	head := make([]byte, 512)
	n, err := io.ReadFull(file, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return c, err
	}
	head = head[:n]
	hash := sha256.New()
	_, _ = hash.Write(head)
	var scanner *binary.Scanner
	switch {
	case binary.Wants(base, 0o755, max(info.Size, int64(n)), head):
		scanner = binary.New(base, info.Size)
		_, _ = scanner.Write(head)
	case strings.HasPrefix(string(head), "#!"):
		line, _, _ := strings.Cut(string(head), "\n")
		c.kind = "a script for " + printable(strings.TrimSpace(strings.TrimPrefix(line, "#!")))
	case n < 4 || string(head[:4]) != "\x7fELF":
		c.kind = "no executable of Linux"
	}
	buf := make([]byte, 256<<10)
	left := info.Size - int64(n)
	for left > 0 {
		if ctx.Err() != nil {
			return c, ctx.Err()
		}
		k, err := file.Read(buf[:min(int64(len(buf)), left)])
		left -= int64(k)
		_, _ = hash.Write(buf[:k])
		if scanner != nil {
			_, _ = scanner.Write(buf[:k])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return c, err
		}
	}
	c.sha256 = hex.EncodeToString(hash.Sum(nil))
	if scanner == nil {
		return c, nil
	}
	packages, gaps := scanner.Packages()
	for _, p := range packages {
		switch {
		case p.Type == inventory.Golang && p.Name == "stdlib" && c.gover == "":
			c.gover = p.Version
		case p.Type == inventory.Golang && c.module == "" && (p.Settings["path"] != "" || p.Component != ""):
			c.module, c.component, c.version, c.evidence = p.Name, p.Component, p.Version, evidence(p.Evidence)
		case p.Type == inventory.Generic && c.component == "":
			c.component, c.version, c.evidence = p.Component, p.Version, "strings"
		}
	}
	for _, g := range gaps {
		c.gap = g.Reason
	}
	return c, nil
}

func evidence(s string) string {
	if s == "build info" {
		return "Go build information"
	}
	return s
}

// binaryFact says what a program is.
func (r *reader) binaryFact(f *found, c content) inventory.BinaryFact {
	mode := f.info
	out := inventory.BinaryFact{Component: f.component, Path: printable(f.path), Container: f.container, Running: f.running, Replaced: f.replaced,
		Version: strings.TrimPrefix(printable(c.version), "v"), Go: printable(c.gover), SHA256: c.sha256, Size: c.size, Mode: mode.Bits(), Evidence: c.evidence}
	if c.module != "" {
		out.Module = printable(strings.TrimSuffix(c.module+"@"+c.version, "@"))
	}
	out.Distribution = embedded(out.Path, c)
	out.Genuine = genuine(f, c)
	return out
}

// embedded is the distribution that a program belongs to.
func embedded(p string, c content) string {
	switch {
	case c.component == "k3s", strings.Contains(c.version, "+k3s"), strings.HasPrefix(p, "/var/lib/rancher/k3s/"):
		return "k3s"
	case strings.HasPrefix(c.module, "github.com/rancher/rke2"), strings.Contains(c.version, "+rke2"), strings.HasPrefix(p, "/var/lib/rancher/rke2/"):
		return "rke2"
	case strings.HasPrefix(c.module, "github.com/k0sproject/k0s"), strings.Contains(c.version, "+k0s"), strings.HasPrefix(p, "/var/lib/k0s/"):
		return "k0s"
	case strings.HasPrefix(p, "/snap/microk8s/"):
		return "microk8s"
	case strings.Contains(c.version, "-eks-"), strings.Contains(c.version, "+eks-"), strings.Contains(c.version, "+eks."):
		return "eks"
	case strings.Contains(c.version, "-gke."), strings.Contains(c.version, "+gke."):
		return "gke"
	}
	return ""
}

// genuine says whether a program is what it is called: "yes", "" where nothing tells, or why not.
func genuine(f *found, c content) string {
	if strings.HasPrefix(f.component, "cni/") || c.sha256 == "" {
		return ""
	}
	if c.component == f.component || c.component == "k3s" || c.component == "" && c.kind == "" && slices.Contains(inC, f.component) {
		return "yes"
	}
	for front, list := range modules {
		if !strings.HasPrefix(f.component, front) {
			continue
		}
		for _, m := range list {
			if strings.HasPrefix(c.module, m) {
				return "yes"
			}
		}
	}
	if strings.HasPrefix(c.module, "github.com/rancher/") || strings.HasPrefix(c.module, "github.com/k3s-io/") || strings.HasPrefix(c.module, "github.com/k0sproject/") {
		return "yes"
	}
	base := path.Base(f.path)
	switch {
	case base != f.component && f.running:
		return printable(fmt.Sprintf("it calls itself %s but runs %s", f.component, f.path))
	case c.kind != "":
		return "it is " + c.kind
	case c.module != "":
		return printable("its build information is that of " + c.module)
	case c.component != "":
		return "it is " + printable(c.component)
	case c.gap != "":
		return printable("it cannot be told: " + c.gap)
	case c.gover != "":
		return "" // built without modules, as distributions do: only a package can tell
	}
	return "it has no build information of Go"
}

// tools lists what administrators use.
func (r *reader) tools() {
	for _, b := range r.facts.Binaries {
		if b.Container != "" || b.Replaced || !slices.Contains([]string{"kubectl", "kubeadm", "helm", "crictl", "etcdctl", "etcdutl", "ctr", "nerdctl", "docker", "calicoctl", "cilium"}, b.Component) {
			continue
		}
		t := inventory.ToolFact{Name: b.Component, Path: b.Path}
		if b.Version != "" {
			t.Version = "v" + b.Version
		}
		r.facts.Tools = append(r.facts.Tools, t)
	}
}

// upstream are packages of projects themselves: they hold no fixes that their version does not tell.
var upstream = []string{"containerd.io", "docker-ce", "docker-ce-cli", "cri-o", "kubelet", "cri-tools"}

// versions completes the runtime by its programs.
func (r *reader) versions() {
	f := &r.facts.Runtime
	program := map[string]string{"containerd": "containerd", "cri-o": "crio", "docker": "dockerd"}[f.Name]
	f.Version, f.Runc = r.version(program), r.version("runc")
}

// version is that of what runs, else of the first one on the usual PATH. A distribution's package is named by its own version, which
// tells of fixes that were taken back to it.
func (r *reader) version(component string) string {
	best := -1
	for i, b := range r.facts.Binaries {
		if component == "" || b.Component != component || b.Container != "" || b.Genuine != "yes" && b.Package == "" {
			continue
		}
		if best < 0 || b.Running && !r.facts.Binaries[best].Running {
			best = i
		}
	}
	if best < 0 {
		return ""
	}
	b := r.facts.Binaries[best]
	if name, version, ok := strings.Cut(b.Package, " "); ok && !slices.Contains(upstream, name) && !b.Replaced {
		if _, v, epoch := strings.Cut(version, ":"); epoch {
			version = v
		}
		return version
	}
	return b.Version
}
