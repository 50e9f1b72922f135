package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/admission"
	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/anatomy"
	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/assess"
	"stockade.dev/stockade/internal/attack"
	"stockade.dev/stockade/internal/attest"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/exhibit"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/fleet/tunnel"
	"stockade.dev/stockade/internal/intake"
	"stockade.dev/stockade/internal/leader"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/nodes"
	"stockade.dev/stockade/internal/notify"
	"stockade.dev/stockade/internal/people"
	"stockade.dev/stockade/internal/policy/book"
	"stockade.dev/stockade/internal/preview"
	"stockade.dev/stockade/internal/protect"
	"stockade.dev/stockade/internal/registries"
	"stockade.dev/stockade/internal/repair"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
	"stockade.dev/stockade/internal/triage"
	"stockade.dev/stockade/internal/urgent"
	"stockade.dev/stockade/internal/verdict"
	"stockade.dev/stockade/internal/vitals"
)

// rooms are what the routes stand on. A zero value makes the routes without answering any: for the document.
type rooms struct {
	db      *store.DB
	version string
	now     func() time.Time
	hub     *live.Hub
	people  *people.Service
	tunnels *tunnel.Server
	fleet   *fleet.Fleet
	triage  *triage.Triage
	book    *exception.Book
	browse  *browse.Browser
	attack  *attack.Store
	attest  *attest.Desk
	images  *anatomy.Service
	tasks   *task.Service
	notify  *notify.Notifier
	exhibit *exhibit.Room
	rules   api.RuleBook
	demo    api.Demonstrator

	policies *book.Book
	protect  *protect.Service
	preview  *preview.Service
	verdicts *verdict.Service

	admission *admission.Service
	nodes     *nodes.Service
	urgent    *urgent.Service

	registries *registries.Book
	intake     *intake.Service
	vitals     *vitals.Service
}

// Document makes the API's routes without what they stand on: for its description.
func Document(version string) *api.API {
	a := api.New(http.NewServeMux(), version)
	routes(a, rooms{version: version})
	return a
}

// routes adds every noun.
func routes(a *api.API, r rooms) {
	api.Sessions(a, r.people)
	api.Tokens(a, r.people)
	api.Preferences(a, r.people)
	api.People(a, r.people)
	api.Audit(a, r.db)
	api.Clusters(a, r.fleet)
	api.Demo(a, r.fleet, r.demo)
	api.Summaries(a, r.browse)
	api.Watches(a, r.db, r.now)
	api.Exceptions(a, r.book, r.db)
	api.Notifications(a, r.notify)
	api.Reports(a, r.notify)
	api.Overview(a, r.browse)
	api.Findings(a, r.db, r.browse, r.triage, verifier{r.db, r.tasks})
	api.Evidence(a, r.browse, r.exhibit)
	api.Rules(a, r.browse, r.rules)
	api.Vulnerabilities(a, r.browse, r.tasks)
	api.Search(a, r.browse, r.tasks, r.rules)
	api.Assets(a, r.browse)
	api.Attack(a, r.attack)
	api.Compliance(a, r.browse, r.attest, r.version)
	api.Gaps(a, r.browse)
	api.Images(a, r.images, r.version)
	api.Tasks(a, r.tasks)
	api.Schedules(a, r.tasks)
	api.TaskPlans(a, r.tasks, r.fleet)
	api.Uploads(a, r.tasks)
	api.Projects(a, r.tasks, r.browse, r.triage)
	api.News(a, r.hub)
	api.Registries(a, r.registries)
	api.Policies(a, policyParts(r))
	api.Protection(a, r.protect)
	api.Verdicts(a, api.VerdictParts{Verdicts: r.verdicts, Tasks: r.tasks, Registries: r.registries, Now: r.now})
	api.Admissions(a, r.admission)
	api.Nodes(a, r.nodes, r.fleet)
	api.Emergencies(a, r.urgent)
	api.Advisories(a, api.AdvisoryParts{Tasks: r.tasks, Intake: r.intake, Registries: r.registries, Now: r.now})
	api.System(a, r.vitals, r.now)
}

