package collect

import "strings"

// Kind is one kind of object that a scan reads.
type Kind struct {
	Group     string
	Versions  []string // those that are understood, best first; another one is taken only when none of them is served
	Resource  string
	Kind      string
	Namespace bool   // objects live in namespaces
	Selector  string // label selector: the objects that are of use, "" for all
	Builtin   bool   // part of every Kubernetes that serves the version, so worth asking for when discovery is forbidden
	Why       string // what the scan reads from it
	NeededBy  string // rule families (docs/rules.md) and analyzers
}

// GroupKind returns "Kind" for the core group and "Kind.group" otherwise.
func (k *Kind) GroupKind() string {
	if k.Group == "" {
		return k.Kind
	}
	return k.Kind + "." + k.Group
}

// GroupResource returns "resource" or "resource.group", as kubectl takes it.
func (k *Kind) GroupResource() string {
	if k.Group == "" {
		return k.Resource
	}
	return k.Resource + "." + k.Group
}

var (
	v1      = []string{"v1"}
	v1beta1 = []string{"v1", "v1beta1"}
	routes  = []string{"v1", "v1beta1", "v1alpha3", "v1alpha2"}
)

// Kinds are all kinds that are read, in the order in which they are read: namespaces first since they say which policies
// hold, then owners before what they own. deploy/rbac grants exactly these.
var Kinds = []Kind{
	{"", v1, "namespaces", "Namespace", false, "", true, "Pod Security levels, labels that policies select by", "all"},
	{"", v1, "nodes", "Node", false, "", true, "versions, runtime, distribution, taints", "node, core components"},
	{"apiregistration.k8s.io", v1beta1, "apiservices", "APIService", false, "", true, "aggregated APIs without TLS checks", "control-plane"},
	{"apiextensions.k8s.io", v1beta1, "customresourcedefinitions", "CustomResourceDefinition", false, "", true,
		"conversion webhooks, which extensions run", "control-plane"},
	{"admissionregistration.k8s.io", v1beta1, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", false, "", true,
		"webhooks that fail open, their reach", "control-plane, access"},
	{"admissionregistration.k8s.io", v1beta1, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", false, "", true,
		"webhooks that fail open, their reach", "control-plane, access"},
	{"admissionregistration.k8s.io", v1beta1, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", false, "", true,
		"what admission refuses today", "control-plane"},
	{"admissionregistration.k8s.io", v1beta1, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", false, "", true,
		"where these policies hold", "control-plane"},
	{"admissionregistration.k8s.io", []string{"v1", "v1beta1", "v1alpha1"}, "mutatingadmissionpolicies", "MutatingAdmissionPolicy",
		false, "", true, "what admission changes", "control-plane"},
	{"policy", []string{"v1beta1"}, "podsecuritypolicies", "PodSecurityPolicy", false, "", true, "pod restrictions before 1.25", "control-plane, workload"},
	{"security.openshift.io", v1, "securitycontextconstraints", "SecurityContextConstraints", false, "", false,
		"pod restrictions on OpenShift", "workload, access"},
	{"certificates.k8s.io", v1beta1, "certificatesigningrequests", "CertificateSigningRequest", false, "", true,
		"certificates asked for and granted", "access"},
	{"storage.k8s.io", v1beta1, "storageclasses", "StorageClass", false, "", true, "encryption, reclaim policy", "workload, node-escape"},
	{"storage.k8s.io", v1beta1, "csidrivers", "CSIDriver", false, "", true, "drivers that get tokens of pods", "access"},
	{"node.k8s.io", v1beta1, "runtimeclasses", "RuntimeClass", false, "", true, "sandboxed runtimes", "workload"},
	{"scheduling.k8s.io", v1beta1, "priorityclasses", "PriorityClass", false, "", true, "priorities in use", "workload"},
	{"", v1, "persistentvolumes", "PersistentVolume", false, "", true, "hostPath and local volumes behind claims", "node-escape"},
	{"", v1, "persistentvolumeclaims", "PersistentVolumeClaim", true, "", true, "which pod mounts which volume", "node-escape"},
	{"rbac.authorization.k8s.io", v1beta1, "clusterroles", "ClusterRole", false, "", true, "effective permissions", "access"},
	{"rbac.authorization.k8s.io", v1beta1, "roles", "Role", true, "", true, "effective permissions", "access"},
	{"rbac.authorization.k8s.io", v1beta1, "clusterrolebindings", "ClusterRoleBinding", false, "", true, "effective permissions", "access"},
	{"rbac.authorization.k8s.io", v1beta1, "rolebindings", "RoleBinding", true, "", true, "effective permissions", "access"},
	{"", v1, "serviceaccounts", "ServiceAccount", true, "", true, "identities of pods, tokens", "access"},
	{"", v1, "secrets", "Secret", true, "", true, "types, names of keys, age; values are not kept", "secret"},
	{"", v1, "configmaps", "ConfigMap", true, "", true, "keys and credentials in them; kubelet and kube-proxy settings", "secret, node"},
	{"", v1, "resourcequotas", "ResourceQuota", true, "", true, "namespaces without bounds", "workload"},
	{"", v1, "limitranges", "LimitRange", true, "", true, "defaults that containers get", "workload"},
	{"policy", v1beta1, "poddisruptionbudgets", "PodDisruptionBudget", true, "", true, "availability", "workload"},
	{"autoscaling", []string{"v2", "v2beta2", "v1"}, "horizontalpodautoscalers", "HorizontalPodAutoscaler", true, "", true, "replicas", "workload"},
	{"networking.k8s.io", v1, "networkpolicies", "NetworkPolicy", true, "", true, "network reach", "network"},
	{"policy.networking.k8s.io", []string{"v1alpha1"}, "adminnetworkpolicies", "AdminNetworkPolicy", false, "", false, "network reach", "network"},
	{"policy.networking.k8s.io", []string{"v1alpha1"}, "baselineadminnetworkpolicies", "BaselineAdminNetworkPolicy", false, "", false,
		"network reach", "network"},
	{"policy.networking.k8s.io", []string{"v1alpha2"}, "clusternetworkpolicies", "ClusterNetworkPolicy", false, "", false, "network reach", "network"},
	{"crd.projectcalico.org", v1, "globalnetworkpolicies", "GlobalNetworkPolicy", false, "", false, "network reach", "network"},
	{"crd.projectcalico.org", v1, "networkpolicies", "NetworkPolicy", true, "", false, "network reach", "network"},
	{"cilium.io", []string{"v2"}, "ciliumclusterwidenetworkpolicies", "CiliumClusterwideNetworkPolicy", false, "", false, "network reach", "network"},
	{"cilium.io", []string{"v2"}, "ciliumnetworkpolicies", "CiliumNetworkPolicy", true, "", false, "network reach", "network"},
	{"", v1, "services", "Service", true, "", true, "exposure", "network"},
	// The slices that the control plane derives from Services say nothing that the selectors do not.
	{"discovery.k8s.io", v1beta1, "endpointslices", "EndpointSlice", true,
		"endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io", true, "backends of Services without selector", "network"},
	{"networking.k8s.io", v1beta1, "ingressclasses", "IngressClass", false, "", true, "ingress controllers", "network"},
	{"networking.k8s.io", v1beta1, "ingresses", "Ingress", true, "", true, "exposure, TLS", "network"},
	{"gateway.networking.k8s.io", routes, "gatewayclasses", "GatewayClass", false, "", false, "exposure", "network"},
	{"gateway.networking.k8s.io", routes, "gateways", "Gateway", true, "", false, "exposure, TLS", "network"},
	{"gateway.networking.k8s.io", routes, "httproutes", "HTTPRoute", true, "", false, "exposure", "network"},
	{"gateway.networking.k8s.io", routes, "grpcroutes", "GRPCRoute", true, "", false, "exposure", "network"},
	{"gateway.networking.k8s.io", routes, "tlsroutes", "TLSRoute", true, "", false, "exposure", "network"},
	{"gateway.networking.k8s.io", routes, "tcproutes", "TCPRoute", true, "", false, "exposure", "network"},
	{"gateway.networking.k8s.io", routes, "udproutes", "UDPRoute", true, "", false, "exposure", "network"},
	{"gateway.networking.k8s.io", routes, "referencegrants", "ReferenceGrant", true, "", false, "references across namespaces", "network"},
	{"networking.istio.io", []string{"v1", "v1beta1", "v1alpha3"}, "virtualservices", "VirtualService", true, "", false, "exposure", "network"},
	{"networking.istio.io", []string{"v1", "v1beta1", "v1alpha3"}, "gateways", "Gateway", true, "", false, "exposure, TLS", "network"},
	{"security.istio.io", []string{"v1", "v1beta1"}, "peerauthentications", "PeerAuthentication", true, "", false, "whether the mesh insists on TLS", "network"},
	{"kyverno.io", []string{"v1"}, "clusterpolicies", "ClusterPolicy", false, "", false, "what admission refuses today", "control-plane"},
	{"kyverno.io", []string{"v1"}, "policies", "Policy", true, "", false, "what admission refuses today", "control-plane"},
	{"policies.kyverno.io", v1beta1, "validatingpolicies", "ValidatingPolicy", false, "", false, "what admission refuses today", "control-plane"},
	{"policies.kyverno.io", v1beta1, "imagevalidatingpolicies", "ImageValidatingPolicy", false, "", false, "which images admission verifies", "image"},
	{"policy.sigstore.dev", v1beta1, "clusterimagepolicies", "ClusterImagePolicy", false, "", false, "which images admission verifies", "image"},
	{"external-secrets.io", v1beta1, "externalsecrets", "ExternalSecret", true, "", false, "secrets that are kept elsewhere", "secret"},
	{"external-secrets.io", v1beta1, "clustersecretstores", "ClusterSecretStore", false, "", false, "secrets that are kept elsewhere", "secret"},
	{"secrets-store.csi.x-k8s.io", v1, "secretproviderclasses", "SecretProviderClass", true, "", false, "secrets that are kept elsewhere", "secret"},
	{"traefik.io", []string{"v1alpha1"}, "ingressroutes", "IngressRoute", true, "", false, "exposure", "network"},
	{"route.openshift.io", v1, "routes", "Route", true, "", false, "exposure, TLS", "network"},
	{"apps", v1, "deployments", "Deployment", true, "", true, "workloads", "all"},
	{"apps", v1, "statefulsets", "StatefulSet", true, "", true, "workloads", "all"},
	{"apps", v1, "daemonsets", "DaemonSet", true, "", true, "workloads", "all"},
	{"apps.kruise.io", []string{"v1alpha1"}, "clonesets", "CloneSet", true, "", false, "workloads", "all"},
	{"apps.kruise.io", []string{"v1beta1", "v1alpha1"}, "statefulsets", "StatefulSet", true, "", false, "workloads", "all"},
	{"apps.kruise.io", []string{"v1beta1", "v1alpha1"}, "daemonsets", "DaemonSet", true, "", false, "workloads", "all"},
	{"argoproj.io", []string{"v1alpha1"}, "rollouts", "Rollout", true, "", false, "workloads", "all"},
	{"apps.openshift.io", v1, "deploymentconfigs", "DeploymentConfig", true, "", false, "workloads", "all"},
	{"batch", v1beta1, "cronjobs", "CronJob", true, "", true, "workloads", "all"},
	{"batch", v1, "jobs", "Job", true, "", true, "workloads", "all"},
	{"apps", v1, "replicasets", "ReplicaSet", true, "", true, "workloads, which Deployment a Pod is of", "all"},
	{"", v1, "replicationcontrollers", "ReplicationController", true, "", true, "workloads", "all"},
	{"", v1, "pods", "Pod", true, "", true, "what runs: nodes, digests, injected and debug containers, control-plane flags", "all"},
	{"", v1, "podtemplates", "PodTemplate", true, "", true, "workloads", "all"},
}

