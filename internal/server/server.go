// Package server is the whole server in one process: it opens the database, wires the rooms, serves the API and the console, and
// runs the work that the roles of this process name.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
	"stockade.dev/stockade/internal/thrift"
	"stockade.dev/stockade/internal/watch"
)

// What a process may do. One process does all of it; with PostgreSQL the roles can be spread over several.
const (
	RoleAPI       = "api"       // answers requests
	RoleWorker    = "worker"    // scans
	RoleScheduler = "scheduler" // schedules, expiries, notifications: one of all does it at a time
)

// Roles lists all.
var Roles = []string{RoleAPI, RoleWorker, RoleScheduler}

// DefaultListen is where clients connect when nothing else is said: all addresses, since connectors and browsers come from
// elsewhere and TLS is always on, and a port that needs no privileges.
const DefaultListen = ":8443"

// DefaultDebug is where the machine's operator reads metrics and profiles.
const DefaultDebug = "127.0.0.1:8444"

// Options say how the server runs.
type Options struct {
	Data      string   // folder of the database, the keys and the CA
	Database  string   // postgres://...; empty: SQLite in Data
	Listen    string   // default DefaultListen
	PublicURL string   // what clients call this server; default https:// and this host's name
	Roles     []string // nil: all

	PeerAddress string // host:port at which other replicas reach this one; default that of the public URL

	TLSNames        []string // more names and addresses for the own certificate
	TLSCert, TLSKey string   // files instead of an own certificate
	PlainHTTP       bool     // no TLS; refused off loopback
	TrustedProxies  []netip.Prefix

	DebugListen  string // loopback address of metrics and profiles; "" is none
	MetricsToken string // lets who has it read /metrics on the main address

	AllowDestinations  []string // to which notifications may go beside public addresses: see guard.New
	AllowLocalClusters bool     // API servers on loopback and link-local addresses may be added

	// Tasks is how this program scans: rules, frameworks, readers of images, advisory database. The server adds the rest.
	Tasks task.Options
	// Signatures is the list of hashes of malicious files, for agents, with its digest; nil: they know the test file only.
	Signatures func(context.Context) (digest string, body []byte, err error)
	Unsent     int // hashes that the list for agents leaves out: there are too many
	// Emergencies are those that the program brings.
	Emergencies []*emergency.Emergency

	Watch     watch.Options // of the watches of clusters: the durations
	Register  Register      // a cluster to add at the first start
	Demo      Demo          // the cluster that comes with the program
	RuleCases fs.FS         // examples of the rule library; may be nil
	Console   fs.FS         // files of the console; nil: a page that says what this is
	Rates     api.Rates
	Version   string
	Log       *slog.Logger
	Out       io.Writer        // where the set-up link is printed, beside the log
	Now       func() time.Time // nil: time.Now
}

// Register names a cluster that is added, and scanned, when the server starts and does not have it.
type Register struct {
	Name       string
	Kubeconfig []byte // with everything embedded
	Context    string // of it
	Snapshot   string // folder or file
}

// Demo is the cluster that comes with the program: a folder of a snapshot, unpacked below Data when somebody adds it.
type Demo struct {
	Name string
	FS   fs.FS // nil is none
}

// Server is a running server.
type Server struct {
	o       Options
	log     *slog.Logger
	db      *store.DB
	keys    *seal.Keys
	ca      *enrol.Authority // nil with files or without TLS
	metrics *metrics
	tracing bool
	rooms   rooms
	setup   string // link of the first start; "" when somebody has signed up

	demo    sync.Once // see demoFolder
	demoErr error

	authority *enrol.Authority
	leading   atomic.Bool
	listener  net.Listener
	http      *http.Server
	stopping  chan struct{}
}

// grace bounds how long a stopping server waits for requests, and then for jobs.
const grace = 20 * time.Second

