package inventory

import (
	"sort"
	"strings"
)

// Cluster is everything a scan knows of one cluster (or of a set of manifest files), in the compact form that cross-object
// analyzers work on. Pods and their controllers, RBAC, Secrets and ConfigMaps are reduced to what matters; the objects of
// small kinds are kept whole in Objects.
type Cluster struct {
	Name         string
	Version      string // "v1.34.4"
	Distribution string // "kubeadm", "eks", "gke", "aks", "ack", "cce", "tke", "k3s", "rke2", "openshift", "" when unknown
	Managed      bool   // the control plane is run by a provider and cannot be seen

	Namespaces      map[string]*Namespace
	Workloads       []*Workload
	ServiceAccounts map[string]*ServiceAccount // by namespace/name
	Roles           []*Role
	Bindings        []*Binding
	Secrets         []*SecretMeta
	ConfigMaps      []*ConfigMapMeta
	Components      []*Component          // settings of control-plane and node components
	Nodes           map[string]*NodeFacts // by node name; only where an agent or a snapshot brought facts
	Objects         map[string][]*Object  // small kinds, whole, by "Kind.group" (see Ref.GroupKind)
	Unread          map[string]string     // "Kind.group" -> why it could not be listed; an empty list then means nothing

	workloads map[Ref]*Workload // by GroupKind-normalised reference
}

// NewCluster returns an empty cluster.
func NewCluster(name string) *Cluster {
	return &Cluster{Name: name, Namespaces: map[string]*Namespace{}, ServiceAccounts: map[string]*ServiceAccount{},
		Nodes: map[string]*NodeFacts{}, Objects: map[string][]*Object{}, Unread: map[string]string{},
		workloads: map[Ref]*Workload{}}
}

// Namespace is a namespace with what policies select by.
type Namespace struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	Object      *Object
}

// Workload is the owning object of pods: a Deployment, a StatefulSet, a CronJob, a bare Pod. Its ReplicaSets, Jobs and
// Pods are folded into it.
type Workload struct {
	Ref            Ref
	Labels         map[string]string // of the pods
	Annotations    map[string]string // of the pods
	ServiceAccount string            // "default" when unset
	Automount      *bool             // automountServiceAccountToken of the pod; nil when unset
	HostNetwork    bool
	HostPID        bool
	HostIPC        bool
	HostUsers      *bool
	Containers     []Container
	Volumes        []Volume
	PullSecrets    []string
	NodeSelector   map[string]string
	Nodes          []string // nodes its pods run on, sorted, without doubles
	Pods           int      // running pods folded into it
	Replicas       int64    // asked for; 1 where the kind has none
	Static         bool     // a mirror pod of the kubelet
	Origin         Origin
	Path           string // of the pod template inside the object, "" for a Pod

	provisional bool // read from a pod or ReplicaSet; the object that Ref names has not been seen
}

// Container is what analyzers need of one container.
type Container struct {
	Name       string
	Type       string
	Path       string // within the object of the workload
	Image      string
	Digests    []string // as running, "sha256:...", sorted: pods of one workload may run several of a moved tag; none when unknown
	Privileged bool
	RunAsUser  *int64
	CapAdd     []string
	Ports      []Port
	Mounts     []Mount
	EnvSecrets []SecretUse
	Command    []string
	Args       []string
}

// Port is a container port.
type Port struct {
	Name      string
	Protocol  string // TCP when unset
	Container int64
	Host      int64
}

// Mount is a volume mount.
type Mount struct {
	Volume   string
	Path     string
	SubPath  string
	ReadOnly bool
}

// SecretUse is a Secret consumed through the environment; Key is "" for envFrom.
type SecretUse struct {
	Name string
	Key  string
	Path string
}

// Volume is a volume by what it opens. At most one of the names is set, but for projected volumes.
type Volume struct {
	Name       string
	Path       string // within the object
	HostPath   string
	HostType   string
	Claim      string // persistentVolumeClaim
	Image      string // image volume reference
	Secrets    []string
	ConfigMaps []string
	TokenAud   []string // projected service-account tokens, by audience ("" is the API server)
	Kind       string   // key of the volume source: hostPath, secret, csi, ...
}

// ServiceAccount is an identity of pods.
type ServiceAccount struct {
	Namespace   string
	Name        string
	Automount   *bool
	Annotations map[string]string
	Secrets     []string
	PullSecrets []string
	Origin      Origin
}

// Role is a Role or ClusterRole.
type Role struct {
	Ref         Ref
	Labels      map[string]string
	Rules       []PolicyRule
	Aggregation []map[string]any // label selectors of aggregationRule; nil when there is none
	Origin      Origin
}

