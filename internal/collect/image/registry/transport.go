package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Clients holds one transport a host, and one more when what is trusted there changes: connections and rates are shared by all images
// of a run. Other options are those of the first image of a host.
type Clients struct {
	mu      sync.Mutex
	hosts   map[string]http.RoundTripper
	entries map[string]entry // by repository and who enters
}

// NewClients returns an empty set.
func NewClients() *Clients {
	return &Clients{hosts: map[string]http.RoundTripper{}, entries: map[string]entry{}}
}

func (c *Clients) base(host string, o Options) (http.RoundTripper, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := o.client(host)
	if rt := c.hosts[key]; rt != nil {
		return rt, nil
	}
	insecure := slices.Contains(o.Insecure, host)
	inner := o.Transport
	if inner == nil {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if len(o.CA) > 0 && !roots.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("the CA file holds no PEM certificate")
		}
		inner = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: roots, InsecureSkipVerify: insecure, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   8,
			IdleConnTimeout:       60 * time.Second,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: o.stall(),
			DisableCompression:    true, // blobs are compared by their bytes
		}
	}
	perSecond := o.Rate
	if perSecond <= 0 {
		perSecond = 20
	}
	p := &polite{inner: inner, limit: rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond))), retries: o.Retries, maxWait: o.MaxWait,
		stall: o.stall(), agent: o.UserAgent, insecure: insecure, host: host, backoff: 500 * time.Millisecond}
	if p.retries == 0 {
		p.retries = 4
	}
	if p.maxWait <= 0 {
		p.maxWait = time.Minute
	}
	if p.agent == "" {
		p.agent = "stockade"
	}
	c.hosts[key] = p
	return p, nil
}

func (o Options) stall() time.Duration {
	if o.Stall > 0 {
		return o.Stall
	}
	return 30 * time.Second
}

// polite is the transport below the authentication: rate, retries, stalls.
type polite struct {
	inner    http.RoundTripper
	limit    *rate.Limiter
	retries  int
	maxWait  time.Duration
	stall    time.Duration
	backoff  time.Duration
	agent    string
	host     string
	insecure bool
}

// RoundTrip implements http.RoundTripper. Requests without a body are tried again; others (token requests by POST) are not.
func (p *polite) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" && req.Header.Get("Authorization") != "" && !p.insecure && !loopback(req.URL.Hostname()) {
		return nil, fmt.Errorf("credentials are not sent to %s by plain HTTP; name it as insecure to allow it", req.URL.Host)
	}
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", p.agent)
	for try := 0; ; try++ {
		if err := p.limit.Wait(req.Context()); err != nil {
			return nil, err
		}
		resp, err := p.once(req)
		wait, again := p.again(resp, err, try)
		if !again || try >= p.retries || req.Body != nil && req.Body != http.NoBody {
			return resp, err
		}
		if resp != nil {
			_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
			_ = resp.Body.Close()
		}
		select {
		case <-req.Context().Done():
			return nil, req.Context().Err()
		case <-time.After(wait):
		}
	}
}

// again says whether a request is worth another try, and after what time.
func (p *polite) again(resp *http.Response, err error, try int) (time.Duration, bool) {
	wait := min(p.backoff<<min(try, 8), p.maxWait)
	if err != nil {
		var unknown x509.UnknownAuthorityError
		var name x509.HostnameError
		var dns *net.DNSError
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &unknown), errors.As(err, &name),
			errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &dns) && dns.IsNotFound:
			return 0, false
		}
		// A refused connection in the hand-shake is how an insecure registry answers TLS: one more try is enough.
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return wait, try < 1
		}
		return wait, true
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if after, ok := retryAfter(resp.Header.Get("Retry-After")); ok {
			return after, after <= p.maxWait
		}
		return wait, true
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return wait, true
	}
	return 0, false
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(s string) (time.Duration, bool) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < 1<<20 {
		return time.Duration(n) * time.Second, true
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(t)), true
	}
	return 0, false
}

// once sends a request that is cancelled when its answer stalls.
func (p *polite) once(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	stalled := fmt.Errorf("%s sent nothing for %s", req.URL.Host, p.stall)
	timer := time.AfterFunc(p.stall, func() { cancel(stalled) })
	resp, err := p.inner.RoundTrip(req.WithContext(ctx))
	if err != nil {
		timer.Stop()
		if cause := context.Cause(ctx); errors.Is(cause, stalled) {
			err = stalled
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &watched{ReadCloser: resp.Body, timer: timer, stall: p.stall, cancel: cancel, ctx: ctx, stalled: stalled}
	return resp, nil
}

// watched is a body whose timer starts anew with each read.
type watched struct {
	io.ReadCloser
	timer   *time.Timer
	stall   time.Duration
	cancel  context.CancelCauseFunc
	ctx     context.Context
	stalled error
}

func (w *watched) Read(b []byte) (int, error) {
	w.timer.Reset(w.stall)
	n, err := w.ReadCloser.Read(b)
	w.timer.Stop() // the reader may take its time
	if err != nil && err != io.EOF && errors.Is(context.Cause(w.ctx), w.stalled) {
		err = w.stalled
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	err := w.ReadCloser.Close()
	w.cancel(nil)
	return err
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
