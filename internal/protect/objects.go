package protect

import (
	"net/netip"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
)

type m = map[string]any
type l = []any

// made makes an object of content, with our label.
func made(content m) *object {
	o := &object{Object: content}
	labels := o.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[managedLabel] = managedBy
	o.SetLabels(labels)
	return o
}

func strs(list []string) l {
	out := make(l, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// providerLabels choose the provider's pods.
var providerLabels = m{"app.kubernetes.io/name": providerName}

// namespaceObject is the namespace of the provider.
func namespaceObject() *object {
	return made(m{"apiVersion": "v1", "kind": "Namespace", "metadata": m{"name": Namespace, "labels": m{
		"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/audit": "restricted",
		"kubernetes.io/metadata.name": Namespace}}})
}

// providerObjects are those of the provider that hold no secret and can be there before its pods are.
func providerObjects(s *Settings, minor int) []*object {
	meta := func(name string) m {
		return m{"name": name, "namespace": Namespace, "labels": m{"app.kubernetes.io/name": providerName}}
	}
	budget := "policy/v1"
	if minor > 0 && minor < 21 {
		budget = "policy/v1beta1"
	}
	host, port := hostOf(s.Server)
	number, err := strconv.Atoi(port)
	if err != nil {
		number = 443
	}
	toServer := m{"ports": l{m{"protocol": "TCP", "port": int64(number)}}}
	if ip, err := netip.ParseAddr(host); err == nil {
		toServer["to"] = l{m{"ipBlock": m{"cidr": netip.PrefixFrom(ip, ip.BitLen()).String()}}}
	}
	return []*object{
		made(m{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(providerName), "automountServiceAccountToken": false}),
		// Critical pods are only let into namespaces that say so, on clusters that bound them.
		made(m{"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta("stockade-critical-pods"), "spec": m{"hard": m{"pods": "100"},
			"scopeSelector": m{"matchExpressions": l{m{"operator": "In", "scopeName": "PriorityClass", "values": l{"system-cluster-critical"}}}}}}),
		made(m{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta(providerName), "spec": m{
			"podSelector": m{"matchLabels": providerLabels}, "policyTypes": l{"Ingress", "Egress"},
			// The API server and the kubelet have addresses that nobody here knows; what may be asked is decided by certificates.
			"ingress": l{m{"ports": l{m{"protocol": "TCP", "port": int64(8443)}, m{"protocol": "TCP", "port": int64(8081)}}}},
			"egress":  l{toServer, m{"ports": l{m{"protocol": "UDP", "port": int64(53)}, m{"protocol": "TCP", "port": int64(53)}}}}}}),
		made(m{"apiVersion": "v1", "kind": "Service", "metadata": meta(providerName), "spec": m{"type": "ClusterIP", "selector": providerLabels,
			"ports": l{m{"name": "https", "protocol": "TCP", "port": int64(8443), "targetPort": int64(8443)}}}}),
		made(m{"apiVersion": budget, "kind": "PodDisruptionBudget", "metadata": meta(providerName), "spec": m{"minAvailable": int64(1),
			"selector": m{"matchLabels": providerLabels}}}),
	}
}

// deployment is the provider's Deployment. Its pods go on answering for 10 s after they are told to stop, so that nobody asks one
// that is gone; what its Secrets hold they read again by themselves.
func deployment(s *Settings, version string) *object {
	level := s.Provider.LogLevel
	if level == "" {
		level = "info"
	}
	pod := m{
		"serviceAccountName": providerName, "automountServiceAccountToken": false, "enableServiceLinks": false,
		"priorityClassName": "system-cluster-critical", "nodeSelector": m{"kubernetes.io/os": "linux"},
		"terminationGracePeriodSeconds": int64(30),
		"securityContext": m{"runAsNonRoot": true, "runAsUser": int64(65532), "runAsGroup": int64(65532), "fsGroup": int64(65532),
			"seccompProfile": m{"type": "RuntimeDefault"}},
		"affinity": m{"podAntiAffinity": m{"preferredDuringSchedulingIgnoredDuringExecution": l{m{"weight": int64(100), "podAffinityTerm": m{
			"labelSelector": m{"matchLabels": providerLabels}, "topologyKey": "kubernetes.io/hostname"}}}}},
		"topologySpreadConstraints": l{m{"maxSkew": int64(1), "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
			"labelSelector": m{"matchLabels": providerLabels}}},
		"containers": l{m{
			"name": "provider", "image": s.Provider.reference(""), "imagePullPolicy": "IfNotPresent",
			"args":  l{"provider", "--tls", "/etc/stockade/tls", "--link", "/etc/stockade/link", "--data", "/var/cache/stockade", "--log-level", level, "--log-format", "json", "--drain", "10s"},
			"env":   l{m{"name": "POD_NAME", "valueFrom": m{"fieldRef": m{"apiVersion": "v1", "fieldPath": "metadata.name"}}}},
			"ports": l{m{"name": "https", "containerPort": int64(8443), "protocol": "TCP"}, m{"name": "health", "containerPort": int64(8081), "protocol": "TCP"}},
			"readinessProbe": m{"httpGet": m{"path": "/readyz", "port": int64(8081), "scheme": "HTTP"}, "periodSeconds": int64(2), "timeoutSeconds": int64(2),
				"successThreshold": int64(1), "failureThreshold": int64(2)},
			"livenessProbe": m{"httpGet": m{"path": "/healthz", "port": int64(8081), "scheme": "HTTP"}, "initialDelaySeconds": int64(10), "periodSeconds": int64(10),
				"timeoutSeconds": int64(5), "successThreshold": int64(1), "failureThreshold": int64(6)},
			"resources":       m{"requests": m{"cpu": "50m", "memory": "64Mi"}, "limits": m{"memory": "256Mi"}},
			"securityContext": m{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "capabilities": m{"drop": l{"ALL"}}},
			"volumeMounts": l{m{"name": "tls", "mountPath": "/etc/stockade/tls", "readOnly": true}, m{"name": "link", "mountPath": "/etc/stockade/link", "readOnly": true},
				m{"name": "cache", "mountPath": "/var/cache/stockade"}},
		}},
		"volumes": l{m{"name": "tls", "secret": m{"secretName": tlsSecret, "defaultMode": int64(288)}},
			m{"name": "link", "secret": m{"secretName": linkSecret, "defaultMode": int64(288)}},
			m{"name": "cache", "emptyDir": m{"sizeLimit": "512Mi"}}},
	}
	if list := secretRefs(s.Provider.PullSecrets); list != nil {
		pod["imagePullSecrets"] = list
	}
	return made(m{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": m{"name": providerName, "namespace": Namespace, "labels": m{"app.kubernetes.io/name": providerName, "app.kubernetes.io/version": labelValue(version)}},
		"spec": m{"replicas": int64(s.Provider.Replicas), "revisionHistoryLimit": int64(2), "selector": m{"matchLabels": providerLabels},
			// One more starts before one goes: there is always somebody who answers.
			"strategy": m{"type": "RollingUpdate", "rollingUpdate": m{"maxSurge": int64(1), "maxUnavailable": int64(0)}},
			"template": m{"metadata": m{"labels": m{"app.kubernetes.io/name": providerName, managedLabel: managedBy}}, "spec": pod}}})
}

func secretRefs(names []string) l {
	var out l
	for _, n := range names {
		out = append(out, m{"name": n})
	}
	return out
}

// labelValue makes a text fit for a label.
func labelValue(text string) string {
	out := []byte{}
	for _, c := range []byte(text) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', len(out) > 0 && (c == '.' || c == '-' || c == '_'):
			out = append(out, c)
		}
	}
	out = out[:min(len(out), 63)]
	for len(out) > 0 && (out[len(out)-1] == '.' || out[len(out)-1] == '-' || out[len(out)-1] == '_') {
		out = out[:len(out)-1]
	}
	return string(out)
}

