package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockade.dev/stockade/internal/server"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// running is a server of a test.
type running struct {
	*server.Server
	base string
	http *http.Client
	log  *buffer
	end  func() error // stops it, once
}

// buffer is written by several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t *testing.T, o server.Options) *running {
	t.Helper()
	r := &running{log: &buffer{}}
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	o.Listen, o.Log = "127.0.0.1:0", server.NewLog(r.log, slog.LevelDebug)
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.Open(ctx, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	r.Server, r.base = s, s.URL()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CA())
	r.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	r.end = sync.OnceValue(func() error {
		cancel()
		r.http.CloseIdleConnections()
		return <-done
	})
	t.Cleanup(func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
	r.get(t, "/healthz")
	return r
}

func (r *running) get(t *testing.T, path string, header ...string) (*http.Response, string) {
	t.Helper()
	return r.send(t, http.MethodGet, path, "", header...)
}

func (r *running) send(t *testing.T, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(context.Background(), method, r.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	res, err := r.http.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// TestServer looks at what every server answers.
func TestServer(t *testing.T) {
	r := start(t, server.Options{MetricsToken: "m3trics-token", Version: "9.9"})
	res, _ := r.get(t, "/readyz")
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Strict-Transport-Security": "max-age=31536000"} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if res.StatusCode != 200 || res.ProtoMajor != 2 || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'self'") {
		t.Errorf("ready: %s %v", res.Proto, res.Header)
	}
	for sent, kept := range map[string]bool{"abc-1234_x.y": true, "short": false, "a b c d e f g h": false, "evil\"};x=1,2,3": false, strings.Repeat("a", 65): false} {
		res, _ := r.get(t, "/healthz", "X-Request-Id", sent)
		if got := res.Header.Get("X-Request-Id"); (got == sent) != kept || got == "" {
			t.Errorf("id %q became %q", sent, got)
		}
	}
	if res, body := r.get(t, "/api/v1/none"); res.StatusCode != 404 || !strings.Contains(body, "urn:stockade:request:"+res.Header.Get("X-Request-Id")) {
		t.Errorf("a problem names its request: %s", body)
	}
	if res, _ := r.get(t, "/metrics"); res.StatusCode != 401 {
		t.Errorf("metrics for everybody: %d", res.StatusCode)
	}
	if _, body := r.get(t, "/metrics", "Authorization", "Bearer m3trics-token"); !strings.Contains(body, "stockade_http_request_seconds_count") || !strings.Contains(body, `version="9.9"`) {
		t.Errorf("metrics: %.300s", body)
	}
	if _, body := r.get(t, "/", "Accept-Language", "zh"); !strings.Contains(body, "尚未创建管理员") {
		t.Errorf("the page: %s", body)
	}
	if _, body := r.get(t, "/"); !strings.Contains(body, "no administrator yet") {
		t.Errorf("the page: %s", body)
	}
	if res, _ := r.get(t, "/api/v1/openapi.json"); res.StatusCode != 200 {
		t.Errorf("the document: %d", res.StatusCode)
	}
	if res, _ := r.get(t, "/debug/pprof/"); res.StatusCode != 404 {
		t.Errorf("profiles on the main address: %d", res.StatusCode)
	}
	if !strings.Contains(r.SetupURL(), "/setup#token=") {
		t.Errorf("set-up link %q", r.SetupURL())
	}
}

// TestRefused: what must not be started is not, in words that say what to do.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	first := start(t, server.Options{Data: dir})
	_ = first
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	for want, o := range map[string]server.Options{
		"another stockade server": {Data: dir, Listen: "127.0.0.1:0"},
		"--plain-http is for":     {Listen: "0.0.0.0:0", PlainHTTP: true},
		"choose another address":  {Listen: busy.Addr().String()},
		"--tls-cert":              {Listen: "127.0.0.1:0", TLSCert: "/nothing", TLSKey: "/nothing"},
		"one process does":        {Listen: "127.0.0.1:0", Roles: []string{"api"}},
		"want api, worker":        {Listen: "127.0.0.1:0", Roles: []string{"apis"}},
		"want https://":           {Listen: "127.0.0.1:0", PublicURL: "stockade.example.com"},
	} {
		if o.Data == "" {
			o.Data = t.TempDir()
		}
		s, err := server.Open(context.Background(), o)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	s, err := server.Open(context.Background(), server.Options{Data: t.TempDir(), Listen: "127.0.0.1:0", DebugListen: "0.0.0.0:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(context.Background()); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("profiles for everybody: %v", err)
	}
	plain := start(t, server.Options{PlainHTTP: true})
	if res, _ := plain.get(t, "/healthz"); res.StatusCode != 200 || res.Header.Get("Strict-Transport-Security") != "" || plain.Pin() != "" {
		t.Errorf("plain HTTP on loopback: %d %v", res.StatusCode, res.Header)
	}
}

// TestRenewal: the own certificate is renewed before its end, without a restart, also when the clock jumps.
func TestRenewal(t *testing.T) {
	var offset atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	r := start(t, server.Options{Now: now, TLSNames: []string{"stockade.example.com"}})
	serial := func() string {
		t.Helper()
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(r.CA())
		conn, err := tls.Dial("tcp", strings.TrimPrefix(r.base, "https://"), &tls.Config{RootCAs: pool, ServerName: "stockade.example.com", MinVersion: tls.VersionTLS12, Time: now})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	offset.Store(int64(50 * 24 * time.Hour))
	if serial() != first {
		t.Error("renewed too early")
	}
	offset.Store(int64(65 * 24 * time.Hour))
	second := serial()
	if second == first {
		t.Error("not renewed before its end")
	}
	offset.Store(int64(400 * 24 * time.Hour))
	if serial() == second {
		t.Error("not renewed after a jump of the clock")
	}
	offset.Store(0)
	serial() // one that is valid now
	text, err := os.ReadFile(filepath.Join(r.Place().Data, "tls", "ca.crt"))
	if err != nil || !bytes.Equal(text, r.CA()) {
		t.Errorf("the CA's file: %v", err)
	}
}

// TestGraceful: a stopping server finishes what it does and leaves nothing behind.
func TestGraceful(t *testing.T) {
	r := start(t, server.Options{MetricsToken: "m"})
	body, in := io.Pipe()
	q, err := http.NewRequestWithContext(context.Background(), http.MethodPost, r.base+"/api/v1/setup", body)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	answered := make(chan error, 1)
	go func() {
		res, err := r.http.Do(q)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			err = errors.Join(err, res.Body.Close())
		}
		answered <- err
	}()
	if _, err := io.WriteString(in, `{"name":`); err != nil { // the request is on its way
		t.Fatal(err)
	}
	for text := ""; !strings.Contains(text, "stockade_http_in_flight 2"); { // it and the one that asks
		_, text = r.get(t, "/metrics", "Authorization", "Bearer m")
	}
	ended := make(chan error, 1)
	go func() { ended <- r.end() }()
	for !strings.Contains(r.log.String(), `"stopping"`) {
		time.Sleep(time.Millisecond)
	}
	if _, err := io.WriteString(in, `"x"}`); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if err := <-answered; err != nil {
		t.Errorf("the request was cut off: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	db, err := store.Open(context.Background(), store.Options{Dir: r.Place().Data})
	if err != nil {
		t.Fatalf("the folder is still in use: %v", err)
	}
	_ = db.Close()
}

// TestSecretsInLogs drives requests with secrets in every place and looks for them in the log.
func TestSecretsInLogs(t *testing.T) {
	r := start(t, server.Options{MetricsToken: "canary-metrics-token"})
	token := "stk_canaryCanaryCanaryCanaryCanaryCanary1"
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/api/v1/findings?token=canary-in-query-0", ""},
		{"GET", "/setup/canary-in-path-00000", ""},
		{"POST", "/api/v1/setup", `{"token":"canary-setup-token","name":"admin","password":"canary-password"}`},
		{"POST", "/api/v1/sessions", `{"name":"admin","password":"canary-password"}`},
		{"POST", "/api/v1/login", `{"name":"canary\nfake log line","password":7}`},
		{"GET", "/metrics", ""},
		{"GET", "/%0a%7b%22level%22:%22canary-line%22%7d", ""},
	} {
		r.send(t, c.method, c.path, c.body, "Authorization", "Bearer "+token, "Content-Type", "application/json")
		r.send(t, c.method, c.path, c.body, "Cookie", "__Host-stockade_session=canary-cookie-value", "Content-Type", "application/json",
			"User-Agent", "canary-agent", "Proxy-Authorization", "Basic canarycanary", "X-Request-Id", "canary id")
	}
	log := server.NewLog(r.log, slog.LevelDebug)
	log.Error("x", "err", errors.New("Get https://bob:canary-url-password@registry.example.com/: Bearer canary-bearer-token refused"))
	log.Error("x", "password", "canary-attribute", "header", "Authorization: Basic Y2FuYXJ5LWJhc2ljLWNhbmFyeQ==")
	log.Error("canary\nline", "name", "a\u202eb\u2028c\x1b[31m")
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	text := r.log.String()
	for _, secret := range []string{"canaryCanary", "canary-in", "canary-setup", "canary-password", "canary-cookie", "canary-metrics", "canary-url", "canary-bearer",
		"canary-attribute", "Y2FuYXJ5", "canarycanary", "canary id", "\u202e", "\x1b"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, `{"time":`) {
			t.Errorf("a line that is no entry: %q", line)
		}
	}
}

// TestSlowClients: who sends a head byte by byte is cut off, while others are answered.
func TestSlowClients(t *testing.T) {
	r := start(t, server.Options{PlainHTTP: true})
	var conns []net.Conn
	for range 50 {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if res, _ := r.get(t, "/healthz"); res.StatusCode != 200 {
		t.Errorf("others wait: %d", res.StatusCode)
	}
	for _, c := range conns[:3] { // net/http closes them after headTime
		if n, err := c.Read(make([]byte, 1)); err == nil && n > 0 {
			continue // 408 is an answer too
		} else if !errors.Is(err, io.EOF) {
			t.Errorf("a slow client: %v", err)
		}
	}
	large := "GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", 100<<10) + "\r\n\r\n"
	c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, large) // the server may close before it is all read
	answer := make([]byte, 20)
	if n, _ := io.ReadFull(c, answer); n > 0 && !strings.Contains(string(answer[:n]), "431") {
		t.Errorf("a large head: %q", answer[:n])
	}
}

// TestReplicas: two servers on one PostgreSQL share the CA and answer alike; a process that only works has no address.
func TestReplicas(t *testing.T) {
	o := server.Options{Data: t.TempDir(), Database: storetest.Postgres(t)}
	one, two := start(t, o), start(t, o)
	if one.Pin() == "" || one.Pin() != two.Pin() {
		t.Errorf("two CAs: %s and %s", one.Pin(), two.Pin())
	}
	for _, r := range []*running{one, two} {
		if res, body := r.get(t, "/readyz"); res.StatusCode != 200 {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	}
	o.Roles = []string{server.RoleWorker}
	worker, err := server.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Serve(ctx) }()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
