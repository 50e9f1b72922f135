package provider

import (
	"context"
	"slices"
	"time"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/memory"
	"stockade.dev/stockade/internal/provider/protocol"
)

// How long an answer of the server counts without being asked for again. Changes are told in between; these are for what the server
// cannot tell: where a tag points to in a registry. An older answer still counts until the next one comes.
const (
	digestAge = time.Hour
	openAge   = 5 * time.Second // of an image without a result
)

// look is what is known of an image now, and its flight when that is to be waited for.
type look struct {
	name    string
	known   *policy.ImageVerdict // nil: nothing
	flight  *flight
	err     error // why there is no flight
	pending bool  // the answer is not known yet, or too old
}

// look looks an image up, and asks for it when that is due. kick must follow.
func (p *Provider) look(f *force, ref policy.Reference, namespace string, secrets []string) look {
	out := look{name: ref.String()}
	image := protocol.Image{Reference: out.name, Namespace: namespace, PullSecrets: secrets}
	a, ok := p.memory.Get(ref)
	now := p.o.Now()
	quiet := false
	if ok {
		out.known = &a.Verdict
		must := f.epochs.must()
		known := a.Verdict.State == policy.Known
		switch age := now.Sub(a.Asked); {
		case a.Epoch < must:
			a.Verdict.Unsaid = f.epochs.unsaid(a.Epoch)
		case !known && (a.Image.Namespace != namespace || !slices.Equal(a.Image.PullSecrets, secrets)):
		case !known && (age > openAge || age < 0),
			(ref.Digest == "" || a.Content) && (age > p.o.TagAge || age < 0),
			age > digestAge, age < -time.Minute: // the clock was set back
			quiet = true
		default:
			return out
		}
		if known && !a.Content { // who may not read the image must not be the one to ask about it
			image = a.Image
		}
	}
	flight, err := p.ask.want(image, quiet)
	if !quiet {
		out.flight, out.err, out.pending = flight, err, true
	}
	return out
}

// wait waits for the answer of a look, until ctx ends. What was known before counts when there is none.
func (p *Provider) wait(ctx context.Context, f *force, l *look) (*policy.ImageVerdict, error) {
	if !l.pending {
		return l.known, nil
	}
	err := l.err
	if l.flight != nil {
		select {
		case <-l.flight.done:
			err = l.flight.err
		default:
			select {
			case <-l.flight.done:
				err = l.flight.err
			case <-ctx.Done():
				err = errLate
			}
		}
		if err == nil {
			v := *l.flight.verdict
			v.Reference = l.name
			if l.flight.epoch < f.epochs.must() {
				v.Unsaid = f.epochs.unsaid(l.flight.epoch)
			}
			return &v, nil
		}
	}
	if l.known != nil {
		return l.known, nil
	}
	return nil, err
}

// took keeps what the server said. That an image cannot be read or is being scanned again does not take away what is known of it, as long
// as it is the same image.
func (p *Provider) took(f *flight) {
	if f.verdict.State != policy.Known {
		ref, err := policy.ParseReference(f.image.Reference)
		if a, ok := p.memory.Get(ref); err == nil && ok && !a.Content && a.Verdict.State == policy.Known && (f.verdict.Digest == "" || f.verdict.Digest == a.Verdict.Digest) {
			p.memory.Put(f.image.Reference, &a.Verdict, memory.Origin{Image: a.Image, Epoch: a.Epoch, Asked: p.o.Now()})
			f.verdict, f.epoch = &a.Verdict, a.Epoch
			return
		}
	}
	if p.memory.Put(f.image.Reference, f.verdict, memory.Origin{Image: f.image, Epoch: f.epoch, Asked: p.o.Now()}) {
		p.memo.changed()
	}
}

// Verdict implements policy.Images, for the judge of recorded requests.
func (p *Provider) Verdict(ctx context.Context, reference, namespace string, pullSecrets []string) (*policy.ImageVerdict, error) {
	if all, ok := ctx.Value(looksKey{}).(*looks); ok {
		if l := all.known[lookName(reference, namespace, pullSecrets)]; l != nil {
			return p.wait(ctx, all.force, l)
		}
	}
	ref, err := policy.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	f := p.force.Load()
	if f == nil {
		return nil, errBundle
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.Deadline)
	defer cancel()
	l := p.look(f, ref, namespace, pullSecrets)
	p.ask.kick()
	return p.wait(ctx, f, &l)
}
