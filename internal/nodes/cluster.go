package nodes

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/release"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
	"stockade.dev/stockade/internal/triage"
)

// batch is how many nodes are read from the database at once.
const batch = 10

// object makes facts an object that scans take.
func object(f *inventory.NodeFacts) (*inventory.Object, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	content := map[string]any{}
	if err := json.Unmarshal(data, &content); err != nil {
		return nil, err
	}
	return &inventory.Object{APIVersion: "stockade.dev/v1", Kind: "NodeFacts", Name: f.Name, Content: content}, nil
}

// facts reads the facts that the database has of nodes, grown as old as they are.
func (s *Service) facts(ctx context.Context, ids []int64) (map[int64]*inventory.NodeFacts, error) {
	bodies, err := s.bodies(ctx, ids, protocol.ReadFacts)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]*inventory.NodeFacts, len(bodies))
	now := s.now()
	for id, data := range bodies {
		f := new(inventory.NodeFacts)
		if err := json.Unmarshal(data, f); err != nil {
			return nil, fmt.Errorf("the facts of node %d: %w", id, err)
		}
		f.Age(now)
		out[id] = f
	}
	return out, s.addMalware(ctx, ids, out)
}

// bodies reads what agents brought of one kind, opened.
func (s *Service) bodies(ctx context.Context, ids []int64, kind protocol.WorkKind) (map[int64][]byte, error) {
	var rows []struct {
		NodeID int64
		Body   []byte
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if err := s.db.R.NewRaw("SELECT node_id, body FROM node_bodies WHERE kind = ? AND node_id IN (?)", string(kind), bun.List(ids)).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	out := make(map[int64][]byte, len(rows))
	for _, r := range rows {
		data, err := unpack(r.Body)
		if err != nil {
			return nil, fmt.Errorf("what node %d reported: %w", r.NodeID, err)
		}
		out[r.NodeID] = data
	}
	return out, nil
}

// Facts implements task.Nodes. A cluster without any agent is told of by the scan itself, in one line.
func (s *Service) Facts(ctx context.Context, target int64, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	enrolled, err := s.db.R.NewSelect().Model((*Row)(nil)).Where("target_id = ? AND enrolled_at > 0", target).Exists(ctx)
	if err != nil || !enrolled {
		return err
	}
	for after := ""; ; {
		var rows []Row
		err := s.db.R.NewSelect().Model(&rows).Where("target_id = ? AND name > ?", target, after).Order("name").Limit(batch).Scan(ctx)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].Name
		now := s.now()
		var ids []int64
		for i := range rows {
			r := &rows[i]
			if why, code := r.unknown(now, s.Away()); why != "" {
				notScanned(finding.NotScanned{Target: r.Name, What: triage.NodeFacts, Reason: why, Code: code})
				continue
			}
			ids = append(ids, r.ID)
		}
		facts, err := s.facts(ctx, ids)
		if err != nil {
			return err
		}
		for i := range rows {
			f := facts[rows[i].ID]
			if f == nil {
				continue
			}
			o, err := object(f)
			if err != nil {
				return err
			}
			if err := emit(o); err != nil {
				return err
			}
		}
	}
}

// unknown says why the facts of a node do not count; "" when they do.
func (r *Row) unknown(now time.Time, away time.Duration) (string, finding.Code) {
	const on = " on node "
	switch r.state(now, away) {
	case Unsupported:
		return "no agent runs" + on + r.Name + ": its system is " + r.ObjectOS, finding.Unsupported
	case Never:
		return "no agent" + on + r.Name + ": enable it so that files, processes and containers there are looked at", finding.Skipped
	}
	switch {
	case r.FactsDigest == "":
		return "the agent" + on + r.Name + " has not reported yet", finding.Skipped
	case r.stale(now):
		return "what the agent" + on + r.Name + " read last is of " + r.FactsAt.UTC().Format(time.RFC3339) + ": older than " + Stale.String(), finding.Unreachable
	}
	return "", ""
}

// Enrolled implements task.Nodes.
func (s *Service) Enrolled(ctx context.Context, target int64) (map[string]bool, error) {
	var names []string
	err := s.db.R.NewSelect().Model((*Row)(nil)).Column("name").Where("target_id = ? AND enrolled_at > 0", target).Scan(ctx, &names)
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out, err
}

