package inventory

import (
	"path"
	"slices"
	"strings"
)

// CoreComponent is a core component of the cluster, or of an image repository that runs in it, as an asset.
type CoreComponent struct {
	Name       string // kube-apiserver, harbor-core, ...
	Group      string // kube-system, goharbor, docker.bintray.io or releases.jfrog.io
	Namespace  string
	Workload   string // "Deployment kube-system/coredns"
	Image      string
	Version    string // the tag of the image
	NotScanned string // why its image cannot be scanned; "" when it can
	Of         *Workload
}

// Why a core component cannot be scanned.
const (
	CoreNotContainer = "it does not run as a container"
	CoreByProvider   = "it is run by the provider of the cluster"
	CorePodsUnread   = "the pods of the cluster could not be read"
)

// The groups of core components.
const (
	groupSystem  = "kube-system"
	groupHarbor  = "goharbor"
	groupBintray = "docker.bintray.io"
	groupJFrog   = "releases.jfrog.io"
)

// coreImages recognises core components by the end of the image repository: whole path elements. Mirrors put prefixes
// before it, some joined with dashes (rancher/mirrored-coredns-coredns).
var coreImages = []struct {
	group, name string
	images      []string
}{
	{groupSystem, APIServer, []string{"kube-apiserver", "kube-apiserver-amd64"}},
	{groupSystem, ControllerManager, []string{"kube-controller-manager", "kube-controller-manager-amd64"}},
	{groupSystem, Scheduler, []string{"kube-scheduler", "kube-scheduler-amd64"}},
	{groupSystem, Etcd, []string{"etcd", "etcd-amd64", "hardened-etcd", "mirrored-coreos-etcd"}},
	{groupSystem, KubeProxy, []string{"kube-proxy", "kube-proxy-amd64"}},
	{groupSystem, "coredns", []string{"coredns", "hardened-coredns", "mirrored-coredns-coredns"}},
	{groupSystem, "metrics-server", []string{"metrics-server", "metrics-server-amd64", "hardened-k8s-metrics-server",
		"mirrored-metrics-server"}},
	{groupSystem, "calico/node", []string{"calico/node", "calico-node", "mirrored-calico-node", "hardened-calico"}},
	{groupSystem, "weaveworks/weave-kube", []string{"weave-kube"}},
	{groupHarbor, "harbor-core", []string{"harbor-core"}},
	{groupHarbor, "harbor-portal", []string{"harbor-portal"}},
	{groupHarbor, "harbor-registry", []string{"goharbor/registry-photon", "goharbor/harbor-registryctl", "harbor-registry",
		"harbor-registryctl"}},
	{groupHarbor, "harbor-jobservice", []string{"harbor-jobservice"}},
	{groupHarbor, "trivy-adapter", []string{"goharbor/trivy-adapter-photon", "trivy-adapter-photon", "harbor-adapter-trivy"}},
	{groupHarbor, "redis", []string{"goharbor/redis-photon"}},
	{groupHarbor, "PostgreSQL", []string{"goharbor/harbor-db", "harbor-db"}},
	{groupJFrog, "artifactory-pro", []string{"artifactory-pro"}},
	{groupJFrog, "xray-server", []string{"xray-server"}},
	{groupJFrog, "pipelines", []string{"jfrog/pipelines", "jfrog/pipelines-api", "jfrog/pipelines-installer"}},
	{groupJFrog, "distribution", []string{"jfrog/distribution", "jfrog/distribution-distribution", "distribution-distribution"}},
}

// bintrayImages are the components that the former registry of JFrog's charts served.
var bintrayImages = map[string]string{"artifactory-pro": "artifactory-pro", "fluentd": "fluentd", "nginx": "bitnami/nginx",
	"nginx-artifactory-pro": "bitnami/nginx"}

// harborLabels maps the component label of Harbor's own chart to the component.
var harborLabels = map[string]string{"core": "harbor-core", "portal": "harbor-portal", "registry": "harbor-registry",
	"jobservice": "harbor-jobservice", "trivy": "trivy-adapter", "redis": "redis", "database": "PostgreSQL"}

