package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/protect"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// room is what providers speak to, in a test.
type room struct {
	mu         sync.Mutex
	generation string
	took       int
	broken     error
	asked      []int64
}

func (r *room) Bundle(_ context.Context, target int64) (*policy.Bundle, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, target)
	return &policy.Bundle{Target: target, Generation: r.generation}, r.broken
}

func (r *room) Beat(_ context.Context, _ int64, b protocol.Beat) (*protocol.BeatAnswer, error) {
	if b.Replica == "" {
		return nil, protect.ErrInvalid
	}
	return &protocol.BeatAnswer{Bundle: "one"}, nil
}

func (r *room) Images(_ context.Context, _ int64, q protocol.ImagesRequest) (*protocol.ImagesAnswer, error) {
	return &protocol.ImagesAnswer{Verdicts: make([]policy.ImageVerdict, len(q.Images))}, nil
}

func (r *room) Changes(context.Context, int64, int64) (*protocol.Changes, error) { return nil, nil }

// log is where admissions go, in a test.
type logbook struct{ *room }

func (l logbook) Take(_ context.Context, _ int64, b protocol.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took += len(b.Admissions)
	return l.broken
}

func (l logbook) Beat(context.Context, int64) error { return nil }

type gate struct {
	t         *testing.T
	authority *enrol.Authority
	db        *store.DB
	room      *room
	hub       *live.Hub
	url       string
	asked     int // certificates that browsers were asked for
}

func newGate(t *testing.T) *gate {
	t.Helper()
	ctx := context.Background()
	g := &gate{t: t, db: storetest.Open(t, "sqlite"), room: &room{generation: "one"}}
	keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	if g.authority, err = enrol.Open(ctx, g.db, keys, nil); err != nil {
		t.Fatal(err)
	}
	g.hub = live.New(g.db, nil)
	err = g.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO targets (id, kind, name, created_at) VALUES (7, 'cluster', 'shop', 1)").Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &doors{authority: g.authority, protect: g.room, verdict: g.room, admission: logbook{g.room}, hub: g.hub, stop: make(chan struct{}), now: time.Now, wait: 300 * time.Millisecond}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.handler().ServeHTTP(w, r.WithContext(api.WithRequest(r.Context(), &api.Request{ID: "12345678"})))
	}))
	own, err := g.authority.Own(enrol.Holder{Kind: enrol.Server, Name: "server"}, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{*own}}
	letProviders(srv.TLS, g.authority, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own, nil }, time.Now)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	g.url = srv.URL
	return g
}

// provider is a client with the certificate of cluster 7; nil certs shows none, and no mark says nothing of being a provider.
func (g *gate) provider(mark bool, cert *tls.Certificate) *http.Client {
	c := &tls.Config{RootCAs: g.authority.Roots(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		g.asked++
		if cert == nil {
			return &tls.Certificate{}, nil
		}
		return cert, nil
	}}
	if mark {
		c.NextProtos = []string{protocol.Mark, "http/1.1"}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c}, Timeout: 20 * time.Second}
}

func (g *gate) issue() *tls.Certificate {
	g.t.Helper()
	var cert *tls.Certificate
	err := g.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) (err error) {
		cert, err = g.authority.IssueProvider(ctx, tx, 7)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return cert
}

func (g *gate) send(c *http.Client, method, path, body string) (int, string) {
	g.t.Helper()
	req, err := http.NewRequest(method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data)
}

