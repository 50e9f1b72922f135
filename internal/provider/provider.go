// Package provider is what runs in a protected cluster, in two replicas or more and without any permission there: it answers
// Gatekeeper's questions about images, and records admission requests.
//
// Answers come from memory, which outlives restarts and the server's absence: policies and verdicts come from the server (package link)
// whenever it is there, and what was known last counts while it is not. What nobody knows is asked for within the deadline of the
// question; beyond it the policy says what happens (policy.Policy.Unanswered). No answer waits longer than the deadline, and no fault in
// here is worse than an image without an answer.
//
//	POST /validate  Gatekeeper's external data: policy.ImageKey -> policy.KeyAnswer; Gatekeeper's client certificate is needed
//	POST /mutate    Gatekeeper's external data of mutations: an image's name -> the same with its digest; likewise
//	POST /record    AdmissionReview -> allowed, always. The API server presents no certificate to webhooks unless it is set up to,
//	                so none is asked for: what comes here is bounded, lies behind a NetworkPolicy and decides nothing. When the
//	                folder of certificates has a file record-token, the path is /record/TOKEN.
package provider

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/link"
	"stockade.dev/stockade/internal/provider/memory"
	"stockade.dev/stockade/internal/provider/spool"
	"stockade.dev/stockade/internal/thrift"
)

// Judge decides by a bundle: policy.Judge.
type Judge interface {
	Judge(ctx context.Context, r *policy.Request) policy.Outcome
	Image(ctx context.Context, k policy.ImageKey, at time.Time) ([]policy.Violation, []policy.Undecided)
}

// NewJudge makes a Judge of a bundle. The notes are what of it is not judged.
type NewJudge func(ctx context.Context, b *policy.Bundle, images policy.Images) (Judge, []policy.Undecided, error)

// Options are how a provider runs. Zero values are good, but for Judge and the folders.
type Options struct {
	Listen string // default :8443
	Health string // default :8081
	TLS    string // folder of the doors' certificates
	Link   string // folder of the link to the server
	Data   string // folder for what outlives a restart; nothing is written elsewhere

	Deadline time.Duration // of an answer; default 1.5 s, below Gatekeeper's own of 2 s
	TagAge   time.Duration // after which it is asked anew what a tag names; default one minute
	Drain    time.Duration // of serving on after the signal to stop; default 5 s
	Images   int           // verdicts that are kept; default 100,000

	Replica string // name of the pod
	Version string
	Judge   NewJudge
	Now     func() time.Time
	Log     *slog.Logger
	// Ready, for tests, is told the addresses when the doors are open.
	Ready func(doors, health net.Addr)
}

// Provider is one replica.
type Provider struct {
	o       Options
	started time.Time
	link    *link.Client
	memory  *memory.Memory
	memo    memo
	spool   *spool.Spool
	certs   *certificates
	ask     *asker
	rec     *recorder
	metrics *metrics

	force    atomic.Pointer[force]
	applying sync.Mutex // of bundles, one after the other
	answered window
	recorded window
	draining atomic.Bool
	gone     atomic.Bool // the server says that protection was ended

	mu      sync.Mutex
	trouble map[string]string // what is wrong now, by what it is about
	dropped string            // what of the data was dropped at the start

	bundles, changes poll
}

