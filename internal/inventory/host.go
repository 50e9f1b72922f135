package inventory

// What the agent reads on a node beyond the settings of components. All of it is bounded: at most MaxNodeContainers containers,
// MaxNodeProcesses processes of each, MaxNodeBinaries binaries, MaxDrift executables of each container; what was left out stands in
// NodeFacts.Skipped.
const (
	MaxNodeContainers = 1000
	MaxNodeProcesses  = 500
	MaxNodeBinaries   = 200
	MaxDrift          = 100
)

// KernelFacts is what of the kernel decides about ways out of containers.
type KernelFacts struct {
	Release  string            `json:"release,omitempty"`  // uname -r
	Version  string            `json:"version,omitempty"`  // uname -v; distributions write the package's version into it
	Cmdline  string            `json:"cmdline,omitempty"`  // /proc/cmdline, without values that look like secrets
	Cgroup   string            `json:"cgroup,omitempty"`   // v1, v2 or hybrid
	LSM      []string          `json:"lsm,omitempty"`      // /sys/kernel/security/lsm: lockdown, capability, apparmor, selinux, bpf
	SELinux  string            `json:"selinux,omitempty"`  // enforcing, permissive or disabled
	AppArmor bool              `json:"apparmor,omitempty"` // /sys/module/apparmor/parameters/enabled
	Lockdown string            `json:"lockdown,omitempty"` // none, integrity or confidentiality
	Modules  []string          `json:"modules,omitempty"`  // loaded, sorted
	Blocked  []string          `json:"blocked,omitempty"`  // modules that modprobe.d blacklists or replaces by /bin/true or /bin/false
	Config   map[string]string `json:"config,omitempty"`   // options of /boot/config-* or /proc/config.gz that checks ask for: "CONFIG_USER_NS": "y"
}

// MountFact is a mount of the host's namespace that matters: cgroup hierarchies, the file systems of the runtime's and kubelet's
// folders, proc, sys, tmp and boot.
type MountFact struct {
	Path    string   `json:"path"`
	Type    string   `json:"type"`
	Options []string `json:"options,omitempty"`
}

// BinaryFact is an executable of Kubernetes, a runtime or the network, wherever it lies or runs.
type BinaryFact struct {
	Component    string `json:"component"`              // kubelet, kube-apiserver, etcd, containerd, runc, crictl, cni/<plug-in>, ...
	Path         string `json:"path"`                   // on the host, or inside Container
	Container    string `json:"container,omitempty"`    // "namespace/pod/container" it runs in; "" on the host
	Running      bool   `json:"running,omitempty"`      // by /proc/PID/exe
	Replaced     bool   `json:"replaced,omitempty"`     // the file was exchanged since the process started: Version is of what runs
	Version      string `json:"version,omitempty"`      // "1.34.4": of build information, linker flags or strings, never by executing it
	Distribution string `json:"distribution,omitempty"` // k3s, rke2, k0s, microk8s, ... when the component is embedded in another program
	Go           string `json:"go,omitempty"`           // "go1.25.3"
	Module       string `json:"module,omitempty"`       // main module with its version: "k8s.io/kubernetes@v1.34.4"
	Package      string `json:"package,omitempty"`      // system package that owns it: "containerd 1.6.20~ds1-1+deb12u1"
	SHA256       string `json:"sha256,omitempty"`
	Size         int64  `json:"size,omitempty"`
	Mode         string `json:"mode,omitempty"`     // permission bits in octal, with setuid and setgid: "4755"
	Genuine      string `json:"genuine,omitempty"`  // "yes", or why it only calls itself so: a container that imitates Kubernetes
	Evidence     string `json:"evidence,omitempty"` // what told the version: "Go build information", "package", "string ..."
}

// ContainerFact is a running container as the runtime and the kernel show it.
type ContainerFact struct {
	ID        string             `json:"id"`
	Namespace string             `json:"namespace,omitempty"`
	Pod       string             `json:"pod,omitempty"`
	Container string             `json:"container,omitempty"` // as the pod calls it; the runtime's name outside of pods
	Static    bool               `json:"static,omitempty"`    // of a static pod
	Runtime   string             `json:"runtime,omitempty"`   // containerd, cri-o, docker
	Handler   string             `json:"handler,omitempty"`   // runc, kata, gvisor, ...
	Image     string             `json:"image,omitempty"`     // as it was asked for
	Digest    string             `json:"digest,omitempty"`    // of the manifest that runs in truth, "sha256:..."; "" when the runtime has none
	ImageID   string             `json:"imageId,omitempty"`   // digest of the image's configuration
	Local     bool               `json:"local,omitempty"`     // no registry knows this image: imported or built here
	HostPID   bool               `json:"hostPid,omitempty"`   // namespaces shared with the node, by /proc/PID/ns
	HostNet   bool               `json:"hostNetwork,omitempty"`
	HostIPC   bool               `json:"hostIpc,omitempty"`
	UserNS    bool               `json:"userNamespace,omitempty"` // root in it is not root on the node
	ReadOnly  bool               `json:"readOnlyRoot,omitempty"`
	Processes []ContainerProcess `json:"processes,omitempty"`
	Mounts    []ContainerMount   `json:"mounts,omitempty"` // of the host, writable ones first
	Drift     []DriftFact        `json:"drift,omitempty"`
	// Writable are the bytes and files of the writable layer.
	WritableBytes int64 `json:"writableBytes,omitempty"`
	WritableFiles int64 `json:"writableFiles,omitempty"`
}

