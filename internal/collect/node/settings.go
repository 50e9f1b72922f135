package node

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/collect/node/host"
	"stockade.dev/stockade/internal/collect/node/proc"
	"stockade.dev/stockade/internal/inventory"
)

// multicall are programs that are several, by their first argument or by the name they are called by.
var multicall = map[string]bool{"hyperkube": true, "busybox": true, "toybox": true, "kubelite": true, "containerd-shim": true}

// hyperkube has short names of its commands.
var hyperkube = map[string]string{"apiserver": inventory.APIServer, "controller-manager": inventory.ControllerManager, "scheduler": inventory.Scheduler,
	"proxy": inventory.KubeProxy}

// programOf is the name of the program that a process is, by its executable and not by what it calls itself.
func programOf(p *proc.Process) string {
	if !multicall[p.Name] {
		return p.Name
	}
	if p.Title != "" && p.Title != p.Name {
		return p.Title
	}
	if len(p.Args) > 1 && p.Name == "hyperkube" {
		if name := hyperkube[p.Args[1]]; name != "" {
			return name
		}
		return p.Args[1]
	}
	return p.Name
}

// view is the file system that a process sees, and its working directory.
type view struct {
	root *host.Root
	dir  string
	own  bool // it is that of the process; else the node's
}

// view opens the files of a process: those of its mount namespace where that can be seen.
func (r *reader) view(p *proc.Process) view {
	v := view{root: r.root, dir: "/"}
	if p == nil || r.procs == nil {
		return v
	}
	if known, ok := r.views[p.PID]; ok {
		return known
	}
	defer func() { r.views[p.PID] = v }()
	if dir := r.procs.Dir(p); dir != "" {
		v.dir = dir
	}
	if p.Container != "" && r.foreign(p) {
		return v
	}
	if root, err := r.procs.Files(p); err == nil {
		r.roots = append(r.roots, root)
		v.root, v.own = root, true
	}
	return v
}

// foreign reports whether a container has file systems that a program or another machine serves: reading from them may never end.
// What cannot be told counts as such.
func (r *reader) foreign(p *proc.Process) bool {
	text, err := r.procs.Root.ReadFile(strconv.Itoa(p.PID)+"/mountinfo", 16<<20)
	if err != nil {
		return true
	}
	for _, m := range proc.Mounts(string(text)) {
		switch kind, _, _ := strings.Cut(m.Type, "."); kind {
		case "fuse", "fuseblk", "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "virtiofs", "lustre", "glusterfs", "afs", "autofs", "coda", "orangefs":
			return true
		}
	}
	return false
}

// at makes a path of a flag or a configuration absolute.
func (v view) at(p string) string {
	if p == "" || strings.HasPrefix(p, "/") {
		return p
	}
	return path.Join(v.dir, p)
}

// arguments are those of a component: of the process, or of what its unit would start.
func (r *reader) arguments(name string, p *proc.Process) (args []string, ok bool) {
	if p != nil && len(p.Args) > 0 {
		if n, args := inventory.Program(p.Args); n == name {
			return args, true
		}
		return p.Args[1:], true
	}
	u := r.unitOf(name)
	if u == nil {
		return nil, false
	}
	line := r.command(u)
	if n, args := inventory.Program(line); n == name {
		return args, true
	}
	if len(line) > 0 {
		return line[1:], true
	}
	return nil, false
}

// kubeletKind is the kind of the kubelet's configurations.
const kubeletKind = "KubeletConfiguration"

// kubelet reads flags and configuration as the kubelet joins them: file, then drop-ins, and flags beside.
func (r *reader) kubelet() {
	p := r.process(inventory.Kubelet)
	args, ok := r.arguments(inventory.Kubelet, p)
	v := r.view(p)
	if !ok {
		if args, v, ok = r.embeddedKubelet(); !ok {
			if r.procs != nil || r.root != nil {
				r.skip("kubelet", "a running kubelet, or its systemd unit", errAbsent)
			}
			return
		}
	}
	if p != nil && p.Container != "" && !v.own {
		r.lacks(inventory.LacksProc, "kubelet", "CAP_SYS_PTRACE to see the files of its container", errAbsent)
	}
	s := &inventory.Settings{Flags: flagFacts(inventory.Flags(args))}
	r.facts.Kubelet = s
	if file := v.at(s.Flags["config"]); file != "" {
		r.fileIn(v, "kubelet-config", file)
		config, err := r.configuration(v, file, kubeletKind)
		if err != nil {
			r.skip("kubelet", "the file "+printable(file), err)
		}
		s.Config = config
	}
	if dir := v.at(s.Flags["config-dir"]); dir != "" {
		r.configDir(v, dir, s)
	}
	if m, ok := s.Config["staticPodURLHeader"]; ok && m != nil {
		s.Config["staticPodURLHeader"] = hidden // may hold credentials
	}
}

// configDir merges the drop-ins of a folder, by name, over the configuration: maps join, all else is replaced.
func (r *reader) configDir(v view, dir string, s *inventory.Settings) {
	entries, err := v.root.List(dir, 1000)
	if err != nil {
		r.skip("kubelet", "the folder "+printable(dir), err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name, ".conf") {
			continue
		}
		file := dir + "/" + e.Name
		config, err := r.configuration(v, file, kubeletKind)
		if err != nil {
			r.skip("kubelet", "the file "+printable(file), err)
			continue
		}
		r.fileIn(v, "kubelet-config", file)
		if s.Config == nil {
			s.Config = map[string]any{}
		}
		merge(s.Config, config)
	}
}