// wire makes the rooms, each from those that it stands on.
func (s *Server) wire(ctx context.Context) error {
	r := &s.rooms
	r.db, r.version, r.now = s.db, s.o.Version, s.o.Now
	r.hub = live.New(s.db, s.log)
	var err error
	r.people, err = people.New(people.Options{DB: s.db, Keys: s.keys, Log: s.log, URL: s.URL(), Secure: !s.o.PlainHTTP,
		Problem: api.WriteProblem, Remote: s.remote, Now: s.o.Now})
	if err != nil {
		return err
	}
	if r.tunnels, err = s.openTunnels(); err != nil {
		return err
	}
	o := fleet.Options{Authority: s.authority, Tunnels: r.tunnels, Server: s.address(), Version: s.o.Version,
		AllowLocal: s.o.AllowLocalClusters, Log: s.log, Now: s.o.Now}
	if s.o.Demo.FS != nil {
		o.Demo = s.demoFolder
	}
	r.triage = triage.New(s.db, nil, s.log)
	r.triage.SetClock(s.o.Now)
	o.Forget = func(ctx context.Context, tx bun.Tx, target int64, at time.Time) error {
		if err := r.triage.Remove(ctx, tx, target, at); errors.Is(err, triage.ErrRemoved) {
			return store.ErrNotFound
		} else if err != nil {
			return err
		}
		return nil
	}
	o.Stays = func(ctx context.Context, target int64) error { return r.protect.Stays(ctx, target) }
	r.fleet = fleet.New(s.db, s.keys, o)
	if err := s.wireFindings(ctx); err != nil {
		return err
	}
	token, err := r.people.SetupToken(ctx)
	if err != nil {
		return fmt.Errorf("making the set-up link: %w", err)
	}
	if token != "" && s.listener != nil {
		s.setup = s.URL() + "/setup#token=" + token // what stands after # is not sent, so no log has it
	}
	return nil
}

// wireFindings makes the rooms of scans and of what they find.
func (s *Server) wireFindings(ctx context.Context) error {
	r := &s.rooms
	var err error
	if r.book, err = exception.Open(ctx, s.db, nil, s.log); err != nil {
		return fmt.Errorf("reading the exceptions: %w", err)
	}
	r.book.Now = s.o.Now
	r.book.SetHandler(func(ctx context.Context, tx bun.Tx, h exception.Handling) (int, error) {
		return r.triage.Handle(ctx, tx, triage.Handling(h))
	})
	r.triage.SetExceptions(r.book)
	r.browse = browse.New(s.db)
	r.browse.SetClock(s.o.Now)
	r.attack = attack.NewStore(s.db, s.o.Now)
	r.browse.SetCatalog(compliance.NewCatalog(s.o.Tasks.Frameworks, s.o.Tasks.Library))
	r.attest = attest.New(s.db, s.o.Now)
	if err := s.wireSettings(); err != nil {
		return err
	}
	t := s.o.Tasks
	if t.Registries != nil {
		t.Registries(r.registries.Places)
	}
	t.DB, t.Hub, t.Log, t.Fleet, t.Now = s.db, r.hub, s.log, r.fleet, s.o.Now
	t.Ingest = func(ctx context.Context, run triage.Run) (task.Ingest, error) {
		in, err := r.triage.Ingest(ctx, run)
		if err != nil {
			return nil, err // not a nil *Ingest in an interface
		}
		return in, nil
	}
	r.tasks = task.New(t)
	s.wireNodes()
	r.rules = api.RuleBook{Library: t.Library, Cases: s.o.RuleCases}
	r.exhibit = exhibit.New(r.fleet, r.uploaded, repair.New(t.Library, analyze.All), s.o.Now)
	r.images = anatomy.New(s.db, r.browse, r.tasks, s.o.Now)
	s.wireAdmissions()
	r.preview = preview.New(s.wirePolicies())
	s.wireVerdicts()
	s.wireProtection()
	if s.o.Demo.FS != nil {
		r.demo = demo{s.o.Demo.Name, r.fleet, r.tasks}
	}
	r.notify, err = notify.New(s.db, r.browse, notify.Options{Assess: assess.New(r.browse), Keys: s.keys, Owners: owners{r.people}, Allow: s.o.AllowDestinations, PublicURL: s.URL(),
		Version: s.o.Version, Log: s.log, Now: s.o.Now})
	return err
}

// openTunnels lets connectors in by the port of the API, where TLS is ours.
func (s *Server) openTunnels() (*tunnel.Server, error) {
	o := tunnel.Options{DB: s.db, Authority: s.authority, Log: s.log, Now: s.o.Now,
		Up: func(ctx context.Context, target int64) {
			s.rooms.hub.Publish(ctx, live.Event{Topic: "cluster", Target: target, ID: target})
		}}
	if s.db.Postgres() && s.listener != nil && !s.o.PlainHTTP {
		o.Address = s.o.PeerAddress
		if o.Address == "" {
			o.Address = s.address()
		}
	}
	t := tunnel.NewServer(o)
	if s.listener != nil && !s.o.PlainHTTP {
		letProviders(s.http.TLSConfig, s.authority, s.providerCertificates(), s.o.Now)
		letAgents(s.http.TLSConfig, s.authority, s.providerCertificates(), s.o.Now)
		t.Attach(s.http, s.http.TLSConfig)
	}
	return t, nil
}

// address is the host and port of the public URL.
func (s *Server) address() string {
	u, err := url.Parse(s.URL())
	if err != nil { // Options.fill has read it
		return ""
	}
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), map[string]string{"https": "443", "http": "80"}[u.Scheme])
}

