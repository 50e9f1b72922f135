// Package link is the provider's way to the server: JSON over HTTPS with the cluster's client certificate. The certificate, the
// server's address and whom to trust are files of a Secret that the server itself replaces before they end; they are read again when
// they change. Connections are kept; each kind of question has its own, so that a slow one holds up no other.
package link

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// Files of the folder.
const (
	CertFile   = "tls.crt"
	KeyFile    = "tls.key"
	CAFile     = "ca.crt" // who signed the server's certificate; empty or not there: the system's roots
	ServerFile = "server" // https://stockade.example.com:8443, or host:port
	TargetFile = "target" // id of the cluster
)

// Limits of answers, and times.
const (
	mostAnswer = 32 << 20
	askTime    = 10 * time.Second // for answers that do not wait
	lookTime   = 10 * time.Second // between looks at the files
	holdTime   = 5 * time.Second  // between tries while the server is away
	patience   = 2                // failures in a row until it counts as away
)

// Client talks to the server. It is safe for use by many at once.
type Client struct {
	dir     string
	version string
	now     func() time.Time

	mu     sync.Mutex
	looked time.Time
	stamp  string
	broken error // what is wrong with the files; the client before stays in use
	server *server

	failures int
	tried    time.Time // last try while away
	reached  time.Time // last answer
	last     error
}

// server is what the files say at one time.
type server struct {
	base   *url.URL
	http   *http.Client
	target int64
	leaf   *x509.Certificate
}

// New returns a client for the files of a folder. They need not be there yet.
func New(dir, version string, now func() time.Time) *Client {
	if now == nil {
		now = time.Now
	}
	return &Client{dir: dir, version: version, now: now}
}

// ErrSetup is wrapped by errors about the files.
var ErrSetup = errors.New("the link to the server is not set up")

// ErrRefused is wrapped by errors that sending again does not mend.
var ErrRefused = errors.New("the server refused it")

// current is the server as the files say now.
func (c *Client) current() (*server, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if since := now.Sub(c.looked); c.looked.IsZero() || since >= lookTime || since < 0 {
		c.looked = now
		c.look()
	}
	if c.server == nil {
		return nil, c.broken
	}
	return c.server, nil
}

func (c *Client) look() {
	var files [5][]byte
	sum := sha256.New()
	var missing error
	for i, name := range []string{CertFile, KeyFile, ServerFile, CAFile, TargetFile} {
		data, err := os.ReadFile(filepath.Join(c.dir, name))
		if err != nil && i < 3 {
			missing = errors.Join(missing, err)
		}
		files[i] = data
		sum.Write(data)
		sum.Write([]byte{0})
	}
	if missing != nil {
		c.broken = fmt.Errorf("%w: %w", ErrSetup, missing)
		return
	}
	stamp := string(sum.Sum(nil))
	if stamp == c.stamp {
		return
	}
	s, err := read(files[0], files[1], files[2], files[3], files[4])
	if err != nil {
		c.broken = fmt.Errorf("%w: %w", ErrSetup, err)
		return
	}
	if c.server != nil {
		c.server.http.CloseIdleConnections()
	}
	c.server, c.stamp, c.broken, c.failures = s, stamp, nil, 0
}

func read(cert, key, address, ca, target []byte) (*server, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", CertFile, KeyFile, err)
	}
	text := strings.TrimSpace(string(address))
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	base, err := url.Parse(text)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("%s: want https://HOST:PORT", ServerFile)
	}
	s := &server{base: base, leaf: pair.Leaf}
	if id := strings.TrimSpace(string(target)); id != "" {
		if s.target, err = strconv.ParseInt(id, 10, 64); err != nil {
			return nil, fmt.Errorf("%s: want a number", TargetFile)
		}
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{protocol.Mark, "http/1.1"}}
	if len(bytes.TrimSpace(ca)) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("%s: no certificate in it", CAFile)
		}
	}
	dialer := &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}
	s.http = &http.Client{
		// No HTTP/2: one stuck connection would hold up everything.
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: conf, TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConns: 8, MaxIdleConnsPerHost: 8, MaxConnsPerHost: 16, IdleConnTimeout: 90 * time.Second, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the certificate is for this server
	}
	return s, nil
}

// Target is the id of the cluster; 0 when the files do not say it.
func (c *Client) Target() int64 {
	if s, err := c.current(); err == nil {
		return s.target
	}
	return 0
}

