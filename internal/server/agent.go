package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/nodes"
	"stockade.dev/stockade/internal/store"
)

// agents is the room that agents speak to: *nodes.Service.
type agents interface {
	Enrol(ctx context.Context, a protocol.Application, remote string) (*protocol.Papers, error)
	Renew(ctx context.Context, held *x509.Certificate, request []byte) (*protocol.Papers, error)
	Beat(ctx context.Context, id int64, b *protocol.Beat, until time.Time) (*protocol.BeatAnswer, error)
	Take(ctx context.Context, id int64, r *protocol.Report) error
	Emergencies(ctx context.Context) (string, []byte, error)
	Signatures(ctx context.Context) (string, []byte, error)
}

// gates answers the agents of nodes. But for enrolling, every request shows a certificate; which node it is of says nothing else.
type gates struct {
	authority *enrol.Authority
	nodes     agents
	remote    func(*http.Request) netip.Addr
	now       func() time.Time
	enrolling chan struct{} // requests without a certificate that are under way
	reporting chan struct{} // bodies that are in memory
	mu        sync.Mutex
	senders   map[int64]bool // nodes of which one is
}

// Limits of what agents send.
const (
	maxApplication = 32 << 10
	mostEnrolling  = 32
	mostReporting  = 16
	reportTime     = 2 * time.Minute
	queueTime      = 10 * time.Second
)

func newGates(authority *enrol.Authority, n agents, remote func(*http.Request) netip.Addr, now func() time.Time) *gates {
	return &gates{authority: authority, nodes: n, remote: remote, now: now, enrolling: make(chan struct{}, mostEnrolling), reporting: make(chan struct{}, mostReporting), senders: map[int64]bool{}}
}

// handler answers /agent/v1/.
func (g *gates) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+protocol.EnrolPath, g.enrol)
	mux.HandleFunc("POST "+protocol.RenewPath, g.gate(g.renew))
	mux.HandleFunc("POST "+protocol.BeatPath, g.gate(g.beat))
	mux.HandleFunc("POST "+protocol.ReportPath, g.gate(g.report))
	mux.HandleFunc("GET "+protocol.EmergenciesPath, g.gate(g.list(g.nodes.Emergencies)))
	mux.HandleFunc("GET "+protocol.SignaturesPath, g.gate(g.list(g.nodes.Signatures)))
	mux.HandleFunc("/agent/", func(w http.ResponseWriter, r *http.Request) {
		api.WriteProblem(w, r, http.StatusNotFound, "there is no such thing")
	})
	return mux
}

// gate lets agents in, and nobody else.
func (g *gates) gate(f func(w http.ResponseWriter, r *http.Request, node int64, cert *x509.Certificate) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		node, cert, err := g.caller(r)
		if err == nil {
			w.Header().Set("Cache-Control", "no-store")
			err = f(w, r, node, cert)
		}
		if err != nil {
			g.refuse(w, r, err)
		}
	}
}

// caller is the node that the request's certificate is of.
func (g *gates) caller(r *http.Request) (int64, *x509.Certificate, error) {
	unknown := &fit{http.StatusUnauthorized, "show the certificate of a node's agent"}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return 0, nil, unknown
	}
	cert := r.TLS.PeerCertificates[0]
	h, err := enrol.HolderOf(cert)
	if err != nil || h.Node() == 0 {
		return 0, nil, unknown
	}
	if err := g.authority.Check(r.Context(), cert); err != nil {
		if errors.Is(err, enrol.ErrRevoked) {
			return 0, nil, &fit{http.StatusForbidden, "this certificate was revoked: the node or its cluster was removed, or the agent enrolled again"}
		}
		if !g.now().Before(cert.NotAfter) {
			return 0, nil, &fit{http.StatusForbidden, "this certificate has expired: enrol again"}
		}
		return 0, nil, err
	}
	return h.Node(), cert, nil
}

// refuse answers an error. What is the server's own trouble says little: the log has it.
func (g *gates) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var f *fit
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &f):
		if f.status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "15")
		}
		api.WriteProblem(w, r, f.status, f.text)
	case errors.As(err, &tooLarge), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		api.WriteProblem(w, r, http.StatusRequestEntityTooLarge, "the request is too large")
	case errors.Is(err, enrol.ErrAgentToken), errors.Is(err, enrol.ErrAgentExpired), errors.Is(err, enrol.ErrAgentUsedUp):
		api.WriteProblem(w, r, http.StatusUnauthorized, err.Error())
	case errors.Is(err, nodes.ErrImitated), errors.Is(err, nodes.ErrGone), errors.Is(err, enrol.ErrRevoked):
		api.WriteProblem(w, r, http.StatusForbidden, err.Error())
	case errors.Is(err, nodes.ErrBase):
		api.WriteProblem(w, r, http.StatusConflict, err.Error())
	case errors.Is(err, nodes.ErrInvalid), errors.Is(err, enrol.ErrRequest):
		api.WriteProblem(w, r, http.StatusUnprocessableEntity, err.Error())
	case errors.Is(err, store.ErrNotFound):
		api.WriteProblem(w, r, http.StatusNotFound, "there is no such thing")
	default:
		api.Blame(r.Context(), err)
		w.Header().Set("Retry-After", "15")
		api.WriteProblem(w, r, http.StatusServiceUnavailable, "the server could not do this now")
	}
}

// take waits for a place among few, not for long.
func take(ctx context.Context, places chan struct{}) error {
	t := time.NewTimer(queueTime)
	defer t.Stop()
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return &fit{http.StatusTooManyRequests, "too many agents at once: come again in a moment"}
	}
}

