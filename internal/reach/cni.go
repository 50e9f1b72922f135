package reach

import (
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Enforcement says whether the cluster's network carries out NetworkPolicies.
type Enforcement struct {
	Known    bool
	Enforced bool
	Plugin   string // what it was judged by: "flannel", "calico"
	Workload *inventory.Workload
}

// enforcers are parts of image names of the agents that carry out NetworkPolicies.
var enforcers = []string{"calico", "cilium", "antrea", "kube-router", "weave-npc", "ovn-kubernetes", "ovnkube", "kube-ovn", "kubeovn",
	"kube-network-policies", "azure-npm", "romana", "nsx-node-agent", "nsx-ncp", "canal", "everest-network-policy", "felix", "terway-controlplane"}

// carriers are parts of image names of networks that move packets and leave NetworkPolicies to others.
var carriers = []string{"flannel", "kindnetd", "amazon-k8s-cni", "aws-node", "bridge-cni", "weave-kube", "terway", "sdn-plugin"}

// Enforcement looks for the agents that carry out NetworkPolicies. Only a network that is known to leave them aside, and
// no agent beside it, counts as not enforcing; what is not recognised stays unknown.
func (m *Map) Enforcement() Enforcement {
	var carrier *inventory.Workload
	name := ""
	for _, w := range m.workloads {
		if w.Ref.Kind != "DaemonSet" {
			continue
		}
		for i := range w.Containers {
			c := &w.Containers[i]
			if c.Type == inventory.TypeInit {
				continue
			}
			image := imageName(c.Image)
			if e := firstIn(image, enforcers); e != "" {
				return Enforcement{true, true, e, w}
			}
			if enforcesBySetting(image, c) {
				return Enforcement{true, true, image, w}
			}
			if f := firstIn(image, carriers); f != "" && carrier == nil {
				carrier, name = w, f
			}
		}
	}
	switch {
	case m.cluster.Distribution == "k3s" || m.cluster.Distribution == "openshift":
		return Enforcement{Known: true, Enforced: true, Plugin: m.cluster.Distribution} // built into its agent
	case carrier == nil || name == "terway" || name == "sdn-plugin":
		return Enforcement{Plugin: name, Workload: carrier} // by configuration that is not looked at
	}
	return Enforcement{Known: true, Plugin: name, Workload: carrier}
}

// enforcesBySetting knows agents that carry out policies when told to, or from some version on.
func enforcesBySetting(image string, c *inventory.Container) bool {
	args := strings.Join(c.Command, " ") + " " + strings.Join(c.Args, " ")
	switch {
	case strings.Contains(image, "aws-network-policy-agent") || strings.Contains(image, "aws-eks-nodeagent"):
		return strings.Contains(args, "enable-network-policy=true")
	case strings.Contains(image, "kindnetd"):
		// Since kind v0.24.0; its images are tagged with their date.
		i := strings.LastIndexByte(image, ':')
		date, _, _ := strings.Cut(strings.TrimPrefix(image[i+1:], "v"), "-")
		n, err := strconv.Atoi(date)
		return i >= 0 && err == nil && n >= 20240813
	}
	return false
}

// imageName returns the last part of the repository with the tag: "flannel:v0.25.1".
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	registry := strings.Split(image, "/")
	if len(registry) > 1 { // "calico/node" tells more than "node"
		return registry[len(registry)-2] + "/" + registry[len(registry)-1]
	}
	return image
}

func firstIn(s string, list []string) string {
	for _, v := range list {
		if strings.Contains(s, v) {
			return v
		}
	}
	return ""
}
