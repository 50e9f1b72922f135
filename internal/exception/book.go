package exception

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Handling is a change of the handling of findings. It has the fields of triage.Handling, so that one can be turned into the
// other.
type Handling struct {
	IDs       []int64
	Action    ledger.Action
	Note      string
	Exception int64
	Assignee  int64
	Cause     ledger.Cause
}

// Handler changes the handling of findings and everything that is counted of them: triage's. Accept of a finding that another
// exception accepts hands it over. It returns how many findings changed.
type Handler func(ctx context.Context, tx bun.Tx, h Handling) (int, error)

// Book is the exceptions of a server, in its database.
type Book struct {
	// Now is the clock, for tests.
	Now func() time.Time

	haste    time.Duration // for which a decision is applied before it is answered
	patience time.Duration // for which a preview counts
	db       *store.DB
	handle   Handler
	log      *slog.Logger
	life     context.Context
	snapshot atomic.Pointer[snapshot]
	polled   atomic.Int64 // when the version was last asked for: nanoseconds since start
	start    time.Time
	reading  sync.Mutex
	running  sync.Mutex // over runs
	runs     map[imageKey]*runs
}

// snapshot is the approved exceptions as of a version.
type snapshot struct {
	version int64
	set     *Set
	list    []Exception
}

// Open reads the approved exceptions. ctx is the life of the book. h may be nil until SetHandler.
func Open(ctx context.Context, db *store.DB, h Handler, log *slog.Logger) (*Book, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Book{Now: time.Now, haste: 3 * time.Second, patience: 5 * time.Second, db: db, handle: h, log: log, life: ctx, start: time.Now()}
	return b, b.load(ctx)
}

// SetHandler gives the handler, where it needs the book itself to be made.
func (b *Book) SetHandler(h Handler) { b.handle = h }

// poll is how old the snapshot may become before the version is asked for again.
const poll = time.Second

// Match returns the approved exception that accepts f, of target, now. It is made for every finding of a scan: the exceptions
// are in memory, and at most once a second the database is asked whether they changed, also by other replicas.
func (b *Book) Match(f *finding.Finding, target int64, now time.Time) (int64, bool) {
	b.refresh()
	set := b.snapshot.Load().set
	e, ok := set.Match(f, target, now)
	if ok && e.moving() {
		if all := b.everywhere(f, target); all != f {
			e, ok = set.Match(all, target, now)
		}
	}
	if !ok {
		return 0, false
	}
	return e.ID, true
}

// refresh reads the exceptions anew when they have changed. The old ones stay in use when that fails.
func (b *Book) refresh() {
	at, last := int64(time.Since(b.start)), b.polled.Load()
	if at-last < int64(poll) || !b.polled.CompareAndSwap(last, at) {
		return
	}
	ctx, cancel := context.WithTimeout(b.life, 10*time.Second)
	defer cancel()
	version, err := b.version(ctx, b.db.R)
	if err == nil && version != b.snapshot.Load().version {
		err = b.load(ctx)
	}
	if err != nil {
		b.log.Error("reading exceptions: those read before stay in use", "error", err)
	}
}

func (b *Book) version(ctx context.Context, db bun.IDB) (version int64, err error) {
	err = db.NewSelect().Table("exception_state").Column("version").Where("id = 1").Scan(ctx, &version)
	return version, err
}

// load reads the approved exceptions. The version is read first: a change in between is read again the next time.
func (b *Book) load(ctx context.Context) error {
	b.reading.Lock()
	defer b.reading.Unlock()
	version, err := b.version(ctx, b.db.R)
	if err != nil {
		return fmt.Errorf("reading the version of exceptions: %w", err)
	}
	var records []Record
	if err := b.db.R.NewSelect().Model(&records).Where("status = ?", Approved).Scan(ctx); err != nil {
		return fmt.Errorf("reading exceptions: %w", err)
	}
	list := make([]Exception, 0, len(records))
	for i := range records {
		if err := records[i].read(); err != nil {
			return err
		}
		e := records[i].Exception()
		if err := e.Check(); err != nil { // by an older program: it must not take the others with it
			b.log.Error("an approved exception cannot be used", "exception", e.ID, "error", err)
			continue
		}
		list = append(list, e)
	}
	slices.SortFunc(list, longest)
	set, err := New(list)
	if err != nil {
		return err
	}
	b.snapshot.Store(&snapshot{version, set, list})
	b.polled.Store(int64(time.Since(b.start)))
	return nil
}

// bump tells every replica that approved exceptions changed.
func bump(ctx context.Context, tx bun.Tx) error {
	_, err := tx.NewRaw("UPDATE exception_state SET version = version + 1 WHERE id = 1").Exec(ctx)
	return err
}

// get reads a record in a transaction and holds it until its end.
func (b *Book) get(ctx context.Context, tx bun.Tx, id int64) (*Record, error) {
	r := &Record{}
	q := tx.NewSelect().Model(r).Where("id = ?", id)
	if b.db.Postgres() {
		q = q.For("UPDATE")
	}
	if err := q.Scan(ctx); err != nil {
		return nil, store.NotFound(err)
	}
	return r, r.read()
}

// update writes columns of a record and counts the change.
func update(ctx context.Context, tx bun.Tx, r *Record, columns ...string) error {
	_, err := tx.NewUpdate().Model(r).Column(columns...).WherePK().Exec(ctx)
	return err
}

// visible reports whether the exception is among what v shows.
func visible(v identity.Visible, r *Record) bool {
	return v.Whole(r.TargetID) || r.TargetID != 0 && r.place() != "" && slices.Contains(v.Namespaces[r.TargetID], r.place())
}
