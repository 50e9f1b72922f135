package node

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// place is where distributions keep a file of a role. "*" stands for any name.
type place struct {
	role  string
	paths []string
}

// wellKnown are the places of kubeadm, k3s, RKE2, k0s, microk8s, minikube, kubeasz (/etc/kubernetes/ssl, *.kubeconfig) and of nodes
// of cloud providers. What a flag names is looked for beside them.
var wellKnown = []place{
	{"kubelet-config", []string{"/var/lib/kubelet/config.yaml", "/etc/kubernetes/kubelet/kubelet-config.json", "/etc/kubernetes/kubelet/config.json", "/home/kubernetes/kubelet-config.yaml",
		"/etc/kubernetes/kubelet-config.yaml", "/etc/kubernetes/kubelet.config.yaml", "/var/lib/k0s/kubelet-config.yaml", "/var/lib/kubelet/kubelet-config.json", "/etc/rancher/k3s/kubelet.yaml",
		"/var/lib/rancher/rke2/agent/etc/kubelet.conf.d/*", "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/*"}},
	{"kubelet-kubeconfig", []string{"/etc/kubernetes/kubelet.conf", "/etc/kubernetes/kubelet.kubeconfig", "/var/lib/kubelet/kubeconfig", "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
		"/var/lib/rancher/rke2/agent/kubelet.kubeconfig", "/var/lib/k0s/kubelet.conf", "/var/snap/microk8s/current/credentials/kubelet.config", "/home/kubernetes/kubeconfig", "/etc/kubernetes/kubelet-kubeconfig"}},
	{"kube-proxy-kubeconfig", []string{"/etc/kubernetes/proxy.conf", "/etc/kubernetes/kube-proxy.kubeconfig", "/var/lib/kube-proxy/kubeconfig", "/var/lib/kube-proxy/kubeconfig.conf",
		"/var/lib/rancher/k3s/agent/kubeproxy.kubeconfig", "/var/lib/rancher/rke2/agent/kubeproxy.kubeconfig", "/var/snap/microk8s/current/credentials/proxy.config"}},
	{"kubelet-service", []string{"/etc/systemd/system/kubelet.service", "/usr/lib/systemd/system/kubelet.service", "/lib/systemd/system/kubelet.service",
		"/etc/systemd/system/kubelet.service.d/*.conf", "/usr/lib/systemd/system/kubelet.service.d/*.conf"}},
	{"kubeadm-conf", []string{"/etc/kubernetes/kubeadm-config.yaml", "/etc/kubernetes/kubeadm.conf", "/etc/kubernetes/kubeadm.yaml", "/root/kubeadm-config.yaml",
		"/var/tmp/minikube/kubeadm.yaml"}},
	{"cloud-conf", []string{"/etc/kubernetes/azure.json", "/etc/kubernetes/cloud-config", "/etc/kubernetes/cloud.conf", "/etc/kubernetes/cloud_config", "/etc/kubernetes/cloud-config.conf",
		"/etc/kubernetes/qcloud.conf", "/etc/kubernetes/openstack.conf", "/etc/kubernetes/vsphere.conf"}},
	{"admin-conf", []string{"/etc/kubernetes/admin.conf", "/etc/kubernetes/super-admin.conf", "/etc/rancher/k3s/k3s.yaml", "/etc/rancher/rke2/rke2.yaml", "/var/lib/k0s/pki/admin.conf",
		"/var/snap/microk8s/current/credentials/client.config", "/root/.kube/config", "/home/*/.kube/config", "/etc/kubernetes/admin.kubeconfig", "/etc/kubernetes/kubectl.kubeconfig"}},
	{"scheduler-conf", []string{"/etc/kubernetes/scheduler.conf", "/etc/kubernetes/kube-scheduler.kubeconfig", "/var/lib/rancher/k3s/server/cred/scheduler.kubeconfig",
		"/var/lib/rancher/rke2/server/cred/scheduler.kubeconfig", "/var/lib/k0s/pki/scheduler.conf", "/var/snap/microk8s/current/credentials/scheduler.config"}},
	{"controller-manager-conf", []string{"/etc/kubernetes/controller-manager.conf", "/etc/kubernetes/kube-controller-manager.kubeconfig", "/var/lib/rancher/k3s/server/cred/controller.kubeconfig",
		"/var/lib/rancher/rke2/server/cred/controller.kubeconfig", "/var/lib/k0s/pki/ccm.conf", "/var/snap/microk8s/current/credentials/controller.config"}},
	{"client-ca", []string{"/var/lib/rancher/k3s/agent/client-ca.crt", "/var/lib/rancher/rke2/agent/client-ca.crt"}},
	{"etcd-data", []string{"/var/lib/etcd", "/var/lib/rancher/k3s/server/db/etcd", "/var/lib/rancher/rke2/server/db/etcd", "/var/lib/k0s/etcd", "/var/lib/minikube/etcd",
		"/var/snap/microk8s/current/var/kubernetes/backend"}},
	{"pki-dir", []string{"/etc/kubernetes/pki", "/etc/kubernetes/pki/etcd", "/etc/kubernetes/ssl", "/etc/ssl/etcd/ssl", "/etc/etcd/ssl", "/var/lib/rancher/k3s/server/tls", "/var/lib/rancher/rke2/server/tls",
		"/var/lib/k0s/pki", "/var/snap/microk8s/current/certs", "/var/lib/minikube/certs", "/etc/kubernetes/certs"}},
	{"cni-config", []string{"/etc/cni/net.d/*", "/var/lib/rancher/k3s/agent/etc/cni/net.d/*", "/var/lib/rancher/rke2/agent/etc/cni/net.d/*", "/etc/kubernetes/cni/net.d/*"}},
	{"runtime-socket", []string{"/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock", "/run/k0s/containerd.sock", "/var/snap/microk8s/common/run/containerd.sock",
		"/run/crio/crio.sock", "/run/docker.sock", "/run/cri-dockerd.sock", "/run/isulad.sock"}},
}

