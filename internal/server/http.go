package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/audit"
)

// Times that a client may take. Bodies have their own (see api.Frame), answers a deadline for every write.
const (
	headTime  = 10 * time.Second
	idleTime  = 2 * time.Minute
	writeTime = time.Minute // for one write; streams live as long as the client reads
)

// newHTTP makes the server for connections from everywhere.
func newHTTP(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headTime, IdleTimeout: idleTime, MaxHeaderBytes: 64 << 10,
		ErrorLog: stdlog.New(quiet{log}, "", 0)}
}

// front is what stands before everything: id, log, metrics, traces, panics, security headers.
func (s *Server) front(next http.Handler) http.Handler {
	h := api.Recover(s.log, s.headers(next))
	h = s.logged(h)
	if s.tracing {
		h = otelhttp.NewHandler(h, "http", otelhttp.WithFilter(func(r *http.Request) bool { return !probe(r.URL.Path) }))
	}
	return h
}

func probe(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

// logged gives the request its id and writes a line when it is answered. The query is left out: it may hold a secret.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !requestID.MatchString(id) {
			b := make([]byte, 12)
			_, _ = rand.Read(b) // never fails
			id = hex.EncodeToString(b)
		}
		w.Header().Set("X-Request-Id", id)
		q := &api.Request{ID: id, Stop: s.stopping}
		remote := s.remote(r)
		ctx := api.WithRequest(audit.WithOrigin(r.Context(), audit.Origin{Remote: remote.String(), Request: id}), q)
		m := &meter{ResponseWriter: w, control: http.NewResponseController(w), status: http.StatusOK}
		started := time.Now()
		s.metrics.inFlight.Inc()
		defer func() {
			s.metrics.inFlight.Dec()
			took := time.Since(started)
			route := q.Route
			if route == "" {
				route = "other"
			}
			s.metrics.requests.With(prometheus.Labels{"route": route, "method": method(r.Method), "status": strconv.Itoa(m.status)}).Observe(took.Seconds())
			level := slog.LevelInfo
			switch {
			case m.status >= 500:
				level = slog.LevelError
			case probe(r.URL.Path), r.URL.Path == protocol.BeatPath && m.status < 400: // thousands of agents beat every minute
				level = slog.LevelDebug
			}
			attrs := []slog.Attr{slog.String("method", r.Method), slog.String("path", cut(r.URL.Path)), slog.Int("status", m.status),
				slog.Int64("bytes", m.bytes), slog.Float64("ms", float64(took.Microseconds())/1000), slog.String("remote", remote.String())}
			if q.Who != "" {
				attrs = append(attrs, slog.String("user", q.Who))
			}
			if q.Err != nil {
				attrs = append(attrs, slog.Any("err", q.Err))
			}
			s.log.LogAttrs(ctx, level, "request", attrs...)
		}()
		next.ServeHTTP(m, r.WithContext(ctx))
	})
}

// cut keeps what a client chooses short in the log, and leaves out the part of a path that may be a secret.
func cut(path string) string {
	if len(path) > 512 {
		path = path[:512] + "..."
	}
	if rest, ok := strings.CutPrefix(path, "/setup/"); ok && rest != "" {
		return "/setup/" + redacted
	}
	return path
}

// method keeps labels of metrics few.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// meter counts what is answered and sets the deadline of each write.
type meter struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	bytes   int64
	begun   bool
}

// WriteHeader implements http.ResponseWriter.
func (m *meter) WriteHeader(status int) {
	if !m.begun && status >= 200 {
		m.status, m.begun = status, true
	}
	m.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (m *meter) Write(b []byte) (int, error) {
	m.begun = true
	_ = m.control.SetWriteDeadline(time.Now().Add(writeTime)) // not of every kind of connection
	n, err := m.ResponseWriter.Write(b)
	m.bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher.
func (m *meter) Flush() {
	_ = m.control.SetWriteDeadline(time.Now().Add(writeTime))
	_ = m.control.Flush() // the client is gone: the next write tells
}

// Unwrap is for http.ResponseController.
func (m *meter) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// headers are those that tell browsers to trust nothing but this server.
func (s *Server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// remote is the client's address: that of the connection, or what a trusted proxy says.
func (s *Server) remote(r *http.Request) netip.Addr {
	addr := api.RemoteAddr(r)
	if !s.trusted(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		if addr = hop.Unmap(); !s.trusted(addr) {
			break
		}
	}
	return addr
}

func (s *Server) trusted(addr netip.Addr) bool {
	for _, p := range s.o.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// loopback reports whether an address to listen on can be reached from this machine alone.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// listen opens the address for clients.
func (s *Server) listen(ctx context.Context) error {
	if s.o.PlainHTTP && !loopback(s.o.Listen) {
		return fmt.Errorf("--plain-http is for loopback addresses only, and %q is none: listen on 127.0.0.1, or leave it out for TLS", s.o.Listen)
	}
	s.http = newHTTP(nil, s.log)
	if !s.o.PlainHTTP {
		if err := s.useTLS(); err != nil {
			return err
		}
	}
	var lc net.ListenConfig
	var err error
	if s.listener, err = lc.Listen(ctx, "tcp", s.o.Listen); err != nil {
		return fmt.Errorf("listening on %s: %w: choose another address with --listen", s.o.Listen, err)
	}
	return nil
}

func (s *Server) useTLS() error {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	s.http.TLSConfig = cfg
	if s.o.TLSCert != "" || s.o.TLSKey != "" {
		if s.o.TLSCert == "" || s.o.TLSKey == "" {
			return errors.New("--tls-cert and --tls-key go together")
		}
		f := &files{cert: s.o.TLSCert, key: s.o.TLSKey, now: s.o.Now, failed: func(err error) { s.log.Error("TLS", "err", err) }}
		if _, err := f.certificate(nil); err != nil {
			return fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		cfg.GetCertificate = f.certificate
		return nil
	}
	s.ca = s.authority
	o := &own{authority: s.authority, names: names(s.o), now: s.o.Now}
	if _, err := o.certificate(nil); err != nil {
		return err
	}
	cfg.GetCertificate = o.certificate
	folder := filepath.Join(s.o.Data, "tls")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "ca.crt"), s.ca.PEM(), 0o644) //nolint:gosec // for clients: a certificate is public
}
