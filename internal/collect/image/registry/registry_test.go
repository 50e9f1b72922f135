package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// served is a registry with one image, behind a handler that a test may put before it.
func served(t *testing.T, before func(w http.ResponseWriter, r *http.Request) bool) (host string, img v1.Image, s *httptest.Server) {
	t.Helper()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	var open atomic.Bool
	open.Store(true)
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open.Load() || before == nil || !before(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	host = strings.TrimPrefix(s.URL, "http://")
	img, err := random.Image(4<<10, 3)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/shop/till:1.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	arm, err := mutate.ConfigFile(img, &v1.ConfigFile{Architecture: "arm64", OS: "linux", RootFS: rootFS(t, img)})
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}},
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}})
	if err := remote.WriteIndex(ref.Context().Tag("multi"), index); err != nil {
		t.Fatal(err)
	}
	open.Store(false)
	return host, img, s
}

func rootFS(t *testing.T, img v1.Image) v1.RootFS {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return c.RootFS
}

// quick makes options that do not wait and do not look at the user's configuration.
func quick() Options {
	return Options{NoKeychain: true, Rate: 10_000, Stall: 300 * time.Millisecond, Retries: -1}
}

func TestOpen(t *testing.T) {
	host, want, _ := served(t, nil)
	img, err := Open(t.Context(), host+"/shop/till:1.0", quick())
	if err != nil {
		t.Fatal(err)
	}
	d, _ := want.Digest()
	if img.Info.Digest != d.String() || len(img.Layers) != 3 || img.Info.ConfigID == "" {
		t.Errorf("%+v", img.Info)
	}
	for i, l := range img.Layers {
		r, err := l.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h, n, err := v1.SHA256(r)
		if err != nil || h.String() != l.Digest || n != l.Size || l.DiffID == "" {
			t.Errorf("layer %d: %s %d %v, want %+v", i, h, n, err, l.Layer)
		}
		_ = r.Close()
	}
	for platform, arch := range map[string]string{"linux/arm64": "linux/arm64", "linux/arm64/v8": "linux/arm64"} {
		o := quick()
		o.Platform = platform
		img, err := Open(t.Context(), host+"/shop/till:multi", o)
		if err != nil || img.Info.Platform != arch || img.Info.Index == "" {
			t.Errorf("%s: %v %+v", platform, err, img)
		}
	}
	o := quick()
	o.Platform = "linux/s390x"
	if _, err := Open(t.Context(), host+"/shop/till:multi", o); err == nil || !strings.Contains(err.Error(), "linux/arm64") {
		t.Errorf("a platform that is not there: %v", err)
	}
	if _, err := Open(t.Context(), host+"/shop/till@"+d.String(), quick()); err != nil {
		t.Error(err)
	}
	if _, err := Open(t.Context(), host+"/shop/none:1", quick()); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	o.Platform = ""
	o.Mirrors = map[string][]string{"registry.example.com": {host}}
	if img, err := Open(t.Context(), "registry.example.com/shop/till:1.0", o); err != nil || img.Info.Reference != "registry.example.com/shop/till:1.0" {
		t.Errorf("mirror: %v", err)
	}
}

// secretFor is a .dockerconfigjson.
func secretFor(host, user, password string) []byte {
	return fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

func TestCredentials(t *testing.T) {
	host, _, _ := served(t, func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "till" && password == "right" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	ref := host + "/shop/till:1.0"
	if _, err := Open(t.Context(), ref, quick()); !errors.Is(err, ErrForbidden) {
		t.Errorf("without credentials: %v", err)
	}
	o := quick()
	o.PullSecrets = [][]byte{secretFor("other.example.com", "till", "right"), secretFor(host, "till", "wrong"), secretFor("http://"+host+"/shop", "till", "right")}
	if img, err := Open(t.Context(), ref, o); err != nil {
		t.Error(err)
	} else if r, err := img.Layers[0].Open(t.Context()); err != nil {
		t.Error(err)
	} else {
		_ = r.Close()
	}
	o.PullSecrets = [][]byte{[]byte(`{"auths": secret-text`)}
	if _, err := Open(t.Context(), ref, o); err == nil || strings.Contains(err.Error(), "secret-text") {
		t.Errorf("%v", err)
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		key, host, repo string
		want            bool
	}{
		{"registry.example.com", "registry.example.com", "a/b", true},
		{"https://registry.example.com/v2/", "registry.example.com", "a/b", true},
		{"registry.example.com/a", "registry.example.com", "a/b", true},
		{"registry.example.com/a", "registry.example.com", "ab", false},
		{"*.example.com", "registry.example.com", "a", true},
		{"*.example.com", "a.registry.example.com", "a", false},
		{"*.example.com", "example.com", "a", false},
		{"registry.example.com:5000", "registry.example.com:5000", "a", true},
		{"registry.example.com", "registry.example.com:5000", "a", false},
		{"https://index.docker.io/v1/", "index.docker.io", "library/x", true},
		{"docker.io", "index.docker.io", "library/x", true},
		{"registry.example.com.evil.example", "registry.example.com", "a", false},
	} {
		if got := covers(c.key, c.host, c.repo); got != c.want {
			t.Errorf("covers(%q, %q, %q) = %t", c.key, c.host, c.repo, got)
		}
	}
}

// TestRedirect: blobs may lie elsewhere, but nobody else sees the credentials.
func TestRedirect(t *testing.T) {
	var mu sync.Mutex
	var moved atomic.Value // the blob that is elsewhere
	moved.Store("none yet")
	seen := []string{}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Get("Authorization")+r.Header.Get("Cookie"))
		mu.Unlock()
		_, _ = io.WriteString(w, "blob")
	}))
	defer elsewhere.Close()
	u, _ := url.Parse(elsewhere.URL)
	host, _, _ := served(t, func(w http.ResponseWriter, r *http.Request) bool {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if strings.HasSuffix(r.URL.Path, moved.Load().(string)) {
			http.Redirect(w, r, "http://localhost:"+u.Port()+"/elsewhere", http.StatusTemporaryRedirect)
			return true
		}
		return false
	})
	o := quick()
	o.PullSecrets = [][]byte{secretFor(host, "till", "right")}
	img, err := Open(t.Context(), host+"/shop/till:1.0", o)
	if err != nil {
		t.Fatal(err)
	}
	moved.Store(img.Layers[0].Digest)
	r, err := img.Layers[0].Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	_ = r.Close()
	if err != nil || string(data) != "blob" || len(seen) != 1 || seen[0] != "" {
		t.Errorf("%q %v, the other host saw %q", data, err, seen)
	}
}