// Expiry is when the client certificate ends; zero when there is none.
func (c *Client) Expiry() time.Time {
	if s, err := c.current(); err == nil && s.leaf != nil {
		return s.leaf.NotAfter
	}
	return time.Time{}
}

// Away reports whether the server is known to be away, so that nobody waits for it. Now and then one is let try.
func (c *Client) Away() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures < patience {
		return false
	}
	now := c.now()
	if since := now.Sub(c.tried); since >= holdTime || since < 0 {
		c.tried = now
		return false
	}
	return true
}

// State tells when the server was reached last, and what is wrong now; nil is nothing.
func (c *Client) State() (reached time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return c.reached, c.broken
	}
	return c.reached, c.last
}

func (c *Client) settle(ctx context.Context, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil || errors.Is(err, ErrRefused):
		c.failures, c.reached, c.last = 0, c.now(), err
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled): // we gave up, not the server
	default:
		c.failures++
		c.tried, c.last = c.now(), err
		c.looked = time.Time{} // perhaps the files changed
	}
	return err
}

// do sends a request and decodes the answer into out. It reports false for 204. The time that ctx leaves bounds it.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, in []byte, out any) (bool, error) {
	s, err := c.current()
	if err != nil {
		return false, c.settle(ctx, err)
	}
	some, err := s.do(ctx, c.version, method, path, query, in, out)
	return some, c.settle(ctx, err)
}

func (s *server) do(ctx context.Context, version, method, path string, query url.Values, in []byte, out any) (bool, error) {
	u := s.base.JoinPath(path)
	u.RawQuery = query.Encode()
	var body io.Reader
	if in != nil {
		body = bytes.NewReader(in)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "stockade-provider/"+version)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.http.Do(req)
	if err != nil {
		return false, err
	}
	defer func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection may be kept
		_ = res.Body.Close()
	}()
	switch {
	case res.StatusCode == http.StatusNoContent:
		return false, nil
	case res.StatusCode != http.StatusOK:
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300)) // it only adds to the error
		err := fmt.Errorf("%s %s: %s: %s", method, path, res.Status, printable(text))
		switch res.StatusCode {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			err = fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return false, err
	case out == nil:
		return true, nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, mostAnswer)).Decode(out); err != nil {
		return false, fmt.Errorf("%s %s: the answer: %w", method, path, err)
	}
	return true, nil
}

// printable keeps an answer that is none of ours from writing into logs what it likes.
func printable(text []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text), "?"))
}

// Bundle waits for another bundle than that of a generation; nil when there was none in the protocol's time.
func (c *Client) Bundle(ctx context.Context, have string) (*policy.Bundle, error) {
	ctx, cancel := context.WithTimeout(ctx, protocol.Wait+askTime)
	defer cancel()
	var b policy.Bundle
	if some, err := c.do(ctx, http.MethodGet, protocol.BundlePath, url.Values{"have": {have}}, nil, &b); err != nil || !some {
		return nil, err
	}
	return &b, nil
}

// Images asks for verdicts.
func (c *Client) Images(ctx context.Context, q protocol.ImagesRequest) (*protocol.ImagesAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	in, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	var a protocol.ImagesAnswer
	some, err := c.do(ctx, http.MethodPost, protocol.ImagesPath, nil, in, &a)
	if err == nil && (!some || len(a.Verdicts) != len(q.Images)) {
		err = fmt.Errorf("the server answered %d of %d images", len(a.Verdicts), len(q.Images))
	}
	return &a, err
}

// Changes waits for verdicts that are others now; nil when there were none in the protocol's time.
func (c *Client) Changes(ctx context.Context, after int64) (*protocol.Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, protocol.Wait+askTime)
	defer cancel()
	var ch protocol.Changes
	some, err := c.do(ctx, http.MethodGet, protocol.ChangesPath, url.Values{"after": {strconv.FormatInt(after, 10)}}, nil, &ch)
	if err != nil || !some {
		return nil, err
	}
	return &ch, nil
}

// Send delivers an encoded protocol.Batch.
func (c *Client) Send(ctx context.Context, batch []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 2*askTime)
	defer cancel()
	_, err := c.do(ctx, http.MethodPost, protocol.AdmissionsPath, nil, batch, nil)
	return err
}

// Beat tells how the provider is.
func (c *Client) Beat(ctx context.Context, b protocol.Beat) (*protocol.BeatAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	in, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	var a protocol.BeatAnswer
	if _, err := c.do(ctx, http.MethodPost, protocol.BeatPath, nil, in, &a); err != nil {
		return nil, err
	}
	return &a, nil
}
