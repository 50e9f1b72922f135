package task

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/triage"
)

// Urgent judges for emergency vulnerabilities: *urgent.Service.
type Urgent interface {
	// Begin begins a look at a cluster.
	Begin(ctx context.Context, u UrgentScan) (UrgentRun, error)
}

// UrgentScan says what is about to be judged.
type UrgentScan struct {
	Target, Task int64
	Whole        bool // of a scan of all of the cluster
	Partial      bool // its objects are not all read: what was seen of an image before counts
	// Vendor asks the advisories of systems; nil without an advisory database.
	Vendor func(sw *inventory.Software) func(id string, p *inventory.Package) emergency.Vendor
}

// UrgentRun judges what one scan reads. It is used by several goroutines.
type UrgentRun interface {
	Image(sw *inventory.Software, use scan.Use, cluster string, objects *inventory.Cluster) []*finding.Finding
	Cluster(c *inventory.Cluster) []*finding.Finding
	// Notes say what of the list could not be used.
	Notes() []string
	// End keeps what was seen. A run that does not come to it loses no more than the last of it.
	End(ctx context.Context) error
}

// UrgentRequest is the part of a Request that looks for emergencies now: nothing is pulled, and agents were asked already.
type UrgentRequest struct {
	IDs   []string
	Nodes []UrgentNode
}

// UrgentNode is a node to wait for, or one that cannot be asked.
type UrgentNode struct {
	Target int64
	Name   string
	Work   int64 // that its agent was asked for
	Until  time.Time
	Why    string // it cannot be asked
	Code   finding.Code
}

// UrgentWait is how long agents have for their report.
const UrgentWait = nodeWait

// SetUrgent gives who judges for emergencies, where that needs the Service to be made. Call it before Start.
func (s *Service) SetUrgent(u Urgent) { s.o.Urgent = u }

// EmergencyList is the list of emergencies in the advisory database as it was given to its builder, with a key that changes when it
// does. It is nil when the database has none, and when the key is the one that the caller has.
func (s *Service) EmergencyList(have string) (data []byte, key string, err error) {
	db, err := s.advisories.use()
	if err != nil || db == nil {
		return nil, "", err
	}
	defer db.release()
	if db.digest == have {
		return nil, have, nil
	}
	data, err = db.db.Emergencies()
	return data, db.digest, err
}

// urgentItems are the nodes of a look for emergencies.
func (s *Service) urgentItems(ctx context.Context, tx bun.Tx, t *Task, nodes []UrgentNode) error {
	for chunk := range slices.Chunk(nodes, 500) {
		items := make([]*Item, len(chunk))
		for i, n := range chunk {
			it := &Item{TaskID: t.ID, TargetID: n.Target, Kind: kindNode, Name: n.Name, Status: Ready, CreatedAt: t.CreatedAt,
				Spec: ledger.JSON(nodeSpec{Work: []int64{n.Work}, Until: n.Until})}
			if n.Why != "" {
				it.Spec, it.Status, it.FinishedAt, it.Code, it.Error = "", Failed, t.CreatedAt, string(n.Code), clip(n.Why)
			}
			items[i] = it
		}
		if _, err := tx.NewInsert().Model(&items).Returning("NULL").Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// urgentPart is the part of a cluster's scan that looks for emergencies; nil where nobody asked.
type urgentPart struct {
	run     UrgentRun
	db      *advisoryDB // may be nil
	untaken error       // why findings were not taken
}

// urgent prepares the part of a cluster's scan that looks for emergencies.
func (s *Service) urgent(ctx context.Context, cfg *scan.Config, run *triage.Run, parts []Part) (*urgentPart, error) {
	if s.o.Urgent == nil || !slices.Contains(parts, Emergency) {
		return nil, nil
	}
	u := &urgentPart{}
	var err error
	if u.db, err = s.advisories.use(); err != nil {
		return nil, err
	}
	ask := UrgentScan{Target: run.Target, Task: run.Task, Whole: run.Kind == triage.Full, Partial: cfg.Partial}
	if db := u.db; db != nil {
		ask.Vendor = func(sw *inventory.Software) func(string, *inventory.Package) emergency.Vendor {
			return examine.Vendor(db.says, sw)
		}
	}
	if u.run, err = s.o.Urgent.Begin(ctx, ask); err != nil {
		u.close()
		return nil, err
	}
	cfg.Software.Urgent, cfg.Software.Notes = u.run.Image, u.run.Notes()
	return u, nil
}

// with adds to what is done with the whole cluster that its objects are judged.
func (u *urgentPart) with(take finding.Handler, before func(*inventory.Cluster)) func(*inventory.Cluster) {
	if u == nil {
		return before
	}
	return func(c *inventory.Cluster) {
		if before != nil {
			before(c)
		}
		for _, f := range u.run.Cluster(c) {
			u.untaken = errors.Join(u.untaken, take.Finding(f))
		}
	}
}

// end keeps what was seen, after a scan that came to its end.
func (u *urgentPart) end(ctx context.Context, err error) error {
	if u == nil || err != nil {
		return err
	}
	return errors.Join(u.untaken, u.run.End(ctx))
}

func (u *urgentPart) close() {
	if u != nil && u.db != nil {
		u.db.release()
	}
}

// foundOnly is what is known of a node without what these parts do not ask for: nothing is judged that nobody takes.
func foundOnly(state *NodeState, parts []Part) *NodeState {
	if len(parts) != 1 || parts[0] != Emergency {
		return state
	}
	out := *state
	out.Facts, out.Software = nil, nil
	return &out
}
