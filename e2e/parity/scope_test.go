package parity

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
)

type m = map[string]any

// container is a container with what else is to be in it.
func container(name, image string, more ...m) m {
	c := m{"name": name, "image": image}
	for _, x := range more {
		maps.Copy(c, x)
	}
	return c
}

var privileged = m{"securityContext": m{"privileged": true}}

// pod is a Pod of containers.
func pod(namespace, name string, containers ...any) m {
	return m{"apiVersion": "v1", "kind": "Pod", "metadata": m{"name": name, "namespace": namespace}, "spec": m{"containers": containers}}
}

// workload is an object of a kind that holds a pod, with the containers.
func workload(kind, name string, containers ...any) m {
	template := m{"metadata": m{"labels": m{"app": name}}, "spec": m{"containers": containers}}
	o := m{"kind": kind, "metadata": m{"name": name, "namespace": "shop"}}
	switch kind {
	case "Pod":
		return pod("shop", name, containers...)
	case "PodTemplate":
		o["apiVersion"], o["template"] = "v1", template
	case "ReplicationController":
		o["apiVersion"], o["spec"] = "v1", m{"template": template}
	case "Job":
		o["apiVersion"], o["spec"] = "batch/v1", m{"template": template}
	case "CronJob":
		o["apiVersion"], o["spec"] = "batch/v1", m{"schedule": "@daily", "jobTemplate": m{"spec": m{"template": template}}}
	default:
		o["apiVersion"], o["spec"] = "apps/v1", m{"replicas": int64(1), "template": template}
	}
	return o
}

var workloadKinds = []string{"Pod", "PodTemplate", "ReplicationController", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"}

// with is a copy of an object with a field set; path is dotted.
func with(o m, path string, value any) m {
	out := runtime.DeepCopyJSON(o)
	at := out
	keys := strings.Split(path, ".")
	for _, k := range keys[:len(keys)-1] {
		next, ok := at[k].(m)
		if !ok {
			next = m{}
			at[k] = next
		}
		at = next
	}
	at[keys[len(keys)-1]] = value
	return out
}

// owned is an object with a controller.
func owned(o m, apiVersion, kind, name string) m {
	return with(o, "metadata.ownerReferences", []any{m{"apiVersion": apiVersion, "kind": kind, "name": name, "uid": "u", "controller": true}})
}

// onlyPrivileged is a policy of one rule.
func onlyPrivileged(s policy.Scope) policy.Policy {
	return policy.Policy{Name: "p", Action: policy.Block, Rules: []policy.RuleUse{{Rule: "workload/privileged-container"}}, Scope: s}
}

const (
	rsController   = "system:serviceaccount:kube-system:replicaset-controller"
	depController  = "system:serviceaccount:kube-system:deployment-controller"
	jobController  = "system:serviceaccount:kube-system:job-controller"
	cronController = "system:serviceaccount:kube-system:cronjob-controller"
)

// agree puts an ask to Gatekeeper's engine and to the preview's, and says whether they agree that it is refused.
func agree(t *testing.T, g *gate, j *policy.Judge, name string, a *ask, want bool) {
	t.Helper()
	said := g.review(t, a)
	if got := slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "deny ") }); got != want {
		t.Errorf("%s: refused %v, want %v: %v", name, got, want, said)
	}
	if j == nil {
		return
	}
	out := j.Judge(context.Background(), a.request())
	if got := out.Action() == policy.Block; got != want {
		t.Errorf("%s: the preview refuses %v, want %v: %+v", name, got, want, out)
	}
}

func judgeOf(t testing.TB, lib *rule.Library, b *policy.Bundle) *policy.Judge {
	t.Helper()
	j, notes, err := policy.NewJudge(context.Background(), lib, b, nil)
	if err != nil || len(notes) > 0 {
		t.Fatal(err, notes)
	}
	return j
}

