package parity

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
)

// bodies are ten checks in the manner of Gatekeeper's library of pod security templates: one violation rule over all containers or the
// pod, with its list of exempt images.
var bodies = []string{
	`c := containers[_]; not exempt(c); c.securityContext.privileged; msg := sprintf("Privileged container is not allowed: %v", [c.name])`,
	`c := containers[_]; not exempt(c); not c.securityContext.allowPrivilegeEscalation == false; msg := sprintf("Privilege escalation container is not allowed: %v", [c.name])`,
	`c := containers[_]; not exempt(c); not c.securityContext.readOnlyRootFilesystem == true; msg := sprintf("only read-only root filesystem container is allowed: %v", [c.name])`,
	`c := containers[_]; not exempt(c); cap := c.securityContext.capabilities.add[_]; not allowed(cap); msg := sprintf("container <%v> has a disallowed capability: %v", [c.name, cap])`,
	`c := containers[_]; not exempt(c); not c.securityContext.runAsNonRoot == true; not input.review.object.spec.securityContext.runAsNonRoot == true; msg := sprintf("Container %v is attempting to run without a required securityContext/runAsNonRoot", [c.name])`,
	`c := containers[_]; not exempt(c); not c.resources.limits.memory; msg := sprintf("container <%v> has no memory limit", [c.name])`,
	`c := containers[_]; not exempt(c); c.ports[_].hostPort > 0; msg := sprintf("host port is not allowed: %v", [c.name])`,
	`input.review.object.spec.hostNetwork; msg := sprintf("The specified hostNetwork is not allowed, pod: %v", [input.review.object.metadata.name])`,
	`shares; msg := sprintf("Sharing the host namespace is not allowed: %v", [input.review.object.metadata.name])`,
	`v := input.review.object.spec.volumes[_]; v.hostPath; not allowed(v.hostPath.path); msg := sprintf("HostPath volume %v is not allowed, pod: %v", [v, input.review.object.metadata.name])`,
}

const libraryRego = `package k8spsp

violation[{"msg": msg, "details": {}}] { %s }

containers[c] { c := input.review.object.spec.containers[_] }
containers[c] { c := input.review.object.spec.initContainers[_] }
containers[c] { c := input.review.object.spec.ephemeralContainers[_] }
shares { input.review.object.spec.hostPID }
shares { input.review.object.spec.hostIPC }
allowed(x) { x == input.parameters.allowed[_] }
exempt(c) { images := object.get(object.get(input, "parameters", {}), "exemptImages", []); img := c.image; e := images[_]; matches_exemption(img, e) }
matches_exemption(img, e) { not endswith(e, "*"); e == img }
matches_exemption(img, e) { endswith(e, "*"); startswith(img, trim_suffix(e, "*")) }
`

// regoLibrary is n templates in Rego with a constraint each.
func regoLibrary(n int) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for i := range n {
		kind := fmt.Sprintf("K8sPSPCheck%d", i)
		out = append(out, &unstructured.Unstructured{Object: m{"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": m{"name": strings.ToLower(kind)},
			"spec": m{"crd": m{"spec": m{"names": m{"kind": kind}, "validation": m{"openAPIV3Schema": m{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
				"targets": []any{m{"target": "admission.k8s.gatekeeper.sh", "rego": fmt.Sprintf(libraryRego, bodies[i%len(bodies)])}}}}})
	}
	for i := range n {
		out = append(out, &unstructured.Unstructured{Object: m{"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": fmt.Sprintf("K8sPSPCheck%d", i), "metadata": m{"name": "c"},
			"spec": m{"match": m{"kinds": []any{m{"apiGroups": []any{""}, "kinds": []any{"Pod"}}}, "excludedNamespaces": []any{"kube-system"}},
				"parameters": m{"exemptImages": []any{"registry.example.com/infra/*"}, "allowed": []any{"NET_BIND_SERVICE"}}}}})
	}
	return out
}

// thirty are thirty rules over pods and containers.
func thirty(lib *rule.Library) []policy.RuleUse {
	var out []policy.RuleUse
	for _, r := range lib.Rules {
		if export.Enforceable(r) && (r.Validate.Over == "container" || r.Validate.Over == "pod") && r.Severity.Rank() >= 2 && len(out) < 30 {
			out = append(out, policy.RuleUse{Rule: r.Name})
		}
	}
	return out
}

// split are the rules as one template each, as stockade rule export --split makes them.
func split(b *testing.B, lib *rule.Library, uses []policy.RuleUse) []*unstructured.Unstructured {
	var list []*rule.Rule
	for _, u := range uses {
		list = append(list, lib.Find(u.Rule))
	}
	policies, err := export.ConstraintTemplates(list, export.Options{Split: true, Action: "deny"})
	if err != nil {
		b.Fatal(err)
	}
	var out []*unstructured.Unstructured
	for _, p := range policies {
		for _, o := range p.Objects {
			out = append(out, &unstructured.Unstructured{Object: o})
		}
	}
	return out
}

// BenchmarkAdmission is one AdmissionReview of a pod through Gatekeeper's own engine, with thirty rules.
func BenchmarkAdmission(b *testing.B) {
	lib := library(b)
	uses := thirty(lib)
	bundle := bundleOf(policy.Policy{Rules: uses})
	set, err := constraint.Compile(lib, bundle, constraint.Options{Now: now})
	if err != nil {
		b.Fatal(err)
	}
	sets := []struct {
		name    string
		objects []*unstructured.Unstructured
	}{{"ours, a template a risk type", set.Objects}, {"CEL, a template a rule", split(b, lib, uses)}, {"Rego, a template a check", regoLibrary(30)}}
	good := container("web", "registry.example.com/shop/web:1.2.3", m{"resources": m{"limits": m{"cpu": "1", "memory": "64Mi"}, "requests": m{"cpu": "1", "memory": "64Mi"}},
		"env": []any{m{"name": "A", "value": "b"}}, "ports": []any{m{"containerPort": int64(8080)}},
		"securityContext": m{"runAsNonRoot": true, "runAsUser": int64(10001), "runAsGroup": int64(10001), "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "privileged": false,
			"capabilities": m{"drop": []any{"ALL"}}, "seccompProfile": m{"type": "RuntimeDefault"}}})
	pods := map[string]m{"2 containers": pod("shop", "web", good, with(good, "name", "proxy"))}
	var many []any
	for i := range 20 {
		many = append(many, with(good, "name", fmt.Sprintf("c%d", i)))
	}
	pods["20 containers"] = pod("shop", "web", many...)
	for _, s := range sets {
		client := engineWith(b, s.objects)
		for _, size := range []string{"2 containers", "20 containers"} {
			a := &ask{operation: "CREATE", user: "alice", object: pods[size]}
			said, err := reviewBy(client, a)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(s.name+"/"+size, func(b *testing.B) {
				before := cpu(b)
				for b.Loop() {
					if _, err := reviewBy(client, a); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op") // whatever else the machine does
				b.ReportMetric(float64(len(said)), "violations")
				b.ReportMetric(float64(len(s.objects)), "objects")
			})
		}
	}
}

// cpu is the processor time that the process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
