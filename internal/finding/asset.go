package finding

// Asset is something that a scan looked at, whether anything was found on it or not: what is not among the assets of a full scan
// is not there any more.
type Asset struct {
	Kind      string // cluster, namespace, workload, image, node, object, file; or rule: see Unread
	GroupKind string // of workloads and objects: "Deployment.apps"
	Namespace string //
	Name      string // of images the reference, of files the path
	Digest    string // of images, "" when unknown; the one in the findings on it
	// Labels of the pods of a workload. The server keeps them in assets.labels as JSON, where exceptions with a label selector
	// look them up.
	Labels map[string]string
	Facts  *Facts     // what is shown of it beside what was found; nil leaves what was known before
	Runs   []ImageRef // of workloads: the images of their containers, by the references and digests of the image assets
	// Unread says why it could not be looked into; "" when it was. What was found on it before is not fixed, only old. An object
	// without a name stands for its whole kind, a cluster for all that is not among the assets (its source broke off), and an
	// asset of kind rule for what that rule would have found, on Node where one is named.
	Unread string
	Node   string
}

// Facts are what people want to see of a workload, a node or a namespace beside what is wrong with it. Lists are cut: see scan.
type Facts struct {
	// Of workloads.
	ServiceAccount string      `json:"serviceAccount,omitempty"`
	Token          bool        `json:"token,omitempty" doc:"its pods get a token of the service account"`
	Replicas       int64       `json:"replicas,omitempty"`
	Pods           int         `json:"pods,omitempty" doc:"that ran at the last look"`
	Host           []string    `json:"host,omitempty" doc:"namespaces of the node that it shares: network, pid, ipc"`
	HostPaths      []string    `json:"hostPaths,omitempty"`
	Containers     []Container `json:"containers,omitempty"`
	Nodes          []string    `json:"nodes,omitempty" doc:"that it runs on, the first 20"`
	Exposures      []Exposure  `json:"exposures,omitempty" doc:"ways to it from outside the cluster"`
	// Of nodes.
	Kubelet      string   `json:"kubelet,omitempty" doc:"version"`
	OS           string   `json:"os,omitempty"`
	Kernel       string   `json:"kernel,omitempty"`
	Runtime      string   `json:"runtime,omitempty"`
	Architecture string   `json:"architecture,omitempty"`
	Roles        []string `json:"roles,omitempty"`
	Cordoned     bool     `json:"cordoned,omitempty" doc:"nothing new is scheduled on it"`
	// Of namespaces.
	PodSecurity string `json:"podSecurity,omitempty" doc:"level that is enforced"`
}

// Container is what is shown of a container.
type Container struct {
	Name         string   `json:"name"`
	Type         string   `json:"type,omitempty"`
	Image        string   `json:"image,omitempty"`
	Privileged   bool     `json:"privileged,omitempty"`
	Root         bool     `json:"root,omitempty" doc:"it says that it runs as user 0"`
	Capabilities []string `json:"capabilities,omitempty" doc:"that are added"`
	Ports        []int64  `json:"ports,omitempty"`
}

// Exposure is a way from outside the cluster to a workload.
type Exposure struct {
	Kind    string  `json:"kind" doc:"LoadBalancer, NodePort, externalIPs, Ingress, Gateway, hostPort or hostNetwork"`
	Object  string  `json:"object,omitempty" doc:"what opens it, as Ingress shop/web"`
	Ports   []int64 `json:"ports,omitempty"`
	Private bool    `json:"private,omitempty" doc:"only from a private network"`
}

// ImageRef names an image in use.
type ImageRef struct{ Reference, Digest string }

// AssetHandler is a Handler that wants to know what was looked at. Assets come before End.
type AssetHandler interface {
	Handler
	Asset(Asset) error
}
