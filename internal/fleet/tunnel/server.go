package tunnel

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/store"
)

// Options say how a Server works. DB and Authority are needed.
type Options struct {
	DB        *store.DB
	Authority *enrol.Authority
	Replica   string // of this process; default random
	Address   string // host:port at which the other replicas reach this one; "" when there are none
	Log       *slog.Logger
	Now       func() time.Time
	Timing    Timing

	// Up is called when a connector has opened a tunnel.
	Up func(ctx context.Context, target int64)
}

// Server holds the tunnels that end at this process.
type Server struct {
	o   Options
	own ownCertificates

	slots chan struct{} // bounds handshakes that nobody has vouched for yet

	mu       sync.Mutex
	sessions map[int64][]*session // newest last
	up       []func(ctx context.Context, target int64)
	closed   bool
}

// session is a connector's connection.
type session struct {
	target  int64
	serial  string
	expires time.Time
	remote  string
	version string
	since   time.Time
	mux     *yamux.Session
	renewal sync.Mutex
	cert    *x509.Certificate
}

const (
	maxSessions   = 4  // of one cluster; the oldest goes
	maxHandshakes = 64 // at the same time
)

// NewServer makes a Server. Attach puts it behind an HTTPS port, Run must be called.
func NewServer(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Replica == "" {
		b := make([]byte, 8)
		_, _ = rand.Read(b) // never fails
		o.Replica = hex.EncodeToString(b)
	}
	o.Timing = o.Timing.withDefaults()
	s := &Server{o: o, own: ownCertificates{authority: o.Authority, now: o.Now}, sessions: map[int64][]*session{}, slots: make(chan struct{}, maxHandshakes)}
	if o.Up != nil {
		s.OnUp(o.Up)
	}
	return s
}

// OnUp has tell called when a connector has opened a tunnel, after those that were given before.
func (s *Server) OnUp(tell func(ctx context.Context, target int64)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up = append(s.up, tell)
}

// Attach lets srv, which will serve TLS with cfg, speak the protocols of connectors and replicas beside HTTP/1.1 and HTTP/2. Only
// who asks for these is asked for a certificate; browsers never are.
func (s *Server) Attach(srv *http.Server, cfg *tls.Config) {
	before := cfg.GetConfigForClient
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		for _, proto := range hello.SupportedProtos {
			if c := s.config(proto); c != nil {
				return c, nil
			}
		}
		if before != nil {
			return before(hello)
		}
		return nil, nil
	}
	srv.TLSConfig = cfg
	if srv.TLSNextProto == nil {
		srv.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	if srv.Protocols == nil { // a map of protocols would turn HTTP/2 off otherwise
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(true)
	}
	for proto, handle := range map[string]func(context.Context, *tls.Conn) error{Protocol: s.connector, PeerProtocol: s.peer, EnrolProtocol: s.enrol} {
		srv.TLSNextProto[proto] = func(_ *http.Server, conn *tls.Conn, _ http.Handler) { s.handle(proto, conn, handle) }
	}
	srv.RegisterOnShutdown(s.Close)
}

// config is the TLS configuration of a protocol; nil for those that are not ours.
func (s *Server) config(proto string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{proto}, SessionTicketsDisabled: true, Time: s.o.Now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.own.get(enrol.Server, "server") }}
	switch proto {
	case Protocol, PeerProtocol:
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, s.o.Authority.Roots()
	case EnrolProtocol:
	default:
		return nil
	}
	return c
}

// handle runs the handler of a connection, which has not spoken yet, and closes it.
func (s *Server) handle(proto string, conn *tls.Conn, f func(context.Context, *tls.Conn) error) {
	defer func() { _ = conn.Close() }()
	remote := conn.RemoteAddr().String()
	select {
	case s.slots <- struct{}{}:
	default:
		s.o.Log.Warn("too many connectors at once", "protocol", proto, "remote", remote)
		return
	}
	release := sync.OnceFunc(func() { <-s.slots })
	defer release()
	_ = conn.SetDeadline(time.Now().Add(s.o.Timing.Answer))
	ctx := context.WithValue(context.Background(), releaseKey{}, release)
	if err := f(ctx, conn); err != nil {
		s.o.Log.Warn("connector refused", "protocol", proto, "remote", remote, "error", oneLine(err.Error()))
	}
}

type releaseKey struct{}

// established gives the place among the handshakes back.
func established(ctx context.Context, conn *tls.Conn) {
	_ = conn.SetDeadline(time.Time{})
	if release, ok := ctx.Value(releaseKey{}).(func()); ok {
		release()
	}
}

// caller is who a verified certificate is for; the kind must be the wanted one.
func caller(conn *tls.Conn, kind string) (enrol.Holder, *x509.Certificate, error) {
	certs := conn.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return enrol.Holder{}, nil, errors.New("no certificate")
	}
	h, err := enrol.HolderOf(certs[0])
	if err == nil && h.Kind != kind {
		err = fmt.Errorf("a certificate of a %s where one of a %s is wanted", h.Kind, kind)
	}
	return h, certs[0], err
}

