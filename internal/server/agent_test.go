package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/nodes"
)

// packedFacts are facts of a node with one container, as the database has them.
var packedFacts = func() []byte {
	data, err := json.Marshal(inventory.NodeFacts{Name: "n", Containers: []inventory.ContainerFact{{ID: "1", Namespace: "shop", Pod: markAlpha, Container: "c"}}})
	if err != nil {
		panic(err)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return z.EncodeAll(data, nil)
}()

// agentWorld is a server that listens, with two clusters.
type agentWorld struct {
	t     *testing.T
	s     *Server
	shop  int64
	bank  int64
	token string
}

func newAgentWorld(t *testing.T) *agentWorld {
	t.Helper()
	s, err := Open(context.Background(), Options{Data: t.TempDir(), Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	w := &agentWorld{t: t, s: s}
	for name, id := range map[string]*int64{"shop": &w.shop, "bank": &w.bank} {
		c, _, err := s.rooms.fleet.Add(ctx, fleet.Added{Name: name, Kind: fleet.Connector})
		if err != nil {
			t.Fatal(err)
		}
		*id = c.TargetID
	}
	w.token = w.newToken(w.shop)
	return w
}

func (w *agentWorld) newToken(target int64) string {
	w.t.Helper()
	in, err := w.s.rooms.fleet.NewAgentToken(context.Background(), target, fleet.AgentTokenRequest{Uses: 10})
	if err != nil {
		w.t.Fatal(err)
	}
	if !strings.Contains(in.Manifest, in.Token) || !strings.Contains(in.Values, in.Token) || !strings.Contains(in.Manifest, "kind: DaemonSet") {
		w.t.Error("the manifest does not hold the token")
	}
	return in.Token
}

// agent is a client of the protocol; nil cert shows none.
func (w *agentWorld) agent(cert *tls.Certificate) *http.Client {
	c := &tls.Config{RootCAs: w.s.authority.Roots(), NextProtos: []string{protocol.Mark, "http/1.1"}, MinVersion: tls.VersionTLS13}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c}, Timeout: 30 * time.Second}
	w.t.Cleanup(client.CloseIdleConnections)
	return client
}

func (w *agentWorld) post(c *http.Client, path string, body any, into any, header ...string) int {
	w.t.Helper()
	data, ok := body.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(body); err != nil {
			w.t.Fatal(err)
		}
	}
	req, err := http.NewRequest(http.MethodPost, "https://"+w.s.listener.Addr().String()+path, bytes.NewReader(data))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	if into != nil && resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(text, into); err != nil {
			w.t.Fatal(err)
		}
	}
	return resp.StatusCode
}

// request is a request for a certificate, for a key that is not used.
func (w *agentWorld) request() []byte {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return csr
}

// enrol enrols a node and returns its client and papers.
func (w *agentWorld) enrol(token, node string) (*http.Client, *protocol.Papers, int) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		w.t.Fatal(err)
	}
	p := new(protocol.Papers)
	code := w.post(w.agent(nil), protocol.EnrolPath, protocol.Application{Token: token, Request: csr, Node: node, MachineID: "m-" + node}, p)
	if code != http.StatusOK {
		return nil, nil, code
	}
	block, _ := pem.Decode([]byte(p.Certificate))
	return w.agent(&tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}), p, code
}

func (w *agentWorld) facts(node string) []byte {
	w.t.Helper()
	body, err := json.Marshal(inventory.NodeFacts{Name: node, OS: inventory.OSFacts{Name: "Debian of " + node}})
	if err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	rep, err := json.Marshal(protocol.Report{ID: "r-" + node, Kind: protocol.ReadFacts, At: time.Now(), Digest: hex.EncodeToString(sum[:]), Last: true, Body: body})
	if err != nil {
		w.t.Fatal(err)
	}
	return rep
}

