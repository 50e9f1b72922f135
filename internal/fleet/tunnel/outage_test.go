package tunnel

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// line is a wire between a connector and the server that can be cut, or go silent.
type line struct {
	net.Listener
	to string

	mu     sync.Mutex
	down   bool // connections are refused
	silent bool // bytes vanish
	conns  []net.Conn
	made   int
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &line{Listener: l, to: to}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(conn)
		}
	}()
	t.Cleanup(func() { w.cut(true); _ = l.Close() })
	return w
}

func (w *line) carry(a net.Conn) {
	w.mu.Lock()
	down := w.down
	w.mu.Unlock()
	if down {
		_ = a.Close()
		return
	}
	b, err := net.Dial("tcp", w.to)
	if err != nil {
		_ = a.Close()
		return
	}
	w.mu.Lock()
	w.conns = append(w.conns, a, b)
	w.made++
	w.mu.Unlock()
	pass := func(to, from net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				_ = to.Close()
				return
			}
			w.mu.Lock()
			lost := w.silent
			w.mu.Unlock()
			if !lost {
				_, _ = to.Write(buf[:n])
			}
		}
	}
	go pass(a, b)
	pass(b, a)
}

func (w *line) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

func (w *line) hush(silent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = silent
}

// TestCutForAnHour: the line is cut, an hour goes by, and the connector is back by itself.
func TestCutForAnHour(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		r := b.replica("one")
		shop := b.target("shop")
		w := newLine(t, r.address)
		c, _ := b.connector(w.Addr().String(), "shop", func(c *Connector) { c.Token = b.token(shop) })
		answers(t, r, shop, "shop")
		w.cut(true)
		silent(t, r, shop)
		b.clock.pass(time.Hour)
		until(t, "the row of the dead tunnel counts no more", func() bool {
			rows, err := r.Rows(context.Background(), shop)
			return err == nil && len(rows) == 0
		})
		w.cut(false)
		answers(t, r, shop, "shop")
		if n := c.Keeper.(*memory).saves; n != 1 {
			t.Errorf("it enrolled %d times", n)
		}
	})
}

// TestHalfOpen: the line says nothing any more but stays open. Both ends notice, and begin anew.
func TestHalfOpen(t *testing.T) {
	b := newBench(t, storetest.Open(t, "sqlite"))
	b.timing.Answer = 300 * time.Millisecond
	r := b.replica("one")
	shop := b.target("shop")
	w := newLine(t, r.address)
	b.connector(w.Addr().String(), "shop", func(c *Connector) { c.Token = b.token(shop) })
	answers(t, r, shop, "shop")
	w.hush(true)
	until(t, "the server gives the tunnel up", func() bool { return !r.Connected(shop) })
	w.hush(false)
	answers(t, r, shop, "shop")
}

// TestRenewal: the certificate is renewed through the tunnel at half of its life, and requests that run are not cut.
func TestRenewal(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		r := b.replica("one")
		shop := b.target("shop")
		c, stop := b.connector(r.address, "shop", func(c *Connector) { c.Token = b.token(shop) })
		answers(t, r, shop, "shop")
		before := leaf(t, c)
		for range 3 {
			b.clock.pass(enrol.Lifetime/2 + time.Hour)
			until(t, "another certificate", func() bool { return leaf(t, c).SerialNumber.Cmp(before.SerialNumber) != 0 })
			before = leaf(t, c)
			answers(t, r, shop, "shop")
		}
		rows, err := b.authority.Certificates(context.Background(), shop)
		if err != nil || len(rows) != 4 {
			t.Errorf("%d certificates, %v", len(rows), err)
		}
		// One that was away for longer than its certificate lives is refused, and told so.
		stop()
		b.clock.pass(enrol.Lifetime + time.Hour)
		if _, err := c.once(context.Background()); err == nil {
			t.Error("an expired certificate opens a tunnel")
		}
		silent(t, r, shop)
	})
}

