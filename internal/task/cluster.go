package task

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/attack"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/triage"
)

// cluster scans one cluster, or what of it a verify names.
func (s *Service) cluster(ctx context.Context, r *running) outcome {
	t, err := s.row(ctx, r.item.TaskID)
	if err != nil {
		return failed(finding.Broken, stored(err))
	}
	spec, err := decode[clusterSpec](r.item.Spec)
	if err != nil {
		return failed(finding.Broken, err)
	}
	took := s.took(ctx, r.item.TargetID)
	r.update(func(p *Progress) {
		p.Phase, p.Remaining, p.Parts = "connecting", took.Milliseconds(), map[Part]*PartState{}
		for _, part := range t.Parts {
			p.Parts[part] = &PartState{Phase: "waiting"}
		}
	})
	src, err := s.source(ctx, r.item.TargetID, t.Budget.RequestRate)
	if err != nil {
		if ctx.Err() == nil {
			s.contact(ctx, r.item, inventory.ClusterInfo{}, -1, err)
		}
		return failed(reachable(err), err)
	}
	cfg, release, err := s.config(t, finding.Target{Kind: "cluster", Name: r.item.Name})
	if err != nil {
		return failed(finding.Broken, err)
	}
	defer release()
	began := cfg.Header.StartedAt
	cfg.Info = src.Info
	cfg.Progress = func(n int) {
		r.update(func(p *Progress) {
			p.Objects = n
			p.Remaining = max(0, (took - s.now().Sub(began)).Milliseconds())
		})
	}
	pull := !spec.Known && slices.ContainsFunc(t.Parts, func(p Part) bool { return slices.Contains(inImages, p) })
	look := &software{s: s, r: r, pull: pull, items: map[string]int64{}, known: map[string]string{}, used: map[string]bool{}}
	run := triage.Run{Target: r.item.TargetID, Task: t.ID, Kind: triage.Full, At: began, Kinds: kindsOf(t.Parts), Refs: spec.Refs, Rules: s.o.RuleHash}
	from := src
	switch {
	case spec.Watch:
		run.Kind, cfg.Partial, from = triage.Watch, true, &picked{src, spec.Refs}
	case spec.Refs != nil:
		run.Kind = triage.Verify
		look.only = func(ref string) bool { return slices.Contains(spec.Refs, triage.ImageRef(ref)) }
	}
	cfg.Software.Prepare, cfg.Software.Load, cfg.Software.Progress = look.prepare, look.load, look.progress
	exposed, err := s.agents(ctx, t.Parts, spec.Watch, &run, &cfg)
	if err != nil {
		return failed(finding.Broken, stored(err))
	}
	urgent, err := s.urgent(ctx, &cfg, &run, t.Parts)
	if err != nil {
		return failed(finding.Broken, stored(err))
	}
	defer urgent.close()
	in, err := s.o.Ingest(ctx, run)
	if err != nil {
		return failed(finding.Broken, stored(err))
	}
	counting := &counted{Source: from, r: r, parts: t.Parts}
	take := &narrowed{Ingest: in, r: r, parts: t.Parts, refs: spec.Refs, images: spec.Watch}
	if run.Kind == triage.Full {
		take.surveyed = s.surveyed(ctx, r.item.TargetID, src.Info, counting)
	}
	var handler finding.AssetHandler = take
	var seen *attack.Evidence
	if run.Kind == triage.Full {
		seen = attack.Listen(take)
		seen.Exposed(exposed)
		handler, cfg.Cluster = seen, seen.Cluster
	}
	cfg.Cluster = urgent.with(take, cfg.Cluster)
	summary, err := scan.Run(ctx, cfg, counting, handler)
	if err = urgent.end(ctx, err); err != nil {
		reason := err.Error()
		if cause := context.Cause(ctx); cause != nil {
			reason = cause.Error()
		}
		in.Abort(reason)
		if ctx.Err() == nil && counting.objects == 0 {
			s.contact(ctx, r.item, src.Info(), -1, err)
		}
		return failed(reachable(err), stored(err))
	}
	nodes := counting.nodes
	if spec.Watch {
		nodes = -1
	}
	s.contact(ctx, r.item, src.Info(), nodes, nil)
	s.keepBeside(ctx, r.item, seen, look)
	if summary.Partial > 0 && spec.Refs == nil {
		return outcome{status: Partial, err: fmt.Errorf("%d things asked for could not be scanned: see what was not scanned", summary.Partial)}
	}
	return outcome{status: Done}
}

