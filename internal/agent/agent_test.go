//go:build linux

package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/inventory"
)

// house is a server of the protocol with an authority of its own, for one node.
type house struct {
	t    *testing.T
	ca   *x509.Certificate
	key  crypto.Signer
	http *httptest.Server

	mu       sync.Mutex
	token    string
	life     time.Duration
	away     bool
	beats    []protocol.Beat
	reports  []protocol.Report
	answer   protocol.BeatAnswer
	refuse   int // status of the next report
	serials  map[string]bool
	enrolled int
	fetched  func() int // called when a list is asked for; a status that is not 0 refuses it
}

func newHouse(t *testing.T) *house {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, key: key, token: "sae_good", life: time.Hour, serials: map[string]bool{}, answer: protocol.BeatAnswer{Interval: time.Second}}
	h.ca = h.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, key.Public(), nil)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := h.sign(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, leafKey.Public(), h.ca)
	pool := x509.NewCertPool()
	pool.AddCert(h.ca)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+protocol.EnrolPath, h.enrol)
	mux.HandleFunc("POST "+protocol.RenewPath, h.known(h.renew))
	mux.HandleFunc("POST "+protocol.BeatPath, h.known(h.beat))
	mux.HandleFunc("POST "+protocol.ReportPath, h.known(h.report))
	mux.HandleFunc("GET "+protocol.EmergenciesPath, h.known(h.emergencies))
	h.http = httptest.NewUnstartedServer(mux)
	h.http.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw, h.ca.Raw}, PrivateKey: leafKey}}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool,
		NextProtos: []string{"http/1.1"}}
	h.http.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	h.http.StartTLS()
	t.Cleanup(h.http.Close)
	return h
}

func (h *house) sign(c *x509.Certificate, pub crypto.PublicKey, by *x509.Certificate) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		h.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.Subject = serial, time.Now().Add(-time.Minute), pkix.Name{CommonName: "test"}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	if by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, pub, h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		h.t.Fatal(err)
	}
	return cert
}

func (h *house) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		ok := len(r.TLS.PeerCertificates) > 0 && h.serials[r.TLS.PeerCertificates[0].SerialNumber.String()]
		away := h.away
		h.mu.Unlock()
		switch {
		case away:
			http.Error(w, "away", http.StatusBadGateway)
		case !ok:
			http.Error(w, "who are you", http.StatusUnauthorized)
		default:
			next(w, r)
		}
	}
}

