package analyze

import (
	"path"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// escapeCapabilities each suffice to leave the container (capabilities(7)). SYS_PTRACE and BPF are not among them: the
// first takes the host's processes, the second PERFMON to reach what is outside.
var escapeCapabilities = []string{"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH"}

// runtimePaths are the sockets of container runtimes and the directories above them; "/" stands for all.
var runtimePaths = []string{"/", "/var", "/var/run", "/run", "/var/run/docker.sock", "/run/docker.sock", "/run/containerd", "/run/containerd/containerd.sock",
	"/var/run/containerd", "/var/run/containerd/containerd.sock", "/var/run/crio", "/var/run/crio/crio.sock", "/run/crio", "/run/crio/crio.sock", "/etc", "/root",
	"/var/lib", "/var/lib/kubelet", "/etc/kubernetes", "/proc", "/dev"}

// Escape is one setting by which a workload's pods can take over their node.
type Escape struct {
	Container string // "" for settings of the whole pod
	Path      string // within the workload's object
	Value     string
	Text      finding.Text
}

// Escapes says by what a workload's pods can take over their node while they run. Init containers are gone by then;
// sidecars are not.
func Escapes(w *inventory.Workload) []Escape {
	if w.HostUsers != nil && !*w.HostUsers {
		return nil // root in the pod is nobody on the node
	}
	var out []Escape
	running := slices.DeleteFunc(slices.Clone(w.Containers), func(c inventory.Container) bool { return c.Type == inventory.TypeInit })
	for i := range running {
		c := &running[i]
		if c.Privileged {
			out = append(out, Escape{c.Name, inventory.JoinPath(c.Path, "securityContext.privileged"), "true",
				say("container %s is privileged", "容器 %s 为特权容器", c.Name)})
			continue
		}
		for _, name := range strongCapabilities(c, w.HostPID) {
			out = append(out, Escape{c.Name, inventory.JoinPath(c.Path, "securityContext.capabilities.add"), name,
				say("container %s has %s", "容器 %s 拥有 %s", c.Name, name)})
		}
	}
	for i := range w.Volumes {
		if at := takeoverPath(w, &w.Volumes[i], running); at != "" {
			out = append(out, Escape{"", inventory.JoinPath(w.Volumes[i].Path, "hostPath.path"), at,
				say("it mounts %s of the node", "挂载了节点目录 %s", at)})
		}
	}
	if i := slices.IndexFunc(running, mayBeRoot); w.HostPID && i >= 0 {
		text := say("it sees the node's processes as root", "以 root 身份可见节点上的全部进程")
		if running[i].RunAsUser == nil {
			text = say("it sees the node's processes and is not kept from running as root", "可见节点上的全部进程，且未限制以 root 身份运行")
		}
		out = append(out, Escape{running[i].Name, podPath(w, "spec.hostPID"), "true", text})
	}
	return out
}

// escapes is Escapes in words.
func escapes(w *inventory.Workload) []finding.Text {
	var out []finding.Text
	for _, e := range Escapes(w) {
		out = append(out, e.Text)
	}
	return out
}

// strongCapabilities returns those of a container's added capabilities that open the node.
func strongCapabilities(c *inventory.Container, hostPID bool) []string {
	var added, out []string
	for _, name := range c.CapAdd {
		added = append(added, strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
	}
	for _, name := range added {
		switch {
		case slices.Contains(escapeCapabilities, name):
			out = append(out, name)
		case name == "SYS_PTRACE" && hostPID:
			out = append(out, "SYS_PTRACE with hostPID")
		case name == "BPF" && slices.Contains(added, "PERFMON"):
			out = append(out, "BPF with PERFMON")
		}
	}
	return out
}

// mayBeRoot: without runAsUser the image decides.
func mayBeRoot(c inventory.Container) bool { return c.RunAsUser == nil || *c.RunAsUser == 0 }

// takeoverPath returns the path of the node that a volume hands to a running container in a way that takes the node
// over: a runtime's socket however it is mounted, a sensitive directory when the container can write there, or is root and
// finds credentials or a socket in it. "" when there is none.
func takeoverPath(w *inventory.Workload, v *inventory.Volume, running []inventory.Container) string {
	if v.HostPath == "" {
		return ""
	}
	mounted := false
	for i := range w.Containers {
		mounted = mounted || slices.ContainsFunc(w.Containers[i].Mounts, func(m inventory.Mount) bool { return m.Volume == v.Name })
	}
	if !mounted { // an ephemeral container can still mount it as it likes
		if at := path.Clean(v.HostPath); slices.Contains(runtimePaths, at) {
			return v.HostPath
		}
		return ""
	}
	for _, c := range running {
		for _, m := range c.Mounts {
			at := path.Clean(v.HostPath)
			if m.Volume == v.Name && !strings.Contains(m.SubPath, "$(") {
				at = path.Join(at, m.SubPath)
			}
			if m.Volume != v.Name || !slices.Contains(runtimePaths, at) {
				continue
			}
			// What root can read of /proc and /dev of the node does not hand it over.
			readable := mayBeRoot(c) && at != "/proc" && at != "/dev"
			if strings.HasSuffix(at, ".sock") || !m.ReadOnly || readable {
				return at
			}
		}
	}
	return ""
}
