package analyze

import (
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/reach"
)

// exposureText names a way from outside.
func exposureText(e reach.Exposure) finding.Text {
	var t finding.Text
	switch {
	case e.Object == nil:
		t = say("%s %s", "%s %s", e.Kind, ports(e.Ports))
	case e.Kind == reach.ViaIngress || e.Kind == reach.ViaGateway:
		t = say("%s", "%s", e.Object.Ref())
	case e.Kind == reach.ViaExternalIP:
		t = say("%s with external IPs", "%s（externalIPs）", shortRef(e.Object.Ref()))
	default:
		t = say("%s of type %s", "%s（%s）", shortRef(e.Object.Ref()), e.Kind)
	}
	if e.Private {
		t = join(t, say(" (private address or source ranges)", "（内网地址或限制了来源网段）"))
	}
	return t
}

func ports(list []int64) string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(out, ",")
}

// atExposure is a problem of a workload, told where it is opened.
func atExposure(w *inventory.Workload, list []reach.Exposure) Problem {
	p := atWorkload(w)
	if e := list[0]; e.Object != nil {
		p.Origin = e.Object.Origin
	}
	for _, e := range list[:min(len(list), listed)] {
		p.Evidence = append(p.Evidence, finding.Evidence{Path: e.Path, Found: exposureText(e).EN})
	}
	return p
}

func exposureTexts(list []reach.Exposure) finding.Text {
	var parts []finding.Text
	for _, e := range list {
		if t := exposureText(e); !slices.Contains(parts, t) && len(parts) < listed {
			parts = append(parts, t)
		}
	}
	return listTexts(parts)
}

func exposedOutside(ctx *Context, report func(Problem)) {
	ctx.Known("Service", "Ingress.networking.k8s.io")
	for _, w := range tenants(ctx.Cluster) {
		list := ctx.Reach().Exposures(w)
		if len(list) == 0 {
			continue
		}
		p := atExposure(w, list)
		p.Message = join(say("%s is reachable from outside the cluster by ", "%s 可从集群外部访问：", w.Ref), exposureTexts(list))
		plain := slices.ContainsFunc(list, func(e reach.Exposure) bool {
			return !e.Private && e.Kind != reach.ViaIngress && e.Kind != reach.ViaGateway
		})
		if !plain {
			p.Severity = finding.Low // through a proxy that is meant for it, or from private addresses
		}
		report(p)
	}
}

// exposedAndPrivileged joins what is open to the outside with what hands over the node or the cluster.
func exposedAndPrivileged(ctx *Context, report func(Problem)) {
	ctx.Known("Service", "Ingress.networking.k8s.io")
	for _, w := range tenants(ctx.Cluster) {
		list := ctx.Reach().Exposures(w)
		if len(list) == 0 {
			continue
		}
		why := escapes(w)
		if tokenMounted(ctx.Cluster, w) && len(own(ctx.Access().Has(access.Account(w.Ref.Namespace, w.ServiceAccount), access.Admin))) > 0 {
			why = append(why, say("its token may do everything", "其 token 可执行任何操作"))
		}
		if len(why) == 0 {
			continue
		}
		p := atExposure(w, list)
		p.Message = join(say("%s is reachable from outside (", "%s 可从外部访问（", w.Ref), exposureTexts(list[:1]), say(") and ", "），并且"), listTexts(why))
		if !slices.ContainsFunc(list, func(e reach.Exposure) bool { return !e.Private }) {
			p.Severity = finding.High
		}
		report(p)
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// consoles are images whose web interface runs the cluster, its builds or its data for whoever reaches it. Parts of
// image names, with what it is.
var consoles = []struct{ part, name string }{
	{"kubernetesui/dashboard", "Kubernetes Dashboard"}, {"kubernetes-dashboard", "Kubernetes Dashboard"}, {"weaveworks/scope", "Weave Scope"},
	{"argoproj/argocd", "Argo CD"}, {"argoproj/argocli", "Argo Workflows"}, {"kubeflow/", "Kubeflow"}, {"jenkins/jenkins", "Jenkins"},
	{"portainer/", "Portainer"}, {"rancher/rancher:", "Rancher"}, {"kubesphere/ks-console", "KubeSphere"}, {"headlamp", "Headlamp"},
	{"jupyter/", "Jupyter"}, {"apache/airflow", "Airflow"}, {"prom/prometheus", "Prometheus"}, {"prometheus/prometheus", "Prometheus"},
	{"prom/alertmanager", "Alertmanager"}, {"kibana", "Kibana"}, {"phpmyadmin", "phpMyAdmin"}, {"mongo-express", "mongo-express"},
	{"redis-commander", "Redis Commander"}, {"apache/nifi", "NiFi"}, {"nacos/nacos-server", "Nacos"}, {"xxl-job-admin", "XXL-JOB"},
	{"hubble-ui", "Hubble UI"}, {"kubevela/velaux", "KubeVela"}, {"longhornio/longhorn-ui", "Longhorn"}, {"quay.io/coreos/etcd", "etcd"}, {"minio/console", "MinIO Console"},
}

func sensitiveInterfaceExposed(ctx *Context, report func(Problem)) {
	ctx.Known("Service", "Ingress.networking.k8s.io")
	for _, w := range tenants(ctx.Cluster) {
		list := ctx.Reach().Exposures(w)
		if len(list) == 0 {
			continue
		}
		for i := range w.Containers {
			image := w.Containers[i].Image
			at := slices.IndexFunc(consoles, func(c struct{ part, name string }) bool { return strings.Contains(image, c.part) })
			if at < 0 {
				continue
			}
			p := atExposure(w, list)
			p.Item, p.Image = consoles[at].name, image
			p.Message = join(say("%s of %s is reachable from outside by ", "%s（%s）可从集群外部访问：", consoles[at].name, w.Ref), exposureTexts(list))
			report(p)
			break
		}
	}
}