// TestAgents: an agent enrols, beats, reports and renews over TLS, speaks for its own node alone, and is out when it is forgotten.
func TestAgents(t *testing.T) {
	w := newAgentWorld(t)
	ctx := context.Background()
	one, p1, code := w.enrol(w.token, "n1")
	if code != http.StatusOK || p1.Target != w.shop || p1.Cluster != "shop" {
		t.Fatal(code, p1)
	}
	two, p2, _ := w.enrol(w.token, "n2")
	beat := protocol.Beat{At: time.Now(), State: protocol.Running, Version: "1"}
	var a protocol.BeatAnswer
	if code := w.post(one, protocol.BeatPath, beat, &a); code != http.StatusOK || a.Interval != protocol.Interval || len(a.Want) != 2 {
		t.Errorf("%d %+v", code, a)
	}
	if code := w.post(one, protocol.ReportPath, w.facts("n2"), nil); code != http.StatusNoContent { // its own certificate, the name of another node
		t.Errorf("a report: %d", code)
	}
	again := protocol.Application{Request: w.request(), Version: "1"} // as the agent sends it
	if p := new(protocol.Papers); w.post(one, protocol.RenewPath, again, p) != http.StatusOK || p.Node != p1.Node || p.Certificate == p1.Certificate {
		t.Errorf("not renewed: %+v", p)
	}
	facts := func(id int64) string {
		var body []byte
		err := w.s.db.R.NewRaw("SELECT body FROM node_bodies WHERE node_id = ? AND kind = 'facts'", id).Scan(ctx, &body)
		if err != nil {
			return ""
		}
		z, _ := zstd.NewReader(nil)
		out, err := z.DecodeAll(body, nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if text := facts(p1.Node); !strings.Contains(text, `"name":"n1"`) || facts(p2.Node) != "" {
		t.Errorf("the agent of n1 wrote %s", text)
	}
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = z.Write(w.facts("n2"))
	_ = z.Close()
	if code := w.post(two, protocol.ReportPath, packed.Bytes(), nil, "Content-Encoding", "zstd"); code != http.StatusNoContent || !strings.Contains(facts(p2.Node), "Debian of n2") {
		t.Errorf("a packed report: %d", code)
	}
	// What is malformed, too large or unpacks without end.
	var bomb bytes.Buffer
	z, _ = zstd.NewWriter(&bomb)
	_, _ = io.CopyN(z, zeros{}, protocol.MaxReport+1)
	_ = z.Close()
	for _, x := range []struct {
		what, path string
		body       []byte
		header     []string
		want       int
	}{
		{"a malformed beat", protocol.BeatPath, []byte(`{"state":`), nil, 400}, {"a beat in no state", protocol.BeatPath, []byte(`{}`), nil, 422},
		{"too large a beat", protocol.BeatPath, []byte(`{"reason":"` + strings.Repeat("x", protocol.MaxBeat) + `"}`), nil, 413},
		{"a malformed report", protocol.ReportPath, []byte(`{`), nil, 400}, {"a report of nothing", protocol.ReportPath, []byte(`{}`), nil, 422},
		{"a report without end", protocol.ReportPath, bomb.Bytes(), []string{"Content-Encoding", "zstd"}, 413},
		{"no zstd", protocol.ReportPath, []byte("hello"), []string{"Content-Encoding", "zstd"}, 400},
		{"another packing", protocol.ReportPath, []byte("hello"), []string{"Content-Encoding", "br"}, 415},
		{"an unknown base", protocol.ReportPath, []byte(`{"id":"x","kind":"facts","digest":"` + strings.Repeat("1", 64) + `"}`), nil, 409},
		{"no request", protocol.RenewPath, []byte(`{"request":"aGVsbG8="}`), nil, 422}, {"a malformed request", protocol.RenewPath, []byte("hello"), nil, 400},
		{"somewhere else", "/agent/v1/secrets", nil, nil, 404},
	} {
		if code := w.post(one, x.path, x.body, nil, x.header...); code != x.want {
			t.Errorf("%s: %d, want %d", x.what, code, x.want)
		}
	}
	if _, _, code := w.enrol("sae_guessed", "n3"); code != http.StatusUnauthorized {
		t.Errorf("a guessed token: %d", code)
	}
	// Others of this authority, and nobody.
	nobody := w.agent(nil)
	var provider *tls.Certificate
	err = w.s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		provider, err = w.s.authority.IssueProvider(ctx, tx, w.shop)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	replica, err := w.s.authority.Own(enrol.Holder{Kind: enrol.Replica, Name: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*http.Client{"nobody": nobody, "a provider": w.agent(provider), "a replica": w.agent(replica)} {
		if code := w.post(c, protocol.BeatPath, beat, nil); code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, code)
		}
	}
	// A certificate for a node that the authority signed and nobody knows.
	forged, err := w.s.authority.Own(enrol.Holder{Kind: enrol.Agent, Name: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if code := w.post(w.agent(forged), protocol.BeatPath, beat, nil); code != http.StatusForbidden {
		t.Errorf("a certificate that is not in the table: %d", code)
	}
	if err := w.s.rooms.nodes.Forget(ctx, p1.Node); err != nil {
		t.Fatal(err)
	}
	if code := w.post(one, protocol.BeatPath, beat, nil); code != http.StatusForbidden {
		t.Errorf("a node that was forgotten: %d", code)
	}
	if code := w.post(two, protocol.BeatPath, beat, nil); code != http.StatusOK {
		t.Errorf("the other node: %d", code)
	}
	if err := w.s.rooms.fleet.Remove(ctx, w.shop); err != nil {
		t.Fatal(err)
	}
	if code := w.post(two, protocol.BeatPath, beat, nil); code != http.StatusForbidden {
		t.Errorf("a node of a cluster that was removed: %d", code)
	}
	if _, _, code := w.enrol(w.token, "n4"); code != http.StatusUnauthorized {
		t.Errorf("a token of a cluster that was removed: %d", code)
	}
	if _, p, code := w.enrol(w.newToken(w.bank), "n1"); code != http.StatusOK || p.Target != w.bank {
		t.Errorf("another cluster: %d", code)
	}
}

// TestOneReport: a node that sends a report slowly can send no other beside it, and keeps no other node from sending.
func TestOneReport(t *testing.T) {
	w := newAgentWorld(t)
	one, _, _ := w.enrol(w.token, "n1")
	two, _, _ := w.enrol(w.token, "n2")
	slow, feed := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		resp, err := one.Post("https://"+w.s.listener.Addr().String()+protocol.ReportPath, "application/json", slow)
		if err == nil {
			err = resp.Body.Close()
		}
		ended <- err
	}()
	if _, err := feed.Write([]byte("{")); err != nil {
		t.Fatal(err)
	}
	refused := false
	for began := time.Now(); !refused && time.Since(began) < 20*time.Second; time.Sleep(10 * time.Millisecond) {
		refused = w.post(one, protocol.ReportPath, w.facts("n1"), nil) == http.StatusTooManyRequests
	}
	if !refused {
		t.Error("another report of the node is taken")
	}
	if code := w.post(two, protocol.ReportPath, w.facts("n2"), nil); code != http.StatusNoContent {
		t.Errorf("another node: %d", code)
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if code := w.post(one, protocol.ReportPath, w.facts("n1"), nil); code != http.StatusNoContent {
		t.Errorf("after it: %d", code)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestNodeStates: Prometheus sees nodes by state where this process counts them, and nothing where another does.
func TestNodeStates(t *testing.T) {
	var counted map[nodes.State]int
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(nodeStates{prometheus.NewDesc("stockade_nodes", "x", []string{"state"}, nil), func() map[nodes.State]int { return counted }})
	if list, err := r.Gather(); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
	counted = map[nodes.State]int{nodes.Away: 3, nodes.Protected: 0}
	list, err := r.Gather()
	if err != nil || len(list) != 1 || len(list[0].Metric) != 2 {
		t.Fatalf("%v %v", list, err)
	}
	for _, m := range list[0].Metric {
		if state := m.Label[0].GetValue(); m.Gauge.GetValue() != float64(counted[nodes.State(state)]) {
			t.Errorf("%s: %v", state, m.Gauge)
		}
	}
}
