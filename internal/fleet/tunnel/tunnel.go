// Package tunnel lets the server reach API servers that it cannot dial: a connector inside the cluster opens one TLS connection
// to the server's HTTPS port, and the server's requests go through it. The connector answers for its own API server and for
// nothing else. Tunnels end at one replica of the server; the others reach them through it.
package tunnel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/yamux"

	"stockade.dev/stockade/internal/fleet/enrol"
)

// Protocols that the server speaks beside HTTP on its port, chosen by ALPN. Only the first two ask for a client's certificate.
const (
	Protocol      = "stockade-tunnel/1" // connector to server: one line each way, then yamux
	PeerProtocol  = "stockade-peer/1"   // replica to replica: one line each way, then a stream of a tunnel
	EnrolProtocol = "stockade-enrol/1"  // connector without a certificate to server: a line of JSON each way
)

// ErrNoConnector is returned for a cluster whose connector holds no tunnel now.
var ErrNoConnector = errors.New("the cluster's connector is not connected: see kubectl logs -n stockade deploy/stockade-connector in the cluster")

// Dialer opens a connection to the API server of a cluster through its connector. HTTP/1.1 is spoken on it, in clear: the tunnel
// below is encrypted.
type Dialer interface {
	Dial(ctx context.Context, target int64) (net.Conn, error)
}

// Timing says how soon a silent peer is given up. The zero value is right; tests are in a hurry.
type Timing struct {
	KeepAlive time.Duration // between pings; default 15 s
	Answer    time.Duration // for pings, handshakes and writes; default 10 s
	Beat      time.Duration // between the server's looks at what it holds: revoked, expired, rows of dead replicas; default 5 s
}

func (t Timing) withDefaults() Timing {
	if t.KeepAlive <= 0 {
		t.KeepAlive = 15 * time.Second
	}
	if t.Answer <= 0 {
		t.Answer = 10 * time.Second
	}
	if t.Beat <= 0 {
		t.Beat = 5 * time.Second
	}
	return t
}

// mux is the configuration of both ends. A peer that answers no ping within the time is gone, whatever TCP thinks.
func (t Timing) mux(log *slog.Logger) *yamux.Config {
	c := yamux.DefaultConfig()
	c.KeepAliveInterval = t.KeepAlive
	c.ConnectionWriteTimeout = t.Answer
	c.StreamOpenTimeout = 3 * t.Answer
	c.MaxStreamWindowSize = 1 << 20
	c.LogOutput, c.Logger = nil, slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	return c
}

// maxLine bounds the lines before a connection gets its purpose.
const maxLine = 16 << 10

// readLine reads a line and not a byte more.
func readLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for len(line) < maxLine {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
	return "", errors.New("the line is too long")
}

// oneLine makes text fit to be sent as a line, or shown in a log.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + "..."
	}
	return text
}

// accept is what a server says to go on; what follows refuse is the reason not to.
const (
	accept = "ok"
	refuse = "refused: "
)

// RefusedError is the server's no to a connector, with its reason.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "the server refuses: " + e.Reason }

// verdict reads accept or a refusal.
func verdict(r io.Reader) error {
	line, err := readLine(r)
	if err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	if reason, no := strings.CutPrefix(line, refuse); no {
		return &RefusedError{oneLine(reason)}
	}
	if line != accept {
		return fmt.Errorf("the server answers %q: it is another program, or another version of stockade", oneLine(line))
	}
	return nil
}

// verified checks that the far end is the server: signed by the roots, and named so.
func verified(cs tls.ConnectionState, roots *x509.CertPool, now time.Time) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the server shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		between.AddCert(c)
	}
	leaf := cs.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		return err
	}
	h, err := enrol.HolderOf(leaf)
	if err != nil {
		return err
	}
	if h.Kind != enrol.Server {
		return fmt.Errorf("the certificate is a %s's, not the server's", h.Kind)
	}
	return nil
}

// join passes bytes both ways until one side ends.
func join(a, b net.Conn) {
	done := make(chan struct{}, 2)
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		done <- struct{}{}
	}
	go pass(a, b)
	go pass(b, a)
	<-done
	_ = a.Close()
	_ = b.Close()
	<-done
}
