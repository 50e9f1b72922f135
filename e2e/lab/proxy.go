package lab

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Proxy stands between a client and the API server and can misbehave. It
// terminates TLS with a certificate of the cluster's CA and speaks HTTP/1.1 only,
// so that a cut response is a cut connection. RBAC still sees the caller: the
// client certificate's user and groups are passed on by impersonation (which a
// caller with a certificate cannot use for itself here), tokens as they are.
// When the API server is down the proxy hangs up.
type Proxy struct {
	target *ControlPlane
	server *http.Server
	url    string
	config string // path of the administrator's kubeconfig

	mu       sync.Mutex
	fault    Fault
	prefixes []string
	healed   chan struct{}
	seen     []string
}

// NewProxy starts a proxy in front of target; target.Close closes it too.
func NewProxy(target *ControlPlane) (*Proxy, error) {
	p := &Proxy{target: target, healed: make(chan struct{})}
	forward, err := p.forward()
	if err != nil {
		return nil, fmt.Errorf("lab proxy: %w", err)
	}
	serving, err := target.ca.server("lab-proxy")
	if err != nil {
		return nil, fmt.Errorf("lab proxy: %w", err)
	}
	cert, err := tls.X509KeyPair(serving.cert, serving.key)
	if err != nil {
		return nil, fmt.Errorf("lab proxy: %w", err)
	}
	callers := x509.NewCertPool()
	callers.AddCert(target.ca.cert)
	p.server = &http.Server{
		Handler:   p.handler(forward),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: callers},
		Protocols: new(http.Protocols),
		ErrorLog:  log.New(io.Discard, "", 0), // broken connections are what it is for
	}
	p.server.Protocols.SetHTTP1(true)

	target.mu.Lock()
	defer target.mu.Unlock()
	if target.closed {
		return nil, errors.New("lab proxy: the control plane is closed")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("lab proxy: %w", err)
	}
	p.url = "https://" + listener.Addr().String()
	if p.config, err = target.ca.writeKubeconfig(target.Dir(), p.url, admin); err != nil {
		listener.Close()
		return nil, fmt.Errorf("lab proxy: %w", err)
	}
	target.proxies = append(target.proxies, p)
	go p.server.ServeTLS(listener, "", "")
	return p, nil
}

// forward is the way to the API server. Callers with a certificate go with the
// administrator's and their name in the headers, others with what they bring.
func (p *Proxy) forward() (http.Handler, error) {
	api, err := url.Parse(p.target.URL())
	if err != nil {
		return nil, err
	}
	pair, err := p.target.ca.client(admin)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(pair.cert, pair.key)
	if err != nil {
		return nil, err
	}
	named := p.reverse(api, cert)
	unnamed := p.reverse(api)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			unnamed.ServeHTTP(w, r)
			return
		}
		for name := range r.Header {
			if strings.HasPrefix(name, "Impersonate-") {
				r.Header.Del(name)
			}
		}
		caller := r.TLS.PeerCertificates[0].Subject
		r.Header.Set("Impersonate-User", caller.CommonName)
		for _, group := range caller.Organization {
			r.Header.Add("Impersonate-Group", group)
		}
		named.ServeHTTP(w, r)
	}), nil
}

func (p *Proxy) reverse(api *url.URL, certs ...tls.Certificate) *httputil.ReverseProxy {
	roots := x509.NewCertPool()
	roots.AddCert(p.target.ca.cert)
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(api) },
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certs}, DisableCompression: true},
		FlushInterval: -1, // watches
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}

// handler notes the request and sends it the honest way or to the fault.
func (p *Proxy) handler(forward http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.seen = append(p.seen, r.Method+" "+r.RequestURI)
		fault, healed := p.fault, p.healed
		hit := fault != nil && (len(p.prefixes) == 0 || slices.ContainsFunc(p.prefixes, func(prefix string) bool {
			return strings.HasPrefix(r.URL.Path, prefix)
		}))
		p.mu.Unlock()
		if hit {
			fault(w, r, forward, healed)
			return
		}
		forward.ServeHTTP(w, r)
	})
}

// URL is the proxy's address, without a slash at the end.
func (p *Proxy) URL() string { return p.url }

// Kubeconfig is the path of an administrator's kubeconfig that leads to the proxy.
func (p *Proxy) Kubeconfig() string { return p.config }

// KubeconfigFor is [ControlPlane.KubeconfigFor], leading to the proxy.
func (p *Proxy) KubeconfigFor(user string, groups ...string) (string, error) {
	return p.target.ca.writeKubeconfig(p.target.Dir(), p.url, identity{user: user, groups: groups})
}

// Inject makes the requests fail whose path starts with one of prefixes, all
// requests if there are none. The fault injected before is healed.
func (p *Proxy) Inject(f Fault, prefixes ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.healed)
	p.healed = make(chan struct{})
	p.fault, p.prefixes = f, prefixes
}

// Heal ends the fault. Requests that stall go on.
func (p *Proxy) Heal() { p.Inject(nil) }

// Requests are the requests seen so far, each as "GET /api/v1/pods?limit=500".
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// Close stops the proxy and cuts what is open.
func (p *Proxy) Close() error { return p.server.Close() }
