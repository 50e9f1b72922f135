package provider

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"

	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/rule"
)

// clock is set by tests.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().UTC().Truncate(time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// authority signs certificates for tests.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-10 * 365 * 24 * time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// sign makes a certificate for both ends of connections.
func (a *authority) sign(from, to time.Time) (cert, key []byte) {
	a.t.Helper()
	a.n++
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(a.n + 1), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, k.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

func (a *authority) pair() tls.Certificate {
	cert, key := a.sign(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

// fakeServer is the server's side of the protocol.
type fakeServer struct {
	*httptest.Server
	ca *authority

	mu       sync.Mutex
	bundle   *policy.Bundle
	verdicts map[string]policy.ImageVerdict // by reference; others are unknown
	asked    [][]protocol.Image
	changes  []protocol.Changes
	serial   int64
	taken    map[string]protocol.Batch
	sent     []string      // ids of batches, as often as they came
	cutNext  bool          // take the next batch, and hang up before the answer
	refuse   int           // status for batches
	delay    chan struct{} // images are answered when it is closed
	down     bool          // every request fails
	news     chan struct{} // closed when something is new
	beats    []protocol.Beat
	gone     bool
}

func newFakeServer(t testing.TB) *fakeServer {
	t.Helper()
	s := &fakeServer{ca: newAuthority(t, "server"), verdicts: map[string]policy.ImageVerdict{}, taken: map[string]protocol.Batch{}, serial: 100, news: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(s.handler())
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{s.ca.pair()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: s.ca.pool(), NextProtos: []string{"http/1.1"},
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if !slices.Contains(h.SupportedProtos, protocol.Mark) {
				return nil, errors.New("no mark")
			}
			return nil, nil
		}}
	s.Config.ErrorLog = quietTestLog()
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// tell ends long polls.
func (s *fakeServer) tell(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.news)
	s.news = make(chan struct{})
}

func (s *fakeServer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+protocol.BundlePath, func(w http.ResponseWriter, r *http.Request) {
		s.await(w, r, func() any {
			if s.bundle != nil && s.bundle.Generation != r.FormValue("have") {
				return s.bundle
			}
			return nil
		})
	})
	mux.HandleFunc("GET "+protocol.ChangesPath, func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.ParseInt(r.FormValue("after"), 10, 64)
		s.await(w, r, func() any {
			for _, c := range s.changes {
				if c.Serial > after {
					return c
				}
			}
			return nil
		})
	})
	mux.HandleFunc("POST "+protocol.ImagesPath, s.images)
	mux.HandleFunc("POST "+protocol.AdmissionsPath, s.admissions)
	mux.HandleFunc("POST "+protocol.BeatPath, func(w http.ResponseWriter, r *http.Request) {
		var b protocol.Beat
		_ = json.NewDecoder(r.Body).Decode(&b)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.beats = append(s.beats, b)
		a := protocol.BeatAnswer{Serial: s.serial, Gone: s.gone}
		if s.bundle != nil {
			a.Bundle = s.bundle.Generation
		}
		_ = json.NewEncoder(w).Encode(a)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		down := s.down
		s.mu.Unlock()
		if down {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *fakeServer) await(w http.ResponseWriter, r *http.Request, find func() any) {
	limit := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		found, news := find(), s.news
		s.mu.Unlock()
		if found != nil {
			_ = json.NewEncoder(w).Encode(found)
			return
		}
		select {
		case <-news:
		case <-r.Context().Done():
			return
		case <-limit:
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
}

func (s *fakeServer) images(w http.ResponseWriter, r *http.Request) {
	var q protocol.ImagesRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || len(q.Images) > protocol.MaxImages {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, q.Images)
	delay := s.delay
	s.mu.Unlock()
	if delay != nil {
		select {
		case <-delay:
		case <-r.Context().Done():
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := protocol.ImagesAnswer{Serial: s.serial}
	for _, i := range q.Images {
		v, ok := s.verdicts[i.Reference]
		if !ok {
			v = policy.ImageVerdict{State: policy.Scanning}
		}
		v.Reference = i.Reference
		a.Verdicts = append(a.Verdicts, v)
	}
	_ = json.NewEncoder(w).Encode(a)
}

func (s *fakeServer) admissions(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var b protocol.Batch
	if err != nil || len(text) > protocol.MaxBatch || json.Unmarshal(text, &b) != nil {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	if s.refuse != 0 {
		defer s.mu.Unlock()
		http.Error(w, "no", s.refuse)
		return
	}
	s.sent = append(s.sent, b.ID)
	if _, again := s.taken[b.ID]; !again {
		s.taken[b.ID] = b
	}
	hang := s.cutNext
	s.cutNext = false
	s.mu.Unlock()
	if hang {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusNoContent)
}

// admitted is everything that was taken, and how much was said to be lost.
func (s *fakeServer) admitted() (all []protocol.Admission, lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.taken {
		all = append(all, b.Admissions...)
		lost += b.Lost
	}
	return all, lost
}

func (s *fakeServer) questions() (calls, images int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.asked {
		images += len(q)
	}
	return len(s.asked), images
}

// world is a provider with its surroundings.
type world struct {
	t      testing.TB
	clock  *clock
	server *fakeServer
	gk     *authority // Gatekeeper's
	doors  *authority
	dir    string
	o      Options
	p      *Provider
	pair   map[*authority]tls.Certificate // of Gatekeeper
}

// policies of most tests: 1 blocks vulnerabilities, 2 images without a result, 3 warns of tags and foreign registries, 5 blocks without an answer.
func testBundle() *policy.Bundle {
	return &policy.Bundle{Generation: "g1", Target: 7, Cluster: "test", Lang: "en", Console: "https://stockade.example.com", System: policy.SystemNamespaces, Policies: []policy.Policy{
		{ID: 1, Version: 1, Name: "no vulnerable images", Action: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Vulnerabilities, Severity: finding.High}}},
		{ID: 2, Version: 1, Name: "known images only", Action: policy.Block, Unanswered: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Unscanned, MaxAge: 7}}},
		{ID: 3, Version: 1, Name: "names", Action: policy.Warn, Checks: []policy.ImageCheck{{Check: policy.Tag}, {Check: policy.Registry, Allow: []string{"registry.example.com/*"}}}},
		{ID: 5, Version: 1, Name: "answered images only", Action: policy.Block, Unanswered: policy.Block, Checks: []policy.ImageCheck{{Check: policy.Malware}}},
	}}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, clock: newClock(), server: newFakeServer(t), gk: newAuthority(t, "gatekeeper-ca"), doors: newAuthority(t, "doors"), dir: t.TempDir(), pair: map[*authority]tls.Certificate{}}
	w.server.bundle = testBundle()
	cert, key := w.doors.sign(w.clock.Now().Add(-time.Hour), w.clock.Now().Add(24*time.Hour))
	w.write("tls/tls.crt", cert)
	w.write("tls/tls.key", key)
	w.write("tls/client-ca.crt", w.gk.pem())
	w.linked(time.Now().Add(time.Hour))
	w.write("link/ca.crt", w.server.ca.pem())
	w.write("link/server", []byte(w.server.URL))
	w.write("link/target", []byte("7\n"))
	w.o = Options{TLS: filepath.Join(w.dir, "tls"), Link: filepath.Join(w.dir, "link"), Data: filepath.Join(w.dir, "data"), Deadline: 5 * time.Second, Replica: "stockade-provider-0", Version: "test",
		Now: w.clock.Now, Judge: func(ctx context.Context, b *policy.Bundle, i policy.Images) (Judge, []policy.Undecided, error) {
			return policy.NewJudge(ctx, &rule.Library{}, b, i)
		}}
	return w
}

func (w *world) linked(until time.Time) {
	cert, key := w.server.ca.sign(time.Now().Add(-24*time.Hour), until)
	w.write("link/tls.crt", cert)
	w.write("link/tls.key", key)
}

func (w *world) write(name string, data []byte) {
	w.t.Helper()
	name = filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// start makes the provider. Nothing runs by itself yet.
func (w *world) start() *Provider {
	w.t.Helper()
	p, err := New(w.t.Context(), w.o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.p = p
	return p
}

// pull gets the bundle as the loop does.
func (w *world) pull() {
	w.t.Helper()
	have := ""
	if f := w.p.force.Load(); f != nil {
		have = f.bundle.Generation
	}
	b, err := w.p.link.Bundle(w.t.Context(), have)
	if err != nil || b == nil {
		w.t.Fatalf("bundle: %v, %v", b, err)
	}
	if err := w.p.enforce(w.t.Context(), b, nil); err != nil {
		w.t.Fatal(err)
	}
}

func key(id int64, a policy.Action, image string) string {
	return policy.ImageKey{Generation: "g1", Policy: id, Action: a, Namespace: "shop", Image: image}.String()
}

// ask asks as Gatekeeper does, past the certificates.
func (w *world) ask(keys ...string) []item {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), w.p.o.Deadline)
	defer cancel()
	items := w.p.answer(ctx, keys)
	if len(items) != len(keys) {
		w.t.Fatalf("%d answers to %d keys", len(items), len(keys))
	}
	return items
}

func messages(t testing.TB, i item) []string {
	t.Helper()
	if i.err != "" {
		t.Fatalf("%s: %s", i.key, i.err)
	}
	var a policy.KeyAnswer
	if err := json.Unmarshal(i.value, &a); err != nil {
		t.Fatalf("%s: %v", i.value, err)
	}
	return a.Messages
}

// good and bad are verdicts on images.
func (w *world) good(reference string) policy.ImageVerdict {
	return policy.ImageVerdict{Reference: reference, Digest: digestOf(reference), Resolved: w.clock.Now(), State: policy.Known, Scanned: w.clock.Now().Add(-time.Hour), Matched: w.clock.Now().Add(-time.Hour), Serial: 1}
}

func (w *world) bad(reference string) policy.ImageVerdict {
	v := w.good(reference)
	v.Failed = []policy.Failure{{Policy: 1, Check: 0, Kind: policy.Vulnerabilities, Count: 2, Worst: "critical", Items: []string{"CVE-2021-44228 log4j-core 2.14.1 (fixed in 2.15.0)", "CVE-2021-45046 log4j-core 2.14.1 (fixed in 2.16.0)"},
		Message: finding.Text{EN: "2 vulnerabilities of severity high or above, needed: none", ZH: "存在 2 个高危及以上漏洞"}, Fix: finding.Text{EN: "Update log4j-core to 2.17.1.", ZH: "将 log4j-core 升级到 2.17.1。"}}}
	return v
}

func digestOf(reference string) string {
	ref, err := policy.ParseReference(reference)
	if err == nil && ref.Digest != "" {
		return ref.Digest
	}
	return fmt.Sprintf("sha256:%064x", []byte(reference)[:min(len(reference), 16)])
}

// knows lets the server know images.
func (w *world) knows(list ...policy.ImageVerdict) {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	for _, v := range list {
		w.server.verdicts[v.Reference] = v
	}
}

// away takes the server down, or up again.
func (w *world) away(down bool) {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	w.server.down = down
}

// question posts a ProviderRequest to a handler with Gatekeeper's certificate.
func (w *world) question(path string, keys []string) *externaldata.ProviderResponse {
	w.t.Helper()
	body, err := json.Marshal(externaldata.NewProviderRequest(keys))
	if err != nil {
		w.t.Fatal(err)
	}
	code, out := w.post(path, body, true)
	if code != http.StatusOK {
		w.t.Fatalf("%s: %d %+v", path, code, out)
	}
	return out
}

func (w *world) post(path string, body []byte, certificate bool) (int, *externaldata.ProviderResponse) {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.TLS = &tls.ConnectionState{}
	if certificate {
		pair := w.gkPair()
		r.TLS.PeerCertificates = []*x509.Certificate{pair.Leaf}
	}
	rec := httptest.NewRecorder()
	w.p.Doors().ServeHTTP(rec, r)
	var out externaldata.ProviderResponse
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil && strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") {
		w.t.Errorf("%s: %v: %s", path, err, rec.Body)
	}
	return rec.Code, &out
}

func (w *world) gkPair() tls.Certificate {
	if pair, ok := w.pair[w.gk]; ok {
		return pair
	}
	cert, key := w.gk.sign(w.clock.Now().Add(-time.Hour), w.clock.Now().Add(time.Hour))
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		w.t.Fatal(err)
	}
	w.pair[w.gk] = pair
	return pair
}

// eventually waits for what other goroutines do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

// panicking fails on an image, and on objects that are named so.
type panicking struct{ inner Judge }

func (p panicking) Image(ctx context.Context, k policy.ImageKey, at time.Time) ([]policy.Violation, []policy.Undecided) {
	if strings.HasPrefix(k.Image, "panic") {
		panic("a bug")
	}
	return p.inner.Image(ctx, k, at)
}

func (p panicking) Judge(ctx context.Context, r *policy.Request) policy.Outcome {
	if strings.HasPrefix(r.Object.Name, "panic") {
		panic("a bug")
	}
	return p.inner.Judge(ctx, r)
}

func newTestDecoder() *decode.Decoder { return decode.NewDecoder() }
