package analyze_test

import (
	"math/rand"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

// odd makes values that no API server would accept, under the keys that analyzers look at.
type odd struct{ rnd *rand.Rand }

var oddKeys = []string{"spec", "podSelector", "matchLabels", "matchExpressions", "key", "operator", "values", "ingress", "egress", "from", "to", "ports", "port",
	"endPort", "ipBlock", "cidr", "except", "namespaceSelector", "policyTypes", "rules", "webhooks", "clientConfig", "service", "name", "namespace", "host", "http",
	"paths", "backend", "backendRefs", "parentRefs", "type", "selector", "externalIPs", "subject", "pods", "namespaces", "action", "priority", "networks", "nodes",
	"claimRef", "hostPath", "path", "mtls", "mode", "template", "containers", "env", "value", "args", "metadata", "labels", "annotations", "data", "subjects", "roleRef",
	"kind", "verbs", "resources", "apiGroups", "resourceNames", "aggregationRule", "clusterRoleSelectors", "tls", "secretName", "status", "nodeInfo", "endpoints",
	"addresses", "matchConstraints", "resourceRules", "validationActions", "policyName", "scaleTargetRef", "maxUnavailable", "minAvailable", "parameters", "types",
	"endpointSelector", "specs", "imagePullSecrets", "volumes", "secret", "projected", "sources", "match", "kinds", "validate", "routes", "services", "destination"}

func (o odd) value(depth int) any {
	switch n := o.rnd.Intn(10); {
	case n < 4 && depth > 0:
		m := map[string]any{}
		for range o.rnd.Intn(6) {
			m[oddKeys[o.rnd.Intn(len(oddKeys))]] = o.value(depth - 1)
		}
		return m
	case n < 6 && depth > 0:
		list := make([]any, o.rnd.Intn(4))
		for i := range list {
			list[i] = o.value(depth - 1)
		}
		return list
	case n < 8:
		return []string{"", "*", "*/*", "a", "shop", "0.0.0.0/0", "::/0", "x/99", "Ingress", "In", "Exists", "has(", "-1", "100%", "Deny", "pods/", "/", "web"}[o.rnd.Intn(18)]
	case n == 8:
		return []any{nil, true, int64(-1), int64(1 << 62), 3.5}[o.rnd.Intn(5)]
	}
	return nil
}

var oddKinds = [][2]string{{"v1", "Pod"}, {"v1", "Service"}, {"v1", "Namespace"}, {"v1", "Node"}, {"v1", "Secret"}, {"v1", "ConfigMap"}, {"v1", "ServiceAccount"},
	{"v1", "PersistentVolume"}, {"v1", "PersistentVolumeClaim"}, {"v1", "Endpoints"}, {"apps/v1", "Deployment"}, {"apps/v1", "DaemonSet"}, {"batch/v1", "CronJob"},
	{"networking.k8s.io/v1", "NetworkPolicy"}, {"networking.k8s.io/v1", "Ingress"}, {"policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"},
	{"policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"}, {"crd.projectcalico.org/v1", "GlobalNetworkPolicy"}, {"cilium.io/v2", "CiliumNetworkPolicy"},
	{"gateway.networking.k8s.io/v1", "HTTPRoute"}, {"networking.istio.io/v1", "VirtualService"}, {"traefik.io/v1alpha1", "IngressRoute"}, {"route.openshift.io/v1", "Route"},
	{"security.istio.io/v1", "PeerAuthentication"}, {"discovery.k8s.io/v1", "EndpointSlice"}, {"storage.k8s.io/v1", "StorageClass"},
	{"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"}, {"admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"},
	{"admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"}, {"admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"},
	{"kyverno.io/v1", "ClusterPolicy"}, {"policies.kyverno.io/v1", "ValidatingPolicy"}, {"constraints.gatekeeper.sh/v1beta1", "K8sPSPPrivileged"},
	{"rbac.authorization.k8s.io/v1", "Role"}, {"rbac.authorization.k8s.io/v1", "ClusterRole"}, {"rbac.authorization.k8s.io/v1", "RoleBinding"},
	{"rbac.authorization.k8s.io/v1", "ClusterRoleBinding"}, {"autoscaling/v2", "HorizontalPodAutoscaler"}, {"policy/v1", "PodDisruptionBudget"}, {"agents.x-k8s.io/v1alpha1", "Sandbox"}}

// TestOddObjects: whatever shape objects have, the analyzers end.
func TestOddObjects(t *testing.T) {
	found := 0
	for seed := range int64(300) {
		o := odd{rand.New(rand.NewSource(seed))}
		var list []*inventory.Object
		for range 40 {
			kind := oddKinds[o.rnd.Intn(len(oddKinds))]
			m, _ := o.value(4).(map[string]any)
			if m == nil {
				m = map[string]any{}
			}
			if o.rnd.Intn(2) == 0 {
				m["spec"] = o.value(5)
			}
			m["apiVersion"], m["kind"] = kind[0], kind[1]
			m["metadata"] = map[string]any{"name": []string{"a", "web", "shop"}[o.rnd.Intn(3)], "namespace": []string{"", "shop", "a"}[o.rnd.Intn(3)],
				"labels": o.value(1), "annotations": o.value(1), "ownerReferences": o.value(3)}
			if obj, ok := inventory.NewObject(m); ok {
				list = append(list, obj)
			}
		}
		found += len(run(list, nil, nil))
	}
	if found < 1000 {
		t.Errorf("only %d findings: the objects are too odd to reach anything", found)
	}
}
