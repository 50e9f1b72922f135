// Package fleet knows the clusters: how each is reached, with which credentials, whether it answers, what the server may read in it
// and what it asked of it. It opens clusters for scans and watches, whatever their kind.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/fleet/tunnel"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
)

// Kinds of clusters, by how they are reached.
const (
	Kubeconfig = "kubeconfig" // with credentials that somebody gave
	InCluster  = "in-cluster" // with the service account of the server's own pod
	Connector  = "connector"  // through a tunnel that the cluster opens
	Snapshot   = "snapshot"   // a saved one, on the server's disk
)

// Bundled is the path of the snapshot that came with the program: Options.Demo says where it is.
const Bundled = "bundled:demo"

// State of the connection to a cluster.
type State string

// The states.
const (
	Never       State = "never"       // nobody has tried yet
	Connected   State = "connected"   // it answered the last time
	Unreachable State = "unreachable" // it did not, or something else answers
	Refused     State = "refused"     // it does not accept the credentials
	Waiting     State = "waiting"     // for the connector
)

// States lists all.
var States = []State{Never, Connected, Unreachable, Refused, Waiting}

// ErrInvalid wraps what is wrong with what somebody gave; the text says what to do.
var ErrInvalid = errors.New("the cluster cannot be taken")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// Options of a Fleet. All may be left out but Authority and Tunnels, which connectors need.
type Options struct {
	Authority *enrol.Authority
	Tunnels   *tunnel.Server

	Server  string // host:port at which connectors reach this server
	Image   string // of the connector; default stockade/connector:Version
	Version string // of this program

	AllowLocal bool // API servers on loopback and link-local addresses; off, or users could make the server ask its own machine

	// Demo gives the folder of the bundled snapshot on this machine; nil when there is none.
	Demo func() (string, error)

	// Forget takes what was found in a cluster out of the lists and counts, and marks the cluster as removed, in the transaction of
	// its removal. nil: it is only marked.
	Forget func(ctx context.Context, tx bun.Tx, target int64, at time.Time) error

	// Stays says why a cluster may not be removed now; nil, or an answer of nil: it may.
	Stays func(ctx context.Context, target int64) error

	QPS   float32 // requests a second to one cluster; default 20
	Burst int     // default 100
	Stall time.Duration
	Log   *slog.Logger
	Now   func() time.Time
}

// Fleet is the clusters. Its methods are safe for use by several goroutines.
type Fleet struct {
	db   *store.DB
	keys *seal.Keys
	o    Options

	mu      sync.Mutex
	clients map[int64]*client
	uses    map[int64]*use
}

// New makes a Fleet on db, with credentials sealed by keys.
func New(db *store.DB, keys *seal.Keys, o Options) *Fleet {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Image == "" {
		o.Image = "stockade/connector:" + o.Version
	}
	if o.QPS <= 0 {
		o.QPS = 20
	}
	if o.Burst <= 0 {
		o.Burst = max(100, int(o.QPS))
	}
	f := &Fleet{db: db, keys: keys, o: o, clients: map[int64]*client{}, uses: map[int64]*use{}}
	if o.Tunnels != nil {
		o.Tunnels.OnUp(f.up)
	}
	return f
}

// Now is the time by the fleet's clock.
func (f *Fleet) Now() time.Time { return f.o.Now() }

// Sweep does what must be done every minute, by every replica: what was asked of clusters is written down, clusters whose connector
// went away are told of, and what is old is forgotten.
func (f *Fleet) Sweep(ctx context.Context) error {
	errs := []error{f.flush(ctx), f.forgetUse(ctx)}
	if f.o.Tunnels != nil {
		errs = append(errs, f.missConnectors(ctx), f.o.Tunnels.Sweep(ctx))
	}
	if f.o.Authority != nil {
		errs = append(errs, f.o.Authority.Sweep(ctx))
	}
	return errors.Join(errs...)
}

// validName checks and cleans the name of a cluster, which stands in findings, reports and file names.
func validName(name string) (string, error) {
	name = strings.TrimSpace(name)
	const most = 100
	if name == "" || len([]rune(name)) > most {
		return "", invalid("a cluster's name has 1 to %d characters", most)
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && !strings.ContainsRune(" ._:@/-", r) {
			return "", invalid("a cluster's name has letters, digits, blanks and ._:@/- but not %q", r)
		}
	}
	return name, nil
}

// oneLine makes a text of foreign origin fit for the database and a log.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return r < ' ' || r == 0x7f }), "; ")
	const most = 1000
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
