package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// TestMirrorOfDockerHub: references to Docker Hub parse to another name than people give the mirror for.
func TestMirrorOfDockerHub(t *testing.T) {
	for _, of := range []string{"docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO"} {
		host, img, _ := served(t, nil)
		want, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		o := quick()
		o.Mirrors = map[string][]string{of: {host}}
		o.Transport = only{host}
		got, err := Open(t.Context(), "shop/till:1.0", o)
		if err != nil || got.Info.Digest != want.String() {
			t.Errorf("%s: %v", of, err)
			continue
		}
		if got.Info.Reference != "shop/till:1.0" {
			t.Errorf("%s: it is called %s", of, got.Info.Reference)
		}
		o.Mirrors = nil
		o.Places = []Place{{Address: host, MirrorOf: Host(of)}}
		if _, err := Open(t.Context(), "docker.io/shop/till:1.0", o); err != nil {
			t.Errorf("%s as a place: %v", of, err)
		}
	}
	o := Options{Insecure: []string{"docker.io"}}.at(name.DefaultRegistry)
	if len(o.Insecure) != 2 {
		t.Errorf("docker.io is insecure, and its other name is not: %v", o.Insecure)
	}
}

// only lets requests through to one host.
type only struct{ host string }

func (o only) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != o.host {
		return nil, fmt.Errorf("asked %s", r.URL.Host)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func digestAt(t *testing.T, ref string, o Options) (digest string, err error) {
	t.Helper()
	err = Visit(t.Context(), ref, o, func(ctx context.Context, r *Repository) (err error) {
		digest, err = r.Digest(ctx)
		return err
	})
	return digest, err
}

// TestDigest: what a reference stands for is computed, whatever the registry says of it.
func TestDigest(t *testing.T) {
	host, img, _ := served(t, nil)
	want, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := digestAt(t, host+"/shop/till:1.0", quick()); err != nil || got != want.String() {
		t.Error(got, err)
	}
	if got, err := digestAt(t, host+"/shop/till@"+want.String(), quick()); err != nil || got != want.String() {
		t.Error(got, err)
	}
	index, err := digestAt(t, host+"/shop/till:multi", quick())
	if err != nil || index == want.String() {
		t.Error("an index has a digest of its own:", index, err)
	}
	if _, err := digestAt(t, host+"/shop/till:absent", quick()); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestHostileRegistries: slow, endless, lying and confused ones end soon, with an error.
func TestHostileRegistries(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   error
	}{
		"another digest": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Docker-Content-Digest", r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
			fmt.Fprint(w, `{"schemaVersion":2,"layers":[]}`)
		}, nil},
		"a page":  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>sign in</html>") }, nil},
		"nothing": {func(http.ResponseWriter, *http.Request) {}, nil},
		"silent":  {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, ErrUnreachable},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			line := strings.Repeat(" ", 1<<20)
			for r.Context().Err() == nil {
				if _, err := fmt.Fprint(w, line); err != nil {
					return
				}
			}
		}, ErrUnreachable},
		"round and round": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }, ErrUnreachable},
		"denied":          {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, ErrForbidden},
		"too busy":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					return
				}
				c.answer(w, r)
			}))
			t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
			o := quick()
			o.Stall = 200 * time.Millisecond
			ref := strings.TrimPrefix(s.URL, "http://") + "/shop/till"
			if name == "another digest" {
				ref += "@sha256:" + strings.Repeat("0", 64)
			}
			if got, err := digestAt(t, ref, o); err == nil || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	if _, err := digestAt(t, "not a name", quick()); err == nil {
		t.Error("no name of an image is asked for")
	}
}

// TestEnter shows that how to enter is asked once, that credentials still go with every request, and that a registry which asks for
// others meanwhile gets them.
func TestEnter(t *testing.T) {
	var pings, shown atomic.Int32
	var closed atomic.Bool
	host, _, _ := served(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" {
			pings.Add(1)
		}
		if !closed.Load() {
			return false
		}
		if user, password, _ := r.BasicAuth(); user == "till" && password == "right" {
			shown.Add(1)
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	o := quick()
	o.Clients = NewClients()
	digest := func(o Options) error {
		return Visit(t.Context(), host+"/shop/till:1.0", o, func(ctx context.Context, r *Repository) error {
			_, err := r.Digest(ctx)
			return err
		})
	}
	for range 5 {
		if err := digest(o); err != nil {
			t.Fatal(err)
		}
	}
	if n := pings.Load(); n != 1 {
		t.Errorf("%d pings for five visits", n)
	}
	closed.Store(true)
	if err := digest(o); !errors.Is(err, ErrForbidden) {
		t.Errorf("an entry lasts without credentials: %v", err)
	}
	with := o
	with.PullSecrets = [][]byte{secretFor(host, "till", "right")}
	for range 2 {
		if err := digest(with); err != nil {
			t.Error(err)
		}
	}
	if n := shown.Load(); n != 2 {
		t.Errorf("credentials were shown %d times", n)
	}
	with.PullSecrets = [][]byte{secretFor(host, "till", "wrong")}
	if err := digest(with); !errors.Is(err, ErrForbidden) {
		t.Errorf("others enter by the same entry: %v", err)
	}
}
