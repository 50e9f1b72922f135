package collect

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Signs are the traces by which distributions are recognised.
type Signs struct {
	Version   string          // of the API server, or of a kubelet
	Groups    []string        // API groups that are served
	labels    map[string]bool // keys of node labels
	providers map[string]bool // schemes of node provider IDs
	osImages  []string
	kubeadm   bool
}

// Node takes the traces of one Node.
func (s *Signs) Node(o *inventory.Object) {
	if s.labels == nil {
		s.labels, s.providers = map[string]bool{}, map[string]bool{}
	}
	if inventory.Map(o.Content, "metadata", "annotations")["kubeadm.alpha.kubernetes.io/cri-socket"] != nil {
		s.kubeadm = true
	}
	for k := range inventory.Map(o.Content, "metadata", "labels") {
		s.labels[k] = true
	}
	if scheme, _, ok := strings.Cut(inventory.Str(o.Content, "spec", "providerID"), "://"); ok {
		s.providers[scheme] = true
	}
	if os := inventory.Str(o.Content, "status", "nodeInfo", "osImage"); os != "" && !slices.Contains(s.osImages, os) && len(s.osImages) < 8 {
		s.osImages = append(s.osImages, os)
	}
}

func (s *Signs) anyLabel(prefixes ...string) bool {
	for k := range s.labels {
		for _, p := range prefixes {
			if strings.HasPrefix(k, p) {
				return true
			}
		}
	}
	return false
}

func (s *Signs) group(suffix string) bool {
	return slices.ContainsFunc(s.Groups, func(g string) bool { return strings.HasSuffix(g, suffix) })
}

// Judge names the distribution and whether its control plane is run by a provider. What each provider leaves behind is
// taken from the public documentation and from version strings of real clusters: v1.31.2-eks-7f9249a,
// v1.30.5-gke.1443001, v1.31.1-aliyun.1, v1.30.4-r10-30.0.26 (CCE), v1.30.0-tke.3, v1.31.5+k3s1, v1.31.5+rke2r1.
// Order matters: one's own cluster on a cloud's machines has that cloud's provider ID too.
func (s *Signs) Judge() (distribution string, managed bool) {
	v := s.Version
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(v, p) })
	}
	switch {
	case has("-eks-") || s.anyLabel("eks.amazonaws.com/"):
		return "eks", true
	case has("-gke.") || s.anyLabel("cloud.google.com/gke-"):
		return "gke", true
	case s.anyLabel("kubernetes.azure.com/"):
		return "aks", !s.controlPlane()
	case s.anyLabel("alibabacloud.com/", "ack.aliyun.com") || has("-aliyun."):
		// A dedicated ACK cluster runs its control plane on nodes of its owner.
		return "ack", !s.controlPlane()
	case s.anyLabel("cce.cloud.com/") || cceVersion(v):
		return "cce", true
	case has("-tke.") || s.anyLabel("tke.cloud.tencent.com/", "cloud.tencent.com/"):
		return "tke", !s.controlPlane()
	case has("-vke.") || s.anyLabel("vke.volcengine.com/"):
		return "vke", true
	case s.anyLabel("doks.digitalocean.com/"):
		return "doks", true
	case s.anyLabel("ibm-cloud.kubernetes.io/") || has("+IKS"):
		return "iks", true
	case s.anyLabel("oke.oraclecloud.com/"), s.anyLabel("oci.oraclecloud.com/") && !s.controlPlane():
		return "oke", true
	case has("+rke2r"):
		return "rke2", false
	case has("+k3s"):
		return "k3s", false
	case has("+k0s"):
		return "k0s", false
	case s.group("config.openshift.io") || s.anyLabel("node.openshift.io/"):
		return "openshift", false
	case s.anyLabel("minikube.k8s.io/"):
		return "minikube", false
	case s.providers["kind"]:
		return "kind", false
	case s.anyLabel("microk8s.io/"):
		return "microk8s", false
	case slices.ContainsFunc(s.osImages, func(os string) bool { return strings.HasPrefix(os, "Talos") }):
		return "talos", false
	case s.kubeadm:
		return "kubeadm", false
	}
	return "", false
}

// controlPlane reports whether control-plane nodes are among the nodes.
func (s *Signs) controlPlane() bool {
	return s.labels["node-role.kubernetes.io/control-plane"] || s.labels["node-role.kubernetes.io/master"]
}

// cceVersion recognises the versions of Huawei Cloud CCE: v1.30.4-r10-30.0.26, before that v1.19.16-r4-CCE22.11.1.
func cceVersion(v string) bool {
	if strings.Contains(v, "-CCE") {
		return true
	}
	_, rest, ok := strings.Cut(v, "-r")
	if !ok {
		return false
	}
	release, patch, ok := strings.Cut(rest, "-")
	return ok && number(release) && strings.Count(patch, ".") == 2 && number(strings.ReplaceAll(patch, ".", ""))
}

func number(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