// TestScope: what a policy does not hold for is let in, in Gatekeeper as in the preview.
func TestScope(t *testing.T) {
	lib := library(t)
	bad := workload("Deployment", "web", container("web", "registry.example.com/shop/web:1", privileged))
	create := func(o m) *ask { return &ask{operation: "CREATE", user: "alice", groups: []string{"devs"}, object: o} }
	in := func(ns string) m { return with(bad, "metadata.namespace", ns) }
	for _, tt := range []struct {
		name  string
		scope policy.Scope
		ask   *ask
		want  bool
	}{
		{"no scope", policy.Scope{}, create(bad), true},
		{"namespace", policy.Scope{Namespaces: []string{"shop"}}, create(bad), true},
		{"other namespace", policy.Scope{Namespaces: []string{"pay"}}, create(bad), false},
		{"pattern", policy.Scope{Namespaces: []string{"sh*"}}, create(bad), true},
		{"pattern at the end", policy.Scope{Namespaces: []string{"*-prod"}}, create(in("shop-prod")), true},
		{"pattern at both ends", policy.Scope{Namespaces: []string{"*ho*"}}, create(bad), true},
		{"any namespace", policy.Scope{Namespaces: []string{"*"}}, create(bad), true},
		{"no namespace that there can be", policy.Scope{Namespaces: []string{"Shop.x", "a b"}}, create(bad), false},
		{"excluded", policy.Scope{ExcludedNamespaces: []string{"shop"}}, create(bad), false},
		{"excluded pattern", policy.Scope{ExcludedNamespaces: []string{"s*"}}, create(bad), false},
		{"system namespace", policy.Scope{}, create(in("kube-system")), false},
		{"system namespace asked for", policy.Scope{SystemNamespaces: true}, create(in("kube-system")), true},
		{"our own namespace", policy.Scope{}, create(in("stockade-protect")), false},
		{"labels of the namespace", policy.Scope{NamespaceSelector: "team in (shop,pay),!frozen"}, &ask{operation: "CREATE", object: bad, namespaces: map[string]string{"team": "shop"}}, true},
		{"other labels of the namespace", policy.Scope{NamespaceSelector: "team=pay"}, &ask{operation: "CREATE", object: bad, namespaces: map[string]string{"team": "shop"}}, false},
		{"labels", policy.Scope{ObjectSelector: "tier!=test"}, create(bad), true},
		{"other labels", policy.Scope{ObjectSelector: "tier!=test"}, create(with(bad, "metadata.labels", m{"tier": "test"})), false},
		{"kind", policy.Scope{Kinds: []string{"Deployment.apps"}}, create(bad), true},
		{"kind of any group", policy.Scope{Kinds: []string{"Deployment"}}, create(bad), true},
		{"other kind", policy.Scope{Kinds: []string{"Pod"}}, create(bad), false},
		{"operation", policy.Scope{Operations: []string{"CREATE"}}, create(bad), true},
		{"other operation", policy.Scope{Operations: []string{"UPDATE"}}, create(bad), false},
		{"audit has no operation", policy.Scope{Operations: []string{"UPDATE"}}, &ask{object: bad}, true},
		{"excepted user", policy.Scope{Users: []string{"alice"}}, create(bad), false},
		{"other user", policy.Scope{Users: []string{"alic"}}, create(bad), true},
		{"excepted group", policy.Scope{Groups: []string{"admins", "devs"}}, create(bad), false},
		{"audit has no user", policy.Scope{Users: []string{""}, Groups: []string{"devs"}}, &ask{object: bad}, true},
		{"image", policy.Scope{Images: []string{"registry.example.com/shop/*"}}, create(bad), true},
		{"other image", policy.Scope{Images: []string{"registry.example.com/pay/*"}}, create(bad), false},
		{"excluded image", policy.Scope{ExcludedImages: []string{"registry.example.com/*"}}, create(bad), false},
		{"excluded tag", policy.Scope{ExcludedImages: []string{"registry.example.com/shop/web:1"}}, create(bad), false},
		{"excluded other tag", policy.Scope{ExcludedImages: []string{"registry.example.com/shop/web:2"}}, create(bad), true},
		{"malformed pattern", policy.Scope{Images: []string{"["}}, create(bad), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bundleOf(onlyPrivileged(tt.scope))
			agree(t, newGate(t, lib, b, constraint.Options{}, nil), judgeOf(t, lib, b), tt.name, tt.ask, tt.want)
		})
	}
	b := bundleOf(onlyPrivileged(policy.Scope{}))
	b.Users, b.Groups = []string{"deployer"}, []string{"system:masters"}
	g, j := newGate(t, lib, b, constraint.Options{}, nil), judgeOf(t, lib, b)
	agree(t, g, j, "user of the cluster", &ask{operation: "CREATE", user: "deployer", object: bad}, false)
	agree(t, g, j, "group of the cluster", &ask{operation: "CREATE", user: "x", groups: []string{"system:masters"}, object: bad}, false)
}