func leaf(t *testing.T, c *Connector) *x509.Certificate {
	t.Helper()
	id, _ := c.Keeper.Load(context.Background())
	block, _ := pem.Decode([]byte(id.Certificate))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestProxy: the way out leads through an HTTP proxy with a password.
func TestProxy(t *testing.T) {
	b := newBench(t, storetest.Open(t, "sqlite"))
	r := b.replica("one")
	shop := b.target("shop")
	var mu sync.Mutex
	var seen []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		user, password, _ := (&http.Request{Header: http.Header{"Authorization": q.Header["Proxy-Authorization"]}}).BasicAuth()
		mu.Lock()
		seen = append(seen, q.Method+" "+q.Host+" "+user+":"+password)
		mu.Unlock()
		if password != "pw" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		out, err := net.Dial("tcp", q.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		in, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			_ = out.Close()
			return
		}
		fmt.Fprint(in, "HTTP/1.1 200 Connection established\r\n\r\n")
		join(in, out)
	}))
	defer proxy.Close()
	through := func(password string) func(c *Connector) {
		return func(c *Connector) {
			c.Token = b.token(shop)
			c.Proxy = func(*http.Request) (*url.URL, error) {
				u, err := url.Parse(proxy.URL)
				u.User = url.UserPassword("me", password)
				return u, err
			}
		}
	}
	c, stop := b.connector(r.address, "shop", through("wrong"))
	if _, err := c.once(context.Background()); err == nil || !strings.Contains(err.Error(), "407") || strings.Contains(err.Error(), "wrong") {
		t.Error(err)
	}
	stop()
	_, stop = b.connector(r.address, "shop", through("pw"))
	answers(t, r, shop, "shop")
	stop()
	mu.Lock()
	defer mu.Unlock()
	if last := seen[len(seen)-1]; last != "CONNECT "+r.address+" me:pw" {
		t.Errorf("the proxy saw %q", last)
	}
}

// TestGate: reading of objects passes, and nothing else.
func TestGate(t *testing.T) {
	gate := kube(t, "shop")
	long := strings.Repeat("a", maxPost+1)
	for request, pass := range map[string]bool{
		"GET /version": true, "GET /api": true, "GET /apis": true, "GET /api/v1": true, "GET /apis/apps/v1": true, "GET /readyz": true,
		"GET /api/v1/pods?limit=500&continue=x": true, "GET /api/v1/namespaces/a/pods": true, "GET /api/v1/namespaces/a/pods/p": true, "GET /api/v1/nodes/n": true,
		"GET /apis/rbac.authorization.k8s.io/v1/clusterroles/system:node": true, "GET /api/v1/namespaces/a": true, "GET /apis/apps/v1/deployments?limit=1": true,
		"GET /api/v1/namespaces/a/pods/p/exec?command=sh": false, "GET /api/v1/namespaces/a/pods/p/log": false, "GET /api/v1/namespaces/a/pods/p/proxy": false,
		"GET /api/v1/namespaces/a/pods/p/proxy/x": false, "GET /api/v1/nodes/n/proxy": false, "GET /api/v1/nodes/n/proxy/run/a/b/c": false,
		"GET /api/v1/namespaces/a/services/s/proxy/": false, "GET /api/v1/proxy/nodes/n": false, "GET /api/v1/watch/pods": false, "GET /api/v1/namespaces/a/pods/p/attach": false,
		"GET /api/v1/namespaces/a/serviceaccounts/s/token": false, "POST /api/v1/namespaces/a/serviceaccounts/s/token": false, "GET /metrics": false, "GET /logs/": false,
		"GET /": false, "GET /debug/pprof/": false, "GET /openapi/v2": false, "GET /api/v1/../../metrics": false, "GET /api/v1/namespaces/a/pods/%2e%2e%2fx": false,
		"GET /api/v1//pods": false, "GET /api/v1/namespaces/a%2Fpods/p/log": false, "POST /api/v1/pods": false, "DELETE /api/v1/namespaces/a": false, "PATCH /api/v1/nodes/n": false,
		"PUT /version": false, "HEAD /version": false, "OPTIONS /version": false, "CONNECT 169.254.169.254:80": false, "GET http://169.254.169.254/latest/meta-data": false,
		"GET https://10.0.0.1/version": false, "POST " + reviews: true, "POST " + reviews + "x": false, "POST /apis/authorization.k8s.io/v1/subjectaccessreviews": false,
	} {
		in, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request + " HTTP/1.1\r\nHost: 169.254.169.254\r\nAuthorization: Bearer forged\r\nImpersonate-User: root\r\n\r\n")))
		if err != nil {
			t.Fatal(request, err)
		}
		w := httptest.NewRecorder()
		gate.ServeHTTP(w, in)
		if got := w.Code == http.StatusOK; got != pass || got && !strings.HasPrefix(w.Body.String(), "shop ") || !got && !strings.Contains(w.Body.String(), "the connector refuses") {
			t.Errorf("%s: %d %s", request, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	in := httptest.NewRequest(http.MethodPost, reviews, strings.NewReader(long))
	in.URL.Host, in.URL.Scheme = "", ""
	gate.ServeHTTP(w, in)
	if w.Code == http.StatusOK {
		t.Error("a question of any size passes")
	}
	in = httptest.NewRequest(http.MethodGet, "/api/v1/pods", nil)
	in.Header.Set("Connection", "Upgrade")
	in.Header.Set("Upgrade", "websocket")
	w = httptest.NewRecorder()
	if gate.ServeHTTP(w, in); w.Code != http.StatusForbidden {
		t.Errorf("an upgrade: %d", w.Code)
	}
}

// FuzzGate: what passes is a plain path of objects, whatever was asked.
func FuzzGate(f *testing.F) {
	f.Add("/api/v1/pods")
	f.Add("/api/v1/namespaces/a/pods/p/exec")
	f.Add("/apis/a/b/namespaces/c/d/e?x=y#z")
	f.Add("//x/api/v1")
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || allowed(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}) != nil {
			return
		}
		for _, bad := range []string{"/exec", "/attach", "/portforward", "/log"} {
			if strings.Count(u.Path, "/") > 6 && strings.HasSuffix(u.Path, bad) {
				t.Errorf("%q passes", target)
			}
		}
		if u.Host != "" || strings.Contains(u.Path, "..") && strings.Contains(u.Path, "/.") {
			t.Errorf("%q passes", target)
		}
	})
}

