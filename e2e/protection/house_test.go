// Package protection tests the whole life of a cluster's protection against real API servers. There is no kubelet and no controller
// here: the tests say when pods are ready, make the definitions that Gatekeeper would make of templates, and finish namespaces that go.
package protection

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/protect"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/rules"
)

// nowhere is a control plane whose Services have addresses of this machine, at which nobody listens: webhooks are refused at once, and
// nothing of the test leaves the machine.
var nowhere = lab.Config{Flags: []string{"--service-cluster-ip-range=127.200.0.0/16"}}

// book is the policies of a test.
type book struct{ list []policy.Policy }

func (b *book) ForTarget(context.Context, int64) ([]policy.Policy, []policy.Template, error) {
	return b.list, nil, nil
}

// privileged refuses privileged pods.
func privileged() policy.Policy {
	return policy.Policy{ID: 7, Version: 1, Name: "No privileges", Action: policy.Block, Rules: []policy.RuleUse{{Rule: "workload/privileged-container"}}}
}

type house struct {
	t         *testing.T
	cp        *lab.ControlPlane
	db        *store.DB
	fleet     *fleet.Fleet
	keys      *seal.Keys
	authority *enrol.Authority
	book      *book
	options   protect.Options
	s         *protect.Service
	target    int64
	unready   atomic.Bool
	clock     atomic.Int64 // what is added to the time: nanoseconds
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.clock.Load())) }

// newHouse makes a server's rooms with one cluster, reached with a kubeconfig: "" is the administrator's.
func newHouse(t *testing.T, cp *lab.ControlPlane, database, kubeconfig string) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{t: t, cp: cp, db: storetest.Open(t, database), book: &book{}}
	var err error
	if h.keys, err = seal.Load(filepath.Join(t.TempDir(), "keys"), ""); err != nil {
		t.Fatal(err)
	}
	if h.authority, err = enrol.Open(ctx, h.db, h.keys, h.now); err != nil {
		t.Fatal(err)
	}
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	h.fleet = fleet.New(h.db, h.keys, fleet.Options{Authority: h.authority, AllowLocal: true, Version: "test", QPS: 500, Burst: 1000,
		Stays: func(ctx context.Context, target int64) error { return h.s.Stays(ctx, target) }})
	h.options = protect.Options{DB: h.db, Keys: h.keys, Authority: h.authority, Clusters: h.fleet, Policies: h.book, Compile: protect.Constraints(lib), Version: "test",
		Server: "https://stockade.example.com:8443", Console: "https://stockade.example.com:8443", Now: h.now,
		Ready: func(context.Context, string, string) (bool, string) {
			return !h.unready.Load(), "the test says so"
		}}
	h.s = protect.New(h.options)
	if kubeconfig == "" {
		kubeconfig = cp.Kubeconfig()
	}
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := h.fleet.Add(h.ctx(), fleet.Added{Name: "shop", Kind: fleet.Kubeconfig, Kubeconfig: text, Unchecked: true})
	if err != nil {
		t.Fatal(err)
	}
	h.target = c.TargetID
	return h
}

func (h *house) ctx() context.Context {
	return identity.With(context.Background(), &identity.Principal{Name: "anna", Grants: []identity.Grant{{Role: identity.Administrator}}})
}

// api asks the API server as the administrator.
func (h *house) api(method, path, contentType, body string, into any) int {
	h.t.Helper()
	code, err := ask(h.cp, method, path, contentType, body, into)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	return code
}