// enrol gives an agent its certificate for a token.
func (g *gates) enrol(w http.ResponseWriter, r *http.Request) {
	err := func() error {
		if r.TLS == nil {
			return &fit{http.StatusForbidden, "agents come by TLS that ends in this server"}
		}
		if err := take(r.Context(), g.enrolling); err != nil {
			return err
		}
		defer func() { <-g.enrolling }()
		w.Header().Set("Cache-Control", "no-store")
		var a protocol.Application
		if err := read(w, r, maxApplication, &a); err != nil {
			return err
		}
		p, err := g.nodes.Enrol(r.Context(), a, g.remote(r).String())
		if err != nil {
			return err
		}
		return write(w, p)
	}()
	if err != nil {
		g.refuse(w, r, err)
	}
}

// renew gives the agent another certificate.
func (g *gates) renew(w http.ResponseWriter, r *http.Request, _ int64, cert *x509.Certificate) error {
	var a protocol.Application
	if err := read(w, r, maxApplication, &a); err != nil {
		return err
	}
	p, err := g.nodes.Renew(r.Context(), cert, a.Request)
	if err != nil {
		return err
	}
	return write(w, p)
}

// beat takes the agent's word of itself.
func (g *gates) beat(w http.ResponseWriter, r *http.Request, node int64, cert *x509.Certificate) error {
	var b protocol.Beat
	if err := read(w, r, protocol.MaxBeat, &b); err != nil {
		return err
	}
	a, err := g.nodes.Beat(r.Context(), node, &b, cert.NotAfter)
	if err != nil {
		return err
	}
	return write(w, a)
}

// alone lets a node send one report at a time, as agents do: one that sends many, slowly, does not take the places of the others.
func (g *gates) alone(node int64) (done func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.senders[node] {
		return nil, &fit{http.StatusTooManyRequests, "another report of this node is under way: come again in a moment"}
	}
	g.senders[node] = true
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.senders, node)
	}, nil
}

// report takes what the agent read.
func (g *gates) report(w http.ResponseWriter, r *http.Request, node int64, _ *x509.Certificate) error {
	done, err := g.alone(node)
	if err != nil {
		return err
	}
	defer done()
	if err := take(r.Context(), g.reporting); err != nil {
		return err
	}
	defer func() { <-g.reporting }()
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(reportTime)) // not of every kind of connection
	var body io.Reader = http.MaxBytesReader(w, r.Body, protocol.MaxReport)
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
	case "zstd":
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(protocol.MaxReport), zstd.WithDecoderMaxWindow(16<<20))
		if err != nil {
			return err
		}
		defer z.Close()
		body = z
	default:
		return &fit{http.StatusUnsupportedMediaType, "reports come as they are or as zstd"}
	}
	data, err := io.ReadAll(io.LimitReader(body, protocol.MaxReport+1))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return err
	case err != nil:
		return &fit{http.StatusBadRequest, "the report could not be read to its end"}
	case len(data) > protocol.MaxReport:
		return &fit{http.StatusRequestEntityTooLarge, "the report is too large"}
	}
	var rep protocol.Report
	if err := json.Unmarshal(data, &rep); err != nil {
		return &fit{http.StatusBadRequest, "the report is not what the protocol says"}
	}
	if err := g.nodes.Take(r.Context(), node, &rep); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// list answers with a list, when the agent has another one.
func (g *gates) list(get func(context.Context) (string, []byte, error)) func(w http.ResponseWriter, r *http.Request, node int64, cert *x509.Certificate) error {
	return func(w http.ResponseWriter, r *http.Request, _ int64, _ *x509.Certificate) error {
		digest, body, err := get(r.Context())
		if err != nil {
			return err
		}
		w.Header().Set("ETag", `"`+digest+`"`)
		if digest == r.URL.Query().Get("have") {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // the agent is gone: it asks again
		return nil
	}
}

// letAgents has the TLS side take certificates of agents, who have none when they enrol, and show them one of the server's own authority.
func letAgents(cfg *tls.Config, authority *enrol.Authority, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), now func() time.Time) {
	before := cfg.GetConfigForClient
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, protocol.Mark) {
			return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: authority.Roots(),
				GetCertificate: certificate, SessionTicketsDisabled: true, Time: now}, nil
		}
		if before != nil {
			return before(hello)
		}
		return nil, nil
	}
}

// wireNodes makes the room of agents.
func (s *Server) wireNodes() {
	r := &s.rooms
	o := nodes.Options{DB: s.db, Authority: s.authority, Hub: r.hub, Log: s.log, Now: s.o.Now, Signatures: s.o.Signatures, Unsent: s.o.Unsent}
	if s.o.Tasks.Library != nil { // without rules nothing is judged
		o.Judge = r.tasks
	}
	r.hookUrgent(&o)
	r.nodes = nodes.New(o)
	s.metrics.registry.MustRegister(nodeStates{prometheus.NewDesc("stockade_nodes", "Nodes by the state of their agent; of the process that leads alone.", []string{"state"}, nil), r.nodes.Measured})
	r.tasks.SetNodes(r.nodes)
	s.wireUrgent()
}

// nodeStates are how many nodes are in which state, for Prometheus. Only one of several processes counts, so that sums are right.
type nodeStates struct {
	desc *prometheus.Desc
	of   func() map[nodes.State]int
}

// Describe implements prometheus.Collector.
func (n nodeStates) Describe(out chan<- *prometheus.Desc) { out <- n.desc }

// Collect implements prometheus.Collector.
func (n nodeStates) Collect(out chan<- prometheus.Metric) {
	for state, count := range n.of() {
		out <- prometheus.MustNewConstMetric(n.desc, prometheus.GaugeValue, float64(count), string(state))
	}
}