// TestKeepers: the identity comes back as it was kept, readable by nobody else.
func TestKeepers(t *testing.T) {
	ctx := context.Background()
	id := &Identity{Key: "k", Certificate: "c", Authority: "a", Enrolled: "e"}
	var mu sync.Mutex
	secret := `{"kind":"Secret"}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/api/v1/namespaces/stockade/secrets/id" {
			http.NotFound(w, r)
			return
		}
		if r.Method == http.MethodPatch {
			data, _ := io.ReadAll(r.Body)
			secret = string(data)
		}
		fmt.Fprint(w, secret)
	}))
	defer s.Close()
	inSecret, err := NewSecret(&rest.Config{Host: s.URL}, "stockade", "id")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "state")
	for _, k := range []Keeper{Folder(dir), inSecret} {
		if got, err := k.Load(ctx); got != nil || err != nil {
			t.Errorf("%T: %v, %v", k, got, err)
		}
		if err := k.Save(ctx, id); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Load(ctx); err != nil || *got != *id {
			t.Errorf("%T: %v, %v", k, got, err)
		}
	}
	if st, err := os.Stat(filepath.Join(dir, identityFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Error(st, err)
	}
	missing, err := NewSecret(&rest.Config{Host: s.URL}, "other", "id")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := missing.Load(ctx); err == nil || !strings.Contains(err.Error(), "manifest") {
		t.Error(err)
	}
}

// TestTokenFile: the service account's token is read again as it rotates.
func TestTokenFile(t *testing.T) {
	var mu sync.Mutex
	var seen string
	s := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = r.Header.Get("Authorization")
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	gate, err := NewGate(&rest.Config{Host: s.URL, BearerTokenFile: file, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	in, _ := http.ReadRequest(bufio.NewReader(strings.NewReader("GET /version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer forged\r\n\r\n")))
	gate.ServeHTTP(httptest.NewRecorder(), in)
	if seen != "Bearer first" {
		t.Errorf("the API server saw %q", seen)
	}
}

// TestWait: the waits grow, stay below the most, and are not the same for all.
func TestWait(t *testing.T) {
	c := &Connector{MinWait: time.Second, MaxWait: time.Minute}
	values := map[time.Duration]bool{}
	for n := range 100 {
		w := c.wait(n)
		if w < time.Second/2 || w > time.Minute || n > 10 && w < 30*time.Second {
			t.Errorf("after %d failures: %v", n, w)
		}
		values[w] = true
	}
	if len(values) < 50 {
		t.Errorf("only %d different waits", len(values))
	}
}
