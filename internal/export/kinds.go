package export

import (
	"maps"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/rule"
)

// Resource is a kind with what admission rules match by.
type Resource struct {
	Group, Version, Kind, Plural string
}

// GroupKind is the name rules match by.
func (r Resource) GroupKind() string {
	if r.Group == "" {
		return r.Kind
	}
	return r.Kind + "." + r.Group
}

// known lists the kinds that rules may match, all of Kubernetes' own API groups. Pods come with their subresource for
// ephemeral containers. ValidatingAdmissionPolicies and their bindings are not here: the API server exempts them from
// admission policies, so that nobody can lock himself out.
var known = []Resource{
	{"", "v1", "Pod", "pods"}, {"", "v1", "PodTemplate", "podtemplates"}, {"", "v1", "ReplicationController", "replicationcontrollers"},
	{"apps", "v1", "Deployment", "deployments"}, {"apps", "v1", "ReplicaSet", "replicasets"}, {"apps", "v1", "StatefulSet", "statefulsets"},
	{"apps", "v1", "DaemonSet", "daemonsets"}, {"batch", "v1", "Job", "jobs"}, {"batch", "v1", "CronJob", "cronjobs"},
	{"", "v1", "Service", "services"}, {"", "v1", "ServiceAccount", "serviceaccounts"}, {"", "v1", "Secret", "secrets"},
	{"", "v1", "ConfigMap", "configmaps"}, {"", "v1", "Namespace", "namespaces"}, {"", "v1", "Node", "nodes"},
	{"", "v1", "PersistentVolume", "persistentvolumes"}, {"", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"},
	{"", "v1", "Endpoints", "endpoints"}, {"discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"},
	{"", "v1", "LimitRange", "limitranges"}, {"", "v1", "ResourceQuota", "resourcequotas"},
	{"networking.k8s.io", "v1", "Ingress", "ingresses"}, {"networking.k8s.io", "v1", "IngressClass", "ingressclasses"},
	{"networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"},
	{"rbac.authorization.k8s.io", "v1", "Role", "roles"}, {"rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"},
	{"rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"}, {"rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings"},
	{"admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"},
	{"admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"},
	{"apiregistration.k8s.io", "v1", "APIService", "apiservices"},
	{"apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"},
	{"certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests"},
	{"storage.k8s.io", "v1", "StorageClass", "storageclasses"}, {"storage.k8s.io", "v1", "CSIDriver", "csidrivers"},
	{"policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"},
	{"autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"},
	{"scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses"}, {"node.k8s.io", "v1", "RuntimeClass", "runtimeclasses"},
	{"coordination.k8s.io", "v1", "Lease", "leases"},
	{"gateway.networking.k8s.io", "v1", "Gateway", "gateways"}, {"gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"},
}

var workloads = []string{"Pod", "PodTemplate", "ReplicationController", "Deployment.apps", "ReplicaSet.apps", "StatefulSet.apps",
	"DaemonSet.apps", "Job.batch", "CronJob.batch"}

// resources are the kinds of a rule that admission can match; custom ones that no table lists are left out.
func resources(r *rule.Rule) []Resource {
	var out []Resource
	for _, k := range known {
		gk := k.GroupKind()
		if slices.Contains(r.Match.Kinds, gk) || slices.Contains(r.Match.Kinds, "Workload") && slices.Contains(workloads, gk) {
			out = append(out, k)
		}
	}
	return out
}

// Enforceable reports whether admission engines can run the rule: it judges one object, of a kind that they are asked
// about.
func Enforceable(r *rule.Rule) bool { return r.SingleObject() && len(resources(r)) > 0 }

// union is the kinds of several rules, in the order of the table.
func union(rules []*rule.Rule) []Resource {
	var out []Resource
	for _, k := range known {
		for _, r := range rules {
			if slices.Contains(resources(r), k) {
				out = append(out, k)
				break
			}
		}
	}
	return out
}

// camel turns "node-escape/run-as-root" into "NodeEscapeRunAsRoot".
func camel(s string) string {
	var out strings.Builder
	for part := range strings.FieldsFuncSeq(s, func(c rune) bool { return c == '-' || c == '/' || c == '_' || c == '.' }) {
		out.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return out.String()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
