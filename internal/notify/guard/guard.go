// Package guard keeps the server from calling places that people may name but that are not theirs to reach: private networks, the
// machine itself, the metadata services of clouds. It looks at the address that is dialled, after names are resolved.
package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Guard says which addresses may be dialled. The zero Guard allows public addresses only.
type Guard struct {
	prefixes []netip.Prefix
	hosts    []string // lower case; ".example.com" stands for everything below
	resolver *net.Resolver
}

// Private are the networks that installations use for themselves, for an administrator who trusts all of them. This machine,
// link-local addresses and metadata services are not among them.
var Private = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"}

// ErrRefused is in the chain of every error about a place that may not be called.
var ErrRefused = errors.New("refused")

// New makes a Guard that allows public addresses and those of the administrator's list: "10.1.0.0/16", "10.1.2.3",
// "mail.corp.example.com", "*.corp.example.com". A host on the list may have any address but those of metadata services, which are
// allowed by their exact address only.
func New(allow []string) (*Guard, error) {
	g := &Guard{}
	for _, entry := range allow {
		entry = strings.ToLower(strings.TrimSpace(entry))
		if p, err := netip.ParsePrefix(entry); err == nil {
			g.prefixes = append(g.prefixes, p.Masked())
			continue
		}
		if a, err := netip.ParseAddr(entry); err == nil && a.Zone() == "" {
			a = a.Unmap()
			g.prefixes = append(g.prefixes, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		host := strings.TrimPrefix(entry, "*")
		if name := strings.TrimPrefix(host, "."); name == "" || strings.ContainsAny(name, "*/:@[] ") || strings.HasPrefix(entry, "*") && !strings.HasPrefix(host, ".") {
			return nil, fmt.Errorf("allowed destination %q: want a network (10.1.0.0/16), an address, a host or *.domain", entry)
		}
		g.hosts = append(g.hosts, host)
	}
	return g, nil
}

// denied are the networks that are nobody's public address, with the word for people.
var denied = []struct {
	prefix netip.Prefix
	why    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "private"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "reserved"},
	{netip.MustParsePrefix("192.88.99.0/24"), "reserved"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "reserved"},
	{netip.MustParsePrefix("198.51.100.0/24"), "reserved"},
	{netip.MustParsePrefix("203.0.113.0/24"), "reserved"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("::/96"), "unspecified"},        // and IPv4-compatible
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "reserved"}, // IPv4-translated
	{netip.MustParsePrefix("64:ff9b:1::/48"), "private"},   // a network's own NAT64
	{netip.MustParsePrefix("100::/64"), "reserved"},
	{netip.MustParsePrefix("2001::/23"), "reserved"}, // Teredo, ORCHID, benchmarks
	{netip.MustParsePrefix("2001:db8::/32"), "reserved"},
	{netip.MustParsePrefix("2002::/16"), "reserved"}, // 6to4
	{netip.MustParsePrefix("3fff::/20"), "reserved"},
	{netip.MustParsePrefix("5f00::/16"), "reserved"},
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "private"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// metadata are the addresses of clouds' metadata and credential services. Some are public addresses.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("169.254.170.2"), netip.MustParseAddr("169.254.170.23"),
	netip.MustParseAddr("169.254.0.23"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"),
	netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd00:ec2::23"),
	netip.MustParseAddr("fd20:ce::254"),
}

var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// Refused says why an address may not be dialled: "" when it is public.
func Refused(a netip.Addr) string {
	if a.Zone() != "" {
		return "link-local"
	}
	a = embedded(a)
	if slices.Contains(metadata, a) {
		return "metadata service"
	}
	for _, d := range denied {
		if d.prefix.Contains(a) {
			return d.why
		}
	}
	if !a.IsValid() || !a.IsGlobalUnicast() {
		return "not a public address"
	}
	return ""
}

// embedded takes the IPv4 address out of the IPv6 forms that networks turn back into it.
func embedded(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// check refuses an address that is not public, unless it or the name that led to it is allowed.
func (g *Guard) check(host string, a netip.Addr) error {
	why := Refused(a)
	if why == "" {
		return nil
	}
	plain := embedded(a.WithZone(""))
	secret := slices.Contains(metadata, plain)
	for _, p := range g.prefixes {
		if p.Contains(plain) && (!secret || p.IsSingleIP()) {
			return nil
		}
	}
	if !secret && g.named(host) {
		return nil
	}
	return fmt.Errorf("%w: %s has the address %s (%s): an administrator can put the host or its network on the list of allowed destinations", ErrRefused, host, a, why)
}

func (g *Guard) named(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return slices.ContainsFunc(g.hosts, func(h string) bool {
		return h == host || strings.HasPrefix(h, ".") && strings.HasSuffix(host, h) && len(host) > len(h)
	})
}

// Dial connects to addr (host:port) if the address that its host has now may be dialled. It fits http.Transport.DialContext.
func (g *Guard) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: 10 * time.Second, Resolver: g.resolver, FallbackDelay: -1}
	// Control sees each resolved address at the moment of the connection: a name cannot change in between.
	d.Control = func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: address %q: %w", ErrRefused, address, err)
		}
		return g.check(host, ap.Addr())
	}
	return d.DialContext(ctx, network, addr)
}

// Host refuses host names that are refused addresses already as they are written; names are looked at when they are dialled.
func (g *Guard) Host(host string) error {
	if a, err := netip.ParseAddr(host); err == nil {
		return g.check(host, a)
	}
	if h := strings.TrimSuffix(strings.ToLower(host), "."); (h == "localhost" || strings.HasSuffix(h, ".localhost")) && !g.named(host) {
		return fmt.Errorf("%w: %s is this machine: an administrator can put it on the list of allowed destinations", ErrRefused, host)
	}
	return nil
}

// URL reads an address that people gave: https, or http if plain is allowed, with a host and no password in it.
func (g *Guard) URL(text string, plain bool) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("the address is not a URL") // the parser's error would quote it, and it may be a secret
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the address must begin with https://")
	case u.Scheme == "http" && !plain:
		return nil, errors.New("the address must begin with https://, or plain HTTP must be allowed for it")
	case u.Hostname() == "":
		return nil, errors.New("the address has no host")
	case u.User != nil:
		return nil, errors.New("the address holds a user or password: give them as authorization")
	}
	return u, g.Host(u.Hostname())
}

// Client makes an HTTP client that goes through the guard, follows no redirects, uses no proxy and ends after timeout. roots are
// more certificate authorities to trust, nil for the system's alone.
func (g *Guard) Client(timeout time.Duration, roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: g.Dial, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives: true, DisableCompression: true},
	}
}

// Roots reads certificates in PEM that are trusted beside the system's; nil for none.
func Roots(pem string) (*x509.CertPool, error) {
	if strings.TrimSpace(pem) == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil, errors.New("the certificate authority is not a certificate in PEM")
	}
	return pool, nil
}
