package server

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/protect"
)

// wireProtection makes the room of protected clusters.
func (s *Server) wireProtection() {
	r := &s.rooms
	o := protect.Options{DB: s.db, Keys: s.keys, Authority: s.authority, Clusters: r.fleet, Hub: r.hub, Policies: r.policies, Exceptions: r.book.Holding, Finding: r.browse.ByFingerprint,
		Version: s.o.Version, Log: s.log, Now: s.o.Now}
	if s.o.Tasks.Library != nil {
		o.Compile = protect.Constraints(s.o.Tasks.Library)
	}
	if url := s.URL(); strings.HasPrefix(url, "https://") {
		o.Server, o.Console = url, url
	} else {
		o.Console = url
	}
	r.protect = protect.New(o)
}

// doors are what providers speak to.
func (s *Server) doors() *doors {
	return &doors{authority: s.authority, protect: s.rooms.protect, verdict: s.rooms.verdicts, admission: taker{s.rooms.admission}, hub: s.rooms.hub, stop: s.stopping, now: s.o.Now}
}

// maxServed bounds the names that certificates for providers are kept for.
const maxServed = 1000

// providerCertificates gives the certificate that providers are shown: for this server's own names, and for those that the settings of
// a protected cluster have.
func (s *Server) providerCertificates() func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	base := &own{authority: s.authority, names: names(s.o), now: s.o.Now}
	var mu sync.Mutex
	others := map[string]*own{}
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		host := strings.ToLower(hello.ServerName)
		if host == "" || slices.Contains(base.names, host) {
			return base.certificate(hello)
		}
		mu.Lock()
		o := others[host]
		mu.Unlock()
		if o == nil {
			ctx, cancel := context.WithTimeout(hello.Context(), 2*time.Second)
			defer cancel()
			if !s.rooms.protect.Serves(ctx, host) {
				return base.certificate(hello)
			}
			o = &own{authority: s.authority, names: []string{host}, now: s.o.Now}
			mu.Lock()
			if len(others) < maxServed {
				others[host] = o
			}
			mu.Unlock()
		}
		return o.certificate(hello)
	}
}
