// Package protect keeps clusters protected: it brings Gatekeeper and our provider into them, or takes over a Gatekeeper that is
// there; puts the policies in force, notices and repairs what somebody changes, renews certificates, tells how all of it does, and
// takes everything away again. What is wanted stands in the database; every pass compares it with the cluster and goes one step
// on, so that a server that dies in the middle leaves nothing that the next one does not finish.
package protect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
)

// Names in clusters.
const (
	Namespace     = "stockade-protect"
	Manager       = "stockade-protect" // field manager
	providerName  = "stockade-provider"
	recorderName  = "stockade-recorder"
	tlsSecret     = "stockade-provider-tls"
	linkSecret    = "stockade-provider-link"
	managedLabel  = "app.kubernetes.io/managed-by"
	managedBy     = "stockade"
	gatekeeperNS  = "gatekeeper-system"
	gatekeeperCA  = "gatekeeper-webhook-server-cert"
	validatingCfg = "gatekeeper-validating-webhook-configuration"
	mutatingCfg   = "gatekeeper-mutating-webhook-configuration"
	webhookDeploy = "gatekeeper-controller-manager"
	auditDeploy   = "gatekeeper-audit"
)

// Topics of the hub.
const (
	Topic    = "protection" // a cluster's protection changed
	Policies = "policies"   // what holds in clusters changed: of one, or of all with target 0
)

// Errors that routes turn into statuses.
var (
	ErrConsent = errors.New("protection brings objects into the cluster: look at the plan, and give consent")
	ErrState   = errors.New("this cannot be done now")
	ErrInvalid = errors.New("the settings cannot be taken")
)

// Clusters are where the API servers are reached: fleet.Fleet.
type Clusters interface {
	REST(ctx context.Context, target int64) (*rest.Config, error)
}

// Policy gives the policies and templates that hold in a cluster: book.Book.
type Policy interface {
	ForTarget(ctx context.Context, target int64) ([]policy.Policy, []policy.Template, error)
}

// Options of a Service. DB, Keys and Authority are needed.
type Options struct {
	DB        *store.DB
	Keys      *seal.Keys
	Authority *enrol.Authority
	Clusters  Clusters
	Hub       *live.Hub // nil tells nobody
	Policies  Policy    // nil: there are none
	// Exceptions are those that hold in a cluster now; nil: there are none.
	Exceptions func(target int64, now time.Time) []exception.Exception
	// Compile makes the objects of a bundle; nil: there are none.
	Compile Compiler
	// Finding reads the finding of a cluster that has a fingerprint, for exceptions of one finding; may be nil.
	Finding func(ctx context.Context, target int64, fingerprint string) (*finding.Finding, error)

	Server  string // https://host:port at which providers reach this server; settings of a cluster may have another
	Console string // address of the console, for refusals
	Version string // of this program
	Replica string // of this process; default random

	// Ready says whether the pods of a Deployment answer, and why not. nil looks at its status and pods; tests without a kubelet give another.
	Ready func(ctx context.Context, namespace, name string) (bool, string)

	Every time.Duration // between looks at a protected cluster; default 30 s
	Log   *slog.Logger
	Now   func() time.Time
}

// Service keeps clusters protected. Its methods are safe for use by several goroutines.
type Service struct {
	db      *store.DB
	o       Options
	log     *slog.Logger
	plugins *release // nil: this program was built without Gatekeeper's manifests

	mu      sync.Mutex
	running map[int64]bool     // passes of this process
	heard   context.Context    //nolint:containedctx // of the leadership in which changes are listened to
	bundles map[int64]*kept    // what was answered lately
	counted map[int64]*counted // objects of clusters, for bypasses
}

// New makes a Service. Keep, called by the leader, does its work.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Every <= 0 {
		o.Every = 30 * time.Second
	}
	if o.Replica == "" {
		o.Replica = randomName()
	}
	return &Service{db: o.DB, o: o, log: o.Log, plugins: builtIn(), running: map[int64]bool{}, bundles: map[int64]*kept{}, counted: map[int64]*counted{}}
}

// client opens the API server of a cluster.
func (s *Service) client(ctx context.Context, target int64) (*client, error) {
	rc, err := s.o.Clusters.REST(ctx, target)
	if err != nil {
		return nil, err
	}
	return newClient(rc)
}

// Stays says why a cluster may not be removed: its webhooks would point to a provider that nobody knows.
func (s *Service) Stays(ctx context.Context, target int64) error {
	r, err := s.row(ctx, target)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case r.State == Unprotected:
		return nil
	}
	return fmt.Errorf("the cluster is protected: end the protection first, which takes the webhooks out of it (or give it up, when the cluster is gone)")
}

// told publishes that a cluster's protection changed.
func (s *Service) told(ctx context.Context, target int64) {
	if s.o.Hub != nil {
		s.o.Hub.Publish(ctx, live.Event{Topic: Topic, Target: target, ID: target})
	}
}

// policiesChanged publishes that what holds in a cluster changed.
func (s *Service) policiesChanged(ctx context.Context, target int64) {
	s.forget(target)
	if s.o.Hub != nil {
		s.o.Hub.Publish(ctx, live.Event{Topic: Policies, Target: target})
	}
}

var _ Clusters = (*fleet.Fleet)(nil)
