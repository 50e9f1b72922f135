package parity

import (
	"fmt"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/constraint"
)

// large is a Deployment of many containers, each with all that containers commonly have; nothing in it is unusual but its size.
func large(containers, each int) m {
	var list []any
	for i := range containers {
		var env, mounts, ports []any
		for k := range each {
			env = append(env, m{"name": fmt.Sprintf("SETTING_%d", k), "value": fmt.Sprintf("value of setting %d", k)})
		}
		for k := range min(each, 20) {
			mounts = append(mounts, m{"name": fmt.Sprintf("v%d", k), "mountPath": fmt.Sprintf("/data/%d", k), "readOnly": true})
			ports = append(ports, m{"containerPort": int64(8000 + k), "name": fmt.Sprintf("p%d", k), "protocol": "TCP"})
		}
		list = append(list, container(fmt.Sprintf("c%d", i), fmt.Sprintf("registry.example.com/shop/app-%d:1.%d", i, i), m{"env": env, "volumeMounts": mounts, "ports": ports,
			"command": []any{"/bin/app", "--verbose"}, "args": []any{"--listen=:8080", "--log=json"},
			"resources":     m{"requests": m{"cpu": "100m", "memory": "64Mi"}, "limits": m{"cpu": "1", "memory": "128Mi"}},
			"livenessProbe": m{"httpGet": m{"path": "/healthz", "port": int64(8080)}},
			"securityContext": m{"runAsNonRoot": true, "runAsUser": int64(10001), "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
				"capabilities": m{"drop": []any{"ALL"}}, "seccompProfile": m{"type": "RuntimeDefault"}}}))
	}
	o := workload("Deployment", "large", list...)
	var volumes []any
	for k := range min(each, 20) {
		volumes = append(volumes, m{"name": fmt.Sprintf("v%d", k), "emptyDir": m{}})
	}
	return with(o, "spec.template.spec.volumes", volumes)
}

// TestBudget: engines bound what one policy may cost on one object. Fifty containers with fifty variables each are judged by every rule
// there is; what is too large is refused, in words, and never let in for being large.
func TestBudget(t *testing.T) {
	lib := library(t)
	all := everything(lib)
	g := newGate(t, lib, bundleOf(all), constraint.Options{}, nil)
	said := func(o m) string {
		return strings.Join(g.review(t, &ask{operation: "CREATE", object: o}), "\n")
	}
	within := large(50, 50)
	if s := said(within); strings.Contains(s, "budget") || strings.Contains(s, "[too-large]") {
		t.Errorf("50 containers: %.2000s", s)
	}
	bad := with(within, "spec.template.spec.hostNetwork", true)
	if s := said(bad); !strings.Contains(s, "[STK-") || strings.Contains(s, "budget") || !strings.Contains(s, "hostNetwork") {
		t.Errorf("50 containers and the network of the host: %.2000s", s)
	}
	// Just below the bound nothing runs out, whatever it is that makes the object large.
	for each, containers := range map[int]int{2: 300, 20: 80, 50: 58, 100: 28, 200: 7, 500: 1} {
		if s := said(large(containers, each)); strings.Contains(s, "budget") || strings.Contains(s, "[too-large]") {
			t.Errorf("%d containers of %d: %.1000s", containers, each, s)
		}
	}
	for each, containers := range map[int]int{5: 1000, 50: 100, 2000: 2} {
		s := said(with(large(containers, each), "spec.template.spec.hostNetwork", true))
		if !strings.Contains(s, "deny [too-large] The pod has too many") || strings.Contains(s, "budget") || strings.Count(s, "\n") > 200 {
			t.Errorf("%d containers of %d: %.1000s", containers, each, s)
		}
	}
	var rules []any
	for i := range 1500 {
		rules = append(rules, m{"apiGroups": []any{"", "apps"}, "resources": []any{"pods", fmt.Sprintf("r%d", i)}, "verbs": []any{"get", "list", "watch"}})
	}
	if s := said(m{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": m{"name": "x"}, "rules": rules}); s != "" {
		t.Errorf("a role of 1500 rules: %.1000s", s)
	}
	if s := said(m{"apiVersion": "v1", "kind": "ConfigMap", "metadata": m{"name": "x", "namespace": "shop"}, "data": m{"a": strings.Repeat("x y: z\n", 140_000)}}); s != "" {
		t.Errorf("a ConfigMap of a megabyte: %.1000s", s)
	}
}
