package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// hurry makes tests of silence short.
var hurry = Timing{KeepAlive: 50 * time.Millisecond, Answer: 20 * time.Second, Beat: 50 * time.Millisecond}

// bench is a server with its tunnels, and clusters to be connected.
type bench struct {
	t         *testing.T
	db        *store.DB
	authority *enrol.Authority
	clock     *clock
	timing    Timing
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newBench(t *testing.T, db *store.DB) *bench {
	t.Helper()
	keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, db: db, clock: &clock{now: time.Now()}, timing: hurry}
	if b.authority, err = enrol.Open(context.Background(), db, keys, b.clock.Now); err != nil {
		t.Fatal(err)
	}
	return b
}

// replica is one process of the server.
type replica struct {
	*Server
	address string
	http    *http.Server
}

// replica starts one. Its HTTPS certificate is somebody else's, as behind a company's own authority.
func (b *bench) replica(name string) *replica {
	b.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	r := &replica{address: listener.Addr().String()}
	r.Server = NewServer(Options{DB: b.db, Authority: b.authority, Replica: name, Address: r.address, Now: b.clock.Now, Timing: b.timing})
	company := httptest.NewUnstartedServer(nil)
	company.StartTLS()
	certs := company.TLS.Certificates
	company.Close()
	r.http = &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		fmt.Fprint(w, "console ", q.Proto, " ", len(q.TLS.PeerCertificates))
	})}
	r.Attach(r.http, &tls.Config{Certificates: certs})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = r.http.ServeTLS(listener, "", "") }()
	go func() { _ = r.Run(ctx); close(done) }()
	b.t.Cleanup(func() {
		cancel()
		<-done
		_ = r.http.Close()
	})
	return r
}

func (b *bench) target(name string) (id int64) {
	b.t.Helper()
	err := b.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		target, err := ledger.AddTarget(ctx, tx, "cluster", name, b.clock.Now())
		id = target.ID
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) token(target int64) (token string) {
	b.t.Helper()
	err := b.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) (err error) {
		token, _, err = b.authority.NewToken(ctx, tx, target, 0)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

// memory keeps an identity.
type memory struct {
	mu    sync.Mutex
	id    *Identity
	saves int
}

func (m *memory) Load(context.Context) (*Identity, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.id == nil {
		return nil, nil
	}
	id := *m.id
	return &id, nil
}

func (m *memory) Save(_ context.Context, id *Identity) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.id = id
	m.saves++
	return nil
}

// kube is a cluster's API server and the gate to it.
func kube(t *testing.T, name string) http.Handler {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer inside" || r.Header.Get("Impersonate-User")+r.Header.Get("X-Remote-User")+r.Header.Get("Cookie") != "" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		switch {
		case r.URL.Query().Get("watch") != "":
			for i := range 3 {
				fmt.Fprintln(w, name, i)
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		default:
			fmt.Fprint(w, name, " ", r.Method, " ", r.URL.RequestURI())
		}
	}))
	t.Cleanup(s.Close)
	gate, err := NewGate(&rest.Config{Host: s.URL, BearerToken: "inside", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return gate
}

// connector runs one until the test ends; stop ends it before.
func (b *bench) connector(server, name string, change func(*Connector)) (c *Connector, stop func()) {
	b.t.Helper()
	c = &Connector{Server: server, Pin: b.authority.Pin(), Version: "v1", Keeper: &memory{}, API: kube(b.t, name), Timing: b.timing, Now: b.clock.Now,
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }, MinWait: 10 * time.Millisecond, MaxWait: 50 * time.Millisecond, Drain: time.Second}
	if change != nil {
		change(c)
	}
	c = c.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(stop)
	return c, stop
}

// ask sends a request through a dialer.
func ask(d Dialer, target int64, method, path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.Dial(ctx, target) }}}
	req, err := http.NewRequestWithContext(ctx, method, "http://connector"+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer forged")
	req.Header.Set("Impersonate-User", "system:admin")
	req.Header.Set("X-Remote-User", "system:admin")
	req.Header.Set("Cookie", "a=b")
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return string(data), err
}

// until waits for a condition that must come.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("%s: not so after two minutes", what)
}

func answers(t *testing.T, d Dialer, target int64, want string) {
	t.Helper()
	until(t, "an answer of "+want, func() bool {
		got, err := ask(d, target, http.MethodGet, "/version")
		return err == nil && got == want+" GET /version"
	})
}

func silent(t *testing.T, d Dialer, target int64) {
	t.Helper()
	until(t, "no tunnel", func() bool {
		_, err := ask(d, target, http.MethodGet, "/version")
		return errors.Is(err, ErrNoConnector)
	})
}

