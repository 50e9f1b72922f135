package inventory

// NodeFacts is what was read on one node. The agent and snapshots (nodes/<name>.json) bring it; rules with `over: node`
// see its JSON form as `node`. As a rule case it is a YAML document with apiVersion stockade.dev/v1, kind NodeFacts.
type NodeFacts struct {
	APIVersion string            `json:"apiVersion"` // stockade.dev/v1
	Kind       string            `json:"kind"`       // NodeFacts
	Name       string            `json:"name"`
	OS         OSFacts           `json:"os"`
	Files      []FileFact        `json:"files,omitempty"`
	Processes  []ProcessFact     `json:"processes,omitempty"`
	Kubelet    *Settings         `json:"kubelet,omitempty"`
	KubeProxy  *Settings         `json:"kubeProxy,omitempty"`
	Sysctls    map[string]string `json:"sysctls,omitempty"`
	Services   []ServiceFact     `json:"services,omitempty"` // system services
	Runtime    RuntimeFacts      `json:"runtime"`
	Certs      []CertFact        `json:"certificates,omitempty"`
	Listening  []ListenFact      `json:"listening,omitempty"`
	Origin     Origin            `json:"-"`
}

// OSFacts is the operating system, in the terms of os-release(5).
type OSFacts struct {
	ID        string `json:"id,omitempty"`
	VersionID string `json:"versionId,omitempty"`
	Name      string `json:"name,omitempty"`
	Kernel    string `json:"kernel,omitempty"`
	Arch      string `json:"arch,omitempty"`
}

// FileFact is one file whose owner and mode matter. Role says what it is whatever path the distribution gives it:
// apiserver-manifest, controller-manager-manifest, scheduler-manifest, etcd-manifest, cni-config, etcd-data, admin-conf,
// scheduler-conf, controller-manager-conf, kubelet-service, kube-proxy-kubeconfig, kubelet-kubeconfig, client-ca,
// kubelet-config, pki-dir, pki-cert, pki-key, kubeadm-conf, cloud-conf, encryption-config, audit-policy, audit-log,
// runtime-socket.
type FileFact struct {
	Role  string `json:"role"`
	Path  string `json:"path"`
	Mode  string `json:"mode"` // permission bits in octal, four digits: "0600"
	Owner string `json:"owner"`
	Group string `json:"group"`
}

// ProcessFact is a running process of interest.
type ProcessFact struct {
	Name string   `json:"name"`
	Args []string `json:"args,omitempty"`
	User string   `json:"user,omitempty"`
	// Container is the container it runs in; "" on the host.
	Container string `json:"container,omitempty"`
}

// Settings is a component's flags and configuration file.
type Settings struct {
	Flags  map[string]string `json:"flags,omitempty"`
	Config map[string]any    `json:"config,omitempty"`
}

// ServiceFact is a system service.
type ServiceFact struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	Active  bool   `json:"active"`
}

// RuntimeFacts is the container runtime.
type RuntimeFacts struct {
	Name    string `json:"name,omitempty"` // containerd, cri-o or docker
	Version string `json:"version,omitempty"`
	Runc    string `json:"runc,omitempty"`
}

// CertFact is a certificate found on disk.
type CertFact struct {
	Path         string   `json:"path"`
	Subject      string   `json:"subject"`
	Organization []string `json:"organization,omitempty"`
	Issuer       string   `json:"issuer,omitempty"`
	NotAfter     string   `json:"notAfter,omitempty"` // RFC 3339
	KeyBits      int      `json:"keyBits,omitempty"`
	DaysLeft     int      `json:"daysLeft"` // at the time the facts were read
}

// ListenFact is a listening socket on the node.
type ListenFact struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
	Process string `json:"process,omitempty"`
}