// wellKnown makes facts of the files at the usual places.
func (r *reader) wellKnown() {
	v := r.view(r.process(inventory.Kubelet)) // a kubelet that has a view of its own has its files there too
	for _, w := range wellKnown {
		for _, pattern := range w.paths {
			paths := []string{pattern}
			if strings.Contains(pattern, "*") {
				paths = r.root.Glob(pattern, 200)
			}
			for _, p := range paths {
				if w.role == "cni-config" && !isNetwork(p) {
					continue
				}
				r.file(w.role, p)
			}
		}
	}
	s := r.facts.Kubelet
	if s == nil {
		return
	}
	r.fileIn(v, "kubelet-kubeconfig", v.at(s.Flags["kubeconfig"]))
	ca := s.Flags["client-ca-file"]
	if ca == "" {
		ca = inventory.Str(s.Config, "authentication", "x509", "clientCAFile")
	}
	r.fileIn(v, "client-ca", v.at(ca))
	r.fileIn(v, "cloud-conf", v.at(s.Flags["cloud-config"]))
	if dir := v.at(s.Flags["cni-conf-dir"]); dir != "" {
		for _, p := range v.root.Glob(dir+"/*", 200) {
			if isNetwork(p) {
				r.fileIn(v, "cni-config", p)
			}
		}
	}
	if k := r.facts.KubeProxy; k != nil {
		p := r.process(inventory.KubeProxy)
		if p == nil || p.Container == "" { // in a pod it has a service account instead
			conf := k.Flags["kubeconfig"]
			if conf == "" {
				conf = inventory.Str(k.Config, "clientConnection", "kubeconfig")
			}
			pv := r.view(p)
			r.fileIn(pv, "kube-proxy-kubeconfig", pv.at(conf))
		}
	}
}

func isNetwork(p string) bool {
	ext := path.Ext(p)
	return ext == ".conf" || ext == ".conflist" || ext == ".json"
}

// file notes a file of the node under its role.
func (r *reader) file(role, p string) bool { return r.fileIn(view{root: r.root}, role, p) }

// fileIn notes a file that a process sees.
func (r *reader) fileIn(v view, role, p string) bool {
	if p == "" {
		return false
	}
	info, err := v.root.Stat(p)
	if v.own && errors.Is(err, fs.ErrNotExist) {
		info, err = r.root.Stat(p)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "not a directory") {
			r.skip("files/"+role, "the file "+printable(p), err)
		}
		return false
	}
	if wantsDir := role == "pki-dir" || role == "etcd-data"; wantsDir != info.Mode.IsDir() {
		return false
	}
	if r.files[role+"\x00"+info.Path] || r.files[role+"\x00"+p] {
		return true
	}
	r.files[role+"\x00"+info.Path], r.files[role+"\x00"+p] = true, true
	mode := info
	mode.Mode &^= fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	r.facts.Files = append(r.facts.Files, inventory.FileFact{Role: role, Path: printable(p), Mode: mode.Bits(), Owner: name(r.users, info.UID), Group: name(r.groups, info.GID)})
	return true
}

// manifest is a static pod on disk.
type manifest struct {
	path      string
	component string
	args      []string
	mounts    map[string]string // folder in the container -> on the node
}

// staticFolders are where kubelets look for static pods when nothing can be asked for the real place.
var staticFolders = []string{"/etc/kubernetes/manifests", "/var/lib/rancher/rke2/agent/pod-manifests", "/var/lib/rancher/k3s/agent/pod-manifests", "/etc/kubelet.d", "/etc/origin/node/pods"}