// TestProviderDoors: only providers of protected clusters are let in, browsers are asked for nothing, and what is malformed or too
// much is refused.
func TestProviderDoors(t *testing.T) {
	g := newGate(t)
	if code, text := g.send(g.provider(false, nil), "GET", protocol.BundlePath, ""); code != http.StatusUnauthorized || g.asked != 0 {
		t.Errorf("a browser: %d %s, asked %d times for a certificate", code, text, g.asked)
	}
	if code, _ := g.send(g.provider(true, nil), "GET", protocol.BundlePath, ""); code != 0 {
		t.Errorf("a provider without certificate: %d", code)
	}
	replica, err := g.authority.Own(enrol.Holder{Kind: enrol.Replica, Name: "7"})
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := g.send(g.provider(true, replica), "GET", protocol.BundlePath, ""); code != http.StatusUnauthorized {
		t.Errorf("the certificate of somebody else of this authority: %d", code)
	}
	c := g.provider(true, g.issue())
	code, text := g.send(c, "GET", protocol.BundlePath+"?have=none", "")
	var b policy.Bundle
	if err := json.Unmarshal([]byte(text), &b); code != http.StatusOK || err != nil || b.Target != 7 {
		t.Fatalf("%d %s %v", code, text, err)
	}
	images := func(n int) string {
		return `{"images":[` + strings.TrimSuffix(strings.Repeat(`{"reference":"a"},`, n), ",") + `]}`
	}
	for _, x := range []struct {
		what, method, path, body string
		want                     int
	}{
		{"a question", "POST", protocol.ImagesPath, images(2), 200}, {"1,000 images in one request", "POST", protocol.ImagesPath, images(1000), 200},
		{"more than 1,000 images in one request", "POST", protocol.ImagesPath, images(1001), 422}, {"a malformed question", "POST", protocol.ImagesPath, `{"images":`, 400},
		{"a question of another form", "POST", protocol.ImagesPath, `[]`, 400}, {"too large a question", "POST", protocol.ImagesPath, `{"images":[{"reference":"` + strings.Repeat("x", maxQuestion) + `"}]}`, 413},
		{"no changes", "GET", protocol.ChangesPath + "?after=0", "", 204}, {"changes after nothing", "GET", protocol.ChangesPath, "", 400}, {"changes after less than nothing", "GET", protocol.ChangesPath + "?after=-1", "", 400},
		{"a batch", "POST", protocol.AdmissionsPath, `{"id":"1","admissions":[{},{}]}`, 204}, {"too large a batch", "POST", protocol.AdmissionsPath, `{"id":"` + strings.Repeat("x", protocol.MaxBatch) + `"}`, 413},
		{"a beat", "POST", protocol.BeatPath, `{"replica":"a"}`, 200}, {"a beat of nobody", "POST", protocol.BeatPath, `{}`, 422}, {"a bundle that is written", "POST", protocol.BundlePath, "", 404},
		{"somewhere else", "GET", "/provider/v1/secrets", "", 404},
	} {
		if code, text := g.send(c, x.method, x.path, x.body); code != x.want {
			t.Errorf("%s: %d, want %d: %.200s", x.what, code, x.want, text)
		}
	}
	if g.room.took != 2 {
		t.Errorf("%d admissions", g.room.took)
	}
	g.room.broken = errors.New("password of the database: hunter2")
	if code, text := g.send(c, "GET", protocol.BundlePath+"?have=none", ""); code != http.StatusServiceUnavailable || strings.Contains(text, "hunter2") {
		t.Errorf("a fault of the server's own: %d %s", code, text)
	}
	g.room.broken = nil
	err = g.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error { return g.authority.RevokeProvider(ctx, tx, 7, "test") })
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		code, text := g.send(c, "GET", protocol.BundlePath+"?have=none", "")
		if code == http.StatusForbidden && strings.Contains(text, "revoked") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a revoked certificate: %d %s", code, text)
		}
	}
}

// TestProviderWaits: a provider that has the bundle waits for another, and hears of it at once.
func TestProviderWaits(t *testing.T) {
	g := newGate(t)
	c := g.provider(true, g.issue())
	if code, _ := g.send(c, "GET", protocol.BundlePath+"?have=one", ""); code != http.StatusNoContent {
		t.Errorf("nothing new: %d", code)
	}
	done := make(chan string, 1)
	go func() {
		for range 100 { // each waits a third of a second
			if code, text := g.send(c, "GET", protocol.BundlePath+"?have=one", ""); code == http.StatusOK {
				done <- text
				return
			}
		}
		done <- ""
	}()
	g.room.mu.Lock()
	g.room.generation = "two"
	g.room.mu.Unlock()
	g.hub.Publish(context.Background(), live.Event{Topic: protect.Policies, Target: 7})
	if text := <-done; !strings.Contains(text, `"two"`) {
		t.Errorf("%q", text)
	}
}
