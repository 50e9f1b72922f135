package parity

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis"
	"github.com/open-policy-agent/frameworks/constraint/pkg/apis/externaldata/unversioned"
	constraints "github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers/rego"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/frameworks/constraint/pkg/core/templates"
	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/drivers/k8scel"
	mutation "github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	admissionv1 "k8s.io/api/admission/v1"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// gate is Gatekeeper's own engine with what a bundle compiles to.
type gate struct {
	client *constraints.Client
	set    *constraint.Set
	bundle *policy.Bundle

	mu     sync.Mutex
	asked  [][]string // keys of each question to the provider
	answer func(policy.ImageKey) (messages []string, err error)
	unless func(policy.ImageKey) [][][]int64 // nil: no message has any
}

func bundleOf(policies ...policy.Policy) *policy.Bundle {
	for i := range policies {
		if policies[i].ID == 0 {
			policies[i].ID = int64(i + 1)
		}
		if policies[i].Name == "" {
			policies[i].Name = fmt.Sprintf("policy %d", policies[i].ID)
		}
		if policies[i].Action == "" {
			policies[i].Action = policy.Block
		}
	}
	return &policy.Bundle{Generation: "g1", Target: 1, Cluster: "prod", Lang: "en", Console: "https://stockade.example.com", Policies: policies,
		System: policy.SystemNamespaces}
}

// newGate compiles a bundle and loads Gatekeeper's engine with it. The provider is a real server; answer nil: it is away.
func newGate(t testing.TB, lib *rule.Library, b *policy.Bundle, o constraint.Options, answer func(policy.ImageKey) ([]string, error)) *gate {
	t.Helper()
	g := &gate{bundle: b, answer: answer}
	server := httptest.NewTLSServer(http.HandlerFunc(g.serve))
	if answer == nil {
		server.Close()
	} else {
		t.Cleanup(server.Close)
	}
	if o.Now.IsZero() {
		o.Now = now
	}
	o.ProviderURL = server.URL
	o.CABundle = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	set, err := constraint.Compile(lib, b, o)
	if err != nil {
		t.Fatal(err)
	}
	g.set = set
	g.client = engineWith(t, set.Objects)
	return g
}

// serve is a provider: it answers each key by itself.
func (g *gate) serve(w http.ResponseWriter, r *http.Request) {
	var q externaldata.ProviderRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	g.asked = append(g.asked, q.Request.Keys)
	g.mu.Unlock()
	out := externaldata.ProviderResponse{APIVersion: "externaldata.gatekeeper.sh/v1beta1", Kind: externaldata.ProviderResponseKind}
	out.Response.Idempotent = true
	for _, key := range q.Request.Keys {
		item := externaldata.Item{Key: key}
		k, err := policy.ParseImageKey(key)
		var messages []string
		if err == nil {
			messages, err = g.answer(k)
		}
		if err != nil {
			item.Error = err.Error()
		} else {
			value := policy.KeyAnswer{Messages: append([]string{}, messages...)}
			if g.unless != nil {
				value.Unless = g.unless(k)
			}
			item.Value = value
		}
		out.Response.Items = append(out.Response.Items, item)
	}
	_ = json.NewEncoder(w).Encode(out)
}

// engineWith is Gatekeeper's engine with objects as they would stand in a cluster.
func engineWith(t testing.TB, objects []*unstructured.Unstructured) *constraints.Client {
	t.Helper()
	cache := externaldata.NewCache()
	sch := runtime.NewScheme()
	if err := apis.AddToScheme(sch); err != nil {
		t.Fatal(err)
	}
	celDriver, err := k8scel.New()
	if err != nil {
		t.Fatal(err)
	}
	regoDriver, err := rego.New(rego.AddExternalDataProviderCache(cache))
	if err != nil {
		t.Fatal(err)
	}
	client, err := constraints.NewClient(constraints.Targets(&target.K8sValidationTarget{}), constraints.Driver(celDriver), constraints.Driver(regoDriver),
		constraints.EnforcementPoints(enforcementPoint))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, o := range objects {
		o := jsonOf(t, o)
		switch o.GroupVersionKind().Group {
		case "templates.gatekeeper.sh":
			versioned, err := sch.New(schema.GroupVersionKind{Group: "templates.gatekeeper.sh", Version: "v1", Kind: "ConstraintTemplate"})
			if err != nil {
				t.Fatal(err)
			}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, versioned); err != nil {
				t.Fatalf("%s: %v", o.GetName(), err)
			}
			sch.Default(versioned)
			template := &templates.ConstraintTemplate{}
			if err := sch.Convert(versioned, template, nil); err != nil {
				t.Fatalf("%s: %v", o.GetName(), err)
			}
			if _, err := client.AddTemplate(ctx, template); err != nil {
				t.Fatalf("template %s: %v", o.GetName(), err)
			}
		case "externaldata.gatekeeper.sh":
			p := &unversioned.Provider{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, p); err != nil {
				t.Fatal(err)
			}
			if err := cache.Upsert(p); err != nil {
				t.Fatalf("provider %s: %v", o.GetName(), err)
			}
		case "constraints.gatekeeper.sh":
			if _, err := client.AddConstraint(ctx, o); err != nil {
				t.Fatalf("constraint %s: %v", o.GetName(), err)
			}
		}
	}
	return client
}

