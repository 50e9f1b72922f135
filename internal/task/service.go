package task

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/job"
	"stockade.dev/stockade/internal/leader"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/triage"
	"stockade.dev/stockade/internal/unpack"
	"stockade.dev/stockade/internal/vex"
)

// Fleet opens clusters.
type Fleet interface {
	Open(ctx context.Context, target int64) (fleet.Source, error)
	// Contact records what a scan learned of the cluster, or why it could not be reached.
	Contact(ctx context.Context, target int64, info inventory.ClusterInfo, nodes int, err error) error
}

// Ingest takes the findings of one scan.
type Ingest interface {
	finding.AssetHandler
	// Abort ends a scan that broke off: what was there stays as it is.
	Abort(reason string)
}

// ImageReader reads an image: see examine.Reader.Read.
type ImageReader interface {
	Read(ctx context.Context, use scan.Use, known func(digest string) bool) (sw *inventory.Software, digest string, err error)
}

// Options of a Service. DB, Hub, Fleet, Ingest, Reader and Library are needed.
type Options struct {
	DB     *store.DB
	Hub    *live.Hub
	Log    *slog.Logger
	Fleet  Fleet
	Ingest func(ctx context.Context, r triage.Run) (Ingest, error) // of triage
	// Reader makes what reads the images of a cluster, with the cluster's pull secrets. It must take every reference for one of a
	// registry (examine.Reader.Remote): clusters name images as they like. Scanner names the readers and their data:
	// inventories of others are not used.
	Reader  func(pull examine.PullSecret) ImageReader
	Scanner string
	// Bundled reads the images of the cluster that came with the program, of which no registry is asked; may be nil.
	Bundled ImageReader
	// Registries is called once, by the server, with what tells readers of images about registries; may be nil.
	Registries func(examine.Places)

	// Nodes is what agents know of nodes; nil: there are none. See SetNodes.
	Nodes Nodes
	// Urgent judges for emergency vulnerabilities; nil: they are not looked for. See SetUrgent.
	Urgent Urgent

	Library    *rule.Library
	RuleHash   func(rule string) int64 // of a rule's definition; may be nil
	Frameworks []*compliance.Framework // judged when compliance is asked for
	Judge      scan.Judge              // may be nil
	VEX        *vex.Set                // may be nil
	Release    string                  // of the program, for the documents

	Database     string // folder of the advisory database; "" is none
	Given        bool   // an operator named the folder
	TrustedKeys  []ed25519.PublicKey
	Infer, Owned bool

	TargetWorkers int           // clusters and uploads scanned at once by this process; default 2
	ImageWorkers  int           // images read at once by this process; default 4
	Lease         time.Duration // a worker that says nothing for so long has lost its items; default 1 minute
	Uploads       unpack.Limits
	TempDir       string
	Keep          time.Duration    // finished tasks, and inventories that nobody uses; default 90 days
	Now           func() time.Time // the clock of what people see; leases are counted without it
}

// ErrInvalid is wrapped by errors about what was asked for; ErrConflict by those about the state of things.
var (
	ErrInvalid  = errors.New("invalid")
	ErrConflict = errors.New("conflict")
)

const (
	poolTargets = "targets"
	poolImages  = "images"
)

// Service makes tasks and works on them.
type Service struct {
	o     Options
	db    *store.DB
	hub   *live.Hub
	log   *slog.Logger
	now   func() time.Time
	me    string // names this process in task_items.worker
	queue *job.Queue

	advisories *advisories
	sources    *sources
	lookers    lookers

	mu      sync.Mutex
	running map[int64]*running
	waiting map[int64]*waiter // by image item
	seen    map[int64]beat    // by the sweeper

	stop context.CancelFunc
	done sync.WaitGroup
}

// New makes a Service, which accepts tasks after Start.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TargetWorkers <= 0 {
		o.TargetWorkers = 2
	}
	if o.ImageWorkers <= 0 {
		o.ImageWorkers = 4
	}
	if o.Lease <= 0 {
		o.Lease = time.Minute
	}
	if o.Keep <= 0 {
		o.Keep = 90 * 24 * time.Hour
	}
	host, _ := os.Hostname()
	s := &Service{o: o, db: o.DB, hub: o.Hub, log: o.Log, now: o.Now, me: fmt.Sprintf("%s-%d-%s", host, os.Getpid(), rand.Text()[:6]),
		running: map[int64]*running{}, waiting: map[int64]*waiter{}, seen: map[int64]beat{}}
	s.advisories = &advisories{o: &s.o, log: s.log}
	s.sources = &sources{fleet: o.Fleet, reader: o.Reader, bundled: o.Bundled, open: map[int64]*opened{}}
	return s
}