// TestImagePatterns: spellings of one image are one image, and what is none is judged.
func TestImagePatterns(t *testing.T) {
	lib := library(t)
	digest := "sha256:" + strings.Repeat("0a", 32)
	images := []string{"nginx", "nginx:1.27", "library/nginx", "docker.io/nginx:1", "docker.io/library/nginx@" + digest, "index.docker.io/library/nginx", "Docker.IO/library/nginx",
		"shop/web", "registry.example.com/shop/web", "REGISTRY.example.com/shop/web:1", "registry.example.com:5000/shop/web:1@" + digest, "localhost/web", "registry.example.com.evil.example/shop/web",
		"NGINX", "nginx:", "nginx@sha256:00", "registry.example.com/../web", "registry.example.com//web", "https://registry.example.com/web", "пример.example.com/web", "a|b", "nginx\n", "nginx ", "",
		"[2001:db8::1]:5000/web", "registry.example.com/shop/web@" + digest + "@" + digest, strings.Repeat("a", 600)}
	patterns := []string{"nginx", "nginx:*", "docker.io/*", "library/nginx", "docker.io/library/nginx:latest", "registry.example.com/*", "registry.example.com/shop/web", "*/shop/*", "*@sha256:*",
		"shop/*", "*", "registry.example.com:5000/shop/web:1@" + digest, "localhost/*", "ngin[w-x]", "ngin?", "n\\ginx", "[^n]*", "registry?example.com/*"}
	var uses []any
	for i, image := range images {
		uses = append(uses, container(fmt.Sprintf("c%d", i), image, privileged))
	}
	for _, p := range patterns {
		for _, scope := range []policy.Scope{{Images: []string{p}}, {ExcludedImages: []string{p}}, {Images: []string{"*"}, ExcludedImages: []string{p}}} {
			b := bundleOf(onlyPrivileged(scope))
			g, j := newGate(t, lib, b, constraint.Options{}, nil), judgeOf(t, lib, b)
			for i := range uses {
				a := &ask{operation: "CREATE", object: pod("shop", "web", uses[i])}
				out := j.Judge(context.Background(), a.request())
				agree(t, g, nil, fmt.Sprintf("%+v on %q", scope, images[i]), a, out.Action() == policy.Block)
			}
		}
	}
}

// TestOfPods: every kind that makes pods, and every sort of container, is judged.
func TestOfPods(t *testing.T) {
	lib := library(t)
	b := bundleOf(onlyPrivileged(policy.Scope{}))
	g, j := newGate(t, lib, b, constraint.Options{}, nil), judgeOf(t, lib, b)
	good, bad := container("a", "a:1"), container("bad", "a:1", privileged)
	for _, kind := range workloadKinds {
		agree(t, g, j, kind, &ask{operation: "CREATE", object: workload(kind, "web", good, bad)}, true)
		agree(t, g, j, "good "+kind, &ask{operation: "CREATE", object: workload(kind, "web", good)}, false)
	}
	p := pod("shop", "web", good)
	agree(t, g, j, "init container", &ask{operation: "CREATE", object: with(p, "spec.initContainers", []any{bad})}, true)
	sidecar := container("bad", "a:1", privileged, m{"restartPolicy": "Always"})
	agree(t, g, j, "sidecar", &ask{operation: "CREATE", object: with(p, "spec.initContainers", []any{sidecar})}, true)
	agree(t, g, j, "ephemeral container through the subresource", &ask{operation: "UPDATE", sub: "ephemeralcontainers", user: "alice",
		object: with(p, "spec.ephemeralContainers", []any{bad}), old: p}, true)
	agree(t, g, j, "generateName", &ask{operation: "CREATE", object: with(with(pod("shop", "", bad), "metadata.generateName", "web-"), "metadata.name", "")}, true)
	agree(t, g, j, "ownerless pod", &ask{operation: "CREATE", object: pod("shop", "web", bad)}, true)
	agree(t, g, j, "direct ReplicaSet", &ask{operation: "CREATE", object: workload("ReplicaSet", "web-1", bad)}, true)
	agree(t, g, j, "mirror of a static pod", &ask{operation: "CREATE", user: "system:node:n1", object: with(pod("shop", "web-n1", bad), "metadata.annotations", m{"kubernetes.io/config.mirror": "x"})}, true)
	agree(t, g, j, "pod of a CRD's controller", &ask{operation: "CREATE", user: "system:serviceaccount:ops:operator", object: owned(pod("shop", "db-0", bad), "db.example.com/v1", "Database", "db")}, true)
}