var ranks = func() map[string]int {
	m := make(map[string]int, len(Kinds))
	for i := range Kinds {
		m[Kinds[i].GroupKind()] = i
	}
	return m
}()

// Find returns the kind of a "Kind.group"; nil when it is none that is read.
func Find(groupKind string) *Kind {
	if i, ok := ranks[groupKind]; ok {
		return &Kinds[i]
	}
	return nil
}

// Rank is the place of a "Kind.group" in the order of reading. Kinds that are not read come before the workloads.
func Rank(groupKind string) int {
	if i, ok := ranks[groupKind]; ok {
		return i
	}
	return ranks["Service"]
}

// ResourceOf returns the resource name of a "Kind.group": from the table, or by the plural that nearly all kinds have.
func ResourceOf(groupKind string) string {
	if k := Find(groupKind); k != nil {
		return k.Resource
	}
	kind, _, _ := strings.Cut(groupKind, ".")
	kind = strings.ToLower(kind)
	switch {
	case strings.HasSuffix(kind, "s"), strings.HasSuffix(kind, "x"), strings.HasSuffix(kind, "ch"):
		return kind + "es"
	case len(kind) > 1 && kind[len(kind)-1] == 'y' && !strings.ContainsRune("aeou", rune(kind[len(kind)-2])):
		return kind[:len(kind)-1] + "ies"
	}
	return kind + "s"
}
