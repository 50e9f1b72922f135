package cluster

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

func TestGet(t *testing.T) {
	f := newFake(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
		answer := func(text string) bool {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text) // a client that is gone fails the test by itself
			return true
		}
		switch r.URL.Path {
		case "/apis/apps/v1/namespaces/shop/deployments/till":
			if n == 1 {
				f.status(w, 503, "ServiceUnavailable", "once")
				return true
			}
			return answer(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"till","namespace":"shop","managedFields":[{"a":1}]},"spec":{"replicas":2}}`)
		case "/api/v1/namespaces/shop/secrets/key":
			return answer(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"key","namespace":"shop"},"data":{"a":"c2VjcmV0"}}`)
		case "/api/v1/namespaces/shop/configmaps/closed":
			f.status(w, 403, "Forbidden", "no")
			return true
		case "/api/v1/namespaces/shop/configmaps/unknown":
			f.status(w, 401, "Unauthorized", "who are you")
			return true
		case "/api/v1/namespaces/shop/configmaps/broken":
			return answer(`{"apiVersion":"v1","kind":`)
		case "/api/v1/namespaces/shop/configmaps/deep":
			return answer(`{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`)
		}
		return false
	}
	src, err := Open(f.config())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	get := func(kind, api, name string) (*inventory.Object, error) {
		return src.Get(ctx, inventory.Ref{APIVersion: api, Kind: kind, Namespace: "shop", Name: name})
	}
	o, err := get("Deployment", "apps/v1", "till")
	if err != nil || o == nil || o.Name != "till" || inventory.Get(o.Content, "metadata", "managedFields") != nil {
		t.Fatalf("a deployment: %v, %v", o, err)
	}
	if o, err := get("Secret", "v1", "key"); err != nil || inventory.Str(o.Content, "data", "a") != "" {
		t.Errorf("the value of a Secret came along: %v, %v", o, err)
	}
	if o, err := get("ConfigMap", "v1", "gone"); o != nil || err != nil {
		t.Errorf("what is not there: %v, %v", o, err)
	}
	for _, name := range []string{"closed", "unknown"} {
		if _, err := get("ConfigMap", "v1", name); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"broken", "deep"} {
		if _, err := get("ConfigMap", "v1", name); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := get("Group", "v1", "x"); !errors.Is(err, ErrKind) {
		t.Errorf("a kind that is not read: %v", err)
	}
	for _, line := range f.log {
		if !strings.HasPrefix(line, "GET ") {
			t.Errorf("not only read: %s", line)
		}
	}
}