// manifestRoles are the roles of the components' manifests.
var manifestRoles = map[string]string{inventory.APIServer: "apiserver-manifest", inventory.ControllerManager: "controller-manager-manifest",
	inventory.Scheduler: "scheduler-manifest", inventory.Etcd: "etcd-manifest"}

// staticPods reads the manifests that the kubelet starts by itself.
func (r *reader) staticPods() {
	p := r.process(inventory.Kubelet)
	v := r.view(p)
	folders := slices.Clone(staticFolders)
	if args, ok := r.arguments(inventory.Kubelet, p); ok { // before the settings are facts: static pods tell where files are
		flags := inventory.Flags(args)
		dir := flags["pod-manifest-path"]
		if config, err := r.document(v, v.at(flags["config"])); err == nil && dir == "" {
			dir, _ = config["staticPodPath"].(string)
		}
		if dir = v.at(dir); dir != "" && !slices.Contains(folders, path.Clean(dir)) {
			folders = append(folders, path.Clean(dir))
		}
	}
	for _, dir := range folders {
		in := v
		entries, err := in.root.List(dir, 1000)
		if errors.Is(err, fs.ErrNotExist) && v.own {
			in = view{root: r.root}
			entries, err = in.root.List(dir, 1000)
		}
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				r.skip("files/static-pod", "the folder "+printable(dir), err)
			}
			continue
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name, ".") || e.Type.IsDir() { // as the kubelet does
				continue
			}
			r.manifest(in, dir+"/"+e.Name)
		}
	}
}

func (r *reader) manifest(v view, file string) {
	m := manifest{path: file, mounts: map[string]string{}}
	pod, err := r.document(v, file)
	if err != nil {
		r.skip("files/static-pod", "the file "+printable(file), err)
	}
	spec := inventory.Map(pod, "spec")
	volumes := map[string]string{}
	for _, x := range inventory.List(spec, "volumes") {
		if vol, ok := x.(map[string]any); ok {
			volumes[inventory.Str(vol, "name")] = inventory.Str(vol, "hostPath", "path")
		}
	}
	for _, x := range inventory.List(spec, "containers") {
		c, ok := x.(map[string]any)
		if !ok {
			continue
		}
		line := append(inventory.Strs(c, "command"), inventory.Strs(c, "args")...)
		name, args := inventory.Program(line)
		if name == "" || m.component != "" {
			continue
		}
		m.component, m.args = name, args
		for _, x := range inventory.List(c, "volumeMounts") {
			if mount, ok := x.(map[string]any); ok {
				if on := volumes[inventory.Str(mount, "name")]; on != "" {
					m.mounts[path.Clean(inventory.Str(mount, "mountPath"))] = path.Clean(on)
				}
			}
		}
	}
	role := manifestRoles[m.component]
	if role == "" {
		role = "static-pod"
	}
	r.fileIn(v, role, file)
	r.manifests = append(r.manifests, m)
}

// onNode is where a file of a static pod lies on the node.
func (m *manifest) onNode(p string) string {
	best := ""
	for at := range m.mounts {
		if (p == at || strings.HasPrefix(p, at+"/")) && len(at) > len(best) {
			best = at
		}
	}
	if best == "" {
		return ""
	}
	return path.Join(m.mounts[best], strings.TrimPrefix(p, best))
}

// component is a part of the control plane on this node: its flags, and where its files are.
type component struct {
	name     string
	flags    map[string]string
	view     view
	manifest *manifest // nil: it runs on the host, or its pod is not on disk
}

// find returns a component that runs here, or would by a manifest or unit; nil for none.
func (r *reader) find(name string) *component {
	c := &component{name: name}
	p := r.process(name)
	for i := range r.manifests {
		if r.manifests[i].component == name {
			c.manifest = &r.manifests[i]
		}
	}
	c.view = r.view(p)
	args, ok := r.arguments(name, p)
	switch {
	case ok && (p != nil || c.manifest == nil):
	case c.manifest != nil:
		args = c.manifest.args
	default:
		if data, err := r.root.ReadFile("/var/snap/microk8s/current/args/"+name, maxConfig); err == nil {
			c.flags = inventory.Flags(words(strings.ReplaceAll(string(data), "${SNAP_DATA}", "/var/snap/microk8s/current")))
			return c
		}
		return nil
	}
	c.flags = inventory.Flags(args)
	return c
}

// locate says where to read a file that a flag names, and what it is called on the node.
func (r *reader) locate(c *component, p string) (view, string) {
	if p == "" {
		return c.view, ""
	}
	p = c.view.at(p)
	if c.manifest != nil {
		if on := c.manifest.onNode(p); on != "" {
			if _, err := r.root.Stat(on); err == nil || !c.view.own {
				return view{root: r.root}, on
			}
		}
	}
	return c.view, p
}