// Listed implements task.Nodes: what is new or changed is written, and nothing else.
func (s *Service) Listed(ctx context.Context, target int64, list []task.NodeObject) error {
	var rows []Row
	err := s.db.R.NewSelect().Model(&rows).Column("id", "name", "listed", "object_machine", "object_provider", "object_os", "enrolled_at").Where("target_id = ?", target).Scan(ctx)
	if err != nil {
		return err
	}
	known := make(map[string]*Row, len(rows))
	for i := range rows {
		known[rows[i].Name] = &rows[i]
	}
	var changed []*Row
	for _, o := range list {
		if !nodeName.MatchString(o.Name) {
			continue
		}
		want := Row{TargetID: target, Name: o.Name, Listed: true, ObjectMachine: plain(o.Machine), ObjectProvider: plain(o.Provider), ObjectOS: plain(o.OS)}
		r := known[o.Name]
		delete(known, o.Name)
		if r != nil && r.Listed && r.ObjectMachine == want.ObjectMachine && r.ObjectProvider == want.ObjectProvider && r.ObjectOS == want.ObjectOS {
			continue
		}
		changed = append(changed, &want)
	}
	for chunk := range slices.Chunk(changed, 500) {
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewInsert().Model(&chunk).Column("target_id", "name", "listed", "object_machine", "object_provider", "object_os").
				On("CONFLICT (target_id, name) DO UPDATE").Set("listed = EXCLUDED.listed, object_machine = EXCLUDED.object_machine, object_provider = EXCLUDED.object_provider, object_os = EXCLUDED.object_os").
				Returning("NULL").Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	var gone, unlisted []int64
	for _, r := range known {
		switch {
		case r.EnrolledAt.IsZero():
			gone = append(gone, r.ID)
		case r.Listed:
			unlisted = append(unlisted, r.ID)
		}
	}
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		for chunk := range slices.Chunk(gone, 500) {
			if _, err := tx.NewRaw("DELETE FROM nodes WHERE id IN (?) AND enrolled_at = 0", bun.List(chunk)).Exec(ctx); err != nil {
				return err
			}
		}
		for chunk := range slices.Chunk(unlisted, 500) {
			if _, err := tx.NewRaw("UPDATE nodes SET listed = ?, object_machine = '' WHERE id IN (?)", false, bun.List(chunk)).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func plain(s string) string {
	if !plainID.MatchString(s) {
		return ""
	}
	return s
}

// byName finds a node of a cluster.
func (s *Service) byName(ctx context.Context, target int64, name string) (*Row, error) {
	row := new(Row)
	return row, store.NotFound(s.db.R.NewSelect().Model(row).Where("target_id = ? AND name = ?", target, name).Scan(ctx))
}

// works are what an agent is asked for, for the parts of a scan.
var works = []struct {
	kind  protocol.WorkKind
	parts []task.Part
}{
	{protocol.ReadFacts, []task.Part{task.Configuration, task.Compliance, task.Permissions, task.SensitiveInformation, task.Emergency, task.Images}},
	{protocol.ReadPackages, []task.Part{task.SystemVulnerabilities, task.ApplicationVulnerabilities, task.Emergency}},
	{protocol.ReadImages, []task.Part{task.SystemVulnerabilities, task.ApplicationVulnerabilities}},
	{protocol.Verify, []task.Part{task.Emergency}},
	{protocol.FindMalware, []task.Part{task.Images}},
}

// AskNode implements task.Nodes.
func (s *Service) AskNode(ctx context.Context, target int64, name string, parts []task.Part, until time.Time) ([]int64, string, error) {
	row, err := s.byName(ctx, target, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, "no agent on node " + name + ": enable it so that it can be looked into", nil
	}
	if err != nil {
		return nil, "", err
	}
	switch row.state(s.now(), s.Away()) {
	case Unsupported, Never:
		why, _ := row.unknown(s.now(), s.Away())
		return nil, why, nil
	case Away:
		return nil, "the agent on node " + name + " is away: it was heard of last at " + row.SeenAt.UTC().Format(time.RFC3339), nil
	}
	var ids []int64
	for _, w := range works {
		if !slices.ContainsFunc(w.parts, func(p task.Part) bool { return slices.Contains(parts, p) }) {
			continue
		}
		asked, err := s.Ask(ctx, []int64{row.ID}, protocol.Work{Kind: w.kind, Until: until})
		if err != nil {
			return nil, "", err
		}
		id, ok := asked[row.ID]
		if !ok {
			return nil, "the agent on node " + name + " has too much to do already", nil
		}
		ids = append(ids, id)
	}
	return ids, "", nil
}

// Answered implements task.Nodes.
func (s *Service) Answered(ctx context.Context, work []int64) (bool, []string, error) {
	rows, err := s.Works(ctx, work)
	if err != nil {
		return false, nil, err
	}
	var failures []string
	if len(rows) < len(work) {
		failures = append(failures, "the node was forgotten meanwhile")
	}
	for i := range rows {
		switch rows[i].Status {
		case Open:
			if rows[i].UntilAt.After(s.now()) {
				return false, nil, nil
			}
			failures = append(failures, string(rows[i].Kind)+": not done in time")
		case Failed:
			failures = append(failures, string(rows[i].Kind)+": "+rows[i].Error)
		}
	}
	return true, failures, nil
}

// LocalImage implements task.Nodes.
func (s *Service) LocalImage(ctx context.Context, target int64, digest string) (*inventory.Software, error) {
	var body []byte
	err := s.db.R.NewRaw("SELECT body FROM node_images WHERE target_id = ? AND digest = ?", target, digest).Scan(ctx, &body)
	if err != nil {
		return nil, store.NotFound(err)
	}
	data, err := unpack(body)
	if err != nil {
		return nil, err
	}
	return software(data)
}

func software(data []byte) (*inventory.Software, error) {
	sw := new(inventory.Software)
	if err := json.Unmarshal(data, sw); err != nil {
		return nil, err
	}
	if sw.OS != nil { // what is known of releases may have grown since
		sw.OS.Release, sw.OS.Streams = release.Streams(sw.OS)
	}
	return sw, nil
}

// states reads all that is known of nodes, to be judged.
func (s *Service) states(ctx context.Context, cluster string, rows []Row) ([]task.NodeState, error) {
	ids := make([]int64, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	facts, err := s.facts(ctx, ids)
	if err != nil {
		return nil, err
	}
	packages, err := s.bodies(ctx, ids, protocol.ReadPackages)
	if err != nil {
		return nil, err
	}
	prints, err := s.prints(ctx, s.db.R, ids)
	if err != nil {
		return nil, err
	}
	out := make([]task.NodeState, len(rows))
	for i := range rows {
		r, n := &rows[i], &out[i]
		n.ID, n.Name, n.Prints = r.ID, r.Name, prints[r.ID]
		if f := facts[r.ID]; f != nil {
			n.Skipped = f.Skipped
			if n.Facts, err = object(f); err != nil {
				return nil, err
			}
		}
		if data := packages[r.ID]; data != nil {
			if n.Software, err = software(data); err != nil {
				return nil, err
			}
		}
	}
	return out, s.found(ctx, cluster, rows, ids, out)
}

// found adds what agents found beside facts and packages: emergencies. Malicious files are among the facts.
func (s *Service) found(ctx context.Context, cluster string, rows []Row, ids []int64, out []task.NodeState) error {
	if s.o.Findings == nil {
		return nil
	}
	bodies, err := s.bodies(ctx, ids, protocol.Verify)
	if err != nil {
		return err
	}
	for i := range rows {
		data := bodies[rows[i].ID]
		if data == nil {
			continue
		}
		list, err := s.o.Findings(ctx, Subject{ID: rows[i].ID, Target: rows[i].TargetID, Name: rows[i].Name, Cluster: cluster}, protocol.Verify, data)
		if err != nil {
			return err
		}
		out[i].Found, out[i].Kinds = append(out[i].Found, list...), append(out[i].Kinds, ledger.Emergency)
	}
	return nil
}

// prints are the fingerprints of what was found on the containers and images of nodes the last time.
func (s *Service) prints(ctx context.Context, db bun.IDB, ids []int64) (map[int64][]string, error) {
	var rows []struct {
		NodeID int64
		Print  []byte
	}
	out := map[int64][]string{}
	if len(ids) == 0 {
		return out, nil
	}
	err := db.NewRaw("SELECT node_id, print FROM node_prints WHERE node_id IN (?) ORDER BY node_id, print", bun.List(ids)).Scan(ctx, &rows)
	for _, r := range rows {
		out[r.NodeID] = append(out[r.NodeID], hex.EncodeToString(r.Print))
	}
	return out, err
}

// keepPrints writes what of them changed. What rules found before that could not be decided this time stays the node's.
func (s *Service) keepPrints(ctx context.Context, tx bun.Tx, node int64, list, undecided []string) error {
	before, err := s.prints(ctx, tx, []int64{node})
	if err != nil {
		return err
	}
	want := map[string]bool{}
	for _, p := range list {
		want[p] = true
	}
	var gone [][]byte
	for _, p := range before[node] {
		if !want[p] {
			raw, err := hex.DecodeString(p)
			if err != nil {
				return err
			}
			gone = append(gone, raw)
		}
		delete(want, p)
	}
	if len(undecided) == 0 {
		undecided = []string{""} // IN () is no SQL
	}
	for chunk := range slices.Chunk(gone, 500) {
		_, err := tx.NewRaw(`DELETE FROM node_prints WHERE node_id = ? AND print IN (?) AND NOT EXISTS (SELECT 1 FROM findings AS f JOIN nodes AS n ON n.target_id = f.target_id
			WHERE n.id = node_prints.node_id AND f.fingerprint = node_prints.print AND f.rule IN (?))`, node, bun.List(chunk), bun.List(undecided)).Exec(ctx)
		if err != nil {
			return err
		}
	}
	type row struct {
		bun.BaseModel `bun:"table:node_prints"`

		NodeID int64  `bun:"node_id,pk"`
		Print  []byte `bun:"print,pk"`
	}
	var rows []row
	for _, p := range slices.Sorted(maps.Keys(want)) {
		raw, err := hex.DecodeString(p)
		if err != nil {
			return err
		}
		rows = append(rows, row{NodeID: node, Print: raw})
	}
	for chunk := range slices.Chunk(rows, 500) {
		if _, err := tx.NewInsert().Model(&chunk).Returning("NULL").Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}
