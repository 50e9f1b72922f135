package parity

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// warnings gathers the warnings of one request: with the action Warn, a policy answers there for every validation.
type warnings []string

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _ string, text string) { *w = append(*w, text) }

// apiserver is a client of the real API server.
type apiserver struct {
	client   dynamic.Interface
	mapper   meta.RESTMapper
	warnings *warnings
}

func connect(t *testing.T, cp *lab.ControlPlane) *apiserver {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	a := &apiserver{warnings: &warnings{}}
	config.WarningHandler = a.warnings
	config.QPS, config.Burst = 1000, 1000
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	a.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))
	if a.client, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	return a
}

var _ rest.WarningHandler = (*warnings)(nil)

// create sends an object and returns what the server made of it. known is false for kinds that the server lacks.
func (a *apiserver) create(o map[string]any, dryRun bool) (got *unstructured.Unstructured, warned []string, known bool, err error) {
	u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(o)}
	gvk := u.GroupVersionKind()
	m, err := a.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, nil, false, nil
	}
	var res dynamic.ResourceInterface = a.client.Resource(m.Resource)
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		ns := u.GetNamespace()
		if ns == "" {
			ns = "default"
		}
		res = a.client.Resource(m.Resource).Namespace(ns)
	}
	opts := metav1.CreateOptions{FieldManager: "parity"}
	*a.warnings = nil
	if len(inventory.List(o, "spec", "ephemeralContainers")) > 0 {
		got, err = attach(res, u)
		return got, *a.warnings, true, err
	}
	if dryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	got, err = res.Create(context.Background(), u, opts)
	return got, *a.warnings, true, err
}

// attach adds ephemeral containers the only way there is: to a pod that exists, by its subresource.
func attach(pods dynamic.ResourceInterface, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	plain := u.DeepCopy()
	unstructured.RemoveNestedField(plain.Object, "spec", "ephemeralContainers")
	created, err := pods.Create(context.Background(), plain, metav1.CreateOptions{})
	if err != nil && !errors.IsAlreadyExists(err) {
		return nil, err
	}
	if err != nil {
		if created, err = pods.Get(context.Background(), u.GetName(), metav1.GetOptions{}); err != nil {
			return nil, err
		}
	}
	if err := unstructured.SetNestedSlice(created.Object, inventory.List(u.Object, "spec", "ephemeralContainers"), "spec", "ephemeralContainers"); err != nil {
		return nil, err
	}
	return pods.Update(context.Background(), created, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}}, "ephemeralcontainers")
}

// TestAPIServer holds our engine to ValidatingAdmissionPolicies in a real API server: same object, as the server has
// defaulted it, same verdict.
func TestAPIServer(t *testing.T) {
	lib := library(t)
	objects := cases(t, lib)
	engine := rule.NewEngine(lib)
	cp := lab.ForTest(t, lab.Config{Version: lab.Newest})
	a := connect(t, cp)
	namespaces := map[string]bool{"default": true}
	for _, c := range objects {
		if ns := c.object.Namespace; ns != "" && !namespaces[ns] {
			namespaces[ns] = true
			_, _, _, err := a.create(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}}, false)
			if err != nil && !errors.IsAlreadyExists(err) {
				t.Fatal(err)
			}
		}
	}
	breaks := a.breakers(engine, objects)
	for _, split := range []bool{false, true} {
		policies, err := export.AdmissionPolicies(lib.Rules, export.Options{Split: split, Action: "Warn"})
		if err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprintf("split=%v", split), func(t *testing.T) {
			for _, part := range parts(policies) {
				a.judge(t, engine, part, objects, breaks)
			}
		})
	}
}

// most is where the server cuts the total of the warnings of one answer, in characters.
const most = 4096

// breakers finds for each rule an object that breaks it and that the server takes.
func (a *apiserver) breakers(engine *rule.Engine, objects []caseObject) map[string]*inventory.Object {
	out := map[string]*inventory.Object{}
	for _, c := range objects {
		ids := slices.DeleteFunc(ours(engine, c.object), func(id string) bool { return out[id] != nil })
		if len(ids) == 0 || len(inventory.List(c.object.Content, "spec", "ephemeralContainers")) > 0 {
			continue
		}
		if _, _, known, err := a.create(c.object.Content, true); known && err == nil {
			for _, id := range ids {
				out[id] = c.object
			}
		}
	}
	return out
}