func TestPlainHTTP(t *testing.T) {
	c := NewClients()
	rt, err := c.base("registry.example.com", quick())
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest(http.MethodGet, "http://registry.example.com/v2/", nil)
	req.SetBasicAuth("till", "right")
	if _, err := rt.RoundTrip(req); err == nil || !strings.Contains(err.Error(), "plain HTTP") {
		t.Errorf("%v", err)
	}
	via := []*http.Request{httptest.NewRequest(http.MethodGet, "https://registry.example.com/v2/x", nil)}
	if err := redirect(httptest.NewRequest(http.MethodGet, "http://registry.example.com/x", nil), via); err == nil {
		t.Error("redirect from TLS to plain HTTP is followed")
	}
}

func TestTroubles(t *testing.T) {
	for name, c := range map[string]struct {
		answer  func(n int64, w http.ResponseWriter, r *http.Request) bool
		retries int
		fails   error
		text    string
	}{
		"429 twice": {func(n int64, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return n <= 2
		}, 3, nil, ""},
		"429 for ever": {func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}, 2, ErrUnreachable, "429"},
		"429 until tomorrow": {func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}, 9, ErrUnreachable, "429"},
		"503 once": {func(n int64, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return n <= 1
		}, 2, nil, ""},
		"500 for ever": {func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}, 1, ErrUnreachable, "500"},
		"stalls": {func(_ int64, w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Second):
			}
			return true
		}, -1, ErrUnreachable, "sent nothing"},
		"web page": {func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, "<html>log in</html>")
			return true
		}, -1, nil, "a web page"},
		"endless manifest": {func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
			for range 5000 {
				if _, err := w.Write(make([]byte, 8<<10)); err != nil {
					break
				}
			}
			return true
		}, -1, nil, "larger than"},
		"403": {func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			return true
		}, 3, ErrForbidden, "403"},
		"wrong manifest": {func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, `{"schemaVersion":1,"fsLayers":[]}`)
			return true
		}, -1, nil, "schema 1"},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			host, _, _ := served(t, func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				rec := httptest.NewRecorder()
				if at := n.Add(1); strings.Contains(name, " twice") && at > 2 || strings.Contains(name, " once") && at > 1 {
					return c.answer(at, rec, r)
				} else {
					return c.answer(at, w, r)
				}
			})
			o := quick()
			o.Retries = c.retries
			start := time.Now()
			_, err := Open(t.Context(), host+"/shop/till:1.0", o)
			if c.text == "" && err != nil {
				t.Error(err)
			}
			if c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text) || c.fails != nil && !errors.Is(err, c.fails)) {
				t.Errorf("%v, want %q", err, c.text)
			}
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("took %s", d)
			}
		})
	}
}

func TestRate(t *testing.T) {
	host, _, _ := served(t, nil)
	o := quick()
	o.Rate = 5
	o.Clients = NewClients()
	start := time.Now()
	for range 6 { // a ping, and two documents each: thirteen requests, five of them at once
		if _, err := Open(t.Context(), host+"/shop/till:1.0", o); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(start); d < 1200*time.Millisecond {
		t.Errorf("thirteen requests in %s", d)
	}
}