// connector takes a connector's tunnel and holds it until it ends.
func (s *Server) connector(ctx context.Context, conn *tls.Conn) error {
	h, cert, err := caller(conn, enrol.Connector)
	if err != nil {
		return err
	}
	version, err := readLine(conn)
	if err != nil {
		return err
	}
	if h.Target() == 0 {
		err = errors.New("the certificate names no cluster")
	} else {
		check, cancel := context.WithTimeout(ctx, s.o.Timing.Answer)
		err = s.o.Authority.Check(check, cert)
		cancel()
	}
	if err != nil {
		_, _ = io.WriteString(conn, refuse+oneLine(reason(err))+"\n")
		return err
	}
	if _, err := io.WriteString(conn, accept+"\n"); err != nil {
		return err
	}
	established(ctx, conn)
	mux, err := yamux.Server(conn, s.o.Timing.mux(s.o.Log))
	if err != nil {
		return err
	}
	t := &session{target: h.Target(), serial: enrol.Serial(cert), expires: cert.NotAfter, remote: conn.RemoteAddr().String(), version: oneLine(version),
		since: s.o.Now(), mux: mux, cert: cert}
	if !s.add(t) {
		_ = mux.Close()
		return nil
	}
	defer s.drop(t)
	s.o.Log.Info("connector connected", "cluster", t.target, "remote", t.remote, "version", t.version)
	s.register(t)
	s.mu.Lock()
	up := slices.Clone(s.up)
	s.mu.Unlock()
	for _, tell := range up {
		tell(ctx, t.target)
	}
	s.control(t)
	s.o.Log.Info("connector disconnected", "cluster", t.target, "remote", t.remote)
	return nil
}

// reason is what a stranger is told of an error: the database's troubles are none of its business.
func reason(err error) string {
	for _, known := range []error{enrol.ErrRevoked, enrol.ErrToken, enrol.ErrUsed, enrol.ErrExpired, enrol.ErrRequest} {
		if errors.Is(err, known) {
			return err.Error()
		}
	}
	return "the server cannot check this now: see its log"
}

func (s *Server) add(t *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	list := append(s.sessions[t.target], t)
	if len(list) > maxSessions {
		go list[0].mux.Close() //nolint:errcheck // it is given up
		list = slices.Clone(list[1:])
	}
	s.sessions[t.target] = list
	return true
}

func (s *Server) drop(t *session) {
	_ = t.mux.Close()
	s.mu.Lock()
	list := slices.DeleteFunc(slices.Clone(s.sessions[t.target]), func(o *session) bool { return o == t })
	s.sessions[t.target] = list
	if len(list) == 0 {
		delete(s.sessions, t.target)
	}
	s.mu.Unlock()
	if len(list) == 0 {
		s.unregister(t.target)
	}
}

// newest is the cluster's tunnels, newest first.
func (s *Server) newest(target int64) []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.sessions[target])
	slices.Reverse(list)
	return list
}

// Dial implements Dialer: through a tunnel that ends here, or through the replica that has one.
func (s *Server) Dial(ctx context.Context, target int64) (net.Conn, error) {
	conn, err := s.local(ctx, target)
	if !errors.Is(err, ErrNoConnector) {
		return conn, err
	}
	return s.throughPeer(ctx, target)
}

func (s *Server) local(ctx context.Context, target int64) (net.Conn, error) {
	err := ErrNoConnector
	for _, t := range s.newest(target) {
		var conn net.Conn
		if conn, err = open(ctx, t.mux); err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		err = fmt.Errorf("%w (%w)", ErrNoConnector, err)
	}
	return nil, err
}

// open opens a stream, which waits when the other side accepts none.
func open(ctx context.Context, mux *yamux.Session) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	opened := make(chan result, 1)
	go func() {
		conn, err := mux.Open()
		opened <- result{conn, err}
	}()
	select {
	case r := <-opened:
		return r.conn, r.err
	case <-ctx.Done():
		go func() {
			if r := <-opened; r.conn != nil {
				_ = r.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// Connected reports whether a tunnel of the cluster ends at this process.
func (s *Server) Connected(target int64) bool { return len(s.newest(target)) > 0 }

// Cut ends the cluster's tunnels here and at the other replicas; those that cannot be asked notice by themselves within
// Timing.Beat.
func (s *Server) Cut(ctx context.Context, target int64) {
	s.cutHere(target)
	s.cutAtPeers(ctx, target)
}

func (s *Server) cutHere(target int64) {
	for _, t := range s.newest(target) {
		_ = t.mux.Close()
	}
}

// Close ends all tunnels; connectors find another replica, or wait.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	var all []*session
	for _, list := range s.sessions {
		all = append(all, list...)
	}
	s.mu.Unlock()
	for _, t := range all {
		_ = t.mux.Close()
	}
}

// ownCertificates keeps the server's own certificates and renews them when half of their time is over.
type ownCertificates struct {
	authority *enrol.Authority
	now       func() time.Time

	mu   sync.Mutex
	kept map[string]*tls.Certificate
}

func (o *ownCertificates) get(kind, name string) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.kept[kind]; c != nil && o.now().Add(enrol.ServerLifetime/2).Before(c.Leaf.NotAfter) {
		return c, nil
	}
	c, err := o.authority.Own(enrol.Holder{Kind: kind, Name: name})
	if err != nil {
		return nil, err
	}
	if o.kept == nil {
		o.kept = map[string]*tls.Certificate{}
	}
	o.kept[kind] = c
	return c, nil
}
