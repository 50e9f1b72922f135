// Package vitals tells how the server itself is: its processes, database, disk, queue, certificates, data and clock, each with a
// verdict and a sentence for people.
package vitals

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// The verdicts.
const (
	OK   = "ok"
	Warn = "warn"
	Bad  = "bad"
)

const (
	silent = 3 * time.Minute // without a sign of life: a process is gone
	gone   = 24 * time.Hour  // and then forgotten
)

// Check is one thing that was looked at.
type Check struct {
	ID      string           `json:"id" enum:"processes,leader,database,disk,queue,outbox,deliveries,connectors,memory,certificate,authority,advisories,clock"`
	State   string           `json:"state" enum:"ok,warn,bad"`
	Title   string           `json:"title"`
	Text    string           `json:"text"`
	Figures map[string]int64 `json:"figures,omitempty" doc:"by name; bytes, seconds, counts"`

	title, text finding.Text
}

// Replica is a process of the server.
type Replica struct {
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	Roles      []string   `json:"roles"`
	Leads      bool       `json:"leads"`
	StartedAt  store.Time `json:"startedAt" format:"date-time"`
	SeenAt     store.Time `json:"seenAt" format:"date-time"`
	Silent     bool       `json:"silent" doc:"it gave no sign of life for three minutes"`
	Memory     int64      `json:"memoryBytes"`
	Goroutines int        `json:"goroutines"`
	Advisories string     `json:"advisoriesBuiltAt,omitempty" doc:"build time of the advisory database that it uses"`
	Skew       int64      `json:"clockSkewMs" doc:"its clock before that of the database"`
}

// System is how the server is.
type System struct {
	State     string     `json:"state" enum:"ok,warn,bad" doc:"the worst of the checks"`
	Version   string     `json:"version"`
	Go        string     `json:"go"`
	Platform  string     `json:"platform"`
	StartedAt store.Time `json:"startedAt" format:"date-time" doc:"of the process that answers"`
	Now       store.Time `json:"now" format:"date-time"`
	Database  string     `json:"database" enum:"sqlite,postgresql"`
	Checks    []Check    `json:"checks"`
	Replicas  []Replica  `json:"replicas"`
}

// Advisories is what is known of the advisory database of this process.
type Advisories struct {
	BuiltAt string // "" without one
	Problem bool   // the one in the folder cannot be used
}

// Options of a Service. DB is needed; functions may be nil where there is nothing to tell.
type Options struct {
	DB          *store.DB
	Log         *slog.Logger
	Now         func() time.Time
	Name        string // of this process
	Version     string
	Roles       []string
	Data        string                                // folder whose disk is looked at
	Leads       func() bool                           // this process leads
	Certificate func() *x509.Certificate              // that clients see
	Authority   func() *x509.Certificate              // of connectors
	Advisories  func() Advisories                     // of this process
	Settings    func() map[string]any                 // how the server was started, without secrets, for diagnostics
	Metrics     func(context.Context) ([]byte, error) // counters in Prometheus' form, for diagnostics
}

// Service looks at the server.
type Service struct {
	o       Options
	started time.Time
}

// New makes a Service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{o: o, started: o.Now()}
}

type replicaRow struct {
	bun.BaseModel `bun:"table:replicas"`

	Name   string     `bun:"name,pk"`
	SeenAt store.Time `bun:"seen_at"`
	State  string     `bun:"state"`
}

// self is this process, now.
func (s *Service) self(ctx context.Context) Replica {
	r := Replica{Name: s.o.Name, Version: s.o.Version, Roles: append([]string{}, s.o.Roles...), StartedAt: store.At(s.started), SeenAt: store.At(s.o.Now()),
		Memory: memory(), Goroutines: runtime.NumGoroutine(), Skew: s.skew(ctx).Milliseconds()}
	if s.o.Leads != nil {
		r.Leads = s.o.Leads()
	}
	if s.o.Advisories != nil {
		r.Advisories = s.o.Advisories().BuiltAt
	}
	return r
}

// Beat tells the others that this process lives.
func (s *Service) Beat(ctx context.Context) error {
	r := s.self(ctx)
	return s.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		row := &replicaRow{Name: r.Name, SeenAt: r.SeenAt, State: ledger.JSON(r)}
		if _, err := tx.NewInsert().Model(row).On("CONFLICT (name) DO UPDATE").Set("seen_at = EXCLUDED.seen_at, state = EXCLUDED.state").Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model((*replicaRow)(nil)).Where("seen_at < ?", store.At(s.o.Now().Add(-gone))).Exec(ctx)
		return err
	})
}

// Leave takes this process off the list: it stops as it should.
func (s *Service) Leave(ctx context.Context) error {
	return s.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*replicaRow)(nil)).Where("name = ?", s.o.Name).Exec(ctx)
		return err
	})
}

// replicas lists the processes: this one as it is, the others as they last said.
func (s *Service) replicas(ctx context.Context) ([]Replica, error) {
	var rows []replicaRow
	if err := s.o.DB.R.NewSelect().Model(&rows).Where("name <> ?", s.o.Name).OrderExpr("name").Limit(100).Scan(ctx); err != nil {
		return nil, err
	}
	list := []Replica{s.self(ctx)}
	for _, row := range rows {
		var r Replica
		if json.Unmarshal([]byte(row.State), &r) != nil {
			continue // another version's
		}
		r.Name, r.SeenAt = row.Name, row.SeenAt
		r.Silent = s.o.Now().Sub(row.SeenAt.Time) > silent
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Replica) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// System looks at everything. What cannot be looked at is bad, and says why.
func (s *Service) System(ctx context.Context, lang string) (*System, error) {
	out := &System{State: OK, Version: s.o.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, StartedAt: store.At(s.started),
		Now: store.At(s.o.Now()), Database: "sqlite"}
	if s.o.DB.Postgres() {
		out.Database = "postgresql"
	}
	var err error
	if out.Replicas, err = s.replicas(ctx); err != nil {
		return nil, err
	}
	for _, look := range []func(context.Context, *System) (Check, error){s.processes, s.leader, s.database, s.disk, s.queue, s.outbox, s.deliveries, s.connectors,
		s.memory, s.certificate, s.authority, s.advisories, s.clock} {
		c, err := look(ctx, out)
		if err != nil {
			s.o.Log.WarnContext(ctx, "looking at the server", "check", c.ID, "error", err)
			c.State = Bad
			c.text = finding.Text{EN: "This could not be looked at: the server's log tells why.", ZH: "无法检查此项，原因见服务器日志。"}
		}
		c.Title, c.Text = c.title.In(lang), c.text.In(lang)
		out.Checks = append(out.Checks, c)
		if c.State == Bad || c.State == Warn && out.State == OK {
			out.State = c.State
		}
	}
	return out, nil
}