// New makes a provider with what its folder of data has. Only a folder of data that was not named is an error: one that cannot be
// written, or is damaged, makes problems that are told, and the provider answers all the same.
func New(ctx context.Context, o Options) (*Provider, error) {
	if o.Judge == nil || o.TLS == "" || o.Link == "" || o.Data == "" {
		return nil, errors.New("a provider needs a judge and the folders of its certificates, its link and its data")
	}
	if o.Listen == "" {
		o.Listen = ":8443"
	}
	if o.Health == "" {
		o.Health = ":8081"
	}
	if o.Deadline <= 0 {
		o.Deadline = 1500 * time.Millisecond
	}
	if o.TagAge <= 0 {
		o.TagAge = time.Minute
	}
	if o.Drain <= 0 {
		o.Drain = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Provider{o: o, started: o.Now(), link: link.New(o.Link, o.Version, o.Now), trouble: map[string]string{}}
	thrift.GiveBack() // what loading the rules needed, before the verdicts come
	p.memory = memory.New(memory.Options{Most: o.Images, File: filepath.Join(o.Data, "verdicts"), Now: o.Now, Log: o.Log})
	var err error
	if p.spool, err = spool.New(spool.Options{Dir: filepath.Join(o.Data, "admissions"), Replica: o.Replica, Now: o.Now, Log: o.Log}); err != nil {
		return nil, err
	}
	p.memo.now, p.answered.now, p.recorded.now = o.Now, o.Now, o.Now
	p.certs = &certificates{dir: o.TLS, now: o.Now, log: o.Log}
	p.ask = &asker{images: p.link.Images, away: p.link.Away, epoch: p.epoch, took: p.took, flights: map[string]*flight{}}
	p.rec = newRecorder(p)
	p.metrics = newMetrics(p)
	p.restore(ctx)
	return p, nil
}

func (p *Provider) epoch() int64 {
	if f := p.force.Load(); f != nil {
		return f.epochs.Newest
	}
	return 0
}

func (p *Provider) bundleFile() string { return filepath.Join(p.o.Data, "bundle.json") }

// noteTime is how long it is told what was dropped at the start.
const noteTime = 10 * time.Minute

// restore puts the bundle from before into force.
func (p *Provider) restore(ctx context.Context) {
	b, e, err := readBundle(p.bundleFile())
	if err == nil && b != nil {
		err = p.enforce(ctx, b, &e)
	}
	if err != nil {
		p.dropped = clean("the kept policies were dropped: "+err.Error(), 500)
		p.o.Log.Warn("provider", "problem", p.dropped)
		// Their epochs are lost, so nobody knows of what the verdicts speak.
		p.memory.Forget()
	}
}

// enforce puts a bundle into force; with its epochs when it was kept.
func (p *Provider) enforce(ctx context.Context, b *policy.Bundle, kept *epochs) error {
	p.applying.Lock()
	defer p.applying.Unlock()
	var e epochs
	switch old := p.force.Load(); {
	case kept != nil:
		e = *kept
	case old != nil:
		e = old.epochs.next(b)
	default:
		e = epochs{}.next(b)
		p.memory.Forget() // of verdicts from before nobody knows of what they speak
	}
	judge, notes, err := p.o.Judge(ctx, b, p)
	if err != nil {
		return err
	}
	f := newForce(b, judge, e, notes)
	p.force.Store(f)
	p.memo.changed()
	if kept == nil {
		p.keep(f)
	}
	p.o.Log.Info("policies in force", "generation", b.Generation, "policies", len(b.Policies), "not judged", len(notes))
	return nil
}

// keep writes what is in force to disk.
func (p *Provider) keep(f *force) {
	if err := writeBundle(p.bundleFile(), f); err != nil {
		p.problem("disk", "policies cannot be written to disk and will not outlive a restart: "+err.Error())
		return
	}
	p.problem("disk", "")
}

// startAnew has every verdict asked for anew when it is needed.
func (p *Provider) startAnew() {
	p.applying.Lock()
	defer p.applying.Unlock()
	old := p.force.Load()
	if old == nil {
		return
	}
	f := *old
	f.epochs = f.epochs.reset()
	p.force.Store(&f)
	p.memo.changed()
	p.keep(&f)
}

// problem notes what is wrong about something; "" is nothing.
func (p *Provider) problem(about, what string) {
	p.mu.Lock()
	before := p.trouble[about]
	if what == "" {
		delete(p.trouble, about)
	} else {
		p.trouble[about] = clean(what, 500)
	}
	p.mu.Unlock()
	if what != "" && before == "" {
		p.o.Log.Warn("provider", "problem", what)
	}
}

// Doors is the handler of the HTTPS port.
func (p *Provider) Doors() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /validate", p.validate)
	mux.HandleFunc("POST /mutate", p.mutate)
	mux.HandleFunc("POST /record", p.record)
	mux.HandleFunc("POST /record/{token}", p.record)
	return mux
}