func ask(cp *lab.ControlPlane, method, path, contentType, body string, into any) (int, error) {
	req, err := http.NewRequest(method, cp.URL()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := cp.Client().Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err == nil && into != nil && resp.StatusCode/100 == 2 {
		err = json.Unmarshal(data, into)
	}
	return resp.StatusCode, err
}

type listed struct {
	Items []struct {
		Kind     string
		Metadata struct {
			Name, Namespace   string
			DeletionTimestamp *string
			Labels            map[string]string
		}
		Spec   map[string]any
		Status map[string]any
	}
}

// assist does what controllers of a whole cluster do, until the test ends: it finishes namespaces that go, makes definitions of
// templates as Gatekeeper does, and takes them away with their templates.
func (h *house) assist() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	h.t.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			var list listed
			if _, err := ask(h.cp, "GET", "/api/v1/namespaces", "", "", &list); err == nil {
				for _, n := range list.Items {
					if n.Metadata.DeletionTimestamp != nil {
						_, _ = ask(h.cp, "PUT", "/api/v1/namespaces/"+n.Metadata.Name+"/finalize", "application/json",
							fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q},"spec":{"finalizers":[]}}`, n.Metadata.Name), nil)
					}
				}
			}
			list = listed{}
			if code, err := ask(h.cp, "GET", "/apis/templates.gatekeeper.sh/v1/constrainttemplates", "", "", &list); err == nil && code == 200 {
				for _, tpl := range list.Items {
					kind := fmt.Sprint(tpl.Spec["crd"].(map[string]any)["spec"].(map[string]any)["names"].(map[string]any)["kind"])
					_, _ = ask(h.cp, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "application/json", definition(kind), nil)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
}

// definition is what Gatekeeper makes of a template, without its schema.
func definition(kind string) string {
	lower := strings.ToLower(kind)
	return fmt.Sprintf(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"%s.constraints.gatekeeper.sh","labels":{"gatekeeper.sh/constraint":"yes"}},
		"spec":{"group":"constraints.gatekeeper.sh","scope":"Cluster","names":{"kind":%q,"listKind":"%sList","plural":%q,"singular":%q,"categories":["constraint"]},
		"versions":[{"name":"v1beta1","served":true,"storage":true,"subresources":{"status":{}},"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`,
		lower, kind, kind, lower, lower)
}

// until makes passes until the protection is in one of the states.
func (h *house) until(states ...protect.State) *protect.Status {
	h.t.Helper()
	var st *protect.Status
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err := h.s.Pass(context.Background(), h.target); err != nil {
			h.t.Fatal(err)
		}
		var err error
		if st, err = h.s.Status(h.ctx(), h.target); err != nil {
			h.t.Fatal(err)
		}
		if slices.Contains(states, st.State) {
			return st
		}
	}
	h.t.Fatalf("still %s, wanted %v: %s\n%+v", st.State, states, st.Reason, st.Steps)
	return nil
}

// everything lists all objects of the cluster by their paths, but for what the API server itself writes now and then.
func (h *house) everything() []string {
	h.t.Helper()
	var out []string
	type resources struct {
		Resources []struct {
			Name, Kind string
			Namespaced bool
			Verbs      []string
		}
	}
	paths := []string{"/api/v1"}
	var groups struct {
		Groups []struct {
			PreferredVersion struct{ GroupVersion string }
		}
	}
	h.api("GET", "/apis", "", "", &groups)
	for _, g := range groups.Groups {
		paths = append(paths, "/apis/"+g.PreferredVersion.GroupVersion)
	}
	for _, p := range paths {
		var r resources
		if code := h.api("GET", p, "", "", &r); code != 200 {
			continue
		}
		for _, x := range r.Resources {
			if strings.Contains(x.Name, "/") || !slices.Contains(x.Verbs, "list") || slices.Contains([]string{"events", "leases", "componentstatuses", "apiservices", "ipaddresses"}, x.Name) {
				continue
			}
			var list listed
			if code := h.api("GET", p+"/"+x.Name, "", "", &list); code != 200 {
				continue
			}
			for _, o := range list.Items {
				out = append(out, p+"/"+x.Name+" "+o.Metadata.Namespace+"/"+o.Metadata.Name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// missing are those of a that b does not have.
func missing(a, b []string) []string {
	var out []string
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}
