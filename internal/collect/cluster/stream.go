package cluster

import (
	"context"
	"fmt"
	"strings"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// ahead is how many kinds are read at the same time. Most are small or empty, and waiting for each answer in turn would
// cost more time than reading.
const ahead = 4

// Stream reads every kind that exists and may be listed, in the order of collect.Kinds. A kind that fails is told to
// notScanned, with how far it got, and the others go on.
func (s *Source) Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	targets, err := s.discover(ctx, notScanned)
	if err != nil {
		return err
	}
	targets = s.wanted(targets, notScanned)
	if len(targets) == 0 {
		return fault.New(fault.Input, "the server at %s has none of the kinds that a scan reads", s.base.Redacted())
	}
	fetches := make([]*fetch, len(targets))
	started := 0
	defer func() {
		cancel()
		for _, f := range fetches[:started] {
			<-f.done
		}
	}()
	var firstErr error
	good := 0
	for i := range targets {
		for ; started < len(targets) && started < i+ahead; started++ {
			fetches[started] = s.start(ctx, &targets[started], s.cfg.MaxInFlight/ahead)
		}
		f := fetches[i]
		if err := s.drain(ctx, f, emit); err != nil {
			return err
		}
		for _, p := range f.problems {
			notScanned(p)
		}
		if f.err == nil {
			good++
			continue
		}
		if firstErr == nil {
			firstErr = f.err
		}
		if f.read > 0 {
			good++
		}
		s.giveUp(f.target.kind, s.unread(f.target.kind, f.err, f.read), notScanned)
	}
	s.info.Distribution, s.info.Managed = s.signs.Judge()
	if good == 0 {
		return s.explain(fmt.Errorf("nothing could be read: %w", firstErr))
	}
	return nil
}

// drain emits what a fetch reads until it ends.
func (s *Source) drain(ctx context.Context, f *fetch, emit func(*inventory.Object) error) error {
	const most = 64
	objects := make([]*inventory.Object, 0, most)
	for {
		if objects = f.queue.pop(ctx, most, objects); len(objects) == 0 {
			break
		}
		for _, o := range objects {
			if o.Kind == "Node" {
				s.signs.Node(o)
			}
			if err := emit(o); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	<-f.done
	return nil
}

// wanted leaves out the cluster-wide kinds when only some namespaces are read.
func (s *Source) wanted(targets []target, notScanned func(finding.NotScanned)) []target {
	if len(s.cfg.Namespaces) == 0 {
		return targets
	}
	reason := "only the namespaces " + strings.Join(s.cfg.Namespaces, ", ") + " are read"
	var out []target
	var left []string
	for _, t := range targets {
		if t.kind.Namespace || t.kind.Kind == "Namespace" {
			out = append(out, t)
			continue
		}
		s.info.Unread[t.kind.GroupKind()] = reason
		left = append(left, t.kind.GroupResource())
	}
	if len(left) > 0 {
		notScanned(finding.NotScanned{Target: s.info.Name, What: strings.Join(left, ", "), Reason: reason, Code: finding.Skipped})
	}
	return out
}

var _ collect.Source = (*Source)(nil)
