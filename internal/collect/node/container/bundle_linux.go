package container

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// bundleFolders are where containerd keeps the bundles of running containers, on the node.
var bundleFolders = []string{"/run/containerd/io.containerd.runtime.v2.task", "/run/k3s/containerd/io.containerd.runtime.v2.task", "/run/k0s/containerd/io.containerd.runtime.v2.task",
	"/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task", "/run/docker/containerd/daemon/io.containerd.runtime.v2.task"}

// bundled is what a bundle's specification tells. Its environment is not looked at.
type bundled struct {
	Annotations map[string]string `json:"annotations"`
	Root        struct {
		Readonly bool `json:"readonly"`
	} `json:"root"`
}

// naming tells which pod a container is of when no runtime answers: bundles of containerd, then the kubelet's links to logs.
type naming struct {
	root string
	logs map[string][3]string // id -> pod, namespace, container
}

func newNaming(root string) *naming {
	n := &naming{root: root, logs: map[string][3]string{}}
	at, err := onNode(root, "/var/log/containers")
	if err != nil {
		return n
	}
	dir, err := os.Open(at)
	if err != nil {
		return n
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(20_000) // what is beyond stays without a name
	for _, name := range names {
		pod, namespace, container, id, ok := logName(name)
		if ok {
			n.logs[id] = [3]string{pod, namespace, container}
		}
	}
	return n
}

// logName reads "POD_NAMESPACE_CONTAINER-ID.log". None of the names has an underscore.
func logName(name string) (pod, namespace, container, id string, ok bool) {
	parts := strings.Split(strings.TrimSuffix(name, ".log"), "_")
	if len(parts) != 3 {
		return "", "", "", "", false
	}
	i := strings.LastIndexByte(parts[2], '-')
	if i <= 0 || !hexID(parts[2][i+1:]) {
		return "", "", "", "", false
	}
	return parts[0], parts[1], parts[2][:i], parts[2][i+1:], true
}

// name fills in what is known of a container; sandbox says that it is a pod's own.
func (n *naming) name(f *found) (isSandbox bool) {
	for _, dir := range bundleFolders {
		at, err := onNode(n.root, dir)
		if err != nil {
			continue
		}
		spaces, err := os.ReadDir(at)
		if err != nil {
			continue
		}
		for _, space := range spaces[:min(len(spaces), mostNamespaces)] {
			data, err := document(n.root, path.Join(dir, space.Name(), f.ID, "config.json"), mostDocument)
			if err != nil {
				continue
			}
			var b bundled
			if json.Unmarshal(data, &b) != nil {
				continue
			}
			a := b.Annotations
			f.Runtime = "containerd"
			if space.Name() == "moby" {
				f.Runtime = "docker"
			}
			if a["io.kubernetes.cri.container-type"] == "sandbox" {
				return true
			}
			f.Namespace, f.Pod, f.Container = clean(a["io.kubernetes.cri.sandbox-namespace"]), clean(a["io.kubernetes.cri.sandbox-name"]), clean(a["io.kubernetes.cri.container-name"])
			f.Image, f.sandbox, f.ReadOnly = clean(a["io.kubernetes.cri.image-name"]), a["io.kubernetes.cri.sandbox-id"], b.Root.Readonly
			if uid := a["io.kubernetes.cri.sandbox-uid"]; uid != "" {
				f.podUID = uid
			}
		}
	}
	if l, ok := n.logs[f.ID]; ok && f.Pod == "" {
		f.Pod, f.Namespace, f.Container = clean(l[0]), clean(l[1]), clean(l[2])
	}
	if f.Container == "" {
		f.Container = f.ID
	}
	return false
}

// bundlePID is the process that containerd's shim wrote down as a container's first; 0 when there is none.
func (n *naming) bundlePID(id string) int {
	for _, dir := range bundleFolders {
		at, err := onNode(n.root, dir)
		if err != nil {
			continue
		}
		matches, _ := filepath.Glob(filepath.Join(at, "*", id, "init.pid"))
		for _, m := range matches {
			if data, err := document("/", m, 64); err == nil {
				return atoi(strings.TrimSpace(string(data)))
			}
		}
	}
	return 0
}