// root is everything that is served on the main address.
func (s *Server) root() http.Handler {
	mux := http.NewServeMux()
	a := api.New(mux, s.o.Version)
	routes(a, s.rooms)
	root := http.NewServeMux()
	root.Handle("/api/", a.Handler(api.Frame{DB: s.db, Log: s.log, Now: s.o.Now, Keys: s.keys, Rates: s.o.Rates, Remote: s.remote,
		Authenticate: s.rooms.people.Middleware}))
	root.Handle("/provider/", s.doors().handler())
	root.Handle("/agent/", newGates(s.authority, s.rooms.nodes, s.remote, s.o.Now).handler())
	root.HandleFunc("GET /healthz", s.healthy)
	root.HandleFunc("GET /readyz", s.ready)
	if s.o.MetricsToken != "" {
		root.Handle("GET /metrics", withToken(s.o.MetricsToken, s.metrics.handler()))
	}
	root.Handle("/", s.console())
	return root
}

// healthy says that the process lives.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n")) // the client is gone
}

// ready says whether requests can be answered: the database answers and the server is not stopping.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	select {
	case <-s.stopping:
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	default:
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	var one int
	if err := s.db.R.NewSelect().ColumnExpr("1").Scan(ctx, &one); err != nil {
		s.log.WarnContext(ctx, "not ready", "err", err)
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n")) // the client is gone
}

// work starts what this process does beside answering. stop ends it in the time that its context gives.
func (s *Server) work(ctx context.Context, failed chan<- error) (stop func(context.Context) error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { s.rooms.hub.Run(ctx) })
	all.Go(func() { s.rooms.people.Run(ctx) })
	all.Go(func() {
		if err := s.rooms.tunnels.Run(ctx); err != nil && ctx.Err() == nil {
			failed <- fmt.Errorf("tunnels: %w", err)
		}
	})
	all.Go(func() {
		s.every(ctx, "fleet", time.Minute, s.rooms.fleet.Sweep)
	})
	all.Go(func() { s.alive(ctx) })
	all.Go(func() { <-ctx.Done(); s.rooms.admission.Wait() })
	all.Go(func() { s.rooms.verdicts.Run(ctx) })
	all.Go(func() { s.rooms.nodes.Run(ctx) })
	all.Go(func() { s.every(ctx, "advisories", time.Minute, s.rooms.intake.Tick) })
	if err := s.rooms.tasks.Start(ctx, slices.Contains(s.o.Roles, RoleWorker)); err != nil {
		cancel()
		return nil, fmt.Errorf("starting the workers: %w", err)
	}
	err = s.holds(RoleScheduler, func() error {
		all.Go(func() {
			if err := leader.Run(ctx, s.db, s.log, s.duties(), leader.Hooks{Leading: s.leading.Store}); err != nil {
				failed <- fmt.Errorf("leader: %w", err)
			}
		})
		return nil
	})
	return func(end context.Context) error {
		err := s.rooms.tasks.Stop(end) // running items go back first, while the rest still works
		cancel()
		s.rooms.notify.Close(end)
		done := make(chan struct{})
		go func() { all.Wait(); close(done) }()
		select {
		case <-done:
			return err
		case <-end.Done():
			return errors.Join(err, errors.New("background work did not end in time"))
		}
	}, err
}

// duties are what one of all replicas does.
func (s *Server) duties() []leader.Duty {
	return append(slices.Concat(s.rooms.tasks.Duties(), s.rooms.admission.Duties(), s.rooms.nodes.Duties()), s.rooms.verdicts.Duty(), s.rooms.urgent.Duty(),
		leader.Duty{Name: "exceptions", Every: time.Minute, Do: func(ctx context.Context) error { return s.rooms.book.Sweep(ctx, s.o.Now()) }},
		leader.Duty{Name: "notifications", Every: 2 * time.Second, Do: s.rooms.notify.Deliver},
		leader.Duty{Name: "protection", Every: 2 * time.Second, Do: s.rooms.protect.Keep},
		leader.Duty{Name: "watches", Every: 5 * time.Second, Do: s.watches().Keep},
		leader.Duty{Name: "reports", Every: 15 * time.Second, Do: s.rooms.notify.RunReports},
		leader.Duty{Name: "old notifications", Every: time.Hour, Do: s.rooms.notify.Sweep},
		leader.Duty{Name: "forget idempotency keys", Every: time.Hour, Do: func(ctx context.Context) error { return api.Forget(ctx, s.db, s.o.Now()) }},
	)
}

// every does something that each replica does for itself, now and then.
func (s *Server) every(ctx context.Context, name string, pause time.Duration, do func(context.Context) error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := do(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn(name, "err", err)
			}
		}
	}
}

// needsSetup reports whether nobody is administrator yet.
func (s *Server) needsSetup(ctx context.Context) bool {
	needs, err := s.rooms.people.NeedsSetup(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "set-up", "err", err)
	}
	return needs
}
