package node

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// roles says what the node is, by what runs there or would run.
func (r *reader) roles() {
	f := r.facts
	add := func(role string) {
		if !slices.Contains(f.Roles, role) {
			f.Roles = append(f.Roles, role)
		}
	}
	if r.find(inventory.APIServer) != nil || r.server() {
		add("control-plane")
	}
	if slices.ContainsFunc(f.Files, func(x inventory.FileFact) bool { return x.Role == "etcd-data" }) || r.process(inventory.Etcd) != nil {
		add("etcd")
	}
	if f.Kubelet != nil {
		add("worker")
	}
	slices.Sort(f.Roles)
	f.Distribution = r.distribution()
}

// server reports whether k3s or another program runs a control plane inside itself.
func (r *reader) server() bool {
	for _, name := range []string{"k3s", "k0s"} {
		if p := r.process(name); p != nil && slices.ContainsFunc(p.Args, func(a string) bool { return a == "server" || a == "controller" }) {
			return true
		}
	}
	if r.procs == nil {
		_, err := r.root.Stat("/var/lib/rancher/k3s/server/tls")
		return err == nil
	}
	return false
}

// distribution is told by files that only it has.
func (r *reader) distribution() string {
	for _, d := range []struct {
		name  string
		paths []string
	}{
		{"rke2", []string{"/var/lib/rancher/rke2/agent"}},
		{"k3s", []string{"/var/lib/rancher/k3s/agent", "/var/lib/rancher/k3s/server"}},
		{"k0s", []string{"/var/lib/k0s/pki", "/var/lib/k0s/bin"}},
		{"microk8s", []string{"/var/snap/microk8s/current"}},
		{"minikube", []string{"/var/lib/minikube/certs"}},
		{"eks", []string{"/etc/eks"}},
		{"gke", []string{"/home/kubernetes/kubelet-config.yaml"}},
		{"aks", []string{"/etc/kubernetes/azure.json"}},
		{"openshift", []string{"/etc/kubernetes/static-pod-resources", "/etc/machine-config-daemon"}},
		{"kubeasz", []string{"/opt/kube/bin/kubelet"}},
		{"sealos", []string{"/var/lib/sealos"}},
		{"cce", []string{"/opt/cloud/cce"}},
		{"kubeadm", []string{"/var/lib/kubelet/kubeadm-flags.env", "/etc/kubernetes/kubeadm-config.yaml", "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
			"/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"}},
	} {
		for _, p := range d.paths {
			if _, err := r.root.Stat(p); err == nil {
				return d.name
			}
		}
	}
	switch id := r.facts.OS.ID; {
	case id == "talos", id == "bottlerocket":
		return id
	case strings.HasPrefix(id, "flatcar"):
		return ""
	}
	return ""
}
