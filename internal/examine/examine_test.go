package examine

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/scan"
)

func code(err error) string {
	var c interface{ Code() string }
	if errors.As(err, &c) {
		return c.Code()
	}
	return ""
}

// TestLocal: what workloads run, and all that a server reads, comes from a registry, whatever it is called.
func TestLocal(t *testing.T) {
	r := NewReader(image.Options{})
	r.Offline = true
	dir := t.TempDir()
	if _, err := r.Load(t.Context(), scan.Use{Reference: "rootfs:" + dir}); err != nil {
		t.Errorf("a folder that the user names: %v", err)
	}
	if _, err := r.Load(t.Context(), scan.Use{Reference: "rootfs:" + dir, Workloads: []finding.WorkloadRef{{Kind: "Pod", Name: "x"}}}); code(err) != "skipped" {
		t.Errorf("a folder that a workload names: %v", err)
	}
	r.Remote = true
	if _, err := r.Load(t.Context(), scan.Use{Reference: "rootfs:" + dir}); code(err) != "skipped" {
		t.Errorf("a folder of the server: %v", err)
	}
}

// TestSaved: saved inventories are not read again.
func TestSaved(t *testing.T) {
	sw := &inventory.Software{Name: "till", Image: &inventory.Image{Digest: "sha256:aa"}}
	r := NewReader(image.Options{})
	r.Offline, r.Saved = true, map[string]*inventory.Software{"registry.example.com/till:1": sw}
	got, digest, err := r.For(nil).Read(t.Context(), scan.Use{Reference: "registry.example.com/till:1"}, func(string) bool { return false })
	if err != nil || got != sw || digest != "sha256:aa" {
		t.Error(got, digest, err)
	}
}

// TestSilence: a registry that cannot be connected to is asked once, by all that share the reader, until it is forgotten.
func TestSilence(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	host := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	r := NewReader(image.Options{Registry: registry.Options{Insecure: []string{host}, Clients: registry.NewClients()}})
	load := func(r *Reader) error {
		_, err := r.Load(t.Context(), scan.Use{Reference: host + "/till:1"})
		return err
	}
	if err := load(r); code(err) != "unreachable" {
		t.Fatal(err)
	}
	if r.silence.of(host) == nil || load(r.For(nil)) == nil {
		t.Error("the silence is not remembered")
	}
	r.silence.note(host, errors.New("silent"), time.Nanosecond)
	time.Sleep(time.Millisecond)
	if err := r.silence.of(host); err != nil {
		t.Errorf("not forgotten: %v", err)
	}
}

// TestSecrets: each pull secret is read once a reader, and never for another cluster.
func TestSecrets(t *testing.T) {
	var asked atomic.Int64
	pull := func(_ context.Context, namespace, name string) ([]byte, error) {
		asked.Add(1)
		return []byte(namespace + name), nil
	}
	base := NewReader(image.Options{})
	a, b := base.For(pull), base.For(pull)
	for range 3 {
		if data, err := a.secret(t.Context(), "shop/regcred"); err != nil || string(data) != "shopregcred" {
			t.Error(string(data), err)
		}
	}
	if _, err := b.secret(t.Context(), "shop/regcred"); err != nil || asked.Load() != 2 {
		t.Errorf("asked %d times, %v", asked.Load(), err)
	}
	if _, err := base.secret(t.Context(), "shop/regcred"); err == nil {
		t.Error("a secret without a cluster")
	}
}