func TestTunnel(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		one, two := b.replica("one"), b.replica("two")
		shop, bank := b.target("shop"), b.target("bank")
		silent(t, one, shop)
		b.connector(one.address, "shop", func(c *Connector) { c.Token = b.token(shop) })
		b.connector(two.address, "bank", func(c *Connector) { c.Token = b.token(bank) })
		for _, r := range []*replica{one, two} { // each reaches both, one of them through the other
			answers(t, r, shop, "shop")
			answers(t, r, bank, "bank")
		}
		rows, err := one.Rows(context.Background(), bank)
		if err != nil || len(rows) != 1 || rows[0].Replica != "two" || rows[0].Version != "v1" {
			t.Errorf("%+v, %v", rows, err)
		}
		watch(t, two, shop)
		large(t, two, shop)

		one.Cut(context.Background(), bank) // at the other replica
		answers(t, one, bank, "bank")       // it comes again: nothing was revoked
	})
}

// watch sees events as they come.
func watch(t *testing.T, d Dialer, target int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := d.Dial(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprint(conn, "GET /api/v1/pods?watch=true HTTP/1.1\r\nHost: x\r\n\r\n")
	var got strings.Builder
	buf := make([]byte, 1024)
	for !strings.Contains(got.String(), "shop 2") {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
		got.Write(buf[:n])
	}
}

// large asks with a header above the window of a stream's first bytes, many at a time.
func large(t *testing.T, d Dialer, target int64) {
	t.Helper()
	var wait sync.WaitGroup
	var bad atomic.Int64
	for range 50 {
		wait.Go(func() {
			path := "/api/v1/pods?labelSelector=" + strings.Repeat("x", 20<<10)
			if got, err := ask(d, target, http.MethodGet, path); err != nil || got != "shop GET "+path {
				bad.Add(1)
			}
		})
	}
	wait.Wait()
	if bad.Load() != 0 {
		t.Errorf("%d of 50 requests at once failed", bad.Load())
	}
}

// TestBrowsers: who speaks HTTP sees the console as before, in HTTP/2, and is not asked for a certificate.
func TestBrowsers(t *testing.T) {
	b := newBench(t, storetest.Open(t, "sqlite"))
	r := b.replica("one")
	for _, http2 := range []bool{true, false} {
		asked := false
		client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{InsecureSkipVerify: true,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = true
				return &tls.Certificate{}, nil
			}}}}
		resp, err := client.Get("https://" + r.address)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if want := map[bool]string{true: "console HTTP/2.0 0", false: "console HTTP/1.1 0"}[http2]; string(data) != want || asked {
			t.Errorf("%q, asked for a certificate: %v", data, asked)
		}
	}
}

// TestRevoked: a revoked certificate's tunnel is cut at once at every replica, and does not come back.
func TestRevoked(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		one, two := b.replica("one"), b.replica("two")
		shop := b.target("shop")
		c, stop := b.connector(two.address, "shop", func(c *Connector) { c.Token = b.token(shop) })
		answers(t, one, shop, "shop")
		if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error { return b.authority.Revoke(ctx, tx, shop, "stolen") }); err != nil {
			t.Fatal(err)
		}
		one.Cut(ctx, shop)
		if two.Connected(shop) {
			until(t, "the session is dropped", func() bool { return !two.Connected(shop) })
		}
		_, err := c.once(ctx)
		var no *RefusedError
		if !errors.As(err, &no) || !strings.Contains(no.Reason, "revoked") {
			t.Errorf("the connector is told %v", err)
		}
		silent(t, one, shop)
		stop()
		// With a new token it enrols again.
		b.connector(one.address, "shop", func(n *Connector) { n.Token, n.Keeper = b.token(shop), c.Keeper })
		answers(t, two, shop, "shop")
		// Without anybody cutting, the beat notices.
		if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error { return b.authority.Revoke(ctx, tx, shop, "stolen") }); err != nil {
			t.Fatal(err)
		}
		silent(t, two, shop)
	})
}