func merge(to, from map[string]any) {
	for k, v := range from {
		below, ok := v.(map[string]any)
		old, was := to[k].(map[string]any)
		switch {
		case ok && was:
			merge(old, below)
		case v == nil:
			delete(to, k)
		default:
			to[k] = v
		}
	}
}

// embeddedKubelet finds the settings of a kubelet that is part of another program: k3s writes a folder of drop-ins, microk8s a file
// of arguments.
func (r *reader) embeddedKubelet() (args []string, v view, ok bool) {
	for _, c := range []struct{ program, dir string }{{"k3s", "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d"}} {
		p := r.process(c.program)
		v = r.view(p)
		if _, err := v.root.Stat(c.dir); err != nil {
			continue
		}
		args = []string{"--config-dir=" + c.dir}
		return append(args, r.k3sArgs(v, p, "kubelet")...), v, true
	}
	if p := r.process("kubelite"); p != nil {
		v = r.view(p)
	} else {
		v = r.view(nil)
	}
	data, err := v.root.ReadFile("/var/snap/microk8s/current/args/kubelet", maxConfig)
	if err != nil {
		return nil, v, false
	}
	snap := strings.NewReplacer("${SNAP_DATA}", "/var/snap/microk8s/current", "${SNAP_COMMON}", "/var/snap/microk8s/common", "${SNAP}", "/snap/microk8s/current",
		"$SNAP_DATA", "/var/snap/microk8s/current", "$SNAP_COMMON", "/var/snap/microk8s/common", "$SNAP", "/snap/microk8s/current")
	return words(snap.Replace(string(data))), v, true
}

// k3sArgs are the arguments that k3s is told to give to a component: --kubelet-arg of its command line and its configuration files.
func (r *reader) k3sArgs(v view, p *proc.Process, component string) []string {
	var given []string
	files := []string{"/etc/rancher/k3s/config.yaml"}
	if list, err := v.root.List("/etc/rancher/k3s/config.yaml.d", 1000); err == nil {
		for _, e := range list {
			files = append(files, "/etc/rancher/k3s/config.yaml.d/"+e.Name)
		}
	}
	for _, f := range files {
		config, err := r.document(v, f)
		if err != nil {
			continue
		}
		switch list := config[component+"-arg"].(type) {
		case []any:
			for _, a := range list {
				given = append(given, fmt.Sprint(a))
			}
		case string:
			given = append(given, list)
		}
	}
	if p != nil {
		for i, a := range p.Args {
			if rest, ok := strings.CutPrefix(a, "--"+component+"-arg"); ok {
				if value, ok := strings.CutPrefix(rest, "="); ok {
					given = append(given, value)
				} else if rest == "" && i+1 < len(p.Args) {
					given = append(given, p.Args[i+1])
				}
			}
		}
	}
	for i, g := range given {
		given[i] = "--" + strings.TrimLeft(g, "-")
	}
	return given
}

// proxyFlags are what kube-proxy takes from its command line even with a configuration file.
var proxyFlags = []string{"config", "hostname-override", "v", "vmodule", "logging-format", "cleanup", "write-config-to", "init-only"}

func (r *reader) kubeProxy() {
	p := r.process(inventory.KubeProxy)
	args, ok := r.arguments(inventory.KubeProxy, p)
	if !ok {
		return // many networks do without
	}
	v := r.view(p)
	s := &inventory.Settings{Flags: flagFacts(inventory.Flags(args))}
	r.facts.KubeProxy = s
	file := v.at(s.Flags["config"])
	if file == "" {
		return
	}
	if p != nil && p.Container != "" && !v.own {
		r.lacks(inventory.LacksProc, "kubeProxy", "CAP_SYS_PTRACE to see the files of its container", errAbsent)
		return
	}
	config, err := r.configuration(v, file, "KubeProxyConfiguration")
	if err != nil {
		r.skip("kubeProxy", "the file "+printable(file), err)
		return
	}
	s.Config = config
	for k := range s.Flags {
		if !slices.Contains(proxyFlags, k) {
			delete(s.Flags, k) // kube-proxy does not look at them
		}
	}
}

// flagFacts hides what looks like a secret.
func flagFacts(flags map[string]string) map[string]string {
	out := make(map[string]string, len(flags))
	for k, v := range flags {
		word := maskWord("--" + printable(k) + "=" + printable(v))
		key, value, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		out[key] = value
	}
	return out
}

// configuration reads a document of a kind, and nothing else: a process that calls itself a component can name any file of the node as
// its configuration, and facts hold all of it. Components take no document without its kind either.
func (r *reader) configuration(v view, file, kind string) (map[string]any, error) {
	doc, err := r.document(v, file)
	if err == nil && doc["kind"] != kind {
		return nil, errorf("it is no "+kind, fs.ErrInvalid)
	}
	return doc, err
}

// document reads a YAML or JSON map.
func (r *reader) document(v view, file string) (map[string]any, error) {
	data, err := v.root.ReadFile(file, maxConfig)
	if err != nil {
		return nil, err
	}
	return decode(data)
}

func decode(data []byte) (map[string]any, error) {
	text, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, fmt.Errorf("it is no YAML: %.200s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("it is no map: %w", err)
	}
	return out, nil
}