// ContainerProcess is a process in a container. Arguments that look like secrets are removed.
type ContainerProcess struct {
	Name    string   `json:"name"`
	Exe     string   `json:"exe,omitempty"` // inside the container
	Args    []string `json:"args,omitempty"`
	UID     int64    `json:"uid"`               // effective, as the node sees it
	Caps    []string `json:"caps,omitempty"`    // effective capabilities beyond the runtime's default set, "CAP_SYS_ADMIN"; "ALL" for all
	Seccomp string   `json:"seccomp,omitempty"` // disabled, strict or filter
	LSM     string   `json:"lsm,omitempty"`     // AppArmor profile or SELinux label: "unconfined", "cri-containerd.apparmor.d (enforce)"
	NoNew   bool     `json:"noNewPrivileges,omitempty"`
	Role    string   `json:"role,omitempty"` // sshd, shell (interactive: it has a terminal or its input is a socket), package-manager, debugger, miner
}

// ContainerMount is a mount of the host in a container.
type ContainerMount struct {
	Source      string `json:"source"` // on the node
	Path        string `json:"path"`   // in the container
	ReadOnly    bool   `json:"readOnly,omitempty"`
	Propagation string `json:"propagation,omitempty"` // shared when mounts travel back to the node
}

// DriftFact is an executable that the container's image does not have: it was written after the start.
type DriftFact struct {
	Path    string `json:"path"`
	Why     string `json:"why"`               // added, changed, deleted (runs, but its file is gone), memory (memfd)
	Running bool   `json:"running,omitempty"` // a process runs it
	SHA256  string `json:"sha256,omitempty"`
	Size    int64  `json:"size,omitempty"`
	Mode    string `json:"mode,omitempty"`
}

// MalwareCheck is SkipFact.Check of a search for malicious files that was not whole: what it did not see may be there all the same.
const MalwareCheck = "malware"

// LocalImagesCheck is SkipFact.Check of an image on a node that was not read.
const LocalImagesCheck = "local-images"

// MalwareFact is a malicious file that the last search on the node saw. The server puts it into the facts: agents report it by itself.
type MalwareFact struct {
	Container string `json:"container,omitempty"` // "namespace/pod/container" whose writable layer has it; "" for an image
	Image     string `json:"image,omitempty"`     // the image that has it, or that the container is of
	Digest    string `json:"digest,omitempty"`
	Path      string `json:"path"`
	Signature string `json:"signature"`      // what the list or the scanner calls it
	By        string `json:"by,omitempty"`   // hash, clamav
	Hash      string `json:"hash,omitempty"` // of the file, where it was known by that
}

// SkipFact is a check that could not run, with what it needs.
type SkipFact struct {
	Check  string `json:"check"` // "kubelet-config", "containers", "emergency/CVE-2024-21626"
	Needs  string `json:"needs"` // "the file /var/lib/kubelet/config.yaml", "the socket of the container runtime", "CAP_SYS_PTRACE"
	Reason string `json:"reason"`
	Code   string `json:"code"` // as in finding.NotScanned: forbidden, unreachable, limit, unsupported, broken, skipped
	// Lacks is what the reader itself has to be given before the check can run; "" where the limit is of what was read.
	Lacks Lack `json:"lacks,omitempty" enum:"files,proc,socket,network"`
}

// Lack is a prerequisite of checks that an agent does not have.
type Lack string

// The prerequisites.
const (
	LacksFiles   Lack = "files"   // the node's files: mounted, and the right to read them
	LacksProc    Lack = "proc"    // the node's processes: its process namespace, and the right to look into others
	LacksRuntime Lack = "socket"  // a container runtime that answers
	LacksNetwork Lack = "network" // the node's own ports
)

// Lacks are all of them.
var Lacks = []Lack{LacksFiles, LacksProc, LacksRuntime, LacksNetwork}
