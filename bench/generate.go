package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// object is shorthand for a JSON object.
type object = map[string]any

// size says how many of what a generated cluster has. RBAC and NetworkPolicies grow with the pods, as in real clusters.
type size struct {
	pods, rbac, policies int
}

func sizeOf(pods int) size { return size{pods, 2 * pods, pods / 5} }

// generated calls emit for every object of a cluster of about the given size, in the order of a snapshot: resource by
// resource. Names, labels and settings vary by index, so that the same size is always the same cluster.
func generated(s size, emit func(resource string, o object) error) error {
	deployments := s.pods / 4
	namespaces := max(1, deployments/25)
	ns := func(i int) string { return fmt.Sprintf("team-%03d", i%namespaces) }
	put := func(n int, resource string, build func(i int) object) error {
		for i := range n {
			if err := emit(resource, build(i)); err != nil {
				return err
			}
		}
		return nil
	}
	steps := []func() error{
		func() error {
			return put(namespaces, "_v1_namespaces", func(i int) object {
				return object{"apiVersion": "v1", "kind": "Namespace", "metadata": meta("", ns(i), object{"team": ns(i)})}
			})
		},
		func() error {
			return put(deployments, "apps_v1_deployments", func(i int) object {
				name := fmt.Sprintf("app-%05d", i)
				return object{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(ns(i), name, labels(i)),
					"spec": object{"replicas": 4, "selector": object{"matchLabels": labels(i)}, "template": object{"metadata": object{"labels": labels(i)}, "spec": podSpec(i, "")}}}
			})
		},
		func() error {
			return put(deployments, "apps_v1_replicasets", func(i int) object {
				name := fmt.Sprintf("app-%05d", i)
				l := labels(i)
				l["pod-template-hash"] = hash(i)
				m := meta(ns(i), name+"-"+hash(i), l)
				m["ownerReferences"] = owner("apps/v1", "Deployment", name)
				return object{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": m,
					"spec": object{"replicas": 4, "selector": object{"matchLabels": l}, "template": object{"metadata": object{"labels": l}, "spec": podSpec(i, "")}}}
			})
		},
		func() error {
			return put(s.pods, "_v1_pods", func(i int) object {
				d := i / 4 % deployments
				name := fmt.Sprintf("app-%05d-%s", d, hash(d))
				l := labels(d)
				l["pod-template-hash"] = hash(d)
				m := meta(ns(d), fmt.Sprintf("%s-%05d", name, i), l)
				m["ownerReferences"] = owner("apps/v1", "ReplicaSet", name)
				return object{"apiVersion": "v1", "kind": "Pod", "metadata": m, "spec": podSpec(d, fmt.Sprintf("node-%04d", i%200)), "status": podStatus(d)}
			})
		},
		func() error {
			return put(deployments/2, "_v1_services", func(i int) object {
				return object{"apiVersion": "v1", "kind": "Service", "metadata": meta(ns(i), fmt.Sprintf("app-%05d", i), nil),
					"spec": object{"type": []any{"ClusterIP", "ClusterIP", "NodePort", "LoadBalancer"}[i%4], "selector": labels(i),
						"ports": []any{object{"port": 80, "targetPort": 8080}}}}
			})
		},
		func() error {
			return put(deployments/2, "_v1_serviceaccounts", func(i int) object {
				return object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(ns(i), fmt.Sprintf("sa-%05d", i), nil)}
			})
		},
		func() error {
			return put(s.rbac/4, "rbac.authorization.k8s.io_v1_roles", func(i int) object { return role("Role", ns(i), i) })
		},
		func() error {
			return put(s.rbac/4, "rbac.authorization.k8s.io_v1_clusterroles", func(i int) object { return role("ClusterRole", "", i) })
		},
		func() error {
			return put(s.rbac/4, "rbac.authorization.k8s.io_v1_rolebindings", func(i int) object { return binding("RoleBinding", ns(i), i, deployments) })
		},
		func() error {
			return put(s.rbac/4, "rbac.authorization.k8s.io_v1_clusterrolebindings", func(i int) object { return binding("ClusterRoleBinding", "", i, deployments) })
		},
		func() error {
			return put(s.policies, "networking.k8s.io_v1_networkpolicies", func(i int) object {
				return object{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta(ns(i), fmt.Sprintf("np-%05d", i), nil),
					"spec": object{"podSelector": object{"matchLabels": object{"app": fmt.Sprintf("app-%05d", i*2%max(1, deployments))}}, "policyTypes": []any{"Ingress"},
						"ingress": []any{object{"from": []any{object{"namespaceSelector": object{"matchLabels": object{"team": ns(i + 1)}}}}, "ports": []any{object{"port": 8080}}}}}}
			})
		},
		func() error {
			return put(deployments/2, "_v1_configmaps", func(i int) object {
				return object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(ns(i), fmt.Sprintf("cfg-%05d", i), nil),
					"data": object{"application.yaml": "server:\n  port: 8080\nlogging:\n  level: info\n", "LOG_LEVEL": "info"}}
			})
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func meta(ns, name string, labels object) object {
	m := object{"name": name, "uid": "uid-" + ns + "-" + name, "resourceVersion": "1", "creationTimestamp": "2026-01-02T03:04:05Z"}
	if ns != "" {
		m["namespace"] = ns
	}
	if labels != nil {
		m["labels"] = labels
	}
	return m
}

func labels(i int) object {
	return object{"app": fmt.Sprintf("app-%05d", i), "tier": []string{"web", "api", "db"}[i%3]}
}

func hash(i int) string { return fmt.Sprintf("%x", 0x5f0000+i*7919) }

func owner(apiVersion, kind, name string) []any {
	return []any{object{"apiVersion": apiVersion, "kind": kind, "name": name, "uid": "uid-" + name, "controller": true, "blockOwnerDeletion": true}}
}

// podSpec varies by index: a third is hardened, some are careless, a few are dangerous.
func podSpec(i int, node string) object {
	c := object{"name": "app", "image": fmt.Sprintf("registry.example.com/team/app-%05d:1.%d.0", i, i%9), "imagePullPolicy": "IfNotPresent",
		"ports": []any{object{"containerPort": 8080, "protocol": "TCP"}}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
		"env":          []any{object{"name": "LOG_LEVEL", "value": "info"}, object{"name": "POD_IP", "valueFrom": object{"fieldRef": object{"apiVersion": "v1", "fieldPath": "status.podIP"}}}},
		"volumeMounts": []any{object{"name": "tmp", "mountPath": "/tmp"}}}
	spec := object{"containers": []any{c}, "volumes": []any{object{"name": "tmp", "emptyDir": object{}}}, "serviceAccountName": fmt.Sprintf("sa-%05d", i/2),
		"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30}
	if node != "" {
		spec["nodeName"] = node
	}
	switch i % 3 {
	case 0:
		c["securityContext"] = object{"runAsNonRoot": true, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
			"capabilities": object{"drop": []any{"ALL"}}, "seccompProfile": object{"type": "RuntimeDefault"}}
		c["resources"] = object{"requests": object{"cpu": "100m", "memory": "128Mi"}, "limits": object{"cpu": "500m", "memory": "256Mi"}}
		c["livenessProbe"] = object{"httpGet": object{"path": "/healthz", "port": 8080}}
		c["readinessProbe"] = object{"httpGet": object{"path": "/ready", "port": 8080}}
		spec["automountServiceAccountToken"] = false
	case 1:
		c["resources"] = object{"requests": object{"cpu": "100m"}}
		spec["initContainers"] = []any{object{"name": "init", "image": "registry.example.com/team/migrate:2.1", "command": []any{"/migrate"}}}
	case 2:
		if i%50 == 2 {
			c["securityContext"] = object{"privileged": true}
			spec["hostNetwork"] = true
			spec["volumes"] = append(spec["volumes"].([]any), object{"name": "sock", "hostPath": object{"path": "/var/run/docker.sock"}})
		}
	}
	return spec
}

func podStatus(i int) object {
	return object{"phase": "Running", "podIP": "10.0.0.1", "hostIP": "192.0.2.1", "qosClass": "Burstable", "startTime": "2026-01-02T03:04:05Z",
		"conditions": []any{object{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"},
			object{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}},
		"containerStatuses": []any{object{"name": "app", "ready": true, "restartCount": 0, "image": "registry.example.com/team/app:1",
			"imageID": fmt.Sprintf("registry.example.com/team/app@sha256:%064x", i), "state": object{"running": object{"startedAt": "2026-01-02T03:04:05Z"}}}}}
}

func role(kind, ns string, i int) object {
	rules := []any{object{"apiGroups": []any{""}, "resources": []any{"configmaps", "services"}, "verbs": []any{"get", "list", "watch"}}}
	switch i % 20 {
	case 7:
		rules = append(rules, object{"apiGroups": []any{""}, "resources": []any{"secrets"}, "verbs": []any{"get", "list"}})
	case 13:
		rules = append(rules, object{"apiGroups": []any{"apps"}, "resources": []any{"deployments"}, "verbs": []any{"create", "update", "patch"}})
	}
	return object{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": meta(ns, fmt.Sprintf("role-%05d", i), nil), "rules": rules}
}

func binding(kind, ns string, i, deployments int) object {
	target, roleKind := ns, "Role"
	if kind == "ClusterRoleBinding" {
		target, roleKind = "team-000", "ClusterRole"
	}
	return object{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": meta(ns, fmt.Sprintf("binding-%05d", i), nil),
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": roleKind, "name": fmt.Sprintf("role-%05d", i)},
		"subjects": []any{object{"kind": "ServiceAccount", "namespace": target, "name": fmt.Sprintf("sa-%05d", i%max(1, deployments/2))}}}
}

// writeSnapshot writes a generated cluster as a snapshot folder and returns how many objects it holds.
func writeSnapshot(dir string, s size) (int, error) {
	if err := os.MkdirAll(filepath.Join(dir, "objects"), 0o755); err != nil {
		return 0, err
	}
	head := object{"schema": "stockade.snapshot/v1", "cluster": "generated", "version": "v1.34.4", "distribution": "kubeadm", "takenAt": "2026-01-02T03:04:05Z"}
	data, err := json.Marshal(head)
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(dir, "snapshot.json"), data, 0o644); err != nil {
		return 0, err
	}
	files := map[string]*bufio.Writer{}
	n := 0
	err = generated(s, func(resource string, o object) error {
		w := files[resource]
		if w == nil {
			f, err := os.Create(filepath.Join(dir, "objects", resource+".jsonl"))
			if err != nil {
				return err
			}
			w = bufio.NewWriter(f)
			files[resource] = w
		}
		n++
		return json.NewEncoder(w).Encode(o)
	})
	for _, w := range files {
		if ferr := w.Flush(); err == nil {
			err = ferr
		}
	}
	return n, err
}

// writeYAML writes the controllers, services, RBAC and policies of a generated cluster as manifests of ten objects a file:
// what a repository holds, not what a cluster runs.
func writeYAML(dir string, s size) (int, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	var page []byte
	n := 0
	flush := func() error {
		if len(page) == 0 {
			return nil
		}
		err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("part-%05d.yaml", n)), page, 0o644)
		page = nil
		return err
	}
	err := generated(s, func(resource string, o object) error {
		if resource == "_v1_pods" || resource == "apps_v1_replicasets" {
			return nil
		}
		m := o["metadata"].(object)
		delete(m, "uid")
		delete(m, "resourceVersion")
		delete(m, "creationTimestamp")
		data, err := yaml.Marshal(o)
		if err != nil {
			return err
		}
		page = append(append(page, "---\n"...), data...)
		if n++; n%10 == 0 {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	return n, err
}
