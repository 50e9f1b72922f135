package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/fleet/enrol"
)

// own is the certificate that the server's own authority makes for this process. Its key never leaves memory.
type own struct {
	authority *enrol.Authority
	names     []string
	now       func() time.Time

	mu   sync.Mutex
	leaf *tls.Certificate
}

// certificate is for tls.Config.GetCertificate: it makes a new one when a third of the old one's life is left.
func (o *own) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	// A clock that was far ahead and is set back would leave a certificate that is not valid yet.
	if o.leaf != nil && now.Before(o.leaf.Leaf.NotAfter.Add(-enrol.ServerLifetime/3)) && now.After(o.leaf.Leaf.NotBefore) {
		return o.leaf, nil
	}
	leaf, err := o.authority.Own(enrol.Holder{Kind: enrol.Server, Name: "server"}, o.names...)
	if err != nil {
		return nil, err
	}
	o.leaf = leaf
	return leaf, nil
}

// names gathers what clients may call this server: what was given, the public URL's host, the host's name and addresses.
func names(o Options) []string {
	list := slices.Clone(o.TLSNames)
	if u, err := url.Parse(o.PublicURL); err == nil && u.Hostname() != "" {
		list = append(list, u.Hostname())
	}
	if host, _, err := net.SplitHostPort(o.Listen); err == nil && host != "" {
		if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
			list = append(list, host)
		}
	}
	list = append(list, "localhost", "127.0.0.1", "::1")
	if host, err := os.Hostname(); err == nil && host != "" {
		list = append(list, strings.ToLower(host))
	}
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
				list = append(list, n.IP.String())
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// files serves a certificate from files and reads them again when they change.
type files struct {
	cert, key string

	mu      sync.Mutex
	current *tls.Certificate
	stamp   string
	looked  time.Time
	now     func() time.Time
	failed  func(error)
}

func (f *files) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if f.current != nil && now.Sub(f.looked) < 10*time.Second && now.After(f.looked) {
		return f.current, nil
	}
	f.looked = now
	stamp := f.stamps()
	if f.current != nil && stamp == f.stamp {
		return f.current, nil
	}
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		if f.current == nil {
			return nil, err
		}
		f.failed(fmt.Errorf("reading the changed certificate: %w: the old one stays in use", err)) // half written: the next look has it
		return f.current, nil
	}
	f.current, f.stamp = &c, stamp
	return f.current, nil
}

func (f *files) stamps() string {
	var b strings.Builder
	for _, name := range []string{f.cert, f.key} {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprint(&b, info.ModTime().UnixNano(), " ", info.Size(), ";")
		}
	}
	return b.String()
}
