// Package nodes is the server's side of node agents: who they are and whether they live, what they are asked for, what they bring, and
// that it is judged. An agent speaks for its own node only, and what it brings is never believed of anything else.
package nodes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// Errors that callers tell apart. Their texts go to agents and users.
var (
	ErrInvalid  = errors.New("invalid")
	ErrGone     = errors.New("the node is not known any more: enrol again")
	ErrImitated = errors.New("the node has an agent on another machine")
	ErrBase     = errors.New("the server does not have what the digest says: send the whole")
	ErrConflict = errors.New("conflict")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Topics of live events: something of a node changed, and an agent has something to do.
const (
	Topic     = "node"
	topicWork = "node-work"
)

// Internal reports whether live events of a topic are for the server itself.
func Internal(topic string) bool { return topic == topicWork }

// Judge judges nodes anew: *task.Service.
type Judge interface {
	Stamp() (string, error)
	JudgeNodes(ctx context.Context, target int64, run int64, list []task.NodeState, parts []task.Part) ([]task.NodeJudged, error)
}

// List is something that agents ask for by its digest: the list of emergencies, the hashes of malicious files.
type List func(ctx context.Context) (digest string, body []byte, err error)

// Options of a Service. DB, Authority and Hub are needed, and Judge where nodes are judged.
type Options struct {
	DB        *store.DB
	Authority *enrol.Authority
	Hub       *live.Hub
	Judge     Judge
	Log       *slog.Logger
	Now       func() time.Time
	Interval  time.Duration // between beats; 0 is the protocol's
	// Classes are the checks that users allow on a cluster; nil: all.
	Classes     func(ctx context.Context, target int64) ([]emergency.Class, error)
	Emergencies List // may be nil
	Signatures  List // may be nil
	Unsent      int  // hashes that Signatures leaves out
	// Findings makes findings of what an agent reported of emergencies. May be nil: then that is kept and nothing more.
	Findings func(ctx context.Context, n Subject, kind protocol.WorkKind, body []byte) ([]*finding.Finding, error)
	// Reported is told of every report that was taken in and was new, after its transaction. May be nil.
	Reported func(ctx context.Context, n Subject, r *protocol.Report)
}

// Subject names a node for hooks.
type Subject struct {
	ID, Target    int64
	Name, Cluster string
}

// Service is the room.
type Service struct {
	o   Options
	db  *store.DB
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	peers map[int64]*peer
	work  map[int64][]protocol.Work // open, by node
	fresh bool                      // work was loaded
	first chan struct{}             // a new agent has said something of itself

	keep  keeper
	told  teller
	began time.Time
}

// New makes a Service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Interval <= 0 {
		o.Interval = protocol.Interval
	}
	return &Service{o: o, db: o.DB, log: o.Log, now: o.Now, began: o.Now(), peers: map[int64]*peer{}, work: map[int64][]protocol.Work{}, first: make(chan struct{}, 1)}
}

// SetJudge gives who judges, where it needs the Service to be made.
func (s *Service) SetJudge(j Judge) { s.o.Judge = j }

// Away is how long after its last contact an agent counts as away: some beats, and the time until they are written.
func (s *Service) Away() time.Duration { return 3*s.o.Interval + flushEvery }

// Stale is how old facts may be to be judged with a cluster.
const Stale = 6 * protocol.FactsEvery

// Row is a row of nodes.
type Row struct {
	bun.BaseModel `bun:"table:nodes,alias:n"`

	ID       int64  `bun:"id,pk,autoincrement"`
	TargetID int64  `bun:"target_id"`
	Name     string `bun:"name"`

	Listed         bool   `bun:"listed"`
	ObjectMachine  string `bun:"object_machine"`
	ObjectProvider string `bun:"object_provider"`
	ObjectOS       string `bun:"object_os"`

	EnrolledAt     store.Time `bun:"enrolled_at"`
	MachineID      string     `bun:"machine_id"`
	ProviderID     string     `bun:"provider_id"`
	ClaimAt        store.Time `bun:"claim_at"`
	ClaimMachine   string     `bun:"claim_machine"`
	ClaimFrom      string     `bun:"claim_from"`
	ClaimWhy       string     `bun:"claim_why"`
	AllowedMachine string     `bun:"allowed_machine"`

	SeenAt     store.Time `bun:"seen_at"`
	Version    string     `bun:"version"`
	AgentState string     `bun:"agent_state"`
	Reason     string     `bun:"reason"`
	Needs      string     `bun:"needs"`
	Classes    string     `bun:"classes"`
	Spool      int        `bun:"spool"`
	Memory     int64      `bun:"memory"`
	CPU        int64      `bun:"cpu"`
	Skew       int64      `bun:"skew"`

	FactsDigest    string     `bun:"facts_digest"`
	FactsAt        store.Time `bun:"facts_at"`
	SoftwareDigest string     `bun:"software_digest"`
	SoftwareAt     store.Time `bun:"software_at"`
	Summary        string     `bun:"summary"`

	DirtyAt  store.Time `bun:"dirty_at"`
	Judged   string     `bun:"judged"`
	JudgedAt store.Time `bun:"judged_at"`
	Told     string     `bun:"told"`
	ToldOf   string     `bun:"told_claim"`

	Cluster string `bun:"cluster,scanonly"` // name of the target, where it was asked for
}

// stale reports whether what was read is too old to count.
func (r *Row) stale(now time.Time) bool {
	return r.FactsDigest != "" && now.Sub(r.FactsAt.Time) > Stale
}

// State is how a node is protected.
type State string

// The states.
const (
	Protected   State = "protected"   // its agent lives
	Paused      State = "paused"      // lives, and does nothing while the node is under pressure
	Degraded    State = "degraded"    // lives, and cannot read something that was asked for
	Away        State = "away"        // it has not been heard of
	Never       State = "never"       // the cluster has the node, and it has no agent
	Unsupported State = "unsupported" // no agent runs on its system
)

// States lists all.
var States = []State{Protected, Paused, Degraded, Away, Never, Unsupported}

// State is the state of a row at a time; away is how long after its last contact an agent counts as away.
func (r *Row) State(now time.Time, away time.Duration) State { return r.state(now, away) }

// state of a row at a time.
func (r *Row) state(now time.Time, away time.Duration) State {
	switch {
	case r.EnrolledAt.IsZero() && r.ObjectOS == "windows":
		return Unsupported
	case r.EnrolledAt.IsZero():
		return Never
	case now.Sub(r.SeenAt.Time) > away:
		return Away
	case r.AgentState == string(protocol.Paused):
		return Paused
	case r.AgentState == string(protocol.Degraded):
		return Degraded
	}
	return Protected
}

// where is the condition of a state in SQL.
func (st State) where(now time.Time, away time.Duration) (string, []any) {
	const lives = "n.enrolled_at > 0 AND n.seen_at >= ?"
	from := store.At(now.Add(-away))
	switch st {
	case Unsupported:
		return "n.enrolled_at = 0 AND n.object_os = 'windows'", nil
	case Never:
		return "n.enrolled_at = 0 AND n.object_os <> 'windows'", nil
	case Away:
		return "n.enrolled_at > 0 AND n.seen_at < ?", []any{from}
	case Paused, Degraded:
		return lives + " AND n.agent_state = ?", []any{from, string(st)}
	}
	return lives + " AND n.agent_state NOT IN ('paused', 'degraded')", []any{from}
}