// keepBeside saves the attack graph of a whole scan, and which inventories are in use. Neither ends the scan when it fails.
func (s *Service) keepBeside(ctx context.Context, it *Item, seen *attack.Evidence, look *software) {
	if seen != nil && seen.Graph() != nil {
		if err := attack.Save(ctx, s.db, it.TargetID, s.now(), seen.Graph()); err != nil {
			s.log.Warn("saving the attack graph", "cluster", it.Name, "error", err) // the one before stays, with its age
		}
	}
	if err := s.touch(ctx, slices.Collect(maps.Keys(look.used))); err != nil {
		s.log.Warn("noting which inventories are in use", "error", err)
	}
}

// surveyed keeps which nodes a whole scan saw and what runs on the cluster.
func (s *Service) surveyed(ctx context.Context, target int64, info func() inventory.ClusterInfo, counting *counted) func([]finding.Component) error {
	return func(components []finding.Component) error {
		if _, unread := info().Unread["Node"]; s.o.Nodes != nil && !unread {
			if err := s.o.Nodes.Listed(ctx, target, counting.listed); err != nil {
				return err
			}
		}
		return s.saveSurvey(ctx, target, &counting.survey, components)
	}
}

// rated is what a Fleet may offer beside: a source with a bound of requests a second.
type rated interface {
	OpenRate(ctx context.Context, target int64, perSecond float64) (fleet.Source, error)
}

func (s *Service) source(ctx context.Context, target int64, rate float64) (fleet.Source, error) {
	if f, ok := s.o.Fleet.(rated); ok && rate > 0 {
		return f.OpenRate(ctx, target, rate)
	}
	return s.o.Fleet.Open(ctx, target)
}

// contact records how a cluster was reached. That it cannot be recorded ends no scan.
func (s *Service) contact(ctx context.Context, it *Item, info inventory.ClusterInfo, nodes int, why error) {
	if err := s.o.Fleet.Contact(ctx, it.TargetID, info, nodes, why); err != nil {
		s.log.Warn("recording the contact", "cluster", it.Name, "error", err)
	}
}

// reachable is the code of an error that ended the scan of a cluster.
func reachable(err error) finding.Code {
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.Internal {
		return finding.Broken
	}
	return finding.Unreachable
}

// config is what all scans of the server have in common. release must be called when the scan has ended.
func (s *Service) config(t *Task, target finding.Target) (cfg scan.Config, release func(), err error) {
	cfg = scan.Config{Library: s.o.Library, Analyzers: analyze.All, Judge: s.o.Judge, Now: s.now, Filter: scan.Filter{VEX: s.o.VEX},
		Header: finding.Header{Target: target, StartedAt: s.now(),
			Tool: finding.Tool{Name: "stockade", Version: s.o.Release, Rules: s.o.Library.Digest}}}
	if slices.Contains(t.Parts, Compliance) {
		cfg.Frameworks = s.o.Frameworks
	}
	cfg.Software = &scan.Software{NoDatabase: noDatabase}
	db, err := s.advisories.use()
	if err != nil {
		return cfg, nil, err
	}
	if db == nil {
		return cfg, func() {}, nil
	}
	cfg.Header.Tool.Database = &finding.Database{Digest: db.digest, BuiltAt: db.builtAt}
	cfg.Software.Match = db.match
	return cfg, db.release, nil
}

const noDatabase = `the server has no advisory database: bring one with "stockade db pull" or "stockade db import"`

// counted counts what comes from a cluster.
type counted struct {
	fleet.Source
	r              *running
	parts          []Part
	objects, nodes int
	survey         inventory.CoreSurvey // the nodes of it
	listed         []NodeObject
}