// fileFlags are the flags of the control plane that name files.
var fileFlags = []struct {
	flag, role string
	certs      bool
}{
	{"client-ca-file", "pki-cert", true}, {"tls-cert-file", "pki-cert", true}, {"tls-private-key-file", "pki-key", false},
	{"etcd-cafile", "pki-cert", true}, {"etcd-certfile", "pki-cert", true}, {"etcd-keyfile", "pki-key", false},
	{"kubelet-client-certificate", "pki-cert", true}, {"kubelet-client-key", "pki-key", false}, {"kubelet-certificate-authority", "pki-cert", true},
	{"proxy-client-cert-file", "pki-cert", true}, {"proxy-client-key-file", "pki-key", false}, {"requestheader-client-ca-file", "pki-cert", true},
	{"service-account-signing-key-file", "pki-key", false}, {"service-account-private-key-file", "pki-key", false},
	{"cluster-signing-cert-file", "pki-cert", true}, {"cluster-signing-key-file", "pki-key", false}, {"root-ca-file", "pki-cert", true},
	{"cert-file", "pki-cert", true}, {"key-file", "pki-key", false}, {"peer-cert-file", "pki-cert", true}, {"peer-key-file", "pki-key", false},
	{"trusted-ca-file", "pki-cert", true}, {"peer-trusted-ca-file", "pki-cert", true}, {"cloud-config", "cloud-conf", false},
}

// controlPlane reads the files that the components on this node are told to use.
func (r *reader) controlPlane() {
	for _, name := range []string{inventory.APIServer, inventory.ControllerManager, inventory.Scheduler, inventory.Etcd} {
		c := r.find(name)
		if c == nil {
			continue
		}
		r.differs(c)
		for _, f := range fileFlags {
			v, p := r.locate(c, c.flags[f.flag])
			if p == "" {
				continue
			}
			r.fileIn(v, f.role, p)
			if f.certs {
				r.certificate(v, p)
			}
		}
		switch name {
		case inventory.ControllerManager, inventory.Scheduler:
			role := map[string]string{inventory.ControllerManager: "controller-manager-conf", inventory.Scheduler: "scheduler-conf"}[name]
			v, p := r.locate(c, c.flags["kubeconfig"])
			if p != "" {
				r.fileIn(v, role, p)
				r.certificate(v, p)
			}
		case inventory.Etcd:
			v, p := r.locate(c, c.flags["data-dir"])
			if p == "" { // etcd's own default, or its environment
				p = r.etcdData(c)
			}
			if p != "" {
				r.fileIn(v, "etcd-data", p)
			}
		case inventory.APIServer:
			r.apiServer(c)
		}
	}
	if r.find(inventory.APIServer) == nil && r.process("k3s") != nil {
		r.skip("apiserver", "a process of its own", errorf("k3s runs the API server inside its own program: the flags that it gives to it cannot be read", errors.ErrUnsupported))
	}
}

// differs notes the flags that a component runs with otherwise than its manifest says.
func (r *reader) differs(c *component) {
	p := r.process(c.name)
	if p == nil || p.Container == "" || c.manifest == nil {
		return
	}
	want, list := inventory.Flags(c.manifest.args), []string(nil)
	for k, v := range c.flags {
		if old, ok := want[k]; !ok || old != v && !strings.Contains(old, "$(") { // the kubelet puts variables in
			list = append(list, printable(k))
		}
	}
	for k := range want {
		if _, ok := c.flags[k]; !ok {
			list = append(list, printable(k))
		}
	}
	slices.Sort(list)
	for i := range r.facts.Processes {
		f := &r.facts.Processes[i]
		if f.Name == c.name && f.Container == r.in(p) && slices.Equal(f.Args, maskArgs(p.Args)) {
			f.Differs = list
		}
	}
}

// etcdData is the folder that etcd uses without the flag.
func (r *reader) etcdData(c *component) string {
	if p := r.process(inventory.Etcd); p != nil {
		env := r.procs.Environment(p, func(name string) bool { return name == "ETCD_DATA_DIR" })
		return env["ETCD_DATA_DIR"]
	}
	if u := r.unitOf(inventory.Etcd); u != nil {
		for _, f := range u.values["EnvironmentFile"] {
			if data, err := r.root.ReadFile(strings.TrimPrefix(f, "-"), maxConfig); err == nil {
				return assignments(string(data))["ETCD_DATA_DIR"]
			}
		}
	}
	return ""
}

// reasoned is an error with a text of its own and the kind of another.
type reasoned struct {
	text string
	kind error
}

func errorf(text string, kind error) error { return reasoned{text, kind} }
func (e reasoned) Error() string           { return e.text }
func (e reasoned) Unwrap() error           { return e.kind }
