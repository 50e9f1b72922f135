package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/triage"
)

// Nodes is what is known of nodes by their agents: *nodes.Service.
type Nodes interface {
	// Facts hands on what agents know of a cluster's nodes, and tells of which nothing is known and why.
	Facts(ctx context.Context, target int64, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error
	// Enrolled names the nodes of a cluster that have agents.
	Enrolled(ctx context.Context, target int64) (map[string]bool, error)
	// Listed keeps which nodes the cluster has.
	Listed(ctx context.Context, target int64, list []NodeObject) error
	// AskNode has a node's agent read for parts of a scan, and returns what to wait for. why says that it cannot be asked.
	AskNode(ctx context.Context, target int64, name string, parts []Part, until time.Time) (work []int64, why string, err error)
	// Answered tells whether the agent is done, and what it could not do.
	Answered(ctx context.Context, work []int64) (done bool, failures []string, err error)
	// JudgeNode has what is known of a node judged for a task.
	JudgeNode(ctx context.Context, target int64, name string, task int64, parts []Part) (findings int, err error)
	// Search has the nodes of a cluster searched for malicious files; nobody waits for it.
	Search(ctx context.Context, target int64) error
	// LocalImage is what a node of the cluster says that an image holds which no registry has; store.ErrNotFound.
	LocalImage(ctx context.Context, target int64, digest string) (*inventory.Software, error)
}

// NodeObject is what of a Node object tells nodes apart.
type NodeObject struct{ Name, Machine, Provider, OS string }

// NodeState is what is known of one node.
type NodeState struct {
	ID       int64
	Name     string
	Facts    *inventory.Object   // of kind NodeFacts; nil: none are known
	Software *inventory.Software // nil: none is known
	Found    []*finding.Finding  // what the agent found otherwise
	Kinds    []ledger.Kind       // of Found: that these are all there is
	Prints   []string            // fingerprints of what was found on its containers the last time
	Skipped  []inventory.SkipFact
}

// NodeJudged is what became of it.
type NodeJudged struct {
	ID        int64
	Prints    []string // fingerprints of what was found on its containers and images
	Undecided []string // rules that said nothing: what they found before stands
	Findings  int
	Err       error
}

// SetNodes gives what is known of nodes, where that needs the Service to be made. Call it before Start.
func (s *Service) SetNodes(n Nodes) { s.o.Nodes = n }

// nodeSource is a source of the facts of one node.
type nodeSource struct{ state *NodeState }

// Stream implements scan.Source.
func (n nodeSource) Stream(_ context.Context, emit func(*inventory.Object) error, _ func(finding.NotScanned)) error {
	if n.state.Facts == nil {
		return nil
	}
	return emit(n.state.Facts)
}

// nodeFindings takes what is found of one node.
type nodeFindings struct {
	Ingest
	state  *NodeState
	others []string // names of rules that are no library's
	r      *running // of a task; may be nil
	parts  []Part
	exists func(inventory.Ref) bool // workloads
	count  int
	prints []string
	// undecided are rules that said nothing of the node.
	undecided []string
}

// Finding implements finding.Handler.
func (n *nodeFindings) Finding(f *finding.Finding) error {
	part := partOf(ledger.KindOf(f))
	if !slices.Contains(n.parts, part) {
		return nil
	}
	n.count++
	if r := &f.Resource; r.Kind != "" && r.Kind != "Node" && r.Kind != "Process" || r.Kind == "" && r.Image != "" {
		n.prints = append(n.prints, f.Fingerprint)
	}
	if n.r != nil {
		n.r.update(func(p *Progress) {
			p.Findings++
			if state := p.Parts[part]; state != nil {
				state.Findings++
			}
		})
	}
	return n.Ingest.Finding(f)
}

// Asset implements finding.AssetHandler: of the node and of the rules that were not asked.
func (n *nodeFindings) Asset(a finding.Asset) error {
	if a.Kind == "rule" {
		n.undecided = append(n.undecided, a.Name)
	}
	if a.Kind == "rule" || a.Kind == "node" && a.Name == n.state.Name {
		return n.Ingest.Asset(a)
	}
	return nil
}

// Clause implements finding.Handler: verdicts are of whole scans.
func (n *nodeFindings) Clause(finding.Clause) error { return nil }

// NotScanned implements finding.Handler: what a check could not look at says nothing of the packages.
func (n *nodeFindings) NotScanned(g finding.NotScanned) error {
	if g.Target == n.state.Name && slices.ContainsFunc(n.state.Skipped, func(k inventory.SkipFact) bool { return k.Check == g.What }) {
		g.Target = "node " + g.Target
	}
	return n.Ingest.NotScanned(g)
}

// End implements finding.Handler.
func (n *nodeFindings) End(at time.Time, target finding.Target, stats finding.Stats) error {
	for _, f := range n.state.Found {
		if r := &f.Resource; r.Kind == "Pod" && n.exists != nil {
			owner := inventory.PodOwner(r.Namespace, r.Name, n.state.Name, false, n.exists)
			r.APIVersion, r.Kind, r.Name = owner.APIVersion, owner.Kind, owner.Name
		}
		if err := n.Finding(f); err != nil {
			return err
		}
	}
	for _, name := range n.others {
		if err := n.Ingest.Asset(finding.Asset{Kind: "rule", Name: name, Unread: "it is not about nodes"}); err != nil {
			return err
		}
	}
	// The node is there: its agent speaks. Without facts nothing has said so.
	if err := n.Ingest.Asset(finding.Asset{Kind: "node", GroupKind: "Node", Name: n.state.Name}); err != nil {
		return err
	}
	return n.Ingest.End(at, target, stats)
}

// JudgeNodes judges what is known of nodes of a cluster, each by itself: only what is said of it is settled. run is the task that it is
// for, 0 for none.
func (s *Service) JudgeNodes(ctx context.Context, target, run int64, list []NodeState, parts []Part) ([]NodeJudged, error) {
	if len(parts) == 0 {
		parts = Parts
	}
	name := ""
	if err := s.db.R.NewSelect().Table("targets").Column("name").Where("id = ? AND removed_at = 0", target).Scan(ctx, &name); err != nil {
		return nil, err
	}
	cfg, release, err := s.config(&Task{Parts: parts}, finding.Target{Kind: "cluster", Name: name})
	if err != nil {
		return nil, err
	}
	defer release()
	cfg.Partial, cfg.NodesOnly, cfg.Frameworks, cfg.Judge = true, true, nil, nil
	cfg.Workload = s.workloads(ctx, target)
	out := make([]NodeJudged, 0, len(list))
	for i := range list {
		j := NodeJudged{ID: list[i].ID}
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		var taken *nodeFindings
		if taken, j.Err = s.judgeNode(ctx, cfg, target, run, &list[i], parts); j.Err == nil {
			j.Prints, j.Undecided, j.Findings = taken.prints, taken.undecided, taken.count
		}
		out = append(out, j)
		if errors.Is(j.Err, triage.ErrRemoved) || errors.Is(j.Err, context.DeadlineExceeded) || errors.Is(j.Err, context.Canceled) {
			return out, j.Err
		}
	}
	return out, nil
}

func (s *Service) judgeNode(ctx context.Context, cfg scan.Config, target, task int64, state *NodeState, parts []Part) (*nodeFindings, error) {
	cfg.Header.StartedAt = s.now()
	state = foundOnly(state, parts)
	software := *cfg.Software
	cfg.Software = &software
	if state.Software != nil {
		cfg.Software.Asked = []scan.Use{{Reference: state.Name}}
		cfg.Software.Load = func(context.Context, scan.Use) (*inventory.Software, error) { return state.Software, nil }
	} else {
		cfg.Software = nil
	}
	run := triage.Run{Target: target, Task: task, Kind: triage.Part, At: cfg.Header.StartedAt, Rules: s.o.RuleHash, Kinds: s.nodeKinds(state, parts), Also: state.Prints, Quiet: task == 0,
		Refs: []inventory.Ref{{APIVersion: "v1", Kind: "Node", Name: state.Name}}}
	in, err := s.o.Ingest(ctx, run)
	if err != nil {
		return nil, err
	}
	n := &nodeFindings{Ingest: in, state: state, parts: parts, exists: func(ref inventory.Ref) bool { _, ok := cfg.Workload(ref); return ok }}
	if s.o.Judge != nil {
		n.others = s.o.Judge.Names()
	}
	if task != 0 {
		s.mu.Lock()
		for _, r := range s.running {
			if r.item.TaskID == task && r.item.Kind == kindNode && r.item.Name == state.Name {
				n.r = r
			}
		}
		s.mu.Unlock()
	}
	if _, err = scan.Run(ctx, cfg, nodeSource{state}, n); err != nil {
		in.Abort(err.Error())
		return nil, err
	}
	return n, nil
}

// nodeKinds are the kinds of findings that can be told of what is known of a node, as far as they were asked for.
func (s *Service) nodeKinds(state *NodeState, parts []Part) []ledger.Kind {
	var out []ledger.Kind
	add := func(k ledger.Kind) {
		if slices.Contains(parts, partOf(k)) && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	if state.Facts != nil {
		for _, r := range s.o.Library.Rules {
			if r.Validate != nil && (r.Validate.Over == "node" || r.Validate.Over == "component") {
				add(ledger.KindOf(&finding.Finding{Kind: r.Kind}))
			}
		}
	}
	if state.Software != nil {
		add(ledger.SystemVulnerability)
		add(ledger.ApplicationVulnerability)
	}
	for _, k := range state.Kinds {
		add(k)
	}
	if len(out) == 0 { // an empty list would be all of them
		out = append(out, noKind)
	}
	return out
}

// noKind is of no finding.
const noKind ledger.Kind = -1

// workloads tells which workloads a cluster has, by what its last scans saw: the owners of containers that a node knows by their pods.
func (s *Service) workloads(ctx context.Context, target int64) func(inventory.Ref) (map[string]string, bool) {
	type answer struct {
		labels map[string]string
		ok     bool
	}
	known := map[string]answer{}
	return func(ref inventory.Ref) (map[string]string, bool) {
		key := ref.GroupKind() + " " + ref.Namespace + "/" + ref.Name
		if a, ok := known[key]; ok {
			return a.labels, a.ok
		}
		var text string
		err := s.db.R.NewSelect().Table("assets").Column("labels").Where("target_id = ? AND kind = ? AND group_kind = ? AND namespace = ? AND name = ? AND gone_at = 0",
			target, int(ledger.AssetWorkload), ref.GroupKind(), ref.Namespace, ref.Name).Limit(1).Scan(ctx, &text)
		a := answer{ok: err == nil}
		if a.ok && text != "" {
			a.labels, _ = decode[map[string]string](text)
		}
		known[key] = a
		return a.labels, a.ok
	}
}

// nodeSpec is Item.Spec of a node: what its agent was asked for, and until when.
type nodeSpec struct {
	Work  []int64   `json:"work,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// Times of node items.
const (
	nodeWait = 10 * time.Minute // for the agent's report
	nodeLook = 5 * time.Second  // between looks whether it came
)

// node has a node's agent read it, and judges that. It does not wait: the item is given back until the report is there.
func (s *Service) node(ctx context.Context, r *running) outcome {
	if s.o.Nodes == nil {
		return failed(finding.Unsupported, errors.New("this server takes no agents"))
	}
	t, err := s.row(ctx, r.item.TaskID)
	if err != nil {
		return failed(finding.Broken, stored(err))
	}
	spec, err := decode[nodeSpec](r.item.Spec)
	if err != nil {
		return failed(finding.Broken, err)
	}
	r.update(func(p *Progress) {
		p.Phase, p.Parts = "connecting", map[Part]*PartState{}
		for _, part := range t.Parts {
			p.Parts[part] = &PartState{Phase: "waiting"}
		}
	})
	now := s.now()
	if spec.Until.IsZero() || spec.Until.Sub(now) > nodeWait { // the clock was wrong
		spec.Until = now.Add(nodeWait)
		work, why, err := s.o.Nodes.AskNode(ctx, r.item.TargetID, r.item.Name, t.Parts, spec.Until)
		switch {
		case err != nil:
			return failed(finding.Broken, stored(err))
		case why != "":
			return failed(finding.Unreachable, errors.New(why))
		}
		spec.Work = work
		err = s.persist(r, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("UPDATE task_items SET spec = ? WHERE id = ? AND worker = ? AND attempt = ? AND status = 'running'", ledger.JSON(spec), r.item.ID, s.me, r.item.Attempt).Exec(ctx)
			return err
		})
		if err != nil {
			return failed(finding.Broken, stored(err))
		}
		return outcome{later: nodeLook}
	}
	done, failures, err := s.o.Nodes.Answered(ctx, spec.Work)
	switch {
	case err != nil:
		return failed(finding.Broken, stored(err))
	case !done && now.Before(spec.Until):
		return outcome{later: nodeLook}
	case !done:
		return failed(finding.Unreachable, fmt.Errorf("the agent of node %s did not report within %s", r.item.Name, nodeWait))
	}
	r.update(func(p *Progress) {
		p.Phase, p.Objects = "objects", 1
		for _, state := range p.Parts {
			state.Phase = "running"
		}
	})
	n, err := s.o.Nodes.JudgeNode(ctx, r.item.TargetID, r.item.Name, t.ID, t.Parts)
	if err != nil {
		return failed(finding.Broken, stored(err))
	}
	r.update(func(p *Progress) { p.Findings = n })
	if len(failures) > 0 {
		return outcome{status: Partial, code: finding.Unsupported, err: fmt.Errorf("the agent could not do all of it: %s", strings.Join(failures[:min(len(failures), 5)], "; "))}
	}
	return outcome{status: Done}
}

// localImage is what a node of the cluster says that an image holds which no registry could give; nil when none does. A node is not
// believed of what a registry has.
func (s *Service) localImage(ctx context.Context, target int64, use scan.Use) *inventory.Software {
	if s.o.Nodes == nil || use.Digest == "" {
		return nil
	}
	sw, err := s.o.Nodes.LocalImage(ctx, target, use.Digest)
	if err != nil {
		return nil
	}
	return named(sw, use)
}