// TestStrangers: nobody gets in with a certificate of another kind, of another authority, or with none.
func TestStrangers(t *testing.T) {
	b := newBench(t, storetest.Open(t, "sqlite"))
	r := b.replica("one")
	shop := b.target("shop")
	foreign := newBench(t, storetest.Open(t, "sqlite"))
	cert := func(a *enrol.Authority, h enrol.Holder) *tls.Certificate {
		c, err := a.Own(h)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	name := fmt.Sprint(shop)
	for what, tt := range map[string]struct {
		proto string
		cert  *tls.Certificate
		say   string
		want  string // in the answer; "" is none at all
	}{
		"no certificate":                        {Protocol, nil, "v1\n", ""},
		"another authority":                     {Protocol, cert(foreign.authority, enrol.Holder{Kind: enrol.Connector, Name: name}), "v1\n", ""},
		"a replica as a connector":              {Protocol, cert(b.authority, enrol.Holder{Kind: enrol.Replica, Name: name}), "v1\n", ""},
		"signed but never given out":            {Protocol, cert(b.authority, enrol.Holder{Kind: enrol.Connector, Name: name}), "v1\n", "refused: the connector's certificate was revoked"},
		"a connector as a replica":              {PeerProtocol, cert(b.authority, enrol.Holder{Kind: enrol.Connector, Name: name}), "stream " + name + "\n", ""},
		"the server's certificate as replica":   {PeerProtocol, cert(b.authority, enrol.Holder{Kind: enrol.Server, Name: "server"}), "stream " + name + "\n", ""},
		"a replica that asks for what is not":   {PeerProtocol, cert(b.authority, enrol.Holder{Kind: enrol.Replica, Name: "x"}), "shell 1\n", ""},
		"a replica that asks for no tunnel":     {PeerProtocol, cert(b.authority, enrol.Holder{Kind: enrol.Replica, Name: "x"}), "stream 99\n", "refused: "},
		"a line without end":                    {EnrolProtocol, nil, strings.Repeat("x", 1<<20), ""},
		"an application that is none":           {EnrolProtocol, nil, "GET / HTTP/1.1\n", ""},
		"an application with a guessed token":   {EnrolProtocol, nil, `{"token":"sce_x","request":"AAAA"}` + "\n", "the enrolment token is not valid"},
		"an application without even a token":   {EnrolProtocol, nil, "{}\n", "the enrolment token is not valid"},
		"a connector's version without end":     {Protocol, cert(b.authority, enrol.Holder{Kind: enrol.Connector, Name: name}), strings.Repeat("x", 1<<20), ""},
		"a certificate for a cluster that is 0": {Protocol, cert(b.authority, enrol.Holder{Kind: enrol.Connector, Name: "0"}), "v1\n", "refused: "},
	} {
		cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{tt.proto}}
		if tt.cert != nil {
			cfg.Certificates = []tls.Certificate{*tt.cert}
		}
		conn, err := tls.Dial("tcp", r.address, cfg)
		got := ""
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(conn, tt.say)
			data, _ := io.ReadAll(conn)
			got = string(data)
			_ = conn.Close()
		}
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q", what, got)
		}
	}
	silent(t, r, shop)
}

// TestOtherCluster: a connector serves the cluster of its certificate and no other, whatever it says.
func TestOtherCluster(t *testing.T) {
	b := newBench(t, storetest.Open(t, "sqlite"))
	r := b.replica("one")
	shop, bank := b.target("shop"), b.target("bank")
	token := b.token(bank)
	b.connector(r.address, "bank", func(c *Connector) { c.Token = token })
	answers(t, r, bank, "bank")
	if _, err := ask(r, shop, http.MethodGet, "/version"); !errors.Is(err, ErrNoConnector) {
		t.Errorf("shop is served by bank's connector: %v", err)
	}
	c, _ := b.connector(r.address, "thief", func(c *Connector) { c.Token = token }) // used before
	if _, err := c.once(context.Background()); err == nil || !strings.Contains(err.Error(), "used before") {
		t.Errorf("a used token: %v", err)
	}
	answers(t, r, bank, "bank")
}

// TestPin: a connector gives its token to nobody but the server of the pin.
func TestPin(t *testing.T) {
	b, evil := newBench(t, storetest.Open(t, "sqlite")), newBench(t, storetest.Open(t, "sqlite"))
	shop := b.target("shop")
	r := evil.replica("evil")
	c, stop := b.connector(r.address, "shop", func(c *Connector) { c.Token = b.token(shop) })
	if _, err := c.once(context.Background()); err == nil || !strings.Contains(err.Error(), "--ca-pin") {
		t.Error(err)
	}
	stop()
	// Nor does one that has enrolled speak to another server.
	honest := b.replica("one")
	c, stop = b.connector(honest.address, "shop", func(c *Connector) { c.Token = b.token(shop) })
	answers(t, honest, shop, "shop")
	stop()
	c.Server = r.address
	if _, err := c.once(context.Background()); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Error(err)
	}
}