// TestUpdates: patches that turn a good object bad are refused; what leaves a bad one as it was is let in, or controllers could not even
// end it.
func TestUpdates(t *testing.T) {
	lib := library(t)
	p := onlyPrivileged(policy.Scope{})
	p.Rules = append(p.Rules, policy.RuleUse{Rule: "network/ingress-snippet"})
	b := bundleOf(p)
	g, j := newGate(t, lib, b, constraint.Options{}, nil), judgeOf(t, lib, b)
	good, bad := workload("Deployment", "web", container("web", "a:1")), workload("Deployment", "web", container("web", "a:1", privileged))
	update := func(o, old m) *ask { return &ask{operation: "UPDATE", user: "alice", object: o, old: old} }
	agree(t, g, j, "patch that turns a good object bad", update(bad, good), true)
	agree(t, g, j, "patch that repairs", update(good, bad), false)
	agree(t, g, j, "server-side apply of a bad object", update(with(bad, "metadata.managedFields", []any{m{"manager": "kubectl"}}), good), true)
	agree(t, g, j, "scale of a bad object", update(with(bad, "spec.replicas", int64(5)), bad), false)
	agree(t, g, j, "labels of a bad object", update(with(bad, "metadata.labels", m{"a": "b"}), bad), false)
	agree(t, g, j, "another image in a bad object", update(workload("Deployment", "web", container("web", "a:2", privileged)), bad), true)
	agree(t, g, j, "worse", update(workload("Deployment", "web", container("web", "a:1", privileged), container("x", "a:1", privileged)), bad), true)
	running := pod("shop", "web", container("web", "a:1", privileged))
	agree(t, g, j, "finalizer of a Job's pod", &ask{operation: "UPDATE", user: jobController, object: running, old: with(running, "metadata.finalizers", []any{"batch.kubernetes.io/job-tracking"})}, false)
	agree(t, g, j, "annotation of a running pod", update(with(running, "metadata.annotations", m{"a": "b"}), running), false)
	agree(t, g, j, "image of a running pod", update(pod("shop", "web", container("web", "a:2", privileged)), running), true)
	for _, kind := range workloadKinds {
		o := workload(kind, "web", container("web", "a:1", privileged))
		agree(t, g, j, "bad "+kind+" untouched", update(with(o, "metadata.finalizers", []any{"x"}), o), false)
		agree(t, g, j, "good "+kind+" turned bad", update(o, workload(kind, "web", container("web", "a:1"))), true)
	}
	ingress := m{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": m{"name": "i", "namespace": "shop"}, "spec": m{"rules": []any{}}}
	snippet := with(ingress, "metadata.annotations", m{"nginx.ingress.kubernetes.io/server-snippet": "x"})
	agree(t, g, j, "annotation that makes an Ingress bad", update(snippet, ingress), true)
	agree(t, g, j, "bad Ingress untouched", update(with(snippet, "metadata.finalizers", []any{"x"}), snippet), false)
	// Selectors by labels: Gatekeeper looks at the object as it was, too, so that a label cannot slip it past in the same request.
	b = bundleOf(onlyPrivileged(policy.Scope{ObjectSelector: "!exempt"}))
	agree(t, newGate(t, lib, b, constraint.Options{}, nil), nil, "edited exemption label", update(with(bad, "metadata.labels", m{"exempt": "yes"}), good), true)
}

// TestExceptions: what is accepted is let in, for whom it was accepted and for nobody else.
func TestExceptions(t *testing.T) {
	lib := library(t)
	bad := container("web", "registry.example.com/shop/web:1", privileged)
	other := container("sidecar", "registry.example.com/shop/proxy:1", privileged)
	deployment := workload("Deployment", "web", bad)
	hashed := with(pod("shop", "web-5d4f8c7b9-x2x", bad), "metadata.labels", m{"app": "web", "pod-template-hash": "5d4f8c7b9"})
	podOf := owned(hashed, "apps/v1", "ReplicaSet", "web-5d4f8c7b9")
	rs := with(workload("ReplicaSet", "web-5d4f8c7b9", bad), "metadata.labels", m{"pod-template-hash": "5d4f8c7b9"})
	cronPod := owned(pod("shop", "nightly-29123456-x", bad), "batch/v1", "Job", "nightly-29123456")
	by := func(user string, o m) *ask { return &ask{operation: "CREATE", user: user, object: o} }
	web := exception.Scope{Rule: "workload/privileged-container", Namespace: "shop", Kind: "Deployment", Name: "web"}
	nightly := exception.Scope{Rule: "*/*", Kind: "CronJob", Name: "night*"}
	type test struct {
		name   string
		scope  exception.Scope
		ask    *ask
		want   bool // refused
		forged bool // whose it is, is only claimed: the preview takes it for true
	}
	tests := []test{
		{"rule", exception.Scope{Rule: "workload/privileged-container"}, by("alice", deployment), false, false},
		{"id", exception.Scope{Rule: "STK-W-0001"}, by("alice", deployment), false, false},
		{"rules by pattern", exception.Scope{Rule: "workload/priv*"}, by("alice", deployment), false, false},
		{"other rule", exception.Scope{Rule: "workload/host-network"}, by("alice", deployment), true, false},
		{"namespace", exception.Scope{Rule: "*/*", Namespace: "sh?p"}, by("alice", deployment), false, false},
		{"other namespace", exception.Scope{Rule: "*/*", Namespace: "pay"}, by("alice", deployment), true, false},
		{"workload", web, by("alice", deployment), false, false},
		{"other workload", web, by("alice", workload("Deployment", "web2", bad)), true, false},
		{"other kind", web, by("alice", workload("StatefulSet", "web", bad)), true, false},
		{"its ReplicaSet", web, by(depController, owned(rs, "apps/v1", "Deployment", "web")), false, false},
		{"its pod", web, by(rsController, podOf), false, false},
		{"its pod, seen by an audit", web, &ask{object: podOf}, false, false},
		{"pod of a CronJob", nightly, by(jobController, cronPod), false, false},
		{"Job of a CronJob", nightly, by(cronController, owned(workload("Job", "nightly-29123456", bad), "batch/v1", "CronJob", "nightly")), false, false},
		{"container", exception.Scope{Rule: "*/*", Container: "web"}, by("alice", deployment), false, false},
		{"other container", exception.Scope{Rule: "*/*", Container: "web"}, by("alice", workload("Deployment", "web", bad, other)), true, false},
		{"containers by pattern", exception.Scope{Rule: "*/*", Container: "[sw]*"}, by("alice", workload("Deployment", "web", bad, other)), false, false},
		{"labels", exception.Scope{Rule: "*/*", Labels: "app in (web,shop),!frozen"}, by("alice", deployment), false, false},
		{"other labels", exception.Scope{Rule: "*/*", Labels: "app notin (web)"}, by("alice", deployment), true, false},
		// Bypass attempts.
		{"bypass: a pod that only bears the name", web, by("mallory", hashed), true, false},
		{"bypass: a pod with a forged owner", web, by("mallory", podOf), true, true},
		{"bypass: a pod with the Deployment as its owner", web, by("mallory", owned(hashed, "apps/v1", "Deployment", "web")), true, true},
		{"bypass: a ReplicaSet with a forged owner", web, by("mallory", owned(rs, "apps/v1", "Deployment", "web")), true, true},
		{"bypass: a ReplicaSet of the Deployment's name", web, by("mallory", rs), true, false},
		{"bypass: a pod template with the hash of another", web, by(rsController, owned(with(pod("shop", "web-evil-x", bad), "metadata.labels", m{"pod-template-hash": "x"}), "apps/v1", "ReplicaSet", "web-evil")), true, false},
		{"bypass: owner that is no controller", web, by(rsController, with(hashed, "metadata.ownerReferences", []any{m{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8c7b9"}})), true, false},
		{"bypass: owner of another group", web, by(rsController, owned(hashed, "evil.example.com/v1", "ReplicaSet", "web-5d4f8c7b9")), true, false},
		{"bypass: forged owner by an update", web, &ask{operation: "UPDATE", user: "mallory", object: podOf, old: with(podOf, "spec.containers", []any{container("web", "a:1")})}, true, true},
		{"bypass: ephemeral container in a pod of the workload", web, &ask{operation: "UPDATE", sub: "ephemeralcontainers", user: "mallory",
			object: with(podOf, "spec.ephemeralContainers", []any{container("debug", "a:1", privileged)}), old: podOf}, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := bundleOf(onlyPrivileged(policy.Scope{}))
			b.Exceptions = []exception.Exception{{ID: 1, Scope: tt.scope, Reason: "r", Expires: now.Add(time.Hour)}}
			j := judgeOf(t, lib, b)
			if tt.forged {
				j = nil
			}
			g := newGate(t, lib, b, constraint.Options{}, nil)
			agree(t, g, j, tt.name, tt.ask, tt.want)
			if !g.set.Next.Equal(now.Add(time.Hour)) && !strings.HasPrefix(tt.name, "other rule") {
				t.Errorf("the set changes at %v", g.set.Next)
			}
		})
	}
	t.Run("expired", func(t *testing.T) {
		b := bundleOf(onlyPrivileged(policy.Scope{}))
		b.Exceptions = []exception.Exception{{ID: 1, Scope: web, Reason: "r", Expires: now}}
		agree(t, newGate(t, lib, b, constraint.Options{}, nil), judgeOf(t, lib, b), "expired", by("alice", deployment), true)
	})
	t.Run("image", func(t *testing.T) {
		for pattern, want := range map[string]bool{"registry.example.com/shop/*": false, "registry.example.com/shop/web": false, "registry.example.com/shop/web:1": false, "registry.example.com/pay/*": true} {
			b := bundleOf(onlyPrivileged(policy.Scope{}))
			b.Exceptions = []exception.Exception{{ID: 1, Scope: exception.Scope{Rule: "*/*", Image: pattern}, Reason: "r"}}
			agree(t, newGate(t, lib, b, constraint.Options{}, nil), nil, pattern, by("alice", deployment), want)
		}
	})
	t.Run("pods only", func(t *testing.T) { // then anybody can make a ReplicaSet of any name
		b := bundleOf(onlyPrivileged(policy.Scope{Kinds: []string{"Pod"}}))
		b.Exceptions = []exception.Exception{{ID: 1, Scope: web, Reason: "r"}}
		g := newGate(t, lib, b, constraint.Options{}, nil)
		agree(t, g, nil, "bypass: a ReplicaSet that nobody judged", by(rsController, podOf), true)
		if len(g.set.Notes) != 1 || g.set.Notes[0].Exception != 1 {
			t.Errorf("notes: %v", g.set.Notes)
		}
	})
}

// TestRollout: actions grow sharper at their dates, and the set says when.
func TestRollout(t *testing.T) {
	lib := library(t)
	p := onlyPrivileged(policy.Scope{})
	p.Rollout = policy.Rollout{Warn: now.Add(time.Hour), Block: now.Add(2 * time.Hour)}
	for i, want := range []string{"dryrun", "warn", "deny"} {
		at := now.Add(time.Duration(i) * time.Hour)
		g := newGate(t, lib, bundleOf(p), constraint.Options{Now: at}, nil)
		said := g.review(t, &ask{operation: "CREATE", object: pod("shop", "web", container("web", "a:1", privileged))})
		if len(said) != 1 || !strings.HasPrefix(said[0], want+" ") {
			t.Errorf("at %v: %v", at, said)
		}
		next := now.Add(time.Duration(i+1) * time.Hour)
		if i == 2 {
			next = time.Time{}
		}
		if !g.set.Next.Equal(next) {
			t.Errorf("at %v the next change is at %v", at, g.set.Next)
		}
	}
}
