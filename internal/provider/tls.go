package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Files of the folder with the certificates of the doors.
const (
	certFile     = "tls.crt"
	keyFile      = "tls.key"
	clientCAFile = "client-ca.crt" // who signed Gatekeeper's client certificate
	tokenFile    = "record-token"  // when it is there, only /record/TOKEN is answered
	lookTime     = 10 * time.Second
)

// certificates are those of the doors, read again when the files change. A file that cannot be read leaves the one before in use.
type certificates struct {
	dir string
	now func() time.Time
	log *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	stamp   string
	keys    *keys
	problem string
}

// keys are what the files say at one time.
type keys struct {
	config *tls.Config
	leaf   *x509.Certificate
	roots  *x509.CertPool // of clients; nil when there are none
	rootsN []*x509.Certificate
	token  string
}

var errNoKeys = errors.New("no certificate to serve with")

// current is what the files say now; nil when they never could be read.
func (c *certificates) current() *keys {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if since := now.Sub(c.looked); !c.looked.IsZero() && since < lookTime && since >= 0 {
		return c.keys
	}
	c.looked = now
	cert, err := os.ReadFile(filepath.Join(c.dir, certFile))
	key, err2 := os.ReadFile(filepath.Join(c.dir, keyFile))
	ca, err3 := os.ReadFile(filepath.Join(c.dir, clientCAFile))
	token, err4 := os.ReadFile(filepath.Join(c.dir, tokenFile))
	if errors.Is(err3, os.ErrNotExist) {
		err3 = nil
	}
	if errors.Is(err4, os.ErrNotExist) {
		err4 = nil
	}
	if err := errors.Join(err, err2, err3, err4); err != nil {
		c.fail(err)
		return c.keys
	}
	sum := sha256.Sum256(bytes.Join([][]byte{cert, key, ca, token}, []byte{0}))
	if stamp := string(sum[:]); stamp != c.stamp {
		k, err := readKeys(cert, key, ca, token)
		if err != nil {
			c.fail(err)
			return c.keys
		}
		c.keys, c.stamp = k, stamp
		c.log.Info("certificates", "until", k.leaf.NotAfter, "clients", len(k.rootsN))
	}
	c.problem = ""
	return c.keys
}

func (c *certificates) fail(err error) {
	text := "the certificates of " + c.dir + " cannot be read, those from before stay in use: " + err.Error()
	if text != c.problem {
		c.log.Error("certificates", "err", err)
	}
	c.problem = text
}

func readKeys(cert, key, ca, token []byte) (*keys, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	k := &keys{leaf: pair.Leaf, token: string(bytes.TrimSpace(token))}
	if len(bytes.TrimSpace(ca)) > 0 {
		k.roots = x509.NewCertPool()
		if !k.roots.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("%s: no certificate in it", clientCAFile)
		}
		if k.rootsN, err = parseAll(ca); err != nil {
			return nil, fmt.Errorf("%s: %w", clientCAFile, err)
		}
	}
	// The API server presents no certificate, or one of an authority of its own; Gatekeeper must. So certificates are asked for and
	// looked at by who needs one, not here.
	k.config = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, ClientCAs: k.roots, NextProtos: []string{"h2", "http/1.1"}}
	return k, nil
}

// config is for the listener.
func (c *certificates) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if k := c.current(); k != nil {
				return k.config, nil
			}
			return nil, errNoKeys
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errNoKeys }}
}

// problems say what is wrong with the certificates, in English; ends are when they end.
func (c *certificates) problems() (problems []string, ends map[string]time.Time) {
	k := c.current()
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.problem != "" {
		problems = append(problems, c.problem)
	}
	if k == nil {
		return problems, nil
	}
	ends = map[string]time.Time{"provider": k.leaf.NotAfter.UTC()}
	switch {
	case now.After(k.leaf.NotAfter):
		problems = append(problems, "the provider's certificate has ended: Gatekeeper and the API server refuse it until it is replaced")
	case now.Before(k.leaf.NotBefore):
		problems = append(problems, "the provider's certificate is not valid yet: is the clock right?")
	}
	if k.roots == nil {
		problems = append(problems, clientCAFile+" is not there: Gatekeeper's questions are refused")
	}
	for _, ca := range k.rootsN {
		if at, ok := ends["gatekeeper"]; !ok || ca.NotAfter.After(at) {
			ends["gatekeeper"] = ca.NotAfter.UTC()
		}
	}
	return problems, ends
}

// peer is what was found out of a connection's client.
type peer struct {
	by    atomic.Pointer[keys] // with which it was let in
	until atomic.Int64         // end of its certificate, in seconds
}

type peerKey struct{}

// connected is for http.Server.ConnContext.
func connected(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, &peer{})
}

// known reports whether the request came with a certificate of Gatekeeper's authority. The chain is checked once for a connection, and
// again when the authority or the certificate changes or ends.
func (c *certificates) known(r *http.Request) error {
	k := c.current()
	switch {
	case k == nil || k.roots == nil:
		return errors.New(clientCAFile + " is not there: nobody can be let in")
	case r.TLS == nil || len(r.TLS.PeerCertificates) == 0:
		return errors.New("a client certificate of Gatekeeper's authority is needed")
	}
	now := c.now()
	p, _ := r.Context().Value(peerKey{}).(*peer)
	if p != nil && p.by.Load() == k && now.Unix() < p.until.Load() {
		return nil
	}
	o := x509.VerifyOptions{Roots: k.roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, cert := range r.TLS.PeerCertificates[1:] {
		o.Intermediates.AddCert(cert)
	}
	leaf := r.TLS.PeerCertificates[0]
	if _, err := leaf.Verify(o); err != nil {
		return fmt.Errorf("the client certificate: %w", err)
	}
	if p != nil {
		p.until.Store(leaf.NotAfter.Unix())
		p.by.Store(k)
	}
	return nil
}

func parseAll(text []byte) (out []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return out, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, cert)
	}
}
