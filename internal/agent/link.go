//go:build linux

package agent

import (
	"bytes"
	"context"
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
	"strings"
	"time"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/fleet/enrol"
)

// Limits of what the server answers, and of how long it is waited for.
const (
	mostAnswer = 32 << 20
	askTime    = 30 * time.Second
	sendTime   = 5 * time.Minute
)

// refusal is an answer that sending again does not mend.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// link speaks to the server with one identity.
type link struct {
	base    *url.URL
	http    *http.Client
	leaf    *x509.Certificate
	version string
}

// client is an HTTP client of the agent's protocol. The server shows a certificate of its own authority.
func client(conf *tls.Config) *http.Client {
	conf.MinVersion, conf.NextProtos = tls.VersionTLS13, []string{protocol.Mark, "http/1.1"}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: conf, TLSHandshakeTimeout: 10 * time.Second,
			MaxIdleConns: 2, MaxIdleConnsPerHost: 1, MaxConnsPerHost: 2, IdleConnTimeout: 2 * protocol.Interval, WriteBufferSize: 4 << 10, ReadBufferSize: 4 << 10,
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the certificate is for this server
	}
}

// serverURL reads the address as it is given: HOST:PORT or https://HOST:PORT.
func serverURL(address string) (*url.URL, error) {
	text := strings.TrimSpace(address)
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the server's address %q: want HOST:PORT", address)
	}
	return u, nil
}

// newLink opens the way to the server for an identity.
func newLink(address, version string, id *identity) (*link, error) {
	base, err := serverURL(address)
	if err != nil {
		return nil, err
	}
	cert, roots, err := id.parse()
	if err != nil {
		return nil, err
	}
	return &link{base, client(&tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots}), cert.Leaf, version}, nil
}

// call sends JSON, and decodes the answer into out. It reports false for 204 and 304.
func (l *link) call(ctx context.Context, method, path string, query url.Values, in, out any) (bool, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return false, err
		}
		body = bytes.NewReader(data)
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return l.send(ctx, method, path, query, body, "", out)
}

func (l *link) send(ctx context.Context, method, path string, query url.Values, body io.Reader, encoding string, out any) (bool, error) {
	u := l.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "stockade-agent/"+l.version)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	res, err := l.http.Do(req)
	if err != nil {
		return false, err
	}
	defer func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection may be kept
		_ = res.Body.Close()
	}()
	switch res.StatusCode {
	case http.StatusNoContent, http.StatusNotModified:
		return false, nil
	case http.StatusOK:
	default:
		text, _ := io.ReadAll(io.LimitReader(res.Body, 500)) // it only adds to the error
		why := fmt.Sprintf("%s %s: %s: %s", method, path, res.Status, printable(text))
		switch res.StatusCode {
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			return false, &refusal{res.StatusCode, why}
		}
		return false, errors.New(why)
	}
	if out == nil {
		return true, nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, mostAnswer)).Decode(out); err != nil {
		return false, fmt.Errorf("%s %s: the answer: %w", method, path, err)
	}
	return true, nil
}

// report sends the file of a packed report.
func (l *link) report(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	_, err = l.send(ctx, http.MethodPost, protocol.ReportPath, nil, f, "zstd", nil)
	return err
}

// printable keeps an answer from writing into logs what it likes.
func printable(text []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text), "?"))
}

// pinned checks that a chain leads to the authority whose SHA-256 is the pin, and is for the host.
func pinned(cs tls.ConnectionState, pin, host string, now time.Time) error {
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
	rest := x509.NewCertPool()
	for _, cert := range cs.PeerCertificates[1:] {
		rest.AddCert(cert)
	}
	_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: rest, CurrentTime: now})
	return err
}

// apply exchanges a token for papers, with a server that shows the authority of the pin.
func apply(ctx context.Context, address, pin, version string, now time.Time, a protocol.Application) (*protocol.Papers, error) {
	base, err := serverURL(address)
	if err != nil {
		return nil, err
	}
	pin = strings.ToLower(strings.TrimSpace(pin))
	l := &link{base: base, version: version, http: client(&tls.Config{InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(cs tls.ConnectionState) error { return pinned(cs, pin, base.Hostname(), now) }})}
	defer l.http.CloseIdleConnections()
	papers := new(protocol.Papers)
	_, err = l.call(ctx, http.MethodPost, protocol.EnrolPath, nil, a, papers)
	return papers, err
}
