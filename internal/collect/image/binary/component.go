package binary

import (
	"runtime/debug"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// components are the products that Go main packages are, by the package's path ("/vN" taken out). A path that ends with "/*"
// gives the last element of what is there.
var components = map[string]string{
	"k8s.io/kubernetes/cmd/*":                                 "*",
	"k8s.io/kube-proxy":                                       "kube-proxy",
	"k8s.io/ingress-nginx/cmd/nginx":                          "ingress-nginx",
	"k8s.io/kube-state-metrics":                               "kube-state-metrics",
	"k8s.io/cloud-provider-openstack/cmd/*":                   "*",
	"k8s.io/autoscaler/cluster-autoscaler":                    "cluster-autoscaler",
	"k8s.io/dns/cmd/*":                                        "*",
	"sigs.k8s.io/metrics-server/cmd/metrics-server":           "metrics-server",
	"sigs.k8s.io/cri-tools/cmd/crictl":                        "crictl",
	"sigs.k8s.io/external-dns":                                "external-dns",
	"sigs.k8s.io/kustomize/kustomize":                         "kustomize",
	"go.etcd.io/etcd/server":                                  "etcd",
	"go.etcd.io/etcd":                                         "etcd",
	"github.com/coreos/etcd":                                  "etcd",
	"go.etcd.io/etcd/etcdctl":                                 "etcdctl",
	"go.etcd.io/etcd/etcdutl":                                 "etcdutl",
	"github.com/coredns/coredns":                              "coredns",
	"github.com/opencontainers/runc":                          "runc",
	"github.com/containerd/containerd/cmd/*":                  "*",
	"github.com/containerd/nerdctl/cmd/nerdctl":               "nerdctl",
	"github.com/cri-o/cri-o/cmd/*":                            "*",
	"github.com/Mirantis/cri-dockerd":                         "cri-dockerd",
	"github.com/docker/docker/cmd/*":                          "*",
	"github.com/moby/moby/cmd/*":                              "*",
	"github.com/docker/cli/cmd/docker":                        "docker",
	"github.com/docker/libnetwork/cmd/proxy":                  "docker-proxy",
	"github.com/moby/buildkit/cmd/*":                          "*",
	"github.com/containers/podman/cmd/podman":                 "podman",
	"github.com/containernetworking/plugins/plugins/main/*":   "*",
	"github.com/containernetworking/plugins/plugins/meta/*":   "*",
	"github.com/containernetworking/plugins/plugins/ipam/*":   "*",
	"github.com/projectcalico/calico/cmd/calico":              "calico",
	"github.com/projectcalico/calico/node/cmd/calico-node":    "calico-node",
	"github.com/projectcalico/calico/typha/cmd/calico-typha":  "calico-typha",
	"github.com/projectcalico/calico/cni-plugin/cmd/calico":   "calico-cni",
	"github.com/projectcalico/calico/calicoctl/calicoctl":     "calicoctl",
	"github.com/projectcalico/calico/kube-controllers/cmd/*":  "calico-kube-controllers",
	"github.com/flannel-io/flannel":                           "flannel",
	"github.com/flannel-io/cni-plugin":                        "flannel-cni",
	"github.com/cilium/cilium/daemon":                         "cilium",
	"github.com/cilium/cilium/cilium":                         "cilium-cli",
	"github.com/cilium/cilium/operator":                       "cilium-operator",
	"github.com/cilium/cilium/plugins/cilium-cni":             "cilium-cni",
	"github.com/goharbor/harbor/src/core":                     "harbor-core",
	"github.com/goharbor/harbor/src/jobservice":               "harbor-jobservice",
	"github.com/goharbor/harbor/src/registryctl":              "harbor-registryctl",
	"github.com/goharbor/harbor/src/cmd/exporter":             "harbor-exporter",
	"github.com/docker/distribution/cmd/registry":             "registry",
	"github.com/distribution/distribution/cmd/registry":       "registry",
	"github.com/aquasecurity/trivy/cmd/trivy":                 "trivy",
	"github.com/goharbor/harbor-scanner-trivy/cmd/*":          "harbor-scanner-trivy",
	"github.com/traefik/traefik/cmd/traefik":                  "traefik",
	"github.com/prometheus/prometheus/cmd/prometheus":         "prometheus",
	"github.com/prometheus/alertmanager/cmd/alertmanager":     "alertmanager",
	"github.com/prometheus/node_exporter":                     "node-exporter",
	"github.com/grafana/grafana/pkg/cmd/grafana":              "grafana",
	"github.com/argoproj/argo-cd/cmd":                         "argo-cd",
	"github.com/open-policy-agent/opa":                        "opa",
	"github.com/open-policy-agent/gatekeeper":                 "gatekeeper",
	"github.com/cert-manager/cert-manager/cmd/controller":     "cert-manager",
	"github.com/hashicorp/vault":                              "vault",
	"github.com/hashicorp/consul":                             "consul",
	"github.com/minio/minio":                                  "minio",
	"github.com/rancher/rancher":                              "rancher",
	"github.com/k3s-io/k3s/cmd/server":                        "k3s",
	"github.com/rancher/k3s/cmd/server":                       "k3s",
	"istio.io/istio/pilot/cmd/pilot-discovery":                "istio-pilot",
	"istio.io/istio/pilot/cmd/pilot-agent":                    "istio-agent",
	"helm.sh/helm/cmd/helm":                                   "helm",
	"github.com/Azure/azure-container-networking/cni/network": "azure-vnet",
}

// component is the product that a main package is; file names it where the path says only that it was built by itself.
func component(info *debug.BuildInfo, file string) string {
	p := info.Path
	if p == "command-line-arguments" && info.Main.Path == "k8s.io/kubernetes" {
		p = info.Main.Path + "/cmd/" + file
	}
	if p == "" || p == "command-line-arguments" {
		p = info.Main.Path
	}
	parts := slices.DeleteFunc(strings.Split(p, "/"), func(part string) bool {
		return len(part) > 1 && part[0] == 'v' && strings.Trim(part[1:], "0123456789") == ""
	})
	p = strings.Join(parts, "/")
	if c := components[p]; c != "" {
		return c
	}
	last := parts[len(parts)-1]
	switch c := components[strings.TrimSuffix(p, last)+"*"]; c {
	case "*":
		return last
	default:
		return c
	}
}

// mainModule is the package of the program itself. linked are constants that may be its version.
func mainModule(info *debug.BuildInfo, linked []string, file string) inventory.Package {
	one := inventory.Package{Type: inventory.Golang, Name: info.Main.Path, Version: info.Main.Version, Evidence: "build info", Component: component(info, file)}
	if r := info.Main.Replace; r != nil && r.Version != "" && !isLocal(r.Path) {
		one.Name, one.Version = r.Path, r.Version
	}
	if v := flagVersion(info); v != "" && one.Component != "" {
		one.Version = plain(v)
		return one
	}
	if isReal(one.Version) {
		one.Version = strings.TrimSuffix(one.Version, "+dirty")
		return one
	}
	if v := flagVersion(info); v != "" {
		one.Version = plain(v)
		return one
	}
	if one.Component != "" {
		if v := sibling(info); v != "" {
			one.Version = v
			return one
		}
		// Since Go 1.19 -trimpath keeps -ldflags out of the build information, so releases of Kubernetes have it only as a
		// constant.
		if v := onlyVersion(linked, one.Name == "k8s.io/kubernetes"); v != "" {
			one.Version, one.Evidence = plain(v), "strings"
			return one
		}
	}
	if one.Version == "(devel)" {
		one.Version = ""
	}
	return one
}

// isReal reports whether a module version was given by someone: not "(devel)", and no pseudo-version without a release below.
func isReal(v string) bool {
	return v != "" && v != "(devel)" && !strings.HasPrefix(v, "v0.0.0-") && v != "v0.0.0"
}

// sibling is the version under which a program's own repository is among its dependencies: etcd's server is built in its
// tree, but lists go.etcd.io/etcd/api/v3 with the release.
func sibling(info *debug.BuildInfo) string {
	if !strings.HasPrefix(info.Main.Path, "go.etcd.io/etcd/") {
		return ""
	}
	for _, d := range info.Deps {
		if d.Path == "go.etcd.io/etcd/api/v3" && isReal(d.Version) {
			return d.Version
		}
	}
	return ""
}

// onlyVersion returns the version that constants agree on, or "".
func onlyVersion(linked []string, kubernetes bool) string {
	found := ""
	for _, v := range linked {
		if kubernetes && !strings.HasPrefix(v, "v1.") {
			continue
		}
		if found != "" && v != found {
			return ""
		}
		found = v
	}
	return found
}

// versionVariables are the ends of the names of variables that -ldflags -X gives a program's version, best first.
var versionVariables = []string{"/version.gitVersion", ".gitVersion", ".GitVersion", "/version.Version", ".dockerversion.Version", "main.version", "main.Version", ".BuildVersion",
	".ReleaseVersion", ".ciliumVersion", ".Version", ".version", ".VERSION", "/app.ver", ".ver", ".buildVersion", ".Tag", ".GitTag", ".gitTag"}

// flagVersion is the version that -ldflags set. Variables of the program itself go before those of its dependencies.
func flagVersion(info *debug.BuildInfo) string {
	flags := ""
	for _, s := range info.Settings {
		if s.Key == "-ldflags" {
			flags = s.Value
		}
	}
	best, rank := "", 2*len(versionVariables)
	words := flagWords(flags)
	for i, w := range words {
		if i > 0 && (words[i-1] == "-X" || words[i-1] == "--X") {
			w = "-X=" + w
		}
		w, ok := strings.CutPrefix(strings.TrimPrefix(w, "-"), "X=")
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(w, "=")
		value, _, _ = strings.Cut(value, " ") // Cilium: "1.14.2 a6748946 2023-09-09..."
		r := slices.IndexFunc(versionVariables, func(end string) bool { return strings.HasSuffix(name, end) })
		if r < 0 || !isVersion(value) {
			continue
		}
		if !strings.HasPrefix(name, "main.") && !strings.HasPrefix(name, info.Main.Path+"/") && !strings.Contains(name, "component-base/version") {
			r += len(versionVariables)
		}
		if r < rank {
			best, rank = value, r
		}
	}
	return best
}

// flagWords splits a flag's value as the go command does: at spaces outside quotes.
func flagWords(s string) []string {
	var out []string
	var word strings.Builder
	quote, any := byte(0), false
	flush := func() {
		if any {
			out = append(out, word.String())
		}
		word.Reset()
		any = false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, any = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			flush()
		default:
			word.WriteByte(c)
			any = true
		}
	}
	flush()
	return out
}