func (h *house) papers(w http.ResponseWriter, request []byte) {
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	cert := h.sign(&x509.Certificate{NotAfter: time.Now().Add(h.life), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, csr.PublicKey, h.ca)
	h.serials[cert.SerialNumber.String()] = true
	block := func(c *x509.Certificate) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	_ = json.NewEncoder(w).Encode(protocol.Papers{Certificate: block(cert), Authority: block(h.ca), Node: 7, Target: 3, Cluster: "shop"})
}

func (h *house) enrol(w http.ResponseWriter, r *http.Request) {
	var a protocol.Application
	_ = json.NewDecoder(r.Body).Decode(&a)
	h.mu.Lock()
	defer h.mu.Unlock()
	if a.Token != h.token || a.Node != "worker-1" {
		http.Error(w, "the token is not valid", http.StatusForbidden)
		return
	}
	h.enrolled++
	h.papers(w, a.Request)
}

func (h *house) renew(w http.ResponseWriter, r *http.Request) {
	var a protocol.Application
	_ = json.NewDecoder(r.Body).Decode(&a)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.papers(w, a.Request)
}

func (h *house) beat(w http.ResponseWriter, r *http.Request) {
	var b protocol.Beat
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beats = append(h.beats, b)
	h.answer.At = time.Now()
	_ = json.NewEncoder(w).Encode(h.answer)
	h.answer.Want = nil
}

func (h *house) report(w http.ResponseWriter, r *http.Request) {
	dec, err := zstd.NewReader(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer dec.Close()
	var rep protocol.Report
	if err := json.NewDecoder(dec).Decode(&rep); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != 0 {
		w.WriteHeader(h.refuse)
		h.refuse = 0
		return
	}
	h.reports = append(h.reports, rep)
	for i, work := range h.answer.Work {
		if work.ID == rep.Work && rep.Last {
			h.answer.Work = append(h.answer.Work[:i:i], h.answer.Work[i+1:]...)
			break
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *house) emergencies(w http.ResponseWriter, _ *http.Request) {
	if h.fetched != nil {
		if status := h.fetched(); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	_, _ = io.WriteString(w, `[{"id":"CVE-1"}]`)
}

func (h *house) of(kind protocol.WorkKind) (out []protocol.Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.reports {
		if r.Kind == kind {
			out = append(out, r)
		}
	}
	return out
}

func (h *house) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *house) beaten() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.beats)
}

func (h *house) lastBeat() protocol.Beat {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.beats) == 0 {
		return protocol.Beat{}
	}
	return h.beats[len(h.beats)-1]
}

// node is what the test's rounds read.
type node struct{ name, dir string }

// lacksFile in the agent's folder says what looks of a test leave out.
const lacksFile = "lacks.json"

func (n node) Facts(context.Context) (*inventory.NodeFacts, error) {
	f := &inventory.NodeFacts{Name: n.name, ReadAt: time.Now().String()}
	if data, err := os.ReadFile(filepath.Join(n.dir, lacksFile)); err == nil {
		if err := json.Unmarshal(data, &f.Skipped); err != nil {
			return nil, err
		}
	}
	return f, nil
}
func (n node) Software(context.Context) (*inventory.Software, error) {
	return &inventory.Software{Kind: "node", Name: n.name}, nil
}
func (n node) Images(_ context.Context, names []string, emit func(*inventory.Software) error) ([]inventory.SkipFact, error) {
	for _, name := range names {
		if err := emit(&inventory.Software{Kind: "image", Name: name}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
func (n node) Malware(context.Context) (*protocol.Malware, error) {
	return nil, fmt.Errorf("no engine here")
}
func (n node) Verify(_ context.Context, ids []string) (out []emergency.Result, _ []inventory.SkipFact, err error) {
	for _, id := range ids {
		out = append(out, emergency.Result{Emergency: id, Subject: n.name, Verdict: emergency.Exposed})
	}
	return out, nil, nil
}

// TestMain is also the process of a round.
func TestMain(m *testing.M) {
	if what := os.Getenv("STOCKADE_TEST_ROUND"); what != "" {
		os.Exit(round(what))
	}
	os.Exit(m.Run())
}

func round(what string) int {
	switch what {
	case "hang":
		time.Sleep(time.Hour)
	case "burn":
		for {
		}
	case "eat":
		var all [][]byte
		for {
			all = append(all, bytes.Repeat([]byte{1}, 1<<20))
		}
	case "crash":
		fmt.Fprintln(os.Stderr, "out of\x1b[31m luck")
		return 4
	}
	var r Round
	if err := json.Unmarshal([]byte(what), &r); err != nil {
		return 2
	}
	if err := r.Do(context.Background(), node{"worker-1", filepath.Dir(r.Out)}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func process(ctx context.Context, r *Round) *exec.Cmd {
	r.Now = nil
	text, _ := json.Marshal(r)
	return behaving(string(text))(ctx, r)
}

func behaving(how string) func(context.Context, *Round) *exec.Cmd {
	return func(ctx context.Context, _ *Round) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^$")
		_ = os.Setenv("STOCKADE_TEST_ROUND", how)
		return cmd
	}
}

// calm is a /proc without pressure.
func calm(t *testing.T) string {
	dir := t.TempDir()
	press(t, dir, "cpu", 0)
	return dir
}

// press sets the share of time, in percent, in which something waits for what.
func press(t *testing.T, dir, what string, waits int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "pressure"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("some avg10=%d.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", waits)
	if err := os.WriteFile(filepath.Join(dir, "pressure", what), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (h *house) options(t *testing.T) Options {
	return Options{Server: h.http.Listener.Addr().String(), Token: "sae_good", Pin: enrol.PinOf(h.ca), State: t.TempDir(), Node: "worker-1", Proc: calm(t), Share: 2, Memory: 256 << 20,
		Command: process, Version: "test", Classes: []emergency.Class{emergency.Reads, emergency.Process}, MinWait: 10 * time.Millisecond, MaxWait: 100 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func start(t *testing.T, o Options) (stop func()) {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the agent ended: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// TestAgent goes the whole way: enrolled, the node read, work done, certificate renewed, and a start with what was kept.
func TestAgent(t *testing.T) {
	h := newHouse(t)
	h.answer.Classes, h.answer.Emergencies = []emergency.Class{emergency.Reads}, "d1"
	h.answer.Work = []protocol.Work{{ID: 5, Kind: protocol.Verify, Names: []string{"CVE-1", "CVE-2"}}, {ID: 6, Kind: protocol.ReadImages, Names: []string{"sha256:a"}},
		{ID: 7, Kind: protocol.FindMalware}, {ID: 8, Kind: "dance"}, {ID: 9, Kind: protocol.ReadFacts, Until: time.Now().Add(-time.Hour)}}
	o := h.options(t)
	stop := start(t, o)
	eventually(t, "facts and software", func() bool { return len(h.of(protocol.ReadFacts)) == 1 && len(h.of(protocol.ReadPackages)) == 1 })
	eventually(t, "work", func() bool {
		return len(h.of("dance")) == 1 && len(h.of(protocol.FindMalware)) == 1 && len(h.of(protocol.ReadImages)) == 2 && len(h.of(protocol.Verify)) >= 1
	})
	facts := h.of(protocol.ReadFacts)[0]
	if !strings.Contains(string(facts.Body), `"name":"worker-1"`) || facts.Digest == "" || !facts.Last || facts.Work != 0 {
		t.Errorf("%+v", facts)
	}
	if r := h.of("dance")[0]; r.Work != 8 || !strings.Contains(r.Error, "too old") {
		t.Errorf("%+v", r)
	}
	if r := h.of(protocol.FindMalware)[0]; r.Error != "no engine here" || r.Body != nil {
		t.Errorf("%+v", r)
	}
	if r := h.of(protocol.ReadImages); r[0].Last || !r[1].Last || !strings.Contains(string(r[0].Body), "sha256:a") {
		t.Errorf("%+v", r)
	}
	eventually(t, "digests in the beat", func() bool { return h.lastBeat().Facts == facts.Digest })
	if b, err := os.ReadFile(filepath.Join(o.State, "emergencies.json")); err != nil || string(b) != `[{"id":"CVE-1"}]` {
		t.Errorf("%s %v", b, err)
	}
	h.set(func() { h.answer.Renew = true })
	eventually(t, "a second certificate", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.serials) >= 2 })
	h.set(func() { h.answer.Renew = false })
	h.set(func() { h.answer.Want = []string{"facts"} })
	eventually(t, "the facts whole again", func() bool { r := h.of(protocol.ReadFacts); return len(r) == 2 && r[1].Body != nil })
	stop()
	if info, err := os.Stat(filepath.Join(o.State, identityFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	n := len(h.of(protocol.ReadFacts))
	start(t, o)
	eventually(t, "facts after the start", func() bool { return len(h.of(protocol.ReadFacts)) > n })
	h.set(func() {
		if h.enrolled != 1 {
			t.Errorf("enrolled %d times", h.enrolled)
		}
	})
}

// TestServerAway keeps reports on disk, within bounds, and sends them later.
func TestServerAway(t *testing.T) {
	h := newHouse(t)
	o := h.options(t)
	stop := start(t, o)
	eventually(t, "facts", func() bool { return len(h.of(protocol.ReadFacts)) == 1 })
	h.set(func() { h.away = true; h.reports = nil })
	stop()
	start(t, o) // its first look is while the server is away
	s := &spool{dir: filepath.Join(o.State, "reports")}
	eventually(t, "reports that wait", func() bool { names, _ := s.list(); return len(names) == 3 })
	h.set(func() { h.away = false })
	eventually(t, "they arrive", func() bool { names, _ := s.list(); return len(h.of(protocol.ReadFacts)) == 1 && len(names) == 0 })
}

// TestUnknownBase sends the whole when the server lacks what was left out.
func TestUnknownBase(t *testing.T) {
	h := newHouse(t)
	h.refuse = http.StatusConflict
	start(t, h.options(t))
	eventually(t, "facts", func() bool { r := h.of(protocol.ReadFacts); return len(r) == 1 && r[0].Body != nil })
}

// TestStranger is not shown the token: the pin is another.
func TestStranger(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	o := h.options(t)
	o.Pin = enrol.PinOf(other.ca)
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.apply(t.Context()); err == nil || !strings.Contains(err.Error(), "--ca-pin") || h.enrolled != 0 {
		t.Errorf("%v, enrolled %d", err, h.enrolled)
	}
}

// TestRevoked says what to do, and goes on when a new token is given.
func TestRevoked(t *testing.T) {
	h := newHouse(t)
	o := h.options(t)
	stop := start(t, o)
	eventually(t, "a beat", func() bool { return h.beaten() > 0 })
	stop()
	h.set(func() { h.serials = map[string]bool{}; h.token = "sae_next" })
	quiet := o
	quiet.Log = slog.New(slog.DiscardHandler)
	a, err := New(quiet)
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.enrolled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLink(o.Server, "test", id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.beat(t.Context(), l); err == nil || !strings.Contains(a.explained(err, l.leaf).Error(), "enrol the node anew") {
		t.Errorf("%v", err)
	}
	o.Token = "sae_next"
	n := h.beaten()
	start(t, o)
	eventually(t, "another beat", func() bool { return h.beaten() > n })
}

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// TestClocks names the clock when it is the clock.
func TestClocks(t *testing.T) {
	h := newHouse(t)
	o := h.options(t)
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := id.parse()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		by   time.Duration
		want string
	}{{48 * time.Hour, "ended on"}, {-48 * time.Hour, "set the clock"}} {
		a.o.Now = func() time.Time { return time.Now().Add(c.by) }
		if got := a.explained(io.EOF, cert.Leaf).Error(); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", c.by, got)
		}
	}
}

// TestWrongClock does what is asked for on a node whose clock is ahead by more than the work may take: the server's time counts.
func TestWrongClock(t *testing.T) {
	h := newHouse(t)
	h.answer.Work = []protocol.Work{{ID: 5, Kind: protocol.Verify, Names: []string{"CVE-1"}, Until: time.Now().Add(time.Minute)},
		{ID: 6, Kind: protocol.ReadImages, Names: []string{"sha256:a"}, Until: time.Now().Add(-time.Hour)}}
	o := h.options(t)
	o.Now = func() time.Time { return time.Now().Add(25 * time.Minute) }
	log := &journal{}
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	start(t, o)
	asked := func() bool {
		for _, r := range h.of(protocol.Verify) {
			if r.Work == 5 && strings.Contains(string(r.Body), "CVE-1") {
				return true
			}
		}
		return false
	}
	eventually(t, "the work is done", asked)
	eventually(t, "the node's own looks", func() bool { return len(h.of(protocol.ReadFacts)) > 0 })
	if n := len(h.of(protocol.ReadImages)); n > 0 {
		t.Errorf("%d reports that nobody waits for", n)
	}
	if !strings.Contains(log.String(), "the clock of this node is wrong") {
		t.Error(log.String())
	}
}
