package inventory

import (
	"path"
	"slices"
)

// opens are folders and sockets of the node that give the node to a container that has them; see NodeFacts.Slim.
var opens = []string{"/", "/etc", "/root", "/proc", "/sys", "/boot", "/usr", "/var", "/var/run", "/run", "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/docker", "/etc/kubernetes",
	"/run/containerd", "/run/crio", "/var/run/containerd", "/var/run/crio"}

// runtimeSockets are where the API of a container runtime is served: who can connect has the node, also through a read-only mount.
var runtimeSockets = []string{"/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock", "/var/run/docker.sock", "/run/docker.sock",
	"/run/crio/crio.sock", "/var/run/crio/crio.sock", "/run/cri-dockerd.sock", "/var/run/cri-dockerd.sock"}

// OpensNode reports whether the mount gives the container its node.
func (m *ContainerMount) OpensNode() bool {
	return slices.Contains(runtimeSockets, m.Source) || !m.ReadOnly && slices.Contains(opens, m.Source)
}

// Slim is what of a node's facts others than its own rules ask for: who it is, which programs run on it, and which containers are no
// border to it. Facts of thousands of nodes are held in this form only.
func (n *NodeFacts) Slim() *NodeFacts {
	out := &NodeFacts{APIVersion: n.APIVersion, Kind: n.Kind, Name: n.Name, OS: n.OS, Roles: n.Roles, Distribution: n.Distribution, Origin: n.Origin,
		Runtime: RuntimeFacts{Name: n.Runtime.Name, Version: n.Runtime.Version, Runc: n.Runtime.Runc}}
	for i := range n.Processes {
		if p := &n.Processes[i]; p.Container == "" && programs[path.Base(p.Name)] != "" {
			out.Processes = append(out.Processes, ProcessFact{Name: p.Name})
		}
	}
	for i := range n.Containers {
		c := &n.Containers[i]
		s := ContainerFact{Namespace: c.Namespace, Pod: c.Pod, Container: c.Container, Static: c.Static, HostPID: c.HostPID, UserNS: c.UserNS}
		for j := range c.Processes {
			if p := &c.Processes[j]; p.UID == 0 && len(p.Caps) > 0 {
				s.Processes = append(s.Processes, ContainerProcess{Name: p.Name, Caps: p.Caps})
				break // the others of the container show the same
			}
		}
		for j := range c.Mounts {
			if m := &c.Mounts[j]; m.OpensNode() {
				s.Mounts = append(s.Mounts, *m)
			}
		}
		if len(s.Processes) > 0 || len(s.Mounts) > 0 {
			out.Containers = append(out.Containers, s)
		}
	}
	return out
}

// Shrink drops of a node's facts what is of no use any more when its own rules have been asked, and the settings of its kubelet and
// kube-proxy with it.
func (c *Cluster) Shrink(node string) {
	n := c.Nodes[node]
	if n == nil {
		return
	}
	c.Nodes[node] = n.Slim()
	known := map[string]bool{} // that there is such a component is still asked for
	c.Components = slices.DeleteFunc(c.Components, func(comp *Component) bool {
		if comp.Source.Kind != "Process" || comp.Name != Kubelet && comp.Name != KubeProxy || comp.Node != node && comp.Flags != nil {
			return false
		}
		comp.Flags, comp.FlagPaths, comp.Config = nil, nil, nil
		again := known[comp.Name]
		known[comp.Name] = true
		return again
	})
}
