package node

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/collect/node/proc"
	"stockade.dev/stockade/internal/inventory"
)

// interesting are programs whose processes are facts: components, runtimes, and servers that let people in.
var interesting = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubelite", "etcd", "k3s", "rke2", "k0s",
	"containerd", "dockerd", "crio", "isulad", "cri-dockerd", "sshd", "dropbear", "telnetd", "in.telnetd", "rshd", "kubectl", "cloud-controller-manager"}

// loginServers are looked for in containers too: rules on processes ask for them.
var loginServers = []string{"sshd", "dropbear", "telnetd", "in.telnetd"}

func (r *reader) processes() {
	if r.procs == nil {
		return
	}
	seen := map[string]bool{}
	for _, p := range r.procs.Processes {
		name := programOf(p)
		if !slices.Contains(interesting, name) || p.Container != "" && !r.speaks(p, name) {
			continue
		}
		f := inventory.ProcessFact{Name: printable(name), Args: maskArgs(p.Args), User: userName(r, p.UID), Container: r.in(p)}
		if slices.Contains(loginServers, name) { // a process for each session: their titles tell who is signed in
			if f.Args = nil; len(p.Args) > 0 && strings.HasPrefix(p.Args[0], "/") {
				f.Args = maskArgs(p.Args)
			}
		}
		key := f.Container + "\x00" + f.Name + "\x00" + strings.Join(f.Args, "\x00")
		if seen[key] {
			continue
		}
		seen[key] = true
		r.facts.Processes = append(r.facts.Processes, f)
	}
	for i := range r.facts.Containers { // by their roles, whatever their executables are called
		c := &r.facts.Containers[i]
		for _, p := range c.Processes {
			key := r.names[c.ID] + "\x00sshd"
			if p.Role != "sshd" || slices.ContainsFunc(r.facts.Processes, func(f inventory.ProcessFact) bool {
				return f.Container == r.names[c.ID] && slices.Contains(loginServers, f.Name)
			}) || seen[key] {
				continue
			}
			seen[key] = true
			r.facts.Processes = append(r.facts.Processes, inventory.ProcessFact{Name: "sshd", User: userName(r, p.UID), Container: r.names[c.ID]})
		}
	}
}

// speaks says which processes in containers are facts: servers that let people in, and components that may be the node's own.
func (r *reader) speaks(p *proc.Process, name string) bool {
	return slices.Contains(loginServers, name) || r.genuinePod(p)
}

func userName(r *reader, id int64) string { return name(r.users, id) }
