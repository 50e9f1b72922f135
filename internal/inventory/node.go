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
	Tools      []ToolFact        `json:"tools,omitempty"`
	Encryption *EncryptionFact   `json:"encryption,omitempty"` // control-plane nodes with an encryption configuration
	// AuditPolicy is the policy file of the API server (audit.k8s.io Policy) as JSON.
	AuditPolicy map[string]any `json:"auditPolicy,omitempty"`

	ReadAt       string          `json:"readAt,omitempty"`       // RFC 3339
	Roles        []string        `json:"roles,omitempty"`        // control-plane, etcd, worker: by what runs there
	Distribution string          `json:"distribution,omitempty"` // k3s, rke2, kubeadm, ...; "" when unknown
	Kernel       *KernelFacts    `json:"kernel,omitempty"`
	Mounts       []MountFact     `json:"mounts,omitempty"`
	Binaries     []BinaryFact    `json:"binaries,omitempty"`
	Containers   []ContainerFact `json:"containers,omitempty"`
	Malware      []MalwareFact   `json:"malware,omitempty"`
	Skipped      []SkipFact      `json:"skipped,omitempty"` // what could not be read: rules that need it are undecided, not passed
	Origin       Origin          `json:"-"`
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
// runtime-socket, static-pod (a manifest in the kubelet's static pod folder that is none of the four manifests).
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
	// As "namespace/pod/container" where that is known.
	Container string `json:"container,omitempty"`
	// Differs are the flags that the process was started with otherwise than its static pod's manifest says: their names alone.
	Differs []string `json:"differs,omitempty"`
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
	// Properties are settings of the systemd unit that rules ask for: IPAddressDeny, IPAddressAllow.
	Properties map[string]string `json:"properties,omitempty"`
}

// RuntimeFacts is the container runtime.
type RuntimeFacts struct {
	Name    string `json:"name,omitempty"` // containerd, cri-o or docker
	Version string `json:"version,omitempty"`
	Runc    string `json:"runc,omitempty"`
	Socket  string `json:"socket,omitempty"` // of its API, on the node
	// Settings are those of its configuration; nil when it was not read.
	Settings *RuntimeSettings `json:"settings,omitempty"`
}

// CertFact is a certificate found on disk.
type CertFact struct {
	Path         string   `json:"path"`
	Subject      string   `json:"subject"`
	Organization []string `json:"organization,omitempty"`
	Issuer       string   `json:"issuer,omitempty"`
	NotAfter     string   `json:"notAfter,omitempty"` // RFC 3339
	KeyType      string   `json:"keyType,omitempty"`  // rsa, ecdsa or ed25519
	KeyBits      int      `json:"keyBits,omitempty"`
	Signature    string   `json:"signature,omitempty"` // as crypto/x509 names it: "SHA256-RSA"
	DaysLeft     int      `json:"daysLeft"`            // at the time the facts were read
}

// ListenFact is a listening socket on the node.
type ListenFact struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
	Process string `json:"process,omitempty"`
	// Container is whose network namespace it was found in, "namespace/pod/container"; "" on the host.
	Container string `json:"container,omitempty"`
	// Declared says whether a port of the pod's containers names it; nil when the pod is not known.
	Declared *bool `json:"declared,omitempty"`
}

// ToolFact is an administrator's program found on the node, such as kubectl.
type ToolFact struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Version string `json:"version,omitempty"` // "v1.34.2"
}

// EncryptionFact is the API server's encryption configuration (--encryption-provider-config) without its keys.
type EncryptionFact struct {
	Path         string               `json:"path"`
	Modified     string               `json:"modified,omitempty"` // RFC 3339: when the file was last written
	ModifiedDays int                  `json:"modifiedDays"`       // days since then, when the facts were read
	Resources    []EncryptedResources `json:"resources,omitempty"`
}

// EncryptedResources is one entry of the configuration: the first one that names a resource counts for it.
type EncryptedResources struct {
	Resources []string       `json:"resources"`
	Providers []ProviderFact `json:"providers"` // the first one writes, all of them read
}

// ProviderFact is an encryption provider.
type ProviderFact struct {
	Type    string   `json:"type"`              // aescbc, aesgcm, secretbox, kms or identity
	Version string   `json:"version,omitempty"` // of kms: v1 or v2
	Keys    []string `json:"keys,omitempty"`    // names of the keys, the writing one first; never their values
}