// Start lets tasks be made, and with work also done in this process, until Stop.
func (s *Service) Start(ctx context.Context, work bool) error {
	var pools map[string]job.Pool
	if work {
		pools = map[string]job.Pool{
			poolTargets: {Workers: s.o.TargetWorkers, Do: s.work},
			poolImages:  {Workers: s.o.ImageWorkers, Do: s.work},
		}
	}
	var err error
	if s.queue, err = job.Open(ctx, s.db, s.log, pools); err != nil {
		return err
	}
	if !s.db.Postgres() { // nobody else can have been at work: the folder is ours
		if err := s.reclaim(ctx); err != nil {
			return errors.Join(err, s.queue.Close())
		}
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.done.Go(func() { s.keep(ctx) })
	s.done.Go(func() { s.listen(ctx) })
	if work {
		err = s.queue.Start(ctx)
	}
	return err
}

// Stop gives running items back, to be done by others or after the next start, and ends.
func (s *Service) Stop(ctx context.Context) error {
	if s.queue == nil {
		return nil
	}
	err := s.queue.Stop(ctx)
	s.stop()
	s.done.Wait()
	s.advisories.close()
	return errors.Join(err, s.queue.Close())
}

// Duties are what the leader does for tasks.
func (s *Service) Duties() []leader.Duty {
	return []leader.Duty{
		{Name: "task-sweep", Every: max(s.o.Lease/6, 50*time.Millisecond), Do: s.Sweep},
		{Name: "task-schedules", Every: 5 * time.Second, Do: s.RunSchedules},
		{Name: "task-database", Every: 30 * time.Second, Do: s.CheckDatabase},
		{Name: "task-clean", Every: 6 * time.Hour, Do: s.Clean},
	}
}

// running is an item that this process does.
type running struct {
	item   *Item
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	progress Progress
	dirty    bool
	known    time.Time // when the database last said that the item is ours
}

// Why a running item's context ends.
var (
	errLost     = errors.New("the item was taken away: this process did not say for too long that it is at work")
	errCanceled = errors.New("canceled")
)

// keep tells the database that this process is at work on its items, writes their progress, and ends those that are canceled or
// lost.
func (s *Service) keep(ctx context.Context) {
	every := min(time.Second, s.o.Lease/8)
	tick := time.NewTicker(every)
	defer tick.Stop()
	var beaten time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		items := s.atWork()
		if len(items) == 0 {
			continue
		}
		quick, cancel := context.WithTimeout(ctx, max(s.o.Lease/4, 50*time.Millisecond))
		if time.Since(beaten) >= s.o.Lease/4 {
			if err := s.beat(quick, items); err != nil {
				s.log.Warn("the database does not hear that work goes on", "error", err)
			} else {
				beaten = time.Now()
			}
		}
		s.heed(quick, items)
		for _, r := range items {
			s.report(quick, r)
			r.mu.Lock()
			lost := time.Since(r.known) > s.o.Lease*3/4
			r.mu.Unlock()
			if lost { // before the sweeper gives it to somebody else
				r.cancel(errLost)
			}
		}
		cancel()
	}
}

func (s *Service) atWork() []*running {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*running, 0, len(s.running))
	for _, r := range s.running {
		out = append(out, r)
	}
	return out
}

// beat counts up the beats of items, and cancels those that are not this process's any more.
func (s *Service) beat(ctx context.Context, items []*running) error {
	ids := make([]int64, len(items))
	for i, r := range items {
		ids[i] = r.item.ID
	}
	began := time.Now()
	var ours []Item
	err := s.db.Write(ctx, func(ctx context.Context, tx bunTx) error {
		ours = nil
		return tx.NewRaw("UPDATE task_items SET beat = beat + 1 WHERE id IN (?) AND worker = ? AND status = 'running' RETURNING id, attempt", in(ids), s.me).Scan(ctx, &ours)
	})
	if err != nil {
		return err
	}
	for _, r := range items {
		if !slices.ContainsFunc(ours, func(i Item) bool { return i.ID == r.item.ID && i.Attempt == r.item.Attempt }) {
			r.cancel(errLost)
			continue
		}
		r.mu.Lock()
		r.known = began
		r.mu.Unlock()
	}
	return nil
}

// heed cancels the items of tasks that are to be canceled.
func (s *Service) heed(ctx context.Context, items []*running) {
	var tasks []int64
	for _, r := range items {
		if !slices.Contains(tasks, r.item.TaskID) {
			tasks = append(tasks, r.item.TaskID)
		}
	}
	var canceled []int64
	if err := s.db.R.NewRaw("SELECT id FROM tasks WHERE id IN (?) AND cancel", in(tasks)).Scan(ctx, &canceled); err != nil {
		return // the next tick asks again
	}
	for _, r := range items {
		if slices.Contains(canceled, r.item.TaskID) {
			r.cancel(errCanceled)
		}
	}
}
