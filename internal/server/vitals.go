package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"net/http"
	"os"
	"time"

	"stockade.dev/stockade/internal/intake"
	"stockade.dev/stockade/internal/registries"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/vitals"
)

// name is what this process is called among the replicas.
func (s *Server) name() string {
	if host, err := os.Hostname(); err == nil && host != "" {
		return host
	}
	return "stockade"
}

// wireSettings makes the rooms of what administrators set: registries, advisory data, how the server is.
func (s *Server) wireSettings() error {
	r := &s.rooms
	var err error
	r.registries, err = registries.New(registries.Options{DB: s.db, Keys: s.keys, Log: s.log, Allow: s.o.AllowDestinations, Local: s.o.AllowLocalClusters, Now: s.o.Now})
	if err != nil {
		return err
	}
	r.intake, err = intake.New(intake.Options{DB: s.db, Log: s.log, Folder: s.o.Tasks.Database, Given: s.o.Tasks.Given, TrustedKeys: s.o.Tasks.TrustedKeys,
		Places: r.registries.Places, Allow: registries.Reachable(s.o.AllowDestinations, s.o.AllowLocalClusters), Replica: s.name(), Now: s.o.Now})
	if err != nil {
		return err
	}
	r.vitals = vitals.New(vitals.Options{DB: s.db, Log: s.log, Now: s.o.Now, Name: s.name(), Version: s.o.Version, Roles: s.o.Roles, Data: s.o.Data, Leads: s.leading.Load,
		Certificate: s.certificate, Authority: s.authorityCertificate, Advisories: s.advisoriesUsed, Settings: s.settings, Metrics: s.counters})
	return nil
}

// certificate is the one that clients see; nil without TLS.
func (s *Server) certificate() *x509.Certificate {
	if s.http == nil || s.http.TLSConfig == nil || s.http.TLSConfig.GetCertificate == nil {
		return nil
	}
	c, err := s.http.TLSConfig.GetCertificate(nil) // ours do not look at the client's hello
	if err != nil || len(c.Certificate) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}

func (s *Server) authorityCertificate() *x509.Certificate { return s.authority.Certificate() }

func (s *Server) advisoriesUsed() vitals.Advisories {
	used, err := s.rooms.tasks.Advisories()
	out := vitals.Advisories{Problem: err != nil || used.Problem != nil}
	if used.Digest != "" {
		out.BuiltAt = used.Manifest.BuiltAt
	}
	return out
}

// settings is how the server was started, for diagnostics: words of ours and numbers. Addresses, names and paths are told as given or
// not, and secrets not at all.
func (s *Server) settings() map[string]any {
	o := s.o
	return map[string]any{"postgresql": o.Database != "", "roles": o.Roles, "ownCertificate": o.TLSCert == "" && !o.PlainHTTP, "plainHTTP": o.PlainHTTP,
		"publicURL": o.PublicURL != "", "trustedProxies": len(o.TrustedProxies), "metricsToken": o.MetricsToken != "", "debugListen": o.DebugListen != "",
		"allowedDestinations": len(o.AllowDestinations), "allowLocalClusters": o.AllowLocalClusters, "tlsNames": len(o.TLSNames), "tracing": s.tracing,
		"keysFromEnvironment": os.Getenv(seal.Variable) != "", "keys": len(s.keys.IDs()), "advisoryFolderGiven": o.Tasks.Given, "trustedKeys": s.rooms.intake.Trusted(),
		"imageWorkers": o.Tasks.ImageWorkers, "targetWorkers": o.Tasks.TargetWorkers}
}

// counters are the metrics as Prometheus reads them.
func (s *Server) counters(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	page := &buffered{header: http.Header{}}
	s.metrics.handler().ServeHTTP(page, r)
	return page.Bytes(), nil
}

// buffered keeps an answer.
type buffered struct {
	bytes.Buffer
	header http.Header
}

func (b *buffered) Header() http.Header { return b.header }
func (b *buffered) WriteHeader(int)     {}

// alive tells the other replicas that this process is there, until it stops.
func (s *Server) alive(ctx context.Context) {
	if err := s.rooms.vitals.Beat(ctx); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "telling the other replicas", "err", err)
	}
	s.every(ctx, "vitals", time.Minute, s.rooms.vitals.Beat)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := s.rooms.vitals.Leave(end); err != nil {
		s.log.WarnContext(end, "leaving the replicas", "err", err)
	}
}
