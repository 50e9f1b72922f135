// Package notify tells people and programs outside what changed: it turns rows of the outbox into deliveries, one for each channel
// that wants them, and sends them until they are taken. Reports by schedule go the same way.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"stockade.dev/stockade/internal/assess"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/notify/guard"
	"stockade.dev/stockade/internal/store"
)

// Sealer encrypts the secrets of channels; place binds a value to its row.
type Sealer interface {
	Seal(place string, plain []byte) ([]byte, error)
	Open(place string, sealed []byte) ([]byte, error)
}

// Findings gives whole findings to reports: browse.Browser does.
type Findings interface {
	Select(ctx context.Context, v identity.Visible, f browse.Filter, sort string, yield func(*browse.Full) error) error
}

// Owners gives the principal that a user is now, with the grants of now; an error when the user is gone or shut out.
type Owners interface {
	Principal(ctx context.Context, user int64) (*identity.Principal, error)
}

// Options of a Notifier.
type Options struct {
	// Assess writes compliance frameworks; nil: reports are on findings only.
	Assess    *assess.Writer
	Keys      Sealer
	Owners    Owners
	Allow     []string         // destinations beside public addresses: see guard.New
	PublicURL string           // of the console, for links; "" leaves links out
	Version   string           // of the program
	Log       *slog.Logger     //
	Now       func() time.Time // default time.Now
	Patience  time.Duration    // how long Deliver waits for slow receivers before it leaves them to themselves; default 3 s
	Keep      time.Duration    // how long the log of deliveries is kept; default 30 days
}

// Notifier sends messages. Its methods are safe for use by several goroutines.
type Notifier struct {
	db       *store.DB
	findings Findings
	o        Options
	guard    *guard.Guard
	log      *slog.Logger

	slots chan struct{} // bounds sends at a time

	mu   sync.Mutex
	busy map[int64]bool // channels that are sent to in this process
	wg   sync.WaitGroup
}

// Bounds.
const (
	parallel      = 16               // channels that are sent to at a time
	roundMessages = 100              // messages of a channel in one round
	lease         = 3 * time.Minute  // of a channel; longer than one send
	sendTimeout   = 80 * time.Second // of one send, whatever the channel
	maxListed     = 20               // findings in a message
	maxChannels   = 200
	maxReports    = 1000
)

// Errors that callers tell apart.
var (
	ErrInvalid   = errors.New("invalid")
	ErrForbidden = errors.New("not allowed")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// New makes a Notifier. findings is for reports only.
func New(db *store.DB, findings Findings, o Options) (*Notifier, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Patience == 0 {
		o.Patience = 3 * time.Second
	}
	if o.Keep == 0 {
		o.Keep = 30 * 24 * time.Hour
	}
	g, err := guard.New(o.Allow)
	if err != nil {
		return nil, err
	}
	return &Notifier{db: db, findings: findings, o: o, guard: g, log: o.Log, slots: make(chan struct{}, parallel), busy: map[int64]bool{}}, nil
}

// Guard is the guard that every connection of channels goes through.
func (n *Notifier) Guard() *guard.Guard { return n.guard }

// Close waits for sends that are under way, at most until ctx ends.
func (n *Notifier) Close(ctx context.Context) {
	done := make(chan struct{})
	go func() { n.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (n *Notifier) now() time.Time { return n.o.Now() }

// link is an address in the console; "" when the console's is not known.
func (n *Notifier) link(path string) string {
	if n.o.PublicURL == "" {
		return ""
	}
	base := n.o.PublicURL
	for base != "" && base[len(base)-1] == '/' {
		base = base[:len(base)-1]
	}
	return base + path
}

// ids reads ids as JSON has them.
func ids(list []string) ([]int64, error) {
	out := make([]int64, 0, len(list))
	for _, s := range list {
		id, err := strconv.ParseInt(s, 10, 64)
		if err != nil || id < 1 {
			return nil, fmt.Errorf("%q is no id", s)
		}
		out = append(out, id)
	}
	return out, nil
}