// PolicyRule is one rule of a role.
type PolicyRule struct {
	APIGroups       []string
	Resources       []string
	ResourceNames   []string
	Verbs           []string
	NonResourceURLs []string
}

// Binding is a RoleBinding (Ref.Namespace set) or ClusterRoleBinding.
type Binding struct {
	Ref      Ref
	RoleKind string // Role or ClusterRole
	RoleName string
	Subjects []Subject
	Origin   Origin
}

// Subject is whom a binding gives a role.
type Subject struct {
	Kind      string // User, Group or ServiceAccount
	Namespace string // of a ServiceAccount
	Name      string
}

// SecretMeta is a Secret without its values.
type SecretMeta struct {
	Ref         Ref
	Type        string
	Keys        []string
	Labels      map[string]string
	Annotations map[string]string
	Origin      Origin
}

// ConfigMapMeta is a ConfigMap without its values.
type ConfigMapMeta struct {
	Ref    Ref
	Keys   []string
	Origin Origin
}

// Component is the settings of one control-plane or node component: flags of its command line joined, for those that
// have one, with its configuration file. Rules read it as
//
//	component.name, component.flags["anonymous-auth"], component.config.authentication.anonymous.enabled
type Component struct {
	Name      string            // kube-apiserver, kube-controller-manager, kube-scheduler, etcd, kubelet, kube-proxy
	Node      string            // "" when the settings are for the whole cluster (kubelet-config ConfigMap)
	Source    Ref               // the Pod or ConfigMap; Kind "Process" for node facts
	Version   string            // from the image tag
	Flags     map[string]string // without the dashes; a flag without a value is "true"
	FlagPaths map[string]string // path of each flag's argument inside the source object
	Path      string            // of the command list inside the source object
	Config    map[string]any    // configuration file as JSON, or nil
	Complete  bool              // Flags and Config are all there is, so an absent setting means its default
	Origin    Origin
}

// AddWorkload registers w; a second one of the same reference replaces nothing and is returned as known.
func (c *Cluster) AddWorkload(w *Workload) (known *Workload, added bool) {
	key := workloadKey(w.Ref)
	if old := c.workloads[key]; old != nil && w.Origin.File == "" {
		return old, false
	}
	if c.workloads[key] == nil {
		c.workloads[key] = w
	}
	c.Workloads = append(c.Workloads, w)
	return w, true
}

// Workload returns the workload of a reference, whatever API version it is named by; nil when there is none.
func (c *Cluster) Workload(r Ref) *Workload { return c.workloads[workloadKey(r)] }

func workloadKey(r Ref) Ref {
	return Ref{APIVersion: r.Group(), Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

// Sort puts everything in a stable order, so that one cluster gives one report whatever order it was read in.
func (c *Cluster) Sort() {
	less := func(a, b Ref) bool {
		if a.Namespace != b.Namespace {
			return a.Namespace < b.Namespace
		}
		if a.Kind != b.Kind {
			return a.Kind < b.Kind
		}
		return a.Name < b.Name
	}
	sort.SliceStable(c.Workloads, func(i, j int) bool { return less(c.Workloads[i].Ref, c.Workloads[j].Ref) })
	sort.SliceStable(c.Roles, func(i, j int) bool { return less(c.Roles[i].Ref, c.Roles[j].Ref) })
	sort.SliceStable(c.Bindings, func(i, j int) bool { return less(c.Bindings[i].Ref, c.Bindings[j].Ref) })
	sort.SliceStable(c.Secrets, func(i, j int) bool { return less(c.Secrets[i].Ref, c.Secrets[j].Ref) })
	sort.SliceStable(c.ConfigMaps, func(i, j int) bool { return less(c.ConfigMaps[i].Ref, c.ConfigMaps[j].Ref) })
	sort.SliceStable(c.Components, func(i, j int) bool {
		a, b := c.Components[i], c.Components[j]
		return a.Name < b.Name || a.Name == b.Name && a.Node < b.Node
	})
	for _, list := range c.Objects {
		sort.SliceStable(list, func(i, j int) bool { return less(list[i].Ref(), list[j].Ref()) })
	}
	for _, w := range c.Workloads {
		sort.Strings(w.Nodes)
	}
}

// SystemNamespace reports whether ns belongs to Kubernetes itself.
func SystemNamespace(ns string) bool {
	return ns == "kube-system" || ns == "kube-public" || ns == "kube-node-lease" || strings.HasPrefix(ns, "openshift-")
}
