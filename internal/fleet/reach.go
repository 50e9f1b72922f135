package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/collect/cluster"
	"stockade.dev/stockade/internal/fleet/tunnel"
)

// use counts what the server asks of a cluster.
type use struct {
	requests, received, sent atomic.Int64
}

// Metadata services that are no link-local addresses: Alibaba Cloud's, Azure's wire server, Oracle's, AWS's over IPv6.
var metadata = []netip.Addr{netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("192.0.0.192"),
	netip.MustParseAddr("fd00:ec2::254")}

// nat64 are addresses that hold an IPv4 address at their end.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// reachable says whether an API server may have the address. Private networks are where clusters are; this machine, its link and the
// metadata services of clouds are not.
func reachable(addr netip.Addr) error {
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch {
	case addr.IsLoopback(), addr.IsUnspecified():
		return &addressError{addr, "this machine's own"}
	case addr.IsLinkLocalUnicast(), addr.IsMulticast(), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return &addressError{addr, "a link-local or multicast one"}
	case slices.Contains(metadata, addr):
		return &addressError{addr, "a cloud's metadata service"}
	}
	return nil
}

// addressError is an address that is not dialled.
type addressError struct {
	addr netip.Addr
	what string
}

func (e *addressError) Error() string {
	return fmt.Sprintf("the address %s is %s, where no API server is asked: an administrator of the server can allow it (--allow-local-clusters)", e.addr, e.what)
}

// dialer dials API servers. The address is judged after the name was resolved, so that no answer of a DNS server gets around it.
func (f *Fleet) dialer() *net.Dialer {
	d := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if !f.o.AllowLocal {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return reachable(ap.Addr())
		}
	}
	return d
}

// counted counts the bytes of a connection.
type counted struct {
	net.Conn
	use *use
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.use.received.Add(int64(n))
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.use.sent.Add(int64(n))
	return n, err
}

// client is how one cluster is reached, kept as long as its credentials are the same.
type client struct {
	generation int64
	config     *rest.Config // for lists that are streamed: answers have no bound
	watch      *rest.Config // for client-go, which reads answers whole: they have one
	transport  *http.Transport
}

// maxWhole bounds an answer that is read whole.
const maxWhole = 256 << 20

// newClient makes the transport of a cluster: with the address policy or the tunnel's dialer, counting, following no redirects,
// through no proxy of the environment.
func (f *Fleet) newClient(plain *rest.Config, u *use, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*client, error) {
	tlsConfig, err := rest.TLSConfigFor(plain)
	if err != nil {
		return nil, err
	}
	if dial == nil {
		dial = f.dialer().DialContext
	}
	t := &http.Transport{TLSClientConfig: tlsConfig, TLSHandshakeTimeout: 10 * time.Second, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &counted{conn, u}, nil
		}}
	config := func(most int64) *rest.Config {
		return &rest.Config{Host: plain.Host, APIPath: plain.APIPath, BearerToken: plain.BearerToken, BearerTokenFile: plain.BearerTokenFile,
			Impersonate: plain.Impersonate, Transport: &guard{next: t, use: u, most: most}, UserAgent: "stockade/" + f.o.Version, QPS: f.o.QPS, Burst: f.o.Burst}
	}
	return &client{config: config(0), watch: config(maxWhole), transport: t}, nil
}

// guard counts requests and stops what an API server has no reason to do: leading elsewhere, and answers without end.
type guard struct {
	next http.RoundTripper
	use  *use
	most int64 // bytes of an answer that is no watch; 0 for no bound
}

// redirectError is an answer that leads elsewhere. The credentials are not taken there.
type redirectError struct{ to string }

func (e *redirectError) Error() string {
	return "the server leads elsewhere (" + e.to + "), which API servers do not: give the address of the API server itself"
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	g.use.requests.Add(1)
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified {
		_ = resp.Body.Close()
		to := resp.Header.Get("Location")
		if u, err := url.Parse(to); err == nil {
			u.RawQuery, u.Fragment = "", ""
			to = u.Redacted()
		}
		return nil, &redirectError{oneLine(fmt.Sprintf("%d %.200s", resp.StatusCode, to))}
	}
	if g.most > 0 && req.URL.Query().Get("watch") == "" {
		resp.Body = &bounded{resp.Body, g.most}
	}
	return resp, nil
}

// bounded ends a body that is too large with an error.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer is larger than %d MiB", maxWhole>>20)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// stateOf names the state that an attempt leaves a cluster in, and why.
func stateOf(err error) (State, string) {
	switch {
	case err == nil:
		return Connected, ""
	case errors.Is(err, tunnel.ErrNoConnector):
		return Waiting, tunnel.ErrNoConnector.Error()
	case cluster.Refused(err):
		return Refused, oneLine(err.Error())
	}
	return Unreachable, oneLine(err.Error())
}
