package parity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis/externaldata/unversioned"
	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	mutations "github.com/open-policy-agent/gatekeeper/v3/apis/mutations/unversioned"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/mutation"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/mutators/assign"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"

	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
)

// clientCertificate is what Gatekeeper shows providers.
func clientCertificate(t *testing.T) *certwatcher.CertWatcher {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"crt": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w, err := certwatcher.New(filepath.Join(dir, "crt"), filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// goodCA is a certificate, as Provider objects hold it.
func goodCA(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// TestMutation: Gatekeeper replaces tags by digests as pods are created, of containers and image volumes, and leaves everything else and
// running pods alone; when nobody answers the pod stays as it was.
func TestMutation(t *testing.T) {
	lib := library(t)
	set, err := constraint.Compile(lib, bundleOf(policy.Policy{Mutate: true}, policy.Policy{Mutate: true, Name: "b", Scope: policy.Scope{Namespaces: []string{"shop"}}}),
		constraint.Options{Now: now, ProviderURL: "https://stockade-provider.stockade-protect.svc:8443", CABundle: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	digest := "@sha256:" + strings.Repeat("0a", 32)
	var asked [][]string
	var away error
	cache := externaldata.NewCache()
	system := mutation.NewSystem(mutation.SystemOpts{ProviderCache: cache, ClientCertWatcher: clientCertificate(t),
		SendRequestToExternalDataProvider: func(_ context.Context, p *unversioned.Provider, keys []string, _ *tls.Certificate) (*externaldata.ProviderResponse, int, error) {
			slices.Sort(keys)
			asked = append(asked, append([]string{p.Spec.URL}, keys...))
			out := &externaldata.ProviderResponse{Response: externaldata.Response{Idempotent: true}}
			for _, k := range keys {
				item := externaldata.Item{Key: k, Value: k + digest}
				if strings.Contains(k, "unknown") {
					item = externaldata.Item{Key: k, Error: "nobody knows"}
				}
				out.Response.Items = append(out.Response.Items, item)
			}
			return out, 200, away
		}})
	for _, o := range set.Objects {
		o = jsonOf(t, o)
		switch o.GetKind() {
		case "Provider":
			p := &unversioned.Provider{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, p); err != nil {
				t.Fatal(err)
			}
			p.Spec.CABundle = goodCA(t)
			if err := cache.Upsert(p); err != nil {
				t.Fatal(err)
			}
		case "Assign":
			a := &mutations.Assign{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, a); err != nil {
				t.Fatal(err)
			}
			m, err := assign.MutatorForAssign(a)
			if err != nil {
				t.Fatalf("%s: %v", o.GetName(), err)
			}
			if err := system.Upsert(m); err != nil {
				t.Fatalf("%s: %v", o.GetName(), err)
			}
		}
	}
	mutate := func(o map[string]any, operation admissionv1.Operation) *inventory.Object {
		u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(o)}
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: u.GetNamespace()}}
		if _, err := system.Mutate(context.Background(), &types.Mutable{Object: u, Namespace: ns, Source: types.SourceTypeOriginal, Operation: operation}); err != nil {
			t.Fatal(err)
		}
		out, _ := inventory.NewObject(u.Object)
		return out
	}
	object := with(with(pod("shop", "web", container("a", "nginx:1"), container("b", "nginx:1"), container("c", "unknown:1"), map[string]any{"name": "d"}), "spec.initContainers", []any{container("i", "init:1")}),
		"spec.volumes", []any{m{"name": "tmp", "emptyDir": m{}}, m{"name": "models", "image": m{"reference": "models:1"}}})
	got := mutate(object, admissionv1.Create)
	var images []string
	for _, u := range policy.ImagesOf(got) {
		images = append(images, u.Image)
	}
	if want := []string{"nginx:1" + digest, "nginx:1" + digest, "unknown:1", "init:1" + digest, "models:1" + digest}; !slices.Equal(images, want) {
		t.Errorf("got %v, want %v", images, want)
	}
	if v := inventory.List(got.Content, "spec", "volumes")[0].(map[string]any); v["image"] != nil {
		t.Errorf("a volume got an image: %v", v)
	}
	if want := []string{"https://stockade-provider.stockade-protect.svc:8443/mutate", "init:1", "models:1", "nginx:1", "unknown:1"}; len(asked) != 1 || !slices.Equal(asked[0], want) {
		t.Errorf("asked %v, want %v once", asked, want)
	}
	for name, o := range map[string]*inventory.Object{"update": mutate(object, admissionv1.Update), "Deployment": mutate(workload("Deployment", "web", container("a", "nginx:1")), admissionv1.Create),
		"system namespace": mutate(with(object, "metadata.namespace", "kube-system"), admissionv1.Create)} {
		for _, u := range policy.ImagesOf(o) {
			if strings.Contains(u.Image, "@") {
				t.Errorf("%s: %s", name, u.Image)
			}
		}
	}
	away = errors.New("connection refused")
	for _, u := range policy.ImagesOf(mutate(object, admissionv1.Create)) {
		if strings.Contains(u.Image, "@") {
			t.Errorf("the provider is away: %s", u.Image)
		}
	}
}