// CoreComponents returns the core components of a live cluster or its snapshot: those of the control plane, the data
// plane and of Harbor and JFrog image repositories, recognised by image, label and command line. A control-plane component
// that has no container is listed with the reason why it cannot be scanned.
func (c *Cluster) CoreComponents() []CoreComponent {
	var out []CoreComponent
	seen := map[CoreComponent]bool{}
	found := map[string]bool{}
	add := func(cc CoreComponent) {
		if cc.Group == groupSystem {
			found[cc.Name] = true
		}
		if !seen[cc] {
			seen[cc] = true
			out = append(out, cc)
		}
	}
	for _, w := range c.Workloads {
		for i := range w.Containers {
			ctr := &w.Containers[i]
			if group, name := coreOf(w, ctr); name != "" {
				add(CoreComponent{Name: name, Group: group, Namespace: w.Ref.Namespace, Workload: w.Ref.String(),
					Image: ctr.Image, Version: imageTag(ctr.Image), Of: w})
			}
		}
	}
	for _, name := range [...]string{APIServer, ControllerManager, Scheduler, Etcd} {
		if !found[name] {
			add(CoreComponent{Name: name, Group: groupSystem, NotScanned: c.whyNoContainer()})
		}
	}
	if _, host := c.hostProcess(KubeProxy); host && !found[KubeProxy] {
		add(CoreComponent{Name: KubeProxy, Group: groupSystem, NotScanned: CoreNotContainer})
	}
	slices.SortStableFunc(out, func(a, b CoreComponent) int {
		if a.Group != b.Group {
			return groupRank(a.Group) - groupRank(b.Group)
		}
		if d := strings.Compare(a.Name, b.Name); d != 0 {
			return d
		}
		return strings.Compare(a.Workload+a.Image, b.Workload+b.Image)
	})
	return out
}

func (c *Cluster) whyNoContainer() string {
	switch {
	case c.Managed:
		return CoreByProvider
	case c.Unread["Pod"] != "":
		return CorePodsUnread
	}
	return CoreNotContainer
}

// hostProcess returns a node on which the program runs outside of any container.
func (c *Cluster) hostProcess(name string) (node string, ok bool) {
	for n, facts := range c.Nodes {
		for _, p := range facts.Processes {
			if p.Container == "" && path.Base(p.Name) == name {
				return n, true
			}
		}
	}
	return "", false
}

func groupRank(g string) int {
	return slices.Index([]string{groupSystem, groupHarbor, groupBintray, groupJFrog}, g)
}

// coreOf returns which core component a container is; name is "" for none.
func coreOf(w *Workload, ctr *Container) (group, name string) {
	if ctr.Type != TypeContainer {
		return "", ""
	}
	repo := imageRepository(ctr.Image)
	base := path.Base(repo)
	system := w.Static || SystemNamespace(w.Ref.Namespace) || strings.HasPrefix(w.Ref.Namespace, "calico-") ||
		w.Ref.Namespace == "weave"
	if system {
		if name = controlPlaneProgram(w, ctr, base); name != "" {
			return groupSystem, name
		}
	}
	if host, _, _ := strings.Cut(repo, "/"); strings.HasSuffix(host, "bintray.io") && bintrayImages[base] != "" {
		return groupBintray, bintrayImages[base]
	}
	for i := range coreImages {
		e := &coreImages[i]
		if e.group == groupSystem && (!system || e.name == Etcd && !w.Static && !kubeEtcdLabels(w)) {
			continue
		}
		for _, image := range e.images {
			if repo == image || strings.HasSuffix(repo, "/"+image) {
				return e.group, e.name
			}
		}
	}
	return harborByLabel(w, ctr, base)
}

// controlPlaneProgram recognises a component by its command, for images that hold several (hyperkube).
func controlPlaneProgram(w *Workload, ctr *Container, base string) string {
	content := map[string]any{"command": anys(ctr.Command), "args": anys(ctr.Args)}
	name, _ := componentArgs(ContainerRef{Content: content}, base)
	if name == Etcd && !w.Static && !kubeEtcdLabels(w) || name == Kubelet {
		return ""
	}
	return name
}

func kubeEtcdLabels(w *Workload) bool {
	labels := map[string]any{"component": w.Labels["component"], "k8s-app": w.Labels["k8s-app"]}
	return kubeEtcd(w.Ref.Name, labels)
}

// harborByLabel recognises Harbor's components whose image says nothing (redis, PostgreSQL, private mirrors).
func harborByLabel(w *Workload, ctr *Container, base string) (group, name string) {
	l := w.Labels
	app := l["app"] == "harbor" || l["app.kubernetes.io/name"] == "harbor" || l["app.kubernetes.io/part-of"] == "harbor"
	if !app {
		return "", ""
	}
	name = harborLabels[l["component"]]
	if name == "" {
		name = harborLabels[l["app.kubernetes.io/component"]]
	}
	// A sidecar of the workload, such as a log shipper or an exporter, is not the component.
	short := strings.TrimPrefix(strings.ToLower(name), "harbor-")
	switch {
	case name == "":
		return "", ""
	case len(w.Containers) == 1, strings.Contains(base, short), strings.Contains(ctr.Name, short),
		name == "PostgreSQL" && (ctr.Name == "database" || strings.Contains(base, "postgres")):
		return groupHarbor, name
	}
	return "", ""
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