// secret is a Secret of the provider.
func secret(name string, data map[string][]byte) *object {
	values := m{}
	for k, v := range data {
		values[k] = encoded(v)
	}
	return made(m{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": m{"name": name, "namespace": Namespace}, "data": values})
}

// hookRule is a rule of a webhook configuration.
type hookRule struct {
	Groups, Versions, Resources, Operations []string
	Scope                                   string
}

func (r hookRule) content() m {
	scope := r.Scope
	if scope == "" {
		scope = "*"
	}
	return m{"apiGroups": strs(r.Groups), "apiVersions": strs(r.Versions), "operations": strs(r.Operations), "resources": strs(r.Resources), "scope": scope}
}

// workloads are the rules that hold whatever the policies say, so that the recorder knows what came while there was none.
var workloads = []hookRule{
	{Groups: []string{""}, Versions: []string{"v1"}, Resources: []string{"pods", "pods/ephemeralcontainers", "replicationcontrollers"}, Operations: []string{"CREATE", "UPDATE"}},
	{Groups: []string{"apps"}, Versions: []string{"v1"}, Resources: []string{"daemonsets", "deployments", "replicasets", "statefulsets"}, Operations: []string{"CREATE", "UPDATE"}},
	{Groups: []string{"batch"}, Versions: []string{"v1", "v1beta1"}, Resources: []string{"cronjobs", "jobs"}, Operations: []string{"CREATE", "UPDATE"}},
}

// merged puts rules of the same group, versions and operations together, sorted.
func merged(lists ...[]hookRule) []hookRule {
	type key struct{ groups, versions, operations, scope string }
	byKey := map[key]*hookRule{}
	var order []key
	for _, list := range lists {
		for _, r := range list {
			k := key{join(r.Groups), join(r.Versions), join(r.Operations), r.Scope}
			if byKey[k] == nil {
				c := r
				c.Resources = nil
				byKey[k] = &c
				order = append(order, k)
			}
			byKey[k].Resources = append(byKey[k].Resources, r.Resources...)
		}
	}
	slices.SortFunc(order, func(a, b key) int {
		return compare(a.groups+"|"+a.versions+"|"+a.operations+a.scope, b.groups+"|"+b.versions+"|"+b.operations+b.scope)
	})
	out := make([]hookRule, 0, len(order))
	for _, k := range order {
		r := *byKey[k]
		slices.Sort(r.Resources)
		r.Resources = slices.Compact(r.Resources)
		out = append(out, r)
	}
	return out
}

func contents(rules []hookRule) l {
	out := make(l, len(rules))
	for i, r := range rules {
		out[i] = r.content()
	}
	return out
}

// outside is a selector of the namespaces that are not among the names. The label is the API server's own: nobody can change it.
func outside(names []string) m {
	return m{"matchExpressions": l{m{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": strs(names)}}}
}

// recorder is the webhook that sees what is admitted and never refuses anything.
func recorder(rules []hookRule, skip []string, ca []byte) *object {
	return made(m{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": m{"name": recorderName},
		"webhooks": l{m{"name": "recorder.stockade.dev", "admissionReviewVersions": l{"v1"}, "sideEffects": "NoneOnDryRun", "failurePolicy": "Ignore",
			"matchPolicy": "Equivalent", "timeoutSeconds": int64(2), "namespaceSelector": outside(skip), "rules": contents(rules),
			"clientConfig": m{"caBundle": encoded(ca), "service": m{"name": providerName, "namespace": Namespace, "path": "/record", "port": int64(8443)}}}}})
}

// copied is a deep copy of an object.
func copied(o *object) *object { return &object{Object: runtime.DeepCopyJSON(o.Object)} }