// parts shortens the messages to the ids and cuts the policies into lots of thirty rules, so that the warnings of one object
// stay whole.
func parts(policies []export.Policy) [][]export.Policy {
	const lot = 30
	var out [][]export.Policy
	rules := lot
	for _, p := range policies {
		spec := p.Objects[0]["spec"].(map[string]any)
		validations := spec["validations"].([]any)
		for _, v := range validations {
			m := v.(map[string]any)
			delete(m, "messageExpression")
			m["message"] = idInMessage.FindString(m["message"].(string))
		}
		for i := 0; i < len(validations); i += lot {
			j := min(i+lot, len(validations))
			part := maps.Clone(spec)
			part["validations"] = validations[i:j]
			policy := maps.Clone(p.Objects[0])
			policy["spec"] = part
			if rules+j-i > lot {
				out, rules = append(out, nil), 0
			}
			rules += j - i
			out[len(out)-1] = append(out[len(out)-1], export.Policy{Name: p.Name, Rules: p.Rules[i:j], Objects: []map[string]any{policy, p.Objects[1]}})
		}
	}
	return out
}

// refusals are the cases that the newest API server takes no more, with what it says. Older ones do, so the rules stay;
// Gatekeeper's engine judges these cases all the same.
var refusals = map[string]string{
	"escape/unmasked-proc/cases/bad-builder.yaml #0": "hostUsers",
}

func (a *apiserver) judge(t *testing.T, engine *rule.Engine, policies []export.Policy, objects []caseObject, breaks map[string]*inventory.Object) {
	for _, p := range policies {
		for _, o := range p.Objects {
			if _, warned, _, err := a.create(o, false); err != nil || len(warned) > 0 {
				t.Fatalf("%s: %v %v", p.Name, err, warned)
			}
		}
	}
	defer a.remove(t, policies)
	a.await(t, policies, breaks)
	judged, unknown := 0, map[string]int{}
	asked := map[string]bool{}
	for _, p := range policies {
		for _, r := range p.Rules {
			asked[r.ID] = true
		}
	}
	for _, c := range objects {
		got, warned, known, err := a.create(c.object.Content, true)
		switch {
		case !known:
			unknown[c.object.Ref().GroupKind()]++
			continue
		case errors.IsAlreadyExists(err):
			got = &unstructured.Unstructured{Object: c.object.Content} // judged all the same: admission comes first
		case refusals[c.name] != "" && err != nil && strings.Contains(err.Error(), refusals[c.name]):
			continue
		case err != nil:
			t.Errorf("%s: the API server refuses the case: %v", c.name, err)
			continue
		}
		defaulted, _ := inventory.NewObject(got.Object)
		said := idsIn(warned)
		if n := len(strings.Join(warned, "")); n >= most {
			t.Errorf("%s: %d characters of warnings: they may be cut", c.name, n)
		}
		want := slices.DeleteFunc(ours(engine, defaulted), func(id string) bool { return !asked[id] })
		if !slices.Equal(said, want) {
			t.Errorf("%s: the API server says %v, we say %v\n%s", c.name, said, want, strings.Join(warned, "\n"))
		}
		judged++
	}
	t.Logf("%d policies, %d objects judged; kinds the server lacks: %v", len(policies), judged, unknown)
	if judged < 200 {
		t.Errorf("only %d objects were judged", judged)
	}
}

// await waits until the policies are in force, which the server brings about in the background: for each of them an
// object that breaks one of its rules has to be warned about.
func (a *apiserver) await(t *testing.T, policies []export.Policy, breaks map[string]*inventory.Object) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for _, p := range policies {
		i := slices.IndexFunc(p.Rules, func(r *rule.Rule) bool { return breaks[r.ID] != nil })
		if i < 0 {
			continue // its kinds are not served here, or its cases are refused, which judge reports
		}
		for {
			_, warned, _, err := a.create(breaks[p.Rules[i].ID].Content, true)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(idsIn(warned), p.Rules[i].ID) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("policy %s does not come into force", p.Name)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func (a *apiserver) remove(t *testing.T, policies []export.Policy) {
	t.Helper()
	for _, p := range policies {
		for _, o := range p.Objects {
			u := unstructured.Unstructured{Object: o}
			m, err := a.mapper.RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.client.Resource(m.Resource).Delete(context.Background(), u.GetName(), metav1.DeleteOptions{}); err != nil {
				t.Errorf("removing %s: %v", u.GetName(), err)
			}
		}
	}
}
