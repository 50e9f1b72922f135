package inventory

import "slices"

// CoreSurvey is what one full scan saw of the core components of a cluster.
type CoreSurvey struct {
	Components []CoreSighting `json:"components"`
	Nodes      []NodePrograms `json:"nodes,omitempty"`
	Unread     bool           `json:"unread,omitempty"` // the pods, or the nodes, could not be read
	Cut        bool           `json:"cut,omitempty"`    // there was more than the limits take
}

// CoreSighting is a container that runs a core component, with all its workloads of the same image taken together.
type CoreSighting struct {
	Name       string   `json:"name"`
	Group      string   `json:"group"`
	Namespace  string   `json:"namespace,omitempty"`
	Workload   string   `json:"workload,omitempty"` // the first: "Deployment kube-system/coredns"
	Workloads  int      `json:"workloads,omitempty"`
	Image      string   `json:"image,omitempty"`
	Version    string   `json:"version,omitempty"` // the tag of the image
	Static     bool     `json:"static,omitempty"`
	Nodes      []string `json:"nodes,omitempty"` // some
	NodeCount  int      `json:"nodeCount,omitempty"`
	NotScanned string   `json:"notScanned,omitempty"`
}

// NodePrograms is what nodes of one kind say in status.nodeInfo.
type NodePrograms struct {
	Kubelet   string   `json:"kubelet,omitempty"`
	KubeProxy string   `json:"kubeProxy,omitempty"`
	Runtime   string   `json:"runtime,omitempty"` // "containerd://1.7.27"
	OS        string   `json:"os,omitempty"`
	Kernel    string   `json:"kernel,omitempty"`
	Nodes     []string `json:"nodes"` // some
	Count     int      `json:"count"`
}

// Limits of a survey.
const (
	maxSightings = 500
	maxNodeKinds = 200
	maxNodeNames = 5
	maxFact      = 300 // bytes of a name or version
)

// AddComponent notes a component; those of one image in one namespace become one.
func (s *CoreSurvey) AddComponent(c CoreSighting) {
	c.Version, c.Image, c.Workload = shortened(c.Version), shortened(c.Image), shortened(c.Workload)
	i := slices.IndexFunc(s.Components, func(o CoreSighting) bool {
		return o.Name == c.Name && o.Group == c.Group && o.Namespace == c.Namespace && o.Image == c.Image && o.Static == c.Static && o.NotScanned == c.NotScanned
	})
	if i < 0 && len(s.Components) >= maxSightings {
		s.Cut = true
		return
	}
	if i < 0 {
		c.Nodes = slices.Clone(c.Nodes[:min(len(c.Nodes), maxNodeNames)])
		s.Components = append(s.Components, c)
		return
	}
	o := &s.Components[i]
	o.Workloads += c.Workloads
	o.NodeCount += c.NodeCount
	for _, n := range c.Nodes {
		if len(o.Nodes) < maxNodeNames && !slices.Contains(o.Nodes, n) {
			o.Nodes = append(o.Nodes, n)
		}
	}
}

// AddNode notes what a Node object says of itself.
func (s *CoreSurvey) AddNode(o *Object) {
	info := Map(o.Content, "status", "nodeInfo")
	if info == nil {
		return
	}
	p := NodePrograms{Kubelet: shortened(Str(info, "kubeletVersion")), KubeProxy: shortened(Str(info, "kubeProxyVersion")),
		Runtime: shortened(Str(info, "containerRuntimeVersion")), OS: shortened(Str(info, "osImage")), Kernel: shortened(Str(info, "kernelVersion"))}
	i := slices.IndexFunc(s.Nodes, func(q NodePrograms) bool {
		return q.Kubelet == p.Kubelet && q.KubeProxy == p.KubeProxy && q.Runtime == p.Runtime && q.OS == p.OS && q.Kernel == p.Kernel
	})
	if i < 0 {
		if len(s.Nodes) >= maxNodeKinds {
			s.Cut = true
			return
		}
		i = len(s.Nodes)
		s.Nodes = append(s.Nodes, p)
	}
	q := &s.Nodes[i]
	if q.Count++; len(q.Nodes) < maxNodeNames {
		q.Nodes = append(q.Nodes, shortened(o.Name))
	}
}

func shortened(s string) string {
	if len(s) > maxFact {
		return s[:maxFact]
	}
	return s
}
