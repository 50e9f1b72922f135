package parity

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
)

// native are the admission policies that policies compile to, with their messages cut to the ids: the API server bounds the warnings
// of one answer.
func native(t *testing.T, lib *rule.Library, p policy.Policy) []export.Policy {
	t.Helper()
	p.Engine = policy.VAP
	set, err := constraint.Compile(lib, bundleOf(p), constraint.Options{Now: now, VAP: true, Kubernetes: 34})
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Notes) > 0 {
		t.Errorf("notes: %v", set.Notes)
	}
	var out []export.Policy
	for i := 0; i+1 < len(set.Objects); i += 2 {
		o, binding := jsonOf(t, set.Objects[i]), jsonOf(t, set.Objects[i+1])
		if o.GetKind() != "ValidatingAdmissionPolicy" || binding.GetKind() != "ValidatingAdmissionPolicyBinding" {
			t.Fatalf("%s, %s", o.GetKind(), binding.GetKind())
		}
		e := export.Policy{Name: o.GetName(), Objects: []map[string]any{o.Object, binding.Object}}
		for _, u := range p.Rules {
			if r := lib.Find(u.Rule); strings.HasSuffix(o.GetName(), "-"+strings.ToLower(export.Family(r))) {
				e.Rules = append(e.Rules, r)
			}
		}
		out = append(out, e)
	}
	return out
}

// TestNative holds what policies compile to for the API server's own engine to the engine of scans: every case of every rule that can be
// enforced, on a real API server.
func TestNative(t *testing.T) {
	lib := library(t)
	objects := cases(t, lib)
	engine := rule.NewEngine(lib)
	cp := lab.ForTest(t, lab.Config{Version: lab.Newest})
	a := connect(t, cp)
	for _, c := range objects {
		if ns := c.object.Namespace; ns != "" {
			_, _, _, _ = a.create(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}}, false) // it may be there
		}
	}
	breaks := a.breakers(engine, objects)
	all := everything(lib)
	all.Action = policy.Warn
	const lot = 30
	for from := 0; from < len(all.Rules); from += lot {
		p := all
		p.Rules = all.Rules[from:min(from+lot, len(all.Rules))]
		list := native(t, lib, p)
		for i := range list {
			spec := list[i].Objects[0]["spec"].(map[string]any)
			for _, v := range spec["validations"].([]any) {
				x := v.(map[string]any)
				delete(x, "messageExpression")
				x["message"] = idInMessage.FindString(x["message"].(string))
			}
		}
		a.judge(t, engine, list, objects, breaks)
	}
}

// TestNativeScope asks a real API server about scopes and exceptions.
func TestNativeScope(t *testing.T) {
	lib := library(t)
	cp := lab.ForTest(t, lab.Config{Version: lab.Newest})
	a := connect(t, cp)
	object := func(ns, name string) map[string]any {
		return with(pod(ns, name, container("web", "registry.example.com/shop/web:1", privileged)), "metadata.labels", m{"app": name})
	}
	for _, ns := range []string{"shop", "pay"} {
		_, _, _, _ = a.create(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns, "labels": map[string]any{"team": ns}}}, false)
	}
	type test struct {
		name, user string
		object     map[string]any
		refused    bool
	}
	bad := object("shop", "web")
	for _, tt := range []struct {
		name       string
		scope      policy.Scope
		exceptions []exception.Exception
		tests      []test
	}{
		{"none", policy.Scope{}, nil, []test{{"bad", "", bad, true}, {"good", "", pod("shop", "web", container("web", "a:1")), false}, {"system namespace", "", object("kube-system", "web"), false}}},
		{"namespaces", policy.Scope{Namespaces: []string{"sh*"}}, nil, []test{{"in", "", bad, true}, {"out", "", object("pay", "web"), false}}},
		{"excluded namespaces", policy.Scope{ExcludedNamespaces: []string{"*ay"}}, nil, []test{{"in", "", bad, true}, {"out", "", object("pay", "web"), false}}},
		{"namespace selector", policy.Scope{NamespaceSelector: "team=shop"}, nil, []test{{"in", "", bad, true}, {"out", "", object("pay", "web"), false}}},
		{"object selector", policy.Scope{ObjectSelector: "app!=api"}, nil, []test{{"in", "", bad, true}, {"out", "", object("shop", "api"), false}}},
		{"users", policy.Scope{Users: []string{"deployer"}}, nil, []test{{"other", "", bad, true}, {"excepted", "deployer", bad, false}}},
		{"images", policy.Scope{ExcludedImages: []string{"registry.example.com/*"}}, nil, []test{{"excluded", "", bad, false}, {"other", "", pod("shop", "web", container("web", "nginx", privileged)), true}}},
		{"exception", policy.Scope{}, []exception.Exception{{ID: 1, Scope: exception.Scope{Rule: "workload/*", Namespace: "shop", Kind: "Pod", Name: "w?b", Labels: "app=web"}, Reason: "r"}},
			[]test{{"accepted", "", bad, false}, {"other", "", object("shop", "api"), true}}},
	} {
		p := onlyPrivileged(tt.scope)
		p.Engine = policy.VAP
		b := bundleOf(p)
		b.Exceptions = tt.exceptions
		set, err := constraint.Compile(lib, b, constraint.Options{Now: now, VAP: true, Kubernetes: 34})
		if err != nil {
			t.Fatal(err)
		}
		made := make([]map[string]any, len(set.Objects))
		for i := range set.Objects {
			made[i] = jsonOf(t, set.Objects[i]).Object
			if _, warned, _, err := a.create(made[i], false); err != nil || len(warned) > 0 {
				t.Fatalf("%s: %v %v", tt.name, err, warned)
			}
		}
		var refused *test
		for i := range tt.tests {
			if tt.tests[i].refused {
				refused = &tt.tests[i]
			}
		}
		deadline := time.Now().Add(time.Minute)
		for { // it comes into force in the background
			if _, err := dryRun(t, cp, refused.user, refused.object); err != nil {
				if !strings.Contains(err.Error(), "[STK-W-0001] Privileged container: container web (securityContext.privileged: found true, needed false)") {
					t.Errorf("the refusal reads %v", err)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not come into force", tt.name)
			}
			time.Sleep(100 * time.Millisecond)
		}
		for _, x := range tt.tests {
			if _, err := dryRun(t, cp, x.user, x.object); (err != nil) != x.refused {
				t.Errorf("%s, %s: %v", tt.name, x.name, err)
			}
		}
		have := make([]*unstructured.Unstructured, len(made))
		for i, o := range set.Objects {
			mapping, err := a.mapper.RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version)
			if err != nil {
				t.Fatal(err)
			}
			if have[i], err = a.client.Resource(mapping.Resource).Get(context.Background(), o.GetName(), metav1.GetOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if drift := constraint.Diff(set.Objects, have); len(drift) > 0 {
			t.Errorf("%s: what the API server fills in counts as drift: %+v", tt.name, drift)
		}
		a.remove(t, []export.Policy{{Objects: made}})
		for { // the next has the same name
			if _, err := dryRun(t, cp, refused.user, refused.object); err == nil {
				break
			}
			if time.Now().After(deadline.Add(time.Minute)) {
				t.Fatalf("%s does not go out of force", tt.name)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// dryRun creates an object in the name of a user, without keeping it.
func dryRun(t *testing.T, cp *lab.ControlPlane, user string, o map[string]any) (*unstructured.Unstructured, error) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.WarningHandler = rest.NoWarnings{}
	if user != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:masters"}}
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: o}
	return client.Resource(podsResource).Namespace(u.GetNamespace()).Create(context.Background(), u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

var podsResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