// record lets requests to the recorder that come by its path.
func (p *Provider) record(w http.ResponseWriter, r *http.Request) {
	want := ""
	if k := p.certs.current(); k != nil {
		want = k.token
	}
	if want != "" && subtle.ConstantTimeCompare([]byte(r.PathValue("token")), []byte(want)) != 1 {
		http.NotFound(w, r)
		return
	}
	p.rec.serve(w, r)
}

// Run serves until ctx ends, and then a while longer, so that nobody is sent here who finds nobody.
func (p *Provider) Run(ctx context.Context) error {
	var lc net.ListenConfig
	doors, err := lc.Listen(ctx, "tcp", p.o.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	health, err := lc.Listen(ctx, "tcp", p.o.Health)
	if err != nil {
		return errors.Join(fmt.Errorf("--health-listen: %w", err), doors.Close())
	}
	quiet := stdlog.New(quietLog{p.o.Log}, "", 0)
	main := &http.Server{Handler: p.Doors(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ConnContext: connected, ErrorLog: quiet, TLSConfig: p.certs.config()}
	side := &http.Server{Handler: p.healthHandler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: quiet}
	p.rec.run()
	work, stop := context.WithCancel(context.Background())
	defer stop()
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){p.followBundle, p.followChanges, p.deliver, p.beats, p.tend, thrift.Run} {
		loops.Go(func() { loop(work) })
	}
	failed := make(chan error, 2)
	go func() { failed <- main.ServeTLS(limit(doors, mostConnections), "", "") }()
	go func() { failed <- side.Serve(limit(health, mostConnections/10)) }()
	if p.o.Ready != nil {
		p.o.Ready(doors.Addr(), health.Addr())
	}
	p.o.Log.Info("provider", "listen", doors.Addr().String(), "health", health.Addr().String(), "replica", p.o.Replica, "version", p.o.Version)
	select {
	case err = <-failed:
	case <-ctx.Done():
		err = nil
	}
	p.draining.Store(true)
	if err == nil {
		p.o.Log.Info("stopping: serving on until nobody is sent here any more", "for", p.o.Drain)
		select {
		case <-time.After(p.o.Drain * 2 / 3):
		case err = <-failed:
		}
		main.SetKeepAlivesEnabled(false) // whoever has a connection opens the next one to another replica
		time.Sleep(p.o.Drain / 3)
	}
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = errors.Join(err, main.Shutdown(last))
	p.rec.close()
	p.spool.Close(true)
	p.lastDelivery(last)
	stop()
	p.ask.close()
	loops.Wait()
	_ = p.memory.Flush() // it says so in the log
	return errors.Join(err, side.Shutdown(last))
}

const mostConnections = 2_000

// limit bounds the connections that are open at a time; further ones wait.
func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, room: make(chan struct{}, n), over: make(chan struct{})}
}

type limited struct {
	net.Listener
	room chan struct{}
	once sync.Once
	over chan struct{}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.over:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.room })}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.over) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// quietLog drops the noise of those who knock without speaking TLS.
type quietLog struct{ log *slog.Logger }

// Write implements io.Writer.
func (q quietLog) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	level := slog.LevelWarn
	if strings.Contains(text, "TLS handshake error") || strings.Contains(text, "errors; retrying in") {
		level = slog.LevelDebug
	}
	q.log.Log(context.Background(), level, "http", "err", clean(text, 500))
	return len(b), nil
}

// backoff is how long to wait after n failures in a row: a second, doubled to half a minute, and not at the same moment as the others.
func backoff(n int) time.Duration {
	d := min(time.Second<<min(n, 5), 30*time.Second)
	return d/2 + time.Duration(jitter(int64(d/2)))
}

// sleep reports whether it was slept through.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

var _ policy.Images = (*Provider)(nil)