func (c *counted) Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	c.r.update(func(p *Progress) {
		p.Phase = "objects"
		for part, state := range p.Parts {
			if !slices.Contains(inImages, part) || part == Emergency || part == SensitiveInformation {
				state.Phase = "running"
			}
		}
	})
	return c.Source.Stream(ctx, func(o *inventory.Object) error {
		if c.objects++; o.Kind == "Node" {
			c.nodes++
			c.survey.AddNode(o)
			c.listed = append(c.listed, NodeObject{Name: o.Name, Machine: inventory.Str(o.Content, "status", "nodeInfo", "machineID"),
				Provider: inventory.Str(o.Content, "spec", "providerID"), OS: inventory.Str(o.Content, "status", "nodeInfo", "operatingSystem")})
		}
		return emit(o)
	}, notScanned)
}

// narrowed hands on what was asked for: the whole scan runs in any case, so that verdicts on clauses are right.
type narrowed struct {
	Ingest
	r     *running
	parts []Part
	refs  []inventory.Ref // nil is all
	// images lets pass what is said of images beside: the source brings only those that the refs run.
	images bool
	// surveyed takes the core components of a whole scan; nil for others.
	surveyed func([]finding.Component) error
}

// Finding implements finding.Handler.
func (n *narrowed) Finding(f *finding.Finding) error {
	part := partOf(ledger.KindOf(f))
	if !slices.Contains(n.parts, part) || !n.about(f) {
		return nil
	}
	n.r.update(func(p *Progress) {
		p.Findings++
		if state := p.Parts[part]; state != nil {
			state.Findings++
		}
	})
	return n.Ingest.Finding(f)
}

// about reports whether a finding is of what a verify names.
func (n *narrowed) about(f *finding.Finding) bool {
	if n.refs == nil {
		return true
	}
	res := &f.Resource
	if res.Image != "" && res.Kind == "" {
		return n.images || slices.Contains(n.refs, triage.ImageRef(res.Image))
	}
	ref := inventory.Ref{APIVersion: res.APIVersion, Kind: res.Kind, Namespace: res.Namespace, Name: res.Name}
	return n.named(ref.GroupKind(), ref.Namespace, ref.Name)
}

func (n *narrowed) named(groupKind, namespace, name string) bool {
	return slices.ContainsFunc(n.refs, func(r inventory.Ref) bool {
		return r.GroupKind() == groupKind && r.Namespace == namespace && r.Name == name
	})
}

// Asset implements finding.AssetHandler.
func (n *narrowed) Asset(a finding.Asset) error {
	if n.refs != nil {
		switch a.Kind {
		case "rule":
		case "image":
			if !n.images && !slices.Contains(n.refs, triage.ImageRef(a.Name)) {
				return nil
			}
		case "namespace":
			if !n.named("Namespace", "", a.Name) {
				return nil
			}
		case "node":
			if !n.named("Node", "", a.Name) {
				return nil
			}
		case "cluster":
			return nil
		default:
			if a.Name == "" || !n.named(a.GroupKind, a.Namespace, a.Name) {
				return nil
			}
		}
	}
	return n.Ingest.Asset(a)
}

// Clause implements finding.Handler: verdicts are of whole scans.
func (n *narrowed) Clause(c finding.Clause) error {
	if n.refs != nil {
		return nil
	}
	return n.Ingest.Clause(c)
}

// NotScanned implements finding.Handler.
func (n *narrowed) NotScanned(g finding.NotScanned) error {
	if n.refs != nil && !slices.ContainsFunc(n.refs, func(r inventory.Ref) bool { return strings.Contains(g.Target+" "+g.What, r.Name) }) {
		return nil
	}
	return n.Ingest.NotScanned(g)
}

// End implements finding.Handler.
func (n *narrowed) End(at time.Time, target finding.Target, stats finding.Stats) error {
	n.r.update(func(p *Progress) { p.Phase, p.Objects = "saving", stats.Objects })
	if n.surveyed != nil {
		if err := n.surveyed(target.Components); err != nil {
			return err
		}
	}
	return n.Ingest.End(at, target, stats)
}