// Run opens a server and serves until ctx ends.
func Run(ctx context.Context, o Options) error {
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Open opens the database, wires everything and listens. Serve or Close must follow.
func Open(ctx context.Context, o Options) (*Server, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	s := &Server{o: o, log: o.Log, stopping: make(chan struct{}), metrics: newMetrics(o.Version)}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (o *Options) fill() error {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.Data == "" {
		o.Data = "stockade-data"
	}
	if len(o.Roles) == 0 {
		o.Roles = Roles
	}
	for _, r := range o.Roles {
		if !slices.Contains(Roles, r) {
			return fmt.Errorf("--role %q: want api, worker or scheduler", r)
		}
	}
	if o.Database == "" && len(o.Roles) < len(Roles) {
		return errors.New("--role: with SQLite one process does everything; use PostgreSQL to spread the roles")
	}
	if o.PublicURL != "" {
		if u, err := url.Parse(o.PublicURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("--public-url %q: want https://HOST[:PORT]", o.PublicURL)
		}
	}
	return nil
}

func (s *Server) open(ctx context.Context) error {
	var err error
	if s.db, err = store.Open(ctx, store.Options{Dir: s.o.Data, URL: s.o.Database, Log: s.log}); err != nil {
		if errors.Is(err, store.ErrInUse) {
			return err
		}
		return fmt.Errorf("opening the database: %w", err)
	}
	if s.keys, err = Keys(s.o.Data); err != nil {
		return err
	}
	if s.authority, err = enrol.Open(ctx, s.db, s.keys, s.o.Now); err != nil {
		return err
	}
	if err := s.holds(RoleAPI, func() error { return s.listen(ctx) }); err != nil {
		return err
	}
	return s.wire(ctx)
}

// Keys loads the keys of sealed values: from the environment, or from the data folder.
func Keys(data string) (*seal.Keys, error) {
	return seal.Load(filepath.Join(data, "keys"), os.Getenv(seal.Variable))
}

// holds runs f when this process has the role.
func (s *Server) holds(role string, f func() error) error {
	if slices.Contains(s.o.Roles, role) {
		return f()
	}
	return nil
}

// URL is the address that clients use.
func (s *Server) URL() string {
	if s.o.PublicURL != "" {
		return s.o.PublicURL
	}
	scheme := "https"
	if s.o.PlainHTTP {
		scheme = "http"
	}
	if s.listener == nil {
		return scheme + "://" + s.o.Listen
	}
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return scheme + "://" + s.listener.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			host = "localhost"
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Pin is the fingerprint of the server's own CA, the SHA-256 of its public key; "" with files or without TLS.
func (s *Server) Pin() string {
	if s.ca == nil {
		return ""
	}
	return "sha256:" + s.ca.Pin()
}

// CA is the certificate of the server's own CA as PEM; nil with files or without TLS.
func (s *Server) CA() []byte {
	if s.ca == nil {
		return nil
	}
	return s.ca.PEM()
}

// SetupURL is the one-time link of the first start; "" when there is an administrator.
func (s *Server) SetupURL() string { return s.setup }

// Serve serves until ctx ends, then stops: no new connections, requests are finished, streams end, running jobs go back to the
// queue, all in a bounded time.
func (s *Server) Serve(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stopTrace, err := s.trace(work)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	failed := make(chan error, 8)
	debug, dl, err := s.debug(ctx)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	var all sync.WaitGroup
	if debug != nil {
		all.Go(func() { failed <- s.ended("debug", debug.Serve(dl)) })
	}
	if s.listener != nil {
		s.http.Handler = s.front(s.root())
		all.Go(func() {
			if s.o.PlainHTTP {
				failed <- s.ended("http", s.http.Serve(s.listener))
			} else {
				failed <- s.ended("https", s.http.ServeTLS(s.listener, "", ""))
			}
		})
	}
	stopWork, err := s.work(work, failed)
	if err == nil {
		s.announce()
		all.Go(func() { thrift.Run(work) })
		go func() { // a cluster that does not answer must not hold up the rest
			if err := s.register(work); err != nil && work.Err() == nil {
				s.log.Error("registering", "err", err)
			}
		}()
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	s.log.Info("stopping")
	close(s.stopping)
	end, done := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer done()
	if s.http != nil {
		if e := s.http.Shutdown(end); e != nil {
			s.log.Warn("requests were cut off", "err", e)
			_ = s.http.Close()
		}
	}
	end, done = context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer done()
	if stopWork != nil {
		if e := stopWork(end); e != nil {
			s.log.Warn("jobs were cut off: they start again at the next start", "err", e)
		}
	}
	cancel()
	if debug != nil {
		_ = debug.Close()
	}
	all.Wait()
	err = errors.Join(err, stopTrace(end), s.Close())
	s.log.Info("stopped")
	return err
}

func (s *Server) ended(what string, err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Close closes a server that does not serve.
func (s *Server) Close() error {
	var errs []error
	if s.listener != nil {
		if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// announce says where the server is, and how to begin.
func (s *Server) announce() {
	s.log.Info("started", "url", s.URL(), "roles", s.o.Roles, "version", s.o.Version, "ca", s.Pin())
	if s.listener == nil {
		return
	}
	fmt.Fprintf(s.o.Out, "Stockade is at %s\n", s.URL())
	if pin := s.Pin(); pin != "" {
		fmt.Fprintf(s.o.Out, "  its own CA:  %s\n  sign in:     stockade login %s --ca-pin %s\n", pin, s.URL(), pin)
	}
	if s.setup != "" {
		fmt.Fprintf(s.o.Out, "  set it up:   %s\n               (this link makes the first administrator, once)\n", s.setup)
	}
}

// Place is where the server keeps its data.
func (s *Server) Place() Place { return Place{Data: s.o.Data, Database: s.o.Database} }
