// Package client calls the API of a server: for the command line, the connector and the agent.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options say how to reach a server.
type Options struct {
	URL       string // https://HOST[:PORT]; http is for loopback addresses alone
	Token     string // API token; may be empty
	CA        []byte // PEM of the CAs to trust in place of the system's
	Pin       string // "sha256:HEX" of the public key of the server's CA, which the server sends; wins over CA
	UserAgent string
	Lang      string // "en" or "zh" for texts in answers
	Session   bool   // keep cookies, to sign in with a password
	// Wait sleeps before another attempt; nil is time.After. For tests.
	Wait func(ctx context.Context, d time.Duration) error
}

// Bounds of what a server may do to a client.
const (
	attempts  = 5
	longest   = time.Minute // that a server may ask to wait
	maxAnswer = 64 << 20
)

// Client calls one server. It is safe for use by several goroutines.
type Client struct {
	o    Options
	base *url.URL
	http *http.Client
}

// New makes a client. Nothing is sent yet.
func New(o Options) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(o.URL, "/"))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return nil, fmt.Errorf("%q is no server: want https://HOST[:PORT]", o.URL)
	}
	if u.Scheme == "http" && !local(u.Hostname()) {
		return nil, fmt.Errorf("%s: a token is not sent in the clear: use https", o.URL)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case o.Pin != "":
		pin, err := hex.DecodeString(strings.TrimPrefix(o.Pin, "sha256:"))
		if err != nil || len(pin) != sha256.Size {
			return nil, fmt.Errorf("the CA pin %q: want sha256: and 64 hexadecimal digits, as the server prints at its start", o.Pin)
		}
		cfg.InsecureSkipVerify = true //nolint:gosec // VerifyConnection does it, with the pinned CA as the only root
		cfg.VerifyConnection = func(cs tls.ConnectionState) error { return pinned(cs, pin) }
	case len(o.CA) > 0:
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("the CA file holds no certificate in PEM")
		}
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: cfg, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8,
		DialContext:         (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 15 * time.Second, IdleConnTimeout: 90 * time.Second}
	var jar http.CookieJar
	if o.Session {
		if jar, err = cookiejar.New(nil); err != nil {
			return nil, err
		}
	}
	return &Client{o: o, base: u, http: &http.Client{Transport: t, Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		return fmt.Errorf("the server sends the request on to %s, where the token does not belong: use that address", r.URL.Redacted())
	}}}, nil
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// pinned verifies a connection with the certificate that has the pin as the only root.
func pinned(cs tls.ConnectionState, pin []byte) error {
	for _, c := range cs.PeerCertificates {
		if sum := sha256.Sum256(c.RawSubjectPublicKeyInfo); !bytes.Equal(sum[:], pin) {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(c)
		_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: cs.ServerName})
		return err
	}
	return errors.New("the server's CA is not the pinned one: either it was made anew, or this is not the server")
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Problem is an error that the server answered with.
type Problem struct {
	Status   int    `json:"status"`
	Title    string `json:"title"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"` // names the request in the server's log
	Errors   []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
}

// Error implements error.
func (p *Problem) Error() string {
	s := p.Detail
	if s == "" {
		s = p.Title
	}
	for _, e := range p.Errors {
		s += "; " + strings.TrimPrefix(e.Location+": "+e.Message, ": ")
	}
	if p.Status >= 500 && p.Instance != "" {
		s += " (" + p.Instance[strings.LastIndex(p.Instance, ":")+1:] + ")"
	}
	return clean(s)
}

// Hint says what the user can do; "" when the text says it.
func (p *Problem) Hint() string {
	switch p.Status {
	case http.StatusUnauthorized:
		return "Sign in: stockade login URL."
	case http.StatusForbidden:
		return "Ask an administrator for a role that allows it, or use a token with a wider scope."
	case http.StatusPreconditionFailed:
		return "Read it again, and change it then."
	}
	return ""
}

// clean keeps what a server says on one line, without control characters.
func clean(s string) string {
	if len(s) > 2000 {
		s = s[:2000] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// Call sends in as JSON, when it is not nil, to a path below /api/v1 and reads the answer into out, when that is not nil. A POST
// gets an idempotency key, so that it can be sent again safely.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	res, err := c.send(ctx, request{method: method, path: path, content: "application/json", body: func() (io.Reader, error) { return bytes.NewReader(body), nil }, empty: in == nil})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if out == nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.base.Host, err)
	}
	if len(data) > maxAnswer {
		return fmt.Errorf("the answer of %s is larger than %d MiB", c.base.Host, maxAnswer>>20)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("the answer of %s is not what this version knows: %w", c.base.Host, err)
	}
	return nil
}

