package task

import (
	"context"
	"slices"

	"stockade.dev/stockade/internal/attack"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/triage"
)

// agentFacts is a source of what agents know of a cluster's nodes.
type agentFacts struct {
	nodes  Nodes
	target int64
}

// Stream implements scan.Source.
func (a agentFacts) Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	return a.nodes.Facts(ctx, a.target, emit, notScanned)
}

// verified is what an Urgent may offer beside: the nodes on which agents saw every precondition of emergencies.
type verified interface {
	Verified(ctx context.Context, target int64, ids []string) (map[string][]string, error)
}

// agents adds to the scan of a cluster what agents know of its nodes. Of a whole one they are asked to search for malicious files, where
// that is wanted, and exposed are the nodes that can be reached from their containers by an emergency.
func (s *Service) agents(ctx context.Context, parts []Part, watch bool, run *triage.Run, cfg *scan.Config) (exposed map[string][]string, err error) {
	if s.o.Nodes == nil {
		return nil, nil
	}
	if run.Agents, err = s.o.Nodes.Enrolled(ctx, run.Target); err != nil {
		return nil, err
	}
	if !watch {
		cfg.Facts = agentFacts{s.o.Nodes, run.Target}
	}
	if run.Kind != triage.Full {
		return nil, nil
	}
	if slices.Contains(parts, Images) {
		if err := s.o.Nodes.Search(ctx, run.Target); err != nil {
			return nil, err
		}
	}
	if u, ok := s.o.Urgent.(verified); ok {
		return u.Verified(ctx, run.Target, attack.Outbreaks())
	}
	return nil, nil
}