// isVersion reports whether s is written as "1.2.3", "v1.2.3-rc.1" or "v1.2.3+k3s1".
func isVersion[T string | []byte](s T) bool {
	if len(s) > 0 && s[0] == 'v' {
		s = s[1:]
	}
	for part := range 3 {
		n := 0
		for n < len(s) && s[n]-'0' <= 9 {
			n++
		}
		if n == 0 || n > 8 || part < 2 && (n == len(s) || s[n] != '.') {
			return false
		}
		if part < 2 {
			n++
		}
		s = s[n:]
	}
	if len(s) == 0 {
		return true
	}
	if s[0] != '-' && s[0] != '+' && s[0] != '~' || len(s) > 60 || len(s) == 1 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c-'0' > 9 && c|0x20-'a' > 25 && !strings.ContainsRune("-+.~_", rune(c)) {
			return false
		}
	}
	return true
}

// plain writes a version as modules have it. What a distributor adds behind a hyphen ("v1.28.3-eks-4f4795d") would order it
// before the release, so it is put behind a plus.
func plain(v string) string {
	if v[0] != 'v' {
		v = "v" + v
	}
	release, extra, ok := strings.Cut(v, "-")
	if !ok || strings.Contains(release, "+") {
		return v
	}
	for _, pre := range []string{"alpha", "beta", "rc", "pre", "dev", "0."} {
		if strings.HasPrefix(extra, pre) {
			return v
		}
	}
	return release + "+" + strings.ReplaceAll(extra, "+", ".")
}