// Upload sends a file. open gives it from its beginning, once for each attempt.
func (c *Client) Upload(ctx context.Context, path, content string, open func() (io.Reader, error), out any) error {
	res, err := c.send(ctx, request{method: http.MethodPost, path: path, content: content, body: open})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	return json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out)
}

// Download copies an answer, of any length, to w.
func (c *Client) Download(ctx context.Context, path, accept string, w io.Writer) error {
	res, err := c.send(ctx, request{method: http.MethodGet, path: path, accept: accept, empty: true})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(w, res.Body)
	return err
}

type request struct {
	method, path    string
	content, accept string
	body            func() (io.Reader, error)
	empty           bool
}

// send sends a request, again when the server asks for that or the connection fails, and returns a successful answer.
func (c *Client) send(ctx context.Context, q request) (*http.Response, error) {
	key := ""
	if q.method == http.MethodPost {
		key = rand.Text()
	}
	for attempt := 1; ; attempt++ {
		res, err := c.once(ctx, q, key)
		pause := time.Duration(attempt*attempt) * 250 * time.Millisecond
		switch {
		case err != nil:
			safe := q.method == http.MethodGet || q.method == http.MethodPut || q.method == http.MethodDelete || key != ""
			if ctx.Err() != nil || attempt == attempts || !safe || !passing(err) {
				return nil, fmt.Errorf("calling %s: %w", c.base.Host, unwrap(err))
			}
		case res.StatusCode < 300:
			return res, nil
		default:
			p := problemOf(res)
			again := res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusConflict && key != ""
			after, ok := retryAfter(res.Header)
			if !again || attempt == attempts || res.StatusCode == http.StatusConflict && !ok || after > longest {
				return nil, p
			}
			if ok {
				pause = after
			}
		}
		if err := c.o.Wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// passing reports whether a failed connection may be better next time.
func passing(err error) bool {
	var u *url.Error // is a net.Error itself, whatever it wraps
	if errors.As(err, &u) {
		err = u.Err
	}
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var network net.Error
	return !errors.As(err, &cert) && !errors.As(err, &unknown) && (errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
}

func unwrap(err error) error {
	var u *url.Error // its text repeats method and URL
	if errors.As(err, &u) {
		err = u.Err
	}
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		return fmt.Errorf("%w: for a server with its own CA give --ca-pin, which it prints at its start, or --ca-file", err)
	}
	return err
}

func (c *Client) once(ctx context.Context, q request, key string) (*http.Response, error) {
	var body io.Reader
	if !q.empty {
		var err error
		if body, err = q.body(); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, q.method, c.base.String()+"/api/v1"+q.path, body)
	if err != nil {
		return nil, err
	}
	if c.o.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.o.Token)
	}
	if !q.empty {
		r.Header.Set("Content-Type", q.content)
	}
	for name, v := range map[string]string{"User-Agent": c.o.UserAgent, "Accept-Language": c.o.Lang, "Accept": q.accept, "Idempotency-Key": key} {
		if v != "" {
			r.Header.Set(name, v)
		}
	}
	return c.http.Do(r)
}

func problemOf(res *http.Response) *Problem {
	data, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20)) // what came is enough
	_ = res.Body.Close()
	p := &Problem{}
	if json.Unmarshal(data, p) != nil || p.Title == "" {
		p = &Problem{Title: res.Status, Detail: res.Status + ": this is not the answer of a stockade server: is a proxy in between?"}
	}
	p.Status = res.StatusCode
	return p
}

func retryAfter(h http.Header) (time.Duration, bool) {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

// Get reads one thing.
func Get[T any](ctx context.Context, c *Client, path string, query url.Values) (T, error) {
	var out T
	err := c.Call(ctx, http.MethodGet, withQuery(path, query), nil, &out)
	return out, err
}

// All reads a list, page by page as it is walked. The last pair holds the error, if there was one.
func All[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		q := url.Values{}
		for k, v := range query {
			q[k] = v
		}
		for {
			page, err := Get[struct {
				Items []T    `json:"items"`
				Next  string `json:"next"`
			}](ctx, c, path, q)
			if err != nil {
				yield(zero, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			if page.Next == q.Get("after") {
				yield(zero, errors.New("the server gives the same page again and again"))
				return
			}
			q.Set("after", page.Next)
		}
	}
}

func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
