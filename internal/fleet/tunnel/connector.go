package tunnel

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
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/yamux"

	"stockade.dev/stockade/internal/fleet/enrol"
)

// Connector is the far end of a tunnel: it runs in the cluster.
type Connector struct {
	Server  string       // host:port of stockade's HTTPS port
	Token   string       // one-time, for the first start; may be empty when the Keeper has an identity
	Pin     string       // SHA-256 of the server's authority, hexadecimal: whom to enrol with
	Version string       // of this program
	Keeper  Keeper       // of the identity
	API     http.Handler // answers the server's requests: a Gate
	Log     *slog.Logger
	Timing  Timing
	Now     func() time.Time

	// Proxy names the proxy for an address, as http.Transport has it; nil is the environment's (HTTPS_PROXY, NO_PROXY).
	Proxy func(*http.Request) (*url.URL, error)

	MinWait, MaxWait time.Duration // between attempts to connect; defaults 1 s and 1 min
	Drain            time.Duration // how long a tunnel that was replaced may finish its requests; default 10 min
}

// Identity is what a connector has after enrolling.
type Identity struct {
	Key         string // PEM; made here, never leaves
	Certificate string // PEM
	Authority   string // PEM: whom to trust
	Enrolled    string // hash of the token that was used, so that a new token is noticed
}

// Keeper keeps the identity over restarts.
type Keeper interface {
	Load(ctx context.Context) (*Identity, error) // nil when there is none
	Save(ctx context.Context, id *Identity) error
}

// withDefaults is the connector with what was left out.
func (c Connector) withDefaults() *Connector {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Proxy == nil {
		c.Proxy = http.ProxyFromEnvironment
	}
	if c.MinWait <= 0 {
		c.MinWait = time.Second
	}
	if c.MaxWait <= 0 {
		c.MaxWait = time.Minute
	}
	if c.Drain <= 0 {
		c.Drain = 10 * time.Minute
	}
	c.Timing = c.Timing.withDefaults()
	return &c
}

// Run holds a tunnel until ctx ends, for ever connecting anew. It returns an error only when it cannot begin.
func (c *Connector) Run(ctx context.Context) error {
	c = c.withDefaults()
	if _, _, err := net.SplitHostPort(c.Server); err != nil {
		return fmt.Errorf("the server's address %q: want host:port", c.Server)
	}
	failures := 0
	for ctx.Err() == nil {
		began := c.Now()
		up, err := c.once(ctx)
		if ctx.Err() != nil {
			break
		}
		if up && err == nil { // a new certificate: go on with it at once
			failures = 0
			continue
		}
		if up && c.Now().Sub(began) > c.MaxWait {
			failures = 0
		}
		wait := c.wait(failures)
		failures++
		c.Log.Warn("no tunnel", "server", c.Server, "error", err, "next", wait.Round(time.Millisecond))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// wait grows with the failures and is never the same for all the connectors that a server has lost at once.
func (c *Connector) wait(failures int) time.Duration {
	most := c.MaxWait
	if failures < 16 {
		most = min(most, c.MinWait<<failures)
	}
	n, err := rand.Int(rand.Reader, big.NewInt(int64(most)/2+1))
	if err != nil {
		return most
	}
	return most/2 + time.Duration(n.Int64())
}

// once connects and holds the tunnel until it ends. up says that there was one. Both up and no error: the certificate was renewed.
func (c *Connector) once(ctx context.Context) (up bool, err error) {
	id, err := c.identity(ctx)
	if err != nil {
		return false, err
	}
	cert, roots, err := id.parse()
	if err != nil {
		return false, err
	}
	conn, err := c.dial(ctx, &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{Protocol}, InsecureSkipVerify: true, // VerifyConnection does it
		Certificates: []tls.Certificate{cert}, VerifyConnection: func(cs tls.ConnectionState) error { return verified(cs, roots, c.Now()) }})
	if err != nil {
		return false, err
	}
	_ = conn.SetDeadline(time.Now().Add(c.Timing.Answer))
	if _, err = io.WriteString(conn, oneLine(c.Version)+"\n"); err == nil {
		err = verdict(conn)
	}
	if err != nil {
		_ = conn.Close()
		var no *RefusedError
		if errors.As(err, &no) && !c.Now().Before(cert.Leaf.NotAfter) {
			err = fmt.Errorf("%w; the certificate has expired on %s", err, cert.Leaf.NotAfter.Format(time.DateOnly))
		}
		return false, err
	}
	_ = conn.SetDeadline(time.Time{})
	mux, err := yamux.Client(conn, c.Timing.mux(c.Log))
	if err != nil {
		_ = conn.Close()
		return false, err
	}
	c.Log.Info("tunnel open", "server", c.Server)
	return true, c.hold(ctx, mux, id, cert.Leaf)
}

// hold serves the tunnel until it ends, or until the certificate was renewed: then what runs may finish beside the next tunnel.
func (c *Connector) hold(ctx context.Context, mux *yamux.Session, id *Identity, cert *x509.Certificate) error {
	srv := &http.Server{Handler: c.API, ReadHeaderTimeout: time.Minute, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug)}
	go func() { _ = srv.Serve(mux) }()
	end := func() {
		_ = mux.Close()
		_ = srv.Close()
	}
	half := cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 2)
	looks := time.NewTicker(c.Timing.Beat)
	defer looks.Stop()
	retry := time.Time{}
	for {
		select {
		case <-ctx.Done():
			end()
			return ctx.Err()
		case <-mux.CloseChan():
			end()
			return errors.New("the tunnel was cut")
		case <-looks.C: // not a timer for the day: clocks jump, machines sleep
			if now := c.Now(); now.Before(half) || now.Before(retry) {
				continue
			}
			if err := c.renew(ctx, mux, id); err != nil {
				c.Log.Warn("certificate not renewed", "until", cert.NotAfter, "error", err)
				retry = c.Now().Add(c.MaxWait)
				continue
			}
			go c.drain(ctx, mux, end)
			return nil
		}
	}
}

