package tunnel

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// dial connects to the server, through a proxy where the environment names one, and does the handshake.
func (c *Connector) dial(ctx context.Context, cfg *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*c.Timing.Answer)
	defer cancel()
	cfg.ServerName, _, _ = net.SplitHostPort(c.Server)
	cfg.Time = c.Now
	via, err := c.Proxy(&http.Request{URL: &url.URL{Scheme: "https", Host: c.Server}})
	if err != nil {
		return nil, fmt.Errorf("the proxy of the environment: %w", err)
	}
	var raw net.Conn
	if via != nil {
		raw, err = connect(ctx, via, c.Server)
	} else {
		raw, err = (&net.Dialer{}).DialContext(ctx, "tcp", c.Server)
	}
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("connecting to %s: %w", c.Server, err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != cfg.NextProtos[0] {
		_ = conn.Close()
		return nil, fmt.Errorf("%s speaks TLS but not %s: it is no stockade server, or something between ends TLS", c.Server, cfg.NextProtos[0])
	}
	return conn, nil
}

// connect asks an HTTP proxy for a way to the server.
func connect(ctx context.Context, via *url.URL, server string) (net.Conn, error) {
	address, port := via.Hostname(), via.Port()
	switch {
	case via.Scheme != "http" && via.Scheme != "https":
		return nil, fmt.Errorf("the proxy %s: want an address with http or https", via.Redacted())
	case port == "" && via.Scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(address, port))
	if err != nil {
		return nil, fmt.Errorf("the proxy %s: %w", via.Redacted(), err)
	}
	if via.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{ServerName: address, MinVersion: tls.VersionTLS12})
	}
	if err := handshake(ctx, conn, via, server); err != nil {
		return nil, errors.Join(fmt.Errorf("the proxy %s: %w", via.Redacted(), err), conn.Close())
	}
	return conn, nil
}

func handshake(ctx context.Context, conn net.Conn, via *url.URL, server string) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: server}, Host: server, Header: http.Header{}}
	if via.User != nil {
		password, _ := via.User.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(via.User.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", oneLine(resp.Status))
	}
	if in.Buffered() > 0 { // the server waits for us to speak
		return errors.New("it says more than it should")
	}
	return conn.SetDeadline(time.Time{})
}