// jsonOf is an object as it comes back from an API server: through JSON.
func jsonOf(t testing.TB, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	data, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return out
}

// ask is an admission request; Operation "" is an object that is there, as an audit sees it.
type ask struct {
	operation  string
	sub        string
	user       string
	groups     []string
	object     map[string]any
	old        map[string]any
	namespaces map[string]string // labels of the object's namespace
}

func (a *ask) object1() *inventory.Object {
	o, _ := inventory.NewObject(a.object)
	return o
}

// request is the ask as the preview and the recorder judge it.
func (a *ask) request() *policy.Request {
	r := &policy.Request{Operation: a.operation, SubResource: a.sub, User: a.user, Groups: a.groups, Object: a.object1(), NamespaceLabels: a.namespaces, At: now}
	if a.old != nil {
		r.Old, _ = inventory.NewObject(a.old)
	}
	return r
}

// review puts the ask to Gatekeeper's engine and returns what it says, as "action message".
func (g *gate) review(t testing.TB, a *ask) []string {
	t.Helper()
	out, err := reviewBy(g.client, a)
	if err != nil {
		t.Fatalf("%s %s: %v", a.object1().Ref(), a.operation, err)
	}
	return out
}

func reviewBy(client *constraints.Client, a *ask) ([]string, error) {
	o := a.object1()
	gvk := schema.FromAPIVersionAndKind(o.APIVersion, o.Kind)
	raw, err := json.Marshal(a.object)
	if err != nil {
		return nil, err
	}
	request := &admissionv1.AdmissionRequest{UID: "1", Kind: metav1.GroupVersionKind(gvk), Name: o.Name, Namespace: o.Namespace, SubResource: a.sub,
		Operation: admissionv1.Operation(a.operation), UserInfo: authv1.UserInfo{Username: a.user, Groups: a.groups}, Object: runtime.RawExtension{Raw: raw}}
	if a.old != nil {
		if request.OldObject.Raw, err = json.Marshal(a.old); err != nil {
			return nil, err
		}
	}
	review := target.AugmentedReview{AdmissionRequest: request, Source: mutation.SourceTypeOriginal, IsAdmission: a.operation != ""}
	if o.Namespace != "" {
		review.Namespace = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.Namespace, Labels: a.namespaces}}
	}
	res, err := client.Review(context.Background(), review, reviews.EnforcementPoint(enforcementPoint))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range res.Results() {
		out = append(out, r.EnforcementAction+" "+r.Msg)
	}
	slices.Sort(out)
	return out, nil
}

// everything is a policy of all rules that can be enforced, in all kinds and namespaces.
func everything(lib *rule.Library) policy.Policy {
	p := policy.Policy{Name: "everything", Action: policy.Block, Scope: policy.Scope{SystemNamespaces: true}}
	for _, r := range lib.Rules {
		if export.Enforceable(r) {
			p.Rules = append(p.Rules, policy.RuleUse{Rule: r.Name})
		}
	}
	return p
}

// TestCompiled holds what policies compile to, in Gatekeeper's own engine, to the engine of scans and of previews: every case of every
// rule that can be enforced.
func TestCompiled(t *testing.T) {
	lib := library(t)
	objects := cases(t, lib)
	engine := rule.NewEngine(lib)
	b := bundleOf(everything(lib))
	g := newGate(t, lib, b, constraint.Options{}, nil)
	if len(g.set.Notes) > 0 {
		t.Errorf("notes: %v", g.set.Notes)
	}
	judge, notes, err := policy.NewJudge(context.Background(), lib, b, nil)
	if err != nil || len(notes) > 0 {
		t.Fatal(err, notes)
	}
	longest, which := 0, ""
	for _, c := range objects {
		a := &ask{operation: "CREATE", user: "alice", object: c.object.Content}
		said := g.review(t, a)
		want := ours(engine, c.object)
		if got := idsIn(said); !slices.Equal(got, want) {
			t.Errorf("%s: Gatekeeper says %v, the scan says %v\n%s", c.name, got, want, strings.Join(said, "\n"))
		}
		var judged []string
		out := judge.Judge(context.Background(), a.request())
		for _, v := range out.Violations {
			judged = append(judged, "["+v.RuleID+"]")
		}
		for _, u := range out.Undecided {
			judged = append(judged, "["+lib.Find(u.Rule).ID+"]")
		}
		if got := idsIn(judged); !slices.Equal(got, want) {
			t.Errorf("%s: the preview says %v, the scan says %v", c.name, got, want)
		}
		for _, m := range said {
			if n := len([]rune(m)); n > longest {
				longest, which = n, m
			}
			if !strings.HasPrefix(m, "deny [STK-") || !strings.Contains(m, `Policy "everything"; more or an exception: https://stockade.example.com/protection/why?policy=1&rule=STK-`) {
				t.Errorf("%s: the refusal reads %q", c.name, m)
			}
		}
	}
	t.Logf("%d objects, %d rules, %d templates; the longest refusal has %d characters", len(objects), len(b.Policies[0].Rules), len(g.set.Objects)/2, longest)
	if longest > 5+export.MaxRefusal { // "deny "
		t.Errorf("a refusal has %d characters: %s", longest, which)
	}
}