// drain ends an old tunnel when nothing runs on it any more.
func (c *Connector) drain(ctx context.Context, mux *yamux.Session, end func()) {
	defer end()
	over := time.After(c.Drain)
	looks := time.NewTicker(c.Timing.Beat)
	defer looks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-looks.C:
			if mux.NumStreams() == 0 {
				return
			}
		}
	}
}

// identity loads what was kept, or enrols. A token that was not used yet wins over what was kept, which stays when it fails.
func (c *Connector) identity(ctx context.Context) (*Identity, error) {
	kept, err := c.Keeper.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("loading the connector's identity: %w", err)
	}
	sum := sha256.Sum256([]byte(c.Token))
	used := hex.EncodeToString(sum[:])
	if kept != nil && (c.Token == "" || kept.Enrolled == used) {
		return kept, nil
	}
	if c.Token == "" {
		return nil, errors.New("the connector is not enrolled and has no token: apply the manifest of the cluster's page")
	}
	id, err := c.enrol(ctx)
	if err != nil {
		if kept != nil {
			c.Log.Warn("enrolling with the new token failed: the identity from before is used", "error", err)
			return kept, nil
		}
		return nil, fmt.Errorf("enrolling: %w", err)
	}
	id.Enrolled = used
	if err := c.Keeper.Save(ctx, id); err != nil {
		return nil, fmt.Errorf("keeping the connector's identity: %w: make a new token and try again", err)
	}
	c.Log.Info("enrolled", "server", c.Server)
	return id, nil
}

// request makes a key and the request for its certificate. The name in it does not count.
func request() (key string, der []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", nil, err
	}
	der, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), der, err
}

// enrol exchanges the token for a certificate, with a server that shows an authority of the pin.
func (c *Connector) enrol(ctx context.Context) (*Identity, error) {
	key, der, err := request()
	if err != nil {
		return nil, err
	}
	pin := strings.ToLower(strings.TrimSpace(c.Pin))
	conn, err := c.dial(ctx, &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{EnrolProtocol}, InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(cs tls.ConnectionState) error { return pinned(cs, pin, c.Now()) }})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(2 * c.Timing.Answer))
	if err := json.NewEncoder(conn).Encode(application{Token: c.Token, Request: der, Version: oneLine(c.Version)}); err != nil {
		return nil, err
	}
	line, err := readLine(conn)
	if err != nil {
		return nil, fmt.Errorf("reading the server's answer: %w", err)
	}
	return take([]byte(line), key)
}

// pinned checks that the far end's chain leads to the authority of the pin.
func pinned(cs tls.ConnectionState, pin string, now time.Time) error {
	roots := x509.NewCertPool()
	found := false
	for _, cert := range cs.PeerCertificates {
		if cert.IsCA && enrol.PinOf(cert) == pin {
			roots.AddCert(cert)
			found = true
		}
	}
	if !found {
		return errors.New("the server is not the one of --ca-pin: check the address, and for something between that ends TLS")
	}
	return verified(cs, roots, now)
}

// take makes an identity of the server's answer.
func take(answer []byte, key string) (*Identity, error) {
	var p papers
	if err := json.Unmarshal(answer, &p); err != nil {
		return nil, errors.New("the server's answer is not JSON")
	}
	if p.Error != "" {
		return nil, &RefusedError{oneLine(p.Error)}
	}
	id := &Identity{Key: key, Certificate: p.Certificate, Authority: p.Authority}
	_, _, err := id.parse()
	return id, err
}

// renew asks for a new certificate through the tunnel, for a new key.
func (c *Connector) renew(ctx context.Context, mux *yamux.Session, id *Identity) error {
	ctx, cancel := context.WithTimeout(ctx, 3*c.Timing.Answer)
	defer cancel()
	key, der, err := request()
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return open(ctx, mux) }}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://server"+renewPath, bytes.NewReader(der))
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxLine))
	if err != nil {
		return err
	}
	fresh, err := take(answer, key)
	if err != nil {
		return err
	}
	fresh.Enrolled = id.Enrolled
	if err := c.Keeper.Save(ctx, fresh); err != nil {
		return fmt.Errorf("keeping it: %w", err)
	}
	c.Log.Info("certificate renewed")
	return nil
}

func (id *Identity) parse() (tls.Certificate, *x509.CertPool, error) {
	cert, err := tls.X509KeyPair([]byte(id.Certificate), []byte(id.Key))
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("the connector's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(id.Authority)) {
		return tls.Certificate{}, nil, errors.New("the authority of the connector's certificate is missing")
	}
	return cert, roots, nil
}
